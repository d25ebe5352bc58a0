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
    paired_permutation_test,
    seeds_needed,
    seeds_needed_range,
    unpaired_difference,
)
from velodrome.experiments.statistics.pairwise import letters_of
from velodrome.experiments.statistics.scores import difference

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
        limits: smallest and largest mean that is possible, infinite where not known.
        tie_break: greedy returns, which decide between agents with the same greedy success on every seed; None where
            they do not, or where it is not greedy success that decides.
    """

    label: str
    parts: tuple[SeedScores, ...]
    is_rate: bool = False
    limits: tuple[float, float] = (-math.inf, math.inf)
    tie_break: SeedScores | None = None

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
        return interval.limited(self.range, aggregate(self.values))

    @property
    def range(self) -> tuple[float, float]:
        """The limits, of a rate within 0 and 1."""
        low, high = self.limits
        return (max(low, 0.0), min(high, 1.0)) if self.is_rate else (low, high)

    @property
    def num_missing(self) -> int:
        """Seeds of which there is no score, for the trial failed or has none."""
        return sum(len(part.missing) for part in self.parts)

    def with_missing(self) -> "AgentScores":
        """The agent with the scores of its trials that failed, or that have none, counted as the worst."""
        tie_break = None if self.tie_break is None else self.tie_break.with_missing()
        return replace(self, parts=tuple(part.with_missing() for part in self.parts), tie_break=tie_break)


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
        is_by_return: whether it is decided by greedy return, for greedy success is the same on every seed.
        is_doubtful: whether the two would differ, but do not with missing scores counted as the worst.
    """

    first: AgentScores
    second: AgentScores
    verdict: Verdict
    p_value: float | None
    is_paired: bool
    num_pairs: int
    is_by_return: bool = False
    is_doubtful: bool = False

    @property
    def is_rate(self) -> bool:
        """Whether the difference is one of rates."""
        return self.first.is_rate and not self.is_by_return

    def parts_of(self, agent: AgentScores) -> tuple[SeedScores, ...]:
        """The scores of one of the two that decide, one an environment."""
        return (agent.tie_break,) if self.is_by_return and agent.tie_break is not None else agent.parts

    @cached_property
    def seeds(self) -> list[list[int]]:
        """Seeds that both have, one list an environment."""
        both = zip(self.parts_of(self.first), self.parts_of(self.second), strict=True)
        return [common_seeds(parts) for parts in both]

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
                [part.at(seeds) for part, seeds in zip(self.parts_of(agent), self.seeds, strict=True)]
                for agent in (self.first, self.second)
            )
            found = paired_difference(ours, theirs, level=LEVEL)
        else:
            return None
        low, high = (-math.inf, math.inf) if self.is_by_return else self.first.range
        return replace(found, interval=found.interval.limited((low - high, high - low), found.estimate))

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

    def seeds_needed_range(self, difference: float | None = None) -> tuple[int, int | None] | None:
        """The fewest and the most seeds that it may take, for the spread is known from so many seeds only."""
        differences = self._differences
        if differences is None:
            return None
        return seeds_needed_range(differences, difference, level=ERROR / self.num_pairs, power_wanted=POWER)

    @cached_property
    def _differences(self) -> NDArray[np.float64] | None:
        if not self.is_paired or len(self.seeds) > 1 or len(self.seeds[0]) < 2:
            return None
        seeds = self.seeds[0]
        return self.parts_of(self.first)[0].at(seeds) - self.parts_of(self.second)[0].at(seeds)


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
    agents have no two seeds in common, by unpaired ones. Two with the same greedy success on every seed they share are
    tested by greedy return, which leaves the error as it is: with signs flipped seed by seed they are still the same.
    No two differ that would not with missing scores counted as the worst.

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
    tied = _tied(compared) if sequential is None and is_paired else []
    if sequential is not None:
        verdicts = sequential.of([agent.label for agent in compared])
    else:
        verdicts, p_values = _judged(compared, is_paired, tied)
    doubtful = _doubtful(compared, is_paired, tied, verdicts)
    verdicts |= dict.fromkeys(doubtful, "not distinguishable")
    p_values |= {indices: p_value for indices, p_value in doubtful.items() if sequential is None}
    pairs: dict[tuple[str, str], AgentPair] = {}
    number = len(verdicts)
    for (first, second), verdict in verdicts.items():
        pair = AgentPair(
            compared[first], compared[second], verdict, p_values.get((first, second)), is_paired, number,
            is_by_return=(first, second) in tied, is_doubtful=(first, second) in doubtful,
        )  # fmt: skip
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


