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


@lru_cache(maxsize=256)
def among_available(select: SelectFunction) -> SelectFunction:
    """`select` restricted to the actions whose value is above minus infinity."""

    def select_available(
        action_values: Sequence[float],
        visit_counts: Sequence[int],
        parameter: float,
        rng: np.random.Generator,
    ) -> int:
        num_actions = len(action_values)
        num_available = 0
        for action in range(num_actions):
            if action_values[action] > -math.inf:
                num_available += 1
        actions: Any = np.empty(num_available, np.int64)
        values: Any = np.empty(num_available, np.float64)
        counts: Any = np.empty(num_available, np.int64)
        place = 0
        for action in range(num_actions):
            if action_values[action] > -math.inf:
                actions[place] = action
                values[place] = action_values[action]
                counts[place] = visit_counts[action]
                place += 1
        chosen = select(values, counts, parameter, rng)
        if 0 <= chosen < num_available:
            return int(actions[chosen])
        return -1

    return select_available


@lru_cache(maxsize=256)
def available_probabilities(probabilities: ProbabilitiesFunction) -> ProbabilitiesFunction:
    """`probabilities` restricted to the actions whose value is above minus infinity; the others get 0."""

    def fill_available(
        action_values: Sequence[float], visit_counts: Sequence[int], parameter: float, filled: Any
    ) -> None:
        num_actions = len(action_values)
        num_available = 0
        for action in range(num_actions):
            if action_values[action] > -math.inf:
                num_available += 1
        values: Any = np.empty(num_available, np.float64)
        counts: Any = np.empty(num_available, np.int64)
        shares: Any = np.empty(num_available, np.float64)
        place = 0
        for action in range(num_actions):
            if action_values[action] > -math.inf:
                values[place] = action_values[action]
                counts[place] = visit_counts[action]
                place += 1
        probabilities(values, counts, parameter, shares)
        place = 0
        for action in range(num_actions):
            filled[action] = 0.0
            if action_values[action] > -math.inf:
                filled[action] = shares[place]
                place += 1

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
