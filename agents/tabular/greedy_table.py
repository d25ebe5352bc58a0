"""Acting greedily on a table of action values."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from velodrome.agents.errors import EnvironmentFailureError
from velodrome.agents.tabular.observation_index import ObservationIndex
from velodrome.policies.ties import GREEDY


@dataclass(frozen=True, eq=False)
class GreedyTable:
    """Action values float64 (S, A), how observations number its rows, and how ties are broken.

    Ties at random draw from `rng`, a stream that training does not share.
    """

    action_values: np.ndarray
    index: ObservationIndex
    action_start: int
    ties: str
    rng: np.random.Generator

    def act(self, observation: Any) -> Any:
        """Greedy action (int) for one observation, or actions int64 (batch,) for a batch.

        Raises:
            EnvironmentFailureError: an observation is outside the space.
        """
        if not self.index.is_batch(observation):
            return self.act_in(self.state_of(observation))
        return self.act_in_all(self.index.index_batch(observation))

    def act_in(self, state: int, mask: Any = None) -> int:
        """Greedy action in a state, among those that `mask` allows."""
        row = self.action_values[state].tolist()
        if mask is not None:
            row = [value if is_available else -math.inf for value, is_available in zip(row, mask, strict=True)]
        return GREEDY[self.ties](row, self.rng) + self.action_start

    def act_in_all(self, states: np.ndarray, masks: np.ndarray | None = None) -> np.ndarray:
        """Greedy actions int64 (batch,) in states, among those that `masks` bool (batch, A) allow."""
        return greedy_actions(self.action_values[states], self.ties, self.rng, masks) + self.action_start

    def state_of(self, observation: Any) -> int:
        """Row of an observation.

        Raises:
            EnvironmentFailureError: the observation is outside the space.
        """
        return state_of(self.index, len(self.action_values), observation)


def greedy_actions(
    action_values: np.ndarray, ties: str, rng: np.random.Generator, masks: np.ndarray | None = None
) -> np.ndarray:
    """Greedy actions int64 (batch,) of action values (batch, A), among those that `masks` bool (batch, A) allow.

    Ties are broken at "random", drawn from `rng`, or by the "first" index.
    """
    is_best = _is_best(action_values, masks)
    if ties == "first":
        return np.asarray(is_best.argmax(axis=1))
    order = is_best.cumsum(axis=1)
    wanted = (rng.random(len(order)) * order[:, -1]).astype(np.int64)
    return np.asarray((order > wanted[:, None]).argmax(axis=1))


def greedy_probabilities(action_values: np.ndarray, ties: str, masks: np.ndarray | None = None) -> np.ndarray:
    """Probability of every action in every state, float64 (S, A), ties shared as they are broken.

    `masks` bool (S, A) allow actions; a state in which they allow none is one in which nothing is done.
    """
    is_best = _is_best(action_values, masks)
    if ties == "first":
        chosen = np.zeros(is_best.shape)
        chosen[np.arange(len(is_best)), is_best.argmax(axis=1)] = 1.0
        return chosen
    return np.asarray(is_best / is_best.sum(axis=1, keepdims=True))


def state_of(index: ObservationIndex, num_states: int, observation: Any) -> int:
    """Row of an observation.

    Raises:
        EnvironmentFailureError: the observation is outside the space.
    """
    if index.is_plain and type(observation) is int and 0 <= observation < num_states:
        return observation
    try:
        state = index.index(observation)
    except (TypeError, ValueError, OverflowError):
        state = -1
    if not 0 <= state < num_states:
        raise EnvironmentFailureError(index.refusal(observation))
    return state


def _is_best(action_values: np.ndarray, masks: np.ndarray | None = None) -> np.ndarray:
    if masks is not None:
        action_values = np.where(masks | ~masks.any(axis=1, keepdims=True), action_values, -np.inf)
    return np.asarray(action_values == action_values.max(axis=1, keepdims=True))
