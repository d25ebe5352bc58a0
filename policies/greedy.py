"""Greedy: always the action of the largest value."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from velodrome.checks import check_choice
from velodrome.policies.policy import TIES, Policy, ProbabilitiesFunction, SelectFunction, Ties
from velodrome.policies.ties import (
    greedy_first,
    greedy_probabilities_first,
    greedy_probabilities_random,
    greedy_random,
)


def _select_first(
    action_values: Sequence[float], visit_counts: Sequence[int], parameter: float, rng: np.random.Generator
) -> int:
    return greedy_first(action_values, rng)


def _select_random(
    action_values: Sequence[float], visit_counts: Sequence[int], parameter: float, rng: np.random.Generator
) -> int:
    return greedy_random(action_values, rng)


def _probabilities_first(
    action_values: Sequence[float], visit_counts: Sequence[int], parameter: float, probabilities: Any
) -> None:
    greedy_probabilities_first(action_values, probabilities)


def _probabilities_random(
    action_values: Sequence[float], visit_counts: Sequence[int], parameter: float, probabilities: Any
) -> None:
    greedy_probabilities_random(action_values, probabilities)


@dataclass(frozen=True)
class Greedy(Policy):
    """The action of the largest value; `ties` are broken at "random" or by the "first" index.

    Attributes:
        ties: how a tie for the best action is broken: at "random", or to the "first", which has the lowest index.

    Raises:
        ConfigurationError: `ties` is neither "random" nor "first".

    Source: Sutton & Barto (2018), eq. 2.2.
    """

    ties: Ties = "random"
    indexes_only: ClassVar[bool] = True
    draws_uniforms_only: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_choice(f"{self.name}: ties", self.ties, TIES)

    @property
    def select(self) -> SelectFunction:
        return _select_first if self.ties == "first" else _select_random

    @property
    def probabilities(self) -> ProbabilitiesFunction:
        return _probabilities_first if self.ties == "first" else _probabilities_random
