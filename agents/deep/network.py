"""A network as functions of its weights: what a training program needs to know of it."""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from velodrome.agents.deep.architecture import (
    Architecture,
    BatchNormalization,
    Convolution,
    Dense,
    Dropout,
    Flatten,
    Layer,
    MaxPooling,
    PlacedLayer,
    Rectifier,
    RowRecurrence,
)
from velodrome.agents.deep.fast_dropout import draw_dropout, fast_dropout
from velodrome.agents.deep.fast_max_pool import fast_max_pool
from velodrome.agents.deep.keras_runtime import tensorflow
from velodrome.agents.deep.recurrent_cells import CELLS, Activations, CellWeights, last_output

Weights = dict[str, Any]


class TrainingOutput(NamedTuple):
    """What a network makes of a training step's inputs.

    Attributes:
        logits: (B, num_classes).
        averages: new values of weights without gradient.
        penalty: that layers add to the loss, (); None where there is none.
    """

    logits: Any
    averages: Weights
    penalty: Any = None


class Network(ABC):
    """A network whose weights are passed to it, float32 by name; equal networks share their compiled programs."""

    @property
    @abstractmethod
    def uses_xla(self) -> bool:
        """Whether a training step runs faster compiled by XLA."""

    @property
    @abstractmethod
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one example."""

    @property
    @abstractmethod
    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each weight, by name."""

    @abstractmethod
    def first_weights(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Weights before learning."""

    @abstractmethod
    def is_trained(self, name: str) -> bool:
        """Whether a weight has a gradient; averages of batch normalisation have none."""

    @abstractmethod
    def draw(self, rng: np.random.Generator, batch_size: int) -> list[np.ndarray]:
        """All chance of one training step, to be passed to it."""

    @abstractmethod
    def draw_specs(self, batch_size: int | None) -> list[Any]:
        """Tensor specifications of what `draw` gives; None stands for any number of examples."""

    @abstractmethod
    def train_logits(self, weights: Weights, inputs: Any, draws: list[Any], step: Any) -> TrainingOutput:
        """What one training step makes of inputs, in training mode.

        Args:
            weights: of the network, tensors.
            inputs: float32 (B, *input_shape).
            draws: from `draw`.
            step: number of this training step, from 1, float32 ().
        """

    def constrained(self, weights: Weights) -> Weights:
        """Weights as they are kept after an update."""
        return weights

    @abstractmethod
    def logits(self, weights: Weights, inputs: Any) -> Any:
        """Logits (B, num_classes) in inference mode."""


class LayeredNetwork(Network):
    """The network of an architecture, in TensorFlow's operations."""

    def __init__(self, architecture: Architecture) -> None:
        self.architecture = architecture

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LayeredNetwork) and other.architecture == self.architecture

    def __hash__(self) -> int:
        return hash(self.architecture)

    @property
    def uses_xla(self) -> bool:
        # Measured: it gains little on dense layers, and loses where a picture is smaller than the kernel.
        room = [
            min(one.input_shape[:2]) - one.layer.size
            for one in self.architecture.placed()
            if isinstance(one.layer, Convolution)
        ]
        return bool(room) and min(room) >= 0

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.architecture.input_shape

    @property
    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        return self.architecture.weight_shapes

    def first_weights(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return self.architecture.first_weights(rng)

    def is_trained(self, name: str) -> bool:
        return not name.endswith(("/moving_mean", "/moving_variance"))

    def draw(self, rng: np.random.Generator, batch_size: int) -> list[np.ndarray]:
        return [draw_dropout(rng, (batch_size, *shape)) for shape in self._dropout_shapes]

    def draw_specs(self, batch_size: int | None) -> list[Any]:
        tf = tensorflow()
        return [tf.TensorSpec((batch_size, *shape), tf.int16) for shape in self._dropout_shapes]

    @cached_property
    def _dropout_shapes(self) -> list[tuple[int, ...]]:
        placed = self.architecture.placed()
        return [one.output_shape for one in placed if isinstance(one.layer, Dropout)]

    def train_logits(self, weights: Weights, inputs: Any, draws: list[Any], step: Any) -> TrainingOutput:
        return TrainingOutput(*self._run(weights, inputs, draws, step))

    def logits(self, weights: Weights, inputs: Any) -> Any:
        return self._run(weights, inputs, [], None)[0]

    def _run(self, weights: Weights, values: Any, draws: list[Any], step: Any) -> tuple[Any, Weights]:
        """Logits and moved averages; in inference mode where there is no step."""
        averages: Weights = {}
        placed = self.architecture.placed()
        is_training, left = step is not None, list(draws)
        for place, (name, layer) in enumerate((one.name, one.layer) for one in placed):
            if isinstance(layer, Convolution):
                values = tensorflow().nn.conv2d(values, weights[f"{name}/kernel"], 1, "SAME")
                # Adding a bias and rectifying keep the order of numbers, so the same comes of pooling first.
                if _is_pooled_next(placed, place):
                    values = self._pooled(values, is_training=is_training)
                if layer.has_bias:
                    values = tensorflow().nn.bias_add(values, weights[f"{name}/bias"])
            elif isinstance(layer, MaxPooling):
                if place < 2 or not _is_pooled_next(placed, place - 2):
                    values = self._pooled(values, is_training=is_training)
            elif isinstance(layer, Dropout):
                if is_training:
                    values = fast_dropout(values, layer.rate, left.pop(0))
            elif isinstance(layer, BatchNormalization):
                values, moved = _normalized(name, layer, weights, values, step)
                averages |= moved
            else:
                values = _simple(name, layer, weights, values)
        return values, averages

    def _pooled(self, values: Any, *, is_training: bool) -> Any:
        if self.uses_xla and is_training:
            return fast_max_pool()(values)
        return tensorflow().nn.max_pool2d(values, 2, 2, "SAME")


def _is_pooled_next(placed: list[PlacedLayer], place: int) -> bool:
    """Whether a convolution is followed by a rectifier and a pooling."""
    kinds = [type(one.layer) for one in placed[place : place + 3]]
    return kinds == [Convolution, Rectifier, MaxPooling]


def _simple(name: str, layer: Layer, weights: Weights, values: Any) -> Any:
    tf = tensorflow()
    if isinstance(layer, Dense):
        values = tf.matmul(values, weights[f"{name}/kernel"])
        return tf.nn.bias_add(values, weights[f"{name}/bias"]) if layer.has_bias else values
    if isinstance(layer, Rectifier):
        return tf.nn.relu(values)
    if isinstance(layer, RowRecurrence):
        return _read_rows(name, layer, weights, values)
    assert isinstance(layer, Flatten)
    size = 1
    for length in values.shape[1:]:
        size *= length
    return tf.reshape(values, [-1, size])


def _read_rows(name: str, layer: RowRecurrence, weights: Weights, values: Any) -> Any:
    tf, cell = tensorflow(), CELLS[layer.cell]
    own = CellWeights(*(weights[f"{name}/{part}"] for part in CellWeights._fields))
    height, width, channels = values.shape[1:]
    # One product for all rows; then they are unrolled, for images have few.
    projected = tf.matmul(tf.reshape(values, [-1, width * channels]), own.kernel) + cell.input_bias(own)
    rows = tf.unstack(tf.reshape(projected, [-1, height, projected.shape[-1]]), axis=1)
    zeros = tf.zeros((tf.shape(values)[0], layer.units))
    return last_output(cell, Activations(tf.tanh, tf.sigmoid), rows, zeros, own)


def _normalized(name: str, layer: BatchNormalization, weights: Weights, values: Any, step: Any) -> tuple[Any, Weights]:
    """Normalised values and, in training, the moved averages."""
    tf = tensorflow()
    gamma, beta = weights[f"{name}/gamma"], weights[f"{name}/beta"]
    old = {key: weights[f"{name}/{key}"] for key in ("moving_mean", "moving_variance")}
    # The fused operation takes pictures only.
    pictures = values if len(values.shape) == 4 else values[:, tf.newaxis, tf.newaxis]
    is_training = step is not None
    options = {"scale": gamma, "offset": beta, "epsilon": layer.epsilon, "is_training": is_training}
    averages = {} if is_training else {"mean": old["moving_mean"], "variance": old["moving_variance"]}
    result, mean, variance = tf.compat.v1.nn.fused_batch_norm(pictures, **options, **averages)
    if len(values.shape) != 4:
        result = result[:, 0, 0]
    if not is_training:
        return result, {}
    found = {"moving_mean": tf.stop_gradient(mean), "moving_variance": tf.stop_gradient(variance)}
    share = _newest_share(layer.momentum, step)
    return result, {f"{name}/{key}": old[key] + (found[key] - old[key]) * share for key in found}


def _newest_share(momentum: float, step: Any) -> Any:
    """Share of the newest batch in moving averages without bias: all of the first, 1 - momentum in the long run.

    As Kingma & Ba (2015) correct Adam's moments, dividing by 1 - momentum^step, but corrected already when stored:
    the values before the first step, which belong to no data, have no part in them.
    """
    return (1.0 - momentum) / (1.0 - tensorflow().pow(momentum, step))
