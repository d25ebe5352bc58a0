"""What an expression's arguments mean to the class or function that it names, and what that one takes."""

import contextlib
import dataclasses
import inspect
import typing
from collections.abc import Callable, Collection
from typing import Any

from velodrome.checks import VelodromeError, closest
from velodrome.experiments.specification.expression import Call
from velodrome.policies.configuration import to_expression

Factory = Callable[..., Any]

_HIDDEN_ARGUMENTS = ("render_mode",)
_LONGEST_DEFAULT = 40


class CatalogueError(VelodromeError, ValueError):
    """An expression names or passes what does not exist; the message is one line."""


def bound_arguments(call: Call, factory: Factory) -> dict[str, Any]:
    """The values that a call gives to the parameters of a class or function, by name.

    Raises:
        CatalogueError: too many positional arguments, one by position where names are needed, or an argument that is
            unknown, missing or given twice.
    """
    parameters = _parameters(factory)
    named = {key: p for key, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    order = [key for key, p in named.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    if call.positional and named and not order:
        example = f"{call.name}({_most_telling(factory, named)}=...)"
        raise CatalogueError(f"{call.name} takes its arguments by name: {example}")
    if len(call.positional) > len(order):
        most = f"at most {len(order)}" if order else "no"
        raise CatalogueError(
            f"{call.name} takes {most} positional argument{'s' * (len(order) != 1)}, got {len(call.positional)}: "
            f"{signature_text(call.name, factory)}"
        )
    given = dict(zip(order, call.positional, strict=False))
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for keyword, value in call.keywords.items():
        if keyword in given:
            raise CatalogueError(f"{call.name} has the argument {keyword!r} twice, by position and by name")
        if keyword not in named and not takes_any:
            raise CatalogueError(f"{call.name} has no argument {keyword!r}{closest(keyword, named)}")
        given[keyword] = value
    missing = [repr(key) for key, p in named.items() if p.default is p.empty and key not in given]
    if missing:
        raise CatalogueError(f"{call.name} needs {', '.join(missing)}: {signature_text(call.name, factory)}")
    return given


def type_hints(factory: Factory) -> dict[str, Any]:
    """Types of the parameters by name, and "return"; empty where they cannot be read."""
    is_plain_class = isinstance(factory, type) and not dataclasses.is_dataclass(factory)
    with contextlib.suppress(Exception):
        return typing.get_type_hints(factory.__init__ if is_plain_class else factory)
    return {}


def refuse_names(owner: str, parameter: str, value: Any) -> None:
    """Refuse an expression where a plain value belongs, in lists too: most likely text without quotes.

    Raises:
        CatalogueError: naming the owner, the parameter and the name.
    """
    for item in value if isinstance(value, list | tuple) else [value]:
        if isinstance(item, list | tuple):
            refuse_names(owner, parameter, item)
        elif isinstance(item, Call):
            raise CatalogueError(
                f"{owner}: {parameter} takes a plain value, got the name {item} (text needs quotes: {str(item)!r})"
            )


def signature_text(name: str, factory: Factory, **other_defaults: Any) -> str:
    """`name(argument=default, ...)`; `other_defaults` go before the function's own."""
    texts = []
    for key, parameter in _parameters(factory).items():
        default = other_defaults.get(key, parameter.default)
        if key in _HIDDEN_ARGUMENTS:
            continue
        text = to_expression(default)
        short = text if len(text) <= _LONGEST_DEFAULT else "..."
        takes_any = parameter.kind is parameter.VAR_KEYWORD
        texts.append(f"{'**' * takes_any}{key}" if default is parameter.empty else f"{key}={short}")
    return f"{name}({', '.join(texts)})"


def _parameters(factory: Factory) -> dict[str, inspect.Parameter]:
    """Parameters of a class or function in order, the defaults of a dataclass made by their factories."""
    parameters = dict(inspect.signature(factory).parameters)
    for f in dataclasses.fields(factory) if dataclasses.is_dataclass(factory) else ():
        if f.name in parameters and f.default_factory is not dataclasses.MISSING:
            parameters[f.name] = parameters[f.name].replace(default=f.default_factory())
    return parameters


def _most_telling(factory: Factory, named: Collection[str]) -> str:
    """Parameter for an example: the first that the class itself adds, else the first that its base adds."""
    bases = inspect.getmro(factory) if isinstance(factory, type) else ()
    own = (key for base in bases for key in inspect.get_annotations(base) if key in named)
    return next(own, next(iter(named)))
