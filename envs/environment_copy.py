"""An independent copy of an environment, as it stands."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from types import FunctionType, MethodType
from typing import Any

import gymnasium as gym

from velodrome.checks import VelodromeError
from velodrome.envs.wrapper_chain import layers_of


class NotCopiedError(VelodromeError, ValueError):
    """An environment of which no independent copy can be made; one line."""


def copied(env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
    """A copy with the same wrappers, attributes, position and random streams, which shares nothing that changes.

    Everything is copied as it stands; an environment that Gymnasium's EzPickle would only make anew keeps what was
    changed in it.

    Raises:
        NotCopiedError: it renders, or holds something that cannot be copied, such as a function that may act on it.
    """
    layers = layers_of(env)
    try:
        return _copied(layers)
    except NotCopiedError:
        raise
    except Exception as error:
        raise NotCopiedError(f"cannot be copied ({type(error).__name__}: {error})") from None


def _copied(layers: list[gym.Env[Any, Any]]) -> gym.Env[Any, Any]:
    if layers[-1].render_mode is not None:
        raise NotCopiedError("is asked to render")
    for layer in layers:
        _check(layer)
        if hasattr(type(layer), "__deepcopy__"):
            raise NotCopiedError(f"has a way of its own to be copied ({type(layer).__name__}.__deepcopy__)")
        if hasattr(type(layer), "__del__"):
            raise NotCopiedError(f"frees what it holds when it goes, which a copy would share ({type(layer).__name__})")
    copies: dict[int, Any] = {id(layer): object.__new__(type(layer)) for layer in layers}
    # What describes an environment never changes.
    memo = copies | {id(layer.spec): layer.spec for layer in layers if layer.spec is not None}
    for layer in layers:
        attributes = {name: copy.deepcopy(value, memo) for name, value in vars(layer).items() if name != "_cached_spec"}
        vars(copies[id(layer)]).update(attributes)
        if "_cached_spec" in vars(layer):
            copies[id(layer)]._cached_spec = layer.spec
    return copies[id(layers[0])]  # type: ignore[no-any-return]


def _check(layer: gym.Env[Any, Any]) -> None:
    if any(base.__dict__.get("__slots__") for base in type(layer).__mro__):
        raise NotCopiedError(f"has slots ({type(layer).__name__})")
    for name, value in vars(layer).items():
        replaces = isinstance(value, FunctionType) and hasattr(type(layer), name)
        if replaces or any(isinstance(part, FunctionType) and _may_act(part) for part in _parts(value)):
            raise NotCopiedError(f"holds a function that may act on it ({type(layer).__name__}.{name})")


def _may_act(function: FunctionType) -> bool:
    """Whether a function, which a copy shares, may know the environment that it was made for."""
    used = [function.__globals__.get(name) for name in function.__code__.co_names]
    owners = [value.__self__ if isinstance(value, MethodType) else value for value in used]
    return bool(function.__closure__) or any(isinstance(owner, gym.Env) for owner in owners)


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list | tuple | set | frozenset) else (value,)
