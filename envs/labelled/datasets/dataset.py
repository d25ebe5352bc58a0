"""Labelled images in two parts, one to learn from and one to be tested on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from velodrome.checks import did_you_mean
from velodrome.envs.labelled.datasets.checks import DatasetError, checked_images, checked_labels, refuse_label_gaps
from velodrome.envs.labelled.datasets.stratification import stratified_places

SPLITS = ("train", "validation", "test")


class LabelledExamples(NamedTuple):
    """Inputs that a supervised agent learns from, and their labels.

    Attributes:
        inputs: (num_examples, ...), read-only.
        labels: the right action for each, int64 (num_examples,) or (num_examples, num_steps), read-only.
    """

    inputs: NDArray[Any]
    labels: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled images, checked; the arrays are read-only, and copies of the object are the object itself.

    Whole numbers are kept as uint8 from 0 to 255, fractions as float32 from 0 to 1, so that dividing by the
    largest value of the observation space scales either to [0, 1].

    Attributes:
        name: as tables call it.
        x_train: images to learn from, (num_images, height, width) or (num_images, height, width, channels).
        y_train: their classes, int64 (num_images,).
        x_test: images to be tested on, of the same size and type.
        y_test: their classes.
        source: where the images come from, in words that are the same on every machine.
        path: of the file or folder that was read; None for arrays.
        num_classes: classes are numbered 0 to num_classes - 1.

    Raises:
        DatasetError: naming the array at fault, what it holds and what is allowed.
    """

    name: str
    x_train: NDArray[Any] = field(repr=False)
    y_train: NDArray[np.int64] = field(repr=False)
    x_test: NDArray[Any] = field(repr=False)
    y_test: NDArray[np.int64] = field(repr=False)
    source: str = "arrays in memory"
    path: Path | None = None
    num_classes: int = field(init=False)
    _held_out: dict[int, tuple[LabelledExamples, LabelledExamples]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        parts: dict[str, NDArray[Any]] = {}
        for part in ("train", "test"):
            images = checked_images(f"x_{part}", getattr(self, f"x_{part}"))
            labels = checked_labels(f"y_{part}", getattr(self, f"y_{part}"))
            if len(images) != len(labels):
                raise DatasetError(f"x_{part} has {len(images)} images, but y_{part} has {len(labels)} labels")
            parts |= {f"x_{part}": images, f"y_{part}": labels}
        if parts["x_train"].shape[1:] != parts["x_test"].shape[1:]:
            raise DatasetError(
                f"images must be of one size: those of x_train are {size_text(parts['x_train'])}, "
                f"those of x_test {size_text(parts['x_test'])}"
            )
        if parts["x_train"].dtype != parts["x_test"].dtype:
            kinds = {"u": "whole numbers", "f": "fractions"}
            train, test = (kinds[parts[name].dtype.kind] for name in ("x_train", "x_test"))
            raise DatasetError(f"pixels must be alike in both parts: x_train has {train}, x_test {test}")
        num_classes = refuse_label_gaps(parts["y_train"], parts["y_test"])
        for name, array in parts.items():
            object.__setattr__(self, name, array)
        object.__setattr__(self, "num_classes", num_classes)
        object.__setattr__(self, "_held_out", {})

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Height and width, and channels where there are any."""
        return self.x_train.shape[1:]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all images and labels, hexadecimal: the same for the same contents, wherever they were read."""
        digest = hashlib.sha256()
        for name in ("x_train", "y_train", "x_test", "y_test"):
            array = getattr(self, name)
            # Little-endian on every machine.
            stored = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
            digest.update(f"{name} {stored.dtype.str} {stored.shape}\n".encode())
            digest.update(stored.data)
        return digest.hexdigest()

    def examples(self, split: str = "train", validation: int = 0) -> LabelledExamples:
        """The examples of one split.

        Args:
            split: "train", "validation" or "test".
            validation: training images held out of "train" for "validation", spread evenly over the classes and
                over the order of the file; always the same ones.

        Raises:
            DatasetError: no such split, or no image left in it.
        """
        if split not in SPLITS:
            listed = ", ".join(map(repr, SPLITS))
            raise DatasetError(f"split must be one of {listed}, got {split!r}{did_you_mean(split, SPLITS)}")
        largest = len(self.x_train) - 1
        if isinstance(validation, bool) or not isinstance(validation, int | np.integer) or validation < 0:
            raise DatasetError(
                f"validation must be a number of training images from 0 to {largest}, got {validation!r}"
            )
        if validation > largest:
            raise DatasetError(
                f"validation must be at most {largest}, got {validation}: {self.name} has {largest + 1} training images"
            )
        if split == "test":
            return LabelledExamples(self.x_test, self.y_test)
        if split == "validation" and validation == 0:
            raise DatasetError("split 'validation' needs validation=, the number of training images to hold out")
        if validation == 0:
            return LabelledExamples(self.x_train, self.y_train)
        kept, held_out = self._parted(int(validation))
        return kept if split == "train" else held_out

    def _parted(self, validation: int) -> tuple[LabelledExamples, LabelledExamples]:
        """Training examples without those held out, and those; the copies of the last number asked for are kept."""
        if validation not in self._held_out:
            is_held_out = np.zeros(len(self.y_train), dtype=np.bool_)
            is_held_out[stratified_places(self.y_train, validation)] = True
            self._held_out.clear()
            self._held_out[validation] = (self._selected(~is_held_out), self._selected(is_held_out))
        return self._held_out[validation]

    def _selected(self, mask: NDArray[np.bool_]) -> LabelledExamples:
        images, labels = self.x_train[mask], self.y_train[mask]
        images.flags.writeable = labels.flags.writeable = False
        return LabelledExamples(images, labels)

    def __copy__(self) -> Dataset:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Dataset:
        # Gymnasium copies an environment's arguments whenever its spec is asked for.
        return self

    def __reduce__(self) -> tuple[type[Dataset], tuple[Any, ...]]:
        # Arrays come out of a pickle writable; the constructor locks them again.
        return type(self), tuple(getattr(self, item.name) for item in fields(self) if item.init)


def size_text(images: NDArray[Any]) -> str:
    """Size of images in words, such as "28x28"."""
    return "x".join(map(str, images.shape[1:]))
