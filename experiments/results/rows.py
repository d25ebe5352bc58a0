"""One flat row for each agent on an environment: everything that tables say of it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from velodrome.experiments.results.comparison import LEVEL, Comparison, iqm_of
from velodrome.experiments.results.learning import Threshold
from velodrome.experiments.results.solved import SOLVED
from velodrome.experiments.results.trial_table import TrialRecord, common_value
from velodrome.experiments.statistics import (
    Aggregate,
    EpisodesToThreshold,
    Interval,
    all_succeed,
    best_interval,
    censored_median,
    exact_interval,
    iqm,
    mean,
    median,
    optimality_gap,
    percentile_range,
    tolerance_interval,
)
from velodrome.experiments.trials.measures import Measure

_AGGREGATES: dict[str, Aggregate] = {"mean": mean, "median": median, "iqm": iqm}
_UNKNOWN = math.nan
_REGRET = Measure("regret")


def agent_row(
    environment: str,
    agent: str,
    done: Sequence[TrialRecord],
    ended: Sequence[TrialRecord],
    comparison: Comparison,
    measure: Measure,
    threshold: Threshold | None,
    reached: EpisodesToThreshold | None,
    regrets: NDArray[np.float64],
    limits: Mapping[str, tuple[float, float]],
    measures: Mapping[str, Measure],
) -> dict[str, Any]:
    """Row of an agent on an environment; NaN where a number is not known.

    Args:
        environment: label.
        agent: label.
        done: its trials that are done.
        ended: these, and those that failed.
        comparison: of the environment's agents.
        measure: that decides.
        threshold: to be reached in training.
        reached: when it was.
        regrets: in training, of its trials that are done; none where they are not comparable.
        limits: smallest and largest possible value of each measure.
        measures: to be told of, by name.
    """
    row: dict[str, Any] = {"environment": environment, "agent": agent}
    row |= {"rank": comparison.ranks[agent], "letters": comparison.letters[agent]}
    scores = comparison.agent(agent).parts[0]
    row |= {"seeds": len(scores.seeds), "failed": scores.num_failed, "no_score": scores.num_unscored}
    row["stopped"] = scores.num_stopped
    row["decided_by"] = measure.name
    row |= _decisive(agent, comparison)
    for name, one in measures.items():
        values = _numbers(ended, one.column)
        if scores.num_stopped and one.column not in SOLVED:
            # The others alone would say too much good of the agent. Whether a trial was solved is known of all.
            values = np.empty(0)
        row |= _part(one, values, limits[name])
        if one.followed:
            row[f"{name}_more_than"] = _more_than(values, _numbers(ended, one.followed))
    row |= _tolerance(np.empty(0) if scores.num_stopped else scores.values)
    row |= _limits(done)
    best = common_value(done, measure.best_column)
    row["share_of_best"] = _share(row["greedy_success_rate_mean"], row["best_success_rate"])
    row["optimality_gap"] = _gap(agent, comparison, best if measure.higher_is_better else _UNKNOWN)
    row |= _part(_REGRET, regrets, _limits_of_regret(done, limits, regrets))
    row |= _threshold_part(threshold, reached)
    row |= {name: done[0].text(name) if done else "" for name in ("evaluation", "success_rule")}
    row["loop"] = ", ".join(dict.fromkeys(trial.text("loop") for trial in done))
    total = sum(trial.train_seconds for trial in done)
    row["steps_per_second"] = sum(trial.number("steps") for trial in done) / total if total > 0 else _UNKNOWN
    return row


def comparison_row(agent: str, comparison: Comparison) -> dict[str, Any]:
    """Columns that a comparison gives an agent: mean, IQM, difference to the reference; NaN for the unknown."""
    scores = comparison.agent(agent)
    low, high = ends(scores.interval)
    row: dict[str, Any] = {"agent": agent, "letters": comparison.letters[agent], "seeds": scores.num_seeds}
    return row | {"mean": scores.mean, "mean_low": low, "mean_high": high} | _decisive(agent, comparison)


def ends(interval: Interval) -> tuple[float, float]:
    """Ends of an interval, NaN where it is not known."""
    # A zero has no sign, whichever agent of a pair comes first.
    return (interval.low + 0.0, interval.high + 0.0) if interval.is_known else (_UNKNOWN, _UNKNOWN)


def _decisive(agent: str, comparison: Comparison) -> dict[str, Any]:
    """Interquartile mean and difference to the reference, by the measure that decides."""
    scores = comparison.agent(agent)
    value, interval = iqm_of(scores)
    low, high = ends(interval)
    part: dict[str, Any] = {"iqm": value, "iqm_low": low, "iqm_high": high, "compared_with": comparison.reference or ""}
    difference = comparison.difference_to_reference(agent)
    pair = comparison.pairs.get((agent, comparison.reference or ""))
    low, high = (_UNKNOWN, _UNKNOWN) if difference is None else ends(difference.interval)
    part["difference"] = _UNKNOWN if difference is None else difference.estimate + 0.0
    part |= {"difference_low": low, "difference_high": high}
    part["is_by_return"] = pair is not None and pair.is_by_return
    part["p_value"] = _UNKNOWN if pair is None or pair.p_value is None else pair.p_value
    part["verdict"] = _verdict(agent, comparison) if pair is None else pair.verdict
    return part


def _verdict(agent: str, comparison: Comparison) -> str:
    """Columns of an agent that is in no pair with the reference."""
    return "reference" if agent == comparison.reference else "not compared"


def _tolerance(scores: NDArray[np.float64]) -> dict[str, float]:
    """Between which scores 90 % of the runs lie, with 95 % confidence; NaN with too few seeds."""
    is_finite = len(scores) > 0 and np.isfinite(scores).all()
    low, high = ends(tolerance_interval(scores, level=LEVEL)) if is_finite else (_UNKNOWN, _UNKNOWN)
    return {"tolerance_low": low, "tolerance_high": high}


def _part(measure: Measure, values: NDArray[np.float64], limits: tuple[float, float]) -> dict[str, float]:
    """Aggregate, its 95 % interval within the limits, smallest and largest; NaN where not known, as of one seed."""
    name, aggregate = measure.name, measure.aggregate
    parts = (aggregate, "low", "high", "min", "max")
    present = values[~np.isnan(values)]
    if not len(present):
        return {f"{name}_{part}": _UNKNOWN for part in parts}
    low = high = _UNKNOWN
    counted: dict[str, float] = {}
    if aggregate == "share":
        centre = float(present.mean())
        low, high = ends(exact_interval(int(present.sum()), len(present), level=LEVEL))
        counted = {f"{name}_seeds": len(present)}
    elif aggregate == "all_succeed":
        centre, interval = all_succeed(int(present.sum()), len(present), measure.runs, level=LEVEL)
        low, high = ends(interval)
    elif aggregate == "percentile_range":
        centre = math.inf
        if np.isfinite(present).all():
            centre, interval = percentile_range(present, measure.percentiles, level=LEVEL)
            low, high = ends(interval.limited((0.0, limits[1] - limits[0]), centre))
    elif aggregate == "censored_median":
        centre, interval = censored_median(present, level=LEVEL)
        low, high = ends(interval)
    elif np.isfinite(present).all():
        centre = float(present.mean()) if aggregate == "mean" else _AGGREGATES[aggregate](present)
        low, high = ends(best_interval(present, _AGGREGATES[aggregate], level=LEVEL).limited(limits, centre))
    else:
        with np.errstate(invalid="ignore"):
            centre = float(present.mean())
    numbers = (centre, low, high, float(present.min()), float(present.max()))
    return {f"{name}_{part}": number for part, number in zip(parts, numbers, strict=True)} | counted


def _numbers(records: Sequence[TrialRecord], column: str) -> NDArray[np.float64]:
    return np.array([record.number(column) for record in records], dtype=np.float64)


def _more_than(times: NDArray[np.float64], followed: NDArray[np.float64]) -> float:
    """The median of times that never came, and so of those for which trials were followed, is not below this."""
    known = ~np.isnan(times)
    least = np.where(np.isfinite(times), times, followed)[known]
    return float(np.median(least)) if len(least) else _UNKNOWN


def _limits_of_regret(
    done: Sequence[TrialRecord], limits: Mapping[str, tuple[float, float]], regrets: NDArray[np.float64]
) -> tuple[float, float]:
    """Of the measure where pseudo-regrets are known; else 0 and, where known, what the worst returns make."""
    if any(math.isfinite(record.number("pseudo_regret")) for record in done):
        return limits["pseudo_regret"]
    lowest = limits["train_return"][0]
    most = [record.number("episodes") * (record.number("best_return") - lowest) for record in done]
    known = [regret for regret in most if math.isfinite(regret)]
    # Where chance lets returns exceed the best expected one, a regret may be below 0.
    least = 0.0 if (regrets >= 0.0).all() else -math.inf
    return least, sum(known) / len(known) if known else math.inf


def _limits(done: Sequence[TrialRecord]) -> dict[str, float]:
    """The best possible and the random policy's numbers."""
    names = ("best_success_rate", "random_success_rate", "best_return", "random_return")
    return {name: common_value(done, name) for name in names}


