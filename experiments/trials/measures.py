"""Measures of trials: one object a measure, read by tables, footnotes, exports, reports and `--metric`."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from velodrome.checks import closest, did_you_mean, one_line
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.texts import is_printable
from velodrome.experiments.trials.trial import Trial

AggregateName = Literal["mean", "median", "iqm", "share", "censored_median", "percentile_range", "all_succeed"]
# Columns of the trial table, and starts of other columns of the comparison table.
_TAKEN = (
    "agent", "environment", "seed", "status", "episodes", "steps", "loop", "train_mean_return",
    "greedy_success_rate_low", "greedy_success_rate_high", "greedy_mean_return", "evaluation", "evaluation_episodes",
    "best_success_rate", "best_return", "random_success_rate", "random_return", "success_rule", "train_seconds",
    "lai_robbins",
    "steps_per_second", "wall_seconds", "cpu_seconds", "error", "error_place", "key", "rank", "letters", "seeds",
    "failed", "no_score", "decided_by", "iqm", "difference", "regret", "episodes_to_threshold", "mean",
    "solved", "fell_back", "steps_to_solve", "cpu_seconds_to_solve", "evaluated_steps", "evaluated_cpu_seconds",
    "spread", "tolerance", "five_runs", "stopped", "stopped_at",
    "specification", "provenance", "notes", "finished_at", "error_traceback", "curves_sha256", "experiment", "checksum",
)  # fmt: skip


@dataclass(frozen=True)
class Measure:
    """One number of each trial.

    Attributes:
        name: as users write it, and the start of its columns in tables.
        heading: of its column; the name with spaces for underscores if empty.
        explanation: a sentence below the tables; none if empty. Heading and explanation are translated like all texts.
        compute: the number of a trial that has been trained and evaluated; NaN where there is none. None for a
            measure that reads what every trial has, under `column`.
        column: of the trial table; the name if empty.
        is_rate: whether it is a share between 0 and 1, printed as .123; other numbers have four digits.
        aggregate: of the seeds in its column: "mean", "median" or "iqm"; "share" of numbers that are 0 or 1, with its
            exact interval; "censored_median" of times that are infinite where something never came;
            "percentile_range", how far two percentiles of the seeds are apart; "all_succeed", the probability that so
            many new `runs` all have a 1. What decides between agents is compared by the mean.
        limits: smallest and largest possible value, infinite where not known.
        higher_is_better: whether more is better.
        best_column: of the trial table, its value for the best possible policy; empty if not known.
        random_column: likewise, of the uniformly random policy.
        twin: name of the success rate that it repeats where all returns are 0 and 1: it then has the same limits, and
            tables leave it out.
        is_shown: whether tables have its column where it does not decide.
        followed: column of how long each trial was followed, for times that never came; empty if not known.
        percentiles: of a "percentile_range".
        runs: of "all_succeed".
    """

    name: str
    heading: str = ""
    explanation: str = ""
    compute: Callable[[Trial], float] | None = None
    column: str = ""
    is_rate: bool = False
    aggregate: AggregateName = "mean"
    limits: tuple[float, float] = (-math.inf, math.inf)
    higher_is_better: bool = True
    best_column: str = ""
    random_column: str = ""
    twin: str = ""
    is_shown: bool = True
    followed: str = ""
    percentiles: tuple[float, float] = (25.0, 75.0)
    runs: int = 5

    def __post_init__(self) -> None:
        """Check the arguments.

        Raises:
            ExperimentError: a name that is none or is taken, or another argument that cannot be.
        """
        if not isinstance(self.name, str) or not (self.name.isidentifier() and self.name.isascii()):
            raise ExperimentError(f"measure: name must be letters, digits and underscores, got {self.name!r}")
        if self.compute is not None and (self.name in _TAKEN or self.column not in ("", self.name)):
            raise ExperimentError(f"measure {self.name!r}: a trial has that number already; give it another name")
        if self.compute is not None and not callable(self.compute):
            raise ExperimentError(f"measure {self.name!r}: compute must be a function, got {self.compute!r}")
        if self.aggregate not in get_args(AggregateName):
            known = ", ".join(get_args(AggregateName))
            hint = closest(str(self.aggregate), get_args(AggregateName))
            raise ExperimentError(
                f"measure {self.name!r}: aggregate must be one of {known}, got {self.aggregate!r}{hint}"
            )
        for text in (self.heading, self.explanation):
            # They are templates, as all texts that are translated.
            if not is_printable(text) or "{" in text or "}" in text:
                raise ExperimentError(f"measure {self.name!r}: heading and explanation must be one line without braces")
        low, high = self.limits
        if not low < high:
            raise ExperimentError(f"measure {self.name!r}: limits must be increasing, got {self.limits}")
        first, second = self.percentiles
        if not 0 < first < second < 100:
            raise ExperimentError(
                f"measure {self.name!r}: percentiles must increase between 0 and 100, got {self.percentiles}"
            )
        if not isinstance(self.runs, int) or isinstance(self.runs, bool) or self.runs < 1:
            raise ExperimentError(
                f"measure {self.name!r}: runs must be a whole number of at least 1, got {self.runs!r}"
            )
        if self.is_rate:
            object.__setattr__(self, "limits", (max(low, 0.0), min(high, 1.0)))
        object.__setattr__(self, "heading", self.heading or self.name.replace("_", " "))
        object.__setattr__(self, "column", self.column or self.name)

    def to_data(self) -> dict[str, Any]:
        """All that is needed to read stored values, JSON-ready."""
        low, high = (limit if math.isfinite(limit) else None for limit in self.limits)
        own: dict[str, Any] = {"percentiles": list(self.percentiles)} if self.aggregate == "percentile_range" else {}
        own |= {"runs": self.runs} if self.aggregate == "all_succeed" else {}
        return own | {
            "name": self.name, "heading": self.heading, "explanation": self.explanation, "column": self.column,
            "is_rate": self.is_rate, "aggregate": self.aggregate, "low": low, "high": high,
            "higher_is_better": self.higher_is_better,
        }  # fmt: skip

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> "Measure":
        """Measure from the data of `to_data`; it reads values, and computes none.

        Args:
            data: what `to_data` gave.

        Raises:
            ExperimentError: something that no release has written.
        """
        try:
            return cls(
                name=data["name"],
                heading=data["heading"],
                explanation=data["explanation"],
                column=data["column"],
                is_rate=bool(data["is_rate"]),
                aggregate=data["aggregate"],
                limits=(
                    -math.inf if data["low"] is None else float(data["low"]),
                    math.inf if data["high"] is None else float(data["high"]),
                ),
                higher_is_better=bool(data["higher_is_better"]),
                percentiles=tuple(data.get("percentiles", (25.0, 75.0))),
                runs=data.get("runs", 5),
            )
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ExperimentError(f"no stored measure: {one_line(error)}") from None


#: Measures of a trial, by name. The first that trials have decides between agents.
MEASURES: dict[str, Measure] = {
    measure.name: measure
    for measure in (
        Measure(
            "greedy_success_rate", "greedy success",
            is_rate=True, best_column="best_success_rate", random_column="random_success_rate",
        ),
        Measure(
            "greedy_return", "greedy return", column="greedy_mean_return",
            best_column="best_return", random_column="random_return", twin="greedy_success_rate",
        ),
        Measure(
            "train_success_rate", "training success",
            is_rate=True, best_column="best_success_rate", random_column="random_success_rate",
        ),
        Measure(
            "train_return", "training return", column="train_mean_return",
            best_column="best_return", random_column="random_return", twin="train_success_rate", is_shown=False,
        ),
        Measure(
            "pseudo_regret", "pseudo-regret",
            "What pulled arms were expected to pay less than the best arm, summed over all episodes.",
            higher_is_better=False, is_shown=False,
        ),
    )
}  # fmt: skip


def checked_measures(measures: "Iterable[Measure] | Measure") -> tuple[Measure, ...]:
    """A user's own measures.

    Raises:
        ExperimentError: something that is no measure, or a name that is there twice or is one of `MEASURES`.
    """
    given = (measures,) if isinstance(measures, Measure) else tuple(measures)
    names = set(MEASURES)
    for measure in given:
        if not isinstance(measure, Measure):
            raise ExperimentError(f"measures must be objects of the class Measure, got {measure!r}")
        if measure.name in names:
            raise ExperimentError(f"measure {measure.name!r} is there already; give it another name")
        names.add(measure.name)
    return given


def columns_of(settings: Mapping[str, Any]) -> list[str]:
    """Columns of the numbers that trials of an experiment have beside those of `Trial.metrics`.

    Args:
        settings: of the experiment, as its store keeps them.
    """
    computed_here = [measure.column for measure in MEASURES.values() if measure.compute is not None]
    return computed_here + [measure["column"] for measure in settings.get("measures", ())]


def computed(trial: Trial, measures: Iterable[Measure] = ()) -> tuple[dict[str, float], tuple[str, ...]]:
    """Values of all measures that are computed from a trial, and remarks on those that could not be.

    Args:
        trial: trained and evaluated.
        measures: a user's own.
    """
    values: dict[str, float] = {}
    remarks = []
    for measure in (*MEASURES.values(), *measures):
        if measure.compute is None:
            continue
        try:
            values[measure.name] = float(measure.compute(trial))
        except Exception as error:
            # What was learnt is not lost for want of a number.
            values[measure.name] = math.nan
            remarks.append(f"has no {measure.name}: {one_line(error)}")
    return values, tuple(remarks)


def measure_named(name: str, measures: Mapping[str, Measure] = MEASURES) -> Measure:
    """The measure of a name, that can decide between agents.

    Raises:
        ExperimentError: there is none, or it is not compared by the mean.
    """
    if name not in measures:
        raise ExperimentError(
            f"metric must be one of {', '.join(measures)}, got {name!r}{did_you_mean(name, measures)}"
        )
    measure = measures[name]
    if measure.aggregate != "mean":
        raise ExperimentError(f"metric {name}: agents are compared by means, not by its {measure.aggregate}")
    return measure
