"""Random noise: the greedy action after Gaussian noise is added to every action value."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from velodrome.checks import check_choice
from velodrome.policies.policy import TIES, Policy, SelectFunction, Ties
from velodrome.policies.schedules import Harmonic, Schedule, as_schedule


def _select_first(
    action_values: Sequence[float], visit_counts: Sequence[int], scale: float, rng: np.random.Generator
) -> int:
    best = action_values[0] + scale * rng.standard_normal()
    chosen = 0
    for action in range(1, len(action_values)):
        value = action_values[action] + scale * rng.standard_normal()
        if value > best:
            best = value
            chosen = action
    return chosen


def _select_random(
    action_values: Sequence[float], visit_counts: Sequence[int], scale: float, rng: np.random.Generator
) -> int:
    best = action_values[0] + scale * rng.standard_normal()
    chosen = 0
    num_ties = 1
    for action in range(1, len(action_values)):
        value = action_values[action] + scale * rng.standard_normal()
        if value == best:
            # Keeping the k-th tie with probability 1/k leaves each tie equally likely (reservoir sampling).
            num_ties += 1
            if rng.random() * num_ties < 1.0:
                chosen = action
        # Written as choices between values, which compiled code makes without a branch that is hard to foresee.
        is_better = value > best
        best = value if is_better else best
        chosen = action if is_better else chosen
        num_ties = 1 if is_better else num_ties
    return chosen


@dataclass(frozen=True)
class RandomNoise(Policy):
    """argmax of action value + `scale` * N(0, 1), one independent draw an action.

    `scale` is a number or schedule >= 0, in units of the action values. Its probabilities have no closed form.

    Attributes:
        scale: standard deviation of the noise, a number or schedule of at least 0.
        ties: how a tie for the best action is broken: at "random", or to the "first", which has the lowest index.

    Raises:
        ConfigurationError: `scale` is negative, or `ties` is neither "random" nor "first".

    Source: the lectures' "exploit versus exploration: add random noise"; `scale` 1/(i+1) there.
    """

    scale: float | Schedule = Harmonic()
    ties: Ties = "random"
    parameter_range: ClassVar[tuple[float, float]] = (0.0, np.inf)
    indexes_only: ClassVar[bool] = True

    def __post_init__(self) -> None:
        as_schedule(self.name, "scale", self.scale, 0.0, np.inf)
        check_choice(f"{self.name}: ties", self.ties, TIES)

    @property
    def schedule(self) -> Schedule:
        return as_schedule(self.name, "scale", self.scale, 0.0, np.inf)

    @property
    def select(self) -> SelectFunction:
        return _select_first if self.ties == "first" else _select_random
