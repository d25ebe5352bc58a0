"""Tests of many paired differences at once by sign flips, corrected by the largest statistic of all.

A pattern gives every seed a sign, the same for all pairs of agents. Pairs that always score alike then have the same
statistic under every pattern, and count once; pairs without any difference count not at all.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from velodrome.agents.engine.one_thread import one_thread
from velodrome.experiments.statistics.errors import StatisticsError
from velodrome.experiments.statistics.scores import Array
from velodrome.experiments.statistics.sign_patterns import ROUNDING, as_signs, is_exact, sign_patterns

# Columns of a tile, and its patterns, a multiple of 64: a running maximum of long rows takes a fifth of that of short.
TILE_COLUMNS, TILE_PATTERNS = 16, 4096
# Signs of a block: 8 MB.
MOST_SIGNS = 1 << 20


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
    exact = is_exact(size, num_permutations)
    patterns = sign_patterns(size, num_permutations, seed)
    alone, largest = _exceedances(columns, observed, patterns)
    count = len(patterns) + (not exact)
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


@one_thread
def _exceedances(
    columns: Array, observed: Array, patterns: NDArray[np.uint8]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many patterns reach the observed statistic of each column: by itself, and by the largest up to it."""
    size, num_columns = columns.shape
    alone, largest = np.zeros((2, num_columns), dtype=np.int64)
    rows = np.ascontiguousarray(columns.T)
    height = min(TILE_PATTERNS, max(64, MOST_SIGNS // max(1, size) // 64 * 64))
    for start in range(0, len(patterns), height):
        signs = np.ascontiguousarray(as_signs(patterns[start : start + height], size).T)
        before = np.zeros(signs.shape[1])
        for first in range(0, num_columns, TILE_COLUMNS):
            tile = slice(first, first + TILE_COLUMNS)
            sums = rows[tile] @ signs
            np.abs(sums, out=sums)
            alone[tile] += _count_reaching(sums, observed[tile])
            for values in sums:
                before = np.maximum(values, before, out=values)
            largest[tile] += _count_reaching(sums, observed[tile])
    return alone, largest


def _count_reaching(sums: Array, thresholds: Array) -> NDArray[np.int64]:
    """How many of each row's sums are at least the row's threshold, int64 (rows,)."""
    # Bits are counted many times as fast as truth values.
    bits = np.packbits(sums >= thresholds[:, np.newaxis], axis=1)
    return np.asarray(np.bitwise_count(bits).sum(axis=1, dtype=np.int64))
