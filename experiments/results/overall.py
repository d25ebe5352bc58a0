"""Agents over all environments together."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from velodrome.experiments.results.comparison import AgentScores, Comparison, compare_scores
from velodrome.experiments.results.seed_scores import SeedScores

if TYPE_CHECKING:
    from velodrome.experiments.results.analysis import EnvironmentAnalysis


@dataclass(frozen=True, eq=False)
class Overall:
    """Agents compared over several environments.

    Attributes:
        comparison: of the agents that have scores on each environment.
        is_normalised: whether scores are shares of the way from the random policy (0) to the best possible one (1);
            otherwise they are success rates.
        num_environments: that are averaged.
    """

    comparison: Comparison
    is_normalised: bool
    num_environments: int


def overall_of(environments: "Sequence[EnvironmentAnalysis]") -> Overall | None:
    """Agents over all environments; None where there is one, or where their scores are not of one scale.

    Scores are normalised where the best possible and the random policy are known everywhere; success rates are averaged
    as they are; returns of different environments are not averaged.

    Source: Agarwal et al. (2021), section 4.
    """
    if len(environments) < 2:
        return None
    is_normalised = all(
        math.isfinite(one.best) and math.isfinite(one.random) and one.best > one.random for one in environments
    )
    if not is_normalised and not all(one.measure.is_rate for one in environments):
        return None
    agents = []
    for agent in environments[0].comparison.agents:
        parts = [_part(one, agent.label, is_normalised) for one in environments]
        if all(part is not None and not part.problem for part in parts):
            agents.append(
                AgentScores(agent.label, tuple(part for part in parts if part is not None), not is_normalised)
            )
    if not agents:
        return None
    baseline = environments[0].comparison.reference if _is_same_reference(environments) else None
    return Overall(compare_scores(agents, baseline=baseline), is_normalised, len(environments))


def _part(environment: "EnvironmentAnalysis", label: str, is_normalised: bool) -> SeedScores | None:
    agent = next((agent for agent in environment.comparison.agents if agent.label == label), None)
    if agent is None:
        return None
    scores = agent.parts[0]
    return scores.scaled(environment.random, environment.best) if is_normalised else scores


def _is_same_reference(environments: "Sequence[EnvironmentAnalysis]") -> bool:
    return len({one.comparison.reference for one in environments}) == 1
