"""A table of training episodes, one row each, as learning curves."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.results.importers.trials import MOST_STEPS, curve_of
from velodrome.experiments.storage.episode_curves import EpisodeCurves

if TYPE_CHECKING:
    from pandas import DataFrame

_REQUIRED = ("agent", "environment", "seed", "episode", "return")


class TrialIdentity(NamedTuple):
    """Which trial of a table."""

    agent: str
    environment: str
    seed: int

    def __str__(self) -> str:
        return f"{self.agent} on {self.environment} with seed {self.seed}"


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
    for column in _REQUIRED:
        if column not in frame.columns:
            has = ", ".join(str(name) for name in frame.columns) or "none"
            raise ExperimentError(f"curves need a column {column!r}; they have {has}")
    for column in ("seed", "episode", "return", *(["length"] if "length" in frame.columns else [])):
        kind = frame[column].dtype
        if not pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_bool_dtype(kind):
            raise ExperimentError(f"curves: column {column!r} must hold numbers, got {kind}")
    absent = frame[list(_REQUIRED)].isna().any()
    if absent.any():
        raise ExperimentError(f"curves: column {absent.idxmax()!r} has an empty cell")
    groups = frame.groupby(["agent", "environment", "seed"], sort=False, observed=True)
    return {
        (trial := TrialIdentity(str(agent), str(environment), _seed(seed))): _curve(trial, episodes)
        for (agent, environment, seed), episodes in groups
    }


def _seed(value: Any) -> int:
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
