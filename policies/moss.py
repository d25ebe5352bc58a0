"""MOSS: upper confidence bounds for a known number of pulls."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from velodrome.checks import check_choice, check_integer
from velodrome.policies.largest_bound import BoundFunction, LargestBound, LevelFunction
from velodrome.policies.policy import TIES, Ties


@lru_cache(maxsize=256)
def _pulls_an_arm(horizon: int) -> LevelFunction:
    def level_of(action_values: Sequence[float], visit_counts: Sequence[int]) -> float:
        return horizon / len(visit_counts)

    return level_of


def _bound(value: float, count: int, level: float) -> float:
    return value + math.sqrt(max(math.log(level / count), 0.0) / count)


@dataclass(frozen=True)
class MOSS(LargestBound):
    """argmax of action value + sqrt(max(ln(`horizon` / (K N(s, a))), 0) / N(s, a)) of K actions; untried ones first.

    `horizon` is the number of pulls (in an MDP, of visits of the state) that the policy is made for. It is a parameter
    of its own and never taken from the budget of training, which may be extended. Rewards are in [0, 1].

    Attributes:
        horizon: number of pulls, at least 1.
        ties: how a tie for the best action is broken: at "random", or to the "first", which has the lowest index.

    Raises:
        ConfigurationError: `horizon` is no whole number of at least 1, or `ties` is neither "random" nor
            "first".

    Source: Audibert & Bubeck (2009), Minimax policies for adversarial and stochastic bandits.
    """

    horizon: int
    ties: Ties = "random"
    name: ClassVar[str] = "moss"

    def __post_init__(self) -> None:
        check_integer(f"{self.name}: horizon", self.horizon, minimum=1)
        check_choice(f"{self.name}: ties", self.ties, TIES)

    @property
    def reward_range(self) -> tuple[float, float]:
        return 0.0, 1.0

    @property
    def functions(self) -> tuple[LevelFunction, BoundFunction]:
        return _pulls_an_arm(int(self.horizon)), _bound
