"""The environment in which a trained agent is evaluated: its wrappers stand as training left them."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import CellType, FunctionType, ModuleType, NoneType
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces, wrappers

from velodrome.agents.resuming.object_contents import Contents
from velodrome.checks import one_line
from velodrome.envs.environment_copy import NotCopiedError, copied
from velodrome.envs.wrapper_chain import layers_of, wrappers_of

# Of Gymnasium's wrappers, those that keep more than the present episode, or call what a user gave them.
_STATEFUL = (
    wrappers.NormalizeObservation,
    wrappers.NormalizeReward,
    wrappers.TransformObservation,
    wrappers.TransformReward,
    wrappers.TransformAction,
)
# What a wrapper is, and random streams: those of an evaluation are its own.
_NOT_CARRIED = {"env", "_cached_spec", "_saved_kwargs", "_metadata", "_np_random", "_np_random_seed"}
_STREAMS = (np.random.Generator, np.random.RandomState, np.random.BitGenerator, np.random.SeedSequence)
# More takes too long to be put back before every episode.
_MOST_PUT_BACK = 10_000
_SEED = 0
_SWITCH = "update_running_mean"

Values = dict[int, dict[str, Any]]
Names = dict[int, list[str]]


@dataclass(frozen=True, eq=False)
class WrapperState:
    """State of the wrappers of an environment, as it was when this was taken.

    Attributes:
        kinds: classes of all layers, outermost first.
        values: depth of a layer to copies of its attributes by name.
        originals: the attributes themselves.
        places: what stands for the layers in the copies.
        problem: why it could not be taken; empty where it was.
    """

    kinds: tuple[type, ...]
    values: Values
    originals: Values
    places: tuple["_Place", ...]
    problem: str = ""

    @classmethod
    def of(cls, env: gym.Env[Any, Any]) -> "WrapperState":
        """Take the state of an environment, which stays as it is."""
        layers = layers_of(env)
        kinds, places = tuple(type(layer) for layer in layers), tuple(_Place() for _ in layers)
        memo: dict[int, Any] = {id(layer): place for layer, place in zip(layers, places, strict=True)}
        originals = {depth: _carried(layer) for depth, layer in enumerate(layers) if may_hold_state(type(layer))}
        try:
            values = {
                depth: {name: _copied(value, memo) for name, value in by_name.items()}
                for depth, by_name in originals.items()
            }
        except Exception as error:
            return cls(kinds, {}, {}, places, f"what they hold cannot be copied ({one_line(error)})")
        return cls(kinds, values, originals, places)

    def put(self, env: gym.Env[Any, Any], names: Names) -> None:
        """Give the wrappers of `env`, which are of the same classes, copies of some of these values."""
        layers = layers_of(env)
        memo: dict[int, Any] = {id(place): layer for place, layer in zip(self.places, layers, strict=True)}
        for depth, some in names.items():
            for name in some:
                vars(layers[depth])[name] = _copied(self.values[depth][name], memo)


class _Place:
    """Stands for a layer of an environment in copies of what its wrappers hold."""


@dataclass(eq=False)
class EvaluationEnvironment:
    """An environment to evaluate in.

    Attributes:
        env: the environment.
        notes: what readers of the results should know of it.
        before_episode: to be called before every reset.
        close: to be called in the end.
    """

    env: gym.Env[Any, Any]
    notes: list[str]
    before_episode: Callable[[], None]
    close: Callable[[], None]


def evaluation_environment(
    make: Callable[[], gym.Env[Any, Any]], trained_in: WrapperState | None, keeps_open: gym.Env[Any, Any] | None = None
) -> EvaluationEnvironment:
    """An environment for evaluation, beside that of training, which stays as it is.

    Args:
        make: makes an environment; not called where `keeps_open` is given.
        trained_in: state of the wrappers after training; None where nothing was trained in an environment.
        keeps_open: the caller's own environment, or None.
    """
    if keeps_open is not None:
        return _of_callers_own(keeps_open, trained_in)
    env = make()
    place = EvaluationEnvironment(env, [], _nothing, env.close)
    if trained_in is not None and trained_in.problem:
        place.notes.append(f"was evaluated with new wrappers: {trained_in.problem}")
    elif trained_in is not None and trained_in.values:
        _carry_over(trained_in, place, make)
    _freeze(place)
    return place


def _of_callers_own(env: gym.Env[Any, Any], trained_in: WrapperState | None) -> EvaluationEnvironment:
    """A copy of the caller's environment; itself, put back afterwards as far as can be, where it cannot be copied."""
    state = WrapperState.of(env) if trained_in is None else trained_in
    names = {depth: list(by_name) for depth, by_name in state.values.items()}
    try:
        place = EvaluationEnvironment(copied(env), [], _nothing, _nothing)
        if names:
            place.notes.append("was evaluated in a copy of the environment in which it learnt, its wrappers frozen")
    except NotCopiedError as error:
        place = EvaluationEnvironment(env, [], _nothing, lambda: _thaw(env, state, names))
        if names:
            place.notes.append(f"was evaluated where it learnt, which {error}; its wrappers frozen")
    if names and _number_of_values(state, names) <= _MOST_PUT_BACK:
        place.before_episode = lambda: _put_back(place, state, names)
    _freeze(place)
    return place


