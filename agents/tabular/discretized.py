"""A tabular agent that looks at continuous observations through bins."""

import dataclasses
import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from velodrome.agents.agent import Agent, Callback, Loop
from velodrome.agents.deep.labelled_task import ObservationError, numbers
from velodrome.agents.errors import UnsupportedEnvironmentError, environment_label
from velodrome.agents.resuming.saving import SavedAgentError, write_agent
from velodrome.agents.tabular.q_learning import QLearning
from velodrome.agents.tabular.tabular_agent import TabularAgent
from velodrome.agents.training_log import TrainingLog
from velodrome.checks import ConfigurationError, check_integer
from velodrome.envs.binning import Binning
from velodrome.envs.discretize import Discretize
from velodrome.envs.make import make_environment
from velodrome.policies.configuration import to_data


@dataclass(kw_only=True, eq=False)
class Discretized(Agent):
    """A tabular agent that sees which bin holds an observation.

    It does what the agent does in an environment inside `Discretize`; but here the environment stays what it is, and
    agents that see all of its observations can be compared on it.

    Args:
        agent: a tabular agent.
        bins: in every dimension that is looked at, or one number for each.
        dimensions: numbers of the dimensions that are looked at, counted in the flattened observation; all if None.
        low: smallest value of every dimension of the observation, as of `Discretize`, or of those that are looked at.
        high: largest value, likewise.

    Raises:
        ConfigurationError: the agent is not tabular, or a parameter is none that could be.
    """

    # Any agent here, so that expressions may name one; `__post_init__` refuses those without a table.
    agent: Agent = field(default_factory=QLearning)
    bins: int | tuple[int, ...] = 10
    dimensions: tuple[int, ...] | None = None
    low: float | tuple[float, ...] | None = None
    high: float | tuple[float, ...] | None = None

    can_checkpoint: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not isinstance(self.agent, TabularAgent):
            raise ConfigurationError(f"{self.name}: agent must be a tabular agent, got {self.agent}")
        bins = self.bins if isinstance(self.bins, tuple | list) else (self.bins,)
        for number in bins:
            check_integer(f"{self.name}: bins", number, minimum=1)
        if self.dimensions is not None:
            if not isinstance(self.dimensions, tuple | list):
                raise ConfigurationError(f"{self.name}: dimensions must be a tuple of numbers, got {self.dimensions!r}")
            for number in self.dimensions:
                check_integer(f"{self.name}: dimensions", number, minimum=0)
            if not self.dimensions or len(set(self.dimensions)) < len(self.dimensions):
                raise ConfigurationError(f"{self.name}: dimensions must be different numbers, got {self.dimensions}")
            size = len(self.dimensions)
            if len(bins) not in (1, size):
                raise ConfigurationError(
                    f"{self.name}: bins must be one number or {size}, one a dimension, got {len(bins)}"
                )
        self._learner: TabularAgent = dataclasses.replace(self.agent)
        self._environment: gym.Env[Any, Any] | None = None
        self._environment_id: str | None = None
        self._seen: Discretize | None = None
        self._view: _View | None = None

    @property
    def action_values(self) -> np.ndarray:
        """Action values float64 (num_bins, num_actions), the live array."""
        return self._learner.action_values

    def check_environment(self, env: gym.Env[Any, Any]) -> None:
        self._learner.check_environment(self._through_bins(env))

    def train(
        self,
        env: gym.Env[Any, Any] | str,
        *,
        episodes: int | None = None,
        steps: int | None = None,
        seed: int | None = None,
        loop: Loop = "auto",
        callback: Callback | None = None,
        callback_every: int = 100,
        success: str | None = None,
    ) -> TrainingLog:
        environment: Any = env
        if isinstance(env, str):
            environment = self._environment if self._environment_id == env else make_environment(env)
        if environment is not self._environment:
            self._enter(environment)
        self._environment_id = env if isinstance(env, str) else None
        assert self._seen is not None
        try:
            return self._learner.train(
                self._seen, episodes=episodes, steps=steps, seed=seed, loop=loop, callback=callback,
                callback_every=callback_every, success=success,
            )  # fmt: skip
        except Exception:
            if self._learner._bound is None:
                # Refused before anything was learnt: any environment may come next.
                self._environment = self._environment_id = self._seen = self._view = None
            raise

    @property
    def result_version(self) -> int:
        return self.agent.result_version

    @property
    def needs_action_mask(self) -> bool:
        return self._learner.needs_action_mask

    def act_with_info(self, observation: Any, info: dict[str, Any]) -> Any:
        return self._learner.act_with_info(self._numbers_of(observation), info)

    def act(self, observation: Any, *, explore: bool = False, action_mask: Any = None) -> Any:
        """Action for one observation, or actions for a batch; `action_mask` as of `TabularAgent.act`.

        Raises:
            UnsupportedEnvironmentError: nothing was learnt yet.
            ObservationError: the shape is neither that of one observation nor of a batch, or a number is NaN.
        """
        return self._learner.act(self._numbers_of(observation), explore=explore, action_mask=action_mask)

    def _numbers_of(self, observation: Any) -> Any:
        """Number of the bin of an observation, or numbers int64 (batch,) of a batch."""
        if self._view is None:
            raise UnsupportedEnvironmentError(f"{self.name} has not been trained or loaded yet: call train first")
        shape, binning = self._view.shape, self._view.binning
        given = numbers(observation)
        if given.shape == shape:
            return _number_of(binning, given)
        if given.shape[1:] != shape:
            raise ObservationError(f"an observation has shape {shape}, a batch one dimension more; got {given.shape}")
        return np.array([_number_of(binning, one) for one in given], dtype=np.int64)

    def acting_generator(self) -> np.random.Generator | None:
        return self._learner.acting_generator()

    def save(self, directory: str | Path) -> None:
        if self._view is None:
            raise UnsupportedEnvironmentError(f"{self.name} has not been trained or loaded yet: call train first")
        manifest, arrays = self._learner._binding.to_storage()
        write_agent(directory, {"agent": to_data(self), "learner": manifest, "view": self._view.to_data()}, arrays)

    def resume(self, env: gym.Env[Any, Any]) -> None:
        self._enter(env)
        assert self._seen is not None
        self._learner.resume(self._seen)

    def _restore(self, manifest: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        try:
            self._view = _View.from_data(manifest["view"])
            learnt = manifest["learner"]
        except (KeyError, TypeError, ValueError) as error:
            raise SavedAgentError(f"the saved {self.name} agent is not complete: {error}") from None
        self._learner._restore(learnt, arrays)

    def _enter(self, environment: gym.Env[Any, Any]) -> None:
        seen = self._through_bins(environment)
        view = _View(tuple(environment.observation_space.shape or ()), seen.bins, seen.low, seen.high)
        if self._view is not None and view.to_data() != self._view.to_data():
            raise UnsupportedEnvironmentError(
                f"{self.name} has learnt from observations with other dimensions, bins or limits than those of "
                f"{environment_label(environment)}"
            )
        self._environment, self._seen, self._view = environment, seen, view

    def _through_bins(self, environment: gym.Env[Any, Any]) -> Discretize:
        label, space = environment_label(environment), environment.observation_space
        if not isinstance(space, spaces.Box):
            raise UnsupportedEnvironmentError(f"{self.name} needs a Box observation space, but {label} has {space}")
        bins: int | list[int] = list(self.bins) if isinstance(self.bins, tuple | list) else self.bins
        if self.dimensions is not None:
            size = math.prod(space.shape)
            outside = [number for number in self.dimensions if number >= size]
            if outside:
                raise UnsupportedEnvironmentError(
                    f"{self.name}: observations of {label} have dimensions 0 to {size - 1}, got {outside[0]}"
                )
            looked_at = [bins] * len(self.dimensions) if isinstance(bins, int) else bins
            bins = [1] * size
            for number, own in zip(self.dimensions, looked_at, strict=True):
                bins[number] = own
        try:
            size = math.prod(space.shape)
            return Discretize(environment, bins, self._spread(self.low, size), self._spread(self.high, size))
        except ValueError as error:
            raise UnsupportedEnvironmentError(f"{self.name}: {error}") from None

    def _spread(self, limits: float | tuple[float, ...] | None, size: int) -> Any:
        """Limits of all dimensions, NaN where they are given for those alone that are looked at, in their order."""
        looked_at = self.dimensions
        if looked_at is None or not isinstance(limits, tuple | list) or not len(limits) == len(looked_at) < size:
            return limits
        spread = np.full(size, np.nan)
        spread[list(looked_at)] = limits
        return spread


def _number_of(binning: Binning, observation: np.ndarray) -> int:
    try:
        return binning.number_of(observation)
    except ValueError as error:
        raise ObservationError(str(error)) from None


@dataclass(frozen=True, eq=False)
class _View:
    """How observations are seen: their shape, and the bins of each dimension and its limits."""

    shape: tuple[int, ...]
    bins: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @cached_property
    def binning(self) -> Binning:
        return Binning(self.bins, self.low, self.high)

    def to_data(self) -> dict[str, Any]:
        arrays = {"bins": self.bins, "low": self.low, "high": self.high}
        return {"shape": list(self.shape)} | {name: array.tolist() for name, array in arrays.items()}

    @classmethod
    def from_data(cls, data: Any) -> "_View":
        numbers = (np.array(data[name], dtype=kind) for name, kind in (("bins", int), ("low", float), ("high", float)))
        view = cls(tuple(int(size) for size in data["shape"]), *numbers)
        if not len(view.bins) == len(view.low) == len(view.high) == math.prod(view.shape):
            raise ValueError("bins and limits do not fit the shape of an observation")
        return view
