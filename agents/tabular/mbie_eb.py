"""MBIE-EB: plan on the mean model with a bonus for what was seldom tried."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from velodrome.agents.tabular.learnt_model import (
    BoundedRewardsAgent,
    best_of,
    check_below_one,
    model_arrays,
    record,
    total_after,
)
from velodrome.checks import check_number


class MBIEMemory(NamedTuple):
    """Action values and visit counts (S, A), and the model.

    `next_plan` int64 (S, A) is the count of each pair at which is planned next; `state_values` float64 (S,); `settings`
    float64 (4,): largest reward, bonus scale, growth, tolerance.
    """

    action_values: np.ndarray
    visit_counts: np.ndarray
    reward_sums: np.ndarray
    ends: np.ndarray
    successors: np.ndarray
    successor_counts: np.ndarray
    num_successors: np.ndarray
    next_plan: np.ndarray
    state_values: np.ndarray
    settings: np.ndarray


def plan_mbie_eb(memory: Any, discount: float) -> None:
    """Value iteration in place on the mean model with bonuses."""
    largest = memory.settings[0] / (1.0 - discount)
    change = np.inf
    while change > memory.settings[3]:
        change = 0.0
        for state in range(len(memory.action_values) - 1, -1, -1):
            row = memory.action_values[state]
            for action in range(len(row)):
                count = memory.visit_counts[state][action]
                if count > 0:
                    after = total_after(memory, state * len(row) + action, memory.state_values, 0)
                    value = (memory.reward_sums[state][action] + discount * after) / count
                    row[action] = min(value + memory.settings[1] / math.sqrt(count), largest)
            value = best_of(row)
            change = max(change, abs(value - memory.state_values[state]))
            memory.state_values[state] = value


def learn_mbie_eb(
    memory: Any, state: int, action: int, reward: float, next_state: int, terminated: bool, discount: float
) -> None:
    """Count the transition; plan where the pair's count has grown enough since it last was."""
    record(memory, state, action, reward, next_state, terminated)
    count = memory.visit_counts[state][action]
    if count >= memory.next_plan[state][action]:
        memory.next_plan[state][action] = max(count + 1, math.ceil(count * memory.settings[2]))
        plan_mbie_eb(memory, discount)


class MBIE(BoundedRewardsAgent):
    """MBIE-EB: model-based interval estimation with an exploration bonus, β / √N(s, a), on the mean of what was seen.

    A pair that was never tried is worth `reward_high` / (1 - γ).

    Args:
        bonus_scale: β, at least 0, in units of the rewards.
        growth: it plans when the count of a pair is so many times, at least 1, what it was when it planned for it last.
        tolerance: value iteration stops when no value changes by more; above 0.

    Raises:
        ConfigurationError: a parameter is out of range; the discount must be below 1.

    Source: Strehl & Littman (2008), An Analysis of Model-Based Interval Estimation, MBIE-EB. Deviations: 1. it plans
    when counts have grown, not at each step; `growth=1` plans at each step; 2. no value is above `reward_high` /
    (1 - γ); 3. all visits count, not the first m of a pair alone; 4. β is in the unit of the rewards, which are in a
    range.
    """

    name = "mbie_eb"

    bonus_scale: float = 1.0
    growth: float = 1.1
    tolerance: float = 1e-4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_below_one(self.name, self.discount)
        check_number(f"{self.name}: bonus_scale", self.bonus_scale, 0.0, np.inf)
        check_number(f"{self.name}: growth", self.growth, 1.0, np.inf)
        check_number(f"{self.name}: tolerance", self.tolerance, 0.0, np.inf, open_low=True)

    def new_memory(self, num_states: int, num_actions: int) -> MBIEMemory:
        shape, high = (num_states, num_actions), self.reward_range[1]
        best = high / (1.0 - self.discount)
        settings = [high, self.bonus_scale, self.growth, self.tolerance]
        return MBIEMemory(
            np.full(shape, best), np.zeros(shape, dtype=np.int64), *model_arrays(num_states, num_actions),
            np.ones(shape, dtype=np.int64), np.full(num_states, best), np.array(settings, dtype=np.float64),
        )  # fmt: skip

    @property
    def update(self) -> Callable[..., None]:
        return learn_mbie_eb
