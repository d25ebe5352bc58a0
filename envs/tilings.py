"""Tiles of several tilings that hold a continuous observation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from velodrome.envs.binning import numbers_of

# A linear learner keeps a weight for every feature and action, 8 bytes each.
MOST_FEATURES = 10_000_000
# Cells whose tiles are remembered, some 400 bytes each and 8 more a tiling.
_MOST_REMEMBERED = 1 << 16


class Tilings:
    """Several grids of equal tiles over the same box, each shifted by other fractions of a tile.

    Tiling t (0, 1, …) of n is shifted by t/n of a tile along the first dimension that is looked at, by 3t/n along the
    second, 5t/n along the third and so on, whole tiles left out: the offsets that Sutton & Barto recommend, for which
    n should be a power of two, and at least four times the number of dimensions. So every tiling but the first
    reaches beyond the box by one tile a dimension, and the box is told apart in `tiles` * n steps a dimension.

    Every observation lies in one tile of each tiling. Values outside count to the outermost tiles.

    Args:
        tilings: number of tilings n.
        tiles: that span the box, of each dimension that is looked at.
        dimensions: numbers of these, counted in the flattened observation.
        low: smallest values of each.
        high: largest values, likewise.
        shape: of one observation.

    Attributes:
        tiles_each: number of tiles of each tiling.
        num_features: number of tiles of all of them.
        first_features: number of the first tile of each tiling, int64 (tilings,).

    Raises:
        ValueError: a limit is not below the other, or there are more than 10,000,000 tiles.

    Source: Sutton & Barto (2018), section 9.5.4.
    """

    def __init__(
        self,
        tilings: int,
        tiles: Sequence[int],
        dimensions: Sequence[int],
        low: Sequence[float],
        high: Sequence[float],
        shape: tuple[int, ...],
    ) -> None:
        self.tilings, self.shape = tilings, shape
        self.dimensions, self.tiles = list(dimensions), list(tiles)
        self.low, self.high = list(low), list(high)
        for dimension, start, end in zip(dimensions, low, high, strict=True):
            if not start < end:
                raise ValueError(f"low must be below high, got {start:g} and {end:g} in dimension {dimension}")
        sizes = [number + (tilings > 1) for number in tiles]
        self.num_features, self.tiles_each = tilings, 1
        for size in sizes:
            self.num_features *= size
            self.tiles_each *= size
            # Before the number of a picture's tiles gets more digits than anybody reads.
            if self.num_features > MOST_FEATURES:
                raise ValueError(
                    f"{tilings} tilings of {_in_words(tiles)} tiles a dimension make more than {MOST_FEATURES:,} "
                    f"features in {len(sizes)} dimensions: take fewer tiles, or look at a few dimensions, "
                    f"dimensions=[...]{', or take an agent that learns from pictures' * (len(shape) > 1)}"
                )
        self._size = math.prod(shape)
        self._limits = [
            (place, start, end, number * tilings)
            for place, start, end, number in zip(dimensions, low, high, tiles, strict=True)
        ]
        steps = 2 * np.arange(len(sizes)) + 1
        self._offsets = np.arange(tilings)[:, np.newaxis] * steps % tilings
        self._place_values = np.array([math.prod(sizes[place + 1 :]) for place in range(len(sizes))], dtype=np.int64)
        self.first_features = np.arange(tilings) * self.tiles_each
        self._remembered: dict[tuple[int, ...], NDArray[np.int64]] = {}

    def active_features(self, observation: ArrayLike) -> NDArray[np.int64]:
        """Tile of each tiling that holds one observation, read-only int64 (tilings,).

        The tiles of tiling t are numbered from t * `tiles_each`.

        Raises:
            ValueError: it has another size, or a NaN in a dimension that is looked at.
        """
        values = numbers_of(observation, self._size)
        cells = []
        for place, low, high, number in self._limits:
            value = values[place]
            if value <= low:
                cells.append(0)
            elif value >= high:
                cells.append(number - 1)
            elif value != value:
                raise ValueError(f"observation has NaN in dimension {place}")
            else:
                cells.append(min(int((value - low) / (high - low) * number), number - 1))
        key = tuple(cells)
        features = self._remembered.get(key)
        if features is None:
            features = self._features_of(np.array([cells], dtype=np.int64))[0]
            features.setflags(write=False)
            if len(self._remembered) < _MOST_REMEMBERED:
                self._remembered[key] = features
        return features

    def active_features_of_all(self, observations: NDArray[Any]) -> NDArray[np.int64]:
        """The same of a batch of observations, (batch, *shape): int64 (batch, tilings).

        Raises:
            ValueError: a NaN in a dimension that is looked at.
        """
        rows = observations.astype(np.float64, copy=False).reshape(len(observations), self._size)[:, self.dimensions]
        if np.isnan(rows).any():
            place = self.dimensions[int(np.argmax(np.isnan(rows).any(axis=0)))]
            raise ValueError(f"observation has NaN in dimension {place}")
        low, high = np.array(self.low), np.array(self.high)
        numbers = np.array([number for *_, number in self._limits], dtype=np.int64)
        fractions = (np.clip(rows, low, high) - low) / (high - low)
        return self._features_of(np.minimum((fractions * numbers).astype(np.int64), numbers - 1))

    def _features_of(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        """Tiles (batch, tilings) of cells (batch, num_dimensions), the finest steps that the tilings tell apart."""
        tiles = (cells[:, np.newaxis] + self._offsets) // self.tilings @ self._place_values
        return np.asarray(tiles + self.first_features)

    def to_data(self) -> dict[str, Any]:
        """JSON-ready data: the arguments."""
        names = ("tilings", "tiles", "dimensions", "low", "high")
        return {name: getattr(self, name) for name in names} | {"shape": list(self.shape)}

    @classmethod
    def from_data(cls, data: Any) -> Tilings:
        """Tilings from the data of `to_data`."""
        whole = {name: [int(number) for number in data[name]] for name in ("tiles", "dimensions", "shape")}
        low, high = ([float(limit) for limit in data[name]] for name in ("low", "high"))
        return cls(int(data["tilings"]), whole["tiles"], whole["dimensions"], low, high, tuple(whole["shape"]))


def _in_words(tiles: Sequence[int]) -> str:
    different = sorted(set(tiles))
    return str(different[0]) if len(different) == 1 else f"{different[0]} to {different[-1]}"
