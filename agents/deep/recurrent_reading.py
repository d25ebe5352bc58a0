"""Reading whole sequences with weights in NumPy."""

import numpy as np
from numpy.typing import NDArray

from velodrome.agents.deep.recurrent_network import NetworkWeights, RecurrentNetwork, numpy_operations
from velodrome.agents.deep.sequence_loss import length_mask

# Sequences are read in groups of so many steps in all, so that memory stays flat in their number.
_STEPS_AT_ONCE = 50_000


class SequenceReader:
    """A network with weights that stay.

    Args:
        network: its structure.
        vector: its weights, float32 (num_weights,).
    """

    def __init__(self, network: RecurrentNetwork, vector: NDArray[np.float32]) -> None:
        self.network = network
        self.weights: NetworkWeights = network.weights_of(vector)

    def outputs(self, sequences: NDArray[np.int64], lengths: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """Outputs of the last recurrent layer, float32 (batch, num_steps, num_outputs), 0 past the lengths."""
        return self._in_groups(sequences, lengths, self.network.num_outputs, with_head=False)

    def logits(self, sequences: NDArray[np.int64], lengths: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """Logits of the characters that come next, float32 (batch, num_steps, num_characters)."""
        return self._in_groups(sequences, lengths, self.network.num_characters, with_head=True)

    def _in_groups(
        self, sequences: NDArray[np.int64], lengths: NDArray[np.int64] | None, width: int, *, with_head: bool
    ) -> NDArray[np.float32]:
        batch, num_steps = sequences.shape
        mask = None if lengths is None else length_mask(lengths, num_steps).T
        found = np.zeros((batch, num_steps, width), dtype=np.float32)
        size = max(1, _STEPS_AT_ONCE // max(1, num_steps))
        for first in range(0, batch, size):
            group = slice(first, first + size)
            operations = numpy_operations(None if mask is None else mask[:, group])
            projected = [direction.kernel[sequences[group].T] for direction in self.weights.layers[0]]
            values = self.network.outputs(operations, self.weights, projected)
            if with_head:
                values = self.network.logits(operations, self.weights, values)
            found[group] = values.transpose(1, 0, 2)
        return found
