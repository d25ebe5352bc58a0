"""UCRL2: act as is best in the best of all models that are still plausible."""

import math
from collections.abc import Callable
from dataclasses import field
from typing import Any, NamedTuple

import numpy as np

from velodrome.agents.tabular.learnt_model import BoundedRewardsAgent, model_arrays, record
from velodrome.checks import check_number

# Sweeps of extended value iteration, at most.
MAX_SWEEPS = 100_000


class UCRL2Memory(NamedTuple):
    """Action values and visit counts (S, A), and the model.

    `model_counts` int64 (S * A,) counts the next states seen; `planned_counts` int64 (S, A) are the visit counts when
    it planned last; `biases` and `new_biases` float64 (S,) are the values of extended value iteration; `pending` int64
    (1,) is 1 + the number of the pair at which an episode ended, until the next one starts, or 0; `num_steps` int64
    (1,); `settings` float64 (4,): smallest and largest reward, failure probability, confidence scale.
    """

    action_values: np.ndarray
    visit_counts: np.ndarray
    reward_sums: np.ndarray
    ends: np.ndarray
    successors: np.ndarray
    successor_counts: np.ndarray
    num_successors: np.ndarray
    model_counts: np.ndarray
    planned_counts: np.ndarray
    biases: np.ndarray
    new_biases: np.ndarray
    pending: np.ndarray
    num_steps: np.ndarray
    settings: np.ndarray


def best_plausible(memory: Any, pair: int, width: float, top: int) -> float:
    """Largest expected bias of the next state over the distributions within L1 distance `width` of the mean.

    Half of the width is added to the state `top` of the largest bias, and taken from those of the smallest.
    """
    number, biases = memory.num_successors[pair], memory.biases
    largest: float = biases[top]
    if number == 0 or width >= 2.0:
        return largest
    count = memory.model_counts[pair]
    successors, counts = memory.successors[pair], memory.successor_counts[pair]
    value: float = 0.0
    at_top = 0.0
    for place in range(number):
        share = counts[place] / count
        value += share * biases[successors[place]]
        if successors[place] == top:
            at_top = share
    excess = min(0.5 * width, 1.0 - at_top)
    value += excess * largest
    # Takes from the successors in the order of their biases; of equal ones, in that of the list.
    last_bias, last_place = -np.inf, -1
    while excess > 0.0:
        lowest = -1
        for place in range(number):
            bias = biases[successors[place]]
            is_next = bias > last_bias or (bias == last_bias and place > last_place)
            if successors[place] != top and is_next and (lowest < 0 or bias < biases[successors[lowest]]):
                lowest = place
        if lowest < 0:
            break
        last_bias, last_place = biases[successors[lowest]], lowest
        taken = min(excess, counts[lowest] / count)
        value -= taken * last_bias
        excess -= taken
    return value


def plan_ucrl2(memory: Any) -> None:
    """Extended value iteration, until the gain is known to 1 / √t of the range of rewards."""
    num_states, num_actions = len(memory.action_values), len(memory.action_values[0])
    low, high = memory.settings[0], memory.settings[1]
    steps, failure, scale = max(memory.num_steps[0], 1), memory.settings[2], memory.settings[3]
    reward_log = math.log(2.0 * num_states * num_actions * steps / failure)
    state_log = math.log(2.0 * num_actions * steps / failure)
    precision = (high - low) / math.sqrt(steps)
    for state in range(num_states):
        memory.biases[state] = 0.0
    sweeps, span = 0, np.inf
    while span >= precision and sweeps < MAX_SWEEPS:
        top = 0
        for state in range(1, num_states):
            if memory.biases[state] > memory.biases[top]:
                top = state
        largest_gain, smallest_gain = -np.inf, np.inf
        for state in range(num_states):
            row = memory.action_values[state]
            best = -np.inf
            for action in range(num_actions):
                pair, count = state * num_actions + action, memory.visit_counts[state][action]
                reward = high
                if count > 0:
                    width = scale * (high - low) * math.sqrt(3.5 * reward_log / count)
                    reward = min(high, memory.reward_sums[state][action] / count + width)
                spread = scale * math.sqrt(14.0 * num_states * state_log / max(memory.model_counts[pair], 1))
                row[action] = reward + best_plausible(memory, pair, spread, top)
                best = max(best, row[action])
            memory.new_biases[state] = best
            largest_gain = max(largest_gain, best - memory.biases[state])
            smallest_gain = min(smallest_gain, best - memory.biases[state])
        span = largest_gain - smallest_gain
        smallest = memory.new_biases[0]
        for state in range(1, num_states):
            smallest = min(smallest, memory.new_biases[state])
        for state in range(num_states):
            memory.biases[state] = memory.new_biases[state] - smallest
        sweeps += 1
    for state in range(num_states):
        for action in range(num_actions):
            memory.planned_counts[state][action] = memory.visit_counts[state][action]


