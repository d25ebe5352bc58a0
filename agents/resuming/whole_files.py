"""Files that appear whole or not at all: written beside their place, then moved there in one step."""

import contextlib
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

if sys.platform != "win32":
    import fcntl

_BEGINNING, _END = ".velodrome-", ".part"


@contextlib.contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Path of a new, empty file that takes the place of `path` where the block ends without an error.

    Until then an earlier file stays as it is; where the block or the process ends otherwise, it stays for good. What
    killed processes left beside it is removed first. A link is followed; a pipe or device is written to as it is.

    Raises:
        OSError: the folder is missing or cannot be written, or the disk is full.
    """
    place = Path(os.path.realpath(path))
    if place.exists() and not place.is_file():
        yield place
        return
    remove_abandoned(place.parent)
    try:
        temporary, descriptor = _begin(place.parent)
    except OSError as error:
        # Nobody knows the other name.
        error.filename = os.fspath(path)
        raise
    try:
        yield temporary
        _finish(temporary, place)
        # Windows moves no file that is open.
        if sys.platform == "win32":
            os.close(descriptor)
            descriptor = -1
        os.replace(temporary, place)
    finally:
        with contextlib.suppress(OSError):
            os.close(descriptor)
        temporary.unlink(missing_ok=True)


def write_whole(path: str | Path, content: bytes | str) -> None:
    """Write a file that is seen whole or not at all, text as UTF-8 with plain line ends; see `whole_file`."""
    with whole_file(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def remove_abandoned(folder: Path) -> None:
    """Remove the unfinished files in a folder whose processes have ended, in whatever way."""
    with contextlib.suppress(OSError):
        for path in folder.glob(f"{_BEGINNING}*{_END}"):
            with contextlib.suppress(OSError):
                if _is_abandoned(path):
                    path.unlink()


def _begin(folder: Path) -> tuple[Path, int]:
    """An empty file with a recognisable name, and its descriptor: as long as that is open, its process lives."""
    while True:
        path = folder / f"{_BEGINNING}{os.getpid()}-{secrets.token_hex(6)}{_END}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        if _lock(descriptor) and path.exists():
            return path, descriptor
        # Another process took it for abandoned before it was locked.
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Whether nobody else has a file locked; from now on this process has, if the file system knows locks."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _is_abandoned(path: Path) -> bool:
    if sys.platform == "win32":
        import psutil  # type: ignore[import-untyped, unused-ignore]

        return not psutil.pid_exists(int(path.name.removeprefix(_BEGINNING).partition("-")[0]))
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    finally:
        os.close(descriptor)


def _finish(temporary: Path, place: Path) -> None:
    """Put everything on the disk, with the permissions of the file that it replaces."""
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    if place.is_file():
        os.chmod(temporary, place.stat().st_mode & 0o7777)
