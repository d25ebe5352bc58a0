"""Summaries of learning curves: area under it, episodes to a threshold, regret."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from velodrome.experiments.statistics.errors import StatisticsError
from velodrome.experiments.statistics.interval import Interval
from velodrome.experiments.statistics.scores import Array, as_scores, check_level

# Episodes that are added up at once: 1 MB.
BLOCK = 1 << 17

Curves: TypeAlias = ArrayLike | Iterable[ArrayLike]


def area_under_curve(curves: Curves, at: ArrayLike | None = None) -> Array:
    """Mean height of each seed's curve: a score for `mean`, `best_interval` and the tests.

    Args:
        curves: of each seed, (num_seeds, num_points), or a sequence of arrays of different lengths.
        at: increasing positions (episodes or steps) of the points, for curves of the same length: the area by the
            trapezoidal rule over the distance of the ends. Without it every point counts the same (one an episode).

    Returns:
        float64 (num_seeds,), in the units of the curves.

    Raises:
        StatisticsError: no curves, values that are not finite, or positions that do not fit.
    """
    rows = [as_scores(curve, f"curves[{index}]") for index, curve in enumerate(_rows(curves))]
    if at is None:
        return np.array([curve.mean() for curve in rows])
    positions = as_scores(at, "at")
    if len(positions) < 2 or (np.diff(positions) <= 0).any():
        raise StatisticsError("at: must be two or more increasing positions")
    if any(len(curve) != len(positions) for curve in rows):
        raise StatisticsError(f"curves: must have {len(positions)} points each, one a position in `at`")
    areas = np.array([np.trapezoid(curve, positions) for curve in rows], dtype=np.float64)
    return areas / float(positions[-1] - positions[0])


@dataclass(frozen=True)
class EpisodesToThreshold:
    """How long agents took to reach a rate, with those that never did.

    Attributes:
        episodes: of each seed, the number of episodes until the rate was reached, float64 (num_seeds,); inf if never.
        num_reached: how many seeds reached it.
        share_reached: of all seeds.
        median: over all seeds, those that never reached it counted as longer than any; None if half or more never did.
        interval: of the median; its upper end is infinite where it may lie beyond the budget.
    """

    episodes: Array
    num_reached: int
    share_reached: float
    median: float | None
    interval: Interval


def episodes_to_threshold(
    curves: Curves, threshold: float, *, window: int = 100, level: float = 0.95
) -> EpisodesToThreshold:
    """The first episode at which the mean of the last `window` episodes is at least the threshold.

    A seed that never reaches it is censored at its budget; it is counted, not left out. The interval of the median lies
    between two order statistics and needs no assumption: with k from the binomial distribution, P(k ≤ Binomial(n, 1/2)
    ≤ n - k) ≥ level. With fewer than six seeds there is none at 95 %.

    Args:
        curves: successes (0 or 1) or returns by episode, (num_seeds, num_episodes), or arrays of different lengths,
            which are taken one by one.
        threshold: the rate or mean return to reach.
        window: episodes of the moving mean; the first that can count is the `window`-th.
        level: coverage of the interval.

    Raises:
        StatisticsError: no curves, values that are not finite, or a window below 1.

    Source: Conover (1999), "Practical Nonparametric Statistics", section 3.2.
    """
    check_level(level)
    if window < 1:
        raise StatisticsError(f"window: must be at least 1, got {window}")
    if isinstance(curves, np.ndarray) and curves.ndim == 2 and curves.dtype == np.bool_ and curves.size:
        step = max(1, BLOCK // curves.shape[1])
        blocks = (curves[start : start + step].astype(np.float64) for start in range(0, len(curves), step))
    else:
        rows = enumerate(_rows(curves))
        blocks = (as_scores(curve, f"curves[{index}]")[np.newaxis] for index, curve in rows)
    episodes = np.concatenate([_first_at(block, threshold, window) for block in blocks])
    number, reached = len(episodes), int(np.isfinite(episodes).sum())
    median, interval = censored_median(episodes, level=level)
    return EpisodesToThreshold(episodes, reached, reached / number, None if math.isinf(median) else median, interval)


def censored_median(times: ArrayLike, *, level: float = 0.95) -> tuple[float, Interval]:
    """Median of times of which some never came, infinite where half or more never did, and its interval.

    Where all seeds were followed equally long, this is the median of Kaplan and Meier's estimator (with an even number
    of seeds the middle between its two). The interval lies between two order statistics and needs no assumption: with k
    from the binomial distribution, P(k ≤ Binomial(n, 1/2) ≤ n - k) ≥ level. With fewer than six seeds there is none at
    95 %. Its upper end is infinite where the median may lie beyond the budget.

    Args:
        times: of each seed, infinite where it never came, (num_seeds,).
        level: coverage of the interval.

    Raises:
        StatisticsError: no times, or one that is no number.

    Source: Kaplan & Meier (1958), "Nonparametric Estimation from Incomplete Observations"; Conover (1999), "Practical
    Nonparametric Statistics", section 3.2.
    """
    check_level(level)
    values = np.asarray(times, dtype=np.float64)
    if values.ndim != 1 or not len(values) or np.isnan(values).any():
        raise StatisticsError("times: must be one or more numbers, infinite where something never came")
    middle = np.sort(values)[[(len(values) - 1) // 2, len(values) // 2]]
    return float(middle.mean()), _median_interval(values, level)


def _first_at(curves: Array, threshold: float, window: int) -> Array:
    """Episodes until each row reached the threshold, (num_seeds,)."""
    if curves.shape[1] < window:
        return np.full(len(curves), math.inf)
    sums = np.cumsum(curves, axis=1)
    of_window = sums[:, window - 1 :].copy()
    of_window[:, 1:] -= sums[:, :-window]
    # Sums of rates such as 0.1 must not miss the threshold by their rounding.
    rounding = 1e-12 * np.abs(curves).sum(axis=1, keepdims=True)
    at_least = of_window >= threshold * window - rounding
    return np.where(at_least.any(axis=1), np.argmax(at_least, axis=1) + window, math.inf)


def _median_interval(values: Array, level: float) -> Interval:
    size, ordered = len(values), np.sort(values)
    cut = _values_cut(size, level)
    if cut == 0:
        return Interval.unknown(level, "one seed" if size == 1 else f"{size} seeds")
    return Interval(float(ordered[cut - 1]), float(ordered[size - cut]), level, "order statistics")


@lru_cache(maxsize=16)
def _values_cut(size: int, level: float) -> int:
    """The largest number of values that may be cut at both ends."""
    from scipy.special import bdtr

    return int(np.count_nonzero(2 * bdtr(np.arange(size // 2), size, 0.5) <= 1 - level))


def cumulative_regret(returns: ArrayLike, best: ArrayLike) -> Array:
    """Sum of what each episode fell short of the best expected return, up to and with that episode.

    R(t) = Σ_{i ≤ t} (best - return_i). With sampled returns it may fall at times; its expectation does not.

    Args:
        returns: by episode, (…, num_episodes).
        best: the exact best expected return, one for all or (…).

    Returns:
        float64 (…, num_episodes).

    Raises:
        StatisticsError: values that are not finite.

    Source: Lattimore & Szepesvári (2020), "Bandit Algorithms", section 4.3.
    """
    values, optimum = np.asarray(returns, dtype=np.float64), np.asarray(best, dtype=np.float64)
    if values.ndim == 0 or not np.isfinite(values).all():
        raise StatisticsError("returns: must be finite numbers, one an episode along the last axis")
    if not np.isfinite(optimum).all():
        raise StatisticsError("best: must be finite")
    return np.cumsum(optimum[..., np.newaxis] - values, axis=-1)


def _rows(curves: Curves) -> Iterator[ArrayLike]:
    is_empty = True
    for row in curves if not isinstance(curves, np.ndarray) or curves.ndim > 0 else ():  # type: ignore[union-attr]
        is_empty = False
        yield row
    if is_empty:
        raise StatisticsError("curves: there is no curve")
