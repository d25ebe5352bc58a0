"""Which trials are given up early: a rule of a trial's own evaluations, so that no other trial changes its result."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Hopeless:
    """A trial is stopped at its first evaluation from `after` on if no evaluation so far reached a return of `below`.

    Attributes:
        below: greedy return that one evaluation along the training must have reached.
        after: episodes, steps or epochs, whichever the budget counts, before which no trial is stopped.
    """

    below: float
    after: int


class HopelessCheck:
    """Looks at the evaluations of one trial as they come; training ends where it says True.

    Args:
        rule: by which the trial is given up.
    """

    def __init__(self, rule: Hopeless) -> None:
        self._rule = rule
        self._has_reached = False

    def __call__(self, at: int, numbers: Mapping[str, float]) -> bool:
        """Whether the trial is given up, after an evaluation `at` that gave `numbers`."""
        self._has_reached |= numbers["return"] >= self._rule.below
        return at >= self._rule.after and not self._has_reached
