"""Action masks: an action that is not available has the action value minus infinity.

No maximum, greedy choice or average over a policy then needs to know of masks; only exploration must not
choose such an action, which the functions here see to for every policy, users' own included.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from velodrome.policies.policy import ProbabilitiesFunction, SelectFunction


def available(action_values: Sequence[float], visit_counts: Sequence[int]) -> Any:
    """Actions above minus infinity, int64 (n,), with their values, float64 (n,), and counts, int64 (n,)."""
    num_actions = len(action_values)
    num_available = 0
    for action in range(num_actions):
        if action_values[action] > -math.inf:
            num_available += 1
    actions = np.empty(num_available, np.int64)
    values = np.empty(num_available, np.float64)
    counts = np.empty(num_available, np.int64)
    place = 0
    for action in range(num_actions):
        if action_values[action] > -math.inf:
            actions[place] = action
            values[place] = action_values[action]
            counts[place] = visit_counts[action]
            place += 1
    return actions, values, counts


@lru_cache(maxsize=256)
def among_available(select: SelectFunction) -> SelectFunction:
    """`select` restricted to the actions whose value is above minus infinity."""

    def select_available(
        action_values: Sequence[float], visit_counts: Sequence[int], parameter: float, rng: np.random.Generator
    ) -> int:
        actions, values, counts = available(action_values, visit_counts)
        chosen = select(values, counts, parameter, rng)
        if 0 <= chosen < len(actions):
            return int(actions[chosen])
        return -1

    return select_available


@lru_cache(maxsize=256)
def available_probabilities(probabilities: ProbabilitiesFunction) -> ProbabilitiesFunction:
    """`probabilities` restricted to the actions whose value is above minus infinity; the others get 0."""

    def fill_available(
        action_values: Sequence[float], visit_counts: Sequence[int], parameter: float, filled: Any
    ) -> None:
        actions, values, counts = available(action_values, visit_counts)
        shares: Any = np.empty(len(actions), np.float64)
        probabilities(values, counts, parameter, shares)
        for action in range(len(action_values)):
            filled[action] = 0.0
        for place in range(len(actions)):
            filled[actions[place]] = shares[place]

    return fill_available


def forbid(value_tables: Sequence[np.ndarray], state: int, mask: Any) -> None:
    """Mark the actions of `state` whose `mask` (A,) is false as not available; an all-false mask is ignored."""
    available = np.asarray(mask, dtype=np.bool_)
    if available.any():
        for table in value_tables:
            table[state, ~available] = -np.inf


def mask_function(env: Any) -> Callable[[int], Any] | None:
    """The environment's own function from state to action mask, where it has one (Taxi)."""
    function = getattr(env.unwrapped, "action_mask", None)
    return function if callable(function) else None
