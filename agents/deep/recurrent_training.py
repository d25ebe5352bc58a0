"""How a character RNN learns: one traced TensorFlow function an iteration, from weights to weights."""

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from velodrome.agents.deep.adam import AdamState, adam_update
from velodrome.agents.deep.keras_runtime import tensorflow
from velodrome.agents.deep.learner import BatchOutcome, Learner
from velodrome.agents.deep.recurrent_cells import Activations, Cell, CellWeights
from velodrome.agents.deep.recurrent_network import Operations, RecurrentNetwork
from velodrome.agents.deep.recurrent_reading import SequenceReader
from velodrome.agents.deep.sequence_loss import sequence_loss
from velodrome.agents.engine.interruption import not_counted
from velodrome.agents.errors import UnsupportedEnvironmentError

# Longer windows run in a loop inside TensorFlow, because tracing takes time in proportion to the unrolled steps.
UNROLLED_STEPS = 64

# Parts of a learner's state, by the names that they have on disk.
_STATE = ("weights", "adam_first", "adam_second", "adam_step")


class RecurrentLearner(Learner):
    """Trains a recurrent network with Adam on the sequence loss; only `learn` needs tensorflow.

    Args:
        network: its structure.
        rng: draws the weights.
    """

    def __init__(self, network: RecurrentNetwork, rng: np.random.Generator) -> None:
        self.network = network
        weights = network.initial_vector(rng)
        # Weights, first and second moments and Adam's step in one vector: TensorFlow checks and converts every
        # argument anew in each iteration, which would take longer than computing it.
        self._state: Any = np.concatenate([weights, np.zeros(2 * len(weights) + 1, dtype=np.float32)])
        # Smaller batches are filled up to the largest so far, because every size is traced anew.
        self._batch_size = 0
        self._reader: SequenceReader | None = None

    @property
    def reader(self) -> SequenceReader:
        """The network with its present weights in NumPy; another object after each iteration."""
        if self._reader is None:
            self._reader = SequenceReader(self.network, self.arrays()["weights"])
        return self._reader

    def learn(
        self, inputs: np.ndarray, labels: np.ndarray, learning_rate: float, rng: np.random.Generator
    ) -> BatchOutcome:
        if inputs.ndim != 2 or inputs.shape != labels.shape:
            raise UnsupportedEnvironmentError(
                "a character RNN learns from sequences with a label for each of their steps, "
                f"(batch, num_steps), got inputs {inputs.shape} and labels {labels.shape}"
            )
        count, num_steps = inputs.shape
        self._batch_size = max(self._batch_size, count)
        started = time.perf_counter()
        program = _program(self.network, self._batch_size, num_steps)
        self.compile_seconds += time.perf_counter() - started
        windows = np.zeros((3, self._batch_size, num_steps), dtype=np.int32)
        windows[0, :count], windows[1, :count], windows[2, :count] = inputs, labels, 1
        self._state, guesses, loss = program(self._state, np.float32(learning_rate), windows)
        self._reader = None
        return BatchOutcome(guesses.numpy()[:count], float(loss))

    def logits(self, inputs: np.ndarray) -> np.ndarray:
        return self.reader.logits(inputs)

    def arrays(self) -> dict[str, np.ndarray]:
        parts = np.split(np.array(self._state), np.cumsum(_parts(self.network))[:-1])
        return dict(zip(_STATE, parts, strict=True)) | {"batch_size": np.array(self._batch_size)}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        for name, size in zip(_STATE, _parts(self.network), strict=True):
            if arrays[name].shape != (size,) or arrays[name].dtype != np.float32:
                raise ValueError(f"{name} must be float32 ({size},), got {arrays[name].dtype} {arrays[name].shape}")
        self._state = np.concatenate([arrays[name] for name in _STATE])
        self._batch_size, self._reader = int(arrays["batch_size"]), None


def _parts(network: RecurrentNetwork) -> list[int]:
    """Sizes of the parts of a learner's state."""
    size = sum(network.sizes)
    return [size, size, size, 1]


@lru_cache(maxsize=32)
def _program(network: RecurrentNetwork, batch: int, num_steps: int) -> Callable[..., Any]:
    """The traced function of an iteration; all learners of a process with the same network share it."""
    tf = tensorflow()
    operations = _tensorflow_operations(tf)

    def logits_of(vector: Any, inputs: Any) -> Any:
        parts = tf.split(vector, network.sizes)
        weights = network.sorted_weights(
            [tf.reshape(part, shape) for part, shape in zip(parts, network.shapes, strict=True)]
        )
        characters = tf.one_hot(tf.transpose(inputs), network.num_characters, dtype=vector.dtype)
        projected = [operations.product(characters, direction.kernel) for direction in weights.layers[0]]
        outputs = network.outputs(operations, weights, projected)
        return tf.transpose(network.logits(operations, weights, outputs), (1, 0, 2))

    def iterate(state: Any, learning_rate: Any, windows: Any) -> Any:
        vector, first, second, step = tf.split(state, _parts(network))
        inputs, labels, counted = tf.unstack(windows)
        with tf.GradientTape() as tape:
            tape.watch(vector)
            logits = logits_of(vector, inputs)
            loss = sequence_loss(logits, labels, counted)
        gradient = tape.gradient(loss, vector)
        (vector,), adam = adam_update([vector], [gradient], AdamState(step, [first], [second]), learning_rate)
        state = tf.concat([vector, adam.first[0], adam.second[0], adam.step], axis=0)
        return state, tf.argmax(logits, axis=-1), loss

    signature = (
        tf.TensorSpec((sum(_parts(network)),), tf.float32),
        tf.TensorSpec((), tf.float32),
        tf.TensorSpec((3, batch, num_steps), tf.int32),
    )
    function = tf.function(iterate, autograph=False, input_signature=signature)
    with not_counted():
        function.get_concrete_function()
    traced: Callable[..., Any] = function
    return traced


def _tensorflow_operations(tf: Any) -> Operations:
    activations = Activations(tf.tanh, tf.sigmoid)

    def product(values: Any, matrix: Any) -> Any:
        num_steps, batch, num_inputs = values.shape
        # A product of matrices is faster than one of a matrix for each step.
        flat = tf.reshape(values, (num_steps * batch, num_inputs))
        return tf.reshape(flat @ matrix, (num_steps, batch, matrix.shape[1]))

    def scan(cell: Cell, inputs: Any, weights: CellWeights, is_backward: bool) -> Any:
        num_steps, batch = inputs.shape[:2]
        state = (tf.zeros((batch, weights.recurrent_kernel.shape[0]), inputs.dtype),) * cell.num_states
        if num_steps > UNROLLED_STEPS:
            return tf.scan(
                lambda before, projected: cell.step(activations, projected, before, weights),
                inputs,
                initializer=state,
                reverse=is_backward,
            )[0]
        outputs = []
        for projected in reversed(tf.unstack(inputs)) if is_backward else tf.unstack(inputs):
            state = cell.step(activations, projected, state, weights)
            outputs.append(state[0])
        return tf.stack(outputs[::-1] if is_backward else outputs)

    return Operations(product, lambda arrays: tf.concat(arrays, axis=-1), scan)
