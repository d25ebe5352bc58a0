"""Patterns that the first layer of a network looks for in an image, drawn from its weights."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from velodrome.agents.agent import Agent
from velodrome.agents.deep.ensemble import Ensemble
from velodrome.agents.deep.keras_agent import KerasAgent
from velodrome.agents.deep.neural_classifier import NeuralClassifier
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.plotting.image_grid import draw_image_grid, grid_height
from velodrome.experiments.plotting.single_page import finished, new_figure
from velodrome.experiments.plotting.style import TEXT_SIZE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_FILTERS = 64


class Filters(NamedTuple):
    """Weights of the first layer, one image for each of its outputs.

    Attributes:
        weights: float32 (num_filters, height, width, channels).
        description: in words, such as "filters of the first convolution".
        names: of the outputs where they are classes, or else None.
    """

    weights: NDArray[np.float32]
    description: str
    names: tuple[str, ...] | None = None


def first_layer_filters(agent: Agent) -> Filters | None:
    """Filters of the first convolution, of an ensemble's first member; or of the first dense layer, on images.

    None where an agent has neither, or has not been trained.
    """
    classifier: Any = agent.member if isinstance(agent, Ensemble) else agent
    if not isinstance(classifier, NeuralClassifier) or not isinstance(agent, NeuralClassifier | Ensemble):
        return None
    if not agent.is_trained:
        return None
    task, arrays = agent.learner.task, agent.learner.arrays()
    # The averaged weights act, where there are any.
    prefix = "member_1/" * isinstance(agent, Ensemble) + ("averaged/" if classifier.weight_averaging else "weights/")
    weights = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
    whose = " of the first member" * isinstance(agent, Ensemble)
    if isinstance(classifier, KerasAgent):
        kernel = _keras_kernel(classifier.model, weights)
    else:
        kernel = weights.get("convolution_1/kernel")
    if kernel is not None:
        return Filters(np.moveaxis(kernel, 3, 0), f"filters of the first convolution{whose}")
    kernel = weights.get("dense_1/kernel")
    if kernel is None or isinstance(classifier, KerasAgent) or len(task.observation_shape) not in (2, 3):
        return None
    images = kernel.T.reshape(-1, *(*task.observation_shape, 1)[:3])
    if "dense_2/kernel" in weights:
        return Filters(images, f"weights of the first layer's units{whose}")
    names = tuple(str(task.action_start + number) for number in range(task.num_classes))
    return Filters(images, f"weights of the classes{whose}", names)


def _keras_kernel(text: str, weights: dict[str, NDArray[np.float32]]) -> NDArray[np.float32] | None:
    """Kernel of the first Conv2D of a Keras model, (height, width, channels, filters)."""
    for layer in json.loads(text)["config"]["layers"]:
        if layer.get("class_name") == "Conv2D":
            end = f"{layer['config']['name']}/kernel"
            found = [array for name, array in weights.items() if f"/{name}".endswith(f"/{end}") and array.ndim == 4]
            if found:
                return found[0]
    return None


def draw_first_layer_filters(
    filters: ArrayLike,
    *,
    names: Sequence[str] | None = None,
    description: str = "filters of the first layer",
    most: int = MOST_FILTERS,
    title: str = "",
) -> "Figure":
    """Filters as images on one scale: teal is positive, brown negative, white 0.

    Args:
        filters: (num_filters, height, width) or (num_filters, height, width, channels); channels stand side by
            side.
        names: of the filters, above them; their numbers from 1 if None.
        description: of the filters, for the caption.
        most: how many to show, the first ones.
        title: first line of the caption.

    Raises:
        ExperimentError: an array of another shape, without filters, or not as many names.
    """
    import matplotlib as mpl

    weights = np.asarray(filters, dtype=np.float64)
    if weights.ndim not in (3, 4) or not weights.size:
        raise ExperimentError(
            f"filters must be (num_filters, height, width) or with channels as a fourth dimension, got {weights.shape}"
        )
    number, height, width = weights.shape[:3]
    if names is not None and len(names) != number:
        raise ExperimentError(f"names must be {number}, one a filter, got {len(names)}")
    weights = weights.reshape(number, height, width, -1)[:most]
    num_channels = weights.shape[3]
    tile_width = num_channels * width + num_channels - 1
    columns = max(1, min(len(weights), round(8 * min(1.0, 2 * height / tile_width))))
    if columns * 2 > len(weights) > columns:
        columns = -(-len(weights) // 2)
    # Brown to teal by way of white: told apart with every common colour blindness.
    colours = mpl.colormaps["BrBG"].with_extremes(bad="0.6")
    scale = float(np.abs(weights).max()) or 1.0
    images = [_side_by_side(image) for image in weights]
    texts = [str(place) for place in range(1, number + 1)] if names is None else list(names)
    figure = new_figure(max(2.0, grid_height(images, columns, 1) + 0.6))
    axes = figure.subplots()
    picture = draw_image_grid(
        axes, images, texts[:most], columns=columns, size=TEXT_SIZE - 1.5, cmap=colours, vmin=-scale, vmax=scale
    )
    bar = figure.colorbar(picture, ax=axes, shrink=0.9, aspect=25, pad=0.02)
    bar.set_label("weight", size=TEXT_SIZE)
    bar.ax.tick_params(labelsize=TEXT_SIZE - 1)
    counted = f"{number}" if number == len(weights) else f"the first {len(weights)} of {number}"
    beside = f", {num_channels} channels side by side" if num_channels > 1 else ""
    return finished(figure, title, f"{description}: {counted}, {height}x{width}{beside}, on one scale")


def _side_by_side(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Channels of a filter (height, width, channels) with a column of nothing between them."""
    height, _, channels = image.shape
    gap = np.full((height, 1), np.nan)
    parts = [part for channel in range(channels) for part in (gap, image[:, :, channel])]
    return np.concatenate(parts[1:], axis=1)
