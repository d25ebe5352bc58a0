"""Group-sequential comparison of several agents: seeds are added only for pairs that are not decided.

As AdaStop (Mathieu et al., 2024, "AdaStop: adaptive statistical testing for sound comparisons of Deep RL agents"), the
comparison looks at the data in stages by permutation tests whose error is spent over the looks. It differs in two
things: scores are paired by seed, so that signs of differences are flipped, and the family-wise error over pairs is
held by Holm's step-down instead of the maximum over pairs.

Why the error holds, for any number of seeds and any dependence of the pairs:

- One pair at a level a. Under no difference the observed run is one of B + 1 interchangeable sign patterns, each with a
  statistic |Σ differences| at each look. At look k the patterns with the largest statistics, of those not rejected
  before, are rejected, never more in all than ⌊spent_k(a) · (B + 1)⌋. So the observed one is rejected at any look with
  probability at most a. Ties are rejected together or not at all: agents that always score the same never differ.
- All pairs. A pair is rejected at Holm's level α / m for the m pairs not rejected so far, given-up ones among them, and
  only if it also is at all larger levels: then a test at a larger level rejects whatever one at a smaller does, which
  ties could break, and Holm's (1979) argument applies. That data come in looks changes nothing, for rejections stay.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from velodrome.experiments.statistics.errors import StatisticsError
from velodrome.experiments.statistics.permutation_tests import ROUNDING, random_signs
from velodrome.experiments.statistics.scores import Array, as_scores, difference, random_stream
from velodrome.experiments.statistics.sequential_design import SequentialDesign, SequentialPair, SequentialState

# Sizes of families whose levels are tested one by one; beyond them the sizes grow by GROWTH and are rounded up.
FINE_LEVELS, GROWTH = 15, 1.15
MOST_VALUES = 1 << 24


def look(state: SequentialState, scores: Sequence[ArrayLike]) -> SequentialState:
    """The next look: decide what can be decided.

    Args:
        state: from `SequentialState.start`, or after the look before.
        scores: of every agent so far, (num_seeds,), the same seeds in the same order; agents in `state.agents_to_run`
            need at least `state.next_size`. More are left for later looks. Where a trial failed, its seed is left out
            for every agent.

    Returns:
        The state after the look: deterministic in the state and the scores.

    Raises:
        StatisticsError: all is decided already, agents missing, not enough seeds, or scores that are not finite.
    """
    size = state.next_size
    if size is None:
        raise StatisticsError("state: every pair is decided")
    if len(scores) != state.num_agents:
        raise StatisticsError(f"scores: must be of {state.num_agents} agents, got {len(scores)}")
    needed = {agent: as_scores(scores[agent], f"scores[{agent}]") for agent in state.agents_to_run}
    for agent, values in needed.items():
        if len(values) < size:
            raise StatisticsError(f"scores[{agent}]: look {state.stage + 1} needs {size} seeds, got {len(values)}")
    open_pairs = [index for index, pair in enumerate(state.pairs) if pair.verdict == "undecided"]
    seen = {agent: values[:size] for agent, values in needed.items()}
    columns = [difference(seen[state.pairs[index].first], seen[state.pairs[index].second]) for index in open_pairs]
    differences = np.stack(columns, axis=1)
    different = _step_down(state, open_pairs, differences)
    remaining = sum(pair.verdict != "different" for pair in state.pairs) - len(different)
    pairs = list(state.pairs)
    for column, index in enumerate(open_pairs):
        pairs[index] = _decided(state, pairs[index], differences[:, column], index in different, remaining)
    return replace(state, stage=state.stage + 1, pairs=tuple(pairs))


def _decided(
    state: SequentialState, pair: SequentialPair, differences: Array, different: bool, remaining: int
) -> SequentialPair:
    seen = replace(pair, difference=float(differences.mean()), num_seeds=len(differences))
    if different:
        return replace(seen, verdict="different")
    is_last = state.stage + 1 == len(state.design.stage_sizes)
    if is_last or _conditional_power(state, differences, remaining) < state.design.futility:
        return replace(seen, verdict="not distinguishable")
    return seen


def _step_down(state: SequentialState, open_pairs: Sequence[int], differences: Array) -> set[int]:
    """Indices of the pairs that Holm's step-down rejects at this look."""
    remaining = sum(pair.verdict != "different" for pair in state.pairs)
    largest = _largest_families(state, differences)
    order = sorted(range(len(open_pairs)), key=lambda column: -largest[column])
    different: set[int] = set()
    for column in order:
        if largest[column] < remaining - len(different):
            break
        different.add(open_pairs[column])
    return different


