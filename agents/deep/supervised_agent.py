"""Supervised agents: they learn from an environment's labelled examples, and act like everybody else."""

from abc import abstractmethod
from typing import Any, ClassVar, cast

import gymnasium as gym
import numpy as np

from velodrome.agents.agent import Agent, Loop
from velodrome.agents.deep.early_stopping import EarlyStopping
from velodrome.agents.deep.labelled_task import LabelledTask, labelled_examples
from velodrome.agents.deep.learner import Learner as Network
from velodrome.agents.deep.supervised_learner import DivergedError, SupervisedLearner
from velodrome.agents.engine.episode_ends import EpisodeEnds
from velodrome.agents.engine.interruption import current_interruption
from velodrome.agents.engine.seeding import Streams
from velodrome.agents.errors import BudgetError, UnsupportedEnvironmentError, environment_label
from velodrome.agents.training import Training
from velodrome.checks import check_integer, check_number
from velodrome.envs.labelled.datasets.dataset import LabelledExamples
from velodrome.envs.labelled.shuffled_passes import ShuffledPasses
from velodrome.envs.make import make_environment


class SupervisedAgent(Agent):
    """An agent that learns from `env.unwrapped.examples`, a `LabelledExamples`, without stepping the environment.

    An example seen is an episode, and each of its labels a step: an image is an episode of one step, a window of
    text an episode of as many steps as it has characters. Examples come in shuffled passes (epochs), in batches
    that end with the pass; the budget cuts the last batch. So `train(a)` and then `train(b)` is `train(a + b)` bit
    for bit where `a` ends with a batch.

    The log's returns count the right predictions that the network made while it trained, before each update.

    To make an agent of this kind, give `new_network`; `act_on_one` may answer single observations faster.

    Args:
        learning_rate: of the optimiser.
        batch_size: examples a training step; all of them if there are fewer.

    Raises:
        ConfigurationError: a parameter is out of range.
    """

    learning_rate: float = 1e-3
    batch_size: int = 100

    learns_from = "examples"
    can_checkpoint: ClassVar[bool] = True
    takes_batches: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_number(f"{self.name}: learning_rate", self.learning_rate, 0.0, np.inf, open_low=True)
        check_integer(f"{self.name}: batch_size", self.batch_size, minimum=1)

    @abstractmethod
    def new_network(self, task: LabelledTask, rng: np.random.Generator) -> Network:
        """Network and optimiser with fresh weights drawn from `rng`; tensorflow may be imported here.

        Args:
            task: shapes of inputs and number of classes.
            rng: random stream of the first weights.

        Raises:
            UnsupportedEnvironmentError: the network cannot handle the task.
        """

    def check_task(self, task: LabelledTask, label: str) -> None:
        """Refuse a task that the network cannot handle, before tensorflow is imported.

        Args:
            task: of an environment.
            label: name of that environment, for messages.

        Raises:
            UnsupportedEnvironmentError: naming `label`, the environment.
        """

    def check_arrays(self, task: LabelledTask, arrays: dict[str, np.ndarray]) -> None:
        """Refuse a saved network's arrays that do not fit, before tensorflow is imported.

        Args:
            task: task of the saved agent.
            arrays: arrays that were saved, by name.

        Raises:
            KeyError, ValueError: an array is missing or does not fit.
        """

    def learning_rate_at(self, epochs_seen: float, epochs: float) -> float:
        """Learning rate of the next step.

        Args:
            epochs_seen: passes through the examples so far.
            epochs: passes when this call's budget will be spent.
        """
        return float(self.learning_rate)

    def held_out(self, examples: LabelledExamples) -> np.ndarray:
        """Places of the examples that are not learnt from but validate, int64, ascending.

        Args:
            examples: all labelled examples of the environment.
        """
        return np.zeros(0, dtype=np.int64)

    def new_early_stopping(self) -> EarlyStopping | None:
        """Early stopping by the accuracy on the held-out examples, if there is any."""
        return None

    def act_on_one(self, observation: np.ndarray) -> int:
        """Class for one observation (symbols counted from 0).

        Args:
            observation: one observation, checked.
        """
        return int(np.argmax(self.learner.network.logits(observation[np.newaxis])[0]))

    @property
    def learner(self) -> SupervisedLearner:
        """The network, and where it stands among the examples; see `Agent.learner`."""
        return cast(SupervisedLearner, self.binding.learner)

    def _task_of(self, env: gym.Env[Any, Any] | str | None) -> LabelledTask:
        """Task of an environment, checked; without one, the task that was learnt.

        Raises:
            UnsupportedEnvironmentError: the agent cannot learn there, or has not learnt anything yet.
        """
        if env is None:
            return self.learner.task
        environment = make_environment(env)
        task = LabelledTask.of(self.name, environment)
        self.check_task(task, environment_label(environment))
        return task

    @property
    def losses(self) -> np.ndarray:
        """Loss of each batch of the last call of `train`, before its update, float64 (num_batches,)."""
        return np.array(self.learner.losses if self.is_trained else [])

    def task_of(self, env: Any) -> LabelledTask:
        self._examples_of(env)
        return self._task_of(env)

    def task_after(self, learnt: LabelledTask, task: LabelledTask, label: str) -> LabelledTask:
        after: LabelledTask = super().task_after(learnt, task.after(learnt), label)
        return after

    def task_from_data(self, entries: dict[str, Any], arrays: dict[str, np.ndarray]) -> LabelledTask:
        return LabelledTask.from_data(entries["task"])

    def new_learner(self, task: LabelledTask, streams: Streams) -> SupervisedLearner:
        return SupervisedLearner(
            self.name,
            task,
            streams,
            new_network=self.new_network,
            new_early_stopping=self.new_early_stopping,
            check_arrays=self.check_arrays,
        )

    def exact_budget(
        self, env: Any, *, episodes: int | None, steps: int | None, epochs: int | None
    ) -> tuple[int | None, int | None]:
        examples = self._examples_of(env)
        if epochs is not None:
            return epochs * self.episodes_per_epoch(len(examples.labels)), None
        if steps is not None:
            self.check_steps(env, steps)
            return steps // _num_steps(examples), None
        return episodes, None

    def plan_loop(self, loop: Loop, env: Any, success: str | None, notes: list[str]) -> LabelledExamples:
        return self._examples_of(env)

    def run_training(self, training: Training) -> EpisodeEnds:
        learner, examples = self.learner, training.plan
        compiled_before, learner.unreported_seconds = learner.compile_seconds, 0.0
        if not training.parts:
            learner.losses.clear()
            training.notes.extend(learner.task.scale_notes(training.environment))
        returns = self._learn(learner, examples, training)
        training.episodes_an_epoch = len(examples.labels) - len(self.held_out(examples))
        num_steps = _num_steps(examples)
        return EpisodeEnds(
            returns,
            np.full(len(returns), num_steps, dtype=np.int64),
            np.ones(len(returns), dtype=np.bool_),
            (returns == num_steps).astype(np.int8),
            num_steps * len(returns),
            learner.network.loop,
            learner.compile_seconds - compiled_before,
        )

    def _learn(self, learner: SupervisedLearner, examples: LabelledExamples, training: Training) -> np.ndarray:
        """Right predictions of each example seen, float64: of all batches up to where training stops next.

        Raises:
            DivergedError: the loss is not finite.
        """
        assert training.episodes is not None
        assert training.episodes_now is not None
        left, wanted = training.episodes - training.finished, training.episodes_now
        inputs, labels = examples.inputs, examples.labels - learner.task.action_start
        held_out = self.held_out(examples)
        kept = np.setdiff1d(np.arange(len(labels)), held_out, assume_unique=True)
        passes, order = ShuffledPasses(len(kept)), learner.order_sequence()
        symbols = learner.task.symbol_start if learner.task.num_symbols else 0
        network, stopping = learner.network, learner.early_stopping
        epochs = (learner.examples_seen + left) / len(kept)
        learner.num_calls += 1
        returns: list[np.ndarray] = []
        finished = 0
        interruption = current_interruption()
        while finished < wanted:
            seen = learner.examples_seen
            count = min(self.batch_size, len(kept) - seen % len(kept), left - finished)
            places = kept[passes.take(order, seen, count)]
            batch, right = inputs[places], labels[places]
            if symbols:
                batch = batch - symbols
            if stopping is not None and stopping.has_stopped:
                predictions = np.argmax(network.logits(batch), axis=-1)
            else:
                rate = self.learning_rate_at(seen / len(kept), epochs)
                predictions, loss, _ = network.learn(batch, right, rate, learner.step_generator())
                if not np.isfinite(loss):
                    raise DivergedError(
                        f"{self.name}: the loss is {loss} after {seen} examples: give a smaller learning_rate"
                    )
                learner.losses.append(loss)
            returns.append((predictions == right).reshape(count, -1).sum(axis=1))
            learner.examples_seen += count
            finished += count
            if interruption is not None:
                interruption.advance(finished, 0)
            if learner.examples_seen % len(kept) == 0 and stopping is not None and not stopping.has_stopped:
                held_inputs = inputs[held_out] - symbols if symbols else inputs[held_out]
                stopping.end_epoch(network, held_inputs, labels[held_out])
        if stopping is not None and stopping.has_stopped:
            training.notes.append(stopping.note(len(held_out)))
        return np.concatenate(returns).astype(np.float64)

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
        held_out = len(self.held_out(examples))
        if held_out == len(examples.labels):
            raise UnsupportedEnvironmentError(f"{self.name} holds out {held_out} examples, and there are no others")
        return examples

    def act(self, observation: Any, *, explore: bool = False) -> Any:
        """Class for one observation, or classes for a batch; there is nothing to explore.

        Raises:
            ObservationError: the shape is neither that of one observation nor of a batch, or a symbol is unknown.
        """
        task = self.learner.task
        if task.is_batch(observation):
            return self._predict(task.checked(observation)) + task.action_start
        return self.act_on_one(task.checked(np.asarray(observation)[np.newaxis])[0]) + task.action_start

    def _predict(self, observations: np.ndarray) -> np.ndarray:
        """Classes int64 (B,) for checked observations."""
        classes: np.ndarray = np.argmax(self.learner.network.logits(observations), axis=-1)
        return classes


def _num_steps(examples: LabelledExamples) -> int:
    """Labels of an example."""
    return int(np.prod(examples.labels.shape[1:], dtype=np.int64))
