"""Epsilon-greedy: a uniformly random action with probability epsilon, else the greedy one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from velodrome.checks import check_choice
from velodrome.policies.policy import TIES, Policy, ProbabilitiesFunction, SelectFunction, Ties
from velodrome.policies.schedules import Schedule, as_schedule
from velodrome.policies.ties import (
    greedy_first,
    greedy_probabilities_first,
    greedy_probabilities_random,
    greedy_random,
)


def _select_first(
    action_values: Sequence[float], visit_counts: Sequence[int], epsilon: float, rng: np.random.Generator
) -> int:
    if rng.random() < epsilon:
        return int(rng.random() * len(action_values))
    return greedy_first(action_values, rng)


def _select_random(
    action_values: Sequence[float], visit_counts: Sequence[int], epsilon: float, rng: np.random.Generator
) -> int:
    if rng.random() < epsilon:
        return int(rng.random() * len(action_values))
    return greedy_random(action_values, rng)


def _mix_with_uniform(epsilon: float, probabilities: Any) -> None:
    uniform = epsilon / len(probabilities)
    for action in range(len(probabilities)):
        probabilities[action] = (1.0 - epsilon) * probabilities[action] + uniform


def _probabilities_first(
    action_values: Sequence[float], visit_counts: Sequence[int], epsilon: float, probabilities: Any
) -> None:
    greedy_probabilities_first(action_values, probabilities)
    _mix_with_uniform(epsilon, probabilities)


def _probabilities_random(
    action_values: Sequence[float], visit_counts: Sequence[int], epsilon: float, probabilities: Any
) -> None:
    greedy_probabilities_random(action_values, probabilities)
    _mix_with_uniform(epsilon, probabilities)


@dataclass(frozen=True)
class EpsilonGreedy(Policy):
    """Any action uniformly with probability `epsilon` (number or schedule in [0, 1]), else the greedy one.

    Attributes:
        epsilon: probability of a uniformly random action, a number or schedule in [0, 1].
        ties: how a tie for the best action is broken: at "random", or to the "first", which has the lowest index.

    Raises:
        ConfigurationError: `epsilon` leaves [0, 1], or `ties` is neither "random" nor "first".

    Source: Sutton & Barto (2018), section 2.2.
    """

    epsilon: float | Schedule = 0.1
    ties: Ties = "random"
    parameter_range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    indexes_only: ClassVar[bool] = True
    draws_uniforms_only: ClassVar[bool] = True

    def __post_init__(self) -> None:
        as_schedule(self.name, "epsilon", self.epsilon, 0.0, 1.0)
        check_choice(f"{self.name}: ties", self.ties, TIES)

    @property
    def schedule(self) -> Schedule:
        return as_schedule(self.name, "epsilon", self.epsilon, 0.0, 1.0)

    @property
    def select(self) -> SelectFunction:
        return _select_first if self.ties == "first" else _select_random

    @property
    def probabilities(self) -> ProbabilitiesFunction:
        return _probabilities_first if self.ties == "first" else _probabilities_random
