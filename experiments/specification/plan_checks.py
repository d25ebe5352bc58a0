"""Checks of an experiment before anything runs: what makes a comparison unfair, endless or too large."""

from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any

import gymnasium as gym

from velodrome.agents.planning.planning_agents import PlanningAgent
from velodrome.experiments.specification.environment_checks import check_seeding, check_time_limit
from velodrome.experiments.specification.environment_probe import opened
from velodrome.experiments.specification.plan import Plan, PlannedEnvironment
from velodrome.experiments.specification.success_checks import check_success_rule
from velodrome.experiments.specification.table_checks import check_tables, listed

# From here on, agents whose results never overlap differ at the 1 % level: 2 / C(10, 5) < 0.01 < 2 / C(8, 4).
MIN_SEEDS = 5


def check_plan(plan: Plan, *, available_memory: int | None = None, workers: int = 1) -> list[str]:
    """What is likely to be wrong with an experiment, without training anyone.

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
    """Agents that train longer than others on the same environment; planning agents do not train."""
    where: dict[str, list[str]] = {}
    for environment in plan.environments:
        by_budget: dict[str, list[str]] = {}
        for label, planned in plan.agents_on(environment).items():
            if not isinstance(planned.agent, PlanningAgent):
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


def _one_of(environment: PlannedEnvironment) -> Any:
    """Context of one environment, or of None where the model says all that there is to know."""
    profile = environment.profile
    if profile.model is not None:
        no_env: gym.Env[Any, Any] | None = None
        return nullcontext(no_env)
    return opened(environment.make, profile.keeps_open)


def _unique(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))
