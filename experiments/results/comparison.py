"""Who is better than whom, by how much, and how sure: agents compared by their scores."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from velodrome.experiments.results.seed_scores import SeedScores, common_seeds
from velodrome.experiments.statistics import (
    Aggregate,
    Difference,
    Interval,
    SequentialState,
    best_interval,
    by_seed,
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
from velodrome.experiments.statistics.common_seeds import on_common_seeds, seed_tables
from velodrome.experiments.statistics.pairwise import letters_of

# How the family-wise error over all pairs is held.
Correction = Literal["max-T", "Holm", "max-T and Holm", "group-sequential"]
Verdict = Literal["different", "not distinguishable", "undecided", "not tested"]
# Family-wise error over all pairs, and coverage of intervals.
ERROR, LEVEL = 0.05, 0.95
POWER = 0.8
# Agents of which all pairs are tested: those of 200 are 19,900. Of more, nobody reads letters, and their number grows
# with the square.
MOST_TESTED = 200


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
        higher_is_better: whether a higher score is better.
    """

    label: str
    parts: tuple[SeedScores, ...]
    is_rate: bool = False
    limits: tuple[float, float] = (-math.inf, math.inf)
    tie_break: SeedScores | None = None
    higher_is_better: bool = True

    @property
    def problem(self) -> str:
        """Why the agent cannot be compared; empty if it can."""
        return next((part.problem for part in self.parts if part.problem), "")

    @property
    def values(self) -> list[NDArray[np.float64]]:
        """One array an environment."""
        return [part.values for part in self.parts]

    @property
    def seeds(self) -> list[tuple[int, ...]]:
        """Seeds of the values, one sequence an environment."""
        return [part.seeds for part in self.parts]

    @property
    def num_seeds(self) -> int:
        """The fewest seeds of any environment."""
        return min(len(part.seeds) for part in self.parts)

    @property
    def mean(self) -> float:
        """Mean over environments of the mean over seeds; NaN without scores, or where trials were stopped."""
        if any(not part.seeds or part.num_stopped for part in self.parts):
            return math.nan
        with np.errstate(invalid="ignore"):
            return float(np.mean([part.values.mean() for part in self.parts]))

    @cached_property
    def interval(self) -> Interval:
        """95 % interval of the mean."""
        return self.interval_of(mean)

    def interval_of(self, aggregate: Aggregate) -> Interval:
        """95 % interval of an aggregate.

        Args:
            aggregate: statistic of the scores, such as `mean` or `iqm`.
        """
        if self.problem:
            return Interval.unknown(LEVEL, self.problem)
        scores = self.values if len(self.parts) == 1 else [by_seed(self.values, self.seeds, aggregate)]
        # Numbers by seed are those of any aggregate, and their mean is it.
        of_numbers = aggregate if len(self.parts) == 1 else mean
        return best_interval(scores, of_numbers, level=LEVEL).limited(self.range, of_numbers(scores))

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
    """Two agents compared; the first has the better mean.

    Attributes:
        first: of the agents.
        second: the other.
        verdict: "different", "not distinguishable", "undecided" where a sequential comparison goes on, or "not tested"
            where there are too many agents.
        p_value: adjusted for all pairs; None where the comparison was sequential, or nothing was tested.
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

    @property
    def higher_is_better(self) -> bool:
        """Whether the higher score is the better one."""
        return self.first.higher_is_better or self.is_by_return

    def parts_of(self, agent: AgentScores) -> tuple[SeedScores, ...]:
        """The scores of one of the two that decide, one an environment.

        Args:
            agent: label of one of the two.
        """
        return (agent.tie_break,) if self.is_by_return and agent.tie_break is not None else agent.parts

    @cached_property
    def seeds(self) -> list[list[int]]:
        """Seeds that both have, one list an environment."""
        both = zip(self.parts_of(self.first), self.parts_of(self.second), strict=True)
        return [common_seeds(parts) for parts in both]

    @cached_property
    def num_seeds(self) -> int:
        """Seeds on which the verdict rests; the fewest of any environment."""
        if self.is_paired:
            return min(len(seeds) for seeds in self.seeds)
        return min(self.first.num_seeds, self.second.num_seeds)

    @cached_property
    def difference(self) -> Difference | None:
        """How far the first is ahead, with its 95 % interval; None where they have no seed in common.

        The first less the second, or the other way round where lower is better.
        """
        agents = (self.first, self.second) if self.higher_is_better else (self.second, self.first)
        if not self.is_paired:
            found = unpaired_difference(*map(_numbers, agents), level=LEVEL)
        elif all(self.seeds):
            ours, theirs = (
                [part.at(seeds) for part, seeds in zip(self.parts_of(agent), self.seeds, strict=True)]
                for agent in agents
            )
            shared = self.seeds if len(self.seeds) > 1 else None
            found = paired_difference(ours, theirs, seeds=shared, level=LEVEL)
        else:
            return None
        low, high = (-math.inf, math.inf) if self.is_by_return else self.first.range
        return replace(found, interval=found.interval.limited((low - high, high - low), found.estimate))

    @cached_property
    def overlooks_rare_seeds(self) -> bool:
        """Whether the verdict "different" may rest on rare seeds that were not run.

        So it is where one of the two scored the same with every seed, and the difference is no larger than chance may
        make it for some scores between 0 and 1: √(log(2 / error) / 2n). The test takes differences for symmetric about
        their mean, which those to a constant need not be. Returns have no such bound.

        Source: Hoeffding (1963), "Probability Inequalities for Sums of Bounded Random Variables".
        """
        agents = (self.first, self.second)
        if self.verdict != "different" or not any(
            all(part.is_constant for part in self.parts_of(agent)) for agent in agents
        ):
            return False
        if self.difference is None:
            return False
        bound = math.sqrt(math.log(2 / ERROR) / (2 * self.num_seeds))
        return not self.is_rate or abs(self.difference.estimate) <= bound

    @property
    def detectable(self) -> float | None:
        """The smallest true difference that as many seeds find with power 0.8; None where that is not known."""
        differences = self._differences
        if differences is None:
            return None
        return minimum_detectable_difference(differences, level=ERROR / self.num_pairs, power_wanted=POWER)

    def seeds_needed(self, difference: float | None = None) -> int | None:
        """Seeds, in all, with which a difference (by default the observed one) is found with power 0.8.

        Args:
            difference: in units of the metric; the observed one if None.
        """
        differences = self._differences
        if differences is None:
            return None
        return seeds_needed(differences, difference, level=ERROR / self.num_pairs, power_wanted=POWER)

    def seeds_needed_range(self, difference: float | None = None) -> tuple[int, int | None] | None:
        """The fewest and the most seeds that it may take, for the spread is known from so many seeds only.

        Args:
            difference: in units of the metric; the observed one if None.
        """
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
        correction: how the family-wise error is held: "max-T" over pairs on the same seeds, "Holm" over others, "max-T
            and Holm" where there are both, or "group-sequential".
        is_paired: whether the scores of all pairs are compared seed by seed.
        num_untested: agents with scores, where these are too many for tests of all pairs: there are no letters then,
            and only the pairs with the reference, whose verdict is "not tested"; 0 otherwise.
        is_choosing: whether they are configurations on tuning seeds, of which nothing is tested either, and there are
            no pairs.
    """

    agents: tuple[AgentScores, ...]
    letters: Mapping[str, str]
    pairs: Mapping[tuple[str, str], AgentPair] = field(repr=False)
    reference: str | None
    correction: Correction
    is_paired: bool
    num_untested: int = 0
    is_choosing: bool = False

    @property
    def compared(self) -> list[str]:
        """Labels of the agents that are compared, best first."""
        return [agent.label for agent in self.agents if self.letters[agent.label]]

    def agent(self, label: str) -> AgentScores:
        """The scores of an agent.

        Args:
            label: of the agent.
        """
        return self._by_label[label]

    @cached_property
    def _by_label(self) -> dict[str, AgentScores]:
        return {agent.label: agent for agent in reversed(self.agents)}

    @cached_property
    def ranks(self) -> dict[str, int]:
        """Place of each agent, 1 for the best."""
        return {agent.label: place for place, agent in enumerate(self.agents, start=1)}

    def difference_to_reference(self, label: str) -> Difference | None:
        """An agent's mean less the reference's, with its interval; None for the reference and what is not compared.

        Args:
            label: of the agent.
        """
        pair = self.pairs.get((label, self.reference or ""))
        if pair is None or pair.difference is None:
            return None
        if (pair.first.label == label) == pair.higher_is_better:
            return pair.difference
        interval = pair.difference.interval
        mirrored = Interval(-interval.high, -interval.low, interval.level, interval.method, interval.reason)
        return Difference(-pair.difference.estimate, mirrored, pair.difference.paired)


