"""A chain whose nearby small reward distracts from the far large one."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from velodrome.checks import check_integer, check_number, check_probability
from velodrome.envs.model.model_environment import ModelEnvironment
from velodrome.envs.model.transition_model import TransitionModel

FORWARD = 0
BACK = 1


class Chain(ModelEnvironment):
    """Walk forward along a chain for nothing until its end, or fall back for a little now.

    ## Description
    From every state one action leads forward, the other back to the start. Going back always pays a small
    reward; going forward pays nothing, except at the end, where it pays a large one and stays there. With
    probability `slip` the other action happens instead.

    ## Action Space
    Discrete(2): 0 forward, 1 back to the start.

    ## Observation Space
    Discrete(num_states): the place in the chain.

    ## Starting State
    State 0.

    ## Rewards
    small_reward whenever the walk goes back; large_reward for going forward in the last state; else 0.

    ## Episode End
    Never by itself. `velodrome/Chain-v0` is truncated after 100 steps. Success is not defined.
    Optimum of the default chain: always forward, expected return 356.71 within 100 steps.

    ## Arguments
    `num_states=5`, `slip=0.2`, `small_reward=2.0`, `large_reward=10.0`.

    ## Reference
    Strens (2000), A Bayesian Framework for Reinforcement Learning, ICML, figure 1, with
    1000 steps where 100 are the limit here.

    ## Version History
    v0: first version.
    """

    action_names: ClassVar[tuple[str, ...]] = ("forward", "back")

    def __init__(
        self,
        num_states: int = 5,
        slip: float = 0.2,
        small_reward: float = 2.0,
        large_reward: float = 10.0,
        render_mode: str | None = None,
    ) -> None:
        num_states = check_integer("num_states", num_states, minimum=2)
        slip = check_probability("slip", slip)
        small_reward = check_number("small_reward", small_reward)
        large_reward = check_number("large_reward", large_reward)
        # Axes: state, action, outcome; outcome 0 is what was intended, outcome 1 the other action.
        happening = np.array([[FORWARD, BACK], [BACK, FORWARD]])[:, : 1 if slip == 0 else 2]
        chances = np.array([1.0 - slip, slip])[: happening.shape[1]]
        next_states = np.zeros((num_states, *happening.shape), dtype=np.int32)
        ahead = np.minimum(np.arange(1, num_states + 1, dtype=np.int32), num_states - 1)
        next_states[:, happening == FORWARD] = ahead[:, None]
        rewards = np.zeros(next_states.shape)
        rewards[:, happening == BACK] = small_reward
        rewards[-1, happening == FORWARD] = large_reward
        model = TransitionModel.from_arrays(
            num_states,
            2,
            probabilities=np.broadcast_to(chances, next_states.shape),
            next_states=next_states,
            rewards=rewards,
            terminated=np.zeros(next_states.shape, dtype=np.bool_),
            initial_distribution=0,
        )
        super().__init__(model, render_mode=render_mode)
