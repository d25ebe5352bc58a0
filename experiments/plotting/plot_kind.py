"""A kind of picture: one object says its name, what is drawn in a panel, how high that is, and what is said of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.plotting.style import counted, lines_of, seeds_caption
from velodrome.experiments.results.trial_table import TrialTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Inches of a line of text and of the least row.
LINE, ROW = 0.18, 0.32
# Options of `draw` that a kind may take.
OPTIONS = ("metric", "parameter", "over", "band", "share", "runs")


@dataclass(frozen=True)
class Page:
    """A page to draw: trials, the environments to show, and the options of `draw`.

    Attributes:
        table: trials.
        environments: labels of the environments to show, in order.
        metric: of learning curves and evaluations "success_rate" or "return", else the name of a measure; None for what
            decides.
        parameter: of a sweep, such as "learning_rate" or "policy.epsilon".
        over: "episodes" or "steps", of learning curves and regret.
        band: of curves "mean" or "tolerance", of profiles "bootstrap" or "dkw"; the first of them if None.
        share: of the runs that a band "tolerance" holds, in (0, 1); 0.9 if None.
        runs: whether single runs are drawn too.
    """

    table: TrialTable
    environments: list[str]
    metric: str | None = None
    parameter: str | None = None
    over: str | None = None
    band: str | None = None
    share: float | None = None
    runs: bool = False

    @property
    def only_environment(self) -> str | None:
        """Label of the environment to show where there is one; None where there are several."""
        return self.environments[0] if len(self.environments) == 1 else None


def height_of_lines(page: Page) -> float:
    """Inches of a panel with a line for each agent, and their names beside it."""
    return max(3.7, LINE * lines_of(page.table.agents) + 1.4)


def mean_with(what: str) -> Callable[[Page, str, bool], str]:
    """Caption of means with intervals, such as a "band"."""

    def meaning(page: Page, seeds: str, has_interval: bool) -> str:
        return f"mean of {seeds}, " + (f"{what} = 95 % interval" if has_interval else "without interval")

    return meaning


@dataclass(frozen=True)
class PlotKind:
    """One kind of picture.

    Attributes:
        name: as users write it.
        draw: on axes, of a page, for an environment. It raises ExperimentError where there is nothing to draw.
        title: in the report; the name with spaces for underscores if empty.
        caption: in the report: what a reader must know to read the picture.
        height: of a panel, in inches.
        meaning: of what is drawn, for the caption: of a page, its numbers of seeds, and whether any pair has several.
        left_out: agents and scores that are not drawn, and why; failed trials apart.
        options: of `draw`, those that it takes: "metric", "parameter", "over", "band", "share" and "runs".
        is_over_environments: whether one panel shows all environments.
        is_of_all_agents: whether the report draws it of all agents, however many there are.
        of_report: the page that the report draws, of the page and the metric of its reader; None for none.
        shows_stopped: whether an agent of which trials were stopped as hopeless is drawn up to the first of them.
    """

    name: str
    draw: "Callable[[Axes, Page, str], object]"
    title: str = ""
    caption: str = ""
    height: Callable[[Page], float] = height_of_lines
    meaning: Callable[[Page, str, bool], str] = mean_with("band")
    left_out: Callable[[Page], list[str]] = lambda page: []
    options: tuple[str, ...] = ()
    is_over_environments: bool = False
    is_of_all_agents: bool = False
    of_report: Callable[[Page], Page | None] = lambda page: page
    shows_stopped: bool = False

    def __post_init__(self) -> None:
        """Check the arguments.

        Raises:
            ExperimentError: a name that is none, or unknown options.
        """
        if not isinstance(self.name, str) or not (self.name.isidentifier() and self.name.isascii()):
            raise ExperimentError(f"kind: name must be letters, digits and underscores, got {self.name!r}")
        unknown = [option for option in self.options if option not in OPTIONS]
        if unknown:
            raise ExperimentError(f"kind {self.name!r}: options must be of {', '.join(OPTIONS)}, got {unknown[0]!r}")
        object.__setattr__(self, "title", self.title or self.name.replace("_", " ").capitalize())

    def caption_of(self, page: Page) -> str:
        """Name of the experiment, seeds and intervals; on a line of its own what is left out.

        Args:
            page: trials, environments and options of the picture.
        """
        table = page.table
        pairs = [(environment, agent) for environment in page.environments for agent in table.agents]
        numbers = [len(table.done(*pair)) for pair in pairs]
        shown = [len(table.trained.done(*pair)) for pair in pairs] if self.shows_stopped else numbers
        first = f"{table.name}: {self.meaning(page, seeds_caption(shown), max(shown) > 1)}"
        stopped = sum(len(table.stopped(*pair)) for pair in pairs)
        failed = sum(len(table.trials(*pair)) for pair in pairs) - sum(numbers) - stopped
        left_out = [counted(stopped, "stopped trial")] * bool(stopped and not self.shows_stopped)
        left_out += [counted(failed, "failed trial")] * bool(failed) + self.left_out(page)
        return first + (f"\nleft out: {'; '.join(left_out)}" if left_out else "")
