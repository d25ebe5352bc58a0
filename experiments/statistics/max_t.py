"""Tests of many paired differences at once by sign flips, corrected by the largest statistic of all.

A pattern gives every seed a sign, the same for all pairs of agents. Pairs that always score alike then have the same
statistic under every pattern, and count once; pairs without any difference count not at all.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from velodrome.experiments.statistics.errors import StatisticsError
from velodrome.experiments.statistics.scores import Array, random_stream
from velodrome.experiments.statistics.sign_patterns import (
    ROUNDING,
    all_signs,
    column_tiles,
    count_reaching,
    random_signs,
)


class MaxTest(NamedTuple):
    """The outcome for each of several pairs.

    Attributes:
        p_values: of each alone, float64 (num_pairs,), in (0, 1].
        adjusted: for all of them, at least as large.
        num_permutations: patterns that were looked at, the observed one among them.
        exact: whether they were all that there are.
    """

    p_values: Array
    adjusted: Array
    num_permutations: int
    exact: bool


def max_t_test(values: Array, num_permutations: int, seed: int) -> MaxTest:
    """Step-down max-T over columns, with the same random signs of the rows for all of them.

    The statistic is |Σ d| / √Σ d², which grows with Student's t; flips leave its denominator as it is, so that one pair
    alone has the p-value of its mean. The largest observed statistic is compared with the largest of all columns under
    each pattern, the next with the largest of all but the first, and so on; no p-value is smaller than the one before.

    Args:
        values: differences, float (num_seeds, num_pairs); 0 where a pair lacks the seed.
        num_permutations: the most patterns. All 2ⁿ are looked at if they are few enough.
        seed: of random patterns.

    Raises:
        StatisticsError: fewer than one pattern.

    Source: Westfall & Young (1993), "Resampling-Based Multiple Testing", algorithm 4.1; Romano & Wolf (2005), "Exact
    and Approximate Stepdown Methods for Multiple Hypothesis Testing".
    """
    if num_permutations < 1:
        raise StatisticsError(f"num_permutations: must be at least 1, got {num_permutations}")
    moving = values[values.any(axis=1)]
    size, num_columns = moving.shape
    columns = _of_length_one(moving)
    observed = np.abs(columns.sum(axis=0)) - ROUNDING * np.abs(columns).sum(axis=0)
    # From the smallest statistic on, a running maximum is that of all columns with smaller ones.
    order = np.argsort(observed, kind="stable")
    columns, observed = columns[:, order], observed[order]
    # A pattern and its negative have the same absolute value.
    exact = size <= 1 or 2 ** (size - 1) <= num_permutations
    blocks = all_signs(size) if exact else random_signs(random_stream(seed), num_permutations, size)
    alone, largest = _exceedances(columns, observed, blocks)
    count = 2 ** max(0, size - 1) if exact else num_permutations + 1
    p_values, adjusted = np.empty(num_columns), np.empty(num_columns)
    p_values[order] = (alone + (not exact)) / count
    adjusted[order] = np.maximum.accumulate(((largest + (not exact)) / count)[::-1])[::-1]
    return MaxTest(p_values, adjusted, count, exact)


def _of_length_one(values: Array) -> Array:
    """Columns over their lengths; those of zeros stay."""
    scale = np.abs(values).max(axis=0, initial=0.0)
    scaled = values / np.where(scale > 0, scale, 1.0)
    lengths = np.sqrt(np.square(scaled).sum(axis=0))
    return np.asarray(scaled / np.where(lengths > 0, lengths, 1.0))


def _exceedances(
    columns: Array, observed: Array, blocks: Iterator[Array]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many patterns reach the observed statistic of each column: by itself, and by the largest up to it."""
    size, num_columns = columns.shape
    alone, largest = np.zeros((2, num_columns), dtype=np.int64)
    # A tile reads its columns in one piece.
    tiles = [(tile, np.ascontiguousarray(columns[:, tile])) for tile in column_tiles(num_columns, size)]
    for signs in blocks:
        before = np.zeros(len(signs))
        for tile, part in tiles:
            sums = signs @ part
            np.abs(sums, out=sums)
            alone[tile] += count_reaching(sums, observed[tile])
            np.maximum(sums[:, 0], before, out=sums[:, 0])
            np.maximum.accumulate(sums, axis=1, out=sums)
            before = sums[:, -1].copy()
            largest[tile] += count_reaching(sums, observed[tile])
    return alone, largest
