"""Pictures of the report, as SVG that may stand several times in one page."""

import re
import warnings
from typing import TYPE_CHECKING, NamedTuple

from velodrome.checks import one_line
from velodrome.experiments.errors import ExperimentError, ExperimentWarning
from velodrome.experiments.reporting.languages import Words
from velodrome.experiments.reporting.report_extent import MOST_IN_MATRIX, Drawn
from velodrome.experiments.results.analysis import AnalysisOptions
from velodrome.experiments.results.measures import measure_named

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from velodrome.experiments.results.results import Results

# Values of a hyper-parameter that make a sweep.
FEWEST_IN_SWEEP = 3
TITLES = {
    "learning": "Learning curves",
    "scores": "Final scores",
    "regret": "Regret in training",
    "profiles": "Performance profiles",
    "improvement": "Probability of improvement",
    "sweep": "Sweep of a hyper-parameter",
}
CAPTIONS = {
    "learning": "Mean over seeds in training, episode by episode; the band is its 95 % interval.",
    "scores": "Every dot is a seed; the diamond is the mean, its bar the 95 % interval.",
    "regret": "What the returns fell short of the best expected return so far: lower is better, flat means learnt.",
    "profiles": "The share of runs that score above each value: higher is better everywhere.",
    "improvement": "The probability that a run of the row's agent scores above one of the column's.",
    "sweep": "Mean scores over the value of a hyper-parameter, with 95 % intervals.",
}
# Kinds with one panel for all environments.
_OVER_ENVIRONMENTS = ("profiles", "improvement")
_DECIMALS = re.compile(r"(\.\d\d)\d+")
_OUTLINE = re.compile(r' d="[^"]*"')
_IDENTIFIER = re.compile(r' id="|url\(#|href="#')
_GLOBAL_STYLE = re.compile(r"<style type=\"text/css\">.*?</style>", re.S)
_METADATA = re.compile(r"<metadata>.*?</metadata>", re.S)
_OPENING = re.compile(r"<svg [^>]*?(viewBox=\"[^\"]*\")[^>]*>", re.S)


class ReportFigure(NamedTuple):
    """A picture with its name and what it shows."""

    title: str
    caption: str
    svg: str


def report_figures(part: Drawn, options: AnalysisOptions, words: Words) -> list[ReportFigure]:
    """Pictures of all kinds that have something to show."""
    figures = []
    for kind in TITLES:
        try:
            figure = _drawn(part.agents if kind in _OVER_ENVIRONMENTS else part.panels, kind, options)
            svg = "" if figure is None else inline_svg(_bytes_of(figure, words), f"{kind}-", words(TITLES[kind]))
        except ExperimentError:
            continue
        except Exception as error:
            # A page without a picture is better than none.
            warnings.warn(f"{TITLES[kind]} are not drawn: {one_line(error)}", ExperimentWarning, stacklevel=2)
            continue
        if svg:
            figures.append(ReportFigure(words(TITLES[kind]), words(CAPTIONS[kind]), svg))
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


def _drawn(results: "Results", kind: str, options: AnalysisOptions) -> "Figure | None":
    from velodrome.experiments.plotting.figures import draw

    metric = options.metric
    if kind == "learning":
        if metric is not None:
            metric = "success_rate" if measure_named(metric).is_rate else "return"
        return draw(results, kind, metric=metric)
    if kind == "regret":
        return draw(results, kind)
    if (kind == "improvement" and not 2 <= len(results.agents) <= MOST_IN_MATRIX) or (
        kind == "sweep" and not _is_sweep(results)
    ):
        return None
    return draw(results, kind, metric=metric)


def _is_sweep(results: "Results") -> bool:
    """Whether agents differ in one number, which has several values.

    Raises:
        ExperimentError: they differ in none or in several.
    """
    from velodrome.experiments.plotting.agent_parameters import swept_agents

    lines = swept_agents(results, results.environments[0]).lines.values()
    return any(len(agents) >= FEWEST_IN_SWEEP for agents in lines)


def _bytes_of(figure: "Figure", words: Words) -> str:
    from matplotlib.text import Text

    from velodrome.experiments.plotting.figures import figure_bytes
    from velodrome.experiments.plotting.fonts import hangul_family, use_hangul_font

    # The page says it in its own type.
    figure.suptitle("")
    if words.language == "en" or hangul_family() is None:
        return figure_bytes(figure, ".svg").decode()
    for axes in figure.axes:
        for label in (axes.xaxis.label, axes.yaxis.label):
            label.set_text(_axis_name(label.get_text(), words))
        for text in axes.texts:
            start, best, value = text.get_text().partition("best possible ")
            if isinstance(text, Text) and best and not start:
                text.set_text(words("best possible {value}", value=value))
    use_hangul_font(figure)
    return figure_bytes(figure, ".svg").decode()


def _axis_name(name: str, words: Words) -> str:
    """The name of an axis, translated line by line where it is known, and what follows the measure's name."""
    lines = []
    for line in name.split("\n"):
        start, mark, end = line.partition(" (best return ")
        if not mark:
            start, mark, end = line.partition(", ")
        lines.append(f"{words(start)}{mark}{words(end)}" if words(line) == line else words(line))
    return "\n".join(lines)