def compare_scores(
    agents: Sequence[AgentScores],
    *,
    baseline: str | None = None,
    sequential: "SequentialVerdicts | None" = None,
    is_choosing: bool = False,
) -> Comparison:
    """Rank agents by their means, and test all pairs.

    Pairs are compared seed by seed on the seeds that both have, or as agents on different seeds where these are too
    few, see `compare_all_pairs`. What a seed scores on several environments counts as one number. Two with the same
    greedy success on every seed they share are tested by greedy return, within the same error. No two differ that would
    not with missing scores counted as the worst. Of more than 200 agents nothing is tested: there are differences
    to the reference, and no letters.

    Args:
        agents: those with equal means stay in this order.
        baseline: label of the agent that the others are compared with; the best by default.
        sequential: verdicts of a sequential comparison, which then count instead; agents that are not part of it are
            not compared.
        is_choosing: the agents are configurations on tuning seeds, which are ranked and not compared.
    """
    ranked = sorted(agents, key=_rank)
    compared = [agent for agent in ranked if not agent.problem]
    if sequential is not None:
        compared = [agent for agent in compared if agent.label in sequential.agents]
    reference = compared[0].label if compared else None
    if is_choosing:
        letters = {agent.label: "" for agent in ranked}
        return Comparison(tuple(ranked), letters, {}, None, "max-T", True, len(compared), is_choosing=True)
    if baseline is not None and any(agent.label == baseline for agent in compared):
        reference = baseline
    if sequential is None and len(compared) > MOST_TESTED:
        return _untested(ranked, compared, str(reference))
    correction: Correction = "group-sequential"
    if sequential is not None:
        found = _decided(compared, sequential)
    else:
        found, correction = _tested(compared)
    found = _without_doubtful(compared, found)
    pairs = {labels: pair for pair in found for labels in _both_orders(pair)}
    places = {agent.label: place for place, agent in enumerate(compared)}
    different = [(places[pair.first.label], places[pair.second.label]) for pair in found if pair.verdict == "different"]
    letters = dict.fromkeys((agent.label for agent in ranked), "")
    letters |= zip((agent.label for agent in compared), letters_of(range(len(compared)), different), strict=True)
    return Comparison(tuple(ranked), letters, pairs, reference, correction, all(pair.is_paired for pair in found))


