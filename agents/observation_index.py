"""A row of a table for every observation of a finite space."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from velodrome.agents.errors import EnvironmentFailureError, UnsupportedEnvironmentError, environment_label


@dataclass(frozen=True)
class ObservationIndex:
    """Numbers the observations of a finite space 0, …, num_states - 1.

    Discrete, MultiDiscrete, MultiBinary and Tuples of them are flattened in their own order, the last part
    fastest.

    Attributes:
        parts: (number of values, first value) of every part.
        leaf_dimensions: array dimensions of the first part of one observation.
        is_ignored: every observation counts as number 0.
    """

    parts: tuple[tuple[int, int], ...]
    leaf_dimensions: int
    is_ignored: bool = False

    @cached_property
    def num_states(self) -> int:
        """Number of observations."""
        return math.prod(size for size, _ in self.parts)

    @cached_property
    def _place_values(self) -> list[int]:
        sizes = [size for size, _ in self.parts]
        return [math.prod(sizes[position + 1 :]) for position in range(len(sizes))]

    @cached_property
    def index(self) -> Callable[[Any], int]:
        """Function from one observation to its number; below 0 or too large for one outside the space."""
        if self.is_ignored:
            return lambda observation: 0
        if len(self.parts) == 1 and self.leaf_dimensions == 0:
            start = self.parts[0][1]
            return int if start == 0 else lambda observation: int(observation) - start
        columns = [(value, size, start) for value, (size, start) in zip(self._place_values, self.parts, strict=True)]

        def index(observation: Any) -> int:
            total = 0
            for (value, size, start), leaf in zip(columns, _leaves(observation), strict=True):
                part = int(leaf) - start
                if not 0 <= part < size:
                    return -1
                total += value * part
            return total

        return index

    def index_batch(self, observations: Any) -> np.ndarray:
        """Numbers of a batch of observations (leading dimension), int64 (batch,).

        Raises:
            EnvironmentFailureError: an observation is outside the space.
        """
        arrays = [np.asarray(leaf) for leaf in _arrays(observations)]
        if self.is_ignored:
            return np.zeros(len(arrays[0]), dtype=np.int64)
        columns = [array.reshape(len(array), math.prod(array.shape[1:])) for array in arrays]
        parts = np.concatenate(columns, axis=1).astype(np.int64) - [start for _, start in self.parts]
        if ((parts < 0) | (parts >= [size for size, _ in self.parts])).any():
            raise EnvironmentFailureError("an observation of the batch is outside the observation space")
        return np.asarray(parts @ np.array(self._place_values))

    def is_batch(self, observation: Any) -> bool:
        """Whether there is a leading dimension."""
        return np.ndim(_arrays(observation)[0]) == self.leaf_dimensions + 1


def index_observations(env: gym.Env[Any, Any], agent_name: str) -> ObservationIndex:
    """Index of an environment's observations.

    Raises:
        UnsupportedEnvironmentError: the observation space is not finite.
    """
    space = env.observation_space
    parts = _parts(space)
    if parts is None:
        advice = "; wrap it in velodrome.envs.Discretize (command line: discretize(ID, bins=10))"
        raise UnsupportedEnvironmentError(
            f"{agent_name} needs a Discrete, MultiDiscrete or Tuple-of-Discrete observation space, but "
            f"{environment_label(env)} has {type(space).__name__}{space.shape or ''}"
            f"{advice if isinstance(space, spaces.Box) else ''}"
        )
    return ObservationIndex(tuple(parts), _first_leaf_dimensions(space))


def _parts(space: gym.Space[Any]) -> list[tuple[int, int]] | None:
    if isinstance(space, spaces.Discrete):
        return [(int(space.n), int(space.start))]
    if isinstance(space, spaces.MultiDiscrete):
        return list(zip(space.nvec.ravel().tolist(), np.asarray(space.start).ravel().tolist(), strict=True))
    if isinstance(space, spaces.MultiBinary):
        return [(2, 0)] * math.prod(space.shape)
    if isinstance(space, spaces.Tuple):
        found = [_parts(child) for child in space.spaces]
        return None if any(part is None for part in found) else [p for part in found if part for p in part]
    return None


def _first_leaf_dimensions(space: gym.Space[Any]) -> int:
    return _first_leaf_dimensions(space.spaces[0]) if isinstance(space, spaces.Tuple) else len(space.shape or ())


def _arrays(observation: Any) -> list[Any]:
    if isinstance(observation, tuple):
        return [leaf for part in observation for leaf in _arrays(part)]
    return [observation]


def _leaves(observation: Any) -> list[Any]:
    leaves: list[Any] = []
    for array in _arrays(observation):
        leaves.extend(array.ravel().tolist() if isinstance(array, np.ndarray) else [array])
    return leaves
