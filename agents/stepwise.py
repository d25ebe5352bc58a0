"""Learners: what an agent becomes in an environment, and what the training loop calls of some of them."""

import math
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Self

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from velodrome.agents.engine.sampled_model import SampledModel
from velodrome.agents.training_log import Curve


@dataclass(frozen=True, eq=False)
class Spaces:
    """The spaces of an environment, equal where both are.

    Attributes:
        observation_space: of the environment; Discrete for a model.
        action_space: likewise.
    """

    observation_space: gym.Space[Any]
    action_space: gym.Space[Any]

    @classmethod
    def of(cls, env: Any) -> Self:
        """Spaces of an environment or a model."""
        if isinstance(env, SampledModel):
            return cls(spaces.Discrete(env.model.num_states), spaces.Discrete(env.model.num_actions))
        return cls(env.observation_space, env.action_space)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spaces) and (self.observation_space, self.action_space) == (
            other.observation_space,
            other.action_space,
        )

    def __hash__(self) -> int:
        return hash(str(self))

    def to_data(self) -> dict[str, Any]:
        """JSON-ready data.

        Raises:
            TypeError: a space is of another kind than those of Gymnasium that hold numbers or text.
        """
        return {
            "observation_space": space_to_data(self.observation_space),
            "action_space": space_to_data(self.action_space),
        }

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Self:
        """Spaces from the data of `to_data`."""
        return cls(space_from_data(data["observation_space"]), space_from_data(data["action_space"]))

    def __str__(self) -> str:
        return f"observations {self.observation_space} and actions {self.action_space}"


class Learner(ABC):
    """All that an agent has learnt in an environment; the agent's `new_learner` makes one."""

    def enter(self, task: Any, environment: Any, *, is_resumed: bool = False) -> None:
        """Go on in an environment, the first, another or the same one seeded anew; an unfinished episode is forgotten.

        Args:
            task: what the agent's `task_of` says of it.
            environment: as the agent sees it.
            is_resumed: it was made anew, and stands for the one in which training stopped.
        """
        self.forget_episode()

    def forget_episode(self) -> None:
        """Drop what belongs to an unfinished episode."""
        return None

    def undisturbed(self) -> AbstractContextManager[None]:
        """Inside, the agent may be asked to act, for an evaluation: nothing that training depends on changes."""
        return nullcontext()

    def action_values(self, observations: Any) -> np.ndarray | None:
        """Action values float64 (batch, num_actions) of a batch of observations; None where there are none."""
        return None

    def visits(self, observations: Any) -> np.ndarray | None:
        """How often an action was taken at each of a batch of observations, int64 (batch,); None where not counted."""
        return None

    def exploration(self) -> float:
        """Parameter of the exploration policy for the next choice; NaN where there is none."""
        return math.nan

    def curves(self, step: int) -> tuple[Curve, ...]:
        """What it measured of itself since the call of `train` began, such as its loss; by default nothing.

        Args:
            step: steps taken before the call, from which `at` counts.
        """
        return ()

    @abstractmethod
    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """JSON-ready entries and arrays from which the learner can be made again."""

    @abstractmethod
    def set_state(self, entries: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Take over what `state` gave.

        Raises:
            KeyError, TypeError, ValueError: something is missing or does not fit.
        """


class StepwiseLearner(Learner):
    """A learner that chooses actions and learns from what they led to.

    The training loop calls, for every episode, `begin` once, then `choose` and `observe` in turn.
    """

    #: Called with each observation and its info before the learner sees them; None where infos do not matter.
    watch_info: Callable[[Any, dict[str, Any]], None] | None = None

    @abstractmethod
    def begin(self, observation: Any) -> None:
        """Start an episode."""

    @abstractmethod
    def choose(self) -> Any:
        """Action of the action space for the present observation, exploring."""

    @abstractmethod
    def observe(self, observation: Any, reward: float, terminated: bool, truncated: bool) -> None:
        """Learn from what the chosen action led to."""

    def pause(self) -> None:
        """Leave everything, random streams included, as if training ended here; it may go on afterwards."""
        return None


def space_to_data(space: gym.Space[Any]) -> Any:
    """JSON-ready data of a space.

    Raises:
        TypeError: it is of another kind than those of Gymnasium that hold numbers or text.
    """
    if isinstance(space, spaces.Tuple):
        return {"kind": "Tuple", "spaces": [space_to_data(part) for part in space.spaces]}
    if isinstance(space, spaces.Dict):
        return {"kind": "Dict", "spaces": [[name, space_to_data(part)] for name, part in space.spaces.items()]}
    numbers: dict[str, Any]
    if isinstance(space, spaces.Discrete):
        numbers = {"n": int(space.n), "start": int(space.start)}
    elif isinstance(space, spaces.Box):
        numbers = {"low": space.low.tolist(), "high": space.high.tolist(), "shape": list(space.shape)}
    elif isinstance(space, spaces.MultiDiscrete):
        numbers = {"nvec": space.nvec.tolist(), "start": space.start.tolist()}
    elif isinstance(space, spaces.Text):
        return {
            "kind": "Text",
            "min_length": int(space.min_length),
            "max_length": int(space.max_length),
            "charset": space.characters,
        }
    elif isinstance(space, spaces.MultiBinary):
        numbers = {"n": space.n if isinstance(space.n, int) else list(space.shape)}
    else:
        raise TypeError(f"a space of kind {type(space).__name__} cannot be saved")
    dtype = {} if isinstance(space, spaces.MultiBinary) else {"dtype": np.dtype(space.dtype).name}
    return {"kind": type(space).__name__} | numbers | dtype


def space_from_data(data: Any) -> gym.Space[Any]:
    """Space of the data of `space_to_data`."""
    kind, rest = data["kind"], {name: value for name, value in data.items() if name != "kind"}
    if kind == "Tuple":
        return spaces.Tuple([space_from_data(part) for part in rest["spaces"]])
    if kind == "Dict":
        return spaces.Dict(OrderedDict((name, space_from_data(part)) for name, part in rest["spaces"]))
    if kind == "Text":
        return spaces.Text(**rest)
    if kind == "MultiBinary":
        return spaces.MultiBinary(rest["n"])
    rest["dtype"] = np.dtype(rest["dtype"]).type
    if kind == "Box":
        rest["shape"] = tuple(rest["shape"])
        rest["low"], rest["high"] = (np.array(rest[end], dtype=rest["dtype"]) for end in ("low", "high"))
        return spaces.Box(**rest)
    if kind == "MultiDiscrete":
        rest["nvec"], rest["start"] = np.array(rest["nvec"]), np.array(rest["start"])
        return spaces.MultiDiscrete(**rest)
    if kind == "Discrete":
        return spaces.Discrete(**rest)
    raise ValueError(f"unknown kind of space: {kind}")
