"""Tuning in two stages: configurations are chosen on tuning seeds, and judged on fresh ones.

What was chosen follows from the stored scores alone, so going on after an interruption is running again: stored trials
are reused, and the search repeats itself. Where it stands is kept in the settings of two experiments:

    "NAME · tuning": agents are configurations, "tuning": {"stage": "tuning", …}; no table gives a verdict of it
    "NAME": agents with the chosen configurations on fresh seeds, "tuning": {"stage": "fresh", "agents": [how each was
        chosen, see `TunedAgent`], …}
"""

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Unpack

from velodrome.agents import RandomAgent
from velodrome.agents.engine.seeding import check_seed
from velodrome.agents.errors import check_count
from velodrome.checks import closest
from velodrome.experiments.errors import ExperimentError, ExperimentWarning
from velodrome.experiments.results.measures import deciding_measure
from velodrome.experiments.results.results import Results
from velodrome.experiments.results.settings import TunedAgent
from velodrome.experiments.results.trial_table import TrialRecord
from velodrome.experiments.running.run_plan import (
    RunOptionFields,
    RunOptions,
    RunSession,
    failure_line,
    report_failures,
)
from velodrome.experiments.running.run_progress import shown_progress
from velodrome.experiments.specification.experiment import (
    MOST_SEEDS,
    Agents,
    Environments,
    Experiment,
    ExperimentFields,
    changed_fields,
    different_seeds,
)
from velodrome.experiments.specification.experiment_file import experiment_source, tables_of
from velodrome.experiments.specification.plan import Plan, PlannedAgent
from velodrome.experiments.specification.plan_checks import check_plan, listed
from velodrome.experiments.specification.search_spaces import SearchSpace, separate_spaces
from velodrome.experiments.storage.store import Store
from velodrome.experiments.storage.store_file import as_store_errors, store_path
from velodrome.experiments.trials.measures import Measure, checked_measures, measure_named
from velodrome.experiments.tuning.one_setting import ONE_SETTING, check_one_setting, one_settings
from velodrome.experiments.tuning.optuna_studies import write_studies
from velodrome.experiments.tuning.samplers import check_sampler, kind_of_sampler, new_sampler
from velodrome.experiments.tuning.search import Search, rounds_of

CONFIGURATIONS = 60
TUNING_SEEDS = 10
# No number of seeds, n standing for 0, …, n - 1, reaches them.
FIRST_TUNING_SEED = MOST_SEEDS
# Error rate of the verdict on fresh seeds.
ERROR_RATE = 0.05
_NOTHING = (
    "nothing to tune: no agent has a parameter given as a range or a list, such as learning_rate = {log = [0.01, 1]} "
    "in the table [agents.LABEL]"
)


@dataclass(frozen=True, kw_only=True)
class TuneOptions:
    """How agents are tuned.

    Attributes:
        configurations: to try of each agent on each environment; a grid may have fewer.
        tuning_seeds: how many (1,000,000, 1,000,001, …), or the seeds themselves; at least 2.
        sampler: "auto" (the grid of spaces with no more than `configurations`, else random), "grid", "random", or one
            of Optuna's: "tpe", "qmc", "cma_es", "gp".
        halving: whether configurations are given up after the first seeds: the worse half after each round.
        tuning_seed: of all that samplers draw.
        one_setting: whether every tuned agent takes part a second time, with the one configuration for all environments
            that is best on the mean of its ranks; the configurations of each environment are those of all.
    """

    configurations: int = CONFIGURATIONS
    tuning_seeds: int | Iterable[int] = TUNING_SEEDS
    sampler: str = "auto"
    halving: bool = True
    tuning_seed: int = 0
    one_setting: bool = False

    def checked(self) -> "TuneOptions":
        """The same with the seeds as a tuple.

        Raises:
            ExperimentError: what cannot be; one line.
            BudgetError: numbers that are none.
        """
        check_sampler(self.sampler)
        for name in ("halving", "one_setting"):
            if not isinstance(getattr(self, name), bool):
                raise ExperimentError(f"{name}: must be True or False, got {getattr(self, name)!r}")
        given = self.tuning_seeds
        if isinstance(given, Iterable) and not isinstance(given, str | bytes | Mapping):
            try:
                seeds = different_seeds(list(given))
            except ValueError as error:
                raise ExperimentError(f"tuning_seeds: {error}") from None
        else:
            number = check_count("tuning_seeds", given)
            seeds = list(range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + number))
        if len(seeds) < 2:
            raise ExperimentError("tuning_seeds: one seed tells no configuration from a lucky one, give at least 2")
        try:
            tuning_seed = check_seed(self.tuning_seed)
        except ValueError as error:
            raise ExperimentError(f"tuning_{error}") from None
        return replace(
            self,
            configurations=check_count("configurations", self.configurations),
            tuning_seeds=tuple(seeds),
            tuning_seed=tuning_seed,
        )

    @property
    def seeds(self) -> tuple[int, ...]:
        """The tuning seeds, of options that are checked."""
        return tuple(self.tuning_seeds) if isinstance(self.tuning_seeds, Iterable) else ()


