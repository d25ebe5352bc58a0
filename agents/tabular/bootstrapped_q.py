"""Bootstrapped Q-learning: several tables that learn apart, of which one, drawn for each episode, explores."""

from collections.abc import Callable
from dataclasses import field
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from velodrome.agents.engine.seeding import Streams
from velodrome.agents.tabular.action_masks import best_available
from velodrome.agents.tabular.tabular_agent import TabularAgent
from velodrome.checks import check_integer, check_number
from velodrome.policies.greedy import Greedy
from velodrome.policies.policy import Policy
from velodrome.policies.schedules import Schedule


class BootstrappedMemory(NamedTuple):
    """What the acting head says (S, A), visit counts (S, A), the mean of the heads (S, A), and the heads.

    `head_values` float64 (S * heads, A): row `state * heads + head`; `head` int64 (1,) is the one that acts.
    """

    action_values: np.ndarray
    visit_counts: np.ndarray
    greedy_values: np.ndarray
    head_values: np.ndarray
    head: np.ndarray


@lru_cache(maxsize=256)
def make_learn_bootstrapped_q(head_share: float) -> Callable[..., None]:
    """Update of every head that may learn from the step; at an episode's end another head is drawn."""
    is_shared = head_share >= 1.0

    def learn_bootstrapped_q(
        memory: Any, state: int, action: int, reward: float, next_state: int, terminated: bool, ended: bool,
        learning_rate: float, discount: float, rng: Any, next_mask: Any,
    ) -> None:  # fmt: skip
        heads = len(memory.head_values) // len(memory.action_values)
        first, next_first = np.int64(state) * heads, np.int64(next_state) * heads
        total = 0.0
        for head in range(heads):
            row = memory.head_values[first + head]
            if is_shared or rng.random() < head_share:
                target = reward
                if not terminated:
                    target += discount * best_available(memory.head_values[next_first + head], next_mask)
                row[action] += learning_rate * (target - row[action])
            total += row[action]
        memory.greedy_values[state][action] = total / heads
        if ended:
            memory.head[0] = int(rng.random() * heads)
            for place in range(len(memory.action_values)):
                row, chosen = memory.action_values[place], memory.head_values[place * heads + memory.head[0]]
                for column in range(len(row)):
                    row[column] = chosen[column]
        else:
            memory.action_values[state][action] = memory.head_values[first + memory.head[0]][action]

    return learn_bootstrapped_q


class BootstrappedQ(TabularAgent):
    """Bootstrapped Q-learning with randomized priors: Q-learning in `heads` tables, each from its own steps.

    One head, drawn for each episode, acts for all of it, so that an episode pursues one opinion of what is not yet
    known. Greedy acting, evaluation and `action_values` take the mean of the heads; the policy explores besides, so
    that it should be `greedy`.

    Args:
        heads: number of tables, at least 1.
        prior_scale: standard deviation of the prior value that each head has of its own for each pair, at least 0.
        head_share: probability, in (0, 1], that a step is one that a head learns from, drawn for each head.

    Raises:
        ConfigurationError: a parameter is out of range.

    Source: Osband et al. (2016), Deep Exploration via Bootstrapped DQN; Osband, Aslanides & Cassirer (2018),
    Randomized Prior Functions. Deviations: 1. tables for networks: a prior and what is learnt beside it are one table,
    which starts as `initial_value` plus the prior, and the prior fades where it learns; 2. each step is learnt from
    once, as it comes, instead of from a replay; 3. greedy actions are those of the mean, instead of a vote.
    """

    learning_rate: float | Schedule = 0.5
    policy: Policy = field(default_factory=Greedy)
    heads: int = 10
    prior_scale: float = 1.0
    head_share: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integer(f"{self.name}: heads", self.heads, minimum=1)
        check_number(f"{self.name}: prior_scale", self.prior_scale, 0.0, np.inf)
        check_number(f"{self.name}: head_share", self.head_share, 0.0, 1.0, open_low=True)

    def new_memory(self, num_states: int, num_actions: int) -> BootstrappedMemory:
        def table(rows: int) -> np.ndarray:
            return np.full((rows, num_actions), self.initial_value, dtype=np.float64)

        return BootstrappedMemory(
            table(num_states), np.zeros((num_states, num_actions), dtype=np.int64), table(num_states),
            table(num_states * self.heads), np.zeros(1, dtype=np.int64),
        )  # fmt: skip

    def draw_memory(self, memory: BootstrappedMemory, streams: Streams) -> None:
        rng = streams.at(1, 0)
        memory.head_values[...] += self.prior_scale * rng.standard_normal(memory.head_values.shape)
        memory.head[0] = int(rng.random() * self.heads)
        by_state = memory.head_values.reshape(-1, self.heads, memory.head_values.shape[1])
        memory.greedy_values[...] = by_state.mean(axis=1)
        memory.action_values[...] = by_state[:, memory.head[0]]

    @property
    def update(self) -> Callable[..., None]:
        return make_learn_bootstrapped_q(float(self.head_share))
