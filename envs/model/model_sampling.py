"""Whether an environment's steps may be drawn from its transition model, and moving between the two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import wrappers
from gymnasium.envs.toy_text.taxi import TaxiEnv

from velodrome.envs.model.known_dynamics import (
    DYNAMICS,
    GYMNASIUM_CLASSES,
    known_class_of,
    reason_not_known,
    replaced_on_instance,
)
from velodrome.envs.model.transition_model import reason_other_spaces
from velodrome.envs.wrapper_chain import keeps_spaces, name_of, reason_steps_change, time_limit_of, wrappers_of

_KNOWN_WRAPPERS = (wrappers.TimeLimit, wrappers.OrderEnforcing, wrappers.PassiveEnvChecker)


def reason_not_sampled_from_model(env: gym.Env[Any, Any]) -> str | None:
    """Why steps drawn from the model would differ from `env`'s own, or None where they are the same.

    None promises: one uniform number per reset and per step from env.unwrapped.np_random, a PCG64, and
    outcome = argmax(cumulative > uniform), index 0 if none exceeds it. Asking changes nothing.

    Args:
        env: environment with a transition model.
    """
    unwrapped = env.unwrapped
    return reason_wrapped(env) or _reason_by_class(unwrapped) or reason_by_draws(unwrapped)


def reason_wrapped(env: gym.Env[Any, Any]) -> str | None:
    """Why the wrappers of an environment may do more than limit the time and check, None where they do not."""
    for layer in wrappers_of(env):
        if type(layer) not in _KNOWN_WRAPPERS or not keeps_spaces(layer):
            return f"wrapper {type(layer).__name__} may change steps"
        changed = replaced_on_instance(layer, DYNAMICS) or reason_steps_change(layer)
        if changed is not None:
            return changed
    return None


def _reason_by_class(unwrapped: gym.Env[Any, Any]) -> str | None:
    kind, known = type(unwrapped), known_class_of(unwrapped)
    if known is None and not hasattr(unwrapped, "P"):
        return f"{name_of(unwrapped)} has no transition model"
    unknown = reason_not_known(unwrapped)
    if unknown is not None:
        return unknown
    if known in GYMNASIUM_CLASSES and kind is not known:
        return f"how {kind.__name__} draws its steps is not known"
    if getattr(unwrapped, "fickle_passenger", False):
        return "fickle_passenger draws outside P"
    sizes = _sizes_of_model(unwrapped)
    return None if sizes is None else reason_other_spaces(unwrapped, *sizes)


def _sizes_of_model(unwrapped: Any) -> tuple[int, int] | None:
    """Numbers of states and actions, None where `P` cannot be read, which says so on its own."""
    try:
        if type(unwrapped) in GYMNASIUM_CLASSES:
            return len(unwrapped.P), len(unwrapped.P[0])
        return unwrapped.model.num_states, unwrapped.model.num_actions
    except (AttributeError, LookupError, TypeError):
        return None


def reason_by_draws(unwrapped: gym.Env[Any, Any]) -> str | None:
    """Why an environment without its wrappers draws or shows what compiled steps do not, None where it does not."""
    return _reason_by_generator(unwrapped) or _reason_by_render_mode(unwrapped)


def _reason_by_generator(unwrapped: gym.Env[Any, Any]) -> str | None:
    # The property would create a generator, and asking must change nothing; a missing one becomes a PCG64.
    rng = unwrapped._np_random
    if rng is None:
        return None
    if type(rng) is not np.random.Generator or type(rng.bit_generator) is not np.random.PCG64:
        return f"its random numbers come from {type(rng.bit_generator).__name__}, not PCG64"
    if rng.bit_generator.state["has_uint32"]:
        return "its generator holds back half of a 64-bit draw"
    return None


def _reason_by_render_mode(unwrapped: gym.Env[Any, Any]) -> str | None:
    return None if unwrapped.render_mode is None else "asked to render"


@dataclass(frozen=True)
class EnvironmentPosition:
    """Where an episode stands: its state, and the steps taken as its TimeLimit counts them.

    Attributes:
        state: number of the state.
        elapsed_steps: steps of the episode so far.
    """

    state: int
    elapsed_steps: int


def write_position(env: gym.Env[Any, Any], state: int, elapsed_steps: int, last_action: int | None) -> None:
    """Make `env` look as if its own reset and step had brought it to `state`.

    Valid where `reason_not_sampled_from_model` is None; the generator is the caller's to set.

    Args:
        env: the environment, with its wrappers.
        state: the state it stands in, 0 to num_states - 1.
        elapsed_steps: steps taken in this episode.
        last_action: the action that led to `state`, None right after a reset.

    Raises:
        ValueError: if state or elapsed_steps is out of range.
    """
    unwrapped: Any = env.unwrapped
    num_states = int(unwrapped.observation_space.n)
    if not 0 <= state < num_states:
        raise ValueError(f"state must be 0 to {num_states - 1}, got {state!r}")
    limit = time_limit_of(env)
    if elapsed_steps < 0 or (limit is not None and elapsed_steps > limit):
        allowed = "0 or more" if limit is None else f"0 to {limit}"
        raise ValueError(f"elapsed_steps must be {allowed}, got {elapsed_steps!r}")
    unwrapped.s = int(state)
    unwrapped.lastaction = None if last_action is None else int(last_action)
    if isinstance(unwrapped, TaxiEnv):
        # Only rendering turns the taxi, and only a fickle passenger has a fickle step.
        unwrapped.taxi_orientation = 0
        unwrapped.fickle_step = False
    write_wrappers(env, int(elapsed_steps))


def write_wrappers(env: gym.Env[Any, Any], elapsed_steps: int) -> None:
    """Make the wrappers of `env` look as if so many steps of this episode had gone through them."""
    for layer in wrappers_of(env):
        _write_wrapper(layer, elapsed_steps)


def _write_wrapper(layer: Any, elapsed_steps: int) -> None:
    if isinstance(layer, wrappers.TimeLimit):
        layer._elapsed_steps = elapsed_steps  # type: ignore[assignment]
    elif isinstance(layer, wrappers.OrderEnforcing):
        layer._has_reset = True
    elif isinstance(layer, wrappers.PassiveEnvChecker):
        # Its checks run once, on the first reset and steps, which the compiled loop has taken.
        layer.checked_reset = True
        layer.checked_step = True
        if hasattr(layer, "checked_data_reuse"):  # since Gymnasium 1.4
            layer.checked_data_reuse = True
            layer._previous_data = None


def read_position(env: gym.Env[Any, Any]) -> EnvironmentPosition:
    """The position of `env`; elapsed_steps is 0 where no TimeLimit counts them.

    Args:
        env: environment that was reset.

    Raises:
        ValueError: if the environment has no integer state, or was not reset.
    """
    state = getattr(env.unwrapped, "s", None)
    if state is None or int(state) < 0:
        raise ValueError(f"{name_of(env)} has no position: reset it first")
    return EnvironmentPosition(int(state), elapsed_steps_of(env))


def elapsed_steps_of(env: gym.Env[Any, Any]) -> int:
    """Steps of this episode as the time limit of `env` counts them, 0 where there is none.

    Raises:
        ValueError: it was not reset.
    """
    counted: list[Any] = [layer._elapsed_steps for layer in wrappers_of(env) if isinstance(layer, wrappers.TimeLimit)]
    if None in counted:
        raise ValueError(f"{name_of(env)} has no position: reset it first")
    return int(counted[0]) if counted else 0
