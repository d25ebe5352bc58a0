"""The agent that learns nothing: every other agent has to beat it."""

import copy
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from velodrome.agents.engine.environment_answers import shown
from velodrome.agents.engine.sampled_model import SampledModel
from velodrome.agents.engine.seeding import Role, Streams
from velodrome.agents.errors import UnsupportedEnvironmentError, environment_label
from velodrome.agents.resuming.saving import SavedAgentError
from velodrome.agents.stepwise import StepwiseLearner, space_from_data, space_to_data
from velodrome.agents.tabular.observation_index import ObservationIndex, ignoring_index
from velodrome.agents.tabular.q_learning import QMemory
from velodrome.agents.tabular.tabular_agent import TabularAgent
from velodrome.agents.tabular.tabular_learner import TabularTask
from velodrome.policies.policy import Policy
from velodrome.policies.uniform import Uniform

# Beyond so many observations their visits are not counted.
_MOST_COUNTED = 1_000_000


def learn_nothing() -> None:
    """No update."""


class RandomAgent(TabularAgent):
    """Chooses every action with the same probability, in training and in evaluation, on any spaces.

    Actions that are not Discrete are drawn as the space's own `sample` draws them, from the agent's stream: between
    finite limits each with the same probability; numbers without limits from a normal distribution, or beyond a single
    limit from an exponential one.
    """

    name = "random"

    discount: float = field(default=1.0, init=False)
    learning_rate: float = field(default=1.0, init=False)
    initial_value: float = field(default=0.0, init=False)
    policy: Policy = field(default_factory=Uniform, init=False)

    def new_memory(self, num_states: int, num_actions: int) -> QMemory:
        return QMemory(
            np.zeros((num_states, num_actions), dtype=np.float64),
            np.zeros((num_states, num_actions), dtype=np.int64),
        )

    @property
    def update(self) -> Callable[..., None]:
        return learn_nothing

    def index_observations(self, env: gym.Env[Any, Any]) -> ObservationIndex:
        try:
            index = super().index_observations(env)
        except UnsupportedEnvironmentError:
            return ignoring_index(env.observation_space)
        is_counted = isinstance(env.observation_space, spaces.Discrete) or index.num_states <= _MOST_COUNTED
        return index if is_counted else ignoring_index(env.observation_space)

    def task_of(self, env: Any) -> Any:
        if isinstance(env, SampledModel) or isinstance(env.action_space, spaces.Discrete):
            return super().task_of(env)
        if self.action_mask:
            raise UnsupportedEnvironmentError(
                f"{self.name}: action_mask is for Discrete actions, but {environment_label(env)} has "
                f"{shown(env.action_space)}: leave it out"
            )
        return SamplingTask(env.action_space, ignoring_index(env.observation_space))

    def task_after(self, learnt: Any, task: Any, label: str) -> Any:
        if isinstance(learnt, TabularTask) and isinstance(task, TabularTask):
            return super().task_after(learnt, task, label)
        if not isinstance(learnt, SamplingTask) or learnt.action_space != getattr(task, "action_space", None):
            raise UnsupportedEnvironmentError(f"{self.name} was trained with {learnt}, but {label} has {task}")
        return task

    def task_from_data(self, entries: dict[str, Any], arrays: dict[str, np.ndarray]) -> Any:
        if "action_space" not in entries:
            return super().task_from_data(entries, arrays)
        index = ObservationIndex.from_data(entries["observations"])
        return SamplingTask(space_from_data(entries["action_space"]), index)

    def new_learner(self, task: Any, streams: Streams) -> Any:
        return SamplingLearner(task, streams) if isinstance(task, SamplingTask) else super().new_learner(task, streams)

    @property
    def trains_side_by_side(self) -> bool:
        return type(self) is RandomAgent and not self.action_mask

    def act(self, observation: Any, *, explore: bool = False, action_mask: Any = None) -> Any:
        learner = self.learner
        if not isinstance(learner, SamplingLearner):
            return super().act(observation, explore=explore, action_mask=action_mask)
        space, index = learner.space_of["agent" if explore else "acting"], learner.task.index
        if not index.is_batch(observation):
            return space.sample()
        actions = [space.sample() for _ in index.index_batch(observation)]
        return actions if space.shape is None else np.array(actions)

    def action_probabilities(self, observations: Any) -> np.ndarray | None:
        return None if isinstance(self.learner, SamplingLearner) else super().action_probabilities(observations)


@dataclass(frozen=True, eq=False)
class SamplingTask:
    """Actions that are drawn from their space, whatever is observed.

    Attributes:
        action_space: of the environment.
        index: counts every observation as number 0.
    """

    action_space: gym.Space[Any]
    index: ObservationIndex

    def __str__(self) -> str:
        return f"actions {shown(self.action_space)}"


class SamplingLearner(StepwiseLearner):
    """Draws actions from their space, those of training from one stream of the agent and those of `act` from another.

    Args:
        task: the actions.
        streams: random streams of the agent.

    Attributes:
        task: as given.
        space_of: copies of the space by role, which draw from the streams.
    """

    def __init__(self, task: SamplingTask, streams: Streams) -> None:
        roles: tuple[Role, ...] = ("agent", "acting")
        self.task = task
        self.space_of = {role: drawing_from(task.action_space, streams.generator(role)) for role in roles}

    def begin(self, observation: Any) -> None:
        pass

    def choose(self) -> Any:
        return self.space_of["agent"].sample()

    def observe(self, observation: Any, reward: float, terminated: bool, truncated: bool) -> None:
        pass

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        try:
            space = space_to_data(self.task.action_space)
        except TypeError as error:
            raise SavedAgentError(f"random cannot be saved: {error}") from None
        return {"action_space": space, "observations": dataclasses.asdict(self.task.index)}, {}

    def set_state(self, entries: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        pass


def drawing_from(space: gym.Space[Any], rng: np.random.Generator) -> gym.Space[Any]:
    """A copy of a space whose `sample` draws from `rng`, in all of its parts."""
    copied = copy.deepcopy(space)
    waiting: list[Any] = [copied]
    while waiting:
        part = waiting.pop()
        if isinstance(part, gym.Space):
            part._np_random = rng
            waiting.extend(vars(part).values())
        elif isinstance(part, list | tuple):
            waiting.extend(part)
        elif isinstance(part, dict):
            waiting.extend(part.values())
    return copied
