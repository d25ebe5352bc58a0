"""Whole numbers of the command line, written as 100000 or 1e5."""

from typing import Annotated, Any

from cyclopts import Parameter

_LARGEST_EXACT_FLOAT = 2.0**53


def _whole_number(_: Any, tokens: Any) -> int:
    """The whole number of an option, written as 100000 or 1e5.

    Raises:
        ValueError: it is none.
    """
    text = tokens[0].value
    try:
        return int(text)
    except ValueError:
        pass
    try:
        value = float(text)
    except ValueError:
        value = 0.5
    if not value.is_integer() or abs(value) > _LARGEST_EXACT_FLOAT:
        raise ValueError(f"must be a whole number such as 100000, got {text!r}")
    return int(value)


# The library's own reading would make 3 of 2.7.
Whole = Annotated[int, Parameter(converter=_whole_number)]
