"""The lecture's deep convolutional network."""

from dataclasses import dataclass

from velodrome.agents.deep.architecture import (
    Architecture,
    BatchNormalization,
    Dense,
    Dropout,
    Flatten,
    Layer,
    Rectifier,
)
from velodrome.agents.deep.labelled_task import LabelledTask
from velodrome.agents.deep.network_inputs import input_shape
from velodrome.agents.deep.neural_classifier import ConvolutionalClassifier
from velodrome.checks import check_number

HIDDEN = 625


@dataclass(kw_only=True, eq=False)
class DeepCNN(ConvolutionalClassifier):
    """Convolutions of 32, 64 and 128 filters, each rectified, pooled and dropped out, and dense layers of 625 and 10.

    1,379,557 parameters on 28x28.

    Args:
        dropout: share that is dropped in training after each pooling and after the hidden dense layer, in [0, 1).

    Source: Kim (2017), Deep Learning Zero to All, lab 11-2. Its keep probability of 0.7 is a dropout of 0.3.
    """

    name = "deep_cnn"

    dropout: float = 0.3

    def __post_init__(self) -> None:
        check_number(f"{self.name}: dropout", self.dropout, 0.0, 1.0, open_high=True)
        super().__post_init__()

    def _architecture(self, task: LabelledTask) -> Architecture:
        rate = float(self.dropout)
        hidden: tuple[Layer, ...] = (Dense(HIDDEN, has_bias=not self.batch_normalization),)
        if self.batch_normalization:
            hidden += (BatchNormalization(),)
        hidden += (Rectifier(), Dropout(rate)) if rate else (Rectifier(),)
        blocks = (*self._block(32, rate), *self._block(64, rate), *self._block(128, rate))
        return Architecture(input_shape(task), (*blocks, Flatten(), *hidden, Dense(task.num_classes)))
