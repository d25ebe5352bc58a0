"""Swimming against the current."""

from __future__ import annotations

from typing import ClassVar

from velodrome.checks import check_integer, check_number
from velodrome.envs.model.model_environment import ModelEnvironment
from velodrome.envs.model.transition_model import TransitionModel
from velodrome.envs.model.transition_view import Outcome


class RiverSwim(ModelEnvironment):
    """Drift down the river for a little, or swim up against the current for a lot.

    ## Description
    States lie along a river. Swimming left always succeeds. Swimming right against the current moves right
    with probability 0.35, stays with 0.6 and drifts left with 0.05; in the first state it moves right with
    0.6 and stays with 0.4; in the last it stays with 0.6 and drifts left with 0.4.

    ## Action Space
    Discrete(2): 0 swim left, 1 swim right.

    ## Observation Space
    Discrete(num_states): the place in the river, 0 leftmost.

    ## Starting State
    State 0.

    ## Rewards
    small_reward for swimming left in the first state, large_reward for swimming right in the last, else 0.

    ## Episode End
    Never by itself. `velodrome/RiverSwim-v0` is truncated after 20 steps. Success is not defined.
    Optimum of the default river: swim right unless too late, expected return 3.397 within 20 steps.

    ## Arguments
    `num_states=6`, `small_reward=0.005`, `large_reward=1.0`.

    ## Reference
    Strehl & Littman (2008), An analysis of model-based interval estimation for Markov decision processes;
    numbers and the 20 steps as in Osband, Russo & Van Roy (2013), (More) Efficient Reinforcement Learning via
    Posterior Sampling.

    ## Version History
    v0: first version.
    """

    action_names: ClassVar[tuple[str, ...]] = ("left", "right")

    def __init__(
        self,
        num_states: int = 6,
        small_reward: float = 0.005,
        large_reward: float = 1.0,
        render_mode: str | None = None,
    ) -> None:
        num_states = check_integer("num_states", num_states, minimum=2)
        small_reward = check_number("small_reward", small_reward)
        large_reward = check_number("large_reward", large_reward)
        last = num_states - 1
        outcomes: list[list[list[Outcome]]] = []
        for state in range(num_states):
            left: list[Outcome] = [(1.0, max(state - 1, 0), small_reward if state == 0 else 0.0, False)]
            if state == 0:
                right: list[Outcome] = [(0.4, 0, 0.0, False), (0.6, 1, 0.0, False)]
            elif state == last:
                right = [(0.4, last - 1, large_reward, False), (0.6, last, large_reward, False)]
            else:
                right = [
                    (0.05, state - 1, 0.0, False),
                    (0.6, state, 0.0, False),
                    (0.35, state + 1, 0.0, False),
                ]
            outcomes.append([left, right])
        super().__init__(TransitionModel.from_outcomes(outcomes, 0), render_mode=render_mode)
