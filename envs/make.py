"""Makes environments from ids, factories and instances, and explains what went wrong in one line."""

from __future__ import annotations

import importlib
import inspect
import sys
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec, load_env_creator, parse_env_id

from velodrome.checks import VelodromeError, did_you_mean
from velodrome.envs.registration import register_environments
from velodrome.envs.unimported_modules import unimported_module

# Keywords of gym.make itself, which no constructor needs to know.
MAKE_KEYWORDS = ("max_episode_steps", "disable_env_checker")
_LISTED_MODULES = ("velodrome.envs.", "gymnasium.envs.toy_text.", "gymnasium.envs.classic_control.")

Environment = gym.Env[Any, Any]


class UnknownEnvironmentError(VelodromeError, ValueError):
    """An environment that does not exist or cannot be made, said in one line."""


def make_environment(environment: str | Callable[..., Environment] | Environment, /, **kwargs: Any) -> Environment:
    """Make a Gymnasium environment.

    Args:
        environment: a registered id, "module:Id", a function or class that returns an environment, or an
            environment, which is handed back.
        **kwargs: for the constructor; with an id also Gymnasium's max_episode_steps (-1: none).

    Raises:
        UnknownEnvironmentError: naming the id or keyword at fault and the closest that exists.
    """
    register_environments()
    if isinstance(environment, str):
        return _make_by_id(environment, kwargs)
    if isinstance(environment, gym.Env):
        if kwargs:
            raise UnknownEnvironmentError(
                f"{_type_name(environment)} is made already: {_names(kwargs)} cannot be set any more"
            )
        return environment
    if not callable(environment):
        raise UnknownEnvironmentError(
            f"an environment is an id, a function or a gymnasium.Env, got {environment!r}{several_agents(environment)}"
        )
    name = getattr(environment, "__name__", repr(environment))
    _check_keywords(name, environment, kwargs, extra=())
    return _made(name, lambda: environment(**kwargs))


def several_agents(environment: object) -> str:
    """Addition to a refusal where what was given is one of PettingZoo's environments; else nothing."""
    is_of_several = any(base.__module__.partition(".")[0] == "pettingzoo" for base in type(environment).__mro__)
    return ", of PettingZoo: environments of several agents are not supported" if is_of_several else ""


def list_environments() -> list[str]:
    """Ids fit for first experiments: ours, then the newest of Gymnasium's toy text and classic control."""
    register_environments()
    newest: dict[tuple[str | None, str], EnvSpec] = {}
    for spec in gym.registry.values():
        if isinstance(spec.entry_point, str) and spec.entry_point.startswith(_LISTED_MODULES):
            known = newest.get((spec.namespace, spec.name))
            if known is None or (spec.version or 0) > (known.version or 0):
                newest[spec.namespace, spec.name] = spec
    ids = sorted(spec.id for spec in newest.values())
    return sorted(ids, key=lambda identifier: not identifier.startswith("velodrome/"))


def _make_by_id(environment: str, kwargs: dict[str, Any]) -> Environment:
    module, _, identifier = environment.rpartition(":")
    if module:
        try:
            _check_may_register(module, environment)
            importlib.import_module(module)
        except UnknownEnvironmentError:
            raise
        except Exception as error:
            raise UnknownEnvironmentError(
                f"cannot import module {module!r} of environment {environment!r}: {_one_line(error)}"
            ) from error
    spec = gym.registry.get(identifier)
    if spec is None:
        raise UnknownEnvironmentError(_unknown(identifier))
    creator: Any = spec.entry_point
    if isinstance(creator, str):
        entry_point = creator
        creator = _call(identifier, lambda: load_env_creator(entry_point))
    if creator is not None:
        _check_keywords(identifier, creator, kwargs, extra=MAKE_KEYWORDS)
    return _made(identifier, lambda: gym.make(identifier, **kwargs))


def _check_may_register(module: str, environment: str) -> None:
    """Refuse to run a module that cannot register an environment, such as Python's `this`."""
    source = unimported_module(module)
    if source is not None and source.imports_only_python:
        raise UnknownEnvironmentError(
            f"module {module!r} of environment {environment!r} registers none: it imports only Python's own library"
        )


