"""All pairs of agents: which differ, with the family-wise error held, and the letters that say so."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from velodrome.experiments.statistics.aggregates import mean
from velodrome.experiments.statistics.common_seeds import Seeds, on_common_seeds, seed_tables
from velodrome.experiments.statistics.errors import StatisticsError
from velodrome.experiments.statistics.letters import compact_letters
from velodrome.experiments.statistics.max_t import max_t_test
from velodrome.experiments.statistics.permutation_tests import (
    NUM_PERMUTATIONS,
    paired_differences,
    unpaired_permutation_test,
)
from velodrome.experiments.statistics.scores import Array, Scores, as_environments, check_level

Correction: TypeAlias = Literal["max-T", "Holm", "max-T and Holm"]


@dataclass(frozen=True)
class Pair:
    """Two agents compared.

    Attributes:
        first: index of an agent.
        second: index of another; first < second.
        difference: mean of the first less the second, in the units of the scores; over the seeds that both have, if
            paired.
        p_value: of the pair alone.
        adjusted_p_value: for all pairs: see `compare_all_pairs`.
        different: whether adjusted_p_value is at most the level.
        num_seeds: that the pair was compared on: those of both, if paired, or else of the agent with fewer; of several
            environments, in the one with the fewest.
        is_paired: whether the scores were compared seed by seed.
        is_tie_break: whether the scores are equal on every seed, and difference and p-values those of the tie breaks.
    """

    first: int
    second: int
    difference: float
    p_value: float
    adjusted_p_value: float
    different: bool
    num_seeds: int
    is_paired: bool = True
    is_tie_break: bool = False

    @property
    def better(self) -> int | None:
        """Index of the better agent; None if they are not distinguishable."""
        if not self.different:
            return None
        return self.first if self.difference > 0 else self.second


@dataclass(frozen=True)
class PairwiseComparison:
    """All pairs of agents.

    Attributes:
        pairs: of i < j, in the order (0, 1), (0, 2), ….
        letters: of each agent, in the order given; agents that share a letter are not distinguishable.
        ranking: indices of the agents by their mean, best first.
        level: family-wise error.
        paired: whether all pairs were compared seed by seed.
    """

    pairs: tuple[Pair, ...]
    letters: tuple[str, ...]
    ranking: tuple[int, ...]
    level: float
    paired: bool

    @property
    def correction(self) -> Correction:
        """How the family-wise error is held: of paired tests by max-T, of others by Holm's correction."""
        if all(pair.is_paired for pair in self.pairs):
            return "max-T"
        return "max-T and Holm" if any(pair.is_paired for pair in self.pairs) else "Holm"

    def pair(self, first: int, second: int) -> Pair:
        """The pair of two agents, whichever comes first.

        Args:
            first: number of an agent, from 0.
            second: number of another one.
        """
        wanted = (min(first, second), max(first, second))
        return next(pair for pair in self.pairs if (pair.first, pair.second) == wanted)


def holm(p_values: ArrayLike) -> Array:
    """p-values adjusted for their number: at most α of all families have one that is wrongly at most α.

    The i-th smallest of m is multiplied by m - i + 1, and made no smaller than the one before it.

    Args:
        p_values: (num_tests,), of any dependence.

    Returns:
        Adjusted p-values in the same order, at most 1.

    Raises:
        StatisticsError: not within [0, 1].

    Source: Holm (1979), "A Simple Sequentially Rejective Multiple Test Procedure".
    """
    values = np.asarray(p_values, dtype=np.float64)
    if values.ndim != 1 or not ((values >= 0) & (values <= 1)).all():
        raise StatisticsError("p_values: must be one-dimensional, between 0 and 1")
    order = np.argsort(values, kind="stable")
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)), 1.0)
    return adjusted


