"""Bootstrap and jackknife replicates of an aggregate, in blocks of bounded memory."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from velodrome.experiments.statistics.aggregates import TRIMMED_SHARE, Aggregate, Counts, iqm, mean
from velodrome.experiments.statistics.by_seed import seed_rows
from velodrome.experiments.statistics.errors import StatisticsError
from velodrome.experiments.statistics.scores import Array, random_stream
from velodrome.experiments.statistics.student_intervals import standard_errors

_Number = TypeVar("_Number", bound=np.floating[Any])

# Values in one block: 512 kB as float64 stay in the caches, and larger arrays are given back to the system each time.
BLOCK = 1 << 16
NUM_RESAMPLES = 10_000
# Counts of draws that are kept for the next agent (32 MB), and those that are worked on at once (1 MB as float64).
MOST_KEPT, BLOCK_OF_COUNTS = 1 << 24, 1 << 17
# Whole numbers up to this are exact as float32.
MOST_RANKS = 1 << 24
# Pairs of scores are drawn at once where all that there are still fit into the caches, and one into 16 bits.
MOST_PAIRS = 1 << 16


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
    for rows in _drawn(pooled, sizes, num_resamples, seed):
        yield np.split(rows, np.cumsum(sizes)[:-1], axis=1)


def _drawn(pooled: NDArray[_Number], sizes: Sequence[int], num_resamples: int, seed: int) -> Iterator[NDArray[_Number]]:
    """Values of all environments, drawn within each: blocks (rows, sum of sizes).

    Which ones are drawn depends on the sizes and the seed alone. Two independent draws are one of their pairs: half as
    many random numbers, and half as many places to look up.
    """
    if num_resamples < 1:
        raise StatisticsError(f"num_resamples: must be at least 1, got {num_resamples}")
    rng = random_stream(seed)
    together = 2 if sum(size**2 for size in sizes) <= MOST_PAIRS else 1
    table = _tuples(pooled, sizes, together)
    choices = [size**together for size in sizes]
    draws = [-(-size // together) for size in sizes]
    starts = np.repeat(np.cumsum([0, *choices[:-1]]), draws)
    # Short integers are drawn several times as fast.
    kind = np.uint16 if max(choices) <= 1 << 16 else np.int64
    # An odd number of draws is one more than is needed.
    used = [np.arange(together * count) < size for count, size in zip(draws, sizes, strict=True)]
    needed = np.flatnonzero(np.concatenate(used))
    rows = max(1, BLOCK // sum(sizes))
    for done in range(0, num_resamples, rows):
        block = min(rows, num_resamples - done)
        if len(set(sizes)) == 1:
            drawn = rng.integers(0, choices[0], (block, sum(draws)), dtype=kind)
        else:
            each = zip(choices, draws, strict=True)
            drawn = np.concatenate([rng.integers(0, most, (block, count), dtype=kind) for most, count in each], axis=1)
        values = table.take(drawn + starts, axis=0).reshape(block, -1)
        yield values if len(needed) == values.shape[1] else values.take(needed, axis=1)


def _tuples(pooled: NDArray[_Number], sizes: Sequence[int], together: int) -> NDArray[_Number]:
    """All ordered pairs of values of each environment, or the values alone, (number of them, together)."""
    if together == 1:
        return pooled[:, np.newaxis]
    parts = np.split(pooled, np.cumsum(sizes)[:-1])
    pairs = [np.stack([np.repeat(values, len(values)), np.tile(values, len(values))], axis=1) for values in parts]
    return np.concatenate(pairs)


def replicates(environments: Sequence[Array], aggregate: Aggregate, num_resamples: int, seed: int) -> Array:
    """The aggregate of each stratified resample, float64 (num_resamples,).

    Raises:
        StatisticsError: fewer than one resample.
    """
    if aggregate is iqm and sum(len(scores) for scores in environments) <= MOST_RANKS:
        return _iqm_replicates(environments, num_resamples, seed)
    if aggregate is mean:
        return np.concatenate([one for one, _ in replicates_with_errors(environments, mean, num_resamples, seed, 0.0)])
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
    for drawn in _drawn(ranks, [len(scores) for scores in environments], num_resamples, seed):
        drawn.sort(axis=1)
        middle = ordered.take(drawn[:, cut : len(pooled) - cut].astype(np.intp))
        parts.append(np.clip(middle.mean(axis=1), middle[:, 0], middle[:, -1]))
    return np.concatenate(parts)


def replicates_with_errors(
    environments: Sequence[Array], aggregate: Aggregate, num_resamples: int, seed: int, centre: float
) -> Iterator[tuple[Array, Array]]:
    """The aggregate of each stratified resample less a number near it, and its standard error, in blocks.

    Raises:
        StatisticsError: fewer than one resample, or no standard error is known.
    """
    size = len(environments[0])
    if len(environments) > 1 or aggregate.of_counts is None or size * num_resamples > MOST_KEPT:
        for rows in resamples(environments, num_resamples, seed):
            yield aggregate.of_rows(rows) - centre, standard_errors(aggregate, rows)
        return
    counts = _drawn_counts(size, num_resamples, seed)
    step = max(1, BLOCK_OF_COUNTS // size)
    for start in range(0, num_resamples, step):
        yield aggregate.of_counts(environments[0], counts[:, start : start + step], centre)


@lru_cache(maxsize=2)
def _drawn_counts(size: int, num_resamples: int, seed: int) -> Counts:
    """How often each score is drawn in each of the resamples of `resamples`, (size, num_resamples).

    The draws depend on the number of scores alone: all agents with as many seeds take the same.
    """
    parts = []
    for drawn in _drawn(np.arange(size, dtype=np.float64), [size], num_resamples, seed):
        places = drawn.astype(np.intp) + np.arange(len(drawn))[:, np.newaxis] * size
        counts = np.bincount(places.ravel(), minlength=len(drawn) * size).astype(np.uint16)
        parts.append(counts.reshape(len(drawn), size))
    return np.ascontiguousarray(np.concatenate(parts).T)


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


def resampled_counts(
    stream: Sequence[int], sizes: Sequence[int], seeds: Sequence[Sequence[int]] | None, num_resamples: int
) -> Iterator[Counts]:
    """How often each score is drawn in each resample: (num_seeds, num_resamples) for each environment, not to change.

    Args:
        stream: seed and purpose of the draws, which depend on the sizes besides.
        sizes: scores of each environment.
        seeds: of each environment, where these share seeds: whole seeds are drawn, with their scores on all of them.
            A resample without any score on an environment takes all of it. By default scores are drawn within each.
        num_resamples: in all.

    Raises:
        StatisticsError: seeds that do not fit.
    """
    if seeds is None:
        rng = random_stream(*stream)
        yield from (_counts(rng, size, num_resamples) for size in sizes)
        return
    places, number = seed_rows(sizes, seeds)
    is_kept = number * num_resamples <= MOST_KEPT
    counts = (_kept_counts if is_kept else _kept_counts.__wrapped__)(tuple(stream), number, num_resamples)
    for own in places:
        if np.array_equal(own, np.arange(number)):
            yield counts
            continue
        drawn = counts[own]
        drawn[:, ~drawn.any(axis=0)] = 1
        yield drawn


@lru_cache(maxsize=2)
def _kept_counts(stream: tuple[int, ...], number: int, num_resamples: int) -> Counts:
    """Several agents with as many seeds take the same."""
    return _counts(random_stream(*stream), number, num_resamples)


def _counts(rng: np.random.Generator, number: int, num_resamples: int) -> Counts:
    """Counts in which the resamples of a score lie side by side, so that scores are added up in whole pieces."""
    return np.ascontiguousarray(resample_counts(rng, number, num_resamples, np.uint16).T)


def resample_counts(rng: np.random.Generator, size: int, rows: int, kind: Any = np.float64) -> NDArray[Any]:
    """How often each of `size` scores is drawn in each resample, numbers of a kind (rows, size).

    Draws that are counted, many times as fast as a multinomial distribution for as many categories as draws.
    """
    counts = np.empty((rows, size), dtype=kind)
    block = max(1, BLOCK // size)
    for start in range(0, rows, block):
        number = min(block, rows - start)
        drawn = rng.integers(0, size, (number, size)) + np.arange(number)[:, np.newaxis] * size
        counts[start : start + number] = np.bincount(drawn.ravel(), minlength=number * size).reshape(number, size)
    return counts
