"""Agents whose values depend on the step of the episode: what they share, for a learner of a finite horizon.

A learner keeps one table for each step, `step_values`, and the loops read one table, `action_values`. Both agree where
it matters: on arriving in a state, the state's row of the next step is copied into `action_values` (`go_on`), and at
an episode's end all rows of the first step are (`begin_horizon`). So neither loop knows of it, and the policy always
chooses by the values of the step. Acting and evaluation count steps, too: they never read one table as if it were what
the agent does.
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from velodrome.agents.engine.sampled_model import SampledModel
from velodrome.agents.errors import UnsupportedEnvironmentError, environment_label
from velodrome.agents.resuming.saving import whole_number
from velodrome.agents.tabular.greedy_table import GreedyTable, greedy_probabilities
from velodrome.agents.tabular.tabular_agent import TabularAgent
from velodrome.agents.tabular.tabular_learner import TabularLearner, TabularTask
from velodrome.checks import ConfigurationError, check_integer
from velodrome.envs.wrapper_chain import time_limit_of
from velodrome.policies.greedy import Greedy
from velodrome.policies.policy import Policy
from velodrome.policies.schedules import Schedule


def begin_horizon(memory: Any) -> None:
    """Stand before the first step: the policy reads the values of the first step in every state."""
    memory.clock[0] = 0
    for state in range(len(memory.action_values)):
        row, first = memory.action_values[state], memory.step_values[state]
        for action in range(len(row)):
            row[action] = first[action]


def go_on(memory: Any, next_state: int) -> None:
    """Stand before the next step: the policy reads its values in the state in which the learner has arrived."""
    memory.clock[0] += 1
    row = memory.action_values[next_state]
    values = memory.step_values[memory.clock[0] * len(memory.action_values) + np.int64(next_state)]
    for action in range(len(row)):
        row[action] = values[action]


def horizon_ends(memory: Any, ended: bool) -> Any:
    """Whether the step just taken was the last of the episode, or of the horizon."""
    return ended or memory.clock[0] + 1 == memory.clock[1]


@dataclass(frozen=True)
class FiniteHorizonTask(TabularTask):
    """Rows and columns of the tables, and the number of tables.

    Attributes:
        horizon: steps for which values are kept.
    """

    horizon: int

    def __str__(self) -> str:
        return f"{super().__str__()} and a horizon of {self.horizon} steps"

    def fits(self, other: TabularTask) -> bool:
        return super().fits(other) and self.horizon == getattr(other, "horizon", None)

    @classmethod
    def from_data(cls, entries: dict[str, Any]) -> "FiniteHorizonTask":
        task = TabularTask.from_data(entries)
        return cls(task.index, task.num_actions, task.action_start, whole_number(entries, "horizon", 1))

    def to_data(self) -> dict[str, Any]:
        return super().to_data() | {"horizon": self.horizon}


class FiniteHorizonLearner(TabularLearner):
    """A learner with a table for each step.

    Attributes:
        acting_step: steps that `act` has been asked since the episode began.
    """

    acting_step: int = 0

    @property
    def greedy_values(self) -> np.ndarray:
        """Action values float64 (S, A) of the first step, the live array; see `FiniteHorizonAgent.step_values`."""
        values: np.ndarray = self.memory.step_values[: len(self.memory.action_values)]
        return values


class FiniteHorizonAgent(TabularAgent):
    """A tabular agent with action values for each step of an episode, undiscounted.

    What it does depends on the state and the step. So `act` counts the steps since `begin_episode`, each call one,
    for an observation and for a batch alike; evaluation is exact, of the policy over steps and states.
    `action_values` are those of the first step, with all the time left.

    Its memory has, besides what `TabularAgent` asks for, `step_values` float64 (horizon * S, A), row
    step * S + state, and `clock` int64 (2,): the step of the episode, from 0, and the horizon. Its update ends with
    `go_on`, and with `begin_horizon` where the episode, or the horizon, has ended.

    Args:
        horizon: steps for which the agent plans; the environment's time limit if None. An episode that goes on longer
            is to the agent the next one: after `horizon` steps it counts from 0 again.

    Raises:
        ConfigurationError: a parameter is out of range.
        UnsupportedEnvironmentError: from `train`, where neither `horizon` nor a time limit is given.
    """

    discount: float = field(default=1.0, init=False)
    learning_rate: float | Schedule = field(default=1.0, init=False)
    initial_value: float = field(default=0.0, init=False)
    action_mask: bool = field(default=False, init=False)
    policy: Policy = field(default_factory=Greedy)
    horizon: int | None = None

    learner_class: ClassVar[type[TabularLearner]] = FiniteHorizonLearner
    remembers_observations: ClassVar[bool] = True
    acts_by_step: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.horizon is not None:
            check_integer(f"{self.name}: horizon", self.horizon, minimum=1)

    @abstractmethod
    def new_memory(self, num_states: int, num_actions: int, horizon: int | None = None) -> Any:
        """As of `TabularAgent`, for a number of steps; where it is None, the agent's own `horizon`, or 1.

        Args:
            num_states: of each step's table.
            num_actions: likewise.
            horizon: steps of an episode.
        """

    @property
    @abstractmethod
    def update(self) -> Callable[..., None]: ...

    def task_of(self, env: Any) -> FiniteHorizonTask:
        task = super().task_of(env)
        limit = env.model.time_limit if isinstance(env, SampledModel) else time_limit_of(env)
        horizon = limit if self.horizon is None else self.horizon
        if horizon is None:
            label = env.label if isinstance(env, SampledModel) else environment_label(env)
            raise UnsupportedEnvironmentError(
                f"{self.name} plans for a number of steps, but {label} has no time limit: give horizon=, the most "
                "steps of an episode"
            )
        return FiniteHorizonTask(task.index, task.num_actions, task.action_start, horizon)

    def task_from_data(self, entries: dict[str, Any], arrays: dict[str, np.ndarray]) -> FiniteHorizonTask:
        super().task_from_data(entries, arrays)
        task = FiniteHorizonTask.from_data(entries)
        if task.index.num_states * task.num_actions * task.horizon > arrays["step_values"].size:
            raise ValueError(f"array step_values has no value for each of {task.horizon} steps")
        return task

    def readable(self, entries: dict[str, Any], arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        arrays = super().readable(entries, arrays)
        step, horizon = arrays["clock"].tolist()
        if horizon != entries["horizon"] or not 0 <= step < horizon:
            raise ValueError(f"array clock stands at step {step} of {horizon}, not of {entries['horizon']}")
        return arrays

    def memory_for(self, task: TabularTask) -> Any:
        assert isinstance(task, FiniteHorizonTask)
        return self.new_memory(task.index.num_states, task.num_actions, task.horizon)

    def forget_episode(self, memory: Any) -> None:
        memory.clock[0] = 0
        memory.action_values[...] = memory.step_values[: len(memory.action_values)]

    @property
    def step_values(self) -> np.ndarray:
        """Action values of every step, float64 (horizon, num_states, num_actions), the live array."""
        memory = self.learner.memory
        values: np.ndarray = memory.step_values.reshape(-1, *memory.action_values.shape)
        return values

    def begin_episode(self) -> None:
        self.learner.acting_step = 0

    def act(self, observation: Any, *, explore: bool = False, action_mask: Any = None) -> Any:
        """Action at the next step since `begin_episode`, for one observation, or actions for a batch.

        Raises:
            EnvironmentFailureError: an observation is outside its space.
            UnsupportedEnvironmentError: nothing was learnt yet.
        """
        learner = self.learner
        values = self.step_values[learner.acting_step % learner.task.horizon]
        if explore:
            table = learner.memory.action_values
            before = table.copy()
            try:
                table[...] = values
                action = super().act(observation, explore=True)
            finally:
                table[...] = before
        else:
            task = learner.task
            table = GreedyTable(values, task.index, task.action_start, self.ties, self.acting_generator())
            action = table.act(observation)
        learner.acting_step += 1
        return action

    def action_probabilities(self, observations: Any) -> None:
        return None

    def action_probabilities_by_step(self, observations: Any) -> np.ndarray:
        states = self.learner.task.index.index_batch(observations)
        return np.stack([greedy_probabilities(values[states], self.ties) for values in self.step_values])


def refuse_by_step(name: str, agent: TabularAgent) -> None:
    """Refuse an agent that acts by step, for an agent `name` that reads one table.

    Raises:
        ConfigurationError: it does.
    """
    if agent.acts_by_step:
        raise ConfigurationError(f"{name}: agent must act by the observation alone, not by the step, got {agent}")
