"""The tables of a store, version by version, and the columns of a trial."""

import sqlite3
from functools import lru_cache

# "velo" in ASCII: tells a store from other SQLite databases.
APPLICATION_ID = 0x76656C6F

# What training and evaluation gave, in the words of `Trial.metrics`.
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
CONTENT_COLUMNS = (*IDENTITY, *METRICS, *REMARKS)
TRIAL_COLUMNS = (*CONTENT_COLUMNS, *CIRCUMSTANCES)


def _trials_table() -> str:
    columns = IDENTITY | METRICS | REMARKS | CIRCUMSTANCES | {"checksum": "TEXT NOT NULL"}
    return "CREATE TABLE trials (" + ", ".join(f"{name} {kind}" for name, kind in columns.items()) + ")"


def _results_view() -> str:
    measured = ", ".join(f"trials.{name}" for name in METRICS)
    return f"""
        CREATE VIEW results AS
        SELECT experiments.name AS experiment, experiment_trials.agent, experiment_trials.environment,
               trials.seed, trials.status, {measured}, trials.train_seconds, trials.wall_seconds,
               trials.cpu_seconds, trials.finished_at, trials.error, trials.error_place, trials.key
        FROM experiments
        JOIN experiment_trials ON experiment_trials.experiment = experiments.id
        JOIN trials ON trials.key = experiment_trials.key
        WHERE experiments.run_number =
              (SELECT max(run_number) FROM experiments AS same WHERE same.name = experiments.name)
        ORDER BY experiments.run_number, experiment_trials.position
    """


# MIGRATIONS[n] leads from version n to version n + 1. An entry is never edited once released.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE provenance (id INTEGER PRIMARY KEY, content TEXT NOT NULL UNIQUE, checksum TEXT NOT NULL)",
        _trials_table(),
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
    (_results_view(),),
)
SCHEMA_VERSION = len(MIGRATIONS)


def migrate(connection: sqlite3.Connection, version: int, to: int = SCHEMA_VERSION) -> None:
    """Bring a store from a version (0: an empty database) to another, inside the caller's transaction."""
    for statements in MIGRATIONS[version:to]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {to}")


@lru_cache(maxsize=8)
def expected_schema(version: int) -> tuple[tuple[str, str, str], ...]:
    """What `schema_of` gives for an undamaged store of a version."""
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