def _thaw(env: gym.Env[Any, Any], state: WrapperState, names: Names) -> None:
    for layer in wrappers_of(env):
        if _passes_rewards(type(layer)):
            vars(layer).pop("step", None)
    state.put(env, names)


def _put_back(place: EvaluationEnvironment, state: WrapperState, names: Names) -> None:
    state.put(place.env, names)
    _stop_statistics(place.env)


def _carry_over(state: WrapperState, place: EvaluationEnvironment, make: Callable[[], gym.Env[Any, Any]]) -> None:
    """Let the wrappers go on from their state; `make` makes environments to compare with."""
    layers = layers_of(place.env)
    if tuple(type(layer) for layer in layers) != state.kinds:
        place.notes.append("was evaluated with new wrappers: they are others each time the environment is made")
        return
    differing = _differing(state, _contents(state.values, state.places), _contents_of(layers, state))
    shared = _shared(state, layers)
    kept = _lasting(state, differing, make) if differing else {}
    own = {depth: [*differing.get(depth, []), *shared.get(depth, [])] for depth in state.values}
    state.put(place.env, own)
    is_small = _number_of_values(state, own) <= _MOST_PUT_BACK
    if is_small and (kept or any(shared.values())):
        place.before_episode = lambda: _put_back(place, state, own)
    if kept:
        listed = [f"{state.kinds[depth].__name__}.{name}" for depth, names in kept.items() for name in names]
        shown = ", ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")
        frozen = "frozen" if is_small else "which went on changing"
        place.notes.append(f"was evaluated with what training left in its wrappers, {frozen}: {shown}")


def _shared(state: WrapperState, layers: list[Any]) -> Names:
    """Attributes that are the very objects which the environment of training holds."""
    return {
        depth: [
            name
            for name, original in originals.items()
            if vars(layers[depth]).get(name) is original and _can_change(original)
        ]
        for depth, originals in state.originals.items()
    }


def _can_change(value: Any) -> bool:
    if isinstance(value, FunctionType):
        return bool(value.__closure__)
    return not isinstance(value, type | ModuleType | str | bytes | int | float | complex | NoneType)


def _number_of_values(state: WrapperState, names: Names) -> int:
    return len(_contents({depth: {name: state.values[depth][name] for name in some} for depth, some in names.items()}))


