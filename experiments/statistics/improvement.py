"""Probability of improvement: how often a run of one agent beats a run of another."""

from collections.abc import Sequence

import numpy as np

from velodrome.experiments.statistics.errors import StatisticsError
from velodrome.experiments.statistics.interval import Interval
from velodrome.experiments.statistics.resampling import NUM_RESAMPLES, resampled_weights
from velodrome.experiments.statistics.scores import (
    Array,
    Scores,
    as_environments,
    check_level,
    difference,
    random_stream,
)
from velodrome.experiments.statistics.student_intervals import ONE_SEED


def probability_of_improvement(first: Scores, second: Scores) -> float:
    """P(X > Y) + P(X = Y) / 2 for a run X of the first and a run Y of the second, averaged over environments.

    Mann and Whitney's U over the number of pairs of runs. The pairing of seeds does not enter.

    Args:
        first: float (num_seeds,), or a sequence of such arrays, one an environment.
        second: likewise; the numbers of seeds may differ.

    Raises:
        StatisticsError: no scores, not finite ones, or different numbers of environments.

    Source: Agarwal et al. (2021), section 4.3; Mann & Whitney (1947).
    """
    return float(np.mean([wins.mean() for wins in _wins(first, second)]))


def probability_of_improvement_interval(
    first: Scores,
    second: Scores,
    *,
    seeds: tuple[Sequence[Sequence[int]], Sequence[Sequence[int]]] | None = None,
    level: float = 0.95,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Stratified percentile bootstrap interval of the probability of improvement; both agents are resampled.

    Where on every environment all runs of one beat all of the other, or all tie, resampling shows no spread. The open
    ends are then those of Clopper and Pearson's interval for as many wins as the smaller number of runs, summed over
    the environments where one always wins.

    Args:
        first: float (num_seeds,), or a sequence of such arrays, one an environment.
        second: likewise; the numbers of seeds may differ.
        seeds: of both agents, for each environment the seeds of its scores in their order: a seed is drawn for all
            environments. By default scores on several environments are independent runs.
        level: coverage.
        num_resamples: bootstrap replicates.
        seed: of the resampling.

    Raises:
        StatisticsError: as `probability_of_improvement`, or `seeds` that do not fit.
    """
    check_level(level)
    environments = _wins(first, second)
    sizes = [min(wins.shape) for wins in environments]
    if min(sizes) < 2:
        return Interval.unknown(level, ONE_SEED)
    tail = (1 - level) / 2
    if all(wins.min() == wins.max() for wins in environments):
        return _without_spread([float(wins[0, 0]) for wins in environments], sizes, tail, level)
    values = np.zeros(num_resamples)
    ours, theirs = zip(*(wins.shape for wins in environments), strict=True)
    own, other = (None, None) if seeds is None else seeds
    drawn = zip(
        resampled_weights(random_stream(seed, 0), ours, own, num_resamples),
        resampled_weights(random_stream(seed, 1), theirs, other, num_resamples),
        environments,
        strict=True,
    )
    for rows, columns, wins in drawn:
        pairs = rows.sum(axis=1) * columns.sum(axis=1)
        values += ((rows @ wins) * columns).sum(axis=1) / (pairs * len(environments))
    low, high = np.clip(np.quantile(values, [tail, 1 - tail]), 0.0, 1.0)
    return Interval(float(low), float(high), level, "percentile")


def _without_spread(shares: Sequence[float], sizes: Sequence[int], tail: float, level: float) -> Interval:
    """Interval where on each environment the share of wins is 0, 1/2 or 1 whatever is resampled."""
    value = float(np.mean(shares))
    low = high = value
    for won in (0.0, 1.0):
        decided = [size for share, size in zip(shares, sizes, strict=True) if share == won]
        if decided:
            slack = (1 - tail ** (1 / sum(decided))) * len(decided) / len(shares)
            low, high = (low - slack, high) if won else (low, high + slack)
    return Interval(low, high, level, "constant scores" if low == high else "clopper-pearson")


def _wins(first: Scores, second: Scores) -> Sequence[Array]:
    """1, 1/2 or 0 for each pair of runs: one array (num_seeds of the first, num_seeds of the second) an environment."""
    ours, theirs = as_environments(first, "first"), as_environments(second, "second")
    if len(ours) != len(theirs):
        raise StatisticsError(f"first, second: must have the same environments, got {len(ours)} and {len(theirs)}")
    signs = [
        np.sign(difference(one[:, np.newaxis], other[np.newaxis])) for one, other in zip(ours, theirs, strict=True)
    ]
    return [(1 + sign) / 2 for sign in signs]
