"""Exact values on labelled examples, where an episode is one of them and a right guess has reward 1."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from velodrome.agents.planning.dynamic_programming import ExactValue
from velodrome.envs.labelled.datasets.dataset import LabelledExamples


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
    expected_return = _most_right(inputs, labels) / num_examples
    return ExactValue(_most_right_throughout(inputs, labels) / num_examples if knows_success else None, expected_return)


def random_on_examples(labels: NDArray[np.int64], num_actions: int, *, knows_success: bool = True) -> ExactValue:
    """The uniformly random policy's value.

    Args:
        labels: (num_examples,) or (num_examples, num_steps).
        num_actions: to choose among.
        knows_success: as of `best_on_examples`.
    """
    num_steps = int(labels[0].size)
    return ExactValue(float(num_actions) ** -num_steps if knows_success else None, num_steps / num_actions)


class _Level(NamedTuple):
    """Sequences at a step whose beginning up to there another one shares.

    Attributes:
        groups: number of each sequence's beginning, from 0 without gaps.
        labels: of the step.
        remain: which of the sequences are on the next level too.
    """

    groups: NDArray[np.int64]
    labels: NDArray[np.int64]
    remain: NDArray[np.bool_]


def _most_right(inputs: NDArray[np.int64], labels: NDArray[np.int64]) -> int:
    """How many guesses can be right, where each knows what was read before it."""
    num_examples, num_steps = labels.shape
    rows, before = np.arange(num_examples), np.zeros(num_examples, dtype=np.int64)
    num_right = 0
    for step in range(num_steps):
        before = _numbered(before, inputs[rows, step])
        # A sequence that begins like no other is known from there on.
        remain = _is_shared(before)
        rows, before = rows[remain], _without_gaps(before[remain])
        ones = np.ones(len(rows), dtype=np.int64)
        num_right += num_examples - len(rows) + int(_best_choice(before, labels[rows, step], ones).sum())
    return num_right


def _most_right_throughout(inputs: NDArray[np.int64], labels: NDArray[np.int64]) -> int:
    """How many sequences can be right from beginning to end.

    Who was right so far knows the labels so far. From the last step to the first: a beginning is worth what the best
    label leaves, and a label leaves what the beginnings are worth that follow where it is right. A sequence that
    begins like no other is worth one.
    """
    num_examples, num_steps = labels.shape
    rows, before = np.arange(num_examples), np.zeros(num_examples, dtype=np.int64)
    levels: list[_Level] = []
    for step in range(num_steps):
        if step:
            before = _numbered(before, labels[rows, step - 1])
        before = _numbered(before, inputs[rows, step])
        remain = _is_shared(before)
        if levels:
            levels[-1] = levels[-1]._replace(remain=remain)
        rows, before = rows[remain], _without_gaps(before[remain])
        levels.append(_Level(before, labels[rows, step], np.zeros(len(rows), dtype=np.bool_)))
    following, worth = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    for level in reversed(levels):
        left = np.ones(len(level.groups), dtype=np.int64)
        left[level.remain] = 0
        # What follows is left once, however many sequences share it.
        first = np.unique(following, return_index=True)[1]
        left[np.flatnonzero(level.remain)[first]] = worth
        following, worth = level.groups, _best_choice(level.groups, level.labels, left)
    return int(num_examples - len(levels[0].groups) + worth.sum())


def _numbered(groups: NDArray[np.int64], values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers of pairs, from 0 without gaps: the same where group, from 0 without gaps, and value are."""
    second = _without_gaps(values)
    return _without_gaps(groups * (int(second.max(initial=0)) + 1) + second)


def _without_gaps(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.unique(numbers, return_inverse=True)[1]


def _is_shared(numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.bincount(numbers)[numbers] > 1


def _best_choice(groups: NDArray[np.int64], labels: NDArray[np.int64], left: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each group, the most that is left by choosing one label, which leaves what its members leave."""
    pairs = _numbered(groups, labels)
    of_pairs = np.bincount(pairs, weights=left).astype(np.int64)
    best = np.zeros(int(groups.max(initial=-1)) + 1, dtype=np.int64)
    np.maximum.at(best, groups, of_pairs[pairs])
    return best
