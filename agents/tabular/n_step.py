"""n-step Q-learning and n-step Sarsa: targets of n rewards before the bootstrap."""

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import numpy as np

from velodrome.agents.tabular.action_masks import best_available
from velodrome.agents.tabular.tabular_agent import TabularAgent
from velodrome.checks import check_integer


class NStepMemory(NamedTuple):
    """Action values and visit counts (S, A), and a ring of the last n transitions.

    `window` int64 (2,) holds the number of transitions in the ring and the place of the next.
    """

    action_values: np.ndarray
    visit_counts: np.ndarray
    states: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    learning_rates: np.ndarray
    window: np.ndarray


def learn_from_window(
    memory: Any, state: int, action: int, reward: float, ended: bool, bootstrap: float,
    learning_rate: float, discount: float,
) -> None:  # fmt: skip
    """Add a transition; update the pair n steps back, or at the episode's end every pair in the ring.

    Going back from the newest transition, G = r + γ G starts from `bootstrap`, the value after it.
    """
    size = len(memory.rewards)
    count, place = memory.window[0], memory.window[1]
    memory.states[place] = state
    memory.actions[place] = action
    memory.rewards[place] = reward
    memory.learning_rates[place] = learning_rate
    count = min(count + 1, size)
    value = bootstrap
    position = place
    for age in range(count):
        value = memory.rewards[position] + discount * value
        if ended or age == size - 1:
            row = memory.action_values[memory.states[position]]
            column = memory.actions[position]
            row[column] += memory.learning_rates[position] * (value - row[column])
        position = position - 1 if position > 0 else size - 1
    memory.window[0] = 0 if ended else count
    memory.window[1] = place + 1 if place + 1 < size else 0


def learn_n_step_q(
    memory: Any, state: int, action: int, reward: float, next_state: int, terminated: bool, ended: bool, learning_rate:
    float, discount: float, next_mask: Any,
) -> None:  # fmt: skip
    """n-step target that ends in max_a Q(s_n, a)."""
    bootstrap = 0.0 if terminated else best_available(memory.action_values[next_state], next_mask)
    learn_from_window(memory, state, action, reward, ended, bootstrap, learning_rate, discount)


def learn_n_step_sarsa(
    memory: Any, state: int, action: int, reward: float, next_state: int, terminated: bool, ended: bool, next_action:
    int, learning_rate: float, discount: float,
) -> None:  # fmt: skip
    """n-step target that ends in Q(s_n, a_n)."""
    bootstrap = 0.0 if terminated else memory.action_values[next_state][next_action]
    learn_from_window(memory, state, action, reward, ended, bootstrap, learning_rate, discount)


class NStepQ(TabularAgent):
    """n-step Q-learning without off-policy correction; n = 1 is Q-learning.

    A pair's learning rate is the one of the step at which it was visited; at an episode's end the pairs still in
    the ring are updated from the newest to the oldest.

    Attributes:
        n: steps of rewards in a target before it bootstraps, at least 1.

    Raises:
        ConfigurationError: `n` is not a whole number of at least 1.

    Source: Peng & Williams (1996); Mnih et al. (2016), algorithm S2, one thread.
    """

    n: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integer(f"{self.name}: n", self.n, minimum=1)

    def new_memory(self, num_states: int, num_actions: int) -> NStepMemory:
        return NStepMemory(
            np.full((num_states, num_actions), self.initial_value, dtype=np.float64),
            np.zeros((num_states, num_actions), dtype=np.int64),
            np.zeros(self.n, dtype=np.int64),
            np.zeros(self.n, dtype=np.int64),
            np.zeros(self.n, dtype=np.float64),
            np.zeros(self.n, dtype=np.float64),
            np.zeros(2, dtype=np.int64),
        )

    @property
    def update(self) -> Callable[..., None]:
        return learn_n_step_q

    def forget_episode(self, memory: Any) -> None:
        # The ring's place stays, so that an agent that is loaded at an episode's end equals the saved one.
        memory.window[0] = 0


class NStepSarsa(NStepQ):
    """n-step Sarsa; n = 1 is Sarsa.

    Attributes:
        n: steps of rewards in a target before it bootstraps, at least 1.

    Source: Sutton & Barto (2018), section 7.2.
    """

    is_on_policy: ClassVar[bool] = True

    @property
    def update(self) -> Callable[..., None]:
        return learn_n_step_sarsa
