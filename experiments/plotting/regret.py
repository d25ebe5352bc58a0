"""Cumulative regret in training: what all episodes so far fell short of the best expected return."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from velodrome.agents.training_log import PSEUDO_REGRET
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.plotting.drawn_scores import chosen_environments, reference
from velodrome.experiments.plotting.evaluation_curves import on_common_points
from velodrome.experiments.plotting.fonts import use_hangul_font
from velodrome.experiments.plotting.learning_curves import (
    AXIS_NAMES,
    Over,
    chosen_axis,
    mean_of_present,
    set_height,
)
from velodrome.experiments.plotting.plot_kind import Page, PlotKind, mean_with
from velodrome.experiments.plotting.style import REFERENCE_COLOUR, EndLabel, band_opacity, dress, label_ends, line_style
from velodrome.experiments.results.learning import EPISODES_DIFFER, has_pseudo_regrets, why_no_regret
from velodrome.experiments.results.trial_table import TrialTable
from velodrome.experiments.statistics import cumulative_regret, mean_band
from velodrome.experiments.storage.curves import CurveGrid
from velodrome.experiments.storage.episode_curves import EpisodeCurves

# Name and points of the line of the lower bound.
BOUND, NUM_BOUND_POINTS = "Lai–Robbins lower bound", 200

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_regret(axes: "Axes", table: TrialTable, environment: str, over: str | None = None) -> "Axes":
    """Cumulative regret in training on one environment: each agent's mean over seeds with its 95 % band.

    Args:
        axes: to draw on.
        table: of an experiment.
        environment: its label.
        over: "episodes" or "steps"; by default steps where any budget is of steps and all episodes take as many.

    Raises:
        ExperimentError: an unknown environment or axis, the best expected return is not known, or no trial has a curve.
    """
    chosen_environments(table, environment)
    axis = _axis(table, environment, over)
    if not table.done_on(environment):
        raise ExperimentError(f"{environment}: no trial is done")
    is_pseudo = has_pseudo_regrets(table, environment)
    best = reference(table, environment, "best_return")
    if not is_pseudo and not np.isfinite(best):
        raise ExperimentError(
            f"{environment}: there is no regret, for the best expected return is not known without a transition model"
        )
    name = "cumulative pseudo-regret" if is_pseudo else f"cumulative regret of returns (best return {best:.3g})"
    dress(axes, environment, AXIS_NAMES[axis], name)
    longest, limits = 1, [0.0]
    ends: list[EndLabel] = []
    for place, agent in enumerate(table.agents):
        x, curves = (_pseudo_regrets if is_pseudo else _regrets)(table, environment, agent, axis)
        if not len(curves) or not np.isfinite(curves[:, 1:]).any():
            continue
        style, mean = line_style(place), mean_of_present(curves)
        axes.plot(x, mean, linewidth=1.6, label=agent, **style)
        if len(curves) > 1:
            axes.fill_between(
                x, *mean_band(curves), color=style["color"], alpha=band_opacity(len(table.agents)), linewidth=0
            )
        longest = max(longest, int(x[-1]))
        limits += [np.nanmin(curves), np.nanmax(curves)]
        ends.append(EndLabel(float(mean[np.isfinite(mean)][-1]), agent, style["color"], mean.tobytes()))
    if not ends:
        raise ExperimentError(f"{environment}: these results have no learning curves, so there is no regret to draw")
    constant = reference(table, environment, "lai_robbins")
    if is_pseudo and constant > 0.0:
        x = np.linspace(1, longest, NUM_BOUND_POINTS)
        bound = constant * np.log(x)
        axes.plot(x, bound, color=REFERENCE_COLOUR, linewidth=1, linestyle=(0, (6, 3)), label=BOUND)
        ends.append(EndLabel(float(bound[-1]), f"{BOUND} {constant:.3g} ln n", REFERENCE_COLOUR))
        limits.append(float(bound[-1]))
    axes.set_xlim(0, longest)
    set_height(axes, min(limits), max(limits))
    label_ends(axes, ends)
    use_hangul_font(axes)
    return axes


def _axis(table: TrialTable, environment: str, over: str | None) -> Over:
    """Steps only where agents have finished equally many episodes at the same step, or where the user wants them.

    Raises:
        ExperimentError: as of `chosen_axis`, or the user wants steps of a budget that cuts episodes of any length.
    """
    axis = chosen_axis(table, environment, over)
    if axis == "episodes" or why_no_regret(table, environment) != EPISODES_DIFFER:
        return axis
    if over == "steps":
        raise ExperimentError(f"{environment}: no regret over steps: {EPISODES_DIFFER}; take over='episodes'")
    return "episodes"


def _regret(log: EpisodeCurves, grid: CurveGrid, best: float, has_step_budget: bool) -> NDArray[np.float64]:
    """Regret at 0 and at the points of a grid, (1 + num_points,): of the episodes that have ended by then.

    NaN beyond the end of the trial.
    """
    sums = np.append(0.0, cumulative_regret(log.returns, best))
    if grid.unit == "episode":
        num_ended = grid.ends
        beyond = num_ended > log.episodes
    else:
        ended_at = np.cumsum(log.lengths)
        num_ended = np.searchsorted(ended_at, grid.ends, side="right")
        # With a budget of steps a trial goes on after its last episode that ended.
        beyond = (grid.ends > log.lengths.sum()) & (not has_step_budget)
    values = np.where(beyond, np.nan, sums[np.minimum(num_ended, log.episodes)])
    return np.append(0.0, values)


def _regrets(table: TrialTable, environment: str, agent: str, axis: Over) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Points from 0 on, and the regret of each trial there, (num_trials, num_points), from the returns."""
    grid, best = table.curve_grid(environment, agent, axis), reference(table, environment, "best_return")
    has_step_budget = table.budget(environment, agent)[1] is not None
    logs = table.episode_curves(environment, agent)
    curves = np.array([_regret(log, grid, best, has_step_budget) for log in logs])
    if len(curves):
        # A mean over those seeds only that go on longest would jump where the others end.
        curves[:, ~np.isfinite(curves).all(axis=0)] = np.nan
    return np.append(0, grid.ends), curves


def _pseudo_regrets(
    table: TrialTable, environment: str, agent: str, axis: Over
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Points from 0 on, and the pseudo-regret of each trial there; an episode is a step."""
    curves = table.measured_curves(environment, agent, PSEUDO_REGRET)
    if not curves:
        return np.zeros(1), np.empty((0, 1))
    at, values = on_common_points(curves)
    return np.append(0, at), np.insert(values, 0, 0.0, axis=1)


def _meaning(page: Page, seeds: str, has_interval: bool) -> str:
    """Caption of means with a band, and which regret is drawn."""
    known = [environment for environment in page.environments if has_pseudo_regrets(page.table, environment)]
    bounded = [environment for environment in known if reference(page.table, environment, "lai_robbins") > 0.0]
    text = mean_with("band")(page, seeds, has_interval)
    if known:
        text += "; pseudo-regret: of expected rewards, without their noise"
    return text + (f"; dashed: {BOUND} on it as the number of pulls n grows" if bounded else "")


REGRET = PlotKind(
    "regret",
    lambda axes, page, environment: draw_regret(axes, page.table, environment, page.over),
    title="Regret in training",
    caption="What learning has cost so far: returns below the best expected return, or on bandits expected rewards "
    "below those of the best arm. Lower is better, flat means learnt.",
    meaning=_meaning,
    options=("over",),
)
