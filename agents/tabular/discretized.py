"""A tabular agent that looks at continuous observations through bins."""

import dataclasses
import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from velodrome.agents.agent import Agent, Loop
from velodrome.agents.deep.labelled_task import ObservationError, numbers
from velodrome.agents.engine.seeding import Streams
from velodrome.agents.errors import UnsupportedEnvironmentError, environment_label
from velodrome.agents.tabular.finite_horizon import refuse_by_step
from velodrome.agents.tabular.observation_index import is_finite
from velodrome.agents.tabular.q_learning import QLearning
from velodrome.agents.tabular.tabular_agent import TabularAgent
from velodrome.agents.tabular.tabular_learner import TabularLearner, TabularTask
from velodrome.agents.unfit_spaces import actions_refused, observations_refused
from velodrome.checks import ConfigurationError
from velodrome.envs.binning import Binning
from velodrome.envs.discretize import Discretize, check_dimensions, limits_of_all


class Discretized(Agent):
    """A tabular agent that sees which bin holds an observation.

    It does what the agent does in an environment inside `Discretize`; but here the environment stays what it is, and
    agents that see all of its observations can be compared on it.

    Args:
        agent: a tabular agent.
        bins: number of bins in every dimension that is looked at, or one number for each.
        dimensions: numbers of the dimensions that are looked at, counted in the flattened observation; all if None.
        low: smallest value of every dimension of the observation, as of `Discretize`, or of those that are looked at.
        high: largest value, likewise.

    Raises:
        ConfigurationError: the agent is not tabular, or a parameter is none that could be.
    """

    # Any agent here, so that expressions may name one; `__post_init__` refuses those without a table.
    agent: Agent = field(default_factory=QLearning, kw_only=False)
    bins: int | tuple[int, ...] = 10
    dimensions: tuple[int, ...] | None = None
    low: float | tuple[float, ...] | None = None
    high: float | tuple[float, ...] | None = None

    can_checkpoint: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not isinstance(self.agent, TabularAgent):
            order = ": write binned_actions(discretized(...))" * (getattr(self.agent, "name", "") == "binned_actions")
            raise ConfigurationError(f"{self.name}: agent must be a tabular agent, got {self.agent}{order}")
        refuse_by_step(self.name, self.agent)
        check_dimensions(f"{self.name}: ", self.dimensions, "bins", self.bins)
        self._inner: TabularAgent = dataclasses.replace(self.agent)

    @property
    def _table_agent(self) -> TabularAgent:
        """The tabular agent, with what was learnt."""
        self._inner._bound = self.binding
        return self._inner

    @property
    def action_values(self) -> np.ndarray:
        """Action values float64 (num_bins, num_actions), the live array."""
        values: np.ndarray = self.learner.greedy_values
        return values

    def view_of(self, env: Any) -> gym.Env[Any, Any]:
        return self._through_bins(env)

    def task_of(self, env: Discretize) -> "BinnedTask":
        if not isinstance(env.action_space, spaces.Discrete):
            raise UnsupportedEnvironmentError(actions_refused(self.name, env.action_space, environment_label(env)))
        table = self._inner.task_of(env)
        shape = tuple(env.env.observation_space.shape or ())
        return BinnedTask(table.index, table.num_actions, table.action_start, View(shape, env.bins, env.low, env.high))

    def task_after(self, learnt: "BinnedTask", task: "BinnedTask", label: str) -> "BinnedTask":
        if task.view.to_data() != learnt.view.to_data():
            raise UnsupportedEnvironmentError(
                f"{self.name} has learnt from observations with other dimensions, bins or limits than those of {label}"
            )
        self._inner.task_after(learnt, task, label)
        return task

    def task_from_data(self, entries: dict[str, Any], arrays: dict[str, np.ndarray]) -> "BinnedTask":
        table = self._inner.task_from_data(entries, arrays)
        return BinnedTask(table.index, table.num_actions, table.action_start, View.from_data(entries["view"]))

    def new_learner(self, task: "BinnedTask", streams: Streams) -> TabularLearner:
        return self._inner.new_learner(task, streams)

    def plan_loop(self, loop: Loop, env: Any, success: str | None, notes: list[str]) -> Any:
        return self._inner.plan_loop(loop, env, success, notes)

    def set_state(self, entries: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        # Earlier releases kept what the tabular agent saves apart.
        entries = entries | entries.get("learner", {})
        super().set_state(entries, self._inner.readable(entries, arrays))

    @property
    def trains_side_by_side(self) -> bool:
        return type(self) is Discretized and self.agent.trains_side_by_side

    @property
    def result_version(self) -> int:
        return self.agent.result_version

    @property
    def needs_action_mask(self) -> bool:
        return self.is_trained and self._table_agent.needs_action_mask

    def act_with_info(self, observation: Any, info: dict[str, Any]) -> Any:
        return self._table_agent.act_with_info(self._numbers_of(observation), info)

    def act(self, observation: Any, *, explore: bool = False, action_mask: Any = None) -> Any:
        """Action for one observation, or actions for a batch; see `TabularAgent.act`.

        Args:
            observation: one or a batch.
            explore: as the policy explores.
            action_mask: one 0 or 1 an action (for a batch, a row each): which are available.

        Raises:
            UnsupportedEnvironmentError: nothing was learnt yet.
            ObservationError: the shape is neither that of one observation nor of a batch, or a number is NaN.
        """
        return self._table_agent.act(self._numbers_of(observation), explore=explore, action_mask=action_mask)

    def action_values_of(self, observations: Any) -> np.ndarray | None:
        return self._table_agent.action_values_of(self._numbers_of(observations))

    def action_probabilities(self, observations: Any) -> np.ndarray | None:
        return self._table_agent.action_probabilities(self._numbers_of(observations))

    def acting_generator(self) -> np.random.Generator:
        return self._table_agent.acting_generator()

    def _numbers_of(self, observation: Any) -> Any:
        """Number of the bin of an observation, or numbers int64 (batch,) of a batch."""
        view: View = self.learner.task.view
        shape, binning = view.shape, view.binning
        given = numbers(observation)
        if given.shape == shape:
            return _number_of(binning, given)
        if given.shape[1:] != shape:
            raise ObservationError(f"an observation has shape {shape}, a batch one dimension more; got {given.shape}")
        return np.array([_number_of(binning, one) for one in given], dtype=np.int64)

    def _through_bins(self, environment: gym.Env[Any, Any]) -> Discretize:
        label, space = environment_label(environment), environment.observation_space
        if not isinstance(space, spaces.Box):
            if is_finite(space):
                message = f"{self.name} needs a Box observation space, but {label} has {space}: take {self.agent.name}"
                raise UnsupportedEnvironmentError(f"{message} itself")
            raise UnsupportedEnvironmentError(observations_refused(self.name, space, label, "a Box", _is_box))
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
            low, high = (limits_of_all(limits, self.dimensions, size) for limits in (self.low, self.high))
            return Discretize(environment, bins, low, high)
        except ValueError as error:
            raise UnsupportedEnvironmentError(f"{self.name}: {error}") from None


def _is_box(space: gym.Space[Any]) -> bool:
    return isinstance(space, spaces.Box) and space.dtype.kind == "f"


def _number_of(binning: Binning, observation: np.ndarray) -> int:
    try:
        return binning.number_of(observation)
    except ValueError as error:
        raise ObservationError(str(error)) from None


@dataclass(frozen=True, eq=False)
class View:
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
    def from_data(cls, data: Any) -> "View":
        numbers = (np.array(data[name], dtype=kind) for name, kind in (("bins", int), ("low", float), ("high", float)))
        view = cls(tuple(int(size) for size in data["shape"]), *numbers)
        if not len(view.bins) == len(view.low) == len(view.high) == math.prod(view.shape):
            raise ValueError("bins and limits do not fit the shape of an observation")
        return view


@dataclass(frozen=True)
class BinnedTask(TabularTask):
    """Rows and columns of a table, and how observations are seen.

    Attributes:
        view: bins of the observations.
    """

    view: View

    def to_data(self) -> dict[str, Any]:
        return super().to_data() | {"view": self.view.to_data()}
