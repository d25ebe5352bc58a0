"""What was measured along the training beside evaluations, such as losses: a small panel for each curve."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from velodrome.agents.training_log import PSEUDO_REGRET, TRAINING_CPU_SECONDS, Curve
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.plotting.drawn_scores import chosen_environments
from velodrome.experiments.plotting.evaluation_curves import UNITS, on_common_points
from velodrome.experiments.plotting.fonts import use_hangul_font
from velodrome.experiments.plotting.plot_kind import Page, PlotKind
from velodrome.experiments.plotting.single_page import finished, new_figure
from velodrome.experiments.plotting.style import TEXT_SIZE, EndLabel, band_opacity, dress, label_ends, line_style
from velodrome.experiments.results.trial_table import TrialTable
from velodrome.experiments.statistics import mean_band
from velodrome.experiments.trials.trial import Trial

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NUM_COLUMNS = 2
ROW_HEIGHT = 2.3
# A loss that falls by more is drawn in powers of ten.
LARGEST_RATIO = 100


def draw_training_curves(axes: "Axes", table: TrialTable, environment: str) -> None:
    """Curves along the training on one environment, in small panels that take the place of the axes.

    Each agent's mean over seeds with its 95 % band, at the points that all of its trials have.

    Args:
        axes: of a grid of a figure, as `Figure.subplots` gives them.
        table: of an experiment.
        environment: its label.

    Raises:
        ExperimentError: an unknown environment, or nothing but evaluations was measured along the training.
    """
    chosen_environments(table, environment)
    names = _names(table, environment)
    curves_of = {
        name: {agent: curves for agent in table.agents if (curves := table.measured_curves(environment, agent, name))}
        for name in names
    }
    if not names:
        raise ExperimentError(f"{environment}: nothing but evaluations was measured along the training")
    _draw_panels(axes, environment, curves_of, table.agents)


def draw_trial_curves(trial: Trial) -> "Figure | None":
    """Curves along the training of one trial, those of evaluations among them; None where there are none."""
    curves_of = {curve.name: {trial.agent: [curve]} for curve in trial.measured if _is_shown(curve.name)}
    if not curves_of:
        return None
    figure = new_figure(ROW_HEIGHT * _num_rows(len(curves_of)) + 0.8)
    _draw_panels(figure.subplots(), "", curves_of, [])
    return finished(figure, f"{trial.agent} on {trial.profile.label}\nseed {trial.seed}")


def _names(table: TrialTable, environment: str) -> list[str]:
    names = dict.fromkeys(name for agent in table.agents for name in table.names_measured(environment, agent))
    return sorted(name for name in names if _is_shown(name) and not name.startswith("evaluation_"))


def _is_shown(name: str) -> bool:
    # Regret has a picture of its own.
    return name not in (TRAINING_CPU_SECONDS, PSEUDO_REGRET)


def _num_rows(number: int) -> int:
    return math.ceil(number / NUM_COLUMNS)


def _draw_panels(
    axes: "Axes", title: str, curves_of: Mapping[str, Mapping[str, Sequence[Curve]]], agents: Sequence[str]
) -> None:
    figure, place = axes.get_figure(root=True), axes.get_subplotspec()
    if figure is None or place is None:
        raise ExperimentError("the curves of a training are drawn on axes of a figure's grid")
    for name, by_agent in curves_of.items():
        units = {curve.unit for curves in by_agent.values() for curve in curves}
        if len(units) > 1:
            several = " and ".join(f"{unit}s" for unit in sorted(units))
            raise ExperimentError(f"the curves {name!r} count in {several}, which have no common axis")
    axes.remove()
    grid = place.subgridspec(_num_rows(len(curves_of)), NUM_COLUMNS)
    for number, (name, by_agent) in enumerate(curves_of.items()):
        panel = figure.add_subplot(grid[divmod(number, NUM_COLUMNS)])
        is_last = number % NUM_COLUMNS == NUM_COLUMNS - 1 or number == len(curves_of) - 1
        dress(panel, "" if number else title, "", name.replace("_", " "))
        _draw_curve(panel, name, by_agent, agents, has_labels=is_last and bool(agents))


def _draw_curve(
    axes: "Axes", name: str, by_agent: Mapping[str, Sequence[Curve]], agents: Sequence[str], *, has_labels: bool
) -> None:
    unit = next(curve.unit for curves in by_agent.values() for curve in curves)
    axes.set_xlabel(UNITS[unit], size=TEXT_SIZE)
    ends: list[EndLabel] = []
    lowest, highest = math.inf, -math.inf
    for agent, curves in by_agent.items():
        at, values = on_common_points([curve for curve in curves if np.isfinite(curve.values).all()] or curves)
        if not len(at):
            continue
        style = line_style(agents.index(agent) if agent in agents else 0)
        mean = values.mean(axis=0)
        axes.plot(at, mean, linewidth=1.4, label=agent, marker="." if len(at) == 1 else None, **style)
        low, high = mean_band(values)
        if (values >= 0).all():
            # Student's band of fewer than five seeds knows no limits.
            low = np.maximum(low, 0.0)
        known = np.isfinite(low)
        opacity = band_opacity(max(1, len(agents)))
        axes.fill_between(at[known], low[known], high[known], color=style["color"], alpha=opacity, linewidth=0)
        lowest, highest = min(lowest, float(mean.min())), max(highest, float(mean.max()))
        ends.append(EndLabel(float(mean[-1]), agent, style["color"]))
    if name == "loss" and lowest > 0 and highest > LARGEST_RATIO * lowest:
        axes.set_yscale("log")
    if has_labels and ends:
        _label(axes, ends)
    use_hangul_font(axes)


def _label(axes: "Axes", ends: list[EndLabel]) -> None:
    """Names beside the lines; beside powers of ten, where lines are not as far apart as their numbers, a legend."""
    if axes.get_yscale() == "linear":
        label_ends(axes, ends)
    else:
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize="small")


def _height(page: Page) -> float:
    most = max((len(_names(page.table, environment)) for environment in page.environments), default=0)
    return ROW_HEIGHT * max(1, _num_rows(most)) + 0.6


CURVES = PlotKind(
    "curves",
    lambda axes, page, environment: draw_training_curves(axes, page.table, environment),
    title="Curves of the training",
    caption="What agents measure of themselves as they learn, such as losses, mean over seeds; the band is its 95 % "
    "interval.",
    height=_height,
)
