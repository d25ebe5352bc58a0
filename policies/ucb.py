"""UCB: upper confidence bounds, optimism for actions that were tried less."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from velodrome.checks import check_choice
from velodrome.policies.policy import TIES, Policy, ProbabilitiesFunction, SelectFunction, Ties
from velodrome.policies.schedules import Schedule, as_schedule


def _log_visits(visit_counts: Sequence[int]) -> float:
    total = 0
    for action in range(len(visit_counts)):
        total += visit_counts[action]
    return math.log(total) if total > 0 else 0.0


def _upper_bound(value: float, count: int, confidence: float, log_visits: float) -> float:
    return value + confidence * math.sqrt(log_visits / count) if count > 0 else math.inf


def _select_first(
    action_values: Sequence[float], visit_counts: Sequence[int], confidence: float, rng: np.random.Generator
) -> int:
    log_visits = _log_visits(visit_counts)
    best = _upper_bound(action_values[0], visit_counts[0], confidence, log_visits)
    chosen = 0
    for action in range(1, len(action_values)):
        bound = _upper_bound(action_values[action], visit_counts[action], confidence, log_visits)
        if bound > best:
            best = bound
            chosen = action
    return chosen


def _select_random(
    action_values: Sequence[float], visit_counts: Sequence[int], confidence: float, rng: np.random.Generator
) -> int:
    log_visits = _log_visits(visit_counts)
    best = _upper_bound(action_values[0], visit_counts[0], confidence, log_visits)
    first = 0
    num_ties = 1
    for action in range(1, len(action_values)):
        bound = _upper_bound(action_values[action], visit_counts[action], confidence, log_visits)
        if bound > best:
            best = bound
            first = action
            num_ties = 1
        elif bound == best:
            num_ties += 1
    if num_ties == 1:
        return first
    remaining = int(rng.random() * num_ties)
    for action in range(first, len(action_values)):
        if _upper_bound(action_values[action], visit_counts[action], confidence, log_visits) == best:
            if remaining == 0:
                return action
            remaining -= 1
    return first


def _bounds(
    action_values: Sequence[float], visit_counts: Sequence[int], confidence: float, probabilities: Any
) -> float:
    log_visits = _log_visits(visit_counts)
    best = -math.inf
    for action in range(len(action_values)):
        bound = _upper_bound(action_values[action], visit_counts[action], confidence, log_visits)
        probabilities[action] = bound
        if bound > best:
            best = bound
    return best


def _probabilities_first(
    action_values: Sequence[float], visit_counts: Sequence[int], confidence: float, probabilities: Any
) -> None:
    best = _bounds(action_values, visit_counts, confidence, probabilities)
    found = False
    for action in range(len(action_values)):
        is_first_best = probabilities[action] == best and not found
        found = found or is_first_best
        probabilities[action] = 1.0 if is_first_best else 0.0


def _probabilities_random(
    action_values: Sequence[float], visit_counts: Sequence[int], confidence: float, probabilities: Any
) -> None:
    best = _bounds(action_values, visit_counts, confidence, probabilities)
    num_ties = 0
    for action in range(len(action_values)):
        num_ties += 1 if probabilities[action] == best else 0
    share = 1.0 / num_ties if num_ties > 0 else 0.0
    for action in range(len(action_values)):
        probabilities[action] = share if probabilities[action] == best else 0.0


@dataclass(frozen=True)
class UCB(Policy):
    """argmax of action value + `confidence` * sqrt(ln N(s) / N(s, a)); an untried action comes first.

    N(s, a) counts how often the action was taken in the state, N(s) is their sum. `confidence` is a number or
    schedule >= 0, in units of the action values.

    Attributes:
        confidence: weight of the bonus, a number or schedule of at least 0, in units of the action values.
        ties: how a tie for the best action is broken: at "random", or to the "first", which has the lowest index.

    Raises:
        ConfigurationError: `confidence` is negative, or `ties` is neither "random" nor "first".

    Source: Auer, Cesa-Bianchi & Fischer (2002); Sutton & Barto (2018), eq. 2.10, one bandit a state.
    """

    confidence: float | Schedule = 1.0
    ties: Ties = "random"
    parameter_range: ClassVar[tuple[float, float]] = (0.0, np.inf)
    indexes_only: ClassVar[bool] = True
    draws_uniforms_only: ClassVar[bool] = True
    reads_visit_counts: ClassVar[bool] = True

    def __post_init__(self) -> None:
        as_schedule(self.name, "confidence", self.confidence, 0.0, np.inf)
        check_choice(f"{self.name}: ties", self.ties, TIES)

    @property
    def schedule(self) -> Schedule:
        return as_schedule(self.name, "confidence", self.confidence, 0.0, np.inf)

    @property
    def select(self) -> SelectFunction:
        return _select_first if self.ties == "first" else _select_random

    @property
    def probabilities(self) -> ProbabilitiesFunction:
        return _probabilities_first if self.ties == "first" else _probabilities_random


def ucb1(*, ties: Ties = "random") -> UCB:
    """UCB1 of Auer, Cesa-Bianchi & Fischer (2002): `ucb` with confidence √2, for rewards in [0, 1].

    Args:
        ties: how a tie for the best action is broken: at "random", or to the "first", which has the lowest index.
    """
    return UCB(confidence=math.sqrt(2.0), ties=ties)
