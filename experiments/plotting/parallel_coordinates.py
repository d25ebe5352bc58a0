"""Parallel coordinates: one line an agent, through the values of its parameters to its mean score."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from velodrome.experiments.plotting.agent_parameters import VaryingParameters, varying_parameters
from velodrome.experiments.plotting.drawn_scores import (
    axis_name,
    chosen_environments,
    infinite_scores,
    measure_for,
    scores_by_agent,
)
from velodrome.experiments.plotting.fonts import use_hangul_font
from velodrome.experiments.plotting.plot_kind import Page, PlotKind
from velodrome.experiments.plotting.style import REFERENCE_COLOUR, TEXT_SIZE, dress, wrapped
from velodrome.experiments.results.trial_table import TrialTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Values of a parameter that are named; of more, evenly spread ones are.
MOST_NAMED = 10
SCORE_TICKS = 5
_NAME_WIDTH = 16


def draw_parallel_coordinates(axes: "Axes", table: TrialTable, environment: str, metric: str | None = None) -> "Axes":
    """One line an agent on one environment: an axis for each parameter that varies, at the right the mean score.

    Values of a parameter stand evenly spaced in their order, numbers from the smallest at the bottom. Lines go from
    blue (the lowest mean score) to yellow. Agents with other parameters are left out.

    Args:
        axes: to draw on.
        table: of an experiment.
        environment: its label.
        metric: a name of `MEASURES`; by default greedy success rate where there is a success rule, or else return.

    Raises:
        ExperimentError: an unknown environment or metric, fewer than two parameters vary, or no agent has a score.
    """
    from matplotlib import colormaps

    chosen_environments(table, environment)
    varying = varying_parameters(table, environment)
    measure = measure_for(table, [environment], metric)
    found = scores_by_agent(table, [environment], measure)
    means = {agent: float(found[agent][0].mean()) for agent in varying.agents if agent in found}
    low, high = min(means.values(), default=0.0), max(means.values(), default=1.0)
    span = high - low or 1.0
    dress(axes, environment)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    places = np.arange(len(varying.levels) + 1)
    # The best are drawn last, above the others.
    for agent in sorted(means, key=means.__getitem__):
        heights = [
            _height(values, value) for values, value in zip(varying.levels.values(), varying.agents[agent], strict=True)
        ]
        share = (means[agent] - low) / span
        # The palest yellow cannot be seen on white.
        colour = colormaps["viridis"](0.92 * share)
        axes.plot(places, [*heights, share], color=colour, linewidth=1.4, alpha=0.8, label=agent, zorder=2)
    for place, values in enumerate(varying.levels.values()):
        _draw_scale(axes, place, [(_height(values, value), _name(value)) for value in _named(values)])
    scores = np.linspace(low, high, SCORE_TICKS if high > low else 1)
    _draw_scale(axes, len(varying.levels), [((score - low) / span, f"{score:.3g}") for score in scores.tolist()])
    names = [*varying.levels, axis_name(measure)]
    axes.set_xticks(places, [wrapped(name, _NAME_WIDTH) for name in names], size=TEXT_SIZE, parse_math=False)
    axes.set_yticks([])
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-0.35, len(varying.levels) + 0.25)
    axes.set_ylim(-0.06, 1.06)
    use_hangul_font(axes)
    return axes


def _height(values: Sequence[Any], value: Any) -> float:
    return [repr(other) for other in values].index(repr(value)) / (len(values) - 1)


def _named(values: Sequence[Any]) -> list[Any]:
    if len(values) <= MOST_NAMED:
        return list(values)
    return [values[place] for place in np.linspace(0, len(values) - 1, MOST_NAMED).round().astype(int)]


def _name(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _draw_scale(axes: "Axes", place: int, named: Sequence[tuple[float, str]]) -> None:
    axes.plot([place, place], [0, 1], color=REFERENCE_COLOUR, linewidth=1, zorder=3, label="_scale")
    for height, name in named:
        axes.annotate(
            wrapped(name, _NAME_WIDTH), xy=(place, height), xytext=(-5, 0), textcoords="offset points", size=TEXT_SIZE,
            ha="right", va="center", parse_math=False, zorder=4,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 1},
        )  # fmt: skip


def _left_out(page: Page) -> list[str]:
    varying: VaryingParameters = varying_parameters(page.table, page.environments[0])
    return infinite_scores(page) + [f"{agent} (other parameters)" for agent in varying.left_out]


PARALLEL = PlotKind(
    "parallel",
    lambda axes, page, environment: draw_parallel_coordinates(axes, page.table, environment, page.metric),
    title="Parallel coordinates",
    caption="A line is an agent: its parameters, and at the right its mean score, from low (blue) to high (yellow).",
    height=lambda page: 3.9,
    meaning=lambda page, seeds, has_interval: f"a line an agent, mean of {seeds}",
    left_out=_left_out,
    options=("metric",),
    is_of_all_agents=True,
)
