"""The neural contextual bandit: a network learns from reward alone which action is worth most for an observation."""

import dataclasses
from dataclasses import field
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from velodrome.agents.agent import Agent, Loop
from velodrome.agents.deep.bandit_learner import BanditLearner
from velodrome.agents.deep.convolutional_networks import SimpleCNN
from velodrome.agents.deep.labelled_task import LabelledTask
from velodrome.agents.deep.network_inputs import network_inputs
from velodrome.agents.deep.neural_classifier import NeuralClassifier, layers_of
from velodrome.agents.engine.episode_ends import EpisodeEnds
from velodrome.agents.engine.seeding import Streams
from velodrome.agents.errors import UnsupportedEnvironmentError, environment_label
from velodrome.agents.training import Training
from velodrome.checks import ConfigurationError, check_integer, check_number
from velodrome.policies.epsilon_greedy import EpsilonGreedy
from velodrome.policies.policy import Policy


class NeuralBandit(Agent):
    """A contextual bandit with a neural network: it learns from the rewards of its own actions, never from labels.

    The network estimates the expected reward of every action for an observation, the policy chooses among these
    estimates, and the squared error of the chosen action's is what is learnt from. `batch_size` such experiences
    make one training step, and are then forgotten; what is left over waits for the next call. So `train(a)` and
    then `train(b)` is `train(a + b)` bit for bit.

    Only the reward of the same step counts: in episodes of several steps it is an agent with discount 0.

    With a seed, the first weights are those of the same network that learns from labels.

    Args:
        network: whose layers are taken, any neural classifier; its options for learning from labels are not.
        policy: how to explore; it sees expected rewards as action values, and no visit counts.
        learning_rate: of Adam.
        batch_size: experiences a training step.

    Raises:
        ConfigurationError: a parameter is out of range, or the policy needs visit counts.

    Source: Sutton & Barto (2018), section 2.9, associative search; Riquelme, Tucker & Snoek (2018), Deep Bayesian
    Bandits Showdown, whose neural bandits keep all experiences and learn from them again and again.
    """

    # Any agent here, so that expressions may name one; `__post_init__` refuses those that are no classifiers.
    network: Agent = field(default_factory=SimpleCNN)
    policy: Policy = field(default_factory=EpsilonGreedy)
    learning_rate: float = 1e-3
    batch_size: int = 20

    can_checkpoint: ClassVar[bool] = True

    def __post_init__(self) -> None:
        layers_of(self.name, self.network)
        if not isinstance(self.policy, Policy):
            raise ConfigurationError(f"{self.name}: policy must be a policy, got {self.policy!r}")
        if self.policy.reads_visit_counts or self.policy.schedule.clock == "visits":
            raise ConfigurationError(
                f"{self.name}: policy {self.policy} needs visit counts of a state, but an image is hardly met twice: "
                "take a policy without, and clock='episode' or 'step'"
            )
        check_number(f"{self.name}: learning_rate", self.learning_rate, 0.0, np.inf, open_low=True)
        check_integer(f"{self.name}: batch_size", self.batch_size, minimum=1)

    @property
    def result_version(self) -> int:
        return max(super().result_version, self._classifier.result_version)

    @property
    def _classifier(self) -> NeuralClassifier:
        assert isinstance(self.network, NeuralClassifier)
        return self.network

    @property
    def losses(self) -> np.ndarray:
        """Loss of each training step of the last call of `train`, before its update, float64 (num_updates,)."""
        return np.array(self.learner.losses)

    def task_of(self, env: Any) -> LabelledTask:
        task = LabelledTask.of(self.name, env)
        self._classifier.check_task(task, environment_label(env))
        return task

    def task_after(self, learnt: LabelledTask, task: LabelledTask, label: str) -> LabelledTask:
        after: LabelledTask = super().task_after(learnt, task.after(learnt), label)
        return after

    def task_from_data(self, entries: dict[str, Any], arrays: dict[str, np.ndarray]) -> LabelledTask:
        return LabelledTask.from_data(entries["task"])

    def new_learner(self, task: LabelledTask, streams: Streams) -> BanditLearner:
        return BanditLearner(
            name=self.name,
            task=task,
            classifier=self._classifier,
            policy=self.policy,
            batch_size=self.batch_size,
            learning_rate=float(self.learning_rate),
            streams=streams,
        )

    def plan_loop(self, loop: Loop, env: Any, success: str | None, notes: list[str]) -> None:
        if loop == "compiled":
            raise UnsupportedEnvironmentError(f"loop='compiled' is not possible: {self.name} learns with a network")

    def run_training(self, training: Training) -> EpisodeEnds:
        learner, env = self.learner, training.environment
        if not training.parts:
            learner.losses.clear()
            training.notes.extend(learner.task.scale_notes(env))
        compiled_before = learner.model.compile_seconds
        ends = super().run_training(training)
        if training.binding.progress.in_episode or (ends.lengths > 1).any():
            label = environment_label(env)
            training.notes.append(
                f"learnt the reward of each step alone (discount 0), though episodes of {label} have several"
            )
        return dataclasses.replace(ends, compile_seconds=learner.model.compile_seconds - compiled_before)

    def act(self, observation: Any, *, explore: bool = False) -> Any:
        """Action for one observation, or actions for a batch.

        Raises:
            ObservationError: the shape is neither that of one observation nor of a batch, or a symbol is unknown.
        """
        learner = self.learner
        task = learner.task
        if task.is_batch(observation):
            rewards = learner.model.expected_rewards(task.checked(observation))
            if explore:
                return np.array([learner.explore(row) for row in rewards], dtype=np.int64) + task.action_start
            return np.argmax(rewards, axis=-1) + task.action_start
        checked = task.checked(np.asarray(observation)[np.newaxis])
        one = learner.model.expected_rewards_of_one(network_inputs(task, checked))
        return (learner.explore(one) if explore else int(np.argmax(one))) + task.action_start

    def expected_rewards(self, observations: Any) -> np.ndarray:
        """Expected reward of every action, float32 (B, num_actions), for a batch of observations, in bounded memory.

        Args:
            observations: a batch (B, …).

        Raises:
            ObservationError: not a batch of the environment's observations.
        """
        learner = self.learner
        rewards: np.ndarray = learner.model.expected_rewards(learner.task.checked(observations))
        return rewards

    def describe(self, env: gym.Env[Any, Any] | str | None = None) -> str:
        """Layers, output shapes and parameters of the network; see `NeuralClassifier.describe`.

        Args:
            env: environment, or its id; that of the training if None.
        """
        task = self.learner.task if env is None else self._classifier._task_of(env)
        return self._classifier._describe(task)
