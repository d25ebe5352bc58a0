"""The trials of an experiment as a typed table, with their curves: what all that is said of results is read from."""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from velodrome.agents.snapshots import Snapshots
from velodrome.agents.training_log import Curve
from velodrome.experiments.results.numbers import is_known
from velodrome.experiments.results.settings import Settings
from velodrome.experiments.results.solved import solved_numbers
from velodrome.experiments.storage.curves import CurveGrid
from velodrome.experiments.storage.episode_curves import EpisodeCurves
from velodrome.experiments.storage.store import Store, StoredExperiment, StoreError
from velodrome.experiments.trials.measures import columns_of

# Curves that are in memory at a time.
CURVES_AT_ONCE = 200
# Give the curves of trials by key.
CurveSource = Callable[[Sequence[str]], Iterator[tuple[str, EpisodeCurves]]]
SuccessSource = Callable[[Sequence[str]], Iterator[tuple[str, NDArray[np.bool_] | None]]]
MeasuredSource = Callable[[Sequence[str]], Iterator[tuple[str, Mapping[str, Curve]]]]
SnapshotSource = Callable[[Sequence[str]], Iterator[tuple[str, Snapshots]]]
Stored = TypeVar("Stored")
Reader = Callable[[Store, Sequence[str]], Iterator[tuple[str, Stored]]]
# What `Trial.metrics` gives of every trial, but for the time, in the order of the table's columns.
METRICS: dict[str, Literal["text", "count", "number"]] = {
    "episodes": "count",
    "steps": "count",
    "loop": "text",
    "train_success_rate": "number",
    "train_mean_return": "number",
    "greedy_success_rate": "number",
    "greedy_success_rate_low": "number",
    "greedy_success_rate_high": "number",
    "greedy_mean_return": "number",
    "evaluation": "text",
    "evaluation_episodes": "count",
    "best_success_rate": "number",
    "best_return": "number",
    "random_success_rate": "number",
    "random_return": "number",
    "success_rule": "text",
}
NOTHING: dict[str, float | str] = {name: "" if kind == "text" else math.nan for name, kind in METRICS.items()}
# Columns of a stored trial that hold no measure.
_NOT_MEASURED = (
    "key", "specification", "agent", "environment", "seed", "status", "error", "error_place", "curves_sha256", "notes",
    "error_traceback", "train_seconds", "wall_seconds", "cpu_seconds", "finished_at", "provenance",
    "measured_sha256",
)  # fmt: skip


