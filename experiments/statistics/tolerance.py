"""Tolerance intervals: between which values a share of all runs lies, not only their mean."""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from velodrome.experiments.statistics.errors import StatisticsError
from velodrome.experiments.statistics.interval import Interval
from velodrome.experiments.statistics.scores import Array, as_scores, check_level

# Share of the runs that an interval holds, where nobody says another.
SHARE = 0.9


def tolerance_interval(scores: ArrayLike, *, share: float = SHARE, level: float = 0.95) -> Interval:
    """Interval that holds at least a share of all runs of an agent, with confidence `level`, whatever they look like.

    It lies between two of the scores: with as many cut at either end as leave d - 1 gaps of which, for n scores,
    P(Binomial(n, share) ≤ d - 1) ≥ level. It is of single runs and does not shrink to a point with more seeds, as the
    interval of a mean does. Where there are too few seeds, not even the smallest and the largest score hold so many
    runs, and none is known.

    Args:
        scores: of the seeds, (num_seeds,).
        share: of the runs that it is to hold, β.
        level: confidence that it does, 1 - α.

    Raises:
        StatisticsError: no scores, not finite ones, or a share or level that is not between 0 and 1.

    Source: Wilks (1941), "Determination of Sample Sizes for Setting Tolerance Limits"; Hahn & Meeker (1991),
    "Statistical Intervals", section 5.3; Patterson, Neumann, White & White (2024), "Empirical Design in Reinforcement
    Learning", JMLR 25.
    """
    values = np.sort(as_scores(scores, "scores"))
    cut = tolerance_cut(len(values), share, level)
    if cut == 0:
        return Interval.unknown(level, too_few_seeds(len(values), share, level))
    return Interval(float(values[cut - 1]), float(values[-cut]), level, "order statistics")


def tolerance_band(curves: ArrayLike, *, share: float = SHARE, level: float = 0.95) -> tuple[Array, Array]:
    """`tolerance_interval` at every point of curves, of the seeds that have a value there, pointwise.

    Args:
        curves: float (num_seeds, …), NaN or infinite where a seed has no value.
        share: of the runs that it is to hold at each point.
        level: confidence that it does at a point.

    Returns:
        Lower and upper ends, float64 (…), NaN where too few seeds have a value.

    Raises:
        StatisticsError: a share or level that is not between 0 and 1.
    """
    check_share(share)
    check_level(level)
    values = np.asarray(curves, dtype=np.float64)
    flat = values.reshape(len(values), math.prod(values.shape[1:]))
    ordered = np.sort(np.where(np.isfinite(flat), flat, np.nan), axis=0)
    counts = np.isfinite(flat).sum(axis=0)
    low, high = np.full((2, flat.shape[1]), np.nan)
    for count in np.unique(counts).tolist():
        cut = tolerance_cut(count, share, level)
        if cut:
            columns = counts == count
            low[columns], high[columns] = ordered[cut - 1, columns], ordered[count - cut, columns]
    return low.reshape(values.shape[1:]), high.reshape(values.shape[1:])


def seeds_for_tolerance(share: float = SHARE, level: float = 0.95) -> int:
    """Fewest seeds of which the smallest and the largest score hold a share of all runs with confidence `level`.

    46 for 90 % of the runs, 30 for 85 %, 93 for 95 %, each with 95 % confidence.

    Args:
        share: of all runs, in (0, 1).
        level: confidence, in (0, 1).

    Raises:
        StatisticsError: a share or level that is not between 0 and 1.
    """
    check_share(share)
    check_level(level)
    most = 2
    while not tolerance_cut(most, share, level):
        most *= 2
    least = most // 2
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (least, middle) if tolerance_cut(middle, share, level) else (middle, most)
    return most


@lru_cache(maxsize=256)
def tolerance_cut(size: int, share: float, level: float) -> int:
    """Place, counted from either end, of the scores between which the interval lies; 0 where there are too few."""
    check_share(share)
    check_level(level)
    if size < 2:
        return 0
    from scipy.special import bdtr

    # Between scores with `gaps` gaps from one to the next, a Beta(gaps, size + 1 - gaps) share of all runs lies.
    gaps = np.arange(1, size)
    enough = gaps[bdtr(gaps - 1, size, share) >= level]
    return 0 if not len(enough) else int((size + 1 - enough[0]) // 2)


def too_few_seeds(size: int, share: float, level: float) -> str:
    """Why there is no interval: how many seeds there are, and how many it takes."""
    some = "1 seed" if size == 1 else f"{size} seeds"
    return f"{some}, of {seeds_for_tolerance(share, level)} that {share:.4g} of the runs take"


def check_share(share: float) -> None:
    """Refuse a share of runs that is none.

    Raises:
        StatisticsError: it does not lie between 0 and 1.
    """
    if not 0 < share < 1:
        raise StatisticsError(f"share: must lie between 0 and 1, got {share}")
