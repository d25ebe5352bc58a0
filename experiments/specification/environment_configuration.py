"""Environments of expressions, which can be made again and again."""

from collections.abc import Callable
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from velodrome.agents.unfit_spaces import described
from velodrome.envs.make import make_environment
from velodrome.envs.space_parts import parts_of
from velodrome.envs.unimported_modules import add_current_directory
from velodrome.experiments.specification.catalogue import (
    WRAPPERS,
    CatalogueError,
    bound_arguments,
    call_of,
    kind_of,
    parameters_of,
    refuse_names,
    type_hints,
    unknown_wrapper,
    with_article,
)
from velodrome.experiments.specification.expression import Call, to_text

_SPACES = tuple(getattr(spaces, kind) for kind in spaces.__all__)
Maker = Callable[[], gym.Env[Any, Any]]

# What may be written for a type of a wrapper's parameter.
_WHOLE_NUMBER = ("a whole number", (int,))
_NUMBER = ("a number", (int, float))
_LIST = ("a list", (list, tuple))
_PLAIN_TYPES: dict[Any, tuple[str, tuple[type, ...]]] = {
    bool: ("True or False", (bool,)), str: ("text in quotes", (str,)), NoneType: ("None", (NoneType,)),
    int: _WHOLE_NUMBER, np.integer: _WHOLE_NUMBER, float: _NUMBER, np.floating: _NUMBER,
    tuple: _LIST, np.ndarray: _LIST,
}  # fmt: skip


@dataclass(frozen=True)
class EnvironmentConfiguration:
    """An environment that can be made again and again, such as `FrozenLake-v1(is_slippery=False)`.

    Attributes:
        expression: id and arguments, as they were read.
    """

    expression: Call

    @property
    def label(self) -> str:
        """Canonical text of the expression."""
        return str(self.expression)

    def make(self, *, render_mode: str | None = None) -> gym.Env[Any, Any]:
        """A new environment; `render_mode` goes before the expression's own.

        Args:
            render_mode: how Gymnasium draws it, such as "rgb_array".

        Raises:
            UnknownEnvironmentError: no such id or argument, or its constructor refuses a value.
            CatalogueError: an argument that is not allowed in an environment's expression.
        """
        call = self.expression
        if call.name in WRAPPERS:
            return self._wrapped(render_mode)
        if call.positional:
            if isinstance(call.positional[0], Call) and call.name not in gym.registry:
                raise CatalogueError(unknown_wrapper(call.name))
            raise CatalogueError(
                f"{call.name} takes arguments by name, such as {call.name}(max_episode_steps=100), "
                f"got {to_text(call.positional[0])}"
            )
        for keyword, value in call.keywords.items():
            refuse_names(call.name, keyword, value)
        if ":" in call.name:
            add_current_directory()
        shown = {"render_mode": render_mode} if render_mode is not None else {}
        return make_environment(call.name, **(call.keywords | shown))

    def _wrapped(self, render_mode: str | None) -> gym.Env[Any, Any]:
        name, wrapper = self.expression.name, WRAPPERS[self.expression.name]
        arguments = bound_arguments(self.expression, wrapper)
        inner = arguments.pop("env")
        if not isinstance(inner, Call):
            example = inner if isinstance(inner, str) else "Blackjack-v1, 0" if name == "observation" else "CartPole-v1"
            raise CatalogueError(
                f"{name} needs an environment without quotes, such as {name}({example}), got {to_text(inner)}"
            )
        # Ours say themselves what they take.
        hints = type_hints(wrapper) if wrapper.__module__.startswith("gymnasium.") else {}
        for keyword, value in arguments.items():
            refuse_names(name, keyword, value)
            arguments[keyword] = _argument(name, keyword, value, hints.get(keyword))
        env = environment_configuration(inner).make(render_mode=render_mode)
        try:
            wrapped: gym.Env[Any, Any] = wrapper(env, **arguments)
        except Exception as error:
            env.close()
            observed = f"{inner}, which shows {described(env.observation_space)}"
            reason = " ".join(str(error).split()) or f"cannot stand around {observed}"
            # Gymnasium's functions on spaces know its own alone.
            parts = [key for key, part in parts_of(env.observation_space) if type(part) in _SPACES]
            if isinstance(error, NotImplementedError) and parts:
                reason += f": choose of its parts, {name}(observation({inner}, {parts}))"
            raise CatalogueError(f"{name}: {reason}") from None
        return wrapped


def _argument(owner: str, parameter: str, value: Any, hint: Any) -> Any:
    """A wrapper's argument as its type asks for it: a list becomes a tuple or an array.

    Raises:
        CatalogueError: the parameter has plain types, and the value is of none of them.
    """
    parts = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    kinds = [get_origin(part) or part for part in parts]
    allowed = [_PLAIN_TYPES[kind] for kind in kinds if kind in _PLAIN_TYPES]
    if len(allowed) == len(kinds) and not any(_is_plain(value, types) for _, types in allowed):
        words = " or ".join(dict.fromkeys(word for word, _ in allowed))
        raise CatalogueError(f"{owner}: {parameter} must be {words}, got {to_text(value)}")
    if isinstance(value, list) and list not in kinds:
        return tuple(value) if tuple in kinds else np.array(value) if np.ndarray in kinds else value
    return value


def _is_plain(value: Any, types: tuple[type, ...]) -> bool:
    return isinstance(value, types) and (bool in types or not isinstance(value, bool))


def environment_configuration(expression: str | Call) -> EnvironmentConfiguration:
    """Environment of an expression: a Gymnasium id, `module:Id`, or a wrapper, `discretize(<environment>, bins=...)`.

    Whether it can be made is seen when it is.

    Raises:
        ExpressionError: the text is no expression.
        CatalogueError: a name of another kind.
    """
    configuration = EnvironmentConfiguration(_by_name(call_of(expression)))
    kind = kind_of(configuration.expression.name)
    if kind is not None:
        raise CatalogueError(
            f"{configuration.expression.name} is {with_article(kind)}, not an environment such as FrozenLake-v1"
        )
    return configuration


def _by_name(call: Call) -> Call:
    """An environment's expression with the arguments of wrappers by name, but for what they stand around.

    One spelling gives one key. What does not fit the wrapper's parameters stays, and is refused when it is made.
    """
    if call.name not in WRAPPERS:
        return call
    names = [key for key, p in parameters_of(WRAPPERS[call.name]).items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    given = dict(zip(names, call.positional, strict=False))
    if len(call.positional) > len(names) or given.keys() & call.keywords:
        return call
    given |= call.keywords
    inner = given.pop("env", None)
    if not isinstance(inner, Call):
        return call
    return Call(call.name, (_by_name(inner),), given)


def build_environment(expression: str | Call) -> EnvironmentConfiguration:
    """Environment of an expression, made once and closed, so that a wrong id or argument is known at once.

    Args:
        expression: text, or what `parse_expression` made of it.

    Raises:
        ExpressionError: the text is no expression.
        UnknownEnvironmentError: no such id or argument, or its constructor refuses a value.
        CatalogueError: a name of another kind, or an argument that is not allowed.
    """
    configuration = environment_configuration(expression)
    configuration.make().close()
    return configuration
