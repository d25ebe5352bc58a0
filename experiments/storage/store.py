"""The store of trials: one SQLite file that outlives every interruption."""

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self
from weakref import finalize

import numpy as np
from numpy.typing import NDArray

from velodrome.agents.resuming.whole_files import remove_abandoned
from velodrome.agents.snapshots import Snapshots
from velodrome.agents.training_log import TRAINING_CPU_SECONDS, Curve
from velodrome.checks import closest
from velodrome.experiments.storage.episode_curves import (
    CurvesError,
    EpisodeCurves,
    PackedCurve,
    PackedCurves,
    pack_curve,
    unpack_curve,
    unpack_successes,
)
from velodrome.experiments.storage.opened_file import OpenedFile
from velodrome.experiments.storage.snapshot_rows import is_of_snapshots, pack_snapshots, unpack_snapshots
from velodrome.experiments.storage.store_file import (
    STORE_FILE,
    DamagedStoreError,
    StoreError,
    as_store_errors,
    open_for_reading,
    open_for_writing,
    open_in_memory,
    refuse_missing,
    store_path,
    transaction,
)
from velodrome.experiments.storage.store_schema import (
    CONTENT_COLUMNS,
    EARLIER_COLUMNS,
    MEASURES_VERSION,
    METRICS,
    STORED_COLUMNS,
)
from velodrome.experiments.storage.stored_content import ContentError, read_json, read_settings
from velodrome.experiments.storage.trial_key import canonical_json, key_of_specification
from velodrome.experiments.storage.trial_outcome import TrialOutcome
from velodrome.experiments.storage.trial_rows import (
    Row,
    check_row,
    further_content,
    new_row,
    read_row,
    row_checksum,
    stored_values,
    text_sha256,
)

__all__ = ["STORE_FILE", "Store", "StoreError", "StoredExperiment", "TrialIdentity"]

_INSERT_TRIAL = f"INSERT INTO trials ({', '.join(STORED_COLUMNS)}) VALUES ({', '.join('?' * len(STORED_COLUMNS))})"
_BATCH = 500
_KEYS = "(SELECT value FROM json_each(?))"


@dataclass(frozen=True)
class TrialIdentity:
    """Which trial an outcome belongs to, in words that outlive the program that ran it.

    Attributes:
        specification: canonical JSON whose SHA-256 is the trial's key.
        agent: the agent's expression.
        environment: the environment's expression, or its factory's name.
        seed: of the trial.
    """

    specification: str
    agent: str
    environment: str
    seed: int


class _Trial(NamedTuple):
    """Row of one trial."""

    row: Row
    curves: PackedCurves | None
    measured: tuple[PackedCurve, ...]


@dataclass(frozen=True)
class StoredExperiment:
    """An experiment as the store knows it; `trials` are (key, agent label, environment label, seed) in order.

    Attributes:
        identifier: its number in the store.
        name: its title.
        description: the question that it answers.
        settings: budgets, metric and the like, as data.
        warnings: of the checks before running.
        trials: key, agent's label, environment's label and seed of each trial, in order.
    """

    identifier: int
    name: str
    description: str
    settings: dict[str, Any]
    warnings: tuple[str, ...]
    trials: list[tuple[str, str, str, int]]


