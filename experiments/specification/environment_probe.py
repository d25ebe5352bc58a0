"""A short look at an environment before anyone trains in it: a few dozen steps on fresh copies, in little time."""

import contextlib
import copy
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, TypeVar

import gymnasium as gym
import numpy as np
from gymnasium.utils import seeding

from velodrome.agents.engine.environment_answers import read_step, read_success
from velodrome.envs.success_rules import SuccessRule, report_of
from velodrome.experiments.specification.environment_configuration import Maker

Result = TypeVar("Result")

PROBE_SECONDS = 0.2
EPISODES = 3
STEPS_PER_EPISODE = 20
# The first seed is tried twice. Chance alone repeats two episodes that differ for all ten with less than 1e-5.
SEEDS = range(101, 111)
STEPS_TO_AN_END = 1000
# A policy that succeeds with 0.8 does so in all of them with 1e-3.
EPISODES_AT_RANDOM = 30


@dataclass(frozen=True)
class SeedProbe:
    """Effects of `reset(seed=…)`.

    Attributes:
        is_reproducible: the same seed gave the same observations, rewards and ends twice.
        is_heard: nothing shows that all seeds are alike.
    """

    is_reproducible: bool
    is_heard: bool


@contextlib.contextmanager
def opened(make: Maker, keeps_open: gym.Env[Any, Any] | None = None) -> Iterator[gym.Env[Any, Any] | None]:
    """A new environment, closed afterwards, or None where it cannot be made; `keeps_open` itself if given."""
    env = keeps_open
    if keeps_open is None:
        with contextlib.suppress(Exception):
            env = make()
    try:
        yield env
    finally:
        if env is not None and keeps_open is None:
            with contextlib.suppress(Exception):
                env.close()


def probe_seeds(make: Maker) -> SeedProbe | None:
    """Effects of seeds on fresh environments, or None where that cannot be seen in time."""
    return in_time(lambda stop_at: _look_at_seeds(make, stop_at))


def probe_end(make: Maker) -> bool | None:
    """Whether random actions end an episode within 1000 steps, or None where that cannot be seen in time."""
    return in_time(lambda stop_at: _look_for_end(make, stop_at))


def probe_successes(make: Maker, rule: SuccessRule) -> list[bool] | None:
    """Which episodes of random actions succeed, or None where the rule does not say or that cannot be seen in time."""
    return in_time(lambda stop_at: _look_at_successes(make, rule, stop_at))


def in_time(look: Callable[[float], Result | None], seconds: float | None = None) -> Result | None:
    """Answer of `look`, or None where it raises or is not back in time, `PROBE_SECONDS` if None.

    It runs in a thread, which an environment that hangs keeps for itself; one that is slow is asked to stop.
    """
    found: list[Result | None] = []
    given = PROBE_SECONDS if seconds is None else seconds

    def attempt() -> None:
        # Whatever goes wrong here goes wrong in the trials too, which say what and where.
        with contextlib.suppress(Exception):
            found.append(look(time.monotonic() + given))

    thread = threading.Thread(target=attempt, name="velodrome-probe", daemon=True)
    # Filters of warnings are the whole process's, so the thread's too.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        thread.start()
        thread.join(given * 1.25)
    return found[0] if found else None


@dataclass(frozen=True)
class Trace:
    """Comparable copies of what an environment gave, episode by episode, and where its generator stood."""

    episodes: list[list[Any]]
    num_steps: int
    generator: Any
    draws: bool

    def varies(self) -> bool:
        """Whether two episodes differ that were given the same actions."""
        first = self.episodes[0]
        return any(episode[: len(first)] != first[: len(episode)] for episode in self.episodes[1:])


def _look_at_seeds(make: Maker, stop_at: float) -> SeedProbe | None:
    with opened(make) as env:
        if env is None or env.unwrapped.render_mode is not None:
            return None
        actions = actions_of(env, STEPS_PER_EPISODE)
        # At least three such runs must fit into the time.
        soon = time.monotonic() + (stop_at - time.monotonic()) / 5
        first = trace(env, actions, SEEDS[0], EPISODES * STEPS_PER_EPISODE, soon)
    if first.num_steps == 0:
        return None

    def same(seed: int) -> bool | None:
        with opened(make) as env:
            if env is None:
                return None
            found = trace(env, actions, seed, first.num_steps, stop_at)
        if found.episodes == first.episodes:
            return True
        # A run that was stopped by the clock shows nothing.
        return None if found.num_steps < first.num_steps else False

    again = same(SEEDS[0])
    if again is None:
        return None
    if not again:
        return SeedProbe(is_reproducible=False, is_heard=True)
    with opened(make) as env:
        if env is None:
            return None
        other = trace(env, actions, SEEDS[1], first.num_steps, stop_at)
    if first.generator is not None and first.generator == other.generator and first.draws:
        return SeedProbe(is_reproducible=True, is_heard=False)
    alike = other.episodes == first.episodes and first.varies() and all(same(seed) for seed in SEEDS[2:])
    return SeedProbe(is_reproducible=True, is_heard=not alike)


