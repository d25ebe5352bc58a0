"""The sequence loss: how surprised a model is by the right labels of sequences, on average."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def sequence_loss(logits: Any, labels: Any, weights: Any = None, *, mask: Any = None) -> Any:
    """Weighted mean over batch and time of -log softmax(logits)[label], in nats.

    NumPy arrays give a float, TensorFlow's tensors a scalar tensor that gradients flow through, of the same value.
    Steps that the mask leaves out, or whose weight is 0, have no influence, whatever their logits and labels are:
    not a number and -1 are allowed there. If nothing is left, the loss is 0.

    Args:
        logits: floats (batch, num_steps, num_classes).
        labels: the right classes, whole numbers (batch, num_steps).
        weights: of the steps, at least 0, (batch, num_steps) or a shape that broadcasts to it; None is 1 each.
        mask: which steps count, bool, of such a shape; None is all. `length_mask` makes one of lengths.

    Raises:
        ValueError: the shapes do not fit; for arrays also labels that are no class and negative weights.

    Source: Kim (2017), Deep Learning Zero to All, lab 12, where it is TensorFlow 1's contrib.seq2seq.sequence_loss.
    """
    if any(type(value).__module__.startswith("tensorflow.") for value in (logits, labels, weights, mask)):
        return _of_tensors(logits, labels, weights, mask)
    return _of_arrays(logits, labels, weights, mask)


def length_mask(lengths: ArrayLike, num_steps: int) -> NDArray[np.bool_]:
    """Which steps of sequences of these lengths exist, bool (batch, num_steps).

    Args:
        lengths: length of each sequence, whole numbers (batch,).
        num_steps: steps of the padded sequences.

    Raises:
        ValueError: a length is not between 0 and num_steps.
    """
    counts = np.asarray(lengths)
    if counts.ndim != 1 or counts.dtype.kind not in "iu" or np.any((counts < 0) | (counts > num_steps)):
        raise ValueError(f"lengths must be whole numbers from 0 to {num_steps}, (batch,), got {lengths!r}")
    return np.arange(num_steps) < counts[:, np.newaxis]


def _of_arrays(logits: Any, labels: Any, weights: Any, mask: Any) -> float:
    scores = np.asarray(logits, dtype=np.float64)
    right = np.asarray(labels)
    _check_shapes(scores.shape, right.shape)
    counted = np.ones(right.shape) if weights is None else _spread("weights", weights, right.shape)
    if np.any(~(counted >= 0)):
        raise ValueError("weights must be numbers of at least 0")
    if mask is not None:
        counted = np.where(_spread("mask", mask, right.shape) != 0, counted, 0.0)
    counts = counted > 0
    if not counts.any():
        return 0.0
    chosen, scores = right[counts], scores[counts]
    num_classes = scores.shape[-1]
    if chosen.dtype.kind not in "iu" or chosen.min() < 0 or chosen.max() >= num_classes:
        raise ValueError(
            f"labels must be whole numbers from 0 to {num_classes - 1}, got {_outside(chosen, num_classes)}"
        )
    highest = scores.max(axis=-1)
    log_sums = highest + np.log(np.exp(scores - highest[:, np.newaxis]).sum(axis=-1))
    losses = log_sums - scores[np.arange(len(chosen)), chosen]
    return float(counted[counts] @ losses / counted.sum())


def _of_tensors(logits: Any, labels: Any, weights: Any, mask: Any) -> Any:
    from velodrome.agents.deep.keras_runtime import tensorflow

    tf = tensorflow()
    scores, right = tf.convert_to_tensor(logits), tf.convert_to_tensor(labels)
    _check_shapes(tuple(scores.shape), tuple(right.shape))
    counted = tf.ones(tf.shape(right), scores.dtype)
    if weights is not None:
        counted *= tf.cast(weights, scores.dtype)
    if mask is not None:
        counted = tf.where(tf.cast(mask, tf.bool), counted, tf.zeros_like(counted))
    counts = counted > 0
    # Without this, a step that does not count would pass on a gradient that is not a number.
    scores = tf.where(counts[..., tf.newaxis], scores, tf.zeros_like(scores))
    right = tf.where(counts, right, tf.zeros_like(right))
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=right, logits=scores)
    return tf.math.divide_no_nan(tf.reduce_sum(losses * counted), tf.reduce_sum(counted))


def _check_shapes(logits: tuple[Any, ...], labels: tuple[Any, ...]) -> None:
    if len(logits) != 3 or logits[:2] != labels:
        raise ValueError(
            f"logits must be (batch, num_steps, num_classes) and labels (batch, num_steps), got {logits} and {labels}"
        )


def _spread(name: str, values: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
    try:
        return np.broadcast_to(np.asarray(values, dtype=np.float64), shape)
    except ValueError:
        raise ValueError(f"{name} must have shape {shape} or one that broadcasts to it, got {values!r}") from None


def _outside(labels: NDArray[Any], num_classes: int) -> Any:
    wrong = labels[(labels < 0) | (labels >= num_classes)]
    return wrong[0] if wrong.size else labels.dtype
