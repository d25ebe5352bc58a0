"""The comparison: agents × environments × seeds, paired by seed, each trial run once and kept."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.results.results import Results
from velodrome.experiments.running.run_plan import RunOptions, run_plan
from velodrome.experiments.running.run_status import ProgressCallback
from velodrome.experiments.running.run_until_decided import run_until_decided
from velodrome.experiments.specification.make_plan import Agents, Environments, Learners, Policies, make_plan
from velodrome.experiments.storage.store_file import store_path
from velodrome.experiments.tracking.tracker import Tracker
from velodrome.experiments.trials.measures import Measure, checked_measures

DEFAULT_SEEDS = 30


def compare(
    agents: Agents | None = None,
    environments: Environments | None = None,
    *,
    policies: Policies | None = None,
    learners: Learners | None = None,
    seeds: int | Iterable[int] | None = None,
    episodes: int | None = None,
    steps: int | None = None,
    epochs: int | None = None,
    success: str | None = None,
    evaluation_episodes: int = 100,
    name: str = "comparison",
    description: str = "",
    until_decided: bool = False,
    max_seeds: int | None = None,
    metric: str | None = None,
    out: str | Path | None = None,
    workers: int | None = None,
    cluster: Any = None,
    trial_timeout: float | None = None,
    trial_memory: str | int | None = None,
    checkpoint_every: float | None = 300.0,
    retry_failed: bool = False,
    strict: bool = False,
    track: Tracker | Sequence[Tracker] = (),
    progress: ProgressCallback | None = None,
    measures: Iterable[Measure] | Measure = (),
) -> Results:
    """Train every agent on every environment with every seed, and evaluate each.

    Trial k of every agent meets the same environment stream (common random numbers). With `out`, every trial is
    stored there as it ends, and trials that the store has are not run again: a comparison that was interrupted
    goes on, one with more seeds or another agent runs only what is new. Trials on a transition model run in threads,
    all others in processes; the results are the same to the byte, wherever they run.

    A trial that raises, runs out of time or memory or loses its process twice is stored as failed, and the others go
    on; a warning says how many failed.

    Args:
        agents: agents or their expressions, by label or in a list (the expression is then the label); a table
            such as {"agent": "dyna_q", "episodes": 200} gives one a budget of its own, and "environments": [label] the
            environments on which alone it takes part.
        environments: environment expressions, configurations or factories, likewise.
        policies: policies or their expressions, likewise, to be crossed with the learners: how to explore.
        learners: agents whose policy is left open, or their expressions, likewise, {"learner": "dyna_q", "episodes":
            200} with a budget of its own; q_learning if None. Learner and policy make the agent "learner · policy".
        seeds: how many (0, 1, 2, …), 30 if None, or the seeds themselves; with `until_decided`, how many at the first
            look, 10 (or `max_seeds`, if fewer) if None.
        episodes: training episodes of a trial; give one of `episodes`, `steps` and `epochs`.
        steps: training steps of a trial.
        epochs: passes through an environment's labelled examples; an episode is one of them.
        success: success rule instead of the environments' own, such as "return > 0".
        evaluation_episodes: sampled episodes of the greedy policy where its value can neither be computed nor be asked
            of all labelled examples.
        name: of the experiment.
        description: the question that it answers, in a sentence.
        until_decided: add seeds to agents of undecided pairs alone, until all pairs of each environment are decided
            with a family-wise error of 5 %, or have `max_seeds`.
        max_seeds: of each agent, with `until_decided`; seeds on which a trial fails are replaced, twice as many in all.
        metric: what decides then: "greedy_success_rate", "greedy_return", "train_success_rate", "train_return" or the
            name of a measure of your own; the first, or the second where there is no success rule, if None.
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
        track: trackers that are told of every trial, such as a TensorBoardTracker.
        progress: called with the state of the run, a few times a second.
        measures: of your own, computed of each trial as it ends, and stored with it. Trials that are stored already
            are not run again for them.

    Raises:
        BudgetError: no positive budget, two, or epochs without labelled examples.
        ExperimentError: no agent, environment or seed, something given twice, a learner and a policy that cannot
            be crossed, an agent that cannot learn in an environment, numbers of seeds that cannot be, nothing to
            decide, or with `strict` a warning.
        StoreError: the store in `out` is damaged, foreign or newer than this release.
        ValueError: an expression cannot be read; one line.
    """
    check_sequential(until_decided, max_seeds)
    if metric is not None and not until_decided:
        raise ExperimentError("metric needs until_decided=True: it is what decides between agents")
    # Factories and modules, which the plan calls, may change the current folder.
    out = None if out is None else store_path(out).parent
    plan = make_plan(
        agents, environments, policies=policies, learners=learners, seeds=DEFAULT_SEEDS if seeds is None else seeds,
        episodes=episodes, steps=steps, epochs=epochs, success=success, evaluation_episodes=evaluation_episodes,
        name=name, description=description,
    )  # fmt: skip
    options = RunOptions(
        out=out, workers=workers, cluster=cluster, trial_timeout=trial_timeout, trial_memory=trial_memory,
        checkpoint_every=checkpoint_every, retry_failed=retry_failed, strict=strict, track=track, progress=progress,
        measures=checked_measures(measures),
    )  # fmt: skip
    if max_seeds is not None:
        return run_until_decided(plan, options, max_seeds=max_seeds, first=seeds, metric=metric)
    return run_plan(plan, options)


def check_sequential(until_decided: bool, max_seeds: int | None) -> None:
    """Refuse one of the two without the other.

    Raises:
        ExperimentError: one is missing.
    """
    if until_decided and max_seeds is None:
        raise ExperimentError("until_decided needs max_seeds, the most seeds of an agent, such as max_seeds=50")
    if not until_decided and max_seeds is not None:
        raise ExperimentError("max_seeds needs until_decided=True; give seeds for a fixed number")
