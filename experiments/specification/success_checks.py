"""Checks of success rules before anything runs: a rule that no episode, or every episode, meets says nothing."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import wrappers

from velodrome.envs.model.transition_model import TransitionModel
from velodrome.envs.success_rules import GOAL, INFO, SuccessRule
from velodrome.envs.wrapper_chain import time_limit_of, wrappers_of
from velodrome.experiments.specification.environment_probe import EPISODES_AT_RANDOM, probe_successes
from velodrome.experiments.specification.plan import PlannedEnvironment
from velodrome.experiments.specification.reachability import largest_return, reachable_states, states_of_outcomes
from velodrome.experiments.trials.environment_profile import EnvironmentProfile

TERMINATED = "terminated"
OTHER_RULE = "give another rule with success=…"
LIMIT = "give it max_episode_steps=…"
# The largest reward of a step, of Gymnasium's environments without a model whose rewards are never above it.
_LARGEST_REWARDS = {
    "gymnasium.envs.classic_control.cartpole:CartPoleEnv": 1.0,
    "gymnasium.envs.classic_control.mountain_car:MountainCarEnv": -1.0,
    "gymnasium.envs.classic_control.acrobot:AcrobotEnv": 0.0,
    "gymnasium.envs.classic_control.pendulum:PendulumEnv": 0.0,
}
_NEVER_TERMINATES = {"gymnasium.envs.classic_control.pendulum:PendulumEnv"}
_STEPS_THAT_KEEP_REWARDS = {
    gym.Wrapper.step,
    gym.ObservationWrapper.step,
    gym.ActionWrapper.step,
    wrappers.TimeLimit.step,
    wrappers.OrderEnforcing.step,
    wrappers.PassiveEnvChecker.step,
}


def check_success_rule(environment: PlannedEnvironment, env: gym.Env[Any, Any] | None) -> list[str]:
    """A success rule that cannot be met or cannot be missed, whoever gave it, or one that does not hold here.

    Args:
        environment: to check.
        env: one of it, or None where it cannot be made or its model says all.
    """
    profile = environment.profile
    rule = f"success rule {profile.rule.description!r} on environment {environment.label!r}"
    never = _never_met(profile) if profile.model is not None else _never_met_without_model(profile.rule, env)
    if never is not None:
        return [f"{rule} can never be met: {never}"]
    if profile.model is not None:
        always = "every episode" if _always_met(profile, profile.model) else None
    else:
        always = _met_at_random(environment, env)
    if always is not None:
        return [f"{rule} is met by {always}, which tells no agent from another: give a stricter one with success=…"]
    if profile.rule.source == "none" and profile.rule.why:
        return [
            f"environment {environment.label!r} has no success rate: {profile.rule.why}; give a rule with success=…"
        ]
    return []


def _never_met(profile: EnvironmentProfile) -> str | None:
    """Why no episode on the environment's model succeeds, or None where one may."""
    model, rule, outcomes = profile.model, profile.rule, profile.success
    assert model is not None
    if outcomes is not None:
        return None if _is_reachable(profile, model, outcomes) else _out_of_reach(model, rule, outcomes)
    # An environment that runs in the generic loop may report a success that its model does not know of.
    may_report = profile.generic_reason is not None
    if rule.description == INFO:
        return None if may_report else f"the environment reports no is_success; {OTHER_RULE}"
    if not _is_on_returns(rule) or (may_report and rule.source != "experiment"):
        return None
    largest = largest_return(model, model.rewards)
    if largest is None or _passes(rule, largest + _rounding(model, largest)):
        return None
    return f"no episode ends; {LIMIT}" if largest == -np.inf else _too_high(largest, _needs_time(model, rule))


def _never_met_without_model(rule: SuccessRule, env: gym.Env[Any, Any] | None) -> str | None:
    if env is None:
        return None
    environment_class = type(env.unwrapped)
    name = f"{environment_class.__module__}:{environment_class.__qualname__}"
    if rule.description == TERMINATED:
        return f"{environment_class.__name__} never terminates; {OTHER_RULE}" if name in _NEVER_TERMINATES else None
    reward = _LARGEST_REWARDS.get(name)
    if getattr(env.unwrapped, "_sutton_barto_reward", False):
        # CartPole then pays nothing, and takes 1 at the end.
        reward = 0.0
    if reward is None or not _is_on_returns(rule) or not _keeps_rewards(env):
        return None
    limit = time_limit_of(env)
    if reward > 0.0 and limit is None:
        return None
    # An episode has at least one step, and more of them add nothing where no reward is positive.
    largest = reward if reward <= 0.0 or limit is None else reward * limit
    return None if _passes(rule, largest) else _too_high(largest, needs_time=reward > 0.0)


