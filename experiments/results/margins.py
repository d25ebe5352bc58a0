"""Margins of a crossed experiment: each policy over all learners, each learner over all policies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from velodrome.experiments.results.comparison import AgentScores, Comparison, compare_scores
from velodrome.experiments.results.seed_scores import SeedScores, mean_over

if TYPE_CHECKING:
    from velodrome.experiments.results.analysis import EnvironmentAnalysis

Factor = Literal["policy", "learner"]
FACTORS: tuple[Factor, ...] = ("policy", "learner")


@dataclass(frozen=True, eq=False)
class Margin:
    """The levels of one factor on one environment, averaged over the other factor seed by seed.

    Attributes:
        environment: label.
        factor: "policy" or "learner".
        comparison: of its levels.
        num_averaged: levels of the other factor.
    """

    environment: str
    factor: Factor
    comparison: Comparison
    num_averaged: int


def margins_of(
    factors: Mapping[str, Mapping[str, str]], environments: "Sequence[EnvironmentAnalysis]"
) -> tuple[Margin, ...]:
    """Margins of both factors on each environment; none where the experiment does not cross them.

    A level of which a crossing has no score is left out, for its mean would be over others than those of the rest.

    Args:
        factors: label of an agent to its "learner" and "policy".
        environments: analysed.
    """
    margins: list[Margin] = []
    for environment in environments:
        scores = {agent.label: agent.parts[0] for agent in environment.comparison.agents if not agent.problem}
        for factor in FACTORS:
            others = {levels[_other(factor)] for levels in factors.values()}
            groups: dict[str, list[SeedScores]] = {}
            for label, levels in factors.items():
                if label in scores:
                    groups.setdefault(levels[factor], []).append(scores[label])
            averaged = [mean_over(level, some) for level, some in groups.items() if len(some) == len(others)]
            if len(averaged) > 1 and len(others) > 1:
                agents = [AgentScores(one.label, (one,), environment.measure.is_rate) for one in averaged]
                margins.append(Margin(environment.environment, factor, compare_scores(agents), len(others)))
    return tuple(margins)


def _other(factor: Factor) -> Factor:
    return "learner" if factor == "policy" else "policy"
