"""How small a difference the seeds can show, and how many seeds a difference needs.

Power of the two-sided paired t test, which the paired permutation test attains closely: with differences of standard
deviation s, T has a noncentral t distribution with n - 1 degrees of freedom and noncentrality δ √n / s. For several
pairs of agents divide the level by their number (Bonferroni; Holm is a little better).

Source: Cohen (1988), "Statistical Power Analysis for the Behavioral Sciences", chapter 2; Colas, Sigaud & Oudeyer
(2018), "How Many Random Seeds?".
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from velodrome.experiments.statistics.errors import StatisticsError
from velodrome.experiments.statistics.scores import as_scores, check_level

MOST_SEEDS = 10**9


def power(difference: float, deviation: float, num_seeds: int, *, level: float = 0.05) -> float:
    """Probability that a test finds a true difference.

    Args:
        difference: true mean of the paired differences.
        deviation: their standard deviation, in the same units.
        num_seeds: of both agents.
        level: of the test.

    Raises:
        StatisticsError: a negative deviation or a level outside (0, 1).
    """
    from scipy.special import nctdtr, ndtr, stdtrit

    check_level(level)
    if not deviation >= 0:
        raise StatisticsError(f"deviation: must be at least 0, got {deviation}")
    if num_seeds < 2:
        return 0.0
    if difference == 0:
        return level
    if deviation == 0:
        return 1.0
    shift = abs(difference) / deviation * math.sqrt(num_seeds)
    critical = float(stdtrit(num_seeds - 1, 1 - level / 2))
    # Where the noncentral distribution is out of the reach of its series it is normal.
    if shift <= 30 and num_seeds <= 10_000:
        found = float(1 - nctdtr(num_seeds - 1, shift, critical) + nctdtr(num_seeds - 1, shift, -critical))
        if not math.isnan(found):
            return found
    return float(ndtr(shift - critical))


def minimum_detectable_difference(
    differences: ArrayLike, *, level: float = 0.05, power_wanted: float = 0.8
) -> float | None:
    """The smallest true difference that as many seeds find with the power wanted.

    Args:
        differences: paired differences so far, (num_seeds,); their standard deviation is taken for the true one.
        level: of the test.
        power_wanted: probability of finding it.

    Returns:
        In the units of the scores; 0 where the differences do not vary; None with one seed.

    Raises:
        StatisticsError: no differences, not finite ones, or shares outside (0, 1).
    """
    from scipy.optimize import brentq

    values, deviation = _deviation(differences, level, power_wanted)
    if deviation is None:
        return None
    if deviation == 0:
        return 0.0
    high = deviation
    while power(high, deviation, len(values), level=level) < power_wanted:
        high *= 2
    gap = brentq(lambda size: power(size, 1.0, len(values), level=level) - power_wanted, 1e-12, high / deviation)
    return float(gap) * deviation


def seeds_needed(
    differences: ArrayLike, difference: float | None = None, *, level: float = 0.05, power_wanted: float = 0.8
) -> int | None:
    """The number of seeds, in all, with which a difference is found with the power wanted.

    Args:
        differences: paired differences so far, (num_seeds,); their standard deviation is taken for the true one.
        difference: to be found; by default the observed mean difference.
        level: of the test.
        power_wanted: probability of finding it.

    Returns:
        At least 2; None where none would do (a difference of zero) or nothing is known of the spread (one seed).

    Raises:
        StatisticsError: no differences, not finite ones, or shares outside (0, 1).
    """
    values, deviation = _deviation(differences, level, power_wanted)
    wanted = float(values.mean()) if difference is None else difference
    if not math.isfinite(wanted):
        raise StatisticsError(f"difference: must be finite, got {wanted}")
    if deviation is None or wanted == 0:
        return None
    low, high = 1, 2
    while power(wanted, deviation, high, level=level) < power_wanted:
        low, high = high, high * 2
        if high > MOST_SEEDS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        found = power(wanted, deviation, middle, level=level) >= power_wanted
        low, high = (low, middle) if found else (middle, high)
    return high


def _deviation(differences: ArrayLike, level: float, power_wanted: float) -> tuple[np.ndarray, float | None]:
    values = as_scores(differences, "differences")
    check_level(level)
    check_level(power_wanted, "power_wanted")
    if power_wanted <= level:
        raise StatisticsError(f"power_wanted: must be above the level ({level}), got {power_wanted}")
    if len(values) < 2:
        return values, None
    deviation = float(values.std(ddof=1))
    return values, deviation if np.ptp(values) > 1e-12 * np.abs(values).max() else 0.0
