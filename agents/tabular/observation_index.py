"""A row of a table for every observation of a finite space."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from velodrome.agents.engine.environment_answers import as_whole_number, shown
from velodrome.agents.errors import EnvironmentFailureError, UnsupportedEnvironmentError, environment_label
from velodrome.agents.unfit_spaces import described, observations_refused
from velodrome.envs.space_parts import has_keys, parts_of

Shape = tuple[int, ...]
Path = tuple[str | int, ...]

# As many as there may be bins, see `Binning`: what 32 bits count.
MOST_STATES = int(np.iinfo(np.int32).max)
# Observations of several numbers whose row is remembered, some 200 bytes each.
_MOST_REMEMBERED = 1 << 16
# Dimensions of observations that come one by one alone: one more are none that an array could have.
_NO_BATCHES = -2


@dataclass(frozen=True)
class ObservationIndex:
    """Numbers the observations of a finite space 0, …, num_states - 1.

    Discrete, MultiDiscrete, MultiBinary, Boxes of whole numbers, and Tuples and Dicts of them are flattened in their
    own order, a Dict's being that of the keys of its space, the last part fastest. A part is a whole number: True and
    2.0 count as 1 and 2, while 2.7, "3" and an array of shape (1,) are no observations of a Discrete space.

    Attributes:
        parts: (number of values, first value) of every part.
        leaf_dimensions: array dimensions of the first part of one observation.
        is_ignored: every observation counts as number 0.
        shapes: of the arrays that one observation consists of, () for a single number; empty where they are not
            known, as for agents that were saved without them.
        paths: keys and positions that lead to each of these arrays, where there are Dicts, or a single one in a Tuple;
            empty elsewhere.
    """

    parts: tuple[tuple[int, int], ...]
    leaf_dimensions: int
    is_ignored: bool = False
    shapes: tuple[Shape, ...] = ()
    paths: tuple[Path, ...] = ()

    @classmethod
    def from_data(cls, data: Any) -> Self:
        """Index from `dataclasses.asdict` that went through JSON."""
        return cls(
            tuple((int(size), int(start)) for size, start in data["parts"]),
            int(data["leaf_dimensions"]),
            bool(data["is_ignored"]),
            tuple(tuple(int(size) for size in shape) for shape in data.get("shapes", ())),
            tuple(tuple(path) for path in data.get("paths", ())),
        )

    @cached_property
    def num_states(self) -> int:
        """Number of observations."""
        return math.prod(size for size, _ in self.parts)

    @cached_property
    def is_plain(self) -> bool:
        """Whether an observation that is an int is its own number."""
        return not self.is_ignored and self._is_one_number and self.parts[0][1] == 0

    @property
    def _is_one_number(self) -> bool:
        is_one = len(self.parts) == 1 and self.leaf_dimensions == 0
        return is_one and self.shapes in ((), ((),)) and not self.paths

    @cached_property
    def _place_values(self) -> list[int]:
        sizes = [size for size, _ in self.parts]
        return [math.prod(sizes[position + 1 :]) for position in range(len(sizes))]

    @cached_property
    def index(self) -> Callable[[Any], int]:
        """Function from one observation to its number.

        The number is below 0 or too large for whole numbers outside the space; anything else that is no observation of
        it raises TypeError, ValueError or OverflowError.
        """
        if self.is_ignored:
            return lambda observation: 0
        if self._is_one_number:
            start = self.parts[0][1]
            return as_whole_number if start == 0 else lambda observation: as_whole_number(observation) - start
        columns = [(value, size, start) for value, (size, start) in zip(self._place_values, self.parts, strict=True)]
        shapes, paths = self.shapes, self.paths

        def index(observation: Any) -> int:
            total = 0
            for (value, size, start), leaf in zip(columns, _leaves(observation, shapes, paths), strict=True):
                part = (leaf if type(leaf) is int else as_whole_number(leaf)) - start
                if not 0 <= part < size:
                    return -1
                total += value * part
            return total

        if any(shapes) or paths:
            return index
        numbers: dict[Any, int] = {}

        def remembered(observation: Any) -> int:
            # Tuples are equal, as keys, where their whole numbers are: 2.0 and True are 2 and 1 there, too.
            try:
                return numbers[observation]
            except (KeyError, TypeError):
                number = index(observation)
            if number >= 0 and len(numbers) < _MOST_REMEMBERED and all(type(part) is int for part in observation):
                numbers[observation] = number
            return number

        return remembered

    def index_batch(self, observations: Any) -> np.ndarray:
        """Numbers of a batch of observations (leading dimension), int64 (batch,).

        Raises:
            EnvironmentFailureError: an observation is outside the space, or the arrays are no batch of them.
        """
        if self.is_ignored:
            return np.zeros(len(self._arrays_of_batch(observations)[0]), dtype=np.int64)
        if self.is_plain and type(observations) is np.ndarray and observations.dtype == np.int64:
            size = self.parts[0][0]
            if observations.ndim == 1 and len(observations) and observations.min() >= 0 and observations.max() < size:
                return observations
        return np.asarray(self.values_batch(observations) @ np.array(self._place_values))

    def values(self, observation: Any) -> list[int]:
        """Value of each part of one observation, from 0.

        Raises:
            EnvironmentFailureError: the observation is outside the space.
        """
        try:
            values = [
                as_whole_number(leaf) - start
                for (_, start), leaf in zip(self.parts, _leaves(observation, self.shapes, self.paths), strict=True)
            ]
        except (TypeError, ValueError, OverflowError):
            values = []
        if not values or not all(0 <= value < size for value, (size, _) in zip(values, self.parts, strict=True)):
            raise EnvironmentFailureError(self.refusal(observation))
        return values

    def values_batch(self, observations: Any) -> np.ndarray:
        """Value of each part of a batch of observations (leading dimension), from 0: int64 (batch, num_parts).

        Raises:
            EnvironmentFailureError: an observation is outside the space, or the arrays are no batch of them.
        """
        arrays = self._arrays_of_batch(observations)
        self._check_batch(arrays)
        columns = [array.reshape(len(array), math.prod(array.shape[1:])) for array in arrays]
        parts = np.concatenate(columns, axis=1).astype(np.int64) - [start for _, start in self.parts]
        if ((parts < 0) | (parts >= [size for size, _ in self.parts])).any():
            raise EnvironmentFailureError("an observation of the batch is outside the observation space")
        return np.asarray(parts)

    def _arrays_of_batch(self, observations: Any) -> list[np.ndarray]:
        try:
            return [np.asarray(leaf) for leaf in _arrays(observations, self.paths)]
        except ValueError as error:
            raise EnvironmentFailureError(f"a batch of observations {error}") from None

    def _check_batch(self, arrays: list[np.ndarray]) -> None:
        shapes = [array.shape[1:] for array in arrays]
        numbers = sum(math.prod(shape) for shape in shapes)
        is_batch = all(array.ndim for array in arrays) and len({len(array) for array in arrays}) == 1
        if not is_batch or numbers != len(self.parts) or (self.shapes and tuple(shapes) != self.shapes):
            got = ", ".join(str(array.shape) for array in arrays)
            raise EnvironmentFailureError(
                f"a batch of observations has a leading dimension before {self._shapes_text()}, got shape {got}"
            )
        for array in arrays:
            # The limits keep floats exact that are to become whole numbers.
            is_whole = array.dtype.kind in "iub" or (
                array.dtype.kind == "f" and (np.abs(array) < 2**53).all() and (array == np.trunc(array)).all()
            )
            if not is_whole:
                raise EnvironmentFailureError("the observations of the batch are not all whole numbers")

    def is_batch(self, observation: Any) -> bool:
        """Whether there is a leading dimension."""
        try:
            first = _arrays(observation, self.paths[:1])[0]
        except (IndexError, ValueError):
            return False
        return len(_shape(first)) == self.leaf_dimensions + 1

    def refusal(self, observation: Any) -> str:
        """Reason, in one line, why something is no observation of the space."""
        text = f"observation {shown(observation)}"
        try:
            arrays = list(_arrays(observation, self.paths))
        except ValueError as error:
            return f"{text} {error}"
        shapes = tuple(_shape(leaf) for leaf in arrays)
        wanted = self.shapes or shapes
        if len(arrays) != len(wanted):
            return f"{text} has {len(arrays)} parts, but the observation space has {len(wanted)}"
        for number, (has, needs) in enumerate(zip(shapes, wanted, strict=True), 1):
            if has != needs:
                where = f"{text} has" if len(arrays) == 1 else f"part {number} of {text} has"
                return f"{where} shape {has}, but the observation space has {_shape_text(needs)}"
        text += " is outside the observation space"
        leaves = list(_leaves(observation, shapes, self.paths))
        for number, (leaf, (size, start)) in enumerate(zip(leaves, self.parts, strict=False), 1):
            if not _is_within(leaf, size, start):
                where = f"{shown(leaf)} in part {number}, but " if len(self.parts) > 1 else ""
                return f"{text}: {where}whole numbers from {start} to {start + size - 1} are allowed"
        return f"{text}: it has {len(leaves)} numbers, not {len(self.parts)}"

    def _shapes_text(self) -> str:
        return ", ".join(map(_shape_text, self.shapes)) or f"{len(self.parts)} numbers"


def index_observations(env: gym.Env[Any, Any], agent_name: str, *, is_wrapped: bool = True) -> ObservationIndex:
    """Index of an environment's observations.

    Args:
        env: the environment.
        agent_name: for messages.
        is_wrapped: whether `discretized` and `numbered` take the agent, and can be advised.

    Raises:
        UnsupportedEnvironmentError: the observation space is not finite, or has too many observations.
    """
    space = env.observation_space
    index = index_of(space)
    if index is None or _count(index.parts) is None:
        label = environment_label(env)
        message = observations_refused(agent_name, space, label, "a finite", is_finite, is_table=is_wrapped)
        if index is not None and not isinstance(space, spaces.Box):
            message = (
                f"{agent_name} needs at most {MOST_STATES:,} observations for its table, but {label} has more, "
                f"{described(space)}: take linear_q, which learns a weight for each value of each part"
            )
            if is_wrapped:
                message += f", or number what it meets, numbered({agent_name})"
        raise UnsupportedEnvironmentError(message)
    return index


def index_of(space: gym.Space[Any]) -> ObservationIndex | None:
    """Index of the observations of a space; None where it is not finite."""
    parts = _parts(space)
    if not parts:
        return None
    shapes = tuple(_leaf_shapes(space))
    # Of Tuples without Dicts the parts are found faster than by their positions, but for a single one.
    paths = tuple(_leaf_paths(space)) if has_keys(space) or (len(shapes) == 1 and parts_of(space)) else ()
    return ObservationIndex(tuple(parts), len(shapes[0]), shapes=shapes, paths=paths)


def ignoring_index(space: gym.Space[Any]) -> ObservationIndex:
    """Index that counts every observation of any space as number 0."""
    paths = tuple(_leaf_paths(space)) if has_keys(space) else ()
    first = _first_leaf(space)
    # Parts of other kinds have no leading dimension.
    dimensions = _NO_BATCHES if first.shape is None else len(first.shape)
    return ObservationIndex(((1, 0),), dimensions, is_ignored=True, paths=paths)


def _parts(space: gym.Space[Any]) -> list[tuple[int, int]] | None:
    if isinstance(space, spaces.Discrete):
        return [(int(space.n), int(space.start))]
    if isinstance(space, spaces.MultiDiscrete):
        return list(zip(space.nvec.ravel().tolist(), np.asarray(space.start).ravel().tolist(), strict=True))
    if isinstance(space, spaces.MultiBinary):
        return [(2, 0)] * math.prod(space.shape)
    if isinstance(space, spaces.Box) and space.dtype.kind in "biu":
        low, high = space.low.ravel().tolist(), space.high.ravel().tolist()
        return [(int(last) - int(first) + 1, int(first)) for first, last in zip(low, high, strict=True)]
    if isinstance(space, spaces.Tuple | spaces.Dict):
        found = [_parts(child) for _, child in parts_of(space)]
        return None if any(part is None for part in found) else [p for part in found if part for p in part]
    return None


def _count(parts: Iterable[tuple[int, int]]) -> int | None:
    """Number of observations, None where there are too many for a table."""
    number = 1
    for size, _ in parts:
        number *= size
        # Of a picture the whole product would take its time.
        if number > MOST_STATES:
            return None
    return number


def is_finite(space: gym.Space[Any]) -> bool:
    """Whether a table can have a row for each observation of a space."""
    parts = _parts(space)
    return bool(parts) and _count(parts or []) is not None


def _leaf_shapes(space: gym.Space[Any]) -> Iterator[Shape]:
    if isinstance(space, spaces.Tuple | spaces.Dict):
        for _, child in parts_of(space):
            yield from _leaf_shapes(child)
    else:
        yield tuple(space.shape or ())


def _leaf_paths(space: gym.Space[Any]) -> Iterator[Path]:
    if isinstance(space, spaces.Tuple | spaces.Dict):
        for key, child in parts_of(space):
            yield from ((key, *path) for path in _leaf_paths(child))
    else:
        yield ()


def _first_leaf(space: gym.Space[Any]) -> gym.Space[Any]:
    if isinstance(space, spaces.Tuple | spaces.Dict):
        for _, child in parts_of(space):
            return _first_leaf(child)
    return space


def _arrays(observation: Any, paths: tuple[Path, ...] = ()) -> list[Any]:
    """Arrays of which an observation consists: those that the paths lead to, else all in its tuples.

    Raises:
        ValueError: a path leads nowhere; the text goes on after the observation.
    """
    if paths:
        return [_at(observation, path) for path in paths]
    if isinstance(observation, tuple):
        return [leaf for part in observation for leaf in _arrays(part)]
    return [observation]


def _at(observation: Any, path: Path) -> Any:
    for key in path:
        try:
            observation = observation[key]
        except (KeyError, IndexError, TypeError):
            kind = type(observation).__name__
            has = f"has no {key!r}" if isinstance(observation, dict) else f"has a {kind} where {key!r} is looked up"
            raise ValueError(has) from None
    return observation


def _leaves(observation: Any, shapes: tuple[Shape, ...], paths: tuple[Path, ...] = ()) -> list[Any]:
    """Numbers of an observation, flattened.

    Raises:
        ValueError: its arrays are not of the given shapes, where these are known, or one is missing.
    """
    leaves: list[Any] = []
    arrays = _arrays(observation, paths)
    for array, shape in zip(arrays, shapes or map(_shape, arrays), strict=True):
        if shape == ():
            leaves.append(array)
        elif _shape(array) == shape:
            leaves.extend(np.asarray(array).ravel().tolist())
        else:
            raise ValueError("an array of another shape")
    return leaves


def _shape(leaf: Any) -> Shape:
    """Shape of an array or a list; () of anything else, and of rows that differ in length."""
    if isinstance(leaf, np.ndarray):
        return tuple(leaf.shape)
    try:
        return np.shape(leaf)
    except ValueError:
        return ()


def _shape_text(shape: Shape) -> str:
    return str(shape) if shape else "(), a single number"


def _is_within(leaf: Any, size: int, start: int) -> bool:
    try:
        return 0 <= as_whole_number(leaf) - start < size
    except (TypeError, ValueError, OverflowError):
        return False
