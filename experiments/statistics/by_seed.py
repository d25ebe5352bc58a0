"""One number a seed from the scores of several environments: what one seed does, it does on all of them.

Trials of one seed on several environments are no independent runs: the seed drives all of them, and their scores may
rise and fall together. Numbers by seed are independent again, so that intervals and tests of one environment hold.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from velodrome.experiments.statistics.aggregates import Aggregate, mean
from velodrome.experiments.statistics.errors import StatisticsError
from velodrome.experiments.statistics.scores import Array, Scores, as_environments

# Numbers that differ by less than this share of the largest score are equal but for the order of additions.
ROUNDING = 1e-10


def by_seed(scores: Scores, seeds: Sequence[Sequence[int]] | None = None, aggregate: Aggregate = mean) -> Array:
    """One number a seed whose mean is the aggregate over all environments.

    Where every environment has every seed, that of the mean is a seed's mean over environments. Otherwise, and of other
    aggregates, a seed's number is the aggregate plus what its scores move it by, times the number of seeds: the spread
    of these numbers is that of the aggregate when whole seeds are drawn.

    Args:
        scores: float (num_seeds,), or a sequence of such arrays, one an environment.
        seeds: of each environment, the seeds of its scores in their order; by default all have the same.
        aggregate: `mean`, `iqm` or `optimality_gap_to(target)`.

    Returns:
        float64 (number of different seeds,), in increasing order of the seeds.

    Raises:
        StatisticsError: no scores, not finite ones, seeds that do not fit, or an aggregate such as the median, which
            single scores do not move in proportion.

    Source: Huber (1967) and Liang & Zeger (1986) for variances by cluster; Efron & Tibshirani (1993), section 21.3.
    """
    environments = as_environments(scores)
    if aggregate.influences is None:
        raise StatisticsError(f"aggregate: the {aggregate.name} has no numbers by seed; take the mean or the IQM")
    rows, number = seed_rows([len(values) for values in environments], seeds)
    estimate = float(aggregate.of_rows(environments))
    numbers = np.full(number, estimate)
    for own, influence in zip(rows, aggregate.influences(environments), strict=True):
        numbers[own] += number * influence
    scale = max(float(np.abs(values).max()) for values in environments)
    return np.full(number, estimate) if np.ptp(numbers) <= ROUNDING * scale else numbers


def seed_rows(sizes: Sequence[int], seeds: Sequence[Sequence[int]] | None) -> tuple[list[NDArray[np.intp]], int]:
    """For each environment the place of each score's seed among all, and how many seeds there are.

    Args:
        sizes: scores of each environment.
        seeds: of these scores; by default the same on each environment.

    Raises:
        StatisticsError: seeds that do not fit.
    """
    if seeds is None:
        if len(set(sizes)) > 1:
            raise StatisticsError(f"seeds: must be given where environments have {list(sizes)} scores")
        return [np.arange(size) for size in sizes], sizes[0]
    if len(seeds) != len(sizes):
        raise StatisticsError(f"seeds: must be of {len(sizes)} environments, got {len(seeds)}")
    for index, (own, size) in enumerate(zip(seeds, sizes, strict=True)):
        if len(own) != size or len(set(own)) != size:
            raise StatisticsError(f"seeds[{index}]: must be {size} different ones, one a score, got {list(own)}")
    places = {seed: place for place, seed in enumerate(sorted({seed for own in seeds for seed in own}))}
    return [np.array([places[seed] for seed in own], dtype=np.intp) for own in seeds], len(places)
