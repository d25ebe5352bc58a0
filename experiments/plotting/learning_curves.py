"""Learning curves: success rate or return in training, with bands."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from velodrome.checks import closest
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.plotting.curve_axis import AXIS_NAMES, Over, chosen_axis
from velodrome.experiments.plotting.drawn_scores import chosen_environments, done, records_on, reference
from velodrome.experiments.plotting.fonts import use_hangul_font
from velodrome.experiments.plotting.style import (
    REFERENCE_COLOUR,
    EndLabel,
    band_opacity,
    dress,
    label_ends,
    line_style,
    say,
)
from velodrome.experiments.statistics import mean_band

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from velodrome.experiments.results.results import Results

# Row in the curves of `Results`, name of the axis, and the record's value for the best possible policy.
METRICS = {
    "success_rate": (0, "success rate in training", "best_success_rate"),
    "return": (1, "return in training", "best_return"),
}


def chosen_metric(results: "Results", environment: str, metric: str | None = None) -> str:
    """The metric of learning curves: success rate where there is a success rule, or else return.

    Raises:
        ExperimentError: neither "success_rate" nor "return".
    """
    if metric is not None:
        if metric not in METRICS:
            raise ExperimentError(
                f"metric must be one of {', '.join(METRICS)}, got {metric!r}{closest(metric, METRICS)}"
            )
        return metric
    records = done(records_on(results, [environment]))
    has_rule = any(not np.isnan(record["train_success_rate"]) for record in records)
    return "success_rate" if has_rule or not records else "return"


def draw_learning_curves(
    axes: "Axes", results: "Results", environment: str, metric: str | None = None, over: str | None = None
) -> "Axes":
    """Learning curves on one environment: each agent's mean over seeds with its 95 % band, labelled at the right end.

    Args:
        axes: to draw on.
        results: of an experiment.
        environment: its label.
        metric: "success_rate" or "return"; by default success rate where there is a success rule.
        over: "episodes" or "steps"; by default steps where any budget is of steps.

    Raises:
        ExperimentError: an unknown environment, metric or axis, or no trial has a learning curve.
    """
    chosen_environments(results, environment)
    metric = chosen_metric(results, environment, metric)
    axis = chosen_axis(results, environment, over)
    row, ylabel, best_column = METRICS[metric]
    dress(axes, environment, AXIS_NAMES[axis], ylabel)
    longest, num_curves = 1, 0
    ends: list[EndLabel] = []
    limits: list[float] = []
    for place, agent in enumerate(results.agents):
        x, curves = _curves(results, environment, agent, axis, row)
        num_curves += len(curves)
        longest = max(longest, int(x[-1]))
        if not np.isfinite(curves).any():
            continue
        style = line_style(place)
        mean = mean_of_present(curves)
        # Over steps a bin may be empty, for no episode has ended in it: lines go on to the next.
        shown = np.isfinite(mean)
        axes.plot(x[shown], mean[shown], linewidth=1.6, label=agent, **style)
        finite = mean[shown]
        limits += [finite.min(), finite.max()]
        low, high = mean_band(curves)
        if metric == "success_rate":
            # Student's band of fewer than five seeds knows no limits.
            low, high = np.clip([low, high], 0.0, 1.0)
        known = np.isfinite(low)
        if known.any():
            opacity = band_opacity(len(results.agents))
            axes.fill_between(x[known], low[known], high[known], color=style["color"], alpha=opacity, linewidth=0)
            # A band of two seeds may be so wide that nothing else could be seen.
            limits.append(max(low[known].min(), np.nanmin(curves)))
            limits.append(min(high[known].max(), np.nanmax(curves)))
        ends.append(EndLabel(float(finite[-max(1, len(finite) // 10) :].mean()), agent, style["color"]))
    if not ends:
        say(axes, _nothing(results, environment, num_curves))
    best = reference(results, environment, best_column)
    if np.isfinite(best) and ends:
        axes.axhline(best, color=REFERENCE_COLOUR, linewidth=1, linestyle=(0, (6, 3)))
        limits.append(best)
        ends.append(EndLabel(best, f"best possible {best:.3g}", REFERENCE_COLOUR))
    if metric == "success_rate":
        axes.set_ylim(-0.02, 1.04)
    elif limits:
        set_height(axes, min(limits), max(limits))
    axes.set_xlim(0, longest)
    label_ends(axes, ends)
    use_hangul_font(axes)
    return axes


def _curves(
    results: "Results", environment: str, agent: str, axis: Over, row: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Points and curves, (num_points,) and (num_trials, num_points)."""
    grid, curves = results.curves(environment, agent, over=axis)
    return grid.ends, curves[:, row].astype(np.float64)


def _nothing(results: "Results", environment: str, num_curves: int) -> str:
    """Why there is no curve.

    Raises:
        ExperimentError: trials are done, and none has a curve.
    """
    if num_curves:
        return "no episode has ended, or none has a success rule"
    if done(records_on(results, [environment])):
        raise ExperimentError(f"{environment}: these results have no learning curves, only numbers of whole trials")
    return "no trial is done"


def mean_of_present(curves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the first axis of what is finite, NaN where nothing is."""
    present = np.isfinite(curves)
    counts = present.sum(axis=0)
    total = np.where(present, curves, 0.0).sum(axis=0)
    return np.asarray(np.divide(total, counts, out=np.full(counts.shape, np.nan), where=counts > 0))


def set_height(axes: "Axes", low: float, high: float) -> None:
    """Limits of the y axis, a little beyond what must be seen."""
    margin = 0.04 * (high - low) or 0.5 * abs(high) or 1.0
    axes.set_ylim(low - margin, high + margin)
