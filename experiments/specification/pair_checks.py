"""Agents that cannot learn in an environment of theirs, or not with their budget, refused before anything runs."""

from velodrome.agents.errors import BudgetError, UnsupportedEnvironmentError
from velodrome.agents.planning.planning_agents import PlanningAgent
from velodrome.agents.tabular.tabular_agent import TabularAgent
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.specification.environment_probe import opened
from velodrome.experiments.specification.plan import Plan, PlannedAgent, PlannedEnvironment


def check_pairs(plan: Plan) -> None:
    """Ask every agent whether it can learn in the environments on which it takes part.

    Raises:
        ExperimentError: some cannot; a line for each pair.
    """
    reasons: dict[tuple[str, str], str] = {}
    for environment in plan.environments.values():
        for label, reason in _refusals(plan, environment).items():
            reasons[label, environment.label] = reason
    lines = [
        f"agents.{label} on {place!r}: {reason}{_advice(plan, label, reasons)}"
        for (label, place), reason in reasons.items()
    ]
    if lines:
        raise ExperimentError("\n".join(lines))


def _refusals(plan: Plan, environment: PlannedEnvironment) -> dict[str, str]:
    """Why agents cannot learn in an environment, by label."""
    agents = {
        label: planned
        for label, planned in plan.agents_on(environment.label).items()
        if not _is_fit(planned, environment)
    }
    refusals: dict[str, str] = {}
    if not agents:
        return refusals
    with opened(environment.make, environment.profile.keeps_open) as env:
        # What is wrong with the environment itself, its trials say, and where.
        for label, planned in agents.items() if env is not None else ():
            assert env is not None
            try:
                planned.agent.check_environment(env)
                steps = plan.budget(label, environment.label).steps
                if steps is not None:
                    planned.agent.check_steps(env, steps)
            except (UnsupportedEnvironmentError, BudgetError) as error:
                refusals[label] = str(error)
            except Exception:
                # Likewise of an agent of the user's own.
                continue
    return refusals


def _is_fit(planned: PlannedAgent, environment: PlannedEnvironment) -> bool:
    """Whether the environment's model alone shows that an agent can learn, so that no environment has to be made."""
    if environment.profile.model is None:
        return False
    agent = planned.agent
    return isinstance(agent, PlanningAgent) or (isinstance(agent, TabularAgent) and not agent.action_mask)


def _advice(plan: Plan, label: str, refused: dict[tuple[str, str], str]) -> str:
    fitting = [place for place in plan.environments if label in plan.agents_on(place) and (label, place) not in refused]
    return f"; to leave the pair out, give it environments = {fitting}" if fitting else ""
