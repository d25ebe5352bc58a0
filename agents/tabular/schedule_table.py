"""A schedule's values as tables that both loops read, checked against the parameter's range."""

import numpy as np

from velodrome.checks import ConfigurationError
from velodrome.policies.schedules import Constant, Schedule

BLOCK = 4096


class ScheduleTable:
    """Values of a schedule, evaluated ahead in blocks.

    A value out of range, or an index for which the schedule raises, is NaN in the table: it matters only to a run
    that reaches it, which then calls `refuse`.
    """

    def __init__(self, owner: str, schedule: Schedule, low: float, high: float) -> None:
        self.owner = owner
        self.schedule = schedule
        self.clock = schedule.clock
        self.low, self.high = low, high
        self._blocks: dict[int, list[float]] = {}
        is_fixed = type(schedule) is Constant and low <= schedule.value <= high
        self._everywhere = schedule(0) if is_fixed else None
        self._growing = np.empty(0)
        self._constant = np.empty(0)

    def value(self, index: int) -> float:
        """Value at one index, as a Python float.

        Raises:
            ConfigurationError: it is out of range.
        """
        if self._everywhere is not None:
            return self._everywhere
        block = self._blocks.get(index // BLOCK)
        if block is None:
            if self.clock != "visits":
                self._blocks.clear()
            start = index // BLOCK * BLOCK
            block = self._blocks[index // BLOCK] = self.window(start, start + BLOCK).tolist()
        value = block[index % BLOCK]
        if value != value:
            self.refuse(index, index + 1)
        return value

    def known_value(self, index: int) -> float:
        """Value at one index, NaN where it is not allowed."""
        return float(self.window(index, index + 1)[0])

    def window(self, start: int, stop: int) -> np.ndarray:
        """Values at start, …, stop - 1 as float64 (stop - start,), NaN where they are not allowed."""
        if isinstance(self.schedule, Constant):
            if len(self._constant) < stop - start:
                self._constant = self._checked(start, stop)
            return self._constant[: stop - start]
        return self._checked(start, stop)

    def _checked(self, start: int, stop: int) -> np.ndarray:
        try:
            values = np.asarray(self.schedule.values(start, stop), dtype=np.float64)
        except Exception:
            values = np.array([self._single(index) for index in range(start, stop)])
        if len(values) and not (values.min() >= self.low and values.max() <= self.high):
            values = np.where((values >= self.low) & (values <= self.high), values, np.nan)
        return values

    def from_zero(self, stop: int) -> np.ndarray:
        """Values at 0, …, stop - 1 or more; grows by doubling, 8 bytes a visit of the most visited state."""
        if len(self._growing) < stop:
            grown = max(stop, 2 * len(self._growing))
            self._growing = np.concatenate([self._growing, self.window(len(self._growing), grown)])
        return self._growing

    def refuse(self, start: int, stop: int) -> None:
        """Say what is wrong with the first value in start, …, stop - 1 that is not allowed.

        Raises:
            ConfigurationError: naming the schedule, its value and the range.
        """
        for index in range(start, stop):
            where = f"at {self.clock} {index}"
            try:
                value = float(self.schedule(index))
            except Exception as error:
                raise ConfigurationError(f"{self.owner}: {self.schedule} raised {error!r} {where}") from error
            if not self.low <= value <= self.high:
                allowed = f"allowed are [{self.low:g}, {self.high:g}]"
                raise ConfigurationError(f"{self.owner}: {self.schedule} gives {value:g} {where}, {allowed}")

    def _single(self, index: int) -> float:
        try:
            return float(self.schedule(index))
        except Exception:
            return float("nan")
