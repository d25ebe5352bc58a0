"""The finished episodes of a trial as the store keeps them: three arrays, each compressed on its own."""

import zlib
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from velodrome.checks import VelodromeError

# Level 1 takes an eighth of the default's time, for blocks a tenth larger.
COMPRESSION_LEVEL = 1
# No zlib stream unpacks to more than so many times its own size (zlib.net: "Maximum Compression Factor").
LARGEST_FACTOR = 1032


class CurvesError(VelodromeError, ValueError):
    """Packed curves do not unpack to arrays of the stated length; the message is one line."""


class PackedCurves(NamedTuple):
    """zlib streams of the little-endian arrays; `successes` is None without a success rule."""

    returns: bytes
    lengths: bytes
    successes: bytes | None


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
        successes = None if self.successes is None else _pack(self.successes, "u1")
        return PackedCurves(_pack(self.returns, "<f8"), _pack(self.lengths, "<i8"), successes)

    @classmethod
    def unpack(cls, packed: PackedCurves, episodes: int) -> Self:
        """Arrays of what `pack` gave for so many episodes; no more memory is taken than these arrays need.

        Raises:
            CurvesError: they are damaged, or of another number of episodes.
        """
        returns, lengths = _unpack(packed.returns, "<f8", episodes), _unpack(packed.lengths, "<i8", episodes)
        successes = None if packed.successes is None else _unpack(packed.successes, "u1", episodes).astype(np.bool_)
        return cls(returns, lengths, successes)


def _pack(array: np.ndarray, dtype: str) -> bytes:
    return zlib.compress(np.ascontiguousarray(array, dtype=dtype).tobytes(), COMPRESSION_LEVEL)


def _unpack(packed: bytes, dtype: str, episodes: int) -> np.ndarray:
    size = episodes * np.dtype(dtype).itemsize
    if 0 <= size <= LARGEST_FACTOR * len(packed):
        unpacker = zlib.decompressobj()
        try:
            content = unpacker.decompress(packed, size + 1)
        except zlib.error as error:
            raise CurvesError(f"the curves of {episodes} episodes cannot be unpacked: {error}") from None
        if len(content) == size and unpacker.eof:
            return np.frombuffer(content, dtype=dtype)
    raise CurvesError(f"the curves do not hold {episodes} episodes")
