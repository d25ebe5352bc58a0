"""One neural bandit in one environment, a step at a time."""

from collections.abc import Callable
from typing import Any, Never

import numpy as np

from velodrome.agents.deep.experience_batch import ExperienceBatch
from velodrome.agents.deep.labelled_task import LabelledTask, ObservationError
from velodrome.agents.deep.network_inputs import input_shape, network_inputs
from velodrome.agents.deep.reward_model import RewardModel
from velodrome.agents.deep.supervised_training import DivergedError
from velodrome.agents.errors import EnvironmentFailureError, PolicyFailureError, policy_failure
from velodrome.agents.tabular.schedule_table import ScheduleTable
from velodrome.policies.policy import Policy


class NoVisitCounts:
    """What a policy gets in place of visit counts, for a state is hardly ever met twice."""

    def _refuse(self, *arguments: Any) -> Never:
        raise TypeError("visit counts were asked for, and there are none")

    __getitem__ = __len__ = __iter__ = __array__ = _refuse


_NO_COUNTS: Any = NoVisitCounts()


class BanditStepper:
    """What the generic loop calls: `begin` an episode, `choose` an action, `observe` its reward.

    Args:
        name: of the agent, for messages.
        task: observations and actions.
        policy: how to explore.
        model: estimates rewards.
        batch_size: experiences a training step.
        learning_rate: of the training steps.
        rng: of the exploration.
        update_stream: from the number of earlier updates to the stream of the next one.

    Attributes:
        model: as given.
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
        policy: Policy,
        model: RewardModel,
        batch_size: int,
        learning_rate: float,
        rng: np.random.Generator,
        update_stream: Callable[[int], np.random.Generator],
    ) -> None:
        self._name, self._task = name, task
        self._select, self._takes_list = policy.select, policy.indexes_only
        self._parameters = ScheduleTable(policy.name, policy.schedule, *policy.parameter_range)
        self.model, self._learning_rate, self._rng = model, learning_rate, rng
        self._update_stream = update_stream
        self.batch = ExperienceBatch(batch_size, input_shape(task))
        self.losses: list[float] = []
        self.episode, self.step = 0, 0
        self._inputs, self._action = np.zeros(0), 0

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
        return self._action

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
            exists = 0 <= action < self._task.num_classes
        except Exception as error:
            raise policy_failure(error) from error
        if not exists:
            raise PolicyFailureError(
                f"the policy chose action {action!r}, but there are actions 0 to {self._task.num_classes - 1}"
            )
        return int(action)

    def _see(self, observation: Any) -> None:
        try:
            checked = self._task.checked(np.asarray(observation)[np.newaxis])
        except ObservationError as error:
            raise EnvironmentFailureError(str(error)) from None
        self._inputs = network_inputs(self._task, checked)
        if not np.isfinite(self._inputs).all():
            raise EnvironmentFailureError("an observation holds numbers that are not finite")

    def _learn(self) -> None:
        inputs, actions, rewards = self.batch.take()
        stream = self._update_stream(self.model.num_updates)
        loss = self.model.learn(inputs, actions, rewards, self._learning_rate, stream)
        if not np.isfinite(loss):
            raise self._diverged(f"the loss is {loss}")
        self.losses.append(loss)

    def _diverged(self, what: str) -> DivergedError:
        return DivergedError(f"{self._name}: {what} after {self.step} steps: give a smaller learning_rate")
