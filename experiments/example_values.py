"""Exact values on labelled examples, where an episode is one of them and a right guess has reward 1."""

import numpy as np
from numpy.typing import NDArray

from velodrome.agents.dynamic_programming import ExactValue
from velodrome.envs.datasets.dataset import LabelledExamples


def best_on_examples(examples: LabelledExamples, *, knows_success: bool = True) -> ExactValue:
    """The best possible: every image named rightly; on sequences, what can be known from all that was read before.

    Where several sequences begin alike and go on differently, no guess is right for all of them. The largest expected
    return takes the most frequent label after each beginning; the largest success rate is of the guesses that are
    right from beginning to end for the most sequences.

    Args:
        examples: labels (num_examples,) or (num_examples, num_steps).
        knows_success: whether success is that all guesses of an episode were right.
    """
    inputs, labels = examples
    if labels.ndim == 1:
        return ExactValue(1.0 if knows_success else None, 1.0)
    num_examples, num_steps = labels.shape
    if num_examples == 1:
        return ExactValue(1.0 if knows_success else None, float(num_steps))
    seen = _beginnings(inputs)
    num_right = sum(_most_frequent(seen[:, step], labels[:, step]) for step in range(num_steps))
    if not knows_success:
        return ExactValue(None, num_right / num_examples)
    # Who was right so far knows the labels so far.
    known = _beginnings(inputs, np.pad(labels[:, :-1], ((0, 0), (1, 0))))
    return ExactValue(_most_right_throughout(known, labels) / num_examples, num_right / num_examples)


def random_on_examples(labels: NDArray[np.int64], num_actions: int, *, knows_success: bool = True) -> ExactValue:
    """The uniformly random policy's value.

    Args:
        labels: (num_examples,) or (num_examples, num_steps).
        num_actions: to choose among.
        knows_success: as of `best_on_examples`.
    """
    num_steps = int(labels[0].size)
    return ExactValue(float(num_actions) ** -num_steps if knows_success else None, num_steps / num_actions)


def _beginnings(*sequences: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number of each example's beginning up to each step, int64 (num_examples, num_steps): alike where it is alike.

    Args:
        sequences: that make up the beginning, each (num_examples, num_steps).
    """
    numbers: NDArray[np.int64] = np.zeros(sequences[0].shape, dtype=np.int64)
    before = np.zeros(len(numbers), dtype=np.int64)
    for step in range(numbers.shape[1]):
        columns = np.stack([before, *(sequence[:, step] for sequence in sequences)])
        before = np.unique(columns, axis=1, return_inverse=True)[1].ravel()
        numbers[:, step] = before
    return numbers


def _most_frequent(groups: NDArray[np.int64], labels: NDArray[np.int64]) -> int:
    """How many labels are the most frequent one of their group, in all."""
    pairs, counts = np.unique(np.stack([groups, labels]), axis=1, return_counts=True)
    most = np.zeros(int(groups.max()) + 1, dtype=np.int64)
    np.maximum.at(most, pairs[0], counts)
    return int(most.sum())


def _most_right_throughout(beginnings: NDArray[np.int64], labels: NDArray[np.int64]) -> int:
    """How many sequences can be right from beginning to end.

    From the last step to the first: a beginning is worth what the label chosen there leaves, and a label leaves what
    the beginnings are worth that follow where it is right.
    """
    num_steps = labels.shape[1]
    # Worth of the beginnings one step later; after the last step every sequence is one.
    following, worth = np.arange(len(labels)), np.ones(len(labels), dtype=np.int64)
    for step in reversed(range(num_steps)):
        now = beginnings[:, step]
        # What follows a beginning holds its label, so that a label leaves beginnings that no other one leaves.
        reached = np.unique(np.stack([now, labels[:, step], following]), axis=1)
        left: dict[tuple[int, int], int] = {}
        for beginning, label, later in reached.T.tolist():
            left[beginning, label] = left.get((beginning, label), 0) + int(worth[later])
        worth = np.zeros(int(now.max()) + 1, dtype=np.int64)
        for (beginning, _), value in left.items():
            worth[beginning] = max(worth[beginning], value)
        following = now
    return int(worth.sum())
