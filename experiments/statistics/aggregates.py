"""Mean, median, interquartile mean and optimality gap: one number from the scores of all seeds.

Each is computed along the last axis, so that 50,000 bootstrap replicates are a few array operations. The definitions
over several environments are those of Agarwal et al. (2021), "Deep Reinforcement Learning at the Edge of the
Statistical Precipice", sections 4.2 and 4.3.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from velodrome.experiments.statistics.errors import StatisticsError
from velodrome.experiments.statistics.scores import Array, Scores, as_environments

TRIMMED_SHARE = 0.25
Counts: TypeAlias = NDArray[np.uint16]


@dataclass(frozen=True)
class Aggregate:
    """A number from scores, the same for many resamples at once, and its standard error.

    Attributes:
        name: as in tables.
        of_rows: from one array (…, num_seeds) an environment to (…).
        standard_errors: likewise, the standard error of each; None where no formula is known.
        influences: by how much each score moves the aggregate, to first order: one array (num_seeds,) an environment,
            each of sum 0; None where no formula is known.
        of_counts: from scores (num_seeds,) of one environment, how often each is drawn (num_seeds, num_resamples) and a
            number to the aggregate of each resample less the number, and its standard error; None where no formula is
            known. Standard errors are exact to a share of 1e-16 of the distance from the number: it must be near.
    """

    name: str
    of_rows: Callable[[Sequence[Array]], Array]
    standard_errors: Callable[[Sequence[Array]], Array] | None = None
    influences: Callable[[Sequence[Array]], list[Array]] | None = None
    of_counts: Callable[[Array, Counts, float], tuple[Array, Array]] | None = None

    def __call__(self, scores: Scores) -> float:
        """The aggregate of an agent's scores.

        Args:
            scores: float (num_seeds,), or a sequence of such arrays, one an environment.

        Raises:
            StatisticsError: no scores, or not finite ones.
        """
        return float(self.of_rows(as_environments(scores)))


def _means(environments: Sequence[Array]) -> Array:
    """Mean of each environment, (num_environments, …)."""
    return np.stack([scores.mean(axis=-1) for scores in environments])


def _mean(environments: Sequence[Array]) -> Array:
    return np.asarray(_means(environments).mean(axis=0))


def _standard_error_of_mean(environments: Sequence[Array]) -> Array:
    variances = [scores.var(axis=-1, ddof=1) / scores.shape[-1] for scores in environments]
    return np.asarray(np.sqrt(np.sum(variances, axis=0)) / len(environments))


def _influences_on_mean(environments: Sequence[Array]) -> list[Array]:
    return [(scores - scores.mean()) / (len(scores) * len(environments)) for scores in environments]


def _mean_of_counts(scores: Array, counts: Counts, centre: float) -> tuple[Array, Array]:
    size, ahead = len(scores), scores - centre
    sums, squares = np.stack([ahead, ahead**2]) @ counts.astype(np.float64) / size
    return sums, np.sqrt(np.maximum(squares - sums**2, 0.0) / (size - 1))


def _median(environments: Sequence[Array]) -> Array:
    values = np.moveaxis(environments[0], -1, 0) if len(environments) == 1 else _means(environments)
    return np.asarray(np.median(values, axis=0))


def _middle(environments: Sequence[Array]) -> Array:
    """Scores of all environments together, sorted, without the quarters at both ends."""
    pooled = np.concatenate(environments, axis=-1) if len(environments) > 1 else environments[0]
    size = pooled.shape[-1]
    cut = int(TRIMMED_SHARE * size)
    # NumPy sorts short rows faster than it partitions them.
    return np.asarray(np.sort(pooled, axis=-1)[..., cut : size - cut])


def _iqm(environments: Sequence[Array]) -> Array:
    middle = _middle(environments)
    # A mean of equal numbers may be rounded past them.
    return np.asarray(np.clip(middle.mean(axis=-1), middle[..., 0], middle[..., -1]))


def _standard_error_of_iqm(environments: Sequence[Array]) -> Array:
    """From the scores winsorized at the quartiles of all: Tukey & McLaughlin (1963), by stratum."""
    middle = _middle(environments)
    low, high = middle[..., :1], middle[..., -1:]
    sums = [scores.shape[-1] * np.clip(scores, low, high).var(axis=-1, ddof=1) for scores in environments]
    return np.asarray(np.sqrt(np.sum(sums, axis=0)) / middle.shape[-1])


def _influences_on_iqm(environments: Sequence[Array]) -> list[Array]:
    """From the scores winsorized at the quartiles of all, as its standard error is."""
    middle = _middle(environments)
    winsorized = [np.clip(scores, middle[0], middle[-1]) for scores in environments]
    return [(scores - scores.mean()) / len(middle) for scores in winsorized]


def _iqm_of_counts(scores: Array, counts: Counts, centre: float) -> tuple[Array, Array]:
    size, order = len(scores), np.argsort(scores, kind="stable")
    cut, ordered = int(TRIMMED_SHARE * size), scores[order] - centre
    # How many are drawn of each score and all lower ones.
    reached = counts[order]
    for lower, higher in pairwise(reached):
        higher += lower
    low, high = (
        ordered[(reached < most).view(np.uint8).sum(axis=0, dtype=np.uint16)] for most in (cut + 1, size - cut)
    )
    # How many of each score are left in the middle.
    kept = np.clip(reached, cut, size - cut)
    kept[1:] -= kept[:-1].copy()
    kept[0] -= cut
    sums, squares = np.stack([ordered, ordered**2]) @ kept.astype(np.float64)
    number = size - 2 * cut
    winsorized, its_squares = (sums + cut * (low + high)) / size, (squares + cut * (low**2 + high**2)) / size
    errors = np.sqrt(np.maximum(its_squares - winsorized**2, 0.0) / (size - 1)) * size / number
    return np.clip(sums / number, low, high), errors


#: Mean over environments of the mean over seeds.
mean = Aggregate("mean", _mean, _standard_error_of_mean, _influences_on_mean, _mean_of_counts)
#: Median over environments of the mean over seeds; of one environment, the median over its seeds.
median = Aggregate("median", _median)
#: Interquartile mean: mean of the scores of all environments together, less the lowest and highest quarter,
#: each of ⌊N / 4⌋ scores.
iqm = Aggregate("IQM", _iqm, _standard_error_of_iqm, _influences_on_iqm, _iqm_of_counts)


def optimality_gap_to(target: ArrayLike) -> Aggregate:
    """The optimality gap to a target, as an aggregate for intervals.

    Args:
        target: the best possible score, one for all environments or one each.

    Raises:
        StatisticsError: a target that is not finite.
    """
    targets = np.atleast_1d(np.asarray(target, dtype=np.float64))
    if targets.ndim != 1 or not np.isfinite(targets).all():
        raise StatisticsError("target: must be a finite number, or one an environment")

    def shortfalls(environments: Sequence[Array]) -> list[Array]:
        if len(targets) not in (1, len(environments)):
            raise StatisticsError(f"target: got {len(targets)} for {len(environments)} environments")
        own = np.broadcast_to(targets, len(environments))
        return [np.maximum(best - scores, 0.0) for best, scores in zip(own, environments, strict=True)]

    return Aggregate(
        "optimality gap",
        lambda environments: _mean(shortfalls(environments)),
        lambda environments: _standard_error_of_mean(shortfalls(environments)),
        lambda environments: _influences_on_mean(shortfalls(environments)),
    )


def optimality_gap(scores: Scores, target: ArrayLike) -> float:
    """How far the scores fall short of the best possible: mean over environments and seeds of max(target - score, 0).

    Args:
        scores: float (num_seeds,), or a sequence of such arrays, one an environment.
        target: the exact best expected score (rliable's gamma), one for all environments or one each.

    Raises:
        StatisticsError: no scores, or not finite ones.
    """
    return optimality_gap_to(target)(scores)
