"""Which states of a transition model an episode without time limit can come to, whatever the agent does."""

import numpy as np

from velodrome.envs.model.transition_model import TransitionModel


def reachable_states(model: TransitionModel) -> np.ndarray:
    """States that some actions lead to from where episodes start, bool (num_states,)."""
    from velodrome.agents.planning.dynamic_programming_kernels import reached_states

    any_action = np.ones((model.num_states, model.num_actions))
    reached: np.ndarray = reached_states(
        model.offsets,
        model.probabilities,
        model.next_states,
        model.terminated,
        any_action,
        model.initial_distribution,
    )
    return reached


def states_that_can_end(model: TransitionModel) -> np.ndarray:
    """States from which some actions lead to a terminating outcome, bool (num_states,)."""
    from velodrome.agents.planning.dynamic_programming_kernels import reached_states

    states = states_of_outcomes(model)
    possible = model.probabilities > 0.0
    ends = np.zeros(model.num_states)
    ends[states[possible & model.terminated]] = 1.0
    # The same walk against the arrows: each continuing outcome leads from its next state back to its state.
    backward = np.flatnonzero(possible & ~model.terminated)
    backward = backward[np.argsort(model.next_states[backward], kind="stable")]
    counts = np.bincount(model.next_states[backward], minlength=model.num_states)
    can_end: np.ndarray = reached_states(
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        np.ones(len(backward)),
        states[backward],
        np.zeros(len(backward), dtype=np.bool_),
        np.ones((model.num_states, 1)),
        ends,
    )
    return can_end


def states_of_outcomes(model: TransitionModel) -> np.ndarray:
    """The state that each outcome belongs to, int32 (num_outcomes,)."""
    per_state = np.diff(model.offsets[:: model.num_actions])
    return np.repeat(np.arange(model.num_states, dtype=np.int32), per_state)


def largest_return(model: TransitionModel, rewards: np.ndarray, max_operations: int = 5_000_000) -> float | None:
    """Largest return of a finished episode by any actions and any luck; of negated rewards, minus the smallest.

    Args:
        model: an episode ends with a terminating outcome, or where the time limit is met.
        rewards: of the outcomes, float64 (num_outcomes,).
        max_operations: sweeps times outcomes to spend at most.

    Returns:
        The return, minus infinity where no episode ends, or None where there is no largest one or it takes too long.
    """
    affordable = max_operations // len(rewards)
    firsts = model.offsets[: -1 : model.num_actions]
    possible = np.where(model.probabilities > 0.0, rewards, -np.inf)
    # A path without cycles has no more steps than there are states: later gains are gains of a cycle.
    sweeps = model.num_states + 1 if model.time_limit is None else model.time_limit
    # Without a time limit an episode that has not terminated is not finished.
    values = np.full(model.num_states, -np.inf if model.time_limit is None else 0.0)
    started = model.initial_distribution > 0.0
    for _ in range(min(sweeps, affordable)):
        following = np.where(model.terminated, 0.0, values[model.next_states])
        better = np.maximum.reduceat(possible + following, firsts)
        if np.array_equal(better, values):
            return float(values[started].max())
        values = better
    return float(values[started].max()) if model.time_limit is not None and sweeps <= affordable else None
