"""Scores as arrays: one array an environment, checked once at the door.

Everywhere in this package the scores of one agent are float64 (num_seeds,) for one environment, or a sequence of such
arrays, one an environment, where the numbers of seeds may differ.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from velodrome.experiments.statistics.errors import StatisticsError

# The same score, computed in another order, differs by less than this share of itself.
EQUAL = 1e-12

# Beyond it sums of squares overflow.
LARGEST = 1e100

Array: TypeAlias = NDArray[np.float64]
Scores: TypeAlias = ArrayLike | Sequence[ArrayLike]


def as_scores(values: ArrayLike, name: str = "scores") -> Array:
    """Scores of one environment, float64 (num_seeds,).

    Raises:
        StatisticsError: not one-dimensional, not numbers, empty, or with a value that is not finite or beyond ±1e100.
    """
    try:
        scores = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise StatisticsError(f"{name}: must be numbers, one a seed") from None
    if scores.ndim != 1:
        raise StatisticsError(f"{name}: must have one axis (seeds), got an array of shape {scores.shape}")
    if len(scores) == 0:
        raise StatisticsError(f"{name}: there is no score")
    missing = int(np.count_nonzero(~np.isfinite(scores)))
    if missing:
        raise StatisticsError(
            f"{name}: {missing} of {len(scores)} are not finite numbers; leave failed trials out and count them"
        )
    if np.abs(scores).max() > LARGEST:
        raise StatisticsError(f"{name}: must lie within ±{LARGEST:g}, got {np.abs(scores).max():g}")
    return scores


def as_environments(values: Scores, name: str = "scores") -> list[Array]:
    """Scores as a list with one array an environment.

    Args:
        values: float (num_seeds,) for one environment, or a sequence of such arrays. An array with two axes is refused,
            for it does not say which axis the seeds are.
        name: of the argument, for messages.

    Raises:
        StatisticsError: as `as_scores`, or an array with two axes, or no environment.
    """
    if is_one_environment(values):
        return [as_scores(values, name)]  # type: ignore[arg-type]
    if isinstance(values, np.ndarray) and values.dtype != object:
        raise StatisticsError(
            f"{name}: an array of shape {values.shape} does not say which axis the seeds are; "
            "give a list with one array an environment"
        )
    environments = list(values)  # type: ignore[arg-type]
    if not environments:
        raise StatisticsError(f"{name}: there is no environment")
    return [as_scores(one, f"{name}[{index}]") for index, one in enumerate(environments)]


def is_one_environment(values: Scores) -> bool:
    """Whether these are the scores of one environment rather than a sequence of them."""
    if isinstance(values, np.ndarray) and values.dtype != object:
        return values.ndim <= 1
    if not isinstance(values, Sequence | np.ndarray):
        return True
    return all(np.ndim(one) == 0 for one in values)


def difference(first: Array, second: Array) -> Array:
    """First less second, elementwise; exactly 0 where they are equal but for rounding."""
    values = np.asarray(first - second)
    scale = np.maximum(np.abs(first), np.abs(second))
    return np.where(np.abs(values) <= EQUAL * scale, 0.0, values)


def check_level(level: float, name: str = "level") -> None:
    """Refuse what is not strictly between 0 and 1.

    Raises:
        StatisticsError: it is not.
    """
    if not 0 < level < 1:
        raise StatisticsError(f"{name}: must be between 0 and 1, got {level}")


def random_stream(seed: int, *purpose: int) -> np.random.Generator:
    """The stream of one purpose within a call: the same seed and purpose give the same numbers.

    Raises:
        StatisticsError: a negative seed.
    """
    if seed < 0:
        raise StatisticsError(f"seed: must be at least 0, got {seed}")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *purpose])))
