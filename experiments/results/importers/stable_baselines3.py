"""Stable-Baselines3's files: `monitor.csv` of training, `evaluations.npz` of EvalCallback."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from velodrome.agents.adapters.episode_files import EpisodeFileError, EpisodeTable
from velodrome.envs.array_files import ArrayFileError, read_arrays
from velodrome.envs.success_rules import INFO
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.results.importers.trials import ForeignTrial, curve_of, foreign_table
from velodrome.experiments.results.results import Results
from velodrome.experiments.storage.episode_curves import EpisodeCurves
from velodrome.experiments.trials.evaluation import wilson_interval

Files: TypeAlias = str | Path | Sequence[str | Path]

_MONITOR = "monitor.csv"
_EVALUATIONS = "evaluations.npz"


def read_stable_baselines3(
    source: Files | Mapping[tuple[str, str | None, int], Files],
    *,
    agent: str | None = None,
    environment: str | None = None,
    seed: int | None = None,
    name: str = "stable-baselines3",
    description: str = "",
) -> Results:
    """Results of runs of Stable-Baselines3.

    Training comes from the files `*monitor.csv` (several are environments that ran side by side; their episodes are
    put in the order of their ends): learning curve, mean return, and success rate where `is_success` is one of the
    Monitor's `info_keywords`. The greedy numbers are those of the last evaluation in `evaluations.npz`, not of the
    best one, which would be chosen by the scores that it reports.

    Args:
        source: of one run, its folder or files; of several, {(agent, environment, seed): folder or files}.
        agent: label, of one run.
        environment: label, of one run. None here or in the keys of several: the id that the Monitor noted.
        seed: of one run.
        name: of the results.
        description: the question, in a sentence.

    Raises:
        ExperimentError: a run has no such file, a file cannot be read, or nothing names the agent, environment or seed.

    Source of the forms: Stable-Baselines3 2.9, `common.monitor` and `common.callbacks.EvalCallback`.
    """
    if isinstance(source, Mapping):
        if (agent, environment, seed) != (None, None, None):
            raise ExperimentError("agent, environment and seed are in the keys where source is a dictionary")
        runs = dict(source)
        if not all(isinstance(key, tuple) and len(key) == 3 for key in runs):
            raise ExperimentError("source must be a folder, files, or {(agent, environment, seed): folder or files}")
    else:
        if agent is None or seed is None:
            raise ExperimentError("agent and seed must be given, for the files do not tell them")
        runs = {(agent, environment, seed): source}
    trials, steps_of_evaluation = [], set()
    for (label, place, number), files in runs.items():
        trial, steps = _trial(label, place, number, files)
        trials.append(trial)
        steps_of_evaluation.add(steps)
    notes = [_note(steps_of_evaluation - {None})] if steps_of_evaluation != {None} else []
    return foreign_table(Results, trials, "stable-baselines3", name=name, description=description, notes=notes)


def _note(steps: set[int | None]) -> str:
    numbers = sorted(number for number in steps if number is not None)
    span = f"{numbers[0]:,}" + (f" to {numbers[-1]:,}" if len(numbers) > 1 else "")
    return f"Greedy numbers of Stable-Baselines3's runs are of their last evaluation, after {span} steps."


def _trial(agent: str, environment: str | None, seed: int, source: Files) -> tuple[ForeignTrial, int | None]:
    """A run, and the steps after which it was last evaluated."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ExperimentError(f"seed of {agent} must be a whole number from 0, got {seed!r}")
    monitors, evaluations = _files(source)
    values: dict[str, Any] = {}
    curve = None
    if monitors:
        monitor = _read_monitors(monitors)
        environment = environment or monitor.environment
        curve = monitor.curve
        values["wall_seconds"] = monitor.seconds
        if curve.successes is not None:
            values["success_rule"] = INFO
    if not environment:
        raise ExperimentError(f"environment of {agent} with seed {seed} must be given, for the files do not tell it")
    steps = None
    if evaluations is not None:
        steps, measured = _read_evaluations(evaluations)
        values |= measured
        # Monitors count finished episodes only.
        values["steps"] = max(steps, 0 if curve is None else int(curve.lengths.sum()))
    return ForeignTrial(agent, environment, int(seed), values, curve), steps


