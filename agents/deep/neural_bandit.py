"""The neural contextual bandit: a network learns from reward alone which action is worth most for an observation."""

import dataclasses
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from velodrome.agents.agent import LOOPS, Agent, Callback, Loop
from velodrome.agents.deep.bandit_binding import BanditBinding
from velodrome.agents.deep.convolutional_networks import SimpleCNN
from velodrome.agents.deep.labelled_task import LabelledTask
from velodrome.agents.deep.network_inputs import network_inputs
from velodrome.agents.deep.neural_classifier import NeuralClassifier
from velodrome.agents.engine.generic_loop import EpisodeRecord, run_generic_loop
from velodrome.agents.engine.seeding import check_seed
from velodrome.agents.errors import (
    EnvironmentFailureError,
    PolicyFailureError,
    UnsupportedEnvironmentError,
    check_budget,
    check_count,
    environment_label,
)
from velodrome.agents.resuming.saving import SavedAgentError, write_agent
from velodrome.agents.training_log import TrainingLog
from velodrome.checks import ConfigurationError, check_choice, check_integer, check_number
from velodrome.envs.make import make_environment
from velodrome.envs.success_rules import success_rule
from velodrome.policies.configuration import to_data, to_expression
from velodrome.policies.epsilon_greedy import EpsilonGreedy
from velodrome.policies.policy import Policy
from velodrome.policies.ucb import UCB


