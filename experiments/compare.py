"""The comparison: agents × environments × seeds, paired by seed, each trial run once and kept."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Unpack

from velodrome.checks import closest
from velodrome.experiments.results.results import Results
from velodrome.experiments.running.run_plan import RunOptionFields, RunOptions, run_plan
from velodrome.experiments.running.run_progress import shown_progress
from velodrome.experiments.running.run_until_decided import UntilDecided, run_until_decided
from velodrome.experiments.specification.experiment import Agents, Environments, Experiment, ExperimentFields
from velodrome.experiments.specification.experiment_file import read_experiment
from velodrome.experiments.storage.store_file import store_path
from velodrome.experiments.trials.measures import checked_measures, measure_named


class CompareFields(ExperimentFields, RunOptionFields, total=False):
    """The keywords of `compare`: the experiment's fields, and how it is run."""


def compare(
    agents: Agents | Experiment | Path | None = None,
    environments: Environments | None = None,
    *,
    until_decided: bool = False,
    max_seeds: int | None = None,
    options: RunOptions | None = None,
    **keywords: Unpack[CompareFields],
) -> Results:
    """Train every agent on every environment with every seed, and evaluate each.

    Trial k of every agent meets the same environment stream (common random numbers). With `out`, every trial is
    stored there as it ends, and trials that the store has are not run again: a comparison that was interrupted
    goes on, one with more seeds or another agent runs only what is new. Trials on a transition model run in threads,
    all others in processes; the results are the same to the byte, wherever they run.

    A trial that raises, runs out of time or memory or loses its process twice is stored as failed, and the others go
    on; a warning says how many failed.

    There are three groups of arguments: what is compared are the fields of an `Experiment` (`agents`, `environments`,
    `policies`, `learners`, `seeds`, `episodes`, `steps`, `epochs`, `evaluate_every`, `snapshots`, `success`,
    `solved_at`, `hopeless`, `evaluation_episodes`, `metric`, `name`, `description`); how it is run are the fields of
    `RunOptions` (`out`, `workers`, `cluster`, `trial_timeout`, `trial_memory`, `checkpoint_every`, `retry_failed`,
    `strict`, `track`, `progress`, `measures`); and when it stops (`until_decided`, `max_seeds`).

    Args:
        agents: agents or their expressions, by label or in a list; or an experiment, or the name or path of an
            experiment file, whose fields are then changed by those that are given beside it.
        environments: environment expressions, configurations or factories, likewise.
        until_decided: add seeds to agents of undecided pairs alone, until all pairs of each environment are decided
            with a family-wise error of 5 %, or have `max_seeds`; `seeds` is then how many at the first look, 10 (or
            `max_seeds`, if fewer) if None.
        max_seeds: of each agent, with `until_decided`; seeds on which a trial fails are replaced, twice as many in all.
        options: how it is run, as one object; keywords go before it.
        **keywords: fields of `Experiment` and of `RunOptions`; `metric` may also be a measure of your own.

    Raises:
        BudgetError: epochs without labelled examples, or a `max_seeds` that is no number.
        ExperimentError: as `Experiment`; or numbers of seeds that cannot be, nothing to decide, an option that cannot
            be, or with `strict` a warning.
        StoreError: the store in `out` is damaged, foreign or newer than this release.
        TypeError: an argument that there is not.
    """
    given: dict[str, Any] = {**keywords}
    metric = given.pop("metric", None)
    names_of_options = [field.name for field in fields(RunOptions)]
    how = {name: given.pop(name) for name in names_of_options if name in given}
    for name in given:
        if name not in ExperimentFields.__annotations__:
            raise TypeError(f"compare() has no argument {name!r}{closest(name, CompareFields.__annotations__)}")
    if "measures" in how:
        how["measures"] = checked_measures(how["measures"])
    options = replace(options or RunOptions(), **how)
    rule = UntilDecided.checked(until_decided, max_seeds, given.get("seeds"), metric, options.all_measures)
    if metric is not None:
        measure_named(metric, options.all_measures)
    if options.out is not None:
        # Factories and modules, which the experiment calls, may change the current folder.
        options = replace(options, out=store_path(options.out).parent)
    plan = _experiment(agents, environments, given).plan()
    if metric is not None:
        plan = replace(plan, metric=metric)
    with shown_progress(options.progress, plan.name) as progress:
        options = replace(options, progress=progress)
        return run_plan(plan, options) if rule is None else run_until_decided(plan, options, rule)


def _experiment(agents: Any, environments: Any, fields: dict[str, Any]) -> Experiment:
    """The experiment of what `compare` was given."""
    fields = {name: value for name, value in {"environments": environments, **fields}.items() if value is not None}
    if isinstance(agents, Experiment):
        return agents.changed(**fields) if fields else agents
    if isinstance(agents, Path) or (isinstance(agents, str) and environments is None):
        return read_experiment(agents, **fields)
    return Experiment(**{"name": "comparison", "agents": agents} | fields)
