"""Reads a Gymnasium `P`, P[state][action] = [(probability, next_state, reward, terminated), ...]."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from velodrome.envs.model.transition_checks import TransitionModelError


class TransitionTable(NamedTuple):
    """The outcomes of a `P` as flat arrays, in its own order, nothing merged.

    offsets int64 (num_states * num_actions + 1,); the others (num_outcomes,).
    """

    num_states: int
    num_actions: int
    offsets: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    next_states: NDArray[np.int64]
    rewards: NDArray[np.float64]
    terminated: NDArray[np.bool_]


def read_transition_table(outcomes: object) -> TransitionTable:
    """Flatten `outcomes`, a dict of dicts or nested lists of outcome tuples.

    Raises:
        TransitionModelError: if a state, an action or an outcome is missing or malformed.
    """
    states = _children(outcomes, "P", "state")
    num_actions = -1
    counts: list[int] = []
    probabilities: list[float] = []
    next_states: list[int] = []
    rewards: list[float] = []
    terminated: list[bool] = []
    for state, of_state in enumerate(states):
        actions = _children(of_state, f"P[{state}]", "action")
        if num_actions == -1:
            num_actions = len(actions)
        if len(actions) != num_actions:
            raise TransitionModelError(
                f"every state needs the same number of actions: state 0 has {num_actions}, "
                f"state {state} has {len(actions)}"
            )
        for action, of_pair in enumerate(actions):
            before = len(probabilities)
            for outcome in _iterable(of_pair, state, action):
                probability, next_state, reward, ends = _read_outcome(outcome, state, action)
                probabilities.append(probability)
                next_states.append(next_state)
                rewards.append(reward)
                terminated.append(ends)
            counts.append(len(probabilities) - before)
    offsets = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=offsets[1:])
    return TransitionTable(
        num_states=len(states),
        num_actions=num_actions,
        offsets=offsets,
        probabilities=np.array(probabilities, dtype=np.float64),
        next_states=np.array(next_states, dtype=np.int64),
        rewards=np.array(rewards, dtype=np.float64),
        terminated=np.array(terminated, dtype=np.bool_),
    )


def cumulative_inside_pairs(probabilities: NDArray[np.float64], offsets: NDArray[np.int64]) -> NDArray[np.float64]:
    """np.cumsum of the probabilities inside each pair, bit for bit, (num_outcomes,)."""
    counts = np.diff(offsets)
    sizes = np.unique(counts)
    if sizes.size == 1:
        return np.cumsum(probabilities.reshape(-1, int(sizes[0])), axis=1).reshape(-1)
    cumulative = np.empty_like(probabilities)
    for size in sizes:
        where = offsets[:-1][counts == size][:, None] + np.arange(size)
        cumulative[where] = np.cumsum(probabilities[where], axis=1)
    return cumulative


def _children(parent: object, name: str, kind: str) -> Sequence[object]:
    """The entries of a dict with keys 0..n-1, or of a list, in order."""
    if isinstance(parent, Mapping):
        missing = next((key for key in range(len(parent)) if key not in parent), None)
        if missing is not None:
            raise TransitionModelError(
                f"{name} lacks {kind} {missing}: its {len(parent)} {kind}s must be 0 to {len(parent) - 1}"
            )
        children: Sequence[object] = [parent[key] for key in range(len(parent))]
    elif isinstance(parent, Sequence) and not isinstance(parent, str | bytes):
        children = parent
    else:
        raise TransitionModelError(f"{name} must be a dict or a list, got {type(parent).__name__}")
    if not children:
        raise TransitionModelError(f"{name} has no {kind}, at least one is needed")
    return children


def _iterable(of_pair: object, state: int, action: int) -> Iterable[object]:
    if not isinstance(of_pair, Iterable):
        raise TransitionModelError(
            f"state {state}, action {action}: outcomes must be a list, got {type(of_pair).__name__}"
        )
    return of_pair


def _read_outcome(outcome: Any, state: int, action: int) -> tuple[float, int, float, bool]:
    where = f"state {state}, action {action}"
    try:
        probability, next_state, reward, ends = outcome
    except (TypeError, ValueError):
        raise TransitionModelError(
            f"{where}: an outcome is (probability, next_state, reward, terminated), got {outcome!r}"
        ) from None
    try:
        index = operator.index(next_state)
    except TypeError:
        raise TransitionModelError(f"{where}: next state must be an integer, got {next_state!r}") from None
    if not isinstance(ends, bool | np.bool_ | int | np.integer) or ends not in (0, 1):
        raise TransitionModelError(f"{where}: terminated must be True or False, got {ends!r}")
    try:
        return float(probability), index, float(reward), bool(ends)
    except (TypeError, ValueError):
        raise TransitionModelError(
            f"{where}: probability and reward must be numbers, got {probability!r} and {reward!r}"
        ) from None
