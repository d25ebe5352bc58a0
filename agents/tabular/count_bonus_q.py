"""Q-learning with a bonus for what was seldom tried, added to the reward."""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from velodrome.agents.tabular.q_learning import QLearning, learn_q
from velodrome.checks import check_number


@lru_cache(maxsize=256)
def make_learn_count_bonus_q(bonus_scale: float) -> Callable[..., None]:
    """Update of Q-learning with the reward r + β / √N(s, a); the step itself is counted in N."""

    def learn_count_bonus_q(
        memory: Any, state: int, action: int, reward: float, next_state: int, terminated: bool, learning_rate: float,
        discount: float, next_mask: Any,
    ) -> None:  # fmt: skip
        bonus = bonus_scale / math.sqrt(memory.visit_counts[state][action])
        learn_q(
            memory.action_values, state, action, reward + bonus, next_state, terminated, learning_rate, discount,
            next_mask,
        )  # fmt: skip

    return learn_count_bonus_q


class CountBonusQ(QLearning):
    """Q-learning that learns from the reward r + β / √N(s, a), where N counts visits of the pair, this one included.

    The bonus reaches earlier states by bootstrapping, so that the agent goes where little is known. Action values hold
    it: they, and acting greedily, are of the reward with the bonus, which fades as 1 / √N; evaluation counts the
    rewards alone. A pair that was never tried has `initial_value` alone: above what others reach, each is tried.

    Args:
        bonus_scale: β, at least 0, in units of the rewards.

    Raises:
        ConfigurationError: a parameter is out of range.

    Source: the bonus of Strehl & Littman (2008), MBIE-EB, without a model, as in Bellemare et al. (2016), Unifying
    Count-Based Exploration. Deviations: 1. counts are of pairs, as in the former; 2. 0.01 is not added to N.
    """

    bonus_scale: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(f"{self.name}: bonus_scale", self.bonus_scale, 0.0, np.inf)

    @property
    def update(self) -> Callable[..., None]:
        return make_learn_count_bonus_q(float(self.bonus_scale))
