"""Double Q-learning: two tables, each valuing the other's best action, against the maximum's optimism."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from velodrome.agents.tabular import TabularAgent
from velodrome.policies.ties import GREEDY


class DoubleQMemory(NamedTuple):
    """The two tables, their mean (which explores and acts), and the visit counts, each (S, A)."""

    action_values: np.ndarray
    visit_counts: np.ndarray
    first_values: np.ndarray
    second_values: np.ndarray


@lru_cache(maxsize=256)
def make_learn_double_q(greedy: Callable[[Sequence[float], Any], int]) -> Callable[..., None]:
    """Update of double Q-learning with the given greedy choice."""

    def learn_double_q(
        memory: Any, state: int, action: int, reward: float, next_state: int, terminated: bool, ended: bool,
        next_action: int, parameter: float, learning_rate: float, discount: float, rng: Any,
    ) -> None:  # fmt: skip
        first, second = memory.first_values, memory.second_values
        target = reward
        if rng.random() < 0.5:
            if not terminated:
                target += discount * second[next_state][greedy(first[next_state], rng)]
            first[state][action] += learning_rate * (target - first[state][action])
        else:
            if not terminated:
                target += discount * first[next_state][greedy(second[next_state], rng)]
            second[state][action] += learning_rate * (target - second[state][action])
        memory.action_values[state][action] = (first[state][action] + second[state][action]) / 2.0

    return learn_double_q


@dataclass(kw_only=True, eq=False)
class DoubleQLearning(TabularAgent):
    """Double Q-learning: a coin decides which table learns; it picks the action, the other values it.

    The policy sees the mean of the two tables, and ties inside the update are broken as the policy breaks them.

    Source: van Hasselt (2010); Sutton & Barto (2018), eq. 6.10.
    """

    def _new_memory(self, num_states: int, num_actions: int) -> DoubleQMemory:
        def table() -> np.ndarray:
            return np.full((num_states, num_actions), self.initial_value, dtype=np.float64)

        return DoubleQMemory(table(), np.zeros((num_states, num_actions), dtype=np.int64), table(), table())

    def _learn_function(self) -> Callable[..., None]:
        return make_learn_double_q(GREEDY[self.ties])

    def _value_tables(self, memory: Any) -> list[np.ndarray]:
        return [memory.action_values, memory.first_values, memory.second_values]
