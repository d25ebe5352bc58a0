"""Explore, then commit: every action equally often at first, afterwards the one that was best."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from velodrome.checks import check_choice, check_integer
from velodrome.policies.policy import TIES, Policy, SelectFunction, Ties
from velodrome.policies.ties import greedy_first, greedy_random


@lru_cache(maxsize=256)
def _select(pulls: int, ties: str) -> SelectFunction:
    greedy = greedy_first if ties == "first" else greedy_random

    def select(
        action_values: Sequence[float], visit_counts: Sequence[int], parameter: float, rng: np.random.Generator
    ) -> int:
        fewest, chosen = visit_counts[0], 0
        committed, most = 0, visit_counts[0]
        for action in range(1, len(visit_counts)):
            if visit_counts[action] < fewest:
                fewest, chosen = visit_counts[action], action
            if visit_counts[action] > most:
                most, committed = visit_counts[action], action
        if fewest < pulls:
            return chosen
        # Whoever was chosen once more is the one.
        return committed if most > pulls else greedy(action_values, rng)

    return select


@dataclass(frozen=True)
class ExploreThenCommit(Policy):
    """Every action `pulls` times, in turn; then for ever the one whose value was the largest, whatever it pays.

    Attributes:
        pulls: how often each action is tried, at least 1.
        ties: how a tie for the best action is broken: at "random", or to the "first", which has the lowest index.

    Raises:
        ConfigurationError: `pulls` is no whole number of at least 1, or `ties` is neither "random" nor "first".

    Source: Lattimore & Szepesvári (2020), Bandit Algorithms, chapter 6.
    """

    pulls: int = 10
    ties: Ties = "random"
    indexes_only: ClassVar[bool] = True
    draws_uniforms_only: ClassVar[bool] = True
    reads_visit_counts: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_integer(f"{self.name}: pulls", self.pulls, minimum=1)
        check_choice(f"{self.name}: ties", self.ties, TIES)

    @property
    def select(self) -> SelectFunction:
        return _select(int(self.pulls), self.ties)
