"""Planning agents: they `train` on the environment's transition model instead of on episodes."""

import dataclasses
from abc import abstractmethod
from typing import Any

import gymnasium as gym
import numpy as np

from velodrome.agents.agent import Agent
from velodrome.agents.engine.episode_ends import EpisodeEnds
from velodrome.agents.engine.sampled_model import SampledModel
from velodrome.agents.engine.seeding import Streams
from velodrome.agents.errors import UnsupportedEnvironmentError
from velodrome.agents.planning.dynamic_programming import MAX_SWEEPS, backed_up, optimal_action_values
from velodrome.agents.stepwise import Learner
from velodrome.agents.tabular.greedy_table import GreedyTable, greedy_probabilities
from velodrome.agents.tabular.observation_index import ObservationIndex, index_observations
from velodrome.agents.tabular.tabular_learner import TabularTask
from velodrome.agents.training import Training
from velodrome.checks import ConfigurationError, check_choice, check_integer, check_number
from velodrome.envs.model.transition_model import TransitionModel, TransitionModelError
from velodrome.policies.policy import TIES, Ties


class PlanningAgent(Agent):
    """An agent that computes its action values from the transition model; it takes no environment step.

    `train` plans on the model of the environment; budgets, loop and callback are accepted and not needed.

    Args:
        discount: discount rate γ in [0, 1].
        ties: how ties are broken when acting, "first" or "random".
    """

    discount: float = 0.99
    ties: Ties = "first"

    learns_from = "model"
    takes_batches = True

    def __post_init__(self) -> None:
        check_number(f"{self.name}: discount", self.discount, 0.0, 1.0)
        check_choice(f"{self.name}: ties", self.ties, TIES)

    @abstractmethod
    def plan(self, model: TransitionModel) -> np.ndarray:
        """Action values float64 (num_states, num_actions).

        Args:
            model: transition model of the environment.
        """

    @property
    def runs_on_model(self) -> bool:
        return True

    def task_of(self, env: Any) -> TabularTask:
        if isinstance(env, SampledModel):
            return TabularTask(ObservationIndex(((env.model.num_states, 0),), 0), env.model.num_actions, 0)
        model = self._model_of(env)
        index = index_observations(env, self.name)
        return TabularTask(index, model.num_actions, int(getattr(env.action_space, "start", 0)))

    def task_after(self, learnt: TabularTask, task: TabularTask, label: str) -> TabularTask:
        return task

    def task_from_data(self, entries: dict[str, Any], arrays: dict[str, np.ndarray]) -> TabularTask:
        number = {"number": arrays["action_values"].shape[-1], "start": entries["action_start"]}
        return TabularTask.from_data({"observations": entries["observations"], "actions": number})

    def new_learner(self, task: TabularTask, streams: Streams) -> "Plan":
        return Plan(task, streams, self.ties)

    def run_training(self, training: Training) -> EpisodeEnds:
        environment = training.environment
        model = environment.model if isinstance(environment, SampledModel) else self._model_of(environment)
        self.learner.table = self.plan(model)
        return EpisodeEnds.none("planning")

    def _model_of(self, env: gym.Env[Any, Any]) -> TransitionModel:
        try:
            return TransitionModel.of(env)
        except TransitionModelError as error:
            raise UnsupportedEnvironmentError(f"{self.name} plans on a transition model: {error}") from None

    @property
    def action_values(self) -> np.ndarray:
        """Action values float64 (num_states, num_actions)."""
        values: np.ndarray = self.learner.table
        return values

    def act(self, observation: Any, *, explore: bool = False) -> Any:
        return self.learner.greedy.act(observation)

    def acting_generator(self) -> np.random.Generator:
        return self.binding.streams.generator("acting")

    def greedy_probabilities(self) -> np.ndarray:
        """Probabilities with which `act` chooses: float64 (num_states, num_actions)."""
        return greedy_probabilities(self.action_values, self.ties)

    def action_probabilities(self, observations: Any) -> np.ndarray:
        return greedy_probabilities(self.learner.action_values(observations), self.ties)


