"""Agents of other libraries: a library that owns its training loop learns in an environment that counts for it."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym

from velodrome.agents.engine.environment_answers import add_reward, read_reset, read_step, read_success
from velodrome.agents.engine.generic_loop import EpisodeRecord, Progress, says_stop
from velodrome.agents.errors import EnvironmentFailureError, call_failure, environment_label
from velodrome.envs.success_rules import report_of


class TrainingEndedError(BaseException):
    """The budget is spent: the library is to return from its `learn`; it is caught there, whatever the library does.

    It is no `Exception`, for libraries that catch all of these and go on.
    """


class TrainingEnvironment(gym.Wrapper[Any, Any, Any, Any]):
    """The environment that a library learns in: it counts, keeps a record, and ends the training at its budget.

    Its stream is seeded by the trial: seeds that the library gives to `reset` are not used, so that all agents of a
    comparison meet the same chance. Once the budget is spent, `step` raises; so does `reset`, but for the first one,
    which libraries call right after the last episode's end: it gives the last observation again and leaves the
    environment as it is.

    Args:
        env: the environment.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self.progress, self.record = Progress(), EpisodeRecord()
        self.steps = self.abandoned = 0
        self.failure: EnvironmentFailureError | None = None
        self.was_stopped = False
        self._budget: tuple[int | None, int | None] = (None, 0)
        self._seed: int | None = None
        self._episodes_before = 0
        self._after_step: Callable[[int], None] | None = None
        self._after_episode: Callable[[int], Any] | None = None
        self._last: tuple[Any, dict[str, Any]] | None = None
        self._stops = self._may_reset = False

    def open(
        self,
        *,
        episodes: int | None,
        steps: int | None,
        seed: int | None = None,
        after_episode: Callable[[int], Any] | None = None,
        after_step: Callable[[int], None] | None = None,
    ) -> None:
        """Begin a training of exactly so many episodes or steps.

        Args:
            episodes: to finish, or None.
            steps: to take, or None.
            seed: of the next reset, with which the environment's stream begins; None where it goes on.
            after_episode: called with the number of episodes finished in this training; False stops.
            after_step: called with the number of steps taken in this training.
        """
        self._episodes_before += len(self.record.returns)
        self.record = EpisodeRecord()
        self.steps = self.abandoned = 0
        self.failure, self.was_stopped = None, False
        self._budget, self._after_episode, self._after_step = (episodes, steps), after_episode, after_step
        self._seed = self._seed if seed is None else seed
        if seed is not None:
            self.progress.in_episode = False
        self._stops, self._may_reset = False, True

    def close_training(self) -> None:
        """End the training: nobody may step any more, such as a thread that the library left behind."""
        self._stops, self._may_reset = True, False

    @property
    def is_over(self) -> bool:
        """Whether the budget is spent, the environment failed, or somebody asked to stop."""
        episodes, steps = self._budget
        return self._stops or self.steps == steps or len(self.record.returns) == episodes

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        if self.is_over:
            if self._may_reset and self._last is not None and self.failure is None:
                self._may_reset = False
                return self._last
            raise self._end()
        if self.progress.in_episode and self.progress.episode_length:
            self.abandoned += 1
        self.progress.in_episode, self.progress.episode_length, self.progress.episode_return = False, 0, 0.0
        answer = self._called("reset", lambda: self._reset(options), read_reset)
        self._seed = None
        self.progress.in_episode = True
        self._last = answer
        return answer

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        if self.is_over:
            raise self._end()
        progress = self.progress
        answer = self._called("step", lambda: self.env.step(action), self._read_step)
        observation, reward, terminated, truncated, info = answer
        self.steps += 1
        progress.episode_length += 1
        progress.episode_return += reward
        self._last = observation, info
        ended = terminated or truncated
        if ended:
            self._finish(terminated, info)
        if self._after_step is not None:
            self._after_step(self.steps)
        if ended and self._after_episode is not None and says_stop(self._after_episode(len(self.record.returns))):
            self._stops = True
        return answer

    def _reset(self, options: dict[str, Any] | None) -> Any:
        seed = {} if self._seed is None else {"seed": self._seed}
        return self.env.reset(**seed) if options is None else self.env.reset(**seed, options=options)

    def _read_step(self, answer: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = read_step(answer)
        add_reward(self.progress.episode_return, reward)
        if terminated or truncated:
            read_success(info)
        return observation, reward, terminated, truncated, info

    def _finish(self, terminated: bool, info: dict[str, Any]) -> None:
        self.record.returns.append(self.progress.episode_return)
        self.record.lengths.append(self.progress.episode_length)
        self.record.terminated.append(terminated)
        self.record.reported.append(report_of(self.env, read_success(info)))
        self.progress.in_episode = False

    def _called(self, call: str, make: Callable[[], Any], read: Callable[[Any], Any]) -> Any:
        """Answer of a call of the environment; a failure is kept, should the library swallow it."""
        where = f"episode {self._episodes_before + len(self.record.returns) + 1}"
        if call == "step":
            where += f", step {self.progress.episode_length + 1}"
        try:
            answer = make()
        except Exception as error:
            self._fail(call_failure(self.env, call, where, error), error)
        try:
            return read(answer)
        except EnvironmentFailureError as error:
            self._fail(EnvironmentFailureError(f"{environment_label(self.env)}: {error} ({where})"), error)

    def _fail(self, failure: EnvironmentFailureError, cause: Exception) -> None:
        self.failure, self._stops, self.progress.in_episode = failure, True, False
        raise failure from cause

    def _end(self) -> BaseException:
        self.was_stopped = True
        return TrainingEndedError("the budget of the training is spent")
