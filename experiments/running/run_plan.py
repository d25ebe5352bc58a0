"""Runs what a store does not have of a plan, with workers, trackers and progress as asked for."""

import contextlib
import json
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypedDict

from velodrome.experiments.errors import AllTrialsFailedError, ExperimentError, ExperimentWarning
from velodrome.experiments.results.results import Results
from velodrome.experiments.results.trial_table import TrialRecord, TrialTable
from velodrome.experiments.running.crew import check_seconds, check_workers, make_crew
from velodrome.experiments.running.limits import TrialLimits, check_size
from velodrome.experiments.running.manager import Manager, OutcomeCallback
from velodrome.experiments.running.run_status import AgentStatus, ProgressCallback, RunStatus
from velodrome.experiments.specification.plan import Plan, PlannedTrial
from velodrome.experiments.specification.plan_checks import check_plan
from velodrome.experiments.storage.episode_curves import EpisodeCurves
from velodrome.experiments.storage.provenance import provenance
from velodrome.experiments.storage.store import Store, StoredExperiment
from velodrome.experiments.storage.trial_outcome import TrialOutcome
from velodrome.experiments.tracking.tracker import TrackedTrial, Tracker, guarded
from velodrome.experiments.trials.measures import MEASURES, Measure


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How an experiment is run; none of it changes a result.

    Attributes:
        out: folder of the store, made if needed; results are only in memory if None.
        workers: trials that run at the same time, the machine's cores if None; 0 runs everything in the calling
            thread, for debuggers.
        cluster: instead of workers: "local:N", "tcp://host:port" of a Dask scheduler, or a Dask client.
        trial_timeout: seconds that a trial may take, once its worker has imported and compiled what it needs.
        trial_memory: memory that a trial may add to its worker process, such as "2GB", or a number of bytes; compiled
            trials run in processes then, too.
        checkpoint_every: seconds between two saves inside a trial of the generic loop; None for never.
        retry_failed: run the failed trials of the store again.
        strict: refuse to run where the checks before running find something.
        track: trackers that get every trial, such as a `TensorBoardTracker`.
        progress: True for bars on a terminal and in a notebook, False for none, or a function that is called with the
            state of the run, a few times a second.
        measures: of the user's own, computed of each trial as it ends, and stored with it. Trials that are stored
            already are not run again for them.
    """

    out: str | Path | None = None
    workers: int | None = None
    cluster: Any = None
    trial_timeout: float | None = None
    trial_memory: str | int | None = None
    checkpoint_every: float | None = 300.0
    retry_failed: bool = False
    strict: bool = False
    track: Tracker | Sequence[Tracker] = ()
    progress: ProgressCallback | bool | None = True
    measures: tuple[Measure, ...] = ()

    @property
    def all_measures(self) -> dict[str, Measure]:
        """Measures by name, those of the user's own among them."""
        return MEASURES | {measure.name: measure for measure in self.measures}


class RunOptionFields(TypedDict, total=False):
    """The fields of `RunOptions`, as keywords."""

    out: str | Path | None
    workers: int | None
    cluster: Any
    trial_timeout: float | None
    trial_memory: str | int | None
    checkpoint_every: float | None
    retry_failed: bool
    strict: bool
    track: Tracker | Sequence[Tracker]
    progress: ProgressCallback | bool | None
    measures: Iterable[Measure] | Measure


def run_plan(plan: Plan, options: RunOptions) -> Results:
    """Run what is missing of a plan; raises and warns as `compare` does.

    Args:
        plan: all trials, such as `Experiment.plan()` gives.
        options: where they are stored, on how many workers they run, and the like.
    """
    session = RunSession(options)
    found = check_plan(plan, workers=session.num_workers)
    if found and options.strict:
        raise ExperimentError("\n".join(found))
    for line in found:
        warnings.warn(line, ExperimentWarning, stacklevel=3)
    with session:
        experiment = session.add_experiment(plan, found)
        session.run(plan)
        results = session.results(experiment)
    report_failures(results)
    return results


