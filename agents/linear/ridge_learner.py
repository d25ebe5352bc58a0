"""The learner of a linear bandit: one ridge regression an arm, a step at a time."""

from typing import Any

import numpy as np

from velodrome.agents.deep.supervised_learner import DivergedError
from velodrome.agents.engine.seeding import Streams
from velodrome.agents.linear.arm_choices import ArmChoice
from velodrome.agents.linear.context_features import ContextTask
from velodrome.agents.linear.ridge_kernels import estimates, learn
from velodrome.agents.resuming.saving import whole_number
from velodrome.agents.stepwise import StepwiseLearner
from velodrome.agents.tabular.schedule_table import ScheduleTable


class RidgeLearner(StepwiseLearner):
    """Ridge regressions of rewards on contexts, one an arm; only that of the chosen arm learns.

    Args:
        name: of the agent, for messages.
        task: features and actions.
        streams: random streams of the agent.
        choice: how to explore.
        ridge: added to the diagonal of every arm's matrix of squares.

    Attributes:
        factors: of every arm, upper triangular, float64 (arms, d, d); see `ridge_kernels`.
        targets: of every arm, float64 (arms, d).
        episode: finished so far.
        step: environment steps so far.
    """

    def __init__(self, *, name: str, task: ContextTask, streams: Streams, choice: ArmChoice, ridge: float) -> None:
        self._name, self._streams, self.choice = name, streams, choice
        num_arms, num_features = task.num_actions, task.num_features
        self.factors = np.zeros((num_arms, num_features, num_features))
        self.factors[:, np.arange(num_features), np.arange(num_features)] = np.sqrt(ridge)
        self.targets = np.zeros((num_arms, num_features))
        self._parameters = ScheduleTable(choice.owner, choice.schedule, *choice.parameter_range)
        self._rng = streams.generator("agent")
        self._rest = np.empty(num_features)
        self._means, self._uncertainties = np.empty((1, num_arms)), np.empty((1, num_arms))
        self.episode, self.step, self._action = 0, 0, 0
        self._context = np.empty((1, num_features))
        self.enter(task, None)

    def enter(self, task: ContextTask, environment: Any, *, is_resumed: bool = False) -> None:
        self.task = task

    def begin(self, observation: Any) -> None:
        """Start an episode at `observation`."""
        self._context = self.task.features(observation)

    def choose(self) -> int:
        """Action for the present observation, exploring.

        Raises:
            DivergedError: an estimate is not finite.
        """
        means, uncertainties = self._means, self._uncertainties
        estimates(self.factors, self.targets, self._context, self._rest, means, uncertainties)
        self._action = self._explored(means[0], uncertainties[0])
        return self._action + self.task.action_start

    def observe(self, observation: Any, reward: float, terminated: bool, truncated: bool) -> None:
        """Learn from the reward of the chosen action."""
        learn(self.factors[self._action], self.targets[self._action], self._context[0], reward, self._rest)
        self.step += 1
        if terminated or truncated:
            self.episode += 1
        else:
            self._context = self.task.features(observation)

    def explored(self, observations: Any) -> list[int]:
        """Actions for a batch of observations, counted from 0, exploring."""
        return [self._explored(*row) for row in zip(*self.estimated(observations), strict=True)]

    def explored_one(self, observation: Any) -> int:
        """Action for one observation, counted from 0, exploring."""
        means, uncertainties = self._estimates_of(self.task.features(observation))
        return self._explored(means[0], uncertainties[0])

    def _explored(self, means: np.ndarray, uncertainties: np.ndarray) -> int:
        if not (np.isfinite(means).all() and np.isfinite(uncertainties).all()):
            raise DivergedError(
                f"{self._name}: an estimate is not finite after {self.step} steps: give a larger ridge, or smaller "
                "rewards or observations"
            )
        return self.choice.choose(means, uncertainties, self._parameter(), self._rng)

    def _parameter(self) -> float:
        return self._parameters.value(self.episode if self._parameters.clock == "episode" else self.step)

    def exploration(self) -> float:
        return self._parameters.known_value(self.episode if self._parameters.clock == "episode" else self.step)

    def estimated(self, observations: Any) -> tuple[np.ndarray, np.ndarray]:
        """Estimated rewards of a batch of observations and their uncertainties, both float64 (B, arms)."""
        return self._estimates_of(self.task.features_of_all(observations))

    def estimated_of_one(self, observation: Any) -> np.ndarray:
        """Estimated rewards of one observation, float64 (arms,)."""
        means, _ = self._estimates_of(self.task.features(observation))
        return np.asarray(means[0])

    def _estimates_of(self, contexts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        means, uncertainties = (np.empty((len(contexts), self.task.num_actions)) for _ in range(2))
        estimates(self.factors, self.targets, contexts, np.empty_like(self._rest), means, uncertainties)
        return means, uncertainties

    def exploration_probabilities(self, observations: Any) -> np.ndarray | None:
        """Probability of each action, exploring, float64 (B, arms); None where it has no closed form."""
        return self.choice.probabilities(*self.estimated(observations), self._parameter())

    def action_values(self, observations: Any) -> np.ndarray:
        return self.estimated(observations)[0]

    def weights(self) -> np.ndarray:
        """Weights of every arm's regression, float64 (arms, d)."""
        return np.array([np.linalg.solve(*pair) for pair in zip(self.factors, self.targets, strict=True)])

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        # The stream that acting draws from is kept, whether it has been drawn from or not.
        self._streams.generator("acting")
        entries = self.task.to_data() | {"episode": self.episode, "step": self.step}
        return entries, {"factors": self.factors, "targets": self.targets}

    def set_state(self, entries: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        for name, own in (("factors", self.factors), ("targets", self.targets)):
            found = arrays[name]
            if found.shape != own.shape or found.dtype != own.dtype or not np.isfinite(found).all():
                raise ValueError(f"array {name} has shape {found.shape} and dtype {found.dtype}, or is not finite")
            own[...] = found
        if (np.diagonal(self.factors, axis1=1, axis2=2) <= 0).any():
            raise ValueError("array factors has a diagonal that is not positive")
        self.episode, self.step = whole_number(entries, "episode"), whole_number(entries, "step")
