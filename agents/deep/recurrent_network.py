"""The network of a character RNN: its layers, its weights in one vector, and how it reads characters in NumPy."""

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from velodrome.agents.deep.recurrent_cells import CELLS, CellName, CellWeights, State
from velodrome.agents.deep.sequence_loss import length_mask

# Sequences are read in groups of so many steps in all, so that memory stays flat in their number.
_STEPS_AT_ONCE = 50_000


class NetworkWeights(NamedTuple):
    """All weights of a network.

    Attributes:
        layers: of each recurrent layer one cell's, or two where it is bidirectional: forward, backward.
        head: kernel (num_outputs, num_characters) and bias (num_characters,) of the dense layer, or None.
    """

    layers: tuple[tuple[CellWeights, ...], ...]
    head: tuple[Any, Any] | None


@dataclass(frozen=True)
class RecurrentNetwork:
    """Recurrent layers over one-hot characters, and a dense layer that makes logits of their outputs.

    Args:
        num_characters: size of the vocabulary.
        cell: "rnn", "lstm" or "gru".
        hidden: units of a cell.
        layers: how many are stacked.
        bidirectional: each layer reads from both ends, and its two outputs stand side by side.
        head: whether there is a dense layer; without one the outputs are the logits.
    """

    num_characters: int
    cell: CellName
    hidden: int
    layers: int
    bidirectional: bool
    head: bool

    @property
    def num_directions(self) -> int:
        """Cells of a layer."""
        return 2 if self.bidirectional else 1

    @property
    def num_outputs(self) -> int:
        """Outputs of a recurrent layer at each step."""
        return self.hidden * self.num_directions

    @cached_property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the weights, in Keras' order, in which they lie in the vector."""
        found: list[tuple[int, ...]] = []
        for layer in range(self.layers):
            num_inputs = self.num_outputs if layer else self.num_characters
            found += [*CELLS[self.cell].weight_shapes(num_inputs, self.hidden)] * self.num_directions
        if self.head:
            found += [(self.num_outputs, self.num_characters), (self.num_characters,)]
        return tuple(found)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Number of weights of each shape."""
        return tuple(prod(shape) for shape in self.shapes)

    def weights_of(self, vector: np.ndarray) -> NetworkWeights:
        """The weights in a vector (num_weights,); they share its memory."""
        parts = np.split(vector, np.cumsum(self.sizes)[:-1])
        arrays = [part.reshape(shape) for part, shape in zip(parts, self.shapes, strict=True)]
        count = self.num_directions
        cells = [CellWeights(*arrays[first : first + 3]) for first in range(0, 3 * self.layers * count, 3)]
        layers = tuple(tuple(cells[first : first + count]) for first in range(0, len(cells), count))
        return NetworkWeights(layers, (arrays[-2], arrays[-1]) if self.head else None)

    def matrices(self, vector: np.ndarray) -> list[np.ndarray]:
        """The weights in a vector with those of a cell, and of the dense layer, below each other in one matrix.

        They share its memory. Rows are inputs, outputs before, and biases; a cell's columns are its gates.
        """
        parts = 3 * self.layers * self.num_directions
        ends = [*range(3, parts + 1, 3), *([parts + 2] if self.head else [])]
        offsets = np.cumsum([0, *self.sizes])
        return [
            vector[offsets[start] : offsets[end]].reshape(-1, self.shapes[start][1])
            for start, end in zip([0, *ends], ends, strict=False)
        ]

    def rows(self) -> list[tuple[str, int, int]]:
        """Name, outputs at each step and number of weights of each layer, the one-hot characters first."""
        cell, width = CELLS[self.cell], 3 * self.num_directions
        label = f"Bidirectional({cell.label})" if self.bidirectional else cell.label
        recurrent = [sum(self.sizes[layer * width : (layer + 1) * width]) for layer in range(self.layers)]
        head = [("Dense", self.num_characters, sum(self.sizes[-2:]))] if self.head else []
        return [
            ("one-hot characters", self.num_characters, 0),
            *((label, self.num_outputs, count) for count in recurrent),
            *head,
        ]


class SequenceReader:
    """A network with weights that stay, in NumPy.

    Args:
        network: its structure.
        vector: its weights, float32 (num_weights,).
    """

    def __init__(self, network: RecurrentNetwork, vector: NDArray[np.float32]) -> None:
        self.network = network
        self.weights: NetworkWeights = network.weights_of(vector)

    def outputs(self, sequences: NDArray[np.int64], lengths: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """Outputs of the last recurrent layer, float32 (batch, num_steps, num_outputs), 0 past the lengths."""
        batch, num_steps = sequences.shape
        mask = None if lengths is None else length_mask(lengths, num_steps).T
        found = np.zeros((batch, num_steps, self.network.num_outputs), dtype=np.float32)
        size = max(1, _STEPS_AT_ONCE // max(1, num_steps))
        for first in range(0, batch, size):
            group = slice(first, first + size)
            values = self._read(sequences[group].T, None if mask is None else mask[:, group])
            found[group] = values.transpose(1, 0, 2)
        return found

    def logits(self, sequences: NDArray[np.int64], lengths: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """Logits of the characters that come next, float32 (batch, num_steps, num_characters)."""
        return self.with_head(self.outputs(sequences, lengths))

    def with_head(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits of the outputs of the last recurrent layer."""
        head = self.weights.head
        return outputs if head is None else outputs @ head[0] + head[1]

    def _read(self, characters: NDArray[np.int64], mask: NDArray[np.bool_] | None) -> NDArray[np.float32]:
        """Outputs (num_steps, batch, num_outputs) for characters (num_steps, batch)."""
        cell, outputs = CELLS[self.network.cell], None
        for layer in self.weights.layers:
            found = [
                cell.read(
                    direction.kernel[characters] if outputs is None else outputs @ direction.kernel,
                    direction,
                    mask=mask,
                    is_backward=is_backward,
                )
                for direction, is_backward in zip(layer, (False, True), strict=False)
            ]
            outputs = np.concatenate(found, axis=-1)
        assert outputs is not None
        return outputs


class EpisodeReader:
    """Reads one episode, or several side by side, from its first character on, one character a call.

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
        cell, layers = CELLS[self.reader.network.cell], self.reader.weights.layers
        if not self._states:
            self._states = [cell.first_state(len(characters), direction) for (direction,) in layers]
        values: NDArray[np.float32] = layers[0][0].kernel[characters]
        for place, (direction,) in enumerate(layers):
            if place:
                values = values @ direction.kernel
            self._states[place] = cell.step(values + cell.input_bias(direction), self._states[place], direction)
            values = self._states[place][0]
        return self.reader.with_head(values)
