"""A text as an environment."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, SupportsInt, cast

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from velodrome.checks import check_choice, check_integer
from velodrome.envs.labelled.datasets.dataset import LabelledExamples
from velodrome.envs.labelled.shuffled_passes import ShuffledPasses
from velodrome.envs.labelled.texts import chosen_text, vocabulary_of

_SHOWN = 60


class Text(gym.Env[int, int]):
    """Read a text character by character, and say each time which comes next.

    ## Description
    The vocabulary is the text's characters, each once, sorted by code point, unless another is given. Which
    character follows may depend on more than the present one ("h" is followed by "i" and by "e" in "hihello"), so
    the observation is no state, there are no transition probabilities `P`, and agents that remember can do better
    than agents that do not.

    ## Action Space
    Discrete(size of the vocabulary): the character that comes next.

    ## Observation Space
    Discrete(size of the vocabulary): the present character.

    ## Starting State
    The first character of the text. With `window=n` an episode is n steps, beginning anywhere: all places come
    in shuffled passes, each once, then each once more in another order. info["index"] is the place.

    ## Rewards
    1 if the guess is right, else 0: return / length is the share of characters that were right.

    ## Episode End
    Terminates at the end of the text, or of the window. info has "label", the right character, "index", and
    "is_success", which is true at the end of an episode without a mistake. Optimum: return len(text) - 1 for one
    who remembers the text so far; with a window less, where its first characters stand in several places.

    ## Arguments
    One of `text`, `path`, of a UTF-8 file, taken as it is, its line ends included, and `name`: "hello", "hihello"
    (the default), "if_you_want_you" or "long_sentence". `window=None`, steps an episode; None is the whole text.
    `vocabulary=None`, a string of different characters in any order, those of the text among them: that of another
    text, so that an agent that learnt there can act here.

    ## Reference
    Kim (2017), Deep Learning Zero to All, lab 12: its texts, and its windows of 10 characters.

    ## Version History
    v0: first version.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 4}  # noqa: RUF012 - Gymnasium's own form

    def __init__(
        self,
        text: str | None = None,
        path: str | Path | None = None,
        name: str | None = None,
        window: int | None = None,
        vocabulary: str | None = None,
        render_mode: str | None = None,
    ) -> None:
        check_choice("render_mode", render_mode, (None, *self.metadata["render_modes"]))
        self.text, self._label = chosen_text(text, path, name)
        last = len(self.text) - 1
        self.window = last if window is None else check_integer("window", window, minimum=1, maximum=last)
        self.vocabulary = vocabulary_of(self.text, vocabulary)
        numbers = {character: number for number, character in enumerate(self.vocabulary)}
        self.encoded = np.fromiter((numbers[character] for character in self.text), dtype=np.int64, count=last + 1)
        self.encoded.flags.writeable = False
        size = len(self.vocabulary)
        self.observation_space = cast("spaces.Space[int]", spaces.Discrete(size))
        self.action_space = cast("spaces.Space[int]", spaces.Discrete(size))
        self.render_mode = render_mode
        self._passes = ShuffledPasses(len(self.text) - self.window)
        self._start: int | None = None
        self._guesses: list[int] = []
        self._num_right = 0

    @property
    def contents_digest(self) -> str:
        """SHA-256 of the text and the vocabulary: a path alone does not identify them."""
        # Python's texts may hold halves of a character, which UTF-8 has not.
        parts = [part.encode("utf-8", "surrogatepass") for part in (self.vocabulary, self.text)]
        return hashlib.sha256(b"%d\n" % len(parts[0]) + parts[0] + parts[1]).hexdigest()

    def evaluation_environment(self) -> Text:
        """This environment: an agent that learnt here is evaluated here, for a text has no test split."""
        return self

    @property
    def examples_in_words(self) -> str:
        """How many windows of which length."""
        number = len(self.text) - self.window
        if number == 1:
            return f"1 text of {self.window:,} guess{'es' if self.window > 1 else ''}"
        return f"{number:,} windows of {self.window:,}"

    @property
    def description(self) -> str:
        """The text and its length, such as for a table's footnote."""
        return f"{self._label}: {self.examples_in_words}"

    @property
    def examples(self) -> LabelledExamples:
        """All windows: the characters read, int64 (num_windows, window), and those that come next, likewise."""
        windows = np.lib.stride_tricks.sliding_window_view(self.encoded, self.window + 1)
        return LabelledExamples(windows[:, :-1], windows[:, 1:])

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Go to the beginning of the next window. `options` has no effect."""
        super().reset(seed=seed)
        self._start = self._passes.take_next(self.np_random)
        self._guesses, self._num_right = [], 0
        return int(self.encoded[self._start]), {"index": self._start}

    def step(self, action: SupportsInt) -> tuple[int, float, bool, bool, dict[str, Any]]:
        """Compare a guess with the next character, and go on to it.

        Raises:
            ResetNeeded: there is no next character.
            ValueError: the action is no character of the vocabulary.
        """
        if self._start is None or len(self._guesses) == self.window:
            raise gym.error.ResetNeeded("call reset() before step(): there is no next character")
        guess = int(action)
        if not 0 <= guess < len(self.vocabulary):
            raise ValueError(f"action must be 0 to {len(self.vocabulary) - 1}, got {action!r}")
        self._guesses.append(guess)
        place = self._start + len(self._guesses)
        label = int(self.encoded[place])
        self._num_right += guess == label
        terminated = len(self._guesses) == self.window
        info = {"index": place, "label": label, "is_success": terminated and self._num_right == self.window}
        return label, float(guess == label), terminated, False, info

    def render(self) -> str | None:
        """The text read so far, and below each character what was guessed; the last 60 characters."""
        if self.render_mode is None:
            gym.logger.warn('render() needs render_mode="ansi", given when the environment is made')
            return None
        if self._start is None:
            raise gym.error.ResetNeeded("call reset() before render()")
        read = self.text[self._start : self._start + len(self._guesses) + 1]
        guessed = "".join(self.vocabulary[guess] for guess in self._guesses)
        lines = (f"text    {_visible(read[-_SHOWN:])}", f"guessed {_visible((' ' + guessed)[-_SHOWN:])}")
        return "\n".join((*lines, f"{self._num_right} of {len(self._guesses)} right")) + "\n"


def _visible(text: str) -> str:
    return "".join(character if character.isprintable() else "·" for character in text)
