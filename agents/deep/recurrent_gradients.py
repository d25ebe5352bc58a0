"""The recurrent cells of Keras on whole sequences in NumPy, with the gradients of their weights and inputs."""

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

_ONE, _HALF = np.float32(1), np.float32(0.5)


def _zeros(*shape: int) -> Array:
    return np.zeros(shape, dtype=np.float32)


class CellPass(ABC):
    """One cell's way along sequences, beginning with zeros, and back along them for the gradient.

    Arrays are (num_steps, features, batch), so that what is computed of one step lies together. They are made once
    and written to again by each pass: to allocate them would take longer than to compute them.

    Args:
        num_inputs: of the cell.
        hidden: units of the cell.
        num_steps: of the sequences.
        batch: number of sequences.

    Attributes:
        outputs: of the last pass forward, (num_steps, hidden, batch).
    """

    num_gates: int
    num_biases = 1

    def __init__(self, num_inputs: int, hidden: int, num_steps: int, batch: int) -> None:
        self.num_inputs, self.hidden, self.num_steps = num_inputs, hidden, num_steps
        rows, width = num_inputs + hidden + self.num_biases, self.num_gates * hidden
        # What the weights are multiplied by at each step: the inputs, the outputs before, and a 1 for each bias.
        self.factors = np.ones((num_steps, rows, batch), dtype=np.float32)
        self.inputs, self.before = self.factors[:, :num_inputs], self.factors[:, num_inputs : num_inputs + hidden]
        self.before[0] = 0.0
        self.outputs = _zeros(num_steps, hidden, batch)
        self.weights, self._transposed = _zeros(rows, width), _zeros(width, rows)
        self._of_output, self._of_factors = _zeros(hidden, batch), _zeros(rows, batch)
        self._of_inputs, self._of_weights = self._of_factors[:num_inputs], _zeros(rows, width)
        self._of_before = self._of_factors[num_inputs : num_inputs + hidden]
        self._scratch = _zeros(hidden, batch)

    def forward(self, weights: Array, inputs: NDArray[np.float32] | NDArray[np.bool_]) -> Array:
        """The outputs.

        Args:
            weights: kernel, recurrent kernel and bias below each other, (num_inputs + hidden + num_biases,
                num_gates * hidden), in Keras' order of gates.
            inputs: (num_steps, num_inputs, batch).
        """
        self.weights = weights
        self._transposed[:], self.inputs[:] = weights.T, inputs
        self.begin()
        for step in range(self.num_steps):
            self.step(step)
            if step + 1 < self.num_steps:
                self.before[step + 1] = self.outputs[step]
        return self.outputs

    def backward(self, of_outputs: Array, of_weights: Array, of_inputs: Array | None) -> None:
        """Write the gradients of the weights and inputs of the last pass forward.

        Args:
            of_outputs: gradient of the outputs, in their shape.
            of_weights: in the shape of the weights.
            of_inputs: in the shape of the inputs; None is not wanted.
        """
        of_weights[:] = 0.0
        self._of_before[:] = 0.0
        for step in reversed(range(self.num_steps)):
            np.add(of_outputs[step], self._of_before, out=self._of_output)
            self.step_backward(step, of_weights)
            if of_inputs is not None:
                of_inputs[step] = self._of_inputs

    @abstractmethod
    def begin(self) -> None:
        """Prepare a pass forward and back."""

    @abstractmethod
    def step(self, step: int) -> None:
        """Write the outputs of a step, and keep what its gradient needs."""

    @abstractmethod
    def step_backward(self, step: int, of_weights: Array) -> None:
        """From the gradient of a step's outputs, add to that of the weights; write those of inputs and outputs before.

        Args:
            step: called from the last to the first.
            of_weights: of all later steps.
        """


class RNNPass(CellPass):
    """Elman's cell with tanh."""

    num_gates = 1

    def begin(self) -> None:
        pass

    def step(self, step: int) -> None:
        output = self.outputs[step]
        np.matmul(self._transposed, self.factors[step], out=output)
        np.tanh(output, out=output)

    def step_backward(self, step: int, of_weights: Array) -> None:
        gradient = self._of_output
        np.multiply(self.outputs[step], self.outputs[step], out=self._scratch)
        np.subtract(_ONE, self._scratch, out=self._scratch)
        gradient *= self._scratch
        of_weights += np.matmul(self.factors[step], gradient.T, out=self._of_weights)
        np.matmul(self.weights, gradient, out=self._of_factors)


