"""A schedule's values as tables that both loops read, checked against the parameter's range."""

import numpy as np

from velodrome.policies.configuration import ConfigurationError
from velodrome.policies.schedules import Schedule

BLOCK = 4096


class ScheduleTable:
    """Values of a schedule, evaluated in blocks when first asked for."""

    def __init__(self, owner: str, schedule: Schedule, low: float, high: float) -> None:
        self.owner = owner
        self.schedule = schedule
        self.clock = schedule.clock
        self.low, self.high = low, high
        self._blocks: dict[int, list[float]] = {}
        self._growing = np.empty(0)

    def value(self, index: int) -> float:
        """Value at one index, as a Python float."""
        block = self._blocks.get(index // BLOCK)
        if block is None:
            if self.clock != "visits":
                self._blocks.clear()
            start = index // BLOCK * BLOCK
            block = self._blocks[index // BLOCK] = self._checked(start, start + BLOCK).tolist()
        return block[index % BLOCK]

    def window(self, start: int, stop: int) -> np.ndarray:
        """Values at start, …, stop - 1 as float64 (stop - start,)."""
        return self._checked(start, stop)

    def from_zero(self, stop: int) -> np.ndarray:
        """Values at 0, …, stop - 1 or more; grows by doubling, 8 bytes a visit of the most visited state."""
        if len(self._growing) < stop:
            grown = max(stop, 2 * len(self._growing))
            self._growing = np.concatenate([self._growing, self._checked(len(self._growing), grown)])
        return self._growing

    def _checked(self, start: int, stop: int) -> np.ndarray:
        values = np.asarray(self.schedule.values(start, stop), dtype=np.float64)
        bad = ~((values >= self.low) & (values <= self.high))
        if bad.any():
            first = int(np.argmax(bad))
            raise ConfigurationError(
                f"{self.owner}: {self.schedule} gives {values[first]:g} at {self.clock} {start + first}, "
                f"allowed are [{self.low:g}, {self.high:g}]"
            )
        return values
