"""Final scores: every seed as a dot, the mean with its interval, and what is possible."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

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
from velodrome.experiments.plotting.plot_kind import LINE, ROW, Page, PlotKind, mean_with
from velodrome.experiments.plotting.style import (
    COLOURS,
    LINE_HEIGHT,
    REFERENCE_COLOUR,
    TEXT_SIZE,
    TITLE_SIZE,
    dress,
    lines_of,
    text_colour,
    wrapped,
)
from velodrome.experiments.results.numbers import estimate
from velodrome.experiments.results.trial_table import TrialTable
from velodrome.experiments.statistics import best_interval
from velodrome.experiments.trials.measures import Measure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Successive multiples of the golden section, less their whole parts, are spread evenly however many there are.
_GOLDEN = (math.sqrt(5) - 1) / 2
_DOTS_HEIGHT = 0.5
# More dots in a row cover each other, and every one is an element of the file.
MOST_DOTS = 500


def draw_final_scores(axes: "Axes", table: TrialTable, environment: str, metric: str | None = None) -> "Axes":
    """Scores on one environment, a row for each agent: a dot a seed, the mean, and the mean's 95 % interval.

    Dashed lines are the best possible score and the uniformly random policy's, where they are known.

    Args:
        axes: to draw on.
        table: of an experiment.
        environment: its label.
        metric: a name of `MEASURES`; by default greedy success rate where there is a success rule, or else return.

    Raises:
        ExperimentError: an unknown environment or metric, or no agent has a score.
    """
    chosen_environments(table, environment)
    measure = measure_for(table, [environment], metric)
    scores_by_agent(table, [environment], measure)
    dress(axes, environment, axis_name(measure))
    axes.grid(visible=False, axis="y")
    limits: list[float] = []
    possible = limits_on(table, environment, measure)
    for place, agent in enumerate(table.agents):
        values = finite_scores(table, environment, agent, measure)
        limits += _draw_agent(axes, place, values, measure, possible)
    number = len(table.agents)
    axes.set_ylim(number - 0.4, -0.6)
    axes.set_yticks(range(number), [wrapped(agent) for agent in table.agents], size=TEXT_SIZE, parse_math=False)
    for place, label in enumerate(axes.get_yticklabels()):
        label.set_color(text_colour(COLOURS[place % len(COLOURS)]))
    axes.tick_params(axis="y", length=0)
    known = _references(table, environment, measure)
    limits += [value for value, _ in known]
    if measure.is_rate:
        axes.set_xlim(-0.03, 1.03)
    else:
        margin = 0.05 * (max(limits) - min(limits)) or 0.5 * abs(limits[0]) or 1.0
        axes.set_xlim(min(limits) - margin, max(limits) + margin)
    _draw_references(axes, known)
    use_hangul_font(axes)
    return axes


def _draw_agent(
    axes: "Axes", place: int, values: NDArray[np.float64], measure: Measure, possible: tuple[float, float]
) -> list[float]:
    """Draw one row; returns what must be within the limits of the axis."""
    if not len(values):
        _write(axes, place, "no score")
        return []
    colour = COLOURS[place % len(COLOURS)]
    dots = _dots(values)
    offsets = (np.arange(1, len(dots) + 1) * _GOLDEN % 1 - 0.5) * _DOTS_HEIGHT
    axes.scatter(dots, place + offsets, s=14, color=colour, alpha=0.45, linewidth=0, zorder=2)
    mean = float(values.mean())
    interval = best_interval(values).limited(possible, mean)
    limits, low, high = [float(values.min()), float(values.max())], math.nan, math.nan
    if interval.is_known:
        low, high = interval.low, interval.high
        axes.plot([low, high], [place, place], color="black", linewidth=1.6, solid_capstyle="butt", zorder=3)
        # An interval of two seeds may be so wide that nothing else could be seen.
        limits += [max(low, 2 * limits[0] - limits[1]), min(high, 2 * limits[1] - limits[0])]
    axes.plot([mean], [place], marker="D", markersize=5, color=colour, markeredgecolor="black", zorder=4)
    _write(axes, place, estimate(mean, low, high, measure.is_rate))
    return limits


def _dots(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores that are drawn: all, or of very many some, evenly spread over them in order, with both ends."""
    if len(values) <= MOST_DOTS:
        return values
    return np.sort(values)[np.linspace(0, len(values) - 1, MOST_DOTS).round().astype(np.intp)]


def _write(axes: "Axes", place: int, text: str) -> None:
    axes.annotate(
        text, xy=(1.02, place), xycoords=("axes fraction", "data"), size=TEXT_SIZE, va="center", annotation_clip=False
    )


def _references(table: TrialTable, environment: str, measure: Measure) -> list[tuple[float, str]]:
    """Best possible and random score, where they are known, with their names."""
    columns = ((measure.best_column, "best possible"), (measure.random_column, "random"))
    values = [(reference(table, environment, column), name) for column, name in columns]
    return [(value, name) for value, name in values if np.isfinite(value)]


def _draw_references(axes: "Axes", known: Sequence[tuple[float, str]]) -> None:
    """Lines, named above the axes; where they are close, one name above the other."""
    low, high = axes.get_xlim()
    places = [value for value, _ in known]
    close = len(known) == 2 and abs(places[0] - places[1]) < 0.25 * (high - low)
    for row, (value, name) in enumerate(known):
        dashes = (6, 3) if name == "best possible" else (1, 2)
        axes.axvline(value, color=REFERENCE_COLOUR, linewidth=1, linestyle=(0, dashes), zorder=1)
        # A value that the axis cannot show apart from 0 is named so.
        shown = value if abs(value) > 1e-3 * (high - low) else 0.0
        axes.annotate(
            f"{name} {shown:.3g}", xy=(value, 1.0), xycoords=("data", "axes fraction"),
            xytext=(0, 2 + close * row * LINE_HEIGHT), textcoords="offset points", size=TEXT_SIZE,
            color=REFERENCE_COLOUR, ha="center", va="bottom", annotation_clip=False,
        )  # fmt: skip
    axes.set_title(axes.get_title(), size=TITLE_SIZE, parse_math=False, pad=6 + (1 + close) * LINE_HEIGHT * bool(known))


def _height(page: Page) -> float:
    return sum(max(ROW, LINE * lines_of([agent])) for agent in page.table.agents) + 1.2


def _without_dot(page: Page) -> list[str]:
    pairs = [(environment, agent) for environment in page.environments for agent in page.table.agents]
    most = max((len(page.table.done(*pair)) for pair in pairs), default=0)
    return [f"dots of an agent's scores beyond {MOST_DOTS}, which are evenly spread over all"] * (most > MOST_DOTS)


SCORES = PlotKind(
    "scores",
    lambda axes, page, environment: draw_final_scores(axes, page.table, environment, page.metric),
    title="Final scores",
    caption="Every dot is a seed; the diamond is the mean, its bar the 95 % interval.",
    height=_height,
    meaning=lambda *seeds: f"a dot a seed, diamond = {mean_with('bar')(*seeds)}",
    left_out=lambda page: infinite_scores(page) + _without_dot(page),
    options=("metric",),
)
