"""Writes stored results to CSV and Parquet files, for programs that do not read SQLite."""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, get_args

from velodrome.checks import closest
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.storage.episode_curves import EpisodeCurves
from velodrome.experiments.storage.store import Store
from velodrome.experiments.storage.store_file import as_store_errors
from velodrome.experiments.storage.store_schema import METRICS
from velodrome.experiments.storage.table_files import Episodes, Format, TableWriter, table_file

# The columns of the view `results`, and those of the episodes; kinds as in SQLite.
TRIAL_COLUMNS: dict[str, str] = {
    "experiment": "TEXT",
    "agent": "TEXT",
    "environment": "TEXT",
    "seed": "INTEGER",
    "status": "TEXT",
    **METRICS,
    "train_seconds": "REAL",
    "wall_seconds": "REAL",
    "cpu_seconds": "REAL",
    "finished_at": "TEXT",
    "error": "TEXT",
    "error_place": "TEXT",
    "key": "TEXT",
}
EPISODE_COLUMNS: dict[str, str] = {
    "experiment": "TEXT",
    "key": "TEXT",
    "agent": "TEXT",
    "environment": "TEXT",
    "seed": "INTEGER",
    "episode": "INTEGER",
    "return": "REAL",
    "length": "INTEGER",
    "success": "BOOLEAN",
}
MEASURED_COLUMNS: dict[str, str] = {
    "experiment": "TEXT",
    "key": "TEXT",
    "agent": "TEXT",
    "environment": "TEXT",
    "seed": "INTEGER",
    "curve": "TEXT",
    "unit": "TEXT",
    "at": "INTEGER",
    "value": "REAL",
}
_IDENTITY = ("experiment", "key", "agent", "environment", "seed")
_BATCH = 500
_EPISODES_AT_ONCE = 50_000


def export(
    directory: str | Path,
    *,
    format: Format = "csv",
    out: str | Path | None = None,
    curves: bool = False,
    experiment: str | None = None,
) -> list[Path]:
    """Write the trials of a store, as its view `results` shows them, and their curves if asked for.

    Further measures, such as a user's own, are columns after those of the view.

    A file takes the place of an earlier one only when it is complete. Every row and curve is checked against its
    checksum, and only some of them are in memory at a time.

    Args:
        directory: folder of the store.
        format: "csv" (floats keep every digit, NaN is empty) or "parquet" (NaN is null; needs pyarrow).
        out: folder of the files, made if needed; the store's own if None.
        curves: write one row for each training episode of the trials that are done, too; episodes count from 1. Where
            trials have measured curves, such as evaluations along the training, these fill a file of their own.
        experiment: the latest with this name alone; the latest of every name if None.

    Returns:
        The files: trials.csv, curves.csv and measured.csv, or the same as .parquet, as far as they are written.

    Raises:
        StoreError: the store is missing, damaged, foreign or newer than this release, or has no such experiment.
        ExperimentError: an unknown format, pyarrow is missing, or a file cannot be written.
    """
    if format not in get_args(Format):
        raise ExperimentError(f"unknown format {format!r}{closest(str(format), get_args(Format))}")
    folder = Path(directory if out is None else out)
    trials_path, curves_path, measured_path = (folder / f"{name}.{format}" for name in ("trials", "curves", "measured"))
    with Store.open_for_reading(directory) as store, _snapshot(store), ExitStack() as files:
        names = store.experiments() if experiment is None else [store.experiment(experiment).name]
        further = store.further_measures(key for name in names for key, *_ in store.experiment(name).trials)
        columns = TRIAL_COLUMNS | further
        trials_file = files.enter_context(table_file(trials_path, format, columns))
        curves_file = files.enter_context(table_file(curves_path, format, EPISODE_COLUMNS)) if curves else None
        measured_file: TableWriter | None = None
        for rows in _rows(store, names):
            for row in rows:
                row |= {name: _as_kind(row.get(name), kind) for name, kind in further.items()}
            trials_file.write_rows([tuple(row[column] for column in columns) for row in rows])
            if curves_file is None:
                continue
            for episodes in _episodes(store, rows):
                curves_file.write_episodes(episodes)
            for points in _measured(store, rows):
                if measured_file is None:
                    measured_file = files.enter_context(table_file(measured_path, format, MEASURED_COLUMNS))
                measured_file.write_rows(points)
    paths = {trials_path: True, curves_path: curves, measured_path: measured_file is not None}
    return [path for path, is_written in paths.items() if is_written]


def _rows(store: Store, experiments: Iterable[str]) -> Iterator[list[dict[str, Any]]]:
    """Rows of the view `results` in its order, some at a time; read through the store, which checks them."""
    for name in experiments:
        trials = store.experiment(name).trials
        for first in range(0, len(trials), _BATCH):
            batch = trials[first : first + _BATCH]
            found = store.trials([key for key, *_ in batch])
            yield [
                found[key] | {"experiment": name, "agent": agent, "environment": environment}
                for key, agent, environment, _ in batch
                if key in found
            ]


def _episodes(store: Store, rows: Sequence[dict[str, Any]]) -> Iterator[Episodes]:
    """Episodes of the trials, in their order, some at a time."""
    for row in rows:
        for _, curves in store.curves([row["key"]]):
            for first in range(0, curves.episodes, _EPISODES_AT_ONCE):
                part = slice(first, first + _EPISODES_AT_ONCE)
                successes = None if curves.successes is None else curves.successes[part]
                some = EpisodeCurves(curves.returns[part], curves.lengths[part], successes)
                yield Episodes(tuple(row[column] for column in _IDENTITY), first + 1, some)


def _measured(store: Store, rows: Sequence[dict[str, Any]]) -> Iterator[list[tuple[Any, ...]]]:
    """Points of the measured curves of the trials, in their order, some at a time."""
    for row in rows:
        identity = tuple(row[column] for column in _IDENTITY)
        for _, curves in store.measured_curves([row["key"]] if row["measured_sha256"] is not None else []):
            for curve in curves.values():
                for first in range(0, len(curve.at), _EPISODES_AT_ONCE):
                    part = slice(first, first + _EPISODES_AT_ONCE)
                    points = zip(curve.at[part].tolist(), curve.values[part].tolist(), strict=True)
                    yield [(*identity, curve.name, curve.unit, at, _number(value)) for at, value in points]


def _as_kind(value: Any, kind: str) -> Any:
    """A further measure as its column holds it."""
    if value is None or value != value:
        return None
    if kind == "TEXT":
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return int(value) if kind == "INTEGER" else float(value)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


@contextmanager
def _snapshot(store: Store) -> Iterator[None]:
    """All reads inside see the store as it is now, whatever others write meanwhile."""
    with as_store_errors(store.path):
        store.connection.execute("BEGIN")
    try:
        yield
    finally:
        store.connection.execute("ROLLBACK")
