"""What is drawn of an experiment: scores by agent, reference values, and who is left out."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from velodrome.checks import closest
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.results.measures import MEASURES, Measure, limits_of, measure_named, measure_on
from velodrome.experiments.results.seed_scores import SeedScores

if TYPE_CHECKING:
    from velodrome.experiments.results.results import Results

# Scores by agent: one array (num_seeds,) an environment.
ScoresByAgent: TypeAlias = dict[str, list[NDArray[np.float64]]]


def chosen_environments(results: "Results", environment: str | None) -> list[str]:
    """The one that is named, or all.

    Raises:
        ExperimentError: there is no such environment, or no trial has ended.
    """
    if environment is not None and environment not in results.environments:
        raise ExperimentError(
            f"environment must be one of {', '.join(results.environments)}, "
            f"got {environment!r}{closest(environment, results.environments)}"
        )
    if not results.records:
        raise ExperimentError(f"{results.name}: no trial has ended, so there is nothing to draw")
    return results.environments if environment is None else [environment]


def records_on(results: "Results", environments: Iterable[str]) -> list[dict[str, Any]]:
    """Records of the trials on some environments, failed ones too."""
    return [
        record
        for place in dict.fromkeys(environments)
        for agent in results.agents
        for record in results.trials(place, agent)
    ]


def reference(results: "Results", environment: str, column: str) -> float:
    """A value that all trials on an environment share, such as best_return; NaN where it is not known."""
    values = (float(record.get(column, math.nan)) for record in done(records_on(results, [environment])))
    return next((value for value in values if math.isfinite(value)), math.nan)


def done(records: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Records of trials that did not fail."""
    return [record for record in records if record["status"] == "done"]


def measure_for(results: "Results", environments: Sequence[str], metric: str | None) -> Measure:
    """What agents are compared by on several environments: what decides on all of them, or else greedy return.

    Raises:
        ExperimentError: no such measure.
    """
    if metric is not None:
        return measure_named(metric)
    drawn = (environment for environment in environments if done(records_on(results, [environment])))
    deciding = {measure_on(results, environment).name for environment in drawn}
    return MEASURES[deciding.pop() if len(deciding) == 1 else "greedy_return"]


def finite_scores(results: "Results", environment: str, agent: str, measure: Measure) -> NDArray[np.float64]:
    """Scores of the seeds that have one, float64 (num_seeds,)."""
    values = SeedScores.of_records(agent, results.trials(environment, agent), measure).values
    return values[np.isfinite(values)]


def limits_on(results: "Results", environment: str, measure: Measure) -> tuple[float, float]:
    """The smallest and the largest expected score on an environment, infinite where not known."""
    return limits_of(measure, records_on(results, [environment]))


def scores_by_agent(results: "Results", environments: Sequence[str], measure: Measure) -> ScoresByAgent:
    """Scores of the agents that have some on each of the environments.

    Raises:
        ExperimentError: no agent has.
    """
    found = {
        agent: [finite_scores(results, environment, agent, measure) for environment in environments]
        for agent in results.agents
    }
    scores = {agent: parts for agent, parts in found.items() if all(map(len, parts))}
    if not scores:
        where = environments[0] if len(environments) == 1 else "every environment"
        raise ExperimentError(f"no agent has a finite {axis_name(measure)} on {where}, so there is nothing to draw")
    return scores


def seeds_by_agent(
    results: "Results", environments: Sequence[str], measure: Measure, agents: Iterable[str]
) -> dict[str, list[list[int]]]:
    """Seeds of `scores_by_agent`, one list an environment: a seed drives all of them."""
    return {
        agent: [_finite_seeds(results, environment, agent, measure) for environment in environments] for agent in agents
    }


def _finite_seeds(results: "Results", environment: str, agent: str, measure: Measure) -> list[int]:
    scores = SeedScores.of_records(agent, results.trials(environment, agent), measure)
    return [seed for seed, value in zip(scores.seeds, scores.values, strict=True) if math.isfinite(value)]


def axis_name(measure: Measure) -> str:
    """Such as "greedy success rate"."""
    return measure.heading + " rate" * measure.is_rate
