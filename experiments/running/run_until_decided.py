"""Runs a plan with ever more seeds, only for agents of undecided pairs, until every pair is decided.

The comparison on each environment is group-sequential: see `velodrome.experiments.statistics.sequential` for the test
and for why the family-wise error over an environment's pairs and looks stays below 5 %.

Whatever was decided follows from the stored scores alone, so going on after an interruption is running again: stored
trials are reused, and the looks repeat themselves.

Where a run stands is kept in the experiment's settings (`Results.settings`), which are stored before the trials of each
stage run:

    "seeds": [0, …], those of the first look
    "own_seeds": [{"agent": label, "environment": label, "seeds": [0, …]}, …], of pairs that were given others
    "sequential": {
        "first": seeds at the first look,
        "max_seeds": seeds at the last,
        "metric": what the user asked to decide by, or null,
        "environments": {
            label: {
                "measure": name of what decides, or null before the first trials,
                "agents": [label, …] of those compared, in the order of the state,
                "state": `SequentialState.to_data()`, without pairs where fewer than two agents are left,
                "excluded": {label: reason} of the agents that are left out,
                "seeds": [0, …] used so far, in order; look k uses the first `state.design.stage_sizes[k]`,
                "stopped": why pairs stay undecided, or ""
            }
        }
    }
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from velodrome.agents.errors import check_count
from velodrome.experiments.errors import ExperimentError, ExperimentWarning
from velodrome.experiments.results.results import Results
from velodrome.experiments.running.run_plan import RunOptions, RunSession, report_failures
from velodrome.experiments.running.sequential_comparison import SequentialComparison
from velodrome.experiments.specification.experiment import MOST_SEEDS
from velodrome.experiments.specification.plan import Plan
from velodrome.experiments.specification.plan_checks import MIN_SEEDS, check_plan
from velodrome.experiments.statistics import SequentialDesign
from velodrome.experiments.storage.store import Store
from velodrome.experiments.storage.store_file import as_store_errors
from velodrome.experiments.trials.measures import MEASURES, Measure, measure_named

FIRST_SEEDS = 10
NUM_LOOKS = 5
FUTILITY = 0.05
# Seeds on which a trial fails are replaced, up to so many times `max_seeds` in all.
MOST_TRIED = 2


@dataclass(frozen=True)
class UntilDecided:
    """When a run looks at its scores, and by what it decides; fixed before the first look.

    Attributes:
        first: seeds at the first look.
        max_seeds: seeds at the last.
        metric: what decides; see `deciding_measure` if None.
    """

    first: int
    max_seeds: int
    metric: str | None = None

    @classmethod
    def checked(
        cls,
        until_decided: bool,
        max_seeds: int | None,
        first: Any = None,
        metric: str | None = None,
        measures: Mapping[str, Measure] = MEASURES,
    ) -> "UntilDecided | None":
        """The same, of what users give; None for a fixed number of seeds.

        Args:
            until_decided: whether seeds are added until all is decided.
            max_seeds: seeds at the last look.
            first: seeds at the first look; 10, or `max_seeds` if they are fewer, if None.
            metric: what decides.
            measures: among which it is, by name.

        Raises:
            BudgetError: something that is no number of seeds.
            ExperimentError: one of `until_decided` and `max_seeds` without the other, fewer than 2 seeds, more at the
                first look than at the last, or an unknown metric.
        """
        if not until_decided:
            if max_seeds is not None:
                raise ExperimentError("max_seeds needs until_decided=True; give seeds for a fixed number")
            return None
        if max_seeds is None:
            raise ExperimentError("until_decided needs max_seeds, the most seeds of an agent, such as max_seeds=50")
        max_seeds = check_count("max_seeds", max_seeds)
        if not 2 <= max_seeds <= MOST_SEEDS:
            raise ExperimentError(f"max_seeds must be from 2 to {MOST_SEEDS}, got {max_seeds}")
        if first is None:
            first = min(FIRST_SEEDS, max_seeds)
        elif isinstance(first, Iterable):
            raise ExperimentError(
                "seeds must be a number where a run goes on until decided, that of the first look, and not a list"
            )
        first = check_count("seeds", first)
        if not 2 <= first <= max_seeds:
            raise ExperimentError(
                f"seeds, the number of the first look, must be from 2 to max_seeds = {max_seeds}, got {first}"
            )
        if metric is not None:
            measure_named(metric, measures)
        return cls(first, max_seeds, metric)

    @property
    def design(self) -> SequentialDesign:
        """Of every environment's comparison."""
        return SequentialDesign.up_to(self.first, self.max_seeds, num_stages=NUM_LOOKS, futility=FUTILITY)


