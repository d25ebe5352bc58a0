"""The deep convolutional network with what is customary today: the best accuracy in the fewest epochs."""

from dataclasses import dataclass

from velodrome.agents.deep.deep_cnn import DeepCNN
from velodrome.agents.deep.schedules import ScheduleName


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
