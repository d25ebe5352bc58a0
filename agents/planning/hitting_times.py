"""Smallest expected numbers of steps from state to state without a time limit, by policy iteration."""

import numpy as np
from scipy.sparse import csr_array, identity
from scipy.sparse.linalg import splu

from velodrome.envs.model.transition_model import TransitionModel

MAX_ITERATIONS = 200


def largest_hitting_time(model: TransitionModel, states: np.ndarray) -> float:
    """Largest over pairs among `states`, which are closed under all actions, of the smallest expected steps.

    A step that terminates leads to a state in which episodes start.
    """
    number, actions = len(states), model.num_actions
    place = np.full(model.num_states, -1)
    place[states] = np.arange(number)
    pairs = (states[:, None] * actions + np.arange(actions)).ravel()
    counts = np.diff(model.offsets)[pairs]
    rows = np.repeat(np.arange(len(pairs)), counts)
    within = np.arange(len(rows)) - np.repeat(counts.cumsum() - counts, counts)
    outcomes = np.repeat(model.offsets[pairs], counts) + within
    weights, ends = model.probabilities[outcomes], model.terminated[outcomes]
    following = np.where(ends, 0, place[model.next_states[outcomes]])
    # Rows are pairs; what ends an episode is kept apart, as it leads to many states.
    steps = csr_array((weights[~ends], (rows[~ends], following[~ends])), shape=(len(pairs), number))
    ending = np.bincount(rows, weights=weights * ends, minlength=len(pairs))
    start = model.initial_distribution[states]
    largest = 0.0
    for target in range(number):
        times = _times_to(target, steps, ending, start, actions)
        largest = max(largest, float(np.delete(times, target).max()))
        if np.isinf(largest):
            return largest
    return largest


def _times_to(target: int, steps: csr_array, ending: np.ndarray, start: np.ndarray, actions: int) -> np.ndarray:
    """Smallest expected steps to `target`, float64 (S,)."""
    number = len(start)
    choice = _nearer(target, steps, ending, start, actions)
    if choice is None:
        return np.full(number, np.inf)
    everywhere, rest = np.arange(number), np.arange(number) != target
    times = np.zeros(number)
    for _ in range(MAX_ITERATIONS):
        chosen = everywhere * actions + choice
        matrix = (identity(rest.sum(), format="csc") - steps[chosen][rest][:, rest]).tocsc()
        solve = splu(matrix).solve
        # The time is that until the target or the episode's end, and where it ends, that from a start on.
        alone, again = solve(np.ones(rest.sum())), solve(ending[chosen][rest])
        first, share = start[rest] @ alone, start[rest] @ again
        from_start = first / (1.0 - share) if share < 1.0 else np.inf
        times[rest] = alone + np.where(again > 0.0, again, 0.0) * (from_start if ending.any() else 0.0)
        from_start = start @ times
        costs = (1.0 + steps @ times + ending * from_start).reshape(number, actions)
        best = costs.argmin(axis=1)
        gain = costs[everywhere, choice] - costs[everywhere, best]
        improved = (gain > 1e-11 * (1.0 + times)) & rest
        if not improved.any():
            return times
        choice = np.where(improved, best, choice)
    return times


def _nearer(target: int, steps: csr_array, ending: np.ndarray, start: np.ndarray, actions: int) -> np.ndarray | None:
    """Actions (S,) by which every state may come nearer to the target; None where some never can."""
    number = len(start)
    choice = np.full(number, -1)
    known = np.arange(number) == target
    choice[target] = 0
    while not known.all():
        may = (steps @ known.astype(float) > 0.0) | ((ending > 0.0) & bool(known @ start > 0.0))
        may = may.reshape(number, actions)
        new = may.any(axis=1) & ~known
        if not new.any():
            return None
        choice[new] = may[new].argmax(axis=1)
        known |= new
    return choice
