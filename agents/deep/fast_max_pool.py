"""2x2 max-pooling that XLA compiles well; its gradient is TensorFlow's to the bit."""

from functools import lru_cache
from typing import Any

from velodrome.agents.deep.keras_runtime import tensorflow


@lru_cache(maxsize=1)
def fast_max_pool() -> Any:
    """Function from a tensor (B, height, width, channels) to the largest values of its 2x2 windows, stride 2, "same".

    XLA's own gradient of max-pooling on CPUs takes most of a convolutional network's training time. This one is
    made of comparisons. Where values of a window are equal, the first of them in reading order gets the whole
    gradient, as in TensorFlow's MaxPoolGrad; in flat parts of a picture all of them are.
    """
    tf = tensorflow()

    @tf.custom_gradient  # type: ignore[untyped-decorator, unused-ignore]
    def pool(values: Any) -> Any:
        height, width = values.shape[1], values.shape[2]
        padding = [[0, 0], [0, height % 2], [0, width % 2], [0, 0]]
        even = tf.pad(values, padding, constant_values=values.dtype.min) if height % 2 or width % 2 else values
        rows, columns, channels = even.shape[1] // 2, even.shape[2] // 2, even.shape[3]
        windows = tf.reshape(even, [-1, rows, 2, columns, 2, channels])
        largest = tf.reduce_max(windows, axis=[2, 4])

        def gradient(upstream: Any) -> Any:
            corners = [windows[:, :, row, :, column] for row in (0, 1) for column in (0, 1)]
            parts, is_open = [], tf.ones_like(largest, dtype=tf.bool)
            for corner in corners:
                is_first = tf.logical_and(is_open, tf.equal(corner, largest))
                is_open = tf.logical_and(is_open, tf.logical_not(is_first))
                parts.append(tf.where(is_first, upstream, tf.zeros_like(upstream)))
            upper, lower = tf.stack(parts[:2], axis=3), tf.stack(parts[2:], axis=3)
            joined = tf.reshape(tf.stack([upper, lower], axis=2), [-1, 2 * rows, 2 * columns, channels])
            return joined[:, :height, :width]

        return largest, gradient

    return pool