@dataclass(frozen=True, eq=False, repr=False)
class TunedResults(Results):
    """Results of the chosen configurations on fresh seeds.

    Attributes:
        tuning_stage: results of all configurations on tuning seeds, of which no table gives a verdict; None where they
            were not tuned by this program, but loaded.
    """

    tuning_stage: Results | None = field(default=None, repr=False, kw_only=True)

    @property
    def tuned(self) -> tuple[TunedAgent, ...]:
        """How each agent was chosen."""
        return () if self.settings.tuning is None else self.settings.tuning.agents


class TuneFields(ExperimentFields, RunOptionFields, total=False):
    """The keywords of `tune`: the experiment's fields, and how it is run."""


def tune(
    agents: Agents | Path | None = None,
    environments: Environments | None = None,
    *,
    configurations: int = CONFIGURATIONS,
    tuning_seeds: int | Iterable[int] = TUNING_SEEDS,
    sampler: str = "auto",
    halving: bool = True,
    tuning_seed: int = 0,
    one_setting: bool = False,
    options: RunOptions | None = None,
    **keywords: Unpack[TuneFields],
) -> TunedResults:
    """Choose the parameters of agents on tuning seeds, and compare the chosen ones on fresh seeds.

    A parameter of an agent's table is open where it is a range ({"log": [0.01, 1]}, {"uniform": [0, 1]},
    {"integers": [1, 20]}, {"log_integers": [1, 1000]}), a list of values, or a list of alternatives with their own open
    parameters ([{"policy": "epsilon_greedy", "epsilon": {"uniform": [0, 0.5]}}, "greedy"]). Agents without open
    parameters take part on the fresh seeds as they are.

    Configurations are chosen by their mean on the tuning seeds, each agent on each environment for itself. What the
    best of many scores there is too good; table, plots, report and verdict are of the fresh seeds alone, which no
    choice has seen.

    Args:
        agents: agents by label or in a list, or the name or path of an experiment file.
        environments: as of `compare`.
        configurations: see `TuneOptions`, as the next five.
        tuning_seeds: likewise.
        sampler: likewise.
        halving: likewise.
        tuning_seed: likewise.
        one_setting: likewise.
        options: how it is run; keywords go before it.
        **keywords: fields of `Experiment` (`seeds` are the fresh seeds) and of `RunOptions`.

    Raises:
        ExperimentError: as `compare`; mistakes in search spaces; nothing to tune; a sampler that there is not; fresh
            seeds that are tuning seeds, or too few for a verdict; no configuration with a score.
        TypeError: an argument that there is not.
    """
    given: dict[str, Any] = {**keywords}
    names = [one.name for one in fields(RunOptions)]
    how = {name: given.pop(name) for name in names if name in given}
    for name in given:
        if name not in ExperimentFields.__annotations__:
            raise TypeError(f"tune() has no argument {name!r}{closest(name, TuneFields.__annotations__)}")
    if "measures" in how:
        how["measures"] = checked_measures(how["measures"])
    run_options = replace(options or RunOptions(), **how)
    metric = given.pop("metric", None)
    if metric is not None:
        measure_named(metric, run_options.all_measures)
    if run_options.out is not None:
        run_options = replace(run_options, out=store_path(run_options.out).parent)
    tuning = TuneOptions(
        configurations=configurations, tuning_seeds=tuning_seeds, sampler=sampler, halving=halving,
        tuning_seed=tuning_seed, one_setting=one_setting,
    )  # fmt: skip
    plan, spaces = tuning_plan(agents, environments, **given)
    if metric is not None:
        plan = replace(plan, metric=metric)
    with shown_progress(run_options.progress, plan.name) as progress:
        return run_tuning(plan, spaces, tuning, replace(run_options, progress=progress))


