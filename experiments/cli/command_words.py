"""What is written on the command line: whole numbers, and one line on what cannot be read."""

from difflib import get_close_matches
from itertools import chain
from typing import Any

from cyclopts.exceptions import CycloptsError, UnknownOptionError

# Nearer than the library's own suggestions: --agent is not --save.
_NEAR = 0.75
_LARGEST_EXACT_FLOAT = 2.0**53


def whole_number(_: Any, tokens: Any) -> int:
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


def input_error_line(error: CycloptsError) -> str:
    """One line on what of a command line cannot be read."""
    return _unknown_option(error) if isinstance(error, UnknownOptionError) else str(error)


def _unknown_option(error: UnknownOptionError) -> str:
    given = (error.token.keyword or error.token.value).partition("=")[0]
    options = list(chain.from_iterable(argument.names for argument in error.argument_collection))
    positional = [name for name in options if not name.startswith("-")]
    word = given.lstrip("-")
    said = f"Unknown option: {given}."
    if word.upper() in positional:
        return f"{said} {word} is given by its place, without an option: {' '.join(positional)}"
    near = get_close_matches(given, [name for name in options if name.startswith("-")], n=1, cutoff=_NEAR)
    return said + (f" Did you mean {near[0]}?" if near else " --help lists all")
