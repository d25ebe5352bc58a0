"""Planning agents: they `train` on the environment's transition model instead of on episodes."""

import dataclasses
import time
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from velodrome.agents.agent import Agent, Callback, Loop, generator_from_state, generator_state
from velodrome.agents.engine.sampled_model import SampledModel
from velodrome.agents.engine.seeding import check_seed, role_generator
from velodrome.agents.errors import UnsupportedEnvironmentError
from velodrome.agents.planning.dynamic_programming import MAX_SWEEPS, backed_up, optimal_action_values
from velodrome.agents.resuming.saving import SavedAgentError, write_agent
from velodrome.agents.tabular.greedy_table import GreedyTable, greedy_probabilities
from velodrome.agents.tabular.observation_index import ObservationIndex, index_observations
from velodrome.agents.training_log import TrainingLog
from velodrome.checks import ConfigurationError, check_choice, check_integer, check_number
from velodrome.envs.make import make_environment
from velodrome.envs.model.transition_model import TransitionModel, TransitionModelError
from velodrome.policies.configuration import to_data
from velodrome.policies.policy import TIES, Ties


@dataclass(kw_only=True, eq=False)
class PlanningAgent(Agent):
    """An agent that computes its action values from the transition model; it takes no environment step.

    Args:
        discount: discount rate γ in [0, 1].
        ties: how ties are broken when acting, "first" or "random".
    """

    discount: float = 0.99
    ties: Ties = "first"

    def __post_init__(self) -> None:
        check_number(f"{self.name}: discount", self.discount, 0.0, 1.0)
        check_choice(f"{self.name}: ties", self.ties, TIES)
        self._table: GreedyTable | None = None
        self._seed = 0

    @abstractmethod
    def _plan(self, model: TransitionModel) -> np.ndarray:
        """Action values float64 (S, A)."""

    @property
    def _greedy(self) -> GreedyTable:
        if self._table is None:
            raise UnsupportedEnvironmentError(f"{self.name} has not been trained or loaded yet: call train first")
        return self._table

    @property
    def action_values(self) -> np.ndarray:
        """Action values float64 (num_states, num_actions)."""
        return self._greedy.action_values

    def check_environment(self, env: gym.Env[Any, Any]) -> None:
        self._model_of(env)
        index_observations(env, self.name)

    def _model_of(self, env: gym.Env[Any, Any]) -> TransitionModel:
        try:
            return TransitionModel.of(env)
        except TransitionModelError as error:
            raise UnsupportedEnvironmentError(f"{self.name} plans on a transition model: {error}") from None

    def train(
        self,
        env: gym.Env[Any, Any] | SampledModel | str,
        *,
        episodes: int | None = None,
        steps: int | None = None,
        seed: int | None = None,
        loop: Loop = "auto",
        callback: Callback | None = None,
        callback_every: int = 100,
        success: str | None = None,
    ) -> TrainingLog:
        """Plan on the model of `env`; budgets, loop and callback are accepted and not needed.

        Raises:
            UnsupportedEnvironmentError: the environment has no transition model.
        """
        started = time.perf_counter()
        self._seed = 0 if seed is None else check_seed(seed)
        if isinstance(env, SampledModel):
            model, index, start = env.model, ObservationIndex(((env.model.num_states, 0),), 0), 0
        else:
            environment = make_environment(env)
            model = self._model_of(environment)
            index = index_observations(environment, self.name)
            start = int(getattr(environment.action_space, "start", 0))
        rng = role_generator(self._seed, "acting")
        self._table = GreedyTable(self._plan(model), index, start, self.ties, rng)
        return TrainingLog(
            returns=np.zeros(0),
            lengths=np.zeros(0, dtype=np.int64),
            terminated=np.zeros(0, dtype=np.bool_),
            successes=None,
            success_rule="no training episodes",
            steps=0,
            loop="planning",
            seconds=time.perf_counter() - started,
            seed=self._seed,
        )

    def act(self, observation: Any, *, explore: bool = False) -> Any:
        return self._greedy.act(observation)

    def greedy_probabilities(self) -> np.ndarray:
        """What `act` does: float64 (num_states, num_actions)."""
        return greedy_probabilities(self.action_values, self.ties)

    def save(self, directory: str | Path) -> None:
        table = self._greedy
        manifest = {
            "agent": to_data(self),
            "observations": dataclasses.asdict(table.index),
            "action_start": table.action_start,
            "seed": self._seed,
            "acting_stream": generator_state(table.rng),
        }
        write_agent(directory, manifest, {"action_values": table.action_values})

    def _restore(self, manifest: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        try:
            index = ObservationIndex.from_data(manifest["observations"])
            values = np.asarray(arrays["action_values"], dtype=np.float64)
            if values.ndim != 2 or len(values) != index.num_states:
                raise ValueError(f"array action_values has shape {values.shape}")
            rng = generator_from_state(manifest["acting_stream"])
            self._seed = int(manifest["seed"])
            self._table = GreedyTable(values, index, int(manifest["action_start"]), self.ties, rng)
        except (KeyError, TypeError, ValueError) as error:
            raise SavedAgentError(f"the saved {self.name} agent is not complete: {error}") from None


@dataclass(kw_only=True, eq=False)
class ValueIteration(PlanningAgent):
    """Value iteration: V(s) = max_a Σ p (r + γ V(s')) until no value changes by more than `tolerance`.

    Raises:
        ConfigurationError: a parameter is out of range.
        NotConvergedError: from `train`, where undiscounted values grow for ever.

    Source: Sutton & Barto (2018), section 4.4.
    """

    tolerance: float = 1e-12

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(f"{self.name}: tolerance", self.tolerance, 0.0, np.inf)

    def _plan(self, model: TransitionModel) -> np.ndarray:
        return optimal_action_values(model, float(self.discount), float(self.tolerance))


@dataclass(kw_only=True, eq=False)
class PolicyIteration(PlanningAgent):
    """Policy iteration: solve the policy's values, act greedily on them, until the policy stays.

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

    def _plan(self, model: TransitionModel) -> np.ndarray:
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
