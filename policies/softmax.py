"""Softmax (Boltzmann): better actions exponentially more often."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from velodrome.policies.policy import Policy, ProbabilitiesFunction, SelectFunction
from velodrome.policies.schedules import Schedule, as_schedule
from velodrome.policies.ties import best_value


def room_for(size: int) -> list[float]:
    """Room for so many numbers; compiled code has it on the stack."""
    return [0.0] * size


def _select(
    action_values: Sequence[float], visit_counts: Sequence[int], temperature: float, rng: np.random.Generator
) -> int:
    best = best_value(action_values)
    weights = room_for(len(action_values))
    total = 0.0
    for action in range(len(action_values)):
        weights[action] = math.exp((action_values[action] - best) / temperature)
        total += weights[action]
    threshold = rng.random() * total
    cumulative = 0.0
    chosen = 0
    for action in range(len(action_values)):
        if weights[action] > 0.0:
            # Rounding can leave the last running sum at the threshold: then the last possible action is taken.
            chosen = action
            cumulative += weights[action]
            if cumulative > threshold:
                break
    return chosen


def _probabilities(
    action_values: Sequence[float], visit_counts: Sequence[int], temperature: float, probabilities: Any
) -> None:
    best = best_value(action_values)
    total = 0.0
    for action in range(len(action_values)):
        probabilities[action] = math.exp((action_values[action] - best) / temperature)
        total += probabilities[action]
    for action in range(len(action_values)):
        probabilities[action] /= total


@dataclass(frozen=True)
class Softmax(Policy):
    """Actions with probability proportional to exp(action value / `temperature`).

    `temperature` is a number or schedule > 0 in units of the action values: towards 0 the choice becomes greedy
    (ties shared equally), towards infinity uniform.

    Attributes:
        temperature: a number or schedule above 0, in units of the action values.

    Raises:
        ConfigurationError: `temperature` is not positive.

    Source: Sutton & Barto (2018), eq. 2.11 with preferences action value / temperature.
    """

    temperature: float | Schedule = 1.0
    parameter_range: ClassVar[tuple[float, float]] = (float(np.finfo(np.float64).tiny), np.inf)
    indexes_only: ClassVar[bool] = True
    draws_uniforms_only: ClassVar[bool] = True

    def __post_init__(self) -> None:
        as_schedule(self.name, "temperature", self.temperature, 0.0, np.inf, open_low=True)

    @property
    def schedule(self) -> Schedule:
        return as_schedule(self.name, "temperature", self.temperature, 0.0, np.inf, open_low=True)

    @property
    def select(self) -> SelectFunction:
        return _select

    @property
    def probabilities(self) -> ProbabilitiesFunction:
        return _probabilities
