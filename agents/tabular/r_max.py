"""R-MAX: what is not known yet is worth the most that there could be."""

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
from velodrome.checks import check_integer, check_number


class RMaxMemory(NamedTuple):
    """Action values and visit counts (S, A), and the model.

    `model_counts` int64 (S, A) counts the steps that the model was learnt from; `state_values` float64 (S,); `settings`
    float64 (2,): visits until a pair is known, tolerance.
    """

    action_values: np.ndarray
    visit_counts: np.ndarray
    reward_sums: np.ndarray
    ends: np.ndarray
    successors: np.ndarray
    successor_counts: np.ndarray
    num_successors: np.ndarray
    model_counts: np.ndarray
    state_values: np.ndarray
    settings: np.ndarray


def plan_r_max(memory: Any, discount: float) -> None:
    """Value iteration in place on the model of the known pairs; the values of all others stay as they are."""
    change = np.inf
    while change > memory.settings[1]:
        change = 0.0
        for state in range(len(memory.action_values) - 1, -1, -1):
            row = memory.action_values[state]
            for action in range(len(row)):
                count = memory.model_counts[state][action]
                if count >= memory.settings[0]:
                    after = total_after(memory, state * len(row) + action, memory.state_values, 0)
                    row[action] = (memory.reward_sums[state][action] + discount * after) / count
            value = best_of(row)
            change = max(change, abs(value - memory.state_values[state]))
            memory.state_values[state] = value


def learn_r_max(
    memory: Any, state: int, action: int, reward: float, next_state: int, terminated: bool, discount: float
) -> None:
    """Count the transition of a pair that is not known yet; once it is, plan."""
    if memory.model_counts[state][action] < memory.settings[0]:
        record(memory, state, action, reward, next_state, terminated)
        memory.model_counts[state][action] += 1
        if memory.model_counts[state][action] >= memory.settings[0]:
            plan_r_max(memory, discount)


class RMax(BoundedRewardsAgent):
    """R-MAX: a pair is worth `reward_high` / (1 - γ) until it was tried so often that it counts as known.

    The model of a known pair is that of its first visits, and stays. It plans when a pair becomes known, at most S A
    times.

    Args:
        visits_until_known: m, visits after which a pair is known, at least 1.
        tolerance: value iteration stops when no value changes by more; above 0.

    Raises:
        ConfigurationError: a parameter is out of range; the discount must be below 1.

    Source: Brafman & Tennenholtz (2002), R-MAX. Deviations: 1. discounted values, as in Strehl, Li & Littman (2009),
    instead of the average of a number of steps; 2. one agent in a Markov decision process, instead of a stochastic
    game; 3. m is a parameter; 4. an unknown pair has the largest value itself, which is that of a state from which
    nothing leads away.
    """

    visits_until_known: int = 10
    tolerance: float = 1e-4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_below_one(self.name, self.discount)
        check_integer(f"{self.name}: visits_until_known", self.visits_until_known, minimum=1)
        check_number(f"{self.name}: tolerance", self.tolerance, 0.0, np.inf, open_low=True)

    def new_memory(self, num_states: int, num_actions: int) -> RMaxMemory:
        shape, high = (num_states, num_actions), self.reward_range[1]
        best = high / (1.0 - self.discount)
        settings = [self.visits_until_known, self.tolerance]
        return RMaxMemory(
            np.full(shape, best), np.zeros(shape, dtype=np.int64), *model_arrays(num_states, num_actions),
            np.zeros(shape, dtype=np.int64), np.full(num_states, best), np.array(settings, dtype=np.float64),
        )  # fmt: skip

    @property
    def update(self) -> Callable[..., None]:
        return learn_r_max
