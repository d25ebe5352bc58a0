"""How all pictures look: colours, dashes, labels at the ends of lines, captions. No global style is touched."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe & Ito (2008): told apart with every common colour blindness; black first would look like an axis.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
DASHES = ("-", "--", "-.", ":")
REFERENCE_COLOUR = "#595959"

# Inches and points: readable where the figure is 700 to 900 pixels wide.
WIDTH = 8.0
TEXT_SIZE, TITLE_SIZE = 9.0, 10.5
LINE_HEIGHT = 1.3 * TEXT_SIZE
LABEL_WIDTH, CAPTION_WIDTH = 30, 92
MOST_LABEL_LINES = 4


class EndLabel(NamedTuple):
    """Text beside the right end of a line.

    Attributes:
        value: where the line ends, in data coordinates.
        text: of the label.
        colour: of the line.
        line: its points; lines that lie on each other get one label.
    """

    value: float
    text: str
    colour: str
    line: bytes = b""


@contextmanager
def own_style() -> Iterator[None]:
    """Draw with matplotlib's defaults, whatever a user's matplotlibrc says; afterwards all is as it was.

    Settings such as text.usetex need programs that are not installed everywhere.
    """
    from matplotlib import style

    with style.context("default"):
        yield


def line_style(place: int) -> dict[str, Any]:
    """Colour and dashes of the agent at a place of the experiment; the first 32 are all different."""
    return {"color": COLOURS[place % len(COLOURS)], "linestyle": DASHES[place // len(COLOURS) % len(DASHES)]}


def band_opacity(number: int) -> float:
    """Of the bands of so many agents: of many, only faint ones let the lines be seen."""
    return 0.18 if number <= len(COLOURS) else 0.07


def text_colour(colour: str) -> str:
    """The colour, darkened until text in it has a contrast of 4.5 to white.

    Source: WCAG 2.1, success criterion 1.4.3.
    """
    from matplotlib.colors import to_hex, to_rgb

    parts = np.array(to_rgb(colour))
    while 1.05 / (_luminance(parts) + 0.05) < 4.5:
        parts *= 0.95
    return to_hex(tuple(parts))


def _luminance(parts: NDArray[np.float64]) -> float:
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def dress(axes: "Axes", title: str = "", xlabel: str = "", ylabel: str = "") -> None:
    """Title, names of the axes and a faint grid."""
    # Labels are the users' own: a dollar sign in them starts no formula.
    axes.set_title(wrapped(title, 80), size=TITLE_SIZE, parse_math=False)
    axes.set_xlabel(xlabel, size=TEXT_SIZE, parse_math=False)
    axes.set_ylabel(ylabel, size=TEXT_SIZE, parse_math=False)
    axes.tick_params(labelsize=TEXT_SIZE)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def say(axes: "Axes", line: str) -> None:
    """A line in the middle of axes that have nothing to show."""
    axes.text(
        0.5, 0.5, wrapped(line, 70), transform=axes.transAxes, size=TEXT_SIZE, ha="center", va="center",
        color=REFERENCE_COLOUR, parse_math=False,
    )  # fmt: skip


def wrapped(text: str, width: int = LABEL_WIDTH, most_lines: int = MOST_LABEL_LINES) -> str:
    """The text in lines of at most `width` columns; of one that is too long, the start and the end."""
    if _columns(text) <= width:
        return text
    lines = [""]
    for word in _words(text):
        if lines[-1] and _columns(lines[-1] + word.rstrip()) > width:
            lines.append("")
        lines[-1] += word
    lines = [line.rstrip() for line in lines]
    if len(lines) > most_lines:
        kept = most_lines // 2
        lines = [*lines[: most_lines - kept], f"… {lines[-kept]}", *lines[len(lines) - kept + 1 :]]
    return "\n".join(lines)


def _words(text: str) -> list[str]:
    """Pieces between which a line may break: words, arguments, and parts of what is longer than a line."""
    return [part for word in re.split(r"(?<=[ (])", text) for part in _parts(word)]


def _parts(word: str) -> list[str]:
    if _columns(word) <= LABEL_WIDTH:
        return [word]
    parts = [""]
    for letter in word:
        if _columns(parts[-1] + letter) > LABEL_WIDTH - 4:
            parts.append("")
        parts[-1] += letter
    return parts


def _columns(text: str) -> int:
    """Width in letters, where Korean ones count twice."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def lines_of(labels: Iterable[str]) -> int:
    """Lines that labels take, wrapped, one below another."""
    return sum(wrapped(label).count("\n") + 1 for label in labels)


