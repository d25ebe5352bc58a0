"""Continuous observations seen through several tilings, for linear agents."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import gymnasium as gym
import numpy as np
from gymnasium import spaces, utils
from numpy.typing import ArrayLike, NDArray

from velodrome.checks import check_integer
from velodrome.envs.discretize import check_dimensions, finite_limits, limits_of_all
from velodrome.envs.tilings import Tilings
from velodrome.envs.wrapper_chain import name_of


class TileCoding(gym.ObservationWrapper[NDArray[np.int64], Any, NDArray[Any]], utils.RecordConstructorArgs):
    """Observe the active tile of each of several tilings.

    Each dimension of a Box, flattened, is cut into equal tiles between low and high, `tilings` times, each time
    shifted by another fraction of a tile (see `Tilings`). Near observations share most of their tiles.

    Args:
        env: environment that observes a Box.
        tilings: number of tilings; a power of two, at least four times the number of dimensions, is recommended.
        tiles: tiles that span every dimension, or a sequence of one number a dimension that is looked at.
        dimensions: numbers of the dimensions that are looked at, counted in the flattened observation; all if None.
        low: smallest value of every dimension, or a sequence, of those alone that are looked at if there are as many;
            by default the space's own, or for CartPole those of `Discretize`.
        high: likewise the largest values.

    Raises:
        ValueError: if the space is not a Box, tiles or limits do not fit it, a limit is infinite, or there are more
            than 10,000,000 tiles; when observing, if the observation has another size, or a NaN where it is looked at.
    """

    def __init__(
        self,
        env: gym.Env[NDArray[Any], Any],
        tilings: int = 8,
        tiles: int | Sequence[int] = 8,
        dimensions: Sequence[int] | None = None,
        low: ArrayLike | None = None,
        high: ArrayLike | None = None,
    ) -> None:
        self.tilings = tilings_of(env, tilings, tiles, dimensions, low, high)
        utils.RecordConstructorArgs.__init__(
            self, tilings=tilings, tiles=tiles, dimensions=dimensions, low=low, high=high
        )
        gym.ObservationWrapper.__init__(self, env)
        space = spaces.MultiDiscrete([self.tilings.tiles_each] * tilings)
        self.observation_space = cast("spaces.Space[NDArray[np.int64]]", space)

    def observation(self, observation: NDArray[Any]) -> NDArray[np.int64]:
        """Active tile of each tiling, int64 (tilings,), for an array of the wrapped space's shape."""
        return self.tilings.active_features(observation) - self.tilings.first_features


def tilings_of(
    env: gym.Env[Any, Any],
    tilings: int,
    tiles: int | Sequence[int],
    dimensions: Sequence[int] | None,
    low: ArrayLike | None,
    high: ArrayLike | None,
) -> Tilings:
    """Tilings of an environment's observations, with the arguments of `TileCoding`.

    Raises:
        ValueError: see `TileCoding`.
    """
    space = env.observation_space
    if not isinstance(space, spaces.Box):
        raise ValueError(f"TileCoding needs a Box observation space, got {space} of {name_of(env)}")
    size = math.prod(space.shape)
    tilings = check_integer("tilings", tilings, minimum=1)
    check_dimensions("", dimensions, "tiles", tiles)
    looked_at = list(range(size)) if dimensions is None else list(dimensions)
    outside = [number for number in looked_at if number >= size]
    if outside:
        raise ValueError(f"observations of {name_of(env)} have dimensions 0 to {size - 1}, got {outside[0]}")
    numbers = list(tiles) if isinstance(tiles, Sequence | np.ndarray) else [tiles]
    if len(numbers) not in (1, len(looked_at)):
        raise ValueError(f"tiles must be one number or {len(looked_at)}, one a dimension, got {len(numbers)}")
    numbers = numbers * (len(looked_at) // len(numbers))
    is_looked_at = np.isin(np.arange(size), looked_at)
    lowest, highest = finite_limits(
        env, limits_of_all(low, dimensions, size), limits_of_all(high, dimensions, size), is_looked_at
    )
    return Tilings(
        tilings, numbers, looked_at, lowest[looked_at].tolist(), highest[looked_at].tolist(), tuple(space.shape)
    )
