"""Guesses of a text as an agent learnt, character by character."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.plotting.fonts import has_hangul
from velodrome.experiments.plotting.prediction_history import Prediction, is_shown
from velodrome.experiments.plotting.single_page import finished, new_figure
from velodrome.experiments.plotting.style import COLOURS, TEXT_SIZE, text_colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# More letters in a line, or more lines, could not be read.
LETTERS_A_LINE, MOST_LINES = 60, 3
MOST_LETTERS = LETTERS_A_LINE * MOST_LINES
LEAST_COLUMNS = 36
ROW = 0.185

SPACE = "␣"
_VISIBLE = {" ": SPACE, "\n": "↵", "\t": "⇥"}


class BestPrediction(NamedTuple):
    """The first of a history with the fewest mistakes.

    Attributes:
        iteration: of it.
        mistakes: characters that were wrong.
        is_first: whether all iterations before it were looked at, so that none of them was as good.
    """

    iteration: int
    mistakes: int
    is_first: bool


def best_prediction(history: Sequence[Prediction], labels: NDArray[np.int64]) -> BestPrediction:
    """The first of a history with the fewest mistakes.

    Args:
        history: rows of guesses like `labels`.
        labels: what was right.
    """
    mistakes = [int((prediction.guesses != labels).sum()) for prediction in history]
    best = int(np.argmin(mistakes))
    iteration = history[best].iteration
    return BestPrediction(iteration, mistakes[best], iteration == best + 1)


def shown_predictions(history: Sequence[Prediction], labels: NDArray[np.int64]) -> list[Prediction]:
    """Predictions of a history that a strip shows: iterations 1, 2, 3, 5, 8, 12, ..., the best one and the last."""
    best = best_prediction(history, labels).iteration
    last = history[-1]
    return [one for one in history if is_shown(one.iteration) or one.iteration == best or one is last]


def draw_prediction_strip(
    right: str, guesses: Mapping[int, str], *, noun: str = "iteration", remark: str = "", title: str = ""
) -> "Figure":
    """The characters that come next, and in a row for each iteration those guessed; wrong ones are dark and bold.

    Spaces, tabs and ends of lines are drawn as signs. Of texts longer than 180 characters the beginning is shown.

    Args:
        right: the characters that come next.
        guesses: what was guessed, as long as `right`, by the number of the iteration, in order.
        noun: what is counted, "iteration" or "episode".
        remark: last line of the caption.
        title: first line of the caption.

    Raises:
        ExperimentError: there is nothing to draw, or a row is longer or shorter than the text.
    """
    if not right or not guesses:
        raise ExperimentError("a prediction strip needs a text of at least one character, and a row of guesses")
    for iteration, guessed in guesses.items():
        if len(guessed) != len(right):
            raise ExperimentError(
                f"guesses must be as long as the text, {len(right)} characters: {noun} {iteration} has {len(guessed)}"
            )
    shown = right[:MOST_LETTERS]
    starts = range(0, len(shown), LETTERS_A_LINE)
    height = len(guesses) + 1
    num_rows = len(starts) * (height + 1) - 1
    figure = new_figure(ROW * num_rows + 1.1)
    axes = figure.subplots()
    ticks: dict[float, str] = {}
    for place, start in enumerate(starts):
        part = slice(start, start + LETTERS_A_LINE)
        top = place * (height + 1)
        ticks[top] = "text"
        _draw_row(axes, top, shown[part], None)
        for row, (iteration, guessed) in enumerate(guesses.items(), start=top + 1):
            ticks[row] = f"{iteration:,}"
            _draw_row(axes, row, guessed[:MOST_LETTERS][part], shown[part])
            if place == 0:
                number = sum(one == other for one, other in zip(guessed, right, strict=True))
                _write(axes, len(shown[part]) + 0.3, row, f"{number:,} of {len(right):,}", ha="left")
    # Below this width the letters of short texts would stand far apart.
    columns = max(LEAST_COLUMNS, min(len(shown), LETTERS_A_LINE))
    axes.set_xlim(-0.5, columns + 6.5 * columns / LETTERS_A_LINE)
    axes.set_ylim(num_rows - 0.4, -0.6)
    axes.set_yticks(list(ticks), list(ticks.values()), size=TEXT_SIZE - 0.5)
    axes.set_ylabel(f"guessed after {noun}", size=TEXT_SIZE)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    lines = ["grey: the next characters; white on dark: wrong"]
    if " " in shown or any(" " in guessed[:MOST_LETTERS] for guessed in guesses.values()):
        lines[0] += f"; {SPACE}: a space"
    if len(shown) < len(right):
        lines[0] += f"; the first {len(shown)} of {len(right):,} characters"
    return finished(figure, title, *lines, remark)


def _draw_row(axes: "Axes", row: int, letters: str, right: str | None) -> None:
    """Characters in a row of cells; of the true ones, which have no mistakes, all are grey."""
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    is_wrong = [right is not None and letter != other for letter, other in zip(letters, right or letters, strict=True)]
    filled = [place for place, wrong in enumerate(is_wrong) if wrong or right is None]
    colour = "0.88" if right is None else text_colour(COLOURS[1])
    cells = [Rectangle((place - 0.46, row - 0.46), 0.92, 0.92) for place in filled]
    if cells:
        axes.add_collection(PatchCollection(cells, facecolor=colour, edgecolor="none"), autolim=False)
    for place, (letter, wrong) in enumerate(zip(letters, is_wrong, strict=True)):
        # Fonts for Hangul may have no bold letters, which matplotlib would print a line about.
        weight = "bold" if wrong and not has_hangul(letter) else "normal"
        _write(
            axes, place, row, visible(letter), ha="center", color="white" if wrong else "black",
            weight=weight, family="DejaVu Sans Mono",
        )  # fmt: skip


def _write(axes: "Axes", x: float, y: float, text: str, *, ha: str, **options: Any) -> None:
    # Thousands of them take seconds to lay out, and none reaches beyond the axes.
    axes.text(
        x, y, text, ha=ha, va="center_baseline", size=TEXT_SIZE - 0.5, parse_math=False, in_layout=False, **options
    )


def visible(letter: str) -> str:
    """A character as a sign that can be seen: "␣" for a space, "·" for what has no sign of its own."""
    return _VISIBLE.get(letter, letter if letter.isprintable() else "·")
