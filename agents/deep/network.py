"""A Keras model as functions of its weights, which seeds, ensemble members and resumed trials share."""

import json
import random
import re
from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from velodrome.agents.deep.keras_runtime import keras, tensorflow
from velodrome.checks import ConfigurationError

Weights = dict[str, Any]

# Of the batch normalisation of our own networks.
MOMENTUM = 0.9

# What layers of our own networks are called, with a number; others are called as their class.
_NAMES = {
    "BatchNormalization": "batch_normalization",
    "Conv2D": "convolution",
    "MaxPooling2D": "max_pooling",
    "ReLU": "rectifier",
} | dict.fromkeys(("SimpleRNN", "LSTM", "GRU"), "row_recurrence")


class TrainingOutput(NamedTuple):
    """Outputs of a network in a training step.

    Attributes:
        logits: (B, num_classes).
        averages: new values of weights without gradient.
        penalty: that layers add to the loss, (); None where there is none.
    """

    logits: Any
    averages: Weights
    penalty: Any = None


class KerasNetwork:
    """A Keras model whose weights are passed to it, float32 by name; equal networks share their compiled programs.

    Args:
        text: of `model.to_json()`.
        input_shape: of one observation; the model may read the same values in another shape.
        is_own: whether the model is one of ours: its weights are called "layer/weight", and averages of batch
            normalisation are corrected for their start, so that they can be used after the first step.
    """

    def __init__(self, text: str, input_shape: tuple[int, ...], *, is_own: bool = True) -> None:
        self.text, self.input_shape, self.is_own = text, input_shape, is_own

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KerasNetwork) and other._key == self._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[Any, ...]:
        return self.text, self.input_shape, self.is_own

    @cached_property
    def model(self) -> Any:
        """The model; only its shapes and operations matter, for which any seeds do."""
        return keras_model(self.text, np.random.default_rng(0))

    @cached_property
    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each weight, by name."""
        return {self._name(weight): tuple(weight.shape) for weight in self.model.weights}

    @cached_property
    def trained(self) -> list[str]:
        """Names of the weights that have a gradient; averages of batch normalisation have none."""
        return [self._name(variable) for variable in self.model.trainable_variables]

    def _name(self, variable: Any) -> str:
        path: str = variable.path
        return re.sub("/.*/", "/", path) if self.is_own else path

    def first_weights(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Weights before learning, from the initialisers that the model names."""
        if not self.is_own:
            return {self._name(weight): weight.numpy() for weight in keras_model(self.text, rng).weights}
        # Layer by layer, for Keras puts a sequential model together anew with each layer that it reads.
        entries = {entry["config"]["name"]: entry for entry in _seeded(json.loads(self.text), rng)["config"]["layers"]}
        found: dict[str, np.ndarray] = {}
        for shared in self.model.layers:
            if shared.weights:
                layer = keras().layers.deserialize(entries[shared.name])
                if not layer.built:
                    layer.build(shared.input.shape)
                found |= {self._name(weight): weight.numpy() for weight in layer.weights}
        return {name: found[name] for name in self.weight_shapes}

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """All chance of one training step, int64 (2,), to be passed to it."""
        return rng.integers(0, 1 << 31, 2)

    def train_logits(self, weights: Weights, inputs: Any, draw: Any, step: Any) -> TrainingOutput:
        """Outputs for inputs in training mode.

        Args:
            weights: of the network, tensors.
            inputs: float32 (B, *input_shape).
            draw: from `draw`.
            step: number of this training step, from 1, float32 ().
        """
        logits, others, penalties = self._run(weights, inputs, draw, is_training=True)
        names = map(self._name, self.model.non_trainable_variables)
        averages = {name: value for name, value in zip(names, others, strict=True) if name in weights}
        if self.is_own:
            # As Kingma & Ba (2015) correct Adam's moments, but corrected already when stored: the values before the
            # first step, which belong to no data, have no part in them.
            share = 1.0 / (1.0 - tensorflow().pow(MOMENTUM, step))
            averages = {name: weights[name] + (value - weights[name]) * share for name, value in averages.items()}
        return TrainingOutput(logits, averages, tensorflow().add_n(penalties) if penalties else None)

    def constrained(self, weights: Weights) -> Weights:
        """Weights as they are kept after an update."""
        found = {self._name(variable): variable.constraint for variable in self.model.trainable_variables}
        constraints: dict[str, Callable[[Any], Any]] = {name: rule for name, rule in found.items() if rule}
        return {name: constraints[name](value) if name in constraints else value for name, value in weights.items()}

    def logits(self, weights: Weights, inputs: Any) -> Any:
        """Logits (B, num_classes) in inference mode."""
        seed = tensorflow().constant([0, 0], tensorflow().int64)
        return self._run(weights, inputs, seed, is_training=False)[0]

    def _run(self, weights: Weights, inputs: Any, seed: Any, *, is_training: bool) -> tuple[Any, list[Any], list[Any]]:
        tf, model = tensorflow(), self.model
        # What is no weight is the state of a layer's random numbers, which follow this step's seed instead.
        others = [
            weights.get(self._name(variable), tf.cast(tf.add(seed, (place, 0)), variable.dtype))
            for place, variable in enumerate(model.non_trainable_variables)
        ]
        trained = [weights[name] for name in self.trained]
        shaped = tf.reshape(inputs, (-1, *model.input_shape[1:]))
        logits, others, penalties = model.stateless_call(
            trained, others, shaped, training=is_training, return_losses=True
        )
        return logits, others, penalties


