"""Whether the rewards and ends of a made environment are still those of the id by which it is known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium as gym
from gymnasium import wrappers
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from gymnasium.envs.registration import EnvSpec
from gymnasium.envs.toy_text.frozen_lake import FrozenLakeEnv

from velodrome.envs.goals import goal_states
from velodrome.envs.model.known_dynamics import reason_changed
from velodrome.envs.model.tables_read import read_once
from velodrome.envs.wrapper_chain import wrappers_of

TERMINATED = "terminated"
_REWARD_STEPS = (gym.RewardWrapper.step, wrappers.NormalizeReward.step)
# They decide what is drawn on the screen; and a profit is a profit, whatever its asset and its costs.
_REWARDS_DO_NOT_DEPEND_ON_ARGUMENTS = {"Blackjack-v1", "LunarLander-v3", "velodrome/AssetPosition-v0"}
_WITHOUT_EFFECT = {"render_mode", "screen_width", "screen_height", "width", "height", "camera_id", "camera_name"}


def reason_other_rewards(env: gym.Env[Any, Any], rule: str) -> str | None:
    """Why a success rule kept for the id of `env` does not hold for it, or None where it does.

    Args:
        env: the environment, with its wrappers.
        rule: the rule's description; "terminated" asks nothing of the rewards.
    """
    for layer in wrappers_of(env):
        reason = _reason_of_wrapper(layer, rule)
        if reason is not None:
            return reason
    unwrapped = env.unwrapped
    if "step" in vars(unwrapped):
        return "its step was replaced"
    spec = env.spec
    if spec is not None and not _is_of_its_makers(unwrapped, spec):
        return f"{type(unwrapped).__name__} may give other rewards"
    if rule == TERMINATED:
        ends = read_once(unwrapped, "ends at the goal alone", lambda: _ends_at_the_goal_alone(unwrapped))
        return None if ends else "it ends elsewhere too"
    if isinstance(unwrapped, FrozenLakeEnv):
        pays = read_once(unwrapped, "pays at the goal alone", lambda: _pays_at_the_goal_alone(unwrapped))
        return None if pays else "its rewards are others"
    if isinstance(unwrapped, CartPoleEnv):
        return "its rewards are others" if unwrapped._sutton_barto_reward else None
    return None if spec is None else _reason_of_arguments(spec)


def _reason_of_wrapper(layer: gym.Wrapper[Any, Any, Any, Any], rule: str) -> str | None:
    name, step = type(layer).__name__, type(layer).step
    if "step" in vars(layer):
        return f"the step of {name} was replaced"
    if step in _REWARD_STEPS:
        return None if rule == TERMINATED else f"{name} changes its rewards"
    # Gymnasium's other wrappers pass rewards on, or their sum, and what is built on them by their methods alone.
    return None if step.__module__.startswith("gymnasium.") else f"{name} has a step of its own"


def _is_of_its_makers(unwrapped: gym.Env[Any, Any], spec: EnvSpec) -> bool:
    """Whether an environment under one of Gymnasium's ids is one of Gymnasium's classes, as they were."""
    registered = gym.registry.get(spec.id)
    entry_point = str((spec if registered is None else registered).entry_point)
    if not entry_point.startswith("gymnasium."):
        # A rule that somebody registered with a class of his own.
        return registered is not None
    kind = type(unwrapped)
    return kind.__module__.startswith("gymnasium.") and reason_changed(unwrapped, kind, ("step", "reset")) is None


def _reason_of_arguments(spec: EnvSpec) -> str | None:
    registered = gym.registry.get(spec.id)
    usual = {} if registered is None else registered.kwargs
    for name in sorted(spec.kwargs.keys() | usual.keys()):
        if name in _WITHOUT_EFFECT or spec.id in _REWARDS_DO_NOT_DEPEND_ON_ARGUMENTS:
            continue
        if repr(spec.kwargs.get(name)) != repr(usual.get(name)):
            return f"{name}={spec.kwargs.get(name)!r} may give other rewards"
    return None


def _pays_at_the_goal_alone(lake: Any) -> bool:
    """Whether a return is above 0 exactly where an episode ends on a G cell."""
    letters = lake.desc.ravel()
    for state, next_state, reward, terminated in _outcomes(lake):
        if letters[state] in b"GH":
            # No episode goes on from there.
            continue
        is_goal = terminated and letters[next_state] == b"G"
        if not (reward > 0 if is_goal else reward <= 0 if terminated else reward == 0):
            return False
    return True


def _ends_at_the_goal_alone(unwrapped: gym.Env[Any, Any]) -> bool:
    """Whether the table of outcomes, of environments whose goal is known and that have one, ends nowhere else."""
    goals = set(goal_states(unwrapped))
    if not goals:
        return True
    return all(
        next_state in goals for state, next_state, _, ends in _outcomes(unwrapped) if ends and state not in goals
    )


def _outcomes(unwrapped: Any) -> Iterator[tuple[int, int, float, bool]]:
    """State, next state, reward and end of all outcomes that are possible."""
    for state, by_action in unwrapped.P.items():
        for outcomes in by_action.values():
            for probability, next_state, reward, terminated in outcomes:
                if probability > 0:
                    yield state, next_state, reward, terminated
