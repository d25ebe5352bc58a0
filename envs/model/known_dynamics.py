"""Whether the code that steps an environment is that of a class we know, as its own module defines it."""

from __future__ import annotations

import operator
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from types import CodeType, FunctionType
from typing import Any, TypeVar

import gymnasium as gym
from gymnasium.envs.toy_text.cliffwalking import CliffWalkingEnv
from gymnasium.envs.toy_text.frozen_lake import FrozenLakeEnv
from gymnasium.envs.toy_text.taxi import TaxiEnv

Kind = TypeVar("Kind", bound=type)

GYMNASIUM_CLASSES: tuple[type, ...] = (FrozenLakeEnv, TaxiEnv, CliffWalkingEnv)
DYNAMICS = ("step", "reset", "np_random")
_PACKAGES = {"gymnasium", "velodrome", "numpy", *sys.stdlib_module_names}
# They decide what every other name of an instance means.
_ATTRIBUTE_ACCESS = ("__getattribute__", "__getattr__", "__setattr__", "__delattr__")
# It draws a picture, or nothing.
_WITHOUT_EFFECT = {"render"}

_known: list[type] = [*GYMNASIUM_CLASSES]


def steps_by_its_model(kind: Kind) -> Kind:
    """Class decorator: `step` and `reset` of this class follow its transition model, and nothing else."""
    _known.append(kind)
    return kind


def known_class_of(unwrapped: gym.Env[Any, Any]) -> type | None:
    """The class, its own or a base, whose `step` and `reset` are known to follow a transition model."""
    return next((base for base in type(unwrapped).__mro__ if base in _known), None)


def reason_not_known(unwrapped: gym.Env[Any, Any]) -> str | None:
    """Why an environment without its wrappers may not step as its model says, None where it does.

    All that the known `step` and `reset` reach must be what the class's own module defines: not overridden by a
    subclass, not replaced on the class or in the module, not replaced on this instance.
    """
    known = known_class_of(unwrapped)
    if known is None:
        return (
            replaced_on_instance(unwrapped, DYNAMICS) or f"how {type(unwrapped).__name__} draws its steps is not known"
        )
    return reason_changed(unwrapped, known, DYNAMICS)


def reason_changed(layer: gym.Env[Any, Any], known: type, names: tuple[str, ...]) -> str | None:
    """Why some methods of an environment or wrapper do other things than those of a class, None where they do not.

    Args:
        layer: the environment or wrapper.
        known: its class, or a base of that.
        names: of the methods; what they call counts too.
    """
    code = _Code.of(known, names)
    replaced = replaced_on_instance(layer, code.methods)
    if replaced is not None:
        return replaced
    for base in type(layer).__mro__ if type(layer) is not known else ():
        if base not in known.__mro__ and not vars(base).keys().isdisjoint(code.reached):
            overridden = next(name for name in code.reached if name in vars(base))
            return f"{base.__name__} overrides {overridden}"
    return code.reason_replaced


def replaced_on_instance(layer: gym.Env[Any, Any], names: tuple[str, ...]) -> str | None:
    """The first of these methods that the instance itself holds, in words; None where it holds none."""
    own = vars(layer)
    if own.keys().isdisjoint(names):
        return None
    replaced = next((name for name in names if name in own), None)
    return None if replaced is None else f"{type(layer).__name__}.{replaced} was replaced on this instance"


@dataclass(frozen=True, eq=False)
class _Code:
    """The code that methods of a class reach, as it was when it was looked at.

    Attributes:
        reached: names of the class's attributes that the methods use, and those that these use, themselves included.
        methods: those of them that are functions.
        reason_replaced: why some of it is not what its own module defines, None where all is.
        places: where to look pieces up, and by which names.
        pieces: what was found there.
        functions: inside the pieces.
        codes: of the functions, which keep their identity when their code is exchanged.
    """

    reached: tuple[str, ...]
    methods: tuple[str, ...]
    reason_replaced: str | None
    places: tuple[tuple[Mapping[str, Any], tuple[str, ...]], ...]
    pieces: list[Any]
    functions: list[FunctionType]
    codes: list[CodeType]

    @classmethod
    def of(cls, known: type, names: tuple[str, ...]) -> _Code:
        """The code as it is now; what was looked at before is used again only where all of it is still the same."""
        last = _looked_at.get((known, names))
        if last is None or not last._is_still_so():
            last = _looked_at[known, names] = cls._look(known, names)
        return last

    @classmethod
    def _look(cls, known: type, names: tuple[str, ...]) -> _Code:
        reached = tuple(dict.fromkeys((*_ATTRIBUTE_ACCESS, *_reached(known, names))))
        called = list(_functions_called(known, names))
        bases = [base for base in known.__mro__ if base is not object]
        places = (*((vars(base), reached) for base in bases), *((holder, (name,)) for holder, name in called))
        methods = tuple(name for name in reached if any(isinstance(part, FunctionType) for part in _parts(known, name)))
        pieces = _pieces(places)
        functions = [function for piece in pieces for function in _functions_of(piece)]
        codes = [function.__code__ for function in functions]
        return cls(reached, methods, _reason_replaced(known, reached, called), places, pieces, functions, codes)

    def _is_still_so(self) -> bool:
        codes = [function.__code__ for function in self.functions]
        return all(map(operator.is_, _pieces(self.places), self.pieces)) and all(map(operator.is_, codes, self.codes))


