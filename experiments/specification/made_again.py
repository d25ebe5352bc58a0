"""Whether an environment is another one each time it is made, so that no two trials would meet the same."""

import contextlib
import random
import time
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.toy_text.frozen_lake import FrozenLakeEnv

from velodrome.envs.model.transition_model import NoTransitionModelError, TransitionModel, TransitionModelError
from velodrome.experiments.specification.environment_configuration import Maker
from velodrome.experiments.specification.environment_probe import actions_of, in_time, opened, trace
from velodrome.experiments.trials.environment_profile import EnvironmentProfile

# Beside the one that is known: a draw between two environments is missed once in four times.
COPIES = 2
# Where one takes longer to make, it is compared with one other alone.
MAKING_SECONDS = 0.5
STEPPING_SECONDS = 0.05
LOOKING_SECONDS = 1.0
STEPS_PER_EPISODE = 100
MOST_STEPS = 300
SEEDS = (201, 202)
FIX = (
    "fix what is drawn when it is made, such as desc=['SFF', 'HFF', 'FFG'], or desc=generate_random_map(seed=0) in a "
    "factory, or draw it in reset from self.np_random"
)


def difference_when_made_again(profile: EnvironmentProfile, *, is_expression: bool) -> str | None:
    """Difference between environments that are made one after the other and given the same seed.

    Environments that do not repeat themselves with the same seed show nothing, nor those that hang or raise.

    Args:
        profile: what is known of the first.
        is_expression: whether an expression makes them.

    Returns:
        What differs, in a word or two; None where nothing is seen to differ.
    """
    if profile.keeps_open is not None or (is_expression and _is_always_the_same(profile)):
        return None
    with _global_streams_put_back():
        if profile.model is not None:
            different = _other_model(profile.model, profile.make)
            if different is not None or profile.generic_reason is None:
                return different
        return in_time(lambda stop_at: _look(profile, stop_at), LOOKING_SECONDS)


def _is_always_the_same(profile: EnvironmentProfile) -> bool:
    """Of Gymnasium's environments and ours, a frozen lake without a map alone draws when it is made."""
    if not is_known(profile):
        return False
    has_map = profile.arguments.get("desc") is not None or profile.arguments.get("map_name", "4x4") is not None
    return FrozenLakeEnv not in profile.classes or has_map


def is_known(profile: EnvironmentProfile) -> bool:
    """Whether an environment and all wrappers around it are Gymnasium's or ours."""
    return all(kind.__module__.startswith(("gymnasium.", "velodrome.")) for kind in profile.classes)


def _other_model(model: TransitionModel, make: Maker) -> str | None:
    for _ in range(COPIES):
        started = time.monotonic()
        with opened(make) as env:
            try:
                other = None if env is None else TransitionModel.of(env)
            except (NoTransitionModelError, TransitionModelError):
                return None
        if other is not None and not _are_alike(model, other):
            return "other transitions"
        if time.monotonic() - started > MAKING_SECONDS:
            return None
    return None


def _are_alike(one: TransitionModel, other: TransitionModel) -> bool:
    return one.time_limit == other.time_limit and all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("offsets", "probabilities", "next_states", "rewards", "terminated", "initial_distribution")
    )


def _look(profile: EnvironmentProfile, stop_at: float) -> str | None:
    with opened(profile.make) as one:
        if one is None or one.unwrapped.render_mode is not None:
            return None
        for _ in range(COPIES):
            started = time.monotonic()
            with opened(profile.make) as other:
                if other is None or other.unwrapped is one.unwrapped:
                    return None
                is_slow = time.monotonic() - started > MAKING_SECONDS
                different = _difference(profile, one, other, stop_at)
            if different is not None or is_slow:
                return different
    return None


def _difference(
    profile: EnvironmentProfile, one: gym.Env[Any, Any], other: gym.Env[Any, Any], stop_at: float
) -> str | None:
    for name in ("observation_space", "action_space"):
        if getattr(one, name) != getattr(other, name):
            return f"another {name.replace('_', ' ')}"
    digest = profile.contents.digest
    if digest is not None:
        return None if getattr(other.unwrapped, "contents_digest", None) == digest else "other images or texts"
    actions = actions_of(one, STEPS_PER_EPISODE)
    for seed in SEEDS:
        first = trace(one, actions, seed, MOST_STEPS, min(stop_at, time.monotonic() + STEPPING_SECONDS))
        # What does not repeat itself is not the same environment twice either; another check speaks of it.
        again, there, there_again = (trace(env, actions, seed, first.num_steps, stop_at) for env in (one, other, other))
        if time.monotonic() > stop_at or again.episodes != first.episodes or there_again.episodes != there.episodes:
            return None
        if there.episodes != first.episodes:
            return "other observations or rewards from the same seed and actions"
    return None


@contextlib.contextmanager
def _global_streams_put_back() -> Iterator[None]:
    """Whoever has seeded the streams that all of a process shares gets what he would without these checks."""
    numpy_state, python_state = np.random.get_state(legacy=False), random.getstate()  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(python_state)