class Store:
    """Trials, their curves and how they were run, by key. One process writes at a time; others may read.

    Every row is stored with a checksum, and whatever does not match its checksum is refused. All methods raise
    `StoreError` where the file cannot be read or written; one that writes, also where the file was moved away.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path | None, opened: OpenedFile | None = None) -> None:
        self.connection, self.path, self._opened = connection, path, opened

    @classmethod
    def open(cls, directory: str | Path) -> Self:
        """Store in a folder, made if needed, for writing.

        It stays the store of that folder, wherever the program goes: a relative path is taken from today's current
        folder. A write after which the file is no longer there (moved, deleted, replaced) raises, and keeps the trials.

        Args:
            directory: folder of the store.

        Raises:
            StoreError: it is damaged, foreign or newer than this release.
        """
        path = store_path(directory)
        connection = open_for_writing(path)
        try:
            remove_abandoned(path.parent)
            return cls(connection, path, OpenedFile(path))
        except BaseException:
            connection.close()
            raise

    @classmethod
    def open_for_reading(cls, directory: str | Path, *, is_known: bool = False) -> Self:
        """Existing store in a folder; nothing is ever written to it.

        Args:
            directory: the folder.
            is_known: this program has opened it before, and need not look through the whole file again.

        Raises:
            StoreError: it is missing, damaged, foreign or newer than this release.
        """
        refuse_missing(Path(directory) / STORE_FILE)
        path = store_path(directory)
        return cls(open_for_reading(path, is_known=is_known), path)

    @classmethod
    def in_memory(cls) -> Self:
        """New store that is gone when it is closed, or when nobody has it any longer."""
        store = cls(open_in_memory(), None)
        # Results keep it for as long as they last, and nobody closes those.
        finalize(store, store.connection.close)
        return store

    def close(self) -> None:
        """Close the file; the write-ahead log is folded into it if nobody else has it open."""
        self.connection.close()
        if self._opened is not None:
            self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # Writing

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction, after which the store must still be where it was opened."""
        with as_store_errors(self.path), transaction(self.connection):
            yield
        if self._opened is not None:
            with as_store_errors(self.path):
                self._opened.check(self.connection)

    def add_provenance(self, content: dict[str, Any]) -> int:
        """Identifier of a description of how trials are run; an equal one is found again.

        Args:
            content: versions, commit, command and machine, JSON-ready.
        """
        text = canonical_json(content)
        with self._writing():
            self.connection.execute(
                "INSERT OR IGNORE INTO provenance (content, checksum) VALUES (?, ?)", (text, text_sha256(text))
            )
            row = self.connection.execute("SELECT id FROM provenance WHERE content = ?", (text,)).fetchone()
        return int(row[0])

    def add_experiment(
        self,
        name: str,
        description: str,
        settings: dict[str, Any],
        warnings: Sequence[str],
        trials: Iterable[tuple[str, str, str, int]],
    ) -> int:
        """Identifier of an experiment that is now the latest; an equal one is found again.

        Args:
            name: of the experiment; several versions of one name may be stored, the latest is shown.
            description: the question, in a sentence.
            settings: what was asked for, JSON-ready.
            warnings: of the checks before running.
            trials: key, agent label, environment label and seed of each, in order.
        """
        rows = [tuple(row) for row in trials]
        header = (name, description, canonical_json(settings), canonical_json(list(warnings)))
        digest = experiment_digest(header, rows)
        with self._writing():
            run_number = 1 + int(
                self.connection.execute("SELECT coalesce(max(run_number), 0) FROM experiments").fetchone()[0]
            )
            checksum = text_sha256(f"{digest} {run_number}")
            known = self.connection.execute("SELECT id FROM experiments WHERE digest = ?", (digest,)).fetchone()
            if known is not None:
                self.connection.execute(
                    "UPDATE experiments SET run_number = ?, checksum = ? WHERE id = ?", (run_number, checksum, known[0])
                )
                return int(known[0])
            cursor = self.connection.execute(
                "INSERT INTO experiments (name, description, settings, warnings, digest, run_number, checksum) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*header, digest, run_number, checksum),
            )
            identifier = int(cursor.lastrowid or 0)
            self.connection.executemany(
                "INSERT INTO experiment_trials VALUES (?, ?, ?, ?, ?, ?)",
                ((identifier, position, *row) for position, row in enumerate(rows)),
            )
        return identifier

    def record(self, outcomes: Iterable[tuple[TrialIdentity, TrialOutcome]], provenance: int) -> None:
        """Store trials that have ended, all or none, and end the claims on them. A trial that is done stays as it is.

        Args:
            outcomes: what each trial is, and how it ended.
            provenance: number of how they were run, as `add_provenance` gave it.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with as_store_errors(self.path):
            trials = {outcome.key: _trial(identity, outcome, now, provenance) for identity, outcome in outcomes}
        with self._writing():
            self._insert(trials)
            self.connection.execute(f"DELETE FROM claims WHERE key IN {_KEYS}", (json.dumps(list(trials)),))

    def _insert(self, trials: dict[str, _Trial]) -> None:
        """Insert trials by key. Few statements: at each, the interpreter is handed to another thread and back."""
        keys = json.dumps(list(trials))
        self.connection.execute(f"DELETE FROM trials WHERE status <> 'done' AND key IN {_KEYS}", (keys,))
        done = {row[0] for row in self.connection.execute(f"SELECT key FROM trials WHERE key IN {_KEYS}", (keys,))}
        new = {key: trial for key, trial in trials.items() if key not in done}
        self.connection.executemany(_INSERT_TRIAL, [stored_values(trial.row) for trial in new.values()])
        self.connection.executemany(
            "INSERT OR REPLACE INTO curves VALUES (?, ?, ?, ?)",
            [(key, *trial.curves) for key, trial in new.items() if trial.curves is not None],
        )
        if any(trial.measured for trial in new.values()):
            self.connection.execute(f"DELETE FROM measured_curves WHERE key IN {_KEYS}", (json.dumps(list(new)),))
            self.connection.executemany(
                "INSERT INTO measured_curves VALUES (?, ?, ?, ?, ?, ?)",
                [(key, *curve) for key, trial in new.items() for curve in trial.measured],
            )

    def copy(self, source: "Store", experiment: StoredExperiment) -> int:
        """Identifier of an experiment taken over from another store with its trials and their curves.

        Args:
            source: the other store, open.
            experiment: an experiment of that store.
        """
        keys = [key for key, *_ in experiment.trials]
        ways: dict[int, int] = {}
        for first in range(0, len(keys), _BATCH):
            batch = keys[first : first + _BATCH]
            rows, curves = source.trials(batch), dict(source.packed_curves(batch))
            measured = dict(source._packed_measured(batch))
            for way in {row["provenance"] for row in rows.values()} - ways.keys():
                ways[way] = self.add_provenance(source.provenance(way))
            copies = {
                key: _Trial(row | {"provenance": ways[row["provenance"]]}, curves.get(key), measured.get(key, ()))
                for key, row in rows.items()
            }
            with self._writing():
                self._insert(copies)
        return self.add_experiment(
            experiment.name, experiment.description, experiment.settings, experiment.warnings, experiment.trials
        )

    def claim(self, keys: Sequence[str], owner: str, *, again: bool = False) -> tuple[list[str], dict[str, str]]:
        """Claim trials for an owner who is about to run them.

        Args:
            keys: of trials.
            owner: name of the claiming process.
            again: claim failed trials too.

        Returns:
            The keys that the owner may run, and the status of those that have ended; the others are claimed by
            another process.
        """
        with self._writing():
            ended = self.statuses(keys)
            wanted = [key for key in keys if key not in ended or (again and ended[key] != "done")]
            self.connection.executemany("INSERT OR IGNORE INTO claims VALUES (?, ?)", ((key, owner) for key in wanted))
            owners = self._owners(wanted)
        claimed = [key for key in wanted if owners.get(key) == owner]
        to_run = set(wanted)
        return claimed, {key: status for key, status in ended.items() if key not in to_run}

    def owners(self) -> list[str]:
        """Names of those who have claimed trials, in alphabetical order."""
        with as_store_errors(self.path):
            return [str(row[0]) for row in self.connection.execute("SELECT DISTINCT owner FROM claims ORDER BY owner")]

    def release(self, owner: str) -> None:
        """Give up the claims of an owner.

        Args:
            owner: name of the process that claimed them.
        """
        with self._writing():
            self.connection.execute("DELETE FROM claims WHERE owner = ?", (owner,))

    # Reading

    def statuses(self, keys: Iterable[str]) -> dict[str, str]:
        """Status of those of the trials that have ended, by key.

        Args:
            keys: of trials; others than stored ones are left out.
        """
        with as_store_errors(self.path):
            rows = self.connection.execute(
                "SELECT key, status FROM trials WHERE key IN " + _KEYS, (json.dumps(list(keys)),)
            )
            return {str(key): str(status) for key, status in rows}

    def experiments(self, *, oldest_first: bool = False) -> list[str]:
        """Names of the experiments, the latest last; or in the order in which each was first stored.

        Args:
            oldest_first: in the order in which each was first stored.
        """
        order = "min(id)" if oldest_first else "max(run_number)"
        with as_store_errors(self.path):
            rows = self.connection.execute(f"SELECT name FROM experiments GROUP BY name ORDER BY {order}")
            return [str(row[0]) for row in rows]

    def experiment(self, name: str | None = None, identifier: int | None = None) -> StoredExperiment:
        """The latest experiment, the latest of a name, or the one with an identifier.

        Args:
            name: of the experiment; any if None.
            identifier: of the one that is meant; the latest if None.

        Raises:
            StoreError: there is none, or it is damaged.
        """
        with as_store_errors(self.path):
            row = self.connection.execute(
                "SELECT id, name, description, settings, warnings, digest, run_number, checksum FROM experiments "
                "WHERE (?1 IS NULL OR name = ?1) AND (?2 IS NULL OR id = ?2) ORDER BY run_number DESC LIMIT 1",
                (name, identifier),
            ).fetchone()
            if row is None:
                other = f" {name!r}{closest(name, self.experiments())}" if name is not None else ""
                raise StoreError(f"{self._place()} holds no experiment{other}")
            trials = self.connection.execute(
                "SELECT key, agent, environment, seed FROM experiment_trials WHERE experiment = ? ORDER BY position",
                (row[0],),
            ).fetchall()
        if experiment_digest(row[1:5], trials) != row[5] or text_sha256(f"{row[5]} {row[6]}") != row[7]:
            raise DamagedStoreError(self.path, f"the experiment {row[1]!r} does not match its checksum")
        with as_store_errors(self.path):
            settings = read_settings(row[3], trials)
            warnings = tuple(read_json(row[4], [str], "warnings"))
        return StoredExperiment(int(row[0]), row[1], row[2], settings, warnings, trials)

    def trials(self, keys: Sequence[str]) -> dict[str, Row]:
        """The rows of those of the trials that have ended, by key: every value but the checksum by its name.

        The names are `TRIAL_COLUMNS`, the same for stores of every version, `measured_sha256`, and further measures.

        Args:
            keys: of trials; others than stored ones are left out.

        Raises:
            StoreError: one does not match its checksum.
        """
        found = {}
        with as_store_errors(self.path):
            for first in range(0, len(keys), _BATCH):
                columns = STORED_COLUMNS if self._has_measures() else EARLIER_COLUMNS
                rows = self.connection.execute(
                    f"SELECT {', '.join(columns)} FROM trials WHERE key IN {_KEYS}",
                    (json.dumps(keys[first : first + _BATCH]),),
                )
                # Closed, for an error that is kept would keep the statement, and so the file, in use.
                with closing(rows):
                    for values in rows:
                        row = self._row(columns, values)
                        check_row(row)
                        found[row["key"]] = row
        return found

    def _row(self, columns: Sequence[str], values: Sequence[Any]) -> Row:
        with suppress(ContentError):
            row, checksum = read_row(columns, values)
            if row_checksum(row) == checksum and key_of_specification(row["specification"]) == row["key"]:
                return row
        raise DamagedStoreError(self.path, f"trial {values[0]} does not match its checksum")

    def _has_measures(self) -> bool:
        """Whether measures are one column; asked anew, as another program may migrate the file at any time."""
        return bool(self.connection.execute("PRAGMA user_version").fetchone()[0] >= MEASURES_VERSION)

    def further_measures(self, keys: Iterable[str]) -> dict[str, str]:
        """Further measures of trials: name to INTEGER, REAL or TEXT, which takes all values of that name.

        Args:
            keys: of trials; others than stored ones are left out.
        """
        kinds: dict[str, set[str]] = {}
        with as_store_errors(self.path):
            if not self._has_measures():
                return {}
            rows = self.connection.execute(
                "SELECT DISTINCT name, typeof(value) FROM measures "
                f"WHERE key IN {_KEYS} AND name NOT IN {_KEYS} ORDER BY name",
                (json.dumps(list(keys)), json.dumps(list(METRICS))),
            )
            for name, kind in rows:
                kinds.setdefault(str(name), set()).add("real" if kind == "null" else kind)
        return {
            name: "INTEGER" if found == {"integer"} else "REAL" if found <= {"integer", "real"} else "TEXT"
            for name, found in kinds.items()
        }

    def keys(self, status: str | None = None) -> list[str]:
        """Keys of all trials that have ended, or of those with a status, in order.

        Args:
            status: such as "done" or "failed"; any if None.
        """
        with as_store_errors(self.path):
            rows = self.connection.execute(
                "SELECT key FROM trials WHERE ?1 IS NULL OR status = ?1 ORDER BY key", (status,)
            )
            return [str(row[0]) for row in rows]

    def packed_curves(self, keys: Sequence[str]) -> Iterator[tuple[str, PackedCurves]]:
        """Key and compressed curves of those of the trials that have any.

        Args:
            keys: of trials; others than stored ones are left out.

        Raises:
            StoreError: one does not match its checksum.
        """
        for key, _, packed in self._packed_curves(keys):
            yield key, packed

    def _packed_curves(self, keys: Sequence[str]) -> Iterator[tuple[str, Any, PackedCurves]]:
        """Key, number of episodes and compressed curves."""
        with as_store_errors(self.path):
            for first in range(0, len(keys), _BATCH):
                episodes_of = "json_extract(measures, '$.episodes')" if self._has_measures() else "episodes"
                rows = self.connection.execute(
                    f"SELECT trials.key, {episodes_of}, curves_sha256, returns, lengths, successes FROM trials "
                    "LEFT JOIN curves ON curves.key = trials.key "
                    f"WHERE curves_sha256 IS NOT NULL AND trials.key IN {_KEYS}",
                    (json.dumps(keys[first : first + _BATCH]),),
                )
                with closing(rows):
                    for key, episodes, checksum, *columns in rows:
                        packed = PackedCurves(*columns)
                        if not isinstance(packed.returns, bytes) or curves_sha256(packed) != checksum:
                            raise DamagedStoreError(self.path, f"the curves of trial {key} do not match")
                        yield str(key), episodes, packed

    def curves(self, keys: Sequence[str]) -> Iterator[tuple[str, EpisodeCurves]]:
        """Key and curves of those of the trials that have any; raises as `packed_curves` does.

        Args:
            keys: of trials; others than stored ones are left out.
        """
        for key, episodes, packed in self._packed_curves(keys):
            try:
                yield key, EpisodeCurves.unpack(packed, episodes if isinstance(episodes, int) else -1)
            except CurvesError as error:
                raise StoreError(f"{self._place()} is damaged: trial {key}: {error}") from None

    def successes(self, keys: Sequence[str]) -> Iterator[tuple[str, NDArray[np.bool_] | None]]:
        """Key and successes of `curves` alone, which are unpacked in a tenth of the time.

        Args:
            keys: of trials; others than stored ones are left out.
        """
        for key, episodes, packed in self._packed_curves(keys):
            try:
                yield key, unpack_successes(packed, episodes if isinstance(episodes, int) else -1)
            except CurvesError as error:
                raise StoreError(f"{self._place()} is damaged: trial {key}: {error}") from None

    def measured_curves(self, keys: Sequence[str]) -> Iterator[tuple[str, dict[str, Curve]]]:
        """Key and further curves by name, in order of names, of those of the trials that have any.

        Args:
            keys: of trials; others than stored ones are left out.

        Raises:
            StoreError: one does not match its checksum, or does not hold what it says.
        """
        for key, packed in self._packed_measured(keys):
            try:
                yield key, {curve.name: unpack_curve(curve) for curve in packed if not is_of_snapshots(curve)}
            except CurvesError as error:
                raise StoreError(f"{self._place()} is damaged: trial {key}: {error}") from None

    def snapshots(self, keys: Sequence[str]) -> Iterator[tuple[str, Snapshots]]:
        """Key and learning snapshots of those of the trials that have any; raises as `measured_curves` does.

        Args:
            keys: of trials; others than stored ones are left out.
        """
        for key, packed in self._packed_measured(keys):
            try:
                found = unpack_snapshots(packed)
            except CurvesError as error:
                raise StoreError(f"{self._place()} is damaged: trial {key}: {error}") from None
            if found is not None:
                yield key, found

    def _packed_measured(self, keys: Sequence[str]) -> Iterator[tuple[str, tuple[PackedCurve, ...]]]:
        with as_store_errors(self.path):
            if not self._has_measures():
                return
            measured = self.connection.execute(
                f"SELECT key, measured_sha256 FROM trials WHERE measured_sha256 IS NOT NULL AND key IN {_KEYS}",
                (json.dumps(list(keys)),),
            ).fetchall()
            for key, checksum in measured:
                packed = stored_measured(self.connection, key)
                if measured_sha256(packed) != checksum:
                    raise DamagedStoreError(self.path, f"the measured curves of trial {key} do not match")
                yield str(key), packed

    def provenance(self, identifier: int) -> dict[str, Any]:
        """How a trial was run: versions, commit, command, machine.

        Args:
            identifier: its number, as `add_provenance` gave it.

        Raises:
            StoreError: it is missing or damaged.
        """
        with as_store_errors(self.path):
            row = self.connection.execute(
                "SELECT content, checksum FROM provenance WHERE id = ?", (identifier,)
            ).fetchone()
        if row is None or text_sha256(row[0]) != row[1]:
            raise DamagedStoreError(self.path, f"provenance {identifier} does not match its checksum")
        with as_store_errors(self.path):
            content: dict[str, Any] = read_json(row[0], {str: object}, "provenance")
        return content

    def content_digest(self) -> str:
        """SHA-256 of all results in order of keys: metrics, curves, errors, but not times or places.

        Two stores with the same digest hold the same trials with the same results, to the byte.
        """
        digest = hashlib.sha256()
        keys = self.keys()
        for first in range(0, len(keys), _BATCH):
            batch = keys[first : first + _BATCH]
            rows = self.trials(batch)
            curves = dict(self.packed_curves(batch))
            # The row has their checksum; that they match it is seen by reading them. Times are no results.
            measured = {key: measured_content(packed) for key, packed in self._packed_measured(batch)}
            for key in batch:
                digest.update(repr([rows[key][column] for column in CONTENT_COLUMNS]).encode())
                digest.update(repr(curves.get(key)).encode())
                digest.update(further_content(rows[key] | {"measured_sha256": measured.get(key)}).encode())
        return digest.hexdigest()

    def _owners(self, keys: Sequence[str]) -> dict[str, str]:
        rows = self.connection.execute("SELECT key, owner FROM claims WHERE key IN " + _KEYS, (json.dumps(list(keys)),))
        return {str(key): str(owner) for key, owner in rows}

    def _place(self) -> str:
        return str(self.path) if self.path is not None else "the store"


def curves_sha256(packed: PackedCurves) -> str:
    """SHA-256 (hex) of compressed curves."""
    digest = hashlib.sha256()
    for part in packed:
        # Where a store is damaged, a column may hold something else than bytes.
        digest.update(b"%d:" % len(part) + part if isinstance(part, bytes) else b"-" if part is None else b"?")
    return digest.hexdigest()


def measured_sha256(packed: Iterable[PackedCurve]) -> str:
    """SHA-256 (hex) of measured curves in order of names."""
    return text_sha256(repr([tuple(curve) for curve in packed]))


def measured_content(packed: Iterable[PackedCurve]) -> str | None:
    """SHA-256 (hex) of measured curves without those of times, which are others each time; None if none is left."""
    results = [curve for curve in packed if curve.name != TRAINING_CPU_SECONDS]
    return measured_sha256(results) if results else None


def stored_measured(connection: sqlite3.Connection, key: str) -> tuple[PackedCurve, ...]:
    """The measured curves of a trial in order of names, as they stand there."""
    select = "SELECT name, unit, num_points, at_blob, values_blob FROM measured_curves WHERE key = ? ORDER BY name"
    return tuple(PackedCurve(*columns) for columns in connection.execute(select, (key,)))


def _trial(identity: TrialIdentity, outcome: TrialOutcome, now: str, provenance: int) -> _Trial:
    names = {curve.name: curve for curve in outcome.measured}
    measured = tuple(pack_curve(names[name]) for name in sorted(names))
    if outcome.snapshots is not None:
        measured = tuple(sorted((*measured, *pack_snapshots(outcome.snapshots)), key=lambda row: row.name))
    circumstances = {
        "curves_sha256": None if outcome.curves is None else curves_sha256(outcome.curves),
        "measured_sha256": measured_sha256(measured) if measured else None,
        "finished_at": now,
        "provenance": provenance,
    }
    known = (outcome.key, identity.specification, identity.agent, identity.environment, identity.seed)
    return _Trial(new_row(known, outcome, circumstances), outcome.curves, measured)


def experiment_digest(header: tuple[Any, ...], trials: Sequence[tuple[Any, ...]]) -> str:
    """SHA-256 (hex) of an experiment: name, description, settings and warnings, and its trials in order."""
    try:
        return text_sha256(canonical_json([header, trials]))
    except (TypeError, UnicodeEncodeError):
        # A damaged column may hold bytes instead of text.
        return ""
