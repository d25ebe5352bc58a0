"""The file that a run has opened, and whether it is still where it was."""

import contextlib
import os
import sqlite3
from pathlib import Path

from velodrome.agents.resuming.whole_files import whole_file
from velodrome.experiments.storage.store_file import StoreError

RESCUED = "trials.rescued.sqlite"


class OpenedFile:
    """Looks after every write whether the path of a store still names the file that was opened.

    If not, the trials are kept: a file that was moved has them, one that was deleted is written anew beside its place.

    Args:
        path: of the file, which has just been opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identity = _identity(path)
        # A descriptor of this kind tells of the file without touching SQLite's locks, as closing others would.
        self._descriptor = os.open(path, os.O_PATH) if hasattr(os, "O_PATH") else None

    def close(self) -> None:
        """Let the file go."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def check(self, connection: sqlite3.Connection) -> None:
        """Refuse to go on where the file is no longer in its place; what it holds is kept.

        Args:
            connection: to the file.

        Raises:
            StoreError: it was moved, deleted or replaced; the message says where the trials are.
        """
        if _identity(self._path) == self._identity:
            return
        # What was moved need not have its log beside it.
        with contextlib.suppress(sqlite3.Error):
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        moved_to = self._moved_to()
        if moved_to is not None:
            raise StoreError(
                f"{self._path} was moved during the run: all trials that have ended are in {moved_to}; move it back, "
                "and the same command goes on"
            )
        rescued = self._rescue(connection)
        raise StoreError(
            f"{self._path} was deleted or replaced during the run: all trials that have ended are in {rescued}; give "
            f"it the name {self._path.name}, and the same command goes on"
        )

    def _moved_to(self) -> str | None:
        """Where the file is now, if it is known that it still is anywhere."""
        if self._descriptor is None or os.fstat(self._descriptor).st_nlink == 0:
            return None
        try:
            return os.readlink(f"/proc/self/fd/{self._descriptor}")
        except OSError:
            return None

    def _rescue(self, connection: sqlite3.Connection) -> Path:
        """A copy of the whole store beside its place."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        rescued = self._path.with_name(RESCUED)
        with whole_file(rescued) as temporary, contextlib.closing(sqlite3.connect(temporary)) as copy:
            connection.backup(copy)
        return rescued


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and number of the file that a path names, None where there is none."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_dev, status.st_ino
