"""Adam as a function from weights, gradients and moments to new ones."""

from typing import Any, NamedTuple

from velodrome.agents.deep.keras_runtime import tensorflow

FIRST_DECAY, SECOND_DECAY, EPSILON = 0.9, 0.999, 1e-7


class AdamState(NamedTuple):
    """Moments of the gradients.

    Attributes:
        step: updates so far, float32 ().
        first: running means of the gradients.
        second: running means of their squares.
    """

    step: Any
    first: list[Any]
    second: list[Any]


def adam_update(
    weights: list[Any], gradients: list[Any], state: AdamState, learning_rate: Any
) -> tuple[Any, AdamState]:
    """New weights and moments. Source: Kingma & Ba (2015), in the form that ends their section 2; ε as in Keras."""
    tf = tensorflow()
    step = state.step + 1.0
    rate = learning_rate * tf.sqrt(1.0 - tf.pow(SECOND_DECAY, step)) / (1.0 - tf.pow(FIRST_DECAY, step))
    updated, first, second = [], [], []
    for weight, gradient, mean, square in zip(weights, gradients, state.first, state.second, strict=True):
        new_mean = mean + (gradient - mean) * (1.0 - FIRST_DECAY)
        new_square = square + (tf.square(gradient) - square) * (1.0 - SECOND_DECAY)
        updated.append(weight - rate * new_mean / (tf.sqrt(new_square) + EPSILON))
        first.append(new_mean)
        second.append(new_square)
    return updated, AdamState(step, first, second)
