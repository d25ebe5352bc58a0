"""A bandit whose arms change while they are pulled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from velodrome.checks import ConfigurationError, check_choice, check_integer, check_number
from velodrome.envs.bandit import BINARY, GAUSSIAN, Arms, Bandit, numbers_of_arms
from velodrome.envs.reward_kind import BINARY as BINARY_REWARDS, RewardKind

RewardName = Literal["gaussian", "bernoulli"]
_REWARDS: tuple[str, ...] = ("gaussian", "bernoulli")


class DriftingBandit(Bandit):
    """Pull one arm an episode; what the arms are worth wanders, or changes at once.

    ## Description
    Expected rewards wander by independent normal steps after every pull, all arms at once (`walk`), or become others
    after given numbers of pulls (`changes`), or both. A reset with a seed begins anew; resets without one go on. One
    pull is one episode.

    ## Action Space
    Discrete(number of arms): the arm to pull.

    ## Observation Space
    Discrete(1): always 0.

    ## Starting State
    State 0.

    ## Rewards
    Normally distributed around the arm's expected reward, or 1 with that probability, else 0.

    ## Episode End
    After one step. Success is having pulled an arm that was best at that pull, whatever it paid. Regret compares with
    the best arm of each pull.

    ## Arguments
    `means=(0, 0, 0, 0, 0, 0, 0, 0, 0, 0)`, expected rewards at the first pull, one an arm; `walk=0.01`, standard
    deviation of a step, 0 for none; `changes={}`, the expected rewards from a number of pulls on, such as
    `{3000: [0.4, 0.3, 0.9]}`; `rewards="gaussian"`, or "bernoulli", which cannot wander; `standard_deviation=1.0` of
    Gaussian rewards. The defaults are exercise 2.5 of Sutton & Barto.

    ## Reference
    Sutton & Barto (2018), exercise 2.5; Garivier & Moulines (2011), On upper-confidence bound policies for switching
    bandit problems.

    ## Version History
    v0: first version.
    """

    def __init__(
        self,
        means: Iterable[float] = (0.0,) * 10,
        walk: float = 0.01,
        changes: Mapping[Any, Iterable[float]] | None = None,
        rewards: RewardName = "gaussian",
        standard_deviation: float = 1.0,
        render_mode: str | None = None,
    ) -> None:
        check_choice("rewards", rewards, _REWARDS)
        is_binary = rewards == "bernoulli"
        low, high = (0.0, 1.0) if is_binary else (-np.inf, np.inf)
        given = np.array(numbers_of_arms("means", means, low, high))
        step = check_number("walk", walk, 0.0)
        if is_binary and step > 0.0:
            raise ConfigurationError(
                f"walk must be 0 with bernoulli rewards, whose probabilities cannot wander, got {walk!r}"
            )
        deviation = check_number("standard_deviation", standard_deviation, 0.0, open_low=True)
        changes_at, changed = _changes(changes, len(given), low, high)
        if step == 0.0 and not len(changes_at):
            raise ConfigurationError("nothing drifts: give walk above 0, or changes")
        arms = Arms(BINARY if is_binary else GAUSSIAN, deviation, step, changes_at, changed, 0, -1)
        kind = BINARY_REWARDS if is_binary else RewardKind("gaussian", standard_deviation=deviation)
        super().__init__(given, arms, kind, render_mode=render_mode)


def _changes(
    given: Mapping[Any, Iterable[float]] | None, num_arms: int, low: float, high: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Numbers of pulls, increasing, and the expected rewards from each on.

    Raises:
        ConfigurationError: naming the change, what is allowed and the value given.
    """
    if not isinstance(given, Mapping) and given is not None:
        raise ConfigurationError(f"changes must name expected rewards by numbers of pulls, got {given!r}")
    rows: dict[int, list[float]] = {}
    for key, means in (given or {}).items():
        # Keys of a table in a TOML or JSON file are text.
        after = check_integer("changes: the number of pulls", int(key) if str(key).isdecimal() else key, minimum=1)
        row = numbers_of_arms(f"changes[{after}]", means, low, high)
        if len(row) != num_arms:
            raise ConfigurationError(f"changes[{after}] must have {num_arms} numbers, one an arm, got {len(row)}")
        rows[after] = row
    order = sorted(rows)
    changed = np.array([rows[after] for after in order], dtype=np.float64).reshape(len(order), num_arms)
    return np.array(order, dtype=np.int64), changed
