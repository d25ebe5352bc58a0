"""How much runs differ from each other, and how often all of several succeed."""

import math

import numpy as np
from numpy.typing import ArrayLike

from velodrome.experiments.statistics.errors import StatisticsError
from velodrome.experiments.statistics.interval import Interval
from velodrome.experiments.statistics.scores import as_scores, check_level
from velodrome.experiments.statistics.success_intervals import exact_interval

QUARTILES = (25.0, 75.0)


def percentile_range(
    scores: ArrayLike, percentiles: tuple[float, float] = QUARTILES, *, level: float = 0.95
) -> tuple[float, Interval]:
    """Distance of two percentiles of the runs, and its interval; that of the quartiles by default.

    The interval needs no assumption: each percentile lies between two of the scores with probability (1 + level) / 2 at
    least, by the binomial distribution, and so do both with `level`. It is wide, and infinite where there are too few
    seeds to say what lies beyond the smallest or the largest score.

    Args:
        scores: of the seeds, (num_seeds,).
        percentiles: the lower and the upper one, between 0 and 100.
        level: coverage.

    Raises:
        StatisticsError: no scores, not finite ones, or percentiles that do not increase within 0 and 100.

    Source: Chan et al. (2020), "Measuring the Reliability of Reinforcement Learning Algorithms" (dispersion across
    runs); Conover (1999), "Practical Nonparametric Statistics", section 3.2.
    """
    check_level(level)
    check_percentiles(percentiles)
    values = np.sort(as_scores(scores, "scores"))
    first, second = np.percentile(values, percentiles)
    if len(values) < 2:
        return 0.0, Interval.unknown(level, "one seed")
    lower, upper = (_percentile_ends(values, percent / 100, (1 + level) / 2) for percent in percentiles)
    return float(second - first), Interval(
        max(0.0, upper[0] - lower[1]), upper[1] - lower[0], level, "order statistics"
    )


def check_percentiles(percentiles: tuple[float, float]) -> None:
    """Refuse percentiles that are none.

    Raises:
        StatisticsError: they do not increase within 0 and 100.
    """
    low, high = percentiles
    if not 0 < low < high < 100:
        raise StatisticsError(f"percentiles: must increase between 0 and 100, got {low:g} and {high:g}")


def _percentile_ends(ordered: np.ndarray, share: float, level: float) -> tuple[float, float]:
    """Ends of the interval of one percentile, infinite where no score bounds it."""
    from scipy.special import bdtr

    size, tail = len(ordered), (1 - level) / 2
    below = bdtr(np.arange(size + 1), size, share)
    # The k-th smallest is above the percentile where fewer than k runs are below: P(Binomial(n, share) ≤ k - 1).
    low = int(np.count_nonzero(below <= tail))
    high = int(np.argmax(below >= 1 - tail)) + 1
    return (float(ordered[low - 1]) if low else -math.inf), (float(ordered[high - 1]) if high <= size else math.inf)


def all_succeed(successes: int, trials: int, runs: int, *, level: float = 0.95) -> tuple[float, Interval]:
    """Probability that all of so many new runs succeed ("pass^k"), without bias, and its interval.

    The estimate is the share of all choices of k seeds that hold successes alone, C(c, k) / C(n, k). The interval is
    the exact one of the success rate, each end to the power of k.

    Args:
        successes: how many seeds succeeded, c.
        trials: of how many, n.
        runs: k.
        level: coverage.

    Returns:
        The estimate, NaN where there are fewer seeds than runs, and the interval.

    Raises:
        StatisticsError: no trials, more successes than trials, or no runs.

    Source: Yao et al. (2024), "τ-bench: A Benchmark for Tool-Agent-User Interaction in Real-World Domains", section 4;
    Clopper & Pearson (1934).
    """
    if runs < 1:
        raise StatisticsError(f"runs: must be at least 1, got {runs}")
    rate = exact_interval(successes, trials, level=level)
    estimate = math.comb(successes, runs) / math.comb(trials, runs) if runs <= trials else math.nan
    return estimate, Interval(rate.low**runs, rate.high**runs, level, "exact")


def largest_rate(events: int, trials: int, *, level: float = 0.95) -> float:
    """Largest rate of an event, such as a failure, that so few of so many seeds do not exclude; one-sided.

    Of rates above it, so few events have a probability below 1 - level. None of 30 leaves up to 9.5 %.

    Args:
        events: how many seeds had it.
        trials: of how many.
        level: confidence, all of it on this side.

    Raises:
        StatisticsError: no trials, or more events than trials.

    Source: Clopper & Pearson (1934); Hanley & Lippman-Hand (1983), "If Nothing Goes Wrong, Is Everything All Right?".
    """
    # One end of a two-sided interval has half of the error on its side.
    return exact_interval(events, trials, level=2 * level - 1).high
