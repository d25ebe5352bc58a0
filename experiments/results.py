"""What a comparison found: a tidy table of trials, learning curves, and how they were made."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from velodrome.experiments.bootstrap import mean_interval
from velodrome.experiments.curves import CurveGrid
from velodrome.experiments.storage.episode_curves import EpisodeCurves
from velodrome.experiments.storage.store import Store, StoredExperiment
from velodrome.experiments.storage.store_schema import METRICS

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

# Gives the curves of trials by key.
CurveSource = Callable[[Sequence[str]], Iterator[tuple[str, EpisodeCurves]]]


@dataclass(frozen=True, eq=False)
class Results:
    """Trials of several agents on several environments.

    Attributes:
        name: of the experiment.
        records: one row a trial that has ended, in the order environment × agent × seed: agent, environment, seed,
            status, the numbers of `Trial.metrics` (NaN for a failed trial), its error, and its times.
        settings: what was asked for: agents, environments, budgets, seeds, evaluation.
        num_planned: trials of the experiment; more than there are records if it was interrupted.
        description: the question, in a sentence.
        warnings: of the checks before running.
        provenance: how the trials were run: versions, commit, command, machine; one entry for each way.
        notes: one-line remarks.
    """

    name: str
    records: list[dict[str, Any]]
    settings: dict[str, Any]
    num_planned: int
    description: str = ""
    warnings: tuple[str, ...] = ()
    provenance: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    _curve_source: CurveSource = field(default=lambda keys: iter(()), repr=False)
    _save: Callable[[Path], None] | None = field(default=None, repr=False)

    @classmethod
    def of_store(cls, store: Store, experiment: StoredExperiment) -> "Results":
        """Results of an experiment of a store, as far as its trials have ended."""
        rows = store.trials([key for key, *_ in experiment.trials])
        records: list[dict[str, Any]] = []
        remarks: dict[tuple[str, str], list[str]] = {}
        for key, agent, environment, seed in experiment.trials:
            row = rows.get(key)
            if row is None:
                continue
            records.append({"agent": agent, "environment": environment, "seed": seed} | _record(row))
            for note in json.loads(row["notes"]):
                remarks.setdefault((environment, note), []).append(agent)
        ways = sorted({int(row["provenance"]) for row in rows.values()})
        path = store.path
        return cls(
            experiment.name,
            records,
            _in_order(experiment),
            len(experiment.trials),
            experiment.description,
            experiment.warnings,
            tuple(store.provenance(way) for way in ways),
            _notes(remarks, records),
            store.curves if path is None else partial(_stored_curves, path.parent),
            partial(_copy, store if path is None else path.parent, experiment.identifier),
        )

    @classmethod
    def load(cls, directory: str | Path, experiment: str | None = None) -> "Results":
        """Results of the latest experiment of a folder, or of the latest with a name.

        Raises:
            StoreError: there is no store or no such experiment, or it is damaged or newer than this release.
        """
        with Store.open_for_reading(directory) as store:
            return cls.of_store(store, store.experiment(experiment))

    def save(self, directory: str | Path) -> None:
        """Copy the experiment and its trials into the store of a folder, made if needed.

        Raises:
            StoreError: that store is damaged, foreign or newer than this release.
        """
        if self._save is None:
            raise ValueError("these results came from elsewhere: only those of compare and load can be saved")
        self._save(Path(directory))

    @property
    def agents(self) -> list[str]:
        """Labels of the agents, in the order of the experiment."""
        return list(self.settings["agents"])

    @property
    def environments(self) -> list[str]:
        """Labels of the environments, in the order of the experiment."""
        return list(self.settings["environments"])

    def frame(self) -> "DataFrame":
        """One row a trial that has ended: agent, environment, seed, status and every number that was measured."""
        import pandas as pd

        return pd.DataFrame(self.records)

    def rows(self) -> list[dict[str, Any]]:
        """One JSON-ready row for each environment and agent, over all seeds."""
        return [dict(row) for row in self._rows]

    @cached_property
    def _rows(self) -> list[dict[str, Any]]:
        return [
            self._row(environment, agent)
            for environment in self.environments
            for agent in self.agents
            if self.trials(environment, agent)
        ]

    def table(self) -> "DataFrame":
        """The comparison: one row for each environment and agent, ranked by greedy success, then return.

        Success rates are means over the seeds with their smallest and largest; `_low` and `_high` are the ends of
        the 95 % bootstrap interval of the mean.
        """
        import pandas as pd

        frame = pd.DataFrame(self.rows())
        if frame.empty:
            return frame
        frame["order"] = frame["environment"].map(self.environments.index)
        by = ["order", "greedy_success_rate_mean", "greedy_return_mean", "train_success_rate_mean"]
        ranked = frame.sort_values(by, ascending=[True, False, False, False], kind="stable")
        return ranked.drop(columns="order").reset_index(drop=True)

    def plot(self, metric: str = "success_rate") -> "Figure":
        """Learning curves with 95 % bands, one panel an environment; `metric` is "success_rate" or "return"."""
        from velodrome.experiments.plots import plot_learning_curves

        return plot_learning_curves(self, metric)

    @property
    def failures(self) -> list[dict[str, Any]]:
        """Records of the trials that failed or timed out."""
        return [record for record in self.records if record["status"] != "done"]

    def trials(self, environment: str, agent: str) -> list[dict[str, Any]]:
        """Records of an environment and agent."""
        return self._by_pair.get((environment, agent), [])

    @cached_property
    def _by_pair(self) -> dict[tuple[str, str], list[dict[str, Any]]]:
        by_pair: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for record in self.records:
            by_pair.setdefault((record["environment"], record["agent"]), []).append(record)
        return by_pair

    def budget(self, environment: str, agent: str) -> tuple[int | None, int | None]:
        """Training episodes and steps of the trials of a pair; one of them is None."""
        for own in self.settings.get("budgets", ()):
            if (own["environment"], own["agent"]) == (environment, agent):
                return own["episodes"], own["steps"]
        return self.settings["episodes"], self.settings["steps"]

    def episode_curves(self, environment: str, agent: str) -> Iterator[EpisodeCurves]:
        """Training, episode by episode, of each trial of a pair that is done, in the order of the seeds."""
        keys = [record["key"] for record in self.trials(environment, agent) if record["status"] == "done"]
        found = dict(self._curve_source(keys))
        return (found[key] for key in keys if key in found)

    def curves(self, environment: str, agent: str, *, over_steps: bool = False) -> tuple[CurveGrid, np.ndarray]:
        """Success rate and return in training of a pair's trials that are done.

        Args:
            environment: its label.
            agent: its label.
            over_steps: over environment steps also where the budget is one of episodes.

        Returns:
            The grid of at most 200 points, and float32 (num_trials, 2, num_points): success rates, then returns.
        """
        episodes, steps = self.budget(environment, agent)
        if over_steps and episodes is not None:
            most = max(
                (record["steps"] for record in self.trials(environment, agent) if record["status"] == "done"), default=0
            )
            episodes, steps = None, max(1, most)
        grid = CurveGrid.of(episodes, steps)
        curves = [grid.curve(curve) for curve in self.episode_curves(environment, agent)]
        return grid, np.array(curves, dtype=np.float32).reshape(len(curves), 2, len(grid.ends))

    def _row(self, environment: str, agent: str) -> dict[str, Any]:
        all_trials = self.trials(environment, agent)
        trials = [trial for trial in all_trials if trial["status"] == "done"]
        failed = len(all_trials) - len(trials)
        row: dict[str, Any] = {"environment": environment, "agent": agent, "seeds": len(trials), "failed": failed}
        row |= _summary("train_success_rate", [trial["train_success_rate"] for trial in trials])
        row |= _summary("greedy_success_rate", [trial["greedy_success_rate"] for trial in trials])
        first = trials[0] if trials else {}
        row["best_success_rate"] = first.get("best_success_rate", float("nan"))
        row["random_success_rate"] = first.get("random_success_rate", float("nan"))
        row["share_of_best"] = _share(row["greedy_success_rate_mean"], row["best_success_rate"])
        row |= _summary("train_return", [trial["train_mean_return"] for trial in trials])
        row |= _summary("greedy_return", [trial["greedy_mean_return"] for trial in trials])
        row["best_return"] = first.get("best_return", float("nan"))
        row["random_return"] = first.get("random_return", float("nan"))
        row["evaluation"] = first.get("evaluation", "")
        row["success_rule"] = first.get("success_rule", "")
        row["loop"] = ", ".join(dict.fromkeys(trial["loop"] for trial in trials))
        total = sum(trial["train_seconds"] for trial in trials)
        row["steps_per_second"] = sum(trial["steps"] for trial in trials) / total if total > 0 else float("nan")
        return row


def json_ready(value: Any) -> Any:
    """`value` for strict JSON: NaN as None, infinities as "Infinity" and "-Infinity", NumPy numbers as Python's."""
    if isinstance(value, dict):
        return {key: json_ready(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_ready(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None if np.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value


def _notes(remarks: Mapping[tuple[str, str], list[str]], records: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Remarks of trials by environment and text, each once, with the agents whose trials have it."""
    agents_of: dict[str, set[str]] = {}
    for record in records:
        agents_of.setdefault(record["environment"], set()).add(record["agent"])
    notes = []
    for (environment, note), agents in remarks.items():
        everybody = len(agents_of[environment]) > 1 and set(agents) == agents_of[environment]
        who = "every agent" if everybody else ", ".join(dict.fromkeys(agents))
        notes.append(f"{who} on {environment} {note}")
    return tuple(notes)


_MISSING: dict[str, Any] = {name: "" if kind == "TEXT" else float("nan") for name, kind in METRICS.items()}


def _in_order(experiment: StoredExperiment) -> dict[str, Any]:
    """Settings with agents and environments in the order of the trials; canonical JSON keeps them by name."""
    ordered = dict(experiment.settings)
    for setting, place in (("agents", 1), ("environments", 2)):
        labels = dict.fromkeys(trial[place] for trial in experiment.trials)
        ordered[setting] = {label: ordered[setting][label] for label in labels}
    return ordered


def _record(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the store as a record: NaN for NULL where a number belongs, and the speed."""
    measured = {name: (_MISSING[name] if row[name] is None else row[name]) for name in METRICS}
    seconds = float("nan") if row["train_seconds"] is None else float(row["train_seconds"])
    rest = {name: row[name] for name in ("wall_seconds", "cpu_seconds", "error", "error_place", "key")}
    speed = measured["steps"] / seconds if seconds > 0 else float("nan")
    return {"status": row["status"]} | measured | {"train_seconds": seconds, "steps_per_second": speed} | rest


def _stored_curves(directory: Path, keys: Sequence[str]) -> Iterator[tuple[str, EpisodeCurves]]:
    with Store.open_for_reading(directory, is_known=True) as store:
        yield from store.curves(keys)


def _copy(source: Store | Path, identifier: int, directory: Path) -> None:
    with Store.open(directory) as target:
        if isinstance(source, Store):
            target.copy(source, source.experiment(identifier=identifier))
        else:
            with Store.open_for_reading(source) as store:
                target.copy(store, store.experiment(identifier=identifier))


def _summary(name: str, values: Iterable[float]) -> dict[str, float]:
    array = np.array(list(values), dtype=np.float64)
    present = array[~np.isnan(array)]
    if not len(present):
        return dict.fromkeys([f"{name}_{part}" for part in ("mean", "low", "high", "min", "max")], float("nan"))
    if not np.isfinite(present).all() or np.ptp(present) == 0:
        low = high = float(np.mean(present))
    else:
        low, high = (float(end) for end in mean_interval(present))
    return {
        f"{name}_mean": float(np.mean(present)),
        f"{name}_low": low,
        f"{name}_high": high,
        f"{name}_min": float(present.min()),
        f"{name}_max": float(present.max()),
    }


def _share(value: float, best: float) -> float:
    return value / best if best and np.isfinite(best) and best > 0 else float("nan")
