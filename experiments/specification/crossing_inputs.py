"""What users hand to `compare` to be crossed: learners without a policy of their own, and policies."""

import dataclasses
from typing import Any

from velodrome.agents.agent import Agent
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.specification.catalogue import build_policy, kind_of
from velodrome.experiments.specification.expression import parse_expression
from velodrome.experiments.specification.inputs import AgentLike, read_agent
from velodrome.policies.configuration import full_name, to_data, to_expression
from velodrome.policies.policy import Policy

LearnerLike = AgentLike
PolicyLike = Policy | str


def read_policy(given: Any) -> tuple[str, Policy]:
    """Label and policy of a policy or its expression; the label is the expression's canonical text.

    Raises:
        ExperimentError: it is neither.
        ValueError: the expression cannot be read or built; one line.
    """
    if isinstance(given, str):
        call = parse_expression(given)
        if kind_of(call.name) == "agent":
            raise ExperimentError(_is_an_agent(call.name))
        return str(call), build_policy(call)
    if isinstance(given, Policy):
        return to_expression(given), given
    if isinstance(given, Agent):
        raise ExperimentError(_is_an_agent(full_name(type(given))))
    if isinstance(given, type) and issubclass(given, Policy):
        raise ExperimentError(f"a policy is an expression or a Policy, got the class {given.__name__}: call it")
    raise ExperimentError(f"a policy is an expression or a Policy, got {given!r}")


def read_learner(given: Any) -> tuple[str, Agent]:
    """Label and agent of an agent or its expression, whose policy is left open and not in the label.

    Raises:
        ExperimentError: it is no agent, has no policy, or one of its own, which crossing would replace unseen.
        ValueError: the expression cannot be read or built; one line.
    """
    name = full_name(type(given)) if isinstance(given, Policy) else _policy_named(given)
    if name is not None:
        raise ExperimentError(f"{name} is a policy, not a learner: give it under policies")
    label, agent = read_agent(given)
    _check_policy_is_open(agent, given)
    return label if isinstance(given, str) else _without_policy(agent), agent


def _is_an_agent(name: str) -> str:
    return f"{name} is an agent, not a policy: give it under learners"


def _policy_named(given: Any) -> str | None:
    name = parse_expression(given).name if isinstance(given, str) else ""
    return name if kind_of(name) == "policy" else None


def _check_policy_is_open(agent: Agent, given: Any) -> None:
    """Refuse an agent without a parameter `policy`, or with another policy than its class gives it."""
    parameter = _parameters(agent).get("policy")
    if parameter is None:
        raise ExperimentError(f"{full_name(type(agent))} has no policy that could be exchanged: give it under agents")
    default = _default(parameter)
    if default is dataclasses.MISSING:
        # Its class wants a policy, so that none could be left open.
        return
    policy = agent.policy  # type: ignore[attr-defined]
    is_written = isinstance(given, str) and "policy" in parse_expression(given).keywords
    if is_written or to_data(policy) != to_data(default):
        raise ExperimentError(
            f"has the policy {to_expression(policy)} of its own, which crossing would replace: "
            f"write {_without_policy(agent)}, or give it under agents"
        )


def _without_policy(agent: Agent) -> str:
    """Expression of an agent without its policy and without parameters that have their default."""
    given = [
        f"{name}={to_expression(getattr(agent, name))}"
        for name, parameter in _parameters(agent).items()
        if name != "policy" and getattr(agent, name) != _default(parameter)
    ]
    return f"{full_name(type(agent))}({', '.join(given)})"


def _parameters(agent: Agent) -> dict[str, "dataclasses.Field[Any]"]:
    parameters: tuple[dataclasses.Field[Any], ...] = dataclasses.fields(agent)  # type: ignore[arg-type]
    return {parameter.name: parameter for parameter in parameters if parameter.init}


def _default(parameter: "dataclasses.Field[Any]") -> Any:
    if parameter.default_factory is not dataclasses.MISSING:
        return parameter.default_factory()
    return parameter.default
