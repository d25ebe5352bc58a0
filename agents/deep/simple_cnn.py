"""The lecture's simple convolutional network."""

from dataclasses import dataclass

from velodrome.agents.deep.architecture import Architecture, Dense, Flatten
from velodrome.agents.deep.labelled_task import LabelledTask
from velodrome.agents.deep.network_inputs import input_shape
from velodrome.agents.deep.neural_classifier import ConvolutionalClassifier


@dataclass(kw_only=True, eq=False)
class SimpleCNN(ConvolutionalClassifier):
    """Convolutions of 32 and 64 filters, each rectified and pooled, and a dense layer: 50,186 parameters on 28x28.

    Source: Kim (2017), Deep Learning Zero to All, lab 11-1.
    """

    name = "simple_cnn"

    def _architecture(self, task: LabelledTask) -> Architecture:
        layers = (*self._block(32), *self._block(64), Flatten(), Dense(task.num_classes))
        return Architecture(input_shape(task), layers)
