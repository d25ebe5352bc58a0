"""Rows of an SQLite file read from its pages alone, for a file whose way to them is damaged.

Rows stand on the leaves of trees. Where a page above them is broken, SQLite cannot find the leaves any more, but they
are there, and the rows that were stored with a checksum can be told from anything else.

Source:
    SQLite, "Database File Format", sections 1.6 (pages), 2.1 (records): https://www.sqlite.org/fileformat2.html
"""

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_HEADER_BYTES = 100
_LEAF_OF_ROWS = 13
# Those of stores of this release, and of earlier ones.
_PAGE_SIZES = (8192, 4096)
_WHOLE_NUMBER_BYTES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
_CONSTANTS: dict[int, Any] = {0: None, 8: 0, 9: 1}


def leaf_rows(path: Path) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """Number and columns of every row on a page of rows, of whatever table; what makes no sense is left out.

    A column that is a table's INTEGER PRIMARY KEY is None: its value is the row's number. Whole numbers of a REAL
    column are ints, and deleted rows may come back, as SQLite leaves them on free pages.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        told = int.from_bytes(content[16:18], "big")
        # 1 stands for the largest size, which two bytes cannot hold.
        size = 1 << 16 if told == 1 else told
        for page_size in (size,) if size >= 512 and size & (size - 1) == 0 else _PAGE_SIZES:
            pages = _Pages(content, page_size)
            for page in range(1, pages.number + 1):
                yield from pages.rows(page)


class _Pages:
    """The pages of a file, numbered from 1."""

    def __init__(self, content: mmap.mmap, size: int) -> None:
        self._size = size
        self._usable = self._size - content[20]
        self._content = content
        self.number = len(content) // self._size

    def rows(self, page: int) -> Iterator[tuple[int, tuple[Any, ...]]]:
        """Rows of a page; none if it is no leaf of rows."""
        data = self._page(page)
        start = _HEADER_BYTES if page == 1 else 0
        if data[start] != _LEAF_OF_ROWS:
            return
        count = int.from_bytes(data[start + 3 : start + 5], "big")
        for place in range(start + 8, min(start + 8 + 2 * count, self._size - 1), 2):
            try:
                yield self._row(data, int.from_bytes(data[place : place + 2], "big"))
            except (IndexError, ValueError, struct.error):
                continue

    def _page(self, number: int) -> bytes:
        return self._content[(number - 1) * self._size : number * self._size]

    def _row(self, data: bytes, place: int) -> tuple[int, tuple[Any, ...]]:
        length, place = _varint(data, place)
        number, place = _varint(data, place)
        return number, _columns(self._payload(data, place, length))

    def _payload(self, data: bytes, place: int, length: int) -> bytes:
        """Bytes of a row: on its page, and on pages of its own where that is too long."""
        if length > len(self._content):
            raise ValueError("longer than the file")
        here = self._bytes_on_leaf(length)
        parts, left = [data[place : place + here]], length - here
        following = int.from_bytes(data[place + here : place + here + 4], "big") if left else 0
        while left > 0:
            if not 0 < following <= self.number:
                raise ValueError("no such page")
            data = self._page(following)
            parts.append(data[4 : min(self._usable, 4 + left)])
            left -= len(parts[-1])
            following = int.from_bytes(data[:4], "big")
        return b"".join(parts)

    def _bytes_on_leaf(self, length: int) -> int:
        most = self._usable - 35
        if length <= most:
            return length
        least = (self._usable - 12) * 32 // 255 - 23
        here = least + (length - least) % (self._usable - 4)
        return here if here <= most else least


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """A number of one to nine bytes, and the place after it."""
    value = 0
    for _ in range(8):
        byte = data[place]
        place += 1
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, place
    return value << 8 | data[place], place + 1


def _columns(record: bytes) -> tuple[Any, ...]:
    end, place = _varint(record, 0)
    kinds = []
    while place < end:
        kind, place = _varint(record, place)
        kinds.append(kind)
    values = []
    for kind in kinds:
        value, place = _value(record, place, kind)
        values.append(value)
    return tuple(values)


def _value(record: bytes, place: int, kind: int) -> tuple[Any, int]:
    if kind in _CONSTANTS:
        return _CONSTANTS[kind], place
    if kind == 7:
        return struct.unpack_from(">d", record, place)[0], place + 8
    if kind in _WHOLE_NUMBER_BYTES:
        end = place + _WHOLE_NUMBER_BYTES[kind]
        return int.from_bytes(record[place:end], "big", signed=True), end
    end = place + (kind - 12) // 2
    if kind < 12 or end > len(record):
        raise ValueError("no column")
    part = record[place:end]
    return part.decode("utf-8", "surrogateescape") if kind % 2 else part, end
