"""Continuous observations cut into bins, for tabular agents."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import gymnasium as gym
import numpy as np
from gymnasium import spaces, utils
from numpy.typing import ArrayLike, NDArray

from velodrome.checks import ConfigurationError, check_integer
from velodrome.envs.binning import Binning
from velodrome.envs.wrapper_chain import name_of

# Position and angle beyond which the episode ends, and speeds that are rarely exceeded.
_CART_POLE = ([-2.4, -3.0, -0.2095, -3.5], [2.4, 3.0, 0.2095, 3.5])
_KNOWN_LIMITS = {"CartPole-v0": _CART_POLE, "CartPole-v1": _CART_POLE}
# Some environments write the largest float32 where they mean infinity.
UNBOUNDED = 1e30


class Discretize(gym.ObservationWrapper[int, Any, NDArray[Any]], utils.RecordConstructorArgs):
    """Observe the number of the bin that holds the observation.

    Each dimension of a Box, flattened, is cut into equal bins between low and high; values outside count to
    the outermost bin. The bins of all dimensions are numbered together, the last dimension fastest.

    Args:
        env: environment that observes a Box.
        bins: bins in every dimension, or a sequence of one number a dimension.
        low: smallest value of every dimension, or a sequence; by default the space's own, or for CartPole
            (-2.4, -3, -0.2095, -3.5).
        high: likewise the largest values.

    Raises:
        ValueError: if the space is not a Box, bins or limits do not fit it, or a limit is infinite; when
            observing, if the observation has another size, or a NaN in a dimension of several bins.
    """

    def __init__(
        self,
        env: gym.Env[NDArray[Any], Any],
        bins: int | Sequence[int] = 10,
        low: ArrayLike | None = None,
        high: ArrayLike | None = None,
    ) -> None:
        space = env.observation_space
        if not isinstance(space, spaces.Box):
            raise ValueError(f"Discretize needs a Box observation space, got {space} of {name_of(env)}")
        utils.RecordConstructorArgs.__init__(self, bins=bins, low=low, high=high)
        gym.ObservationWrapper.__init__(self, env)
        size = math.prod(space.shape)
        self.bins = _bins(bins, size)
        # Where there is one bin, nothing is looked at, and any limits do.
        self.low, self.high = finite_limits(env, low, high, self.bins > 1)
        self.binning = Binning(self.bins, self.low, self.high)
        self.observation_space = cast("spaces.Space[int]", spaces.Discrete(self.binning.num_bins))

    def observation(self, observation: NDArray[Any]) -> int:
        """Number of the bin that holds `observation`, an array of the wrapped space's shape."""
        return self.binning.number_of(observation)


def finite_limits(
    env: gym.Env[Any, Any], low: ArrayLike | None, high: ArrayLike | None, is_looked_at: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Smallest and largest values of every dimension of an environment that observes a Box, flattened, all finite.

    Args:
        env: the environment.
        low: smallest value of every dimension, or a sequence; the space's own or the known ones if None.
        high: likewise the largest values.
        is_looked_at: which dimensions matter; others without a finite limit get 0 and 1.

    Raises:
        ValueError: they do not fit the space, or one that matters is infinite.
    """
    space, name, size = env.observation_space, name_of(env), len(is_looked_at)
    assert isinstance(space, spaces.Box)
    known = _KNOWN_LIMITS.get(name, (space.low, space.high))
    limits = {
        "low": _limits("low", known[0] if low is None else low, size),
        "high": _limits("high", known[1] if high is None else high, size),
    }
    is_unbounded = {side: ~(np.abs(values) < UNBOUNDED) for side, values in limits.items()}
    is_loose = ~is_looked_at & (is_unbounded["low"] | is_unbounded["high"])
    for side, value in (("low", 0.0), ("high", 1.0)):
        _refuse_unbounded(side, is_unbounded[side] & ~is_loose, name)
        limits[side][is_loose] = value
    return limits["low"], limits["high"]


def check_dimensions(before: str, dimensions: Any, parameter: str, counts: Any) -> None:
    """Check which dimensions are looked at, and so many bins or tiles of each, or one number for all.

    Args:
        before: start of a refusal, such as the name of what has the parameters.
        dimensions: different whole numbers from 0, or None.
        parameter: name of the counts.
        counts: whole numbers of at least 1.

    Raises:
        ConfigurationError: naming the parameter, what was given and what is allowed.
    """
    numbers = counts if isinstance(counts, Sequence | np.ndarray) else (counts,)
    for number in numbers:
        check_integer(f"{before}{parameter}", number, minimum=1)
    if dimensions is None:
        return
    if not isinstance(dimensions, Sequence | np.ndarray):
        raise ConfigurationError(f"{before}dimensions must be a tuple of numbers, got {dimensions!r}")
    for number in dimensions:
        check_integer(f"{before}dimensions", number, minimum=0)
    if not len(dimensions) or len(set(dimensions)) < len(dimensions):
        raise ConfigurationError(f"{before}dimensions must be different numbers, got {dimensions}")
    if len(numbers) not in (1, len(dimensions)):
        raise ConfigurationError(
            f"{before}{parameter} must be one number or {len(dimensions)}, one a dimension, got {len(numbers)}"
        )


def limits_of_all(limits: Any, dimensions: Sequence[int] | None, size: int) -> Any:
    """Limits of all dimensions, NaN elsewhere where they are given for those alone that are looked at, in their order.

    Args:
        limits: one number, a sequence or None.
        dimensions: numbers of those that are looked at; all if None.
        size: number of all dimensions.
    """
    if dimensions is None or not isinstance(limits, tuple | list) or not len(limits) == len(dimensions) < size:
        return limits
    spread = np.full(size, np.nan)
    spread[list(dimensions)] = limits
    return spread


def _bins(given: int | Sequence[int], size: int) -> NDArray[np.int64]:
    numbers = list(given) if isinstance(given, Sequence | np.ndarray) else [given] * size
    if len(numbers) != size:
        raise ValueError(f"bins must be one number or {size}, one a dimension, got {len(numbers)}")
    return np.array([check_integer("bins", number, minimum=1) for number in numbers], dtype=np.int64)


def _limits(name: str, given: ArrayLike, size: int) -> NDArray[np.float64]:
    try:
        values = np.array(given, dtype=np.float64).reshape(-1)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be numbers, one a dimension, got {given!r}") from None
    if values.size == 1:
        values = np.repeat(values, size)
    if values.size != size:
        raise ValueError(f"{name} must be one number or {size}, one a dimension, got {values.size}")
    return values


def _refuse_unbounded(name: str, unbounded: NDArray[np.bool_], environment: str) -> None:
    if unbounded.any():
        dimension, size = int(np.argmax(unbounded)), len(unbounded)
        raise ValueError(
            f"{environment} has no finite limit in dimension {dimension}: "
            f"give {name}=, {size} finite numbers, one a dimension"
        )
