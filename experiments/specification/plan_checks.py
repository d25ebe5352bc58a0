"""Checks of an experiment before anything runs: what cannot be, and what is unfair, endless or too large."""

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any

import gymnasium as gym
from gymnasium import spaces

from velodrome.agents.errors import BudgetError, UnsupportedEnvironmentError
from velodrome.agents.tabular.tabular_agent import TabularAgent
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.specification.environment_checks import check_seeding, check_success_rule, check_time_limit
from velodrome.experiments.specification.environment_probe import opened
from velodrome.experiments.specification.plan import Plan, PlannedAgent, PlannedEnvironment

# From here on, agents whose results never overlap differ at the 1 % level: 2 / C(10, 5) < 0.01 < 2 / C(8, 4).
MIN_SEEDS = 5


def check_plan(plan: Plan, *, available_memory: int | None = None, workers: int = 1) -> list[str]:
    """Warnings of what is likely to be wrong with an experiment, without training anyone.

    Environments that run in the generic loop are made and stepped a few dozen times, for at most some tenths of a
    second each; what raises or hangs there says so in its trials.

    Args:
        plan: the experiment.
        available_memory: in bytes; what the machine has free if None.
        workers: trials that run at the same time.

    Returns:
        Warnings of one line, each with what is wrong, where, and what to do.
    """
    if available_memory is None:
        import psutil  # type: ignore[import-untyped, unused-ignore]

        available_memory = int(psutil.virtual_memory().available)
    found = [*check_budgets(plan), *check_number_of_seeds(plan), *check_repetitions(plan)]
    for environment in plan.environments.values():
        with _one_of(environment) as env:
            found += check_tables(plan, environment, env, available_memory, workers)
            found += check_time_limit(plan, environment, env)
            found += check_success_rule(environment, env)
        found += check_seeding(environment)
    return found


def check_budgets(plan: Plan) -> list[str]:
    """Agents that train longer than others on the same environment; planning agents and fixed rules do not train."""
    where: dict[str, list[str]] = {}
    for environment in plan.environments:
        by_budget: dict[str, list[str]] = {}
        for label, planned in plan.agents_on(environment).items():
            if planned.agent.learns_from != "model" and planned.agent.learns:
                budget = plan.budget(label, environment)
                text = f"{budget.steps} steps" if budget.episodes is None else f"{budget.episodes} episodes"
                text = text if budget.epochs is None else f"{budget.epochs} epochs"
                by_budget.setdefault(text, []).append(label)
        if len(by_budget) > 1:
            told = "; ".join(f"{text} for {listed(labels)}" for text, labels in by_budget.items())
            where.setdefault(told, []).append(environment)
    return [
        f"unequal budgets on {listed(environments)}: {told}; give every agent the same episodes, steps or epochs"
        for told, environments in where.items()
    ]


def check_number_of_seeds(plan: Plan) -> list[str]:
    """Too few seeds to tell a better agent from a luckier one."""
    number = len(plan.seeds)
    if number >= MIN_SEEDS:
        return []
    seeds = "1 seed is" if number == 1 else f"{number} seeds are"
    return [f"{seeds} too few to tell better from luckier: give at least {MIN_SEEDS}, such as seeds = 30"]


def check_repetitions(plan: Plan) -> list[str]:
    """Labels of one and the same agent or environment: their trials have the same keys, so the same results."""
    by_key: dict[str, list[tuple[str, str]]] = {}
    for trial in plan.trials:
        if trial.seed == plan.seeds[0]:
            by_key.setdefault(trial.key, []).append((trial.agent, trial.environment))
    found = []
    for pairs in by_key.values():
        for kind, labels in (
            ("agents", [agent for agent, _ in pairs]),
            ("environments", [place for _, place in pairs]),
        ):
            different = _unique(labels)
            if len(different) > 1:
                found.append(f"{kind} {listed(different)} are the same, and so will be their results: leave one")
    return _unique(found)


