"""The handwritten digits of 8x8 pixels that come with scikit-learn: no download, and not MNIST."""

from __future__ import annotations

import gzip
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any

import numpy as np
from numpy.typing import NDArray

from velodrome.envs.labelled.datasets.dataset import Dataset
from velodrome.envs.labelled.datasets.stratification import stratified_places

NUM_TEST_IMAGES = 360
_FILE = "sklearn/datasets/data/digits.csv.gz"
_LARGEST_PIXEL = 16


def load_digits() -> Dataset:
    """1,797 digits: 1,437 to learn from and 360 to be tested on, float32 multiples of 1/16.

    The test images are evenly spaced through the digits sorted by class (`stratified_places`), 36 a class to
    within one; both parts keep the file's order. All 13 writers are in both parts.

    Source: Alpaydin & Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine Learning Repository,
    its test part.
    """
    table = _table()
    images = (table[:, :-1].reshape(-1, 8, 8) / _LARGEST_PIXEL).astype(np.float32)
    labels = table[:, -1].astype(np.int64)
    is_test = np.zeros(len(labels), dtype=np.bool_)
    is_test[stratified_places(labels, NUM_TEST_IMAGES)] = True
    return Dataset(
        "digits",
        images[~is_test],
        labels[~is_test],
        images[is_test],
        labels[is_test],
        source="scikit-learn's digits of 8x8 pixels",
    )


def _table() -> NDArray[Any]:
    """64 pixels and the label in a row, (1797, 65)."""
    # Importing sklearn.datasets for this file of 57 kB takes seconds and loads pandas.
    try:
        path = distribution("scikit-learn").locate_file(_FILE)
        with gzip.open(str(path), "rt", encoding="ascii") as file:
            return np.loadtxt(file, delimiter=",")
    except (OSError, PackageNotFoundError):
        return _table_by_import()


def _table_by_import() -> NDArray[Any]:
    from sklearn import datasets  # type: ignore[import-untyped]

    digits = datasets.load_digits()
    return np.column_stack([digits.data, digits.target])
