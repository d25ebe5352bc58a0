"""The mistakes of which a classifier was surest, as pictures."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.plotting.image_grid import draw_image_grid, grid_height
from velodrome.experiments.plotting.single_page import finished, new_figure
from velodrome.experiments.plotting.style import TEXT_SIZE, say, wrapped

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_MISTAKES = 24
COLUMNS = 6
# What has room in a line above an image.
LETTERS = 17


def most_confident_mistakes(
    labels: ArrayLike, probabilities: ArrayLike, most: int = MOST_MISTAKES
) -> tuple[NDArray[np.int64], int]:
    """Places of the mistakes with the greatest confidence, int64 (at most `most`,), and how many there are in all.

    Of equals the first come first.

    Args:
        labels: the true classes, whole numbers from 0, (num_examples,).
        probabilities: of the classes, (num_examples, num_classes); the guess is the first greatest.
        most: how many to give.

    Raises:
        ExperimentError: arrays that do not fit.
    """
    true, shares = np.asarray(labels), np.asarray(probabilities)
    if true.ndim != 1 or shares.ndim != 2 or len(true) != len(shares):
        raise ExperimentError(
            "labels must be (num_examples,) and probabilities (num_examples, num_classes), "
            f"got {true.shape} and {shares.shape}"
        )
    wrong = np.flatnonzero(shares.argmax(axis=1) != true)
    order = np.argsort(-shares[wrong].max(axis=1, initial=0.0), kind="stable")
    return wrong[order[:most]], len(wrong)


def draw_confident_mistakes(
    images: ArrayLike,
    labels: ArrayLike,
    probabilities: ArrayLike,
    *,
    most: int = MOST_MISTAKES,
    class_names: Sequence[str] | None = None,
    confidence: str = "confidence = softmax of the logits",
    title: str = "",
) -> "Figure":
    """The mistakes with the greatest confidence, the surest first: image, true class, guess and confidence.

    Args:
        images: (num_examples, height, width) or (num_examples, height, width, channels), uint8 from 0 to 255 or
            fractions from 0 to 1.
        labels: the true classes, whole numbers from 0, (num_examples,).
        probabilities: of the classes, (num_examples, num_classes).
        most: how many mistakes to show.
        class_names: of the classes; their numbers if None.
        confidence: what the probabilities are, for the caption.
        title: first line of the caption.

    Raises:
        ExperimentError: arrays that do not fit.
    """
    places, number = most_confident_mistakes(labels, probabilities, most)
    pictures, true, shares = np.asarray(images), np.asarray(labels), np.asarray(probabilities)
    if pictures.ndim not in (3, 4) or len(pictures) != len(true):
        raise ExperimentError(
            f"images must be ({len(true)}, height, width) or ({len(true)}, height, width, channels), "
            f"got {pictures.shape}"
        )
    if not number:
        figure = new_figure(1.6)
        axes = figure.subplots()
        axes.set_axis_off()
        say(axes, f"no mistakes: all {len(true):,} images were guessed right")
        return finished(figure, title)
    names = [str(place) for place in range(shares.shape[1])] if class_names is None else list(class_names)
    guesses = shares[places].argmax(axis=1)
    texts = [
        f"{_classes(names[true[place]], names[guess])}\n{_confidence(float(shares[place, guess]))}"
        for place, guess in zip(places, guesses, strict=True)
    ]
    drawn = [_picture(pictures[place]) for place in places]
    figure = new_figure(grid_height(drawn, COLUMNS, 1 + max(text.count("\n") for text in texts)) + 0.6)
    axes = figure.subplots()
    draw_image_grid(axes, drawn, texts, columns=COLUMNS, size=TEXT_SIZE - 0.5, cmap="gray", vmin=0.0, vmax=1.0)
    shown = "all " * (number > 1) if len(places) == number else f"the {len(places)} most confident of "
    mistakes = f"{number:,} mistake{'s' * (number != 1)} in {len(true):,} images"
    return finished(figure, title, f"{shown}{mistakes}, {confidence}")


def _picture(image: NDArray[Any]) -> NDArray[np.float64]:
    """An image from 0 to 1 as it is drawn: (height, width), or with 3 or 4 colours; of other channels their mean."""
    values = image.astype(np.float64) / (255.0 if image.dtype == np.uint8 else 1.0)
    return np.asarray(values.mean(axis=2) if values.ndim == 3 and values.shape[2] not in (3, 4) else values)


def _classes(true: str, guess: str) -> str:
    line = f"true {true}, guess {guess}"
    if len(line) <= LETTERS:
        return line
    return f"{wrapped(f'true {true}', LETTERS, 2)}\n{wrapped(f'guess {guess}', LETTERS, 2)}"


def _confidence(share: float) -> str:
    """Such as "0.98"; never 1 for what is less."""
    return f"{share:.3f}" if share < 0.9995 or share == 1.0 else "> 0.999"
