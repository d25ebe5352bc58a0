"""The state of an agent of the user's own: its attributes, as JSON-ready data and arrays; nothing is pickled."""

import random
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
import numpy as np

from velodrome.agents.resuming.saving import SavedAgentError
from velodrome.agents.stepwise import space_from_data, space_to_data

_PLAIN = (type(None), bool, int, float, str)
_FACTORIES: dict[str, Callable[[], Any]] = {kind.__name__: kind for kind in (int, float, bool, str, list, dict, set)}
_STREAMS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64)
}


class UnknownStateError(SavedAgentError):
    """An attribute holds something that cannot be written down; one line that names it."""


def state_to_data(
    attributes: Mapping[str, Any], owner: str, known: Mapping[str, Any] | None = None
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Attributes as JSON-ready data and arrays, from which `state_from_data` makes them anew.

    They may be numbers, strings, None, NumPy arrays and numbers, lists, tuples, dicts, sets, deques and defaultdicts of
    such, NumPy's generators, `random.Random`, and spaces of Gymnasium. What is held twice is one object afterwards.

    Args:
        attributes: by name.
        owner: whose they are, for the message.
        known: objects that are kept elsewhere, by name; where one is held, its name is written.

    Raises:
        UnknownStateError: one holds something else, or holds itself.
    """
    writer = _Writer(owner, known or {})
    data = {name: writer.write(value, f"self.{name}") for name, value in attributes.items()}
    return {"attributes": data, "objects": writer.objects}, writer.arrays


def state_from_data(
    data: Any, arrays: Mapping[str, np.ndarray], known: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Attributes of the data of `state_to_data`, which holds the names of what is `known`.

    Raises:
        SavedAgentError: they are not whole.
    """
    try:
        objects: list[Any] = []
        for item in data["objects"]:
            objects.append((known or {})[item["known"]] if "known" in item else _read_object(item, objects, arrays))
        return {str(name): _read(item, objects) for name, item in data["attributes"].items()}
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise SavedAgentError(f"the saved state is not whole: {error}") from None


class _Writer:
    """Writes values; every object that can change is written once and referred to by its number."""

    def __init__(self, owner: str, known: Mapping[str, Any]) -> None:
        self.objects: list[Any] = [{"known": name} for name in known]
        self.arrays: dict[str, np.ndarray] = {}
        self._owner = owner
        self._numbers = {id(value): number for number, value in enumerate(known.values())}
        self._under_way: set[int] = set()

    def write(self, value: Any, place: str) -> Any:
        """A plain value as it is, anything else as [its number]."""
        if type(value) in _PLAIN:
            return value
        if id(value) in self._under_way:
            raise self._unknown(place, "holds itself")
        if id(value) not in self._numbers:
            self._under_way.add(id(value))
            written = self._object(value, place)
            self._under_way.discard(id(value))
            self.objects.append(written)
            self._numbers[id(value)] = len(self.objects) - 1
        return [self._numbers[id(value)]]

    def _object(self, value: Any, place: str) -> Any:
        kind = type(value)
        if kind is np.ndarray or isinstance(value, np.generic):
            return {"array" if kind is np.ndarray else "number": self._array(np.asarray(value), place)}
        if kind in (list, tuple, set, frozenset, deque):
            items = sorted(value, key=repr) if kind in (set, frozenset) else value
            written = {kind.__name__: [self.write(item, f"{place}[{number}]") for number, item in enumerate(items)]}
            return written | ({"maxlen": value.maxlen} if kind is deque else {})
        if kind in (dict, defaultdict):
            pairs = [[self.write(key, place), self.write(item, f"{place}[{key!r}]")] for key, item in value.items()]
            if kind is dict:
                return {"dict": pairs}
            factory = None if value.default_factory is None else getattr(value.default_factory, "__name__", "")
            if factory is not None and _FACTORIES.get(factory) is not value.default_factory:
                raise self._unknown(place, "is a defaultdict with a function of its own")
            return {"defaultdict": pairs, "factory": factory}
        if kind is np.random.Generator and type(value.bit_generator).__name__ in _STREAMS:
            return {"generator": type(value.bit_generator).__name__, "state": _listed(value.bit_generator.state)}
        if kind is random.Random:
            version, numbers, gauss = value.getstate()
            return {"random": [version, list(numbers), gauss]}
        if isinstance(value, gym.Space):
            # Agents may draw actions from it.
            stream = self.write(value._np_random, f"{place}.np_random")
            try:
                return {"space": space_to_data(value), "stream": stream}
            except TypeError as error:
                raise self._unknown(place, f"is {error}") from None
        raise self._unknown(place, f"is a {kind.__module__}.{kind.__qualname__}")

    def _array(self, array: np.ndarray, place: str) -> str:
        if array.dtype.hasobject:
            raise self._unknown(place, "is an array of Python objects")
        name = f"state.{len(self.arrays)}"
        self.arrays[name] = array
        return name

    def _unknown(self, place: str, what: str) -> UnknownStateError:
        return UnknownStateError(f"{self._owner} cannot be saved: {place} {what}")


def _read(item: Any, objects: list[Any]) -> Any:
    return objects[item[0]] if isinstance(item, list) else item


def _read_object(item: Any, objects: list[Any], arrays: Mapping[str, np.ndarray]) -> Any:
    kind = next(iter(item))
    if kind == "array":
        return np.array(arrays[item[kind]])
    if kind == "number":
        return np.asarray(arrays[item[kind]])[()]
    if kind in ("list", "tuple", "set", "frozenset", "deque"):
        items = [_read(one, objects) for one in item[kind]]
        if kind == "deque":
            return deque(items, item["maxlen"])
        return {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}[kind](items)
    if kind in ("dict", "defaultdict"):
        pairs = {_read(key, objects): _read(one, objects) for key, one in item[kind]}
        if kind == "dict":
            return pairs
        return defaultdict(None if item["factory"] is None else _FACTORIES[item["factory"]], pairs)
    if kind == "generator":
        generator = np.random.Generator(_STREAMS[item[kind]](0))
        generator.bit_generator.state = _unlisted(item["state"])
        return generator
    if kind == "random":
        version, numbers, gauss = item[kind]
        stream = random.Random()
        stream.setstate((version, tuple(numbers), gauss))
        return stream
    space = space_from_data(item["space"])
    space._np_random = _read(item["stream"], objects)
    return space


def _listed(state: Any) -> Any:
    """A bit generator's state, JSON-ready."""
    if isinstance(state, dict):
        return {key: _listed(value) for key, value in state.items()}
    return {"array": state.tolist(), "dtype": str(state.dtype)} if isinstance(state, np.ndarray) else state


def _unlisted(state: Any) -> Any:
    if not isinstance(state, dict):
        return state
    if set(state) == {"array", "dtype"}:
        return np.array(state["array"], dtype=state["dtype"])
    return {key: _unlisted(value) for key, value in state.items()}
