"""Showing a trained agent at work."""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TextIO

import gymnasium as gym

from velodrome.agents.agent import Agent
from velodrome.agents.engine.environment_answers import read_reset, read_step
from velodrome.agents.engine.seeding import environment_seed
from velodrome.checks import did_you_mean
from velodrome.experiments.cli.folders import check_folder
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.plotting.film import FILMS, film_frame, is_film, write_film
from velodrome.experiments.specification.environment_configuration import EnvironmentConfiguration
from velodrome.experiments.texts import visible

# Ways of showing an episode that are no file.
MODES = ("human", "ansi")
MAX_SHOWN_STEPS = 1000
# Of an environment that does not say how fast it is.
_FRAMES_PER_SECOND = 20
# Of all that commands a terminal, the frames of environments may only choose colours.
_COLOUR = re.compile("(\x1b\\[[0-9;]*m)")


def check_render(configuration: EnvironmentConfiguration, render: str) -> None:
    """Refuse a way of showing an episode that the environment lacks, before any training.

    Args:
        configuration: of the environment.
        render: "human", "ansi" or the file of a film.

    Raises:
        ExperimentError: naming what there is, or the package that is missing.
    """
    film = Path(render)
    if render not in MODES and not is_film(film):
        raise ExperimentError(
            f"--render must be {', '.join(MODES)} or a file that ends with {', '.join(FILMS)}, "
            f"got {film.name!r}{did_you_mean(film.name, MODES)}"
        )
    mode, option = _mode(render), f"--render {film.name}"
    env = configuration.make()
    modes = env.metadata.get("render_modes", [])
    env.close()
    if mode not in modes:
        wanted = "a film needs pictures, rgb_array, but " if mode == "rgb_array" else ""
        shown = ", ".join(modes) or "nothing"
        raise ExperimentError(f"{option}: {wanted}{configuration.label} can be shown as {shown}")
    draws_with_pygame = type(env.unwrapped).__module__.startswith(("gymnasium.envs.toy_text", "gymnasium.envs.classic"))
    if mode != "ansi" and draws_with_pygame and find_spec("pygame") is None:
        raise ExperimentError(f"{option} needs pygame: pip install 'velodrome[render]'")
    if mode == "rgb_array":
        check_folder(film.parent, option)


def play(agent: Agent, configuration: EnvironmentConfiguration, render: str, seed: int, stream: TextIO) -> float:
    """Show one greedy episode, text on `stream`, or write its film; returns its return.

    Raises:
        ExperimentError: a package needed for drawing is missing.
    """
    mode = _mode(render)
    env = configuration.make(render_mode=mode)
    frames: list[Any] = []
    try:
        observation, info = read_reset(env.reset(seed=environment_seed(seed, "evaluation")))
        agent.begin_episode()
        total, step = 0.0, 0
        terminated = truncated = False
        while not (terminated or truncated) and step < MAX_SHOWN_STEPS:
            _show(env, mode, stream, frames)
            action = agent.act_with_info(observation, info)
            observation, reward, terminated, truncated, info = read_step(env.step(action))
            total += reward
            step += 1
        if terminated or truncated:
            _show(env, mode, stream, frames)
        if mode == "rgb_array":
            write_film(frames, Path(render), float(env.metadata.get("render_fps") or _FRAMES_PER_SECOND))
        end = "terminated" if terminated else "truncated" if truncated else "stopped"
        print(f"{end} after {step} steps, return {total:g}", file=stream)
        return total
    except gym.error.DependencyNotInstalled as error:
        raise ExperimentError(f"--render {Path(render).name}: {error}; install 'velodrome[render]'") from None
    except OSError as error:
        raise ExperimentError(f"--render {Path(render).name}: {error.strerror or error}") from None
    finally:
        env.close()


def _mode(render: str) -> str:
    return render if render in MODES else "rgb_array"


def _show(env: gym.Env[object, object], mode: str, stream: TextIO, frames: list[Any]) -> None:
    frame: Any = env.render()
    if mode == "ansi":
        print(*map(_coloured, _COLOUR.split(str(frame))), sep="", file=stream)
    elif mode == "rgb_array":
        frames.append(film_frame(frame))


def _coloured(part: str) -> str:
    return part if _COLOUR.fullmatch(part) else visible(part)
