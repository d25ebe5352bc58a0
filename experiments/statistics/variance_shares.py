"""Importance of the parameters of a full grid: how the variance of the scores divides among them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from velodrome.experiments.statistics.errors import StatisticsError


@dataclass(frozen=True)
class VarianceShares:
    """Shares of the variance over a full grid, each between 0 and 1; together they are 1.

    Attributes:
        alone: of each parameter's main effect, in the order of the axes.
        together: of everything that two or more parameters do only together.
        is_corrected: whether the part that the spread over seeds adds was subtracted.
    """

    alone: tuple[float, ...]
    together: float
    is_corrected: bool


def variance_shares(scores: NDArray[np.float64]) -> VarianceShares:
    """Shares of variance of the main effects, and of the rest: the functional ANOVA of a full grid.

    With m(p = v) the mean score of all cells where parameter p has value v, the main effect of p has the variance
    V_p = mean over v of (m(p = v) - m)², and together the parameters have the variance of the cells' means less all
    V_p. Every value of a parameter counts the same.

    The mean of n seeds has noise, which adds to each variance the n-th part of what it is of one seed; that is
    estimated from the seeds' deviations d_s from their mean, as the sum over s of V_p(d_s) / (n (n - 1)), and
    subtracted. This is without bias however the scores of a seed depend on each other; what becomes negative counts
    as 0, so that small shares of few seeds are a little too large.

    Source: Hutter, Hoos & Leyton-Brown (2014), "An Efficient Approach for Assessing Hyperparameter Importance", eq. 3
    to 5, of a grid instead of a model; the correction is ANOVA's method of moments: Searle, Casella & McCulloch (1992),
    "Variance Components", chapter 4.

    Args:
        scores: float64 (num_seeds, num_values of the first parameter, of the second, ...), finite; the same seeds in
            all cells.

    Raises:
        StatisticsError: fewer than two parameters or values, or scores that do not differ by more than seeds do.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim < 3 or min(scores.shape[1:]) < 2 or not len(scores):
        raise StatisticsError("importance needs at least two parameters with at least two values each")
    if not np.isfinite(scores).all():
        raise StatisticsError("importance needs finite scores")
    number, means = len(scores), scores.mean(axis=0)
    parts = _variances(means[np.newaxis])[0]
    scale = float(parts.sum())
    if number > 1:
        parts = parts - _variances(scores - means).sum(axis=0) / (number * (number - 1))
    parts = np.maximum(parts, 0.0)
    # Rounding leaves crumbs of scores that are all the same.
    if parts.sum() <= 1e-12 * max(scale, float(np.square(means).max())):
        raise StatisticsError("the scores do not differ by more than seeds do, so no parameter has any importance")
    shares = (parts / parts.sum()).tolist()
    return VarianceShares(tuple(shares[:-1]), shares[-1], number > 1)


def _variances(grids: NDArray[np.float64]) -> NDArray[np.float64]:
    """Variances of the main effects and of the rest, float64 (num_grids, num_parameters + 1)."""
    axes = tuple(range(1, grids.ndim))
    mains = [_mean_over(grids, [other for other in axes if other != axis]).var(axis=1) for axis in axes]
    total = grids.reshape(len(grids), -1).var(axis=1)
    return np.stack([*mains, total - np.sum(mains, axis=0)], axis=1)


def _mean_over(grids: NDArray[np.float64], axes: Sequence[int]) -> NDArray[np.float64]:
    return np.asarray(grids.mean(axis=tuple(axes)))