def _always_met(profile: EnvironmentProfile, model: TransitionModel) -> bool:
    rule, random = profile.rule, profile.random
    if model.time_limit is not None and random is not None and random.success_rate is not None:
        # Who chooses at random comes to whatever can be come to.
        return random.success_rate > 1.0 - 1e-12
    # An environment that runs in the generic loop may report a success that its model does not know of.
    if not _is_on_returns(rule) or (profile.generic_reason is not None and rule.source != "experiment"):
        return False
    negated = largest_return(model, -model.rewards)
    return negated is not None and negated > -np.inf and _passes(rule, -negated - _rounding(model, negated))


def _met_at_random(environment: PlannedEnvironment, env: gym.Env[Any, Any] | None) -> str | None:
    """Which episodes met the rule, if all of a short look did; None where they did not, or too few were seen."""
    profile = environment.profile
    if env is None or profile.rule.source == "none" or profile.keeps_open is not None:
        return None
    if profile.rule.description in (TERMINATED, GOAL) and time_limit_of(env) is None:
        # Whoever has time comes to the end.
        return None
    met = probe_successes(environment.make, profile.rule)
    if met is None or len(met) < EPISODES_AT_RANDOM or not all(met):
        return None
    return f"all of {len(met)} episodes of random actions"


def _is_reachable(profile: EnvironmentProfile, model: TransitionModel, outcomes: np.ndarray) -> bool:
    if model.time_limit is not None and profile.best is not None and profile.best.success_rate is not None:
        return profile.best.success_rate > 0.0
    return _reachable_without_limit(model, outcomes)


def _reachable_without_limit(model: TransitionModel, outcomes: np.ndarray) -> bool:
    final = np.flatnonzero(outcomes & model.terminated & (model.probabilities > 0.0))
    return bool(reachable_states(model)[states_of_outcomes(model)[final]].any())


def _out_of_reach(model: TransitionModel, rule: SuccessRule, outcomes: np.ndarray) -> str:
    """Why none of the outcomes that the rule accepts ends an episode."""
    largest = largest_return(model, model.rewards) if _is_on_returns(rule) else None
    if largest is not None and np.isfinite(largest) and not _passes(rule, largest):
        return _too_high(largest, _needs_time(model, rule))
    what = "terminating" if rule.description == TERMINATED else "successful"
    if model.time_limit is not None and _reachable_without_limit(model, outcomes):
        return f"no {what} outcome is within {model.time_limit} steps of the start; raise max_episode_steps"
    return f"no {what} outcome can be reached from the start; {OTHER_RULE}"


def _needs_time(model: TransitionModel, rule: SuccessRule) -> bool:
    """Whether it is the time limit that keeps returns too low for the rule."""
    if model.time_limit is None:
        return False
    unlimited = largest_return(model.with_time_limit(None), model.rewards)
    return unlimited is None or _passes(rule, unlimited)


def _too_high(largest: float, needs_time: bool) -> str:
    fix = "raise max_episode_steps or lower the threshold" if needs_time else "lower the threshold"
    return f"the largest possible return is {largest:g}; {fix}"


def _is_on_returns(rule: SuccessRule) -> bool:
    return rule.description.startswith("return")


def _passes(rule: SuccessRule, episode_return: float) -> bool:
    """Whether a rule on returns accepts this one."""
    none_reported = np.array([-1], dtype=np.int8)
    passed = rule.successes(np.array([episode_return]), np.array([1]), np.array([True]), none_reported)
    return passed is not None and bool(passed[0])


def _rounding(model: TransitionModel, episode_return: float) -> float:
    """How far a return summed step by step may be from one summed otherwise; sums of whole numbers are exact."""
    rewards = model.rewards
    if not np.isfinite(episode_return) or bool((rewards == np.round(rewards)).all()):
        return 0.0
    # Rewards of one sign cannot cancel, so that the error is small beside their sum.
    can_cancel = bool(rewards.min() < 0.0 < rewards.max())
    return 1e-9 * max(abs(episode_return), float(np.abs(rewards).max()) if can_cancel else 0.0)


def _keeps_rewards(env: gym.Env[Any, Any]) -> bool:
    return all(type(wrapper).step in _STEPS_THAT_KEEP_REWARDS for wrapper in wrappers_of(env))
