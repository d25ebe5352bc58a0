"""Learning curves: success rate or return in training, with bands."""

from dataclasses import replace
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from velodrome.checks import closest
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.plotting.bands import CurveBand, curve_meaning
from velodrome.experiments.plotting.drawn_scores import chosen_environments, reference
from velodrome.experiments.plotting.fonts import use_hangul_font
from velodrome.experiments.plotting.plot_kind import Page, PlotKind
from velodrome.experiments.plotting.style import (
    REFERENCE_COLOUR,
    EndLabel,
    band_opacity,
    dress,
    label_ends,
    line_style,
    say,
)
from velodrome.experiments.results.trial_table import TrialTable
from velodrome.experiments.trials.measures import measure_named

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MEAN_BAND = CurveBand()
Over = Literal["episodes", "steps"]
AXIS_NAMES: dict[Over, str] = {"episodes": "episode", "steps": "environment step"}
# Row in the curves of `Results`, name of the axis, and the record's value for the best possible policy.
METRICS = {
    "success_rate": (0, "success rate in training", "best_success_rate"),
    "return": (1, "return in training", "best_return"),
}


def chosen_metric(table: TrialTable, environment: str, metric: str | None = None) -> str:
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
    if table.settings.metric is not None:
        return _curve_of(table.settings.metric, table)
    records = table.done_on(environment)
    has_rule = any(not np.isnan(record.number("train_success_rate")) for record in records)
    return "success_rate" if has_rule or not records else "return"


