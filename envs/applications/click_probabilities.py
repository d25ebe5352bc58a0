"""Click probabilities as an argument of several worlds, and how large a world may be."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from velodrome.checks import check_probability

LARGEST_NUMBER_OF_STATES = 20_000


def read_click_probabilities(given: Iterable[float]) -> NDArray[np.float64]:
    """Click probabilities as an array of at least two.

    Raises:
        ValueError: naming what is no probability, or that there are too few.
    """
    try:
        values = list(given)
    except TypeError:
        raise ValueError(f"click_probabilities must be a list of numbers, got {given!r}") from None
    if len(values) < 2:
        raise ValueError(f"click_probabilities must be at least 2 numbers, got {len(values)}")
    return np.array([check_probability(f"click_probabilities[{i}]", p) for i, p in enumerate(values)])


def check_number_of_states(formula: str, num_states: int, worked_out: str) -> None:
    """Refuse a world of more states than a model is made for.

    Args:
        formula: how the number of states follows from the arguments.
        num_states: the number.
        worked_out: the formula with the arguments given.

    Raises:
        ValueError: with all of these.
    """
    if num_states > LARGEST_NUMBER_OF_STATES:
        raise ValueError(
            f"states, {formula}, must be at most {LARGEST_NUMBER_OF_STATES}, got {worked_out} = {num_states}"
        )
