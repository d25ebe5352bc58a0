"""The user's own Keras model as an agent."""

import json
import re
from collections import Counter
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

import numpy as np

from velodrome.agents.deep.labelled_task import LabelledTask
from velodrome.agents.deep.network import KerasNetwork, keras_model
from velodrome.agents.deep.network_inputs import input_shape
from velodrome.agents.deep.neural_classifier import NeuralClassifier
from velodrome.agents.deep.supervised_agent import SupervisedAgent
from velodrome.agents.errors import UnsupportedEnvironmentError
from velodrome.checks import ConfigurationError, one_line

# Where the text of a model has names of layers.
_NAMING = ("name", "keras_history", "input_layers", "output_layers")


@dataclass(kw_only=True, eq=False)
class KerasAgent(NeuralClassifier):
    """Any `keras.Model` of the Sequential or functional kind, from observations to one logit a class.

    Only the model's layers are used: it becomes text, `model.to_json()`, and each seed draws weights of its own
    from the initialisers that the model names. The last layer gives logits, without softmax. Layers of the user's
    own must be registered with `keras.saving.register_keras_serializable`; `Lambda` layers are refused, for they
    are code inside the text. Single observations are not answered by NumPy.

    Args:
        model: the model, its JSON text, or a function without arguments that gives it, which is called at once.

    Raises:
        ConfigurationError: no model, or one that cannot be made from text.
    """

    model: Any

    acts_by_numpy: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if callable(self.model) and not hasattr(self.model, "to_json"):
            try:
                self.model = self.model()
            except Exception as error:
                raise ConfigurationError(
                    f"{self.name}: model is to give a keras.Model when called: {one_line(error)}"
                ) from error
        if hasattr(self.model, "to_json"):
            self.model = _with_own_numbers(self.model.to_json())
        if not isinstance(self.model, str):
            raise ConfigurationError(f"{self.name}: model must be a keras.Model or its JSON text, got {self.model!r}")
        _check_text(self.name, self.model)
        super().__post_init__()

    def _layers(self, layers: Any, task: LabelledTask) -> list[Any]:
        raise NotImplementedError("the user's model has its own layers")

    def _network(self, task: LabelledTask) -> KerasNetwork:
        network = KerasNetwork(self.model, input_shape(task), is_own=False)
        for weight in network.model.weights:
            if weight.dtype != "float32":
                raise ConfigurationError(
                    f"the Keras model's weight {weight.path!r} is {weight.dtype}, not float32"
                    + ("; give Normalization its mean= and variance=" if weight.path.endswith("/count") else "")
                )
        read, given = network.model.input_shape, network.model.output_shape
        if not isinstance(read, tuple) or None in read[1:] or prod(read[1:]) != prod(network.input_shape):
            raise UnsupportedEnvironmentError(
                f"the Keras model reads {read}, but observations are {network.input_shape}"
            )
        if not isinstance(given, tuple) or given[1:] != (task.num_classes,):
            raise UnsupportedEnvironmentError(
                f"the Keras model gives {given}, but there are {task.num_classes} actions"
            )
        return network

    def check_task(self, task: LabelledTask, label: str) -> None:
        super().check_task(task, label)
        read = _read_shape(self.model)
        if read is not None and prod(read) != prod(input_shape(task)):
            raise UnsupportedEnvironmentError(
                f"{self.name}: the Keras model reads {read}, but observations of {label} are {input_shape(task)}"
            )

    def check_arrays(self, task: LabelledTask, arrays: dict[str, np.ndarray]) -> None:
        # Only Keras knows the shapes.
        pass

    def act_on_one(self, observation: np.ndarray) -> int:
        return SupervisedAgent.act_on_one(self, observation)

    def _describe(self, task: LabelledTask) -> str:
        lines: list[str] = []
        keras_model(self.model, np.random.default_rng(0)).summary(print_fn=lambda text, **_: lines.append(text))
        return "\n".join(lines)


def _with_own_numbers(text: str) -> str:
    """A model's text with numbers of its own in the names that Keras gave to it and its layers.

    Keras counts the layers of a process; the same model made again would be another one, in keys of trials too.
    """
    names: dict[str, str] = {}
    counts: Counter[str] = Counter()

    def collect(entry: Any) -> None:
        name, kind = entry["config"].get("name"), _snake_case(entry["class_name"])
        if name not in names and re.fullmatch(rf"{kind}(_\d+)?", str(name)):
            names[name] = f"{kind}_{counts[kind]}" if counts[kind] else kind
            counts[kind] += 1
        for layer in entry["config"].get("layers", ()):
            collect(layer)

    def renamed(value: Any, key: str) -> Any:
        if isinstance(value, dict):
            return {inner: renamed(item, inner) for inner, item in value.items()}
        if isinstance(value, list):
            return [renamed(item, key) for item in value]
        return names.get(value, value) if key in _NAMING and isinstance(value, str) else value

    data = json.loads(text)
    try:
        collect(data)
    except (KeyError, TypeError, AttributeError):
        # A subclass of keras.Model, which is refused.
        return text
    return json.dumps(renamed(data, ""))


def _snake_case(class_name: str) -> str:
    """As Keras names layers."""
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", class_name)).lower()


def _check_text(owner: str, text: str) -> None:
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


def _read_shape(text: str) -> tuple[int, ...] | None:
    """Shape of one observation that a model's text says it reads, without making it; None where it does not say."""
    layers = json.loads(text)["config"]["layers"]
    shapes = [layer["config"].get("batch_shape") for layer in layers if layer.get("class_name") == "InputLayer"]
    if len(shapes) != 1 or not isinstance(shapes[0], list) or None in shapes[0][1:]:
        return None
    return tuple(shapes[0][1:])
