"""Double Q-learning: two tables, each valuing the other's best action, against the maximum's optimism."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from velodrome.agents.tabular.action_masks import greedy_among_available
from velodrome.agents.tabular.tabular_agent import TabularAgent
from velodrome.policies.schedules import Schedule
from velodrome.policies.ties import GREEDY


class DoubleQMemory(NamedTuple):
    """The two tables, their mean (which explores and acts), and the visit counts, each (S, A).

    `first_counts` int64 (S, A) holds how many of the visits the first table learnt from; `turn` int64 (1,) is 0 where
    it learns from the present one.
    """

    action_values: np.ndarray
    visit_counts: np.ndarray
    first_values: np.ndarray
    second_values: np.ndarray
    first_counts: np.ndarray
    turn: np.ndarray


def toss_for_table(visit_counts: Any, first_counts: Any, turn: Any, state: int, action: int, rng: Any) -> int:
    """Number of times that the table whose turn it is has learnt of the pair, this time included."""
    if rng.random() < 0.5:
        turn[0] = 0
        first_counts[state][action] += 1
        return first_counts[state][action]  # type: ignore[no-any-return]
    turn[0] = 1
    return visit_counts[state][action] - first_counts[state][action]  # type: ignore[no-any-return]


@lru_cache(maxsize=256)
def make_learn_double_q(greedy: Callable[[Sequence[float], Any], int]) -> Callable[..., None]:
    """Update of double Q-learning with the given greedy choice."""
    best_of = greedy_among_available(greedy)

    def learn_double_q(
        memory: Any, state: int, action: int, reward: float, next_state: int, terminated: bool, learning_rate: float,
        discount: float, rng: Any, next_mask: Any,
    ) -> None:  # fmt: skip
        first, second = memory.first_values, memory.second_values
        target = reward
        if memory.turn[0] == 0:
            if not terminated:
                best = best_of(first[next_state], memory.visit_counts[next_state], next_mask, rng)
                target += discount * second[next_state][best]
            first[state][action] += learning_rate * (target - first[state][action])
        else:
            if not terminated:
                best = best_of(second[next_state], memory.visit_counts[next_state], next_mask, rng)
                target += discount * first[next_state][best]
            second[state][action] += learning_rate * (target - second[state][action])
        memory.action_values[state][action] = (first[state][action] + second[state][action]) / 2.0

    return learn_double_q


class DoubleQLearning(TabularAgent):
    """Double Q-learning: a coin decides which table learns; it picks the action, the other values it.

    The policy sees the mean of the two tables, and ties inside the update are broken as the policy breaks them. A
    learning rate on the "visits" clock follows how often the table that learns has learnt of the state and action.

    Source: van Hasselt (2010); Sutton & Barto (2018), eq. 6.10.
    """

    @property
    def result_version(self) -> int:
        # Until version 2 the visits of both tables were counted together.
        return max(super().result_version, 2 if self._rate_counts_visits else 1)

    @property
    def _rate_counts_visits(self) -> bool:
        return isinstance(self.learning_rate, Schedule) and self.learning_rate.clock == "visits"

    def new_memory(self, num_states: int, num_actions: int) -> DoubleQMemory:
        def table() -> np.ndarray:
            return np.full((num_states, num_actions), self.initial_value, dtype=np.float64)

        def counts() -> np.ndarray:
            return np.zeros((num_states, num_actions), dtype=np.int64)

        return DoubleQMemory(table(), counts(), table(), table(), counts(), np.zeros(1, dtype=np.int64))

    @property
    def update(self) -> Callable[..., None]:
        return make_learn_double_q(GREEDY[self.ties])

    @property
    def visits(self) -> Callable[..., int]:
        return toss_for_table

    def value_tables(self) -> tuple[str, ...]:
        return "action_values", "first_values", "second_values"

    def from_earlier_release(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        if "first_counts" in arrays:
            return arrays
        if self._rate_counts_visits:
            raise ValueError("an earlier release saved it, which did not count the visits of each table; train it anew")
        # The learning rate does not depend on them.
        return arrays | {"first_counts": arrays["visit_counts"] // 2, "turn": np.zeros(1, dtype=np.int64)}
