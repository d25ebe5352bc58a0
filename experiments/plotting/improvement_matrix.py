"""Probability of improvement, every agent against every other."""

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.plotting.drawn_scores import (
    axis_name,
    chosen_environments,
    measure_for,
    not_everywhere,
    scores_by_agent,
    seeds_by_agent,
)
from velodrome.experiments.plotting.fonts import use_hangul_font
from velodrome.experiments.plotting.plot_kind import LINE, ROW, Page, PlotKind
from velodrome.experiments.plotting.style import TEXT_SIZE, TITLE_SIZE, lines_of, wrapped
from velodrome.experiments.results.trial_table import TrialTable
from velodrome.experiments.statistics import (
    Interval,
    probability_of_improvement,
    probability_of_improvement_interval,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Of more agents the cells are too small for intervals.
MOST_WITH_INTERVALS = 8
# More agents than these, and nobody reads the matrix in a report.
MOST_IN_REPORT = 12
# Letters that the names of all columns may have together.
COLUMN_LETTERS = 64


def draw_improvement_matrix(
    axes: "Axes", table: TrialTable, metric: str | None = None, environment: str | None = None
) -> "Axes":
    """P(a run of the row's agent scores better than one of the column's), ties counted half, with its 95 % interval.

    Averaged over environments; agents without a score on some environment are left out. Of more than eight agents there
    are no intervals, for want of room.

    Args:
        axes: to draw on.
        table: of an experiment.
        metric: a name of `MEASURES`; by default greedy success rate where all environments have a success rule, or else
            return.
        environment: the label of the only one to take, instead of all.

    Raises:
        ExperimentError: an unknown environment or metric, or fewer than two agents have scores.

    Source: Agarwal et al. (2021), section 4.3.
    """
    environments = chosen_environments(table, environment)
    measure = measure_for(table, environments, metric)
    scores = scores_by_agent(table, environments, measure)
    number = len(scores)
    if number < 2:
        (agent,) = scores
        raise ExperimentError(f"an improvement matrix compares two agents or more: only {agent} has scores")
    values: NDArray[np.float64] = np.full((number, number), np.nan)
    seeds = list(seeds_by_agent(table, environments, measure, scores).values())
    for (row, first), (column, second) in combinations(enumerate(scores.values()), 2):
        if not measure.higher_is_better:
            first, second = [-part for part in first], [-part for part in second]
        values[row, column] = probability_of_improvement(first, second)
        values[column, row] = 1 - values[row, column]
        interval = None
        if number <= MOST_WITH_INTERVALS:
            interval = probability_of_improvement_interval(first, second, seeds=(seeds[row], seeds[column]))
        _write(axes, row, column, values[row, column], interval)
        mirrored = interval and Interval(1 - interval.high, 1 - interval.low, interval.level, "", interval.reason)
        _write(axes, column, row, values[column, row], mirrored)
    axes.set_facecolor("0.85")
    # Brown to teal by way of white: told apart with every common colour blindness.
    axes.imshow(values, cmap="BrBG", vmin=0, vmax=1, aspect="auto")
    rows, columns = _names(list(scores))
    axes.set_yticks(range(number), rows, size=TEXT_SIZE, parse_math=False)
    axes.set_xticks(range(number), columns, size=TEXT_SIZE, parse_math=False)
    axes.xaxis.tick_top()
    axes.set_xticks(np.arange(1, number) - 0.5, minor=True)
    axes.set_yticks(np.arange(1, number) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    where = environments[0] if len(environments) == 1 else f"over {len(environments)} environments"
    axes.set_xlabel(
        f"{axis_name(measure)}, {where}\nteal: the row is better; brown: the column is better",
        size=TITLE_SIZE - 1, parse_math=False,
    )  # fmt: skip
    use_hangul_font(axes)
    return axes


def _names(agents: list[str]) -> tuple[list[str], list[str]]:
    """Names of rows and columns: those of columns are numbers, told in the rows, where they would cover each other."""
    room = COLUMN_LETTERS // len(agents)
    if all(len(agent) <= room for agent in agents):
        return agents, agents
    numbers = [str(number) for number in range(1, len(agents) + 1)]
    return [wrapped(f"{agent}  {number}") for agent, number in zip(agents, numbers, strict=True)], numbers


def _write(axes: "Axes", row: int, column: int, value: float, interval: Interval | None) -> None:
    # As many digits as do not say that what was seen in every run is certain, or what was seen in none impossible.
    text = f"{value:.2f}"
    if interval is not None and interval.is_known:
        text += f"\n[{interval.low:.2f}, {interval.high:.2f}]"
    elif interval is not None:
        text += f"\n{interval.reason}"
    axes.text(
        column, row, text, ha="center", va="center", size=TEXT_SIZE if interval is not None else TEXT_SIZE - 2,
        color="white" if abs(value - 0.5) > 0.34 else "black",
    )  # fmt: skip


def _height(page: Page) -> float:
    least = 0.55 if len(page.table.agents) <= MOST_WITH_INTERVALS else ROW
    return sum(max(least, LINE * lines_of([agent])) for agent in page.table.agents) + 1.4


def _meaning(page: Page, seeds: str, has_interval: bool) -> str:
    shown = has_interval and len(page.table.agents) <= MOST_WITH_INTERVALS
    return f"P(row better than column){' with 95 % interval' if shown else ''}, {seeds}"


IMPROVEMENT = PlotKind(
    "improvement",
    lambda axes, page, _: draw_improvement_matrix(axes, page.table, page.metric, page.only_environment),
    title="Probability of improvement",
    caption="The probability that a run of the row's agent scores above one of the column's.",
    height=_height,
    meaning=_meaning,
    left_out=not_everywhere,
    options=("metric",),
    is_over_environments=True,
    of_report=lambda page: page if 2 <= len(page.table.agents) <= MOST_IN_REPORT else None,
)
