"""What the page of a running comparison shows: numbers, pairs and curves of the trials that have ended."""

import math
import re
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from velodrome.experiments.plotting.drawn_scores import reference
from velodrome.experiments.plotting.learning_curves import AXIS_NAMES, METRICS, chosen_axis, chosen_metric, mean_curve
from velodrome.experiments.plotting.style import line_style
from velodrome.experiments.reporting.comparison_groups import PairOutcome
from velodrome.experiments.reporting.languages import LANGUAGES, Words
from velodrome.experiments.reporting.report import without_home
from velodrome.experiments.reporting.report_extent import drawn_part
from velodrome.experiments.reporting.verdicts import verdicts
from velodrome.experiments.results.analysis import AnalysisOptions, EnvironmentAnalysis, analyse
from velodrome.experiments.results.numbers import estimate, json_ready
from velodrome.experiments.results.trial_table import TrialTable
from velodrome.experiments.texts import visible

# More pairs than these nobody reads; all are counted.
MOST_PAIRS = 45
MOST_REASONS = 5
# Of curves: more than a screen shows.
DIGITS = 5

_TEXTS = (
    "Comparison that runs", "Comparison that has ended", "Comparison that was stopped", "Verdict so far", "Verdict",
    "{finished} of {total} trials have ended ({percent} %)", "{number} failed", "{number} reused", "compiling",
    "{duration} so far", "about {duration} left", "took {duration}",
    "No news since {time}: the run has ended without saying so, or waits.",
    "The numbers below are of {number} trials.",
    "No numbers yet: they come as soon as computing them takes less than 2 % of the time.",
    "All seeds have not run yet: with a fixed number of seeds only the last verdict counts, and to stop at an earlier "
    "one voids the bound on errors. --until-decided may look.",
    "{number} of {all} pairs are told apart", "{number} of {all} pairs are decided", "Failed trials", "agent",
    "seeds", "failed", "difference", "best possible", "different", "not distinguishable", "undecided", "not tested",
    "trials", "the others", "and {number} more", "{days} d {hours} h", "{hours} h {minutes} min",
    "{minutes} min {seconds} s", "{seconds} s",
)  # fmt: skip


def translations() -> dict[str, dict[str, str]]:
    """The page's own words: language to English text to text, fields left open."""
    return {
        language: {text: Words.of(language)(text, **{name: f"{{{name}}}" for name in _fields(text)}) for text in _TEXTS}
        for language in LANGUAGES
    }


def _fields(text: str) -> list[str]:
    return re.findall(r"\{(\w+)\}", text)


def shown_results(results: TrialTable, options: AnalysisOptions) -> dict[str, Any]:
    """Numbers, verdict, pairs and curves of the trials that have ended, ready for JSON.

    They are those of `velodrome table` and `velodrome plot`; of large experiments as many agents and environments as
    in the report.

    Args:
        results: of an experiment.
        options: of the reader.

    Raises:
        ExperimentError: options that do not fit.
    """
    analysis = analyse(results, options)
    part = drawn_part(results, analysis, Words())
    drawn = set(part.agents.agents)
    environments = [one for one in analysis.environments if one.environment in part.panels.environments]
    failures = Counter(visible(without_home(record.failure_reason)) for record in results.failures)
    return {
        "name": visible(results.name),
        "description": visible(results.description),
        "trials": len(results.records),
        "verdict": {language: _verdict(results, options, language) for language in LANGUAGES},
        "environments": [_environment(results, one, drawn) for one in environments],
        "failures": [{"reason": reason, "number": number} for reason, number in failures.most_common(MOST_REASONS)],
    }


def _verdict(results: TrialTable, options: AnalysisOptions, language: str) -> list[dict[str, Any]]:
    return [
        {"title": visible(one.title), "sentences": [visible(sentence) for sentence in one.sentences]}
        for one in verdicts(analyse(results, options), results, language)
    ]


