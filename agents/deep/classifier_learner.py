"""How a classifier learns: a compiled step a batch, on images that may be moved at random first."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from velodrome.agents.deep.augmentation import NEIGHBOURS, moved, random_transforms
from velodrome.agents.deep.keras_runtime import tensorflow
from velodrome.agents.deep.labelled_task import LabelledTask
from velodrome.agents.deep.learner import BatchOutcome, Learner
from velodrome.agents.deep.network import KerasNetwork
from velodrome.agents.deep.network_inputs import network_inputs
from velodrome.agents.deep.training_program import Objective, training_program

# Memory for answers is bounded, however many images are asked about.
INFERENCE_BATCH = 256


@dataclass(frozen=True)
class Augmentation:
    """Random changes of images.

    Attributes:
        shift: in training, up to so many pixels to each side.
        rotate: in training, up to so many degrees to each side.
        test_time: answers are the mean over an image and its four neighbours, one pixel away.
    """

    shift: int = 0
    rotate: float = 0.0
    test_time: bool = False


class ClassifierLearner(Learner):
    """A network and Adam.

    Args:
        task: observations and classes.
        network: its functions.
        objective: of training.
        augmentation: of images.
        rng: draws the first weights.
    """

    def __init__(
        self,
        task: LabelledTask,
        network: KerasNetwork,
        objective: Objective,
        augmentation: Augmentation,
        rng: np.random.Generator,
    ) -> None:
        self._task, self._network, self._augmentation = task, network, augmentation
        self._program = training_program(network, objective)
        self._state: dict[str, Any] = self._program.first_state(network.first_weights(rng))
        self._has_traced = False

    def learn(
        self, inputs: np.ndarray, labels: np.ndarray, learning_rate: float, rng: np.random.Generator
    ) -> BatchOutcome:
        tf = tensorflow()
        started = time.perf_counter()
        images: Any = tf.constant(network_inputs(self._task, inputs))
        augmentation = self._augmentation
        if augmentation.shift or augmentation.rotate:
            number, height, width, _ = images.shape
            transforms = random_transforms(rng, number, height, width, augmentation.shift, augmentation.rotate)
            images = tf.raw_ops.ImageProjectiveTransformV3(
                images=images, transforms=transforms, output_shape=[height, width], fill_value=0.0,
                interpolation="BILINEAR", fill_mode="CONSTANT",
            )  # fmt: skip
        draw, rate = tf.constant(self._network.draw(rng)), tf.constant(learning_rate, tf.float32)
        self._state, tensor, loss = self._program.step(self._state, images, tf.constant(labels.reshape(-1)), rate, draw)
        logits = tensor.numpy().reshape(*labels.shape, -1)
        outcome = BatchOutcome(np.argmax(logits, axis=-1), float(loss), logits)
        if not self._has_traced:
            # The first step is traced, unless another learner has had one.
            self._has_traced = True
            self.compile_seconds += time.perf_counter() - started
        return outcome

    def logits(self, inputs: np.ndarray) -> np.ndarray:
        leading = inputs.shape[: inputs.ndim - len(self._task.observation_shape)]
        flat = inputs.reshape(-1, *self._task.observation_shape)
        parts = [
            self._answer(network_inputs(self._task, flat[first : first + INFERENCE_BATCH]))
            for first in range(0, len(flat), INFERENCE_BATCH)
        ]
        joined = np.concatenate(parts) if parts else np.zeros((0, self._task.num_classes), dtype=np.float32)
        return joined.reshape(*leading, self._task.num_classes)

    def _answer(self, images: np.ndarray) -> np.ndarray:
        tf = tensorflow()
        weights = self._state.get("averaged", self._state["weights"])

        def answer(these: np.ndarray) -> np.ndarray:
            found: np.ndarray = self._program.logits(weights, tf.constant(these)).numpy()
            return found

        if not self._augmentation.test_time:
            return answer(images)
        return log_mean_probabilities(np.stack([answer(moved(images, *offset)) for offset in NEIGHBOURS]))

    def arrays(self) -> dict[str, np.ndarray]:
        flat = {"model": text_array(self._network.text), "step": self._state["step"].numpy()}
        for part, tensors in self._state.items():
            if part != "step":
                flat |= {f"{part}/{name}": np.array(tensor) for name, tensor in tensors.items()}
        return flat

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        tf = tensorflow()
        state: dict[str, Any] = {"step": tf.constant(arrays["step"], tf.float32)}
        for part, tensors in self._state.items():
            if part != "step":
                state[part] = {name: _fitting(f"{part}/{name}", arrays, tensor) for name, tensor in tensors.items()}
        self._state = state


def text_array(text: str) -> np.ndarray:
    """A text as bytes, uint8 (length,)."""
    return np.frombuffer(text.encode(), dtype=np.uint8)


def text_of(array: np.ndarray) -> str:
    """The text in an array of `text_array`."""
    return array.tobytes().decode()


def log_mean_probabilities(logits: np.ndarray) -> np.ndarray:
    """Logarithm of the mean softmax, float32 (B, num_classes), of logits (number, B, num_classes)."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    highest = log_probabilities.max(axis=0)
    mean: np.ndarray = highest + np.log(np.exp(log_probabilities - highest).mean(axis=0))
    return mean.astype(np.float32)


def _fitting(name: str, arrays: dict[str, np.ndarray], tensor: Any) -> Any:
    array = arrays[name]
    if array.shape != tuple(tensor.shape) or array.dtype != tensor.dtype.as_numpy_dtype:
        raise ValueError(f"array {name} has shape {array.shape} and dtype {array.dtype}")
    return tensorflow().constant(array)
