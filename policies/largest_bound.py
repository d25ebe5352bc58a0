"""The action of the largest bound: what policies with an index an action have in common."""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from velodrome.policies.policy import ProbabilitiesFunction, SelectFunction

# (action_values (A,), visit_counts (A,)) -> level, what the bounds of all actions share
LevelFunction = Callable[[Sequence[float], Sequence[int]], float]
# (action value, visit count of at least 1, level) -> bound
BoundFunction = Callable[[float, int, float], float]


def num_visits(visit_counts: Sequence[int]) -> int:
    """How often any action was taken in the state."""
    total = 0
    for action in range(len(visit_counts)):
        total += visit_counts[action]
    return total


@lru_cache(maxsize=256)
def selecting_largest(level_of: LevelFunction, bound_of: BoundFunction, ties: str) -> SelectFunction:
    """Function that chooses the action of the largest bound; an untried action comes first.

    Of several, it is the one with the lowest index, or with `ties` "random" one of them, by one draw for each after
    the first.
    """
    draws = ties == "random"

    def select(
        action_values: Sequence[float], visit_counts: Sequence[int], parameter: float, rng: np.random.Generator
    ) -> int:
        level = level_of(action_values, visit_counts)
        best, chosen, num_ties = -math.inf, 0, 0
        for action in range(len(action_values)):
            bound = math.inf
            if visit_counts[action] > 0:
                bound = bound_of(action_values[action], visit_counts[action], level)
            if bound > best:
                best, chosen, num_ties = bound, action, 1
            elif bound == best and draws:
                # Keeping the k-th tie with probability 1/k leaves each tie equally likely (reservoir sampling).
                num_ties += 1
                if rng.random() * num_ties < 1.0:
                    chosen = action
        return chosen

    return select


@lru_cache(maxsize=256)
def probabilities_of_largest(level_of: LevelFunction, bound_of: BoundFunction, ties: str) -> ProbabilitiesFunction:
    """Probabilities of `selecting_largest`."""
    shares = ties == "random"

    def fill(action_values: Sequence[float], visit_counts: Sequence[int], parameter: float, probabilities: Any) -> None:
        level = level_of(action_values, visit_counts)
        best, num_best = -math.inf, 0
        for action in range(len(action_values)):
            bound = math.inf
            if visit_counts[action] > 0:
                bound = bound_of(action_values[action], visit_counts[action], level)
            probabilities[action] = bound
            if bound > best:
                best, num_best = bound, 1
            elif bound == best and shares:
                num_best += 1
        left = num_best
        for action in range(len(action_values)):
            is_best = probabilities[action] == best and left > 0
            probabilities[action] = 1.0 / num_best if is_best else 0.0
            left -= 1 if is_best else 0

    return fill
