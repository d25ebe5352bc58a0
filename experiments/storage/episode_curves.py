"""The curves of a trial as the store keeps them: arrays, each compressed on its own."""

import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from velodrome.agents.training_log import Curve
from velodrome.checks import VelodromeError

# Level 1 takes an eighth of the default's time, for blocks a tenth larger.
COMPRESSION_LEVEL = 1
# No zlib stream unpacks to more than so many times its own size (zlib.net: "Maximum Compression Factor").
LARGEST_FACTOR = 1032
# Bytes of an array whose compressed form is remembered.
MOST_REMEMBERED = 1 << 17


class CurvesError(VelodromeError, ValueError):
    """Packed curves do not unpack to arrays of the stated length; the message is one line."""


class PackedCurves(NamedTuple):
    """zlib streams of the little-endian arrays; `successes` is None without a success rule."""

    returns: bytes
    lengths: bytes
    successes: bytes | None


class PackedCurve(NamedTuple):
    """A measured curve; `at` and `values` are zlib streams of the little-endian arrays."""

    name: str
    unit: str
    num_points: int
    at: bytes
    values: bytes


@dataclass(frozen=True, eq=False)
class EpisodeCurves:
    """Training, episode by episode.

    Attributes:
        returns: float64 (num_episodes,), undiscounted sums of rewards.
        lengths: int64 (num_episodes,), environment steps.
        successes: bool (num_episodes,), or None without a success rule.
    """

    returns: np.ndarray
    lengths: np.ndarray
    successes: np.ndarray | None

    @property
    def episodes(self) -> int:
        """Number of finished episodes."""
        return len(self.returns)

    def pack(self) -> PackedCurves:
        """The arrays, compressed; equal arrays give equal bytes."""
        successes = None if self.successes is None else pack_array(self.successes, "u1")
        return PackedCurves(pack_array(self.returns, "<f8"), pack_array(self.lengths, "<i8"), successes)

    @classmethod
    def unpack(cls, packed: PackedCurves, episodes: int) -> Self:
        """Arrays of what `pack` gave for so many episodes; no more memory is taken than these arrays need.

        Args:
            packed: what `pack` gave.
            episodes: number of episodes that it must have.

        Raises:
            CurvesError: they are damaged, or of another number of episodes.
        """
        returns, lengths = unpack_array(packed.returns, "<f8", episodes), unpack_array(packed.lengths, "<i8", episodes)
        return cls(returns, lengths, unpack_successes(packed, episodes))


def unpack_successes(packed: PackedCurves, episodes: int) -> NDArray[np.bool_] | None:
    """Successes of what `pack` gave for so many episodes; None without a success rule.

    Raises:
        CurvesError: they are damaged, or of another number of episodes.
    """
    return None if packed.successes is None else unpack_array(packed.successes, "u1", episodes).astype(np.bool_)


def pack_curve(curve: Curve) -> PackedCurve:
    """A measured curve, compressed; equal curves give equal bytes."""
    return PackedCurve(
        curve.name, curve.unit, len(curve.at), pack_array(curve.at, "<i8"), pack_array(curve.values, "<f8")
    )


def unpack_curve(packed: PackedCurve) -> Curve:
    """Curve that `pack_curve` was given; no more memory is taken than for as many points as it says.

    Raises:
        CurvesError: it is damaged, or of another number of points.
    """
    name, unit, num_points, *_ = packed
    if not (isinstance(name, str) and isinstance(unit, str) and isinstance(num_points, int)):
        raise CurvesError("a measured curve has no name, unit and number of points")
    return Curve(
        name,
        unit,
        unpack_array(packed.at, "<i8", num_points, f"points of {name!r}"),
        unpack_array(packed.values, "<f8", num_points, f"points of {name!r}"),
    )


def pack_array(array: np.ndarray, dtype: str) -> bytes:
    """An array, compressed; equal arrays give equal bytes."""
    content = np.ascontiguousarray(array, dtype=dtype)
    # Of many trials, lengths of episodes of one step and the points of curves are the same.
    if content.nbytes <= MOST_REMEMBERED and content.size and (content[1:] >= content[:-1]).all():
        return _compressed(content.tobytes())
    return zlib.compress(content.tobytes(), COMPRESSION_LEVEL)


@lru_cache(maxsize=8)
def _compressed(content: bytes) -> bytes:
    return zlib.compress(content, COMPRESSION_LEVEL)


def unpack_array(packed: bytes, dtype: str, number: int, of: str = "episodes") -> np.ndarray:
    """Array (number,) of what `pack_array` gave; no more memory is taken than it needs.

    Raises:
        CurvesError: it is damaged, or of another size; `of` says of what, in words.
    """
    size = number * np.dtype(dtype).itemsize
    if 0 <= size <= LARGEST_FACTOR * len(packed):
        unpacker = zlib.decompressobj()
        try:
            content = unpacker.decompress(packed, size + 1)
        except zlib.error as error:
            raise CurvesError(f"the curves of {number} {of} cannot be unpacked: {error}") from None
        if len(content) == size and unpacker.eof:
            return np.frombuffer(content, dtype=dtype)
    raise CurvesError(f"the curves do not hold {number} {of}")