def _tied(compared: Sequence[AgentScores]) -> list[tuple[int, int]]:
    """Pairs with the same greedy success on every seed they share, and other greedy returns on some."""
    return [
        (first, second)
        for first, second in combinations(range(len(compared)), 2)
        if _is_tied(compared[first], compared[second])
    ]


def _is_tied(first: AgentScores, second: AgentScores) -> bool:
    if first.tie_break is None or second.tie_break is None:
        return False
    seeds = common_seeds([first.parts[0], second.parts[0], first.tie_break, second.tie_break])
    if len(seeds) < 2 or seeds != common_seeds([first.parts[0], second.parts[0]]):
        return False
    success = difference(first.parts[0].at(seeds), second.parts[0].at(seeds))
    returns = difference(first.tie_break.at(seeds), second.tie_break.at(seeds))
    return not success.any() and bool(returns.any())


def _judged(
    compared: Sequence[AgentScores], is_paired: bool, tied: Sequence[tuple[int, int]]
) -> tuple[dict[tuple[int, int], Verdict], dict[tuple[int, int], float]]:
    """Verdicts and adjusted p-values of all pairs, those of tied ones by greedy return.

    A tied pair takes up none of the error otherwise, its own p-value being 1: times the number of pairs its p-value by
    return fits into Holm's family, whatever the others are.
    """
    verdicts, p_values = _tested(compared, is_paired)
    for first, second in tied:
        ours, theirs = compared[first].tie_break, compared[second].tie_break
        assert ours is not None
        assert theirs is not None
        seeds = common_seeds([ours, theirs])
        test = paired_permutation_test(ours.at(seeds), theirs.at(seeds))
        p_value = min(1.0, test.p_value * len(verdicts))
        p_values[first, second] = p_value
        verdicts[first, second] = "different" if p_value <= ERROR else "not distinguishable"
    return verdicts, p_values


def _doubtful(
    compared: Sequence[AgentScores],
    is_paired: bool,
    tied: Sequence[tuple[int, int]],
    verdicts: Mapping[tuple[int, int], Verdict],
) -> dict[tuple[int, int], float]:
    """Pairs that differ, but not with missing scores counted as the worst, and the p-values that they then have."""
    in_question = [
        (first, second)
        for (first, second), verdict in verdicts.items()
        if verdict == "different" and (compared[first].num_missing or compared[second].num_missing)
    ]
    if not in_question:
        return {}
    filled = [agent.with_missing() for agent in compared]
    again, p_values = _judged(filled, is_paired, tied)
    doubtful = {}
    for indices in in_question:
        is_by_return = indices in tied
        first, second = indices
        ahead = _lead(compared[first], compared[second], is_paired, is_by_return)
        then = _lead(filled[first], filled[second], is_paired, is_by_return)
        if again[indices] != "different" or ahead * then <= 0:
            doubtful[indices] = p_values.get(indices, 1.0) if ahead * then > 0 else 1.0
    return doubtful


def _lead(first: AgentScores, second: AgentScores, is_paired: bool, is_by_return: bool) -> float:
    """Mean of the first less the second, on the seeds that both have where scores are paired."""
    if not is_paired:
        return first.mean - second.mean
    ours, theirs = ((agent.tie_break,) if is_by_return else agent.parts for agent in (first, second))
    parts = [(one, other) for one, other in zip(ours, theirs, strict=True) if one is not None and other is not None]
    leads = [one.at(common_seeds([one, other])) - other.at(common_seeds([one, other])) for one, other in parts]
    return float(np.mean([lead.mean() for lead in leads]))


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
