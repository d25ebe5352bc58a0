"""Successive elimination: every remaining arm in turn, until it is clearly worse than the best."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import numpy as np

from velodrome.agents.tabular.bandit import OwnPolicyBandit
from velodrome.checks import check_number
from velodrome.policies.policy import Policy, SelectFunction

# Stands for the number of pulls of an arm that has been dropped.
DROPPED = 1 << 62
# The source's constant, which must be above 4.
CONSTANT = 5.0


class SuccessiveEliminationMemory(NamedTuple):
    """Mean rewards and visit counts (S, A), and the counts again with DROPPED for the arms that are out."""

    action_values: np.ndarray
    visit_counts: np.ndarray
    remaining_counts: np.ndarray


def _select_fewest(
    action_values: Sequence[float], remaining_counts: Sequence[int], parameter: float, rng: np.random.Generator
) -> int:
    chosen = 0
    for action in range(1, len(remaining_counts)):
        if remaining_counts[action] < remaining_counts[chosen]:
            chosen = action
    return chosen


@dataclass(frozen=True)
class FewestPulls(Policy):
    """The arm with the fewest pulls; the first of several."""

    indexes_only: ClassVar[bool] = True
    draws_uniforms_only: ClassVar[bool] = True
    reads_visit_counts: ClassVar[bool] = True

    @property
    def select(self) -> SelectFunction:
        return _select_fewest


@lru_cache(maxsize=256)
def make_learn_and_drop(failure_probability: float) -> Callable[..., None]:
    """Update of means, and at the end of a round the dropping of arms that are worse by twice the confidence."""

    def learn_and_drop(memory: Any, state: int, action: int, reward: float) -> None:
        values, remaining = memory.action_values[state], memory.remaining_counts[state]
        values[action] += (reward - values[action]) / memory.visit_counts[state][action]
        if remaining[action] == DROPPED:
            return
        remaining[action] += 1
        pulls = remaining[action]
        best = -math.inf
        for arm in range(len(values)):
            if remaining[arm] < pulls:
                return
            if remaining[arm] == pulls and values[arm] > best:
                best = values[arm]
        width = math.sqrt(math.log(CONSTANT * len(values) * pulls * pulls / failure_probability) / pulls)
        for arm in range(len(values)):
            if remaining[arm] == pulls and best - values[arm] >= 2.0 * width:
                remaining[arm] = DROPPED

    return learn_and_drop


class SuccessiveElimination(OwnPolicyBandit):
    """Pulls all remaining arms in turn; after round t, drops those whose mean is 2 α(t) or more below the best one.

    α(t) = sqrt(ln(5 K t² / δ) / t) of K arms: with probability 1 - δ the best arm stays. One bandit a state.

    Args:
        failure_probability: δ in (0, 1).

    Raises:
        ConfigurationError: `failure_probability` is not in (0, 1).

    Source: Even-Dar, Mannor & Mansour (2006), Action elimination and stopping conditions, algorithm 3.
    """

    failure_probability: float = 0.05
    shown_counts: ClassVar[str] = "remaining_counts"

    def __post_init__(self) -> None:
        name = f"{self.name}: failure_probability"
        check_number(name, self.failure_probability, 0.0, 1.0, open_low=True, open_high=True)
        self.policy = FewestPulls()
        super().__post_init__()

    @property
    def reward_range(self) -> tuple[float, float]:
        return 0.0, 1.0

    def new_memory(self, num_states: int, num_actions: int) -> SuccessiveEliminationMemory:
        pairs = (num_states, num_actions)
        return SuccessiveEliminationMemory(np.zeros(pairs), np.zeros(pairs, np.int64), np.zeros(pairs, np.int64))

    @property
    def update(self) -> Callable[..., None]:
        return make_learn_and_drop(float(self.failure_probability))
