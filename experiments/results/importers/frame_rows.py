"""Tidy tables, one row a trial or one row a training episode, as trials and their curves."""

import difflib
import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from velodrome.agents.adapters.episode_files import MOST_STEPS
from velodrome.checks import closest
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.results.importers.trials import (
    COLUMNS,
    SCORE_COLUMNS,
    ForeignTrial,
    Table,
    curve_of,
    foreign_table,
    is_missing,
)
from velodrome.experiments.specification.entries import LARGEST_INTEGER
from velodrome.experiments.storage.episode_curves import EpisodeCurves
from velodrome.experiments.storage.trial_outcome import STATUSES
from velodrome.experiments.texts import is_printable

if TYPE_CHECKING:
    from pandas import DataFrame

_REQUIRED = ("agent", "environment", "seed")
_REQUIRED_OF_CURVES = ("agent", "environment", "seed", "episode", "return")
# Those of a store, and that of its trials which were given up as hopeless.
_STATUSES = (*STATUSES, "stopped")
_KNOWN = (*_REQUIRED, "status", *COLUMNS)
# A column as alike as this to a known one is taken for a mistake.
_NEAR = 0.75
_RETURNS = "greedy_mean_return (of the learnt policy) or train_mean_return (of all training episodes)"
_RATES = "greedy_success_rate (of the learnt policy) or train_success_rate (of all training episodes)"
_AMBIGUOUS = {
    **dict.fromkeys(("return", "mean_return", "reward", "mean_reward", "score"), _RETURNS),
    **dict.fromkeys(("success", "success_rate"), _RATES),
}


class TrialIdentity(NamedTuple):
    """Which trial of a table."""

    agent: str
    environment: str
    seed: int

    def __str__(self) -> str:
        return f"{self.agent} on {self.environment} with seed {self.seed}"


def table_of_frame(
    kind: type[Table],
    frame: "DataFrame",
    *,
    name: str = "results",
    description: str = "",
    curves: "DataFrame | None" = None,
) -> Table:
    """Trials of a tidy table from anywhere, one row each: columns, arguments and errors are those of `from_frame`.

    Args:
        kind: of table, such as `Results`.
        frame: the table.
        name: of the results.
        description: the question, in a sentence.
        curves: training, one row an episode.
    """
    ignored = _ignored_columns(frame)
    # A column's values, checked one by one: tables of trials are short.
    columns: dict[str, list[Any]] = {}
    for column in frame.columns:
        if column in _KNOWN:
            columns[column] = [
                _READERS[_kind(column)](value, f"column {column!r}, row {row!r}", column)
                for row, value in zip(frame.index, frame[column], strict=True)
            ]
    has_status = "status" in columns
    curve_of_trial = {} if curves is None else curves_of_frame(curves)
    trials = []
    for place in range(len(frame)):
        row = {column: values[place] for column, values in columns.items()}
        identity = TrialIdentity(row.pop("agent"), row.pop("environment"), row.pop("seed"))
        curve = curve_of_trial.pop(identity, None)
        if curve is not None and not is_missing(row.get("episodes", math.nan)) and row["episodes"] != curve.episodes:
            told = f"{row['episodes']} episodes by the table and {curve.episodes} by its curve"
            raise ExperimentError(f"curves: {identity} has {told}")
        status = row.pop("status", "done")
        if not has_status and curve is None and all(is_missing(row.get(column, math.nan)) for column in SCORE_COLUMNS):
            status, row["error"] = "failed", row.get("error") or "no score"
        trials.append(ForeignTrial(*identity, row, curve, status))
    if curve_of_trial:
        raise ExperimentError(f"curves: {next(iter(curve_of_trial))} is no trial of the table")
    notes = [f"Columns that are not used: {', '.join(ignored)}."] if ignored else []
    return foreign_table(kind, trials, "frame", name=name, description=description, notes=notes)


def _ignored_columns(frame: "DataFrame") -> list[str]:
    """Columns that are no part of a record, once the others are known to be right."""
    import pandas as pd

    if not isinstance(frame, pd.DataFrame):
        raise ExperimentError(f"frame must be a pandas.DataFrame, got {type(frame).__name__}")
    columns = [str(column) for column in frame.columns]
    twice = [column for column in columns if columns.count(column) > 1]
    if twice:
        raise ExperimentError(f"column {twice[0]!r} is there more than once")
    unknown = [column for column in columns if column not in _KNOWN]
    missing = [column for column in _KNOWN if column not in columns]
    for column in unknown:
        if column in _AMBIGUOUS:
            raise ExperimentError(f"column {column!r} may mean two things: call it {_AMBIGUOUS[column]}")
        # What is there under its right name is not what was meant.
        near = difflib.get_close_matches(column.lower(), missing, n=1, cutoff=_NEAR)
        if near:
            raise ExperimentError(f"unknown column {column!r}: did you mean {near[0]!r}?")
    absent = [column for column in _REQUIRED if column not in columns]
    if absent:
        raise ExperimentError(f"the table needs a column {absent[0]!r}; it has {', '.join(columns) or 'none'}")
    if not any(column in columns for column in SCORE_COLUMNS):
        raise ExperimentError(f"the table needs a score: one column at least of {', '.join(SCORE_COLUMNS)}")
    return unknown


def _kind(column: str) -> str:
    if column in ("agent", "environment"):
        return "label"
    if column in ("seed", "status"):
        return column
    if "_rate" in column:
        return "rate"
    if column.endswith("_seconds"):
        return "duration"
    return COLUMNS[column]


