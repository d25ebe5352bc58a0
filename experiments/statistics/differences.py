"""How much one agent is ahead of another, with an interval."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from velodrome.experiments.statistics.aggregates import mean
from velodrome.experiments.statistics.best_interval import best_interval
from velodrome.experiments.statistics.errors import StatisticsError
from velodrome.experiments.statistics.interval import Interval
from velodrome.experiments.statistics.permutation_tests import differences_by_seed
from velodrome.experiments.statistics.resampling import NUM_RESAMPLES
from velodrome.experiments.statistics.scores import Array, Scores, as_environments, check_level
from velodrome.experiments.statistics.sign_flip_intervals import sign_flip_interval
from velodrome.experiments.statistics.sign_patterns import ROUNDING
from velodrome.experiments.statistics.student_intervals import t_interval


@dataclass(frozen=True)
class Difference:
    """First agent less the second.

    Attributes:
        estimate: mean over environments of the difference of means, in the units of the scores.
        interval: of it.
        paired: whether the seeds were the same.
    """

    estimate: float
    interval: Interval
    paired: bool


def paired_difference(
    first: Scores,
    second: Scores,
    *,
    seeds: Sequence[Sequence[int]] | None = None,
    level: float = 0.95,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> Difference:
    """Mean difference of two agents on the same seeds (common random numbers), with its interval.

    On one environment, or with `seeds`, that of `sign_flip_interval`, which leaves out 0 where
    `paired_permutation_test` rejects "no difference"; with fewer than 6 seeds, for which there is none, Student's. Over
    several environments of independent runs `best_interval` of the differences.

    Args:
        first: float (num_seeds,), or a sequence of such arrays, one an environment.
        second: likewise, of the same seeds in the same order.
        seeds: of each environment, the seeds of its scores in their order: differences of one seed count together. By
            default scores on several environments are independent runs.
        level: coverage.
        num_resamples: sign patterns, or bootstrap replicates.
        seed: of both.

    Raises:
        StatisticsError: no scores, not finite ones, different seeds, or `seeds` that do not fit.
    """
    scale = max(float(np.abs(one).max()) for one in (*as_environments(first), *as_environments(second)))
    differences = [_without_rounding(values, scale) for values in differences_by_seed(first, second, seeds)]
    return Difference(mean(differences), _interval(differences, level, num_resamples, seed), paired=True)


def _interval(differences: Sequence[Array], level: float, num_resamples: int, seed: int) -> Interval:
    if len(differences) > 1:
        return best_interval(differences, level=level, num_resamples=num_resamples, seed=seed)
    interval = sign_flip_interval(differences[0], level=level, num_permutations=num_resamples, seed=seed)
    return interval if interval.is_known else t_interval(differences[0], level=level)


def _without_rounding(values: Array, scale: float) -> Array:
    """Differences that are equal but for rounding, made equal: 0.3 - 0.2 and 0.2 - 0.1 are the same step."""
    return np.full_like(values, values[0]) if np.ptp(values) <= ROUNDING * scale else values


def unpaired_difference(first: Scores, second: Scores, *, level: float = 0.95) -> Difference:
    """Difference of means of two agents on different seeds, with Welch's t interval.

    Args:
        first: float (num_seeds,), or a sequence of such arrays, one an environment.
        second: likewise; the numbers of seeds may differ.
        level: coverage.

    Raises:
        StatisticsError: no scores, not finite ones, or different numbers of environments.

    Source: Welch (1947); on scores of several environments the variances of all add up.
    """
    check_level(level)
    ours, theirs = as_environments(first, "first"), as_environments(second, "second")
    if len(ours) != len(theirs):
        raise StatisticsError(f"first, second: must have the same environments, got {len(ours)} and {len(theirs)}")
    estimate = mean(ours) - mean(theirs)
    # A mean over twice as many strata, half of them negated, is half the difference.
    halves = t_interval([*ours, *_negated(theirs)], level=level)
    if not halves.is_known:
        return Difference(estimate, halves, paired=False)
    return Difference(estimate, replace(halves, low=2 * halves.low, high=2 * halves.high), paired=False)


def _negated(environments: Sequence[Array]) -> list[Array]:
    return [-scores for scores in environments]
