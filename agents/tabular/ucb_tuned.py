"""UCB-tuned: upper confidence bounds that narrow with the variance of the rewards."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import numpy as np

from velodrome.agents.tabular.bandit import OwnPolicyBandit
from velodrome.checks import check_choice
from velodrome.policies.policy import TIES, Policy, SelectFunction, Ties


class UCBTunedMemory(NamedTuple):
    """Mean rewards and visit counts (S, A), and `statistics` (S, 2 A): each action's count and mean squared reward."""

    action_values: np.ndarray
    visit_counts: np.ndarray
    statistics: np.ndarray


def tuned_bound(mean: float, count: float, mean_square: float, log_total: float) -> float:
    """Mean + sqrt(ln t / n min(1/4, V)), V = mean square - mean² + sqrt(2 ln t / n)."""
    variance = max(mean_square - mean * mean, 0.0) + math.sqrt(2.0 * log_total / count)
    return mean + math.sqrt(log_total / count * min(0.25, variance))


@lru_cache(maxsize=2)
def _select(draws: bool) -> SelectFunction:
    def select(
        action_values: Sequence[float], statistics: Sequence[float], parameter: float, rng: np.random.Generator
    ) -> int:
        total = 0.0
        for action in range(len(action_values)):
            total += statistics[2 * action]
        log_total = math.log(total) if total > 0.0 else 0.0
        best, chosen, num_ties = -math.inf, 0, 0
        for action in range(len(action_values)):
            count, bound = statistics[2 * action], math.inf
            if count > 0.0:
                bound = tuned_bound(action_values[action], count, statistics[2 * action + 1], log_total)
            if bound > best:
                best, chosen, num_ties = bound, action, 1
            elif bound == best and draws:
                num_ties += 1
                if rng.random() * num_ties < 1.0:
                    chosen = action
        return chosen

    return select


@dataclass(frozen=True)
class TunedBounds(Policy):
    """argmax of the tuned bound; an untried action comes first."""

    ties: Ties
    indexes_only: ClassVar[bool] = True
    draws_uniforms_only: ClassVar[bool] = True
    reads_visit_counts: ClassVar[bool] = True

    @property
    def select(self) -> SelectFunction:
        return _select(self.ties == "random")


def learn_moments(memory: Any, state: int, action: int, reward: float) -> None:
    """Update of an action's count, mean and mean square."""
    statistics, values = memory.statistics[state], memory.action_values[state]
    statistics[2 * action] += 1.0
    count = statistics[2 * action]
    values[action] += (reward - values[action]) / count
    statistics[2 * action + 1] += (reward * reward - statistics[2 * action + 1]) / count


class UCBTuned(OwnPolicyBandit):
    """argmax of mean + sqrt(min(1/4, V) ln t / n), V = variance + sqrt(2 ln t / n); an untried action comes first.

    n = N(s, a), t their sum, and V is an upper bound of the action's variance, which 1/4 bounds for rewards in [0, 1].
    One bandit a state, as `bandit`.

    Attributes:
        ties: how a tie for the best action is broken: at "random", or to the "first", which has the lowest index.

    Raises:
        ConfigurationError: `ties` is neither "random" nor "first".

    Source: Auer, Cesa-Bianchi & Fischer (2002), Finite-time analysis of the multiarmed bandit problem, section 4.
    """

    ties: Ties = "random"
    name: ClassVar[str] = "ucb_tuned"
    shown_counts: ClassVar[str] = "statistics"

    def __post_init__(self) -> None:
        check_choice(f"{self.name}: ties", self.ties, TIES)
        self.policy = TunedBounds(self.ties)
        super().__post_init__()

    @property
    def reward_range(self) -> tuple[float, float]:
        return 0.0, 1.0

    def new_memory(self, num_states: int, num_actions: int) -> UCBTunedMemory:
        pairs = (num_states, num_actions)
        return UCBTunedMemory(np.zeros(pairs), np.zeros(pairs, np.int64), np.zeros((num_states, 2 * num_actions)))

    @property
    def update(self) -> Callable[..., None]:
        return learn_moments
