"""How small a difference the seeds can show, and how many seeds a difference needs.

Power of the two-sided paired t test, which the paired permutation test attains closely: with differences of standard
deviation s, T has a noncentral t distribution with n - 1 degrees of freedom and noncentrality δ √n / s. For several
pairs of agents divide the level by their number (Bonferroni; Holm is a little better).

Differences of successes, 0 or one step up or down, are too coarse for that: the test by sign flips is then the sign
test of the seeds that differ (McNemar's), whose power is a sum over binomial distributions.

Source: Cohen (1988), "Statistical Power Analysis for the Behavioral Sciences", chapter 2; Colas, Sigaud & Oudeyer
(2018), "How Many Random Seeds?".
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from velodrome.experiments.statistics.errors import StatisticsError
from velodrome.experiments.statistics.scores import as_scores, check_level

MOST_SEEDS = 10**9
# With more seeds differences of successes are not too coarse for the t test any more.
MOST_COARSE_SEEDS = 2000


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


def sign_test_power(difference: float, share_differing: float, num_seeds: int, *, level: float = 0.05) -> float:
    """Probability that the test by sign flips finds a true difference of successes, each 0 or 1.

    Args:
        difference: true difference of the two success rates.
        share_differing: share of the seeds with which one agent succeeds and the other does not.
        num_seeds: of both agents.
        level: of the test.

    Raises:
        StatisticsError: shares that do not fit or a level outside (0, 1).

    Source: McNemar (1947); Miettinen (1968), "The Matched Pairs Design in the Case of All-or-None Responses".
    """
    from scipy.special import bdtr, bdtrc

    check_level(level)
    if not abs(difference) <= share_differing <= 1:
        given = f"got {difference} and {share_differing}"
        raise StatisticsError(f"difference, share_differing: must be |difference| ≤ share_differing ≤ 1, {given}")
    if share_differing == 0:
        return 0.0
    # Numbers of seeds that differ, as far as they are likely at all.
    spread = 10 * math.sqrt(num_seeds * share_differing * (1 - share_differing)) + 10
    middle = num_seeds * share_differing
    differing = np.arange(max(0, int(middle - spread)), min(num_seeds, int(middle + spread)) + 1)
    below = np.where(differing > 0, bdtr(np.maximum(differing - 1.0, 0.0), num_seeds, share_differing), 0.0)
    weights = bdtr(differing.astype(np.float64), num_seeds, share_differing) - below
    least = _fewest_of_one_sign(differing, level)
    can = least <= differing
    upward = (1 + abs(difference) / share_differing) / 2
    least, some = least[can], differing[can]
    found = bdtrc(least - 1.0, some, upward) + bdtr(some.astype(np.float64) - least, some, upward)
    return float((weights[can] * found).sum())


def _fewest_of_one_sign(numbers: np.ndarray, level: float) -> np.ndarray:
    """Of so many differing seeds, the fewest with one sign that the sign test rejects; more than all if none do."""
    from scipy.special import bdtrc, bdtrik

    some = np.maximum(numbers, 1)
    least = np.ceil(bdtrik(1 - level / 2, some.astype(np.float64), 0.5)) + 1
    # The inverse is continuous, and rounded: the neighbours decide.
    for step in (-2, -1):
        least = np.where(2 * bdtrc(np.maximum(least + step - 1, 0.0), some, 0.5) <= level, least + step, least)
    is_found = 2 * bdtrc(np.minimum(least, some) - 1.0, some, 0.5) <= level
    return np.asarray(np.where(is_found & (numbers > 0), least, numbers + 1))


def minimum_detectable_difference(
    differences: ArrayLike, *, level: float = 0.05, power_wanted: float = 0.8
) -> float | None:
    """The smallest true difference that as many seeds find with the power wanted.

    Args:
        differences: paired differences so far, (num_seeds,); their standard deviation, or of differences of successes
            the share that is not 0, is taken for the true one.
        level: of the test.
        power_wanted: probability of finding it.

    Returns:
        In the units of the scores; 0 where the differences do not vary; None with one seed, and where no difference of
        successes would do.

    Raises:
        StatisticsError: no differences, not finite ones, or shares outside (0, 1).
    """
    from scipy.optimize import brentq

    values, deviation = _deviation(differences, level, power_wanted)
    if deviation is None:
        return None
    if deviation == 0:
        return 0.0
    step, share = _step(values)
    if step:

        def lacking(size: float) -> float:
            return sign_test_power(size, max(share, size), len(values), level=level) - power_wanted

        return float(brentq(lacking, 0.0, 1.0)) * step if lacking(1.0) >= 0 else None
    high = deviation
    while power(high, deviation, len(values), level=level) < power_wanted:
        high *= 2
    gap = brentq(lambda size: power(size, 1.0, len(values), level=level) - power_wanted, 1e-12, high / deviation)
    return float(gap) * deviation


def seeds_needed(
    differences: ArrayLike, difference: float | None = None, *, level: float = 0.05, power_wanted: float = 0.8
) -> int | None:
    """The number of seeds, in all, with which a difference is found with the power wanted.

    From few seeds it is rough: see `seeds_needed_range`.

    Args:
        differences: paired differences so far, (num_seeds,); their standard deviation, or of differences of successes
            the share that is not 0, is taken for the true one.
        difference: to be found; by default the observed mean difference.
        level: of the test.
        power_wanted: probability of finding it.

    Returns:
        At least 2; None where none would do (a difference of zero) or nothing is known of the spread (one seed).

    Raises:
        StatisticsError: no differences, not finite ones, or shares outside (0, 1).
    """
    values, deviation = _deviation(differences, level, power_wanted)
    wanted = _wanted(values, difference)
    if deviation is None or wanted == 0:
        return None
    step, share = _step(values)
    if step and abs(wanted) <= step:
        return _fewest_successes(abs(wanted) / step, share, level, power_wanted)
    return _fewest_for(wanted, deviation, level, power_wanted)


def seeds_needed_range(
    differences: ArrayLike,
    difference: float | None = None,
    *,
    level: float = 0.05,
    power_wanted: float = 0.8,
    coverage: float = 0.9,
) -> tuple[int, int | None] | None:
    """Smallest and largest number of seeds that a difference may need, as far as the spread of the seeds is known.

    It is that of a difference of just this size; how large the true one is says the interval of the difference.

    Args:
        differences: paired differences so far, (num_seeds,).
        difference: to be found; by default the observed mean difference.
        level: of the test.
        power_wanted: probability of finding it.
        coverage: of the interval of the spread: by the chi-squared distribution of a normal variance, or of differences
            of successes by Clopper and Pearson's interval of the share that is not 0.

    Returns:
        Both ends, the upper one None where it is beyond all means; None where `seeds_needed` is, or nothing varies.

    Raises:
        StatisticsError: no differences, not finite ones, or shares outside (0, 1).
    """
    from scipy.special import betaincinv, chdtri

    check_level(coverage, "coverage")
    values, deviation = _deviation(differences, level, power_wanted)
    wanted = _wanted(values, difference)
    if not deviation or wanted == 0:
        return None
    tail = (1 - coverage) / 2
    step, share = _step(values)
    if step and abs(wanted) <= step:
        number, differing = len(values), round(share * len(values))
        least = float(betaincinv(differing, number - differing + 1, tail))
        most = float(betaincinv(differing + 1, number - differing, 1 - tail)) if differing < number else 1.0
        ends = [_fewest_successes(abs(wanted) / step, one, level, power_wanted) for one in (least, most)]
    else:
        freedom = len(values) - 1
        spreads = [deviation * math.sqrt(freedom / float(chdtri(freedom, one))) for one in (tail, 1 - tail)]
        ends = [_fewest_for(wanted, spread, level, power_wanted) for spread in spreads]
    return None if ends[0] is None else (ends[0], ends[1])


def _wanted(values: np.ndarray, difference: float | None) -> float:
    wanted = float(values.mean()) if difference is None else difference
    if not math.isfinite(wanted):
        raise StatisticsError(f"difference: must be finite, got {wanted}")
    return wanted


def _step(values: np.ndarray) -> tuple[float, float]:
    """Size of the differences and the share that is not 0, where all others have one size; else 0."""
    sizes = np.abs(values[values != 0])
    is_one_size = len(sizes) > 0 and np.ptp(sizes) <= 1e-9 * sizes.max()
    return (float(sizes.max()), len(sizes) / len(values)) if is_one_size else (0.0, 0.0)


def _fewest_for(difference: float, deviation: float, level: float, power_wanted: float) -> int | None:
    return _fewest(lambda number: power(difference, deviation, number, level=level) >= power_wanted)


def _fewest_successes(rate: float, share: float, level: float, power_wanted: float) -> int | None:
    share = min(1.0, max(share, rate))
    deviation = math.sqrt(share - rate**2)

    # Where all the seeds differ one more of them may find less: two in a row must do.
    def finds(number: int) -> bool:
        if number > MOST_COARSE_SEEDS:
            return power(rate, deviation, number, level=level) >= power_wanted
        return all(sign_test_power(rate, share, some, level=level) >= power_wanted for some in (number, number + 1))

    return _fewest(finds)


def _fewest(finds: Callable[[int], bool]) -> int | None:
    """The fewest seeds that find a difference, from 2 on; None where too many would be needed."""
    low, high = 1, 2
    while not finds(high):
        low, high = high, high * 2
        if high > MOST_SEEDS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if finds(middle) else (middle, high)
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
