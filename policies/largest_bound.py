"""The action of the largest bound: what policies with an index an action have in common."""

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Literal

import numpy as np

from velodrome.checks import check_choice, check_number
from velodrome.policies.policy import TIES, Policy, ProbabilitiesFunction, SelectFunction, Ties

Rewards = Literal["bernoulli", "gaussian"]
REWARDS: tuple[str, ...] = ("bernoulli", "gaussian")

# (action_values (A,), visit_counts (A,)) -> level, what the bounds of all actions share
LevelFunction = Callable[[Sequence[float], Sequence[int]], float]
# (action value, visit count of at least 1, level) -> bound
BoundFunction = Callable[[float, int, float], float]


def num_visits(visit_counts: Sequence[int]) -> int:
    """How often any action was taken in the state."""
    total = 0
    for action in range(len(visit_counts)):
        total += visit_counts[action]
    return total


@lru_cache(maxsize=256)
def selecting_largest(level_of: LevelFunction, bound_of: BoundFunction, ties: str) -> SelectFunction:
    """Function that chooses the action of the largest bound; an untried action comes first.

    Of several, it is the one with the lowest index, or with `ties` "random" one of them, by one draw for each after
    the first.
    """
    draws = ties == "random"

    def select(
        action_values: Sequence[float], visit_counts: Sequence[int], parameter: float, rng: np.random.Generator
    ) -> int:
        level = level_of(action_values, visit_counts)
        best, chosen, num_ties = -math.inf, 0, 0
        for action in range(len(action_values)):
            bound = math.inf
            if visit_counts[action] > 0:
                bound = bound_of(action_values[action], visit_counts[action], level)
            if bound > best:
                best, chosen, num_ties = bound, action, 1
            elif bound == best and draws:
                # Keeping the k-th tie with probability 1/k leaves each tie equally likely (reservoir sampling).
                num_ties += 1
                if rng.random() * num_ties < 1.0:
                    chosen = action
        return chosen

    return select


@lru_cache(maxsize=256)
def probabilities_of_largest(level_of: LevelFunction, bound_of: BoundFunction, ties: str) -> ProbabilitiesFunction:
    """Probabilities of `selecting_largest`."""
    shares = ties == "random"

    def fill(action_values: Sequence[float], visit_counts: Sequence[int], parameter: float, probabilities: Any) -> None:
        level = level_of(action_values, visit_counts)
        best, num_best = -math.inf, 0
        for action in range(len(action_values)):
            bound = math.inf
            if visit_counts[action] > 0:
                bound = bound_of(action_values[action], visit_counts[action], level)
            probabilities[action] = bound
            if bound > best:
                best, num_best = bound, 1
            elif bound == best and shares:
                num_best += 1
        left = num_best
        for action in range(len(action_values)):
            is_best = probabilities[action] == best and left > 0
            probabilities[action] = 1.0 / num_best if is_best else 0.0
            left -= 1 if is_best else 0

    return fill


class LargestBound(Policy):
    """Base of policies that take the action of the largest bound; a subclass is a dataclass with a field `ties`."""

    ties: Ties
    indexes_only: ClassVar[bool] = True
    draws_uniforms_only: ClassVar[bool] = True
    reads_visit_counts: ClassVar[bool] = True
    needs_sample_averages: ClassVar[bool] = True

    @property
    @abstractmethod
    def functions(self) -> tuple[LevelFunction, BoundFunction]:
        """Level of a state, and bound of an action."""

    @property
    def select(self) -> SelectFunction:
        return selecting_largest(*self.functions, self.ties)

    @property
    def probabilities(self) -> ProbabilitiesFunction:
        return probabilities_of_largest(*self.functions, self.ties)


@dataclass(frozen=True)
class RewardsBound(LargestBound):
    """Base of those whose bound depends on how rewards are distributed.

    Raises:
        ConfigurationError: `rewards` is neither "bernoulli" nor "gaussian", `standard_deviation` is not positive, or
            `ties` is neither "random" nor "first".
    """

    rewards: Rewards = "bernoulli"
    standard_deviation: float = 1.0
    ties: Ties = "random"

    def __post_init__(self) -> None:
        check_choice(f"{self.name}: rewards", self.rewards, REWARDS)
        check_number(f"{self.name}: standard_deviation", self.standard_deviation, 0.0, np.inf, open_low=True)
        check_choice(f"{self.name}: ties", self.ties, TIES)

    @property
    def reward_range(self) -> tuple[float, float]:
        # Those of "bernoulli" may be anything in [0, 1].
        return (0.0, 1.0) if self.rewards == "bernoulli" else (-np.inf, np.inf)
