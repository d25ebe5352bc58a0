"""Showing a trained agent at work."""

import re
from importlib.util import find_spec
from typing import TextIO

import gymnasium as gym

from velodrome.agents.agent import Agent
from velodrome.agents.engine.environment_answers import read_reset, read_step
from velodrome.agents.engine.seeding import environment_seed
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.specification.environment_configuration import EnvironmentConfiguration
from velodrome.experiments.texts import visible

MAX_SHOWN_STEPS = 1000
# Of all that commands a terminal, the frames of environments may only choose colours.
_COLOUR = re.compile("(\x1b\\[[0-9;]*m)")


def check_render_mode(configuration: EnvironmentConfiguration, mode: str) -> None:
    """Refuse a render mode that the environment lacks, before any training.

    Raises:
        ExperimentError: naming the modes that there are, or the package that is missing.
    """
    env = configuration.make()
    modes = env.metadata.get("render_modes", [])
    env.close()
    if mode not in modes:
        raise ExperimentError(f"--render {mode}: {configuration.label} can be shown as {', '.join(modes) or 'nothing'}")
    draws_with_pygame = type(env.unwrapped).__module__.startswith(("gymnasium.envs.toy_text", "gymnasium.envs.classic"))
    if mode == "human" and draws_with_pygame and find_spec("pygame") is None:
        raise ExperimentError("--render human needs pygame: pip install 'velodrome[render]'")


def play(agent: Agent, configuration: EnvironmentConfiguration, mode: str, seed: int, stream: TextIO) -> float:
    """Show one greedy episode, text on `stream`; returns its return.

    Raises:
        ExperimentError: a package needed for drawing is missing.
    """
    env = configuration.make(render_mode=mode)
    try:
        observation, info = read_reset(env.reset(seed=environment_seed(seed, "evaluation")))
        agent.begin_episode()
        total = 0.0
        for step in range(1, MAX_SHOWN_STEPS + 1):
            _show(env, mode, stream)
            action = agent.act_with_info(observation, info)
            observation, reward, terminated, truncated, info = read_step(env.step(action))
            total += reward
            if terminated or truncated:
                _show(env, mode, stream)
                print(
                    f"{'terminated' if terminated else 'truncated'} after {step} steps, return {total:g}", file=stream
                )
                return total
        print(f"stopped after {MAX_SHOWN_STEPS} steps, return {total:g}", file=stream)
        return total
    except gym.error.DependencyNotInstalled as error:
        raise ExperimentError(f"--render {mode}: {error}; install 'velodrome[render]'") from None
    finally:
        env.close()


def _show(env: gym.Env[object, object], mode: str, stream: TextIO) -> None:
    frame = env.render()
    if mode == "ansi":
        print(*map(_coloured, _COLOUR.split(str(frame))), sep="", file=stream)


def _coloured(part: str) -> str:
    return part if _COLOUR.fullmatch(part) else visible(part)