def _look_for_end(make: Maker, stop_at: float) -> bool | None:
    with opened(make) as env:
        if env is None or env.unwrapped.render_mode is not None:
            return None
        env.reset(seed=SEEDS[0])
        for action in actions_of(env, STEPS_TO_AN_END):
            if time.monotonic() > stop_at:
                return None
            _, _, terminated, truncated, _ = read_step(env.step(action))
            if terminated or truncated:
                return True
    return False


def _look_at_successes(make: Maker, rule: SuccessRule, stop_at: float) -> list[bool] | None:
    ends: list[tuple[float, int, bool, int]] = []
    with opened(make) as env:
        if env is None or env.unwrapped.render_mode is not None:
            return None
        space = copy.deepcopy(env.action_space)
        space.seed(0)
        env.reset(seed=SEEDS[0])
        total, length = 0.0, 0
        while len(ends) < EPISODES_AT_RANDOM and time.monotonic() < stop_at:
            _, reward, terminated, truncated, info = read_step(env.step(space.sample()))
            total, length = total + reward, length + 1
            if terminated or truncated:
                ends.append((total, length, terminated, report_of(env, read_success(info))))
                total, length = 0.0, 0
                env.reset()
    if not ends:
        return None
    returns, lengths, terminations, reports = (np.array(column) for column in zip(*ends, strict=True))
    met = rule.successes(returns, lengths, terminations, reports)
    return None if met is None else met.tolist()


def actions_of(env: gym.Env[Any, Any], number: int) -> list[Any]:
    """So many actions of an environment at random, always the same."""
    space = copy.deepcopy(env.action_space)
    space.seed(0)
    return [space.sample() for _ in range(number)]


def trace(env: gym.Env[Any, Any], actions: list[Any], seed: int, num_steps: int, stop_at: float) -> Trace:
    """Up to `EPISODES` episodes, all with the same actions; the first reset has the seed."""
    observation, _ = env.reset(seed=seed)
    generator = after_reset = _generator_state(env)
    draws = after_reset != _unused_generator_state(env)
    episodes, taken = [], 0
    for episode in range(EPISODES):
        if taken == num_steps or time.monotonic() > stop_at:
            break
        if episode > 0:
            observation, _ = env.reset()
            after_reset = _generator_state(env)
        seen = [_comparable(observation)]
        for action in actions:
            if taken == num_steps or time.monotonic() > stop_at:
                break
            observation, reward, terminated, truncated, _ = read_step(env.step(action))
            seen.append(_comparable((observation, reward, terminated, truncated)))
            taken += 1
            if terminated or truncated:
                break
        draws = draws or _generator_state(env) != after_reset
        # A reset just before the clock stopped the run is not repeated by runs of the same number of steps.
        if len(seen) > 1:
            episodes.append(seen)
    return Trace(episodes, taken, generator, draws)


def _generator_state(env: gym.Env[Any, Any]) -> Any:
    """State of the environment's generator, None before it has one."""
    # The property would make a generator where there is none.
    generator = getattr(env.unwrapped, "_np_random", None)
    return _comparable(generator.bit_generator.state) if isinstance(generator, np.random.Generator) else None


def _unused_generator_state(env: gym.Env[Any, Any]) -> Any:
    """State in which the environment's generator was seeded, None where its seed is not known."""
    seed = getattr(env.unwrapped, "_np_random_seed", None)
    if not isinstance(seed, int) or seed < 0:
        return _generator_state(env)
    return _comparable(seeding.np_random(seed)[0].bit_generator.state)


def _comparable(value: Any) -> Any:
    """A copy that equals another one exactly where the values are the same to the bit."""
    if isinstance(value, dict):
        return tuple(sorted(((str(key), _comparable(item)) for key, item in value.items()), key=itemgetter(0)))
    if isinstance(value, tuple | list):
        return tuple(_comparable(item) for item in value)
    if isinstance(value, np.ndarray | np.generic) and value.dtype != object:
        return value.dtype.str, value.shape, value.tobytes()
    # A float is told by its text, because NaN does not equal itself; what cannot be compared counts as equal.
    return repr(value) if isinstance(value, bool | int | float | str | bytes | None) else type(value).__name__
