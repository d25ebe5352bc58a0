"""The generic training loop: any step-wise learner in any Gymnasium environment, in plain Python."""

from dataclasses import dataclass
from math import isfinite, nan
from typing import Any

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
from velodrome.agents.engine.episode_ends import EpisodeEnds
from velodrome.agents.engine.interruption import current_interruption
from velodrome.agents.errors import EnvironmentFailureError, call_failure, environment_label
from velodrome.agents.stepwise import StepwiseLearner
from velodrome.envs.goals import knows_goal
from velodrome.envs.success_rules import report_of


@dataclass
class Progress:
    """How far a run has come: an unfinished episode is continued by the next call.

    Attributes:
        in_episode: whether an episode is under way.
        episode_return: its sum of rewards so far.
        episode_length: its steps so far.
        episode: episodes finished since the agent was made.
        step: steps taken since.
    """

    in_episode: bool = False
    episode_return: float = 0.0
    episode_length: int = 0
    episode: int = 0
    step: int = 0

    @property
    def unfinished_return(self) -> float | None:
        """Return so far of an episode that is under way; None where there is none."""
        return self.episode_return if self.in_episode and self.episode_length else None

    def forget_episode(self) -> None:
        """Let the next episode be a new one."""
        self.in_episode, self.episode_return, self.episode_length = False, 0.0, 0


def run_generic_loop(
    learner: StepwiseLearner,
    env: gym.Env[Any, Any],
    progress: Progress,
    *,
    episodes: int | None,
    steps: int | None,
    first_reset_seed: int | None = None,
    episodes_before: int = 0,
) -> EpisodeEnds:
    """Run until exactly `episodes` episodes are finished or `steps` steps are taken, whichever comes first.

    Args:
        learner: decides and learns.
        env: any Gymnasium environment.
        progress: continued and updated; it stays right if this raises.
        episodes: number of episodes to finish, or None.
        steps: number of steps to take, or None.
        first_reset_seed: for the first reset only; every reset with a seed would restart the stream.
        episodes_before: finished by earlier calls on this environment; numbers the episode of a failure.

    Raises:
        EnvironmentFailureError: the environment raised, or returned something that is not allowed.
    """
    taken = finished = 0
    returns: list[float] = []
    lengths: list[int] = []
    ends: list[bool] = []
    reported: list[int] = []
    pseudo_regrets: list[float] = []
    watch_info, knows_where_goals_are = learner.watch_info, knows_goal(env)
    begin, choose, observe, step, reset = learner.begin, learner.choose, learner.observe, env.step, env.reset
    total, length, in_episode = progress.episode_return, progress.episode_length, progress.in_episode
    call = "learner"
    answer: Any
    interruption = current_interruption()
    try:
        while taken != steps:
            if not in_episode:
                if finished == episodes:
                    break
                call, length = "reset", 0
                answer = reset() if first_reset_seed is None else reset(seed=first_reset_seed)
                first_reset_seed = None
                call = "learner"
                if type(answer) is not tuple or len(answer) != 2 or type(answer[1]) is not dict:
                    answer = read_reset(answer)
                observation, info = answer
                total, length = 0.0, 0
                if watch_info is not None:
                    watch_info(observation, info)
                begin(observation)
                in_episode = True
            action = choose()
            call = "step"
            answer = step(action)
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
                returns.append(total)
                lengths.append(length)
                ends.append(terminated)
                reported.append(report_of(env, success) if knows_where_goals_are else success)
                if "pseudo_regret" in info:
                    # Those of episodes before that did not say are not known.
                    pseudo_regrets += [nan] * (finished - len(pseudo_regrets))
                    pseudo_regrets.append(read_reward(info["pseudo_regret"]))
                finished += 1
                in_episode = False
                if interruption is not None:
                    interruption.advance(finished, taken)
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
        progress.episode += finished
        progress.step += taken
        learner.pause()
    return EpisodeEnds(
        np.array(returns, dtype=np.float64),
        np.array(lengths, dtype=np.int64),
        np.array(ends, dtype=np.bool_),
        np.array(reported, dtype=np.int8),
        taken,
        "generic",
        pseudo_regrets=np.array(pseudo_regrets + [nan] * (finished - len(pseudo_regrets))) if pseudo_regrets else None,
    )
