"""Fingerprints of the user's own code that takes part in a trial, so that edited code is run again."""

import functools
import hashlib
import importlib.metadata
import inspect
import secrets
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MemberDescriptorType, ModuleType
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec, load_env_creator

from velodrome.agents.agent import Agent
from velodrome.agents.engine.code_fingerprint import code_fingerprint, referenced_values
from velodrome.agents.named_objects import is_own
from velodrome.policies.configuration import Configuration, parameters_of


def code_of(agent: Any, classes: Iterable[type], factory: Callable[[], Any] | None = None) -> dict[str, str]:
    """Name to SHA-256 of each class, method, factory or named file that is neither ours nor of an installed package.

    Args:
        agent: a configuration; its policy, schedules and functions are looked at too.
        classes: of the environment and its wrappers.
        factory: what makes the environment, where it is no expression.
    """
    own: dict[str, Any] = {}
    for configuration in _configurations(agent):
        own.update(_own_classes(type(configuration)))
        own.update(_own_functions(configuration))
        if isinstance(configuration, Agent):
            for name, thing in configuration.named_code().items():
                own.update(_own_classes(thing) if isinstance(thing, type) else {name: thing})
    for cls in classes:
        own.update(_own_classes(cls))
        own.update(_own_methods(cls))
    if factory is not None:
        own[_name(factory)] = factory
    return {name: _fingerprint(thing) for name, thing in sorted(own.items())}


def packages_of(agent: Agent, classes: Iterable[type] = ()) -> dict[str, str | None]:
    """Distribution to its installed version, None where there is none, of all that decide a trial's results.

    Args:
        agent: it and those in it name theirs.
        classes: of the environment and its wrappers, from other packages than ours and Gymnasium.
    """
    named = set(agent.needed_packages())
    modules = {cls.__module__ for base in classes for cls in base.__mro__ if not is_own(cls.__module__)}
    others = {module.partition(".")[0] for module in modules} - _KNOWN_MODULES
    for module in others:
        named.update(_distributions().get(module, ()))
    return {name: _version(name) for name in sorted(named)}


# What gymnasium's base classes bring along decides nothing.
_KNOWN_MODULES = {"velodrome", "gymnasium", "numpy", *sys.stdlib_module_names}


@functools.lru_cache(maxsize=1)
def _distributions() -> Mapping[str, list[str]]:
    """Top-level module to the distributions that it is of; reading them all takes a while, and few trials need it."""
    return importlib.metadata.packages_distributions()


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def registration_of(spec_id: str | None) -> dict[str, str]:
    """Name to SHA-256 of the registration of an environment that the user's own code registered; else empty.

    Args:
        spec_id: under which Gymnasium knows the environment, or None.
    """
    spec = None if spec_id is None else gym.registry.get(spec_id)
    creator = None if spec is None else _creator_of(spec)
    if spec is None or creator is None or not is_own(getattr(creator, "__module__", type(creator).__module__)):
        return {}
    settings = (spec.kwargs, spec.max_episode_steps, spec.reward_threshold, spec.order_enforce)
    wrappers = [tuple(wrapper) for wrapper in map(_parts_of, spec.additional_wrappers)]
    # A class is looked at where it is made.
    made_by = "" if isinstance(creator, type) else _fingerprint(creator)
    text = "".join([_identity(settings), _identity(wrappers), made_by])
    return {f"registration of {spec.id}": hashlib.sha256(text.encode()).hexdigest()}


def _creator_of(spec: EnvSpec) -> Any:
    if not isinstance(spec.entry_point, str):
        return spec.entry_point
    try:
        return load_env_creator(spec.entry_point)
    except Exception:
        # It cannot be made, which its trials say.
        return None


def _parts_of(wrapper: Any) -> tuple[Any, ...]:
    return wrapper.name, wrapper.entry_point, wrapper.kwargs


def _configurations(value: Any) -> Iterator[Configuration]:
    if isinstance(value, Configuration):
        yield value
        for item in parameters_of(value).values():
            yield from _configurations(item)


def _own_functions(configuration: Configuration) -> dict[str, Any]:
    """Functions that a configuration was made with, by parameter: two may have one name, such as `<lambda>`."""
    given = {
        name: value for name, value in parameters_of(configuration).items() if not isinstance(value, Configuration)
    }
    return {
        f"{name}={_name(value)}": value
        for name, value in given.items()
        if callable(value) and (not isinstance(value, type | FunctionType) or is_own(value.__module__))
    }


def _own_classes(cls: type) -> dict[str, type]:
    return {_name(base): base for base in cls.__mro__ if is_own(base.__module__)}


