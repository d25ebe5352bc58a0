"""Environments of expressions, which can be made again and again."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym

from velodrome.checks import did_you_mean
from velodrome.envs.make import make_environment
from velodrome.experiments.specification.catalogue import (
    WRAPPERS,
    CatalogueError,
    add_current_directory,
    bound_arguments,
    call_of,
    kind_of,
    refuse_names,
    with_article,
)
from velodrome.experiments.specification.expression import Call, to_text

_EXAMPLES = {"discretize": "CartPole-v1", "observation": "Blackjack-v1, 0"}
Maker = Callable[[], gym.Env[Any, Any]]


@dataclass(frozen=True)
class EnvironmentConfiguration:
    """An environment that can be made again and again, such as `FrozenLake-v1(is_slippery=False)`."""

    expression: Call

    @property
    def label(self) -> str:
        """Canonical text of the expression."""
        return str(self.expression)

    def make(self, *, render_mode: str | None = None) -> gym.Env[Any, Any]:
        """A new environment; `render_mode` goes before the expression's own.

        Raises:
            UnknownEnvironmentError: no such id or argument, or its constructor refuses a value.
            CatalogueError: an argument that is not allowed in an environment's expression.
        """
        call = self.expression
        if call.name in WRAPPERS:
            return self._wrapped(render_mode)
        if call.positional:
            hint = did_you_mean(call.name, WRAPPERS) if isinstance(call.positional[0], Call) else ""
            if hint:
                raise CatalogueError(f"there is no wrapper {call.name!r}{hint}")
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
        name = self.expression.name
        arguments = bound_arguments(self.expression, WRAPPERS[name])
        inner = arguments.pop("env")
        if not isinstance(inner, Call):
            raise CatalogueError(
                f"{name} needs an environment without quotes, such as {name}({_EXAMPLES[name]}), got {to_text(inner)}"
            )
        for keyword, value in arguments.items():
            refuse_names(name, keyword, value)
        env = EnvironmentConfiguration(inner).make(render_mode=render_mode)
        try:
            wrapped: gym.Env[Any, Any] = WRAPPERS[name](env, **arguments)
        except ValueError as error:
            env.close()
            raise CatalogueError(f"{name}: {error}") from None
        return wrapped


def environment_configuration(expression: str | Call) -> EnvironmentConfiguration:
    """Environment of an expression: a Gymnasium id, `module:Id`, or one of the `WRAPPERS` around such.

    Whether it can be made is seen when it is.

    Raises:
        ExpressionError: the text is no expression.
        CatalogueError: a name of another kind.
    """
    configuration = EnvironmentConfiguration(call_of(expression))
    kind = kind_of(configuration.expression.name)
    if kind is not None:
        raise CatalogueError(
            f"{configuration.expression.name} is {with_article(kind)}, not an environment such as FrozenLake-v1"
        )
    return configuration


def build_environment(expression: str | Call) -> EnvironmentConfiguration:
    """Environment of an expression, made once and closed, so that a wrong id or argument is known at once.

    Raises:
        ExpressionError: the text is no expression.
        UnknownEnvironmentError: no such id or argument, or its constructor refuses a value.
        CatalogueError: a name of another kind, or an argument that is not allowed.
    """
    configuration = environment_configuration(expression)
    configuration.make().close()
    return configuration
