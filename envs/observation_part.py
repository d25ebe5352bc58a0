"""A part of an observation that has several, such as the direction of MiniGrid's."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
from gymnasium import spaces, utils

from velodrome.checks import closest
from velodrome.envs.space_parts import parts_of
from velodrome.envs.wrapper_chain import name_of

Key = str | int


class ObservationPart(gym.ObservationWrapper[Any, Any, Any], utils.RecordConstructorArgs):
    """Observe one part of a Dict or Tuple, or a few of them.

    Args:
        env: environment that observes a Dict or a Tuple.
        part: key of a Dict, or position of a Tuple, from 0: what it holds is observed. A list of several: a Dict, or a
            Tuple, of these.

    Raises:
        ValueError: the observations have no parts, or none of that name.
    """

    def __init__(self, env: gym.Env[Any, Any], part: Key | list[Key] | tuple[Key, ...]) -> None:
        space = env.observation_space
        parts = dict(parts_of(space))
        if not parts:
            raise ValueError(f"ObservationPart needs a Dict or Tuple observation space, got {space} of {name_of(env)}")
        self._keys = list(part) if isinstance(part, list | tuple) else [part]
        allowed = ", ".join(map(repr, parts))
        for key in self._keys:
            if isinstance(key, bool) or not isinstance(key, str | int) or key not in parts:
                hint = closest(key, [name for name in parts if isinstance(name, str)]) if isinstance(key, str) else ""
                hint = hint if "did you mean" in hint else f": it has {allowed}"
                raise ValueError(f"the observations of {name_of(env)} have no part {key!r}{hint}")
        if not self._keys or len(set(self._keys)) < len(self._keys):
            raise ValueError(f"part must be one or several different ones of {allowed}, got {part!r}")
        utils.RecordConstructorArgs.__init__(self, part=part)
        gym.ObservationWrapper.__init__(self, env)
        self._is_one = not isinstance(part, list | tuple)
        self._is_dict = isinstance(space, spaces.Dict)
        if self._is_one:
            self.observation_space = parts[self._keys[0]]
        elif self._is_dict:
            self.observation_space = spaces.Dict([(str(key), parts[key]) for key in self._keys])
        else:
            self.observation_space = spaces.Tuple([parts[key] for key in self._keys])

    def observation(self, observation: Any) -> Any:
        """Chosen part of an observation, or the chosen parts."""
        if self._is_one:
            return observation[self._keys[0]]
        if self._is_dict:
            return {key: observation[key] for key in self._keys}
        return tuple(observation[key] for key in self._keys)
