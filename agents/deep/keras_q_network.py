"""A Q-network of any layers that Keras has: it learns in a TensorFlow program, several gradient steps a call."""

import json
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from velodrome.agents.deep import q_kernels as kernels
from velodrome.agents.deep.classifier_learner import text_array
from velodrome.agents.deep.keras_runtime import tensorflow
from velodrome.agents.deep.labelled_task import LabelledTask
from velodrome.agents.deep.network import KerasNetwork
from velodrome.agents.deep.network_inputs import input_shape
from velodrome.agents.deep.neural_classifier import NeuralClassifier
from velodrome.agents.deep.q_model import Batch, LearningRule, NetworkShape, first_range
from velodrome.agents.deep.training_program import adam_update
from velodrome.agents.engine.interruption import not_counted
from velodrome.agents.engine.seeding import Streams
from velodrome.agents.resuming.saving import SavedAgentError

# Gradient steps of one call of the program: more take more room, and hardly less time each.
LONGEST_BURST = 16
# Stream of the agent for what layers drop.
_DROPPED = 3
# Observations that are valued at once.
_CHUNK = 256
# Layers that XLA makes faster on processors: dense ones about twice, convolutions twice as slow or much more.
_COMPILED_LAYERS = {"InputLayer", "Flatten", "Dense", "ReLU", "Activation", "Dropout", "BatchNormalization"}
_MOMENTS = ("first", "second")
_RECURRENT = ("SimpleRNN", "LSTM", "GRU")


