"""An interval, how it was made, and what it says when there is none."""

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Interval:
    """A confidence interval.

    Where nothing can be said (one seed), the ends are infinite, for every value is still possible; `reason` says why,
    and `is_known` is False.

    Attributes:
        low: lower end, in the units of the scores.
        high: upper end.
        level: nominal coverage, such as 0.95.
        method: how it was made ("t", "bca", …), after any falling back.
        reason: why there is no interval; empty if there is one.
    """

    low: float
    high: float
    level: float
    method: str
    reason: str = ""

    @classmethod
    def unknown(cls, level: float, reason: str) -> "Interval":
        """Of what cannot be known; `reason` is a short phrase such as "one seed".

        Args:
            level: of confidence, such as 0.95.
            reason: why, a short phrase.
        """
        return cls(-math.inf, math.inf, level, "none", reason)

    def within(self, low: float, high: float) -> "Interval":
        """The part of it where the value can be, such as 0 to 1 for a rate; coverage stays what it is.

        Args:
            low: smallest value that there can be.
            high: largest value that there can be.
        """
        if not self.is_known:
            return self
        return replace(self, low=min(max(self.low, low), high), high=max(min(self.high, high), low))

    def limited(self, limits: tuple[float, float], estimate: float) -> "Interval":
        """The part of it where the value can be, and the estimate, which sampled episodes may carry beyond by luck.

        Args:
            limits: least and greatest value that is possible.
            estimate: that the interval is of.
        """
        return self.within(min(limits[0], estimate), max(limits[1], estimate))

    @property
    def is_known(self) -> bool:
        """Whether the ends are known."""
        return not self.reason

    @property
    def width(self) -> float:
        """Distance of the ends; infinite if unknown."""
        return self.high - self.low

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"[{self.low:.3g}, {self.high:.3g}]" if self.is_known else f"{self.reason}: no interval"
