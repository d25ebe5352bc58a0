"""IMED: the action whose being best would be the least surprising."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from velodrome.policies.divergences import bernoulli_divergence, within_one
from velodrome.policies.largest_bound import BoundFunction, LevelFunction, RewardsBound


def _largest_tried(action_values: Sequence[float], visit_counts: Sequence[int]) -> float:
    best = -math.inf
    for action in range(len(action_values)):
        if visit_counts[action] > 0 and action_values[action] > best:
            best = action_values[action]
    return best


def _bernoulli(value: float, count: int, level: float) -> float:
    return -(count * bernoulli_divergence(within_one(value), within_one(level)) + math.log(count))


@lru_cache(maxsize=256)
def _normal(standard_deviation: float) -> BoundFunction:
    def bound(value: float, count: int, level: float) -> float:
        behind = (level - value) / standard_deviation
        return -(count * behind * behind / 2.0 + math.log(count))

    return bound


@dataclass(frozen=True)
class IMED(RewardsBound):
    """argmin of N(s, a) d(Q(s, a), max Q(s, ·)) + ln N(s, a); an untried action comes first.

    d is the divergence of the kind of `rewards`: of Bernoulli distributions, right for every reward in [0, 1], or of
    normal ones with the known `standard_deviation`.

    Attributes:
        rewards: how rewards are distributed: "bernoulli", for any in [0, 1], or "gaussian".
        standard_deviation: known standard deviation of the rewards, above 0, for "gaussian" ones.
        ties: how a tie for the best action is broken: at "random", or to the "first", which has the lowest index.

    Raises:
        ConfigurationError: `rewards` is neither "bernoulli" nor "gaussian", `standard_deviation` is not positive, or
            `ties` is neither "random" nor "first".

    Source: Honda & Takemura (2015), Non-asymptotic analysis of a new bandit algorithm for semi-bounded rewards; with
    the divergences of one-parameter families in place of that of all distributions below a bound.
    """

    name: ClassVar[str] = "imed"

    @property
    def functions(self) -> tuple[LevelFunction, BoundFunction]:
        return _largest_tried, _bernoulli if self.rewards == "bernoulli" else _normal(float(self.standard_deviation))
