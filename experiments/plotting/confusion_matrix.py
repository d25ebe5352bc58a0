"""Confusion matrix: classes, and those that they are taken for."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.plotting.single_page import finished, new_figure
from velodrome.experiments.plotting.style import TEXT_SIZE, TITLE_SIZE, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Cells of more classes have no room for a share beside the count, then none for a count, and no name each.
MOST_WITH_SHARES, MOST_WITH_COUNTS, MOST_WITH_NAMES = 20, 40, 60
# How many of the most frequent confusions the caption names where the cells cannot.
MOST_TOLD = 5


def confusion_counts(labels: ArrayLike, guesses: ArrayLike, num_classes: int) -> NDArray[np.int64]:
    """How often each class was taken for each, int64 (num_classes, num_classes): true by guessed.

    Args:
        labels: the true classes, whole numbers from 0, (num_examples,).
        guesses: the classes guessed, likewise.
        num_classes: how many there are.

    Raises:
        ExperimentError: the shapes differ, or a class is outside of 0 to num_classes - 1.
    """
    true, guessed = np.asarray(labels), np.asarray(guesses)
    if true.ndim != 1 or true.shape != guessed.shape:
        raise ExperimentError(
            f"labels and guesses must be one a example: labels have shape {true.shape}, guesses {guessed.shape}"
        )
    for name, classes in (("labels", true), ("guesses", guessed)):
        outside = classes[(classes < 0) | (classes >= num_classes)]
        if len(outside):
            raise ExperimentError(f"{name} must be classes from 0 to {num_classes - 1}, got {outside[0]}")
    flat = np.bincount(true.astype(np.int64) * num_classes + guessed.astype(np.int64), minlength=num_classes**2)
    return flat.reshape(num_classes, num_classes)


def draw_confusion_matrix(
    labels: ArrayLike,
    guesses: ArrayLike,
    num_classes: int,
    *,
    class_names: Sequence[str] | None = None,
    noun: str = "example",
    title: str = "",
) -> "Figure":
    """A row for each true class, a column for each guessed one: counts, and by shade and number shares of the row.

    Empty cells were never guessed. Of more than 20 classes cells have no share, of more than 40 no count; then the
    caption names the most frequent confusions.

    Args:
        labels: the true classes, whole numbers from 0, (num_examples,).
        guesses: the classes guessed, likewise.
        num_classes: how many there are.
        class_names: of the classes; their numbers if None.
        noun: what an example is, such as "image".
        title: first line of the caption.

    Raises:
        ExperimentError: there are no examples, arrays that do not fit, or not as many names as classes.
    """
    counts = confusion_counts(labels, guesses, num_classes)
    names = [str(number) for number in range(num_classes)] if class_names is None else list(class_names)
    if len(names) != num_classes:
        raise ExperimentError(f"class_names must be {num_classes}, got {len(names)}")
    total, right = int(counts.sum()), int(np.trace(counts))
    if not total:
        raise ExperimentError("a confusion matrix needs at least one example")
    in_row = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, in_row, out=np.full(counts.shape, np.nan), where=in_row > 0)
    cell = 0.56 if num_classes <= 12 else 0.42 if num_classes <= MOST_WITH_SHARES else 0.27
    width = min(12.0, max(5.6, cell * num_classes + 2.2))
    figure = new_figure(min(11.5, max(3.6, cell * num_classes + 1.5)), width)
    axes = figure.subplots()
    _shade(figure, axes, shares)
    if num_classes <= MOST_WITH_COUNTS:
        _write(axes, counts, shares)
    _name(axes, names, in_row[:, 0])
    lines = [f"{right:,} of {total:,} {noun}s right ({_percent(right / total)}), shade = share of the row"]
    if num_classes > MOST_WITH_COUNTS and right < total:
        lines.append(f"most frequent: {_most_frequent(counts, names)}")
    return finished(figure, title, *lines)


def _shade(figure: "Figure", axes: "Axes", shares: NDArray[np.float64]) -> None:
    from matplotlib.colors import PowerNorm

    # By roots, because confusions are rare: a share of 1 % would be white beside one of 99 %.
    picture = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, 0.0, 1.0))
    axes.set_facecolor("0.85")
    ticks = [0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0]
    bar = figure.colorbar(picture, ax=axes, ticks=ticks, shrink=0.8, pad=0.02)
    bar.ax.set_yticklabels([f"{100 * tick:g} %" for tick in ticks], size=TEXT_SIZE - 1)
    bar.outline.set_visible(False)
    axes.spines[:].set_color("0.6")
    number = len(shares)
    if number > MOST_WITH_COUNTS:
        return
    axes.set_xticks(np.arange(1, number) - 0.5, minor=True)
    axes.set_yticks(np.arange(1, number) - 0.5, minor=True)
    axes.grid(which="minor", color="0.8", linewidth=0.5)


def _write(axes: "Axes", counts: NDArray[np.int64], shares: NDArray[np.float64]) -> None:
    number = len(counts)
    size = TEXT_SIZE - 1 if number <= 12 else TEXT_SIZE - 2.5
    for row, column in zip(*np.nonzero(counts), strict=True):
        text = f"{counts[row, column]}"
        if number <= MOST_WITH_SHARES:
            text += f"\n{_percent(shares[row, column])}"
        elif len(text) > 3:
            text = f"{counts[row, column] / 1000:.2g}k"
        axes.text(
            column, row, text, ha="center", va="center", size=size, linespacing=1.0, in_layout=False,
            color="white" if shares[row, column] > 0.36 else "black",
        )  # fmt: skip


def _name(axes: "Axes", names: list[str], in_row: NDArray[np.int64]) -> None:
    number = len(names)
    every = 1 if number <= MOST_WITH_NAMES else 5 * (-(-number // (5 * MOST_WITH_NAMES)) + (number > 100))
    places = range(0, number, every)
    size = TEXT_SIZE if number <= MOST_WITH_SHARES else TEXT_SIZE - 2
    rows = [wrapped(names[place]) for place in places]
    if number <= MOST_WITH_SHARES:
        rows = [f"{name}  (n = {in_row[place]:,})" for place, name in zip(places, rows, strict=True)]
    axes.set_yticks(places, rows, size=size, parse_math=False)
    longest = max(len(name) for name in names)
    rotation = 0 if longest <= 3 else 90
    axes.set_xticks(places, [names[place] for place in places], size=size, parse_math=False, rotation=rotation)
    axes.tick_params(which="both", length=0)
    axes.set_xlabel("guessed", size=TITLE_SIZE)
    axes.set_ylabel("true", size=TITLE_SIZE)


def _percent(share: float) -> str:
    """Such as "97 %"; never 0 % or 100 % for what is neither."""
    if share in (0.0, 1.0):
        return f"{100 * share:.0f} %"
    return "<1 %" if share < 0.01 else f"{100 * share:.0f} %" if share < 0.99 else f"{100 * min(share, 0.999):.1f} %"


def _most_frequent(counts: NDArray[np.int64], names: list[str]) -> str:
    mistakes = counts - np.diag(np.diag(counts))
    order = np.argsort(-mistakes, axis=None, kind="stable")[:MOST_TOLD]
    pairs = [np.unravel_index(place, counts.shape) for place in order if mistakes.flat[place]]
    return ", ".join(f"{names[row]} taken for {names[column]} ({counts[row, column]:,})" for row, column in pairs)
