"""Agents that do the same at every step: one action that is given, or the best that there is."""

import contextlib
from dataclasses import field
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from velodrome.agents.agent import Agent
from velodrome.agents.engine.actions import read_action
from velodrome.agents.engine.episode_ends import EpisodeEnds
from velodrome.agents.engine.seeding import Streams
from velodrome.agents.errors import AgentFailureError, BudgetError, UnsupportedEnvironmentError, environment_label
from velodrome.agents.planning.dynamic_programming import NotConvergedError, evaluate_policy
from velodrome.agents.stepwise import Spaces, StepwiseLearner
from velodrome.agents.training import Training
from velodrome.envs.model.transition_model import NoTransitionModelError, TransitionModel, TransitionModelError

# Of which each is tried.
MOST_ACTIONS = 1000


class ConstantAction(Agent):
    """Takes the same action at every step, whatever is observed; it learns nothing.

    Args:
        action: of the environment's action space: a whole number of a Discrete one, a list of numbers of others.
    """

    name = "constant"
    learns = False

    action: Any = field(kw_only=False)

    def __post_init__(self) -> None:
        self.action = _plain(self.action)

    def task_of(self, env: Any) -> Spaces:
        task: Spaces = super().task_of(env)
        try:
            read_action(self.action, task.action_space, f"{self.name} on {environment_label(env)}: action")
        except AgentFailureError as error:
            raise UnsupportedEnvironmentError(str(error).replace(" must give ", " must be ")) from None
        return task

    def act(self, observation: Any, *, explore: bool = False) -> Any:
        """The action, for one observation."""
        return read_action(self.action, self.binding.task.action_space, self.name)


class BestConstantAction(Agent):
    """Takes one action at every step, the one with the largest mean return of all.

    Where the transition model is known, each action's expected return is computed, and the best is played from the
    first episode on. Elsewhere the actions take turns in training, an episode each, so that none has been tried more
    than once oftener than another, and `act` gives the one with the largest mean return so far; the first of equals.

    Source: a bandit whose arms are the actions, chosen in turn (Sutton & Barto, 2018, section 2.2: sample averages).
    """

    name = "best_constant"
    can_checkpoint = True

    def task_of(self, env: Any) -> Spaces:
        task: Spaces = super().task_of(env)
        space = task.action_space
        if not isinstance(space, spaces.Discrete) or space.n > MOST_ACTIONS:
            raise UnsupportedEnvironmentError(
                f"{self.name} needs a Discrete action space of at most {MOST_ACTIONS:,} actions, but "
                f"{environment_label(env)} has {space}"
            )
        return task

    def exact_budget(
        self, env: Any, *, episodes: int | None, steps: int | None, epochs: int | None
    ) -> tuple[int | None, int | None]:
        episodes, steps = super().exact_budget(env, episodes=episodes, steps=steps, epochs=epochs)
        number = int(env.action_space.n)
        # What is left of a budget, and the distance of evaluations, may be less.
        if not self.is_trained and episodes is not None and episodes < number and expected_returns(env) is None:
            raise BudgetError(
                f"{self.name} tries each of the {number} actions of {environment_label(env)} in an episode of its own: "
                f"give at least {number} episodes, got {episodes}"
            )
        return episodes, steps

    def new_learner(self, task: Spaces, streams: Streams) -> "ActionsInTurn":
        return ActionsInTurn(task)

    def run_training(self, training: Training) -> EpisodeEnds:
        part = super().run_training(training)
        tried = self.learner.num_tried
        if training.steps is not None and training.taken + part.steps == training.steps and tried is not None:
            number = len(self.learner.counts)
            if tried < number:
                training.notes.append(f"tried {tried} of {number} actions for whole episodes within its steps")
        return part

    @property
    def mean_returns(self) -> np.ndarray:
        """Mean return of each action, float64 (num_actions,): expected where computed, -∞ where it was not tried."""
        values: np.ndarray = self.learner.mean_returns
        return values

    def act(self, observation: Any, *, explore: bool = False) -> int:
        """The best action, for one observation; `explore` changes nothing: trying belongs to training."""
        learner: ActionsInTurn = self.learner
        return learner.best


