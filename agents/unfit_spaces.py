"""Refusals of spaces that an agent cannot take: one line with the agent, the space, and what would work there."""

from collections.abc import Callable
from math import prod
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from velodrome.agents.engine.environment_answers import shown
from velodrome.envs.discretize import UNBOUNDED
from velodrome.envs.space_parts import parts_of

# Beyond so many dimensions a table of bins cannot be: two bins each would be more states than 32 bits count.
_MOST_BINNED_DIMENSIONS = 31
# Smaller pictures do not pass through the three convolutions of the network that Mnih et al. (2015) give for pictures.
_SMALLEST_SIDE = 36
_NETWORK = "dqn"


def described(space: gym.Space[Any]) -> str:
    """A space in a few words: "a picture of 210x160x3", "a box of 60 numbers", or as Gymnasium writes it."""
    if isinstance(space, spaces.Box):
        size = prod(space.shape)
        if _is_picture(space):
            return f"a picture of {_sizes(space)}"
        kind = "whole numbers" if space.dtype.kind in "biu" else "numbers"
        kind = kind if size != 1 else kind.removesuffix("s")
        return f"a box of {size} {kind}" if len(space.shape) < 2 else f"an array of {_sizes(space)} {kind}"
    if isinstance(space, spaces.Dict | spaces.Tuple):
        keys = [repr(key) for key, _ in parts_of(space)]
        return f"a Dict of {_listed(keys)}" if isinstance(space, spaces.Dict) else f"a Tuple of {len(keys)} parts"
    return shown(space)


def observations_refused(
    name: str,
    space: gym.Space[Any],
    label: str,
    needs: str,
    is_fit: Callable[[gym.Space[Any]], bool],
    *,
    is_table: bool = False,
) -> str:
    """Refusal of an environment's observations.

    Args:
        name: of the agent.
        space: the observations.
        label: of the environment.
        needs: what the agent needs, such as "a Box".
        is_fit: whether the agent takes a space, for the parts of this one.
        is_table: whether it is an agent whose table could have a row for what it meets.
    """
    advice = _observation_advice(name, space, label, is_fit, is_table)
    return f"{name} needs {needs} observation space, but {label} has {described(space)}: {advice}"


def actions_refused(name: str, space: gym.Space[Any], label: str) -> str:
    """Refusal of an environment's actions by an agent that needs Discrete ones.

    Args:
        name: of the agent.
        space: the actions.
        label: of the environment.
    """
    if has_limits(space):
        advice = f"cut them into bins, binned_actions({name}, bins=5)"
    elif isinstance(space, spaces.Box):
        advice = "without finite limits there are no bins either, take sb3('PPO')"
    else:
        advice = "of the agents here only random takes these"
    return f"{name} needs a Discrete action space, but {label} has {shown(space)}: {advice}"


def has_limits(space: gym.Space[Any]) -> bool:
    """Whether all that a space holds are numbers between finite limits."""
    parts = parts_of(space)
    if parts or not isinstance(space, spaces.Box):
        is_whole = isinstance(space, spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary)
        return is_whole or (bool(parts) and all(has_limits(part) for _, part in parts))
    return bool((np.maximum(np.abs(space.low), np.abs(space.high)) < UNBOUNDED).all())


def _observation_advice(
    name: str, space: gym.Space[Any], label: str, is_fit: Callable[[gym.Space[Any]], bool], is_table: bool
) -> str:
    parts = parts_of(space)
    fitting = [key for key, part in parts if is_fit(part)]
    as_met = f", or number what it meets, numbered({name})" if is_table else ""
    in_bins = f" or discretized({name}, bins=10)" if is_table else ""
    if fitting:
        others = f" (or {_listed([repr(key) for key in fitting[1:]], 'or')})" if len(fitting) > 1 else ""
        return f"name the part that it is to see, observation({label}, {fitting[0]!r}){others}{as_met}"
    if parts:
        boxes = [key for key, part in parts if _fits_into_bins(part)]
        if boxes:
            return f"name a part and cut it into bins, discretize(observation({label}, {boxes[0]!r}), bins=4)"
        return f"none of its parts fits, take random{as_met}"
    if not isinstance(space, spaces.Box):
        return f"take {'random' if space.shape is None else _NETWORK}{as_met}"
    if _is_picture(space):
        has_bytes = space.dtype == np.uint8 and len(space.shape) == 3
        is_large = has_bytes and sorted(space.shape)[1] >= _SMALLEST_SIDE
        networks = "sb3('DQN', policy='CnnPolicy')" if is_large else f"{_NETWORK}{as_met}"
        return (
            f"a table is too small for pictures, take an agent with a network, neural_bandit where an episode is one "
            f"step, {networks}"
        )
    if _fits_into_bins(space) and len(space.shape) == 1:
        return f"cut them into bins, discretize({label}, bins=10){in_bins}"
    few = f"look at a few with discretized({name}, bins=4, dimensions=[0, 1]), or " if is_table else ""
    return f"too many for a table of bins, {few}take an agent with a network, {_NETWORK}"


def _fits_into_bins(space: gym.Space[Any]) -> bool:
    return isinstance(space, spaces.Box) and not _is_picture(space) and prod(space.shape) <= _MOST_BINNED_DIMENSIONS


def _is_picture(space: spaces.Box) -> bool:
    """Whether a space is a grid of numbers from 0 to one and the same largest."""
    low, high = space.low, space.high
    return len(space.shape) in (2, 3) and bool(
        (low == 0).all() and (high == high.flat[0]).all() and high.flat[0] < UNBOUNDED
    )


def _sizes(space: spaces.Box) -> str:
    return "x".join(map(str, space.shape))


def _listed(words: list[str], last: str = "and", most: int = 6) -> str:
    if len(words) > most:
        words = [*words[: most - 1], f"{len(words) - most + 1} more"]
    return f" {last} ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
