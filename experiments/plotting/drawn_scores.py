"""Scores to draw: by agent, with reference values, and who is left out."""

import math
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from velodrome.checks import closest
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.plotting.plot_kind import Page
from velodrome.experiments.plotting.style import counted
from velodrome.experiments.results.measures import limits_of, measure_on
from velodrome.experiments.results.seed_scores import SeedScores
from velodrome.experiments.results.trial_table import TrialTable, common_value
from velodrome.experiments.trials.measures import MEASURES, Measure, measure_named

# Scores by agent: one array (num_seeds,) an environment.
ScoresByAgent: TypeAlias = dict[str, list[NDArray[np.float64]]]


def chosen_environments(table: TrialTable, environment: str | None) -> list[str]:
    """The one that is named, or all.

    Raises:
        ExperimentError: there is no such environment, or no trial has ended.
    """
    if environment is not None and environment not in table.environments:
        raise ExperimentError(
            f"environment must be one of {', '.join(table.environments)}, "
            f"got {environment!r}{closest(environment, table.environments)}"
        )
    if not table.records:
        raise ExperimentError(f"{table.name}: no trial has ended, so there is nothing to draw")
    return table.environments if environment is None else [environment]


def reference(table: TrialTable, environment: str, column: str) -> float:
    """A value of the trials on an environment, such as best_return: their mean where it differs; NaN if not known."""
    return common_value(table.done_on(environment), column)


def measure_for(table: TrialTable, environments: Sequence[str], metric: str | None) -> Measure:
    """Measure that compares agents on several environments: it decides on all of them, or else greedy return.

    Raises:
        ExperimentError: no such measure.
    """
    if metric is not None:
        return measure_named(metric, table.settings.all_measures)
    drawn = (environment for environment in environments if table.done_on(environment))
    deciding = {measure_on(table, environment).name for environment in drawn}
    measures = table.settings.all_measures
    return measures[deciding.pop()] if len(deciding) == 1 else MEASURES["greedy_return"]


def finite_scores(table: TrialTable, environment: str, agent: str, measure: Measure) -> NDArray[np.float64]:
    """Scores of the seeds that have one, float64 (num_seeds,)."""
    values = SeedScores.of_records(agent, table.trials(environment, agent), measure).values
    return values[np.isfinite(values)]


def limits_on(table: TrialTable, environment: str, measure: Measure) -> tuple[float, float]:
    """The smallest and the largest expected score on an environment, infinite where not known."""
    return limits_of(measure, table.done_on(environment))


def scores_by_agent(table: TrialTable, environments: Sequence[str], measure: Measure) -> ScoresByAgent:
    """Scores of the agents that have some on each of the environments.

    Raises:
        ExperimentError: no agent has.
    """
    found = {
        agent: [finite_scores(table, environment, agent, measure) for environment in environments]
        for agent in table.agents
    }
    scores = {agent: parts for agent, parts in found.items() if all(map(len, parts))}
    if not scores:
        where = environments[0] if len(environments) == 1 else "every environment"
        raise ExperimentError(f"no agent has a finite {axis_name(measure)} on {where}, so there is nothing to draw")
    return scores


def seeds_by_agent(
    table: TrialTable, environments: Sequence[str], measure: Measure, agents: Iterable[str]
) -> dict[str, list[list[int]]]:
    """Seeds of `scores_by_agent`, one list an environment: a seed drives all of them."""
    return {
        agent: [_finite_seeds(table, environment, agent, measure) for environment in environments] for agent in agents
    }


def _finite_seeds(table: TrialTable, environment: str, agent: str, measure: Measure) -> list[int]:
    scores = SeedScores.of_records(agent, table.trials(environment, agent), measure)
    return [seed for seed, value in zip(scores.seeds, scores.values, strict=True) if math.isfinite(value)]


def axis_name(measure: Measure) -> str:
    """Such as "greedy success rate"."""
    return measure.heading + " rate" * measure.is_rate


def infinite_scores(page: Page) -> list[str]:
    """How many scores are infinite, and so not drawn."""
    number = 0
    for environment in page.environments:
        column = measure_for(page.table, [environment], page.metric).column
        number += sum(math.isinf(record.number(column)) for record in page.table.done_on(environment))
    return [counted(number, "infinite score")] * bool(number)


def not_everywhere(page: Page) -> list[str]:
    """Infinite scores, and agents that a picture over all environments cannot show."""
    column = measure_for(page.table, page.environments, page.metric).column
    records = [record for environment in page.environments for record in page.table.done_on(environment)]
    infinite = sum(math.isinf(record.number(column)) for record in records)
    finite = {(record.environment, record.agent) for record in records if math.isfinite(record.number(column))}
    without = [
        agent
        for agent in page.table.agents
        if any((environment, agent) not in finite for environment in page.environments)
    ]
    reason = "no score" if page.only_environment else "not scored on every environment"
    return [counted(infinite, "infinite score")] * bool(infinite) + [f"{agent} ({reason})" for agent in without]
