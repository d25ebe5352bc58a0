"""Memory of a worker process, from inside: how large it is, and whether it grows from trial to trial."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

# Libraries leak a little in every trial, and environments may leak much; a fresh process has none of it.
MAX_GROWTH = 256_000_000


def resident_bytes() -> int:
    """Memory that this process has in use."""
    return int(psutil.Process(os.getpid()).memory_info().rss)


class OwnMemory:
    """Memory that a trial takes, beside what its process had before and gained while the trial's time did not count.

    Attributes:
        before: bytes that are not the trial's.
    """

    def __init__(self) -> None:
        self.before = self._paused_at = resident_bytes()

    def note(self, counts: bool) -> None:
        """The trial's time begins to count again, or no longer does."""
        now = resident_bytes()
        if counts:
            self.before += now - self._paused_at
        self._paused_at = now


class Growth:
    """Memory left behind by trials of this process, but for the first of each kind, which loads what all need."""

    def __init__(self) -> None:
        self._kinds: set[int] = set()
        self._bytes = 0

    @property
    def is_large(self) -> bool:
        """Whether the process had better be replaced."""
        return self._bytes > MAX_GROWTH

    @contextmanager
    def watched(self, kind: bytes) -> Iterator[None]:
        """A trial of a kind is run inside."""
        before = resident_bytes()
        yield
        if hash(kind) in self._kinds:
            self._bytes += resident_bytes() - before
        self._kinds.add(hash(kind))


growth = Growth()
