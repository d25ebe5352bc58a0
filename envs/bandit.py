"""Bandits whose arms need not pay as a transition model can list: normally distributed, drifting or fixed rewards."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any, NamedTuple, Self, SupportsInt, cast

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from velodrome.checks import ConfigurationError, check_choice, check_number
from velodrome.envs.model.known_dynamics import DYNAMICS, reason_changed
from velodrome.envs.model.model_sampling import reason_by_draws, reason_wrapped
from velodrome.envs.model.transition_model import TransitionModel
from velodrome.envs.reward_kind import RewardKind
from velodrome.envs.wrapper_chain import name_of

# How an arm pays around its expected reward: normally distributed, 1 or 0, or exactly that.
GAUSSIAN, BINARY, FIXED = range(3)
# Places of `position`: pulls since the start, and changes that have happened.
PULLS, CHANGES = range(2)


class Arms(NamedTuple):
    """How the arms of a bandit pay and change; numbers and arrays alone, which compiled code reads too.

    Attributes:
        pays: `GAUSSIAN`, `BINARY` or `FIXED`.
        standard_deviation: of Gaussian rewards.
        walk: standard deviation of what is added to each expected reward after each pull; 0 for none.
        changes_at: number of pulls after which expected rewards change at once, increasing, int64 (num_changes,).
        changed: the expected rewards from then on, float64 (num_changes, num_arms).
        repeats_after: pulls after which all begins anew with the first of `changed`; 0 for never.
        best_arm: arm that others are compared with, -1 for the one of the largest expected reward at each pull.
    """

    pays: int
    standard_deviation: float
    walk: float
    changes_at: NDArray[np.int64]
    changed: NDArray[np.float64]
    repeats_after: int
    best_arm: int


def draw_reward(arms: Arms, expected: NDArray[np.float64], arm: int, rng: np.random.Generator) -> float:
    """What an arm pays now; `expected` as `Bandit` keeps it. Both loops call this."""
    mean: float = expected[arm]
    if arms.pays == GAUSSIAN:
        return mean + arms.standard_deviation * rng.standard_normal()
    if arms.pays == BINARY:
        return 1.0 if rng.random() < mean else 0.0
    return mean


def move_on(arms: Arms, expected: NDArray[np.float64], position: NDArray[np.int64], rng: np.random.Generator) -> None:
    """Let expected rewards be those of the next pull. Both loops call this after each pull."""
    position[PULLS] += 1
    num_arms = len(expected) - 1
    has_moved = False
    if arms.walk > 0.0:
        for arm in range(num_arms):
            expected[arm] += arms.walk * rng.standard_normal()
        has_moved = True
    if position[PULLS] == arms.repeats_after:
        position[PULLS] = 0
        position[CHANGES] = 0
    if position[CHANGES] < len(arms.changes_at) and position[PULLS] == arms.changes_at[position[CHANGES]]:
        for arm in range(num_arms):
            expected[arm] = arms.changed[position[CHANGES], arm]
        position[CHANGES] += 1
        has_moved = True
    if has_moved:
        set_best(arms, expected)


def set_best(arms: Arms, expected: NDArray[np.float64]) -> None:
    """Write the best arm's expected reward behind those of all arms."""
    num_arms = len(expected) - 1
    if arms.best_arm >= 0:
        expected[num_arms] = expected[arms.best_arm]
        return
    best = expected[0]
    for arm in range(1, num_arms):
        if expected[arm] > best:
            best = expected[arm]
    expected[num_arms] = best


