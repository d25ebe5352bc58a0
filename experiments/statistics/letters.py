"""The compact letter display: agents that share a letter are not distinguishable."""

from collections.abc import Sequence
from string import ascii_letters

import numpy as np
from numpy.typing import ArrayLike

from velodrome.experiments.statistics.errors import StatisticsError


def compact_letters(different: ArrayLike) -> list[str]:
    """Letters of agents, best first, by insert-and-absorb.

    Two agents share a letter if and only if they are not different, also where A = B and B = C but A ≠ C. Start with
    one letter for all; for every different pair, split each letter that both have into one without the first and one
    without the second, and drop a letter whose agents all share another. Letters that no pair needs are swept last.

    Args:
        different: bool (num_agents, num_agents), symmetric; in the order of the ranking, so that `a` is of the best.

    Returns:
        Letters of each agent, in alphabetical order, such as `["a", "ab", "b"]`.

    Raises:
        StatisticsError: not a symmetric matrix with an empty diagonal.

    Source: Piepho (2004), "An Algorithm for a Letter-Based Representation of All-Pairwise Comparisons".
    """
    matrix = np.asarray(different, dtype=bool)
    if matrix.ndim != 2 or (matrix != matrix.T).any() or matrix.diagonal().any():
        raise StatisticsError("different: must be a symmetric matrix with an empty diagonal")
    size = len(matrix)
    columns = [frozenset(range(size))] if size else []
    for first, second in zip(*np.nonzero(np.triu(matrix)), strict=True):
        columns = _insert(columns, int(first), int(second))
    columns = sorted(_sweep(columns, size), key=sorted)
    return ["".join(_letter(index) for index, column in enumerate(columns) if agent in column) for agent in range(size)]


def _insert(columns: Sequence[frozenset[int]], first: int, second: int) -> list[frozenset[int]]:
    """Split the columns that hold both, and absorb those within another."""
    split = [column for column in columns if first in column and second in column]
    kept = [column for column in columns if not (first in column and second in column)]
    for part in [column - {agent} for column in split for agent in (first, second)]:
        if not any(part <= other for other in kept):
            kept = [other for other in kept if not other <= part]
            kept.append(part)
    return kept


def _sweep(columns: Sequence[frozenset[int]], size: int) -> list[frozenset[int]]:
    """Leave out columns whose pairs, and agents alone, are all within others."""
    kept, holding = list(columns), np.zeros((size, size), dtype=np.int64)
    for column in columns:
        holding[np.ix_(list(column), list(column))] += 1
    for column in sorted(columns, key=lambda column: (len(column), sorted(column))):
        own = np.ix_(list(column), list(column))
        if (holding[own] > 1).all():
            holding[own] -= 1
            kept.remove(column)
    return kept


def _letter(index: int) -> str:
    """From a to z, from A to Z, then the same with primes."""
    rounds, position = divmod(index, len(ascii_letters))
    return ascii_letters[position] + "'" * rounds