def _share(value: float, best: float) -> float:
    """Share of the best possible; sampled episodes may exceed it by luck, which counts as all of it."""
    return min(value / best, 1.0) if best > 0 and math.isfinite(best) else _UNKNOWN


def _gap(agent: str, comparison: Comparison, best: float) -> float:
    scores = comparison.agent(agent)
    return _UNKNOWN if scores.problem or not math.isfinite(best) else optimality_gap(scores.values, best)


def _threshold_part(threshold: Threshold | None, reached: EpisodesToThreshold | None) -> dict[str, Any]:
    part: dict[str, Any] = {"threshold": _UNKNOWN if threshold is None else threshold.rate}
    part |= dict.fromkeys(
        ("episodes_to_threshold", "episodes_to_threshold_low", "episodes_to_threshold_high"), _UNKNOWN
    )
    part |= {"reached_threshold": 0, "threshold_seeds": 0}
    if reached is None:
        return part
    # Half of the seeds or more never got there: the median lies beyond every budget.
    part["episodes_to_threshold"] = math.inf if reached.median is None else reached.median
    low, high = ends(reached.interval)
    part |= {"episodes_to_threshold_low": low, "episodes_to_threshold_high": high}
    part |= {"reached_threshold": reached.num_reached, "threshold_seeds": len(reached.episodes)}
    return part
