"""Softmax regression: one dense layer, the least that can be called a network."""

from dataclasses import dataclass

from velodrome.agents.deep.architecture import Architecture, Dense, Flatten
from velodrome.agents.deep.labelled_task import LabelledTask
from velodrome.agents.deep.network_inputs import input_shape
from velodrome.agents.deep.neural_classifier import NeuralClassifier


@dataclass(kw_only=True, eq=False)
class SoftmaxRegression(NeuralClassifier):
    """Softmax regression, softmax(x W + b), on any Box or Discrete observation; it remembers nothing.

    Source: Cox (1966); Kim (2017), Deep Learning Zero to All, lab 7.
    """

    def _architecture(self, task: LabelledTask) -> Architecture:
        return Architecture(input_shape(task), (Flatten(), Dense(task.num_classes)))