def _files(source: Files) -> tuple[list[Path], Path | None]:
    """Monitor files, in order, and the file of evaluations."""
    paths = [Path(source)] if isinstance(source, str | Path) else [Path(one) for one in source]
    files: list[Path] = []
    for path in paths:
        found = sorted(path.glob(f"*{_MONITOR}")) + sorted(path.glob(_EVALUATIONS)) if path.is_dir() else [path]
        if not found:
            raise ExperimentError(f"{path}: there is no *{_MONITOR} and no {_EVALUATIONS} in this folder")
        files += found
    for file in files:
        if not file.name.endswith((_MONITOR, ".npz")):
            raise ExperimentError(f"{file}: must be a *{_MONITOR} or an {_EVALUATIONS}")
        if not file.is_file():
            raise ExperimentError(f"{file}: there is no such file")
    evaluations = [file for file in files if file.suffix == ".npz"]
    if len(evaluations) > 1:
        raise ExperimentError(f"{evaluations[1]}: one run has one file of evaluations, and {evaluations[0]} is another")
    return [file for file in files if file.suffix != ".npz"], evaluations[0] if evaluations else None


class _Monitor(NamedTuple):
    """Training of a run: duration from the first Monitor to the end of the last episode, NaN if not known."""

    environment: str | None
    curve: EpisodeCurves
    seconds: float


def _read_monitors(files: Iterable[Path]) -> _Monitor:
    parts = [_read_monitor(file) for file in files]
    environments = {part.environment for part in parts}
    if len(environments) > 1:
        raise ExperimentError(f"the monitor files of one run are of {' and '.join(sorted(map(str, environments)))}")
    ends = np.concatenate([part.ends for part in parts])
    # Within a file the order is that of the rows, also where an appended file starts its clock again.
    order = np.argsort(np.concatenate([np.maximum.accumulate(part.ends) for part in parts]), kind="stable")
    curves = [part.curve for part in parts]
    successes = None
    if all(curve.successes is not None for curve in curves):
        successes = np.concatenate([curve.successes for curve in curves if curve.successes is not None])[order]
    returns, lengths = (np.concatenate([getattr(curve, name) for curve in curves]) for name in ("returns", "lengths"))
    has_one_clock = all((np.diff(part.ends) >= 0).all() for part in parts)
    seconds = float(ends.max() - min(part.start for part in parts)) if len(ends) and has_one_clock else math.nan
    return _Monitor(environments.pop(), curve_of(returns[order], lengths[order], successes), seconds)


class _MonitorFile(NamedTuple):
    """One file: `ends` of episodes and `start` in seconds since 1970."""

    environment: str | None
    start: float
    ends: NDArray[np.float64]
    curve: EpisodeCurves


def _read_monitor(file: Path) -> _MonitorFile:
    try:
        table = EpisodeTable.read(file)
        header = table.header or {}
        if not isinstance(header.get("t_start"), int | float):
            raise EpisodeFileError(
                f'{file}: no file of Stable-Baselines3\'s Monitor, whose first line is #{{"t_start": …}}'
            )
        returns, lengths, times = (table.numbers(name, are_counts=name == "l") for name in ("r", "l", "t"))
    except EpisodeFileError as error:
        raise ExperimentError(str(error)) from None
    known = header.get("env_id")
    environment = str(known) if known not in (None, "", "None") else None
    start = float(header["t_start"])
    return _MonitorFile(environment, start, start + times, curve_of(returns, lengths, table.truths("is_success")))


def _read_evaluations(file: Path) -> tuple[int, dict[str, Any]]:
    """Steps and metrics of the last evaluation."""
    try:
        arrays = read_arrays(file)
        timesteps, results, successes = arrays["timesteps"], arrays["results"], arrays.get("successes")
    except (ArrayFileError, KeyError) as error:
        reason = " ".join(str(error).strip("'\"").split())
        raise ExperimentError(f"{file}: no file of Stable-Baselines3's EvalCallback: {reason}") from None
    if results.ndim != 2 or len(timesteps) != len(results) or not results.size:
        raise ExperimentError(f"{file}: results of shape {results.shape} for {len(timesteps)} evaluations")
    if results.dtype.kind not in "biuf" or not np.isfinite(results).all():
        raise ExperimentError(f"{file}: results must be finite numbers")
    last = np.asarray(results[-1], dtype=np.float64)
    metrics: dict[str, Any] = {
        "greedy_mean_return": float(last.mean()),
        "evaluation": "monte-carlo",
        "evaluation_episodes": len(last),
    }
    # Without an evaluation that noted success there are fewer rows than evaluations: whose they are is not known.
    if successes is not None and successes.ndim == 2 and len(successes) == len(results) and successes.size:
        low, high = wilson_interval(int(successes[-1].sum()), successes.shape[1])
        metrics |= {
            "greedy_success_rate": float(successes[-1].mean()),
            "greedy_success_rate_low": low,
            "greedy_success_rate_high": high,
            "success_rule": INFO,
        }
    return int(timesteps[-1]), metrics
