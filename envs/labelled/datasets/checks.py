"""Checks of arrays of images and labels; every refusal is one line."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from velodrome.checks import VelodromeError

_CHANNELS = (1, 3, 4)
_LISTED = 5


class DatasetError(VelodromeError, ValueError):
    """A dataset or text that does not exist, cannot be read or does not fit; said in one line."""


def checked_images(name: str, given: ArrayLike) -> NDArray[Any]:
    """Images as uint8 from 0 to 255 or float32 from 0 to 1, read-only; a copy only where the type changes.

    Raises:
        DatasetError: naming `name` for any other shape, type or range.
    """
    images = _as_array(name, given, "images of one size")
    if images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] not in _CHANNELS):
        raise DatasetError(
            f"{name} must have shape (images, height, width) or (images, height, width, channels) with 1, 3 or 4 "
            f"channels, got {images.shape}"
        )
    if images.size == 0:
        raise DatasetError(f"{name} must hold at least one image of at least one pixel, got shape {images.shape}")
    if images.dtype.kind not in "buif":
        raise DatasetError(f"{name} must be whole numbers from 0 to 255 or fractions from 0 to 1, got {images.dtype}")
    has_fractions = images.dtype.kind in "bf"
    limit = 1 if has_fractions else 255
    low, high = images.min(), images.max()
    # A comparison with NaN is never true.
    if not (low >= 0 and high <= limit):
        kind = "fractions" if has_fractions else "whole numbers"
        hint = ": NaN" if low != low else f" {_number(low)} to {_number(high)}"
        raise DatasetError(f"{name} must be {kind} from 0 to {limit}, got values{hint}")
    return _locked(images.astype(np.float32 if has_fractions else np.uint8, order="C", copy=False))


def checked_labels(name: str, given: ArrayLike) -> NDArray[np.int64]:
    """Labels as int64 (num_labels,), read-only; a column is flattened.

    Raises:
        DatasetError: naming `name` if they are not whole numbers of at least 0, one an image.
    """
    labels = _as_array(name, given, "labels, one an image")
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise DatasetError(f"{name} must have shape (labels,), one class number an image, got {labels.shape}")
    if labels.dtype.kind not in "ui":
        raise DatasetError(f"{name} must be whole numbers, the images' classes, got {labels.dtype}")
    if labels.size and labels.min() < 0:
        raise DatasetError(f"{name} must be class numbers from 0 on, got {labels.min()}")
    if labels.size and labels.max() > np.iinfo(np.int64).max:
        raise DatasetError(f"{name} must be class numbers from 0 on, got {labels.max()}")
    return _locked(labels.astype(np.int64, order="C", copy=False))


def refuse_label_gaps(y_train: NDArray[np.int64], y_test: NDArray[np.int64]) -> int:
    """Number of classes, of which each must be among the training labels.

    Raises:
        DatasetError: if there are gaps, fewer than two classes, or test labels that no training image has.
    """
    present = np.unique(y_train)
    expected = np.arange(len(present))
    if not np.array_equal(present, expected):
        missing = expected[present != expected][0]
        raise DatasetError(
            f"y_train has labels {_listed(present)}, but none is {missing}: number the classes 0 to "
            f"{len(present) - 1} without gaps"
        )
    if len(present) < 2:
        raise DatasetError("y_train must have at least two classes, got one")
    unknown = np.setdiff1d(y_test, present)
    if unknown.size:
        raise DatasetError(f"y_test has label {unknown[0]}, but y_train has only 0 to {len(present) - 1}")
    return len(present)


def _as_array(name: str, given: ArrayLike, wanted: str) -> NDArray[Any]:
    try:
        array = np.asarray(given)
    except ValueError:
        array = np.empty(0, dtype=object)
    if array.dtype.hasobject:
        raise DatasetError(f"{name} must be one array of {wanted}, got objects or rows of different lengths")
    return array


def _locked(array: NDArray[Any]) -> NDArray[Any]:
    """A read-only view; whoever gave the array may still write to it."""
    view = array.view()
    view.flags.writeable = False
    return view


def _listed(labels: NDArray[np.int64]) -> str:
    shown = ", ".join(map(str, labels[:_LISTED]))
    return shown if len(labels) <= _LISTED else f"{shown}, …, {labels[-1]}"


def _number(value: Any) -> str:
    return f"{float(value):.6g}" if value.dtype.kind == "f" else str(value)
