"""Sweeps of dynamic programming in NumPy: for the few of a small model that start a program, without the compiler.

The sums are taken in the order of the compiled sweeps, so that the values are theirs to the bit.
"""

from collections.abc import Callable

import numpy as np

from velodrome.envs.model.transition_model import TransitionModel

# Sweeps times outcomes; more take longer than loading the compiler.
MAX_OPERATIONS = 3_000_000


def are_few(model: TransitionModel, sweeps: int) -> bool:
    """Whether so many sweeps over a model are done before the compiler would be there."""
    return sweeps * model.num_outcomes <= MAX_OPERATIONS


def sweep_of(
    model: TransitionModel, gains: np.ndarray, kept: np.ndarray, policy: np.ndarray | None = None
) -> Callable[[np.ndarray], np.ndarray]:
    """A sweep under a policy, float64 (S, A), or of the best actions: from values (S,) to those one step earlier.

    Args:
        model: the environment's model.
        gains: what an outcome earns, float64 (num_outcomes,).
        kept: share of the next state's value that an outcome keeps, float64 (num_outcomes,).
        policy: action probabilities; the best actions if None.
    """
    counts = np.diff(model.offsets)
    # Row k has the k-th outcome of every pair; where a pair has fewer, one that adds nothing.
    has_outcome = np.arange(counts.max())[:, None] < counts
    places = np.where(has_outcome, model.offsets[:-1] + np.arange(counts.max())[:, None], 0)
    probabilities, next_states = np.where(has_outcome, model.probabilities[places], 0.0), model.next_states[places]
    gained, shares = gains[places], kept[places]

    def sweep(values: np.ndarray) -> np.ndarray:
        terms = probabilities * (gained + shares * values[next_states])
        sums = np.zeros(len(counts))
        for term in terms:
            sums += term
        totals = sums.reshape(model.num_states, model.num_actions)
        if policy is None:
            best: np.ndarray = totals.max(axis=1)
            return best
        result = np.zeros(model.num_states)
        for action in range(model.num_actions):
            result += policy[:, action] * totals[:, action]
        return result

    return sweep


def repeat(sweep: Callable[[np.ndarray], np.ndarray], values: np.ndarray, sweeps: int) -> np.ndarray:
    """Values after so many sweeps."""
    for _ in range(sweeps):
        values = sweep(values)
    return values
