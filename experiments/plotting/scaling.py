"""Scaling: how long agents took to solve environments that differ in one number, such as their size."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from velodrome.checks import closest
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.plotting.agent_parameters import is_number, parameters_of_call
from velodrome.experiments.plotting.drawn_scores import reference
from velodrome.experiments.plotting.evaluation_curves import UNITS
from velodrome.experiments.plotting.fonts import use_hangul_font
from velodrome.experiments.plotting.plot_kind import Page, PlotKind
from velodrome.experiments.plotting.style import REFERENCE_COLOUR, TEXT_SIZE, dress, line_style, text_colour, wrapped
from velodrome.experiments.results.trial_table import TrialTable
from velodrome.experiments.statistics.learning_curves import censored_median

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Points between the bars of two agents.
APART = 3.0
FEWEST_IN_REPORT = 3


def draw_scaling(axes: "Axes", table: TrialTable, parameter: str | None = None) -> "Axes":
    """Median time to solve the environments of an experiment over the number in which they differ.

    Bars are 95 % intervals. Where half of the seeds or more never solved it, an open triangle stands at the end of
    their training: it takes longer. Grey is what uniformly random actions take, episode after episode, to the first
    success, where time counts in episodes and that is known.

    Args:
        axes: to draw on.
        table: of an experiment with `solved_at` and `evaluate_every`.
        parameter: number in which the environments differ, such as "size"; may be left out where there is one only.

    Raises:
        ExperimentError: the environments do not differ in the number, or it is not known when they were solved.
    """
    name, sizes = _sizes(table, parameter)
    unsolvable = [environment for environment in sizes if environment not in table.settings.solved_at]
    if unsolvable:
        raise ExperimentError(
            f"{unsolvable[0]}: it is not known when it counts as solved; give solved_at and evaluate_every"
        )
    units: set[str] = set()
    drawn: list[float] = []
    number = len(table.agents)
    for place, agent in enumerate(table.agents):
        medians: list[tuple[float, float, float, float, bool]] = []
        for environment, size in sizes.items():
            times, followed, unit = _times(table, environment, agent)
            if unit is None:
                continue
            units.add(unit)
            median, interval = censored_median(times)
            is_solved = math.isfinite(median)
            low, high = (interval.low, interval.high) if interval.is_known else (math.nan, math.nan)
            # Solved before any training is at 0, for which a logarithm has no place.
            medians.append((size, max(1.0, median) if is_solved else followed, low, min(high, followed), is_solved))
            drawn += [one for one in medians[-1][1:4] if 1.0 <= one < math.inf]
        if medians:
            _draw_line(axes, line_style(place), agent, medians, (place - (number - 1) / 2) * APART)
    if not units:
        raise ExperimentError("no evaluations during training are stored; run the experiment with --evaluate-every")
    if len(units) > 1:
        raise ExperimentError(f"evaluations count in {' and '.join(sorted(units))}s, which have no common axis")
    (unit,) = units
    dress(axes, table.name, name, f"{UNITS[unit]}s to solve (median)")
    axes.set_yscale("log")
    low, high = min(drawn), max(drawn)
    if unit == "episode":
        rates = {size: reference(table, environment, "random_success_rate") for environment, size in sizes.items()}
        known = {size: 1.0 / rate for size, rate in rates.items() if rate > 0.0}
        if len(known) > 1:
            axes.plot(
                list(known), list(known.values()), color=REFERENCE_COLOUR, linewidth=1, linestyle=(0, (6, 3)),
                label="random actions",
            )  # fmt: skip
    axes.set_ylim(low / 1.6, high * 2.5)
    axes.set_xticks(sorted(set(sizes.values())), [f"{size:g}" for size in sorted(set(sizes.values()))])
    legend = axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=TEXT_SIZE, frameon=False)
    for text, line in zip(legend.get_texts(), legend.get_lines(), strict=True):
        text.set_color(text_colour(str(line.get_color())))
        text.set_parse_math(False)
    use_hangul_font(axes)
    return axes


def _draw_line(
    axes: "Axes",
    style: dict[str, Any],
    agent: str,
    medians: list[tuple[float, float, float, float, bool]],
    shift: float,
) -> None:
    from matplotlib.transforms import offset_copy

    shifted = offset_copy(axes.transData, axes.get_figure(root=True), x=shift, units="points")
    solved = [(size, median) for size, median, _, _, is_solved in medians if is_solved]
    axes.plot(
        [size for size, _ in solved], [median for _, median in solved], marker="o", markersize=5, linewidth=1.6,
        label=wrapped(agent), transform=shifted, **style,
    )  # fmt: skip
    for size, median, low, high, is_solved in medians:
        if math.isfinite(low) and low < high:
            axes.plot([size] * 2, [low, high], color=style["color"], linewidth=1.2, transform=shifted)
        if not is_solved:
            axes.plot(
                [size], [median], marker="^", markersize=7, markerfacecolor="none", linestyle="none",
                color=style["color"], transform=shifted,
            )  # fmt: skip


def _times(table: TrialTable, environment: str, agent: str) -> tuple[list[float], float, str | None]:
    """When each trial of a pair first reached the return, infinite for never; how long they were followed; the unit."""
    times, followed, unit = [], 0.0, None
    for curve in table.measured_curves(environment, agent, "evaluation_return"):
        if len(curve.at):
            reached = np.flatnonzero(curve.values >= table.settings.solved_at[environment])
            times.append(float(curve.at[reached[0]]) if len(reached) else math.inf)
            followed, unit = max(followed, float(curve.at[-1])), curve.unit
    # A failed trial never reached it.
    failed = len(table.trials(environment, agent)) - len(table.done(environment, agent))
    return times + [math.inf] * failed, followed, unit


def _sizes(table: TrialTable, parameter: str | None) -> tuple[str, dict[str, float]]:
    """The number in which the environments differ, by its name, and that of each environment, increasing."""
    parameters = {
        environment: parameters_of_call(str(expression))
        for environment, expression in table.settings.environments.items()
    }
    paths = dict.fromkeys(path for one in parameters.values() for path in one)
    varying = [
        path
        for path in paths
        if all(is_number(one.get(path)) for one in parameters.values())
        and len({one[path] for one in parameters.values()}) == len(parameters) > 1
    ]
    if not varying:
        raise ExperimentError("scaling needs environments that differ in a number, such as size; these do not")
    values = {tuple(one[path] for one in parameters.values()) for path in varying}
    # Numbers that go together, such as a size and a time limit as long, are one.
    chosen = varying[0] if parameter is None else parameter
    if chosen not in varying or (parameter is None and len(values) > 1):
        given = "" if parameter is None else f"; got {parameter!r}{closest(parameter, varying)}"
        raise ExperimentError(
            f"parameter must be a number in which the environments differ: {', '.join(varying)}{given}"
        )
    sizes = {environment: float(one[chosen]) for environment, one in parameters.items()}
    return chosen, dict(sorted(sizes.items(), key=lambda pair: pair[1]))


def _of_report(page: Page) -> Page | None:
    _, sizes = _sizes(page.table, page.parameter)
    return page if len(sizes) >= FEWEST_IN_REPORT and page.table.settings.solved_at else None


SCALING = PlotKind(
    "scaling",
    lambda axes, page, environment: draw_scaling(axes, page.table, page.parameter),
    title="Time to solve by size",
    caption="Median time until the greedy policy solved environments that differ in one number, with 95 % intervals; "
    "an open triangle stands where half of the seeds or more never did.",
    meaning=lambda page, seeds, has_interval: f"median of {seeds}, bar = 95 % interval, open triangle = not solved",
    options=("parameter",),
    is_over_environments=True,
    is_of_all_agents=True,
    of_report=_of_report,
)