def run_until_decided(plan: Plan, options: RunOptions, rule: UntilDecided) -> Results:
    """Run a plan with ever more seeds until every pair of agents is decided; warns as `compare` does.

    Args:
        plan: its seeds are replaced by 0, 1, 2, ….
        options: how it is run.
        rule: when to look and by what to decide. Seeds on which trials fail are replaced.

    Raises:
        ExperimentError: a single agent, or what `compare` raises.
        StoreError: as `compare`.
    """
    for label in plan.environments:
        agents = plan.agents_on(label)
        if len(agents) < 2:
            only, where = next(iter(agents)), f" on {label!r}" if len(plan.agents) > 1 else ""
            raise ExperimentError(f"nothing to decide: {only!r} is the only agent{where}, give at least two")
    plan = replace(plan, seeds=list(range(rule.first)))
    rule = replace(rule, metric=rule.metric or plan.metric)
    session = RunSession(options)
    # No warning of few seeds: how many are enough is what the looks decide.
    found = check_plan(replace(plan, seeds=list(range(max(rule.max_seeds, MIN_SEEDS)))), workers=session.num_workers)
    found += _too_few_to_decide(plan, rule)
    with session:
        found += _changed_after_looking(session.store, plan.name, rule)
        if found and options.strict:
            raise ExperimentError("\n".join(found))
        for line in found:
            warnings.warn(line, ExperimentWarning, stacklevel=3)
        comparisons = [
            SequentialComparison(
                label,
                list(plan.agents_on(label)),
                rule.design,
                most_seeds=MOST_TRIED * rule.max_seeds,
                metric=rule.metric,
                measures=options.all_measures,
            )
            for label in plan.environments
        ]
        while not all(comparison.is_over for comparison in comparisons):
            stage = plan.with_seeds(_next_seeds(plan, comparisons))
            # Not where all is stored: a run that goes on would show an earlier state while it catches up.
            if not session.has_all(stage):
                session.add_experiment(_so_far(plan, rule, comparisons), found)
            session.run(stage)
            records = session.records(stage)
            for comparison in comparisons:
                told = comparison.take([one for one in records if one.environment == comparison.environment])
                for line in told:
                    warnings.warn(line, ExperimentWarning, stacklevel=3)
                found += told
        results = session.results(session.add_experiment(_so_far(plan, rule, comparisons), found))
    report_failures(results)
    return results


def _next_seeds(plan: Plan, comparisons: Sequence[SequentialComparison]) -> dict[tuple[str, str], range]:
    """Seeds that every pair of an agent and an environment needs before the next look, most of them none."""
    seeds_of: dict[tuple[str, str], range] = {}
    for comparison in comparisons:
        wanted = comparison.next_seeds()
        agents = plan.agents_on(comparison.environment)
        seeds_of |= {(agent, comparison.environment): wanted.get(agent, range(0)) for agent in agents}
    return seeds_of


def _so_far(plan: Plan, rule: UntilDecided, comparisons: Sequence[SequentialComparison]) -> Plan:
    """The plan of all that was run, and of what runs next."""
    seeds_of = {}
    for comparison in comparisons:
        wanted = comparison.next_seeds()
        for agent, given in comparison.given.items():
            seeds_of[agent, comparison.environment] = range(wanted[agent].stop if agent in wanted else given)
    environments = {comparison.environment: comparison.to_data() for comparison in comparisons}
    return plan.with_seeds(seeds_of, asdict(rule) | {"environments": environments})


def _too_few_to_decide(plan: Plan, rule: UntilDecided) -> list[str]:
    """Where even agents that differ on every seed with the same sign could not be distinguished at the last look."""
    level, agents = rule.design.level, max(len(plan.agents_on(environment)) for environment in plan.environments)
    pairs = agents * (agents - 1) // 2
    needed = 2
    while 2.0 ** (1 - needed) > level / pairs:
        needed += 1
    if rule.max_seeds >= needed:
        return []
    return [
        f"max_seeds = {rule.max_seeds} can distinguish no two of {agents} agents, whatever they score: "
        f"give at least {needed}, such as max_seeds = 50"
    ]


def _changed_after_looking(store: Store, name: str, rule: UntilDecided) -> list[str]:
    """Other rules by which runs of this name have looked at scores already."""
    with as_store_errors(store.path):
        rows = store.connection.execute("SELECT id FROM experiments WHERE name = ? ORDER BY id", (name,)).fetchall()
    others = {}
    for (identifier,) in rows:
        sequential = store.experiment(identifier=identifier).settings.get("sequential")
        if sequential is not None and _has_looked(sequential):
            other = UntilDecided(sequential["first"], sequential["max_seeds"], sequential["metric"])
            others[other] = f"seeds = {other.first}, max_seeds = {other.max_seeds}" + (
                f", metric = {other.metric}" if other.metric is not None else ""
            )
    others.pop(rule, None)
    if not others:
        return []
    return [
        f"{name!r} has looked at scores under another plan ({'; '.join(others.values())}): to change the plan after "
        "looking voids the bound on errors, go on with the one of before (the same seeds score the same elsewhere, too)"
    ]


def _has_looked(sequential: Mapping[str, Any]) -> bool:
    return any(environment["state"]["stage"] > 0 for environment in sequential["environments"].values())
