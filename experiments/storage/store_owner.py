"""Who is running trials of a store: names under which trials are claimed, and whether their owner is still there."""

import contextlib
import os
import secrets
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout

OWNERS_FOLDER = ".running"
STALE_SECONDS = 60.0


class StoreOwner:
    """This process as an owner of claims, for as long as it lives.

    The operating system frees the lock on the owner's file when the process ends in whatever way, so that claims of
    a killed process are known at once.

    Args:
        directory: folder of the store.
    """

    def __init__(self, directory: Path) -> None:
        self._folder = directory / OWNERS_FOLDER
        self.name = f"{os.getpid()}-{secrets.token_hex(6)}"
        self._lock = _lock(self._folder, self.name)

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock.acquire(timeout=0)
        for path in self._folder.glob("*.lock"):
            # A younger file may belong to a process that is about to lock it.
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > STALE_SECONDS:
                    self.is_gone(path.stem)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lock.release()
        _path(self._folder, self.name).unlink(missing_ok=True)

    def is_gone(self, other: str) -> bool:
        """Whether another owner's process has ended."""
        if other == self.name:
            return False
        lock = _lock(self._folder, other)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return False
        lock.release()
        _path(self._folder, other).unlink(missing_ok=True)
        return True


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}.lock"


def _lock(folder: Path, name: str) -> FileLock:
    return FileLock(_path(folder, name))
