"""Importance: how much of the differences between the agents of a grid, or of a sample, each parameter makes."""

import itertools
import math
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.plotting.agent_parameters import VaryingParameters, varying_parameters
from velodrome.experiments.plotting.drawn_scores import axis_name, chosen_environments, infinite_scores, measure_for
from velodrome.experiments.plotting.fonts import use_hangul_font
from velodrome.experiments.plotting.plot_kind import ROW, Page, PlotKind
from velodrome.experiments.plotting.style import COLOURS, REFERENCE_COLOUR, TEXT_SIZE, dress, wrapped
from velodrome.experiments.results.seed_scores import SeedScores
from velodrome.experiments.results.trial_table import TrialTable
from velodrome.experiments.statistics import StatisticsError
from velodrome.experiments.statistics.sampled_shares import FEWEST_CONFIGURATIONS, sampled_shares
from velodrome.experiments.statistics.variance_shares import VarianceShares, variance_shares

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TOGETHER = "together"

# Scores of the combinations of values, by their texts.
Cells: TypeAlias = dict[tuple[str, ...], SeedScores]


def draw_importance(axes: "Axes", table: TrialTable, environment: str, metric: str | None = None) -> "Axes":
    """Shares of the variance of mean scores on one environment, a bar for each parameter and one for what is left.

    See `variance_shares` for the formula of a full grid, and `sampled_shares` for other configurations, of which there
    must be ten. Agents with other parameters are left out.

    Args:
        axes: to draw on.
        table: of an experiment over a grid or a sample of parameters.
        environment: its label.
        metric: a name of `MEASURES`; by default greedy success rate where there is a success rule, or else return.

    Raises:
        ExperimentError: an unknown environment or metric, fewer than two parameters vary, few configurations that
            are no full grid, Optuna is not installed for many, or the agents do not differ.
    """
    chosen_environments(table, environment)
    varying = varying_parameters(table, environment)
    measure = measure_for(table, [environment], metric)
    try:
        shares = _shares(table, environment, varying, metric)
    except StatisticsError as error:
        raise ExperimentError(str(error)) from None
    rows = sorted(zip(varying.levels, shares.alone, strict=True), key=lambda row: -row[1])
    rows.append((TOGETHER, shares.together))
    dress(axes, environment, f"share of the variance, {axis_name(measure)}")
    axes.grid(visible=False, axis="y")
    places = range(len(rows))
    colours = [*([COLOURS[0]] * (len(rows) - 1)), REFERENCE_COLOUR]
    axes.barh(places, [share for _, share in rows], height=0.6, color=colours, zorder=2)
    for place, (_, share) in enumerate(rows):
        axes.annotate(
            f"{100 * share:.1f} %", xy=(share, place), xytext=(4, 0), textcoords="offset points", size=TEXT_SIZE,
            va="center", annotation_clip=False,
        )  # fmt: skip
    axes.set_xlim(0, 1.08)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_yticks(places, [wrapped(name) for name, _ in rows], size=TEXT_SIZE, parse_math=False)
    axes.tick_params(axis="y", length=0)
    use_hangul_font(axes)
    return axes


def _shares(table: TrialTable, environment: str, varying: VaryingParameters, metric: str | None) -> VarianceShares:
    """Shares of the grid, or of a forest where it has gaps.

    Raises:
        ExperimentError: few combinations have scores, or no seed is common to all of a grid.
        StatisticsError: the scores do not differ, or Optuna is not installed.
    """
    cells = _cells(table, environment, varying, metric)
    number = _number_of_combinations(varying)
    if len(cells) == number:
        return variance_shares(_grid(environment, varying, cells))
    if len(cells) < FEWEST_CONFIGURATIONS:
        raise ExperimentError(
            f"importance needs a full grid: of {number:,} combinations of {', '.join(varying.levels)} on {environment} "
            f"{len(cells):,} have scores (or {FEWEST_CONFIGURATIONS} of any kind)"
        )
    by_key = {tuple(map(repr, values)): values for values in varying.agents.values()}
    columns = zip(*(by_key[key] for key in cells), strict=True)
    parameters = dict(zip(varying.levels, map(list, columns), strict=True))
    return sampled_shares(parameters, [float(scores[np.isfinite(scores)].mean()) for scores in _values(cells)])


def _number_of_combinations(varying: VaryingParameters) -> int:
    return math.prod(map(len, varying.levels.values()))


def _values(cells: Cells) -> list[NDArray[np.float64]]:
    return [scores.values for scores in cells.values()]


def _cells(table: TrialTable, environment: str, varying: VaryingParameters, metric: str | None) -> Cells:
    """Scores of the combinations that have some."""
    measure = measure_for(table, [environment], metric)
    cells: Cells = {}
    for agent, values in varying.agents.items():
        scores = SeedScores.of_records(agent, table.trials(environment, agent), measure)
        if np.isfinite(scores.values).any():
            cells.setdefault(tuple(map(repr, values)), scores)
    return cells


def _grid(environment: str, varying: VaryingParameters, cells: Cells) -> NDArray[np.float64]:
    """Scores float64 (num_seeds, values of each parameter ...) of the seeds that all cells have.

    Raises:
        ExperimentError: no seed is common to all.
    """
    axes = [[repr(value) for value in values] for values in varying.levels.values()]
    finite = [
        {seed: score for seed, score in zip(one.seeds, one.values.tolist(), strict=True) if math.isfinite(score)}
        for one in (cells[key] for key in itertools.product(*axes))
    ]
    seeds = sorted(set(finite[0]).intersection(*finite[1:]))
    if not seeds:
        raise ExperimentError(f"importance needs a seed that all combinations on {environment} have")
    grid = np.array([[scores[seed] for scores in finite] for seed in seeds], dtype=np.float64)
    return grid.reshape(len(seeds), *map(len, axes))


def _meaning(page: Page, seeds: str, has_interval: bool) -> str:
    varying = _parameters(page)
    for environment in page.environments:
        cells = _cells(page.table, environment, varying, page.metric)
        if FEWEST_CONFIGURATIONS <= len(cells) < _number_of_combinations(varying):
            return f"mean of {seeds}, shares of what a forest learnt of {len(cells)} configurations, with seed noise"
    return f"mean of {seeds}, " + ("the part of seed noise is subtracted" if has_interval else "with seed noise")


def _parameters(page: Page) -> VaryingParameters:
    return varying_parameters(page.table, page.environments[0])


IMPORTANCE = PlotKind(
    "importance",
    lambda axes, page, environment: draw_importance(axes, page.table, environment, page.metric),
    title="Importance of the parameters",
    caption="Shares of the variance of the mean scores over the grid: each parameter alone, and what two or more do "
    "together.",
    height=lambda page: ROW * (len(_parameters(page).levels) + 1) + 1.2,
    meaning=_meaning,
    left_out=lambda page: (
        infinite_scores(page) + [f"{agent} (other parameters)" for agent in _parameters(page).left_out]
    ),
    options=("metric",),
    is_of_all_agents=True,
)
