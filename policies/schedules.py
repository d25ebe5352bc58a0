"""Schedules: how a parameter changes with the episode, the step, or the visits of a state.

A schedule gives one number for each index i = 0, 1, 2, … of its clock:
`episode` counts finished episodes, `step` counts environment steps, and `visits` counts how often the state
(for a policy's parameter) or the state and action (for a learning rate) were visited before.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Literal, get_args

import numpy as np

from velodrome.checks import ConfigurationError, check_choice, check_integer, check_number
from velodrome.policies.configuration import Configuration

Clock = Literal["episode", "step", "visits"]
CLOCKS: tuple[str, ...] = get_args(Clock)


class Schedule(Configuration, ABC):
    """A number for each index of a clock; subclass it and write `__call__` to make your own.

    A subclass is a frozen dataclass with a field `clock`. Both loops read the same table, `values`, so a
    schedule is never compiled and may use any Python.
    """

    clock: Clock = "episode"
    #: Whether the ends of `bounds` are among the values, or only tended to.
    reaches_bounds: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, index: int) -> float:
        """Value at `index` >= 0 of the clock."""

    def values(self, start: int, stop: int) -> np.ndarray:
        """Values at start, …, stop - 1 as float64 (stop - start,).

        Args:
            start: first index, at least 0.
            stop: index after the last.
        """
        return np.array([self(index) for index in range(start, stop)], dtype=np.float64)

    def bounds(self) -> tuple[float, float] | None:
        """Smallest and largest value over all indices, or None where they are not known beforehand."""
        return None


@dataclass(frozen=True)
class Constant(Schedule):
    """The same `value` at every index.

    Attributes:
        value: any finite number.
    """

    value: float
    reaches_bounds: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_number(f"{self.name}: value", self.value, -np.inf, np.inf)

    def __call__(self, index: int) -> float:
        return float(self.value)

    def values(self, start: int, stop: int) -> np.ndarray:
        return np.full(stop - start, self.value, dtype=np.float64)

    def bounds(self) -> tuple[float, float]:
        return float(self.value), float(self.value)


@dataclass(frozen=True)
class Linear(Schedule):
    """From `start` to `end` in equal steps over the first `over` indices, then `end`.

    Attributes:
        start: value at index 0.
        end: value from index `over` on.
        over: number of indices, at least 1.
        clock: what `i` counts: "episode", "step", or "visits" of the state.
    """

    start: float
    end: float
    over: int
    _: KW_ONLY
    clock: Clock = "episode"
    reaches_bounds: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_number(f"{self.name}: start", self.start, -np.inf, np.inf)
        check_number(f"{self.name}: end", self.end, -np.inf, np.inf)
        check_integer(f"{self.name}: over", self.over, minimum=1)
        check_choice(f"{self.name}: clock", self.clock, CLOCKS)

    def __call__(self, index: int) -> float:
        return float(self.values(index, index + 1)[0])

    def values(self, start: int, stop: int) -> np.ndarray:
        index = np.arange(start, stop)
        return np.where(index >= self.over, float(self.end), self.start + (self.end - self.start) * (index / self.over))

    def bounds(self) -> tuple[float, float]:
        return float(min(self.start, self.end)), float(max(self.start, self.end))


@dataclass(frozen=True)
class Exponential(Schedule):
    """max(floor, start * decay**i).

    Attributes:
        start: value at index 0, at least 0.
        decay: factor from an index to the next, in (0, 1].
        floor: smallest value, at least 0.
        clock: what `i` counts: "episode", "step", or "visits" of the state.
    """

    start: float
    decay: float
    floor: float = 0.0
    _: KW_ONLY
    clock: Clock = "episode"

    def __post_init__(self) -> None:
        check_number(f"{self.name}: start", self.start, 0.0, np.inf)
        check_number(f"{self.name}: decay", self.decay, 0.0, 1.0, open_low=True)
        check_number(f"{self.name}: floor", self.floor, 0.0, np.inf)
        check_choice(f"{self.name}: clock", self.clock, CLOCKS)

    def __call__(self, index: int) -> float:
        return max(float(self.floor), self.start * math.pow(self.decay, index))

    def bounds(self) -> tuple[float, float]:
        return float(self.floor), float(max(self.start, self.floor))


@dataclass(frozen=True)
class Harmonic(Schedule):
    """scale / (i + 1), the lectures' decay of the random noise.

    Attributes:
        scale: value at index 0, at least 0.
        clock: what `i` counts: "episode", "step", or "visits" of the state.
    """

    scale: float = 1.0
    _: KW_ONLY
    clock: Clock = "episode"

    def __post_init__(self) -> None:
        check_number(f"{self.name}: scale", self.scale, 0.0, np.inf)
        check_choice(f"{self.name}: clock", self.clock, CLOCKS)

    def __call__(self, index: int) -> float:
        return self.scale / (index + 1)

    def values(self, start: int, stop: int) -> np.ndarray:
        return self.scale / np.arange(start + 1, stop + 1)

    def bounds(self) -> tuple[float, float]:
        return 0.0, float(self.scale)


@dataclass(frozen=True)
class SteppedHarmonic(Schedule):
    """1 / (i // every + 1), the lectures' decay of epsilon.

    Attributes:
        every: indices in which the value stays, at least 1.
        clock: what `i` counts: "episode", "step", or "visits" of the state.
    """

    every: int
    _: KW_ONLY
    clock: Clock = "episode"

    def __post_init__(self) -> None:
        check_integer(f"{self.name}: every", self.every, minimum=1)
        check_choice(f"{self.name}: clock", self.clock, CLOCKS)

    def __call__(self, index: int) -> float:
        return 1.0 / (index // self.every + 1)

    def values(self, start: int, stop: int) -> np.ndarray:
        # Long runs of equal values are cheaper to repeat than to compute.
        first, last = start // self.every, max(start, stop - 1) // self.every
        values = np.repeat(1.0 / (np.arange(first, last + 1) + 1), self.every)
        return values[start - first * self.every : stop - first * self.every]

    def bounds(self) -> tuple[float, float]:
        return 0.0, 1.0


@dataclass(frozen=True)
class Reciprocal(Schedule):
    """1 / (i / every + offset), the Q-network lecture's decay of epsilon (every=50, offset=10).

    Attributes:
        every: indices in which the denominator grows by 1, above 0.
        offset: denominator at index 0, above 0.
        clock: what `i` counts: "episode", "step", or "visits" of the state.
    """

    every: float
    offset: float = 1.0
    _: KW_ONLY
    clock: Clock = "episode"

    def __post_init__(self) -> None:
        check_number(f"{self.name}: every", self.every, 0.0, np.inf, open_low=True)
        check_number(f"{self.name}: offset", self.offset, 0.0, np.inf, open_low=True)
        check_choice(f"{self.name}: clock", self.clock, CLOCKS)

    def __call__(self, index: int) -> float:
        return 1.0 / (index / self.every + self.offset)

    def values(self, start: int, stop: int) -> np.ndarray:
        return 1.0 / (np.arange(start, stop) / self.every + self.offset)

    def bounds(self) -> tuple[float, float]:
        return 0.0, 1.0 / self.offset


def as_schedule(owner: str, field: str, value: Any, low: float, high: float, *, open_low: bool = False) -> "Schedule":
    """Schedule of a parameter given as a number or a schedule, checked against its range.

    Args:
        owner: whose parameter it is, for messages.
        field: name of the parameter, for messages.
        value: a number, or a schedule.
        low: smallest allowed value.
        high: largest allowed value.
        open_low: whether `low` itself is refused.

    Raises:
        ConfigurationError: neither a number nor a schedule, or a value out of [low, high] (or (low, high]).
    """
    if not isinstance(value, Schedule):
        check_number(f"{owner}: {field}", value, low, high, open_low=open_low)
        return Constant(float(value))
    bounds = value.bounds()
    if bounds is not None:
        lowest, highest = bounds
        # A decay that only tends to an open lower bound never reaches it.
        if lowest < low or highest > high or (value.reaches_bounds and open_low and lowest <= low):
            bracket = "(" if open_low else "["
            close = ")" if np.isinf(high) else "]"
            raise ConfigurationError(
                f"{owner}: {field} must stay in {bracket}{low:g}, {high:g}{close}, "
                f"but {value} runs from {lowest:g} to {highest:g}"
            )
    return value
