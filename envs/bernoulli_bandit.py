"""A bandit whose arms pay 1 with unknown probabilities."""

from __future__ import annotations

from collections.abc import Iterable

from velodrome.checks import check_probability
from velodrome.envs.model.model_environment import ModelEnvironment
from velodrome.envs.model.transition_model import TransitionModel


class BernoulliBandit(ModelEnvironment):
    """Pull one arm an episode.

    ## Description
    Each arm pays 1 with its own probability, else 0. One pull is one episode.

    ## Action Space
    Discrete(number of arms): the arm to pull.

    ## Observation Space
    Discrete(1): always 0.

    ## Starting State
    State 0.

    ## Rewards
    1 with the arm's probability, else 0.

    ## Episode End
    After one step. Success is having pulled a best arm, whatever it paid. Optimum: the largest probability.

    ## Arguments
    `probabilities=(0.1, 0.3, 0.5, 0.7, 0.9)`, one an arm.

    ## Reference
    Thompson (1933), On the likelihood that one unknown probability exceeds another in view of the evidence of
    two samples; Sutton & Barto (2018), chapter 2.

    ## Version History
    v0: first version.
    """

    def __init__(
        self,
        probabilities: Iterable[float] = (0.1, 0.3, 0.5, 0.7, 0.9),
        render_mode: str | None = None,
    ) -> None:
        try:
            given = list(probabilities)
        except TypeError:
            raise ValueError(f"probabilities must be a list of numbers, one an arm, got {probabilities!r}") from None
        arms = [check_probability(f"probabilities[{arm}]", p) for arm, p in enumerate(given)]
        if not arms:
            raise ValueError("probabilities must name at least one arm, got none")
        best = max(arms)
        outcomes = [[[(p, 0, 1.0, True), (1.0 - p, 0, 0.0, True)] for p in arms]]
        success = [[p == best, p == best] for p in arms]
        model = TransitionModel.from_outcomes(outcomes, 0, success=success)
        super().__init__(model, render_mode=render_mode)
