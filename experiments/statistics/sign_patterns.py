"""Patterns of signs, and how often sums under them are as large as observed ones: the heart of tests by sign flips.

Work goes in tiles that stay in the first caches. Their matrix products are also too small for the linear algebra
library to share them among threads, which costs many times a product's own time where other programs use the cores.
"""

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from velodrome.experiments.statistics.scores import Array

# Two statistics that differ by less are equal but for the order of additions.
ROUNDING = 1e-10
# Patterns in a tile; a multiple of 8, so that a stream of bits gives the same patterns however many are drawn at once.
TILE_ROWS = 256
# Multiplications of one matrix product.
TILE_WORK = 1 << 18


def all_signs(size: int) -> Iterator[Array]:
    """Every pattern once, but of two opposite ones only one: float64 blocks (rows, size)."""
    number = 2 ** max(0, size - 1)
    for start in range(0, number, TILE_ROWS):
        patterns = np.arange(start, min(start + TILE_ROWS, number))
        yield _as_signs((patterns[:, np.newaxis] >> np.arange(size)) & 1)


def random_signs(rng: np.random.Generator, count: int, size: int) -> Iterator[Array]:
    """Independent fair signs from single bits of the stream: float64 blocks (rows, size), `count` rows in all."""
    width = (size + 7) // 8
    for start in range(0, count, TILE_ROWS):
        drawn = rng.integers(0, 256, (min(TILE_ROWS, count - start), width), dtype=np.uint8)
        yield _as_signs(np.unpackbits(drawn, axis=1, count=size))


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


def _as_signs(bits: NDArray[np.integer]) -> Array:
    return 1.0 - 2.0 * bits.astype(np.float64)
