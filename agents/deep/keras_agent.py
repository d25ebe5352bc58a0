"""The user's own Keras model as an agent."""

from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

import numpy as np

from velodrome.agents.deep.architecture import Architecture
from velodrome.agents.deep.keras_network import KerasNetwork, check_model_text, keras_model, read_shape
from velodrome.agents.deep.labelled_task import LabelledTask
from velodrome.agents.deep.network import Network
from velodrome.agents.deep.network_inputs import input_shape
from velodrome.agents.deep.neural_classifier import NeuralClassifier
from velodrome.agents.deep.supervised_agent import SupervisedAgent
from velodrome.agents.errors import UnsupportedEnvironmentError
from velodrome.checks import ConfigurationError


@dataclass(kw_only=True, eq=False)
class KerasAgent(NeuralClassifier):
    """Any `keras.Model` of the Sequential or functional kind, from observations to one logit a class.

    Only the model's layers are used: it becomes text, `model.to_json()`, and each seed draws weights of its own
    from the initialisers that the model names. The last layer gives logits, without softmax. Layers of the user's
    own must be registered with `keras.saving.register_keras_serializable`; `Lambda` layers are refused, for they
    are code inside the text. The training step is neither compiled by XLA nor are single observations answered by
    NumPy.

    Args:
        model: the model, or its JSON text.

    Raises:
        ConfigurationError: no model, or one that cannot be made from text.
    """

    model: Any

    acts_by_numpy: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if hasattr(self.model, "to_json"):
            self.model = self.model.to_json()
        if not isinstance(self.model, str):
            raise ConfigurationError(f"{self.name}: model must be a keras.Model or its JSON text, got {self.model!r}")
        check_model_text(self.name, self.model)
        super().__post_init__()

    def _architecture(self, task: LabelledTask) -> Architecture:
        raise NotImplementedError("a Keras model has no architecture of ours")

    def _network(self, task: LabelledTask) -> Network:
        return KerasNetwork(self.model, input_shape(task), task.num_classes)

    def check_task(self, task: LabelledTask, label: str) -> None:
        super().check_task(task, label)
        read = read_shape(self.model)
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
