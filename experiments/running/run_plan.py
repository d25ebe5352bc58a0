"""Runs what a store does not have of a plan, with workers, trackers and progress as asked for."""

import contextlib
import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from velodrome.experiments.checks.plan_checks import check_plan
from velodrome.experiments.errors import ExperimentError, ExperimentWarning
from velodrome.experiments.plan import Plan, PlannedTrial
from velodrome.experiments.results import Results
from velodrome.experiments.running.crew import check_seconds, make_crew
from velodrome.experiments.running.manager import Manager, OutcomeCallback
from velodrome.experiments.running.run_status import ProgressCallback
from velodrome.experiments.running.trial_outcome import TrialOutcome
from velodrome.experiments.storage.episode_curves import EpisodeCurves
from velodrome.experiments.storage.provenance import available_cores, provenance
from velodrome.experiments.storage.store import Store
from velodrome.experiments.tracking.tracker import TrackedTrial, Tracker, guarded


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a plan is run; the attributes are the arguments of `compare` with the same names."""

    out: str | Path | None = None
    workers: int | None = None
    cluster: Any = None
    trial_timeout: float | None = None
    checkpoint_every: float | None = 300.0
    retry_failed: bool = False
    strict: bool = False
    track: Tracker | Sequence[Tracker] = ()
    progress: ProgressCallback | None = None


def run_plan(plan: Plan, options: RunOptions) -> Results:
    """Run what is missing of a plan; raises and warns as `compare` does."""
    size = available_cores() if options.workers is None else _checked_workers(options.workers)
    trial_timeout = check_seconds("trial_timeout", options.trial_timeout)
    checkpoint_every = check_seconds("checkpoint_every", options.checkpoint_every)
    found = check_plan(plan, workers=max(size, 1))
    if found and options.strict:
        raise ExperimentError("\n".join(found))
    for line in found:
        warnings.warn(line, ExperimentWarning, stacklevel=3)
    store = Store.in_memory() if options.out is None else Store.open(options.out)
    with contextlib.ExitStack() as stack:
        if options.out is not None:
            stack.callback(store.close)
        cluster = None if options.cluster is None else str(options.cluster)
        how = store.add_provenance(provenance(workers=size, cluster=cluster))
        experiment = store.add_experiment(
            plan.name,
            plan.description,
            plan.settings(),
            found,
            [(trial.key, trial.agent, trial.environment, trial.seed) for trial in plan.trials],
        )
        trackers = guarded(options.track)
        manager = Manager(
            plan, store, how, retry_failed=options.retry_failed, checkpoint_every=checkpoint_every,
            progress=options.progress, on_outcome=_telling(plan, trackers) if trackers else None,
        )  # fmt: skip
        missing = manager.missing()
        if missing:
            for tracker in trackers:
                tracker.start(plan.name, plan.settings())
                stack.callback(tracker.close)
            manager.run(missing, make_crew(manager, missing, size, options.cluster, trial_timeout))
        elif options.progress is not None:
            options.progress(manager.status)
        results = Results.of_store(store, store.experiment(identifier=experiment))
    if results.failures:
        warnings.warn(failure_line(results), ExperimentWarning, stacklevel=3)
    return results


def _checked_workers(workers: Any) -> int:
    if isinstance(workers, bool) or not isinstance(workers, int | np.integer) or workers < 0:
        raise ExperimentError(f"workers must be a whole number of at least 0, got {workers!r}")
    return int(workers)


def _telling(plan: Plan, trackers: Sequence[Tracker]) -> OutcomeCallback:
    """Tells trackers of each trial that ends."""

    def tell(trial: PlannedTrial, outcome: TrialOutcome) -> None:
        specification = plan.keys(trial.agent, trial.environment).specification(trial.seed)
        tracked = TrackedTrial(
            plan.name, trial.agent, trial.environment, trial.seed, trial.key, json.loads(specification),
            outcome.status, outcome.error, outcome.metrics,
            None if outcome.curves is None else EpisodeCurves.unpack(outcome.curves),
        )  # fmt: skip
        for tracker in trackers:
            tracker.trial(tracked)

    return tell


def failure_line(results: Results) -> str:
    """How many trials failed, and the first reason."""
    failures = results.failures
    first = failures[0]
    place = f" ({first['error_place']})" if first["error_place"] else ""
    return (
        f"{len(failures)} of {results.num_planned} trials failed, the first: {first['agent']} on "
        f"{first['environment']}, seed {first['seed']}: {first['error']}{place}"
    )