def _rank(agent: AgentScores) -> tuple[bool, float]:
    if agent.problem:
        return True, 0.0
    return False, -agent.mean if agent.higher_is_better else agent.mean


def _untested(ranked: Sequence[AgentScores], compared: Sequence[AgentScores], reference: str) -> Comparison:
    """Differences to the reference of agents that are too many for tests of all pairs."""
    place = next(place for place, agent in enumerate(compared) if agent.label == reference)
    others = [(min(place, other), max(place, other)) for other in range(len(compared)) if other != place]
    tables = seed_tables([agent.values for agent in compared], [agent.seeds for agent in compared])
    flags = on_common_seeds(tables, others).is_paired
    number = len(compared) * (len(compared) - 1) // 2
    found = [
        AgentPair(compared[first], compared[second], "not tested", None, flag, number)
        for (first, second), flag in zip(others, flags, strict=True)
    ]
    pairs = {labels: pair for pair in found for labels in _both_orders(pair)}
    letters = {agent.label: "" for agent in ranked}
    return Comparison(tuple(ranked), letters, pairs, reference, "max-T", all(flags), len(compared))


def _both_orders(pair: AgentPair) -> list[tuple[str, str]]:
    return [(pair.first.label, pair.second.label), (pair.second.label, pair.first.label)]