class LSTMPass(CellPass):
    """Long short-term memory, with the gates for input and forgetting, the candidate, and the gate for output."""

    num_gates = 4

    def __init__(self, num_inputs: int, hidden: int, num_steps: int, batch: int) -> None:
        super().__init__(num_inputs, hidden, num_steps, batch)
        self._gates = _zeros(num_steps, 4, hidden, batch)
        self._memory, self._shown = _zeros(num_steps + 1, hidden, batch), _zeros(num_steps, hidden, batch)
        self._of_gates, self._of_memory = _zeros(4, hidden, batch), _zeros(hidden, batch)

    def begin(self) -> None:
        # sigmoid(x) is tanh(x / 2) / 2 + 1/2, and halves are exact: one tanh does for all four.
        self._transposed[: 2 * self.hidden] *= _HALF
        self._transposed[3 * self.hidden :] *= _HALF
        self._of_memory[:] = 0.0

    def step(self, step: int) -> None:
        gates, memory, shown = self._gates[step], self._memory[step + 1], self._shown[step]
        flat = gates.reshape(4 * self.hidden, -1)
        np.matmul(self._transposed, self.factors[step], out=flat)
        np.tanh(flat, out=flat)
        for gate in (gates[:2], gates[3]):
            gate *= _HALF
            gate += _HALF
        np.multiply(gates[1], self._memory[step], out=memory)
        memory += np.multiply(gates[0], gates[2], out=self._scratch)
        np.tanh(memory, out=shown)
        np.multiply(gates[3], shown, out=self.outputs[step])

    def step_backward(self, step: int, of_weights: Array) -> None:
        gates, shown, of_gates = self._gates[step], self._shown[step], self._of_gates
        of_output, of_memory, through = self._of_output, self._of_memory, self._scratch
        np.multiply(of_output, gates[3], out=through)
        of_memory += through
        through *= shown
        through *= shown
        of_memory -= through
        # The derivatives of sigmoid and tanh by what they were applied to.
        np.multiply(gates, gates, out=of_gates)
        np.subtract(gates[:2], of_gates[:2], out=of_gates[:2])
        np.subtract(_ONE, of_gates[2], out=of_gates[2])
        np.subtract(gates[3], of_gates[3], out=of_gates[3])
        of_gates[0] *= gates[2]
        of_gates[1] *= self._memory[step]
        of_gates[2] *= gates[0]
        of_gates[:3] *= of_memory
        of_output *= shown
        of_gates[3] *= of_output
        of_memory *= gates[1]
        flat = of_gates.reshape(4 * self.hidden, -1)
        of_weights += np.matmul(self.factors[step], flat.T, out=self._of_weights)
        np.matmul(self.weights, flat, out=self._of_factors)


class GRUPass(CellPass):
    """Gated recurrent unit, with the gates for keeping and resetting, and the candidate, reset after the product."""

    num_gates, num_biases = 3, 2

    def __init__(self, num_inputs: int, hidden: int, num_steps: int, batch: int) -> None:
        super().__init__(num_inputs, hidden, num_steps, batch)
        self._gates = _zeros(num_steps, 2, hidden, batch)
        self._recalled, self._candidates = _zeros(num_steps, hidden, batch), _zeros(num_steps, hidden, batch)
        # Gradients of what is summed in the gates and the candidate, as the inputs and as the outputs before see them.
        self._by_inputs, self._by_outputs = _zeros(3, hidden, batch), _zeros(3, hidden, batch)
        self._kept = _zeros(hidden, batch)

    def begin(self) -> None:
        inputs, gates = self.num_inputs, 2 * self.hidden
        self._transposed[:gates] *= _HALF
        candidate = self._transposed[gates:]
        self._kernel, self._recurrent_kernel = candidate[:, :inputs], candidate[:, inputs:-2]
        self._bias, self._recurrent_bias = candidate[:, -2:-1], candidate[:, -1:]

    def step(self, step: int) -> None:
        gates, recalled, candidate = self._gates[step], self._recalled[step], self._candidates[step]
        before, output = self.before[step], self.outputs[step]
        flat = gates.reshape(2 * self.hidden, -1)
        np.matmul(self._transposed[: 2 * self.hidden], self.factors[step], out=flat)
        np.tanh(flat, out=flat)
        flat *= _HALF
        flat += _HALF
        np.matmul(self._recurrent_kernel, before, out=recalled)
        recalled += self._recurrent_bias
        np.matmul(self._kernel, self.inputs[step], out=candidate)
        candidate += self._bias
        candidate += np.multiply(gates[1], recalled, out=self._scratch)
        np.tanh(candidate, out=candidate)
        np.subtract(before, candidate, out=output)
        output *= gates[0]
        output += candidate

    def step_backward(self, step: int, of_weights: Array) -> None:
        gates, candidate, by_inputs, by_outputs = (
            self._gates[step], self._candidates[step], self._by_inputs, self._by_outputs
        )  # fmt: skip
        before, inputs, hidden, kept = self.before[step], self.num_inputs, self.hidden, self._kept
        np.multiply(self._of_output, gates[0], out=kept)
        np.multiply(candidate, candidate, out=self._scratch)
        np.subtract(_ONE, self._scratch, out=self._scratch)
        np.subtract(self._of_output, kept, out=by_inputs[2])
        by_inputs[2] *= self._scratch
        np.subtract(before, candidate, out=by_inputs[0])
        by_inputs[0] *= self._of_output
        np.multiply(by_inputs[2], self._recalled[step], out=by_inputs[1])
        np.multiply(gates, gates, out=by_outputs[:2])
        np.subtract(gates, by_outputs[:2], out=by_outputs[:2])
        by_inputs[:2] *= by_outputs[:2]
        by_outputs[:2] = by_inputs[:2]
        np.multiply(by_inputs[2], gates[1], out=by_outputs[2])
        flat, recurrent = by_inputs.reshape(3 * hidden, -1), by_outputs.reshape(3 * hidden, -1)
        # Rows of the inputs, of the outputs before, and of the two biases, whose factors are 1.
        products = self._of_weights
        np.matmul(self.inputs[step], flat.T, out=products[:inputs])
        np.matmul(before, recurrent.T, out=products[inputs:-2])
        np.sum(flat, axis=1, out=products[-2])
        np.sum(recurrent, axis=1, out=products[-1])
        of_weights += products
        np.matmul(self.weights[:inputs], flat, out=self._of_inputs)
        np.matmul(self.weights[inputs:-2], recurrent, out=self._of_before)
        np.add(self._of_before, kept, out=self._of_before)


CELL_PASSES: dict[str, type[CellPass]] = {"rnn": RNNPass, "lstm": LSTMPass, "gru": GRUPass}
