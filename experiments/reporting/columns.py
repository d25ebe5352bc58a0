"""Columns of the tables that people read, and the sections that a table has."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from velodrome.experiments.reporting.languages import Words
from velodrome.experiments.reporting.titles import margin_title, overall_title
from velodrome.experiments.results.analysis import Analysis, EnvironmentAnalysis, Margin
from velodrome.experiments.results.comparison import Comparison
from velodrome.experiments.results.measures import RELIABILITY
from velodrome.experiments.results.numbers import MISSING, count, estimate, is_known, number, percent, share, speed
from velodrome.experiments.results.rows import comparison_row
from velodrome.experiments.trials.measures import MEASURES, Measure

STOPPED, FAILED, NO_SCORE, REWARD_A_GUESS, OF_BEST = "stopped", "failed", "no score", "reward a guess", "of best"
SPEED = "steps/s"
CONFIGURATIONS, TUNING_RUNS = "configurations", "tuning runs"
VERSUS_BEST, VERSUS_BASELINE = "vs best", "vs baseline"
# Behind a difference that is not one of what decides, but of greedy return.
BY_RETURN = "(return)"
_ENDS = ("mean", "low", "high")
_AGGREGATES = {"median": "{heading} (median)", "iqm": "{heading} (IQM)"}
# Heading of the tolerance interval of what decides.
RUNS_LIE = "90 % of runs"
Row = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """A column of a table: its heading, and its text for a row."""

    heading: str
    cell: Callable[[Row], str]


@dataclass(frozen=True)
class Section:
    """One table of several: a title, rows with an "agent" each, best first, and the columns after the agent's.

    Attributes:
        title: what the rows were compared on.
        subject: heading of the first column.
        rows: best first.
        columns: that have something to say, the most telling first.
    """

    title: str
    subject: str
    rows: tuple[Row, ...]
    columns: tuple[Column, ...]


def sections_of(analysis: Analysis) -> list[Section]:
    """Tables of an experiment: one an environment, then one over all, then the margins of a crossed experiment."""
    sections = [_environment_section(one) for one in analysis.environments]
    if analysis.overall is not None:
        heading = "normalised score" if analysis.overall.is_normalised else "mean success"
        sections.append(
            _comparison_section(overall_title(analysis.overall, Words()), "agent", analysis.overall.comparison, heading)
        )
    measures = {one.environment: one.measure for one in analysis.environments}
    return sections + [_margin_section(margin, measures[margin.environment]) for margin in analysis.margins]


def _environment_section(one: EnvironmentAnalysis) -> Section:
    rows, measure = one.rows, one.measure
    difference = _difference_column(one.comparison, measure.is_rate)
    # Who names a baseline looks for nothing else first.
    comes_first = difference.heading == VERSUS_BASELINE
    columns = [
        Column(STOPPED, lambda row: str(row["stopped"]) if row["stopped"] else MISSING),
        Column(FAILED, lambda row: str(row["failed"]) if row["failed"] else MISSING),
        Column(NO_SCORE, lambda row: str(row["no_score"]) if row["no_score"] else MISSING),
        Column("letters", lambda row: row["letters"] or MISSING),
        _measure_column(measure),
        *_reliability_columns(one),
        *[difference] * comes_first,
        *_columns_of_others(one),
        Column(OF_BEST, lambda row: percent(row["share_of_best"]) if is_known(row["share_of_best"]) else MISSING),
        *[difference] * (not comes_first),
        _iqm_column(measure.is_rate),
        _mean_column("regret", "regret", is_rate=False),
    ]
    if one.threshold is not None:
        columns.append(Column(f"episodes to {share(one.threshold.rate)}", _reached))
    columns.append(Column("seeds", lambda row: count(row["seeds"])))
    if "configurations" in rows[0]:
        columns.insert(4, Column(CONFIGURATIONS, lambda row: count(row["configurations"])))
        columns.insert(5, Column(TUNING_RUNS, lambda row: count(row["tuning_runs"])))
    columns.append(Column(SPEED, lambda row: speed(row["steps_per_second"])))
    return Section(one.environment, "agent", rows, _telling(columns, rows))


def _comparison_section(
    title: str, subject: str, comparison: Comparison, heading: str, is_rate: bool = True
) -> Section:
    rows = tuple(comparison_row(agent.label, comparison) for agent in comparison.agents)
    columns = [
        Column("letters", lambda row: row["letters"] or MISSING),
        _mean_column(heading, "mean", is_rate),
        _difference_column(comparison, is_rate),
        _iqm_column(is_rate),
        Column("seeds", lambda row: count(row["seeds"])),
    ]
    return Section(title, subject, rows, _telling(columns, rows))


def _margin_section(margin: Margin, measure: Measure) -> Section:
    return _comparison_section(
        margin_title(margin, Words()), margin.factor, margin.comparison, measure.heading, measure.is_rate
    )


def tells_reward_a_guess(one: EnvironmentAnalysis) -> bool:
    """Whether the table of an environment has that column."""
    return any(column.heading == REWARD_A_GUESS for column in _columns_of_others(one))


def _columns_of_others(one: EnvironmentAnalysis) -> list[Column]:
    """Of the measures beside the one that decides; an episode of many guesses is told by the share that is right."""
    others = shown_beside(one)
    by_return = [other for other in others if other.name == "greedy_return" and one.num_guesses > 1]
    columns = [_measure_column(other) for other in others if other not in by_return and other.name not in RELIABILITY]
    if by_return:

        def cell(row: Row) -> str:
            # An interval of returns knows no limits, but shares have them.
            shares = np.array([row[f"greedy_return_{end}"] for end in _ENDS]) / one.num_guesses
            mean, low, high = np.clip(shares, 0.0, 1.0).tolist()
            return estimate(mean, low, high, is_rate=True)

        columns.insert(0, Column(REWARD_A_GUESS, cell))
    return columns


def shown_beside(one: EnvironmentAnalysis) -> list[Measure]:
    """Measures beside the one that decides, without returns that say what success has said; a user's own last."""
    others = []
    for other in sorted(one.measures.values(), key=lambda other: (other.name not in MEASURES, not other.is_rate)):
        repeats = bool(other.twin) and all(
            _same(row[f"{other.name}_mean"], row[f"{other.twin}_mean"]) for row in one.rows
        )
        if other.name != one.measure.name and other.is_shown and not repeats:
            others.append(other)
    return others