@dataclass(kw_only=True, eq=False)
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
        if not isinstance(self.network, NeuralClassifier):
            raise ConfigurationError(f"{self.name}: network must be a neural classifier, got {self.network}")
        for option in dataclasses.fields(NeuralClassifier):
            value = getattr(self.network, option.name)
            if value != option.default:
                raise ConfigurationError(
                    f"{self.name}: of network={self.network.name} only the layers are taken: "
                    f"{option.name}={to_expression(value)} is for learning from labels, leave it at {option.default!r}"
                )
        if not isinstance(self.policy, Policy):
            raise ConfigurationError(f"{self.name}: policy must be a policy, got {self.policy!r}")
        if isinstance(self.policy, UCB) or self.policy.schedule.clock == "visits":
            raise ConfigurationError(
                f"{self.name}: policy {self.policy} needs visit counts of a state, but an image is hardly met twice: "
                "take a policy without, and clock='episode' or 'step'"
            )
        check_number(f"{self.name}: learning_rate", self.learning_rate, 0.0, np.inf, open_low=True)
        check_integer(f"{self.name}: batch_size", self.batch_size, minimum=1)
        self._bound: BanditBinding | None = None

    @property
    def result_version(self) -> int:
        return max(super().result_version, self._classifier.result_version)

    @property
    def _classifier(self) -> NeuralClassifier:
        assert isinstance(self.network, NeuralClassifier)
        return self.network

    @property
    def _binding(self) -> BanditBinding:
        if self._bound is None:
            raise UnsupportedEnvironmentError(f"{self.name} has not been trained or loaded yet: call train first")
        return self._bound

    @property
    def losses(self) -> np.ndarray:
        """Loss of each training step of the last call of `train`, before its update, float64 (num_updates,)."""
        return np.array(self._binding.stepper.losses)

    def check_environment(self, env: gym.Env[Any, Any]) -> None:
        self._classifier._check_task(LabelledTask.of(self.name, env), environment_label(env))

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
        """Learn from exactly `episodes` episodes or `steps` steps; see `Agent.train`.

        Raises:
            BudgetError: not exactly one positive budget.
            UnsupportedEnvironmentError: the agent cannot handle the spaces, or a compiled loop is asked for.
            EnvironmentFailureError: the environment raised or returned something that is not allowed.
            DivergedError: the loss or an expected reward is no longer finite.
        """
        episodes, steps = check_budget(episodes, steps)
        check_choice(f"{self.name}: loop", loop, LOOPS)
        if loop == "compiled":
            raise UnsupportedEnvironmentError(f"loop='compiled' is not possible: {self.name} learns with a network")
        callback_every = check_count("callback_every", callback_every)
        if seed is not None:
            seed = check_seed(seed)
        started = time.perf_counter()
        binding = self._bound or BanditBinding(self)
        environment: Any = env
        if isinstance(env, str):
            environment = binding.environment if binding.environment_id == env else make_environment(env)
        rule = success_rule(environment, success)
        reset_seed = binding.bind(environment, seed)
        binding.environment_id = env if isinstance(env, str) else None
        self._bound = binding
        model, record = binding.stepper.model, EpisodeRecord()
        compiled_before = model.compile_seconds
        binding.stepper.losses.clear()

        def after_episode(finished: int) -> bool | None:
            return callback(finished) if callback is not None and finished % callback_every == 0 else None

        try:
            taken = run_generic_loop(
                binding.stepper,
                environment,
                binding.progress,
                record,
                episodes=episodes,
                steps=steps,
                first_reset_seed=None if binding.progress.in_episode else reset_seed,
                action_offset=binding.task.action_start,
                episodes_before=binding.episodes_before,
                after_episode=after_episode,
            )
        except (EnvironmentFailureError, PolicyFailureError):
            # The environment has moved on without the learner: the next call starts a new episode.
            binding.begin_anew()
            raise
        returns, lengths, terminated, reported = record.arrays()
        compile_seconds = model.compile_seconds - compiled_before
        return TrainingLog(
            returns=returns,
            lengths=lengths,
            terminated=terminated,
            successes=rule.successes(returns, lengths, terminated, reported),
            success_rule=rule.as_used(reported).description,
            steps=taken,
            loop="generic",
            seconds=time.perf_counter() - started - compile_seconds,
            compile_seconds=compile_seconds,
            seed=binding.seed,
            unfinished_return=binding.progress.unfinished_return,
            notes=(
                *binding.task.scale_notes(environment),
                *(self._notes(environment) if binding.progress.in_episode or (lengths > 1).any() else ()),
            ),
        )

    def _notes(self, environment: Any) -> tuple[str, ...]:
        label = environment_label(environment)
        return (f"learnt the reward of each step alone (discount 0), though episodes of {label} have several",)

    def act(self, observation: Any, *, explore: bool = False) -> Any:
        """Action for one observation, or actions for a batch.

        Raises:
            ObservationError: the shape is neither that of one observation nor of a batch, or a symbol is unknown.
        """
        task, stepper = self._binding.task, self._binding.stepper
        if task.is_batch(observation):
            rewards = stepper.model.expected_rewards(task.checked(observation))
            if explore:
                return np.array([stepper.explore(row) for row in rewards], dtype=np.int64) + task.action_start
            return np.argmax(rewards, axis=-1) + task.action_start
        checked = task.checked(np.asarray(observation)[np.newaxis])
        one = stepper.model.expected_rewards_of_one(network_inputs(task, checked))
        return (stepper.explore(one) if explore else int(np.argmax(one))) + task.action_start

    def expected_rewards(self, observations: Any) -> np.ndarray:
        """Expected reward of every action, float32 (B, num_actions), for a batch of observations, in bounded memory.

        Raises:
            ObservationError: not a batch of the environment's observations.
        """
        task, model = self._binding.task, self._binding.stepper.model
        return model.expected_rewards(task.checked(observations))

    def describe(self, env: gym.Env[Any, Any] | str | None = None) -> str:
        """Layers, output shapes and parameters of the network; see `NeuralClassifier.describe`."""
        task = self._binding.task if env is None else self._classifier._task_of(env)
        return self._classifier._describe(task)

    def save(self, directory: str | Path) -> None:
        manifest, arrays = self._binding.to_storage()
        write_agent(directory, {"agent": to_data(self)} | manifest, arrays)

    def resume(self, env: gym.Env[Any, Any]) -> None:
        self._binding.resume(env)

    def _restore(self, manifest: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        binding = BanditBinding(self)
        try:
            binding.from_storage(manifest, arrays)
        except (KeyError, TypeError, ValueError) as error:
            raise SavedAgentError(f"the saved {self.name} agent is not complete: {error}") from None
        self._bound = binding
