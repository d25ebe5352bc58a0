"""Dropout from 16 random bits a value, drawn outside of TensorFlow: XLA makes random numbers slowly on CPUs."""

from typing import Any

import numpy as np

from velodrome.agents.deep.keras_runtime import tensorflow

_LEVELS = 1 << 16


def draw_dropout(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Random numbers int16 of a shape, every number as likely, for `fast_dropout`."""
    return np.frombuffer(rng.bytes(2 * int(np.prod(shape))), dtype=np.int16).reshape(shape)


def fast_dropout(values: Any, rate: float, draws: Any) -> Any:
    """`values` with a share of them 0 and the others divided by what is left of 1, so that the mean stays.

    The share is the rate to the nearest of 65,536 levels, 0.3 to within 0.000003.

    Args:
        values: float32 (B, …).
        rate: the share that is dropped, in [0, 1).
        draws: random int16 of the same shape.
    """
    tf = tensorflow()
    dropped = min(round(rate * _LEVELS), _LEVELS - 1)
    is_kept = draws >= tf.constant(dropped - _LEVELS // 2, tf.int16)
    return tf.where(is_kept, values * (_LEVELS / (_LEVELS - dropped)), tf.zeros_like(values))
