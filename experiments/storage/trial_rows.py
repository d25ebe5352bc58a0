"""One trial as a row: flat in memory, with its measures in one column of JSON in the store."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from velodrome.experiments.storage.store_schema import (
    CIRCUMSTANCES,
    IDENTITY,
    METRICS,
    REMARKS,
    STORED_COLUMNS,
    TRIAL_COLUMNS,
)
from velodrome.experiments.storage.stored_content import (
    LARGEST_INTEGER,
    ContentError,
    measures_text,
    read_json,
    read_measures,
    wrong_kind,
)
from velodrome.experiments.storage.trial_outcome import TrialOutcome

# A trial by name: TRIAL_COLUMNS, then `measured_sha256`, then its further measures.
Row = dict[str, Any]
_NAMED = frozenset((*TRIAL_COLUMNS, "measured_sha256"))
_values = itemgetter(*TRIAL_COLUMNS)
_OF_DECLARATION = {"TEXT": (str,), "INTEGER": (int,), "REAL": (float, int)}
# The types that the columns of a trial hold.
_COLUMNS = {
    name: {*_OF_DECLARATION[kind.split()[0]], *(() if "NOT NULL" in kind or "KEY" in kind else (type(None),))}
    for name, kind in (IDENTITY | METRICS | REMARKS | {"measured_sha256": "TEXT"} | CIRCUMSTANCES).items()
}
_columns = itemgetter(*_COLUMNS)
# Types that fit the columns, to the places of the whole numbers among them.
_integers_of: dict[tuple[type, ...], tuple[int, ...]] = {}
_COUNTS = ("episodes", "steps", "evaluation_episodes", "train_seconds", "wall_seconds", "cpu_seconds")
_WHOLE_NUMBERS = {name for name, kind in METRICS.items() if kind == "INTEGER"}


def new_row(identity: Sequence[Any], outcome: TrialOutcome, circumstances: Mapping[str, Any]) -> Row:
    """Row of a trial that has ended.

    Args:
        identity: the values of `IDENTITY` but for the status.
        outcome: what became of it.
        circumstances: the checksums of its curves, when it ended, and the number of its provenance.

    Raises:
        ContentError: a measure that cannot be stored.
    """
    measures = dict(outcome.metrics)
    row = dict(zip(IDENTITY, (*identity, outcome.status), strict=True))
    row |= {name: _stored(name, measures.pop(name, None)) for name in METRICS}
    row |= {
        "error": outcome.error,
        "error_place": outcome.error_place,
        "notes": json.dumps(list(outcome.notes), ensure_ascii=False),
        "error_traceback": outcome.error_traceback,
        "train_seconds": _stored("train_seconds", measures.pop("train_seconds", None)),
        "wall_seconds": float(outcome.wall_seconds),
        "cpu_seconds": float(outcome.cpu_seconds),
        **circumstances,
    }
    if taken := measures.keys() & _NAMED:
        raise ContentError(f"no measure can have the name {min(taken)!r}: a trial has it already")
    row |= {name: _plain(value) for name, value in measures.items() if value is not None}
    return {_text(name): _text(value) if isinstance(value, str) else value for name, value in row.items()}


def read_row(columns: Sequence[str], values: Sequence[Any]) -> tuple[Row, Any]:
    """Row of a trial, and its checksum, from what stands in `STORED_COLUMNS` or `EARLIER_COLUMNS`.

    Raises:
        ContentError: its measures are none.
    """
    stored = dict(zip(columns, values, strict=True))
    measures = read_measures(stored["measures"]) if "measures" in stored else {}
    row = {name: stored[name] if name in stored else measures.pop(name, None) for name in TRIAL_COLUMNS}
    if taken := measures.keys() & _NAMED:
        raise ContentError(f"measures holds {min(taken)!r}")
    row["measured_sha256"] = stored.get("measured_sha256")
    row |= {name: _plain(value) for name, value in measures.items()}
    return row, stored["checksum"]


def stored_values(row: Row) -> tuple[Any, ...]:
    """A row with its checksum, in the order of `STORED_COLUMNS`.

    Raises:
        ContentError: a measure that cannot be stored.
    """
    measures = measures_text({name: row[name] for name in METRICS} | further_measures(row))
    stored = row | {"measures": measures, "checksum": row_checksum(row)}
    return tuple(stored[name] for name in STORED_COLUMNS)


def further_measures(row: Row) -> dict[str, Any]:
    """Measures that are not among `METRICS`, by name: numbers, texts, or what else JSON holds."""
    return {name: value for name, value in row.items() if name not in _NAMED} if len(row) > len(_NAMED) else {}


def row_checksum(row: Row) -> str:
    """Checksum of a trial, the same whatever version of the schema holds it."""
    return text_sha256(repr(_values(row)) + further_content(row))


def further_content(row: Row) -> str:
    """Further measures and the checksum of measured curves as one text; empty where there are none."""
    further = sorted(further_measures(row).items())
    return repr((row["measured_sha256"], further)) if further or row["measured_sha256"] is not None else ""


def check_row(row: Row) -> None:
    """Refuse a row with a value that its column does not hold; further measures may be anything.

    Raises:
        ContentError: naming the column.
    """
    values = _columns(row)
    types = tuple(map(type, values))
    # Thousands of trials have the same types, which are looked at once.
    integers = _integers_of.get(types)
    if integers is None or any(abs(values[place]) > LARGEST_INTEGER for place in integers):
        for name, kinds in _COLUMNS.items():
            value = row[name]
            if type(value) not in kinds or (type(value) is int and abs(value) > LARGEST_INTEGER):
                raise ContentError(wrong_kind(row[name], name))
        _integers_of[types] = tuple(place for place, kind in enumerate(types) if kind is int)
    for name in _COUNTS:
        if row[name] is not None and not 0 <= row[name] < math.inf:
            raise ContentError(f"{name} is {row[name]!r}")
    if row["notes"] != "[]":
        read_json(row["notes"], [str], "notes")


def text_sha256(text: str) -> str:
    """SHA-256 (hex) of a text."""
    return hashlib.sha256(str(text).encode()).hexdigest()


def _stored(name: str, value: Any) -> Any:
    """A measure of the first release as SQLite gave it back: NaN became NULL and -0.0 became 0.0 there."""
    if value is None or isinstance(value, str):
        return value
    if name in _WHOLE_NUMBERS:
        return int(value)
    number = float(value)
    return None if number != number else number + 0.0


def _plain(value: Any) -> Any:
    """A further measure as a reader of the store gets it: whole numbers beyond 64 bits are floats, as in SQLite."""
    plain = value.item() if isinstance(value, np.generic) else value
    return float(str(plain)) if type(plain) is int and abs(plain) > LARGEST_INTEGER else plain


def _text(value: str) -> str:
    # Messages of foreign code may hold lone surrogates, which no database takes.
    return value if value.isascii() else value.encode("utf-8", "replace").decode()