def compare_all_pairs(
    scores: Sequence[Scores],
    *,
    seeds: Sequence[Seeds] | None = None,
    tie_breaks: Sequence[Scores] | None = None,
    paired: bool = True,
    level: float = 0.05,
    num_permutations: int | None = None,
    seed: int = 0,
) -> PairwiseComparison:
    """Permutation tests of all pairs of agents, corrected for their number, and the letters that show them.

    Pairs on the same seeds are tested together by sign flips and step-down max-T, see `max_t_test`; simulated, at most
    5 % of families of equal agents have a pair that is wrongly called different (`benchmarks/family_wise_error.py`).
    Pairs on other seeds are tested by exchanges of scores, with Holm's correction. Where there are pairs of both kinds,
    Holm's correction holds over the two families: each at half of the level, or the whole one where the other is
    rejected altogether.

    Args:
        scores: of each agent, float (num_seeds,) or a sequence of such arrays, one an environment.
        seeds: of each agent, the seeds of its scores in their order, one sequence an environment where there are
            several. Each pair is compared on the seeds that both have, if these are enough (six, or half of those of
            the agent with fewer), or else as two agents on different seeds. What a seed scores on several environments
            counts as one number, for it is no independent evidence. By default all agents have the same seeds in the
            same order, and those of several environments are independent runs, as rliable takes them.
        tie_breaks: other scores of each agent, of the same seeds; only with `seeds`. A pair with the same score on
            every seed is tested by these. Flipped signs do not change which pairs these are: the error stays as it is.
        paired: whether the seeds are the same, in the same order: sign flips; otherwise exchanges.
        level: family-wise error.
        num_permutations: of each test; by default 10,000, or more where Holm's smallest level needs them.
        seed: of the permutations.

    Raises:
        StatisticsError: no scores, not finite ones, `paired` with different seeds, or `seeds` that do not fit.
    """
    check_level(level)
    if seeds is not None and not paired:
        raise StatisticsError("seeds: only with paired=True")
    agents = list(scores)
    indices = list(combinations(range(len(agents)), 2))
    means = [mean(one) for one in agents]
    differences = [means[first] - means[second] for first, second in indices]
    fewest = [min(map(len, as_environments(one))) for one in agents]
    num_seeds = [min(fewest[first], fewest[second]) for first, second in indices]
    is_paired, is_tied = np.full(len(indices), paired), np.zeros(len(indices), dtype=bool)
    numbers: Sequence[Scores] = agents
    if seeds is not None:
        tables = seed_tables(agents, seeds)
        columns, differences, common, flags = on_common_seeds(tables, indices)
        is_paired = np.array(flags, dtype=bool)
        num_seeds = [here if flag else own for here, own, flag in zip(common, num_seeds, flags, strict=True)]
        if tie_breaks is not None:
            broken = on_common_seeds(seed_tables(tie_breaks, seeds), indices)
            is_tied = is_paired & ~columns.any(axis=0) & broken.columns.any(axis=0)
            columns = np.where(is_tied, broken.columns, columns)
            differences = np.where(is_tied, broken.differences, differences).tolist()
        if not all(flags):
            numbers = [tables.numbers(agent) for agent in range(len(agents))]
    elif paired:
        columns = _columns(agents, indices)
    p_values, adjusted = np.ones(len(indices)), np.ones(len(indices))
    if is_paired.any():
        test = max_t_test(columns[:, is_paired], num_permutations or NUM_PERMUTATIONS, seed)
        p_values[is_paired], adjusted[is_paired] = test.p_values, test.adjusted
    if not is_paired.all():
        others = [pair for pair, flag in zip(indices, is_paired, strict=True) if not flag]
        p_values[~is_paired] = _unpaired_p_values(numbers, others, level, num_permutations, seed)
        adjusted[~is_paired] = holm(p_values[~is_paired])
    adjusted = _over_both_families(adjusted, is_paired)
    pairs = tuple(
        Pair(first, second, float(ahead), float(p), float(q), bool(q <= level), size, bool(flag), bool(is_tie_break))
        for (first, second), ahead, p, q, size, flag, is_tie_break in zip(
            indices, differences, p_values, adjusted, num_seeds, is_paired, is_tied, strict=True
        )
    )
    ranking = tuple(sorted(range(len(agents)), key=lambda index: -means[index]))
    decided = [(pair.first, pair.second) for pair in pairs if pair.different]
    return PairwiseComparison(
        pairs, tuple(letters_of(ranking, decided)), ranking, level, bool(is_paired.all()) and paired
    )


def _unpaired_p_values(
    agents: Sequence[Scores], pairs: Sequence[tuple[int, int]], level: float, num_permutations: int | None, seed: int
) -> list[float]:
    count = num_permutations or max(NUM_PERMUTATIONS, math.ceil(10 * len(pairs) / level))
    tests = (unpaired_permutation_test(agents[i], agents[j], num_permutations=count, seed=seed) for i, j in pairs)
    return [test.p_value for test in tests]


def _over_both_families(adjusted: Array, is_paired: NDArray[np.bool_]) -> Array:
    """Holm's correction over two families, of which a member's p-value is adjusted within its own."""
    if is_paired.all() or not is_paired.any():
        return adjusted
    both = adjusted.copy()
    for own in (is_paired, ~is_paired):
        other = 2 * adjusted[~own].max()
        both[own] = np.minimum(2 * adjusted[own], np.maximum(adjusted[own], other))
    return np.minimum(both, 1.0)


def _columns(agents: Sequence[Scores], pairs: Sequence[tuple[int, int]]) -> Array:
    """A column a pair, which sums to its mean difference, (num_seeds of all environments, num_pairs)."""
    columns = []
    for first, second in pairs:
        differences = paired_differences(agents[first], agents[second])
        columns.append(np.concatenate([values / len(values) for values in differences]) / len(differences))
    if len({len(column) for column in columns}) > 1:
        raise StatisticsError("scores: paired agents must have the same seeds")
    return np.stack(columns, axis=1) if columns else np.zeros((0, 0))


def letters_of(ranking: Sequence[int], different: Sequence[tuple[int, int]]) -> list[str]:
    """Letters of agents in their own order, `a` for the best, from the pairs that differ.

    Args:
        ranking: indices of the agents, best first.
        different: pairs of indices.
    """
    place = {agent: rank for rank, agent in enumerate(ranking)}
    matrix = np.zeros((len(ranking), len(ranking)), dtype=bool)
    for first, second in different:
        matrix[place[first], place[second]] = matrix[place[second], place[first]] = True
    letters = compact_letters(matrix)
    return [letters[place[agent]] for agent in range(len(ranking))]
