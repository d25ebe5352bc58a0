"""Agents with named seeds: which pairs are compared seed by seed, and their differences, one number a seed."""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from velodrome.experiments.statistics.by_seed import by_seed, seed_rows
from velodrome.experiments.statistics.errors import StatisticsError
from velodrome.experiments.statistics.scores import (
    EQUAL,
    Array,
    Scores,
    as_environments,
    difference,
    is_one_environment,
)

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
    columns = np.zeros((tables.values.shape[2], len(pairs)))
    differences, counts, is_paired = [], [], []
    sizes = tables.present.sum(axis=2)
    means = (tables.values.sum(axis=2) / np.maximum(sizes, 1)).mean(axis=0)
    for column, (first, second) in enumerate(pairs):
        common = tables.present[:, first] & tables.present[:, second]
        number = common.sum(axis=1)
        smaller = np.minimum(sizes[:, first], sizes[:, second])
        # One seed each, the same, is all that there is to compare.
        wanted = np.minimum(ENOUGH_IN_COMMON, np.maximum(smaller / 2, np.minimum(2, smaller)))
        enough = bool((number >= wanted).all())
        if enough and (number > 1).all():
            own, numbers = _differences(tables, first, second, common)
            columns[own, column] = numbers
            differences.append(_mean_difference(tables, first, second, common))
        else:
            differences.append(float(means[first] - means[second]))
        counts.append(int(number.min()))
        is_paired.append(enough)
    return CommonSeeds(columns, differences, counts, is_paired)


def _mean_difference(tables: SeedTables, first: int, second: int, common: NDArray[np.bool_]) -> float:
    ahead = [
        values[first, own].mean() - values[second, own].mean()
        for values, own in zip(tables.values, common, strict=True)
    ]
    return float(np.mean(ahead))


def _differences(
    tables: SeedTables, first: int, second: int, common: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], Array]:
    """Which seeds a pair has in common on any environment, and its difference on each of them."""
    if len(common) == 1:
        own = common[0]
        return own, difference(tables.values[0, first, own], tables.values[0, second, own])
    parts = [
        difference(values[first, own], values[second, own]) for values, own in zip(tables.values, common, strict=True)
    ]
    numbers = by_seed(parts, [np.flatnonzero(own).tolist() for own in common])
    scale = np.abs(tables.values[:, [first, second]]).max()
    numbers[np.abs(numbers) <= EQUAL * scale] = 0.0
    return np.asarray(common.any(axis=0)), numbers
