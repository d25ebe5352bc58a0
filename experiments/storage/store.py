"""The store of trials: one SQLite file that outlives every interruption."""

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from velodrome.agents.resuming.whole_files import remove_abandoned
from velodrome.checks import closest
from velodrome.experiments.running.trial_outcome import TrialOutcome
from velodrome.experiments.storage.episode_curves import CurvesError, EpisodeCurves, PackedCurves
from velodrome.experiments.storage.opened_file import OpenedFile
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
from velodrome.experiments.storage.store_schema import CONTENT_COLUMNS, IDENTITY, METRICS, TRIAL_COLUMNS
from velodrome.experiments.storage.stored_content import check_row, read_json, read_settings
from velodrome.experiments.storage.trial_key import canonical_json, key_of_specification

__all__ = ["STORE_FILE", "Store", "StoreError", "StoredExperiment", "TrialIdentity"]

_WHOLE_NUMBERS = {name for name, kind in METRICS.items() if kind == "INTEGER"}
_INSERT_TRIAL = f"INSERT INTO trials ({', '.join(TRIAL_COLUMNS)}, checksum) VALUES ({'?, ' * len(TRIAL_COLUMNS)}?)"
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


@dataclass(frozen=True)
class StoredExperiment:
    """An experiment as the store knows it; `trials` are (key, agent label, environment label, seed) in order."""

    identifier: int
    name: str
    description: str
    settings: dict[str, Any]
    warnings: tuple[str, ...]
    trials: list[tuple[str, str, str, int]]


