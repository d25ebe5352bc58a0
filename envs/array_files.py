"""Arrays from .npz files of anybody: looked over before anything is read, and never unpickled."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from velodrome.checks import VelodromeError

# Of the free memory: whoever reads arrays may need a second copy of one.
LARGEST_SHARE = 0.5
# Numbers, truth values and text.
_KINDS = "biufcUS"
_UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    RuntimeError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
)


class ArrayFileError(VelodromeError, ValueError):
    """A file that does not hold the arrays that it claims, or more than fits into memory; the message is one line."""


def read_arrays(file: Path | IO[bytes], names: Iterable[str] | None = None) -> dict[str, NDArray[Any]]:
    """Return the arrays of an .npz file by name.

    The list of members and the headers are compared first, so that nothing larger than an array's declared size is
    ever taken from memory.

    Args:
        file: its path, or the open file.
        names: of the arrays to read; all by default, and then nothing but arrays may be in the file.

    Raises:
        ArrayFileError: no .npz file, a damaged one, an array of Python objects, a name that stands there twice, or
            arrays that take more than half of the free memory.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            present = [name.removesuffix(".npy") for name in archive.namelist()]
            wanted = present if names is None else list(names)
            twice = next((name for name in wanted if present.count(name) > 1), None)
            if twice is not None:
                raise ArrayFileError(f"array {twice!r} stands there twice")
            check_memory(sum(array_size(archive, name) for name in wanted))
            return {name: _read(archive, name) for name in wanted}
    except ArrayFileError:
        raise
    except _UNREADABLE as error:
        raise ArrayFileError(" ".join(str(error).split()) or type(error).__name__) from None


def _read(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    with archive.open(f"{name}.npy") as member:
        array: NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
    return array


def array_size(archive: zipfile.ZipFile, name: str) -> int:
    """Number of bytes of an array, by its header; the archive's own list must agree.

    Raises:
        ArrayFileError: it is no array of numbers or text, or damaged.
    """
    try:
        entry = archive.getinfo(f"{name}.npy")
    except KeyError:
        raise ArrayFileError(f"{name!r} is not an array") from None
    with archive.open(entry) as member:
        shape, dtype = _header(member)
        start = member.tell()
    if dtype.kind not in _KINDS:
        raise ArrayFileError(f"{name} holds Python objects, which are not read")
    size = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if start + size != entry.file_size:
        raise ArrayFileError(f"{name} is damaged: {entry.file_size - start} bytes where its shape says {size}")
    return size


def check_memory(size: int) -> None:
    """Refuse arrays of so many bytes together where they would take more than half of the free memory.

    Raises:
        ArrayFileError: they would.
    """
    import psutil

    free = psutil.virtual_memory().available
    if size > LARGEST_SHARE * free:
        raise ArrayFileError(
            f"its arrays take {size / 1e9:.1f} GB, more than half of the free memory, {free / 1e9:.1f} GB"
        )


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(member)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ArrayFileError(f"array format {version[0]}.{version[1]} is not one of numbers")
    shape, _, dtype = readers[version](member)
    return shape, dtype
