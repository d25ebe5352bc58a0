"""Salvages a damaged store: what matches its checksum goes into a new file, which then takes the old one's place."""

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from velodrome.agents.resuming.whole_files import whole_file
from velodrome.experiments.storage.episode_curves import PackedCurves
from velodrome.experiments.storage.leaf_pages import leaf_rows
from velodrome.experiments.storage.store import (
    Store,
    StoreError,
    curves_sha256,
    experiment_digest,
    measured_sha256,
    stored_measured,
)
from velodrome.experiments.storage.store_file import (
    BUSY_SECONDS,
    PAGE_BYTES,
    DamagedStoreError,
    as_store_errors,
    open_for_reading,
    store_path,
    transaction,
)
from velodrome.experiments.storage.store_owner import OWNERS_FOLDER, StoreOwner
from velodrome.experiments.storage.store_schema import (
    CIRCUMSTANCES,
    EARLIER_COLUMNS,
    METRICS,
    STORED_COLUMNS,
    migrate,
)
from velodrome.experiments.storage.stored_content import ContentError
from velodrome.experiments.storage.trial_key import canonical_json, key_of_specification
from velodrome.experiments.storage.trial_rows import Row, read_row, row_checksum, stored_values, text_sha256

_EXPERIMENT = ("id", "name", "description", "settings", "warnings", "digest", "run_number", "checksum")
# The columns of a table; of trials, those of today's stores and of earlier ones, which differ in number.
_COLUMNS: dict[str, tuple[str, ...]] = {
    "provenance": ("id", "content", "checksum"),
    "trials": STORED_COLUMNS,
    "curves": ("key", "returns", "lengths", "successes"),
    "measured_curves": ("key", "name", "unit", "num_points", "at_blob", "values_blob"),
    "experiments": _EXPERIMENT,
}
_REALS = {name for name, kind in (METRICS | CIRCUMSTANCES).items() if kind.startswith("REAL")}

# Agent, environment and seed, as far as they are known.
Labels = tuple[str, str, int | None]
# The keys that it may have, and what its row says of it.
DamagedTrial = tuple[tuple[str, ...], Labels]


@dataclass(frozen=True)
class LostTrial:
    """A trial whose row or curves were damaged; agent and environment by their labels, where an experiment has it."""

    key: str
    agent: str
    environment: str
    seed: int | None


@dataclass(frozen=True)
class Repair:
    """Findings of a repair.

    Attributes:
        kept: number of trials that are whole, to the byte.
        lost: trials that were dropped; the next `compare` of their experiment runs them again.
        remarks: what else was lost, a line each.
        damaged_file: where the file of before is kept; None where nothing was damaged, and nothing was done.
    """

    kept: int
    lost: tuple[LostTrial, ...] = ()
    remarks: tuple[str, ...] = ()
    damaged_file: Path | None = None

    def lines(self) -> Iterator[str]:
        """The findings, for people; the last line is the sum."""
        seeds: dict[tuple[str, str], list[str]] = {}
        for trial in self.lost:
            seeds.setdefault((trial.agent, trial.environment), []).append(
                "?" if trial.seed is None else f"{trial.seed}"
            )
        for (agent, environment), some in seeds.items():
            yield f"dropped: {agent} on {environment}, seed{'s' * (len(some) > 1)} {', '.join(some)}"
        yield from self.remarks
        if self.damaged_file is None:
            yield f"nothing is damaged: {_trials(self.kept)} kept"
            return
        yield f"the damaged file is kept as {self.damaged_file}"
        again = "; `velodrome compare` runs what was dropped again" if self.lost else ""
        yield f"{_trials(self.kept)} kept, {len(self.lost)} dropped{again}"


