"""Guesses of a text after each iteration of its training."""

import math
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from numpy.typing import ArrayLike, NDArray

from velodrome.agents.agent import Agent
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.trials.example_evaluation import guesses_of
from velodrome.experiments.trials.trial import fresh

# Every iteration is looked at up to this one, then each that is later by this factor: many looks are slow.
EVERY_ITERATION_UP_TO, LATER_BY = 100, 1.03
# The first digits of the iterations that are shown: 1, 2, 3, 5, 8, 12, 20, 30, 50, 80, 120, ...
_SHOWN = (1.2, 2.0, 3.0, 5.0, 8.0)


class Prediction(NamedTuple):
    """Guess at one point of training.

    Attributes:
        iteration: batches learnt from so far; episodes, for agents that learn from reward.
        episodes: finished so far.
        guesses: of each step of each sequence, int64 (num_sequences, num_steps).
    """

    iteration: int
    episodes: int
    guesses: NDArray[np.int64]


def prediction_history(
    agent: Agent,
    env: gym.Env[Any, Any],
    *,
    episodes: int | None = None,
    steps: int | None = None,
    seed: int,
    sequences: ArrayLike | None = None,
) -> list[Prediction]:
    """Train a fresh copy of an agent's configuration, and ask it after each iteration what it guesses.

    Training is one call of `train`, so the last guesses are those of an agent trained without being asked. Up to
    the 100th every iteration is asked, then those shown in the strip, each that is 3 % later, and the last.

    Args:
        agent: its configuration learns anew; it stays as it is itself.
        env: to train on.
        episodes: of training; give this or `steps`.
        steps: of training.
        seed: of training.
        sequences: what is read, observations (num_sequences, num_steps); all of the environment's examples if None.

    Raises:
        ExperimentError: the examples are no sequences.
        BudgetError: not exactly one positive budget.
    """
    inputs = np.asarray(getattr(env.unwrapped, "examples", [()])[0] if sequences is None else sequences)
    if inputs.ndim != 2 or not inputs.size:
        raise ExperimentError(
            f"a prediction history is of sequences, (num_sequences, num_steps), but these have shape {inputs.shape}"
        )
    learner = fresh(agent)
    history: list[Prediction] = []
    iteration, due = 0, 1

    def ask() -> NDArray[np.int64]:
        generator = learner.acting_generator()
        if generator is None:
            return guesses_of(learner, env, inputs, is_sequence=True)
        # Who acts by chance draws each time what it would have drawn without being asked before.
        before = generator.bit_generator.state
        guesses = guesses_of(learner, env, inputs, is_sequence=True)
        generator.bit_generator.state = before
        return guesses

    def look(finished: int) -> None:
        nonlocal iteration, due
        iteration += 1
        if iteration < due and not is_shown(iteration):
            return
        if iteration >= due:
            due = iteration + 1 if iteration < EVERY_ITERATION_UP_TO else math.ceil(iteration * LATER_BY)
        history.append(Prediction(iteration, finished, ask()))

    log = learner.train(env, episodes=episodes, steps=steps, seed=seed, callback=look, callback_every=1)
    # After the last whole episode more may have been learnt, in one that the budget cut.
    last = Prediction(iteration, log.episodes, ask())
    return [*(one for one in history if one.iteration < iteration), last]


def is_shown(iteration: int) -> bool:
    """Whether an iteration is one of 1, 2, 3, 5, 8, 12, 20, 30, 50, 80, 120, ..."""
    power = 10 ** (len(str(iteration)) - 1)
    return iteration == 1 or iteration in {round(first * power) for first in _SHOWN if first * power >= 2}


def joined(sequences: NDArray[Any], guesses: NDArray[np.int64]) -> NDArray[np.int64]:
    """One row of guesses, int64 (num_steps,): all of the first window and the last of each that follows.

    Where the second sequence does not begin one step after the first, only the first is taken.

    Args:
        sequences: observations (num_sequences, num_steps).
        guesses: likewise.
    """
    if not np.array_equal(sequences[1:, :-1], sequences[:-1, 1:]):
        return np.asarray(guesses[0])
    return np.concatenate([guesses[0], guesses[1:, -1]])