@dataclass(frozen=True)
class TrialRecord:
    """One trial that has ended.

    Attributes:
        agent: label.
        environment: label.
        seed: of the trial.
        status: "done", "stopped" (as hopeless), "failed" or "timed out".
        measures: numbers and words of `Trial.metrics` by name, and a user's own measures; NaN and "" where not known.
        train_seconds: of training, without compiling; NaN where not known, as all times.
        wall_seconds: duration on the clock.
        cpu_seconds: time of the processor.
        error: what went wrong, in one line; empty if done.
        error_place: file, line and function of the code that raised, where known.
        key: of the trial.
        own_speed: environment steps a second, where that is not the steps by the seconds.
    """

    agent: str
    environment: str
    seed: int
    status: str
    measures: Mapping[str, float | str]
    train_seconds: float = math.nan
    wall_seconds: float = math.nan
    cpu_seconds: float = math.nan
    error: str = ""
    error_place: str = ""
    key: str = ""
    own_speed: float = math.nan

    @classmethod
    def of_row(cls, agent: str, environment: str, seed: int, row: Mapping[str, Any], own: Iterable[str] = ()) -> Self:
        """A row of the store, under the labels of an experiment with a user's `own` measures; NaN for NULL.

        Args:
            agent: label.
            environment: label.
            seed: of the trial.
            row: columns of the stored trial, by name.
            own: names of a user's own measures.
        """
        measures = NOTHING | dict.fromkeys(own, math.nan)
        stored = (item for item in row.items() if item[0] not in _NOT_MEASURED)
        measures |= {name: value for name, value in stored if isinstance(value, int | float | str)}
        seconds = math.nan if row["train_seconds"] is None else float(row["train_seconds"])
        status = "stopped" if row["status"] == "done" and is_known(row.get("stopped_at")) else row["status"]
        return cls(
            agent, environment, seed, status, measures, seconds, row["wall_seconds"], row["cpu_seconds"],
            row["error"], row["error_place"], row["key"],
        )  # fmt: skip

    @property
    def is_done(self) -> bool:
        """Whether it trained to its end: it neither failed nor timed out, nor was it stopped."""
        return self.status == "done"

    @property
    def is_stopped(self) -> bool:
        """Whether it was given up as hopeless: it has curves up to there, and no score."""
        return self.status == "stopped"

    @property
    def steps_per_second(self) -> float:
        """Environment steps a second of training; NaN where not known."""
        if not math.isnan(self.own_speed):
            return self.own_speed
        return self.number("steps") / self.train_seconds if self.train_seconds > 0 else math.nan

    def number(self, name: str) -> float:
        """A measured number; NaN where there is none of that name.

        Args:
            name: of a measure, such as "greedy_success_rate".
        """
        value = self.measures.get(name, math.nan)
        return math.nan if isinstance(value, str) else value

    def text(self, name: str) -> str:
        """A measured word; empty where there is none of that name.

        Args:
            name: of a measure, such as "loop".
        """
        value = self.measures.get(name, "")
        return value if isinstance(value, str) else ""

    @property
    def failure_reason(self) -> str:
        """Why it failed, and where."""
        return f"{self.error} ({self.error_place})" if self.error_place else self.error

    def row(self) -> dict[str, Any]:
        """The same as one flat row, as in `Results.frame`."""
        identity = {"agent": self.agent, "environment": self.environment, "seed": self.seed, "status": self.status}
        times = {"train_seconds": self.train_seconds, "steps_per_second": self.steps_per_second}
        times |= {"wall_seconds": self.wall_seconds, "cpu_seconds": self.cpu_seconds}
        return identity | dict(self.measures) | times | {
            "error": self.error, "error_place": self.error_place, "key": self.key,
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class TrialTable:
    """Trials of several agents on several environments.

    Attributes:
        name: of the experiment.
        records: one a trial that has ended, in the order environment × agent × seed.
        settings: what was asked for.
        num_planned: trials of the experiment; more than there are records if it was interrupted.
        description: the question, in a sentence.
        warnings: of the checks before running.
        provenance: how the trials were run: versions, commit, command, machine; one entry for each way.
        notes: one-line remarks.
        specifications: agent (label) to the specification of one of its trials, canonical JSON with all parameters of
            the agent; without those that came from elsewhere.
    """

    name: str
    records: Sequence[TrialRecord]
    settings: Settings
    num_planned: int
    description: str = ""
    warnings: tuple[str, ...] = ()
    provenance: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    specifications: Mapping[str, str] = field(default_factory=dict, repr=False, kw_only=True)
    _curve_source: CurveSource = field(default=lambda keys: iter(()), repr=False, kw_only=True)
    _success_source: SuccessSource | None = field(default=None, repr=False, kw_only=True)
    _measured_source: MeasuredSource = field(default=lambda keys: iter(()), repr=False, kw_only=True)
    _snapshot_source: SnapshotSource = field(default=lambda keys: iter(()), repr=False, kw_only=True)

    @classmethod
    def of_store(cls, store: Store, experiment: StoredExperiment) -> Self:
        """An experiment of a store, as far as its trials have ended.

        Args:
            store: an open store.
            experiment: an experiment of that store.

        Raises:
            StoreError: it is damaged.
        """
        try:
            settings = Settings.from_data(_in_order(experiment))
        except ValueError as error:
            raise StoreError(f"{store.path or 'the store'} is damaged: {error}") from None
        rows = store.trials([key for key, *_ in experiment.trials])
        own = columns_of(experiment.settings)
        records: list[TrialRecord] = []
        solved = _solved_numbers(store, experiment, settings, rows)
        remarks: dict[tuple[str, str], list[str]] = {}
        specifications: dict[str, str] = {}
        for key, agent, environment, seed in experiment.trials:
            row = rows.get(key)
            if row is None:
                continue
            specifications.setdefault(agent, row["specification"])
            row = {**row, **solved.get((key, environment), {})}
            records.append(TrialRecord.of_row(agent, environment, seed, row, own))
            for note in json.loads(row["notes"]):
                remarks.setdefault((environment, note), []).append(agent)
        ways = sorted({int(row["provenance"]) for row in rows.values()})
        return cls(
            experiment.name,
            records,
            settings,
            len(experiment.trials),
            experiment.description,
            experiment.warnings,
            tuple(store.provenance(way) for way in ways),
            _notes(remarks, records),
            specifications=specifications,
            _curve_source=_source(store, Store.curves),
            _success_source=_source(store, Store.successes),
            _measured_source=_source(store, Store.measured_curves),
            _snapshot_source=_source(store, Store.snapshots),
        )

    @property
    def agents(self) -> list[str]:
        """Labels of the agents, in the order of the experiment."""
        return list(self.settings.agents)

    @property
    def environments(self) -> list[str]:
        """Labels of the environments, in the order of the experiment."""
        return list(self.settings.environments)

    @property
    def failures(self) -> list[TrialRecord]:
        """The trials that failed or timed out."""
        return [record for record in self.records if not (record.is_done or record.is_stopped)]

    def stopped(self, environment: str, agent: str) -> list[TrialRecord]:
        """The trials of a pair that were given up as hopeless, in the order of the seeds.

        Args:
            environment: label of the environment.
            agent: label of the agent.
        """
        return [record for record in self.trials(environment, agent) if record.is_stopped]

    @cached_property
    def trained(self) -> Self:
        """The same with trials that were stopped counted as done: for curves, which such trials have, too."""
        if not any(record.is_stopped for record in self.records):
            return self
        records = [replace(record, status="done") if record.is_stopped else record for record in self.records]
        return replace(self, records=records)

    def trials(self, environment: str, agent: str) -> list[TrialRecord]:
        """The trials of an environment and agent that have ended, in the order of the seeds.

        Args:
            environment: label of the environment.
            agent: label of the agent.
        """
        return self._by_pair.get((environment, agent), [])

    def done(self, environment: str, agent: str) -> list[TrialRecord]:
        """The trials of an environment and agent that are done, in the order of the seeds.

        Args:
            environment: label of the environment.
            agent: label of the agent.
        """
        return self._done_by_pair.get((environment, agent), [])

    def done_on(self, environment: str) -> list[TrialRecord]:
        """The trials of all agents on an environment that are done.

        Args:
            environment: label of the environment.
        """
        return [record for agent in self.agents for record in self.done(environment, agent)]

    @cached_property
    def _by_pair(self) -> dict[tuple[str, str], list[TrialRecord]]:
        by_pair: dict[tuple[str, str], list[TrialRecord]] = {}
        for record in self.records:
            by_pair.setdefault((record.environment, record.agent), []).append(record)
        return by_pair

    @cached_property
    def _done_by_pair(self) -> dict[tuple[str, str], list[TrialRecord]]:
        return {pair: [record for record in some if record.is_done] for pair, some in self._by_pair.items()}

    @cached_property
    def analyses(self) -> dict[Any, Any]:
        """Analyses of the table by options: each is computed once."""
        return {}

    def budget(self, environment: str, agent: str) -> tuple[int | None, int | None]:
        """Training episodes and steps of the trials of a pair; one of them is None, both where it is not known.

        Args:
            environment: label of the environment.
            agent: label of the agent.
        """
        own = self.settings.budget_of(environment, agent)
        return own.episodes, own.steps

    def only(self, agents: list[str], environments: list[str]) -> Self:
        """The trials of some agents on some environments.

        Args:
            agents: labels to keep, in the order wanted.
            environments: likewise.
        """
        records = [record for place in environments for agent in agents for record in self.trials(place, agent)]
        return replace(self, records=records, settings=self.settings.only(agents, environments))

    def episode_curves(self, environment: str, agent: str) -> Iterator[EpisodeCurves]:
        """Training, episode by episode, of each trial of a pair that is done, in the order of the seeds.

        Args:
            environment: label of the environment.
            agent: label of the agent.
        """
        for batch in _batches([record.key for record in self.done(environment, agent)]):
            found = dict(self._curve_source(batch))
            yield from (found[key] for key in batch if key in found)

    def successes(self, environment: str, agent: str) -> list[NDArray[np.bool_] | None]:
        """Whether each episode was a success, of each trial of a pair that is done, in the order of the seeds.

        None without a success rule. Read once, and kept with eight episodes a byte.

        Args:
            environment: label of the environment.
            agent: label of the agent.
        """
        if environment not in self._packed_successes:
            keys = [record.key for record in self.done_on(environment)]
            self._packed_successes[environment] = {
                key: None if one is None else (np.packbits(one), len(one))
                for batch in _batches(keys)
                for key, one in self._read_successes(batch)
            }
        kept = self._packed_successes[environment]
        found = [kept[record.key] for record in self.done(environment, agent) if record.key in kept]
        return [None if one is None else np.unpackbits(one[0], count=one[1]).view(np.bool_) for one in found]

    def _read_successes(self, keys: Sequence[str]) -> Iterator[tuple[str, NDArray[np.bool_] | None]]:
        if self._success_source is not None:
            return self._success_source(keys)
        return ((key, curves.successes) for key, curves in self._curve_source(keys))

    @cached_property
    def _packed_successes(self) -> dict[str, dict[str, tuple[NDArray[np.uint8], int] | None]]:
        return {}

    def measured_curves(self, environment: str, agent: str, name: str) -> list[Curve]:
        """Curve along the training of each trial of a pair that is done, in the order of the seeds.

        Args:
            environment: its label.
            agent: its label.
            name: of the curve, such as "evaluation_return"; trials without it are left out.
        """
        keys = [record.key for record in self.done(environment, agent)]
        found = {key: curves[name] for key, curves in self._measured_source(keys) if name in curves}
        return [found[key] for key in keys if key in found]

    def names_measured(self, environment: str, agent: str) -> list[str]:
        """Names of all curves that a pair's trials have measured along their training.

        Args:
            environment: label of the environment.
            agent: label of the agent.
        """
        keys = [record.key for record in self.done(environment, agent)]
        return list(dict.fromkeys(name for _, curves in self._measured_source(keys) for name in curves))

    def snapshots(self, environment: str, agent: str) -> dict[int, Snapshots]:
        """Learning snapshots by seed of the trials of a pair that are done and have any, in the order of the seeds.

        Args:
            environment: label of the environment.
            agent: label of the agent.
        """
        seeds = {record.key: record.seed for record in self.done(environment, agent)}
        found = dict(self._snapshot_source(list(seeds)))
        return {seed: found[key] for key, seed in seeds.items() if key in found}

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

    def success_curves(self, environment: str, agent: str) -> tuple[CurveGrid, np.ndarray]:
        """Success rates of `curves` over episodes, float32 (num_trials, num_points).

        Args:
            environment: label of the environment.
            agent: label of the agent.
        """
        grid, successes = self.curve_grid(environment, agent, "episodes"), None
        if self.budget(environment, agent)[0] is not None:
            successes = equally_long(self.successes(environment, agent))
        if successes is None or successes.shape[1] != grid.edges[-1]:
            grid, curves = self.curves(environment, agent, over="episodes")
            return grid, curves[:, 0]
        sums = np.add.reduceat(successes, grid.edges[:-1], axis=1, dtype=np.float64)
        return grid, (sums / np.diff(grid.edges)).astype(np.float32)

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


def common_value(records: Iterable[TrialRecord], column: str) -> float:
    """A number of trials, such as best_return: the one that all share, else their mean; NaN where it is not known."""
    values = [value for record in records if math.isfinite(value := record.number(column))]
    if not values:
        return math.nan
    return values[0] if min(values) == max(values) else math.fsum(values) / len(values)


def equally_long(rows: Sequence[NDArray[np.bool_] | None]) -> NDArray[np.bool_] | None:
    """Successes of trials with as many episodes as one array, (num_trials, num_episodes); None of any others."""
    known = [row for row in rows if row is not None]
    return np.stack(known) if known and len(known) == len(rows) and len(set(map(len, known))) == 1 else None


def _solved_numbers(
    store: Store, experiment: StoredExperiment, settings: Settings, rows: Mapping[str, Mapping[str, Any]]
) -> dict[tuple[str, str], dict[str, float]]:
    """Numbers of `SOLVED` by key and environment, for the trials in environments that count as solved at a return."""
    trials = {
        (key, environment): settings.solved_at[environment]
        for key, _, environment, _ in experiment.trials
        if environment in settings.solved_at and key in rows
    }
    keys = [key for key, _ in trials]
    measured = dict(store.measured_curves(keys))
    in_episodes = [key for key, curves in measured.items() if any(curve.unit == "episode" for curve in curves.values())]
    episodes = dict(store.curves(in_episodes))
    return {
        (key, environment): solved_numbers(
            measured.get(key, {}), episodes.get(key), threshold, is_done=rows[key]["status"] == "done"
        )
        for (key, environment), threshold in trials.items()
    }


def _batches(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    return (keys[first : first + CURVES_AT_ONCE] for first in range(0, len(keys), CURVES_AT_ONCE))


def _notes(remarks: Mapping[tuple[str, str], list[str]], records: Iterable[TrialRecord]) -> tuple[str, ...]:
    """Remarks of trials by environment and text, each once, with the agents whose trials have it."""
    agents_of: dict[str, set[str]] = {}
    for record in records:
        agents_of.setdefault(record.environment, set()).add(record.agent)
    notes = []
    for (environment, note), agents in remarks.items():
        everybody = len(agents_of[environment]) > 1 and set(agents) == agents_of[environment]
        who = "every agent" if everybody else ", ".join(dict.fromkeys(agents))
        notes.append(f"{who} on {environment} {note}")
    return tuple(notes)


def _in_order(experiment: StoredExperiment) -> dict[str, Any]:
    """Settings with agents and environments in the order of the trials; canonical JSON keeps them by name."""
    ordered = dict(experiment.settings)
    for setting, place in (("agents", 1), ("environments", 2)):
        labels = dict.fromkeys(trial[place] for trial in experiment.trials)
        ordered[setting] = {label: ordered[setting][label] for label in labels}
    return ordered


def _source(store: Store, read: Reader[Stored]) -> Callable[[Sequence[str]], Iterator[tuple[str, Stored]]]:
    """Reads curves from a store in memory, or from a folder's, opened for each time."""
    return partial(read, store) if store.path is None else partial(_stored, store.path.parent, read)


def _stored(directory: Path, read: Reader[Stored], keys: Sequence[str]) -> Iterator[tuple[str, Stored]]:
    with Store.open_for_reading(directory, is_known=True) as store:
        yield from read(store, keys)
