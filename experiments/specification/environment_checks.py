"""Checks of an environment before anything runs: does it hear its seed, do its episodes end, can they succeed?

A success rule that no episode, or every episode, meets says nothing.
"""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import wrappers

from velodrome.envs.model.transition_model import TransitionModel
from velodrome.envs.success_rules import GOAL, INFO, SuccessRule
from velodrome.envs.wrapper_chain import time_limit_of, wrappers_of
from velodrome.experiments.specification.environment_probe import (
    EPISODES_AT_RANDOM,
    STEPS_TO_AN_END,
    probe_end,
    probe_seeds,
    probe_successes,
)
from velodrome.experiments.specification.made_again import is_known
from velodrome.experiments.specification.plan import Plan, PlannedEnvironment
from velodrome.experiments.trials.environment_profile import EnvironmentProfile

NO_EPISODE_ENDS = "no episode ever ends"
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


def check_seeding(environment: PlannedEnvironment) -> list[str]:
    """An environment whose runs are all alike, or not even the same for the same seed."""
    profile = environment.profile
    if profile.generic_reason is None or profile.keeps_open is not None:
        return []
    if environment.is_expression and is_known(profile):
        # Theirs hear their seeds.
        return []
    probe = probe_seeds(environment.make)
    if probe is None:
        return []
    if not probe.is_reproducible:
        return [
            f"environment {environment.label!r} is not reproducible, two runs with the same seed differ: "
            "let it draw from self.np_random alone, which reset(seed=…) seeds"
        ]
    if not probe.is_heard:
        return [
            f"environment {environment.label!r} ignores reset(seed=…), so every run meets the same chance: "
            "call super().reset(seed=seed) in its reset and draw from self.np_random"
        ]
    return []


def check_time_limit(plan: Plan, environment: PlannedEnvironment, env: gym.Env[Any, Any] | None) -> list[str]:
    """An environment without time limit whose episodes may go on for ever.

    Args:
        plan: its budgets say what comes of it.
        environment: to check.
        env: one of it, or None where it cannot be made or its model says all.
    """
    model = environment.profile.model
    usual_limit = None
    if model is not None:
        problem = _endless_model(model)
    elif env is not None and _limit(env) is None:
        usual_limit = _usual_limit(env)
        problem = _endless_without_model(environment, type(env.unwrapped), usual_limit)
    else:
        return []
    if problem is None:
        return []
    never_ends = _trials_without_end(plan, environment, certainly=problem == NO_EPISODE_ENDS)
    limit = "…" if usual_limit is None else usual_limit
    fix = (
        f"give it max_episode_steps={limit} in its expression"
        if environment.is_expression
        else f"wrap it in gymnasium.wrappers.TimeLimit(env, max_episode_steps={limit})"
    )
    return [f"environment {environment.label!r} has no time limit{never_ends}: {problem}; {fix}"]


def _endless_model(model: TransitionModel) -> str | None:
    if model.time_limit is not None:
        return None
    reached = reachable_states(model)
    endless = np.flatnonzero(reached & ~states_that_can_end(model))
    if len(endless) == 0:
        return None
    if len(endless) == np.count_nonzero(reached):
        return NO_EPISODE_ENDS
    return f"no episode ends that has come to state {endless[0]}"


def _endless_without_model(
    environment: PlannedEnvironment, environment_class: type, usual_limit: int | None
) -> str | None:
    if usual_limit is not None:
        return f"{environment_class.__name__} is registered with one of {usual_limit} steps"
    if environment.profile.keeps_open is None and probe_end(environment.make) is False:
        return f"random actions end no episode within {STEPS_TO_AN_END} steps"
    return None


def _trials_without_end(plan: Plan, environment: PlannedEnvironment, *, certainly: bool) -> str:
    agents = plan.agents_on(environment.label)
    learners = [label for label, planned in agents.items() if planned.agent.learns_from != "model"]
    for label in learners:
        episodes = plan.budget(label, environment.label).episodes
        if episodes is not None:
            return f" and a trial of {episodes} episodes {'will' if certainly else 'may'} never end"
    return ""


