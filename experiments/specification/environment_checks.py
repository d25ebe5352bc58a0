"""Checks of an environment before anything runs: does it hear its seed, and do its episodes end?"""

from typing import Any

import gymnasium as gym
import numpy as np

from velodrome.agents.planning.planning_agents import PlanningAgent
from velodrome.envs.model.transition_model import TransitionModel
from velodrome.envs.wrapper_chain import time_limit_of
from velodrome.experiments.specification.environment_probe import STEPS_TO_AN_END, probe_end, probe_seeds
from velodrome.experiments.specification.made_again import is_known
from velodrome.experiments.specification.plan import Plan, PlannedEnvironment
from velodrome.experiments.specification.reachability import reachable_states, states_that_can_end

NO_EPISODE_ENDS = "no episode ever ends"


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
    learners = [label for label, planned in agents.items() if not isinstance(planned.agent, PlanningAgent)]
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