def _number(value: Any, place: str, column: str, allowed: str = "a finite number") -> float:
    if _is_absent(value):
        return math.nan
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ExperimentError(f"{place}: must be a number, got {value!r}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if math.isinf(number):
        raise ExperimentError(f"{place}: must be {allowed}")
    return number


def _rate(value: Any, place: str, column: str) -> float:
    number = _number(value, place, column)
    if not (is_missing(number) or 0 <= number <= 1):
        raise ExperimentError(f"{place}: must be a rate between 0 and 1, got {number:g}")
    return number


def _duration(value: Any, place: str, column: str) -> float:
    number = _number(value, place, column)
    if number < 0:
        raise ExperimentError(f"{place}: must be a number of seconds, got {number:g}")
    return number


def _count(value: Any, place: str, column: str) -> float | int:
    allowed = "a whole number from 0 to 2**63 - 1"
    number = _number(value, place, column, allowed)
    if is_missing(number):
        return number
    if not 0 <= number <= LARGEST_INTEGER or not number.is_integer():
        raise ExperimentError(f"{place}: must be {allowed}, got {number:g}")
    return int(value) if isinstance(value, Integral) else int(number)


def _seed(value: Any, place: str, column: str) -> int:
    if _is_absent(value):
        raise ExperimentError(f"{place}: every trial needs a seed; number the runs where there is none")
    return int(_count(value, place, column))


def _text(value: Any, place: str, column: str) -> str:
    if _is_absent(value):
        return ""
    if not isinstance(value, str):
        raise ExperimentError(f"{place}: must be text, got {value!r}")
    return value


def _label(value: Any, place: str, column: str) -> str:
    text = _text(value, place, column)
    if not text.strip():
        raise ExperimentError(f"{place}: every trial needs one, got {value!r}")
    if not is_printable(text):
        raise ExperimentError(f"{place}: must be one line without control characters, got {text!r}")
    return text


def _status(value: Any, place: str, column: str) -> str:
    text = _text(value, place, column) or "done"
    if text not in _STATUSES:
        raise ExperimentError(f"{place}: must be one of {', '.join(_STATUSES)}, got {text!r}{closest(text, _STATUSES)}")
    return text


def _is_absent(value: Any) -> bool:
    import pandas as pd

    return value is None or value is pd.NA or value is pd.NaT or is_missing(value)


_READERS: dict[str, Callable[[Any, str, str], Any]] = {
    "label": _label,
    "seed": _seed,
    "status": _status,
    "rate": _rate,
    "duration": _duration,
    "count": _count,
    "number": _number,
    "text": _text,
}


def curves_of_frame(frame: "DataFrame") -> dict[TrialIdentity, EpisodeCurves]:
    """Curves by trial.

    Args:
        frame: `agent`, `environment`, `seed`, `episode` (from 0 or 1, without gaps, in any order), `return`, and where
            known `length` (environment steps) and `success`; other columns are not used.

    Raises:
        ExperimentError: a column is missing or of the wrong type, an episode is missing or there twice, or a value is
            out of range.
    """
    import pandas as pd

    if not isinstance(frame, pd.DataFrame):
        raise ExperimentError(f"curves must be a pandas.DataFrame, got {type(frame).__name__}")
    for column in _REQUIRED_OF_CURVES:
        if column not in frame.columns:
            has = ", ".join(str(name) for name in frame.columns) or "none"
            raise ExperimentError(f"curves need a column {column!r}; they have {has}")
    for column in ("seed", "episode", "return", *(["length"] if "length" in frame.columns else [])):
        kind = frame[column].dtype
        if not pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_bool_dtype(kind):
            raise ExperimentError(f"curves: column {column!r} must hold numbers, got {kind}")
    absent = frame[list(_REQUIRED_OF_CURVES)].isna().any()
    if absent.any():
        raise ExperimentError(f"curves: column {absent.idxmax()!r} has an empty cell")
    groups = frame.groupby(["agent", "environment", "seed"], sort=False, observed=True)
    return {
        (trial := TrialIdentity(str(agent), str(environment), _seed_of_curve(seed))): _curve(trial, episodes)
        for (agent, environment, seed), episodes in groups
    }


def _seed_of_curve(value: Any) -> int:
    if not 0 <= value < 2**63 or value != int(value):
        raise ExperimentError(f"curves: column 'seed' must hold whole numbers, got {value}")
    return int(value)


def _curve(trial: TrialIdentity, frame: "DataFrame") -> EpisodeCurves:
    frame = frame.sort_values("episode", kind="stable")
    numbers = frame["episode"].to_numpy(np.float64)
    if numbers[0] not in (0, 1) or (np.diff(numbers) != 1).any():
        raise ExperimentError(f"curves: episodes of {trial} must count from 0 or 1, each once and without gaps")
    lengths = None
    if "length" in frame.columns and frame["length"].notna().any():
        values = frame["length"].to_numpy(np.float64, na_value=np.nan)
        if not ((values >= 1) & (values == np.floor(values)) & (values <= MOST_STEPS)).all():
            raise ExperimentError(f"curves: lengths of {trial} must be whole numbers of steps from 1, or all unknown")
        lengths = values.astype(np.int64)
    returns = frame["return"].to_numpy(np.float64)
    if not np.isfinite(returns).all():
        row = frame.index[~np.isfinite(returns)][0]
        raise ExperimentError(f"curves: column 'return', row {row!r}: must be a finite number")
    return curve_of(returns, lengths, _successes(trial, frame))


def _successes(trial: TrialIdentity, frame: "DataFrame") -> np.ndarray | None:
    if "success" not in frame.columns or frame["success"].isna().all():
        return None
    values = list(frame["success"])
    # NaN equals neither.
    if not all(isinstance(value, bool | int | float | np.bool_ | np.number) and value in (0, 1) for value in values):
        raise ExperimentError(f"curves: successes of {trial} must be true, false, 1 or 0, or all unknown")
    return np.array(values, dtype=np.bool_)
