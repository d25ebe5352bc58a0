"""KL-UCB: upper confidence bounds as wide as the rewards' distribution allows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from velodrome.checks import check_number
from velodrome.policies.divergences import largest_mean_within, within_one
from velodrome.policies.largest_bound import BoundFunction, LevelFunction, RewardsBound, num_visits


def bernoulli_bound(value: float, count: int, level: float) -> float:
    """Largest mean in [0, 1] whose divergence from the action's, times its count, is at most the level."""
    return largest_mean_within(within_one(value), level / count)


@lru_cache(maxsize=256)
def normal_bound(standard_deviation: float) -> BoundFunction:
    """The same for normal rewards of a known standard deviation."""

    def bound(value: float, count: int, level: float) -> float:
        return value + standard_deviation * math.sqrt(2.0 * level / count)

    return bound


@lru_cache(maxsize=256)
def log_of_pulls(c: float) -> LevelFunction:
    """Ln t + c ln ln t in the t-th visit, at least 0."""

    def level_of(action_values: Sequence[float], visit_counts: Sequence[int]) -> float:
        level = math.log(num_visits(visit_counts) + 1.0)
        if c > 0.0 and level > 1.0:
            level += c * math.log(level)
        return level

    return level_of


@dataclass(frozen=True)
class KLUCB(RewardsBound):
    """argmax of the largest q with N(s, a) d(Q(s, a), q) <= ln t + `c` ln ln t; an untried action comes first.

    t is 1 + N(s), and d the divergence of the kind of `rewards`: of Bernoulli distributions, right for every reward in
    [0, 1], or of normal ones with the known `standard_deviation`. c = 3 is what the theorem needs, 0 what the
    authors recommend. ln ln t counts from ln t = 1 on.

    Attributes:
        rewards: how rewards are distributed: "bernoulli", for any in [0, 1], or "gaussian".
        standard_deviation: known standard deviation of the rewards, above 0, for "gaussian" ones.
        ties: how a tie for the best action is broken: at "random", or to the "first", which has the lowest index.
        c: weight of ln ln t, at least 0.

    Raises:
        ConfigurationError: `rewards` is neither "bernoulli" nor "gaussian", `c` is negative, `standard_deviation` is
            not positive, or `ties` neither "random" nor "first".

    Source: Garivier & Cappé (2011), The KL-UCB algorithm for bounded stochastic bandits and beyond, algorithm 1.
    """

    c: float = 0.0
    name: ClassVar[str] = "kl_ucb"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(f"{self.name}: c", self.c, 0.0, np.inf)

    @property
    def functions(self) -> tuple[LevelFunction, BoundFunction]:
        bound = bernoulli_bound if self.rewards == "bernoulli" else normal_bound(float(self.standard_deviation))
        return log_of_pulls(float(self.c)), bound
