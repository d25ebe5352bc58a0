"""The network of a character RNN: its layers, its weights in one vector, and how it reads characters."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from velodrome.agents.deep.recurrent_cells import (
    CELLS,
    NUMPY_ACTIVATIONS,
    Cell,
    CellName,
    CellWeights,
    State,
    glorot_uniform,
)


class NetworkWeights(NamedTuple):
    """All weights of a network.

    Attributes:
        layers: of each recurrent layer one cell's, or two where it is bidirectional: forward, backward.
        head: kernel (num_outputs, num_characters) and bias (num_characters,) of the dense layer, or None.
    """

    layers: tuple[tuple[CellWeights, ...], ...]
    head: tuple[Any, Any] | None


class Operations(NamedTuple):
    """What reading a sequence takes beside the cells' formulas, of NumPy or of TensorFlow.

    Attributes:
        product: of values (num_steps, batch, num_inputs) and a matrix (num_inputs, width).
        join: puts a list of arrays side by side, along the last axis.
        scan: from (cell, inputs (num_steps, batch, width), weights, whether from the end) to the outputs
            (num_steps, batch, hidden), of a cell that begins with zeros.
    """

    product: Callable[[Any, Any], Any]
    join: Callable[[list[Any]], Any]
    scan: Callable[[Cell, Any, CellWeights, bool], Any]


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
        """Shapes of the weights, in the order in which they lie in the vector."""
        found: list[tuple[int, ...]] = []
        for layer in range(self.layers):
            shapes = CELLS[self.cell].weight_shapes(self._num_inputs(layer), self.hidden)
            found += [*shapes] * self.num_directions
        if self.head:
            found += [(self.num_outputs, self.num_characters), (self.num_characters,)]
        return tuple(found)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Number of weights of each shape."""
        return tuple(prod(shape) for shape in self.shapes)

    def initial_vector(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Random weights, float32 (num_weights,)."""
        parts: list[np.ndarray] = []
        for layer in range(self.layers):
            for _ in range(self.num_directions):
                parts += CELLS[self.cell].initial_weights(self._num_inputs(layer), self.hidden, rng)
        if self.head:
            parts += [glorot_uniform((self.num_outputs, self.num_characters), rng), np.zeros(self.num_characters)]
        return np.concatenate([part.ravel() for part in parts]).astype(np.float32)

    def weights_of(self, vector: np.ndarray) -> NetworkWeights:
        """The weights in a vector (num_weights,); they share its memory."""
        parts = np.split(vector, np.cumsum(self.sizes)[:-1])
        return self.sorted_weights([part.reshape(shape) for part, shape in zip(parts, self.shapes, strict=True)])

    def sorted_weights(self, arrays: Sequence[Any]) -> NetworkWeights:
        """The weights of the layers, from arrays of `shapes`."""
        count = self.num_directions
        cells = [CellWeights(*arrays[first : first + 3]) for first in range(0, 3 * self.layers * count, 3)]
        layers = tuple(tuple(cells[first : first + count]) for first in range(0, len(cells), count))
        return NetworkWeights(layers, (arrays[-2], arrays[-1]) if self.head else None)

    def outputs(self, operations: Operations, weights: NetworkWeights, projected: Sequence[Any]) -> Any:
        """Outputs (num_steps, batch, num_outputs) of the last recurrent layer.

        Args:
            operations: of NumPy or TensorFlow.
            weights: arrays of the same kind.
            projected: characters times the first layer's kernels: for each direction (num_steps, batch, width).
        """
        cell = CELLS[self.cell]
        outputs: Any = None
        for layer in weights.layers:
            if outputs is not None:
                projected = [operations.product(outputs, direction.kernel) for direction in layer]
            found = [
                operations.scan(cell, inputs + cell.input_bias(direction), direction, is_backward)
                for direction, inputs, is_backward in zip(layer, projected, (False, True), strict=False)
            ]
            outputs = operations.join(found) if len(found) > 1 else found[0]
        return outputs

    def logits(self, operations: Operations, weights: NetworkWeights, outputs: Any) -> Any:
        """Logits (num_steps, batch, num_characters) of the outputs."""
        if weights.head is None:
            return outputs
        return operations.product(outputs, weights.head[0]) + weights.head[1]

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

    def _num_inputs(self, layer: int) -> int:
        return self.num_outputs if layer else self.num_characters


def numpy_operations(mask: NDArray[np.bool_] | None = None) -> Operations:
    """Operations of NumPy.

    Args:
        mask: which steps exist, (num_steps, batch); at others the outputs are 0 and the state stays. None is all.
    """

    def scan(cell: Cell, inputs: Any, weights: CellWeights, is_backward: bool) -> Any:
        num_steps, batch = inputs.shape[:2]
        zeros = np.zeros((batch, len(weights.recurrent_kernel)), dtype=inputs.dtype)
        state: State = (zeros,) * cell.num_states
        outputs = np.zeros((num_steps, *zeros.shape), dtype=inputs.dtype)
        for step in reversed(range(num_steps)) if is_backward else range(num_steps):
            after = cell.step(NUMPY_ACTIVATIONS, inputs[step], state, weights)
            if mask is None:
                state, outputs[step] = after, after[0]
            else:
                exists = mask[step, :, np.newaxis]
                state = tuple(np.where(exists, new, old) for new, old in zip(after, state, strict=True))
                outputs[step] = np.where(exists, state[0], 0.0)
        return outputs

    return Operations(np.matmul, lambda arrays: np.concatenate(arrays, axis=-1), scan)
