"""The comparison: agents × environments × seeds, paired by seed, each trial run once and kept."""

import contextlib
import json
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from velodrome.experiments.checks import check_plan
from velodrome.experiments.crew import check_seconds, make_crew
from velodrome.experiments.episode_curves import EpisodeCurves
from velodrome.experiments.errors import ExperimentError, ExperimentWarning
from velodrome.experiments.make_plan import Agents, Environments, make_plan
from velodrome.experiments.manager import Manager, OutcomeCallback
from velodrome.experiments.plan import Plan, PlannedTrial
from velodrome.experiments.provenance import available_cores, provenance
from velodrome.experiments.results import Results
from velodrome.experiments.run_status import ProgressCallback
from velodrome.experiments.store import Store
from velodrome.experiments.tracking import TrackedTrial, Tracker, guarded
from velodrome.experiments.trial_outcome import TrialOutcome


def compare(
    agents: Agents,
    environments: Environments,
    *,
    seeds: int | Iterable[int] = 30,
    episodes: int | None = None,
    steps: int | None = None,
    success: str | None = None,
    evaluation_episodes: int = 100,
    name: str = "comparison",
    description: str = "",
    out: str | Path | None = None,
    workers: int | None = None,
    cluster: Any = None,
    trial_timeout: float | None = None,
    checkpoint_every: float | None = 300.0,
    retry_failed: bool = False,
    strict: bool = False,
    track: Tracker | Sequence[Tracker] = (),
    progress: ProgressCallback | None = None,
) -> Results:
    """Train every agent on every environment with every seed, and evaluate each.

    Trial k of every agent meets the same environment stream (common random numbers). With `out`, every trial is
    stored there as it ends, and trials that the store has are not run again: a comparison that was interrupted
    goes on, one with more seeds or another agent runs only what is new. Trials on a transition model run in threads,
    all others in processes; the results are the same to the byte, wherever they run.

    A trial that raises, runs out of time or loses its process is stored as failed, and the others go on; a warning
    says how many failed.

    Args:
        agents: agents or their expressions, by label or in a list (the expression is then the label); a table
            such as {"agent": "dyna_q", "episodes": 200} gives one a budget of its own.
        environments: environment expressions, configurations or factories, likewise.
        seeds: how many (0, 1, 2, …), or the seeds themselves.
        episodes: training episodes of a trial; give this or `steps`.
        steps: training steps of a trial.
        success: success rule instead of the environments' own, such as "return > 0".
        evaluation_episodes: sampled episodes of the greedy policy where its value cannot be computed.
        name: of the experiment.
        description: the question that it answers, in a sentence.
        out: folder of the store, made if needed; results are only in memory if None.
        workers: trials that run at the same time, the machine's cores if None; 0 runs everything in the calling
            thread, for debuggers.
        cluster: instead of workers: "local:N", "tcp://host:port" of a Dask scheduler, or a Dask client.
        trial_timeout: seconds that a trial may take.
        checkpoint_every: seconds between two saves inside a trial of the generic loop; None for never.
        retry_failed: run the failed trials of the store again.
        strict: refuse to run where the checks before running find something.
        track: trackers that are told of every trial, such as a TensorBoardTracker.
        progress: called with the state of the run, a few times a second.

    Raises:
        BudgetError: no positive budget, or two.
        ExperimentError: no agent, environment or seed, something given twice, or with `strict` a warning.
        StoreError: the store in `out` is damaged, foreign or newer than this release.
        ValueError: an expression cannot be read; one line.
    """
    plan = make_plan(
        agents, environments, seeds=seeds, episodes=episodes, steps=steps, success=success,
        evaluation_episodes=evaluation_episodes, name=name, description=description,
    )  # fmt: skip
    return run_plan(
        plan, out=out, workers=workers, cluster=cluster, trial_timeout=trial_timeout,
        checkpoint_every=checkpoint_every, retry_failed=retry_failed, strict=strict, track=track, progress=progress,
    )  # fmt: skip


def run_plan(
    plan: Plan,
    *,
    out: str | Path | None = None,
    workers: int | None = None,
    cluster: Any = None,
    trial_timeout: float | None = None,
    checkpoint_every: float | None = 300.0,
    retry_failed: bool = False,
    strict: bool = False,
    track: Tracker | Sequence[Tracker] = (),
    progress: ProgressCallback | None = None,
) -> Results:
    """Run what is missing of a plan; the arguments are those of `compare`."""
    size = available_cores() if workers is None else _checked_workers(workers)
    trial_timeout = check_seconds("trial_timeout", trial_timeout)
    checkpoint_every = check_seconds("checkpoint_every", checkpoint_every)
    found = check_plan(plan, workers=max(size, 1))
    if found and strict:
        raise ExperimentError("\n".join(found))
    for line in found:
        warnings.warn(line, ExperimentWarning, stacklevel=3)
    store = Store.in_memory() if out is None else Store.open(out)
    with contextlib.ExitStack() as stack:
        if out is not None:
            stack.callback(store.close)
        how = store.add_provenance(provenance(workers=size, cluster=None if cluster is None else str(cluster)))
        experiment = store.add_experiment(
            plan.name,
            plan.description,
            plan.settings(),
            found,
            [(trial.key, trial.agent, trial.environment, trial.seed) for trial in plan.trials],
        )
        trackers = guarded(track)
        manager = Manager(
            plan, store, how, retry_failed=retry_failed, checkpoint_every=checkpoint_every, progress=progress,
            on_outcome=_telling(plan, trackers) if trackers else None,
        )  # fmt: skip
        missing = manager.missing()
        if missing:
            for tracker in trackers:
                tracker.start(plan.name, plan.settings())
                stack.callback(tracker.close)
            manager.run(missing, make_crew(manager, missing, size, cluster, trial_timeout))
        elif progress is not None:
            progress(manager.status)
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
