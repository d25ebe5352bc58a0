"""Argument checks and the base of all errors: what every room may import, and nothing of the rooms."""

import difflib
import math
from collections.abc import Iterable
from typing import Any

import numpy as np


class VelodromeError(Exception):
    """Base of all errors that velodrome raises on purpose; the message is one line."""


class ConfigurationError(VelodromeError, ValueError):
    """A parameter is unknown, misspelt or out of range; the message is one line that says what is allowed."""


def check_integer(name: str, value: object, *, minimum: int, maximum: int | None = None) -> int:
    """`value` as an int between `minimum` and `maximum`, both allowed.

    Args:
        name: of the argument, for the message.
        value: what was given; a bool is no number.
        minimum: smallest that is allowed.
        maximum: largest that is allowed; any if None.

    Raises:
        ConfigurationError: naming the argument, what is allowed and the value given.
    """
    allowed = f"a whole number of at least {minimum}" + (f" and at most {maximum}" if maximum is not None else "")
    is_integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_integer or value < minimum or (maximum is not None and value > maximum):  # type: ignore[operator]
        raise ConfigurationError(f"{name} must be {allowed}, got {value!r}")
    return int(value)  # type: ignore[call-overload, no-any-return]


def check_number(
    name: str, value: object, low: float = -math.inf, high: float = math.inf, *, open_low: bool = False,
    open_high: bool = False,
) -> float:  # fmt: skip
    """`value` as a finite float between `low` and `high`, which are allowed unless they are open.

    Args:
        name: of the argument, for the message.
        value: what was given; a bool is no number.
        low: lower end.
        high: upper end.
        open_low: whether `low` itself is refused.
        open_high: whether `high` itself is refused.

    Raises:
        ConfigurationError: naming the argument, what is allowed and the value given.
    """
    is_number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if is_number and math.isfinite(value):  # type: ignore[arg-type]
        number = float(value)  # type: ignore[arg-type]
        if (low < number if open_low else low <= number) and (number < high if open_high else number <= high):
            return number
    if math.isinf(low) and math.isinf(high):
        raise ConfigurationError(f"{name} must be a finite number, got {value!r}")
    opening = "(" if open_low or math.isinf(low) else "["
    closing = ")" if open_high or math.isinf(high) else "]"
    raise ConfigurationError(f"{name} must be a number in {opening}{low:g}, {high:g}{closing}, got {value!r}")


def check_probability(name: str, value: object) -> float:
    """`value` as a float in [0, 1].

    Args:
        name: of the argument, for the message.
        value: what was given.

    Raises:
        ConfigurationError: naming the argument, what is allowed and the value given.
    """
    return check_number(name, value, 0.0, 1.0)


def check_flag(name: str, value: object) -> bool:
    """`value`, which is True or False.

    Args:
        name: of the argument, for the message.
        value: what was given.

    Raises:
        ConfigurationError: naming the argument and the value given.
    """
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name} must be True or False, got {value!r}")
    return value


def check_choice(name: str, value: object, allowed: Iterable[Any]) -> None:
    """Refuse a value that is not among `allowed`.

    Args:
        name: of the argument, for the message.
        value: what was given.
        allowed: all that may be given.

    Raises:
        ConfigurationError: naming the argument, what is allowed, the value given and the closest match.
    """
    choices = tuple(allowed)
    if value not in choices:
        listed = ", ".join(map(repr, choices))
        hint = did_you_mean(value, (choice for choice in choices if isinstance(choice, str)))
        raise ConfigurationError(f"{name} must be one of {listed}, got {value!r}{hint}")


def did_you_mean(value: object, names: Iterable[str]) -> str:
    """The closest of `names`, as ": did you mean 'name'?", or an empty string.

    Args:
        value: what was given.
        names: all that may be given.
    """
    by_lower = {name.lower(): name for name in names}
    close = difflib.get_close_matches(str(value).lower(), by_lower, n=1)
    return f": did you mean {by_lower[close[0]]!r}?" if close else ""


def closest(word: str, allowed: Iterable[str]) -> str:
    """The closest of `allowed`, as ": did you mean 'name'?", or else all of them.

    Args:
        word: what was given.
        allowed: all that may be given.
    """
    names = sorted(allowed)
    return did_you_mean(word, names) or (f"; allowed: {', '.join(names)}" if names else "")


def one_line(error: BaseException) -> str:
    """Class and message of an error in one line.

    Args:
        error: of any class.
    """
    return " ".join(f"{type(error).__name__}: {error}".split()).rstrip(": ")
