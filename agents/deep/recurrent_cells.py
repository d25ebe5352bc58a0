"""Recurrent cells as plain formulas, which NumPy and TensorFlow run alike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

CellName = Literal["rnn", "lstm", "gru"]
CELL_NAMES: tuple[str, ...] = get_args(CellName)

# What a cell remembers: its output first, then what it keeps to itself.
State = tuple[Any, ...]


class Activations(NamedTuple):
    """The functions that cells use, of NumPy or of TensorFlow."""

    tanh: Callable[[Any], Any]
    sigmoid: Callable[[Any], Any]


class CellWeights(NamedTuple):
    """Weights of one cell, in Keras' shapes and order of gates.

    Attributes:
        kernel: (num_inputs, num_gates * hidden).
        recurrent_kernel: (hidden, num_gates * hidden).
        bias: (num_gates * hidden,), of a GRU (2, 3 * hidden), for its inputs and for its recurrent part.
    """

    kernel: Any
    recurrent_kernel: Any
    bias: Any


def numpy_sigmoid(values: np.ndarray) -> Any:
    """1 / (1 + exp(-values)), by a formula that cannot overflow."""
    return 0.5 * np.tanh(0.5 * values) + 0.5


NUMPY_ACTIVATIONS = Activations(np.tanh, numpy_sigmoid)


def _step_rnn(functions: Activations, projected: Any, state: State, weights: CellWeights) -> State:
    return (functions.tanh(projected + state[0] @ weights.recurrent_kernel),)


def _step_lstm(functions: Activations, projected: Any, state: State, weights: CellWeights) -> State:
    output, memory = state
    size = weights.recurrent_kernel.shape[0]
    gates = projected + output @ weights.recurrent_kernel
    kept = functions.sigmoid(gates[..., : 2 * size])
    candidate = functions.tanh(gates[..., 2 * size : 3 * size])
    memory = kept[..., size:] * memory + kept[..., :size] * candidate
    return functions.sigmoid(gates[..., 3 * size :]) * functions.tanh(memory), memory


def _step_gru(functions: Activations, projected: Any, state: State, weights: CellWeights) -> State:
    (output,) = state
    size = weights.recurrent_kernel.shape[0]
    recurrent = output @ weights.recurrent_kernel + weights.bias[1]
    gates = functions.sigmoid(projected[..., : 2 * size] + recurrent[..., : 2 * size])
    candidate = functions.tanh(projected[..., 2 * size :] + gates[..., size:] * recurrent[..., 2 * size :])
    update = gates[..., :size]
    return (update * output + (1.0 - update) * candidate,)


@dataclass(frozen=True)
class Cell:
    """One kind of cell.

    Attributes:
        label: as layers are called.
        num_gates: how many vectors of the hidden size it computes from its inputs.
        num_states: how many such vectors it remembers.
        step: from (functions, projected inputs (batch, num_gates * hidden), state, weights) to the next state.
    """

    label: str
    num_gates: int
    num_states: int
    step: Callable[[Activations, Any, State, CellWeights], State]

    def weight_shapes(self, num_inputs: int, hidden: int) -> CellWeights:
        """Shapes of the weights."""
        width = self.num_gates * hidden
        return CellWeights((num_inputs, width), (hidden, width), (2, width) if self.num_gates == 3 else (width,))

    def input_bias(self, weights: CellWeights) -> Any:
        """The part of the bias that belongs to the inputs, (num_gates * hidden,)."""
        return weights.bias[0] if self.num_gates == 3 else weights.bias

    def initial_weights(self, num_inputs: int, hidden: int, rng: np.random.Generator) -> CellWeights:
        """As Keras initialises them: Glorot uniform, orthogonal, and zeros but for an LSTM's forget gate of ones.

        Source: Glorot & Bengio (2010); Saxe et al. (2014); Jozefowicz et al. (2015).
        """
        shapes = self.weight_shapes(num_inputs, hidden)
        bias = np.zeros(shapes.bias)
        if self.num_gates == 4:
            bias[hidden : 2 * hidden] = 1.0
        return CellWeights(glorot_uniform(shapes.kernel, rng), _orthogonal(shapes.recurrent_kernel, rng), bias)


def last_output(cell: Cell, functions: Activations, projected: Sequence[Any], zeros: Any, weights: CellWeights) -> Any:
    """Output of a cell that has read some steps from the first to the last, beginning with nothing.

    Args:
        cell: that reads.
        functions: of NumPy or TensorFlow.
        projected: for each step, its inputs times the kernel, plus the inputs' bias, (batch, num_gates * hidden).
        zeros: (batch, hidden), of the same kind.
        weights: of the cell.
    """
    state: State = (zeros,) * cell.num_states
    for inputs in projected:
        state = cell.step(functions, inputs, state, weights)
    return state[0]


CELLS: dict[str, Cell] = {
    "rnn": Cell("SimpleRNN", 1, 1, _step_rnn),
    "lstm": Cell("LSTM", 4, 2, _step_lstm),
    "gru": Cell("GRU", 3, 1, _step_gru),
}


def glorot_uniform(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Uniform between ±sqrt(6 / (rows + columns))."""
    limit = float(np.sqrt(6.0 / sum(shape)))
    return rng.uniform(-limit, limit, shape)


def _orthogonal(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Rows that are orthogonal and of length 1; `shape` has at least as many columns as rows."""
    factor, triangle = np.linalg.qr(rng.standard_normal(shape[::-1]))
    # Without the signs the directions would not be uniform.
    return np.asarray((factor * np.sign(np.diag(triangle))).T)
