"""Bayes-UCB: a quantile of the posterior as upper confidence bound."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from velodrome.policies.divergences import within_one
from velodrome.policies.largest_bound import BoundFunction, LevelFunction, RewardsBound, num_visits
from velodrome.policies.quantiles import beta_quantile, normal_quantile


def _tail(action_values: Sequence[float], visit_counts: Sequence[int]) -> float:
    return 1.0 / (num_visits(visit_counts) + 1.0)


def beta_bound(value: float, count: int, level: float) -> float:
    """The mean that is exceeded with probability `level` under the posterior Beta(1 + successes, 1 + failures)."""
    successes = within_one(value) * count
    return 1.0 - beta_quantile(level, 1.0 + count - successes, 1.0 + successes)


@lru_cache(maxsize=256)
def _normal_bound(standard_deviation: float) -> BoundFunction:
    def bound(value: float, count: int, level: float) -> float:
        return value - standard_deviation / math.sqrt(count) * normal_quantile(level)

    return bound


@dataclass(frozen=True)
class BayesUCB(RewardsBound):
    """argmax of the posterior's quantile 1 - 1/t, t = 1 + N(s); an untried action comes first.

    The posterior of "bernoulli" `rewards` is Beta(1 + successes, 1 + failures), from a uniform prior, with the sum of
    the rewards as successes, which may be fractions; that of "gaussian" ones is normal around the mean with the known
    `standard_deviation` / √N(s, a), from a flat prior.

    Attributes:
        rewards: how rewards are distributed: "bernoulli", for any in [0, 1], or "gaussian".
        standard_deviation: known standard deviation of the rewards, above 0, for "gaussian" ones.
        ties: how a tie for the best action is broken: at "random", or to the "first", which has the lowest index.

    Raises:
        ConfigurationError: `rewards` is neither "bernoulli" nor "gaussian", `standard_deviation` is not positive, or
            `ties` is neither "random" nor "first".

    Source: Kaufmann, Cappé & Garivier (2012), On Bayesian upper confidence bounds for bandit problems, c = 0.
    """

    name: ClassVar[str] = "bayes_ucb"

    @property
    def functions(self) -> tuple[LevelFunction, BoundFunction]:
        return _tail, beta_bound if self.rewards == "bernoulli" else _normal_bound(float(self.standard_deviation))