def heading_of(measure: Measure) -> str:
    """Of the measure's column: its heading, and how seeds are aggregated where it does not say that itself."""
    return _AGGREGATES.get(measure.aggregate, "{heading}").format(heading=measure.heading)


def _same(one: float, other: float) -> bool:
    return one == other or not (is_known(one) or is_known(other))


def _mean_column(heading: str, name: str, is_rate: bool) -> Column:
    mean, low, high = ("mean", "mean_low", "mean_high") if name == "mean" else (f"{name}_{end}" for end in _ENDS)
    return Column(heading, lambda row: estimate(row[mean], row[low], row[high], is_rate))


def _measure_column(measure: Measure) -> Column:
    name, parts = measure.name, (measure.aggregate, "low", "high")
    centre, low, high = (f"{name}_{part}" for part in parts)
    if measure.aggregate == "censored_median":
        return Column(
            heading_of(measure), lambda row: _time(row[centre], row[low], row[high], row.get(f"{name}_more_than"))
        )
    return Column(heading_of(measure), lambda row: estimate(row[centre], row[low], row[high], measure.is_rate))


def _time(median: float, low: float, high: float, more_than: float | None) -> str:
    """A median of times with its interval, or what it is above where it was not reached."""
    if median == np.inf:
        return number(median) if more_than is None or not is_known(more_than) else f"> {number(more_than)}"
    if is_known(low) and high == np.inf:
        return f"{number(median)} [{number(low)}, {number(high)}]"
    return estimate(median, low, high, is_rate=False)


def is_reliability_shown(one: EnvironmentAnalysis) -> bool:
    """Whether the table of an environment says how much the runs of an agent differ."""
    return one.measures["spread"].is_shown


def _reliability_columns(one: EnvironmentAnalysis) -> list[Column]:
    """How much the runs differ, where the reader asked for it: after what decides, for that is what it is of."""
    if not is_reliability_shown(one):
        return []
    own = [_measure_column(one.measures[name]) for name in RELIABILITY if name in one.measures]
    return [Column(RUNS_LIE, lambda row: _runs_lie(row, one.measure.is_rate)), *own]


def _runs_lie(row: Row, is_rate: bool) -> str:
    """The tolerance interval, which has no centre."""
    low, high = row["tolerance_low"], row["tolerance_high"]
    if not is_known(low):
        return MISSING
    return f"{share(low, 2)} to {share(high, 2)}" if is_rate else f"{number(low)} to {number(high)}"


def _iqm_column(is_rate: bool) -> Column:
    return Column("IQM", lambda row: estimate(row["iqm"], row["iqm_low"], row["iqm_high"], is_rate))


def _difference_column(comparison: Comparison, is_rate: bool) -> Column:
    """The difference to the best, or to the agent that the reader chose."""
    best = comparison.agents[0].label if comparison.agents else None
    heading = VERSUS_BEST if comparison.reference == best else VERSUS_BASELINE
    versus = heading.removeprefix("vs ")

    def cell(row: Row) -> str:
        if row["agent"] == comparison.reference:
            return versus if comparison.pairs else MISSING
        is_return = row["is_by_return"]
        text = estimate(row["difference"], row["difference_low"], row["difference_high"], is_rate and not is_return)
        return f"{text} {BY_RETURN}" if is_return else text

    return Column(heading, cell)


def _reached(row: Row) -> str:
    """The median number of episodes, and how many seeds got there if not all."""
    if not is_known(row["episodes_to_threshold"]):
        return MISSING
    reached, number = row["reached_threshold"], row["threshold_seeds"]
    part = "" if reached == number else f" ({reached} of {number})"
    return count(row["episodes_to_threshold"]) + part


def _telling(columns: Sequence[Column], rows: Sequence[Row]) -> tuple[Column, ...]:
    """The columns that have something to say."""
    return tuple(column for column in columns if any(column.cell(row) != MISSING for row in rows))
