"""Mistakes of where values stand: a right table that was permuted, shifted, transposed or rounded."""

import itertools
import math

import numpy as np

from velodrome.experiments.grading.diagnosis.replay import within

TRANSPOSED = (
    "table transposed",
    "Rows are actions and columns are states; it should be the other way round. Look at how the table is made and "
    "indexed: Q[state, action].",
)
ACTIONS_PERMUTED = (
    "actions in another order",
    "The values are right, and stand in the columns of other actions. Look at which number each action has in this "
    "environment.",
)
STATES_SHIFTED = (
    "states shifted",
    "The values are right, and stand in the rows of neighbouring states. Look at the index of the state: it counts "
    "from 0.",
)
MAP_TRANSPOSED = (
    "rows and columns of the map swapped",
    "The values are right, and stand at the states of a map with rows and columns swapped. Look at how row and column "
    "make a state: row × columns + column.",
)
ROUNDED = (
    "values rounded",
    "The values are right but for having been rounded. Look at what happens to the table before it is returned.",
)
MOST_ACTIONS = 5
MOST_DECIMALS = 8


def misplaced_tables(right: np.ndarray, submitted: np.ndarray, tolerance: float = 1e-9) -> list[tuple[str, str, str]]:
    """Name, sentence and evidence of each way in which a table is a right one with its values at other places."""
    count = right.shape[1]
    if submitted.shape == right.T.shape and submitted.shape != right.shape:
        if _equal(submitted.T, right, tolerance):
            return [(*TRANSPOSED, f"its shape is {submitted.shape}, and transposed it is right")]
        return []
    if submitted.shape != right.shape:
        return []
    found = []
    if count == right.shape[0] and _equal(submitted.T, right, tolerance):
        found.append((*TRANSPOSED, "transposed it is right"))
    if count <= MOST_ACTIONS:
        orders = [order for order in itertools.permutations(range(count)) if order != tuple(range(count))]
        fitting = [order for order in orders if _equal(submitted, right[:, order], tolerance)]
        if fitting:
            evidence = "its columns are those of actions " + " or ".join(str(list(order)) for order in fitting[:3])
            found.append((*ACTIONS_PERMUTED, evidence))
    for by in (1, -1):
        evidence = f"row s holds the values of state s {'-' if by > 0 else '+'} 1"
        if _equal(submitted, np.roll(right, by, axis=0), tolerance):
            found.append((*STATES_SHIFTED, evidence))
    side = math.isqrt(len(right))
    if side * side == len(right) and side > 1:
        swapped = np.arange(len(right)).reshape(side, side).T.reshape(-1)
        if _equal(submitted, right[swapped], tolerance):
            found.append((*MAP_TRANSPOSED, f"the map has {side} rows and {side} columns"))
    for decimals in range(MOST_DECIMALS + 1):
        rounded = np.round(right, decimals)
        if np.array_equal(submitted, rounded) and not _equal(rounded, right, tolerance):
            found.append((*ROUNDED, f"to {decimals} decimals"))
            break
    return found


def _equal(table: np.ndarray, other: np.ndarray, tolerance: float) -> bool:
    return within(table, other, other, tolerance)
