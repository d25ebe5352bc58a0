"""What a network is made of, as data: its layers, their output shapes, parameters and first weights."""

from dataclasses import dataclass
from math import prod, sqrt
from typing import NamedTuple

import numpy as np

from velodrome.agents.deep.recurrent_cells import CELLS, CellName

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Convolution:
    """Square kernels, stride 1, as large an output as the input ("same"); no activation.

    Attributes:
        filters: number of output channels.
        has_bias: whether a bias is added.
        size: height and width of a kernel.
    """

    filters: int
    has_bias: bool = True
    size: int = 3


@dataclass(frozen=True)
class MaxPooling:
    """Largest value of each 2x2 window, stride 2; the last windows are smaller where a size is odd ("same")."""


@dataclass(frozen=True)
class Rectifier:
    """max(x, 0)."""


@dataclass(frozen=True)
class BatchNormalization:
    """Each channel to mean 0 and variance 1 in the batch, then scaled and shifted; moving averages when acting.

    The averages are corrected for their start, so that they can be used after the first step.

    Source: Ioffe & Szegedy (2015).
    """

    momentum: float = 0.9
    epsilon: float = 1e-3


@dataclass(frozen=True)
class Dropout:
    """In training, each value is 0 with probability `rate`, else divided by 1 - rate. Source: Srivastava et al. (2014).

    Attributes:
        rate: the share that is dropped, not the share that is kept.
    """

    rate: float


@dataclass(frozen=True)
class Flatten:
    """All values of an example in one row."""


@dataclass(frozen=True)
class Dense:
    """Every output a weighted sum of all inputs; no activation.

    Attributes:
        units: number of outputs.
        has_bias: whether a bias is added.
    """

    units: int
    has_bias: bool = True


@dataclass(frozen=True)
class RowRecurrence:
    """A recurrent cell that reads an image row by row from the top; its output is that after the last row.

    Attributes:
        cell: "rnn", "lstm" or "gru".
        units: outputs of the cell.
    """

    cell: CellName
    units: int


Layer = Convolution | MaxPooling | Rectifier | BatchNormalization | Dropout | Flatten | Dense | RowRecurrence

_NAMES: dict[type, str] = {
    Convolution: "convolution",
    MaxPooling: "max_pooling",
    Rectifier: "rectifier",
    BatchNormalization: "batch_normalization",
    Dropout: "dropout",
    Flatten: "flatten",
    Dense: "dense",
    RowRecurrence: "row_recurrence",
}


class PlacedLayer(NamedTuple):
    """A layer of a network for inputs of known shape.

    Attributes:
        name: kind and number, such as "convolution_2".
        layer: what it is.
        input_shape: of one example.
        output_shape: of one example.
        weights: shape of each array that is learnt, by name; averages of batch normalisation among them.
    """

    name: str
    layer: Layer
    input_shape: Shape
    output_shape: Shape
    weights: dict[str, Shape]

    @property
    def num_parameters(self) -> int:
        """Number of values in `weights`."""
        return sum(prod(shape) for shape in self.weights.values())


@dataclass(frozen=True)
class Architecture:
    """Layers one after the other.

    Args:
        input_shape: of one example, (height, width, channels) or (features,).
        layers: from input to logits.
    """

    input_shape: Shape
    layers: tuple[Layer, ...]

    def placed(self) -> list[PlacedLayer]:
        """The layers with names and shapes."""
        found, shape = [], self.input_shape
        counts: dict[type, int] = {}
        for layer in self.layers:
            kind = type(layer)
            counts[kind] = counts.get(kind, 0) + 1
            output_shape, weights = _shapes(layer, shape)
            found.append(PlacedLayer(f"{_NAMES[kind]}_{counts[kind]}", layer, shape, output_shape, weights))
            shape = output_shape
        return found

    @property
    def num_parameters(self) -> int:
        """Number of values in all weights."""
        return sum(placed.num_parameters for placed in self.placed())

    @property
    def weight_shapes(self) -> dict[str, Shape]:
        """Shape of each weight, by "layer/weight"."""
        return {f"{placed.name}/{name}": shape for placed in self.placed() for name, shape in placed.weights.items()}

    def first_weights(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Weights before learning, float32, by "layer/weight": kernels by Glorot & Bengio (2010), uniform.

        Those of a recurrent cell are as of `Cell.initial_weights`.
        """
        arrays = {}
        for placed in self.placed():
            for name, array in _first_weights(placed, rng).items():
                arrays[f"{placed.name}/{name}"] = array.astype(np.float32)
        return arrays

    def describe(self) -> str:
        """One line a layer with its output shape and number of parameters, and their sum."""
        rows = [("layer", "output shape", "parameters"), ("input", _text(self.input_shape), "0")]
        rows += [(placed.name, _text(placed.output_shape), f"{placed.num_parameters:,}") for placed in self.placed()]
        rows.append(("total", "", f"{self.num_parameters:,}"))
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}" for a, b, c in rows]
        return "\n".join(lines)


def _first_weights(placed: PlacedLayer, rng: np.random.Generator) -> dict[str, np.ndarray]:
    layer = placed.layer
    if isinstance(layer, RowRecurrence):
        num_inputs = placed.weights["kernel"][0]
        return CELLS[layer.cell].initial_weights(num_inputs, layer.units, rng)._asdict()
    arrays = {}
    for name, shape in placed.weights.items():
        if name == "kernel":
            fan_in, fan_out = prod(shape[:-1]), prod(shape[:-2]) * shape[-1]
            limit = sqrt(6.0 / (fan_in + fan_out))
            arrays[name] = rng.uniform(-limit, limit, shape)
        else:
            arrays[name] = np.full(shape, 1.0 if name in ("gamma", "moving_variance") else 0.0)
    return arrays


def _shapes(layer: Layer, shape: Shape) -> tuple[Shape, dict[str, Shape]]:
    """Output shape of a layer and the shapes of its weights."""
    weights: dict[str, Shape]
    if isinstance(layer, Convolution):
        weights = {"kernel": (layer.size, layer.size, shape[-1], layer.filters)}
        return (*shape[:-1], layer.filters), weights | ({"bias": (layer.filters,)} if layer.has_bias else {})
    if isinstance(layer, Dense):
        weights = {"kernel": (shape[-1], layer.units)}
        return (*shape[:-1], layer.units), weights | ({"bias": (layer.units,)} if layer.has_bias else {})
    if isinstance(layer, MaxPooling):
        height, width, channels = shape
        return (-(-height // 2), -(-width // 2), channels), {}
    if isinstance(layer, BatchNormalization):
        names = ("gamma", "beta", "moving_mean", "moving_variance")
        return shape, dict.fromkeys(names, (shape[-1],))
    if isinstance(layer, Flatten):
        return (prod(shape),), {}
    if isinstance(layer, RowRecurrence):
        shapes = CELLS[layer.cell].weight_shapes(prod(shape[1:]), layer.units)
        return (layer.units,), shapes._asdict()
    return shape, {}


def _text(shape: Shape) -> str:
    return "(" + ", ".join(("B", *map(str, shape))) + ")"
