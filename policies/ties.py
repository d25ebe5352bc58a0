"""The greedy choice and what it does when several actions share the best value."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from velodrome.policies.policy import Ties


def best_value(action_values: Sequence[float]) -> float:
    """Largest of a state's action values.

    Args:
        action_values: of a state, float64 (A,).
    """
    best = action_values[0]
    for action in range(1, len(action_values)):
        if action_values[action] > best:
            best = action_values[action]
    return best


def greedy_first(action_values: Sequence[float], rng: np.random.Generator) -> int:
    """Action of the largest value; of several, the one with the lowest index. Draws nothing."""
    best = action_values[0]
    chosen = 0
    for action in range(1, len(action_values)):
        if action_values[action] > best:
            best = action_values[action]
            chosen = action
    return chosen


def greedy_random(action_values: Sequence[float], rng: np.random.Generator) -> int:
    """Action of the largest value; of several, one of them uniformly at random, by one draw.

    Args:
        action_values: of a state, float64 (A,).
        rng: random stream with NumPy's `Generator` methods.
    """
    best = action_values[0]
    num_ties = 1
    first = 0
    for action in range(1, len(action_values)):
        value = action_values[action]
        if value > best:
            best = value
            num_ties = 1
            first = action
        elif value == best:
            num_ties += 1
    if num_ties == 1:
        return first
    remaining = int(rng.random() * num_ties)
    for action in range(first, len(action_values)):
        if action_values[action] == best:
            if remaining == 0:
                return action
            remaining -= 1
    return first


def greedy_probabilities_first(action_values: Sequence[float], probabilities: Any) -> None:
    """Probabilities of `greedy_first`, written to `probabilities` (A,)."""
    best = 0
    for action in range(len(action_values)):
        probabilities[action] = 0.0
        if action_values[action] > action_values[best]:
            best = action
    probabilities[best] = 1.0


def greedy_probabilities_random(action_values: Sequence[float], probabilities: Any) -> None:
    """Probabilities of `greedy_random`, written to `probabilities` (A,)."""
    # Counted without branches on the values, which nothing foresees.
    best = best_value(action_values)
    num_ties = 0
    for action in range(len(action_values)):
        num_ties += 1 if action_values[action] == best else 0
    share = 1.0 / num_ties if num_ties > 0 else 0.0
    for action in range(len(action_values)):
        probabilities[action] = share if action_values[action] == best else 0.0


GREEDY = {"first": greedy_first, "random": greedy_random}

__all__ = [
    "GREEDY",
    "Ties",
    "best_value",
    "greedy_first",
    "greedy_probabilities_first",
    "greedy_probabilities_random",
    "greedy_random",
]