def draw_learning_curves(
    axes: "Axes",
    table: TrialTable,
    environment: str,
    metric: str | None = None,
    over: str | None = None,
    band: CurveBand = MEAN_BAND,
) -> "Axes":
    """Learning curves on one environment: each agent's mean over seeds with its 95 % band, labelled at the right end.

    Where trials were stopped as hopeless, their agent's line ends with the first of them.

    Args:
        axes: to draw on.
        table: of an experiment.
        environment: its label.
        metric: "success_rate" or "return"; by default success rate where there is a success rule.
        over: "episodes" or "steps"; by default steps where any budget is of steps.
        band: what is drawn around the mean.

    Raises:
        ExperimentError: an unknown environment, metric or axis, too few seeds for the band, or no trial has a
            learning curve.
    """
    chosen_environments(table, environment)
    metric = chosen_metric(table, environment, metric)
    axis = chosen_axis(table, environment, over)
    row, ylabel, best_column = METRICS[metric]
    dress(axes, environment, AXIS_NAMES[axis], ylabel)
    longest, num_curves = 1, 0
    ends: list[EndLabel] = []
    limits: list[float] = []
    for place, agent in enumerate(table.agents):
        curve = mean_curve(table, environment, agent, axis, row, band)
        num_curves += curve.num_seeds
        longest = max(longest, int(curve.x[-1]))
        # Over steps a bin may be empty, for no episode has ended in it: lines go on to the next.
        shown = np.isfinite(curve.mean)
        if not shown.any():
            continue
        style = line_style(place)
        axes.plot(curve.x[shown], curve.mean[shown], linewidth=1.6, label=agent, **style)
        finite = curve.mean[shown]
        known = np.isfinite(curve.low)
        if known.any():
            x, low, high = curve.x[known], curve.low[known], curve.high[known]
            opacity = band_opacity(len(table.agents))
            axes.fill_between(x, low, high, color=style["color"], alpha=opacity, linewidth=0)
        band.draw_runs(axes, curve.x, curve.curves, style)
        limits += curve.extent
        end = float(finite[-max(1, len(finite) // 10) :].mean())
        ends.append(EndLabel(end, agent, style["color"], curve.mean.tobytes()))
    if not ends:
        say(axes, _nothing(table, environment, num_curves))
    best = reference(table, environment, best_column)
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


class MeanCurve(NamedTuple):
    """An agent's learning curve, mean over seeds with its 95 % band; NaN where a value is not known.

    Attributes:
        x: episodes or steps, int64 (num_points,).
        mean: float64 (num_points,).
        low: lower end of the band.
        high: upper end of the band.
        num_seeds: of the mean.
        extent: lowest and highest value that must be seen; empty where there is none.
        curves: of the seeds, float64 (num_seeds, num_points).
    """

    x: NDArray[np.int64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    num_seeds: int
    extent: list[float]
    curves: NDArray[np.float64]


def mean_curve(
    table: TrialTable, environment: str, agent: str, axis: Over, row: int, band: CurveBand = MEAN_BAND
) -> MeanCurve:
    """Learning curve of an agent on an environment.

    Args:
        table: of an experiment.
        environment: its label.
        agent: its label.
        axis: "episodes" or "steps".
        row: 0 for success rates, 1 for returns.
        band: around the mean.
    """
    x, curves = _curves(table.trained, environment, agent, axis, row)
    stops = [record.number(axis) for record in table.stopped(environment, agent)]
    if stops:
        # Beyond, only those are left that learn well.
        curves[:, x > min(stops)] = np.nan
    mean = mean_of_present(curves)
    low, high = (band if len(curves) else MEAN_BAND).ends(curves)
    if row == 0:
        # Student's band of fewer than five seeds knows no limits.
        low, high = np.clip([low, high], 0.0, 1.0)
    finite, known = mean[np.isfinite(mean)], np.isfinite(low)
    extent = [finite.min(), finite.max()] if len(finite) else []
    if known.any():
        # A band of two seeds may be so wide that nothing else could be seen.
        extent += [max(low[known].min(), np.nanmin(curves)), min(high[known].max(), np.nanmax(curves))]
    if band.runs and len(finite):
        extent += [np.nanmin(curves), np.nanmax(curves)]
    return MeanCurve(x, mean, low, high, len(curves), extent, curves)


def _curves(
    table: TrialTable, environment: str, agent: str, axis: Over, row: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Points and curves, (num_points,) and (num_trials, num_points)."""
    if axis == "episodes" and row == 0:
        grid, rates = table.success_curves(environment, agent)
        return grid.ends, rates.astype(np.float64)
    grid, curves = table.curves(environment, agent, over=axis)
    return grid.ends, curves[:, row].astype(np.float64)


def _nothing(table: TrialTable, environment: str, num_curves: int) -> str:
    """Why there is no curve.

    Raises:
        ExperimentError: trials are done, and none has a curve.
    """
    if num_curves:
        return "no episode has ended, or none has a success rule"
    if table.done_on(environment):
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


def chosen_axis(table: TrialTable, environment: str, over: str | None) -> Over:
    """Episodes where all budgets on an environment are of episodes, or else steps; or what the user wants.

    Budgets that are not known, of results from elsewhere, count as steps if the episodes' lengths are known.

    Raises:
        ExperimentError: neither "episodes" nor "steps", or the lengths of episodes are not known.
    """
    if over is not None and over not in AXIS_NAMES:
        raise ExperimentError(f"over must be one of {', '.join(AXIS_NAMES)}, got {over!r}{closest(over, AXIS_NAMES)}")
    agents = [agent for agent in table.agents if table.trials(environment, agent)]
    has_all_budgets_of_episodes = all(table.budget(environment, agent)[0] is not None for agent in agents)
    if over == "episodes" or (over is None and has_all_budgets_of_episodes):
        return "episodes"
    if _has_lengths(table, environment, agents):
        return "steps"
    if over == "steps":
        raise ExperimentError(f"{environment}: how many steps episodes took is not known, so take over='episodes'")
    return "episodes"


def _has_lengths(table: TrialTable, environment: str, agents: list[str]) -> bool:
    """Whether the episodes' lengths are known; they are 0 otherwise."""
    firsts = (next(table.episode_curves(environment, agent), None) for agent in agents)
    return all(first.lengths.any() for first in firsts if first is not None and first.episodes)


def learning_metric_of_report(page: Page) -> Page:
    """Success rate or return, whichever the reader decides by."""
    if page.metric is None:
        return page
    return replace(page, metric=_curve_of(page.metric, page.table))


def _curve_of(metric: str, table: TrialTable) -> str:
    return "success_rate" if measure_named(metric, table.settings.all_measures).is_rate else "return"


LEARNING = PlotKind(
    "learning",
    lambda axes, page, environment: draw_learning_curves(
        axes, page.table, environment, page.metric, page.over, CurveBand.of(page)
    ),
    title="Learning curves",
    caption="Mean over seeds in training, episode by episode; the band is its 95 % interval.",
    meaning=curve_meaning,
    shows_stopped=True,
    options=("metric", "over", "band", "share", "runs"),
    of_report=learning_metric_of_report,
)
