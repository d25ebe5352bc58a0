"""Thompson sampling: each action as often as it is the best under the posterior."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from velodrome.checks import check_number
from velodrome.policies.divergences import within_one
from velodrome.policies.policy import Policy, SelectFunction
from velodrome.policies.random_numbers import gamma_drawn_by


def _normal(rng: Any) -> float:
    number: float = rng.standard_normal()
    return number


_draw_gamma = gamma_drawn_by(_normal)


def draw_beta(a: float, b: float, rng: Any) -> float:
    """A Beta(a, b) variable, as a share of two gamma variables; both parameters above 0."""
    first, second = _draw_gamma(a, rng), _draw_gamma(b, rng)
    total = first + second
    return first / total if total > 0.0 else 0.5


@lru_cache(maxsize=256)
def _select_beta(successes: float, failures: float) -> SelectFunction:
    def select(
        action_values: Sequence[float], visit_counts: Sequence[int], parameter: float, rng: np.random.Generator
    ) -> int:
        best, chosen = -1.0, 0
        for action in range(len(action_values)):
            count = visit_counts[action]
            won = within_one(action_values[action]) * count if count > 0 else 0.0
            drawn = draw_beta(successes + won, failures + (count - won), rng)
            if drawn > best:
                best, chosen = drawn, action
        return chosen

    return select


@lru_cache(maxsize=256)
def _select_gaussian(mean: float, prior_precision: float, precision: float) -> SelectFunction:
    def select(
        action_values: Sequence[float], visit_counts: Sequence[int], parameter: float, rng: np.random.Generator
    ) -> int:
        best, chosen = -math.inf, 0
        for action in range(len(action_values)):
            count = visit_counts[action]
            seen = precision * count
            total = prior_precision + seen
            middle = (prior_precision * mean + seen * action_values[action]) / total if count > 0 else mean
            drawn = middle + rng.standard_normal() / math.sqrt(total)
            if drawn > best:
                best, chosen = drawn, action
        return chosen

    return select


@dataclass(frozen=True)
class ThompsonBeta(Policy):
    """Draws each action's mean from its posterior Beta(`successes` + S, `failures` + N - S), takes the largest draw.

    S = Q(s, a) N(s, a) is the sum of its rewards, N = N(s, a): rewards of 0 and 1 are successes and failures, and those
    between count as fractions of both. `successes` and `failures` are the prior's; 1 and 1 is uniform.

    Attributes:
        successes: of the prior, above 0.
        failures: of the prior, above 0.

    Raises:
        ConfigurationError: `successes` or `failures` is not positive.

    Source: Thompson (1933); Chapelle & Li (2011), An empirical evaluation of Thompson sampling, algorithm 2.
    """

    successes: float = 1.0
    failures: float = 1.0
    indexes_only: ClassVar[bool] = True
    reads_visit_counts: ClassVar[bool] = True
    needs_sample_averages: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_number(f"{self.name}: successes", self.successes, 0.0, np.inf, open_low=True)
        check_number(f"{self.name}: failures", self.failures, 0.0, np.inf, open_low=True)

    @property
    def reward_range(self) -> tuple[float, float]:
        return 0.0, 1.0

    @property
    def select(self) -> SelectFunction:
        return _select_beta(float(self.successes), float(self.failures))


@dataclass(frozen=True)
class ThompsonGaussian(Policy):
    """Draws each action's mean from its normal posterior, takes the largest draw.

    Rewards have the known `standard_deviation`; the prior of every mean is normal with `prior_mean` and
    `prior_standard_deviation`, all in units of the rewards.

    Attributes:
        standard_deviation: known standard deviation of the rewards, above 0.
        prior_mean: mean of the prior.
        prior_standard_deviation: standard deviation of the prior, above 0.

    Raises:
        ConfigurationError: a standard deviation is not positive.

    Source: Thompson (1933); Russo et al. (2018), A tutorial on Thompson sampling, section 4.
    """

    standard_deviation: float = 1.0
    prior_mean: float = 0.0
    prior_standard_deviation: float = 1.0
    indexes_only: ClassVar[bool] = True
    reads_visit_counts: ClassVar[bool] = True
    needs_sample_averages: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_number(f"{self.name}: prior_mean", self.prior_mean, -np.inf, np.inf)
        for each in ("standard_deviation", "prior_standard_deviation"):
            check_number(f"{self.name}: {each}", getattr(self, each), 0.0, np.inf, open_low=True)

    @property
    def select(self) -> SelectFunction:
        precisions = float(self.prior_standard_deviation) ** -2, float(self.standard_deviation) ** -2
        return _select_gaussian(float(self.prior_mean), *precisions)
