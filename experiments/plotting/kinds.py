"""The kinds of pictures: what is drawn in a panel, how high it is, and what the page's caption says."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from velodrome.experiments.plotting.agent_parameters import swept_agents
from velodrome.experiments.plotting.drawn_scores import done, measure_for, records_on
from velodrome.experiments.plotting.final_scores import MOST_DOTS, draw_final_scores
from velodrome.experiments.plotting.improvement_matrix import MOST_WITH_INTERVALS, draw_improvement_matrix
from velodrome.experiments.plotting.learning_curves import draw_learning_curves
from velodrome.experiments.plotting.profiles import draw_performance_profiles
from velodrome.experiments.plotting.regret import draw_regret
from velodrome.experiments.plotting.style import counted, lines_of, seeds_caption
from velodrome.experiments.plotting.sweep import draw_sweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from velodrome.experiments.results.results import Results

# Inches of a line of text and of the least row.
LINE, ROW = 0.18, 0.32


@dataclass(frozen=True)
class Page:
    """What is asked for: results, the environments to show, and the options of `draw`."""

    results: "Results"
    environments: list[str]
    metric: str | None
    parameter: str | None
    over: str | None

    @property
    def only_environment(self) -> str | None:
        """The one to take where a panel is of several."""
        return self.environments[0] if len(self.environments) == 1 else None


@dataclass(frozen=True)
class Kind:
    """One kind of picture.

    Attributes:
        draw: on axes, for an environment.
        height: of a panel, in inches.
        meaning: of what is drawn, for the caption: of a page, its numbers of seeds, and whether any pair has several.
        left_out: agents and scores that are not drawn, and why; failed trials apart.
        options: of `draw`, those that it takes.
        is_over_environments: whether one panel shows all environments.
    """

    draw: "Callable[[Axes, Page, str], object]"
    height: Callable[[Page], float]
    meaning: Callable[[Page, str, bool], str]
    left_out: Callable[[Page], list[str]]
    options: tuple[str, ...]
    is_over_environments: bool = False

    def caption(self, page: Page) -> str:
        """Name of the experiment, seeds and intervals; on a line of its own what is left out."""
        results, environments = page.results, page.environments
        pairs = [(environment, agent) for environment in environments for agent in results.agents]
        numbers = [len(done(results.trials(*pair))) for pair in pairs]
        first = f"{results.name}: {self.meaning(page, seeds_caption(numbers), max(numbers) > 1)}"
        failed = len(records_on(results, environments)) - sum(numbers)
        left_out = [counted(failed, "failed trial")] * bool(failed) + self.left_out(page)
        return first + (f"\nleft out: {'; '.join(left_out)}" if left_out else "")


def _height_of_curves(page: Page) -> float:
    return max(3.7, LINE * lines_of(page.results.agents) + 1.4)


def _height_of_rows(page: Page) -> float:
    return sum(max(ROW, LINE * lines_of([agent])) for agent in page.results.agents) + 1.2


def _height_of_matrix(page: Page) -> float:
    least = 0.55 if len(page.results.agents) <= MOST_WITH_INTERVALS else ROW
    return sum(max(least, LINE * lines_of([agent])) for agent in page.results.agents) + 1.4


def _height_of_sweep(page: Page) -> float:
    lines = swept_agents(page.results, page.environments[0], page.parameter).lines
    return max(3.7, LINE * lines_of(lines) + 1.4)


def _mean_with(what: str) -> Callable[[Page, str, bool], str]:
    def meaning(page: Page, seeds: str, has_interval: bool) -> str:
        return f"mean of {seeds}, " + (f"{what} = 95 % interval" if has_interval else "without interval")

    return meaning


def _of_profiles(page: Page, seeds: str, has_interval: bool) -> str:
    return f"{seeds}, band = pointwise 95 % interval" if has_interval else f"{seeds}, without interval"


def _of_matrix(page: Page, seeds: str, has_interval: bool) -> str:
    shown = has_interval and len(page.results.agents) <= MOST_WITH_INTERVALS
    return f"P(row better than column){' with 95 % interval' if shown else ''}, {seeds}"


def _nothing(page: Page) -> list[str]:
    return []


def _infinite_scores(page: Page) -> list[str]:
    number = 0
    for environment in page.environments:
        column = measure_for(page.results, [environment], page.metric).column
        number += sum(bool(np.isinf(record[column])) for record in done(records_on(page.results, [environment])))
    return [counted(number, "infinite score")] * bool(number)


def _scores_without_dot(page: Page) -> list[str]:
    pairs = [(environment, agent) for environment in page.environments for agent in page.results.agents]
    most = max((len(done(page.results.trials(*pair))) for pair in pairs), default=0)
    return [f"dots of an agent's scores beyond {MOST_DOTS}, which are evenly spread over all"] * (most > MOST_DOTS)


def _not_everywhere(page: Page) -> list[str]:
    """Infinite scores, and agents that a picture over all environments cannot show."""
    column = measure_for(page.results, page.environments, page.metric).column
    records = done(records_on(page.results, page.environments))
    infinite = sum(bool(np.isinf(record[column])) for record in records)
    finite = {(record["environment"], record["agent"]) for record in records if np.isfinite(record[column])}
    without = [
        agent
        for agent in page.results.agents
        if any((environment, agent) not in finite for environment in page.environments)
    ]
    reason = "no score" if page.only_environment else "not scored on every environment"
    return [counted(infinite, "infinite score")] * bool(infinite) + [f"{agent} ({reason})" for agent in without]


def _without_parameter(page: Page) -> list[str]:
    swept = swept_agents(page.results, page.environments[0], page.parameter)
    return _infinite_scores(page) + [f"{agent} (no {swept.parameter})" for agent in swept.left_out]


KINDS: dict[str, Kind] = {
    "learning": Kind(
        lambda axes, page, environment: draw_learning_curves(axes, page.results, environment, page.metric, page.over),
        _height_of_curves, _mean_with("band"), _nothing, ("metric", "over"),
    ),
    "scores": Kind(
        lambda axes, page, environment: draw_final_scores(axes, page.results, environment, page.metric),
        _height_of_rows, lambda *seeds: f"a dot a seed, diamond = {_mean_with('bar')(*seeds)}",
        lambda page: _infinite_scores(page) + _scores_without_dot(page), ("metric",),
    ),
    "profiles": Kind(
        lambda axes, page, _: draw_performance_profiles(axes, page.results, page.metric, page.only_environment),
        _height_of_curves, _of_profiles, _not_everywhere, ("metric",), True,
    ),
    "improvement": Kind(
        lambda axes, page, _: draw_improvement_matrix(axes, page.results, page.metric, page.only_environment),
        _height_of_matrix, _of_matrix, _not_everywhere, ("metric",), True,
    ),
    "regret": Kind(
        lambda axes, page, environment: draw_regret(axes, page.results, environment, page.over),
        _height_of_curves, _mean_with("band"), _nothing, ("over",),
    ),
    "sweep": Kind(
        lambda axes, page, environment: draw_sweep(axes, page.results, environment, page.parameter, page.metric),
        _height_of_sweep, _mean_with("bar"), _without_parameter, ("metric", "parameter"),
    ),
}  # fmt: skip