def _unknown(identifier: str) -> str:
    try:
        namespace, name, version = parse_env_id(identifier)
    except gym.error.Error:
        namespace, name, version = None, identifier, None
    others = [spec for spec in gym.registry.values() if (spec.namespace, spec.name) == (namespace, name)]
    if others:
        newest = max(others, key=lambda spec: spec.version or 0).id
        if version is None:
            return f"environment {identifier!r} needs its version: {newest!r}"
        return f"environment {identifier!r} is not available in this Gymnasium: use {newest!r}"
    # Our ids are often written without their namespace.
    by_short_name = {known.rpartition("/")[2]: known for known in gym.registry if known.startswith("velodrome/")}
    if identifier in by_short_name:
        return f"unknown environment {identifier!r}: did you mean {by_short_name[identifier]!r}?"
    hint = did_you_mean(identifier, _suggestible()) or ": gymnasium.pprint_registry() lists all"
    return f"unknown environment {identifier!r}{hint}"


def _suggestible() -> Iterable[str]:
    """Ids that a newcomer may mean; Gymnasium also registers ids only to explain that they are gone."""
    return (spec.id for spec in gym.registry.values() if isinstance(spec.entry_point, str | type))


def _check_keywords(name: str, creator: Callable[..., Any], kwargs: dict[str, Any], *, extra: tuple[str, ...]) -> None:
    try:
        parameters = inspect.signature(creator).parameters
    except (TypeError, ValueError):
        return
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    by_keyword = [key for key, parameter in parameters.items() if parameter.kind is not parameter.VAR_POSITIONAL]
    allowed = [*by_keyword, *extra]
    for keyword in kwargs:
        if keyword not in allowed and not takes_any:
            listed = ", ".join(allowed) or "none"
            hint = did_you_mean(keyword, allowed)
            raise UnknownEnvironmentError(f"{name} has no argument {keyword!r}{hint or ':'} it has {listed}")
    for keyword, value in kwargs.items():
        if keyword in parameters and _is_yes_or_no(parameters[keyword]) and isinstance(value, str | bytes):
            # Python takes every text but the empty one for true.
            hint = did_you_mean(value, ("True", "False")).replace("'", "")
            raise UnknownEnvironmentError(f"{name}: {keyword} must be True or False, got {value!r}{hint}")
    _check_map(name, creator, kwargs)


def _is_yes_or_no(parameter: inspect.Parameter) -> bool:
    return isinstance(parameter.default, bool) or parameter.annotation in (bool, "bool")


def _check_map(name: str, creator: Callable[..., Any], kwargs: dict[str, Any]) -> None:
    """Refuse a map of FrozenLake's kind that does not exist, or has no start."""
    maps = getattr(sys.modules.get(getattr(creator, "__module__", "")), "MAPS", None)
    if not isinstance(maps, dict):
        return
    given, desc = kwargs.get("map_name"), kwargs.get("desc")
    if desc is None and given is not None and given not in maps:
        listed = ", ".join(map(repr, maps))
        raise UnknownEnvironmentError(
            f"{name}: map_name must be one of {listed}, got {given!r}{did_you_mean(given, maps)}"
        )
    if isinstance(desc, list | tuple) and all(isinstance(row, str) for row in desc):
        widths = sorted({len(row) for row in desc})
        if len(widths) != 1:
            raise UnknownEnvironmentError(f"{name}: the rows of desc must be equally long, got {widths} letters")
        if not any("S" in row for row in desc):
            raise UnknownEnvironmentError(f"{name}: desc has no 'S', the square where episodes start, got {desc}")


def _call(name: str, make: Callable[[], Any]) -> Any:
    try:
        with warnings.catch_warnings():
            # An experiment that names an older version means it.
            warnings.filterwarnings("ignore", message="(?s).*is out of date")
            made = make()
    except Exception as error:
        raise UnknownEnvironmentError(f"cannot make {name}: {_one_line(error)}") from error
    return made


def _made(name: str, make: Callable[[], Any]) -> Environment:
    env = _call(name, make)
    if not isinstance(env, gym.Env):
        raise UnknownEnvironmentError(f"{name} must make a gymnasium.Env, got {_type_name(env)}{several_agents(env)}")
    return env


def _one_line(error: BaseException) -> str:
    # gym.make repeats a TypeError's text with all keywords behind it.
    cause = error.__cause__ if isinstance(error, TypeError) and error.__cause__ is not None else error
    return " ".join(str(cause).split()) or type(cause).__name__


def _type_name(value: object) -> str:
    return type(value).__name__


def _names(kwargs: dict[str, Any]) -> str:
    return ", ".join(repr(keyword) for keyword in kwargs)