def repair(directory: str | Path) -> Repair:
    """Drop from a store exactly what is damaged, and say what it was.

    Everything that matches its checksum is copied into a new file. Only when that is complete and on the disk does it
    take the place of the old one, which is kept under another name: a kill on the way loses nothing. Where nothing is
    damaged, nothing is written.

    Args:
        directory: folder of the store.

    Raises:
        StoreError: the store is missing, foreign, newer or in use.
    """
    path = store_path(directory)
    if _is_whole(directory):
        with Store.open_for_reading(directory, is_known=True) as store:
            return Repair(len(store.keys()))
    _refuse_in_use(path)
    with as_store_errors(path), contextlib.ExitStack() as files:
        source = files.enter_context(contextlib.closing(_open_damaged(path)))
        temporary = files.enter_context(whole_file(path))
        target = sqlite3.connect(temporary, isolation_level=None)
        with contextlib.closing(target):
            target.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            salvage = _Salvage(path, source, target)
            with transaction(target):
                salvage.copy()
        with Store(open_for_reading(temporary), temporary) as repaired:
            _check(repaired)
            kept = len(repaired.keys())
        # SQLite keeps its log beside the file itself, not beside a link to it.
        damaged_file = _set_aside(path.resolve())
    return Repair(kept, tuple(salvage.lost), tuple(salvage.remarks), damaged_file)


def _is_whole(directory: str | Path) -> bool:
    try:
        with Store.open_for_reading(directory) as store:
            _check(store)
    except DamagedStoreError:
        return False
    return True


def _check(store: Store) -> None:
    """Read everything of a store against its checksum."""
    store.content_digest()
    for name in store.experiments():
        store.experiment(name)
    for (way,) in store.connection.execute("SELECT DISTINCT provenance FROM trials").fetchall():
        store.provenance(way)


def _refuse_in_use(path: Path) -> None:
    owner = StoreOwner(path.parent)
    for lock in (path.parent / OWNERS_FOLDER).glob("*.lock"):
        if not owner.is_gone(lock.stem):
            raise StoreError(f"{path} is in use by a run of this machine: repair it when that has ended")


