"""Grids: arguments that are given as lists of values, and the entries that every combination of them makes."""

import math
import types
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

import gymnasium as gym
from gymnasium.envs.registration import load_env_creator

from velodrome.checks import VelodromeError, closest, did_you_mean
from velodrome.envs.make import MAKE_KEYWORDS
from velodrome.experiments.specification.catalogue import (
    WRAPPERS,
    CatalogueError,
    Factory,
    factory_of,
    kinds_in,
    parameters_of,
    type_hints,
)
from velodrome.experiments.specification.environment_configuration import EnvironmentConfiguration
from velodrome.experiments.specification.expression import Call, ExpressionError, parse_expression, to_text
from velodrome.experiments.specification.mistakes import Mistake
from velodrome.policies.configuration import Configuration, to_expression

# More is most likely a mistake; every pair of them is tested against each other.
MOST_COMBINATIONS = 256
_SCALARS = (bool, int, float, str, types.NoneType)
_OF_FUNCTION = "an argument needs an expression beside it, not a function"
_ENVIRONMENT = ("environment",)
_KINDS = {"agent": ("agent",), "learner": ("agent",), "policy": ("policy",), "environment": _ENVIRONMENT}


class GridError(VelodromeError, ValueError):
    """A grid that cannot be; the message is one line."""


class _Values(NamedTuple):
    """Values that an argument has one after the other."""

    values: tuple[Any, ...]


class _Variant(NamedTuple):
    """A call, and what it has that others of its grid have not, by path."""

    varied: dict[str, str]
    call: Call


def grid_of(shorthand: str, fields: Sequence[str], given: Any) -> tuple[list[tuple[str, Any]], list[Mistake]]:
    """The entries that a given one stands for, each with what varies in words, and the mistakes in its arguments.

    A table may hold, beside its fields, arguments of what it names: a value, or a list of values. In an expression, a
    list is a grid for a parameter that takes none.

    Args:
        shorthand: field of the table that names something: "agent", "learner", "policy" or "environment".
        fields: all fields of such a table.
        given: an expression, an object or a table.

    Returns:
        (words, entry) for every combination, such as ("learning_rate=0.1, discount=0.9", …); the words are empty
        where nothing varies. What cannot be read stays as it is, for others to say why; none are there of a grid that
        cannot be.
    """
    is_table = isinstance(given, Mapping)
    arguments = {key: value for key, value in given.items() if key not in fields} if is_table else {}
    named = given.get(shorthand) if is_table else given
    if (is_table and shorthand not in given) or (not arguments and not (isinstance(named, str) and "[" in named)):
        return [("", given)], []
    plain = {key: value for key, value in given.items() if key in fields} if is_table else given
    call, kinds = call_in(named), _KINDS[shorthand]
    factory = None if call is None else known_factory(call, kinds)
    if call is None or (factory is None and ":" not in call.name):
        if callable(named):
            return [("", plain)], [Mistake((key,), _OF_FUNCTION) for key in arguments]
        # What its arguments are is not known, but a field may be misspelt.
        near = {key: did_you_mean(key, fields) for key in arguments}
        return [("", plain)], [Mistake((key,), name, is_unknown_field=True) for key, name in near.items() if name]
    call, mistakes = _with_arguments(call, kinds, factory, fields, arguments, is_object=not isinstance(named, str))
    try:
        variants = _variants(call, kinds)
    except GridError as error:
        return [], [*mistakes, Mistake((), str(error))]
    if not arguments and len(variants) == 1:
        return [("", given)], mistakes
    entries = [
        (", ".join(f"{path}={text}" for path, text in variant.varied.items()), str(variant.call))
        for variant in variants
    ]
    return [(words, {**plain, shorthand: text} if is_table else text) for words, text in entries], mistakes


def names_arguments(shorthand: str, given: Mapping[str, Any], others: Sequence[str]) -> bool:
    """Whether other keys of a table are arguments of what it names."""
    call, kinds = call_in(given[shorthand]), _KINDS[shorthand]
    factory = None if call is None else known_factory(call, kinds)
    return factory is not None and set(others) <= set(parameter_types(factory, kinds))


def _with_arguments(
    call: Call,
    kinds: Sequence[str],
    factory: Factory | None,
    fields: Sequence[str],
    arguments: Mapping[str, Any],
    *,
    is_object: bool,
) -> tuple[Call, list[Mistake]]:
    """The call with the arguments of a table, lists of values among them; they go before those of an object."""
    parameters = None if factory is None else parameter_types(factory, kinds)
    mistakes, keywords = [], dict(call.keywords)
    for key, value in arguments.items():
        if parameters is not None and key not in parameters and "**" not in parameters:
            names = did_you_mean(key, fields) or did_you_mean(key, parameters)
            names = names or f"{closest(key, fields)}, or an argument of {call.name}"
            mistakes.append(Mistake((key,), names, is_unknown_field=True))
        elif key in call.keywords and not is_object:
            mistakes.append(Mistake((key,), f"is given twice, here and in {call}"))
        else:
            try:
                hint = (parameters or {}).get(key)
                if isinstance(value, list | tuple):
                    check_is_grid(list(value), hint)
                    keywords[key] = _Values(tuple(read_argument(item, hint) for item in value))
                else:
                    keywords[key] = read_argument(value, hint)
            except (GridError, ExpressionError) as error:
                mistakes.append(Mistake((key,), str(error)))
    return Call(call.name, call.positional, keywords), mistakes


