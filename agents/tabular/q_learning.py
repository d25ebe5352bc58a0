"""Q-learning: learn the value of acting greedily, whatever policy explores."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from velodrome.agents.tabular.action_masks import best_available
from velodrome.agents.tabular.tabular_agent import TabularAgent


class QMemory(NamedTuple):
    """Action values float64 (S, A) and how often each action was taken in each state, int64 (S, A)."""

    action_values: np.ndarray
    visit_counts: np.ndarray


def learn_q(
    action_values: Any, state: int, action: int, reward: float, next_state: int, terminated: bool, learning_rate:
    float, discount: float, next_mask: Any,
) -> None:  # fmt: skip
    """One update of Q-learning: Q(s,a) += α (r + γ max_a' Q(s',a') - Q(s,a)), no bootstrap on termination."""
    target = reward
    if not terminated:
        target += discount * best_available(action_values[next_state], next_mask)
    row = action_values[state]
    row[action] += learning_rate * (target - row[action])


class QLearning(TabularAgent):
    """Q-learning: off-policy temporal-difference control.

    Q(s,a) += α (r + γ max_a' Q(s',a') - Q(s,a)), where nothing is bootstrapped on termination.

    Source: Watkins (1989); Sutton & Barto (2018), eq. 6.8.
    """

    def new_memory(self, num_states: int, num_actions: int) -> QMemory:
        return QMemory(
            np.full((num_states, num_actions), self.initial_value, dtype=np.float64),
            np.zeros((num_states, num_actions), dtype=np.int64),
        )

    @property
    def update(self) -> Callable[..., None]:
        return learn_q