def model_text(name: str, input_shape: tuple[int, ...], make_layers: Callable[[Any], list[Any]]) -> str:
    """JSON text of a sequential model.

    Args:
        name: of the model.
        input_shape: of one example.
        make_layers: from the module `keras.layers` to the layers.
    """
    # Keras draws a seed for each layer from Python's global stream, which is not ours to move.
    state = random.getstate()
    model = keras().Sequential([keras().Input(input_shape), *make_layers(keras().layers)])
    random.setstate(state)
    data = json.loads(model.to_json())
    data["config"]["name"] = name
    counts: dict[str, int] = {}
    for layer in data["config"]["layers"]:
        kind = _NAMES.get(layer["class_name"], layer["class_name"].lower())
        counts[kind] = counts.get(kind, 0) + 1
        layer["config"]["name"] = f"{kind}_{counts[kind]}"
    return json.dumps(data)


def keras_model(text: str, rng: np.random.Generator) -> Any:
    """A Keras model from its text, whose weights and other chance follow `rng`.

    Raises:
        ConfigurationError: it cannot be made from text.
    """
    try:
        model = keras().models.model_from_json(json.dumps(_seeded(json.loads(text), rng)))
    except Exception as error:
        raise ConfigurationError(f"the Keras model cannot be made from its text: {_reason(str(error))}") from None
    paths = [weight.path for weight in model.weights]
    double = next((path for path in paths if paths.count(path) > 1), None)
    if double is not None:
        raise ConfigurationError(f"the Keras model has two weights called {double!r}: give its layers names")
    if not model.built:
        raise ConfigurationError("the Keras model must begin with keras.Input(shape): its shapes are not known")
    return model


def described(model: Any) -> str:
    """One line a layer of a sequential model, with its output shape and number of parameters, and their sum."""
    rows = [("layer", "output shape", "parameters"), ("input", _shape(model.input_shape), "0")]
    rows += [(layer.name, _shape(layer.output.shape), f"{layer.count_params():,}") for layer in model.layers]
    rows.append(("total", "", f"{model.count_params():,}"))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}" for a, b, c in rows)


def _shape(shape: tuple[int | None, ...]) -> str:
    return "(" + ", ".join(("B", *map(str, shape[1:]))) + ")"


def _reason(message: str) -> str:
    """Why Keras could not make a model, in one line."""
    unknown = re.search(r"Could not locate class '(\w+)'", message)
    if unknown:
        return f"decorate class {unknown[1]} with @keras.saving.register_keras_serializable()"
    if "`Lambda` layer" in message:
        return "a Lambda layer is code, which is not run: write a layer class instead"
    return " ".join(message.split(". ")[0].split())


def _seeded(data: Any, rng: np.random.Generator) -> Any:
    """The same configuration with a seed wherever there is none: Keras would draw them from a global stream."""
    if isinstance(data, dict):
        return {
            key: int(rng.integers(1 << 31)) if key == "seed" and value is None else _seeded(value, rng)
            for key, value in data.items()
        }
    return [_seeded(item, rng) for item in data] if isinstance(data, list) else data
