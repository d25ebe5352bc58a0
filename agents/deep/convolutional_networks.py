"""The convolutional networks: the lecture's simple and deep one, one for boards, and what is customary today."""

from dataclasses import dataclass
from typing import Any

from velodrome.agents.deep.labelled_task import LabelledTask
from velodrome.agents.deep.network import MOMENTUM
from velodrome.agents.deep.network_inputs import require_images
from velodrome.agents.deep.neural_classifier import NeuralClassifier, ScheduleName
from velodrome.checks import ConfigurationError, check_flag, check_integer, check_number

HIDDEN = 625


@dataclass(kw_only=True, eq=False)
class ConvolutionalClassifier(NeuralClassifier):
    """A classifier of images, whose layers begin with convolutions.

    Args:
        batch_normalization: after each pooling, or convolution where there is none, with convolutions that have no
            bias; and after hidden dense layers.
    """

    batch_normalization: bool = False

    def __post_init__(self) -> None:
        check_flag(f"{self.name}: batch_normalization", self.batch_normalization)
        super().__post_init__()

    def check_task(self, task: LabelledTask, label: str) -> None:
        require_images(self.name, task, label)
        super().check_task(task, label)

    def _block(self, layers: Any, filters: int, dropout: float = 0.0) -> list[Any]:
        """Convolution and pooling, then rectified: the same as rectified and then pooled, on a quarter of the values.

        With normalisation it comes after the pooling, which is as good.
        """
        return [
            layers.Conv2D(filters, 3, padding="same", use_bias=not self.batch_normalization),
            layers.MaxPooling2D(2, padding="same"),
            *self._rectified(layers, dropout),
        ]

    def _rectified(self, layers: Any, dropout: float) -> list[Any]:
        normalized = [layers.BatchNormalization(momentum=MOMENTUM)] if self.batch_normalization else []
        return [*normalized, layers.ReLU(), *([layers.Dropout(dropout)] if dropout else [])]


@dataclass(kw_only=True, eq=False)
class SimpleCNN(ConvolutionalClassifier):
    """Convolutions of 32 and 64 filters, each rectified and pooled, and a dense layer: 50,186 parameters on 28x28.

    Source: Kim (2017), Deep Learning Zero to All, lab 11-1.
    """

    name = "simple_cnn"

    def _layers(self, layers: Any, task: LabelledTask) -> list[Any]:
        blocks = [*self._block(layers, 32), *self._block(layers, 64)]
        return [*blocks, layers.Flatten(), layers.Dense(task.num_classes)]


@dataclass(kw_only=True, eq=False)
class PlainCNN(ConvolutionalClassifier):
    """Convolutions without pooling and a dense layer, each rectified: for small boards, where every place counts.

    Args:
        filters: of each 3x3 convolution.
        hidden: units of the dense layer.

    Source: Young & Tian (2019), MinAtar, whose network for 10x10 boards has one convolution of 16 filters and a dense
    layer of 128. Deviation: convolutions keep the size.
    """

    name = "plain_cnn"

    filters: tuple[int, ...] = (16,)
    hidden: int = 128

    def __post_init__(self) -> None:
        if not isinstance(self.filters, tuple | list) or not self.filters:
            raise ConfigurationError(
                f"{self.name}: filters must be those of each convolution, such as [16], got {self.filters!r}"
            )
        self.filters = tuple(self.filters)
        for filters in self.filters:
            check_integer(f"{self.name}: filters", filters, minimum=1)
        check_integer(f"{self.name}: hidden", self.hidden, minimum=1)
        super().__post_init__()

    def _layers(self, layers: Any, task: LabelledTask) -> list[Any]:
        has_bias, found = not self.batch_normalization, []
        for filters in self.filters:
            found += [layers.Conv2D(filters, 3, padding="same", use_bias=has_bias), *self._rectified(layers, 0.0)]
        hidden = [layers.Dense(self.hidden, use_bias=has_bias), *self._rectified(layers, 0.0)]
        return [*found, layers.Flatten(), *hidden, layers.Dense(task.num_classes)]


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

    def _layers(self, layers: Any, task: LabelledTask) -> list[Any]:
        rate = float(self.dropout)
        blocks = [layer for filters in (32, 64, 128) for layer in self._block(layers, filters, rate)]
        hidden = [layers.Dense(HIDDEN, use_bias=not self.batch_normalization), *self._rectified(layers, rate)]
        return [*blocks, layers.Flatten(), *hidden, layers.Dense(task.num_classes)]


@dataclass(kw_only=True, eq=False)
class ModernCNN(DeepCNN):
    """`deep_cnn` as is customary today: normalised, augmented, with a one-cycle learning rate and smooth targets.

    The learning rate's cycle is laid out over the budget of the call of `train`, unless `epochs` is given.
    """

    name = "modern_cnn"

    learning_rate: float = 3e-3
    schedule: ScheduleName = "one_cycle"
    label_smoothing: float = 0.1
    shift: int = 1
    rotate: float = 10.0
    test_time_augmentation: bool = True
    batch_normalization: bool = True
    dropout: float = 0.2
