"""Any Keras model as functions of its weights, made from its JSON text."""

import json
import re
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from velodrome.agents.deep.keras_runtime import keras, tensorflow
from velodrome.agents.deep.network import Network, TrainingOutput, Weights
from velodrome.agents.errors import UnsupportedEnvironmentError
from velodrome.checks import ConfigurationError


class KerasNetwork(Network):
    """A Keras model from observations to logits.

    Args:
        text: of `model.to_json()`.
        input_shape: of one observation; the model may read the same values in another shape.
        num_classes: number of logits.

    Raises:
        ConfigurationError: the model cannot be made from its text.
        UnsupportedEnvironmentError: its inputs or outputs are of another size.
    """

    def __init__(self, text: str, input_shape: tuple[int, ...], num_classes: int) -> None:
        self._key = (text, input_shape, num_classes)
        for weight in self._model.weights:
            if weight.dtype != "float32":
                raise ConfigurationError(
                    f"the Keras model's weight {weight.path!r} is {weight.dtype}, not float32"
                    + ("; give Normalization its mean= and variance=" if weight.path.endswith("/count") else "")
                )
        read, given = self._model.input_shape, self._model.output_shape
        if not isinstance(read, tuple) or None in read[1:] or prod(read[1:]) != prod(input_shape):
            raise UnsupportedEnvironmentError(f"the Keras model reads {read}, but observations are {input_shape}")
        if not isinstance(given, tuple) or given[1:] != (num_classes,):
            raise UnsupportedEnvironmentError(f"the Keras model gives {given}, but there are {num_classes} classes")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KerasNetwork) and other._key == self._key

    def __hash__(self) -> int:
        return hash(self._key)

    @cached_property
    def _model(self) -> Any:
        # Only its shapes and operations matter; any seeds do.
        return keras_model(self._key[0], np.random.default_rng(0))

    @property
    def uses_xla(self) -> bool:
        return False

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self._key[1]

    @property
    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        return {weight.path: tuple(weight.shape) for weight in self._model.weights}

    def first_weights(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return {weight.path: weight.numpy() for weight in keras_model(self._key[0], rng).weights}

    def is_trained(self, name: str) -> bool:
        return any(weight.path == name for weight in self._model.trainable_variables)

    def draw(self, rng: np.random.Generator, batch_size: int) -> list[np.ndarray]:
        return [rng.integers(0, 1 << 31, 2)]

    def draw_specs(self, batch_size: int | None) -> list[Any]:
        return [tensorflow().TensorSpec((2,), tensorflow().int64)]

    def train_logits(self, weights: Weights, inputs: Any, draws: list[Any], step: Any) -> TrainingOutput:
        # Whatever a layer moves from step to step, it moves as in Keras' own training.
        logits, others, penalties = self._run(weights, inputs, draws[0], is_training=True)
        names = [variable.path for variable in self._model.non_trainable_variables]
        averages = {name: value for name, value in zip(names, others, strict=True) if name in weights}
        return TrainingOutput(logits, averages, tensorflow().add_n(penalties) if penalties else None)

    def constrained(self, weights: Weights) -> Weights:
        constraints = {variable.path: variable.constraint for variable in self._model.trainable_variables}
        return {name: constraints[name](value) if constraints[name] else value for name, value in weights.items()}

    def logits(self, weights: Weights, inputs: Any) -> Any:
        seed = tensorflow().constant([0, 0], tensorflow().int64)
        return self._run(weights, inputs, seed, is_training=False)[0]

    def _run(self, weights: Weights, inputs: Any, seed: Any, *, is_training: bool) -> tuple[Any, list[Any], list[Any]]:
        tf, model = tensorflow(), self._model
        trained = [weights[variable.path] for variable in model.trainable_variables]
        # What is no weight is the state of a layer's random numbers, which follow this step's seed instead.
        others = [
            weights[variable.path] if variable.path in weights else tf.cast(tf.add(seed, (place, 0)), variable.dtype)
            for place, variable in enumerate(model.non_trainable_variables)
        ]
        shaped = tf.reshape(inputs, (-1, *model.input_shape[1:]))
        logits, others, penalties = model.stateless_call(
            trained, others, shaped, training=is_training, return_losses=True
        )
        return logits, others, penalties


def check_model_text(owner: str, text: str) -> None:
    """Refuse what is no model, and one that gives probabilities, without making it.

    Raises:
        ConfigurationError: in one line.
    """
    try:
        layers = json.loads(text)["config"]["layers"]
        last = layers[-1]["config"]
    except (ValueError, KeyError, IndexError, TypeError):
        raise ConfigurationError(
            f"{owner}: model must be a keras.Model of the Sequential or functional kind, or its to_json() text"
        ) from None
    if last.get("activation") == "softmax" or layers[-1].get("class_name") == "Softmax":
        raise ConfigurationError(f"{owner}: the model must give logits: leave the softmax of its last layer away")


def read_shape(text: str) -> tuple[int, ...] | None:
    """Shape of one observation that a model's text says it reads, without making it; None where it does not say."""
    layers = json.loads(text)["config"]["layers"]
    shapes = [layer["config"].get("batch_shape") for layer in layers if layer.get("class_name") == "InputLayer"]
    if len(shapes) != 1 or not isinstance(shapes[0], list) or None in shapes[0][1:]:
        return None
    return tuple(shapes[0][1:])


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
