"""The task of a supervised agent: observations, classes and labelled examples."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Self

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from velodrome.agents.errors import UnsupportedEnvironmentError, environment_label
from velodrome.agents.unfit_spaces import actions_refused, observations_refused
from velodrome.checks import VelodromeError, one_line
from velodrome.envs.labelled.datasets.dataset import LabelledExamples
from velodrome.envs.wrapper_chain import is_transparent, wrappers_of


class ObservationError(VelodromeError, ValueError):
    """An observation that the agent cannot act on; the message is one line."""


# Kinds of whole numbers, and of all numbers.
_WHOLE = "biu"
_NUMBERS = "biuf"


def numbers(observation: Any) -> np.ndarray:
    """An observation or a batch as an array.

    Raises:
        ObservationError: it holds something else than numbers, or rows of different lengths.
    """
    try:
        array = np.asarray(observation)
    except (ValueError, TypeError) as error:
        raise ObservationError(f"observations must be arrays of numbers: {one_line(error)}") from None
    if array.dtype.kind not in _NUMBERS:
        raise ObservationError(f"observations must be numbers, got {array.dtype}")
    return array


def share_right(guesses: np.ndarray, labels: Any) -> float:
    """Share of the guesses (B,) that are the labels, (B,) or a column (B, 1).

    Raises:
        ObservationError: there is not one label for each guess.
    """
    right = np.asarray(labels)
    if right.shape not in {guesses.shape, (*guesses.shape, 1)}:
        raise ObservationError(f"labels must be one for each of {guesses.size} observations, got {right.shape}")
    return float(np.mean(guesses == right.reshape(guesses.shape)))


@dataclass(frozen=True)
class LabelledTask:
    """Shape of a task, JSON-ready but for its class.

    Attributes:
        observation_shape: of one observation; () for symbols.
        num_symbols: number of symbols of a Discrete observation space, 0 for a Box.
        symbol_start: the smallest symbol.
        scale: what observations are divided by: the largest value of the images that are learnt from, where these are
            whole numbers and known; else the upper bound of a Box; 1 where that is not one finite number.
        num_classes: number of actions.
        action_start: the smallest action.
        is_whole: whether observations are whole numbers.
    """

    observation_shape: tuple[int, ...]
    num_symbols: int
    symbol_start: int
    scale: float
    num_classes: int
    action_start: int
    is_whole: bool

    @classmethod
    def of(cls, name: str, env: gym.Env[Any, Any]) -> Self:
        """Task of an environment, for the agent called `name`.

        Raises:
            UnsupportedEnvironmentError: its spaces are of another kind.
        """
        observations, actions, label = env.observation_space, env.action_space, environment_label(env)
        if not isinstance(actions, spaces.Discrete):
            raise UnsupportedEnvironmentError(actions_refused(name, actions, label))
        num_classes, action_start = int(actions.n), int(actions.start)
        if isinstance(observations, spaces.Discrete):
            return cls((), int(observations.n), int(observations.start), 1.0, num_classes, action_start, True)
        if not isinstance(observations, spaces.Box):
            raise UnsupportedEnvironmentError(
                observations_refused(name, observations, label, "a Box or Discrete", _is_fit)
            )
        is_whole = observations.dtype.kind in _WHOLE
        largest = largest_pixel(env) if is_whole else None
        scale = _upper_bound(observations) if largest is None else largest
        return cls(tuple(observations.shape), 0, 0, scale, num_classes, action_start, is_whole)

    @classmethod
    def from_data(cls, data: Any) -> Self:
        """Task from `dataclasses.asdict` that went through JSON."""
        return cls(
            tuple(int(size) for size in data["observation_shape"]),
            int(data["num_symbols"]),
            int(data["symbol_start"]),
            float(data["scale"]),
            int(data["num_classes"]),
            int(data["action_start"]),
            bool(data["is_whole"]),
        )

    def after(self, learnt: Self) -> Self:
        """This task for an agent that learnt another one: whole numbers keep the scale that they were learnt with."""
        is_same_kind = self.is_whole and learnt.is_whole and not self.num_symbols
        return dataclasses.replace(self, scale=learnt.scale) if is_same_kind else self

    def scale_notes(self, env: gym.Env[Any, Any]) -> tuple[str, ...]:
        """A remark on the scale, where it is not the upper bound of an environment's observations."""
        space = env.observation_space
        if not isinstance(space, spaces.Box) or self.scale == _upper_bound(space):
            return ()
        return (f"divided the images by {self.scale:g}, the largest value of those first learnt from",)

    def is_batch(self, observation: Any) -> bool:
        """Whether observations have a leading dimension.

        Raises:
            ObservationError: the shape is neither that of one observation nor of a batch.
        """
        shape = numbers(observation).shape
        if shape == self.observation_shape:
            return False
        if shape[1:] == self.observation_shape and len(shape) == len(self.observation_shape) + 1:
            return True
        raise ObservationError(
            f"an observation has shape {self.observation_shape}, a batch one dimension more; got {shape}"
        )

    def checked(self, observations: Any) -> np.ndarray:
        """A batch of observations as an array; symbols are counted from 0.

        Raises:
            ObservationError: the shape is not (B, *observation_shape), a symbol is unknown, a number is not finite,
                or there are fractions where whole numbers were learnt from, which have another scale.
        """
        batch = numbers(observations)
        if batch.shape[1:] != self.observation_shape or batch.ndim != len(self.observation_shape) + 1:
            raise ObservationError(f"a batch has observations of shape {self.observation_shape}, got {batch.shape[1:]}")
        if self.num_symbols:
            return self.symbols(batch)
        if batch.dtype.kind == "f":
            if self.is_whole:
                raise ObservationError(
                    f"observations must be whole numbers, as those learnt from up to {self.scale:g}, got {batch.dtype}"
                )
            if not np.isfinite(batch).all():
                raise ObservationError(f"observations must be finite, got {batch[~np.isfinite(batch)][0]}")
        return batch

    def symbols(self, observations: np.ndarray) -> np.ndarray:
        """Symbols of any shape, counted from 0.

        Raises:
            ObservationError: one is unknown.
        """
        if observations.dtype.kind not in "iu":
            raise ObservationError(f"observations must be whole numbers, got {observations.dtype}")
        counted: np.ndarray = observations.astype(np.int64) - self.symbol_start
        wrong = (counted < 0) | (counted >= self.num_symbols)
        if wrong.any():
            last = self.symbol_start + self.num_symbols - 1
            raise ObservationError(
                f"observation {observations[wrong][0]} is unknown: {self.symbol_start} to {last} are allowed"
            )
        return counted