def tuning_plan(agents: Any, environments: Any = None, **changes: Any) -> tuple[Plan, dict[str, SearchSpace]]:
    """Plan of the fresh seeds, with one configuration in the place of each search space, and the spaces by label.

    Args:
        agents: as of `tune`.
        environments: likewise.
        changes: fields of the experiment, where they are not None; a budget goes before all budgets of a file.

    Raises:
        ExperimentError: as `tune`.
    """
    changes = {name: value for name, value in {"environments": environments, **changes}.items() if value is not None}
    source = ""
    if isinstance(agents, Path) or (isinstance(agents, str) and environments is None):
        text, source = experiment_source(agents)
        given = changed_fields(tables_of(text, source), changes)
    else:
        given = {"name": "tuning", "agents": agents} | changes
    try:
        plain, spaces = separate_spaces(given.get("agents"))
        if not spaces:
            # Whatever else is wrong is told first.
            Experiment(**given)
            raise ExperimentError(_NOTHING)
        plan = Experiment(**given | {"agents": plain}).plan()
    except ExperimentError as error:
        start = f"{source}: " if source else ""
        raise ExperimentError("\n".join(f"{start}{line}" for line in str(error).splitlines())) from None
    return plan, spaces


def run_tuning(plan: Plan, spaces: Mapping[str, SearchSpace], tuning: TuneOptions, options: RunOptions) -> TunedResults:
    """Run both stages of a plan of `tuning_plan`; raises and warns as `tune`."""
    tuning = tuning.checked()
    _check_seeds(plan, tuning, len(spaces) if tuning.one_setting else 0)
    if tuning.one_setting:
        check_one_setting(plan, spaces, tuning.sampler)
    _check_labels(plan, spaces, one_setting=tuning.one_setting)
    rounds = rounds_of(len(tuning.seeds), halving=tuning.halving)
    searches = _searches(plan, spaces, tuning, rounds)
    session = RunSession(options)
    found = check_plan(plan, workers=session.num_workers) + _unequal_tuning(plan, spaces, searches, tuning)
    stage = {
        "stage": "tuning", "sampler": tuning.sampler, "seeds": list(tuning.seeds), "rounds": list(rounds),
        "tuning_seed": tuning.tuning_seed, "configurations": tuning.configurations, "metric": plan.metric,
        "spaces": {label: space.to_text() for label, space in spaces.items()},
        "agents": [],
    }  # fmt: skip
    with session:
        found += _seen_before(session.store, plan, stage)
        if found and options.strict:
            raise ExperimentError("\n".join(found))
        for line in found:
            warnings.warn(line, ExperimentWarning, stacklevel=3)
        search_plan = replace(
            plan, name=f"{plan.name} · tuning", agents={}, seeds=list(tuning.seeds), seeds_of={}, tuning=stage
        )
        measures: dict[str, Measure] = {}
        while not all(search.is_over for search in searches):
            agents = _configurations(plan, searches)
            search_plan = search_plan.with_agents(agents, _seeds_so_far(searches, agents, tuning.seeds))
            now = search_plan.with_agents(agents, _next_seeds(searches, agents))
            # Not where all is stored: a search that goes on would show an earlier state while it catches up.
            if not session.has_all(now):
                session.add_experiment(search_plan, found)
            session.run(now)
            records = session.records(now)
            measures |= {
                label: _measure(plan, options, [one for one in records if one.environment == label])
                for label in plan.environments
                if label not in measures
            }
            for search in searches:
                own = [one for one in records if one.environment == search.environment and one.agent in search.given]
                search.take(own, measures[search.environment])
        identifier = session.add_experiment(search_plan, found)
        tuning_stage = session.results(identifier)
        _warn_of_failures(tuning_stage)
        fresh = _fresh_plan(plan, spaces, searches, stage, tuning.one_setting)
        experiment = session.add_experiment(fresh, found)
        session.run(fresh)
        results = TunedResults.of_store(session.store, session.store.experiment(identifier=experiment))
        results = replace(results, tuning_stage=tuning_stage)
    if options.out is not None:
        write_studies(Path(options.out), plan.name, searches)
    report_failures(results)
    return results


