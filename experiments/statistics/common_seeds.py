"""Agents with named seeds: which pairs are compared seed by seed, and their differences, one number a seed."""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from velodrome.experiments.statistics.by_seed import ROUNDING, by_seed, seed_rows
from velodrome.experiments.statistics.errors import StatisticsError
from velodrome.experiments.statistics.scores import (
    EQUAL,
    Array,
    Scores,
    as_environments,
    difference,
    is_one_environment,
)

# Differences of pairs in one block: 1 MB.
BLOCK = 1 << 17
# With fewer seeds in common no test by sign flips can reject at 5 %.
ENOUGH_IN_COMMON = 6

Seeds: TypeAlias = Sequence[int] | Sequence[Sequence[int]]


class CommonSeeds(NamedTuple):
    """Pairs of agents on their common seeds.

    Attributes:
        columns: float (num_seeds, num_pairs), of all seeds in increasing order: the pair's difference on each seed, one
            number for all environments; 0 where it has none. A zero has no sign to flip: a test by sign flips is that
            of the common seeds alone. All 0 for pairs that are not paired.
        differences: mean of the first less the second, of each pair: on the common seeds if paired, else all of each.
        counts: common seeds of each pair; of several environments, in the one with the fewest.
        is_paired: of each pair, whether so many of their seeds are common that it is compared seed by seed.
    """

    columns: Array
    differences: list[float]
    counts: list[int]
    is_paired: list[bool]


class SeedTables(NamedTuple):
    """Scores of all agents, (num_environments, num_agents, num_seeds), of all seeds in increasing order.

    Attributes:
        values: 0 where there is none.
        present: where there is one.
    """

    values: Array
    present: NDArray[np.bool_]

    def numbers(self, agent: int) -> Array:
        """One number a seed of an agent: see `by_seed`."""
        some = list(zip(self.values[:, agent], self.present[:, agent], strict=True))
        return by_seed([values[own] for values, own in some], [np.flatnonzero(own).tolist() for _, own in some])


def seed_tables(scores: Sequence[Scores], seeds: Sequence[Seeds]) -> SeedTables:
    """Scores of agents by seed.

    Args:
        scores: of each agent, float (num_seeds,), or a sequence of such arrays, one an environment.
        seeds: of each agent, those of its scores in their order; one sequence an environment where there are several.

    Raises:
        StatisticsError: scores that are not finite, different numbers of environments, not one seed a score, or a seed
            twice.
    """
    if len(seeds) != len(scores):
        raise StatisticsError(f"seeds: must be of {len(scores)} agents, got {len(seeds)}")
    checked, named = [], []
    for agent, (values, own) in enumerate(zip(scores, seeds, strict=True)):
        environments = as_environments(values, f"scores[{agent}]")
        of_each = cast("list[Sequence[int]]", [own] if is_one_environment(values) else list(own))
        _check(environments, of_each, agent)
        checked.append(environments)
        named.append(of_each)
    if len({len(environments) for environments in checked}) > 1:
        raise StatisticsError(f"scores: must have the same environments, got {sorted({len(e) for e in checked})}")
    rows = {seed: row for row, seed in enumerate(sorted({seed for each in named for own in each for seed in own}))}
    # The seeds of an agent in one piece: the scores of two are then read fast.
    table = np.zeros((len(checked[0]) if checked else 1, len(checked), len(rows)))
    present = np.zeros(table.shape, dtype=bool)
    for agent, (environments, of_each) in enumerate(zip(checked, named, strict=True)):
        for place, (numbers, own) in enumerate(zip(environments, of_each, strict=True)):
            columns = [rows[seed] for seed in own]
            table[place, agent, columns] = numbers
            present[place, agent, columns] = True
    return SeedTables(table, present)


def _check(environments: Sequence[Array], seeds: Sequence[Sequence[int]], agent: int) -> None:
    try:
        seed_rows([len(values) for values in environments], seeds)
    except (StatisticsError, TypeError) as error:
        of_one = len(environments) == 1 and isinstance(error, StatisticsError)
        if of_one and len(seeds) == 1:
            size = len(environments[0])
            text = f"seeds[{agent}]: must be {size} different ones, one a score, got {list(seeds[0])}"
        else:
            text = f"seeds[{agent}]: must be one sequence an environment, of different seeds, one a score"
        raise StatisticsError(text) from None


