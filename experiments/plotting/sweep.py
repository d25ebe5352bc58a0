"""A sweep: scores over one hyper-parameter of the agents."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from velodrome.experiments.plotting.agent_parameters import SweptAgents, swept_agents
from velodrome.experiments.plotting.drawn_scores import (
    axis_name,
    chosen_environments,
    finite_scores,
    infinite_scores,
    limits_on,
    measure_for,
    reference,
    scores_by_agent,
)
from velodrome.experiments.plotting.fonts import use_hangul_font
from velodrome.experiments.plotting.learning_curves import set_height
from velodrome.experiments.plotting.plot_kind import LINE, Page, PlotKind, mean_with
from velodrome.experiments.plotting.style import (
    COLOURS,
    REFERENCE_COLOUR,
    EndLabel,
    dress,
    label_ends,
    line_style,
    lines_of,
)
from velodrome.experiments.results.trial_table import TrialTable
from velodrome.experiments.statistics import best_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray


# Ratios of the largest value to the smallest: from the first on, a linear axis may crowd the small ones; from the
# second on it does.
WIDE, VERY_WIDE = 10, 100
# Points between the bars of two lines.
APART = 4.0
MOST_TICKS = 10
# Values of a hyper-parameter that make a sweep worth a picture in the report.
FEWEST_IN_REPORT = 3


def draw_sweep(
    axes: "Axes", table: TrialTable, environment: str, parameter: str | None = None, metric: str | None = None
) -> "Axes":
    """Mean scores on one environment over a hyper-parameter, with their 95 % intervals.

    Agents that differ in other things too, or in their budgets, stand on separate lines, named by what they differ in.
    Agents without the parameter are left out.

    Args:
        axes: to draw on.
        table: of an experiment.
        environment: its label.
        parameter: as in the agents' expressions, such as "learning_rate" or "policy.epsilon"; may be left out where the
            agents differ in one number only.
        metric: a name of `MEASURES`; by default greedy success rate where there is a success rule, or else return.

    Raises:
        ExperimentError: an unknown environment or metric, agents that do not differ in the parameter, or no scores.
    """
    chosen_environments(table, environment)
    swept = swept_agents(table, environment, parameter)
    measure = measure_for(table, [environment], metric)
    scores_by_agent(table, [environment], measure)
    dress(axes, environment, swept.parameter, axis_name(measure))
    ends: list[EndLabel] = []
    limits: list[float] = []
    possible = limits_on(table, environment, measure)
    for place, (name, agents) in enumerate(swept.lines.items()):
        scores = {value: finite_scores(table, environment, agent, measure) for value, agent in agents.items()}
        scores = {value: scores[value] for value in sorted(scores) if len(scores[value])}
        if not scores:
            continue
        shift = (place - (len(swept.lines) - 1) / 2) * APART
        limits += _draw_line(axes, line_style(place), name, scores, shift, possible)
        last = scores[max(scores)]
        ends.append(EndLabel(float(last.mean()), name, COLOURS[place % len(COLOURS)]))
    if len(ends) == 1:
        ends = []
    best = reference(table, environment, measure.best_column)
    if np.isfinite(best):
        axes.axhline(best, color=REFERENCE_COLOUR, linewidth=1, linestyle=(0, (6, 3)))
        limits.append(best)
        ends.append(EndLabel(best, f"best possible {best:.3g}", REFERENCE_COLOUR))
    if measure.is_rate:
        axes.set_ylim(-0.02, 1.04)
    elif limits:
        set_height(axes, min(limits), max(limits))
    _set_ticks(axes, swept)
    label_ends(axes, ends)
    use_hangul_font(axes)
    return axes


def _draw_line(
    axes: "Axes",
    style: dict[str, Any],
    name: str,
    scores: "Mapping[float, NDArray[np.float64]]",
    shift: float,
    possible: tuple[float, float],
) -> list[float]:
    """Draw means and intervals by value, some points to the right; returns what the axis must reach."""
    from matplotlib.transforms import offset_copy

    shifted = offset_copy(axes.transData, axes.get_figure(root=True), x=shift, units="points")
    means = [float(values.mean()) for values in scores.values()]
    axes.plot(list(scores), means, marker="o", markersize=5, linewidth=1.6, label=name, transform=shifted, **style)
    limits = list(means)
    for value, values in scores.items():
        interval = best_interval(values).limited(possible, float(values.mean()))
        if interval.is_known:
            ends = [interval.low, interval.high]
            axes.plot([value] * 2, ends, color=style["color"], linewidth=1.2, transform=shifted)
            # An interval of two seeds may be so wide that nothing else could be seen.
            span = float(np.ptp(values))
            limits += [max(ends[0], float(values.min()) - span), min(ends[1], float(values.max()) + span)]
    return limits


def _set_ticks(axes: "Axes", swept: SweptAgents) -> None:
    from matplotlib.ticker import NullLocator

    values = np.array(swept.values)
    if _needs_logarithm(values):
        axes.set_xscale("log")
        margin = (values[-1] / values[0]) ** 0.04
        axes.set_xlim(values[0] / margin, values[-1] * margin)
    else:
        margin = 0.04 * (values[-1] - values[0])
        axes.set_xlim(values[0] - margin, values[-1] + margin)
    if len(values) <= MOST_TICKS:
        axes.set_xticks(values, [f"{value:g}" for value in values])
        axes.xaxis.set_minor_locator(NullLocator())


def _needs_logarithm(values: "NDArray[np.float64]") -> bool:
    """Whether the values, increasing, are far apart and more evenly spaced on a logarithmic axis."""
    if values[0] <= 0 or values[-1] / values[0] < WIDE:
        return False
    closest = [np.diff(places).min() / (places[-1] - places[0]) for places in (values, np.log(values))]
    return bool(closest[1] > closest[0] or values[-1] / values[0] >= VERY_WIDE)


def _swept(page: Page) -> SweptAgents:
    return swept_agents(page.table, page.environments[0], page.parameter)


def _of_report(page: Page) -> Page | None:
    return page if any(len(agents) >= FEWEST_IN_REPORT for agents in _swept(page).lines.values()) else None


SWEEP = PlotKind(
    "sweep",
    lambda axes, page, environment: draw_sweep(axes, page.table, environment, page.parameter, page.metric),
    title="Sweep of a hyper-parameter",
    caption="Mean scores over the value of a hyper-parameter, with 95 % intervals.",
    height=lambda page: max(3.7, LINE * lines_of(_swept(page).lines) + 1.4),
    meaning=mean_with("bar"),
    left_out=lambda page: (
        infinite_scores(page) + [f"{agent} (no {_swept(page).parameter})" for agent in _swept(page).left_out]
    ),
    options=("metric", "parameter"),
    of_report=_of_report,
)
