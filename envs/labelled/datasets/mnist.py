"""MNIST and Fashion-MNIST: found on this machine, or downloaded by Keras."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from velodrome.envs.labelled.datasets.checks import DatasetError
from velodrome.envs.labelled.datasets.dataset import Dataset
from velodrome.envs.labelled.datasets.files import existing_path, load_npz, read_idx
from velodrome.envs.labelled.keras_import import keras_on_tensorflow

FOLDER_VARIABLE = "VELODROME_DATA"
_SHAPE, _CLASSES = (28, 28), 10
# Of the bytes of x_train, y_train, x_test and y_test in turn, all uint8, as in the four files first published.
_MNIST_SHA256 = "06b0d1f124c4e5fa796686ade41a9b778edacc8622f2195a352ef479ad44fc16"
_IDX_MAGIC = {"images-idx3-ubyte.gz": 2051, "labels-idx1-ubyte.gz": 2049}


def search_folders() -> list[Path]:
    """Where datasets are looked for, in this order: the folder that VELODROME_DATA names, and Keras' cache."""
    named, keras = os.environ.get(FOLDER_VARIABLE), os.environ.get("KERAS_HOME")
    cache = (Path(keras) if keras else Path("~/.keras").expanduser()) / "datasets"
    return [Path(named).expanduser(), cache] if named else [cache]


def find_file(name: str) -> Path | None:
    """The .npz file, or the folder with the four IDX files, of "mnist" or "fashion_mnist"; None without either."""
    return next(filter(None, (_in_folder(name, folder) for folder in search_folders())), None)


def find_given(name: str, path: object) -> Path:
    """The .npz file at `path`, or what a folder at `path` has of the dataset.

    Raises:
        DatasetError: there is nothing.
    """
    given = existing_path(path)
    found = _in_folder(name, given) if given.is_dir() else given
    if found is None:
        raise DatasetError(f"folder {str(path)!r} has no {name}.npz")
    return found


def read_mnist(name: str, location: Path) -> Dataset:
    """Dataset at a location that `find_file` or `find_given` gave.

    Raises:
        DatasetError: it cannot be read, or is no set of 28x28 images in ten classes.
    """
    if location.is_dir():
        parts: dict[str, NDArray[Any]] = {
            f"{letter}_{part}": read_idx(location / f"{prefix}-{kind}", magic)
            for part, prefix in (("train", "train"), ("test", "t10k"))
            for letter, (kind, magic) in zip("xy", _IDX_MAGIC.items(), strict=True)
        }
        dataset = Dataset(name, **parts, source=f"{location.name}/", path=location)
    else:
        dataset = load_npz(location, name)
    if (dataset.image_shape, dataset.num_classes) != (_SHAPE, _CLASSES):
        size = "x".join(map(str, dataset.image_shape))
        raise DatasetError(
            f"{location} is not {name}: it has images of {size} in {dataset.num_classes} classes, not 28x28 in 10; "
            "without dataset= it is read as what it is"
        )
    return _with_verdict(dataset)


def download(name: str) -> Dataset:
    """Have Keras download a dataset into its cache.

    Raises:
        DatasetError: naming all ways to get it, if this one fails too.
    """
    try:
        # What Keras prints on the way is no output of a program that asked for data.
        with contextlib.redirect_stdout(sys.stderr):
            loader = getattr(keras_on_tensorflow().datasets, name)
            (x_train, y_train), (x_test, y_test) = loader.load_data()
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        places = " or in ".join(str(folder) for folder in search_folders())
        unset = "" if os.environ.get(FOLDER_VARIABLE) else f", or in a folder that {FOLDER_VARIABLE} names"
        raise DatasetError(
            f"no {name} found: give path='…/{name}.npz', or put {name}.npz in {places}{unset}; "
            f"Keras could not download it ({reason})"
        ) from None
    return _with_verdict(Dataset(name, x_train, y_train, x_test, y_test, source="downloaded by Keras"))


def _in_folder(name: str, folder: Path) -> Path | None:
    file = folder / f"{name}.npz"
    if file.is_file():
        return file
    # Keras caches Fashion-MNIST as it was published.
    published = folder / name.replace("_", "-")
    complete = all((published / f"{prefix}-{kind}").is_file() for prefix in ("train", "t10k") for kind in _IDX_MAGIC)
    return published if complete else None


def _with_verdict(dataset: Dataset) -> Dataset:
    """The dataset, whose source says for MNIST whether every byte is as published."""
    if dataset.name != "mnist":
        return dataset
    digest = hashlib.sha256()
    for array in (dataset.x_train, dataset.y_train, dataset.x_test, dataset.y_test):
        digest.update(np.ascontiguousarray(array, dtype=np.uint8).data)
    is_canonical = dataset.x_train.dtype == np.uint8 and digest.hexdigest() == _MNIST_SHA256
    verdict = "as published" if is_canonical else "not the published MNIST"
    return dataclasses.replace(dataset, source=f"{dataset.source}, by its SHA-256 {verdict}")