@dataclass(frozen=True)
class SequentialVerdicts:
    """Decisions of a sequential comparison on one environment.

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


def _decided(compared: Sequence[AgentScores], sequential: SequentialVerdicts) -> list[AgentPair]:
    """Pairs with the verdicts of a sequential comparison."""
    verdicts = sequential.of([agent.label for agent in compared])
    return [
        AgentPair(compared[first], compared[second], verdict, None, True, len(verdicts))
        for (first, second), verdict in verdicts.items()
    ]


def _without_doubtful(compared: Sequence[AgentScores], pairs: Sequence[AgentPair]) -> list[AgentPair]:
    """The pairs, of which none differs that does not with missing scores counted as the worst."""
    if not any(_is_in_question(pair) for pair in pairs):
        return list(pairs)
    again, _ = _tested([agent.with_missing() for agent in compared])
    return [_doubted(pair, other) if _is_in_question(pair) else pair for pair, other in zip(pairs, again, strict=True)]


def _is_in_question(pair: AgentPair) -> bool:
    return pair.verdict == "different" and bool(pair.first.num_missing or pair.second.num_missing)


def _doubted(pair: AgentPair, filled: AgentPair) -> AgentPair:
    """The pair, not distinguishable if that is what it is with the missing scores filled in."""
    if pair.is_by_return and not filled.is_by_return:
        filled = _by_return(filled)
    ahead, then = (0.0 if one.difference is None else one.difference.estimate for one in (pair, filled))
    if filled.verdict == "different" and ahead * then > 0:
        return pair
    p_value = filled.p_value if ahead * then > 0 else 1.0
    return replace(
        pair, verdict="not distinguishable", p_value=None if pair.p_value is None else p_value, is_doubtful=True
    )


def _by_return(pair: AgentPair) -> AgentPair:
    """The pair tested by greedy return alone, with Bonferroni's correction."""
    pair = replace(pair, is_by_return=True, is_paired=True)
    ours, theirs = (pair.parts_of(agent)[0].at(pair.seeds[0]) for agent in (pair.first, pair.second))
    p_value = min(1.0, paired_permutation_test(ours, theirs).p_value * pair.num_pairs)
    return replace(pair, p_value=p_value, verdict="different" if p_value <= ERROR else "not distinguishable")


def _tie_breaks(compared: Sequence[AgentScores]) -> list[NDArray[np.float64]] | None:
    """Greedy returns of the seeds of each agent; None where some are not known."""
    returns = []
    for agent in compared:
        if agent.tie_break is None or not set(agent.parts[0].seeds) <= set(agent.tie_break.seeds):
            return None
        returns.append(agent.tie_break.at(agent.parts[0].seeds))
    return returns


def _tested(compared: Sequence[AgentScores]) -> tuple[list[AgentPair], Correction]:
    """All pairs by permutation tests, and how their family-wise error is held."""
    if len(compared) < 2:
        return [], "max-T"
    if len(compared[0].parts) == 1:
        scores: list[Any] = [agent.values[0] for agent in compared]
        seeds: list[Any] = [agent.seeds[0] for agent in compared]
    else:
        scores, seeds = [agent.values for agent in compared], [agent.seeds for agent in compared]
    result = compare_all_pairs(scores, seeds=seeds, tie_breaks=_tie_breaks(compared), level=ERROR)
    pairs = [
        AgentPair(
            compared[pair.first], compared[pair.second], "different" if pair.different else "not distinguishable",
            pair.adjusted_p_value, pair.is_paired, len(result.pairs), is_by_return=pair.is_tie_break,
        )
        for pair in result.pairs
    ]  # fmt: skip
    return pairs, result.correction


def _numbers(agent: AgentScores) -> NDArray[np.float64]:
    """One number a seed, of all environments."""
    return by_seed(agent.values, agent.seeds)


def iqm_of(agent: AgentScores) -> tuple[float, Interval]:
    """Interquartile mean of an agent's scores with its interval; NaN where there is none."""
    if agent.problem:
        return math.nan, Interval.unknown(LEVEL, agent.problem)
    return iqm(agent.values), agent.interval_of(iqm)