class RunSession:
    """Plans run one after the other, which share the store, its provenance, trackers, and one progress.

    Args:
        options: how plans are run.

    Raises:
        ExperimentError: an option that cannot be.
    """

    def __init__(self, options: RunOptions) -> None:
        self._options = options
        self._size = check_workers(options.workers)
        self._limits = TrialLimits(
            check_seconds("trial_timeout", options.trial_timeout), check_size("trial_memory", options.trial_memory)
        )
        self._checkpoint_every = check_seconds("checkpoint_every", options.checkpoint_every)
        self._trackers = guarded(options.track)
        self._is_tracked = False
        self._status = RunStatus()

    @property
    def num_workers(self) -> int:
        """Trials that run at the same time."""
        return max(self._size, 1)

    def __enter__(self) -> Self:
        self.store = Store.in_memory() if self._options.out is None else Store.open(self._options.out)
        with contextlib.ExitStack() as stack:
            if self._options.out is not None:
                stack.callback(self.store.close)
            cluster = None if self._options.cluster is None else str(self._options.cluster)
            self._provenance = self.store.add_provenance(provenance(workers=self._size, cluster=cluster))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def add_experiment(self, plan: Plan, found: Sequence[str]) -> int:
        """Store a plan with the warnings about it as the latest experiment; returns its identifier."""
        trials = [(trial.key, trial.agent, trial.environment, trial.seed) for trial in plan.trials]
        return self.store.add_experiment(plan.name, plan.description, self._settings(plan), found, trials)

    def has_all(self, plan: Plan) -> bool:
        """Whether nothing is missing of a plan."""
        statuses = self.store.statuses([trial.key for trial in plan.trials])
        ended = {key for key, status in statuses.items() if status == "done" or not self._options.retry_failed}
        return all(trial.key in ended for trial in plan.trials)

    def run(self, plan: Plan) -> None:
        """Run what is missing of a plan; progress counts its trials and of those of the plans before."""
        options, before = self._options, self._status
        progress = None
        if callable(options.progress):
            progress = partial(_tell_sum, options.progress, before)
        manager = Manager(
            plan, self.store, self._provenance, retry_failed=options.retry_failed,
            checkpoint_every=self._checkpoint_every, progress=progress,
            measures=options.measures,
            on_outcome=_telling(plan, self._trackers) if self._trackers else None,
        )  # fmt: skip
        missing = manager.missing()
        if missing:
            self._start_trackers(plan)
            manager.run(missing, make_crew(manager, missing, self._size, options.cluster, self._limits))
        elif progress is not None:
            progress(manager.status)
        self._status = _sum(before, manager.status)

    def results(self, experiment: int) -> Results:
        """Results of a stored experiment, as far as its trials have ended."""
        return Results.of_store(self.store, self.store.experiment(identifier=experiment))

    def records(self, plan: Plan) -> Sequence[TrialRecord]:
        """Records of the trials of a plan that have ended, whatever experiment has them."""
        trials = [(trial.key, trial.agent, trial.environment, trial.seed) for trial in plan.trials]
        part = StoredExperiment(0, plan.name, plan.description, self._settings(plan), (), trials)
        return TrialTable.of_store(self.store, part).records

    def _settings(self, plan: Plan) -> dict[str, Any]:
        """Settings of a plan, with what reads the stored values of the user's own measures."""
        own = [measure.to_data() for measure in self._options.measures]
        return plan.settings() | ({"measures": own} if own else {})

    def _start_trackers(self, plan: Plan) -> None:
        if not self._is_tracked:
            self._is_tracked = True
            for tracker in self._trackers:
                tracker.start(plan.name, self._settings(plan))
                self._stack.callback(tracker.close)


def _tell_sum(progress: ProgressCallback, before: RunStatus, status: RunStatus) -> None:
    progress(_sum(before, status))


def _sum(before: RunStatus, status: RunStatus) -> RunStatus:
    """Where two plans stand together."""
    agents = {
        label: AgentStatus(
            one.total + other.total, one.finished + other.finished, one.failed + other.failed, other.under_way
        )
        for label, other in status.agents.items()
        for one in [before.agents.get(label, AgentStatus())]
    }
    return RunStatus(
        before.total + status.total, before.finished + status.finished, before.reused + status.reused,
        before.failed + status.failed, before.steps + status.steps, agents, status.is_compiling,
        before.compile_seconds + status.compile_seconds, status.under_way,
    )  # fmt: skip


def _telling(plan: Plan, trackers: Sequence[Tracker]) -> OutcomeCallback:
    """Tells trackers of each trial that ends."""

    def tell(trial: PlannedTrial, outcome: TrialOutcome) -> None:
        specification = plan.keys(trial.agent, trial.environment).specification(trial.seed)
        tracked = TrackedTrial(
            plan.name, trial.agent, trial.environment, trial.seed, trial.key, json.loads(specification),
            outcome.status, outcome.error, outcome.metrics,
            None if outcome.curves is None else EpisodeCurves.unpack(outcome.curves, outcome.metrics["episodes"]),
            outcome.measured,
        )  # fmt: skip
        for tracker in trackers:
            tracker.trial(tracked)

    return tell


def report_failures(results: Results) -> None:
    """Warn the caller's caller of trials that failed.

    Raises:
        AllTrialsFailedError: there is no other trial.
    """
    if not results.failures:
        return
    line = failure_line(results)
    if len(results.failures) == results.num_planned:
        raise AllTrialsFailedError(line, results)
    warnings.warn(line, ExperimentWarning, stacklevel=4)


def failure_line(results: Results) -> str:
    """How many trials failed, and the first reason."""
    failures = results.failures
    first, number = failures[0], len(failures)
    many = f"all {number}" if number == results.num_planned > 1 else f"{number} of {results.num_planned}"
    return (
        f"{many} trials failed, the first: {first.agent} on "
        f"{first.environment}, seed {first.seed}: {first.failure_reason}"
    )
