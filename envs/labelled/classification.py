"""A dataset of labelled images as an environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any, SupportsInt, cast

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from velodrome.checks import check_choice, did_you_mean
from velodrome.envs.labelled.datasets.checks import DatasetError
from velodrome.envs.labelled.datasets.dataset import Dataset, LabelledExamples
from velodrome.envs.labelled.datasets.loading import load_dataset
from velodrome.envs.labelled.image_drawing import draw_picture, draw_text
from velodrome.envs.labelled.shuffled_passes import ShuffledPasses

_JUDGES = ("test", "validation")


class Classification(gym.Env[NDArray[Any], int]):
    """Name the class of one image an episode.

    ## Description
    An image is shown, one guess is made, and the episode ends. Success rate is accuracy. Images come in shuffled
    passes: every image of the split once, then every image once more in another order, so that as many
    consecutive episodes as there are images see each exactly once. The order depends on the seed alone.

    ## Action Space
    Discrete(number of classes): the class guessed.

    ## Observation Space
    Box of the image's shape, (height, width) or (height, width, channels): uint8 from 0 to 255 where the dataset
    holds whole numbers, else float32 from 0 to 1. The observation after the guess is the same image.

    ## Starting State
    The next image of the pass; `reset(seed=...)` begins a new one. info["index"] is its number in the split.

    ## Rewards
    1 if the guess is right, else 0.

    ## Episode End
    After one step. info has "label", the right class, "index", "is_success", and "pseudo_regret", 1 for a wrong guess,
    else 0. Optimum: 1, where no two images with different labels are alike.

    ## Arguments
    `dataset="digits"`, or "mnist", "fashion_mnist", or a Dataset; `path=None`, of an .npz file, see
    `load_dataset`; `split="train"`, or "test" or "validation"; `validation=0`, the number of training images that
    are in "validation" and not in "train"; `evaluation="test"`, or "validation": the split that judges what was
    learnt from the training images.

    ## Reference
    Osband et al. (2020), Behaviour Suite for Reinforcement Learning, `mnist`. Differences: a wrong guess costs
    nothing instead of 1; images are drawn without replacement; the test part can be played too.

    ## Version History
    v0: first version.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi", "rgb_array"], "render_fps": 2}  # noqa: RUF012 - Gymnasium's own form

    def __init__(
        self,
        dataset: str | Dataset | None = None,
        split: str = "train",
        path: str | Path | None = None,
        validation: int = 0,
        evaluation: str = "test",
        render_mode: str | None = None,
    ) -> None:
        check_choice("render_mode", render_mode, (None, *self.metadata["render_modes"]))
        check_evaluation(evaluation, validation)
        self.dataset = load_dataset(dataset, path)
        self.split, self.validation, self.evaluation = split, validation, evaluation
        self.examples: LabelledExamples = self.dataset.examples(split, validation)
        self.observation_space = image_space(self.dataset)
        self.action_space = cast("spaces.Space[int]", spaces.Discrete(self.dataset.num_classes))
        self.render_mode = render_mode
        self._passes = ShuffledPasses(len(self.examples.labels))
        self._index: int | None = None
        self._guess: int | None = None

    @property
    def contents_digest(self) -> str:
        """SHA-256 of the dataset's images and labels, all splits: a path alone does not identify them."""
        return self.dataset.digest

    def evaluation_environment(self) -> Classification:
        """The environment on which an agent that learnt here is evaluated.

        What was learnt from the training images is judged by the test images, or by those held out where
        `evaluation="validation"`; what was learnt from other splits by the same images.
        """
        if self.split != "train":
            return self
        return Classification(self.dataset, self.evaluation, validation=self.validation)

    @property
    def examples_in_words(self) -> str:
        """How many images of which split."""
        number = len(self.examples.labels)
        return f"{'1 image' if number == 1 else f'{number:,} images'} of the {self.split} split"

    @property
    def description(self) -> str:
        """Dataset, number of images and where they come from, such as for a table's footnote."""
        return f"{self.dataset.name}: {self.examples_in_words} ({self.dataset.source})"

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Show the next image. `options` has no effect."""
        super().reset(seed=seed)
        self._index = self._passes.take_next(self.np_random)
        self._guess = None
        return self.examples.inputs[self._index].copy(), {"index": self._index}

    def step(self, action: SupportsInt) -> tuple[NDArray[Any], float, bool, bool, dict[str, Any]]:
        """Compare a guess with the label.

        Raises:
            ResetNeeded: there is no image that has not been guessed.
            ValueError: the action is no class.
        """
        if self._index is None or self._guess is not None:
            raise gym.error.ResetNeeded("call reset() before step(): every image is guessed once")
        guess = int(action)
        if not 0 <= guess < self.dataset.num_classes:
            raise ValueError(f"action must be 0 to {self.dataset.num_classes - 1}, got {action!r}")
        self._guess = guess
        label = int(self.examples.labels[self._index])
        is_right = guess == label
        lost = float(not is_right)
        info = {"index": self._index, "label": label, "is_success": is_right, "pseudo_regret": lost}
        return self.examples.inputs[self._index].copy(), float(is_right), True, False, info

    def render(self) -> str | NDArray[np.uint8] | None:
        """The image with its label and the guess, as text or as a picture (height, width, 3)."""
        if self.render_mode is None:
            gym.logger.warn('render() needs render_mode="ansi" or "rgb_array", given when the environment is made')
            return None
        if self._index is None:
            raise gym.error.ResetNeeded("call reset() before render()")
        draw = draw_text if self.render_mode == "ansi" else draw_picture
        return draw(self.examples.inputs[self._index], int(self.examples.labels[self._index]), self._guess)


def check_evaluation(evaluation: object, validation: int) -> None:
    """Refuse a split that cannot judge.

    Raises:
        DatasetError: it is neither "test" nor "validation", or there are no images for validation.
    """
    if evaluation not in _JUDGES:
        listed = " or ".join(map(repr, _JUDGES))
        raise DatasetError(f"evaluation must be {listed}, got {evaluation!r}{did_you_mean(evaluation, _JUDGES)}")
    if evaluation == "validation" and not validation:
        raise DatasetError("evaluation='validation' needs validation=, the number of training images to hold out")


def image_space(dataset: Dataset) -> spaces.Box:
    """Space of a dataset's images."""
    is_whole = dataset.x_train.dtype == np.uint8
    return spaces.Box(0, 255 if is_whole else 1, dataset.image_shape, dtype=np.uint8 if is_whole else np.float32)
