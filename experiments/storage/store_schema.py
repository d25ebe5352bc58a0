"""The tables of a store, version by version, and the columns of a trial."""

import sqlite3
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from velodrome.experiments.storage.stored_content import ContentError, measures_text

# "velo" in ASCII: tells a store from other SQLite databases.
APPLICATION_ID = 0x76656C6F

# What training and evaluation gave, in the words of `Trial.metrics`: the measures of versions 1 and 2.
METRICS: dict[str, str] = {
    "episodes": "INTEGER",
    "steps": "INTEGER",
    "loop": "TEXT",
    "train_success_rate": "REAL",
    "train_mean_return": "REAL",
    "greedy_success_rate": "REAL",
    "greedy_success_rate_low": "REAL",
    "greedy_success_rate_high": "REAL",
    "greedy_mean_return": "REAL",
    "evaluation": "TEXT",
    "evaluation_episodes": "INTEGER",
    "best_success_rate": "REAL",
    "best_return": "REAL",
    "random_success_rate": "REAL",
    "random_return": "REAL",
    "success_rule": "TEXT",
}
IDENTITY: dict[str, str] = {
    "key": "TEXT PRIMARY KEY",
    "specification": "TEXT NOT NULL",
    "agent": "TEXT NOT NULL",
    "environment": "TEXT NOT NULL",
    "seed": "INTEGER NOT NULL",
    "status": "TEXT NOT NULL CHECK (status IN ('done', 'failed', 'timed out'))",
}
# `curves_sha256` vouches for the row of `curves`.
REMARKS: dict[str, str] = {
    "error": "TEXT NOT NULL",
    "error_place": "TEXT NOT NULL",
    "curves_sha256": "TEXT",
}
# The same trial, run again, has the same columns up to here, to the byte; these tell how it was run.
CIRCUMSTANCES: dict[str, str] = {
    "notes": "TEXT NOT NULL",
    "error_traceback": "TEXT NOT NULL",
    "train_seconds": "REAL",
    "wall_seconds": "REAL NOT NULL",
    "cpu_seconds": "REAL NOT NULL",
    "finished_at": "TEXT NOT NULL",
    "provenance": "INTEGER NOT NULL REFERENCES provenance (id)",
}
# A trial in memory and in its checksum, whatever version stores it. Frozen, like METRICS: a further measure stands
# under its name in the column `measures`, and comes after these.
CONTENT_COLUMNS = (*IDENTITY, *METRICS, *REMARKS)
TRIAL_COLUMNS = (*CONTENT_COLUMNS, *CIRCUMSTANCES)
# The columns of the table of trials: today's, in which `measured_sha256` vouches for the rows of `measured_curves`, and
# those of versions 1 and 2.
STORED_COLUMNS = (*IDENTITY, "measures", *REMARKS, "measured_sha256", *CIRCUMSTANCES, "checksum")
EARLIER_COLUMNS = (*TRIAL_COLUMNS, "checksum")
MEASURES_VERSION = 3


def _gather_measures(connection: sqlite3.Connection) -> None:
    """Copy the trials of version 2 into `trials_3`; a row's checksum vouches for its content in any version."""
    insert = f"INSERT INTO trials_3 ({', '.join(STORED_COLUMNS)}) VALUES ({', '.join('?' * len(STORED_COLUMNS))})"
    rows = connection.execute(f"SELECT {', '.join(EARLIER_COLUMNS)} FROM trials ORDER BY rowid")
    connection.executemany(insert, (_with_measures(row) for row in rows))


def _with_measures(values: tuple[Any, ...]) -> tuple[Any, ...]:
    row = dict(zip(EARLIER_COLUMNS, values, strict=True))
    try:
        row["measures"] = measures_text({name: row[name] for name in METRICS})
    except ContentError as error:
        raise sqlite3.DatabaseError(f"trial {row['key']}: {error}") from None
    return tuple(row.get(name) for name in STORED_COLUMNS)