def label_ends(axes: "Axes", ends: Sequence[EndLabel]) -> None:
    """Names beside the right ends of the lines, pushed apart so that none covers another."""
    from matplotlib.lines import Line2D

    beside = axes.get_yaxis_transform()
    ordered = sorted(_merged(ends))
    texts = [wrapped(end.text) for end in ordered]
    low, high = axes.get_ylim()
    points = axes.get_window_extent().height / axes.figure.dpi * 72
    needed = np.array([text.count("\n") + 1 for text in texts]) * LINE_HEIGHT / points * (high - low)
    middles = _apart([end.value for end in ordered], needed, low, high)
    for end, text, height in zip(ordered, texts, middles, strict=True):
        colour = text_colour(end.colour)
        axes.text(1.03, height, text, transform=beside, color=colour, size=TEXT_SIZE, va="center", parse_math=False)
        # Annotations with arrows take ten times as long to lay out.
        axes.add_artist(
            Line2D(
                [1.0, 1.025], [end.value, height], transform=beside, color=colour, linewidth=0.6, clip_on=False,
                label="_leader",
            )
        )  # fmt: skip


def _merged(ends: Sequence[EndLabel]) -> list[EndLabel]:
    """Labels, those of lines that lie on each other in one, in the colour of the last, which is seen."""
    merged: dict[tuple[float, bytes, str], EndLabel] = {}
    for end in ends:
        key = (end.value, end.line, "" if end.line else end.text)
        merged[key] = end._replace(text=f"{merged[key].text} = {end.text}") if key in merged else end
    return list(merged.values())


def _apart(values: Sequence[float], heights: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Middles of labels, in order, as near to their values as they can be without overlap; within limits if possible.

    Less the room that those below it need, the middles must not decrease: an isotonic regression.
    """
    if not len(values):
        return np.zeros(0)
    room = np.cumsum(np.append(0.0, (heights[1:] + heights[:-1]) / 2))
    fitted = _isotonic(np.asarray(values) - room)
    return np.asarray(np.minimum(np.maximum(fitted, low), high - room[-1]) + room)


def _isotonic(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The nearest numbers, by squares, that do not decrease: neighbours out of order are replaced by their mean.

    Source: Barlow et al. (1972), "Statistical Inference under Order Restrictions", the pool-adjacent-violators
    algorithm; `scipy.optimize` has it, but takes as long to import as a table to make.
    """
    blocks: list[tuple[float, int]] = []
    for value in values.tolist():
        mean, size = value, 1
        while blocks and blocks[-1][0] >= mean:
            before, number = blocks.pop()
            mean, size = (before * number + mean * size) / (number + size), number + size
        blocks.append((mean, size))
    return np.repeat([mean for mean, _ in blocks], [size for _, size in blocks])


def counted(number: int, noun: str) -> str:
    """Such as "1 seed" and "2 seeds"."""
    return f"{number} {noun}{'s' * (number != 1)}"


def seeds_caption(numbers: Iterable[int]) -> str:
    """Such as "10 seeds" or "8 to 10 seeds", of what is drawn."""
    drawn = [number for number in numbers if number] or [0]
    return counted(max(drawn), "seed") if min(drawn) == max(drawn) else f"{min(drawn)} to {max(drawn)} seeds"