class Bandit(gym.Env[int, int]):
    """Base of bandits: one pull is one episode, and pulls in a row are of the same arms.

    A subclass hands on how its arms pay, and overrides neither `step` nor `reset`; it then runs in the compiled loop.
    A reset with a seed begins with fresh arms, one without goes on with those that are there.

    Args:
        means: expected rewards of the arms at the first pull, (num_arms,).
        arms: how they pay and change.
        reward_kind: what rewards can be.
        spread: standard deviation around `means` with which each seeded reset draws expected rewards; 0 for none.
        render_mode: "ansi" for text, or None.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 4}  # noqa: RUF012 - Gymnasium's own form

    def __init__(
        self,
        means: NDArray[np.float64],
        arms: Arms,
        reward_kind: RewardKind,
        *,
        spread: float = 0.0,
        render_mode: str | None = None,
    ) -> None:
        check_choice("render_mode", render_mode, (None, *self.metadata["render_modes"]))
        self.means, self.arms, self.reward_kind, self.spread = means, arms, reward_kind, spread
        self.observation_space = cast("spaces.Space[int]", spaces.Discrete(1))
        self.action_space = cast("spaces.Space[int]", spaces.Discrete(len(means)))
        self.render_mode = render_mode
        self.lastaction: int | None = None
        # The arms' expected rewards, and that of the best arm behind them.
        self.expected = np.append(means, 0.0)
        self.position = np.zeros(2, dtype=np.int64)
        self.has_started = False
        set_best(arms, self.expected)

    @property
    def num_arms(self) -> int:
        """Number of arms."""
        return len(self.means)

    @property
    def expected_rewards(self) -> NDArray[np.float64]:
        """Expected reward of each arm at the next pull, float64 (num_arms,); a copy."""
        return self.expected[:-1].copy()

    @property
    def pulls(self) -> int:
        """Pulls since the last reset with a seed."""
        return int(self.position[PULLS])

    @property
    def best_arms(self) -> NDArray[np.bool_]:
        """Which arms are best at the next pull, bool (num_arms,): those of the largest expected reward."""
        if self.arms.best_arm >= 0:
            return np.asarray(np.arange(self.num_arms) == self.arms.best_arm)
        return np.asarray(self.expected[:-1] == self.expected[-1])

    def best_pulls(self, pulled: NDArray[Any], lost: NDArray[np.float64]) -> NDArray[np.int8]:
        """Which pulls were of a best arm, as 0 or 1, int8 (num_pulls,).

        Args:
            pulled: arms, (num_pulls,).
            lost: how much less each was expected to pay than the best arm, (num_pulls,).
        """
        return np.asarray(lost == 0.0 if self.arms.best_arm < 0 else pulled == self.arms.best_arm, dtype=np.int8)

    @property
    def changes(self) -> bool:
        """Whether expected rewards change from pull to pull."""
        return self.arms.walk > 0.0 or len(self.arms.changes_at) > 0

    @property
    def has_own_arms(self) -> bool:
        """Whether each seed has arms of its own."""
        return self.spread > 0.0

    def start(self, rng: np.random.Generator) -> None:
        """Begin with fresh arms, as a reset with a seed does.

        Args:
            rng: generator that expected rewards are drawn from, where they are.
        """
        drawn = self.spread * rng.standard_normal(self.num_arms) if self.spread > 0.0 else 0.0
        self.expected[:-1] = self.means + drawn
        # The first of what repeats holds from the start.
        self.position[:] = 0, np.searchsorted(self.arms.changes_at, 0, side="right")
        self.has_started = True
        set_best(self.arms, self.expected)

    def take_arms(self, other: Bandit) -> None:
        """Go on with the arms of another bandit with the same arguments, as they are now.

        Args:
            other: a bandit with the same arguments.
        """
        self.expected[:], self.position[:], self.has_started = other.expected, other.position, True

    def fresh(self) -> Self:
        """Another bandit with the same arguments, whose arms are not shared."""
        other = copy.copy(self)
        other.expected, other.position, other._np_random = self.expected.copy(), self.position.copy(), None
        return other

    def model_of_expected_rewards(self) -> TransitionModel:
        """Transition model in which each arm always pays what it is expected to pay now; success is a best arm.

        Where arms are compared in hindsight, what it pays on average over all pulls.
        """
        rewards = self.expected_rewards if self.arms.best_arm < 0 else self.arms.changed.mean(axis=0)
        return TransitionModel.from_arrays(
            1,
            self.num_arms,
            probabilities=np.ones(self.num_arms),
            next_states=np.zeros(self.num_arms, dtype=np.int64),
            rewards=rewards,
            terminated=np.ones(self.num_arms, dtype=np.bool_),
            initial_distribution=0,
            success=self.best_arms,
        )

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Wait for a pull: of fresh arms with a seed, else of those that are there. `options` has no effect."""
        super().reset(seed=seed)
        if seed is not None or not self.has_started:
            self.start(self.np_random)
        self.lastaction = None
        return 0, {}

    def step(self, action: SupportsInt) -> tuple[int, float, bool, bool, dict[str, Any]]:
        """Pull an arm.

        info has "is_success", whether it was a best arm, and "pseudo_regret", how much less it was expected to pay
        than the best arm.

        Args:
            action: number of the arm.
        """
        if not self.has_started:
            raise gym.error.ResetNeeded("call reset() before step()")
        arm = int(action)
        if not 0 <= arm < self.num_arms:
            raise ValueError(f"action must be 0 to {self.num_arms - 1}, got {action!r}")
        lost = float(self.expected[-1] - self.expected[arm])
        is_best = lost == 0.0 if self.arms.best_arm < 0 else arm == self.arms.best_arm
        reward = float(draw_reward(self.arms, self.expected, arm, self.np_random))
        move_on(self.arms, self.expected, self.position, self.np_random)
        self.lastaction = arm
        return 0, reward, True, False, {"is_success": is_best, "pseudo_regret": lost}

    def render(self) -> str | None:
        """One line with the arms' expected rewards where render_mode is "ansi", else None with Gymnasium's warning."""
        if self.render_mode is None:
            gym.logger.warn('render() needs render_mode="ansi", given when the environment is made')
            return None
        last = "" if self.lastaction is None else f"({self.lastaction}) "
        return f"{last}expected rewards {', '.join(f'{mean:.3g}' for mean in self.expected[:-1])}\n"


def reason_not_compiled(env: gym.Env[Any, Any]) -> str | None:
    """Why pulls of the compiled loop would differ from those of an environment, None where it is such a `Bandit`.

    Asking changes nothing.
    """
    unwrapped = env.unwrapped
    if not isinstance(unwrapped, Bandit):
        return f"{name_of(unwrapped)} is no bandit"
    return reason_wrapped(env) or reason_changed(unwrapped, Bandit, DYNAMICS) or reason_by_draws(unwrapped)


def no_changes(num_arms: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """`changes_at` and `changed` of arms that never change."""
    return np.zeros(0, dtype=np.int64), np.zeros((0, num_arms))


def numbers_of_arms(name: str, given: Iterable[float], low: float = -np.inf, high: float = np.inf) -> list[float]:
    """One finite number an arm, at least one, each between `low` and `high`.

    Raises:
        ConfigurationError: naming the argument, what is allowed and the value given.
    """
    try:
        numbers = list(given)
    except TypeError:
        raise ConfigurationError(f"{name} must be a list of numbers, one an arm, got {given!r}") from None
    if not numbers:
        raise ConfigurationError(f"{name} must name at least one arm, got {given!r}")
    return [check_number(f"{name}[{arm}]", number, low, high) for arm, number in enumerate(numbers)]