def check_pairs(plan: Plan, one_of: Callable[[str], gym.Env[Any, Any]]) -> None:
    """Ask every agent whether it can learn in the environments on which it takes part.

    Args:
        plan: its agents and environments.
        one_of: gives an environment to look at, by label.

    Raises:
        ExperimentError: some cannot; a line for each pair.
    """
    reasons: dict[tuple[str, str], str] = {}
    for environment in plan.environments.values():
        for label, planned in plan.agents_on(environment.label).items():
            reason = None if _is_fit(planned, environment) else _refusal(plan, planned, environment.label, one_of)
            if reason is not None:
                reasons[label, environment.label] = reason
    lines = [
        f"agents.{label} on {place!r}: {reason}{_advice(plan, label, reasons)}"
        for (label, place), reason in reasons.items()
    ]
    if lines:
        raise ExperimentError("\n".join(lines))


def _refusal(
    plan: Plan, planned: PlannedAgent, environment: str, one_of: Callable[[str], gym.Env[Any, Any]]
) -> str | None:
    """Why an agent cannot learn in an environment; None where it can, or where its trials will say what is wrong."""
    try:
        env = one_of(environment)
        planned.agent.check_environment(env)
        budget = plan.budget(planned.label, environment)
        if budget.steps is not None:
            planned.agent.check_steps(env, budget.steps)
        planned.agent.exact_budget(env, episodes=budget.episodes, steps=budget.steps, epochs=None)
    except (UnsupportedEnvironmentError, BudgetError) as error:
        return str(error)
    # An agent of the user's own may raise anything.
    except Exception:
        return None
    return None


def _is_fit(planned: PlannedAgent, environment: PlannedEnvironment) -> bool:
    """Whether the environment's model alone shows that an agent can learn, so that no environment has to be made."""
    if planned.agent.assumes_rewards or getattr(planned.agent, "acts_by_step", False):
        return False
    if environment.profile.bandit is not None:
        return isinstance(planned.agent, TabularAgent) and not planned.agent.action_mask
    if environment.profile.model is None:
        return False
    return planned.agent.runs_on_model and not getattr(planned.agent, "action_mask", False)


def _advice(plan: Plan, label: str, refused: dict[tuple[str, str], str]) -> str:
    fitting = [place for place in plan.environments if label in plan.agents_on(place) and (label, place) not in refused]
    return f"; to leave the pair out, give it environments = {fitting}" if fitting else ""


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
    agent: Any = planned.agent
    model = environment.profile.model
    if model is not None:
        return (model.num_states, model.num_actions) if agent.keeps_table else None
    if env is None or not agent.keeps_table or not isinstance(env.action_space, spaces.Discrete):
        return None
    return agent.index_observations(env).num_states, int(env.action_space.n)


def table_bytes(planned: PlannedAgent, num_states: int, num_actions: int) -> int:
    """Bytes of an agent's arrays, found from those of few states and actions; 0 for no tabular agent."""
    agent: Any = planned.agent
    if not agent.keeps_table:
        return 0

    def size(states: int, actions: int) -> int:
        return sum(array.nbytes for array in agent.new_memory(states, actions))

    def with_actions(actions: int) -> int:
        # The arrays grow with states, or with their squares where a model of transitions is learnt.
        one, two, three = (size(states, actions) for states in (1, 2, 3))
        more = num_states - 1
        return one + more * (two - one) + more * (more - 1) // 2 * (three - 2 * two + one)

    least = with_actions(1)
    return least + (num_actions - 1) * (with_actions(2) - least)


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


def _one_of(environment: PlannedEnvironment) -> Any:
    """Context of one environment, or of None where the model says all that there is to know."""
    profile = environment.profile
    if profile.model is not None:
        no_env: gym.Env[Any, Any] | None = None
        return nullcontext(no_env)
    return opened(environment.make, profile.keeps_open)


def _unique(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))
