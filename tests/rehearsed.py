"""A policy that takes given actions, so that updates can be computed by hand."""

from dataclasses import dataclass
from typing import ClassVar

from velodrome import policies


@dataclass(frozen=True)
class Tape(policies.Schedule):
    """The action at each step of the run."""

    actions: tuple[int, ...] = ()
    clock: str = "step"

    def __call__(self, index):
        return float(self.actions[index]) if index < len(self.actions) else 0.0


def read_tape(action_values, visit_counts, parameter, rng):
    return int(parameter)


def a_quarter_left(action_values, visit_counts, parameter, probabilities):
    probabilities[0] = 0.25
    probabilities[1] = 0.75


@dataclass(frozen=True)
class Rehearsed(policies.Policy):
    """Takes the actions of a tape; says that it goes left in a quarter of the cases."""

    tape: tuple[int, ...] = ()
    ties: str = "first"
    indexes_only: ClassVar[bool] = True

    @property
    def schedule(self):
        return Tape(self.tape)

    @property
    def select(self):
        return read_tape

    @property
    def probabilities(self):
        return a_quarter_left
