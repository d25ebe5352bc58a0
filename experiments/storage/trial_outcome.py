"""Outcome of one trial, in the form in which it travels from a worker and is stored."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self, get_args

from velodrome.agents.snapshots import Snapshots
from velodrome.agents.training_log import Curve
from velodrome.experiments.storage.episode_curves import PackedCurves

Status = Literal["done", "failed", "timed out"]
STATUSES: tuple[str, ...] = get_args(Status)


@dataclass(frozen=True)
class TrialOutcome:
    """One trial that has come to an end, well or badly.

    Attributes:
        key: of the trial, see `trial_key`.
        status: "done", "failed" or "timed out".
        metrics: the numbers and words of `Trial.metrics`, and further measures by name; empty unless done.
        curves: episode by episode; None unless done.
        notes: one-line remarks, such as why the compiled loop was not used.
        error: what went wrong, in one line; empty if done.
        error_place: file, line and function of the code that raised, where known.
        error_traceback: the whole traceback, where there is one.
        wall_seconds: duration on the clock.
        cpu_seconds: time of the processor.
        measured: what else was measured along the training, one curve a name.
        snapshots: of the action values, where they were asked for.
    """

    key: str
    status: Status
    metrics: dict[str, Any] = field(default_factory=dict)
    curves: PackedCurves | None = None
    notes: tuple[str, ...] = ()
    error: str = ""
    error_place: str = ""
    error_traceback: str = ""
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    measured: tuple[Curve, ...] = ()
    snapshots: Snapshots | None = None

    def lasting(self, wall_seconds: float, cpu_seconds: float) -> Self:
        """The same, with the time that it took."""
        return dataclasses.replace(self, wall_seconds=wall_seconds, cpu_seconds=cpu_seconds)


def failure_reason(record: Mapping[str, Any]) -> str:
    """Why a trial failed, and where, from its record."""
    place = f" ({record['error_place']})" if record["error_place"] else ""
    return f"{record['error']}{place}"
