"""The contract of workers, wherever they run: what they are asked, and what they send back."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from velodrome.experiments.specification.plan import PlannedTrial
from velodrome.experiments.storage.trial_outcome import TrialOutcome


@dataclass(frozen=True)
class Task:
    """A few trials of one agent on one environment, run one after the other, or side by side."""

    agent: str
    environment: str
    trials: tuple[PlannedTrial, ...]
    is_side_by_side: bool = False


@dataclass(frozen=True)
class TrialEnded:
    """A trial has come to its end."""

    trial: PlannedTrial
    outcome: TrialOutcome


@dataclass(frozen=True)
class NotCompiled:
    """Trials that have not been run, because their policy cannot be compiled; `reason` says why."""

    task: Task
    reason: str


Event = TrialEnded | NotCompiled
# Takes events from any thread.
Report = Callable[[Event], None]


class Workers(Protocol):
    """A number of workers that run tasks and report each trial as it ends, from threads of their own."""

    def submit(self, task: Task) -> None:
        """Run a task as soon as a worker is free."""

    def check(self) -> None:
        """Called a few times a second: look for trials that take too long and for workers that are gone."""

    def shares(self) -> dict[str, float]:
        """Share of the training that is done, from 0 to 1, by the key of each trial that runs, where it is known."""

    def stop(self) -> None:
        """End all workers now; trials that are under way are given up."""