def _searches(
    plan: Plan, spaces: Mapping[str, SearchSpace], tuning: TuneOptions, rounds: Sequence[int]
) -> list[Search]:
    searches = []
    for number, environment in enumerate(plan.environments):
        for label in plan.agents_on(environment):
            if label not in spaces:
                continue
            space = spaces[label]
            name = kind_of_sampler(space, tuning.sampler, tuning.configurations)
            if name == "grid" and space.grid_size > tuning.configurations:
                raise ExperimentError(
                    f"the grid of {label!r} has {space.grid_size:,} configurations, more than configurations = "
                    f"{tuning.configurations}: allow more, or give sampler random"
                )
            sampler = new_sampler(space, name, tuning.tuning_seed, number)
            searches.append(Search(space, environment, sampler, name, tuning.configurations, tuning.seeds, rounds))
    return searches


def _configurations(plan: Plan, searches: Sequence[Search]) -> dict[str, PlannedAgent]:
    """Every configuration so far as an agent, with all else as its agent has it."""
    agents: dict[str, PlannedAgent] = {}
    for search in searches:
        for label, call in search.calls.items():
            if label not in agents:
                planned = plan.agents[search.space.label]
                agent = search.space.build(call)
                agents[label] = replace(planned, label=label, agent=agent, expression=search.expression(label))
    return agents


def _next_seeds(searches: Sequence[Search], agents: Iterable[str]) -> dict[tuple[str, str], list[int]]:
    """Seeds of every pair of a configuration and an environment that run next, most of them none."""
    seeds: dict[tuple[str, str], list[int]] = {
        (label, search.environment): [] for search in searches for label in agents
    }
    for search in searches:
        seeds |= {(label, search.environment): own for label, own in search.next_seeds().items()}
    return seeds


def _seeds_so_far(
    searches: Sequence[Search], agents: Iterable[str], tuning_seeds: Sequence[int]
) -> dict[tuple[str, str], list[int]]:
    """Seeds of every pair that have run, or run next."""
    seeds: dict[tuple[str, str], list[int]] = {
        (label, search.environment): [] for search in searches for label in agents
    }
    for search in searches:
        wanted = search.next_seeds()
        for label, given in search.given.items():
            seeds[label, search.environment] = list(tuning_seeds[: given + len(wanted.get(label, ()))])
    return seeds


def _measure(plan: Plan, options: RunOptions, records: Sequence[TrialRecord]) -> Measure:
    return deciding_measure(records, plan.metric, options.all_measures)


def _fresh_plan(
    plan: Plan,
    spaces: Mapping[str, SearchSpace],
    searches: Sequence[Search],
    stage: Mapping[str, Any],
    one_setting: bool,
) -> Plan:
    """The chosen configurations, and the agents without open parameters, on fresh seeds."""
    agents: dict[str, PlannedAgent] = {}
    tuned: list[TunedAgent] = []
    for label, planned in plan.agents.items():
        if label not in spaces:
            agents[label] = planned
            continue
        own = [(search, search.result(label)) for search in searches if search.space.label == label]
        is_one = len({result.label for _, result in own}) == 1
        for search, result in own:
            name = label if is_one else f"{label} · {search.environment}"
            tuned.append(replace(result, agent=name))
            if name not in agents:
                agent = search.space.build(search.calls[result.label])
                places = planned.environments if is_one else (search.environment,)
                agents[name] = replace(
                    planned, label=name, agent=agent, expression=result.expression, environments=places
                )
    if one_setting:
        for_all, how = one_settings(plan, spaces, searches)
        agents, tuned = agents | for_all, tuned + how
    told = dict(stage) | {"stage": "fresh", "agents": [one.to_data() for one in tuned]}
    return replace(plan, agents=agents, tuning=told)


