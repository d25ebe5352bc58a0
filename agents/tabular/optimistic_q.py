"""Optimistic Q-learning: Q-learning with a bonus for what was seldom tried, which needs no model."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from velodrome.agents.tabular.finite_horizon import FiniteHorizonAgent, begin_horizon, go_on, horizon_ends
from velodrome.agents.tabular.learnt_model import BoundedRewardsAgent, best_of
from velodrome.checks import check_number


class OptimisticQMemory(NamedTuple):
    """The finite-horizon tables, and what is counted besides.

    `step_counts` int64 (horizon * S, A) counts pairs by step; `num_steps` int64 (1,); `settings` float64 (4,): the
    smallest and the largest reward, the failure probability and the bonus scale.
    """

    action_values: np.ndarray
    visit_counts: np.ndarray
    step_values: np.ndarray
    clock: np.ndarray
    step_counts: np.ndarray
    num_steps: np.ndarray
    settings: np.ndarray


def learn_optimistic_q(
    memory: Any, state: int, action: int, reward: float, next_state: int, terminated: bool, ended: bool
) -> None:
    """Q_h(s,a) += α (r + V_h+1(s') + b - Q_h(s,a)), with α = (H + 1) / (H + t) at the t-th time of the pair at h."""
    low, high = memory.settings[0], memory.settings[1]
    num_states, num_actions = len(memory.action_values), len(memory.action_values[state])
    step, horizon = memory.clock[0], memory.clock[1]
    memory.num_steps[0] += 1
    place = step * num_states + np.int64(state)
    memory.step_counts[place][action] += 1
    times = memory.step_counts[place][action]
    target = reward
    if not terminated and step + 1 < horizon:
        following = memory.step_values[(step + 1) * num_states + np.int64(next_state)]
        target += min(best_of(following), (horizon - step - 1) * high)
    log = math.log(num_states * num_actions * memory.num_steps[0] / memory.settings[2])
    target += memory.settings[3] * horizon * (high - low) * math.sqrt(horizon * log / times)
    row = memory.step_values[place]
    row[action] += (horizon + 1.0) / (horizon + times) * (target - row[action])
    if horizon_ends(memory, ended):
        begin_horizon(memory)
    else:
        go_on(memory, next_state)


class OptimisticQ(FiniteHorizonAgent, BoundedRewardsAgent):
    """Optimistic Q-learning: values of each step start at the most that can be earned, and learn with a bonus.

    With H steps, rewards in a range of size R, and ι = ln(S A T / `failure_probability`), the bonus at the t-th time of
    a pair at a step is `bonus_scale` H R √(H ι / t), and the learning rate (H + 1) / (H + t).

    Args:
        bonus_scale: the source's absolute constant c, of which it says that it exists; at least 0.
        failure_probability: p, in (0, 1].

    Raises:
        ConfigurationError: a parameter is out of range.

    Source: Jin et al. (2018), Is Q-learning Provably Efficient?, UCB-Hoeffding. Deviations: 1. T is the
    number of steps so far; 2. a value is at most what can be earned from its step on, instead of H; 3. the bonus is a
    matter of the range of rewards where the source has [0, 1]; 4. an end of the episode is worth 0.
    """

    bonus_scale: float = 1.0
    failure_probability: float = 0.05

    # It learns no model.
    bytes_each = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(f"{self.name}: bonus_scale", self.bonus_scale, 0.0, np.inf)
        check_number(f"{self.name}: failure_probability", self.failure_probability, 0.0, 1.0, open_low=True)

    def new_memory(self, num_states: int, num_actions: int, horizon: int | None = None) -> OptimisticQMemory:
        horizon = horizon or self.horizon or 1
        shape, num_rows = (num_states, num_actions), horizon * num_states
        low, high = self.reward_range
        best = high * np.arange(horizon, 0.0, -1.0)
        settings = [low, high, self.failure_probability, self.bonus_scale]
        return OptimisticQMemory(
            np.full(shape, best[0]), np.zeros(shape, dtype=np.int64),
            np.repeat(best, num_states)[:, None] * np.ones(num_actions), np.array([0, horizon]),
            np.zeros((num_rows, num_actions), dtype=np.int64), np.zeros(1, dtype=np.int64),
            np.array(settings, dtype=np.float64),
        )  # fmt: skip

    @property
    def update(self) -> Callable[..., None]:
        return learn_optimistic_q
