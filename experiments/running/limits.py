"""How long a trial may take and how much memory it may use, and what is said of one that goes beyond."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.storage.trial_outcome import TrialOutcome

# Preparing does not count as the trial's time, but does not go on for ever either.
PREPARE_SECONDS = 600.0
# A trial whose worker process dies is run again, for it may have been a chance; the next time it fails.
MAX_DEATHS = 2
# Parts of a training that processes count in.
SHARES = 1000
# A worker that has shown no sign of life for so long is mentioned.
SILENT_SECONDS = 60.0

_UNITS = {"B": 1} | {
    f"{letter}{kind}B": base**power
    for power, letter in enumerate("KMGT", start=1)
    for kind, base in (("", 1000), ("I", 1024))
}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?I?B)", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class TrialLimits:
    """Time and memory that a trial may use.

    Attributes:
        seconds: of its own time, which begins in a prepared worker; None for any.
        memory: bytes that it may add to a prepared worker process; None for any.
    """

    seconds: float | None = None
    memory: int | None = None

    def is_late(self, counted: float, whole: float) -> bool:
        """Whether a trial of so many seconds, preparing not counted and counted, is to be ended."""
        return self.seconds is not None and (counted > self.seconds or whole > self.seconds + PREPARE_SECONDS)

    def is_large(self, memory: int) -> bool:
        """Whether a trial of so many bytes is to be ended."""
        return self.memory is not None and memory > self.memory

    def timed_out(self, key: str) -> TrialOutcome:
        """Outcome of a trial that is late."""
        return TrialOutcome(key, "timed out", error=f"took longer than {self.seconds or 0:g} s")

    def too_large(self, key: str) -> TrialOutcome:
        """Outcome of a trial that is too large."""
        return TrialOutcome(key, "failed", error=f"took more memory than {size_text(self.memory or 0)}")


def died(key: str, deaths: int, how: str = "") -> TrialOutcome:
    """Outcome of a trial whose worker process died each time that it was run."""
    return TrialOutcome(key, "failed", error=f"its worker process died {deaths} times" + (f": {how}" if how else ""))


def check_size(field: str, value: Any) -> int | None:
    """`value` as bytes, or None.

    Raises:
        ExperimentError: neither a size such as "2GB" nor a whole number of bytes above 0.
    """
    if value is None:
        return None
    size = 0.0
    if isinstance(value, str) and (found := _SIZE.fullmatch(value.strip())):
        size = float(found[1]) * _UNITS[found[2].upper()]
    elif isinstance(value, int | np.integer) and not isinstance(value, bool):
        size = int(value)
    if size < 1:
        raise ExperimentError(f'{field} must be a size such as "2GB" or "500MB", or a number of bytes, got {value!r}')
    return int(size)


def size_text(size: int) -> str:
    """`size` bytes in the largest unit that leaves a number above 1."""
    for unit, one in (("TB", 1000**4), ("GB", 1000**3), ("MB", 1000**2), ("kB", 1000)):
        if size >= one:
            return f"{size / one:.4g} {unit}"
    return f"{size} B"