# MIGRATIONS[n] leads from version n to version n + 1. An entry is never edited once released.
MIGRATIONS: tuple[tuple[str | Callable[[sqlite3.Connection], None], ...], ...] = (
    (
        "CREATE TABLE provenance (id INTEGER PRIMARY KEY, content TEXT NOT NULL UNIQUE, checksum TEXT NOT NULL)",
        "CREATE TABLE trials (key TEXT PRIMARY KEY, specification TEXT NOT NULL, agent TEXT NOT NULL, "
        "environment TEXT NOT NULL, seed INTEGER NOT NULL, "
        "status TEXT NOT NULL CHECK (status IN ('done', 'failed', 'timed out')), episodes INTEGER, steps INTEGER, "
        "loop TEXT, train_success_rate REAL, train_mean_return REAL, greedy_success_rate REAL, "
        "greedy_success_rate_low REAL, greedy_success_rate_high REAL, greedy_mean_return REAL, evaluation TEXT, "
        "evaluation_episodes INTEGER, best_success_rate REAL, best_return REAL, random_success_rate REAL, "
        "random_return REAL, success_rule TEXT, error TEXT NOT NULL, error_place TEXT NOT NULL, curves_sha256 TEXT, "
        "notes TEXT NOT NULL, error_traceback TEXT NOT NULL, train_seconds REAL, wall_seconds REAL NOT NULL, "
        "cpu_seconds REAL NOT NULL, finished_at TEXT NOT NULL, "
        "provenance INTEGER NOT NULL REFERENCES provenance (id), checksum TEXT NOT NULL)",
        "CREATE TABLE curves (key TEXT PRIMARY KEY REFERENCES trials (key), returns BLOB NOT NULL, "
        "lengths BLOB NOT NULL, successes BLOB)",
        "CREATE TABLE experiments (id INTEGER PRIMARY KEY, name TEXT NOT NULL, description TEXT NOT NULL, "
        "settings TEXT NOT NULL, warnings TEXT NOT NULL, digest TEXT NOT NULL UNIQUE, run_number INTEGER NOT NULL, "
        "checksum TEXT NOT NULL)",
        "CREATE TABLE experiment_trials (experiment INTEGER NOT NULL REFERENCES experiments (id), "
        "position INTEGER NOT NULL, key TEXT NOT NULL, agent TEXT NOT NULL, environment TEXT NOT NULL, "
        "seed INTEGER NOT NULL, PRIMARY KEY (experiment, position)) WITHOUT ROWID",
        "CREATE TABLE claims (key TEXT PRIMARY KEY, owner TEXT NOT NULL) WITHOUT ROWID",
    ),
    (
        "CREATE VIEW results AS\n"
        "        SELECT experiments.name AS experiment, experiment_trials.agent, experiment_trials.environment,\n"
        "               trials.seed, trials.status, trials.episodes, trials.steps, trials.loop, "
        "trials.train_success_rate, trials.train_mean_return, trials.greedy_success_rate, "
        "trials.greedy_success_rate_low, trials.greedy_success_rate_high, trials.greedy_mean_return, "
        "trials.evaluation, trials.evaluation_episodes, trials.best_success_rate, trials.best_return, "
        "trials.random_success_rate, trials.random_return, trials.success_rule, trials.train_seconds, "
        "trials.wall_seconds,\n"
        "               trials.cpu_seconds, trials.finished_at, trials.error, trials.error_place, trials.key\n"
        "        FROM experiments\n"
        "        JOIN experiment_trials ON experiment_trials.experiment = experiments.id\n"
        "        JOIN trials ON trials.key = experiment_trials.key\n"
        "        WHERE experiments.run_number =\n"
        "              (SELECT max(run_number) FROM experiments AS same WHERE same.name = experiments.name)\n"
        "        ORDER BY experiments.run_number, experiment_trials.position",
    ),
    (
        """CREATE TABLE trials_3 (
            key TEXT PRIMARY KEY,
            specification TEXT NOT NULL,
            agent TEXT NOT NULL,
            environment TEXT NOT NULL,
            seed INTEGER NOT NULL,
            status TEXT NOT NULL CHECK (status IN ('done', 'failed', 'timed out')),
            measures TEXT NOT NULL,
            error TEXT NOT NULL,
            error_place TEXT NOT NULL,
            curves_sha256 TEXT,
            measured_sha256 TEXT,
            notes TEXT NOT NULL,
            error_traceback TEXT NOT NULL,
            train_seconds REAL,
            wall_seconds REAL NOT NULL,
            cpu_seconds REAL NOT NULL,
            finished_at TEXT NOT NULL,
            provenance INTEGER NOT NULL REFERENCES provenance (id),
            checksum TEXT NOT NULL
        )""",
        _gather_measures,
        "DROP VIEW results",
        "DROP TABLE trials",
        "ALTER TABLE trials_3 RENAME TO trials",
        """CREATE TABLE measured_curves (
            key TEXT NOT NULL REFERENCES trials (key),
            name TEXT NOT NULL,
            unit TEXT NOT NULL,
            num_points INTEGER NOT NULL,
            at_blob BLOB NOT NULL,
            values_blob BLOB NOT NULL,
            PRIMARY KEY (key, name)
        )""",
        """CREATE VIEW results AS
        SELECT experiments.name AS experiment, experiment_trials.agent, experiment_trials.environment,
               trials.seed, trials.status,
               json_extract(trials.measures, '$.episodes') AS episodes,
               json_extract(trials.measures, '$.steps') AS steps,
               json_extract(trials.measures, '$.loop') AS loop,
               json_extract(trials.measures, '$.train_success_rate') AS train_success_rate,
               json_extract(trials.measures, '$.train_mean_return') AS train_mean_return,
               json_extract(trials.measures, '$.greedy_success_rate') AS greedy_success_rate,
               json_extract(trials.measures, '$.greedy_success_rate_low') AS greedy_success_rate_low,
               json_extract(trials.measures, '$.greedy_success_rate_high') AS greedy_success_rate_high,
               json_extract(trials.measures, '$.greedy_mean_return') AS greedy_mean_return,
               json_extract(trials.measures, '$.evaluation') AS evaluation,
               json_extract(trials.measures, '$.evaluation_episodes') AS evaluation_episodes,
               json_extract(trials.measures, '$.best_success_rate') AS best_success_rate,
               json_extract(trials.measures, '$.best_return') AS best_return,
               json_extract(trials.measures, '$.random_success_rate') AS random_success_rate,
               json_extract(trials.measures, '$.random_return') AS random_return,
               json_extract(trials.measures, '$.success_rule') AS success_rule,
               trials.train_seconds, trials.wall_seconds, trials.cpu_seconds, trials.finished_at,
               trials.error, trials.error_place, trials.key
        FROM experiments
        JOIN experiment_trials ON experiment_trials.experiment = experiments.id
        JOIN trials ON trials.key = experiment_trials.key
        WHERE experiments.run_number =
              (SELECT max(run_number) FROM experiments AS same WHERE same.name = experiments.name)
        ORDER BY experiments.run_number, experiment_trials.position""",
        # Every measure, whatever its name.
        """CREATE VIEW measures AS
        SELECT trials.key, measure.key AS name, measure.value
        FROM trials, json_each(trials.measures) AS measure""",
    ),
)
SCHEMA_VERSION = len(MIGRATIONS)


def migrate(connection: sqlite3.Connection, version: int, to: int = SCHEMA_VERSION) -> None:
    """Bring a store from a version (0: an empty database) to another, inside the caller's transaction."""
    for statements in MIGRATIONS[version:to]:
        for statement in statements:
            if callable(statement):
                statement(connection)
            else:
                connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {to}")


@lru_cache(maxsize=8)
def expected_schema(version: int) -> tuple[tuple[str, str, str], ...]:
    """Schema of an undamaged store of a version, as `schema_of` gives it."""
    connection = sqlite3.connect(":memory:")
    migrate(connection, 0, version)
    schema = schema_of(connection)
    connection.close()
    return schema


def schema_of(connection: sqlite3.Connection) -> tuple[tuple[str, str, str], ...]:
    """Kind, name and definition of everything that a database defines, in order of names."""
    return tuple(
        (str(kind), str(name), str(definition))
        for kind, name, definition in connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name")
    )
