"""Configurations as data: what a policy, schedule or agent is made of, as text and as JSON.

A configuration is a frozen set of named parameters. It has one spelling as an expression
(`epsilon_greedy(epsilon=0.1, ties='first')`: the command line, experiment files and table labels) and one as
JSON-ready data (manifests and the keys of stored trials).
"""

import dataclasses
import difflib
import inspect
import math
import re
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, TypeVar, get_args

T = TypeVar("T", bound="Configuration")


class ConfigurationError(ValueError):
    """A parameter is unknown, misspelt or out of range; the message is one line that says what is allowed."""


class Configuration:
    """Base of policies, schedules and agents: a dataclass with a catalogue name.

    Subclasses are dataclasses; `name` defaults to the class name in snake_case.
    """

    name: ClassVar[str] = ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            cls.name = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__).lower()

    def __str__(self) -> str:
        return to_expression(self)


def _kind(base: type[Configuration]) -> str:
    word = base.__name__.lower()
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def full_name(cls: type[Configuration]) -> str:
    """Name of a class in expressions: its catalogue name, or `module:Class` for a class of the user's own."""
    return cls.name if cls.__module__.startswith("velodrome.") else f"{cls.__module__}:{cls.__qualname__}"


def parameters_of(configuration: Any) -> dict[str, Any]:
    """Parameters of a configuration in the order of its signature, name to value."""
    return {f.name: getattr(configuration, f.name) for f in dataclasses.fields(configuration) if f.init}


def to_expression(value: Any) -> str:
    """Text of a configuration or plain value, as the command line and experiment files spell it.

    Parameters that have their default are left out.
    """
    if isinstance(value, Configuration):
        given = [
            f"{f.name}={to_expression(getattr(value, f.name))}"
            for f in dataclasses.fields(value)  # type: ignore[arg-type]
            if f.init and not (f.default is not dataclasses.MISSING and getattr(value, f.name) == f.default)
        ]
        return f"{full_name(type(value))}({', '.join(given)})"
    if isinstance(value, tuple):
        return "[" + ", ".join(to_expression(item) for item in value) + "]"
    return repr(value)


def to_data(value: Any) -> Any:
    """JSON-ready data of a configuration: {"name": …, parameter: …}, nested, defaults included.

    Equal configurations give equal data: a whole number for a real parameter becomes a float.
    """
    if isinstance(value, Configuration):
        reals = {f.name for f in dataclasses.fields(value) if _is_real(f.type)}  # type: ignore[arg-type]
        items = {
            key: float(item) if key in reals and isinstance(item, int) and not isinstance(item, bool) else to_data(item)
            for key, item in parameters_of(value).items()
        }
        return {"name": full_name(type(value))} | items
    if isinstance(value, tuple | list):
        return [to_data(item) for item in value]
    return value


def from_data(data: Any, base: type[T]) -> T:
    """Configuration of class `base` from the data that `to_data` made.

    Only classes that the running program has defined are built; nothing is imported.

    Raises:
        ConfigurationError: no subclass of `base` has that name, or a parameter is unknown.
    """
    if not isinstance(data, dict) or not isinstance(data.get("name"), str):
        raise ConfigurationError(f"{_kind(base)} is stored as an object with a name, got {data!r}")
    classes = defined_classes(base)
    cls = classes.get(data["name"])
    if cls is None:
        raise ConfigurationError(
            f"unknown {base.__name__.lower()} {data['name']!r}{closest(data['name'], classes)}; "
            "if it is your own class, import it before loading"
        )
    known = {f.name for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]
    parameters = {key: _value_from_data(value) for key, value in data.items() if key != "name"}
    for key in parameters.keys() - known:
        raise ConfigurationError(f"{cls.name} has no parameter {key!r}{closest(key, known)}")
    return cls(**parameters)


def defined_classes(base: type[T]) -> dict[str, type[T]]:
    """Classes of a kind that the running program has defined, by their names in expressions."""
    return {full_name(cls): cls for cls in _subclasses(base) if not inspect.isabstract(cls)}


def closest(word: str, allowed: Iterable[str]) -> str:
    """`: did you mean '…'?` where a near match exists, else the allowed words; for one-line errors."""
    names = sorted(allowed)
    matches = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if matches:
        return f": did you mean {matches[0]!r}?"
    return f"; allowed: {', '.join(names)}" if names else ""


def require_number(owner: str, field: str, value: Any, low: float, high: float, *, open_low: bool = False) -> None:
    """Refuse anything but a number in [low, high] (or (low, high]).

    Raises:
        ConfigurationError: with the owner, the field, the value given and the range allowed.
    """
    in_range = (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and (low < value if open_low else low <= value)
        and value <= high
    )
    if not in_range:
        bracket = "(" if open_low or math.isinf(low) else "["
        close = ")" if math.isinf(high) else "]"
        raise ConfigurationError(
            f"{owner}: {field} must be a number in {bracket}{low:g}, {high:g}{close}, got {value!r}"
        )


def require_whole_number(owner: str, field: str, value: Any, low: int) -> None:
    """Refuse anything but a whole number of at least `low`.

    Raises:
        ConfigurationError: with the owner, the field, the value given and the range allowed.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        raise ConfigurationError(f"{owner}: {field} must be a whole number of at least {low}, got {value!r}")


def require_one_of(owner: str, field: str, value: Any, allowed: tuple[str, ...]) -> None:
    """Refuse a word that is not among `allowed`.

    Raises:
        ConfigurationError: with the owner, the field, the value given and the words allowed.
    """
    if value not in allowed:
        words = ", ".join(repr(word) for word in allowed)
        raise ConfigurationError(f"{owner}: {field} must be one of {words}, got {value!r}")


def _is_real(annotation: Any) -> bool:
    return (
        annotation is float or float in get_args(annotation) or (isinstance(annotation, str) and "float" in annotation)
    )


def _subclasses(cls: type[T]) -> Iterator[type[T]]:
    for subclass in cls.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


def _value_from_data(value: Any) -> Any:
    if isinstance(value, dict):
        return from_data(value, Configuration)
    return tuple(_value_from_data(item) for item in value) if isinstance(value, list) else value
