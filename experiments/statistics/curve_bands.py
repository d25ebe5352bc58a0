"""Bands of learning curves: the interval of the mean at every point at once."""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from velodrome.agents.engine.one_thread import one_thread
from velodrome.experiments.statistics.best_interval import FEWEST_TO_RESAMPLE
from velodrome.experiments.statistics.resampling import resample_counts
from velodrome.experiments.statistics.scores import Array, check_level, random_stream
from velodrome.experiments.statistics.student_intervals import expanded_tail

# A curve has hundreds of points: fewer resamples than for one number, which eyes cannot tell from more.
NUM_RESAMPLES = 2000


@one_thread
def mean_band(
    curves: ArrayLike, *, level: float = 0.95, num_resamples: int = NUM_RESAMPLES, seed: int = 0
) -> tuple[Array, Array]:
    """Pointwise interval of the mean over the first axis, at each point of the seeds that have a value there.

    The expanded percentile bootstrap, for a plain percentile interval covers too little with few seeds; Student's t
    with fewer than five seeds, as in `best_interval`.

    Args:
        curves: float (num_seeds, …), NaN or infinite where a seed has no value.
        level: pointwise coverage.
        num_resamples: bootstrap replicates.
        seed: of the resampling; the same curves and seed give the same band, in whatever order the seeds come.

    Returns:
        Lower and upper ends, float64 (…), NaN where fewer than two seeds have a value.

    Raises:
        StatisticsError: a level that is not between 0 and 1.

    Source: Efron & Tibshirani (1993), section 13.3; Hesterberg (2015), "What Teachers Should Know About the Bootstrap",
    section 4.1; Student (1908).
    """
    check_level(level)
    values = np.asarray(curves, dtype=np.float64)
    flat = values.reshape(len(values), math.prod(values.shape[1:]))
    # Sorted, a column's values stand first and its gaps last.
    ordered = np.sort(np.where(np.isfinite(flat), flat, np.nan), axis=0)
    counts = np.isfinite(flat).sum(axis=0)
    low, high = np.full((2, flat.shape[1]), np.nan)
    for count in np.unique(counts[counts >= 2]).tolist():
        columns = counts == count
        start = ordered[0, columns]
        # Without what they have in common, equal values have no width to the last bit.
        spread = ordered[:count, columns] - start
        if count < FEWEST_TO_RESAMPLE:
            ends = _student(spread, level)
        else:
            tail = expanded_tail(level, count, count - 1)
            ends = np.quantile(_shares(count, num_resamples, seed) @ spread, [tail, 1 - tail], axis=0)
        low[columns], high[columns] = start + ends
    return low.reshape(values.shape[1:]), high.reshape(values.shape[1:])


def _student(values: Array, level: float) -> Array:
    from scipy.special import stdtrit

    mean, count = values.mean(axis=0), len(values)
    half = float(stdtrit(count - 1, (1 + level) / 2)) * values.std(axis=0, ddof=1) / math.sqrt(count)
    return np.stack([mean - half, mean + half])


@lru_cache(maxsize=4)
def _shares(count: int, num_resamples: int, seed: int) -> Array:
    """Share of each seed in each resample, float64 (num_resamples, count)."""
    return resample_counts(random_stream(seed, count), count, num_resamples) / count
