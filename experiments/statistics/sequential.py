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

import numpy as np
from numpy.typing import ArrayLike

from velodrome.experiments.statistics.errors import StatisticsError
from velodrome.experiments.statistics.scores import Array, as_scores, difference
from velodrome.experiments.statistics.sequential_design import SequentialPair, SequentialState
from velodrome.experiments.statistics.sequential_rejections import rejected_pairs


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
    remaining = sum(pair.verdict != "different" for pair in state.pairs)
    rejected = rejected_pairs(state.design, differences, state.stage, len(state.pairs), remaining)
    different = {open_pairs[column] for column in rejected}
    remaining -= len(different)
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
