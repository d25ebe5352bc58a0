"""Dyna-Q: after each real step, learn again from remembered ones."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from velodrome.agents.tabular.q_learning import learn_q
from velodrome.agents.tabular.tabular_agent import TabularAgent
from velodrome.checks import check_integer


class DynaMemory(NamedTuple):
    """Action values and visit counts (S, A), and the learnt model: what each pair led to last.

    `known_states`, `known_actions` list the pairs seen so far in the order of their first visit; `num_known`
    int64 (1,) is their number. `model_masks` int8 (S * A, A) holds the action mask of the state that each pair led to,
    for agents with masks; without, it has no rows.
    """

    action_values: np.ndarray
    visit_counts: np.ndarray
    model_rewards: np.ndarray
    model_states: np.ndarray
    model_terminated: np.ndarray
    known_states: np.ndarray
    known_actions: np.ndarray
    num_known: np.ndarray
    model_masks: np.ndarray


def remember_mask(memory: Any, state: int, action: int, next_mask: Any) -> None:
    """Keep the action mask of the state that a pair led to."""
    kept = memory.model_masks[np.int64(state) * len(next_mask) + np.int64(action)]
    for candidate in range(len(next_mask)):
        kept[candidate] = next_mask[candidate]


def remembered_mask(memory: Any, state: int, action: int, mask: Any) -> Any:
    """The action mask of the state that a pair led to; None where `mask`, of the present state, is None."""
    if mask is None:
        return None
    return memory.model_masks[np.int64(state) * len(mask) + np.int64(action)]


@lru_cache(maxsize=256)
def make_learn_dyna_q(planning_steps: int) -> Callable[..., None]:
    """Update of Dyna-Q with a fixed number of planning steps."""

    def learn_dyna_q(
        memory: Any, state: int, action: int, reward: float, next_state: int, terminated: bool, learning_rate: float,
        discount: float, rng: Any, mask: Any, next_mask: Any,
    ) -> None:  # fmt: skip
        learn_q(memory.action_values, state, action, reward, next_state, terminated, learning_rate, discount, next_mask)
        if memory.visit_counts[state][action] == 1:
            memory.known_states[memory.num_known[0]] = state
            memory.known_actions[memory.num_known[0]] = action
            memory.num_known[0] += 1
        memory.model_rewards[state][action] = reward
        memory.model_states[state][action] = next_state
        memory.model_terminated[state][action] = 1 if terminated else 0
        if next_mask is not None:
            remember_mask(memory, state, action, next_mask)
        for _ in range(planning_steps):
            known = int(rng.random() * memory.num_known[0])
            past_state, past_action = memory.known_states[known], memory.known_actions[known]
            past_end = memory.model_terminated[past_state][past_action] != 0
            learn_q(
                memory.action_values, past_state, past_action, memory.model_rewards[past_state][past_action],
                memory.model_states[past_state][past_action], past_end, learning_rate, discount,
                remembered_mask(memory, past_state, past_action, mask),
            )  # fmt: skip

    return learn_dyna_q


class DynaQ(TabularAgent):
    """Dyna-Q: Q-learning plus `planning_steps` updates from a learnt model after each step; 0 is Q-learning.

    The model remembers the last outcome of each pair, as for a deterministic environment. Planning draws pairs
    uniformly from those seen, and uses the learning rate of the real step.

    Attributes:
        planning_steps: updates from the model after each step, at least 0.

    Raises:
        ConfigurationError: `planning_steps` is not a whole number of at least 0.

    Source: Sutton (1990); Sutton & Barto (2018), section 8.2.
    """

    planning_steps: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integer(f"{self.name}: planning_steps", self.planning_steps, minimum=0)

    def new_memory(self, num_states: int, num_actions: int) -> DynaMemory:
        shape, num_pairs = (num_states, num_actions), num_states * num_actions
        return DynaMemory(
            np.full(shape, self.initial_value, dtype=np.float64),
            np.zeros(shape, dtype=np.int64),
            np.zeros(shape, dtype=np.float64),
            np.zeros(shape, dtype=np.int64),
            np.zeros(shape, dtype=np.int8),
            np.zeros(num_pairs, dtype=np.int64),
            np.zeros(num_pairs, dtype=np.int64),
            np.zeros(1, dtype=np.int64),
            np.zeros((num_pairs if self.action_mask else 0, num_actions), dtype=np.int8),
        )

    @property
    def update(self) -> Callable[..., None]:
        return make_learn_dyna_q(int(self.planning_steps))

    def from_earlier_release(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        if "model_masks" in arrays:
            return arrays
        values = arrays["action_values"]
        # Masks stood in the table then, so that only those that are a function of the state are still known.
        masks = (
            (values > -np.inf)[arrays["model_states"].ravel()] if self.action_mask else np.ones((0, values.shape[1]))
        )
        return arrays | {"model_masks": masks.astype(np.int8)}
