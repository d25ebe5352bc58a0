"""Datasets by name or path, kept in memory once for all environments of a process."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from velodrome.checks import did_you_mean
from velodrome.envs.labelled.datasets.checks import DatasetError
from velodrome.envs.labelled.datasets.dataset import Dataset
from velodrome.envs.labelled.datasets.digits import load_digits
from velodrome.envs.labelled.datasets.files import existing_path, load_npz
from velodrome.envs.labelled.datasets.mnist import download, find_file, find_given, read_mnist, search_folders

#: Names of the labelled images that `load_dataset` reads.
DATASETS = ("digits", "mnist", "fashion_mnist")
# Two is what training on one and testing on another needs.
_KEPT = 2


def load_dataset(dataset: str | Dataset | None = None, path: str | Path | None = None) -> Dataset:
    """A dataset by name, or of an .npz file.

    Repeated calls give the same object, of a `path` as long as the file is unchanged; the last two are kept in
    memory.

    Args:
        dataset: "digits", "mnist", "fashion_mnist", or a Dataset, which is handed back. None is "digits", or
            with a path what the file holds.
        path: of an .npz file with x_train, y_train, x_test and y_test. "mnist" and "fashion_mnist" look, without
            it, in the folder that the environment variable VELODROME_DATA names, then in Keras' cache, then have
            Keras download them.

    Raises:
        DatasetError: no such dataset or file, or the file's arrays make no dataset; one line.
    """
    if isinstance(dataset, Dataset):
        if path is not None:
            raise DatasetError(f"path {str(path)!r} is not needed: the dataset {dataset.name!r} is in memory")
        return dataset
    if dataset is None and path is not None:
        return _of_file(None, *_identity(existing_path(path)))
    name = "digits" if dataset is None else dataset
    if name not in DATASETS:
        raise DatasetError(_unknown(name))
    if name == "digits":
        if path is not None:
            raise DatasetError(f"'digits' has no path, got {str(path)!r}: without dataset= the file is read")
        return _digits()
    if path is not None:
        return _of_file(name, *_identity(find_given(name, path)))
    return _of_name(name, tuple(map(str, search_folders())))


def _unknown(name: object) -> str:
    listed = ", ".join(map(repr, DATASETS))
    if str(name).endswith(".npz"):
        return f"dataset must be one of {listed}, got {name!r}: a file is given as path={name!r}"
    return f"dataset must be one of {listed}, got {name!r}{did_you_mean(name, DATASETS)}"


def _identity(path: Path) -> tuple[str, int, int]:
    """Place, time of change and size of a file, which stay while it is the same one."""
    state = path.stat()
    # Not resolved: a link's own name is what the file is called.
    return str(path.absolute()), state.st_mtime_ns, state.st_size


@lru_cache(maxsize=1)
def _digits() -> Dataset:
    return load_digits()


@lru_cache(maxsize=_KEPT)
def _of_file(name: str | None, location: str, changed: int, size: int) -> Dataset:
    path = Path(location)
    return load_npz(path) if name is None else read_mnist(name, path)


@lru_cache(maxsize=_KEPT)
def _of_name(name: str, folders: tuple[str, ...]) -> Dataset:
    location = find_file(name)
    return download(name) if location is None else _of_file(name, *_identity(location))