def learn_ucrl2(memory: Any, state: int, action: int, reward: float, next_state: int, terminated: bool) -> None:
    """Count the transition; plan where the visits of the pair have doubled since it last did."""
    num_actions = len(memory.action_values[state])
    if memory.pending[0] > 0:
        pair = memory.pending[0] - 1
        record(memory, pair // num_actions, pair % num_actions, 0.0, state, False)
        memory.model_counts[pair] += 1
        memory.pending[0] = 0
    pair = record(memory, state, action, reward, next_state, terminated)
    if terminated:
        memory.pending[0] = pair + 1
    else:
        memory.model_counts[pair] += 1
    memory.num_steps[0] += 1
    planned = memory.planned_counts[state][action]
    if memory.visit_counts[state][action] - planned >= max(planned, 1):
        plan_ucrl2(memory)


class UCRL2(BoundedRewardsAgent):
    """UCRL2: plans for the largest average reward that any model within the confidence sets allows.

    Mean rewards are within R √(7 ln(2 S A t / δ) / 2 N) of what was seen, transitions within the L1 distance
    √(14 S ln(2 A t / δ) / N); R is the range of rewards, t the number of steps. It plans, by extended value iteration,
    when the visits of a pair have doubled.

    Args:
        failure_probability: δ, in (0, 1].
        confidence_scale: both distances are multiplied by it, at least 0; 1 is the source's.

    Raises:
        ConfigurationError: a parameter is out of range.

    Source: Jaksch, Ortner & Auer (2010), Near-optimal Regret Bounds for Reinforcement Learning.
    Deviations: 1. `confidence_scale`; 2. rewards in a range instead of [0, 1]; 3. an end of an episode leads on to
    where the next one starts, so that the process never ends; where a time limit cuts an episode, the next state is
    what it was; 4. the next phase begins once the visits have doubled, after the step instead of before it; 5. ties are
    broken as the policy breaks them, at each step.
    """

    discount: float = field(default=1.0, init=False)
    failure_probability: float = 0.05
    confidence_scale: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(f"{self.name}: failure_probability", self.failure_probability, 0.0, 1.0, open_low=True)
        check_number(f"{self.name}: confidence_scale", self.confidence_scale, 0.0, np.inf)

    def new_memory(self, num_states: int, num_actions: int) -> UCRL2Memory:
        shape, (low, high) = (num_states, num_actions), self.reward_range
        settings = [low, high, self.failure_probability, self.confidence_scale]
        return UCRL2Memory(
            np.full(shape, high), np.zeros(shape, dtype=np.int64), *model_arrays(num_states, num_actions),
            np.zeros(num_states * num_actions, dtype=np.int64), np.zeros(shape, dtype=np.int64), np.zeros(num_states),
            np.zeros(num_states), np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64),
            np.array(settings, dtype=np.float64),
        )  # fmt: skip

    @property
    def update(self) -> Callable[..., None]:
        return learn_ucrl2
