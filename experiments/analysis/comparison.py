"""Who is better than whom, by how much, and how sure: agents compared by their scores."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from velodrome.experiments.analysis.seed_scores import SeedScores, common_seeds
from velodrome.experiments.statistics import (
    Aggregate,
    Difference,
    Interval,
    SequentialState,
    best_interval,
    compare_all_pairs,
    iqm,
    mean,
    minimum_detectable_difference,
    paired_difference,
    seeds_needed,
    unpaired_difference,
)
from velodrome.experiments.statistics.pairwise import letters_of

Verdict = Literal["different", "not distinguishable", "undecided"]
# Family-wise error over all pairs, and coverage of intervals.
ERROR, LEVEL = 0.05, 0.95
POWER = 0.8


@dataclass(frozen=True, eq=False)
class AgentScores:
    """Scores of an agent on one environment or several.

    Attributes:
        label: of the agent.
        parts: one an environment, in the same order for all agents.
        is_rate: whether scores lie between 0 and 1.
    """

    label: str
    parts: tuple[SeedScores, ...]
    is_rate: bool = False

    @property
    def problem(self) -> str:
        """Why the agent cannot be compared; empty if it can."""
        return next((part.problem for part in self.parts if part.problem), "")

    @property
    def values(self) -> list[NDArray[np.float64]]:
        """One array an environment."""
        return [part.values for part in self.parts]

    @property
    def num_seeds(self) -> int:
        """The fewest seeds of any environment."""
        return min(len(part.seeds) for part in self.parts)

    @property
    def mean(self) -> float:
        """Mean over environments of the mean over seeds; NaN without scores."""
        if any(not part.seeds for part in self.parts):
            return math.nan
        with np.errstate(invalid="ignore"):
            return float(np.mean([part.values.mean() for part in self.parts]))

    @cached_property
    def interval(self) -> Interval:
        """95 % interval of the mean."""
        return self.interval_of(mean)

    def interval_of(self, aggregate: Aggregate) -> Interval:
        """95 % interval of an aggregate."""
        if self.problem:
            return Interval.unknown(LEVEL, self.problem)
        interval = best_interval(self.values, aggregate, level=LEVEL)
        return interval.within(0.0, 1.0) if self.is_rate else interval


@dataclass(frozen=True, eq=False)
class AgentPair:
    """Two agents compared; the first has the larger mean.

    Attributes:
        first: of the agents.
        second: the other.
        verdict: "different", "not distinguishable", or "undecided" where a sequential comparison goes on.
        p_value: adjusted for all pairs; None where the comparison was sequential.
        is_paired: whether the scores are compared seed by seed.
        num_pairs: of the whole comparison.
    """

    first: AgentScores
    second: AgentScores
    verdict: Verdict
    p_value: float | None
    is_paired: bool
    num_pairs: int

    @cached_property
    def seeds(self) -> list[list[int]]:
        """Seeds that both have, one list an environment."""
        return [common_seeds(parts) for parts in zip(self.first.parts, self.second.parts, strict=True)]

    @property
    def num_seeds(self) -> int:
        """Seeds on which the verdict rests; the fewest of any environment."""
        if self.is_paired:
            return min(len(seeds) for seeds in self.seeds)
        return min(self.first.num_seeds, self.second.num_seeds)

    @cached_property
    def difference(self) -> Difference | None:
        """First less second with its 95 % interval; None where they have no seed in common."""
        if not self.is_paired:
            found = unpaired_difference(self.first.values, self.second.values, level=LEVEL)
        elif all(self.seeds):
            ours, theirs = (
                [part.at(seeds) for part, seeds in zip(agent.parts, self.seeds, strict=True)]
                for agent in (self.first, self.second)
            )
            found = paired_difference(ours, theirs, level=LEVEL)
        else:
            return None
        return replace(found, interval=found.interval.within(-1.0, 1.0)) if self.first.is_rate else found

    @property
    def detectable(self) -> float | None:
        """The smallest true difference that as many seeds find with power 0.8; None where that is not known."""
        differences = self._differences
        if differences is None:
            return None
        return minimum_detectable_difference(differences, level=ERROR / self.num_pairs, power_wanted=POWER)

    def seeds_needed(self, difference: float | None = None) -> int | None:
        """Seeds, in all, with which a difference (by default the observed one) is found with power 0.8."""
        differences = self._differences
        if differences is None:
            return None
        return seeds_needed(differences, difference, level=ERROR / self.num_pairs, power_wanted=POWER)

    @cached_property
    def _differences(self) -> NDArray[np.float64] | None:
        if not self.is_paired or len(self.seeds) > 1 or len(self.seeds[0]) < 2:
            return None
        seeds = self.seeds[0]
        return self.first.parts[0].at(seeds) - self.second.parts[0].at(seeds)


@dataclass(frozen=True, eq=False)
class Comparison:
    """All agents compared with each other.

    Attributes:
        agents: best first; those that cannot be compared last.
        letters: by label; agents that share a letter are not distinguishable; empty for those not compared.
        pairs: by both labels, in either order.
        reference: label of the agent that the others are compared with; None without any scores.
        correction: how the family-wise error is held: "Holm" or "group-sequential".
        is_paired: whether scores are compared seed by seed.
    """

    agents: tuple[AgentScores, ...]
    letters: Mapping[str, str]
    pairs: Mapping[tuple[str, str], AgentPair] = field(repr=False)
    reference: str | None
    correction: Literal["Holm", "group-sequential"]
    is_paired: bool

    @property
    def compared(self) -> list[str]:
        """Labels of the agents that are compared, best first."""
        return [agent.label for agent in self.agents if self.letters[agent.label]]

    def agent(self, label: str) -> AgentScores:
        """The scores of an agent."""
        return next(agent for agent in self.agents if agent.label == label)

    def difference_to_reference(self, label: str) -> Difference | None:
        """An agent's mean less the reference's, with its interval; None for the reference and what is not compared."""
        pair = self.pairs.get((label, self.reference or ""))
        if pair is None or pair.difference is None:
            return None
        if pair.first.label == label:
            return pair.difference
        interval = pair.difference.interval
        mirrored = Interval(-interval.high, -interval.low, interval.level, interval.method, interval.reason)
        return Difference(-pair.difference.estimate, mirrored, pair.difference.paired)


def compare_scores(
    agents: Sequence[AgentScores], *, baseline: str | None = None, sequential: "SequentialVerdicts | None" = None
) -> Comparison:
    """Rank agents by their means, and test all pairs.

    Pairs are compared seed by seed on the seeds that both have, by permutation tests with Holm's correction; where the
    agents have no two seeds in common, by unpaired ones.

    Args:
        agents: those with equal means stay in this order.
        baseline: label of the agent that the others are compared with; the best by default.
        sequential: verdicts of a sequential comparison, which then count instead; agents that are not part of it are
            not compared.
    """
    ranked = sorted(agents, key=lambda agent: (bool(agent.problem), -agent.mean if not agent.problem else 0.0))
    compared = [agent for agent in ranked if not agent.problem]
    if sequential is not None:
        compared = [agent for agent in compared if agent.label in sequential.agents]
    reference = compared[0].label if compared else None
    if baseline is not None and any(agent.label == baseline for agent in compared):
        reference = baseline
    is_paired = _have_common_seeds(compared)
    p_values: dict[tuple[int, int], float] = {}
    if sequential is not None:
        verdicts = sequential.of([agent.label for agent in compared])
    else:
        verdicts, p_values = _tested(compared, is_paired)
    pairs: dict[tuple[str, str], AgentPair] = {}
    number = len(verdicts)
    for (first, second), verdict in verdicts.items():
        pair = AgentPair(compared[first], compared[second], verdict, p_values.get((first, second)), is_paired, number)
        pairs[pair.first.label, pair.second.label] = pairs[pair.second.label, pair.first.label] = pair
    different = [indices for indices, verdict in verdicts.items() if verdict == "different"]
    letters = dict.fromkeys((agent.label for agent in ranked), "")
    letters |= zip((agent.label for agent in compared), letters_of(range(len(compared)), different), strict=True)
    correction: Literal["Holm", "group-sequential"] = "Holm" if sequential is None else "group-sequential"
    return Comparison(tuple(ranked), letters, pairs, reference, correction, is_paired)


@dataclass(frozen=True)
class SequentialVerdicts:
    """What a sequential comparison has decided on one environment.

    Attributes:
        agents: labels, in the order of the state.
        state: of the comparison.
    """

    agents: tuple[str, ...]
    state: SequentialState

    def of(self, labels: Sequence[str]) -> dict[tuple[int, int], Verdict]:
        """Verdicts of all pairs of some of the agents, by indices into `labels`; undecided before the first look."""
        by_labels = {
            frozenset((self.agents[pair.first], self.agents[pair.second])): pair.verdict for pair in self.state.pairs
        }
        return {
            (first, second): by_labels.get(frozenset((labels[first], labels[second])), "undecided")
            for first, second in combinations(range(len(labels)), 2)
        }


def _have_common_seeds(agents: Sequence[AgentScores]) -> bool:
    """Whether agents can be compared seed by seed: false only where none of the pairs has two seeds in common."""
    if len(agents) < 2:
        return True
    shared = (
        len(common_seeds(parts)) >= 2
        for one, other in combinations(agents, 2)
        for parts in zip(one.parts, other.parts, strict=True)
    )
    return any(shared) or any(agent.num_seeds < 2 for agent in agents)


def _tested(
    compared: Sequence[AgentScores], is_paired: bool
) -> tuple[dict[tuple[int, int], Verdict], dict[tuple[int, int], float]]:
    """Verdicts and adjusted p-values of all pairs by permutation tests with Holm's correction."""
    if len(compared) < 2:
        return {}, {}
    if is_paired and len(compared[0].parts) == 1:
        result = compare_all_pairs(
            [agent.parts[0].values for agent in compared], seeds=[agent.parts[0].seeds for agent in compared],
            level=ERROR,
        )  # fmt: skip
    elif is_paired:
        shared = [common_seeds(parts) for parts in zip(*(agent.parts for agent in compared), strict=True)]
        if not all(len(seeds) >= 2 for seeds in shared):
            indices = combinations(range(len(compared)), 2)
            return dict.fromkeys(indices, "not distinguishable"), {}
        on_shared = [[part.at(seeds) for part, seeds in zip(agent.parts, shared, strict=True)] for agent in compared]
        result = compare_all_pairs(on_shared, level=ERROR)
    else:
        result = compare_all_pairs([agent.values for agent in compared], paired=False, level=ERROR)
    verdicts: dict[tuple[int, int], Verdict] = {}
    for pair in result.pairs:
        verdicts[pair.first, pair.second] = "different" if pair.different else "not distinguishable"
    return verdicts, {(pair.first, pair.second): pair.adjusted_p_value for pair in result.pairs}


def iqm_of(agent: AgentScores) -> tuple[float, Interval]:
    """Interquartile mean of an agent's scores with its interval; NaN where there is none."""
    if agent.problem:
        return math.nan, Interval.unknown(LEVEL, agent.problem)
    return iqm(agent.values), agent.interval_of(iqm)
