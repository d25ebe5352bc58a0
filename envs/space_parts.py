"""The parts of which Tuple and Dict spaces consist."""

from typing import Any

import gymnasium as gym
from gymnasium import spaces


def parts_of(space: gym.Space[Any]) -> list[tuple[Any, gym.Space[Any]]]:
    """Positions or keys of a Tuple or Dict space with what each holds, in Gymnasium's order; none of other spaces."""
    if isinstance(space, spaces.Dict):
        return list(space.spaces.items())
    return list(enumerate(space.spaces)) if isinstance(space, spaces.Tuple) else []


def has_keys(space: gym.Space[Any]) -> bool:
    """Whether there is a Dict in a space."""
    return isinstance(space, spaces.Dict) or any(has_keys(part) for _, part in parts_of(space))
