"""Reading an episode one character an act: what was read is carried on as the network's state."""

import numpy as np
from numpy.typing import NDArray

from velodrome.agents.deep.recurrent_cells import CELLS, NUMPY_ACTIVATIONS, State
from velodrome.agents.deep.recurrent_reading import SequenceReader


class EpisodeReader:
    """Reads one episode, or several side by side, from its first character on.

    A bidirectional network has no state to carry on: at each step it reads all from the first character again.

    Args:
        reader: the network and its weights.
    """

    def __init__(self, reader: SequenceReader) -> None:
        self.reader = reader
        self.num_episodes: int | None = None
        self._states: list[State] = []
        self._read: list[NDArray[np.int64]] = []

    def read(self, characters: NDArray[np.int64]) -> NDArray[np.float32]:
        """Logits of what comes next after one more character of each episode.

        Args:
            characters: int64 (num_episodes,), as many as in the first call.

        Returns:
            float32 (num_episodes, num_characters).
        """
        self.num_episodes = len(characters)
        if self.reader.network.bidirectional:
            self._read.append(characters)
            logits: NDArray[np.float32] = self.reader.logits(np.stack(self._read, axis=1))[:, -1]
            return logits
        network, weights = self.reader.network, self.reader.weights
        cell = CELLS[network.cell]
        if not self._states:
            zeros = np.zeros((len(characters), network.hidden), dtype=np.float32)
            self._states = [(zeros,) * cell.num_states] * network.layers
        values: NDArray[np.float32] = weights.layers[0][0].kernel[characters]
        for layer, (direction,) in enumerate(weights.layers):
            if layer:
                values = values @ direction.kernel
            projected = values + cell.input_bias(direction)
            self._states[layer] = cell.step(NUMPY_ACTIVATIONS, projected, self._states[layer], direction)
            values = self._states[layer][0]
        return values if weights.head is None else values @ weights.head[0] + weights.head[1]
