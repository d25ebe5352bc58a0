"""Early stopping: learning ends when the held-out examples are no longer predicted better."""

from typing import Any

import numpy as np

from velodrome.agents.deep.learner import Learner


class EarlyStopping:
    """Watches the accuracy after each epoch; when it stops, the network gets its best weights back.

    Args:
        patience: epochs without a better accuracy after which learning ends.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.best_accuracy = -1.0
        self.best_arrays: dict[str, np.ndarray] = {}
        self.num_epochs = 0
        self.num_without_gain = 0
        self.has_stopped = False

    def end_epoch(self, learner: Learner, inputs: np.ndarray, labels: np.ndarray) -> None:
        """Measure the network on the held-out examples; it may stop learning here."""
        accuracy = float(np.mean(np.argmax(learner.logits(inputs), axis=-1) == labels))
        self.num_epochs += 1
        if accuracy > self.best_accuracy:
            self.best_accuracy, self.num_without_gain = accuracy, 0
            self.best_arrays = learner.arrays()
            return
        self.num_without_gain += 1
        if self.num_without_gain >= self.patience:
            self.has_stopped = True
            learner.restore(self.best_arrays)
            self.best_arrays = {}

    def note(self, num_examples: int) -> str:
        """Remark on where training stopped and which weights were kept, in one line."""
        before = "1 epoch" if self.patience == 1 else f"{self.patience} epochs"
        return (
            f"stopped learning after epoch {self.num_epochs}: the accuracy on {num_examples} held-out examples "
            f"was best, {self.best_accuracy:.4f}, {before} before"
        )

    def state(self) -> dict[str, Any]:
        """JSON-ready state, beside `best_arrays`."""
        return {
            "best_accuracy": self.best_accuracy,
            "num_epochs": self.num_epochs,
            "num_without_gain": self.num_without_gain,
            "has_stopped": self.has_stopped,
        }

    def restore(self, state: dict[str, Any], best_arrays: dict[str, np.ndarray]) -> None:
        """Take over what `state` and `best_arrays` gave."""
        self.best_accuracy, self.has_stopped = float(state["best_accuracy"]), bool(state["has_stopped"])
        self.num_epochs, self.num_without_gain = int(state["num_epochs"]), int(state["num_without_gain"])
        self.best_arrays = best_arrays