def _environment(results: TrialTable, one: EnvironmentAnalysis, drawn: set[str]) -> dict[str, Any]:
    place = {label: number for number, label in enumerate(results.agents)}
    name, is_rate = one.measure.name, one.measure.is_rate
    rows = []
    for row in one.rows:
        if row["agent"] in drawn:
            mean, low, high = (row[f"{name}_{end}"] for end in ("mean", "low", "high"))
            difference = row["difference"], row["difference_low"], row["difference_high"]
            style = line_style(place[row["agent"]])
            rows.append(
                {"agent": visible(row["agent"]), "letters": row["letters"], "seeds": row["seeds"]}
                | {"failed": row["failed"], "mean": mean, "low": low, "high": high, "colour": style["color"]}
                | {"dash": style["linestyle"], "text": estimate(mean, low, high, is_rate)}
                | {"difference": estimate(*difference, is_rate and not row["is_by_return"])}
            )
    is_sequential = results.settings.sequential_on(one.environment) is not None
    pairs = list({id(pair): pair for pair in one.comparison.pairs.values()}.values())
    open_verdicts = ("undecided", "not tested") if is_sequential else ("undecided", "not tested", "not distinguishable")
    pairs.sort(key=lambda pair: pair.verdict in open_verdicts)
    outcomes = [PairOutcome.of(pair) for pair in pairs[:MOST_PAIRS]]
    shown: dict[str, Any] = json_ready(
        {
            "environment": visible(one.environment),
            "measure": {language: Words.of(language)(one.measure.heading) for language in LANGUAGES},
            "rows": rows,
            "is_sequential": is_sequential,
            "num_pairs": len(pairs),
            "num_decided": sum(pair.verdict not in open_verdicts for pair in pairs),
            "pairs": [
                {"ahead": visible(each.ahead.label), "behind": visible(each.behind.label), "verdict": each.pair.verdict}
                | {"difference": estimate(each.estimate, each.low, each.high, is_rate and not each.pair.is_by_return)}
                for each in outcomes
            ],
        }
    )
    return shown | {"curves": _curves(results, one.environment, drawn)}


def _curves(results: TrialTable, environment: str, drawn: set[str]) -> dict[str, Any] | None:
    """Learning curves as `velodrome plot` draws them; None where there are none."""
    if not results.done_on(environment):
        return None
    metric = chosen_metric(results, environment)
    axis = chosen_axis(results, environment, None)
    row, label, best_column = METRICS[metric]
    lines, limits, longest = [], [], 1
    for place, agent in enumerate(results.agents):
        if agent not in drawn or not results.done(environment, agent):
            continue
        curve = mean_curve(results, environment, agent, axis, row)
        longest = max(longest, int(curve.x[-1]))
        is_shown = np.isfinite(curve.mean)
        if is_shown.any():
            style = line_style(place)
            limits += curve.extent
            lines.append(
                {"agent": visible(agent), "colour": style["color"], "dash": style["linestyle"]}
                | {"x": curve.x[is_shown].tolist()}
                | {end: _numbers(getattr(curve, end)[is_shown]) for end in ("mean", "low", "high")}
            )
    if not lines:
        return None
    best = reference(results, environment, best_column)
    limits += [best] if math.isfinite(best) else []
    if metric == "success_rate":
        limits = [0.0, 1.0]
    return {
        "x_axis": {language: Words.of(language)(AXIS_NAMES[axis]) for language in LANGUAGES},
        "y_axis": {language: Words.of(language)(label) for language in LANGUAGES},
        "longest": longest, "low": float(min(limits)), "high": float(max(limits)),
        "best": best if math.isfinite(best) else None, "lines": lines,
    }  # fmt: skip


def _numbers(values: NDArray[np.float64]) -> list[float | None]:
    """As many digits as a screen shows, None for what is not known."""
    largest = np.abs(values[np.isfinite(values)]).max(initial=0.0)
    decimals = DIGITS - math.ceil(math.log10(largest)) if largest > 0 else DIGITS
    return [value if math.isfinite(value) else None for value in np.round(values, decimals).tolist()]