def on_common_seeds(tables: SeedTables, pairs: Sequence[tuple[int, int]]) -> CommonSeeds:
    """Differences of pairs of agents on the seeds that both have, if they are enough.

    Enough are six, the fewest with which sign flips can reject, or half of the seeds of the agent that has fewer, but
    two at least; on every environment.

    Args:
        tables: of the agents' scores.
        pairs: indices of agents.
    """
    indices = np.array(pairs, dtype=np.intp).reshape(-1, 2)
    columns = np.zeros((len(pairs), tables.values.shape[2]))
    differences, counts, is_paired = np.zeros(len(pairs)), np.zeros(len(pairs), np.intp), np.zeros(len(pairs), bool)
    step = max(1, BLOCK // max(1, tables.values.shape[0] * tables.values.shape[2]))
    for start in range(0, len(pairs), step):
        part = slice(start, start + step)
        columns[part], differences[part], counts[part], is_paired[part] = _compared(tables, *indices[part].T)
    return CommonSeeds(columns.T, differences.tolist(), counts.tolist(), is_paired.tolist())


def _compared(
    tables: SeedTables, first: NDArray[np.intp], second: NDArray[np.intp]
) -> tuple[Array, Array, NDArray[np.intp], NDArray[np.bool_]]:
    """Differences (num_pairs, num_seeds), their means, common seeds and whether they are enough, of some pairs."""
    common = tables.present[:, first] & tables.present[:, second]
    numbers, sizes = common.sum(axis=2), tables.present.sum(axis=2)
    smaller = np.minimum(sizes[:, first], sizes[:, second])
    # One seed each, the same, is all that there is to compare.
    wanted = np.minimum(ENOUGH_IN_COMMON, np.maximum(smaller / 2, np.minimum(2, smaller)))
    is_paired = (numbers >= wanted).all(axis=0)
    is_tested = is_paired & (numbers > 1).all(axis=0)
    ours, theirs = (np.where(common, tables.values[:, agents], 0.0) for agents in (first, second))
    divisors = np.maximum(numbers, 1)
    means = [values.sum(axis=2) / divisors for values in (ours, theirs)]
    own_means = tables.values.sum(axis=2) / np.maximum(sizes, 1)
    ahead = _mean_over_environments(means[0] - means[1])
    apart = own_means[:, first].mean(axis=0) - own_means[:, second].mean(axis=0)
    columns = difference(ours, theirs)
    if len(columns) > 1:
        scale = np.abs(tables.values).max(axis=(0, 2))
        columns = _by_seed(columns, common, np.maximum(scale[first], scale[second]))
    else:
        columns = columns[0]
    columns[~is_tested] = 0.0
    return columns, np.where(is_tested, ahead, apart), numbers.min(axis=0), is_paired


def _by_seed(differences: Array, common: NDArray[np.bool_], scale: Array) -> Array:
    """One number a seed of each pair, as `by_seed`, (num_pairs, num_seeds); 0 where it cancels over environments.

    Args:
        differences: (num_environments, num_pairs, num_seeds), 0 where a pair lacks the seed.
        common: where it has it.
        scale: largest score of each pair, (num_pairs,).
    """
    sizes = np.maximum(common.sum(axis=2), 1)
    means = differences.sum(axis=2) / sizes
    own = common.any(axis=0)
    estimates = _mean_over_environments(means)[:, np.newaxis]
    numbers = np.broadcast_to(estimates, own.shape).copy()
    for values, here, mean, size in zip(differences, common, means, sizes, strict=True):
        share = own.sum(axis=1) / (size * len(differences))
        numbers += np.where(here, (values - mean[:, np.newaxis]) * share[:, np.newaxis], 0.0)
    spread = np.where(own, numbers, -np.inf).max(axis=1) - np.where(own, numbers, np.inf).min(axis=1)
    is_constant = spread <= ROUNDING * np.abs(differences).max(axis=(0, 2))
    numbers = np.where(is_constant[:, np.newaxis], estimates, numbers)
    return np.where(own & (np.abs(numbers) > EQUAL * scale[:, np.newaxis]), numbers, 0.0)


def _mean_over_environments(values: Array) -> Array:
    # An environment beside the other, as numbers of one pair alone are added up.
    return np.asarray(np.ascontiguousarray(values.T).mean(axis=1))
