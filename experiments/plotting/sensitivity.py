"""Performance against sensitivity: what algorithms reach if tuned for each environment, and what hangs on that.

The configurations of an algorithm are the agents of a table with the same name, such as "q_learning", or of the same
learner where learners were crossed with policies; on tuning seeds those of one tuned agent.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.plotting.agent_parameters import parameters_of_expression
from velodrome.experiments.plotting.drawn_scores import axis_name, chosen_environments, measure_for
from velodrome.experiments.plotting.fonts import use_hangul_font
from velodrome.experiments.plotting.plot_kind import Page, PlotKind
from velodrome.experiments.plotting.style import (
    COLOURS,
    REFERENCE_COLOUR,
    TEXT_SIZE,
    counted,
    dress,
    text_colour,
    wrapped,
)
from velodrome.experiments.results.trial_table import TrialTable
from velodrome.experiments.statistics import (
    Dimensionality,
    Sensitivity,
    Settings,
    StatisticsError,
    effective_dimensionality,
    sensitivity,
    settings_across_environments,
)
from velodrome.experiments.trials.measures import Measure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray


@dataclass(frozen=True)
class AlgorithmScores:
    """Scores of the configurations of several algorithms on the same environments and seeds; larger is better.

    Scores that are infinite, and those of failed trials, count as the worst finite one on their environment.

    Attributes:
        environments: labels.
        seeds: that all configurations have on all environments.
        labels: of the configurations, by algorithm.
        parameters: values by name, one a configuration, by algorithm.
        scores: float64 (num_configurations, num_environments, num_seeds), by algorithm.
        num_worst: scores that count as the worst.
        left_out: agents without trials on every environment, or the only ones of their algorithm.
    """

    environments: tuple[str, ...]
    seeds: tuple[int, ...]
    labels: dict[str, tuple[str, ...]]
    parameters: dict[str, dict[str, list[Any]]]
    scores: "dict[str, NDArray[np.float64]]"
    num_worst: int
    left_out: tuple[str, ...]

    @classmethod
    def of_table(cls, table: TrialTable, metric: str | None = None) -> "AlgorithmScores":
        """Scores of all agents of a table, on all its environments.

        Args:
            table: of an experiment whose agents are configurations.
            metric: a name of `MEASURES`; by default greedy success rate where all environments have a success rule, or
                else return.

        Raises:
            ExperimentError: no trial has ended, an unknown metric, one environment, no algorithm with two
                configurations, or no seed that all have.
        """
        environments = chosen_environments(table, None)
        if len(environments) < 2:
            raise ExperimentError(
                f"sensitivity is over environments and needs at least two, got one: {', '.join(environments)}"
            )
        measure = measure_for(table, environments, metric)
        sign = 1.0 if measure.higher_is_better else -1.0
        found: dict[str, list[dict[int, float]]] = {}
        for agent in table.agents:
            parts = [_scores_by_seed(table, one, agent, measure, sign) for one in environments]
            if all(parts):
                found[agent] = parts
        by_algorithm: dict[str, list[str]] = {}
        parameters = {agent: _parameters(table, agent) for agent in found}
        for agent in found:
            by_algorithm.setdefault(_algorithm(table, agent, parameters[agent]), []).append(agent)
        labels = {name: tuple(agents) for name, agents in by_algorithm.items() if len(agents) > 1}
        if not labels:
            raise ExperimentError(
                "sensitivity needs an algorithm with at least two configurations that have scores on every environment"
            )
        kept = [part for agents in labels.values() for agent in agents for part in found[agent]]
        seeds = sorted(set(kept[0]).intersection(*kept[1:]))
        if not seeds:
            raise ExperimentError("sensitivity needs a seed that all configurations have on every environment")
        scores = {
            name: np.array([[[part[seed] for seed in seeds] for part in found[agent]] for agent in agents])
            for name, agents in labels.items()
        }
        finite = [np.where(np.isfinite(values), values, np.inf).min(axis=(0, 2)) for values in scores.values()]
        worst = np.min(finite, axis=0)
        if not np.isfinite(worst).all():
            without = environments[int(np.argmin(np.isfinite(worst)))]
            raise ExperimentError(
                f"no agent has a finite {axis_name(measure)} on {without}, so there is nothing to draw"
            )
        num_worst = sum(int(np.count_nonzero(~np.isfinite(values))) for values in scores.values())
        drawn = {agent for agents in labels.values() for agent in agents}
        return cls(
            tuple(environments),
            tuple(seeds),
            labels,
            {name: _columns(parameters[agent] for agent in agents) for name, agents in labels.items()},
            {name: np.where(np.isfinite(values), values, worst[:, np.newaxis]) for name, values in scores.items()},
            num_worst,
            tuple(agent for agent in table.agents if agent not in drawn),
        )

    def sensitivity(self) -> dict[str, Sensitivity]:
        """Performance and sensitivity Φ by algorithm; see `velodrome.experiments.statistics.sensitivity`.

        Raises:
            ExperimentError: an environment has no scale.
        """
        try:
            return sensitivity(self.scores)
        except StatisticsError as error:
            raise ExperimentError(self._named(str(error))) from None

    def settings(self) -> dict[str, Settings]:
        """The setting for all environments, and those for each, by algorithm; see `settings_across_environments`."""
        return settings_across_environments(self.scores)

    def effective_dimensionality(self) -> dict[str, Dimensionality]:
        """How many parameters must be tuned for each environment, by algorithm; see `effective_dimensionality`.

        Raises:
            ExperimentError: an environment has no scale, or the configurations are no grid.
        """
        try:
            return effective_dimensionality(self.scores, self.parameters)
        except StatisticsError as error:
            raise ExperimentError(self._named(str(error))) from None

    def _named(self, message: str) -> str:
        """A message with labels in the place of numbers of environments."""
        for place, label in enumerate(self.environments):
            message = message.replace(f"on environment {place} ", f"on {label} ")
        return message


def draw_sensitivity(axes: "Axes", table: TrialTable, metric: str | None = None) -> "Axes":
    """A point an algorithm, with 95 % intervals: sensitivity to the right, performance upwards.

    Along a faint diagonal line algorithms are equally good with one setting for all environments.

    Args:
        axes: to draw on.
        table: of an experiment over several environments whose agents are configurations.
        metric: a name of `MEASURES`.

    Raises:
        ExperimentError: as `AlgorithmScores.of_table`, or an environment where nine in ten configurations score the
            same.

    Source: Adkins, Bowling & White (2024), the performance-sensitivity plane.
    """
    found = AlgorithmScores.of_table(table, metric).sensitivity()
    name = axis_name(measure_for(table, table.environments, metric))
    dress(
        axes, f"over {len(table.environments)} environments", "sensitivity Φ: lost by one setting for all environments",
        f"{name}, tuned for each environment\n0 and 1: 5th and 95th percentile of all configurations",
    )  # fmt: skip
    for place, (algorithm, one) in enumerate(found.items()):
        colour = COLOURS[place % len(COLOURS)]
        if one.sensitivity_interval.is_known:
            low, high = one.sensitivity_interval.low, one.sensitivity_interval.high
            axes.plot([low, high], [one.performance] * 2, color=colour, linewidth=1.2)
            low, high = one.performance_interval.low, one.performance_interval.high
            axes.plot([one.sensitivity] * 2, [low, high], color=colour, linewidth=1.2)
        axes.plot([one.sensitivity], [one.performance], "o", color=colour, markersize=6, label=algorithm, zorder=3)
        axes.annotate(
            wrapped(f"{algorithm}, Φ = {one.sensitivity:.2f}"), xy=(one.sensitivity, one.performance), xytext=(6, 5),
            textcoords="offset points", size=TEXT_SIZE, color=text_colour(colour), parse_math=False, zorder=4,
        )  # fmt: skip
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    span, height = max(right - left, 0.02), max(top - bottom, 0.05)
    left, right = min(left, -0.02 * span), right + 0.45 * span
    axes.set_xlim(left, right)
    axes.set_ylim(bottom - 0.1 * height, top + 0.15 * height)
    _draw_diagonals(axes)
    use_hangul_font(axes)
    return axes


def _draw_diagonals(axes: "Axes") -> None:
    """Lines of equal performance with one setting for all: performance less sensitivity."""
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    for value in axes.yaxis.get_major_locator().tick_values(bottom - right, top - left):
        ends = [left, right]
        axes.plot(
            ends, [value + end for end in ends], color=REFERENCE_COLOUR, linewidth=0.5, alpha=0.35, zorder=0,
            scalex=False, scaley=False, label="_diagonal",
        )  # fmt: skip


def _scores_by_seed(table: TrialTable, environment: str, agent: str, measure: Measure, sign: float) -> dict[int, float]:
    """Scores of which more is better, NaN where there is none."""
    trials = table.trials(environment, agent)
    return {record.seed: sign * record.number(measure.column) if record.is_done else np.nan for record in trials}


def _parameters(table: TrialTable, agent: str) -> dict[str, Any]:
    expression = str(table.settings.agents[agent] or agent)
    return parameters_of_expression(expression, table.specifications.get(agent, ""))


def _algorithm(table: TrialTable, agent: str, parameters: dict[str, Any]) -> str:
    tuning, factors = table.settings.tuning, table.settings.factors.get(agent)
    if tuning is not None and tuning.is_choosing:
        return agent.partition(" · ")[0]
    return factors["learner"] if factors else str(parameters.get("", agent))


def _columns(rows: Iterable[dict[str, Any]]) -> dict[str, list[Any]]:
    """Values by parameter, None where a configuration has it not."""
    rows = list(rows)
    return {path: [row.get(path) for row in rows] for path in dict.fromkeys(path for row in rows for path in row)}


def _meaning(page: Page, seeds: str, has_interval: bool) -> str:
    found = AlgorithmScores.of_table(page.table, page.metric)
    numbers = ", ".join(f"{len(labels)} of {name}" for name, labels in found.labels.items())
    bars = "bars = 95 % intervals" if len(found.seeds) > 1 else "without interval"
    return f"{counted(len(found.seeds), 'seed')} each, {bars}; configurations: {numbers}"


def _left_out(page: Page) -> list[str]:
    found = AlgorithmScores.of_table(page.table, page.metric)
    worst = [f"{counted(found.num_worst, 'score')}, infinite or failed, counted as the worst"] * bool(found.num_worst)
    return worst + [f"{agent} (not on every environment, or its algorithm's only one)" for agent in found.left_out]


SENSITIVITY = PlotKind(
    "sensitivity",
    lambda axes, page, _: draw_sensitivity(axes, page.table, page.metric),
    title="Performance against sensitivity",
    caption="Upwards, what an algorithm reaches if it is tuned for each environment; to the right, what it loses by "
    "one setting for all. Along a faint line one setting for all is equally good.",
    height=lambda page: 4.6,
    meaning=_meaning,
    left_out=_left_out,
    options=("metric",),
    is_over_environments=True,
    is_of_all_agents=True,
)
