"""The contract of what learns inside a supervised agent: a network and its optimiser, batch by batch."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np


class BatchOutcome(NamedTuple):
    """Outcome of one training step.

    Attributes:
        predictions: classes that the network gave before this step's update, int (B, *step_dimensions).
        loss: mean of the batch before the update.
        logits: what the predictions were made from, float32 (B, *step_dimensions, num_classes), if at hand.
    """

    predictions: np.ndarray
    loss: float
    logits: np.ndarray | None = None


class Learner(ABC):
    """A network bound to a task. It may import tensorflow when it is made; making it is put off until it is needed.

    All randomness comes from the generators that it is given, so its state is in `arrays` alone.

    Attributes:
        loop: name of the loop in the log of training.
        compile_seconds: spent so far on importing, tracing and compiling; a learner may add to it.
    """

    loop: str = "keras"
    compile_seconds: float = 0.0

    @abstractmethod
    def learn(
        self, inputs: np.ndarray, labels: np.ndarray, learning_rate: float, rng: np.random.Generator
    ) -> BatchOutcome:
        """One training step.

        Args:
            inputs: the examples' observations as they are, (B, *step_dimensions, *observation_shape); symbols are
                counted from 0.
            labels: classes from 0, int64 (B, *step_dimensions).
            learning_rate: of this step.
            rng: this step's own stream, the same whenever the step is repeated.
        """

    @abstractmethod
    def logits(self, inputs: np.ndarray) -> np.ndarray:
        """Logits float32 (B, *step_dimensions, num_classes), in inference mode; B may be anything."""

    @abstractmethod
    def arrays(self) -> dict[str, np.ndarray]:
        """Copies of everything that acting and further training depend on: weights, optimiser state, counters."""

    @abstractmethod
    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take over what `arrays` gave.

        Raises:
            KeyError, ValueError: an array is missing or does not fit.
        """
