"""UCBVI: plan on the mean of what was seen, with a bonus for what is uncertain."""

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np

from velodrome.agents.tabular.finite_horizon import FiniteHorizonAgent, begin_horizon, go_on, horizon_ends
from velodrome.agents.tabular.learnt_model import (
    BoundedRewardsAgent,
    best_of,
    model_arrays,
    record,
    total_after,
)
from velodrome.checks import check_choice, check_number


class UCBVIMemory(NamedTuple):
    """The finite-horizon tables, the model, and what UCBVI counts besides.

    `state_values` float64 ((horizon + 1) * S,) are those of each step, 0 after the last; `step_visits` int64
    (horizon * S,) counts visits of states by step; `settings` float64 (5,) are the smallest and the largest reward, the
    failure probability, the bonus scale and 1 for Bernstein's bonus: numbers of a memory, so that one compiled loop
    serves all.
    """

    action_values: np.ndarray
    visit_counts: np.ndarray
    step_values: np.ndarray
    clock: np.ndarray
    reward_sums: np.ndarray
    ends: np.ndarray
    successors: np.ndarray
    successor_counts: np.ndarray
    num_successors: np.ndarray
    state_values: np.ndarray
    step_visits: np.ndarray
    num_steps: np.ndarray
    settings: np.ndarray


def bernstein_bonus(memory: Any, pair: int, count: int, step: int, size: float, log: float) -> float:
    """Bonus of UCBVI-BF for a pair seen `count` times, at a step that is not the last; `size` is H times the range."""
    num_states, horizon = len(memory.action_values), memory.clock[1]
    first = (step + 1) * num_states
    mean = total_after(memory, pair, memory.state_values, first) / count
    squares, corrections = 0.0, 0.0
    successors, counts = memory.successors[pair], memory.successor_counts[pair]
    largest = size * size
    # 100² H³ S² A L² for rewards in [0, 1].
    rare = 1e4 * largest * horizon * num_states * num_states * len(memory.action_values[0]) * log * log
    for place in range(memory.num_successors[pair]):
        following = first + np.int64(successors[place])
        squares += counts[place] * memory.state_values[following] * memory.state_values[following]
        visits = memory.step_visits[following]
        corrections += counts[place] * (largest if visits == 0 else min(rare / visits, largest))
    variance = max(squares / count - mean * mean, 0.0)
    bonus = math.sqrt(8.0 * log * variance / count) + 14.0 * size * log / (3.0 * count)
    return bonus + math.sqrt(8.0 * corrections / count / count)


def plan_ucbvi(memory: Any) -> None:
    """Values of all steps by backward induction on the mean model with bonuses; no value rises."""
    num_states, num_actions = len(memory.action_values), len(memory.action_values[0])
    horizon, high = memory.clock[1], memory.settings[1]
    size = horizon * (high - memory.settings[0])
    log = math.log(5.0 * num_states * num_actions * max(memory.num_steps[0], 1) / memory.settings[2])
    for step in range(horizon - 1, -1, -1):
        for state in range(num_states):
            row = memory.step_values[step * num_states + state]
            for action in range(num_actions):
                count = memory.visit_counts[state][action]
                if count > 0:
                    pair = state * num_actions + action
                    after = total_after(memory, pair, memory.state_values, (step + 1) * num_states)
                    if memory.settings[4] == 0.0:
                        bonus = 7.0 * size * log / math.sqrt(count)
                    elif step == horizon - 1:
                        bonus = 14.0 * size * log / (3.0 * count)
                    else:
                        bonus = bernstein_bonus(memory, pair, count, step, size, log)
                    value = (memory.reward_sums[state][action] + after) / count + memory.settings[3] * bonus
                    row[action] = min(row[action], value)
            memory.state_values[step * num_states + state] = best_of(row)


def learn_ucbvi(
    memory: Any, state: int, action: int, reward: float, next_state: int, terminated: bool, ended: bool
) -> None:
    """Count the transition; at the end of the episode, or of the horizon, plan."""
    record(memory, state, action, reward, next_state, terminated)
    memory.step_visits[memory.clock[0] * len(memory.action_values) + np.int64(state)] += 1
    memory.num_steps[0] += 1
    if horizon_ends(memory, ended):
        plan_ucbvi(memory)
        begin_horizon(memory)
    else:
        go_on(memory, next_state)


class UCBVI(FiniteHorizonAgent, BoundedRewardsAgent):
    """UCBVI: after each episode, values of each step by backward induction on the mean of the transitions seen.

    To the reward of a pair seen N times comes a bonus. With H steps, rewards in a range of size R, and
    L = ln(5 S A T / `failure_probability`), it is 7 H R L / √N ("hoeffding", UCBVI-CH), or less where the next states'
    values vary little ("bernstein", UCBVI-BF). A pair that was never seen is worth the best that can still be earned.

    Args:
        bonus: "hoeffding" or "bernstein".
        bonus_scale: the bonus is multiplied by it, at least 0; 1 is the source's, which explores far longer than any
            budget here.
        failure_probability: δ, in (0, 1].

    Raises:
        ConfigurationError: a parameter is out of range.

    Source: Azar, Osband & Munos (2017), Minimax Regret Bounds for Reinforcement Learning.
    Deviations: 1. `bonus_scale`; 2. rewards are not known but estimated by their mean; 3. T is the number of steps so
    far; 4. a value is at most `reward_high` times the steps left, instead of H; 5. the bonus grows with the range of
    rewards, which in the source is 1; 6. an episode may end earlier: an end is an outcome of value 0; 7. at the last
    step Bernstein's bonus has no variance and no correction, for nothing follows.
    """

    bonus: Literal["hoeffding", "bernstein"] = "hoeffding"
    bonus_scale: float = 1.0
    failure_probability: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice(f"{self.name}: bonus", self.bonus, ("hoeffding", "bernstein"))
        check_number(f"{self.name}: bonus_scale", self.bonus_scale, 0.0, np.inf)
        check_number(f"{self.name}: failure_probability", self.failure_probability, 0.0, 1.0, open_low=True)

    def new_memory(self, num_states: int, num_actions: int, horizon: int | None = None) -> UCBVIMemory:
        horizon = horizon or self.horizon or 1
        shape = (num_states, num_actions)
        low, high = self.reward_range
        best = high * np.arange(horizon, 0.0, -1.0)
        settings = [low, high, self.failure_probability, self.bonus_scale, float(self.bonus == "bernstein")]
        return UCBVIMemory(
            np.full(shape, best[0]), np.zeros(shape, dtype=np.int64),
            np.ascontiguousarray(np.broadcast_to(best[:, None, None], (horizon, *shape)).reshape(-1, num_actions)),
            np.array([0, horizon]), *model_arrays(num_states, num_actions),
            np.zeros((horizon + 1) * num_states), np.zeros(horizon * num_states, dtype=np.int64),
            np.zeros(1, dtype=np.int64), np.array(settings, dtype=np.float64),
        )  # fmt: skip

    @property
    def update(self) -> Callable[..., None]:
        return learn_ucbvi
