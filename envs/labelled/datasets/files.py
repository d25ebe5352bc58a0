"""Datasets in .npz files: looked over before anything is read, and never unpickled."""

from __future__ import annotations

import gzip
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from velodrome.checks import did_you_mean
from velodrome.envs.array_files import ArrayFileError, array_size, check_memory
from velodrome.envs.labelled.datasets.checks import DatasetError
from velodrome.envs.labelled.datasets.dataset import Dataset

KEYS = ("x_train", "y_train", "x_test", "y_test")
_UNREADABLE = (OSError, ValueError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error, struct.error)


def existing_path(path: object) -> Path:
    """`path`, with ~ for the home folder.

    Raises:
        DatasetError: it is no path, or nothing is there.
    """
    try:
        found = Path(path).expanduser()  # type: ignore[arg-type]
        exists = found.exists()
    except (TypeError, ValueError, RuntimeError, OSError):
        raise DatasetError(f"path must be the path of a file, got {path!r}") from None
    if not exists:
        raise DatasetError(f"path {str(path)!r} does not exist")
    return found


def load_npz(path: Path, name: str | None = None) -> Dataset:
    """Dataset of an .npz file with the arrays x_train, y_train, x_test and y_test.

    Args:
        path: of the file.
        name: of the dataset; the file's name without its ending by default.

    Raises:
        DatasetError: beginning with the path, for a file that is no .npz, is damaged, does not fit into half of the
            free memory, or whose arrays make no dataset.
    """
    try:
        _look_over(path)
        with np.load(path, allow_pickle=False) as arrays:
            read = {key: arrays[key] for key in KEYS}
        return Dataset(name or path.stem, **read, source=path.name, path=path)
    except (DatasetError, ArrayFileError) as error:
        raise DatasetError(f"{path}: {error}") from None
    except MemoryError:
        raise DatasetError(f"{path} does not fit into memory") from None
    except _UNREADABLE as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise DatasetError(f"{path} cannot be read: {text}") from None


def _look_over(path: Path) -> None:
    """Read nothing but the list of arrays and their headers."""
    if path.is_dir():
        raise DatasetError("this is a folder, not an .npz file")
    if not zipfile.is_zipfile(path):
        raise DatasetError(f"this is no .npz file; numpy.savez writes one, with {', '.join(KEYS)}")
    with zipfile.ZipFile(path) as archive:
        present = [name.removesuffix(".npy") for name in archive.namelist()]
        for key in KEYS:
            if key not in present:
                hint = did_you_mean(key, present).replace("did you mean", "is it called")
                listed = ", ".join(map(repr, present[:8])) or "nothing"
                raise DatasetError(f"array {key!r} is missing{hint or f': there is {listed}'}")
        check_memory(sum(_size(archive, key) for key in KEYS))


def _size(archive: zipfile.ZipFile, key: str) -> int:
    try:
        return array_size(archive, key)
    except ArrayFileError as error:
        wanted = "one array of numbers" + (", with all images of one size" if key.startswith("x") else "")
        advice = f": save {wanted}" if "Python objects" in str(error) else ""
        raise DatasetError(f"{error}{advice}") from None


def read_idx(path: Path, magic: int) -> NDArray[np.uint8]:
    """Array of a gzip-compressed IDX file of unsigned bytes, the format in which MNIST was published.

    Args:
        path: of the file.
        magic: its first four bytes: 2049 for labels, 2051 for images.

    Raises:
        DatasetError: the file is missing or damaged.
    """
    try:
        with gzip.open(path) as file:
            found, *shape = struct.unpack(f">{1 + magic % 256}i", file.read(4 * (1 + magic % 256)))
            values = np.frombuffer(file.read(), dtype=np.uint8)
        if found != magic:
            raise ValueError(f"it begins with {found} instead of {magic}")
        return values.reshape(shape)
    except _UNREADABLE as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise DatasetError(f"{path} cannot be read: {text}") from None