def _lasting(state: WrapperState, differing: Names, make: Callable[[], gym.Env[Any, Any]]) -> Names:
    """Attributes, among those that differ, whose state a reset does not bring back to that of a new environment."""
    found: list[dict[str, str]] = []
    for is_trained in (True, False, False):
        env = make()
        try:
            if is_trained:
                state.put(env, differing)
            env.reset(seed=_SEED)
            found.append(_contents_of(layers_of(env), state))
        except Exception:
            return differing
        finally:
            env.close()
    trained, new, newer = found
    # What differs between two new environments, such as the time, is no state of training.
    chance = _differing(state, new, newer)
    lasting = _differing(state, trained, new)
    left = {depth: [name for name in names if name not in chance.get(depth, ())] for depth, names in lasting.items()}
    return {depth: names for depth, names in left.items() if names and not _passes_rewards(state.kinds[depth])}


def _passes_rewards(kind: type) -> bool:
    """Whether wrappers of a class normalize rewards, and pass them as they are in evaluation."""
    return getattr(kind, "step", None) is wrappers.NormalizeReward.step


def _freeze(place: EvaluationEnvironment) -> None:
    """Let running statistics stay as they are, and rewards be the environment's own."""
    _stop_statistics(place.env)
    for layer in wrappers_of(place.env):
        if _passes_rewards(type(layer)):
            layer.step = layer.env.step  # type: ignore[method-assign]
            place.notes.append("NormalizeReward: returns in evaluation are of the rewards before it, in training after")


def _stop_statistics(env: gym.Env[Any, Any]) -> None:
    for layer in wrappers_of(env):
        has_own = hasattr(type(layer), _SWITCH) or _SWITCH in vars(layer)
        if has_own and isinstance(getattr(layer, _SWITCH), bool):
            setattr(layer, _SWITCH, False)


def _nothing() -> None:
    """Nothing to do."""


def may_hold_state(kind: type) -> bool:
    """Whether wrappers of a class may hold more than the present episode."""
    if not issubclass(kind, gym.Wrapper):
        return False
    is_known = kind.__module__.startswith(("gymnasium.", "velodrome."))
    return not is_known or issubclass(kind, _STATEFUL)


def _carried(layer: Any) -> dict[str, Any]:
    return {
        name: value
        for name, value in vars(layer).items()
        if name not in _NOT_CARRIED and not isinstance(value, (*_STREAMS, spaces.Space))
    }


def _copied(value: Any, memo: dict[int, Any]) -> Any:
    """A copy; also of what a function has enclosed, such as the statistics that it keeps."""
    if not isinstance(value, FunctionType) or not value.__closure__ or id(value) in memo:
        return copy.deepcopy(value, memo)
    cells = tuple(memo.setdefault(id(cell), CellType()) for cell in value.__closure__)
    function = FunctionType(value.__code__, value.__globals__, value.__name__, value.__defaults__, cells)
    function.__kwdefaults__, function.__module__ = value.__kwdefaults__, value.__module__
    memo[id(value)] = function
    for cell, new in zip(value.__closure__, cells, strict=True):
        new.cell_contents = _copied(cell.cell_contents, memo)
    return function


def _contents_of(layers: list[Any], state: WrapperState) -> dict[str, str]:
    return _contents({depth: _carried(layers[depth]) for depth in state.values}, layers)


def _contents(values: Values, layers: Sequence[Any] = ()) -> dict[str, str]:
    """Contents of attributes, place by place; the layers themselves are known by their depth."""
    contents = Contents(is_strict=False)
    for depth, layer in enumerate(layers):
        contents.know(f"layer {depth}", layer)
    for depth, by_name in values.items():
        for name, value in sorted(by_name.items()):
            contents.add(f"{depth}\0{name}\0", value)
    return contents.found


def _differing(state: WrapperState, one: dict[str, str], other: dict[str, str]) -> dict[int, list[str]]:
    places = {place for place in one.keys() | other.keys() if one.get(place) != other.get(place)}
    names: dict[int, list[str]] = {}
    for depth, name in sorted({_attribute(place) for place in places}):
        if name in state.values[depth]:
            names.setdefault(depth, []).append(name)
    return names


def _attribute(place: str) -> tuple[int, str]:
    depth, name, _ = place.split("\0", 2)
    return int(depth), name
