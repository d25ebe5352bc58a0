"""UCB that forgets: over a sliding window, or with pulls that count less the older they are."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import numpy as np

from velodrome.agents.tabular.bandit import OwnPolicyBandit
from velodrome.checks import check_choice, check_integer, check_number
from velodrome.policies.largest_bound import BoundFunction, selecting_largest
from velodrome.policies.policy import TIES, Policy, SelectFunction, Ties


class SlidingWindowMemory(NamedTuple):
    """Mean rewards, visit counts, pulls and sums of rewards in the window (S, A), and the last pulls in a ring.

    `window_actions` and `window_rewards` are (S, window).
    """

    action_values: np.ndarray
    visit_counts: np.ndarray
    window_counts: np.ndarray
    window_sums: np.ndarray
    window_actions: np.ndarray
    window_rewards: np.ndarray


class DiscountedMemory(NamedTuple):
    """Mean rewards, visit counts, and discounted numbers of pulls and sums of rewards (S, A)."""

    action_values: np.ndarray
    visit_counts: np.ndarray
    discounted_counts: np.ndarray
    discounted_sums: np.ndarray


def _log_total(action_values: Sequence[float], counts: Sequence[float]) -> float:
    total = 0.0
    for action in range(len(counts)):
        total += counts[action]
    return math.log(total) if total > 1.0 else 0.0


@lru_cache(maxsize=256)
def _bound(confidence: float) -> BoundFunction:
    def bound(value: float, count: float, level: float) -> float:
        return value + confidence * math.sqrt(level / count)

    return bound


@dataclass(frozen=True)
class UCBOfRemembered(Policy):
    """argmax of mean + `confidence` sqrt(ln n / N(s, a)), n and N being what the agent remembers of its pulls."""

    confidence: float
    ties: Ties
    indexes_only: ClassVar[bool] = True
    draws_uniforms_only: ClassVar[bool] = True
    reads_visit_counts: ClassVar[bool] = True

    @property
    def select(self) -> SelectFunction:
        return selecting_largest(_log_total, _bound(float(self.confidence)), self.ties)


def learn_in_window(memory: Any, state: int, action: int, reward: float) -> None:
    """Forget the pull that leaves the window, and add the newest."""
    counts, sums, values = memory.window_counts[state], memory.window_sums[state], memory.action_values[state]
    actions, rewards = memory.window_actions[state], memory.window_rewards[state]
    visits = 0
    for candidate in range(len(values)):
        visits += memory.visit_counts[state][candidate]
    place = (visits - 1) % len(actions)
    if visits > len(actions):
        oldest = actions[place]
        counts[oldest] -= 1
        # Sums that are taken apart again keep an error of rounding, which must not outlive the last pull.
        sums[oldest] = sums[oldest] - rewards[place] if counts[oldest] > 0 else 0.0
        if counts[oldest] > 0:
            values[oldest] = sums[oldest] / counts[oldest]
    actions[place], rewards[place] = action, reward
    counts[action] += 1
    sums[action] += reward
    values[action] = sums[action] / counts[action]


@lru_cache(maxsize=256)
def make_learn_discounted(decay: float) -> Callable[..., None]:
    """Update of discounted UCB: all counts and sums of the state shrink, and the newest pull is added."""

    def learn_discounted(memory: Any, state: int, action: int, reward: float) -> None:
        counts, sums = memory.discounted_counts[state], memory.discounted_sums[state]
        for candidate in range(len(counts)):
            counts[candidate] *= decay
            sums[candidate] *= decay
        counts[action] += 1.0
        sums[action] += reward
        memory.action_values[state][action] = sums[action] / counts[action]

    return learn_discounted


class _ForgettingUCB(OwnPolicyBandit):
    confidence: float = 1.0
    ties: Ties = "random"

    def __post_init__(self) -> None:
        check_number(f"{self.name}: confidence", self.confidence, 0.0, np.inf)
        check_choice(f"{self.name}: ties", self.ties, TIES)
        self.policy = UCBOfRemembered(float(self.confidence), self.ties)
        super().__post_init__()


class SlidingWindowUCB(_ForgettingUCB):
    """UCB over the last `window` pulls: mean + c sqrt(ln min(t, window) / N(s, a)), all counted in the window.

    An action that has no pull in the window comes first. One bandit a state, as `bandit`.

    Args:
        window: number of pulls of a state that are remembered, at least 1.
        confidence: c, at least 0, in units of the rewards; B sqrt(ξ) of the source, for rewards in [0, B].
        ties: "random" or "first".

    Raises:
        ConfigurationError: `window` is below 1, `confidence` negative, or `ties` none of the two.

    Source: Garivier & Moulines (2011), On upper-confidence bound policies for switching bandit problems.
    """

    window: int
    name: ClassVar[str] = "sliding_window_ucb"
    shown_counts: ClassVar[str] = "window_counts"

    def __post_init__(self) -> None:
        check_integer(f"{self.name}: window", self.window, minimum=1)
        super().__post_init__()

    def new_memory(self, num_states: int, num_actions: int) -> SlidingWindowMemory:
        pairs, ring = (num_states, num_actions), (num_states, int(self.window))
        return SlidingWindowMemory(
            np.zeros(pairs), np.zeros(pairs, np.int64), np.zeros(pairs, np.int64), np.zeros(pairs),
            np.zeros(ring, np.int64), np.zeros(ring),
        )  # fmt: skip

    @property
    def update(self) -> Callable[..., None]:
        return learn_in_window


class DiscountedUCB(_ForgettingUCB):
    """UCB whose pulls count `decay`^age: mean + c sqrt(ln n / N(s, a)), all with discounted pulls, n their sum.

    One bandit a state, as `bandit`; an age is a number of visits of the state.

    Args:
        decay: by which older pulls count less with each newer one, in (0, 1]; 1 is UCB.
        confidence: c, at least 0, in units of the rewards; 2 B sqrt(ξ) of the source, for rewards in [0, B].
        ties: "random" or "first".

    Raises:
        ConfigurationError: `decay` is not in (0, 1], `confidence` negative, or `ties` none of the two.

    Source: Garivier & Moulines (2011), On upper-confidence bound policies for switching bandit problems; Kocsis &
    Szepesvári (2006), Discounted UCB.
    """

    decay: float = 0.99
    name: ClassVar[str] = "discounted_ucb"
    shown_counts: ClassVar[str] = "discounted_counts"

    def __post_init__(self) -> None:
        check_number(f"{self.name}: decay", self.decay, 0.0, 1.0, open_low=True)
        super().__post_init__()

    def new_memory(self, num_states: int, num_actions: int) -> DiscountedMemory:
        pairs = (num_states, num_actions)
        return DiscountedMemory(np.zeros(pairs), np.zeros(pairs, np.int64), np.zeros(pairs), np.zeros(pairs))

    @property
    def update(self) -> Callable[..., None]:
        return make_learn_discounted(float(self.decay))
