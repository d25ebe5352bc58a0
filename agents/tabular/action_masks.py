"""Action masks: which actions are available, applied where actions are chosen and bootstrapped from.

A mask is a row of 0 and 1, one an action. It is handed to the policy and to the learner beside the action values, which
stay as they were learnt: a mask may differ from one visit of a state to the next. None stands for no mask.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from velodrome.agents.errors import EnvironmentFailureError
from velodrome.policies.policy import ProbabilitiesFunction, SelectFunction
from velodrome.policies.ties import best_value


def available(action_values: Sequence[float], visit_counts: Sequence[int], mask: Any) -> Any:
    """Available actions, int64 (n,), with their values, float64 (n,), and counts, int64 (n,)."""
    num_actions = len(action_values)
    num_available = 0
    for action in range(num_actions):
        if mask[action]:
            num_available += 1
    actions = np.empty(num_available, np.int64)
    values = np.empty(num_available, np.float64)
    counts = np.empty(num_available, np.int64)
    place = 0
    for action in range(num_actions):
        if mask[action]:
            actions[place] = action
            values[place] = action_values[action]
            counts[place] = visit_counts[action]
            place += 1
    return actions, values, counts


def best_available(action_values: Sequence[float], mask: Any) -> float:
    """Largest value of the available actions; of all where `mask` is None."""
    if mask is None:
        return best_value(action_values)
    best = -math.inf
    for action in range(len(action_values)):
        if mask[action] and action_values[action] > best:
            best = action_values[action]
    return best


@lru_cache(maxsize=256)
def among_available(select: SelectFunction) -> Callable[..., int]:
    """`select` with a mask as one more argument: it is shown the available actions alone."""

    def select_available(
        action_values: Sequence[float],
        visit_counts: Sequence[int],
        parameter: float,
        rng: np.random.Generator,
        mask: Any,
    ) -> int:
        actions, values, counts = available(action_values, visit_counts, mask)
        chosen = select(values, counts, parameter, rng)
        if 0 <= chosen < len(actions):
            return int(actions[chosen])
        return -1

    return select_available


@lru_cache(maxsize=256)
def greedy_among_available(greedy: Callable[[Sequence[float], Any], int]) -> Callable[..., int]:
    """`greedy` with counts and a mask as further arguments: the best of the available actions."""

    def greedy_available(action_values: Sequence[float], visit_counts: Sequence[int], mask: Any, rng: Any) -> int:
        if mask is None:
            return greedy(action_values, rng)
        actions, values, _ = available(action_values, visit_counts, mask)
        return int(actions[greedy(values, rng)])

    return greedy_available


@lru_cache(maxsize=256)
def available_probabilities(probabilities: ProbabilitiesFunction) -> Callable[..., None]:
    """`probabilities` with a mask as one more argument: of the available actions alone; the others get 0."""

    def fill_available(
        action_values: Sequence[float], visit_counts: Sequence[int], parameter: float, filled: Any, mask: Any
    ) -> None:
        if mask is None:
            probabilities(action_values, visit_counts, parameter, filled)
        else:
            actions, values, counts = available(action_values, visit_counts, mask)
            shares: Any = np.empty(len(actions), np.float64)
            probabilities(values, counts, parameter, shares)
            for action in range(len(action_values)):
                filled[action] = 0.0
            for place in range(len(actions)):
                filled[actions[place]] = shares[place]

    return fill_available


def as_mask(given: Any, num_actions: int) -> bytes:
    """A mask as bytes of 0 and 1, which nobody can change afterwards.

    Raises:
        EnvironmentFailureError: it is not one 0 or 1 an action, or allows no action.
    """
    mask = _numbers(given)
    if mask.shape != (num_actions,):
        raise EnvironmentFailureError(
            f"the action mask must have {num_actions} entries, one an action, got {_shown(given)}"
        )
    if not is_binary(mask):
        raise EnvironmentFailureError(f"the action mask must hold 0 and 1 (or False and True), got {_shown(given)}")
    if not mask.any():
        raise EnvironmentFailureError("the action mask allows no action, but the episode has not terminated")
    return mask.astype(np.bool_).tobytes()


def is_binary(masks: np.ndarray) -> bool:
    """Whether an array holds nothing but 0 and 1, or False and True."""
    return masks.dtype == np.bool_ or (masks.dtype.kind in "iuf" and bool(((masks == 0) | (masks == 1)).all()))


def mask_in(info: Any, num_actions: int) -> bytes | None:
    """The mask in an `info`; None where it has none.

    Raises:
        EnvironmentFailureError: `info` is no dict, or its mask is none.
    """
    if not isinstance(info, dict):
        raise EnvironmentFailureError(f"info must be a dict, got {_shown(info)}")
    return as_mask(info["action_mask"], num_actions) if "action_mask" in info else None


def _numbers(given: Any) -> np.ndarray:
    try:
        return np.asarray(given)
    except ValueError:
        return np.empty(())


def _shown(given: Any) -> str:
    text = " ".join(repr(given).split())
    return text if len(text) <= 80 else f"{text[:77]}..."
