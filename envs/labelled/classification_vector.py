"""Thousands of labelled images a step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.random import SeedSequence
from numpy.typing import ArrayLike, NDArray

from velodrome.checks import check_choice, check_integer
from velodrome.envs.labelled.classification import check_evaluation, image_space
from velodrome.envs.labelled.datasets.dataset import Dataset, LabelledExamples
from velodrome.envs.labelled.datasets.loading import load_dataset
from velodrome.envs.labelled.shuffled_passes import ShuffledPasses

_MODES = tuple(mode.value for mode in AutoresetMode)


class ClassificationVectorEnv(VectorEnv[NDArray[Any], ArrayLike, NDArray[Any]]):
    """`Classification` for many images at once; what `gymnasium.make_vec` makes of velodrome/Classification-v0.

    The images of one sequence of shuffled passes are dealt out to the sub-environments, the same sequence that
    one environment with the same seed shows: ceil(number of images / num_envs) rounds see each image of a split.
    Observations, rewards and infos are those of `gymnasium.vector.SyncVectorEnv`.

    Args:
        num_envs: images a step.
        dataset: as for `Classification`.
        split: likewise.
        path: likewise.
        validation: likewise.
        evaluation: likewise.
        render_mode: None; pictures are drawn by `Classification`.
        autoreset_mode: when the next image follows a guess: "NextStep", in a step of its own that ignores the
            action; "SameStep", with info["final_obs"] and info["final_info"]; "Disabled", on
            reset(options={"reset_mask": ...}).

    Raises:
        DatasetError: no such dataset, file or split.
        ValueError: any other argument is not allowed.
    """

    def __init__(
        self,
        num_envs: int = 1,
        dataset: str | Dataset | None = None,
        split: str = "train",
        path: str | Path | None = None,
        validation: int = 0,
        evaluation: str = "test",
        render_mode: None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
    ) -> None:
        self.num_envs = check_integer("num_envs", num_envs, minimum=1)
        check_choice("render_mode", render_mode, (None,))
        if not isinstance(autoreset_mode, AutoresetMode):
            check_choice("autoreset_mode", autoreset_mode, _MODES)
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {"render_modes": [], "autoreset_mode": self.autoreset_mode}
        check_evaluation(evaluation, validation)
        self.dataset = load_dataset(dataset, path)
        self.split, self.evaluation = split, evaluation
        self.examples: LabelledExamples = self.dataset.examples(split, validation)
        self.single_observation_space = image_space(self.dataset)
        self.single_action_space = spaces.Discrete(self.dataset.num_classes)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._passes = ShuffledPasses(len(self.examples.labels))
        self._num_taken = 0
        self._indices = np.full(num_envs, -1, dtype=np.int64)
        self._is_guessed = np.zeros(num_envs, dtype=np.bool_)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Show the next images.

        Args:
            seed: begins a new sequence; None goes on with the present one.
            options: {"reset_mask": bool (num_envs,)} resets these sub-environments alone.

        Returns:
            Images (num_envs, ...), and info with "index", their numbers in the split.

        Raises:
            ValueError: the mask is not one.
        """
        super().reset(seed=seed)
        if seed is not None:
            self._num_taken = 0
        mask = np.ones(self.num_envs, dtype=np.bool_)
        if options is not None and "reset_mask" in options:
            mask = self._checked_mask(options["reset_mask"])
        self._show_next(mask)
        return self._images(), _masked({"index": self._indices}, mask)

    def step(
        self, actions: ArrayLike
    ) -> tuple[NDArray[Any], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Compare guesses, (num_envs,), with the labels.

        Raises:
            ResetNeeded: reset() was not called, or where nothing resets by itself, an image is guessed already.
            ValueError: the actions are not one class an image.
        """
        if self._indices[0] < 0:
            raise gym.error.ResetNeeded("call reset() before step()")
        guesses = self._checked_actions(actions)
        resets = self._is_guessed
        if self.autoreset_mode is AutoresetMode.DISABLED and resets.any():
            place = int(np.argmax(resets))
            raise gym.error.ResetNeeded(
                f"sub-environment {place} has ended: reset it with options={{'reset_mask': ...}}"
            )
        plays = ~resets
        labels = self.examples.labels[self._indices]
        is_right = plays & (guesses == labels)
        guess_info = {"index": self._indices, "label": labels, "is_success": is_right}
        guess_info["pseudo_regret"] = 1.0 - is_right
        if self.autoreset_mode is AutoresetMode.SAME_STEP:
            final = {"final_obs": _rows(self._images()), "final_info": _masked(guess_info, plays)}
            self._show_next(plays)
            info = _masked(final, plays) | _masked({"index": self._indices}, plays)
        else:
            self._show_next(resets)
            self._is_guessed = plays
            info = _masked({"index": self._indices}, np.ones_like(plays))
            info |= _masked({name: guess_info[name] for name in ("label", "is_success", "pseudo_regret")}, plays)
        return self._images(), is_right.astype(np.float64), plays.copy(), np.zeros_like(plays), info

    def _images(self) -> NDArray[Any]:
        return self.examples.inputs[self._indices]

    def _show_next(self, mask: NDArray[np.bool_]) -> None:
        count = int(mask.sum())
        sequence = self.np_random.bit_generator.seed_seq
        assert isinstance(sequence, SeedSequence)
        # What was returned before keeps its own array.
        self._indices, self._is_guessed = self._indices.copy(), self._is_guessed & ~mask
        self._indices[mask] = self._passes.take(sequence, self._num_taken, count)
        self._num_taken += count

    def _checked_actions(self, actions: ArrayLike) -> NDArray[Any]:
        guesses, last = np.asarray(actions), self.dataset.num_classes - 1
        if guesses.shape != (self.num_envs,) or guesses.dtype.kind not in "ui":
            raise ValueError(
                f"actions must be {self.num_envs} whole numbers, one an image, got {guesses.dtype} {guesses.shape}"
            )
        if guesses.min() < 0 or guesses.max() > last:
            place = int(np.argmax((guesses < 0) | (guesses > last)))
            raise ValueError(f"actions must be 0 to {last}, got {guesses[place]} for sub-environment {place}")
        return guesses

    def _checked_mask(self, given: Any) -> NDArray[np.bool_]:
        mask = np.asarray(given)
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
            raise ValueError(f"reset_mask must be {self.num_envs} booleans with at least one True, got {given!r}")
        if self._indices[0] < 0 and not mask.all():
            raise gym.error.ResetNeeded("call reset() without reset_mask first")
        return mask


def _masked(values: dict[str, Any], mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Info of many environments as Gymnasium gives it: beside each key a mask, and zero where it is false."""
    info: dict[str, Any] = {}
    if not mask.any():
        return info
    for name, value in values.items():
        info[name] = np.where(mask, value, np.zeros_like(value)) if isinstance(value, np.ndarray) else value
        info[f"_{name}"] = mask.copy()
    return info


def _rows(images: NDArray[Any]) -> NDArray[np.object_]:
    rows = np.empty(len(images), dtype=object)
    rows[:] = list(images)
    return rows
