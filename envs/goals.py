"""Where environments that are known are at their goal, whatever their rewards have become."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.classic_control.acrobot import AcrobotEnv
from gymnasium.envs.classic_control.mountain_car import MountainCarEnv
from gymnasium.envs.toy_text.cliffwalking import CliffWalkingEnv
from gymnasium.envs.toy_text.frozen_lake import FrozenLakeEnv
from gymnasium.envs.toy_text.taxi import TaxiEnv

_DYNAMICS = ("step", "reset")


def goal_states(env: gym.Env[Any, Any]) -> tuple[int, ...]:
    """States of `env.unwrapped` that are its goal; none where they are not known."""
    unwrapped: Any = env.unwrapped
    if isinstance(unwrapped, FrozenLakeEnv):
        letters: Any = unwrapped.desc
        return tuple(int(state) for state in np.flatnonzero(letters == b"G"))
    if isinstance(unwrapped, TaxiEnv):
        # The passenger is at the destination, and no longer in the taxi; the numbers are those of its `encode`.
        return tuple(state for state in range(500) if (state // 4) % 5 == state % 4)
    return (int(unwrapped.nS) - 1,) if isinstance(unwrapped, CliffWalkingEnv) else ()


def knows_goal(env: gym.Env[Any, Any]) -> bool:
    """Whether `is_at_goal` can say of `env` that it is at its goal."""
    return _looker(env.unwrapped) is not None


def is_at_goal(env: gym.Env[Any, Any]) -> bool:
    """Whether `env` stands at its goal; False where that is not known."""
    unwrapped: Any = env.unwrapped
    looks = _looker(unwrapped)
    return looks is not None and looks(unwrapped)


def _looker(unwrapped: Any) -> Callable[[Any], bool] | None:
    kind = type(unwrapped)
    if kind not in _looker_of_class:
        _looker_of_class[kind] = _looker_for(kind)
    return _looker_of_class[kind]


def _looker_for(kind: type) -> Callable[[Any], bool] | None:
    """Finder of the goals of environments of a class; None where its own code may count states differently."""
    for base, looks in _LOOKERS.items():
        if issubclass(kind, base) and all(getattr(kind, name) is getattr(base, name) for name in _DYNAMICS):
            return looks
    return None


def _on_a_g_cell(lake: Any) -> bool:
    return bool(lake.desc.flat[lake.s] == b"G")


def _delivered(taxi: Any) -> bool:
    return (int(taxi.s) // 4) % 5 == int(taxi.s) % 4


def _across(cliff: Any) -> bool:
    return bool(cliff.s == cliff.nS - 1)


def _on_the_hill(car: Any) -> bool:
    if car.state is None:
        return False
    position, velocity = car.state
    return bool(position >= car.goal_position and velocity >= car.goal_velocity)


def _swung_up(acrobot: Any) -> bool:
    return acrobot.state is not None and bool(acrobot._terminal())


_LOOKERS: dict[type, Callable[[Any], bool]] = {
    FrozenLakeEnv: _on_a_g_cell,
    TaxiEnv: _delivered,
    CliffWalkingEnv: _across,
    MountainCarEnv: _on_the_hill,
    AcrobotEnv: _swung_up,
}
_looker_of_class: dict[type, Callable[[Any], bool] | None] = {}
