"""What a bandit has tried since it last learnt: observations, actions and their rewards."""

import numpy as np


class ExperienceBatch:
    """Experiences that fill a batch, one after the other.

    Args:
        size: of the full batch.
        input_shape: of one observation, as the network reads it.

    Attributes:
        count: experiences so far.
    """

    def __init__(self, size: int, input_shape: tuple[int, ...]) -> None:
        self._inputs = np.zeros((size, *input_shape), dtype=np.float32)
        self._actions = np.zeros(size, dtype=np.int64)
        self._rewards = np.zeros(size, dtype=np.float32)
        self._parts: dict[str, np.ndarray] = {
            "inputs": self._inputs,
            "actions": self._actions,
            "rewards": self._rewards,
        }
        self.count = 0

    def add(self, inputs: np.ndarray, action: int, reward: float) -> bool:
        """Add one; whether the batch is full now."""
        place = self.count
        self._inputs[place], self._actions[place], self._rewards[place] = inputs, action, reward
        self.count += 1
        return self.count == len(self._actions)

    def arrays(self) -> dict[str, np.ndarray]:
        """Copies of the experiences: inputs float32 (count, *input_shape), actions int64, rewards float32 (count,)."""
        return {name: array[: self.count].copy() for name, array in self._parts.items()}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take over what `arrays` gave of a batch that is not full.

        Raises:
            KeyError, ValueError: an array is missing or does not fit.
        """
        count = len(arrays["actions"])
        for name, own in self._parts.items():
            found = arrays[name]
            if found.shape != (count, *own.shape[1:]) or found.dtype != own.dtype or count >= len(own):
                raise ValueError(f"array {name} has shape {found.shape} and dtype {found.dtype}")
            own[:count] = found
        self.count = count

    def take(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All inputs, actions and rewards of a full batch, which is empty then; the arrays are written to again."""
        self.count = 0
        return self._inputs, self._actions, self._rewards
