"""Expected Sarsa: learn the value of the exploring policy from its probabilities instead of its next action."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import numpy as np

from velodrome.agents.tabular.action_masks import available_probabilities
from velodrome.agents.tabular.tabular_agent import TabularAgent
from velodrome.checks import ConfigurationError
from velodrome.policies.policy import ProbabilitiesFunction


class ExpectedSarsaMemory(NamedTuple):
    """Action values and visit counts (S, A), and room for one state's probabilities (A,)."""

    action_values: np.ndarray
    visit_counts: np.ndarray
    probabilities: np.ndarray


@lru_cache(maxsize=256)
def make_learn_expected_sarsa(probabilities: ProbabilitiesFunction) -> Callable[..., None]:
    """Update of expected Sarsa for a policy with the given probabilities."""
    fill_probabilities = available_probabilities(probabilities)

    def learn_expected_sarsa(
        memory: Any, state: int, action: int, reward: float, next_state: int, terminated: bool,
        parameter: float, learning_rate: float, discount: float, next_mask: Any,
    ) -> None:  # fmt: skip
        target = reward
        if not terminated:
            values = memory.action_values[next_state]
            fill_probabilities(values, memory.visit_counts[next_state], parameter, memory.probabilities, next_mask)
            expected = 0.0
            for candidate in range(len(values)):
                if memory.probabilities[candidate] > 0.0:
                    expected += memory.probabilities[candidate] * values[candidate]
            target += discount * expected
        row = memory.action_values[state]
        row[action] += learning_rate * (target - row[action])

    return learn_expected_sarsa


class ExpectedSarsa(TabularAgent):
    """Expected Sarsa: Q(s,a) += α (r + γ Σ_a' π(a'|s') Q(s',a') - Q(s,a)).

    Works with every policy that states its probabilities: all but `random_noise`.

    Raises:
        ConfigurationError: the policy states no probabilities.

    Source: van Seijen et al. (2009); Sutton & Barto (2018), eq. 6.9.
    """

    needs_next_parameter: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.policy.probabilities is None:
            raise ConfigurationError(
                f"{self.name}: policy {self.policy.name} states no action probabilities; "
                "use epsilon_greedy, softmax, ucb, greedy or uniform, or sarsa"
            )

    def new_memory(self, num_states: int, num_actions: int) -> ExpectedSarsaMemory:
        return ExpectedSarsaMemory(
            np.full((num_states, num_actions), self.initial_value, dtype=np.float64),
            np.zeros((num_states, num_actions), dtype=np.int64),
            np.zeros(num_actions, dtype=np.float64),
        )

    @property
    def update(self) -> Callable[..., None]:
        fill = self.policy.probabilities
        assert fill is not None
        return make_learn_expected_sarsa(fill)
