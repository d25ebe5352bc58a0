"""A part of labelled examples in which every class has its share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def stratified_places(labels: NDArray[np.int64], number: int) -> NDArray[np.int64]:
    """Places of `number` examples, ascending: evenly spaced through the examples sorted by class.

    Every class gives its share to within one example, from beginning to end of the file. No random numbers are
    drawn, so that every version of NumPy chooses alike.

    Args:
        labels: classes, (num_examples,).
        number: from 1 to num_examples.
    """
    by_class = np.argsort(labels, kind="stable")
    return np.sort(by_class[(2 * np.arange(number) + 1) * len(labels) // (2 * number)])
