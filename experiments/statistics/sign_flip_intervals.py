"""The interval of a mean difference that the test by sign flips does not reject."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from velodrome.experiments.statistics.aggregates import mean
from velodrome.experiments.statistics.interval import Interval
from velodrome.experiments.statistics.permutation_tests import NUM_PERMUTATIONS
from velodrome.experiments.statistics.scores import Array, as_scores, check_level
from velodrome.experiments.statistics.sign_patterns import ROUNDING, is_exact, sign_patterns, sums_of_minuses
from velodrome.experiments.statistics.student_intervals import plain_interval


def sign_flip_interval(
    differences: ArrayLike, *, level: float = 0.95, num_permutations: int = NUM_PERMUTATIONS, seed: int = 0
) -> Interval:
    """All shifts of the differences that the paired permutation test at 1 - level does not reject.

    So interval and test never contradict each other: it leaves out 0 where the test rejects "no difference". A pattern
    of signs is as extreme as the observed one for the shift d if the mean of the differences that it flips, or of those
    that it leaves, is at most d (at least d, for the upper end): the ends are quantiles of means of subsets. Exact for
    differences that are symmetric about their mean; like Student's t it covers less where they are skewed.

    Args:
        differences: paired, (num_seeds,).
        level: coverage.
        num_permutations: the most patterns that are looked at.
        seed: of random patterns.

    Returns:
        Unknown with fewer than 6 seeds at 95 %: no pattern is then rare enough.

    Raises:
        StatisticsError: no differences, or not finite ones.

    Source: Hartigan (1969), "Using Subsample Values as Typical Values"; Tritchler (1984), "On Inverting Permutation
    Tests".
    """
    check_level(level)
    values = as_scores(differences, "differences")
    plain = plain_interval([values], mean, level)
    if plain is not None:
        return plain
    size = len(values)
    patterns = sign_patterns(size, num_permutations, seed)
    lowest, highest = _subset_means(values, patterns)
    if not is_exact(size, num_permutations):
        # The observed pattern flips nothing: it is as extreme as itself for every shift.
        lowest, highest = np.append(lowest, -math.inf), np.append(highest, math.inf)
    place = math.floor((1 - level) * len(lowest) * (1 + ROUNDING)) + 1
    low, high = np.partition(lowest, place - 1)[place - 1], np.partition(highest, -place)[-place]
    if not (math.isfinite(low) and math.isfinite(high)):
        return Interval.unknown(level, f"{size} seeds")
    return Interval(float(low), float(high), level, "sign flips")


def _subset_means(values: Array, patterns: NDArray[np.uint8]) -> Array:
    """The smaller and the larger mean of what each pattern flips and leaves, (2, rows); infinite if one is nothing."""
    number, total = np.bitwise_count(patterns).sum(axis=1, dtype=np.float64), sums_of_minuses(patterns, values)
    rest, rest_number = values.sum() - total, len(values) - number
    is_whole = (number == 0) | (rest_number == 0)
    means = np.stack([total / np.maximum(number, 1), rest / np.maximum(rest_number, 1)])
    return np.stack([np.where(is_whole, -np.inf, means.min(axis=0)), np.where(is_whole, np.inf, means.max(axis=0))])