def _largest_families(state: SequentialState, differences: Array) -> list[int]:
    """For each pair the largest m so that it is rejected at level / m and at all larger levels; 0 if at none."""
    families = _family_sizes(len(state.pairs))
    count = max(state.design.num_permutations, math.ceil(20 * len(state.pairs) / state.design.level))
    width = max(1, MOST_VALUES // ((count + 1) * (state.stage + 1)))
    largest: list[int] = []
    for start in range(0, differences.shape[1], width):
        statistics = _trajectories(state.design, differences[:, start : start + width], state.stage, count)
        by_pair = np.moveaxis(statistics, 2, 0).copy()
        largest += [_largest_family(state.design, looks, families) for looks in by_pair]
    return largest


def _family_sizes(num_pairs: int) -> list[int]:
    sizes = list(range(1, min(num_pairs, FINE_LEVELS) + 1))
    while sizes[-1] < num_pairs:
        sizes.append(min(num_pairs, math.ceil(sizes[-1] * GROWTH)))
    return sizes


def _largest_family(design: SequentialDesign, statistics: Array, families: Sequence[int]) -> int:
    largest = 0
    for size in families:
        if not _rejects(design, statistics, design.level / size):
            break
        largest = size
    return largest


def _rejects(design: SequentialDesign, statistics: Array, level: float) -> bool:
    """Whether the observed pattern, the first, is rejected up to the last of the looks in `statistics`."""
    num_patterns = statistics.shape[1]
    survives = np.ones(num_patterns, dtype=bool)
    for stage, values in enumerate(statistics):
        # A hair above, or a product such as 0.05 · 20 is rounded below the whole number.
        quota = math.floor(design.spent(level, stage) * num_patterns * (1 + 1e-12))
        quota -= num_patterns - int(survives.sum())
        left = values[survives]
        # Values above the (quota + 1)-th largest are at most `quota`, whatever the ties.
        survives &= values <= np.partition(left, len(left) - 1 - quota)[len(left) - 1 - quota]
        if not survives[0]:
            return True
    return False


def _trajectories(design: SequentialDesign, differences: Array, stage: int, count: int) -> Array:
    """Statistics of all sign patterns at the looks up to a stage, float64 (stage + 1, 1 + count, num_pairs).

    The observed pattern is the first. In whole multiples of a rounding unit, so that sums equal but for the order of
    additions are ties. The signs depend on the seed and the look alone: a later look sees the same patterns, longer.
    """
    bounds = (0, *design.stage_sizes[: stage + 1])
    sums = np.zeros((count + 1, differences.shape[1]))
    looks = np.empty((stage + 1, *sums.shape))
    scale = np.abs(differences).sum(axis=0)
    unit = np.where(scale > 0, scale, 1.0) * ROUNDING
    for index, (start, end) in enumerate(pairwise(bounds)):
        block = differences[start:end]
        sums[0] += block.sum(axis=0)
        sums[1:] += random_signs(random_stream(design.seed, index), count, end - start) @ block
        looks[index] = np.rint(np.abs(sums) / unit)
    return looks


def _conditional_power(state: SequentialState, differences: Array, remaining: int) -> float:
    """Probability of a rejection at the last look if the trend so far goes on: Φ((|Z| / √t - z) / √(1 - t)).

    Source: Lan & Wittes (1988), "The B-Value: A Tool for Monitoring Data".
    """
    from scipy.special import ndtr, ndtri

    squares = float(np.square(differences).sum())
    if squares == 0:
        return 0.0
    share = len(differences) / state.design.stage_sizes[-1]
    observed = abs(float(differences.sum())) / math.sqrt(squares)
    critical = -float(ndtri(state.design.level / (2 * max(1, remaining))))
    return float(ndtr((observed / math.sqrt(share) - critical) / math.sqrt(1 - share)))
