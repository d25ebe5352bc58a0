"""The recurrent cells of Keras in NumPy, for agents that act without tensorflow."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

CellName = Literal["rnn", "lstm", "gru"]
CELL_NAMES: tuple[str, ...] = get_args(CellName)

# Longer sequences run in a loop inside TensorFlow, because tracing takes time in proportion to the unrolled steps.
UNROLLED_STEPS = 64

# What a cell remembers: its output first, then what it keeps to itself.
State = tuple[Any, ...]


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


def _sigmoid(values: np.ndarray) -> Any:
    """1 / (1 + exp(-values)), by a formula that cannot overflow."""
    return 0.5 * np.tanh(0.5 * values) + 0.5


def _step_rnn(projected: Any, state: State, weights: CellWeights) -> State:
    return (np.tanh(projected + state[0] @ weights.recurrent_kernel),)


def _step_lstm(projected: Any, state: State, weights: CellWeights) -> State:
    output, memory = state
    size = len(weights.recurrent_kernel)
    gates = projected + output @ weights.recurrent_kernel
    kept = _sigmoid(gates[..., : 2 * size])
    candidate = np.tanh(gates[..., 2 * size : 3 * size])
    memory = kept[..., size:] * memory + kept[..., :size] * candidate
    return _sigmoid(gates[..., 3 * size :]) * np.tanh(memory), memory


def _step_gru(projected: Any, state: State, weights: CellWeights) -> State:
    (output,) = state
    size = len(weights.recurrent_kernel)
    recurrent = output @ weights.recurrent_kernel + weights.bias[1]
    gates = _sigmoid(projected[..., : 2 * size] + recurrent[..., : 2 * size])
    candidate = np.tanh(projected[..., 2 * size :] + gates[..., size:] * recurrent[..., 2 * size :])
    update = gates[..., :size]
    return (update * output + (1.0 - update) * candidate,)


@dataclass(frozen=True)
class Cell:
    """One kind of cell.

    Attributes:
        label: Keras' class.
        num_gates: how many vectors of the hidden size it computes from its inputs.
        num_states: how many such vectors it remembers.
        step: from (projected inputs (batch, num_gates * hidden), state, weights) to the next state.
    """

    label: str
    num_gates: int
    num_states: int
    step: Callable[[Any, State, CellWeights], State]

    def weight_shapes(self, num_inputs: int, hidden: int) -> CellWeights:
        """Shapes of the weights."""
        width = self.num_gates * hidden
        return CellWeights((num_inputs, width), (hidden, width), (2, width) if self.num_gates == 3 else (width,))

    def input_bias(self, weights: CellWeights) -> Any:
        """The part of the bias that belongs to the inputs, (num_gates * hidden,)."""
        return weights.bias[0] if self.num_gates == 3 else weights.bias

    def first_state(self, batch: int, weights: CellWeights) -> State:
        """State before anything was read: zeros float32 (batch, hidden)."""
        return (np.zeros((batch, len(weights.recurrent_kernel)), dtype=np.float32),) * self.num_states

    def read(
        self,
        projected: NDArray[np.float32],
        weights: CellWeights,
        *,
        mask: NDArray[np.bool_] | None = None,
        is_backward: bool = False,
    ) -> NDArray[np.float32]:
        """Outputs float32 (num_steps, batch, hidden) of a cell that begins with zeros.

        Args:
            projected: inputs times the kernel, (num_steps, batch, num_gates * hidden).
            weights: of the cell.
            mask: which steps exist, (num_steps, batch); at others the outputs are 0 and the state stays. None is all.
            is_backward: whether it reads from the end.
        """
        num_steps, batch = projected.shape[:2]
        state, projected = self.first_state(batch, weights), projected + self.input_bias(weights)
        outputs = np.zeros((num_steps, *state[0].shape), dtype=np.float32)
        for step in reversed(range(num_steps)) if is_backward else range(num_steps):
            after = self.step(projected[step], state, weights)
            if mask is None:
                state, outputs[step] = after, after[0]
            else:
                exists = mask[step, :, np.newaxis]
                state = tuple(np.where(exists, new, old) for new, old in zip(after, state, strict=True))
                outputs[step] = np.where(exists, state[0], 0.0)
        return outputs


CELLS: dict[str, Cell] = {
    "rnn": Cell("SimpleRNN", 1, 1, _step_rnn),
    "lstm": Cell("LSTM", 4, 2, _step_lstm),
    "gru": Cell("GRU", 3, 1, _step_gru),
}
