"""A model of rewards and transitions that an agent counts: what the agents that plan on one share.

For each pair of state and action, `successors` lists the next states seen so far in the order of their first visit, and
`successor_counts` how often each followed, so that planning takes time for what was seen alone. There is room for
all states: memory grows with S²A, and an agent refuses a model that would be too large.
"""

from dataclasses import field
from typing import Any, ClassVar

import numpy as np

from velodrome.agents.engine.sampled_model import SampledModel
from velodrome.agents.errors import UnsupportedEnvironmentError, environment_label
from velodrome.agents.tabular.tabular_agent import TabularAgent
from velodrome.agents.tabular.tabular_learner import TabularTask
from velodrome.checks import ConfigurationError, check_number
from velodrome.policies.greedy import Greedy
from velodrome.policies.policy import Policy
from velodrome.policies.schedules import Schedule

# Of one agent's model.
LARGEST_MODEL_BYTES = 1 << 29


def record(memory: Any, state: int, action: int, reward: float, next_state: int, terminated: bool) -> Any:
    """Count one transition; returns the number of the pair. An end is no next state: it is counted in `ends`."""
    pair: Any = np.int64(state) * len(memory.action_values[state]) + np.int64(action)
    memory.reward_sums[state][action] += reward
    if terminated:
        memory.ends[pair] += 1
    else:
        place, number = 0, memory.num_successors[pair]
        successors, counts = memory.successors[pair], memory.successor_counts[pair]
        while place < number and successors[place] != next_state:
            place += 1
        if place == number:
            successors[place] = next_state
            counts[place] = 0
            memory.num_successors[pair] += 1
        counts[place] += 1
    return pair


def total_after(memory: Any, pair: int, values: Any, first: int) -> float:
    """Sum over a pair's next states of their counts times their values, those of state s at `first` + s."""
    total = 0.0
    successors, counts = memory.successors[pair], memory.successor_counts[pair]
    for place in range(memory.num_successors[pair]):
        total += counts[place] * values[first + np.int64(successors[place])]
    return total


def best_of(row: Any) -> float:
    """Largest number of a row."""
    best: float = row[0]
    for place in range(1, len(row)):
        if row[place] > best:
            best = row[place]
    return best


def check_below_one(name: str, discount: float) -> None:
    """Refuse to plan without an end and without a discount.

    Raises:
        ConfigurationError: the discount is 1.
    """
    if discount >= 1.0:
        raise ConfigurationError(f"{name}: discount must be a number in [0, 1), got {discount!r}")


def model_arrays(
    num_states: int, num_actions: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Arrays `reward_sums`, `ends`, `successors`, `successor_counts` and `num_successors` of a model without a step."""
    num_pairs = num_states * num_actions
    return (
        np.zeros((num_states, num_actions)),
        np.zeros(num_pairs, dtype=np.int64),
        np.zeros((num_pairs, num_states), dtype=np.int32),
        np.zeros((num_pairs, num_states), dtype=np.int32),
        np.zeros(num_pairs, dtype=np.int64),
    )


class LearntModelAgent(TabularAgent):
    """A tabular agent that learns a model of its environment, and plans on it.

    It has no learning rate and no initial value, and refuses action masks. A model of more than 512 MiB is refused.

    Raises:
        ConfigurationError: a parameter is out of range.
        UnsupportedEnvironmentError: from `train`: the model would be too large, or rewards are outside their range.
    """

    learning_rate: float | Schedule = field(default=1.0, init=False)
    initial_value: float = field(default=0.0, init=False)
    action_mask: bool = field(default=False, init=False)
    policy: Policy = field(default_factory=Greedy)

    #: Bytes that the model keeps for each state that may follow a pair.
    bytes_each = 8

    def task_of(self, env: Any) -> TabularTask:
        task = super().task_of(env)
        num_states, num_actions = task.index.num_states, task.num_actions
        num_bytes = num_states * num_states * num_actions * self.bytes_each
        if num_bytes > LARGEST_MODEL_BYTES:
            label = env.label if isinstance(env, SampledModel) else environment_label(env)
            raise UnsupportedEnvironmentError(
                f"{self.name}: a model of {label}, {num_states:,} states and {num_actions:,} actions, would take "
                f"{num_bytes:,} bytes, at most {LARGEST_MODEL_BYTES:,} are allowed: take an agent without a model"
            )
        return task

    def readable(self, entries: dict[str, Any], arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        arrays = super().readable(entries, arrays)
        # Compiled code would read beyond the ends of the tables.
        num_states, num_actions = arrays["action_values"].shape
        limits = {"successors": num_states - 1, "num_successors": num_states, "num_outcomes": num_states}
        for name, most in (limits | {"pending": num_states * num_actions}).items():
            if name in arrays and not ((arrays[name] >= 0) & (arrays[name] <= most)).all():
                raise ValueError(f"array {name} holds numbers that are not among 0 to {most}")
        return arrays


class BoundedRewardsAgent(LearntModelAgent):
    """One that knows between which numbers the rewards of a step are.

    Args:
        reward_low: smallest reward of a step.
        reward_high: largest.
    """

    reward_low: float = 0.0
    reward_high: float = 1.0

    rewards_advice: ClassVar[str] = ": give reward_low= and reward_high="

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(f"{self.name}: reward_low", self.reward_low, -np.inf, np.inf)
        check_number(f"{self.name}: reward_high", self.reward_high, -np.inf, np.inf)
        if not self.reward_low < self.reward_high:
            raise ConfigurationError(
                f"{self.name}: reward_high must be above reward_low, got {self.reward_high} and {self.reward_low}"
            )

    @property
    def reward_range(self) -> tuple[float, float]:
        """Smallest and largest reward of a step, as numbers."""
        return float(self.reward_low), float(self.reward_high)
