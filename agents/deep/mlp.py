"""The multilayer perceptron: dense layers with rectifiers between them."""

from dataclasses import dataclass
from typing import Any

from velodrome.agents.deep.labelled_task import LabelledTask
from velodrome.agents.deep.network import MOMENTUM
from velodrome.agents.deep.neural_classifier import NeuralClassifier
from velodrome.checks import check_flag, check_integer, check_number


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
        check_integer(f"{self.name}: hidden", self.hidden, minimum=1)
        check_integer(f"{self.name}: layers", self.layers, minimum=1)
        check_number(f"{self.name}: dropout", self.dropout, 0.0, 1.0, open_high=True)
        check_flag(f"{self.name}: batch_normalization", self.batch_normalization)
        super().__post_init__()

    def _layers(self, layers: Any, task: LabelledTask) -> list[Any]:
        found = [layers.Flatten()]
        for _ in range(self.layers):
            found.append(layers.Dense(self.hidden, use_bias=not self.batch_normalization))
            if self.batch_normalization:
                found.append(layers.BatchNormalization(momentum=MOMENTUM))
            found.append(layers.ReLU())
            if self.dropout:
                found.append(layers.Dropout(float(self.dropout)))
        return [*found, layers.Dense(task.num_classes)]
