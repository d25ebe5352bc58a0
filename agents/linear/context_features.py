"""What a linear bandit sees of an observation: a few numbers, scaled by their bounds, or binary features."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from velodrome.agents.deep.labelled_task import LabelledTask, ObservationError
from velodrome.agents.errors import EnvironmentFailureError, UnsupportedEnvironmentError, environment_label
from velodrome.agents.linear.binary_features import BinaryFeatures
from velodrome.agents.tabular.observation_index import index_of, is_finite
from velodrome.agents.unfit_spaces import actions_refused, observations_refused

# 1 GiB of factors.
MOST_NUMBERS = 2**27


@dataclass(frozen=True, eq=False)
class ContextTask:
    """Features of the observations, and the actions.

    Attributes:
        source: a Box, or binary features of a finite observation.
        num_actions: number of actions.
        action_start: the smallest.
    """

    source: LabelledTask | BinaryFeatures
    num_actions: int
    action_start: int

    @classmethod
    def of(cls, name: str, env: gym.Env[Any, Any]) -> "ContextTask":
        """Task of an environment, for the agent called `name`.

        Raises:
            UnsupportedEnvironmentError: its spaces are of another kind, or too large.
        """
        observations, actions, label = env.observation_space, env.action_space, environment_label(env)
        if not isinstance(actions, spaces.Discrete):
            raise UnsupportedEnvironmentError(actions_refused(name, actions, label))
        source: LabelledTask | BinaryFeatures
        if isinstance(observations, spaces.Box):
            source = LabelledTask.of(name, env)
        else:
            index = index_of(observations)
            if index is None:
                raise UnsupportedEnvironmentError(
                    observations_refused(name, observations, label, "a Box or a finite", _is_taken)
                )
            source = BinaryFeatures(index)
        task = cls(source, int(actions.n), int(actions.start))
        if task.num_numbers > MOST_NUMBERS:
            raise UnsupportedEnvironmentError(
                f"{name} keeps {task.num_numbers:,} numbers for {task} of {label}, one a pair of features and action, "
                f"at most {MOST_NUMBERS:,} (1 GiB) are allowed: take neural_bandit"
            )
        return task

    @cached_property
    def num_features(self) -> int:
        """Number of features; of a Box the last is always 1."""
        if isinstance(self.source, LabelledTask):
            return int(np.prod(self.source.observation_shape, dtype=np.int64)) + 1
        return self.source.num_features

    @property
    def num_numbers(self) -> int:
        """Numbers in the factors of all actions."""
        return self.num_actions * self.num_features**2

    def __str__(self) -> str:
        return f"{self.num_features} features and {self.num_actions} actions"

    def after(self, learnt: "ContextTask") -> "ContextTask":
        """This task for an agent that learnt another one: whole numbers keep the scale that they were learnt with."""
        if isinstance(self.source, LabelledTask) and isinstance(learnt.source, LabelledTask):
            return ContextTask(self.source.after(learnt.source), self.num_actions, self.action_start)
        return self

    def fits(self, other: "ContextTask") -> bool:
        """Whether the same estimates serve both."""
        mine, others = self.to_data(), other.to_data()
        return mine["source"] == others["source"] and self.num_actions == other.num_actions

    def is_batch(self, observation: Any) -> bool:
        """Whether there is a leading dimension.

        Raises:
            ObservationError: the shape is neither that of one observation of a Box nor of a batch.
        """
        return self.source.is_batch(observation)

    def features(self, observation: Any) -> np.ndarray:
        """Features of one observation of an environment, float64 (1, num_features).

        Raises:
            EnvironmentFailureError: the observation is outside the space, or not finite.
        """
        if isinstance(self.source, BinaryFeatures):
            return self._binary(self.source.active(observation)[np.newaxis])
        try:
            return self.features_of_all(np.asarray(observation)[np.newaxis])
        except ObservationError as error:
            raise EnvironmentFailureError(str(error)) from None

    def features_of_all(self, observations: Any) -> np.ndarray:
        """Features of a batch of observations, float64 (batch, num_features).

        Raises:
            EnvironmentFailureError, ObservationError: an observation is outside the space, or not finite.
        """
        if isinstance(self.source, BinaryFeatures):
            return self._binary(self.source.active_in_all(observations))
        checked = self.source.checked(observations)
        features = np.ones((len(checked), self.num_features))
        features[:, :-1] = checked.reshape(len(checked), self.num_features - 1)
        features[:, :-1] /= self.source.scale
        return features

    def _binary(self, active: np.ndarray) -> np.ndarray:
        features = np.zeros((len(active), self.num_features))
        np.put_along_axis(features, active, 1.0, axis=1)
        return features

    def to_data(self) -> dict[str, Any]:
        """JSON-ready entries."""
        source = self.source
        if isinstance(source, BinaryFeatures):
            return {"source": source.to_data(), "actions": {"number": self.num_actions, "start": self.action_start}}
        entries = {
            "observation_shape": list(source.observation_shape),
            "scale": source.scale,
            "is_whole": source.is_whole,
        }
        return {"source": {"box": entries}, "actions": {"number": self.num_actions, "start": self.action_start}}

    @classmethod
    def from_data(cls, entries: dict[str, Any]) -> "ContextTask":
        """Task from the entries of a saved agent."""
        number, start = int(entries["actions"]["number"]), int(entries["actions"]["start"])
        if "box" not in entries["source"]:
            return cls(BinaryFeatures.from_data(entries["source"]), number, start)
        box = entries["source"]["box"]
        shape, is_whole = tuple(int(size) for size in box["observation_shape"]), bool(box["is_whole"])
        return cls(LabelledTask(shape, 0, 0, float(box["scale"]), number, start, is_whole), number, start)


def _is_taken(space: gym.Space[Any]) -> bool:
    return isinstance(space, spaces.Box) or is_finite(space)
