"""The learner of a neural bandit: its model, streams and batch in an environment, a step at a time."""

import dataclasses
from typing import Any, Never

import numpy as np

from velodrome.agents.deep.labelled_task import LabelledTask, ObservationError
from velodrome.agents.deep.network_inputs import input_shape, network_inputs
from velodrome.agents.deep.neural_classifier import NeuralClassifier
from velodrome.agents.deep.reward_model import RewardModel
from velodrome.agents.deep.supervised_learner import DivergedError
from velodrome.agents.engine.seeding import Streams
from velodrome.agents.errors import EnvironmentFailureError, no_such_action, policy_failure
from velodrome.agents.resuming.saving import arrays_under, whole_number
from velodrome.agents.stepwise import StepwiseLearner
from velodrome.agents.tabular.schedule_table import ScheduleTable
from velodrome.policies.policy import Policy


class NoVisitCounts:
    """Stand-in for visit counts, which there are none of, for a state is hardly ever met twice."""

    def _refuse(self, *arguments: Any) -> Never:
        raise TypeError("visit counts were asked for, and there are none")

    __getitem__ = __len__ = __iter__ = __array__ = _refuse


_NO_COUNTS: Any = NoVisitCounts()

# Streams of the agent: first weights, as an agent that learns from labels draws them; exploration; training steps.
_WEIGHTS, _EXPLORATION, _UPDATES = 0, 1, 2


class ExperienceBatch:
    """Observations, actions and rewards since the bandit last learnt, until they fill a batch.

    Args:
        size: of the full batch.
        input_shape: of one observation, as the network reads it.

    Attributes:
        count: experiences so far.
    """

    def __init__(self, size: int, input_shape: tuple[int, ...]) -> None:
        self._inputs = np.zeros((size, *input_shape), dtype=np.float32)
        self._actions = np.zeros(size, dtype=np.int64)
        self._rewards = np.zeros(size, dtype=np.float32)
        self._parts: dict[str, np.ndarray] = {
            "inputs": self._inputs,
            "actions": self._actions,
            "rewards": self._rewards,
        }
        self.count = 0

    def add(self, inputs: np.ndarray, action: int, reward: float) -> bool:
        """Add one; whether the batch is full now."""
        place = self.count
        self._inputs[place], self._actions[place], self._rewards[place] = inputs, action, reward
        self.count += 1
        return self.count == len(self._actions)

    def arrays(self) -> dict[str, np.ndarray]:
        """Copies of the experiences: inputs float32 (count, *input_shape), actions int64, rewards float32 (count,)."""
        return {name: array[: self.count].copy() for name, array in self._parts.items()}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take over what `arrays` gave of a batch that is not full.

        Raises:
            KeyError, ValueError: an array is missing or does not fit.
        """
        count = len(arrays["actions"])
        for name, own in self._parts.items():
            found = arrays[name]
            if found.shape != (count, *own.shape[1:]) or found.dtype != own.dtype or count >= len(own):
                raise ValueError(f"array {name} has shape {found.shape} and dtype {found.dtype}")
            own[:count] = found
        self.count = count

    def take(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All inputs, actions and rewards of a full batch, which is empty then; the arrays are written to again."""
        self.count = 0
        return self._inputs, self._actions, self._rewards


