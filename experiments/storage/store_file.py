"""Opens the SQLite file of a store: creates, migrates, and refuses what is damaged, foreign or newer."""

import shlex
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.storage.store_schema import (
    APPLICATION_ID,
    SCHEMA_VERSION,
    expected_schema,
    migrate,
    schema_of,
)
from velodrome.experiments.storage.stored_content import ContentError

STORE_FILE = "trials.sqlite"
BUSY_SECONDS = 60.0
# Above this size the check that reads every index as well is left out.
WHOLE_CHECK_BYTES = 1 << 28
SMALLEST_PAGE_BYTES = 512
# Of new stores: SQLite's own pages of 4,096 bytes leave a quarter of the room beside rows with curves empty.
PAGE_BYTES = 8192


class StoreError(ExperimentError):
    """A store is missing, damaged, foreign or newer than this release; the message is one line."""


class DamagedStoreError(StoreError):
    """A store whose content does not match its checksums, or that SQLite cannot read."""

    def __init__(self, path: Path | None, problem: str) -> None:
        if path is None:
            super().__init__(f"the store is damaged: {problem}")
            return
        command = shlex.join(["velodrome", "repair", str(path.parent)])
        super().__init__(f"{path} is damaged: {problem}; `{command}` keeps all that is whole")


def open_for_writing(path: Path) -> sqlite3.Connection:
    """Connection to a store that is made or migrated if needed: WAL, every commit on disk.

    Raises:
        StoreError: it cannot be opened, or is damaged, foreign or newer.
    """
    with as_store_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _refuse_foreign(path)
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            # First of all, because the journal's mode is written into the file, whoever it belongs to.
            _check(connection, path)
            connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            if mode != "wal":
                raise StoreError(f"{path} cannot keep a write-ahead log there: give --out a folder on a local disk")
            connection.execute("PRAGMA synchronous = FULL")
            with transaction(connection):
                version = _version(connection)
                if version < SCHEMA_VERSION:
                    migrate(connection, version)
        except BaseException:
            connection.close()
            raise
        return connection


def open_for_reading(path: Path, *, is_known: bool = False) -> sqlite3.Connection:
    """Connection that cannot write to an existing store, of this or an earlier version.

    Args:
        path: of the file.
        is_known: this program has looked through the whole file already; checksums of rows are checked anyway.

    Raises:
        StoreError: it is missing, empty, damaged, foreign or newer.
    """
    refuse_missing(path)
    with as_store_errors(path):
        _refuse_foreign(path)
        connection = _connect_read_only(path)
        try:
            _check(connection, path, is_whole=not is_known)
            if _version(connection) == 0:
                raise StoreError(f"{path} holds no trials yet")
        except BaseException:
            connection.close()
            raise
        return connection


def refuse_missing(path: Path) -> None:
    """Refuse a store that is not there.

    Raises:
        StoreError: with the folder above, if the store is there.
    """
    if not path.is_file():
        above = path.parent.parent / path.name
        hint = f"; did you mean {above.parent}?" if above.is_file() else ""
        raise StoreError(f"no store of trials in {path.parent}: {path.name} is missing{hint}")


def store_path(directory: str | Path) -> Path:
    """Place of the store of a folder, whatever folder is the current one later.

    Also, SQLite takes a relative path such as `file:y` for an address, not a path.
    """
    with as_store_errors(Path(directory)):
        return Path(directory).absolute() / STORE_FILE


