"""The ten-armed testbed of Sutton and Barto: another bandit for each seed."""

from __future__ import annotations

import numpy as np

from velodrome.checks import check_integer, check_number
from velodrome.envs.bandit import GAUSSIAN, Arms, Bandit, no_changes
from velodrome.envs.reward_kind import RewardKind


class TenArmedTestbed(Bandit):
    """Pull one of ten arms an episode; each seed has arms of its own.

    ## Description
    A reset with a seed draws the arms' true values from a normal distribution of standard deviation 1; resets without
    a seed keep them. An arm pays its true value and normally distributed noise of standard deviation 1. One pull is
    one episode, so 2,000 seeds of 1,000 episodes are the book's 2,000 runs of 1,000 steps.

    ## Action Space
    Discrete(num_arms): the arm to pull.

    ## Observation Space
    Discrete(1): always 0.

    ## Starting State
    State 0.

    ## Rewards
    Normally distributed around the arm's true value, standard deviation 1.

    ## Episode End
    After one step. Success is having pulled a best arm, whatever it paid. Optimum: the largest true value of the seed,
    1.54 on average with ten arms.

    ## Arguments
    `num_arms=10`; `mean=0.0`, around which true values are drawn: 4 for figure 2.5 (gradient bandits).

    ## Reference
    Sutton & Barto (2018), section 2.3.

    ## Version History
    v0: first version.
    """

    def __init__(self, num_arms: int = 10, mean: float = 0.0, render_mode: str | None = None) -> None:
        number = check_integer("num_arms", num_arms, minimum=1)
        means = np.full(number, check_number("mean", mean))
        arms = Arms(GAUSSIAN, 1.0, 0.0, *no_changes(number), 0, -1)
        kind = RewardKind("gaussian", standard_deviation=1.0)
        super().__init__(means, arms, kind, spread=1.0, render_mode=render_mode)
