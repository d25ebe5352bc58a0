"""Whole pages: one figure with a panel an environment and a caption, and its file."""

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from velodrome.agents.resuming.whole_files import write_whole
from velodrome.checks import closest
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.plotting.drawn_scores import chosen_environments
from velodrome.experiments.plotting.kinds import KINDS, kind_named
from velodrome.experiments.plotting.plot_kind import Page, PlotKind
from velodrome.experiments.plotting.single_page import finished, new_figure
from velodrome.experiments.plotting.style import own_style, say
from velodrome.experiments.results.trial_table import TrialTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ENDINGS = (".png", ".svg", ".pdf")


def draw(
    table: TrialTable,
    kind: str | PlotKind = "learning",
    *,
    metric: str | None = None,
    environment: str | None = None,
    parameter: str | None = None,
    over: str | None = None,
    band: str | None = None,
    share: float | None = None,
    runs: bool = False,
) -> "Figure":
    """A picture of results as a whole page: panels, and a caption that counts seeds and what is left out.

    A panel that has nothing to show says why; where none has anything, that is an error.

    Args:
        table: of an experiment.
        kind: a name of `KINDS`, or one of your own.
        metric: of learning curves and evaluations "success_rate" or "return", else the name of a measure; None for what
            decides.
        environment: the label of the only one to show, instead of all.
        parameter: of a sweep, such as "learning_rate" or "policy.epsilon".
        over: "episodes" or "steps", of learning curves and regret.
        band: of curves "mean", the 95 % interval of the mean, or "tolerance", which holds `share` of the runs; of
            profiles "bootstrap", pointwise, or "dkw", which holds the whole profile.
        share: of the runs that a band "tolerance" holds with 95 % confidence at each point; 0.9 if None.
        runs: whether single runs are drawn too, those at the 5th, 50th and 95th percentile of the last value marked.

    Raises:
        ExperimentError: an unknown kind, metric, environment, parameter or axis, one that the kind does not take, or
            results without what is to be drawn.
    """
    chosen = kind_named(kind)
    given = {"metric": metric, "parameter": parameter, "over": over, "band": band, "share": share, "runs": runs or None}
    for name, value in given.items():
        if value is not None and name not in chosen.options:
            takes = ", ".join(other for other in KINDS if name in KINDS[other].options)
            raise ExperimentError(f"{name} is for {takes}: pictures of kind {chosen.name} take none, got {value!r}")
    page = Page(table, chosen_environments(table, environment), metric, parameter, over, band, share, runs)
    return draw_page(chosen, page)


def draw_page(kind: PlotKind, page: Page) -> "Figure":
    """The same, of what is asked for.

    Raises:
        ExperimentError: no panel has anything to show.
    """
    panels = page.environments[:1] if kind.is_over_environments else page.environments
    with own_style():
        figure = new_figure(kind.height(page) * len(panels) + 0.4)
        grid = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
        problems = [_problem(kind, page, axes, panel) for axes, panel in zip(grid, panels, strict=True)]
        if all(problems):
            raise ExperimentError(problems[0])
        return finished(figure, kind.caption_of(page))


def _problem(kind: PlotKind, page: Page, axes: "Axes", environment: str) -> str:
    """Draw a panel; if that cannot be done, let it say why, and return that."""
    try:
        kind.draw(axes, page, environment)
    except ExperimentError as error:
        axes.clear()
        axes.set_axis_off()
        say(axes, str(error))
        return str(error)
    return ""


def figure_bytes(figure: "Figure", ending: str) -> bytes:
    """A figure as a file: the same bytes for the same figure.

    Args:
        figure: to write.
        ending: ".png", ".svg" or ".pdf".

    Raises:
        ExperimentError: another ending.
    """
    import matplotlib as mpl

    if ending.lower() not in ENDINGS:
        raise ExperimentError(f"a picture ends in {', '.join(ENDINGS)}, got {ending!r}{closest(ending, ENDINGS)}")
    metadata: dict[str, dict[str, Any]] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    file = io.BytesIO()
    # SVG's identifiers are random otherwise.
    with own_style(), mpl.rc_context({"svg.hashsalt": "velodrome"}), warnings.catch_warnings():
        _ignore_missing_letters()
        figure.savefig(
            file, format=ending.lower().removeprefix("."), metadata=metadata.get(ending.lower()), bbox_inches="tight"
        )
    return file.getvalue()


def _ignore_missing_letters() -> None:
    """One line tells of them when a figure is drawn, instead of matplotlib's for each letter."""
    warnings.filterwarnings("ignore", message=r"Glyph .* missing from font", category=UserWarning)


def write_figure(figure: "Figure", path: str | Path) -> None:
    """Write a figure as PNG, SVG or PDF, by the ending of `path`, with the same bytes for the same figure.

    Args:
        figure: a Matplotlib figure.
        path: file that ends with .png, .svg or .pdf; it is replaced.

    Raises:
        ExperimentError: another ending.
        OSError: the file cannot be written.
    """
    write_whole(path, figure_bytes(figure, Path(path).suffix))
