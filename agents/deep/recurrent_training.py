"""How a character RNN learns: one traced TensorFlow function an iteration, from weights to weights."""

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from velodrome.agents.deep.keras_runtime import tensorflow
from velodrome.agents.deep.learner import BatchOutcome, Learner
from velodrome.agents.deep.network import KerasNetwork, model_text
from velodrome.agents.deep.recurrent_network import RecurrentNetwork, SequenceReader
from velodrome.agents.deep.sequence_loss import sequence_loss
from velodrome.agents.deep.training_program import adam_update
from velodrome.agents.engine.interruption import not_counted
from velodrome.agents.errors import UnsupportedEnvironmentError

# Parts of a learner's state, by the names that they have on disk.
_STATE = ("weights", "adam_first", "adam_second", "adam_step")


class RecurrentLearner(Learner):
    """Trains a recurrent network with Adam on the sequence loss; only fresh weights and `learn` need tensorflow.

    Args:
        network: its structure.
        rng: draws the weights.
    """

    def __init__(self, network: RecurrentNetwork, rng: np.random.Generator) -> None:
        self.network, self._rng = network, rng
        # Weights, first and second moments and Adam's step in one vector: TensorFlow checks and converts every
        # argument anew in each iteration, which would take longer than computing it.
        self._stored: Any = None
        # Smaller batches are filled up to the largest so far, because every size is traced anew.
        self._batch_size = 0
        self._reader: SequenceReader | None = None

    @property
    def _state(self) -> Any:
        if self._stored is None:
            weights = _keras_network(self.network, 1).first_weights(self._rng).values()
            vector = np.concatenate([array.ravel() for array in weights])
            self._stored = np.concatenate([vector, np.zeros(2 * len(vector) + 1, dtype=np.float32)])
        return self._stored

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
        program, state = _program(self.network, self._batch_size, num_steps), self._state
        self.compile_seconds += time.perf_counter() - started
        windows = np.zeros((3, self._batch_size, num_steps), dtype=np.int32)
        windows[0, :count], windows[1, :count], windows[2, :count] = inputs, labels, 1
        self._stored, guesses, loss = program(state, np.float32(learning_rate), windows)
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
        self._stored = np.concatenate([arrays[name] for name in _STATE])
        self._batch_size, self._reader = int(arrays["batch_size"]), None


def _parts(network: RecurrentNetwork) -> list[int]:
    """Sizes of the parts of a learner's state."""
    size = sum(network.sizes)
    return [size, size, size, 1]


def _keras_network(network: RecurrentNetwork, num_steps: int) -> KerasNetwork:
    shape = (num_steps, network.num_characters)
    return KerasNetwork(model_text("char_rnn", shape, network.keras_layers(num_steps)), shape)


@lru_cache(maxsize=32)
def _program(network: RecurrentNetwork, batch: int, num_steps: int) -> Callable[..., Any]:
    """The traced function of an iteration; all learners of a process with the same network share it."""
    tf, keras_network = tensorflow(), _keras_network(network, num_steps)
    # Nothing in these layers is random.
    no_chance = np.zeros(2, dtype=np.int64)

    def iterate(state: Any, learning_rate: Any, windows: Any) -> Any:
        vector, first, second, step = tf.split(state, _parts(network))
        inputs, labels, counted = tf.unstack(windows)
        with tf.GradientTape() as tape:
            tape.watch(vector)
            parts = zip(keras_network.trained, tf.split(vector, network.sizes), network.shapes, strict=True)
            weights = {name: tf.reshape(part, shape) for name, part, shape in parts}
            characters = tf.one_hot(inputs, network.num_characters)
            logits = keras_network.train_logits(weights, characters, no_chance, step).logits
            loss = sequence_loss(logits, labels, counted)
        gradient = tape.gradient(loss, vector)
        (vector,), (first,), (second,), step = adam_update([vector], [gradient], [first], [second], step, learning_rate)
        return tf.concat([vector, first, second, step], axis=0), tf.argmax(logits, axis=-1), loss

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
