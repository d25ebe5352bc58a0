"""Contents that environments keep from one episode to the next, on its own or shared with its classes and modules."""

import dataclasses
from collections.abc import Iterator
from types import BuiltinFunctionType, FunctionType, MemberDescriptorType, ModuleType
from typing import Any

import gymnasium as gym
from gymnasium import wrappers

from velodrome.agents.engine.code_fingerprint import reachable_functions, referenced_values
from velodrome.agents.resuming.object_contents import Contents
from velodrome.envs.wrapper_chain import layers_of
from velodrome.policies.configuration import Configuration

# They count and check, and pass on what they get.
_WITHOUT_EFFECT = (wrappers.RecordEpisodeStatistics, wrappers.PassiveEnvChecker)


def environment_contents(env: gym.Env[Any, Any]) -> dict[str, str]:
    """Contents of an environment and its wrappers, place by place, such as "CartPoleEnv.gravity".

    They can be compared within one process.

    Raises:
        UnknownContentsError: they cannot all be read.
    """
    contents = Contents()
    layers = layers_of(env)
    kinds = [type(layer).__name__ for layer in layers]
    # Two wrappers of one kind have places of their own.
    names = [kind + "'" * kinds[:depth].count(kind) for depth, kind in enumerate(kinds)]
    for name, layer in zip(names, layers, strict=True):
        contents.know(name, layer)
    for name, layer in zip(names, layers, strict=True):
        if type(layer) not in _WITHOUT_EFFECT:
            contents.add_attributes(name, layer)
    return contents.found


def shared_contents(env: gym.Env[Any, Any], make: Any, configuration: Configuration) -> dict[str, str]:
    """Values that outlive an environment: those of classes, those that code finds by name, and the parameters.

    They must stay as they are during a training; an environment made anew in this process shares them, one in
    another process does not.

    Args:
        env: with its wrappers; what Gymnasium's and our own classes share is left out.
        make: what made it; a plain function counts too.
        configuration: the agent, whose policy may be the user's own and have a memory.

    Raises:
        UnknownContentsError: they are too many.
    """
    contents = Contents(is_strict=False)
    for name, value in _fields(configuration).items():
        contents.add(f"{configuration.name}.{name}", value)
    functions = [make] if isinstance(make, FunctionType) else []
    kinds = [type(owner) for owner in [*layers_of(env), *_configurations(configuration)]]
    for base in {base: None for kind in kinds for base in kind.__mro__}:
        if base.__module__.partition(".")[0] in ("gymnasium", "velodrome", "typing", "builtins", "abc"):
            continue
        for name, value in vars(base).items():
            parts = (value, getattr(value, "__func__", None), getattr(value, "fget", None))
            found = [part for part in parts if isinstance(part, FunctionType)]
            functions += found
            if not found and not name.startswith(("__", "_abc_")) and not _is_code(value):
                contents.add(f"{base.__module__}.{base.__qualname__}.{name}", value)
    for reached in {reached: None for function in functions for reached in reachable_functions(function)}:
        for number, value in enumerate(referenced_values(reached)):
            if not _is_code(value):
                contents.add(f"value {number} used by {reached.__module__}.{reached.__qualname__}", value)
    return contents.found


def _configurations(configuration: Configuration) -> Iterator[Configuration]:
    yield configuration
    for value in _fields(configuration).values():
        if isinstance(value, Configuration):
            yield from _configurations(value)


def _fields(configuration: Any) -> dict[str, Any]:
    return {field.name: getattr(configuration, field.name) for field in dataclasses.fields(configuration)}


def _is_code(value: Any) -> bool:
    return isinstance(value, type | ModuleType | FunctionType | BuiltinFunctionType | MemberDescriptorType)
