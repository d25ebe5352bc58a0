"""Everything that an object holds, as text by place: two with equal contents behave alike from then on."""

import hashlib
import logging
import random
import warnings
from collections import deque
from collections.abc import Iterator
from enum import Enum
from types import BuiltinFunctionType, FunctionType, MappingProxyType, MemberDescriptorType, MethodType, ModuleType
from typing import Any

import numpy as np
from gymnasium.envs.registration import EnvSpec

from velodrome.checks import VelodromeError

_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...))
# Nothing in an object of these kinds changes, or changes what an environment does.
_FIXED = (type, ModuleType, Enum, np.dtype, np.ufunc, EnvSpec, logging.Logger)
_MAX_PLACES = 1_000_000
_MADE_BY_PYTHON = 1 << 9  # Py_TPFLAGS_HEAPTYPE


class UnknownContentsError(VelodromeError, ValueError):
    """An object is too large, or written in another language in a way that cannot be looked into; one line."""


def describe_difference(one: dict[str, str], other: dict[str, str]) -> tuple[str, str, str] | None:
    """First place where contents differ with what is there in both, random streams last; None where they are equal."""
    differing = [place for place in one.keys() | other.keys() if one.get(place) != other.get(place)]
    if not differing:
        return None
    # Streams differ as soon as anything else does.
    place = min(differing, key=lambda place: ("_np_random" in place, place))
    return place, _short(one.get(place, "absent")), _short(other.get(place, "absent"))


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."


class Contents:
    """Reads objects all the way down; what is found can be compared within one process.

    Args:
        is_strict: raise where an object cannot be looked into; otherwise it counts by its identity, but for
            iterators, which change as they are used.

    Attributes:
        found: place to text.
    """

    def __init__(self, is_strict: bool = True) -> None:
        self.found: dict[str, str] = {}
        self._is_strict = is_strict
        self._places: dict[int, str] = {}
        # An object that was freed could give its identity to another.
        self._alive: list[Any] = []

    def know(self, place: str, value: Any) -> bool:
        """Note where an object is met; False where it was met before."""
        if id(value) in self._places:
            self.found[place] = f"same as {self._places[id(value)]}"
            return False
        self._places[id(value)] = place
        self._alive.append(value)
        return True

    def add(self, place: str, value: Any) -> None:
        """Read `value`, and all that it refers to."""
        if len(self.found) > _MAX_PLACES:
            raise UnknownContentsError(f"{place.partition('.')[0]} holds more than {_MAX_PLACES:,} values")
        kind = type(value)
        if kind in _PLAIN:
            self.found[place] = f"{value!r}"
        elif isinstance(value, np.generic) and not isinstance(value, np.void):
            self.found[place] = f"{value!r} {value.tobytes().hex()}"
        elif isinstance(value, _FIXED):
            self.found[place] = kind.__qualname__ if isinstance(value, EnvSpec) else repr(value)
        elif kind is tuple or self.know(place, value):
            self.found[place] = kind.__qualname__
            try:
                self._look_into(place, value)
            except RecursionError:
                raise UnknownContentsError(f"{place.partition('.')[0]} holds objects nested too deeply") from None

    def add_attributes(self, place: str, value: Any) -> None:
        """Read the attributes of `value`, those in slots too."""
        for name, item in sorted(getattr(value, "__dict__", {}).items()):
            if name != "_cached_spec":
                self.add(f"{place}.{name}", item)
        for base in type(value).__mro__:
            # Of objects made in another language, such members are the plumbing.
            if not base.__flags__ & _MADE_BY_PYTHON:
                continue
            for name, member in vars(base).items():
                if isinstance(member, MemberDescriptorType):
                    try:
                        item = member.__get__(value)
                    except AttributeError:
                        continue
                    self.add(f"{place}.{name}", item)

    def _look_into(self, place: str, value: Any) -> None:
        if isinstance(value, np.ndarray):
            self._array(place, value)
        elif isinstance(value, list | tuple | deque):
            self.found[place] = f"{type(value).__qualname__} of {len(value)}"
            for number, item in enumerate(value):
                self.add(f"{place}[{number}]", item)
        elif isinstance(value, dict | MappingProxyType):
            self.found[place] = f"{type(value).__qualname__} of {len(value)}"
            for number, (key, item) in enumerate(value.items()):
                if type(key) not in _PLAIN:
                    self.add(f"{place}.key {number}", key)
                self.add(f"{place}[{number}: {key!r}]" if type(key) in _PLAIN else f"{place}[{number}]", item)
        elif isinstance(value, set | frozenset):
            self.found[place] = f"{type(value).__qualname__} {sorted(map(repr, value))}"
        elif isinstance(value, FunctionType):
            self._function(place, value)
        elif isinstance(value, MethodType):
            self.add(f"{place}.__func__", value.__func__)
            self.add(f"{place}.__self__", value.__self__)
            return
        elif isinstance(value, BuiltinFunctionType):
            self.found[place] = value.__qualname__
            self.add(f"{place}.__self__", value.__self__)
            return
        elif isinstance(value, np.random.Generator):
            self.add(f"{place}.bit_generator", value.bit_generator)
        elif isinstance(value, np.random.BitGenerator):
            self.add(f"{place}.state", value.state)
            self.add(f"{place}.seed_seq", value.seed_seq)
        elif isinstance(value, np.random.SeedSequence):
            self.add(f"{place}.seed", (value.entropy, value.spawn_key, value.pool_size, value.n_children_spawned))
        elif isinstance(value, np.random.RandomState):
            self.add(f"{place}.state", value.get_state(legacy=False))
        elif type(value) is random.Random:
            self.add(f"{place}.state", value.getstate())
        elif not _is_pure_python(type(value)):
            self._pickled_form(place, value)
            return
        self.add_attributes(place, value)

    def _array(self, place: str, array: np.ndarray) -> None:
        self.found[place] = f"{type(array).__qualname__} {array.dtype} {array.shape}"
        if array.dtype.hasobject:
            self.add(f"{place}.tolist()", array.tolist())
        elif array.size <= 4:
            self.found[place] += f" {array.tolist()} {array.tobytes().hex()}"
        else:
            self.found[place] += f" {hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()}"

    def _function(self, place: str, function: FunctionType) -> None:
        self.found[place] = f"{function.__module__}.{function.__qualname__} {id(function.__code__)}"
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                item = cell.cell_contents
            except ValueError:  # not assigned yet
                continue
            self.add(f"{place}.{name}", item)
        for item in (function.__defaults__, function.__kwdefaults__):
            if item:
                self.add(f"{place}.defaults", item)

    def _pickled_form(self, place: str, value: Any) -> None:
        """Parts from which pickle would rebuild an object whose insides Python does not show; nothing is pickled."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                form = value.__reduce_ex__(2)
            if not isinstance(form, str):
                form = [list(part) if number > 2 and part is not None else part for number, part in enumerate(form)]
        except Exception:
            if self._is_strict or isinstance(value, Iterator):
                kind = type(value)
                raise UnknownContentsError(
                    f"{place} is a {kind.__module__}.{kind.__qualname__}, which hides what it holds"
                ) from None
            self.found[place] = f"{type(value).__qualname__} {id(value)}"
            return
        self.add(f"{place}.pickled", form)


def _is_pure_python(kind: type) -> bool:
    """Whether instances hold nothing but attributes: no base but `object` was made in another language."""
    for base in kind.__mro__:
        new = base.__new__
        is_builtin = not base.__flags__ & _MADE_BY_PYTHON
        if is_builtin or (isinstance(new, BuiltinFunctionType) and new.__self__ is base):
            return base is object
    return True