class Store:
    """Trials, their curves and how they were run, by key. One process writes at a time; others may read.

    Every row is stored with a checksum, and whatever does not match its checksum is refused.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path | None, opened: OpenedFile | None = None) -> None:
        self.connection, self.path, self._opened = connection, path, opened

    @classmethod
    def open(cls, directory: str | Path) -> Self:
        """Store in a folder, made if needed, for writing.

        It stays the store of that folder, wherever the program goes: a relative path is taken from today's current
        folder. A write after which the file is no longer there (moved, deleted, replaced) raises, and keeps the trials.

        Raises:
            StoreError: it is damaged, foreign or newer than this release.
        """
        path = store_path(directory)
        connection = open_for_writing(path)
        remove_abandoned(path.parent)
        return cls(connection, path, OpenedFile(path))

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
        """New store that is gone when it is closed."""
        return cls(open_in_memory(), None)

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
        """Identifier of a description of how trials are run; an equal one is found again."""
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
        """Store trials that have ended, all or none. A trial that is done stays as it is."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        rows = {
            outcome.key: (_row(identity, outcome, now, provenance), outcome.curves) for identity, outcome in outcomes
        }
        with self._writing():
            self._insert(rows)
            self.connection.execute(f"DELETE FROM claims WHERE key IN {_KEYS}", (json.dumps(list(rows)),))

    def _insert(self, rows: dict[str, tuple[tuple[Any, ...], PackedCurves | None]]) -> None:
        """Insert trials by key. Few statements: at each, the interpreter is handed to another thread and back."""
        keys = json.dumps(list(rows))
        self.connection.execute(f"DELETE FROM trials WHERE status <> 'done' AND key IN {_KEYS}", (keys,))
        done = {row[0] for row in self.connection.execute(f"SELECT key FROM trials WHERE key IN {_KEYS}", (keys,))}
        new = {key: row for key, row in rows.items() if key not in done}
        self.connection.executemany(_INSERT_TRIAL, [(*row, row_checksum(row)) for row, _ in new.values()])
        self.connection.executemany(
            "INSERT OR REPLACE INTO curves VALUES (?, ?, ?, ?)",
            [(key, *curves) for key, (_, curves) in new.items() if curves is not None],
        )

    def copy(self, source: "Store", experiment: StoredExperiment) -> int:
        """Identifier of an experiment taken over from another store with its trials and their curves."""
        keys = [key for key, *_ in experiment.trials]
        ways: dict[int, int] = {}
        for first in range(0, len(keys), _BATCH):
            batch = keys[first : first + _BATCH]
            rows, curves = source.trials(batch), dict(source.packed_curves(batch))
            for way in {row["provenance"] for row in rows.values()} - ways.keys():
                ways[way] = self.add_provenance(source.provenance(way))
            copies = {
                key: (tuple((row | {"provenance": ways[row["provenance"]]}).values()), curves.get(key))
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
        """Who has claimed trials."""
        with as_store_errors(self.path):
            return [str(row[0]) for row in self.connection.execute("SELECT DISTINCT owner FROM claims ORDER BY owner")]

    def release(self, owner: str) -> None:
        """Give up the claims of an owner."""
        with self._writing():
            self.connection.execute("DELETE FROM claims WHERE owner = ?", (owner,))

    # Reading

    def statuses(self, keys: Iterable[str]) -> dict[str, str]:
        """Status of those of the trials that have ended, by key."""
        with as_store_errors(self.path):
            rows = self.connection.execute(
                "SELECT key, status FROM trials WHERE key IN " + _KEYS, (json.dumps(list(keys)),)
            )
            return {str(key): str(status) for key, status in rows}

    def experiments(self, *, oldest_first: bool = False) -> list[str]:
        """Names of the experiments, the latest last; or in the order in which each was first stored."""
        order = "min(id)" if oldest_first else "max(run_number)"
        with as_store_errors(self.path):
            rows = self.connection.execute(f"SELECT name FROM experiments GROUP BY name ORDER BY {order}")
            return [str(row[0]) for row in rows]

    def experiment(self, name: str | None = None, identifier: int | None = None) -> StoredExperiment:
        """The latest experiment, the latest of a name, or the one with an identifier.

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

    def trials(self, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The rows of those of the trials that have ended, by key: every column but the checksum.

        Raises:
            StoreError: one does not match its checksum.
        """
        found = {}
        with as_store_errors(self.path):
            for first in range(0, len(keys), _BATCH):
                rows = self.connection.execute(
                    f"SELECT {', '.join(TRIAL_COLUMNS)}, checksum FROM trials WHERE key IN {_KEYS}",
                    (json.dumps(keys[first : first + _BATCH]),),
                )
                # Closed, for an error that is kept would keep the statement, and so the file, in use.
                with closing(rows):
                    for *values, checksum in rows:
                        row = tuple(values)
                        if row_checksum(row) != checksum or key_of_specification(row[1]) != row[0]:
                            raise DamagedStoreError(self.path, f"trial {row[0]} does not match its checksum")
                        found[row[0]] = dict(zip(TRIAL_COLUMNS, row, strict=True))
                        check_row(found[row[0]])
        return found

    def keys(self, status: str | None = None) -> list[str]:
        """Keys of all trials that have ended, or of those with a status, in order."""
        with as_store_errors(self.path):
            rows = self.connection.execute(
                "SELECT key FROM trials WHERE ?1 IS NULL OR status = ?1 ORDER BY key", (status,)
            )
            return [str(row[0]) for row in rows]

    def packed_curves(self, keys: Sequence[str]) -> Iterator[tuple[str, PackedCurves]]:
        """Key and compressed curves of those of the trials that have any.

        Raises:
            StoreError: one does not match its checksum.
        """
        for key, _, packed in self._packed_curves(keys):
            yield key, packed

    def _packed_curves(self, keys: Sequence[str]) -> Iterator[tuple[str, Any, PackedCurves]]:
        """Key, number of episodes and compressed curves."""
        with as_store_errors(self.path):
            for first in range(0, len(keys), _BATCH):
                rows = self.connection.execute(
                    "SELECT trials.key, episodes, curves_sha256, returns, lengths, successes FROM trials "
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
        """Key and curves of those of the trials that have any; raises as `packed_curves` does."""
        for key, episodes, packed in self._packed_curves(keys):
            try:
                yield key, EpisodeCurves.unpack(packed, episodes if isinstance(episodes, int) else -1)
            except CurvesError as error:
                raise StoreError(f"{self._place()} is damaged: trial {key}: {error}") from None

    def provenance(self, identifier: int) -> dict[str, Any]:
        """How a trial was run: versions, commit, command, machine.

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
            for key in batch:
                digest.update(repr([rows[key][column] for column in CONTENT_COLUMNS]).encode())
                digest.update(repr(curves.get(key)).encode())
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


def _row(identity: TrialIdentity, outcome: TrialOutcome, now: str, provenance: int) -> tuple[Any, ...]:
    metrics = outcome.metrics
    values = [
        outcome.key,
        identity.specification,
        identity.agent,
        identity.environment,
        identity.seed,
        outcome.status,
        *[_stored(name, metrics.get(name)) for name in METRICS],
        outcome.error,
        outcome.error_place,
        None if outcome.curves is None else curves_sha256(outcome.curves),
        json.dumps(list(outcome.notes), ensure_ascii=False),
        outcome.error_traceback,
        _stored("train_seconds", metrics.get("train_seconds")),
        float(outcome.wall_seconds),
        float(outcome.cpu_seconds),
        now,
        provenance,
    ]
    assert len(IDENTITY) == 6
    return tuple(_text(value) if isinstance(value, str) else value for value in values)


def _stored(name: str, value: Any) -> Any:
    """A metric as SQLite gives it back: NaN becomes NULL and -0.0 becomes 0.0 there."""
    if value is None or isinstance(value, str):
        return value
    if name in _WHOLE_NUMBERS:
        return int(value)
    number = float(value)
    return None if number != number else number + 0.0


def _text(value: str) -> str:
    # Messages of foreign code may hold lone surrogates, which no database takes.
    return value.encode("utf-8", "replace").decode()


def row_checksum(row: tuple[Any, ...]) -> str:
    """Checksum of a trial's columns."""
    return text_sha256(repr(row))


def experiment_digest(header: tuple[Any, ...], trials: Sequence[tuple[Any, ...]]) -> str:
    """SHA-256 (hex) of an experiment: name, description, settings and warnings, and its trials in order."""
    try:
        return text_sha256(canonical_json([header, trials]))
    except (TypeError, UnicodeEncodeError):
        # A damaged column may hold bytes instead of text.
        return ""


def text_sha256(text: str) -> str:
    """SHA-256 (hex) of a text."""
    return hashlib.sha256(str(text).encode()).hexdigest()
