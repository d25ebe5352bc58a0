"""The gradient bandit: preferences that climb the expected reward."""

from collections.abc import Callable
from dataclasses import field
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from velodrome.agents.tabular.tabular_agent import TabularAgent
from velodrome.checks import check_flag
from velodrome.policies.policy import Policy
from velodrome.policies.softmax import Softmax


class GradientBanditMemory(NamedTuple):
    """Preferences and visit counts (S, A), mean rewards (S,), and room for one state's probabilities (A,)."""

    action_values: np.ndarray
    visit_counts: np.ndarray
    mean_rewards: np.ndarray
    probabilities: np.ndarray


@lru_cache(maxsize=2)
def make_learn_preferences(baseline: bool) -> Callable[..., None]:
    """Update of the gradient bandit, with or without a baseline."""
    fill_probabilities = Softmax(temperature=1.0).probabilities

    def learn_preferences(memory: Any, state: int, action: int, reward: float, learning_rate: float) -> None:
        preferences, counts = memory.action_values[state], memory.visit_counts[state]
        visits = 0
        for candidate in range(len(preferences)):
            visits += counts[candidate]
        compared = 0.0
        if baseline:
            # The mean of the rewards before; of the first one, itself.
            compared = memory.mean_rewards[state] if visits > 1 else reward
        memory.mean_rewards[state] += (reward - memory.mean_rewards[state]) / visits
        fill_probabilities(preferences, counts, 1.0, memory.probabilities)
        change = learning_rate * (reward - compared)
        for candidate in range(len(preferences)):
            taken = 1.0 if candidate == action else 0.0
            preferences[candidate] += change * (taken - memory.probabilities[candidate])

    return learn_preferences


class GradientBandit(TabularAgent):
    """Preferences H(s, a), chosen by softmax: H(s, b) += α (r - r̄) ([b = a] - π(b|s)).

    Its `action_values` are the preferences, which have no unit. The baseline r̄ is the mean of the rewards in the state
    before this one, or 0 without; at the first reward it is that reward. One bandit a state, as `bandit`.

    Args:
        learning_rate: step size α, a number in (0, 1] or a schedule.
        baseline: compare each reward with the mean so far.

    Raises:
        ConfigurationError: a parameter is out of range.

    Source: Sutton & Barto (2018), section 2.8, eq. 2.12.
    """

    baseline: bool = True
    discount: float = field(default=0.0, init=False)
    initial_value: float = field(default=0.0, init=False)
    policy: Policy = field(default_factory=Softmax, init=False)
    action_mask: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_flag(f"{self.name}: baseline", self.baseline)

    def new_memory(self, num_states: int, num_actions: int) -> GradientBanditMemory:
        return GradientBanditMemory(
            np.zeros((num_states, num_actions), dtype=np.float64),
            np.zeros((num_states, num_actions), dtype=np.int64),
            np.zeros(num_states, dtype=np.float64),
            np.zeros(num_actions, dtype=np.float64),
        )

    @property
    def update(self) -> Callable[..., None]:
        return make_learn_preferences(self.baseline)
