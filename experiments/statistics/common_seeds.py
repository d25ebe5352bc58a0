"""Agents of one environment whose seeds differ, for some trials failed: every pair on the seeds that both have."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from velodrome.experiments.statistics.errors import StatisticsError
from velodrome.experiments.statistics.scores import Array, Scores, as_scores, difference, is_one_environment


class CommonSeeds(NamedTuple):
    """Pairs of agents on their common seeds.

    Attributes:
        shares: float (num_seeds, num_pairs), of all seeds in increasing order: the pair's difference over the number of
            its common seeds, so that columns sum to the mean difference; 0 where one of the two has no score. A zero
            has no sign to flip: a test by sign flips is that of the common seeds alone.
        differences: mean of the first less the second, of each pair. Over the common seeds, or all of each agent's
            where fewer than two are common.
        counts: common seeds of each pair.
    """

    shares: Array
    differences: list[float]
    counts: list[int]


def on_common_seeds(
    scores: Sequence[Scores], seeds: Sequence[Sequence[int]], pairs: Sequence[tuple[int, int]]
) -> CommonSeeds:
    """Differences of pairs of agents on the seeds that both have.

    Args:
        scores: of each agent, float (num_seeds,); the numbers of seeds may differ.
        seeds: of each agent, the seeds of its scores in their order.
        pairs: indices of agents.

    Raises:
        StatisticsError: several environments, scores that are not finite, not one seed a score, or a seed twice.
    """
    if len(seeds) != len(scores):
        raise StatisticsError(f"seeds: must be of {len(scores)} agents, got {len(seeds)}")
    rows = {seed: row for row, seed in enumerate(sorted({seed for own in seeds for seed in own}))}
    # A row an agent: the scores of two are then read in one piece.
    table = np.zeros((len(scores), len(rows)))
    present = np.zeros(table.shape, dtype=bool)
    for agent, (values, own) in enumerate(zip(scores, seeds, strict=True)):
        if not is_one_environment(values):
            raise StatisticsError(f"seeds: only for one environment, got several in scores[{agent}]")
        checked = as_scores(values, f"scores[{agent}]")  # type: ignore[arg-type]
        if len(own) != len(checked) or len(set(own)) != len(own):
            raise StatisticsError(
                f"seeds[{agent}]: must be {len(checked)} different ones, one a score, got {list(own)}"
            )
        places = [rows[seed] for seed in own]
        table[agent, places] = checked
        present[agent, places] = True
    shares, differences, counts = np.zeros((len(rows), len(pairs))), [], []
    for column, (first, second) in enumerate(pairs):
        common = present[first] & present[second]
        ours, theirs, count = table[first, common], table[second, common], int(common.sum())
        if count < 2:
            ours, theirs = table[first, present[first]], table[second, present[second]]
        else:
            shares[common, column] = difference(ours, theirs) / count
        differences.append(float(ours.mean() - theirs.mean()))
        counts.append(count)
    return CommonSeeds(shares, differences, counts)
