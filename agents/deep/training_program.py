"""The traced functions of a classifier: a training step and an answer, from weights to weights."""

from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from velodrome.agents.deep.keras_runtime import tensorflow
from velodrome.agents.deep.network import KerasNetwork, Weights
from velodrome.agents.engine.interruption import not_counted

FIRST_DECAY, SECOND_DECAY, EPSILON = 0.9, 0.999, 1e-7


@dataclass(frozen=True)
class Objective:
    """Options of a training step beside the gradient of the cross-entropy.

    Attributes:
        label_smoothing: share of the target that is spread evenly over all classes. Source: Szegedy et al. (2016).
        weight_averaging: decay of the averaged weights, 0 for none. Source: Polyak & Juditsky (1992).
    """

    label_smoothing: float = 0.0
    weight_averaging: float = 0.0


class TrainingProgram:
    """Traced functions, shared by all learners of a process that have the same network and objective.

    Args:
        network: its functions.
        objective: of the training step.
    """

    def __init__(self, network: KerasNetwork, objective: Objective) -> None:
        tf = tensorflow()
        self._network, self._objective = network, objective
        self._has_stepped = self._has_answered = False
        weights = {name: tf.TensorSpec(shape, tf.float32) for name, shape in network.weight_shapes.items()}
        trained = {name: weights[name] for name in network.trained}
        number = tf.TensorSpec((), tf.float32)
        state = {"weights": weights, "first": trained, "second": trained, "step": number}
        if objective.weight_averaging:
            state["averaged"] = weights
        inputs = tf.TensorSpec((None, *network.input_shape), tf.float32)
        signature = [state, inputs, self._label_specs(), number, tf.TensorSpec((2,), tf.int64)]
        # TensorFlow warns when one function is traced often; a `partial` is a function of its own.
        self._step = tf.function(partial(self._traced_step), autograph=False, input_signature=signature)
        self._logits = tf.function(partial(network.logits), autograph=False, input_signature=[weights, inputs])

    def _label_specs(self) -> Any:
        """Tensor specifications of what is learnt."""
        return tensorflow().TensorSpec((None,), tensorflow().int64)

    def logits(self, weights: Any, inputs: Any) -> Any:
        """Logits float32 (B, num_classes) of inputs float32 (B, *input_shape)."""
        with nullcontext() if self._has_answered else not_counted():
            result = self._logits(weights, inputs)
        self._has_answered = True
        return result

    def first_state(self, weights: Weights) -> dict[str, Any]:
        """State of a learner with these weights, before its first step."""
        tf = tensorflow()
        tensors = {name: tf.constant(value) for name, value in weights.items()}
        zeros = {name: tf.zeros_like(tensors[name]) for name in self._network.trained}
        state = {"weights": tensors, "first": zeros, "second": dict(zeros), "step": tf.constant(0.0)}
        return state | ({"averaged": dict(tensors)} if self._objective.weight_averaging else {})

    def step(self, state: dict[str, Any], inputs: Any, labels: Any, learning_rate: Any, draw: Any) -> tuple[Any, ...]:
        """New state, logits float32 (B, num_classes) and mean loss float32 (), both of before the update.

        Args:
            state: from `first_state` or an earlier step.
            inputs: float32 (B, *input_shape).
            labels: int64 (B,).
            learning_rate: float32 ().
            draw: of the network's `draw`, a tensor.
        """
        # The first batch is traced, for all learners.
        with nullcontext() if self._has_stepped else not_counted():
            result = tuple(self._step(state, inputs, labels, learning_rate, draw))
        self._has_stepped = True
        return result

    def _traced_step(self, state: dict[str, Any], inputs: Any, labels: Any, learning_rate: Any, draw: Any) -> Any:
        tf, trained = tensorflow(), self._network.trained
        weights = state["weights"]
        variables = [weights[name] for name in trained]
        with tf.GradientTape() as tape:
            tape.watch(variables)
            output = self._network.train_logits(weights, inputs, draw, state["step"] + 1.0)
            logits, loss = output.logits, self._loss(output.logits, labels)
            if output.penalty is not None:
                loss += output.penalty
        gradients = tape.gradient(loss, variables)
        first, second = [state["first"][name] for name in trained], [state["second"][name] for name in trained]
        variables, first, second, step = adam_update(variables, gradients, first, second, state["step"], learning_rate)
        changed = weights | self._network.constrained(dict(zip(trained, variables, strict=True))) | output.averages
        new_state = {
            "weights": changed,
            "first": dict(zip(trained, first, strict=True)),
            "second": dict(zip(trained, second, strict=True)),
            "step": step,
        }
        if self._objective.weight_averaging:
            # Short at first, or the first weights would weigh on the average for long.
            decay = tf.minimum(self._objective.weight_averaging, (1.0 + step) / (10.0 + step))
            old = state["averaged"]
            new_state["averaged"] = {name: old[name] + (changed[name] - old[name]) * (1.0 - decay) for name in old}
        return new_state, logits, loss

    def _loss(self, logits: Any, labels: Any) -> Any:
        tf = tensorflow()
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        smoothing = self._objective.label_smoothing
        if smoothing:
            evenly = -tf.reduce_mean(tf.nn.log_softmax(logits), axis=-1)
            losses = (1.0 - smoothing) * losses + smoothing * evenly
        return tf.reduce_mean(losses)


@lru_cache(maxsize=32)
def training_program(network: KerasNetwork, objective: Objective) -> TrainingProgram:
    """The program of a network and objective; tracing it takes seconds, so it is kept."""
    return TrainingProgram(network, objective)


def adam_update(
    weights: list[Any], gradients: list[Any], first: list[Any], second: list[Any], step: Any, learning_rate: Any
) -> tuple[list[Any], list[Any], list[Any], Any]:
    """New weights, moments and number of updates, from those before, as `keras.optimizers.Adam` computes them.

    Keras' own changes variables, of which every learner would have to have its own and so its own traced step; its
    `stateless_apply` refuses TensorFlow.

    Source: Kingma & Ba (2015), in the form that ends their section 2.
    """
    tf = tensorflow()
    step += 1.0
    rate = learning_rate * tf.sqrt(1.0 - tf.pow(SECOND_DECAY, step)) / (1.0 - tf.pow(FIRST_DECAY, step))
    first = [mean + (gradient - mean) * (1.0 - FIRST_DECAY) for mean, gradient in zip(first, gradients, strict=True)]
    second = [
        square + (tf.square(gradient) - square) * (1.0 - SECOND_DECAY)
        for square, gradient in zip(second, gradients, strict=True)
    ]
    weights = [
        weight - rate * mean / (tf.sqrt(square) + EPSILON)
        for weight, mean, square in zip(weights, first, second, strict=True)
    ]
    return weights, first, second, step
