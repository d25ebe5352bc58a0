"""How a character RNN learns: Adam on the sequence loss of a batch of windows, in NumPy."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from velodrome.agents.deep.learner import BatchOutcome, Learner
from velodrome.agents.deep.recurrent_gradients import CELL_PASSES, Array, CellPass
from velodrome.agents.deep.recurrent_network import RecurrentNetwork, SequenceReader
from velodrome.agents.deep.training_program import EPSILON, FIRST_DECAY, SECOND_DECAY
from velodrome.agents.engine.one_thread import one_thread
from velodrome.agents.errors import UnsupportedEnvironmentError

# Parts of a learner's state, by the names that they have on disk.
_STATE = ("weights", "adam_first", "adam_second", "adam_step")


class RecurrentLearner(Learner):
    """Trains a recurrent network with Adam on the sequence loss, without tensorflow.

    Args:
        network: its structure.
        rng: draws the weights.
    """

    loop = "numpy"

    def __init__(self, network: RecurrentNetwork, rng: np.random.Generator) -> None:
        self.network, self._rng = network, rng
        self._stored: dict[str, Array] | None = None
        self._reader: SequenceReader | None = None
        self._passes: dict[tuple[int, ...], TrainingPass] = {}

    @property
    def _state(self) -> dict[str, Array]:
        if self._stored is None:
            weights = first_weights(self.network, self._rng)
            moments = np.zeros((2, len(weights)), dtype=np.float32)
            self._stored = dict(zip(_STATE, (weights, *moments, np.zeros(1, dtype=np.float32)), strict=True))
        return self._stored

    @property
    def reader(self) -> SequenceReader:
        """The network with its present weights; another object after each iteration."""
        if self._reader is None:
            self._reader = SequenceReader(self.network, self._state["weights"])
        return self._reader

    @one_thread
    def learn(
        self, inputs: np.ndarray, labels: np.ndarray, learning_rate: float, rng: np.random.Generator
    ) -> BatchOutcome:
        if inputs.ndim != 2 or inputs.shape != labels.shape:
            raise UnsupportedEnvironmentError(
                "a character RNN learns from sequences with a label for each of their steps, "
                f"(batch, num_steps), got inputs {inputs.shape} and labels {labels.shape}"
            )
        # A loss that is not finite is refused by the caller.
        with np.errstate(all="ignore"):
            guesses, loss, gradient = self._pass(inputs.shape).run(self._state["weights"], inputs, labels)
            self._stored = _adam_update(self._state, gradient, learning_rate)
        self._reader = None
        return BatchOutcome(guesses, loss)

    def _pass(self, shape: tuple[int, ...]) -> "TrainingPass":
        """What trains on windows of this shape; two are kept, for the last batch of an epoch may be smaller."""
        if shape not in self._passes:
            if len(self._passes) == 2:
                self._passes.clear()
            self._passes[shape] = TrainingPass(self.network, *shape)
        return self._passes[shape]

    def logits(self, inputs: np.ndarray) -> np.ndarray:
        return self.reader.logits(inputs)

    def arrays(self) -> dict[str, np.ndarray]:
        return {name: array.copy() for name, array in self._state.items()}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        size = sum(self.network.sizes)
        for name, shape in zip(_STATE, ((size,), (size,), (size,), (1,)), strict=True):
            if arrays[name].shape != shape or arrays[name].dtype != np.float32:
                raise ValueError(f"{name} must be float32 {shape}, got {arrays[name].dtype} {arrays[name].shape}")
        self._stored, self._reader = {name: arrays[name] for name in _STATE}, None


@one_thread
def first_weights(network: RecurrentNetwork, rng: np.random.Generator) -> Array:
    """Weights before learning as Keras' layers begin, float32 (num_weights,).

    Kernels are uniform (Glorot & Bengio, 2010), recurrent kernels orthogonal (Saxe et al., 2014), biases 0, but for
    that of an LSTM's forgetting, which is 1 (Jozefowicz et al., 2015).
    """
    vector = np.zeros(sum(network.sizes), dtype=np.float32)
    weights = network.weights_of(vector)
    cells = [cell for layer in weights.layers for cell in layer]
    for kernel in [*(cell.kernel for cell in cells), *([weights.head[0]] if weights.head else [])]:
        limit = math.sqrt(6.0 / sum(kernel.shape))
        kernel[:] = rng.uniform(-limit, limit, kernel.shape)
    for cell in cells:
        triangle = np.linalg.qr(rng.standard_normal(cell.recurrent_kernel.T.shape))
        cell.recurrent_kernel[:] = (triangle.Q * np.sign(np.diag(triangle.R))).T
        if network.cell == "lstm":
            cell.bias[network.hidden : 2 * network.hidden] = 1.0
    return vector


class TrainingPass:
    """A network's way along a batch of windows and back, for the loss and its gradient.

    Args:
        network: its structure.
        batch: number of windows.
        num_steps: of a window.
    """

    def __init__(self, network: RecurrentNetwork, batch: int, num_steps: int) -> None:
        self._network, cell = network, CELL_PASSES[network.cell]
        self._layers: list[list[CellPass]] = [
            [cell(width, network.hidden, num_steps, batch) for _ in range(network.num_directions)]
            for width in [network.num_characters, *[network.num_outputs] * (network.layers - 1)]
        ]
        self._characters = np.arange(network.num_characters)[:, np.newaxis]
        self._outputs, self._of_outputs = np.zeros((2, num_steps, network.num_outputs, batch), dtype=np.float32)
        self._logits, self._shares = np.zeros((2, num_steps, network.num_characters, batch), dtype=np.float32)
        self._gradient = np.zeros(sum(network.sizes), dtype=np.float32)

    def run(
        self, vector: Array, inputs: np.ndarray, labels: np.ndarray
    ) -> tuple[NDArray[np.int64], float, NDArray[np.float32]]:
        """Guesses (batch, num_steps), mean loss in nats, and its gradient by the weights, which is written to again.

        Args:
            vector: weights of the network, float32 (num_weights,).
            inputs: characters, whole numbers (batch, num_steps).
            labels: the characters that come next, likewise.
        """
        network, logits, shares = self._network, self._logits, self._shares
        matrices, gradients = network.matrices(vector), network.matrices(self._gradient)
        size = network.num_directions
        values: NDArray[Any] = inputs.T[:, np.newaxis] == self._characters
        for number, layer in enumerate(self._layers):
            pairs = zip(layer, matrices[number * size : (number + 1) * size], strict=True)
            found = [
                _along(cell.forward(matrix, _along(values, place)), place) for place, (cell, matrix) in enumerate(pairs)
            ]
            values = np.concatenate(found, axis=1, out=self._outputs) if len(found) > 1 else found[0]
        if network.head:
            np.matmul(matrices[-1][:-1].T, values, out=logits)
            logits += matrices[-1][-1][:, np.newaxis]
        else:
            logits[:] = values
        guesses = logits.argmax(axis=1).T
        logits -= logits.max(axis=1, keepdims=True)
        np.exp(logits, out=shares)
        totals = shares.sum(axis=1, keepdims=True)
        places = labels.T[:, np.newaxis]
        right = np.take_along_axis(logits, places, axis=1)
        loss = float(np.mean(np.log(totals) - right, dtype=np.float64))
        # The gradient by the logits.
        totals *= np.float32(labels.size)
        shares /= totals
        np.put_along_axis(
            shares, places, np.take_along_axis(shares, places, axis=1) - np.float32(1 / labels.size), axis=1
        )
        if network.head:
            gradients[-1][:-1] = np.matmul(values, shares.transpose(0, 2, 1)).sum(axis=0)
            gradients[-1][-1] = shares.sum(axis=(0, 2))
            shares = np.matmul(matrices[-1][:-1], shares, out=self._of_outputs)
        for number, layer in reversed(list(enumerate(self._layers))):
            parts = np.split(shares, size, axis=1)
            shares = np.zeros_like(layer[0].inputs)
            for place, cell in enumerate(layer):
                of_inputs = np.empty_like(cell.inputs) if number else None
                cell.backward(_along(parts[place], place), gradients[number * size + place], of_inputs)
                if of_inputs is not None:
                    shares += _along(of_inputs, place)
        return guesses, loss, self._gradient


def _along(values: NDArray[Any], direction: int) -> NDArray[Any]:
    """Steps in the order in which the forward (0) or the backward (1) cell of a layer reads them."""
    return values[::-1] if direction else values


def _adam_update(state: dict[str, Array], gradient: Array, learning_rate: float) -> dict[str, Array]:
    """State after one update, as `keras.optimizers.Adam` computes it; see `training_program.adam_update`."""
    weights, first, second, step = (state[name] for name in _STATE)
    updates: Array = step + np.float32(1)
    count = float(updates[0])
    rate = learning_rate * math.sqrt(1.0 - SECOND_DECAY**count) / (1.0 - FIRST_DECAY**count)
    new_first: Array = first + (gradient - first) * np.float32(1.0 - FIRST_DECAY)
    new_second: Array = second + (gradient * gradient - second) * np.float32(1.0 - SECOND_DECAY)
    scale: Array = np.sqrt(new_second) + np.float32(EPSILON)
    change: Array = np.float32(rate) * new_first / scale
    return dict(zip(_STATE, (weights - change, new_first, new_second, updates), strict=True))
