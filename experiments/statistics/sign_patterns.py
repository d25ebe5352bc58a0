"""Patterns of signs, and how often sums under them are as large as observed ones: the heart of tests by sign flips.

Work goes in tiles that stay in the caches.
"""

import math
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from velodrome.experiments.statistics.scores import Array, random_stream

# Two statistics that differ by less are equal but for the order of additions.
ROUNDING = 1e-10
# Patterns in a tile; a multiple of 8, so that a stream of bits gives the same patterns however many are drawn at once.
TILE_ROWS = 256
# Multiplications of one matrix product.
TILE_WORK = 1 << 18


@lru_cache(maxsize=4)
def sign_patterns(size: int, count: int, seed: int) -> NDArray[np.uint8]:
    """All patterns if they are at most `count`, or else so many random ones, drawn once for all tests of as many seeds.

    Returns:
        A bit a sign, set where it is a minus, uint8 (rows, ⌈size / 8⌉); of two opposite patterns only one, if all.
    """
    width = (size + 7) // 8
    if is_exact(size, count):
        numbers = np.arange(2 ** max(0, size - 1))[:, np.newaxis]
        return np.packbits((numbers >> np.arange(size) & 1).astype(np.uint8), axis=1)
    bits = random_stream(seed).integers(0, 256, (count, width), dtype=np.uint8)
    # Bits are drawn by the byte, and the last byte has more than are needed.
    bits[:, -1] &= 0xFF << (8 * width - size) & 0xFF
    return bits


def is_exact(size: int, count: int) -> bool:
    """Whether all patterns of so many signs are looked at; a pattern and its negative have the same absolute value."""
    return size <= 1 or 2 ** (size - 1) <= count


def as_signs(bits: NDArray[np.uint8], size: int) -> Array:
    """Patterns of `sign_patterns` as signs, float64 (rows, size)."""
    return np.asarray(1.0 - 2.0 * np.unpackbits(bits, axis=1, count=size))


def sums_of_minuses(bits: NDArray[np.uint8], values: Array) -> Array:
    """Sum of the values that each pattern of `sign_patterns` gives a minus, float64 (rows,).

    Eight values at a time have 256 sums, which are looked up: a pattern is never written out.
    """
    padded = np.append(values, np.zeros(8 * bits.shape[1] - len(values)))
    of_bytes = np.unpackbits(np.arange(256, dtype=np.uint8)[:, np.newaxis], axis=1).astype(np.float64)
    sums = np.zeros(len(bits))
    for column, eight in zip(bits.T, padded.reshape(-1, 8), strict=True):
        sums += (of_bytes @ eight)[column]
    return sums


def random_signs(rng: np.random.Generator, count: int, size: int) -> Iterator[Array]:
    """Independent fair signs from single bits of the stream: float64 blocks (rows, size), `count` rows in all."""
    width = (size + 7) // 8
    for start in range(0, count, TILE_ROWS):
        drawn = rng.integers(0, 256, (min(TILE_ROWS, count - start), width), dtype=np.uint8)
        yield as_signs(drawn, size)


def column_tiles(num_columns: int, size: int) -> list[slice]:
    """Columns whose sums under a block of signs are computed together."""
    width = max(1, TILE_WORK // (TILE_ROWS * max(1, size)))
    # Of equal widths: a narrow rest would cost as much as a full tile.
    number = max(1, math.ceil(num_columns / width))
    edges = [index * num_columns // number for index in range(number + 1)]
    return [slice(first, end) for first, end in pairwise(edges)]


def count_reaching(sums: Array, thresholds: Array) -> NDArray[np.int64]:
    """How many of the rows of sums are, each column by itself, at least the threshold, int64 (num_columns,)."""
    # Bytes add up several times as fast as truth values; no tile has more rows than 16 bits count.
    return np.asarray((sums >= thresholds).view(np.uint8).sum(axis=0, dtype=np.uint16).astype(np.int64))
