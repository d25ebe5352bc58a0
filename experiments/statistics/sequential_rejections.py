"""Which pairs a look of a sequential comparison rejects: Holm's step-down over tests that spend their level by look.

What a test is, and why its error holds, stands in `sequential`. It follows every sign pattern through all looks. Most
pairs need no such test. Let n be the number of patterns whose statistic at a look is at least the observed one, and
quota the number that the test may have rejected up to it. An observed pattern that is rejected there has n ≤ quota, for
all n of them are then rejected, there or before. And where n + (the quota of the look before) ≤ quota, it is rejected
there at the latest. So counts bound the answer from both sides, and only pairs between the bounds are followed.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from velodrome.experiments.statistics.scores import Array, random_stream
from velodrome.experiments.statistics.sequential_design import SequentialDesign
from velodrome.experiments.statistics.sign_patterns import ROUNDING, column_tiles, count_reaching, random_signs

# Sizes of families whose levels are tested one by one; beyond them the sizes grow by GROWTH and are rounded up.
FINE_LEVELS, GROWTH = 15, 1.15
MOST_VALUES = 1 << 24


def rejected_pairs(
    design: SequentialDesign, differences: Array, stage: int, num_pairs: int, remaining: int
) -> list[int]:
    """Columns that Holm's step-down rejects at a look.

    Args:
        design: of the looks.
        differences: of the undecided pairs, float64 (num_seeds, num_undecided).
        stage: the look, from 0.
        num_pairs: of the whole comparison.
        remaining: pairs that were not rejected before, given-up ones among them.
    """
    families = _family_sizes(num_pairs)
    count = max(design.num_permutations, math.ceil(20 * num_pairs / design.level))
    quotas = _quotas(design, families, stage, count + 1)
    fewest, most = _exceedances(design, differences, stage, count)
    before = np.concatenate([np.zeros((1, len(families)), dtype=np.int64), quotas[:-1]])
    possible = _prefixes(fewest[:, :, np.newaxis] <= quotas[:, np.newaxis])
    certain = _prefixes(most[:, :, np.newaxis] <= (quotas - before)[:, np.newaxis])
    sizes = np.array([0, *families])
    at_most, largest = sizes[possible], sizes[certain]
    unclear = sorted(set(_step_down(at_most, remaining)) - set(_step_down(largest, remaining)))
    width = max(1, MOST_VALUES // ((count + 1) * (stage + 1)))
    for start in range(0, len(unclear), width):
        columns = unclear[start : start + width]
        statistics = _trajectories(design, differences[:, columns], stage, count)
        for column, looks in zip(columns, np.moveaxis(statistics, 2, 0), strict=True):
            # Without the patterns in between: they are looked at many times.
            followed = np.ascontiguousarray(looks)
            for index in range(certain[column], possible[column]):
                if not _rejects(followed, quotas[:, index]):
                    break
                largest[column] = families[index]
    return _step_down(largest, remaining)


def _step_down(largest: NDArray[np.integer], remaining: int) -> list[int]:
    """Columns rejected, from the largest family size at whose level, and at all larger levels, each is rejected."""
    order = np.argsort(-largest, kind="stable")
    kept = largest[order] < remaining - np.arange(len(order))
    return [int(column) for column in order[: int(kept.argmax()) if kept.any() else len(order)]]


def _family_sizes(num_pairs: int) -> list[int]:
    sizes = list(range(1, min(num_pairs, FINE_LEVELS) + 1))
    while sizes[-1] < num_pairs:
        sizes.append(min(num_pairs, math.ceil(sizes[-1] * GROWTH)))
    return sizes


def _quotas(design: SequentialDesign, families: Sequence[int], stage: int, num_patterns: int) -> NDArray[np.int64]:
    """Patterns that may have been rejected up to and with each look, at the level of each size, (stage + 1, sizes)."""
    # A hair above, or a product such as 0.05 · 20 is rounded below the whole number.
    spent = [[design.spent(design.level / size, look) for size in families] for look in range(stage + 1)]
    return np.floor(np.array(spent) * num_patterns * (1 + 1e-12)).astype(np.int64)


def _prefixes(truths: NDArray[np.bool_]) -> NDArray[np.intp]:
    """For each column how many sizes, from the smallest on, are true at some look; of (looks, columns, sizes)."""
    return np.asarray(np.logical_and.accumulate(np.any(truths, axis=0), axis=1).sum(axis=1))


def _exceedances(
    design: SequentialDesign, differences: Array, stage: int, count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Bounds of the number of patterns whose statistics reach the observed ones, each int64 (stage + 1, num_columns).

    The observed pattern is one of them. Rounding units apart, to either side, is farther than any error of additions.
    """
    stages = _stages(design, stage)
    columns = differences[: stages[-1].stop]
    observed = np.abs(np.stack([columns[: rows.stop].sum(axis=0) for rows in stages]))
    margin = 2 * _rounding_units(columns)
    fewest = np.ones((len(stages), columns.shape[1]), dtype=np.int64)
    most = fewest.copy()
    longest = max(rows.stop - rows.start for rows in stages)
    tiles = [
        (tile, [np.ascontiguousarray(columns[rows, tile]) for rows in stages])
        for tile in column_tiles(columns.shape[1], longest)
    ]
    for _, signs in _sign_blocks(design, stages, count):
        for tile, parts in tiles:
            sums = accumulate(one @ part for one, part in zip(signs, parts, strict=True))
            for look, values in enumerate(np.abs(value) for value in sums):
                fewest[look, tile] += count_reaching(values, observed[look, tile] + margin[tile])
                most[look, tile] += count_reaching(values, observed[look, tile] - margin[tile])
    return fewest, most


