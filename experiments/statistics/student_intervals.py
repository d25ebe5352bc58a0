"""Student's t interval of a mean, and Tukey and McLaughlin's of an interquartile mean."""

import math
from collections.abc import Sequence

import numpy as np

from velodrome.experiments.statistics.aggregates import TRIMMED_SHARE, Aggregate, iqm, mean
from velodrome.experiments.statistics.errors import StatisticsError
from velodrome.experiments.statistics.interval import Interval
from velodrome.experiments.statistics.scores import Array, Scores, as_environments, check_level

ONE_SEED = "one seed"
CONSTANT = "constant scores"


def plain_interval(environments: Sequence[Array], aggregate: Aggregate, level: float) -> Interval | None:
    """The interval where no method is needed: of one seed (unknown) or of scores that do not vary (no width)."""
    if any(len(scores) < 2 for scores in environments):
        return Interval.unknown(level, ONE_SEED)
    if all(scores.min() == scores.max() for scores in environments):
        value = float(aggregate.of_rows(environments))
        return Interval(value, value, level, CONSTANT)
    return None


def standard_errors(aggregate: Aggregate, environments: Sequence[Array]) -> Array:
    """Standard error of the aggregate, over the last axis.

    Raises:
        StatisticsError: no formula is known.
    """
    if aggregate.standard_errors is None:
        raise StatisticsError(f"aggregate: no standard error is known for the {aggregate.name}; use percentile or bca")
    return aggregate.standard_errors(environments)


def t_interval(scores: Scores, aggregate: Aggregate = mean, *, level: float = 0.95) -> Interval:
    """Interval `estimate ± t · standard error`.

    Exact for the mean of normal scores of one environment. Degrees of freedom: for a mean n - 1, over several
    environments by Welch and Satterthwaite; for the interquartile mean those of the scores that are left.

    Args:
        scores: float (num_seeds,), or a sequence of such arrays, one an environment.
        aggregate: `mean`, `iqm` or an optimality gap.
        level: coverage.

    Raises:
        StatisticsError: no scores, not finite ones, or an aggregate without a standard error.

    Source: Student (1908); Tukey & McLaughlin (1963), "Less vulnerable confidence and significance procedures for
    location based on a single sample"; Welch (1947).
    """
    check_level(level)
    environments = as_environments(scores)
    plain = plain_interval(environments, aggregate, level)
    if plain is not None:
        return plain
    estimate = float(aggregate.of_rows(environments))
    error = float(standard_errors(aggregate, environments))
    half = t_quantile(environments, aggregate, level) * error
    return Interval(estimate - half, estimate + half, level, "t")


def t_quantile(environments: Sequence[Array], aggregate: Aggregate, level: float) -> float:
    """Standard errors from the estimate to an end of Student's interval."""
    from scipy.special import stdtrit

    return float(stdtrit(_degrees_of_freedom(environments, aggregate), (1 + level) / 2))


def _degrees_of_freedom(environments: Sequence[Array], aggregate: Aggregate) -> float:
    if aggregate is iqm:
        size = sum(len(scores) for scores in environments)
        return max(1, size - 2 * int(TRIMMED_SHARE * size) - len(environments))
    sizes = np.array([len(scores) for scores in environments])
    shares = np.array([scores.var(ddof=1) for scores in environments]) / sizes
    largest = shares.max()
    if largest == 0:
        return float((sizes - 1).sum())
    # Scaled first, or the squares of tiny variances underflow.
    shares /= largest
    return float(shares.sum() ** 2 / (shares**2 / (sizes - 1)).sum())


def expanded_tail(level: float, num_seeds: int, degrees_of_freedom: int) -> float:
    """Share to cut at each end of a bootstrap distribution so that it is as wide as a t interval.

    Source: Hesterberg (2015), "What Teachers Should Know About the Bootstrap", section 4.1.
    """
    from scipy.special import ndtr, stdtrit

    quantile = float(stdtrit(degrees_of_freedom, (1 - level) / 2))
    return float(ndtr(math.sqrt(num_seeds / (num_seeds - 1)) * quantile))