class Plan(Learner):
    """The action values that a planning agent has computed.

    Attributes:
        table: float64 (num_states, num_actions).
    """

    def __init__(self, task: TabularTask, streams: Streams, ties: str) -> None:
        self._task, self._streams, self._ties = task, streams, ties
        self.table = np.zeros((0, task.num_actions))

    @property
    def greedy(self) -> GreedyTable:
        """The table as one acts on it."""
        task = self._task
        return GreedyTable(self.table, task.index, task.action_start, self._ties, self._streams.generator("acting"))

    def enter(self, task: TabularTask, environment: Any, *, is_resumed: bool = False) -> None:
        self._task = task

    def action_values(self, observations: Any) -> np.ndarray:
        values: np.ndarray = self.table[self._task.index.index_batch(observations)]
        return values

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        self._streams.generator("acting")
        observations = dataclasses.asdict(self._task.index)
        entries = {"observations": observations, "action_start": self._task.action_start}
        return entries, {"action_values": self.table}

    def set_state(self, entries: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        values = np.asarray(arrays["action_values"], dtype=np.float64)
        if values.ndim != 2 or len(values) != self._task.index.num_states:
            raise ValueError(f"array action_values has shape {values.shape}")
        self.table = values


class ValueIteration(PlanningAgent):
    """Value iteration: V(s) = max_a Σ p (r + γ V(s')) until no value changes by more than `tolerance`.

    Attributes:
        tolerance: largest change of a value in the last sweep, at least 0.

    Raises:
        ConfigurationError: a parameter is out of range.
        NotConvergedError: from `train`, where undiscounted values grow for ever.

    Source: Sutton & Barto (2018), section 4.4.
    """

    tolerance: float = 1e-12

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(f"{self.name}: tolerance", self.tolerance, 0.0, np.inf)

    def plan(self, model: TransitionModel) -> np.ndarray:
        return optimal_action_values(model, float(self.discount), float(self.tolerance))


class PolicyIteration(PlanningAgent):
    """Policy iteration: solve the policy's values, act greedily on them, until the policy stays.

    Attributes:
        max_iterations: most policies to evaluate, at least 1.

    Raises:
        ConfigurationError: a parameter is out of range; the discount must be below 1.

    Source: Howard (1960); Sutton & Barto (2018), section 4.3.
    """

    max_iterations: int = 1000

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.discount >= 1.0:
            raise ConfigurationError(f"{self.name}: discount must be a number in [0, 1), got {self.discount!r}")
        check_integer(f"{self.name}: max_iterations", self.max_iterations, minimum=1)

    def plan(self, model: TransitionModel) -> np.ndarray:
        states = np.arange(model.num_states)
        actions = np.zeros(model.num_states, dtype=np.int64)
        for _ in range(min(self.max_iterations, MAX_SWEEPS)):
            action_values = backed_up(model, _solve_policy(model, actions, float(self.discount)), float(self.discount))
            best = action_values.argmax(axis=1)
            # Rounding must not send the policy to and fro between actions of equal value.
            gain = action_values[states, best] - action_values[states, actions]
            improved = gain > 1e-12 * (1.0 + np.abs(action_values[states, best]))
            if not improved.any():
                break
            actions = np.where(improved, best, actions)
        return action_values


def _solve_policy(model: TransitionModel, actions: np.ndarray, discount: float) -> np.ndarray:
    """Values float64 (S,) of a deterministic policy: the solution of V = r + γ P V."""
    from scipy.sparse import csr_array, identity
    from scipy.sparse.linalg import spsolve

    pairs = np.arange(model.num_states) * model.num_actions + actions
    counts = model.offsets[pairs + 1] - model.offsets[pairs]
    rows = np.repeat(np.arange(model.num_states), counts)
    firsts = np.repeat(model.offsets[pairs] - np.concatenate([[0], counts.cumsum()[:-1]]), counts)
    outcomes = firsts + np.arange(counts.sum())
    weights = discount * model.probabilities[outcomes] * ~model.terminated[outcomes]
    shape = (model.num_states, model.num_states)
    transitions = csr_array((weights, (rows, model.next_states[outcomes])), shape=shape)
    rewards = np.bincount(
        rows, weights=model.probabilities[outcomes] * model.rewards[outcomes], minlength=model.num_states
    )
    return np.asarray(spsolve((identity(model.num_states, format="csr") - transitions).tocsc(), rewards))
