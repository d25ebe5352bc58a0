"""Random Markov decision processes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from velodrome.checks import check_integer, check_probability
from velodrome.envs.model.model_environment import ModelEnvironment
from velodrome.envs.model.transition_model import TransitionModel


class Garnet(ModelEnvironment):
    """A random process with a given number of states, actions and next states (a Garnet problem).

    ## Description
    Every pair of state and action leads to `branching` different states, drawn at random, with probabilities
    cut from [0, 1] at random points. The same arguments make the same process on every machine.

    ## Action Space
    Discrete(num_actions).

    ## Observation Space
    Discrete(num_states).

    ## Starting State
    Uniform over the states that do not end the episode.

    ## Rewards
    One number per pair of state and action, drawn from the standard normal distribution.

    ## Episode End
    On entering a terminal state; without any, never by itself. `velodrome/Garnet-v0` is truncated after 100
    steps. Success is not defined. The optimum depends on the seed: compute it.

    ## Arguments
    `num_states=20`, `num_actions=4`, `branching=3`, `terminal_probability=0.0`, the chance of each state but
    state 0 to be terminal; `seed=0`.

    ## Reference
    Archibald, McKinnon & Thomas (1995), On the generation of Markov decision processes; Bhatnagar et al.
    (2009), Natural actor-critic algorithms. Differences: rewards have no noise, and states may be terminal.

    ## Version History
    v0: first version.
    """

    def __init__(
        self,
        num_states: int = 20,
        num_actions: int = 4,
        branching: int = 3,
        terminal_probability: float = 0.0,
        seed: int = 0,
        render_mode: str | None = None,
    ) -> None:
        num_states = check_integer("num_states", num_states, minimum=1)
        num_actions = check_integer("num_actions", num_actions, minimum=1)
        branching = check_integer("branching", branching, minimum=1, maximum=num_states)
        terminal_probability = check_probability("terminal_probability", terminal_probability)
        rng = np.random.default_rng(check_integer("seed", seed, minimum=0))
        shape = (num_states, num_actions, branching)
        next_states = _distinct(rng, num_states, num_states * num_actions, branching).reshape(shape)
        cuts = np.sort(rng.random((*shape[:2], branching - 1)), axis=2)
        probabilities = np.diff(cuts, axis=2, prepend=0.0, append=1.0)
        rewards = np.repeat(rng.standard_normal((*shape[:2], 1)), branching, axis=2)
        terminal = rng.random(num_states) < terminal_probability
        terminal[0] = False
        next_states[terminal] = np.flatnonzero(terminal)[:, None, None]
        rewards[terminal] = 0.0
        model = TransitionModel.from_arrays(
            num_states,
            num_actions,
            probabilities=probabilities,
            next_states=next_states,
            rewards=rewards,
            terminated=terminal[next_states],
            initial_distribution=~terminal / (~terminal).sum(),
        )
        super().__init__(model, render_mode=render_mode)


def _distinct(rng: np.random.Generator, population: int, rows: int, count: int) -> NDArray[np.int32]:
    """`count` different integers below `population` in each of `rows` rows, by Floyd's algorithm."""
    chosen = np.empty((rows, count), dtype=np.int32)
    for column, top in enumerate(range(population - count, population)):
        drawn = rng.integers(0, top + 1, size=rows, dtype=np.int32)
        taken = (chosen[:, :column] == drawn[:, None]).any(axis=1)
        chosen[:, column] = np.where(taken, top, drawn)
    return chosen
