"""Which measure decides between agents, and between what limits its scores lie."""

import math
from collections.abc import Iterable, Mapping, Sequence

from velodrome.experiments.results.trial_table import TrialRecord, TrialTable
from velodrome.experiments.trials.measures import MEASURES, Measure, measure_named


def deciding_measure(
    records: Iterable[TrialRecord], name: str | None = None, measures: Mapping[str, Measure] = MEASURES
) -> Measure:
    """Measure that decides on an environment: greedy success where there is a success rule, or else return.

    Where nothing was evaluated greedily, as in results from elsewhere, success or return in training.

    Args:
        records: of the environment's trials.
        name: the measure that the user wants instead.
        measures: by name.

    Raises:
        ExperimentError: no such measure.
    """
    if name is not None:
        return measure_named(name, measures)
    done = [record for record in records if record.is_done]
    known = (
        measure
        for measure in MEASURES.values()
        if not all(math.isnan(record.number(measure.column)) for record in done)
    )
    return next(known, MEASURES["greedy_return"])


def measure_on(
    table: TrialTable, environment: str, name: str | None = None, measures: Mapping[str, Measure] | None = None
) -> Measure:
    """Measure that decides: the one that the user wants, else the experiment's, else as above.

    An experiment's own is that of its sequential comparison, or its field `metric`.

    Args:
        table: of an experiment.
        environment: label.
        name: the measure that the user wants.
        measures: by name; those of the experiment by default.

    Raises:
        ExperimentError: no such measure.
    """
    sequential = table.settings.sequential_on(environment)
    if name is None:
        name = table.settings.metric if sequential is None else sequential.measure
    return deciding_measure(table.done_on(environment), name, measures or table.settings.all_measures)


# Names of measures that tables have where the reader asks how reliable agents are.
RELIABILITY = ("spread", "five_runs")


def reliability_of(measure: Measure) -> dict[str, Measure]:
    """Measures of how much the seeds differ in what decides, by name."""
    return {
        "spread": Measure(
            "spread", "middle half",
            explanation="How far the quartiles of the seeds are apart: half of them lie between. Its 95 % interval is "
            "of order statistics, wide, and without assumptions.",
            column=measure.column, is_rate=measure.is_rate, aggregate="percentile_range", higher_is_better=False,
            is_shown=False,
        ),
    }  # fmt: skip


def limits_of(measure: Measure, records: Iterable[TrialRecord]) -> tuple[float, float]:
    """The smallest and the largest expected score that an environment allows, infinite where not known.

    Those of the measure; returns lie between 0 and 1 where each trial's are its successes; nothing expected is better
    than the best possible.

    Args:
        measure: of the scores.
        records: of the environment's trials.
    """
    done = [record for record in records if record.is_done]
    low, high = (0.0, 1.0) if _is_success(measure, done) else measure.limits
    # Arms that change may be compared with one that is worse at times; where there is a bound, they do not change.
    if measure.name == "pseudo_regret" and done and all(one.number("lai_robbins") >= 0.0 for one in done):
        low = 0.0
    best = [number for record in done if not math.isnan(number := record.number(measure.best_column))]
    # The best return is that of a bandit's arms after training, which may have been worth more before.
    is_of_arms = measure.name == "train_return" and any(math.isfinite(one.number("pseudo_regret")) for one in done)
    if not best or is_of_arms:
        return low, high
    return (low, min(high, max(best))) if measure.higher_is_better else (max(low, min(best)), high)


def _is_success(measure: Measure, done: Sequence[TrialRecord]) -> bool:
    """Whether the returns of all trials are their success rates."""
    if not measure.twin:
        return False
    twin = MEASURES[measure.twin].column
    known = [record for record in done if not math.isnan(record.number(measure.column))]
    return bool(known) and all(record.number(measure.column) == record.number(twin) for record in known)
