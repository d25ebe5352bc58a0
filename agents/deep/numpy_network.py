"""A Keras model's answer to single observations, computed by NumPy from its weights: no tensorflow is needed to act."""

import json
from typing import Any

import numpy as np

from velodrome.agents.deep.recurrent_cells import CELLS, CellWeights

_CELLS = {cell.label: cell for cell in CELLS.values()}


class NumpyNetwork:
    """A sequential Keras model in inference mode.

    Args:
        text: of `model.to_json()`; convolutions of stride 1 and poolings of 2x2 keep the size ("same").
        weights: float32 arrays by "layer/weight".
    """

    def __init__(self, text: str, weights: dict[str, np.ndarray]) -> None:
        self._layers = []
        for layer in json.loads(text)["config"]["layers"]:
            place = f"{layer['config']['name']}/"
            own = {name.removeprefix(place): array for name, array in weights.items() if name.startswith(place)}
            self._layers.append((layer["class_name"], layer["config"], own))

    def logits(self, inputs: np.ndarray) -> np.ndarray:
        """Logits float32 (B, num_classes) of inputs float32 (B, *input_shape)."""
        values = inputs
        for kind, options, weights in self._layers:
            values = _apply(kind, options, weights, values)
        return values


def _apply(kind: str, options: dict[str, Any], weights: dict[str, np.ndarray], values: np.ndarray) -> np.ndarray:
    if kind == "Conv2D":
        values = _convolve(values, weights["kernel"])
    elif kind == "Dense":
        values = values @ weights["kernel"]
    elif kind == "MaxPooling2D":
        return _pool(values)
    elif kind == "BatchNormalization":
        scale = weights["gamma"] / np.sqrt(weights["moving_variance"] + np.float32(options["epsilon"]))
        normalized: np.ndarray = (values - weights["moving_mean"]) * scale + weights["beta"]
        return normalized
    elif kind == "Flatten":
        return values.reshape(len(values), -1)
    elif kind == "Reshape":
        return values.reshape(len(values), *options["target_shape"])
    elif kind in _CELLS:
        cell = CellWeights(**weights)
        last: np.ndarray = _CELLS[kind].read(values.swapaxes(0, 1) @ cell.kernel, cell)[-1]
        return last
    elif kind not in ("InputLayer", "ReLU", "Dropout"):
        raise ValueError(f"a layer of class {kind} is not computed by NumPy")
    if "bias" in weights:
        values = values + weights["bias"]
    is_rectified = kind == "ReLU" or options.get("activation") == "relu"
    rectified: np.ndarray = np.maximum(values, np.float32(0)) if is_rectified else values
    return rectified


def _convolve(values: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    size, _, channels, filters = kernel.shape
    before = (size - 1) // 2
    batch, height, width, _ = values.shape
    padded = np.zeros((batch, height + size - 1, width + size - 1, channels), dtype=np.float32)
    padded[:, before : height + before, before : width + before] = values
    windows: Any = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))
    rows = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, size * size * channels)
    products: np.ndarray = rows @ kernel.reshape(-1, filters)
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
