"""Checks of the tables that agents will keep, before they are allocated: do they fit into memory?"""

from typing import Any

import gymnasium as gym
from gymnasium import spaces

from velodrome.agents.tabular.tabular_agent import TabularAgent
from velodrome.experiments.specification.plan import Plan, PlannedAgent, PlannedEnvironment


def check_tables(
    plan: Plan, environment: PlannedEnvironment, env: gym.Env[Any, Any] | None, available_memory: int, workers: int
) -> list[str]:
    """Tabular agents whose tables do not fit into memory; those that cannot handle the environment have none.

    Args:
        plan: its agents and number of seeds.
        environment: to check.
        env: one of it, or None where it cannot be made or its model says all.
        available_memory: in bytes.
        workers: trials that run at the same time; fewer if there are fewer seeds.
    """
    too_large: list[tuple[int, str, tuple[int, int]]] = []
    at_once = max(1, min(workers, len(plan.seeds)))
    for label, planned in plan.agents_on(environment.label).items():
        try:
            shape = table_shape(planned, environment, env)
            size = 0 if shape is None else table_bytes(planned, *shape)
        except Exception:
            # An agent that cannot learn here is refused elsewhere; what is wrong with one of the user's own, its trials
            # say, and where.
            continue
        if shape is not None and size * at_once > available_memory:
            too_large.append((size, label, shape))
    return _excess(environment, too_large, available_memory, at_once)


def table_shape(
    planned: PlannedAgent, environment: PlannedEnvironment, env: gym.Env[Any, Any] | None
) -> tuple[int, int] | None:
    """Numbers of states and actions of an agent's tables, None where it keeps none or they are not known."""
    agent, model = planned.agent, environment.profile.model
    if model is not None:
        return (model.num_states, model.num_actions) if isinstance(agent, TabularAgent) else None
    if env is None or not isinstance(agent, TabularAgent) or not isinstance(env.action_space, spaces.Discrete):
        return None
    return agent.index_observations(env).num_states, int(env.action_space.n)


def table_bytes(planned: PlannedAgent, num_states: int, num_actions: int) -> int:
    """Bytes of an agent's arrays, told from those of one and two states and actions; 0 for no tabular agent."""
    agent = planned.agent
    if not isinstance(agent, TabularAgent):
        return 0

    def size(states: int, actions: int) -> int:
        return sum(array.nbytes for array in agent.new_memory(states, actions))

    # The arrays grow with states, with actions, with both, or with neither.
    least = size(1, 1)
    per_state, per_action = size(2, 1) - least, size(1, 2) - least
    per_pair = size(2, 2) - least - per_state - per_action
    more_states, more_actions = num_states - 1, num_actions - 1
    return least + per_state * more_states + per_action * more_actions + per_pair * more_states * more_actions


def _excess(
    environment: PlannedEnvironment,
    too_large: list[tuple[int, str, tuple[int, int]]],
    available_memory: int,
    at_once: int,
) -> list[str]:
    if not too_large:
        return []
    size, label, (num_states, num_actions) = max(too_large)
    fitting = available_memory // size
    fix = f"use at most {fitting} workers" if fitting else "use fewer states, such as fewer bins in discretize(…)"
    others = "" if len(too_large) == 1 else f" (and {len(too_large) - 1} more)"
    trials = "" if at_once == 1 else f" for each of {at_once} workers"
    return [
        f"agent {label!r}{others} on environment {environment.label!r} needs {_in_words(size)}{trials} for its tables "
        f"of {num_states:,} states and {num_actions:,} actions, but {_in_words(available_memory)} of memory "
        f"are free: {fix}"
    ]


def listed(labels: list[str], most: int = 3) -> str:
    """Labels in quotes, those after the first few as a number."""
    shown = ", ".join(repr(label) for label in labels[:most])
    return shown if len(labels) <= most else f"{shown} and {len(labels) - most} more"


def _in_words(size: int) -> str:
    for unit, scale in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= scale:
            return f"{size / scale:,.3g} {unit}" if size < 1000 * scale else f"{size // scale:,} {unit}"
    return f"{size} bytes"
