"""What agents are compared by: one number of each trial."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from velodrome.checks import closest
from velodrome.experiments.errors import ExperimentError

if TYPE_CHECKING:
    from velodrome.experiments.results.results import Results

MeasureName = Literal["greedy_success_rate", "greedy_return", "train_success_rate", "train_return"]


@dataclass(frozen=True)
class Measure:
    """One number of each trial.

    Attributes:
        name: as users write it, and the start of its columns in tables.
        heading: as readers see it.
        column: of the records of `Results`.
        best_column: of the records, its value for the best possible policy.
        random_column: likewise, of the uniformly random policy.
        is_rate: whether it is a share of episodes, between 0 and 1.
    """

    name: MeasureName
    heading: str
    column: str
    best_column: str
    random_column: str
    is_rate: bool


MEASURES: dict[str, Measure] = {
    measure.name: measure
    for measure in (
        Measure("greedy_success_rate", "greedy success", "greedy_success_rate",
                "best_success_rate", "random_success_rate", True),
        Measure("greedy_return", "greedy return", "greedy_mean_return", "best_return", "random_return", False),
        Measure("train_success_rate", "training success", "train_success_rate",
                "best_success_rate", "random_success_rate", True),
        Measure("train_return", "training return", "train_mean_return", "best_return", "random_return", False),
    )
}  # fmt: skip


def measure_named(name: str) -> Measure:
    """The measure of a name.

    Raises:
        ExperimentError: there is none.
    """
    if name not in MEASURES:
        raise ExperimentError(f"metric must be one of {', '.join(MEASURES)}, got {name!r}{closest(name, MEASURES)}")
    return MEASURES[name]


def deciding_measure(records: Iterable[Mapping[str, Any]], name: str | None = None) -> Measure:
    """What decides between agents on an environment: greedy success where there is a success rule, or else return.

    Where nothing was evaluated greedily, as in results from elsewhere, success or return in training.

    Args:
        records: of the environment's trials.
        name: the measure that the user wants instead.

    Raises:
        ExperimentError: no such measure.
    """
    if name is not None:
        return measure_named(name)
    done = [record for record in records if record["status"] == "done"]
    in_order = ("greedy_success_rate", "greedy_return", "train_success_rate", "train_return")
    known = (
        MEASURES[each] for each in in_order if not all(math.isnan(record[MEASURES[each].column]) for record in done)
    )
    return next(known, MEASURES["greedy_return"])


def limits_of(measure: Measure, records: Iterable[Mapping[str, Any]]) -> tuple[float, float]:
    """The smallest and the largest expected score that an environment allows, infinite where not known.

    Rates lie between 0 and 1, and so do returns where each trial's are its successes; nothing expected is above the
    best possible.

    Args:
        measure: of the scores.
        records: of the environment's trials.
    """
    done = [record for record in records if record["status"] == "done"]
    low, high = (0.0, 1.0) if measure.is_rate or _is_success(measure, done) else (-math.inf, math.inf)
    best = [float(record[measure.best_column]) for record in done if not math.isnan(record[measure.best_column])]
    return low, min(high, max(best)) if best else high


def _is_success(measure: Measure, done: Iterable[Mapping[str, Any]]) -> bool:
    """Whether the returns of all trials are their success rates."""
    twin = MEASURES[measure.name.replace("return", "success_rate")].column
    known = [record for record in done if not math.isnan(record[measure.column])]
    return bool(known) and all(record[measure.column] == record[twin] for record in known)


def measure_on(results: "Results", environment: str, name: str | None = None) -> Measure:
    """What decides on an environment: what the user wants, else what its sequential comparison took, else as above.

    Args:
        results: of an experiment.
        environment: label.
        name: the measure that the user wants.

    Raises:
        ExperimentError: no such measure.
    """
    sequential = results.settings.get("sequential", {}).get("environments", {}).get(environment)
    if name is None and sequential is not None:
        name = sequential["measure"]
    return deciding_measure((record for record in results.records if record["environment"] == environment), name)
