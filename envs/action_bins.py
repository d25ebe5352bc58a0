"""Actions of several numbers, or of real ones, numbered for agents that choose among a few."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, cast

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from velodrome.checks import check_integer
from velodrome.envs.discretize import UNBOUNDED
from velodrome.envs.space_parts import parts_of
from velodrome.envs.wrapper_chain import name_of

# Actions beyond so many are too many to try each.
MOST_ACTIONS = 10_000


class ActionBins:
    """Numbers a few actions of a space 0, …, num_actions - 1.

    In each dimension of a Box so many values count as there are bins, evenly spaced between its limits and both of
    these included, rounded in a Box of whole numbers; a single bin is the middle. Of Discrete, MultiDiscrete and
    MultiBinary spaces every value counts. What Tuples and Dicts hold is combined; the last number varies fastest.

    Args:
        space: the actions.
        bins: in every dimension of every Box, or a sequence of one number a dimension.
        name: of the environment, for messages.

    Attributes:
        values: of each number of an action, float64 or int64.
        num_actions: product of their numbers.

    Raises:
        ValueError: the space holds something else, or a Box without finite limits; bins do not fit it, or there are
            more than 10,000 actions.
    """

    def __init__(self, space: gym.Space[Any], bins: int | Sequence[int], name: str) -> None:
        self.space = space
        boxes = list(_boxes(space, name))
        size = sum(math.prod(box.shape) for box in boxes)
        numbers = list(bins) if isinstance(bins, Sequence | np.ndarray) else [bins] * size
        if len(numbers) != size:
            one = f"one number or {size}, one a dimension" if size else "one number, as no action is real"
            raise ValueError(f"bins must be {one}, got {len(numbers)}: the actions of {name} are {space}")
        counts = iter([check_integer("bins", number, minimum=1) for number in numbers])
        self.values = tuple(_values(space, counts, name))
        self.num_actions = math.prod(len(values) for values in self.values)
        if self.num_actions > MOST_ACTIONS:
            raise ValueError(
                f"actions of {name} have {len(self.values)} numbers, which make more than {MOST_ACTIONS:,} actions: "
                "give fewer bins, or 1 where a number may stay in the middle"
            )

    def action(self, number: int) -> Any:
        """The action of a number from 0, of the space's type and shape."""
        chosen = []
        for values in reversed(self.values):
            number, place = divmod(number, len(values))
            chosen.append(values[place])
        return _action(self.space, iter(reversed(chosen)))


class BinActions(gym.ActionWrapper[Any, int, Any]):
    """Take the number of an action: Discrete actions for an environment that has others.

    Args:
        env: environment with actions that `ActionBins` numbers.
        bins: as of `ActionBins`.

    Raises:
        ValueError: as of `ActionBins`.
    """

    def __init__(self, env: gym.Env[Any, Any], bins: int | Sequence[int]) -> None:
        super().__init__(env)
        self.action_bins = ActionBins(env.action_space, bins, name_of(env))
        self.action_space = cast("spaces.Space[int]", spaces.Discrete(self.action_bins.num_actions))

    def action(self, action: int) -> Any:
        """The environment's action of a number."""
        return self.action_bins.action(int(action))


def _boxes(space: gym.Space[Any], name: str) -> Iterator[spaces.Box]:
    for _, part in parts_of(space):
        yield from _boxes(part, name)
    if isinstance(space, spaces.Box):
        unbounded = ~(np.maximum(np.abs(space.low), np.abs(space.high)) < UNBOUNDED).ravel()
        if unbounded.any():
            raise ValueError(
                f"actions of {name} have no finite limits in dimension {int(np.argmax(unbounded))}, {space}: there are "
                "no bins between them, take sb3('PPO')"
            )
        yield space
    elif not isinstance(
        space, spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary | spaces.Tuple | spaces.Dict
    ):
        raise ValueError(f"there are no bins of {space}, actions of {name}")


def _values(space: gym.Space[Any], counts: Iterator[int], name: str) -> Iterator[NDArray[Any]]:
    """Values of each number of an action, in its order."""
    for _, part in parts_of(space):
        yield from _values(part, counts, name)
    if isinstance(space, spaces.Box):
        for low, high in zip(space.low.ravel().tolist(), space.high.ravel().tolist(), strict=True):
            count = next(counts)
            values = np.linspace(low, high, count) if count > 1 else np.array([low / 2 + high / 2])
            is_whole = space.dtype.kind in "biu"
            yield np.unique(np.rint(values).astype(np.int64)) if is_whole else values
    elif isinstance(space, spaces.Discrete):
        yield np.arange(space.start, space.start + space.n)
    elif isinstance(space, spaces.MultiDiscrete):
        for first, number in zip(np.asarray(space.start).ravel(), space.nvec.ravel(), strict=True):
            yield np.arange(first, first + number)
    elif isinstance(space, spaces.MultiBinary):
        for _ in range(math.prod(space.shape)):
            yield np.arange(2)


def _action(space: gym.Space[Any], numbers: Iterator[Any]) -> Any:
    parts = [(key, _action(part, numbers)) for key, part in parts_of(space)]
    if isinstance(space, spaces.Dict):
        return dict(parts)
    if isinstance(space, spaces.Tuple):
        return tuple(part for _, part in parts)
    if isinstance(space, spaces.Discrete):
        return int(next(numbers))
    assert space.shape is not None
    array = np.array([next(numbers) for _ in range(math.prod(space.shape))])
    if isinstance(space, spaces.Box):
        # Rounding to the space's type must not lead out of it.
        return np.clip(array.astype(space.dtype).reshape(space.shape), space.low, space.high)
    return array.astype(space.dtype).reshape(space.shape)
