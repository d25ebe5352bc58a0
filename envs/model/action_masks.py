"""The action masks of environments whose masks are a function of the state."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from velodrome.envs.model.transition_checks import TransitionModelError


def mask_function(unwrapped: Any) -> Callable[[int], Any] | None:
    """The environment's own function from state to action mask, where it has one (Taxi)."""
    function: Callable[[int], Any] | None = getattr(unwrapped, "action_mask", None)
    if not callable(function):
        return None
    try:
        inspect.signature(function).bind(0)
    except (TypeError, ValueError):
        # It says which actions are available now, not in which state.
        return None
    return function


def masks_by_state(unwrapped: Any, num_states: int, num_actions: int) -> NDArray[np.bool_] | None:
    """Action masks bool (num_states, num_actions); None where they are no function of the state.

    Raises:
        TransitionModelError: the function raised, or gave something else than one 0 or 1 an action.
    """
    function = mask_function(unwrapped)
    if function is None:
        return None
    rows = [_row(function, state, num_actions) for state in range(num_states)]
    return np.array(rows, dtype=np.bool_).reshape(num_states, num_actions)


def _row(function: Callable[[int], Any], state: int, num_actions: int) -> NDArray[np.bool_]:
    try:
        row = np.asarray(function(state))
    except Exception as error:
        raise TransitionModelError(f"action_mask({state}) raised {type(error).__name__}: {error}") from error
    if row.shape != (num_actions,):
        raise TransitionModelError(f"action_mask(state) must have {num_actions} entries, got shape {row.shape}")
    if row.dtype != np.bool_ and not (row.dtype.kind in "iuf" and ((row == 0) | (row == 1)).all()):
        raise TransitionModelError(f"action_mask({state}) must hold 0 and 1 (or False and True), got {row.tolist()}")
    return row.astype(np.bool_)
