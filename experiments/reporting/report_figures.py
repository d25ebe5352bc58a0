"""Pictures of the report, as SVG that may stand several times in one page."""

import re
import warnings
from typing import TYPE_CHECKING, NamedTuple

from velodrome.checks import one_line
from velodrome.experiments.errors import ExperimentError, ExperimentWarning
from velodrome.experiments.plotting.kinds import KINDS
from velodrome.experiments.plotting.plot_kind import Page, PlotKind
from velodrome.experiments.plotting.regret import BOUND
from velodrome.experiments.plotting.style import wrapped
from velodrome.experiments.reporting.languages import Words
from velodrome.experiments.reporting.report_extent import Drawn
from velodrome.experiments.results.analysis import AnalysisOptions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DECIMALS = re.compile(r"(\.\d\d)\d+")
_NUMBER = re.compile(r"-?[\d.,]+(?:e[+-]?\d+)?|[-−]?inf")
_OVER = re.compile(r"over (\d+) environments")
# An agent and its mean, in the legend of profiles.
_IN_LEGEND = re.compile(r"(.+)(  \S+)", re.S)
# Words of our own inside pictures.
_DRAWN_WORDS = ("no score", "from the largest mean", "together", "greedy success rate", "greedy return")
_OUTLINE = re.compile(r' d="[^"]*"')
_IDENTIFIER = re.compile(r' id="|url\(#|href="#')
_GLOBAL_STYLE = re.compile(r"<style type=\"text/css\">.*?</style>", re.S)
_METADATA = re.compile(r"<metadata>.*?</metadata>", re.S)
_OPENING = re.compile(r"<svg [^>]*?(viewBox=\"[^\"]*\")[^>]*>", re.S)


class ReportFigure(NamedTuple):
    """A picture: the name of its kind, its title and what it shows."""

    name: str
    title: str
    caption: str
    svg: str


def report_figures(part: Drawn, options: AnalysisOptions, words: Words) -> list[ReportFigure]:
    """Pictures of all kinds that have something to show."""
    figures = []
    for kind in KINDS.values():
        title = words(kind.title)
        try:
            figure = _drawn(part, kind, options)
            svg = "" if figure is None else inline_svg(_bytes_of(figure, words), f"{kind.name}-", title)
        except ExperimentError:
            continue
        except Exception as error:
            # A page without a picture is better than none.
            warnings.warn(f"{kind.title} are not drawn: {one_line(error)}", ExperimentWarning, stacklevel=2)
            continue
        if svg:
            figures.append(ReportFigure(kind.name, title, words(kind.caption), svg))
    return figures


def inline_svg(svg: str, prefix: str, title: str) -> str:
    """A file of matplotlib's as a part of a page.

    Identifiers get a prefix, for they must be unique in the page; addresses of the standards go, for a page needs none;
    the style of all elements goes, for it would be the whole page's; outlines are rounded to hundredths of a point.
    """
    from markupsafe import escape

    svg = _GLOBAL_STYLE.sub("", _METADATA.sub("", svg[svg.index("<svg") :]))
    svg = _OPENING.sub(lambda found: f'<svg {found[1]} role="img" aria-label="{escape(title)}">', svg, count=1)
    svg = svg.replace("xlink:href=", "href=")
    svg = _IDENTIFIER.sub(lambda found: found[0] + prefix, svg)
    return _OUTLINE.sub(lambda found: _DECIMALS.sub(r"\1", found[0]), svg).strip()


def _drawn(part: Drawn, kind: PlotKind, options: AnalysisOptions) -> "Figure | None":
    from velodrome.experiments.plotting.figures import draw_page

    table = part.agents if kind.is_over_environments else part.everybody if kind.is_of_all_agents else part.panels
    page = Page(table, table.environments, options.metric if "metric" in kind.options else None)
    wanted = kind.of_report(page) if table.records else None
    return None if wanted is None else draw_page(kind, wanted)


def _bytes_of(figure: "Figure", words: Words) -> str:
    from matplotlib.text import Text

    from velodrome.experiments.plotting.figures import figure_bytes
    from velodrome.experiments.plotting.fonts import hangul_family, has_hangul, use_hangul_font

    # The page says it in its own type.
    figure.suptitle("")
    if words.language == "en" or hangul_family() is None:
        return figure_bytes(figure, ".svg").decode()
    for axes in figure.axes:
        axis_names = [axes.xaxis.label, axes.yaxis.label]
        for label in axis_names:
            label.set_text(_axis_name(label.get_text(), words))
        for text in axes.findobj(Text):
            if isinstance(text, Text) and text not in axis_names and text.get_text():
                text.set_text(_translated(text.get_text(), words))
        # What ticks say is set anew when they are drawn.
        for axis in (axes.xaxis, axes.yaxis):
            names = [_translated(tick.get_text(), words) for tick in axis.get_ticklabels()]
            if any(has_hangul(name) for name in names):
                axis.set_ticks(axis.get_ticklocs(), names)
    use_hangul_font(figure)
    return figure_bytes(figure, ".svg").decode()


def _translated(text: str, words: Words) -> str:
    """A text of a picture: labels of shipped experiments, alone or as lines that lie on each other, and references."""
    for template in ("best possible {value}", "random {value}"):
        start, found, value = text.partition(template.removesuffix("{value}"))
        if found and not start and _NUMBER.fullmatch(value):
            return words(template, value=value)
    line = " ".join(text.split("\n"))
    if line in _DRAWN_WORDS:
        return wrapped(words(line), 16)
    bound, found, factor = line.partition(BOUND)
    if found and not bound:
        return wrapped(f"{words(BOUND)}{factor}")
    over = _OVER.fullmatch(text)
    if over:
        return words("over {number} environments", number=over[1])
    legend = _IN_LEGEND.fullmatch(text)
    if legend:
        return f"{_translated(legend[1], words)}{legend[2]}"
    shipped = [words.shipped(label) for label in line.split(" = ")]
    return text if shipped == line.split(" = ") else wrapped(" = ".join(shipped))


def _axis_name(name: str, words: Words) -> str:
    """The name of an axis, translated line by line where it is known, and what follows the measure's name."""
    lines = []
    for line in name.split("\n"):
        start, mark, end = line.partition(" (best return ")
        if not mark:
            start, mark, end = line.partition(", ")
        else:
            mark = f" ({words('best return')} "
        lines.append(f"{words(start)}{mark}{words(end)}" if words(line) == line else words(line))
    return "\n".join(lines)
