"""The wrappers around an environment, and what each of them changes."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
from gymnasium import wrappers

from velodrome.envs.model.known_dynamics import reason_changed

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
_PASSED_ON = ("step", "reset", "unwrapped")


def wrappers_of(env: gym.Env[Any, Any]) -> list[gym.Wrapper[Any, Any, Any, Any]]:
    """The wrappers around `env.unwrapped`, outermost first."""
    chain = []
    while isinstance(env, gym.Wrapper):
        chain.append(env)
        env = env.env
    return chain


def layers_of(env: gym.Env[Any, Any]) -> list[Any]:
    """Return the wrappers around `env.unwrapped`, outermost first, and that itself."""
    return [*wrappers_of(env), env.unwrapped]


def time_limit_of(env: gym.Env[Any, Any]) -> int | None:
    """Steps after which an episode is truncated: the smallest TimeLimit in the chain, None without one."""
    limits = [layer._max_episode_steps for layer in wrappers_of(env) if isinstance(layer, wrappers.TimeLimit)]
    return min(limits, default=None)


def is_transparent(wrapper: gym.Wrapper[Any, Any, Any, Any]) -> bool:
    """Whether `wrapper` leaves observations, actions, their spaces, rewards and dynamics alone, as far as is known."""
    return keeps_spaces(wrapper) and reason_steps_change(wrapper) is None


def keeps_spaces(wrapper: gym.Wrapper[Any, Any, Any, Any]) -> bool:
    """Whether the spaces of `wrapper` are those of what it wraps."""
    inner = wrapper.env
    pairs = (
        (wrapper.observation_space, inner.observation_space),
        (wrapper.action_space, inner.action_space),
    )
    return all(own is wrapped or own == wrapped for own, wrapped in pairs)


def reason_steps_change(wrapper: gym.Wrapper[Any, Any, Any, Any]) -> str | None:
    """Why steps and resets may come out of `wrapper` changed, None where they are passed on as they are."""
    known = type(wrapper) if type(wrapper) in _TRANSPARENT else gym.Wrapper
    return reason_changed(wrapper, known, _PASSED_ON)


def name_of(env: gym.Env[Any, Any]) -> str:
    """The environment's registered id, or its class' name where it has none."""
    return env.spec.id if env.spec is not None else type(env.unwrapped).__name__
