"""Reading what an agent's `act` gave: an action of the space, of Python or NumPy, or a refusal in one line."""

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from velodrome.agents.engine.environment_answers import shown
from velodrome.agents.errors import AgentFailureError
from velodrome.checks import closest


def read_action(answer: Any, space: gym.Space[Any], asked: str) -> Any:
    """An action as environments take it: an int where there are so many, else an array of the space's type and shape.

    Args:
        answer: as it was given: whole numbers of Python or NumPy, arrays or lists of one of them, lists for arrays.
        space: the environment's actions.
        asked: what gave it, for the message, such as "act of mine".

    Raises:
        AgentFailureError: it is no action of the space.
    """
    if isinstance(space, spaces.Discrete):
        first, last = int(space.start), int(space.start + space.n - 1)
        if type(answer) is int and first <= answer <= last:
            return answer
        try:
            array = np.asarray(answer)
        except Exception:
            # Other libraries' tensors refuse in many ways.
            array = np.empty(0)
        if array.size == 1 and array.dtype.kind in "iub" and first <= array.item() <= last:
            return int(array.item())
        raise AgentFailureError(f"{asked} must give a whole number, {first} to {last}, got {_described(answer)}")
    if isinstance(space, spaces.Dict):
        return _read_dict(answer, space, asked)
    if isinstance(space, spaces.Tuple):
        if not isinstance(answer, tuple | list) or len(answer) != len(space.spaces):
            raise AgentFailureError(f"{asked} must give a tuple of {len(space.spaces)} parts, got {_described(answer)}")
        parts = enumerate(zip(answer, space.spaces, strict=True))
        return tuple(read_action(part, child, f"part {number} of {asked}") for number, (part, child) in parts)
    if space.shape is None or not isinstance(space, spaces.Box | spaces.MultiDiscrete | spaces.MultiBinary):
        if space.contains(answer):
            return answer
        raise AgentFailureError(f"{asked} must give an action of {shown(space)}, got {_described(answer)}")
    try:
        array = np.asarray(answer)
        if array.dtype.kind not in "biuf":
            raise TypeError("no numbers")
        action_array = array.astype(space.dtype)
        if space.dtype is not None and space.dtype.kind in "biu" and not np.array_equal(action_array, array):
            raise ValueError("no whole numbers")
    except (TypeError, ValueError):
        raise AgentFailureError(f"{asked} must give an action of {space}, got {_described(answer)}") from None
    if action_array.shape != space.shape:
        raise AgentFailureError(
            f"{asked} must give an action of shape {space.shape}, got {_described(answer)} "
            f"of shape {action_array.shape}"
        )
    if not space.contains(action_array):
        advice = ": clip it, np.clip(action, action_space.low, action_space.high)" * isinstance(space, spaces.Box)
        raise AgentFailureError(f"{asked} gave an action outside {space}, {_described(answer)}{advice}")
    return action_array


def _read_dict(answer: Any, space: spaces.Dict, asked: str) -> dict[str, Any]:
    if not isinstance(answer, Mapping):
        raise AgentFailureError(f"{asked} must give a dict with {_listed(space)}, got {_described(answer)}")
    missing = next((key for key in space.spaces if key not in answer), None)
    unknown = next((key for key in answer if key not in space.spaces), None)
    if unknown is not None:
        hint = closest(str(unknown), space.spaces)
        raise AgentFailureError(f"{asked} gave {unknown!r}, which is no part of the action{hint}")
    if missing is not None:
        raise AgentFailureError(f"{asked} must give a dict with {_listed(space)}, got none with {missing!r}")
    return {key: read_action(answer[key], child, f"{key!r} of {asked}") for key, child in space.spaces.items()}


def _listed(space: spaces.Dict) -> str:
    return ", ".join(map(repr, space.spaces))


def _described(answer: Any) -> str:
    if answer is None:
        return "None"
    kind = type(answer).__name__
    return shown(answer) if kind in ("int", "float", "str", "list", "tuple", "ndarray") else f"{kind} {shown(answer)}"
