"""The generic training loop: any step-wise learner in any Gymnasium environment, in plain Python."""

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Any, Protocol

import gymnasium as gym
import numpy as np

from velodrome.agents.engine.environment_answers import (
    add_reward,
    read_flag,
    read_info,
    read_reset,
    read_reward,
    read_success,
    step_values,
)
from velodrome.agents.errors import EnvironmentFailureError, call_failure, environment_label
from velodrome.envs.success_rules import report_of


class StepwiseLearner(Protocol):
    """What the loop needs of a learner."""

    def begin(self, observation: Any) -> None:
        """Start an episode."""

    def choose(self) -> Any:
        """Action for the present observation, exploring."""

    def observe(self, observation: Any, reward: float, terminated: bool, truncated: bool) -> None:
        """Learn from what the chosen action led to."""


@dataclass
class Progress:
    """Where a run stands: an unfinished episode is continued by the next call."""

    in_episode: bool = False
    episode_return: float = 0.0
    episode_length: int = 0

    @property
    def unfinished_return(self) -> float | None:
        """Return so far of an episode that is under way; None where there is none."""
        return self.episode_return if self.in_episode and self.episode_length else None


class EpisodeRecord:
    """Finished episodes of one call of `train`, one entry each."""

    def __init__(self) -> None:
        self.returns: list[float] = []
        self.lengths: list[int] = []
        self.terminated: list[bool] = []
        self.reported: list[int] = []

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Returns (float64), lengths (int64), terminated (bool), reported success (int8, see `report_of`)."""
        return (
            np.array(self.returns, dtype=np.float64),
            np.array(self.lengths, dtype=np.int64),
            np.array(self.terminated, dtype=np.bool_),
            np.array(self.reported, dtype=np.int8),
        )


def run_generic_loop(
    learner: StepwiseLearner,
    env: gym.Env[Any, Any],
    progress: Progress,
    record: EpisodeRecord,
    *,
    episodes: int | None,
    steps: int | None,
    first_reset_seed: int | None = None,
    action_offset: int = 0,
    episodes_before: int = 0,
    watch_info: Callable[[Any, dict[str, Any]], None] | None = None,
    after_episode: Callable[[int], Any] | None = None,
) -> int:
    """Run exactly `episodes` episodes or `steps` steps; `record` and `progress` stay right if it raises.

    Args:
        learner: decides and learns.
        env: any Gymnasium environment.
        progress: continued and updated.
        record: finished episodes are appended.
        episodes: number of episodes to finish, or None.
        steps: number of steps to take, or None.
        first_reset_seed: for the first reset only; every reset with a seed would restart the stream.
        action_offset: added to the learner's actions (the action space's `start`).
        episodes_before: finished by earlier calls on this environment; numbers the episode of a failure.
        watch_info: called with each observation and its info before the learner sees it.
        after_episode: called with the number of finished episodes; False stops.

    Returns:
        The number of environment steps taken.

    Raises:
        EnvironmentFailureError: the environment raised, or returned something that is not allowed.
    """
    taken = finished = 0
    begin, choose, observe, step = learner.begin, learner.choose, learner.observe, env.step
    total, length, in_episode = progress.episode_return, progress.episode_length, progress.in_episode
    call = "learner"
    answer: Any
    try:
        while taken != steps:
            if not in_episode:
                if finished == episodes:
                    break
                call, length = "reset", 0
                answer = _reset(env, first_reset_seed)
                first_reset_seed = None
                call = "learner"
                observation, info = read_reset(answer)
                total, length = 0.0, 0
                if watch_info is not None:
                    watch_info(observation, info)
                begin(observation)
                in_episode = True
            action = choose()
            call = "step"
            answer = step(action + action_offset)
            call = "learner"
            # Where everything has the type that Gymnasium asks for, nothing is called to read it.
            try:
                observation, reward, terminated, truncated, info = answer
            except (TypeError, ValueError):
                observation, reward, terminated, truncated, info = step_values(answer)
            if type(reward) is not float:
                reward = read_reward(reward)
            return_after = total + reward
            if not isfinite(return_after):
                return_after = add_reward(total, read_reward(reward))
            if type(terminated) is not bool:
                terminated = read_flag("terminated", terminated)
            if type(truncated) is not bool:
                truncated = read_flag("truncated", truncated)
            if type(info) is not dict:
                info = read_info(info, "step")
            ended = terminated or truncated
            success = read_success(info) if ended else -1
            if watch_info is not None:
                watch_info(observation, info)
            observe(observation, reward, terminated, truncated)
            taken += 1
            total = return_after
            length += 1
            if ended:
                record.returns.append(total)
                record.lengths.append(length)
                record.terminated.append(terminated)
                record.reported.append(report_of(env, success))
                finished += 1
                in_episode = False
                if after_episode is not None and says_stop(after_episode(finished)):
                    break
    except EnvironmentFailureError as error:
        in_episode = False
        where = f"episode {episodes_before + finished + 1}, step {length + 1}"
        raise EnvironmentFailureError(f"{environment_label(env)}: {error} ({where})") from error
    except Exception as error:
        in_episode = False
        if call == "learner":
            raise
        where = f"episode {episodes_before + finished + 1}" + (f", step {length + 1}" if call == "step" else "")
        raise call_failure(env, call, where, error) from error
    except BaseException:
        in_episode = False
        raise
    finally:
        progress.in_episode, progress.episode_return, progress.episode_length = in_episode, total, length
    return taken


def says_stop(answer: Any) -> bool:
    """Whether a callback's answer is a false value other than None."""
    return answer is not None and not answer


def _reset(env: gym.Env[Any, Any], seed: int | None) -> tuple[Any, dict[str, Any]]:
    return env.reset() if seed is None else env.reset(seed=seed)
