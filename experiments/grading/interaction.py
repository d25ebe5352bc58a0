"""What a submission did, as the grader recorded it: with an environment, and with hand-made transitions.

The grader's process holds the environment and writes these records itself; nothing in them is the submission's word.
The contract with `diagnosis`, whose functions each give a list of findings, empty where no mistake is seen:

    diagnose_learner(
        interaction: Interaction, submitted: FloatArray, *, is_policy: bool, reference: Agent, model: TransitionModel,
        episodes: int | None,
    )
    diagnose_values(
        submitted: FloatArray, *, is_policy: bool, reference: Agent, model: TransitionModel, ties: "first" | "random",
    )
    diagnose_update(probes: Sequence[Probe], reference: Agent)

`submitted` is float64 (S, A): action values, or a policy's probabilities where `is_policy`. `reference` is the
assignment's agent, untrained. `model.time_limit` is the environment's. Of several environments and seeds each is
diagnosed on its own; the grader keeps one finding of each name.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Interaction:
    """All that a learner did with one environment, in order.

    A step that was asked for after the episode's end, or beyond the budget, was not carried out: it was answered with
    the state where it stood, reward 0 and the end, it is counted, and it stands in none of the arrays.

    Attributes:
        reset_seeds: the seed passed to each reset, None where there was none.
        reset_states: state in which each reset started, int64 (resets,).
        reset_steps: number of steps that were carried out before each reset, int64 (resets,).
        states: state before each step, int64 (steps,).
        actions: action of each step, int64 (steps,).
        rewards: float64 (steps,).
        next_states: state after each step, int64 (steps,).
        terminated: bool (steps,).
        truncated: bool (steps,).
        episodes: index of the reset that began each step's episode, int64 (steps,).
        steps_after_end: steps asked for between an episode's end and the next reset.
        steps_beyond_budget: steps asked for when the episodes or steps of the assignment were used up.
        resets_within_episode: resets while an episode of at least one step had not ended.
        refused_actions: actions that the environment does not have, as texts, at most 10.
    """

    reset_seeds: tuple[int | None, ...]
    reset_states: NDArray[np.int64]
    reset_steps: NDArray[np.int64]
    states: NDArray[np.int64]
    actions: NDArray[np.int64]
    rewards: NDArray[np.float64]
    next_states: NDArray[np.int64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    episodes: NDArray[np.int64]
    steps_after_end: int = 0
    steps_beyond_budget: int = 0
    resets_within_episode: int = 0
    refused_actions: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Probe:
    """A hand-made transition, and the action values that the submission's update and the reference made of it.

    Attributes:
        before: action values before the update, float64 (S, A).
        state: state of the transition.
        action: action of the transition.
        reward: reward of the transition.
        next_state: state after it.
        terminated: whether the episode ended in a terminal state.
        truncated: whether the time limit cut it.
        next_action: action in the next state, given to updates of on-policy agents; None of others.
        expected: action values after the reference's update, float64 (S, A).
        answer: action values after the submission's, float64 (S, A).
    """

    before: NDArray[np.float64]
    state: int
    action: int
    reward: float
    next_state: int
    terminated: bool
    truncated: bool
    next_action: int | None
    expected: NDArray[np.float64]
    answer: NDArray[np.float64]
