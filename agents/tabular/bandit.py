"""The bandit agent: sample averages of the rewards, and a policy that explores by them."""

from collections.abc import Callable
from dataclasses import field
from typing import Any

import numpy as np

from velodrome.agents.tabular.q_learning import QMemory
from velodrome.agents.tabular.tabular_agent import TabularAgent
from velodrome.policies.policy import Policy
from velodrome.policies.schedules import Harmonic, Schedule
from velodrome.policies.uniform import Uniform


def learn_reward(action_values: Any, state: int, action: int, reward: float, learning_rate: float) -> None:
    """One update of an action's mean reward: Q(s, a) += α (r - Q(s, a))."""
    row = action_values[state]
    row[action] += learning_rate * (reward - row[action])


class Bandit(TabularAgent):
    """One bandit a state: the mean reward of every action, by which the policy explores.

    Nothing is bootstrapped: where episodes have several steps, only the reward of the same step counts. The learning
    rate is 1/N(s, a), which makes sample averages; a constant one follows rewards that drift.

    Source: Sutton & Barto (2018), sections 2.2 to 2.7.
    """

    discount: float = field(default=0.0, init=False)
    learning_rate: float | Schedule = Harmonic(clock="visits")

    def new_memory(self, num_states: int, num_actions: int) -> QMemory:
        return QMemory(
            np.full((num_states, num_actions), self.initial_value, dtype=np.float64),
            np.zeros((num_states, num_actions), dtype=np.int64),
        )

    @property
    def update(self) -> Callable[..., None]:
        return learn_reward


class OwnPolicyBandit(TabularAgent):
    """Base of agents that are one bandit a state, and choose by a policy of their own: `__post_init__` sets it."""

    discount: float = field(default=0.0, init=False)
    learning_rate: float = field(default=1.0, init=False)
    initial_value: float = field(default=0.0, init=False)
    policy: Policy = field(default_factory=Uniform, init=False)
    action_mask: bool = field(default=False, init=False)
