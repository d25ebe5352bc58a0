"""What a comparison found: a tidy table of trials, learning curves, and how they were made."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from velodrome.experiments.results.analysis import Analysis, AnalysisOptions, analyse
from velodrome.experiments.storage.curves import CurveGrid
from velodrome.experiments.storage.episode_curves import EpisodeCurves
from velodrome.experiments.storage.store import Store, StoredExperiment
from velodrome.experiments.storage.store_schema import METRICS

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

# Curves that are in memory at a time.
CURVES_AT_ONCE = 200
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
        specifications: agent (label) to the specification of one of its trials, canonical JSON with all parameters of
            the agent; without those that came from elsewhere.
    """

    name: str
    records: list[dict[str, Any]]
    settings: dict[str, Any]
    num_planned: int
    description: str = ""
    warnings: tuple[str, ...] = ()
    provenance: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    specifications: Mapping[str, str] = field(default_factory=dict, repr=False, kw_only=True)
    _curve_source: CurveSource = field(default=lambda keys: iter(()), repr=False)
    _save: Callable[[Path], None] | None = field(default=None, repr=False)

    @classmethod
    def of_store(cls, store: Store, experiment: StoredExperiment) -> "Results":
        """Results of an experiment of a store, as far as its trials have ended."""
        rows = store.trials([key for key, *_ in experiment.trials])
        records: list[dict[str, Any]] = []
        remarks: dict[tuple[str, str], list[str]] = {}
        specifications: dict[str, str] = {}
        for key, agent, environment, seed in experiment.trials:
            row = rows.get(key)
            if row is None:
                continue
            specifications.setdefault(agent, row["specification"])
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
            specifications=specifications,
        )

    @classmethod
    def load(cls, directory: str | Path, experiment: str | None = None) -> "Results":
        """Results of the latest experiment of a folder, or of the latest with a name.

        Raises:
            StoreError: there is no store or no such experiment, or it is damaged or newer than this release.
        """
        with Store.open_for_reading(directory) as store:
            return cls.of_store(store, store.experiment(experiment))

    @classmethod
    def from_frame(
        cls, frame: "DataFrame", *, name: str = "results", description: str = "", curves: "DataFrame | None" = None
    ) -> "Results":
        """Results of a tidy table from anywhere, one row a trial: see `results.importers.from_frame`."""
        from velodrome.experiments.results.importers import from_frame

        return from_frame(frame, name=name, description=description, curves=curves)

    @classmethod
    def joined(cls, results: "Sequence[Results]", names: Sequence[str] | None = None) -> "Results":
        """Several results in one, by agent and environment: see `results.joined`."""
        from velodrome.experiments.results.joined_results import joined

        return joined(results, names)

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

    def analysis(self, options: AnalysisOptions | None = None) -> Analysis:
        """Who is better than whom, by how much and how sure; computed once for each choice of options.

        Raises:
            ExperimentError: options that do not fit, such as an unknown baseline.
        """
        options = options or AnalysisOptions()
        if options not in self._analyses:
            self._analyses[options] = analyse(self, options)
        return self._analyses[options]

    @cached_property
    def _analyses(self) -> dict[AnalysisOptions, Analysis]:
        return {}

    def rows(self, options: AnalysisOptions | None = None) -> list[dict[str, Any]]:
        """One row for each environment and agent with trials, in the order of the experiment; NaN for the unknown."""
        rows = [row for one in self.analysis(options).environments for row in one.rows]
        place = {label: position for position, label in enumerate(self.agents)}
        order = {label: position for position, label in enumerate(self.environments)}
        return [dict(row) for row in sorted(rows, key=lambda row: (order[row["environment"]], place[row["agent"]]))]

    def table(
        self,
        *,
        metric: str | None = None,
        baseline: str | None = None,
        threshold: float | None = None,
        difference: float | None = None,
    ) -> "DataFrame":
        """The comparison: one row for each environment and agent, ranked by the metric that decides.

        `_mean`, `_min` and `_max` are over seeds, `_low` and `_high` are the ends of the 95 % interval of the mean.
        Agents that share a letter are not distinguishable at a family-wise error of 5 %.

        Args:
            metric: greedy_success_rate, greedy_return, train_success_rate or train_return; by default greedy success
                where there is a success rule, or else greedy return.
            baseline: agent that the others are compared with; by default the best on each environment.
            threshold: success rate whose first episode is looked for; by default 0.8 of the best possible.
            difference: smallest difference that matters.

        Raises:
            ExperimentError: arguments that do not fit.
        """
        import pandas as pd

        options = AnalysisOptions(metric=metric, baseline=baseline, threshold=threshold, difference=difference)
        return pd.DataFrame([row for one in self.analysis(options).environments for row in one.rows])

    def plot(
        self,
        metric: str | None = None,
        *,
        kind: str = "learning",
        environment: str | None = None,
        parameter: str | None = None,
        over: str | None = None,
    ) -> "Figure":
        """A picture, one panel an environment where that makes sense.

        Args:
            metric: of learning curves "success_rate" or "return"; of other kinds what decides, as in `table`.
            kind: "learning", "scores", "profiles", "improvement", "regret" or "sweep".
            environment: only this one.
            parameter: that a sweep varies, such as "discount" or "policy.epsilon".
            over: "episodes" or "steps", the x axis of learning curves and regret.

        Raises:
            ExperimentError: arguments that do not fit, or nothing to draw.
        """
        from velodrome.experiments.plotting.figures import draw

        return draw(self, kind, metric=metric, environment=environment, parameter=parameter, over=over)

    def report(
        self, path: str | Path, *, language: Literal["en", "ko"] = "en", options: AnalysisOptions | None = None
    ) -> Path:
        """Write one HTML page: the verdict in words, tables, plots, warnings, and how it was run.

        Args:
            path: of the page.
            language: "en" or "ko".
            options: what decides, the baseline, and the like.

        Returns:
            The path.

        Raises:
            ExperimentError: options that do not fit.
            OSError: the file cannot be written.
        """
        from velodrome.experiments.reporting.report import write_report

        return write_report(self, Path(path), options=options, language=language)

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
        """Training episodes and steps of the trials of a pair; one of them is None, both where it is not known."""
        for own in self.settings.get("budgets", ()):
            if (own["environment"], own["agent"]) == (environment, agent):
                return own["episodes"], own["steps"]
        return self.settings["episodes"], self.settings["steps"]

    def episode_curves(self, environment: str, agent: str) -> Iterator[EpisodeCurves]:
        """Training, episode by episode, of each trial of a pair that is done, in the order of the seeds."""
        keys = [record["key"] for record in self.trials(environment, agent) if record["status"] == "done"]
        return self._curves_of(keys)

    def _curves_of(self, keys: Sequence[str]) -> Iterator[EpisodeCurves]:
        """Curves of the trials that have any, in the order of the keys; only some are in memory at a time."""
        for first in range(0, len(keys), CURVES_AT_ONCE):
            batch = keys[first : first + CURVES_AT_ONCE]
            found = dict(self._curve_source(batch))
            yield from (found[key] for key in batch if key in found)

    def curve_grid(self, environment: str, agent: str, over: Literal["episodes", "steps"] | None = None) -> CurveGrid:
        """Points of a pair's learning curves: up to its budget, or up to its longest trial in another unit.

        Args:
            environment: its label.
            agent: its label.
            over: episodes or environment steps; by default the unit of the budget, episodes if that is not known.
        """
        episodes, steps = self.budget(environment, agent)
        over = over or ("episodes" if steps is None else "steps")
        total = episodes if over == "episodes" else steps
        if total is None:
            logs = self.episode_curves(environment, agent)
            total = max((log.episodes if over == "episodes" else int(log.lengths.sum()) for log in logs), default=0)
        total = max(1, total)
        return CurveGrid.of(total, None) if over == "episodes" else CurveGrid.of(None, total)

    def curves(
        self, environment: str, agent: str, *, over: Literal["episodes", "steps"] | None = None
    ) -> tuple[CurveGrid, np.ndarray]:
        """Success rate and return in training of a pair's trials that are done.

        Args:
            environment: its label.
            agent: its label.
            over: as of `curve_grid`.

        Returns:
            The grid of at most 200 points, and float32 (num_trials, 2, num_points): success rates, then returns.
        """
        grid = self.curve_grid(environment, agent, over)
        curves = [grid.curve(curve) for curve in self.episode_curves(environment, agent)]
        return grid, np.array(curves, dtype=np.float32).reshape(len(curves), 2, len(grid.ends))


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
