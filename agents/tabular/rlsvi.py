"""RLSVI: draw action values that are still possible, and act by them for an episode."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from velodrome.agents.engine.seeding import Streams
from velodrome.agents.tabular.finite_horizon import FiniteHorizonAgent, begin_horizon, go_on, horizon_ends
from velodrome.agents.tabular.learnt_model import LearntModelAgent, best_of, model_arrays, record, total_after
from velodrome.checks import check_number
from velodrome.policies.random_numbers import polar_normal


class RLSVIMemory(NamedTuple):
    """The finite-horizon tables, and the model that was counted.

    `state_values` float64 ((horizon + 1) * S,) are those that were drawn, 0 after the last step; `settings` float64
    (2,): the precision of the prior and that of a target.
    """

    action_values: np.ndarray
    visit_counts: np.ndarray
    step_values: np.ndarray
    clock: np.ndarray
    reward_sums: np.ndarray
    ends: np.ndarray
    successors: np.ndarray
    successor_counts: np.ndarray
    num_successors: np.ndarray
    state_values: np.ndarray
    settings: np.ndarray


def draw_values(memory: Any, rng: Any) -> None:
    """Draw the values of all steps, from the last backwards, each given those of the next.

    With n targets r + max Q'(s') of a pair, precision p of each and q of the prior, the posterior is normal with
    precision q + n p and mean p Σ targets / (q + n p).
    """
    num_states, num_actions = len(memory.action_values), len(memory.action_values[0])
    prior, precision = memory.settings[0], memory.settings[1]
    for step in range(memory.clock[1] - 1, -1, -1):
        first = (step + 1) * num_states
        for state in range(num_states):
            row = memory.step_values[step * num_states + state]
            for action in range(num_actions):
                count = memory.visit_counts[state][action]
                known, mean = prior + count * precision, 0.0
                if count > 0:
                    after = total_after(memory, state * num_actions + action, memory.state_values, first)
                    mean = precision * (memory.reward_sums[state][action] + after) / known
                row[action] = mean + polar_normal(rng) / math.sqrt(known)
            memory.state_values[step * num_states + state] = best_of(row)


def learn_rlsvi(
    memory: Any, state: int, action: int, reward: float, next_state: int, terminated: bool, ended: bool, rng: Any
) -> None:
    """Count the transition; at the end of the episode, or of the horizon, draw the next values."""
    record(memory, state, action, reward, next_state, terminated)
    if horizon_ends(memory, ended):
        draw_values(memory, rng)
        begin_horizon(memory)
    else:
        go_on(memory, next_state)


class RLSVI(FiniteHorizonAgent, LearntModelAgent):
    """Randomized least-squares value iteration with a table: each episode is played by values drawn at random.

    The values of each step are drawn from the posterior of a Bayesian regression on r + max Q(s'), with the values
    drawn for the next step. Acting greedily, and evaluation, are of the values that were drawn for the next episode:
    what the agent does.

    Args:
        noise: standard deviation of a target around its mean, assumed known, above 0.
        prior_scale: standard deviation of an action value, with mean 0, before it was learnt from; above 0.

    Raises:
        ConfigurationError: a parameter is out of range.

    Source: Osband, Van Roy & Wen (2016), Generalization and Exploration via Randomized Value Functions, with one
    feature a pair; Osband, Van Roy, Russo & Wen (2019), Deep Exploration via Randomized Value Functions. Deviations:
    1. what a pair led to is learnt from at every step of an episode, as rewards and transitions are the same at each,
    instead of at that step alone; 2. an end of the episode is worth 0; 3. an episode that outlives `horizon` goes on
    as the next one.
    """

    noise: float = 1.0
    prior_scale: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("noise", "prior_scale"):
            check_number(f"{self.name}: {name}", getattr(self, name), 0.0, np.inf, open_low=True)

    def new_memory(self, num_states: int, num_actions: int, horizon: int | None = None) -> RLSVIMemory:
        horizon = horizon or self.horizon or 1
        shape = (num_states, num_actions)
        return RLSVIMemory(
            np.zeros(shape), np.zeros(shape, dtype=np.int64), np.zeros((horizon * num_states, num_actions)),
            np.array([0, horizon]), *model_arrays(num_states, num_actions), np.zeros((horizon + 1) * num_states),
            np.array([self.prior_scale**-2.0, self.noise**-2.0]),
        )  # fmt: skip

    def draw_memory(self, memory: RLSVIMemory, streams: Streams) -> None:
        draw_values(memory, streams.at(1, 0))
        begin_horizon(memory)

    @property
    def update(self) -> Callable[..., None]:
        return learn_rlsvi
