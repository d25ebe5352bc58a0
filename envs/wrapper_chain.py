"""What the wrappers around an environment do to it."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
from gymnasium import wrappers

# They neither change what is observed, rewarded or done, nor draw random numbers.
_TRANSPARENT = (
    wrappers.TimeLimit,
    wrappers.OrderEnforcing,
    wrappers.PassiveEnvChecker,
    wrappers.RecordEpisodeStatistics,
    wrappers.RecordVideo,
    wrappers.HumanRendering,
    wrappers.RenderCollection,
)


def wrappers_of(env: gym.Env[Any, Any]) -> list[gym.Wrapper[Any, Any, Any, Any]]:
    """The wrappers around `env.unwrapped`, outermost first."""
    chain = []
    while isinstance(env, gym.Wrapper):
        chain.append(env)
        env = env.env
    return chain


def time_limit_of(env: gym.Env[Any, Any]) -> int | None:
    """Steps after which an episode is truncated: the smallest TimeLimit in the chain, None without one."""
    limits = [layer._max_episode_steps for layer in wrappers_of(env) if isinstance(layer, wrappers.TimeLimit)]
    return min(limits, default=None)


def is_transparent(wrapper: gym.Wrapper[Any, Any, Any, Any]) -> bool:
    """Whether `wrapper` leaves observations, actions, rewards and dynamics alone, as far as can be known."""
    if type(wrapper) in _TRANSPARENT:
        return True
    kind = type(wrapper)
    return kind.step is gym.Wrapper.step and kind.reset is gym.Wrapper.reset


def name_of(env: gym.Env[Any, Any]) -> str:
    """The environment's registered id, or its class' name where it has none."""
    return env.spec.id if env.spec is not None else type(env.unwrapped).__name__
