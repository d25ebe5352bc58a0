"""Softmax regression: one dense layer, the least that can be called a network."""

from dataclasses import dataclass
from typing import Any

from velodrome.agents.deep.labelled_task import LabelledTask
from velodrome.agents.deep.neural_classifier import NeuralClassifier


@dataclass(kw_only=True, eq=False)
class SoftmaxRegression(NeuralClassifier):
    """Softmax regression, softmax(x W + b), on any Box or Discrete observation; it remembers nothing.

    Source: Cox (1966); Kim (2017), Deep Learning Zero to All, lab 7.
    """

    @property
    def rectified_layers(self) -> tuple[int, ...]:
        return ()

    def _layers(self, layers: Any, task: LabelledTask) -> list[Any]:
        return [layers.Flatten(), layers.Dense(task.num_classes)]
