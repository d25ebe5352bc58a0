"""A bandit whose arms pay normally distributed rewards."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from velodrome.checks import check_number
from velodrome.envs.bandit import GAUSSIAN, Arms, Bandit, no_changes, numbers_of_arms
from velodrome.envs.reward_kind import RewardKind


class GaussianBandit(Bandit):
    """Pull one arm an episode; rewards are normally distributed around each arm's mean.

    ## Description
    Each arm pays a normally distributed reward with its own mean; all have one standard deviation. One pull is one
    episode.

    ## Action Space
    Discrete(number of arms): the arm to pull.

    ## Observation Space
    Discrete(1): always 0.

    ## Starting State
    State 0.

    ## Rewards
    Normally distributed around the arm's mean.

    ## Episode End
    After one step. Success is having pulled a best arm, whatever it paid. Optimum: the largest mean.

    ## Arguments
    `means=(0.0, 0.25, 0.5, 0.75, 1.0)`, one an arm; `standard_deviation=1.0`, above 0.

    ## Reference
    Lai & Robbins (1985), Asymptotically efficient adaptive allocation rules.

    ## Version History
    v0: first version.
    """

    def __init__(
        self,
        means: Iterable[float] = (0.0, 0.25, 0.5, 0.75, 1.0),
        standard_deviation: float = 1.0,
        render_mode: str | None = None,
    ) -> None:
        given = np.array(numbers_of_arms("means", means))
        deviation = check_number("standard_deviation", standard_deviation, 0.0, open_low=True)
        arms = Arms(GAUSSIAN, deviation, 0.0, *no_changes(len(given)), 0, -1)
        kind = RewardKind("gaussian", standard_deviation=deviation)
        super().__init__(given, arms, kind, render_mode=render_mode)