_looked_at: dict[tuple[type, tuple[str, ...]], _Code] = {}


def _pieces(places: Iterable[tuple[Mapping[str, Any], tuple[str, ...]]]) -> list[Any]:
    return list(chain.from_iterable(map(holder.get, names) for holder, names in places))


def _reason_replaced(known: type, reached: tuple[str, ...], called: list[tuple[Mapping[str, Any], str]]) -> str | None:
    for name in reached:
        for owner in _definers(known, name):
            if not _is_original(vars(owner)[name], owner.__module__, f"{owner.__qualname__}.{name}"):
                return f"{owner.__name__}.{name} was replaced"
    for holder, name in called:
        if not _is_of_a_package(holder[name]):
            return f"{name}, which {known.__name__} calls, was replaced"
    return None


def _definers(kind: type, name: str) -> tuple[type, ...]:
    return tuple(base for base in kind.__mro__ if base is not object and name in vars(base))


def _parts(known: type, name: str) -> list[Any]:
    return [vars(owner)[name] for owner in _definers(known, name)]


def _reached(known: type, names: tuple[str, ...]) -> list[str]:
    reached: list[str] = []
    waiting = list(names)
    while waiting:
        name = waiting.pop(0)
        if name not in reached and name not in _WITHOUT_EFFECT:
            reached.append(name)
            functions = [function for part in _parts(known, name) for function in _functions_of(part)]
            waiting += [used for function in functions for used in _names_in(function.__code__)]
    return reached


def _functions_called(known: type, names: tuple[str, ...]) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Where the functions stand that a class's methods call by a name of their module."""
    for name in _reached(known, names):
        for part in _parts(known, name):
            for method in _functions_of(part):
                for used in _names_in(method.__code__):
                    if isinstance(method.__globals__.get(used), FunctionType):
                        yield method.__globals__, used


@lru_cache(maxsize=1024)
def _names_in(code: CodeType) -> tuple[str, ...]:
    """Names that code looks up, in comprehensions inside it too."""
    inner = [name for constant in code.co_consts if isinstance(constant, CodeType) for name in _names_in(constant)]
    return tuple(dict.fromkeys([*code.co_names, *inner]))


def _functions_of(member: Any) -> list[FunctionType]:
    parts = (member, getattr(member, "fget", None), getattr(member, "fset", None), getattr(member, "__func__", None))
    return [part for part in parts if isinstance(part, FunctionType)]


def _is_original(member: Any, module: str, qualified_name: str) -> bool:
    """Whether a class's member holds only code that stands in its module under its own name, or is no code."""
    if not callable(member) and not isinstance(member, property | classmethod | staticmethod):
        return True
    if isinstance(member, type):
        return True
    functions = _functions_of(member)
    return bool(functions) and all(_stands_in(function, module, qualified_name) for function in functions)


def _is_of_a_package(function: FunctionType) -> bool:
    module = function.__module__ or ""
    return module.partition(".")[0] in _PACKAGES and _stands_in(function, module, function.__qualname__)


def _stands_in(function: FunctionType, module: str, qualified_name: str) -> bool:
    """Whether a function's code was read from a module's file; `functools.wraps` changes names, not the code."""
    found = sys.modules.get(module)
    if found is None or function.__globals__ is not vars(found):
        return False
    code, file = function.__code__, str(getattr(found, "__file__", ""))
    # What is installed without its source keeps the path that it was compiled at.
    return code.co_qualname == qualified_name and (code.co_filename == file or not file.endswith(".py"))
