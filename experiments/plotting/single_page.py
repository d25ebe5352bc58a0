"""A page with one picture: an empty figure, and its caption and layout once it is drawn."""

import warnings
from typing import TYPE_CHECKING

from velodrome.experiments.plotting.fonts import use_hangul_font
from velodrome.experiments.plotting.style import CAPTION_WIDTH, TITLE_SIZE, WIDTH, wrapped

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(height: float, width: float = WIDTH) -> "Figure":
    """An empty figure of so many inches, known to no global list."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    from velodrome.experiments.plotting.displayed_figure import DisplayedFigure

    figure = DisplayedFigure(figsize=(width, height), dpi=120, layout=ConstrainedLayoutEngine())
    FigureCanvasAgg(figure)
    return figure


def finished(figure: "Figure", *lines: str) -> "Figure":
    """The figure with a caption above, of `lines` that may hold several, laid out for good."""
    columns = round(CAPTION_WIDTH * figure.get_figwidth() / WIDTH)
    caption = "\n".join(wrapped(line, columns) for text in lines for line in text.splitlines())
    figure.suptitle(caption, size=TITLE_SIZE, parse_math=False)
    use_hangul_font(figure)
    engine = figure.get_layout_engine()
    assert engine is not None
    with warnings.catch_warnings():
        # One line has told of them already, instead of matplotlib's for each letter.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font", category=UserWarning)
        engine.execute(figure)
    # A layout that were found anew for each file would differ from file to file.
    figure.set_layout_engine("none")
    return figure