def _own_methods(cls: type) -> dict[str, FunctionType]:
    """The user's functions that stand in the place of methods of classes that are not the user's."""
    return {
        f"{_name(base)}.{name}": value
        for base in cls.__mro__
        if not is_own(base.__module__)
        for name, value in vars(base).items()
        if isinstance(value, FunctionType) and is_own(value.__globals__.get("__name__"))
    }


def _name(thing: Any) -> str:
    kind = thing if hasattr(thing, "__qualname__") else type(thing)
    return f"{kind.__module__}:{kind.__qualname__}"


def _fingerprint(thing: Any) -> str:
    """SHA-256 of all functions that a class or callable reaches, through the user's classes too, and their values.

    Of a file, that of its bytes.
    """
    if isinstance(thing, Path):
        return hashlib.sha256(thing.read_bytes()).hexdigest()
    functions: dict[int, FunctionType] = {}
    seen: set[int] = set()
    waiting = [thing]
    state = [_identity(value) for value in _state_of(thing)]
    while waiting:
        item = waiting.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        state += [_identity(value, is_of_module=True) for value in _class_values(item)]
        for function in _functions_of(item):
            functions.setdefault(id(function), function)
            values = [*referenced_values(function), *(function.__defaults__ or ()), function.__kwdefaults__ or {}]
            waiting += [value for value in values if _is_followed(value)]
            plain = [value for value in values if not isinstance(value, type | FunctionType | ModuleType)]
            enclosed = {id(cell.cell_contents) for cell in function.__closure__ or ()}
            state += [_identity(value, is_of_module=id(value) not in enclosed) for value in plain]
    ordered = sorted(functions.values(), key=lambda function: (function.__module__, function.__qualname__))
    digest = hashlib.sha256(code_fingerprint(*ordered).encode())
    digest.update("".join(sorted(state)).encode())
    return digest.hexdigest()


def _identity(value: Any, *, is_of_module: bool = False) -> str:
    """Text that differs for different values; it may also differ for equal ones, which then are run again.

    Args:
        value: to describe.
        is_of_module: it is a module's or class's own, not what tells one factory from another.
    """
    if value is None or isinstance(value, int | float | str | bytes):
        return repr(value)
    inner = functools.partial(_identity, is_of_module=is_of_module)
    if isinstance(value, set | frozenset):
        return f"{type(value).__name__}({sorted(inner(item) for item in value)})"
    if isinstance(value, tuple | list):
        return f"{type(value).__name__}({[inner(item) for item in value]})"
    if isinstance(value, dict):
        return f"{type(value).__name__}({sorted((inner(key), inner(item)) for key, item in value.items())})"
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return f"{value.dtype.str}{value.shape}{hashlib.sha256(value.tobytes()).hexdigest()}"
    if isinstance(value, BuiltinFunctionType):
        return f"{value.__module__}.{value.__qualname__}"
    import cloudpickle

    try:
        return hashlib.sha256(cloudpickle.dumps(value)).hexdigest()
    except Exception:
        if is_of_module:
            # A lock or an open file: the same in every run, as far as the code around it is.
            return f"{type(value).__module__}.{type(value).__qualname__}"
        # It cannot be told from others of its kind, so that it is never taken for one.
        return secrets.token_hex(16)


def _is_followed(value: Any) -> bool:
    return isinstance(value, type | FunctionType) and is_own(value.__module__)


def _state_of(item: Any) -> list[Any]:
    """Values that a callable object carries with it."""
    if isinstance(item, functools.partial):
        return [item.args, item.keywords, *_state_of(item.func)]
    if inspect.ismethod(item):
        return [item.__self__]
    return [] if isinstance(item, type | FunctionType) else [item]


def _class_values(item: Any) -> list[Any]:
    """Names and values that a class defines, but functions, which are looked at on their own."""
    if not isinstance(item, type):
        return []
    members = {name: value for name, value in vars(item).items() if not name.startswith(("__", "_abc_"))}
    code = (FunctionType, staticmethod, classmethod, property, MemberDescriptorType, type)
    return [(name, value) for name, value in members.items() if not isinstance(value, code)]


def _functions_of(item: Any) -> list[FunctionType]:
    """Plain functions of a function, a class, or a callable object such as functools.partial."""
    if isinstance(item, FunctionType):
        return [item]
    if isinstance(item, functools.partial):
        return _functions_of(item.func)
    if inspect.ismethod(item):
        return _functions_of(item.__func__)
    if not isinstance(item, type):
        return _functions_of(type(item)) if is_own(type(item).__module__) else []
    members = [(value, getattr(value, "__func__", None), getattr(value, "fget", None)) for value in vars(item).values()]
    return [part for parts in members for part in parts if isinstance(part, FunctionType)]
