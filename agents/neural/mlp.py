"""The multilayer perceptron: dense layers with rectifiers between them."""

from dataclasses import dataclass

from velodrome.agents.neural.architecture import (
    Architecture,
    BatchNormalization,
    Dense,
    Dropout,
    Flatten,
    Layer,
    Rectifier,
)
from velodrome.agents.neural.labelled_task import LabelledTask
from velodrome.agents.neural.network_inputs import input_shape
from velodrome.agents.neural.neural_classifier import NeuralClassifier, require_flag, require_share
from velodrome.policies.configuration import require_whole_number


@dataclass(kw_only=True, eq=False)
class MLP(NeuralClassifier):
    """Multilayer perceptron on any Box or Discrete observation.

    Args:
        hidden: units of each hidden layer.
        layers: number of hidden layers, at least 1.
        dropout: share of each hidden layer's outputs that is dropped in training, in [0, 1).
        batch_normalization: before each rectifier, with dense layers that have no bias.

    Source: Rumelhart, Hinton & Williams (1986); Kim (2017), Deep Learning Zero to All, lab 10.
    """

    name = "mlp"

    hidden: int = 256
    layers: int = 2
    dropout: float = 0.0
    batch_normalization: bool = False

    def __post_init__(self) -> None:
        require_whole_number(self.name, "hidden", self.hidden, 1)
        require_whole_number(self.name, "layers", self.layers, 1)
        require_share(self.name, "dropout", self.dropout)
        require_flag(self.name, "batch_normalization", self.batch_normalization)
        super().__post_init__()

    def _architecture(self, task: LabelledTask) -> Architecture:
        block: tuple[Layer, ...] = (Dense(self.hidden, has_bias=not self.batch_normalization),)
        if self.batch_normalization:
            block += (BatchNormalization(),)
        block += (Rectifier(),)
        if self.dropout:
            block += (Dropout(float(self.dropout)),)
        return Architecture(input_shape(task), (Flatten(), *block * self.layers, Dense(task.num_classes)))