class BanditLearner(StepwiseLearner):
    """A network that estimates rewards, and what learns it: a batch of experiences at a time.

    Args:
        name: of the agent, for messages.
        task: observations and actions.
        classifier: whose network it is.
        policy: how to explore.
        batch_size: experiences a training step.
        learning_rate: of the training steps.
        streams: random streams of the agent.

    Attributes:
        model: estimates rewards.
        episode: finished so far.
        step: environment steps so far.
        batch: experiences that are still to be learnt from.
        losses: of the training steps since it was cleared.
    """

    def __init__(
        self,
        *,
        name: str,
        task: LabelledTask,
        classifier: NeuralClassifier,
        policy: Policy,
        batch_size: int,
        learning_rate: float,
        streams: Streams,
    ) -> None:
        self._name, self.task = name, task
        self._select, self._takes_list = policy.select, policy.indexes_only
        self._parameters = ScheduleTable(policy.name, policy.schedule, *policy.parameter_range)
        self._streams, self._rng = streams, streams.generator("agent", _EXPLORATION)
        weights = np.random.Generator(np.random.PCG64(streams.sequence(_WEIGHTS)))
        self.model, self._learning_rate = RewardModel(classifier, task, weights), learning_rate
        self.batch = ExperienceBatch(batch_size, input_shape(task))
        self.losses: list[float] = []
        self.episode, self.step = 0, 0
        self._inputs, self._action = np.zeros(0), 0

    def enter(self, task: LabelledTask, environment: Any, *, is_resumed: bool = False) -> None:
        self.task = task

    def action_values(self, observations: Any) -> np.ndarray:
        return self.model.expected_rewards(self.task.checked(observations)).astype(np.float64)

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        entries = {
            "task": dataclasses.asdict(self.task),
            "episode": self.episode,
            "step": self.step,
            "updates": self.model.num_updates,
        }
        arrays = {f"network/{name}": array for name, array in self.model.arrays().items()}
        return entries, arrays | {f"batch/{name}": array for name, array in self.batch.arrays().items()}

    def set_state(self, entries: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        self.episode, self.step = whole_number(entries, "episode"), whole_number(entries, "step")
        self.model.restore(arrays_under("network/", arrays), whole_number(entries, "updates"))
        self.batch.restore(arrays_under("batch/", arrays))

    def begin(self, observation: Any) -> None:
        """Start an episode at `observation`."""
        self._see(observation)

    def choose(self) -> int:
        """Action for the present observation by the exploration policy.

        Raises:
            DivergedError: an expected reward is not finite.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            rewards = self.model.expected_rewards_of_one(self._inputs)
        if not np.isfinite(rewards).all():
            raise self._diverged("an expected reward is not finite")
        self._action = self.explore(rewards)
        return self._action + self.task.action_start

    def observe(self, observation: Any, reward: float, terminated: bool, truncated: bool) -> None:
        """Learn from the reward of the chosen action, once there is a batch of them.

        Raises:
            DivergedError: the loss is not finite.
        """
        is_full = self.batch.add(self._inputs, self._action, reward)
        self.step += 1
        if is_full:
            self._learn()
        if terminated or truncated:
            self.episode += 1
        else:
            self._see(observation)

    def explore(self, expected_rewards: np.ndarray) -> int:
        """The policy's choice now, from the expected reward of every action (num_actions,).

        Raises:
            PolicyFailureError: the policy raised, or chose an action that does not exist.
        """
        values: Any = expected_rewards.tolist() if self._takes_list else expected_rewards.astype(np.float64)
        parameter = self._parameters.value(self.episode if self._parameters.clock == "episode" else self.step)
        try:
            action = self._select(values, _NO_COUNTS, parameter, self._rng)
            exists = 0 <= action < self.task.num_classes
        except Exception as error:
            raise policy_failure(error) from error
        if not exists:
            raise no_such_action(action, self.task.num_classes)
        return int(action)

    def _see(self, observation: Any) -> None:
        try:
            checked = self.task.checked(np.asarray(observation)[np.newaxis])
        except ObservationError as error:
            raise EnvironmentFailureError(str(error)) from None
        self._inputs = network_inputs(self.task, checked)
        if not np.isfinite(self._inputs).all():
            raise EnvironmentFailureError("an observation holds numbers that are not finite")

    def _learn(self) -> None:
        inputs, actions, rewards = self.batch.take()
        stream = self._streams.at(_UPDATES, self.model.num_updates)
        loss = self.model.learn(inputs, actions, rewards, self._learning_rate, stream)
        if not np.isfinite(loss):
            raise self._diverged(f"the loss is {loss}")
        self.losses.append(loss)

    def _diverged(self, what: str) -> DivergedError:
        return DivergedError(f"{self._name}: {what} after {self.step} steps: give a smaller learning_rate")
