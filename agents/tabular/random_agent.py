"""The agent that learns nothing: every other agent has to beat it."""

from collections.abc import Callable
from dataclasses import field
from typing import Any

import gymnasium as gym
import numpy as np

from velodrome.agents.errors import UnsupportedEnvironmentError
from velodrome.agents.tabular.observation_index import ObservationIndex
from velodrome.agents.tabular.q_learning import QMemory
from velodrome.agents.tabular.tabular_agent import TabularAgent
from velodrome.policies.policy import Policy
from velodrome.policies.uniform import Uniform


def learn_nothing() -> None:
    """No update."""


class RandomAgent(TabularAgent):
    """Chooses every action with the same probability, in training and in evaluation, on any observation space."""

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
            return super().index_observations(env)
        except UnsupportedEnvironmentError:
            return ObservationIndex(((1, 0),), len(env.observation_space.shape or ()), is_ignored=True)