def _open_damaged(path: Path) -> sqlite3.Connection:
    """Connection that reads as much as can be read, and keeps all others from writing meanwhile."""
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    connection.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
    # A schema that is damaged is read as far as it can be, and nothing that it defines is trusted.
    tolerant = ("PRAGMA trusted_schema = OFF", "PRAGMA writable_schema = ON")
    for statement in (*tolerant, "PRAGMA journal_mode = DELETE", "BEGIN EXCLUSIVE"):
        try:
            connection.execute(statement).fetchall()
        except sqlite3.DatabaseError as error:
            if (error.sqlite_errorname or "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
                connection.close()
                raise StoreError(f"{path} is in use by another program: repair it when that has ended") from None
    return connection


def _set_aside(path: Path) -> Path:
    """Give the damaged file, and a log that could not be folded into it, a second name; returns that."""
    number, place = 1, path.with_name(f"{path.stem}.damaged{path.suffix}")
    while place.exists():
        number += 1
        place = path.with_name(f"{path.stem}.damaged-{number}{path.suffix}")
    log = path.with_name(f"{path.name}-wal")
    for file, name in ((path, place), (log, place.with_name(f"{place.name}-wal"))):
        if file.exists():
            try:
                os.link(file, name)
            except OSError:
                shutil.copy2(file, name)
    # A log that stayed beside the new file would be read into it.
    log.unlink(missing_ok=True)
    return place


class _Salvage:
    """Copies what is whole from one database to another, which is empty.

    Args:
        path: of the first.
        source: connection to it.
        target: connection to the other.

    Attributes:
        lost: the trials that could not be copied.
        remarks: on what else could not.
    """

    def __init__(self, path: Path, source: sqlite3.Connection, target: sqlite3.Connection) -> None:
        self._path, self._source, self._target = path, source, target
        self.lost: list[LostTrial] = []
        self.remarks: list[str] = []

    def copy(self) -> None:
        """Copy everything, and note what is lost."""
        migrate(self._target, 0)
        self._copy_provenance()
        damaged = self._copy_trials()
        self._copy_curves()
        self._copy_measured_curves()
        damaged += self._drop_without_curves()
        self._copy_experiments()
        self._replace_lost_provenance()
        labels = self._labels()
        # A damaged row goes by whichever of its two keys an experiment knows.
        told = {next((key for key in keys if key in labels), keys[0]): what for keys, what in damaged}
        told |= {key: labels[key] for key in self._keys() - told.keys() if key in labels}
        whole = {row[0] for row in self._target.execute("SELECT key FROM trials")}
        lost = [LostTrial(key, *labels.get(key, what)) for key, what in told.items() if key not in whole]
        self.lost = sorted(lost, key=lambda one: (one.environment, one.agent, one.seed is None, one.seed))

    def _copy_provenance(self) -> None:
        for row in self._rows("provenance"):
            if isinstance(row[1], str) and _sha256(row[1]) == row[2]:
                self._target.execute("INSERT OR IGNORE INTO provenance VALUES (?, ?, ?)", row)

    def _copy_trials(self) -> list[DamagedTrial]:
        """Copy the rows that match their checksum; returns the others."""
        damaged: list[DamagedTrial] = []
        places = ", ".join("?" * len(STORED_COLUMNS))
        insert = f"INSERT OR IGNORE INTO trials ({', '.join(STORED_COLUMNS)}) VALUES ({places})"
        for values in self._rows("trials"):
            row = _whole_row(values)
            if row is not None:
                self._target.execute(insert, stored_values(row))
            else:
                damaged.append(_damaged(values))
        return damaged

    def _copy_curves(self) -> None:
        for key, *columns in self._rows("curves"):
            known = self._target.execute("SELECT curves_sha256 FROM trials WHERE key = ?", (_text(key),)).fetchone()
            if (
                known is not None
                and isinstance(columns[0], bytes)
                and curves_sha256(PackedCurves(*columns)) == known[0]
            ):
                self._target.execute("INSERT OR IGNORE INTO curves VALUES (?, ?, ?, ?)", (key, *columns))

    def _copy_measured_curves(self) -> None:
        if "measures" not in self._names_of_trials():
            return
        wanted = "SELECT 1 FROM trials WHERE key = ? AND measured_sha256 IS NOT NULL"
        for row in self._rows("measured_curves"):
            texts = [_text(value) if isinstance(value, str) else value for value in row]
            if self._target.execute(wanted, texts[:1]).fetchone():
                self._target.execute("INSERT OR IGNORE INTO measured_curves VALUES (?, ?, ?, ?, ?, ?)", texts)

    def _drop_without_curves(self) -> list[DamagedTrial]:
        """Drop trials whose curves are lost; returns them."""
        select = "SELECT key, agent, environment, seed, measured_sha256 FROM trials"
        without = "curves_sha256 IS NOT NULL AND key NOT IN (SELECT key FROM curves)"
        rows = self._target.execute(f"{select} WHERE {without}").fetchall()
        for row in self._target.execute(f"{select} WHERE measured_sha256 IS NOT NULL").fetchall():
            if measured_sha256(stored_measured(self._target, row[0])) != row[4]:
                rows.append(row)
        for table in ("trials", "curves", "measured_curves"):
            self._target.executemany(f"DELETE FROM {table} WHERE key = ?", [row[:1] for row in rows])
        return [((key,), (agent, environment, seed)) for key, agent, environment, seed, _ in rows]

    def _copy_experiments(self) -> None:
        for identifier, *header, digest, run_number, checksum in self._rows("experiments"):
            trials = self._trials_of(identifier)
            true_digest = experiment_digest(tuple(header), trials)
            is_in_order = _sha256(f"{true_digest} {run_number}") == checksum
            if not true_digest or not (true_digest == digest or is_in_order):
                self.remarks.append(
                    f"dropped: the list of trials of the experiment {_text(header[0])!r}; the command that ran it "
                    "brings it back, and runs nothing that is stored"
                )
                continue
            known = "SELECT 1 FROM experiments WHERE id = ? OR digest = ?"
            if self._target.execute(known, (identifier, true_digest)).fetchone():
                continue
            if not is_in_order:
                run_number = 0
                self.remarks.append(f"the experiment {header[0]!r} now counts as the oldest: when it ran is not known")
            self._target.execute(
                f"INSERT INTO experiments ({', '.join(_EXPERIMENT)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (identifier, *header, true_digest, run_number, _sha256(f"{true_digest} {run_number}")),
            )
            self._target.executemany(
                "INSERT INTO experiment_trials VALUES (?, ?, ?, ?, ?, ?)",
                ((identifier, position, *trial) for position, trial in enumerate(trials)),
            )

    def _trials_of(self, experiment: int) -> list[tuple[Any, ...]]:
        select = "SELECT key, agent, environment, seed FROM experiment_trials WHERE experiment = ? ORDER BY position"
        with contextlib.suppress(sqlite3.DatabaseError):
            return self._source.execute(select, (experiment,)).fetchall()
        return []

    def _replace_lost_provenance(self) -> None:
        """Say of trials whose provenance is lost that it is not known how they were run."""
        missing = "SELECT DISTINCT provenance FROM trials WHERE provenance NOT IN (SELECT id FROM provenance)"
        for (way,) in self._target.execute(missing).fetchall():
            content = canonical_json({"versions": {}, "command": [], "lost": way})
            self._target.execute("INSERT INTO provenance VALUES (?, ?, ?)", (way, content, _sha256(content)))
            self.remarks.append(
                "dropped: how some trials were run (versions, command, machine); their results are whole"
            )

    def _labels(self) -> dict[str, Labels]:
        """Labels of trials by key: those of the latest whole experiment that has them, else of any."""
        select = "SELECT key, experiment_trials.agent, experiment_trials.environment, seed FROM experiment_trials"
        latest_last = f"{select} JOIN experiments ON experiments.id = experiment ORDER BY run_number"
        rows: list[tuple[Any, ...]] = []
        with contextlib.suppress(sqlite3.DatabaseError):
            rows += self._source.execute(select)
        rows += self._target.execute(latest_last)
        return {_text(key): (_text(agent), _text(place), seed) for key, agent, place, seed in rows}

    def _keys(self) -> set[str]:
        """Keys of all trials that the store had, as far as its indices can be read."""
        keys: set[str] = set()
        for table in ("trials", "curves"):
            with contextlib.suppress(sqlite3.DatabaseError):
                for row in self._source.execute(f"SELECT key FROM {table} ORDER BY key"):
                    keys.add(_text(row[0]))
        return keys

    def _rows(self, table: str) -> Iterator[tuple[Any, ...]]:
        """Rows of a table as far as SQLite finds them, and then all that stand anywhere in the file."""
        try:
            columns = _COLUMNS[table]
            if table == "trials" and "measures" not in self._names_of_trials():
                columns = EARLIER_COLUMNS
            for row in self._source.execute(f"SELECT {', '.join(columns)} FROM {table} NOT INDEXED"):
                yield tuple(row)
        except sqlite3.DatabaseError:
            yield from self._rows_anywhere(table)

    def _rows_anywhere(self, table: str) -> Iterator[tuple[Any, ...]]:
        # A store that was migrated has rows of before on its free pages, which say the same.
        layouts = (STORED_COLUMNS, EARLIER_COLUMNS) if table == "trials" else (_COLUMNS[table],)
        # No other table has as many columns.
        by_number = {len(columns): columns for columns in layouts}
        for number, values in leaf_rows(self._path):
            columns = by_number.get(len(values), ())
            if columns:
                row = tuple(_as_column(name, value, number) for name, value in zip(columns, values, strict=True))
                # A row on a free page may be of a trial that failed before it was run again.
                if table != "trials" or row[columns.index("status")] == "done":
                    yield row

    def _names_of_trials(self) -> set[str]:
        """Names of the columns of trials; those of today where the schema cannot be read."""
        with contextlib.suppress(sqlite3.DatabaseError):
            return {str(row[1]) for row in self._source.execute("PRAGMA table_info(trials)")} or {"measures"}
        return {"measures"}


def _as_column(name: str, value: Any, number: int) -> Any:
    """A value as SQLite reads it from a column of that name."""
    if name == "id":
        return number
    return float(value) if name in _REALS and isinstance(value, int) else value


def _whole_row(values: tuple[Any, ...]) -> Row | None:
    """A trial that matches its checksum; None if it does not."""
    columns = STORED_COLUMNS if len(values) == len(STORED_COLUMNS) else EARLIER_COLUMNS
    with contextlib.suppress(ContentError):
        row, checksum = read_row(columns, values)
        if row_checksum(row) == checksum and key_of_specification(row["specification"]) == row["key"]:
            return row
    return None


def _damaged(values: tuple[Any, ...]) -> DamagedTrial:
    key, specification, agent, environment, seed = values[:5]
    keys = (_text(key), key_of_specification(_text(specification)))
    return keys, (_text(agent), _text(environment), seed if isinstance(seed, int) else None)


def _text(value: Any) -> str:
    """A damaged text as one that can be printed."""
    return str(value).encode("utf-8", "replace").decode()


def _sha256(text: str) -> str:
    return text_sha256(_text(text))


def _trials(number: int) -> str:
    return "1 trial" if number == 1 else f"{number:,} trials"