def _is_fit(space: gym.Space[Any]) -> bool:
    return isinstance(space, spaces.Box | spaces.Discrete)


def labelled_examples(name: str, env: gym.Env[Any, Any]) -> LabelledExamples:
    """Examples of an environment, for the agent called `name`.

    They are those of `env.unwrapped`, so that a wrapper may change rewards and count steps, but neither what is
    observed nor what an action means.

    Raises:
        UnsupportedEnvironmentError: it has none, or a wrapper around it may change what they say.
    """
    examples = getattr(env.unwrapped, "examples", None)
    if not isinstance(examples, LabelledExamples):
        raise UnsupportedEnvironmentError(f"{name} learns from labelled examples: {environment_label(env)} has none")
    for wrapper in wrappers_of(env):
        if not _keeps_meaning(wrapper):
            raise UnsupportedEnvironmentError(
                f"{name} learns from the labelled examples of {environment_label(env)} as they are, but wrapper "
                f"{type(wrapper).__name__} may change what is observed or what an action means: change the dataset"
            )
    return examples


def largest_pixel(env: gym.Env[Any, Any]) -> float | None:
    """Largest value of an environment's labelled images of whole numbers; None where there are none, or all are 0.

    None too where a wrapper may change what is observed: the images do not tell what its values are then.
    """
    examples = getattr(env.unwrapped, "examples", None)
    if not isinstance(examples, LabelledExamples) or examples.inputs.dtype.kind not in _WHOLE:
        return None
    if not isinstance(env.observation_space, spaces.Box) or not all(map(_keeps_meaning, wrappers_of(env))):
        return None
    return float(examples.inputs.max(initial=0)) or None


def _upper_bound(space: spaces.Box) -> float:
    """The upper bound of a space; 1 where it is not one finite number above 0."""
    highs = np.unique(space.high)
    return float(highs[0]) if len(highs) == 1 and np.isfinite(highs[0]) and highs[0] > 0 else 1.0


def _keeps_meaning(wrapper: gym.Wrapper[Any, Any, Any, Any]) -> bool:
    """Whether `wrapper` leaves observations and actions alone, as far as can be known."""
    inner = wrapper.env
    if (wrapper.observation_space, wrapper.action_space) != (inner.observation_space, inner.action_space):
        return False
    kind = type(wrapper)
    changes_reward_only = kind.step is gym.RewardWrapper.step and kind.reset is gym.Wrapper.reset
    return changes_reward_only or is_transparent(wrapper)
