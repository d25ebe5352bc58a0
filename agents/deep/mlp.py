"""The multilayer perceptron: dense layers with rectifiers between them."""

from dataclasses import dataclass
from typing import Any

from velodrome.agents.deep.labelled_task import LabelledTask
from velodrome.agents.deep.network import MOMENTUM
from velodrome.agents.deep.neural_classifier import NeuralClassifier
from velodrome.checks import ConfigurationError, check_flag, check_integer, check_number

_LAYERS = 2


@dataclass(kw_only=True, eq=False)
class MLP(NeuralClassifier):
    """Multilayer perceptron on any Box or Discrete observation.

    Args:
        hidden: units of each hidden layer; or those of every one, such as (128, 64).
        layers: number of hidden layers, at least 1; left alone where `hidden` has the units of every one.
        dropout: share of each hidden layer's outputs that is dropped in training, in [0, 1).
        batch_normalization: before each rectifier, with dense layers that have no bias.

    Source: Rumelhart, Hinton & Williams (1986); Kim (2017), Deep Learning Zero to All, lab 10.
    """

    name = "mlp"

    hidden: int | tuple[int, ...] = 256
    layers: int = _LAYERS
    dropout: float = 0.0
    batch_normalization: bool = False

    def __post_init__(self) -> None:
        check_integer(f"{self.name}: layers", self.layers, minimum=1)
        if isinstance(self.hidden, tuple | list):
            self.hidden = tuple(self.hidden)
            if not self.hidden:
                raise ConfigurationError(f"{self.name}: hidden has no layers: without any, take softmax_regression")
            if self.layers not in (_LAYERS, len(self.hidden)):
                raise ConfigurationError(
                    f"{self.name}: layers={self.layers} does not fit hidden={list(self.hidden)}: leave layers out"
                )
        for units in self.units:
            check_integer(f"{self.name}: hidden", units, minimum=1)
        check_number(f"{self.name}: dropout", self.dropout, 0.0, 1.0, open_high=True)
        check_flag(f"{self.name}: batch_normalization", self.batch_normalization)
        super().__post_init__()

    @property
    def units(self) -> tuple[int, ...]:
        """Units of every hidden layer."""
        return self.hidden if isinstance(self.hidden, tuple) else (self.hidden,) * self.layers

    @property
    def rectified_layers(self) -> tuple[int, ...] | None:
        return None if self.dropout or self.batch_normalization else self.units

    def _layers(self, layers: Any, task: LabelledTask) -> list[Any]:
        found = [layers.Flatten()]
        for units in self.units:
            found.append(layers.Dense(units, use_bias=not self.batch_normalization))
            if self.batch_normalization:
                found.append(layers.BatchNormalization(momentum=MOMENTUM))
            found.append(layers.ReLU())
            if self.dropout:
                found.append(layers.Dropout(float(self.dropout)))
        return [*found, layers.Dense(task.num_classes)]
