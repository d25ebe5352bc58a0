"""Bootstrap and jackknife replicates of an aggregate, in blocks of bounded memory."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from velodrome.experiments.statistics.aggregates import TRIMMED_SHARE, Aggregate, iqm
from velodrome.experiments.statistics.errors import StatisticsError
from velodrome.experiments.statistics.scores import Array, random_stream

# Values in one block: 1 MB as float64 stays in the caches.
BLOCK = 1 << 17
NUM_RESAMPLES = 10_000
# Whole numbers up to this are exact as float32.
MOST_RANKS = 1 << 24


def resamples(environments: Sequence[Array], num_resamples: int, seed: int) -> Iterator[list[Array]]:
    """Stratified resamples: seeds are drawn with replacement within each environment.

    Args:
        environments: one array (num_seeds,) an environment.
        num_resamples: in all.
        seed: of the draws.

    Yields:
        One array (rows, num_seeds) an environment, until there were `num_resamples` rows.

    Raises:
        StatisticsError: fewer than one resample.

    Source: Efron & Tibshirani (1993), section 8.3; Agarwal et al. (2021), section 4.1.
    """
    sizes = [len(scores) for scores in environments]
    pooled = np.concatenate(environments)
    for positions in _positions(sizes, num_resamples, seed):
        yield np.split(pooled.take(positions), np.cumsum(sizes)[:-1], axis=1)


def _positions(sizes: Sequence[int], num_resamples: int, seed: int) -> Iterator[NDArray[np.intp]]:
    """Which of all scores each resample takes, (rows, sum of sizes)."""
    if num_resamples < 1:
        raise StatisticsError(f"num_resamples: must be at least 1, got {num_resamples}")
    rng = random_stream(seed)
    # Short integers are drawn several times as fast.
    kind = np.uint16 if max(sizes) <= 1 << 16 else np.int64
    starts = np.repeat(np.cumsum([0, *sizes[:-1]]), sizes)
    rows = max(1, BLOCK // sum(sizes))
    for done in range(0, num_resamples, rows):
        block = min(rows, num_resamples - done)
        if len(set(sizes)) == 1:
            drawn = rng.integers(0, sizes[0], (block, sum(sizes)), dtype=kind)
        else:
            drawn = np.concatenate([rng.integers(0, size, (block, size), dtype=kind) for size in sizes], axis=1)
        yield drawn + starts


def replicates(environments: Sequence[Array], aggregate: Aggregate, num_resamples: int, seed: int) -> Array:
    """The aggregate of each stratified resample, float64 (num_resamples,).

    Raises:
        StatisticsError: fewer than one resample.
    """
    if aggregate is iqm and sum(len(scores) for scores in environments) <= MOST_RANKS:
        return _iqm_replicates(environments, num_resamples, seed)
    return np.concatenate([aggregate.of_rows(rows) for rows in resamples(environments, num_resamples, seed)])


def _iqm_replicates(environments: Sequence[Array], num_resamples: int, seed: int) -> Array:
    """The same, bit for bit, by sorting ranks: float32 is sorted twice as fast as float64."""
    pooled = np.concatenate(environments)
    order = np.argsort(pooled, kind="stable")
    ranks = np.empty(len(pooled), dtype=np.float32)
    ranks[order] = np.arange(len(pooled))
    ordered = pooled[order]
    cut = int(TRIMMED_SHARE * len(pooled))
    parts = []
    for positions in _positions([len(scores) for scores in environments], num_resamples, seed):
        drawn = ranks.take(positions)
        drawn.sort(axis=1)
        middle = ordered.take(drawn[:, cut : len(pooled) - cut].astype(np.intp))
        parts.append(np.clip(middle.mean(axis=1), middle[:, 0], middle[:, -1]))
    return np.concatenate(parts)


def jackknife(environments: Sequence[Array], aggregate: Aggregate) -> list[Array]:
    """The aggregate without one seed, for each seed of each environment: one array (num_seeds,) an environment.

    Every environment must have two seeds or more.
    """
    rows = max(1, BLOCK // sum(len(scores) for scores in environments))
    return [_leave_one_out(environments, index, aggregate, rows) for index in range(len(environments))]


def _leave_one_out(environments: Sequence[Array], index: int, aggregate: Aggregate, rows: int) -> Array:
    scores, parts = environments[index], []
    kept = np.arange(len(scores) - 1)
    for start in range(0, len(scores), rows):
        left_out = np.arange(start, min(start + rows, len(scores)))[:, np.newaxis]
        samples = [np.broadcast_to(other, (len(left_out), len(other))) for other in environments]
        samples[index] = scores[kept + (kept >= left_out)]
        parts.append(aggregate.of_rows(samples))
    return np.concatenate(parts)