def _rejects(statistics: Array, quotas: NDArray[np.int64]) -> bool:
    """Whether the observed pattern, the first, is rejected up to the last of the looks in `statistics`."""
    num_patterns = statistics.shape[1]
    survives = np.ones(num_patterns, dtype=bool)
    for values, allowed in zip(statistics, quotas, strict=True):
        quota = int(allowed) - (num_patterns - int(survives.sum()))
        left = values[survives]
        # Values above the (quota + 1)-th largest are at most `quota`, whatever the ties.
        survives &= values <= np.partition(left, len(left) - 1 - quota)[len(left) - 1 - quota]
        if not survives[0]:
            return True
    return False


def _trajectories(design: SequentialDesign, differences: Array, stage: int, count: int) -> Array:
    """Statistics of all sign patterns at the looks up to a stage, float64 (stage + 1, 1 + count, num_columns).

    The observed pattern is the first. In whole multiples of a rounding unit, so that sums equal but for the order of
    additions are ties.
    """
    stages = _stages(design, stage)
    looks = np.empty((len(stages), count + 1, differences.shape[1]))
    observed = [differences[rows].sum(axis=0) for rows in stages]
    looks[:, 0] = np.cumsum(observed, axis=0)
    for start, signs in _sign_blocks(design, stages, count):
        sums = accumulate(one @ differences[rows] for one, rows in zip(signs, stages, strict=True))
        for look, values in enumerate(sums):
            looks[look, start + 1 : start + 1 + len(values)] = values
    return np.asarray(np.rint(np.abs(looks) / _rounding_units(differences)))


def _stages(design: SequentialDesign, stage: int) -> list[slice]:
    """The seeds that each look up to a stage has more than the one before."""
    return [slice(*ends) for ends in pairwise((0, *design.stage_sizes[: stage + 1]))]


def _sign_blocks(design: SequentialDesign, stages: Sequence[slice], count: int) -> Iterator[tuple[int, list[Array]]]:
    """Blocks of sign patterns, as the number of those before and float64 (rows, num_seeds) for the seeds of each look.

    Signs depend on the seed and the look alone: a later look sees the same patterns, longer.
    """
    done = 0
    streams = [random_stream(design.seed, look) for look in range(len(stages))]
    looks = [random_signs(rng, count, rows.stop - rows.start) for rng, rows in zip(streams, stages, strict=True)]
    for signs in zip(*looks, strict=True):
        yield done, list(signs)
        done += len(signs[0])


def _rounding_units(differences: Array) -> Array:
    scale = np.abs(differences).sum(axis=0)
    return np.asarray(np.where(scale > 0, scale, 1.0) * ROUNDING)
