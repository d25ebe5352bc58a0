"""Linear Q: action values that are sums of weights of binary features, learnt by semi-gradient Sarsa."""

from dataclasses import field
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from velodrome.agents.agent import Agent
from velodrome.agents.engine.seeding import Streams
from velodrome.agents.errors import UnsupportedEnvironmentError, environment_label
from velodrome.agents.linear.binary_features import BinaryFeatures, LinearTask
from velodrome.agents.linear.linear_learner import LinearLearner
from velodrome.agents.tabular.greedy_table import greedy_actions, greedy_probabilities
from velodrome.agents.tabular.observation_index import index_of, is_finite
from velodrome.agents.unfit_spaces import actions_refused, observations_refused
from velodrome.checks import ConfigurationError, check_integer, check_number
from velodrome.envs.discretize import check_dimensions
from velodrome.envs.tile_coding import tilings_of
from velodrome.envs.tilings import MOST_FEATURES
from velodrome.policies.epsilon_greedy import EpsilonGreedy
from velodrome.policies.policy import Policy
from velodrome.policies.schedules import Schedule, as_schedule
from velodrome.policies.ties import GREEDY


class LinearQ(Agent):
    """Semi-gradient Sarsa on tiles: action values are sums of the weights of an observation's active features.

    A Box is seen through tile coding, as of `TileCoding`: one active tile in each of the tilings. The environment
    stays what it is, so that agents that see its numbers otherwise can be compared there. In a finite observation each
    value of each part is a feature: on Discrete ones it is Sarsa, on what `TileCoding` observes what it is on the Box.

    With q(s, a) the sum of the weights of action a over the n active features, each of these weights moves by
    α (r + γ q(s', a') - q(s, a)) with α = learning_rate / n, the next action a' chosen before. No bootstrap on
    termination; where a time limit cuts an episode, one more action is chosen to bootstrap from.

    Args:
        tilings: of a Box; a power of two, at least four times the number of dimensions, is recommended.
        tiles: of each tiling, in every dimension that is looked at, or one number for each.
        dimensions: numbers of the dimensions that are looked at, counted in the flattened observation; all if None.
        low: smallest value of every dimension of the observation, as of `TileCoding`, or of those that are looked at.
        high: largest value, likewise.
        discount: discount rate γ in [0, 1].
        learning_rate: step size of the whole action value, in (0, 2], a number or a schedule: the book's α is that
            divided by the number of active features.
        initial_value: action value of every observation before learning; above every return it is optimistic.
        trace_decay: λ in [0, 1] of Sarsa(λ), with replacing traces; 0 is without.
        policy: how to explore, without visit counts; its `ties` also break the ties of greedy acting.

    Raises:
        ConfigurationError: a parameter is out of range, or the policy or learning rate needs visit counts.

    Source: Sutton & Barto (2018), sections 10.1 and 12.7.
    """

    tilings: int = 8
    tiles: int | tuple[int, ...] = 8
    dimensions: tuple[int, ...] | None = None
    low: float | tuple[float, ...] | None = None
    high: float | tuple[float, ...] | None = None
    discount: float = 0.99
    learning_rate: float | Schedule = 0.1
    initial_value: float = 0.0
    trace_decay: float = 0.0
    policy: Policy = field(default_factory=EpsilonGreedy)

    can_checkpoint: ClassVar[bool] = True
    takes_batches: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_integer(f"{self.name}: tilings", self.tilings, minimum=1)
        check_dimensions(f"{self.name}: ", self.dimensions, "tiles", self.tiles)
        check_number(f"{self.name}: discount", self.discount, 0.0, 1.0)
        is_number = not isinstance(self.learning_rate, Schedule)
        rate = as_schedule(self.name, "learning_rate", self.learning_rate, 0.0, 2.0, open_low=is_number)
        check_number(f"{self.name}: initial_value", self.initial_value, -np.inf, np.inf)
        check_number(f"{self.name}: trace_decay", self.trace_decay, 0.0, 1.0)
        if not isinstance(self.policy, Policy):
            raise ConfigurationError(f"{self.name}: policy must be a policy, got {self.policy!r}")
        if self.policy.reads_visit_counts or self.policy.schedule.clock == "visits":
            raise ConfigurationError(
                f"{self.name}: policy {self.policy} needs visit counts of a state, but features are shared by many: "
                "take a policy without, and clock='episode' or 'step'"
            )
        if rate.clock == "visits":
            raise ConfigurationError(
                f"{self.name}: learning_rate {rate} needs visit counts of a state, but features are shared by many: "
                "take clock='episode' or 'step'"
            )

    @property
    def weights(self) -> np.ndarray:
        """Weights float64 (num_features, num_actions), the live array."""
        weights: np.ndarray = self.learner.weights
        return weights

    def task_of(self, env: Any) -> LinearTask:
        label, observations, actions = environment_label(env), env.observation_space, env.action_space
        if not isinstance(actions, spaces.Discrete):
            raise UnsupportedEnvironmentError(actions_refused(self.name, actions, label))
        if isinstance(observations, spaces.Box):
            try:
                source: Any = tilings_of(env, self.tilings, self.tiles, self.dimensions, self.low, self.high)
            except ValueError as error:
                raise UnsupportedEnvironmentError(f"{self.name}: {error}") from None
        else:
            source = index_of(observations)
        if source is None:
            raise UnsupportedEnvironmentError(
                observations_refused(self.name, observations, label, "a Box or a finite", _is_taken)
            )
        features = BinaryFeatures(source)
        if features.num_features > MOST_FEATURES:
            raise UnsupportedEnvironmentError(
                f"{self.name} keeps weights of at most {MOST_FEATURES:,} features, "
                f"but observations of {label} have {features.num_features:,}"
            )
        return LinearTask(features, int(actions.n), int(actions.start))

    def task_after(self, learnt: LinearTask, task: LinearTask, label: str) -> LinearTask:
        if not task.fits(learnt):
            raise UnsupportedEnvironmentError(
                f"{self.name} has learnt with {learnt}, but {label} has {task}, or other limits"
            )
        return task

    def task_from_data(self, entries: dict[str, Any], arrays: dict[str, np.ndarray]) -> LinearTask:
        task = LinearTask.from_data(entries)
        # Before weights are made, as many as the manifest says.
        if task.features.num_features * task.num_actions != arrays["weights"].size:
            raise ValueError(f"array weights does not have one for each of {task}")
        return task

    def new_learner(self, task: LinearTask, streams: Streams) -> LinearLearner:
        return LinearLearner(
            name=self.name,
            task=task,
            streams=streams,
            policy=self.policy,
            learning_rate=self.learning_rate,
            discount=float(self.discount),
            initial_value=float(self.initial_value),
            trace_decay=float(self.trace_decay),
        )

    def act(self, observation: Any, *, explore: bool = False) -> Any:
        """Action for one observation, or actions for a batch (leading dimension).

        Greedy by default, changing nothing that training depends on; with `explore=True` the policy chooses.

        Raises:
            UnsupportedEnvironmentError: nothing was learnt yet.
            EnvironmentFailureError: an observation is outside its space, or has a NaN.
            ObservationError: the shape is neither that of one observation nor of a batch, or it holds no numbers.
        """
        learner: LinearLearner = self.learner
        features, start = learner.task.features, learner.task.action_start
        if not features.is_batch(observation):
            values = learner.values(features.active(observation))
            if not explore:
                return GREEDY[learner.ties](values, self.acting_generator()) + start
            chosen = learner.explore(values)
            learner.pause()
            return chosen + start
        rows = learner.action_values(observation)
        if not explore:
            return greedy_actions(rows, learner.ties, self.acting_generator()) + start
        actions = [learner.explore(row) for row in rows.tolist()]
        learner.pause()
        return np.array(actions, dtype=np.int64) + start

    def acting_generator(self) -> np.random.Generator:
        return self.binding.streams.generator("acting")

    def action_probabilities(self, observations: Any) -> np.ndarray:
        learner: LinearLearner = self.learner
        return greedy_probabilities(learner.action_values(observations), learner.ties)


def _is_taken(space: gym.Space[Any]) -> bool:
    return isinstance(space, spaces.Box) or is_finite(space)
