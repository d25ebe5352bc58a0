"""Uniform: every action equally often, whatever was learnt."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from velodrome.policies.policy import Policy, ProbabilitiesFunction, SelectFunction


def _select(
    action_values: Sequence[float], visit_counts: Sequence[int], parameter: float, rng: np.random.Generator
) -> int:
    return int(rng.random() * len(action_values))


def _probabilities(
    action_values: Sequence[float], visit_counts: Sequence[int], parameter: float, probabilities: Any
) -> None:
    for action in range(len(action_values)):
        probabilities[action] = 1.0 / len(action_values)


@dataclass(frozen=True)
class Uniform(Policy):
    """Every action with the same probability, by one draw."""

    indexes_only: ClassVar[bool] = True
    draws_uniforms_only: ClassVar[bool] = True

    @property
    def select(self) -> SelectFunction:
        return _select

    @property
    def probabilities(self) -> ProbabilitiesFunction:
        return _probabilities
