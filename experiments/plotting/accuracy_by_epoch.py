"""Accuracy of each epoch of training, and what evaluation found afterwards."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.plotting.single_page import finished, new_figure
from velodrome.experiments.plotting.style import COLOURS, EndLabel, counted, dress, label_ends

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Of more epochs the markers would hide the line.
MOST_MARKERS = 40


class FinalAccuracy(NamedTuple):
    """Result of the evaluation after training.

    Attributes:
        accuracy: share of the guesses that were right.
        low: lower end of its 95 % interval, NaN if there is none.
        high: upper end, likewise.
        description: of what it was measured on, such as "100 images of the test split".
    """

    accuracy: float
    low: float
    high: float
    description: str


def mean_by_epoch(right: ArrayLike, epoch_size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ends of the epochs, counted in epochs, and the mean of each, both float64 (num_epochs,).

    Where the last epoch was cut short, its end is no whole number.

    Args:
        right: whether each example seen was guessed right, or which share of its labels, (num_seen,).
        epoch_size: examples of an epoch.

    Raises:
        ExperimentError: no example was seen, or an epoch has none.
    """
    values = np.asarray(right, dtype=np.float64)
    if epoch_size < 1 or values.ndim != 1 or not len(values):
        raise ExperimentError(
            f"accuracy by epoch needs one value for each example seen and epochs of at least 1 example, "
            f"got values of shape {values.shape} and epoch_size={epoch_size}"
        )
    starts = np.arange(0, len(values), epoch_size)
    sizes = np.diff(np.append(starts, len(values)))
    return (starts + sizes) / epoch_size, np.add.reduceat(values, starts) / sizes


def draw_accuracy_by_epoch(
    right: ArrayLike,
    epoch_size: int,
    *,
    final: FinalAccuracy | None = None,
    noun: str = "example",
    measure: str = "accuracy",
    title: str = "",
) -> "Figure":
    """Accuracy of each epoch of training, over the examples as they came, before the agent learnt from them.

    An epoch that was cut short is a hollow marker. The final accuracy is a diamond with its 95 % interval.

    Args:
        right: whether each example seen was guessed right, or which share of its labels, (num_seen,).
        epoch_size: examples of an epoch.
        final: what evaluation found afterwards.
        noun: what an example is, such as "image".
        measure: name of the vertical axis.
        title: first line of the caption.

    Raises:
        ExperimentError: no example was seen, or an epoch has none.
    """
    from matplotlib.ticker import MaxNLocator

    ends, means = mean_by_epoch(right, epoch_size)
    figure = new_figure(4.2)
    axes = figure.subplots()
    is_complete = ends == np.floor(ends)
    dress(axes, "", f"epoch of {counted_examples(epoch_size, noun)}", measure)
    marker = "o" if len(ends) <= MOST_MARKERS else ""
    axes.plot(ends[is_complete], means[is_complete], color=COLOURS[0], linewidth=1.6, marker=marker, markersize=4.5)
    last = len(ends) - 1
    if not is_complete[last]:
        axes.plot(ends[last - 1 :], means[last - 1 :], color=COLOURS[0], linewidth=1, linestyle=":")
        axes.plot(
            ends[last], means[last], color=COLOURS[0], linestyle="", marker="o", markersize=5.5,
            markerfacecolor="white",
        )  # fmt: skip
    shown = [float(means.min()), float(means.max())]
    labels = [EndLabel(float(means[last]), f"training {means[last]:.3f}", COLOURS[0])]
    if final is not None:
        labels.append(EndLabel(final.accuracy, _final_text(final), COLOURS[1]))
        shown += [final.accuracy, *(value for value in (final.low, final.high) if np.isfinite(value))]
        _draw_final(axes, 1.04 * float(ends[last]), final)
    # An accuracy of 1 is an edge of the picture, where its marker must not be cut.
    margin = 0.06 * (max(shown) - min(shown)) or 0.05
    axes.set_ylim(max(-0.02, min(shown) - margin), min(1.02, max(shown) + margin))
    axes.set_xlim(0, 1.06 * float(ends[last]))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    label_ends(axes, labels)
    whole, rest = divmod(np.size(right), epoch_size)
    seen = [counted(whole, "epoch")] * bool(whole) + [f"hollow: {counted_examples(rest, noun)} of the next"] * bool(
        rest
    )
    return finished(figure, title, f"training: each {noun} before it was learnt from; {', '.join(seen)}")


def counted_examples(number: int, noun: str) -> str:
    """Such as "1 image" and "1,437 images"."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _final_text(final: FinalAccuracy) -> str:
    interval = f" [{final.low:.3f}, {final.high:.3f}]" if np.isfinite(final.low) else ""
    return f"evaluation {final.accuracy:.3f}{interval}: {final.description}"


def _draw_final(axes: "Axes", place: float, final: FinalAccuracy) -> None:
    if np.isfinite(final.low):
        axes.plot([place, place], [final.low, final.high], color=COLOURS[1], linewidth=1.6, zorder=3, clip_on=False)
    axes.plot(place, final.accuracy, color=COLOURS[1], linestyle="", marker="D", markersize=6, zorder=4, clip_on=False)