class ActionsInTurn(StepwiseLearner):
    """Plays one action an episode, in turn, and keeps the mean return of each.

    Args:
        task: spaces of the environment; actions are Discrete.

    Attributes:
        sums: of the returns of each action's episodes, float64 (num_actions,).
        counts: number of episodes of each action, int64 (num_actions,).
    """

    def __init__(self, task: Spaces) -> None:
        assert isinstance(task.action_space, spaces.Discrete)
        self._task, self._first = task, int(task.action_space.start)
        number = int(task.action_space.n)
        self.sums, self.counts = np.zeros(number), np.zeros(number, dtype=np.int64)
        self._expected = np.zeros(0)
        self._action, self._return = 0, 0.0

    @property
    def mean_returns(self) -> np.ndarray:
        """Mean return of each action, expected where computed, -∞ where it was not tried."""
        if len(self._expected):
            return self._expected
        means = np.full(len(self.sums), -np.inf)
        np.divide(self.sums, self.counts, out=means, where=self.counts > 0)
        return means

    @property
    def best(self) -> int:
        """The action with the largest mean return, the first of equals."""
        return self._first + int(self.mean_returns.argmax())

    @property
    def num_tried(self) -> int | None:
        """Number of actions that have finished an episode; None where all were computed."""
        return None if len(self._expected) else int(np.count_nonzero(self.counts))

    def enter(self, task: Spaces, environment: Any, *, is_resumed: bool = False) -> None:
        super().enter(task, environment, is_resumed=is_resumed)
        self._task = task
        expected = expected_returns(environment)
        self._expected = np.zeros(0) if expected is None else expected

    def forget_episode(self) -> None:
        self._return = 0.0

    def begin(self, observation: Any) -> None:
        self._action = self.best if len(self._expected) else self._first + int(self.counts.argmin())
        self._return = 0.0

    def choose(self) -> int:
        return self._action

    def observe(self, observation: Any, reward: float, terminated: bool, truncated: bool) -> None:
        self._return += reward
        if terminated or truncated:
            self.sums[self._action - self._first] += self._return
            self.counts[self._action - self._first] += 1

    def pause(self) -> None:
        """Nothing to put in order."""

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        arrays = {"sums": self.sums, "counts": self.counts, "expected": self._expected}
        return {"spaces": self._task.to_data()}, arrays

    def set_state(self, entries: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        number = len(self.sums)
        sums, counts = np.array(arrays["sums"], np.float64), np.array(arrays["counts"], np.int64)
        expected = np.array(arrays["expected"], np.float64)
        if sums.shape != (number,) or counts.shape != (number,) or expected.shape not in ((0,), (number,)):
            raise ValueError(f"returns of {number} actions must have the shape ({number},)")
        self.sums, self.counts, self._expected = sums, counts, expected


def expected_returns(env: gym.Env[Any, Any]) -> np.ndarray | None:
    """Expected return of each action taken for ever, float64 (num_actions,), within the time limit.

    None where there is no transition model, or the returns of one without time limit do not converge.
    """
    with contextlib.suppress(NoTransitionModelError, TransitionModelError, NotConvergedError):
        model = TransitionModel.of(env)
        policies = (np.eye(model.num_actions)[np.full(model.num_states, one)] for one in range(model.num_actions))
        return np.array([evaluate_policy(model, policy, None).expected_return for policy in policies])
    return None


def _plain(action: Any) -> Any:
    """Arrays and lists as tuples, and NumPy's numbers as Python's."""
    if isinstance(action, np.ndarray | np.generic):
        action = action.tolist()
    return tuple(_plain(item) for item in action) if isinstance(action, list | tuple) else action