def check_is_grid(values: list[Any], hint: Any) -> None:
    """Refuse a list that is no list of alternatives for a parameter.

    Raises:
        GridError: it is empty, holds something twice, or may be the value itself.
    """
    if not values:
        raise GridError("must hold at least one value, got an empty list")
    if not any(isinstance(value, list | tuple) for value in values) and _may_be_list(hint):
        text = to_text(values)
        raise GridError(f"may be a list itself: write [{text}] for this one value, or a list of lists for a grid")
    if len({*map(repr, values)}) < len(values):
        raise GridError(f"holds a value twice: {to_text(values)}")


def read_argument(value: Any, hint: Any) -> Any:
    """A value of a table as expressions have it: text is an expression where an agent, policy or schedule stands."""
    if isinstance(value, Configuration):
        return parse_expression(to_expression(value))
    if isinstance(value, Mapping):
        raise GridError("takes a value or a list of values, got a table: write it into the expression")
    if isinstance(value, str) and hint is not Any and kinds_in(hint):
        return parse_expression(value)
    # To see that it can be written.
    to_text(value)
    return value


def _variants(call: Call, kinds: Sequence[str], path: str = "") -> list[_Variant]:
    """Every combination of the values in a call, and in the calls in it; the last argument varies fastest.

    Raises:
        GridError: there are too many.
    """
    factory = known_factory(call, kinds)
    parameters = {} if factory is None else parameter_types(factory, kinds)
    names = [*range(len(call.positional)), *call.keywords]
    options = []
    for name, value in zip(names, [*call.positional, *call.keywords.values()], strict=True):
        key = list(parameters)[name] if isinstance(name, int) and name < len(parameters) else str(name)
        options.append(
            list(
                _options(
                    value, f"{path}{key}", parameters.get(key), kinds if key == "env" and kinds == _ENVIRONMENT else ()
                )
            )
        )
    number = math.prod(map(len, options))
    if number > MOST_COMBINATIONS:
        counts = " × ".join(str(len(some)) for some in options if len(some) > 1)
        raise GridError(f"a grid of {counts} values makes {number} combinations; allowed are {MOST_COMBINATIONS}")
    variants = []
    for chosen in product(*options):
        values = dict(zip(names, (value for _, value in chosen), strict=True))
        varied = {path: text for some, _ in chosen for path, text in some.items()}
        positional = tuple(values[place] for place in range(len(call.positional)))
        variants.append(_Variant(varied, Call(call.name, positional, {key: values[key] for key in call.keywords})))
    return variants


def _options(value: Any, path: str, hint: Any, kinds: Sequence[str]) -> Iterator[tuple[dict[str, str], Any]]:
    """What varies and the value, for each that an argument has."""
    kinds = kinds or (() if hint is Any else kinds_in(hint))
    if isinstance(value, list) and value and takes_no_list(hint):
        if len({*map(repr, value)}) < len(value):
            raise GridError(f"{path} holds a value twice: {to_text(value)}")
        value = _Values(tuple(value))
    if isinstance(value, _Values):
        flat = [one for item in value.values for one in (_variants(item, kinds) if isinstance(item, Call) else [item])]
        items = [item.call if isinstance(item, _Variant) else item for item in flat]
        yield from (({path: to_text(item)} if len(items) > 1 else {}, item) for item in items)
    elif isinstance(value, Call):
        yield from _variants(value, kinds, f"{path}.")
    else:
        yield {}, value


def call_in(named: Any) -> Call | None:
    """The expression of what a user named, a text or an object; None where it cannot be read."""
    if isinstance(named, EnvironmentConfiguration):
        return named.expression
    try:
        return parse_expression(to_expression(named) if isinstance(named, Configuration) else named)
    except ExpressionError:
        return None


def known_factory(call: Call, kinds: Sequence[str]) -> Factory | None:
    """What a call builds with; None where that is not known."""
    if kinds == _ENVIRONMENT:
        if call.name in WRAPPERS:
            return WRAPPERS[call.name]  # type: ignore[no-any-return]
        creator = gym.registry[call.name].entry_point if call.name in gym.registry else None
        try:
            return load_env_creator(creator) if isinstance(creator, str) else creator
        except Exception:
            return None
    try:
        return factory_of(call.name, kinds) if kinds else None
    except CatalogueError:
        return None


def parameter_types(factory: Factory, kinds: Sequence[str]) -> dict[str, Any]:
    """Types of the parameters by name, in order, None where one is not known; "**" where it takes any."""
    hints, parameters = type_hints(factory), {}
    for name, parameter in parameters_of(factory).items():
        default = parameter.default
        known = hints.get(name, type(default) if isinstance(default, list | tuple) else None)
        parameters["**" if parameter.kind is parameter.VAR_KEYWORD else name] = known
    if kinds == _ENVIRONMENT and factory not in WRAPPERS.values():
        parameters |= dict.fromkeys(MAKE_KEYWORDS, int)
    return parameters


def _parts(hint: Any) -> list[Any]:
    return list(get_args(hint)) if get_origin(hint) in (Union, types.UnionType) else [hint]


def takes_no_list(hint: Any) -> bool:
    """Whether a parameter of a type takes single values alone."""
    return hint is not None and all(
        get_origin(part) is Literal or (isinstance(part, type) and issubclass(part, (*_SCALARS, Configuration)))
        for part in _parts(hint)
    )


def _may_be_list(hint: Any) -> bool:
    return hint is not None and hint is not Any and not takes_no_list(hint)
