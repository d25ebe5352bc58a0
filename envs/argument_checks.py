"""One-line refusals of an environment's constructor arguments."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable

import numpy as np


def check_integer(name: str, value: object, *, minimum: int, maximum: int | None = None) -> int:
    """`value` as an int between `minimum` and `maximum`, both allowed.

    Raises:
        ValueError: naming the argument, the value and what is allowed.
    """
    allowed = f"an integer of at least {minimum}" + (f" and at most {maximum}" if maximum is not None else "")
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ValueError(f"{name} must be {allowed}, got {value!r}")
    if value < minimum or (maximum is not None and value > maximum):
        raise ValueError(f"{name} must be {allowed}, got {value!r}")
    return int(value)


def check_number(name: str, value: object, *, minimum: float = -math.inf, maximum: float = math.inf) -> float:
    """`value` as a finite float between `minimum` and `maximum`, both allowed.

    Raises:
        ValueError: naming the argument, the value and what is allowed.
    """
    bounded = math.isfinite(minimum) and math.isfinite(maximum)
    allowed = f"a number from {minimum:g} to {maximum:g}" if bounded else "a finite number"
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise ValueError(f"{name} must be {allowed}, got {value!r}")
    if not math.isfinite(value) or not minimum <= value <= maximum:
        raise ValueError(f"{name} must be {allowed}, got {value!r}")
    return float(value)


def check_probability(name: str, value: object) -> float:
    """`value` as a float from 0 to 1.

    Raises:
        ValueError: naming the argument, the value and what is allowed.
    """
    return check_number(name, value, minimum=0.0, maximum=1.0)


def check_flag(name: str, value: object) -> bool:
    """`value`, which is True or False.

    Raises:
        ValueError: naming the argument and the value.
    """
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be True or False, got {value!r}")
    return value


def check_choice(name: str, value: object, allowed: Iterable[object]) -> None:
    """Refuse a value that is not among `allowed`.

    Raises:
        ValueError: naming the argument, the value, the closest match and what is allowed.
    """
    choices = tuple(allowed)
    if value not in choices:
        listed = ", ".join(map(repr, choices))
        hint = did_you_mean(value, (choice for choice in choices if isinstance(choice, str)))
        raise ValueError(f"{name} must be one of {listed}, got {value!r}{hint}")


def did_you_mean(value: object, names: Iterable[str]) -> str:
    """The closest of `names`, as ": did you mean 'name'?", or an empty string."""
    by_lower = {name.lower(): name for name in names}
    close = difflib.get_close_matches(str(value).lower(), by_lower, n=1)
    return f": did you mean {by_lower[close[0]]!r}?" if close else ""
