"""Evaluation curves: the greedy policy's success rate or return along the training, with bands."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from velodrome.agents.training_log import Curve
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.plotting.bands import CurveBand, curve_meaning
from velodrome.experiments.plotting.drawn_scores import chosen_environments, reference
from velodrome.experiments.plotting.fonts import use_hangul_font
from velodrome.experiments.plotting.learning_curves import (
    MEAN_BAND,
    chosen_metric,
    learning_metric_of_report,
    set_height,
)
from velodrome.experiments.plotting.plot_kind import PlotKind
from velodrome.experiments.plotting.style import (
    REFERENCE_COLOUR,
    EndLabel,
    band_opacity,
    dress,
    label_ends,
    line_style,
)
from velodrome.experiments.results.trial_table import TrialTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Name of the y axis, and of the number of the trial table that is its value for the best possible policy.
_METRICS = {
    "success_rate": ("greedy success rate", "best_success_rate"),
    "return": ("greedy return", "best_return"),
}
UNITS = {"episode": "episode", "step": "environment step", "epoch": "epoch"}


def draw_evaluation_curves(
    axes: "Axes", table: TrialTable, environment: str, metric: str | None = None, band: CurveBand = MEAN_BAND
) -> "Axes":
    """Evaluations during training on one environment: each agent's mean over seeds with its 95 % band.

    A point is drawn where all of an agent's trials that were evaluated have one; a trial that was stopped early ends
    its agent's line. The dashed line is the best possible, where it is known.

    Args:
        axes: to draw on.
        table: of an experiment.
        environment: its label.
        metric: "success_rate" or "return"; by default success rate where there is a success rule.
        band: what is drawn around the mean.

    Raises:
        ExperimentError: an unknown environment or metric, too few seeds for the band, no evaluations are stored, or
            they count in several units.
    """
    chosen_environments(table, environment)
    metric = _chosen(table, environment, metric)
    curves_of = {agent: _evaluations(table, environment, agent, metric) for agent in table.agents}
    units = {curve.unit for curves in curves_of.values() for curve in curves}
    if not units:
        raise ExperimentError(
            f"{environment}: no evaluations during training are stored; run the experiment with --evaluate-every"
        )
    if len(units) > 1:
        several = " and ".join(f"{unit}s" for unit in sorted(units))
        raise ExperimentError(f"{environment}: evaluations count in {several}, which have no common axis")
    (unit,) = units
    ylabel, best_column = _METRICS[metric]
    dress(axes, environment, UNITS[unit], f"{ylabel} (evaluated during training)")
    longest, limits = 1, []
    ends: list[EndLabel] = []
    for place, (agent, curves) in enumerate(curves_of.items()):
        if not curves:
            continue
        at, values = on_common_points(curves)
        if not len(at):
            continue
        style = line_style(place)
        # A line of one point is none.
        axes.plot(at, values.mean(axis=0), linewidth=1.6, label=agent, marker="." if len(at) == 1 else None, **style)
        limits += [float(values.min()), float(values.max())]
        low, high = band.ends(values)
        if metric == "success_rate":
            # Student's band of fewer than five seeds knows no limits.
            low, high = np.clip([low, high], 0.0, 1.0)
        known = np.isfinite(low)
        axes.fill_between(
            at[known], low[known], high[known], color=style["color"], alpha=band_opacity(len(table.agents)), linewidth=0
        )
        band.draw_runs(axes, at, values, style)
        longest = max(longest, int(at[-1]))
        ends.append(EndLabel(float(values[:, -1].mean()), agent, style["color"], values.mean(axis=0).tobytes()))
    if not ends:
        raise ExperimentError(f"{environment}: the trials of no agent were evaluated at common points")
    best = reference(table, environment, best_column)
    if np.isfinite(best):
        axes.axhline(best, color=REFERENCE_COLOUR, linewidth=1, linestyle=(0, (6, 3)))
        limits.append(best)
        ends.append(EndLabel(best, f"best possible {best:.3g}", REFERENCE_COLOUR))
    if metric == "success_rate":
        axes.set_ylim(-0.02, 1.04)
    else:
        set_height(axes, min(limits), max(limits))
    axes.set_xlim(0, longest)
    label_ends(axes, ends)
    use_hangul_font(axes)
    return axes


def _chosen(table: TrialTable, environment: str, metric: str | None) -> str:
    """Metric that the user wants, else success rate where evaluations have one."""
    if metric is not None:
        return chosen_metric(table, environment, metric)
    has_rule = any(_evaluations(table, environment, agent, "success_rate") for agent in table.agents)
    return "success_rate" if has_rule else "return"


def _evaluations(table: TrialTable, environment: str, agent: str, metric: str) -> list[Curve]:
    """Curves of an agent's trials, without those that say nothing."""
    curves = table.trained.measured_curves(environment, agent, f"evaluation_{metric}")
    return [curve for curve in curves if len(curve.at) and np.isfinite(curve.values).all()]


def on_common_points(curves: Sequence[Curve]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Points that all trials have, (num_points,), and their values, (num_trials, num_points)."""
    at = curves[0].at
    for curve in curves[1:]:
        at = np.intersect1d(at, curve.at)
    values = [curve.values[np.searchsorted(curve.at, at)] for curve in curves]
    return at.astype(np.int64), np.array(values, dtype=np.float64)


EVALUATION = PlotKind(
    "evaluation",
    lambda axes, page, environment: draw_evaluation_curves(
        axes, page.table, environment, page.metric, CurveBand.of(page)
    ),
    title="Evaluations during training",
    caption="Performance of the greedy policy along the training, mean over seeds; the band is its 95 % interval.",
    meaning=curve_meaning,
    shows_stopped=True,
    options=("metric", "band", "share", "runs"),
    of_report=learning_metric_of_report,
)