class QProgram:
    """Traced functions, shared by all learners of a process that have the same network and options.

    Between calls the weights of a network are one vector, in the order of `KerasNetwork.weight_shapes`: a call takes as
    much time for each tensor that it is given as for a small product.

    Args:
        network: its functions.
        shape: of its inputs and outputs.
        rule: of the gradient steps.
    """

    def __init__(self, network: KerasNetwork, shape: NetworkShape, rule: LearningRule) -> None:
        tf = tensorflow()
        self._network, self._shape, self._rule = network, shape, rule
        self._trained = [name for name in network.trained if shape.has_bias or not name.endswith("/bias")]
        self.has_chance = len(network.model.variables) > len(network.weight_shapes)
        layers = {layer["class_name"] for layer in json.loads(network.text)["config"]["layers"]}
        # The compiler wants all shapes, and so a trace for each length of a burst.
        self.learn = tf.function(self._burst, autograph=False, jit_compile=layers <= _COMPILED_LAYERS)
        self.values = tf.function(self._values_of_vector, autograph=False, reduce_retracing=True)

    def _values_of_vector(self, vector: Any, inputs: Any) -> Any:
        """Action values (B, num_actions) of inputs (B, D) by weights (num_weights,)."""
        return self._values(self._named(vector), inputs)

    def _named(self, vector: Any) -> dict[str, Any]:
        tf, shapes = tensorflow(), self._network.weight_shapes
        parts = tf.split(vector, [math.prod(shape) for shape in shapes.values()])
        return {name: tf.reshape(part, shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}

    def _vector(self, named: dict[str, Any]) -> Any:
        tf = tensorflow()
        return tf.concat([tf.reshape(named[name], (-1,)) for name in self._network.weight_shapes], axis=0)

    def _values(self, weights: Any, inputs: Any) -> Any:
        """Action values (B, num_actions) of inputs (B, D), in inference mode."""
        return self._combined(self._network.logits(weights, self._read(inputs)))

    def _read(self, inputs: Any) -> Any:
        tf, shape = tensorflow(), self._shape
        return tf.one_hot(tf.cast(inputs[:, 0], tf.int32), shape.num_inputs) if shape.is_symbol else inputs

    def _combined(self, outputs: Any) -> Any:
        if not self._shape.is_dueling:
            return outputs
        advantages = outputs[:, :-1]
        return outputs[:, -1:] + advantages - tensorflow().reduce_mean(advantages, axis=1, keepdims=True)

    def _burst(
        self, weights: Any, target: Any, moments: Any, batches: tuple[Any, ...], learning_rate: Any, draws: Any,
        step: Any,
    ) -> Any:  # fmt: skip
        """Gradient steps one after the other.

        Args:
            weights: of the online network, float32 (num_weights,).
            target: of the target network, likewise; or of the online one, where there is none.
            moments: Adam's two, float32 (2, num_weights).
            batches: what `Batch` holds, but the errors, each with a leading dimension K.
            learning_rate: of all steps, float32 ().
            draws: what layers draw in each, int64 (K, 2).
            step: number of gradient steps before these, float32 ().

        Returns weights and moments after them, losses and mean values float32 (K,), and errors float32 (K, B).
        """
        tf, number = tensorflow(), draws.shape[0]
        state = {"weights": self._named(weights), "step": step}
        state["first"], state["second"] = self._named(moments[0]), self._named(moments[1])
        named_target = self._named(target)

        def body(place: Any, state: Any, *found: Any) -> Any:
            batch = Batch(*(array[place] for array in batches), errors=None)  # type: ignore[arg-type,misc]
            state, results = self._step(state, named_target, batch, learning_rate, draws[place])
            return place + 1, state, *(array.write(place, result) for array, result in zip(found, results, strict=True))

        found = [tf.TensorArray(tf.float32, number) for _ in range(3)]
        after = tf.while_loop(lambda place, *_: place < number, body, (0, state, *found), maximum_iterations=number)
        state = after[1]
        moments = tf.stack([self._vector(state["first"]), self._vector(state["second"])])
        return self._vector(state["weights"]), moments, *(array.stack() for array in after[2:])

    def _step(self, state: dict[str, Any], target: dict[str, Any], batch: Batch, learning_rate: Any, draw: Any) -> Any:
        tf, rule, weights = tensorflow(), self._rule, state["weights"]
        valued = self._values(target if rule.has_target else weights, batch.next_inputs)
        choosing = self._values(weights, batch.next_inputs) if rule.is_double and rule.has_target else valued
        if rule.has_masks:
            choosing = tf.where(batch.next_masks != 0, choosing, -math.inf)
        best = _chosen(valued, tf.argmax(choosing, axis=1))
        if rule.has_masks:
            best = tf.where(tf.reduce_any(batch.next_masks != 0, axis=1), best, 0.0)
        targets = batch.returns + batch.factors * best
        trained = [weights[name] for name in self._trained]
        with tf.GradientTape() as tape:
            tape.watch(trained)
            output = self._network.train_logits(weights, self._read(batch.inputs), draw, state["step"] + 1.0)
            estimates = _chosen(self._combined(output.logits), batch.actions)
            errors = estimates - targets
            losses = tf.square(errors)
            if rule.is_huber:
                size = tf.abs(errors)
                losses = tf.where(size <= 1.0, 0.5 * losses, size - 0.5)
            loss = tf.reduce_mean(batch.shares * losses)
            if output.penalty is not None:
                loss += output.penalty
        gradients = tape.gradient(loss, trained, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        if rule.max_gradient_norm < math.inf:
            norm = tf.linalg.global_norm(gradients)
            shrink = tf.where(norm > rule.max_gradient_norm, rule.max_gradient_norm / norm, 1.0)
            gradients = [shrink * gradient for gradient in gradients]
        state = dict(state)
        if rule.optimizer == kernels.ADAM:
            first, second = ([state[part][name] for name in self._trained] for part in _MOMENTS)
            trained, first, second, _ = adam_update(trained, gradients, first, second, state["step"], learning_rate)
            state["first"] = state["first"] | self._by_name(first)
            state["second"] = state["second"] | self._by_name(second)
        else:
            trained = [weight - learning_rate * gradient for weight, gradient in zip(trained, gradients, strict=True)]
        state["weights"] = weights | self._network.constrained(self._by_name(trained)) | output.averages
        state["step"] += 1.0
        return state, (loss, tf.reduce_mean(estimates), errors)

    def _by_name(self, tensors: list[Any]) -> dict[str, Any]:
        return dict(zip(self._trained, tensors, strict=True))


def _chosen(values: Any, actions: Any) -> Any:
    """Of each row of values (B, num_actions) that of its action (B,); a sum, whose gradient is no scattering."""
    tf = tensorflow()
    return tf.reduce_sum(tf.where(tf.one_hot(actions, values.shape[1], on_value=True, off_value=False), values, 0.0), 1)


@lru_cache(maxsize=32)
def _program(network: KerasNetwork, shape: NetworkShape, rule: LearningRule) -> QProgram:
    """The program of a network; tracing and compiling it takes seconds, so it is kept."""
    return QProgram(network, shape, rule)


class KerasQNetwork:
    """An online network of Keras layers, its target network and its optimizer, with what `QNetwork` offers.

    TensorFlow is imported when the network learns, or draws its first weights, not before: what was loaded acts by
    NumPy, where the layers are ours.

    Args:
        shape: of the inputs and outputs; its hidden layers are not read.
        rng: stream of the first weights.
        classifier: whose layers they are.
        task: what these layers read, and how many outputs they give.
        streams: of the agent, for what layers drop.
        gradient_steps: made at a time; up to `LONGEST_BURST` of them are one call.
        initial_weights: as of `QNetwork`, of dense layers and convolutions. Recurrent layers have all their weights
            within 1 / sqrt(units) for "fan_in"; all that is left, and a Keras model of the user's, begins as its
            layers' initialisers say.
        batch_size, rule: as of `QNetwork`.

    Attributes:
        batches: to be filled before `learn`.
        num_updates: gradient steps so far.
        compile_seconds: spent so far on importing, tracing and compiling.
    """

    def __init__(
        self,
        shape: NetworkShape,
        rng: np.random.Generator,
        *,
        classifier: NeuralClassifier,
        task: LabelledTask,
        streams: Streams,
        gradient_steps: int,
        initial_weights: float | str,
        batch_size: int,
        rule: LearningRule,
    ) -> None:
        self.shape, self._classifier, self._task, self._streams = shape, classifier, task, streams
        self._rng, self._initial_weights, self._rule = rng, initial_weights, rule
        number, size = min(gradient_steps, LONGEST_BURST), 1 if shape.is_symbol else shape.num_inputs
        one = Batch.empty(batch_size, size, shape.num_actions)
        self._stacked = Batch(*(np.stack([array] * number) for array in one))
        self.batches = [Batch(*(array[place] for array in self._stacked)) for place in range(number)]
        # Vectors "weights" and "target", and "moments".
        self._state: dict[str, Any] | None = None
        # Of a loaded agent, until something needs TensorFlow.
        self._stored: dict[str, np.ndarray] | None = None
        self._answer: Callable[[np.ndarray], np.ndarray] | None = None
        self._traced: set[int] = set()
        self.num_updates = 0
        self.compile_seconds = 0.0

    @property
    def batch(self) -> Batch:
        """The first of `batches`."""
        return self.batches[0]

    def compile(self, observation: np.ndarray, scale: np.ndarray) -> None:
        """Nothing: it is compiled when it first learns."""

    # -- values -------------------------------------------------------------------------------------------------

    def values_of_one(self, observation: np.ndarray, scale: np.ndarray, values: np.ndarray) -> None:
        """Fill values float32 (num_actions,) with those of an observation, scaled first."""
        values[...] = self._values(observation[np.newaxis], scale)[0]

    def values(self, observations: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """Action values float32 (B, num_actions) of observations (B, D), scaled first; nothing else changes."""
        result = np.empty((len(observations), self.shape.num_actions), np.float32)
        for start in range(0, len(observations), _CHUNK):
            result[start : start + _CHUNK] = self._values(observations[start : start + _CHUNK], scale)
        return result

    def _values(self, observations: np.ndarray, scale: np.ndarray) -> np.ndarray:
        inputs = np.empty(observations.shape, np.float32)
        kernels.scaled_into(observations, scale, inputs)
        if self._answer is None:
            self._answer = self._answer_by_numpy() if self._classifier.acts_by_numpy else self._answer_by_keras()
        # The loss says what has become of weights that are too large.
        with np.errstate(over="ignore", invalid="ignore"):
            return self._answer(inputs)

    def _answer_by_numpy(self) -> Callable[[np.ndarray], np.ndarray]:
        arrays = self._stored
        if arrays is None:
            arrays = {"model": self._text} | self._named("weights", self._ready_state()["weights"].numpy())
        network, shape, own = self._classifier._exported(self._task, arrays), input_shape(self._task), self.shape

        def answer(inputs: np.ndarray) -> np.ndarray:
            if own.is_symbol:
                inputs = np.eye(own.num_inputs, dtype=np.float32)[inputs[:, 0].astype(np.int64)]
            outputs = network.logits(inputs.reshape(-1, *shape))
            if own.is_dueling:
                advantages = outputs[:, :-1]
                outputs = outputs[:, -1:] + advantages - advantages.mean(axis=1, keepdims=True)
            return outputs

        return answer

    def _answer_by_keras(self) -> Callable[[np.ndarray], np.ndarray]:
        weights, program, constant = self._ready_state()["weights"], self._program, tensorflow().constant
        return lambda inputs: program.values(weights, constant(inputs)).numpy()

    # -- learning -----------------------------------------------------------------------------------------------

    def learn(self, learning_rate: float, number: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """A gradient step of each of the first `number` batches, in one call.

        Returns their losses before it and the mean values of the actions that were taken, float32 (number,). The
        estimates' errors are in the batches then.
        """
        state, tf, program = self._ready_state(), tensorflow(), self._program
        draws = np.zeros((number, 2), np.int64)
        if program.has_chance:
            draws = self._streams.at(_DROPPED, self.num_updates).integers(0, 1 << 31, draws.shape)
        batches = tuple(tf.constant(array[:number]) for array in self._stacked[:-1])
        given = (
            state["weights"], state["target"], state["moments"], batches, tf.constant(learning_rate, tf.float32),
            tf.constant(draws), tf.constant(self.num_updates, tf.float32),
        )  # fmt: skip
        is_first, started = number not in self._traced, time.perf_counter()
        # The first time it is traced and compiled, unless another learner has had it.
        with not_counted() if is_first else nullcontext():
            state["weights"], state["moments"], losses, means, errors = program.learn(*given)
        if is_first:
            self._traced.add(number)
            self.compile_seconds += time.perf_counter() - started
        self._stacked.errors[:number] = errors
        self.num_updates += number
        self._answer = None
        return losses.numpy(), means.numpy()

    def move_target(self, rate: float) -> None:
        """Move the target network towards the online one by a share of their difference; 1.0 copies it."""
        if self._rule.has_target:
            state = self._ready_state()
            online, target = state["weights"], state["target"]
            state["target"] = online if rate == 1.0 else target + rate * (online - target)

    # -- its state ----------------------------------------------------------------------------------------------

    def arrays(self) -> dict[str, np.ndarray]:
        """Layers, networks and moments of the optimizer."""
        if self._stored is not None:
            return self._stored
        state, arrays = self._ready_state(), {"model": self._text}
        for part in self._parts:
            vector = state["moments"][_MOMENTS.index(part)] if part in _MOMENTS else state[part]
            arrays |= self._named(part, vector.numpy())
        return arrays

    def restore(self, arrays: dict[str, np.ndarray], num_updates: int) -> None:
        """Take over what `arrays` gave.

        Raises:
            KeyError, ValueError: an array is missing or does not fit.
        """
        for name, array in arrays.items():
            if name != "model" and not (array.dtype == np.float32 and np.isfinite(array).all()):
                raise ValueError(f"array {name} holds numbers that are not finite, or no float32")
        self._classifier.check_arrays(self._task, arrays)
        self._stored, self._state, self._answer = arrays, None, None
        self.num_updates = num_updates

    @property
    def _parts(self) -> list[str]:
        """What the state holds by the names of weights."""
        target = ["target"] if self._rule.has_target else []
        return ["weights", *target, *(_MOMENTS if self._rule.optimizer == kernels.ADAM else [])]

    def _named(self, part: str, vector: np.ndarray) -> dict[str, np.ndarray]:
        """Views of a vector of weights, by "part/name"."""
        found, place = {}, 0
        for name, shape in self._network.weight_shapes.items():
            size = math.prod(shape)
            found[f"{part}/{name}"] = vector[place : place + size].reshape(shape)
            place += size
        return found

    @cached_property
    def _network(self) -> KerasNetwork:
        return self._classifier._network(self._task)

    @property
    def _text(self) -> np.ndarray:
        return text_array(self._network.text)

    @cached_property
    def _program(self) -> QProgram:
        return _program(self._network, self.shape, self._rule)

    def _ready_state(self) -> dict[str, Any]:
        """Weights, moments and number of gradient steps as tensors.

        Raises:
            SavedAgentError: what was restored does not fit.
        """
        if self._state is None:
            started = time.perf_counter()
            with not_counted():
                self._state = self._first_state() if self._stored is None else self._restored(self._stored)
            self._stored = None
            self.compile_seconds += time.perf_counter() - started
        return self._state

    def _first_state(self) -> dict[str, Any]:
        tf, weights = tensorflow(), self._first_weights()
        vector = tf.constant(np.concatenate([weights[name].reshape(-1) for name in self._network.weight_shapes]))
        return {"weights": vector, "target": vector, "moments": tf.zeros((2, len(vector)))}

    def _restored(self, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
        tf, found = tensorflow(), {}
        for part in self._parts:
            for name, shape in self._network.weight_shapes.items():
                array = arrays.get(f"{part}/{name}")
                if array is None or array.shape != shape:
                    raise SavedAgentError(f"the saved array {part}/{name} is missing or does not fit the network")
            own = [arrays[f"{part}/{name}"].reshape(-1) for name in self._network.weight_shapes]
            found[part] = tf.constant(np.concatenate(own))
        nothing = tf.zeros_like(found["weights"])
        return {
            "weights": found["weights"],
            "target": found.get("target", found["weights"]),
            "moments": tf.stack([found.get(part, nothing) for part in _MOMENTS]),
        }

    def _first_weights(self) -> dict[str, np.ndarray]:
        """Weights before learning, float32 by name."""
        # A stream of its own, so that dense layers draw from `rng` what `QNetwork` draws.
        weights = self._network.first_weights(self._rng.spawn(1)[0])
        if not self._network.is_own:
            return weights
        layers = json.loads(self._network.text)["config"]["layers"]
        kinds = {layer["config"]["name"]: layer["class_name"] for layer in layers}
        initial = self._initial_weights
        for name, array in weights.items():
            layer, _, part = name.partition("/")
            kernel, is_narrow = weights.get(f"{layer}/kernel", array), initial == "fan_in"
            if kinds[layer] in _RECURRENT and is_narrow:
                limits = first_range(initial, len(weights[f"{layer}/recurrent_kernel"]), 1)
            elif kinds[layer] in ("Dense", "Conv2D") and (part == "kernel" or (is_narrow and self.shape.has_bias)):
                area = math.prod(kernel.shape[:-2])
                limits = first_range(initial, area * kernel.shape[-2], area * kernel.shape[-1])
            else:
                continue
            weights[name] = self._rng.uniform(*limits, array.shape).astype(np.float32)
        return weights
