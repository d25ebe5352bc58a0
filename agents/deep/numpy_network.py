"""A network's answer to one observation, computed by NumPy from its weights: no tensorflow is needed to act."""

from typing import Any

import numpy as np

from velodrome.agents.deep.architecture import (
    Architecture,
    BatchNormalization,
    Convolution,
    Dense,
    Flatten,
    MaxPooling,
    PlacedLayer,
    Rectifier,
    RowRecurrence,
)
from velodrome.agents.deep.recurrent_cells import CELLS, NUMPY_ACTIVATIONS, Cell, CellWeights, last_output


class NumpyNetwork:
    """Network in inference mode.

    Args:
        architecture: its layers.
        weights: float32 arrays by "layer/weight".
    """

    def __init__(self, architecture: Architecture, weights: dict[str, np.ndarray]) -> None:
        self._layers = [
            (placed, {name: weights[f"{placed.name}/{name}"] for name in placed.weights})
            for placed in architecture.placed()
        ]

    def logits(self, inputs: np.ndarray) -> np.ndarray:
        """Logits float32 (B, num_classes) of inputs float32 (B, *input_shape)."""
        values = inputs
        for placed, weights in self._layers:
            values = _apply(placed, weights, values)
        return values


def _apply(placed: PlacedLayer, weights: dict[str, np.ndarray], values: np.ndarray) -> np.ndarray:
    layer = placed.layer
    if isinstance(layer, Convolution):
        return _convolve(values, weights["kernel"], weights.get("bias"))
    if isinstance(layer, Dense):
        product: np.ndarray = values @ weights["kernel"]
        return product + weights["bias"] if layer.has_bias else product
    if isinstance(layer, MaxPooling):
        return _pool(values)
    if isinstance(layer, Rectifier):
        rectified: np.ndarray = np.maximum(values, np.float32(0))
        return rectified
    if isinstance(layer, BatchNormalization):
        scale = weights["gamma"] / np.sqrt(weights["moving_variance"] + np.float32(layer.epsilon))
        normalized: np.ndarray = (values - weights["moving_mean"]) * scale + weights["beta"]
        return normalized
    if isinstance(layer, Flatten):
        return values.reshape(len(values), -1)
    if isinstance(layer, RowRecurrence):
        return _read_rows(CELLS[layer.cell], CellWeights(**weights), values)
    return values


def _read_rows(cell: Cell, weights: CellWeights, values: np.ndarray) -> np.ndarray:
    rows = values.reshape(*values.shape[:2], -1)
    projected = rows @ weights.kernel + cell.input_bias(weights)
    zeros = np.zeros((len(values), len(weights.recurrent_kernel)), dtype=np.float32)
    output: np.ndarray = last_output(cell, NUMPY_ACTIVATIONS, list(projected.swapaxes(0, 1)), zeros, weights)
    return output


def _convolve(values: np.ndarray, kernel: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    size, _, channels, filters = kernel.shape
    before = (size - 1) // 2
    batch, height, width, _ = values.shape
    padded = np.zeros((batch, height + size - 1, width + size - 1, channels), dtype=np.float32)
    padded[:, before : height + before, before : width + before] = values
    windows: Any = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))
    rows = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, size * size * channels)
    products: np.ndarray = rows @ kernel.reshape(-1, filters)
    if bias is not None:
        products += bias
    return products.reshape(batch, height, width, filters)


def _pool(values: np.ndarray) -> np.ndarray:
    batch, height, width, channels = values.shape
    if height % 2 or width % 2:
        even = np.full((batch, height + height % 2, width + width % 2, channels), -np.inf, dtype=np.float32)
        even[:, :height, :width] = values
        values, height, width = even, even.shape[1], even.shape[2]
    pairs = values.reshape(batch, height // 2, 2, width // 2, 2, channels)
    largest: np.ndarray = pairs.max(axis=(2, 4))
    return largest
