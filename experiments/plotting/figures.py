"""Whole pages: one figure with a panel an environment and a caption, and its file."""

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from velodrome.agents.resuming.whole_files import write_whole
from velodrome.checks import closest
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.plotting.drawn_scores import chosen_environments
from velodrome.experiments.plotting.fonts import use_hangul_font
from velodrome.experiments.plotting.kinds import KINDS, Kind, Page
from velodrome.experiments.plotting.style import CAPTION_WIDTH, TITLE_SIZE, WIDTH, own_style, say, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from velodrome.experiments.results.results import Results

ENDINGS = (".png", ".svg", ".pdf")


def draw(
    results: "Results",
    kind: str = "learning",
    *,
    metric: str | None = None,
    environment: str | None = None,
    parameter: str | None = None,
    over: str | None = None,
) -> "Figure":
    """A picture of results as a whole page: panels, and a caption that counts seeds and what is left out.

    A panel that has nothing to show says why; where none has anything, that is an error.

    Args:
        results: of an experiment.
        kind: "learning", "scores", "profiles", "improvement", "regret" or "sweep".
        metric: of learning curves "success_rate" or "return", else a name of `MEASURES`; None for what decides.
        environment: the label of the only one to show, instead of all.
        parameter: of a sweep, such as "learning_rate" or "policy.epsilon".
        over: "episodes" or "steps", of learning curves and regret.

    Raises:
        ExperimentError: an unknown kind, metric, environment, parameter or axis, one that the kind does not take, or
            results without what is to be drawn.
    """
    if kind not in KINDS:
        raise ExperimentError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}{closest(kind, KINDS)}")
    chosen = KINDS[kind]
    for name, value in {"metric": metric, "parameter": parameter, "over": over}.items():
        if value is not None and name not in chosen.options:
            takes = ", ".join(other for other in KINDS if name in KINDS[other].options)
            raise ExperimentError(f"{name} is for {takes}: pictures of kind {kind} take none, got {value!r}")
    page = Page(results, chosen_environments(results, environment), metric, parameter, over)
    with own_style():
        return _drawn(chosen, page)


def _drawn(chosen: Kind, page: Page) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    panels = page.environments[:1] if chosen.is_over_environments else page.environments
    size = (WIDTH, chosen.height(page) * len(panels) + 0.4)
    layout = ConstrainedLayoutEngine()
    figure = Figure(figsize=size, dpi=120, layout=layout)
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
    problems = [_problem(chosen, page, axes, panel) for axes, panel in zip(grid, panels, strict=True)]
    if all(problems):
        raise ExperimentError(problems[0])
    caption = "\n".join(wrapped(line, CAPTION_WIDTH) for line in chosen.caption(page).splitlines())
    figure.suptitle(caption, size=TITLE_SIZE, parse_math=False)
    use_hangul_font(figure)
    with warnings.catch_warnings():
        _ignore_missing_letters()
        layout.execute(figure)
    # A layout that were found anew for each file would differ from file to file.
    figure.set_layout_engine("none")
    return figure


def _problem(kind: Kind, page: Page, axes: "Axes", environment: str) -> str:
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

    Raises:
        ExperimentError: another ending.
        OSError: the file cannot be written.
    """
    write_whole(path, figure_bytes(figure, Path(path).suffix))
