"""Intervals of success rates: of one set of episodes, and of several seeds with their episodes."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from velodrome.experiments.statistics.errors import StatisticsError
from velodrome.experiments.statistics.interval import Interval
from velodrome.experiments.statistics.resampling import NUM_RESAMPLES
from velodrome.experiments.statistics.scores import as_scores, check_level, random_stream
from velodrome.experiments.statistics.student_intervals import ONE_SEED, expanded_tail


def wilson_interval(successes: int, trials: int, *, level: float = 0.95) -> Interval:
    """Wilson's score interval of a success rate: all episodes of one set, each a success or not.

    The ends solve (p̂ - p)² = z² p (1 - p) / n. It has a width even where all or none succeed.

    Args:
        successes: how many succeeded.
        trials: of how many.
        level: coverage.

    Raises:
        StatisticsError: no trials, or more successes than trials.

    Source: Wilson (1927); Brown, Cai & DasGupta (2001), "Interval Estimation for a Binomial Proportion".
    """
    from scipy.special import ndtri

    check_level(level)
    _check_counts(successes, trials)
    z = float(ndtri((1 + level) / 2))
    rate, weight = successes / trials, z * z / trials
    centre = (rate + weight / 2) / (1 + weight)
    half = math.sqrt(rate * (1 - rate) * weight + weight * weight / 4) / (1 + weight)
    # Exact at the borders, where rounding would leave a hair.
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == trials else centre + half
    return Interval(low, high, level, "wilson")


def exact_interval(successes: int, trials: int, *, level: float = 0.95) -> Interval:
    """Exact interval of a share, such as that of the seeds that solved a task: its ends are of beta distributions.

    Of all rates, it holds those of which neither so many successes nor so few have a probability below
    (1 - level) / 2. It covers at least what it says, whatever the rate is, and has a width even where all or none
    succeed: none of 30 is [0, .116].

    Args:
        successes: how many succeeded.
        trials: of how many.
        level: coverage.

    Raises:
        StatisticsError: no trials, or more successes than trials.

    Source: Clopper & Pearson (1934), "The Use of Confidence or Fiducial Limits Illustrated in the Case of the
    Binomial", Biometrika 26.
    """
    from scipy.special import betaincinv

    check_level(level)
    _check_counts(successes, trials)
    tail, failures = (1 - level) / 2, trials - successes
    low = 0.0 if successes == 0 else float(betaincinv(successes, failures + 1, tail))
    high = 1.0 if failures == 0 else float(betaincinv(successes + 1, failures, 1 - tail))
    return Interval(low, high, level, "exact")


def _check_counts(successes: int, trials: int) -> None:
    if trials < 1:
        raise StatisticsError(f"trials: must be at least 1, got {trials}")
    if not 0 <= successes <= trials:
        raise StatisticsError(f"successes: must be between 0 and trials ({trials}), got {successes}")


def hierarchical_success_interval(
    successes: ArrayLike | Sequence[int],
    episodes: ArrayLike | int,
    *,
    level: float = 0.95,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Two-stage bootstrap of the mean success rate over seeds: seeds are drawn, then episodes within each.

    Where the evaluation is sampled, the rate of a seed is k of m episodes. Every replicate draws seeds with
    replacement, and for each a new number of successes from Binomial(m, k / m). The ends are expanded for the
    number of seeds as in `bootstrap_interval(method="expanded percentile")`. Episodes' noise is counted twice, once
    within the spread of the seeds: with few episodes a seed the interval is somewhat too wide.

    Args:
        successes: of each seed, (num_seeds,).
        episodes: evaluated of each seed, (num_seeds,), or one number for all.
        level: coverage.
        num_resamples: bootstrap replicates.
        seed: of the resampling.

    Raises:
        StatisticsError: counts that are not whole, no episodes, or more successes than episodes.

    Source: Davison & Hinkley (1997), "Bootstrap Methods and their Application", section 3.8.
    """
    check_level(level)
    counts = as_scores(successes, "successes")
    trials = np.broadcast_to(np.asarray(episodes, dtype=np.float64), counts.shape)
    if not (trials >= 1).all() or (trials != np.floor(trials)).any():
        raise StatisticsError("episodes: must be whole numbers of at least 1")
    if ((counts < 0) | (counts > trials) | (counts != np.floor(counts))).any():
        raise StatisticsError("successes: must be whole numbers between 0 and the number of episodes")
    if len(counts) < 2:
        return Interval.unknown(level, ONE_SEED)
    rng = random_stream(seed)
    drawn = rng.integers(0, len(counts), (num_resamples, len(counts)))
    rates = (rng.binomial(trials[drawn].astype(np.int64), (counts / trials)[drawn]) / trials[drawn]).mean(axis=1)
    tail = expanded_tail(level, len(counts), len(counts) - 1)
    low, high = np.quantile(rates, [tail, 1 - tail])
    return Interval(float(low), float(high), level, "hierarchical bootstrap")
