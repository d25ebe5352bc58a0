"""The compiled functions of a classifier: a training step and an answer, from weights to weights."""

from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from velodrome.agents.deep.adam import AdamState, adam_update
from velodrome.agents.deep.keras_runtime import tensorflow
from velodrome.agents.deep.network import Network, Weights
from velodrome.agents.engine.interruption import not_counted


@dataclass(frozen=True)
class Objective:
    """What a training step does beside following the gradient of the cross-entropy.

    Attributes:
        label_smoothing: share of the target that is spread evenly over all classes. Source: Szegedy et al. (2016).
        weight_averaging: decay of the averaged weights, 0 for none. Source: Polyak & Juditsky (1992).
    """

    label_smoothing: float = 0.0
    weight_averaging: float = 0.0


class TrainingProgram:
    """Compiled functions, shared by all learners of a process that have the same network and objective.

    Args:
        network: its functions.
        objective: of the training step.
        batch_size: of the batches that XLA may compile a step for; others run without it.
    """

    def __init__(self, network: Network, objective: Objective, batch_size: int) -> None:
        tf = tensorflow()
        self._network, self._objective = network, objective
        self._batch_size = batch_size if network.uses_xla else None
        self._sizes_seen: set[int] = set()
        self._has_answered = False
        weights = {name: tf.TensorSpec(shape, tf.float32) for name, shape in network.weight_shapes.items()}
        trained = {name: spec for name, spec in weights.items() if network.is_trained(name)}
        state = {"weights": weights, "first": trained, "second": trained, "step": tf.TensorSpec((), tf.float32)}
        if objective.weight_averaging:
            state["averaged"] = weights

        def signature(size: int | None) -> list[Any]:
            inputs, labels = tf.TensorSpec((size, *network.input_shape), tf.float32), tf.TensorSpec((size,), tf.int64)
            return [state, inputs, labels, tf.TensorSpec((), tf.float32), network.draw_specs(size)]

        # TensorFlow warns when one function is traced often; a `partial` is a function of its own.
        step, logits = partial(self._traced_step), partial(network.logits)
        self._step = tf.function(step, autograph=False, input_signature=signature(None))
        self._compiled_step = tf.function(
            step, autograph=False, jit_compile=True, input_signature=signature(batch_size)
        )
        inputs = tf.TensorSpec((None, *network.input_shape), tf.float32)
        self._logits = tf.function(logits, autograph=False, input_signature=[weights, inputs])

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
        zeros = {name: tf.zeros_like(value) for name, value in tensors.items() if self._network.is_trained(name)}
        state = {"weights": tensors, "first": zeros, "second": dict(zeros), "step": tf.constant(0.0)}
        return state | ({"averaged": dict(tensors)} if self._objective.weight_averaging else {})

    def step(self, state: dict[str, Any], inputs: Any, labels: Any, learning_rate: Any, draws: Any) -> tuple[Any, ...]:
        """New state, logits float32 (B, num_classes) and mean loss float32 (), both of before the update.

        Args:
            state: from `first_state` or an earlier step.
            inputs: float32 (B, *input_shape).
            labels: int64 (B,).
            learning_rate: float32 ().
            draws: of the network's `draw`, tensors.
        """
        size = inputs.shape[0]
        run = self._compiled_step if size == self._batch_size else self._step
        # The first batch of a size is traced and compiled, for all learners.
        with nullcontext() if size in self._sizes_seen else not_counted():
            result = tuple(run(state, inputs, labels, learning_rate, draws))
        self._sizes_seen.add(size)
        return result

    def _traced_step(self, state: dict[str, Any], inputs: Any, labels: Any, learning_rate: Any, draws: Any) -> Any:
        tf = tensorflow()
        weights = state["weights"]
        trained = [name for name in weights if self._network.is_trained(name)]
        variables = [weights[name] for name in trained]
        with tf.GradientTape() as tape:
            tape.watch(variables)
            output = self._network.train_logits(weights, inputs, draws, state["step"] + 1.0)
            logits, loss = output.logits, self._loss(output.logits, labels)
            if output.penalty is not None:
                loss += output.penalty
        gradients = tape.gradient(loss, variables)
        moments = AdamState(
            state["step"], [state["first"][name] for name in trained], [state["second"][name] for name in trained]
        )
        variables, moments = adam_update(variables, gradients, moments, learning_rate)
        changed = weights | self._network.constrained(dict(zip(trained, variables, strict=True))) | output.averages
        new_state = {
            "weights": changed,
            "first": dict(zip(trained, moments.first, strict=True)),
            "second": dict(zip(trained, moments.second, strict=True)),
            "step": moments.step,
        }
        if self._objective.weight_averaging:
            # Short at first, or the first weights would weigh on the average for long.
            decay = tf.minimum(self._objective.weight_averaging, (1.0 + moments.step) / (10.0 + moments.step))
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
def training_program(network: Network, objective: Objective, batch_size: int) -> TrainingProgram:
    """The program of a network and objective; tracing and compiling it takes seconds, so it is kept."""
    return TrainingProgram(network, objective, batch_size)
