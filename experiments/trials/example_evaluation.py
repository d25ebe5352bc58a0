"""Evaluation on labelled examples: each is asked once, many of them side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from velodrome.agents.agent import Agent
from velodrome.envs.labelled.classification import Classification
from velodrome.envs.labelled.datasets.dataset import LabelledExamples
from velodrome.envs.labelled.text import Text
from velodrome.envs.wrapper_chain import is_transparent, time_limit_of, wrappers_of

# Examples that are asked at once: memory stays flat in their number.
BATCH = 1000


@dataclass(frozen=True, eq=False)
class EvaluationExamples:
    """The examples that say how good an agent is that learnt in an environment.

    Attributes:
        examples: inputs and labels.
        description: what and where they are from, in words.
        number_in_words: how many of what.
        is_of_training: whether the agent learnt from the same.
        reason: why they cannot be asked side by side, and episodes of the environment itself are sampled instead;
            None where they can.
    """

    examples: LabelledExamples
    description: str
    number_in_words: str
    is_of_training: bool
    reason: str | None

    @classmethod
    def of(cls, env: gym.Env[Any, Any]) -> "EvaluationExamples | None":
        """Those of an environment; None where an episode is not an example."""
        unwrapped: Any = env.unwrapped
        # Another class, a subclass too, may reward what it likes.
        if type(unwrapped) not in (Classification, Text):
            return None
        other = unwrapped.evaluation_environment()
        reason = _reason(env, unwrapped.examples.labels)
        return cls(other.examples, other.description, other.examples_in_words, other is unwrapped, reason)


def guesses_of(agent: Agent, env: gym.Env[Any, Any], inputs: NDArray[Any], *, is_sequence: bool) -> NDArray[np.int64]:
    """Answers of an agent to examples, each from its beginning, as it sees them through an environment's wrappers.

    Args:
        agent: trained.
        env: whose wrappers stand between examples and agent.
        inputs: examples (num_examples, ...), of sequences (num_examples, num_steps).
        is_sequence: whether an example has a label for each of its steps.

    Returns:
        Actions, int64 (num_examples,) or (num_examples, num_steps).
    """
    wrappers = [layer for layer in reversed(wrappers_of(env)) if isinstance(layer, gym.ObservationWrapper)]
    guesses = np.empty(inputs.shape if is_sequence else len(inputs), dtype=np.int64)
    for first in range(0, len(inputs), BATCH):
        rows = slice(first, first + BATCH)
        agent.begin_episode()
        if is_sequence:
            _act_step_by_step(agent, wrappers, inputs[rows], guesses[rows])
        else:
            guesses[rows] = _acted(agent, wrappers, inputs[rows])
    agent.begin_episode()
    return guesses


def _act_step_by_step(
    agent: Agent,
    wrappers: Sequence["gym.ObservationWrapper[Any, Any, Any]"],
    sequences: NDArray[Any],
    guesses: NDArray[np.int64],
) -> None:
    """Fill the guesses on some sequences, (num_sequences, num_steps), in the order of the steps.

    An agent that has nothing to forget between episodes remembers nothing within them either: it is asked about as many
    steps at once as make a batch. It draws the same random numbers in the same order.
    """
    width = 1 if agent.depends_on_episode else max(1, BATCH // len(sequences))
    for first in range(0, sequences.shape[1], width):
        some = sequences[:, first : first + width].T
        guesses[:, first : first + width] = _acted(agent, wrappers, some.ravel()).reshape(some.shape).T


def _acted(
    agent: Agent, wrappers: Sequence["gym.ObservationWrapper[Any, Any, Any]"], observations: NDArray[Any]
) -> NDArray[np.int64]:
    seen = observations
    for layer in wrappers:
        seen = np.stack([layer.observation(observation) for observation in seen])
    return np.asarray(agent.act(seen), dtype=np.int64)


def _reason(env: gym.Env[Any, Any], labels: NDArray[np.int64]) -> str | None:
    for layer in wrappers_of(env):
        if not (is_transparent(layer) or _changes_observations_only(layer)):
            return f"wrapper {type(layer).__name__} may change what is rewarded, done, or seen from step to step"
    limit, num_steps = time_limit_of(env), 1 if labels.ndim == 1 else labels.shape[1]
    if limit is not None and limit < num_steps:
        return f"episodes are cut after {limit} of {num_steps} steps"
    return None


def _changes_observations_only(layer: gym.Wrapper[Any, Any, Any, Any]) -> bool:
    kind = type(layer)
    if not isinstance(layer, gym.ObservationWrapper):
        return False
    return kind.step is gym.ObservationWrapper.step and kind.reset is gym.ObservationWrapper.reset
