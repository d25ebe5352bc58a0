"""Supervised agents: they learn from an environment's labelled examples, and act like everybody else."""

import time
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from velodrome.agents.agent import LOOPS, Agent, Callback, Loop
from velodrome.agents.deep.early_stopping import EarlyStopping
from velodrome.agents.deep.labelled_task import LabelledTask, labelled_examples
from velodrome.agents.deep.learner import Learner
from velodrome.agents.deep.supervised_binding import SupervisedBinding
from velodrome.agents.deep.supervised_training import train_on_examples
from velodrome.agents.engine.seeding import check_seed
from velodrome.agents.errors import (
    BudgetError,
    UnsupportedEnvironmentError,
    check_budget_or_epochs,
    check_count,
    environment_label,
)
from velodrome.agents.resuming.saving import SavedAgentError, write_agent
from velodrome.agents.training_log import TrainingLog
from velodrome.checks import check_choice, check_integer, check_number
from velodrome.envs.labelled.datasets.dataset import LabelledExamples
from velodrome.envs.make import make_environment
from velodrome.envs.success_rules import success_rule
from velodrome.policies.configuration import to_data

LOOP = "keras"


@dataclass(kw_only=True, eq=False)
class SupervisedAgent(Agent):
    """An agent that learns from `env.unwrapped.examples`, a `LabelledExamples`, without stepping the environment.

    An example seen is an episode, and each of its labels a step: an image is an episode of one step, a window of
    text an episode of as many steps as it has characters. Examples come in shuffled passes (epochs), in batches
    that end with the pass; the budget cuts the last batch. So `train(a)` and then `train(b)` is `train(a + b)` bit
    for bit where `a` ends with a batch.

    The log's returns count the right predictions that the network made while it trained, before each update.

    To make an agent of this kind, give `_new_learner`; `_act_on_one` may answer single observations faster.

    Args:
        learning_rate: of the optimiser.
        batch_size: examples a training step; all of them if there are fewer.

    Raises:
        ConfigurationError: a parameter is out of range.
    """

    learning_rate: float = 1e-3
    batch_size: int = 100

    can_checkpoint: ClassVar[bool] = True
    takes_batches: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_number(f"{self.name}: learning_rate", self.learning_rate, 0.0, np.inf, open_low=True)
        check_integer(f"{self.name}: batch_size", self.batch_size, minimum=1)
        self._bound: SupervisedBinding | None = None
        self._losses = np.zeros(0)

    @abstractmethod
    def _new_learner(self, task: LabelledTask, rng: np.random.Generator) -> Learner:
        """Learner with fresh weights drawn from `rng`; tensorflow may be imported here.

        Raises:
            UnsupportedEnvironmentError: the network cannot handle the task.
        """

    def _check_task(self, task: LabelledTask, label: str) -> None:
        """Refuse a task that the network cannot handle, before tensorflow is imported.

        Raises:
            UnsupportedEnvironmentError: naming `label`, the environment.
        """

    def _check_arrays(self, task: LabelledTask, arrays: dict[str, np.ndarray]) -> None:
        """Refuse a saved learner's arrays that do not fit, before tensorflow is imported.

        Raises:
            KeyError, ValueError: an array is missing or does not fit.
        """

    def _learning_rate_at(self, epochs_seen: float, epochs: float) -> float:
        """Learning rate of the next step.

        Args:
            epochs_seen: passes through the examples so far.
            epochs: passes when this call's budget will be spent.
        """
        return float(self.learning_rate)

    def _held_out(self, examples: LabelledExamples) -> np.ndarray:
        """Places of the examples that are not learnt from but validate, int64, ascending."""
        return np.zeros(0, dtype=np.int64)

    def _new_early_stopping(self) -> EarlyStopping | None:
        """What watches the accuracy on the held-out examples, if anything does."""
        return None

    def _act_on_one(self, observation: np.ndarray) -> int:
        """Class for one observation (symbols counted from 0)."""
        return int(np.argmax(self._binding.learner.logits(observation[np.newaxis])[0]))

    @property
    def _binding(self) -> SupervisedBinding:
        if self._bound is None:
            raise UnsupportedEnvironmentError(f"{self.name} has not been trained or loaded yet: call train first")
        return self._bound

    def _task_of(self, env: gym.Env[Any, Any] | str | None) -> LabelledTask:
        """What is learnt on an environment, checked; without one, what was learnt.

        Raises:
            UnsupportedEnvironmentError: the agent cannot learn there, or has not learnt anything yet.
        """
        if env is None:
            return self._binding.task
        environment = make_environment(env)
        task = LabelledTask.of(self.name, environment)
        self._check_task(task, environment_label(environment))
        return task

    @property
    def losses(self) -> np.ndarray:
        """Loss of each batch of the last call of `train`, before its update, float64 (num_batches,)."""
        return self._losses

    def check_environment(self, env: gym.Env[Any, Any]) -> None:
        self._examples_of(env)
        self._check_task(LabelledTask.of(self.name, env), environment_label(env))

    def check_steps(self, env: gym.Env[Any, Any], steps: int) -> None:
        """Refuse a budget of steps that ends inside an example.

        Raises:
            BudgetError: it is no multiple of the labels that an example has.
            UnsupportedEnvironmentError: there are no examples.
        """
        num_steps = _num_steps(labelled_examples(self.name, env))
        if steps % num_steps:
            raise BudgetError(f"steps must be a multiple of {num_steps}, the labels of an example, got {steps}")

    def _examples_of(self, env: gym.Env[Any, Any]) -> LabelledExamples:
        """Examples of an environment, of which some are left to learn from.

        Raises:
            UnsupportedEnvironmentError: there are none, or all are held out.
        """
        examples = labelled_examples(self.name, env)
        held_out = len(self._held_out(examples))
        if held_out == len(examples.labels):
            raise UnsupportedEnvironmentError(f"{self.name} holds out {held_out} examples, and there are no others")
        return examples

    def train(
        self,
        env: gym.Env[Any, Any] | str,
        *,
        episodes: int | None = None,
        steps: int | None = None,
        epochs: int | None = None,
        seed: int | None = None,
        loop: Loop = "auto",
        callback: Callback | None = None,
        callback_every: int = 100,
        success: str | None = None,
    ) -> TrainingLog:
        """Learn from exactly `episodes` examples, from as many as have `steps` labels, or from all `epochs` times.

        A second call on the same environment goes on in the present pass, unless a `seed` is given: then the
        order and all other chance begin anew, and what was learnt stays. `loop` is accepted and not needed.
        The callback is called at the end of the batch in which `callback_every` more examples were seen.

        Raises:
            BudgetError: not exactly one positive budget, or steps that end inside an example.
            UnsupportedEnvironmentError: the environment has no labelled examples, or spaces of another kind.
            DivergedError: the loss is no longer finite.
        """
        episodes, steps, epochs = check_budget_or_epochs(episodes, steps, epochs)
        check_choice(f"{self.name}: loop", loop, LOOPS)
        callback_every = check_count("callback_every", callback_every)
        if seed is not None:
            seed = check_seed(seed)
        started = time.perf_counter()
        bound = self._bound
        environment: Any = env
        if isinstance(env, str):
            is_same = bound is not None and bound.environment_id == env
            environment = bound.environment if bound is not None and is_same else make_environment(env)
        rule = success_rule(environment, success)
        examples = self._examples_of(environment)
        num_steps = _num_steps(examples)
        if epochs is not None:
            episodes = epochs * self.episodes_per_epoch(len(examples.labels))
        if episodes is None:
            assert steps is not None
            self.check_steps(environment, steps)
            episodes = steps // num_steps
        binding = self._bound or SupervisedBinding(self)
        binding.bind(environment, seed)
        binding.environment_id = env if isinstance(env, str) else None
        prepared = binding.learner.compile_seconds if binding.is_ready else 0.0
        # Made first, so that an environment which the network cannot handle leaves nothing behind.
        _ = binding.learner
        self._bound = binding
        outcome = train_on_examples(
            self, binding, examples, episodes=episodes, callback=callback, callback_every=callback_every
        )
        self._losses = outcome.losses
        compile_seconds = binding.learner.compile_seconds - prepared
        lengths = np.full(len(outcome.returns), num_steps, dtype=np.int64)
        terminated = np.ones(len(outcome.returns), dtype=np.bool_)
        reported = (outcome.returns == num_steps).astype(np.int8)
        return TrainingLog(
            returns=outcome.returns,
            lengths=lengths,
            terminated=terminated,
            successes=rule.successes(outcome.returns, lengths, terminated, reported),
            success_rule=rule.as_used(reported).description,
            steps=int(lengths.sum()),
            loop=LOOP,
            seconds=time.perf_counter() - started - compile_seconds,
            compile_seconds=compile_seconds,
            seed=binding.seed,
            notes=(*binding.task.scale_notes(environment), *outcome.notes),
        )

    def act(self, observation: Any, *, explore: bool = False) -> Any:
        """Class for one observation, or classes for a batch; there is nothing to explore.

        Raises:
            ObservationError: the shape is neither that of one observation nor of a batch, or a symbol is unknown.
        """
        task = self._binding.task
        if task.is_batch(observation):
            return self._predict(task.checked(observation)) + task.action_start
        return self._act_on_one(task.checked(np.asarray(observation)[np.newaxis])[0]) + task.action_start

    def _predict(self, observations: np.ndarray) -> np.ndarray:
        """Classes int64 (B,) for checked observations."""
        classes: np.ndarray = np.argmax(self._binding.learner.logits(observations), axis=-1)
        return classes

    def save(self, directory: str | Path) -> None:
        manifest, arrays = self._binding.to_storage()
        write_agent(directory, {"agent": to_data(self)} | manifest, arrays)

    def resume(self, env: gym.Env[Any, Any]) -> None:
        labelled_examples(self.name, env)
        self._binding.resume(env)

    def _restore(self, manifest: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        binding = SupervisedBinding(self)
        try:
            binding.from_storage(manifest, arrays)
        except (KeyError, TypeError, ValueError) as error:
            raise SavedAgentError(f"the saved {self.name} agent is not complete: {error}") from None
        self._bound = binding


def _num_steps(examples: LabelledExamples) -> int:
    """Labels of an example."""
    return int(np.prod(examples.labels.shape[1:], dtype=np.int64))
