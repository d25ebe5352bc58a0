"""Binary features of an observation: which few of many are 1."""

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from velodrome.agents.deep.labelled_task import ObservationError, numbers
from velodrome.agents.errors import EnvironmentFailureError
from velodrome.agents.tabular.observation_index import ObservationIndex
from velodrome.envs.tilings import Tilings


@dataclass(frozen=True, eq=False)
class BinaryFeatures:
    """Features of observations of a Box through tilings, or of a finite space.

    A tile is a feature: one in each tiling is active. Of a finite space each value of each part is one: a Discrete
    observation has one active feature, a MultiDiscrete one as many as it has numbers.

    Attributes:
        source: tilings, or parts of a finite observation.
    """

    source: Tilings | ObservationIndex

    @cached_property
    def num_features(self) -> int:
        """Number of features."""
        if isinstance(self.source, Tilings):
            return self.source.num_features
        return sum(size for size, _ in self.source.parts)

    @cached_property
    def num_active(self) -> int:
        """Number of features that are active in an observation, the same in each."""
        return self.source.tilings if isinstance(self.source, Tilings) else len(self.source.parts)

    @cached_property
    def _first(self) -> np.ndarray:
        """Number of the first feature of each part of a finite observation, int64 (num_parts,)."""
        assert isinstance(self.source, ObservationIndex)
        return np.cumsum([0, *(size for size, _ in self.source.parts[:-1])], dtype=np.int64)

    def active(self, observation: Any) -> np.ndarray:
        """Active features of one observation of an environment, int64 (num_active,), one for each tiling or part.

        Raises:
            EnvironmentFailureError: the observation is outside the space, or has a NaN.
        """
        source = self.source
        if isinstance(source, Tilings):
            try:
                return source.active_features(observation)
            except ValueError as error:
                raise EnvironmentFailureError(str(error)) from None
        return np.asarray(self._first + source.values(observation))

    def is_batch(self, observation: Any) -> bool:
        """Whether there is a leading dimension.

        Raises:
            ObservationError: the shape is neither that of one observation of a Box nor of a batch.
        """
        source = self.source
        if isinstance(source, ObservationIndex):
            return source.is_batch(observation)
        given = numbers(observation).shape
        if given != source.shape and given[1:] != source.shape:
            raise ObservationError(f"an observation has shape {source.shape}, a batch one dimension more; got {given}")
        return given != source.shape

    def active_in_all(self, observations: Any) -> np.ndarray:
        """Active features of a batch of observations, int64 (batch, num_active).

        Raises:
            EnvironmentFailureError, ObservationError: an observation is outside the space, or has a NaN.
        """
        if isinstance(self.source, ObservationIndex):
            return np.asarray(self.source.values_batch(observations) + self._first)
        try:
            return self.source.active_features_of_all(numbers(observations))
        except ValueError as error:
            raise ObservationError(str(error)) from None

    def to_data(self) -> dict[str, Any]:
        """JSON-ready data."""
        if isinstance(self.source, Tilings):
            return {"tilings": self.source.to_data()}
        return {"observations": dataclasses.asdict(self.source)}

    @classmethod
    def from_data(cls, data: Any) -> "BinaryFeatures":
        """Features from the data of `to_data`."""
        if "tilings" in data:
            return cls(Tilings.from_data(data["tilings"]))
        return cls(ObservationIndex.from_data(data["observations"]))


@dataclass(frozen=True)
class LinearTask:
    """Features of the observations, and the actions.

    Attributes:
        features: of the observations.
        num_actions: number of actions.
        action_start: the smallest.
    """

    features: BinaryFeatures
    num_actions: int
    action_start: int

    def __str__(self) -> str:
        return f"{self.features.num_features} features and {self.num_actions} actions"

    def fits(self, other: "LinearTask") -> bool:
        """Whether the same weights serve both."""
        return (self.features.to_data(), self.num_actions) == (other.features.to_data(), other.num_actions)

    def to_data(self) -> dict[str, Any]:
        """JSON-ready entries."""
        actions = {"number": self.num_actions, "start": self.action_start}
        return {"features": self.features.to_data(), "actions": actions}

    @classmethod
    def from_data(cls, entries: dict[str, Any]) -> "LinearTask":
        """Task from the entries of a saved agent."""
        actions = entries["actions"]
        return cls(BinaryFeatures.from_data(entries["features"]), int(actions["number"]), int(actions["start"]))
