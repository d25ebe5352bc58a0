"""Checks that arrays describe a Markov decision process; every failure is one line."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from velodrome.checks import VelodromeError

PROBABILITY_TOLERANCE = 1e-8


class TransitionModelError(VelodromeError, ValueError):
    """A transition model that is invalid or absent, said in one line."""


class NoTransitionModelError(TransitionModelError):
    """An environment has no model, or none that is known to be true of its steps."""


class UntrueModelError(NoTransitionModelError):
    """An environment lists transitions, but is not known to step as they say."""


def pair_name(pair: int, num_actions: int) -> str:
    """Name the pair with index state * num_actions + action."""
    return f"state {pair // num_actions}, action {pair % num_actions}"


def as_floats(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Flat float64 copy-if-needed of `values`.

    Raises:
        TransitionModelError: if the values are not numbers.
    """
    try:
        array = np.ascontiguousarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise TransitionModelError(f"{name} must be numbers, got {_short(values)}") from None
    return array.reshape(-1)


def as_integers(name: str, values: ArrayLike) -> NDArray[np.integer[Any]]:
    """Flat integer array of `values`.

    Raises:
        TransitionModelError: if the values are not integers.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "iu":
        raise TransitionModelError(f"{name} must be integers, got {_short(values)}")
    return np.ascontiguousarray(array).reshape(-1)


def as_booleans(name: str, values: ArrayLike) -> NDArray[np.bool_]:
    """Flat boolean array of `values`, which are bool, or 0 and 1.

    Raises:
        TransitionModelError: if a value is neither.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "biu" or (array.dtype.kind != "b" and not np.isin(array, (0, 1)).all()):
        raise TransitionModelError(f"{name} must be True or False, got {_short(values)}")
    return np.ascontiguousarray(array, dtype=np.bool_).reshape(-1)


def check_sizes(num_states: int, num_actions: int) -> None:
    """Refuse sizes that are not positive, or that int32 state indices cannot hold.

    Raises:
        TransitionModelError: naming the size.
    """
    for name, value in (("num_states", num_states), ("num_actions", num_actions)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise TransitionModelError(f"{name} must be an integer of at least 1, got {value!r}")
    if num_states > np.iinfo(np.int32).max:
        raise TransitionModelError(f"num_states must be at most {np.iinfo(np.int32).max}, got {num_states}")


def check_offsets(num_states: int, num_actions: int, offsets: NDArray[Any], num_outcomes: int) -> None:
    """Check that every pair (state, action) owns at least one outcome, and all outcomes are owned.

    Raises:
        TransitionModelError: naming the first pair without an outcome.
    """
    num_pairs = num_states * num_actions
    if offsets.shape != (num_pairs + 1,):
        raise TransitionModelError(f"offsets must have {num_pairs + 1} entries, got {offsets.size}")
    if offsets[0] != 0 or offsets[-1] != num_outcomes:
        raise TransitionModelError(f"offsets must run from 0 to {num_outcomes}, got {offsets[0]} to {offsets[-1]}")
    empty = offsets[1:] <= offsets[:-1]
    if empty.any():
        pair = int(np.argmax(empty))
        raise TransitionModelError(f"{pair_name(pair, num_actions)} has no outcome, at least one is needed")


def check_outcomes(
    num_states: int,
    num_actions: int,
    offsets: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    next_states: NDArray[Any],
    rewards: NDArray[np.float64],
) -> None:
    """Check probabilities, next states and rewards of all outcomes, which are flat arrays.

    Raises:
        TransitionModelError: naming state, action and value of the first fault.
    """
    # Written so that NaN counts as a fault.
    _refuse(~(probabilities >= 0.0), offsets, num_actions, probabilities, "probability", "0 or more")
    outside = (next_states < 0) | (next_states >= num_states)
    _refuse(outside, offsets, num_actions, next_states, "next state", f"0 to {num_states - 1}")
    _refuse(~np.isfinite(rewards), offsets, num_actions, rewards, "reward", "a finite number")
    sums = np.add.reduceat(probabilities, offsets[:-1])
    wrong = ~(np.abs(sums - 1.0) <= PROBABILITY_TOLERANCE)
    if wrong.any():
        pair = int(np.argmax(wrong))
        raise TransitionModelError(
            f"{pair_name(pair, num_actions)}: probabilities must sum to 1, got {float(sums[pair])!r}"
        )


def check_initial_distribution(num_states: int, initial_distribution: NDArray[np.float64]) -> None:
    """Check length, signs and sum of the distribution of the first state.

    Raises:
        TransitionModelError: naming what is wrong.
    """
    if initial_distribution.shape != (num_states,):
        raise TransitionModelError(
            f"initial_distribution must have {num_states} entries, one a state, got {initial_distribution.size}"
        )
    negative = ~(initial_distribution >= 0.0)
    if negative.any():
        state = int(np.argmax(negative))
        raise TransitionModelError(
            f"initial_distribution of state {state} must be 0 or more, got {float(initial_distribution[state])!r}"
        )
    total = float(initial_distribution.sum())
    if not abs(total - 1.0) <= PROBABILITY_TOLERANCE:
        raise TransitionModelError(f"initial_distribution must sum to 1, got {total!r}")


def check_time_limit(time_limit: int | None) -> None:
    """Refuse a time limit that is neither None nor a positive number of steps.

    Raises:
        TransitionModelError: naming the value.
    """
    if time_limit is None:
        return
    if isinstance(time_limit, bool) or not isinstance(time_limit, int | np.integer) or time_limit < 1:
        raise TransitionModelError(f"time_limit must be None or an integer of at least 1, got {time_limit!r}")


def check_length(name: str, array: NDArray[Any], length: int) -> None:
    """Refuse an array that does not have one entry per outcome.

    Raises:
        TransitionModelError: naming the array and both lengths.
    """
    if array.shape != (length,):
        raise TransitionModelError(f"{name} must have {length} entries, one an outcome, got {array.size}")


def _refuse(
    fault: NDArray[np.bool_],
    offsets: NDArray[np.int64],
    num_actions: int,
    values: NDArray[Any],
    name: str,
    allowed: str,
) -> None:
    if fault.any():
        outcome = int(np.argmax(fault))
        pair = int(np.searchsorted(offsets, outcome, side="right")) - 1
        value = values[outcome].item()
        raise TransitionModelError(f"{pair_name(pair, num_actions)}: {name} must be {allowed}, got {value!r}")


def _short(values: object) -> str:
    if isinstance(values, np.ndarray):
        return f"an array of {values.dtype}"
    text = " ".join(repr(values).split())
    return text if len(text) <= 60 else text[:57] + "..."
