"""A network that estimates the expected reward of every action, and learns from the rewards of those chosen."""

import time
from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from velodrome.agents.deep.classifier_learner import INFERENCE_BATCH, text_array
from velodrome.agents.deep.keras_runtime import tensorflow
from velodrome.agents.deep.labelled_task import LabelledTask
from velodrome.agents.deep.network import KerasNetwork
from velodrome.agents.deep.network_inputs import network_inputs
from velodrome.agents.deep.neural_classifier import NeuralClassifier
from velodrome.agents.deep.training_program import Objective, TrainingProgram
from velodrome.agents.resuming.saving import SavedAgentError

_PARTS = ("weights", "first", "second")


class RewardProgram(TrainingProgram):
    """A training program whose labels are a pair: the chosen actions, int64 (B,), and their rewards, float32 (B,).

    The loss is the mean of (z - r)², z the network's output for the chosen action and r its reward; outputs of the
    other actions have no gradient.
    """

    def _label_specs(self) -> Any:
        return (super()._label_specs(), tensorflow().TensorSpec((None,), tensorflow().float32))

    def _loss(self, logits: Any, labels: Any) -> Any:
        tf = tensorflow()
        actions, rewards = labels
        chosen = tf.reduce_sum(logits * tf.one_hot(actions, logits.shape[-1]), axis=-1)
        return tf.reduce_mean(tf.square(chosen - rewards))


@lru_cache(maxsize=32)
def _program(network: KerasNetwork) -> RewardProgram:
    """The program of a network; tracing it takes seconds, so it is kept."""
    return RewardProgram(network, Objective())


class RewardModel:
    """Network and Adam; tensorflow is imported when the model learns or answers a batch, not before.

    Args:
        classifier: whose network it is.
        task: observations and actions.
        rng: draws the first weights.

    Attributes:
        num_updates: training steps so far.
        compile_seconds: spent so far on importing, tracing and compiling.
    """

    def __init__(self, classifier: NeuralClassifier, task: LabelledTask, rng: np.random.Generator) -> None:
        self._classifier, self._task, self._rng = classifier, task, rng
        self._state: dict[str, Any] | None = None
        # Of a loaded agent, until something needs tensorflow.
        self._stored: dict[str, np.ndarray] | None = None
        self._answer: tuple[int, Callable[[np.ndarray], np.ndarray]] | None = None
        self._has_traced = False
        self.num_updates = 0
        self.compile_seconds = 0.0

    def learn(
        self,
        inputs: np.ndarray,
        actions: np.ndarray,
        rewards: np.ndarray,
        learning_rate: float,
        rng: np.random.Generator,
    ) -> float:
        """One training step; the loss before it.

        Args:
            inputs: float32 (batch_size, *input_shape).
            actions: chosen, from 0, int64 (batch_size,).
            rewards: that they brought, float32 (batch_size,).
            learning_rate: of Adam.
            rng: this step's own stream, for dropout.
        """
        state = self._ready_state()
        started = time.perf_counter()
        tf = tensorflow()
        draw, rate = tf.constant(self._network.draw(rng)), tf.constant(learning_rate, tf.float32)
        labels = tf.constant(actions), tf.constant(rewards)
        self._state, _, tensor = self._program.step(state, tf.constant(inputs), labels, rate, draw)
        loss = float(tensor)
        self.num_updates += 1
        if not self._has_traced:
            # The first step is traced and compiled, unless another model has had one.
            self._has_traced = True
            self.compile_seconds += time.perf_counter() - started
        return loss

    def expected_rewards(self, observations: np.ndarray) -> np.ndarray:
        """Expected rewards float32 (B, num_actions) for checked observations, in bounded memory."""
        parts = [
            self._expected(network_inputs(self._task, observations[first : first + INFERENCE_BATCH]))
            for first in range(0, len(observations), INFERENCE_BATCH)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, self._task.num_classes), dtype=np.float32)

    def _expected(self, inputs: np.ndarray) -> np.ndarray:
        rewards: np.ndarray = self._program.logits(
            self._ready_state()["weights"], tensorflow().constant(inputs)
        ).numpy()
        return rewards

    def expected_rewards_of_one(self, inputs: np.ndarray) -> np.ndarray:
        """Expected rewards float32 (num_actions,) for one observation float32 (1, *input_shape)."""
        if self._answer is None or self._answer[0] != self.num_updates:
            self._answer = self.num_updates, self._answering()
        rewards: np.ndarray = self._answer[1](inputs)[0]
        return rewards

    def _answering(self) -> Callable[[np.ndarray], np.ndarray]:
        """How single observations are answered fastest with the present weights."""
        if not self._classifier.acts_by_numpy:
            return self._expected
        return self._classifier._exported(self._task, self.arrays()).logits

    def arrays(self) -> dict[str, np.ndarray]:
        """Copies of everything that acting and learning depend on: layers, weights, moments, number of updates."""
        if self._stored is not None:
            return self._stored
        state = self._ready_state()
        flat = {"model": text_array(self._network.text), "step": state["step"].numpy()}
        for part in _PARTS:
            flat |= {f"{part}/{name}": np.array(tensor) for name, tensor in state[part].items()}
        return flat

    def restore(self, arrays: dict[str, np.ndarray], num_updates: int) -> None:
        """Take over what `arrays` gave after so many updates.

        Raises:
            KeyError, ValueError: an array is missing or does not fit.
        """
        self._classifier.check_arrays(self._task, arrays)
        self._stored, self._state, self._answer = arrays, None, None
        self.num_updates = num_updates

    @cached_property
    def _network(self) -> KerasNetwork:
        return self._classifier._network(self._task)

    @cached_property
    def _program(self) -> RewardProgram:
        return _program(self._network)

    def _ready_state(self) -> dict[str, Any]:
        """Weights, moments and number of updates as tensors.

        Raises:
            SavedAgentError: what was restored does not fit.
        """
        if self._state is None:
            started = time.perf_counter()
            state = self._program.first_state(self._network.first_weights(self._rng))
            if self._stored is not None:
                state = _restored(state, self._stored)
                self._stored = None
            self._state = state
            self.compile_seconds += time.perf_counter() - started
        return self._state


def _restored(state: dict[str, Any], arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    tf = tensorflow()
    restored: dict[str, Any] = {"step": tf.constant(arrays["step"], tf.float32)}
    for part in _PARTS:
        restored[part] = {}
        for name, old in state[part].items():
            array = arrays.get(f"{part}/{name}")
            if array is None or array.shape != tuple(old.shape) or array.dtype != old.dtype.as_numpy_dtype:
                raise SavedAgentError(f"the saved array {part}/{name} is missing or does not fit the network")
            restored[part][name] = tf.constant(array)
    return restored
