"""Configurations as data: what a policy, schedule or agent is made of, as text and as JSON.

A configuration is a frozen set of named parameters. It has one spelling as an expression
(`epsilon_greedy(epsilon=0.1, ties='first')`: the command line, experiment files and table labels) and one as
JSON-ready data (manifests and the keys of stored trials).
"""

import dataclasses
import inspect
import re
from collections.abc import Iterator
from typing import Any, ClassVar, TypeVar, get_args

import numpy as np

from velodrome.checks import ConfigurationError as ConfigurationError, closest

T = TypeVar("T", bound="Configuration")

# How a dict is written in expressions, and marked in data: dict(net_arch=[64, 64]).
DICT = "dict"


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

    def _parameters(self) -> dict[str, Any]:
        """Parameters by name, in the order of the signature."""
        return {f.name: getattr(self, f.name) for f in _fields(self) if f.init}


def _fields(configuration: Configuration) -> tuple[dataclasses.Field[Any], ...]:
    """Fields of a configuration.

    Raises:
        ConfigurationError: its class is no dataclass.
    """
    cls: type = type(configuration)
    if not dataclasses.is_dataclass(cls):
        raise ConfigurationError(
            f"{cls.__name__} must be a dataclass: write @dataclass(frozen=True) above class {cls.__name__}"
        )
    return dataclasses.fields(cls)


def _kind(base: type[Configuration]) -> str:
    word = base.__name__.lower()
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def full_name(cls: type[Configuration]) -> str:
    """Name of a class in expressions: its catalogue name, or `module:Class` for a class of the user's own."""
    return cls.name if cls.__module__.startswith("velodrome.") else f"{cls.__module__}:{cls.__qualname__}"


def parameters_of(configuration: Any) -> dict[str, Any]:
    """Parameters of a configuration in the order of its signature, name to value."""
    parameters: dict[str, Any] = type(configuration)._parameters(configuration)
    return parameters


def function_name(value: Any) -> str:
    """`module:name` of a function or class, of its class for another object that can be called."""
    named = value if hasattr(value, "__qualname__") else type(value)
    return f"{named.__module__}:{named.__qualname__}"


def to_expression(value: Any) -> str:
    """Text of a configuration or plain value, as the command line and experiment files spell it.

    Parameters that have their default are left out.
    """
    if isinstance(value, Configuration):
        defaults = {f.name: f.default for f in _fields(value)}
        given = [
            f"{name}={to_expression(item)}"
            for name, item in parameters_of(value).items()
            if name not in defaults or defaults[name] is dataclasses.MISSING or item != defaults[name]
        ]
        return f"{full_name(type(value))}({', '.join(given)})"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(to_expression(item) for item in value) + "]"
    if isinstance(value, dict):
        return f"{DICT}({', '.join(f'{key}={to_expression(item)}' for key, item in value.items())})"
    if callable(value):
        return function_name(value)
    return repr(value.item() if isinstance(value, np.generic) else value)


def to_data(value: Any) -> Any:
    """JSON-ready data of a configuration: {"name": …, parameter: …}, nested, defaults included.

    Equal configurations give equal data: a whole number for a real parameter becomes a float.
    """
    if isinstance(value, Configuration):
        reals = {f.name for f in _fields(value) if _is_real(f.type)}
        items = {
            key: float(item) if key in reals and isinstance(item, int) and not isinstance(item, bool) else to_data(item)
            for key, item in parameters_of(value).items()
        }
        return {"name": full_name(type(value))} | items
    if isinstance(value, tuple | list):
        return [to_data(item) for item in value]
    if isinstance(value, dict):
        return {"name": DICT} | {key: to_data(item) for key, item in checked_dict(value).items()}
    if callable(value):
        return function_name(value)
    return value.item() if isinstance(value, np.generic) else value


def from_data(data: Any, base: type[T]) -> T:
    """Configuration of class `base` from the data that `to_data` made.

    Only classes that the running program has defined are built; nothing is imported.

    Raises:
        ConfigurationError: no subclass of `base` has that name, or a parameter is unknown.
    """
    if not isinstance(data, dict) or not isinstance(data.get("name"), str):
        raise ConfigurationError(f"{_kind(base)} is stored as an object with a name, got {data!r}")
    classes = defined_classes(base)
    # A class may have been defined anew under its name, in a notebook.
    cls = base if full_name(base) == data["name"] and not inspect.isabstract(base) else classes.get(data["name"])
    if cls is None:
        raise ConfigurationError(
            f"unknown {base.__name__.lower()} {data['name']!r}{closest(data['name'], classes)}; "
            "if it is your own class, import it before loading"
        )
    known = inspect.signature(cls).parameters
    parameters = {key: _value_from_data(value) for key, value in data.items() if key != "name"}
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values())
    for key in parameters.keys() - known if not takes_any else ():
        raise ConfigurationError(f"{cls.name} has no parameter {key!r}{closest(key, known)}")
    return cls(**parameters)


def defined_classes(base: type[T]) -> dict[str, type[T]]:
    """Classes of a kind that the running program has defined, by their names in expressions."""
    return {full_name(cls): cls for cls in _subclasses(base) if not inspect.isabstract(cls)}


def checked_dict(value: dict[Any, Any]) -> dict[str, Any]:
    """A dict as it is, if its keys are names of arguments, as `dict(key=value)` has them.

    Raises:
        ConfigurationError: a key is none, or is "name", which marks configurations in data.
    """
    for key in value:
        if not isinstance(key, str) or not key.isidentifier() or key == "name":
            raise ConfigurationError(f"the keys of a dict must be names such as net_arch, and not 'name', got {key!r}")
    return value


def _is_real(annotation: Any) -> bool:
    return (
        annotation is float or float in get_args(annotation) or (isinstance(annotation, str) and "float" in annotation)
    )


def _subclasses(cls: type[T]) -> Iterator[type[T]]:
    for subclass in cls.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


def _value_from_data(value: Any) -> Any:
    if isinstance(value, dict) and value.get("name") == DICT:
        return {key: _value_from_data(item) for key, item in value.items() if key != "name"}
    if isinstance(value, dict):
        return from_data(value, Configuration)
    return tuple(_value_from_data(item) for item in value) if isinstance(value, list) else value