def _check_labels(plan: Plan, spaces: Mapping[str, SearchSpace], *, one_setting: bool) -> None:
    """Refuse agents that have the label which a chosen configuration may get.

    Raises:
        ExperimentError: one line.
    """
    taken = set(plan.agents)
    for label in spaces:
        environments = plan.agents[label].environments or plan.environments
        places = [*environments] if len(environments) > 1 else []
        for place in [*places, ONE_SETTING] if one_setting else places:
            name = f"{label} · {place}"
            if name in taken:
                raise ExperimentError(
                    f"agents: {name!r} is what a chosen configuration of {label!r} may be called: rename one of them"
                )
            taken.add(name)


def _warn_of_failures(tuning_stage: Results) -> None:
    """Warn of trials on tuning seeds that failed, whose configurations are not chosen."""
    if tuning_stage.failures:
        line = f"on tuning seeds {failure_line(tuning_stage)}; a configuration with a failed trial is not chosen"
        warnings.warn(line, ExperimentWarning, stacklevel=4)


def _check_seeds(plan: Plan, tuning: TuneOptions, num_more: int) -> None:
    """Refuse fresh seeds that a choice has seen, or with which nothing could be said.

    Raises:
        ExperimentError: one line.
    """
    both = sorted(set(plan.seeds) & set(tuning.seeds))
    if both:
        raise ExperimentError(
            f"seeds: {both[0]} is a tuning seed, too: the verdict needs seeds that no choice has seen "
            f"({len(both)} in common)"
        )
    most = max(len(plan.agents_on(environment)) for environment in plan.environments) + num_more
    pairs = most * (most - 1) // 2
    needed = 2 if most < 2 else math.ceil(1 + math.log2(pairs / ERROR_RATE) - 1e-9)
    if len(plan.seeds) < needed:
        why = f"a verdict on {most} agents needs at least {needed}" if pairs else "an interval needs at least 2"
        raise ExperimentError(f"seeds: got {len(plan.seeds)} fresh, {why}, such as seeds = 30")


def _unequal_tuning(
    plan: Plan, spaces: Mapping[str, SearchSpace], searches: Sequence[Search], tuning: TuneOptions
) -> list[str]:
    """Agents that are tuned with more configurations than others; what does not learn is not tuned."""
    found: dict[str, list[str]] = {}
    for environment in plan.environments:
        by_number: dict[int, list[str]] = {}
        for label, planned in plan.agents_on(environment).items():
            if label in spaces:
                number = int(min(spaces[label].grid_size if _is_grid(label, searches) else spaces[label].size,
                                 tuning.configurations))  # fmt: skip
            elif planned.agent.learns and type(planned.agent) is not RandomAgent:
                number = 1
            else:
                continue
            by_number.setdefault(number, []).append(label)
        if len(by_number) > 1:
            told = "; ".join(
                f"{number} configuration{'s' * (number > 1)} for {listed(labels)}"
                for number, labels in by_number.items()
            )
            found.setdefault(told, []).append(environment)
    return [
        f"unequal tuning on {listed(places)}: {told}; who is tuned more looks better, give every agent as many"
        for told, places in found.items()
    ]


def _is_grid(label: str, searches: Sequence[Search]) -> bool:
    return any(search.space.label == label and search.sampler_name == "grid" for search in searches)


def _seen_before(store: Store, plan: Plan, stage: Mapping[str, Any]) -> list[str]:
    """Whether the fresh seeds have given a verdict on another tuning of this name."""
    with as_store_errors(store.path):
        rows = store.connection.execute(
            "SELECT id FROM experiments WHERE name = ? ORDER BY id", (plan.name,)
        ).fetchall()
    for (identifier,) in rows:
        settings = store.experiment(identifier=identifier).settings
        before = settings.get("tuning")
        if before is None or before["stage"] != "fresh" or not set(settings["seeds"]) & set(plan.seeds):
            continue
        # Releases before did not store all of it.
        if any(before.get(name, value) != value for name, value in stage.items() if name not in ("stage", "agents")):
            return [
                f"{plan.name!r} was tuned in another way before, with a verdict on these fresh seeds: who tunes again "
                "after looking at them chooses by them; give other seeds, such as a list of new ones"
            ]
    return []
