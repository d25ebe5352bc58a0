"""Reading what an environment returned: each value is what Gymnasium says it is, or is refused in one line.

Python would read much more: bool("False") is true, int(2.7) is 2, float("1") is 1.0.
"""

from math import isfinite, isinf
from typing import Any

import numpy as np

from velodrome.agents.errors import EnvironmentFailureError

_LONGEST_VALUE = 100
_WHOLE = (int, np.integer)

RESET_VALUES = "(observation, info)"
STEP_VALUES = "(observation, reward, terminated, truncated, info)"


def shown(value: Any) -> str:
    """A value in one line for messages, cut if it is long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"


def as_whole_number(value: Any) -> int:
    """A whole number as an int: of Python, of NumPy or an array without dimensions; 2.0 and True are 2 and 1.

    Raises:
        TypeError, ValueError, OverflowError: it is none, such as 2.7, "3", None or an array of shape (1,).
    """
    if type(value) is int:
        return value
    if isinstance(value, _WHOLE):
        return int(value)
    array = np.asarray(value)
    if array.shape != () or array.dtype.kind not in "biuf":
        raise TypeError("no number")
    whole = int(array)
    if whole != array:
        raise ValueError("no whole number")
    return whole


def read_reset(answer: Any) -> tuple[Any, dict[str, Any]]:
    """Observation and info of `env.reset()`.

    Raises:
        EnvironmentFailureError: it returned something else.
    """
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        raise EnvironmentFailureError(f"reset must return {RESET_VALUES}, got {_count(answer)}")
    return answer[0], read_info(answer[1], "reset")


def read_step(answer: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
    """Values of `env.step(action)`.

    Raises:
        EnvironmentFailureError: a value is missing, or is not what it must be.
    """
    observation, reward, terminated, truncated, info = step_values(answer)
    return (
        observation,
        read_reward(reward),
        read_flag("terminated", terminated),
        read_flag("truncated", truncated),
        read_info(info, "step"),
    )


def step_values(answer: Any) -> tuple[Any, Any, Any, Any, Any]:
    """The five values of `env.step(action)`, not yet read.

    Raises:
        EnvironmentFailureError: there are not five.
    """
    if not isinstance(answer, tuple | list) or len(answer) != 5:
        raise EnvironmentFailureError(f"step must return {STEP_VALUES}, got {_count(answer)}")
    observation, reward, terminated, truncated, info = answer
    return observation, reward, terminated, truncated, info


def read_reward(reward: Any) -> float:
    """A reward as a float.

    Raises:
        EnvironmentFailureError: it is no number (text and arrays with dimensions are none), or not finite.
    """
    kind = type(reward)
    if kind is not float and kind is not int:
        array = _scalar(reward)
        if array is None or array.dtype.kind not in "biuf":
            raise EnvironmentFailureError(f"reward {shown(reward)} is not a number")
    try:
        value = float(reward)
    except OverflowError:
        value = np.inf
    if not isfinite(value):
        raise EnvironmentFailureError(f"reward {shown(reward)} is not finite")
    return value


def add_reward(total: float, reward: float) -> float:
    """The return after one more reward.

    Raises:
        EnvironmentFailureError: it is larger than a float can be.
    """
    total += reward
    if isinf(total):
        raise EnvironmentFailureError(f"the return of the episode is not finite any more, after reward {reward!r}")
    return total


def read_flag(field: str, value: Any) -> bool:
    """A yes or no as a bool: True, False, or the numbers 1 and 0, of Python, NumPy or an array without dimensions.

    Args:
        field: name of the value, for the message.
        value: as it was returned.

    Raises:
        EnvironmentFailureError: it is anything else, such as the text "False", None or an array.
    """
    if type(value) is bool:
        return value
    array = _scalar(value)
    if array is None or array.dtype.kind not in "biuf" or not (array == 0 or array == 1):
        raise EnvironmentFailureError(f"{field} {shown(value)} is not True or False")
    return bool(array)


def read_info(info: Any, call: str) -> dict[str, Any]:
    """The info of a `call`, "reset" or "step".

    Raises:
        EnvironmentFailureError: it is no dictionary.
    """
    if not isinstance(info, dict):
        raise EnvironmentFailureError(f"info {shown(info)} of {call} is not a dictionary")
    return info


def read_success(info: dict[str, Any]) -> int:
    """Success that the last info of an episode reports: 1, 0, or -1 where it says nothing.

    Raises:
        EnvironmentFailureError: info["is_success"] is neither true nor false.
    """
    return int(read_flag("info['is_success']", info["is_success"])) if "is_success" in info else -1


def _scalar(value: Any) -> np.ndarray | None:
    """A value as an array without dimensions; None if it is none."""
    try:
        array = np.asarray(value)
    except Exception:
        # Other libraries' tensors refuse in many ways.
        return None
    return array if array.shape == () else None


def _count(answer: Any) -> str:
    if isinstance(answer, tuple | list):
        return f"{len(answer)} value{'s' * (len(answer) != 1)}"
    return f"{type(answer).__name__} {shown(answer)}"
