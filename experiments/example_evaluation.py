"""Evaluation on labelled examples: each is asked once, many of them side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from velodrome.agents.agent import Agent
from velodrome.envs.classification import Classification
from velodrome.envs.datasets.dataset import LabelledExamples
from velodrome.envs.text import Text
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
    """What an agent does on examples, each from its beginning, as it sees them through an environment's wrappers.

    Args:
        agent: trained.
        env: whose wrappers stand between examples and agent.
        inputs: examples (num_examples, ...), of sequences (num_examples, num_steps).
        is_sequence: whether an example has a label for each of its steps.

    Returns:
        Actions, int64 (num_examples,) or (num_examples, num_steps).
    """
    wrappers = [layer for layer in reversed(wrappers_of(env)) if isinstance(layer, gym.ObservationWrapper)]
    parts = []
    for first in range(0, len(inputs), BATCH):
        some = inputs[first : first + BATCH]
        agent.begin_episode()
        if is_sequence:
            parts.append(np.stack([_acted(agent, wrappers, column) for column in some.T], axis=1))
        else:
            parts.append(_acted(agent, wrappers, some))
    agent.begin_episode()
    return np.concatenate(parts)


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