def _limit(env: gym.Env[Any, Any]) -> int | None:
    limit = time_limit_of(env)
    return env.spec.max_episode_steps if limit is None and env.spec is not None else limit


def _usual_limit(env: gym.Env[Any, Any]) -> int | None:
    """Time limit with which an environment is registered, by its id or else by its class; None without one."""
    registered = None if env.spec is None else gym.registry.get(env.spec.id)
    if registered is not None:
        return registered.max_episode_steps
    module, name = type(env.unwrapped).__module__, type(env.unwrapped).__qualname__
    limits = [
        spec.max_episode_steps
        for spec in gym.registry.values()
        if spec.max_episode_steps is not None and _is_entry_point(spec.entry_point, module, name)
    ]
    return max(limits, default=None)


def _is_entry_point(entry_point: Any, module: str, name: str) -> bool:
    if isinstance(entry_point, type):
        return (entry_point.__module__, entry_point.__qualname__) == (module, name)
    # A package often registers its class by a shorter path than the module that defines it.
    path, _, registered_name = str(entry_point).partition(":")
    return registered_name == name and f"{module}.".startswith(f"{path}.")


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


def reachable_states(model: TransitionModel) -> np.ndarray:
    """States that some actions lead to from where episodes start, bool (num_states,)."""
    from velodrome.agents.planning.dynamic_programming_kernels import reached_states

    any_action = np.ones((model.num_states, model.num_actions))
    reached: np.ndarray = reached_states(
        model.offsets,
        model.probabilities,
        model.next_states,
        model.terminated,
        any_action,
        model.initial_distribution,
    )
    return reached


def states_that_can_end(model: TransitionModel) -> np.ndarray:
    """States from which some actions lead to a terminating outcome, bool (num_states,)."""
    from velodrome.agents.planning.dynamic_programming_kernels import reached_states

    states = states_of_outcomes(model)
    possible = model.probabilities > 0.0
    ends = np.zeros(model.num_states)
    ends[states[possible & model.terminated]] = 1.0
    # The same walk against the arrows: each continuing outcome leads from its next state back to its state.
    backward = np.flatnonzero(possible & ~model.terminated)
    backward = backward[np.argsort(model.next_states[backward], kind="stable")]
    counts = np.bincount(model.next_states[backward], minlength=model.num_states)
    can_end: np.ndarray = reached_states(
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        np.ones(len(backward)),
        states[backward],
        np.zeros(len(backward), dtype=np.bool_),
        np.ones((model.num_states, 1)),
        ends,
    )
    return can_end


def states_of_outcomes(model: TransitionModel) -> np.ndarray:
    """The state that each outcome belongs to, int32 (num_outcomes,)."""
    per_state = np.diff(model.offsets[:: model.num_actions])
    return np.repeat(np.arange(model.num_states, dtype=np.int32), per_state)


def largest_return(model: TransitionModel, rewards: np.ndarray, max_operations: int = 5_000_000) -> float | None:
    """Largest return of a finished episode by any actions and any luck; of negated rewards, minus the smallest.

    Args:
        model: an episode ends with a terminating outcome, or where the time limit is met.
        rewards: of the outcomes, float64 (num_outcomes,).
        max_operations: sweeps times outcomes to spend at most.

    Returns:
        The return, minus infinity where no episode ends, or None where there is no largest one or it takes too long.
    """
    affordable = max_operations // len(rewards)
    firsts = model.offsets[: -1 : model.num_actions]
    possible = np.where(model.probabilities > 0.0, rewards, -np.inf)
    # A path without cycles has no more steps than there are states: later gains are gains of a cycle.
    sweeps = model.num_states + 1 if model.time_limit is None else model.time_limit
    # Without a time limit an episode that has not terminated is not finished.
    values = np.full(model.num_states, -np.inf if model.time_limit is None else 0.0)
    started = model.initial_distribution > 0.0
    for _ in range(min(sweeps, affordable)):
        following = np.where(model.terminated, 0.0, values[model.next_states])
        better = np.maximum.reduceat(possible + following, firsts)
        if np.array_equal(better, values):
            return float(values[started].max())
        values = better
    return float(values[started].max()) if model.time_limit is not None and sweeps <= affordable else None
