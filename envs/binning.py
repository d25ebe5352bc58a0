"""Numbers the bins of a continuous observation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Binning:
    """Equal bins between low and high in every dimension, numbered together, the last dimension fastest.

    Values outside count to the outermost bin; dimensions of a single bin are not looked at.

    Args:
        bins: of each dimension, whole numbers (num_dimensions,).
        low: smallest values, (num_dimensions,).
        high: largest values, likewise.

    Raises:
        ValueError: a limit is not below the other, or there are more bins than 32 bits count.
    """

    def __init__(self, bins: NDArray[Any], low: NDArray[Any], high: NDArray[Any]) -> None:
        is_below = low < high
        if not is_below.all():
            dimension = int(np.argmin(is_below))
            raise ValueError(
                f"low must be below high, got {low[dimension]:g} and {high[dimension]:g} in dimension {dimension}"
            )
        self.num_bins = math.prod(bins.tolist())
        if self.num_bins > np.iinfo(np.int32).max:
            # Python refuses to write numbers of thousands of digits.
            digits = int(np.log10(bins.astype(np.float64)).sum())
            got = f"{self.num_bins}" if digits < 15 else f"some 10^{digits}"
            raise ValueError(
                f"bins must make at most {np.iinfo(np.int32).max} states, got {got}: look at fewer dimensions"
            )
        self._size = len(bins)
        self._dimensions = [
            (place, *limits)
            for place, limits in enumerate(zip(low.tolist(), high.tolist(), bins.tolist(), strict=True))
            if limits[2] > 1
        ]

    @property
    def looked_at(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Dimensions of several bins in order: numbers int64, low and high float64, bins int64, one a dimension."""
        places, low, high, bins = (
            np.array([dimension[column] for dimension in self._dimensions]) for column in range(4)
        )
        return places.astype(np.int64), low.astype(np.float64), high.astype(np.float64), bins.astype(np.int64)

    def number_of(self, observation: ArrayLike) -> int:
        """Number of the bin that holds one observation, (num_dimensions,) when flattened.

        Raises:
            ValueError: it has another size, or a NaN in a dimension that is looked at.
        """
        index, values = 0, numbers_of(observation, self._size)
        for dimension, low, high, bins in self._dimensions:
            value = values[dimension]
            if value <= low:
                place = 0
            elif value >= high:
                place = bins - 1
            elif value != value:
                raise ValueError(f"observation has NaN in dimension {dimension}")
            else:
                place = min(int((value - low) / (high - low) * bins), bins - 1)
            index = index * bins + place
        return index


def numbers_of(observation: ArrayLike, size: int) -> list[float]:
    """Numbers of one observation, flattened, as plain floats: for a handful they are ten times as fast as arrays.

    Raises:
        ValueError: it has not `size` numbers, or holds something else.
    """
    array = np.asarray(observation)
    if array.dtype.kind not in "fiub":
        # NumPy would read numbers out of text, and NaN out of None.
        raise ValueError(f"observation must hold numbers, got {array.dtype}")
    values: list[float] = array.astype(np.float64, copy=False).ravel().tolist()
    if len(values) != size:
        raise ValueError(f"observation must have {size} numbers, got {len(values)}")
    return values