def open_in_memory() -> sqlite3.Connection:
    """Connection to a new store that is gone when it is closed."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    with transaction(connection):
        migrate(connection, 0)
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing; other writers wait."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("COMMIT")
    except BaseException:
        # Where the disk is full, SQLite has rolled back already; Ctrl-C may come right after the commit.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def as_store_errors(path: Path | None) -> Iterator[None]:
    """Turns what SQLite and the file system raise into a StoreError that names the file."""
    try:
        yield
    except sqlite3.OperationalError as error:
        text = " ".join(str(error).split())
        if "decode" in text:
            # The rest of the message is the text itself.
            text = f"{text.partition(' with text ')[0]}, malformed text"
        if "malformed" in text or "no such" in text:
            raise DamagedStoreError(path, text) from None
        raise StoreError(f"{path}: {text}") from None
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        # A message of SQLite's may quote a damaged name.
        raise DamagedStoreError(path, " ".join(str(error).split())) from None
    except ContentError as error:
        raise StoreError(f"{path} is damaged: {error}") from None
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror or error}") from None


def _connect_read_only(path: Path) -> sqlite3.Connection:
    log = path.with_name(path.name + "-wal")
    has_log = log.exists() and log.stat().st_size > 0
    # Whoever closes a store last tidies its log away, which a connection of the first kind can do; it would also fold
    # a log with content into the file, and reading shall not write. The last of each is for a disk that is full or
    # cannot be written: what is read then is the file alone, or a copy elsewhere of the file with its log.
    attempts: list[Callable[[], sqlite3.Connection]]
    if has_log:
        attempts = [partial(_connection, path, "mode=ro"), partial(_connection_to_copy, path, log)]
    else:
        attempts = [partial(_connection, path, option) for option in ("mode=rw", "mode=ro", "mode=ro&immutable=1")]
    for attempt in attempts[:-1]:
        try:
            return attempt()
        except sqlite3.OperationalError as error:
            if (error.sqlite_errorname or "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
                raise
    return attempts[-1]()


def _connection(path: Path, options: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?{options}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _connection_to_copy(path: Path, log: Path) -> sqlite3.Connection:
    """Connection to a copy of a store and its log, which is gone when the connection is closed."""
    try:
        with tempfile.TemporaryDirectory(prefix="velodrome-", ignore_cleanup_errors=True) as folder:
            for file in (path, log):
                shutil.copyfile(file, Path(folder) / file.name)
            return _connection(Path(folder) / path.name, "mode=rw")
    except OSError as error:
        raise StoreError(
            f"{path} cannot be read here ({error.strerror or error}): its log {log.name} has to be read with it, for "
            "which SQLite needs a disk that can be written; copy the folder to one"
        ) from None


def _refuse_foreign(path: Path) -> None:
    if path.is_file():
        with path.open("rb") as file:
            start = file.read(SMALLEST_PAGE_BYTES)
        # SQLite takes the beginning of a page for a new database.
        if start and (start[:16] != b"SQLite format 3\x00" or len(start) < SMALLEST_PAGE_BYTES):
            raise StoreError(f"{path} is damaged, or is not a store: it is not an SQLite database")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _check(connection: sqlite3.Connection, path: Path, *, is_whole: bool = True) -> None:
    """Refuse a database that is not a whole store of this or an earlier version; an empty one is a new store."""
    application_id = connection.execute("PRAGMA application_id").fetchone()[0]
    version = _version(connection)
    schema = schema_of(connection)
    if application_id == 0 and version == 0 and not schema:
        return
    if application_id != APPLICATION_ID:
        raise StoreError(f"{path} is an SQLite database, but not a store of trials")
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path} was written by a newer release: it has schema version {version}, "
            f"this release knows versions up to {SCHEMA_VERSION}"
        )
    if is_whole:
        _look_through(connection, path)
    if schema != expected_schema(version):
        raise DamagedStoreError(path, f"its tables are not those of schema version {version}")


def _look_through(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a file whose pages do not fit together."""
    pages, page_size = (int(connection.execute(f"PRAGMA {what}").fetchone()[0]) for what in ("page_count", "page_size"))
    check = "integrity_check" if pages * page_size <= WHOLE_CHECK_BYTES else "quick_check"
    problem = str(connection.execute(f"PRAGMA {check}(1)").fetchone()[0])
    if problem != "ok":
        raise DamagedStoreError(path, " ".join(problem.split()))
