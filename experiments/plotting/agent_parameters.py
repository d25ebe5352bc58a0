"""Hyper-parameters of agents, read from what is stored with their trials; nothing is imported for it."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeGuard

from velodrome.checks import closest
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.results.trial_table import TrialTable
from velodrome.experiments.specification.catalogue import build_known_agent
from velodrome.experiments.specification.expression import Call, ExpressionError, parse_expression, to_text
from velodrome.policies.configuration import to_data

# Values by path: "" is the agent's own name, "policy" its policy's, "policy.epsilon" a number of that.
Parameters: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class SweptAgents:
    """Agents by the value of one hyper-parameter.

    Attributes:
        parameter: its path, such as "policy.epsilon".
        lines: agent by value, for each set of agents that differ in nothing else, by what the sets differ in.
        left_out: agents without the parameter.
    """

    parameter: str
    lines: dict[str, dict[float, str]]
    left_out: tuple[str, ...]

    @property
    def values(self) -> list[float]:
        """Every value, increasing."""
        return sorted({value for agents in self.lines.values() for value in agents})


@dataclass(frozen=True)
class VaryingParameters:
    """Agents with the same parameters, and those of the parameters in which they differ.

    Attributes:
        levels: values by path, such as "policy.epsilon", each in order; the path of the agents themselves is "agent".
        agents: label to the agent's value of each path, in the order of `levels`.
        left_out: agents with other parameters.
    """

    levels: dict[str, list[Any]]
    agents: dict[str, tuple[Any, ...]]
    left_out: tuple[str, ...]


def varying_parameters(table: TrialTable, environment: str) -> VaryingParameters:
    """The largest set of agents that have the same parameters, and what varies among them.

    Of learners that were crossed with policies these two are the parameters.

    Args:
        table: of the experiment.
        environment: whose budgets count.

    Raises:
        ExperimentError: fewer than two parameters vary.
    """
    everything: Mapping[str, Mapping[str, Any]] = table.settings.factors or {
        agent: _with_budget(table, environment, agent) for agent in table.agents
    }
    sets: dict[frozenset[str], list[str]] = {}
    for agent in table.agents:
        if agent in everything:
            sets.setdefault(frozenset(everything[agent]), []).append(agent)
    chosen = max(sets.values(), key=len, default=[])
    levels: dict[str, list[Any]] = {}
    for path in everything[chosen[0]] if chosen else ():
        values = {repr(everything[agent][path]): everything[agent][path] for agent in chosen}
        if len(values) > 1:
            # Numbers by size, names as they come.
            in_order = all(is_number(value) for value in values.values())
            levels[path] = sorted(values.values()) if in_order else list(values.values())
    if len(levels) < 2:
        which = f": {next(iter(levels)) or 'agent'} alone does" if levels else ""
        raise ExperimentError(f"at least two parameters must vary among agents that have the same ones{which}")
    agents = {agent: tuple(everything[agent][path] for path in levels) for agent in chosen}
    left_out = tuple(agent for agent in table.agents if agent not in agents)
    return VaryingParameters({path or "agent": values for path, values in levels.items()}, agents, left_out)


def _with_budget(table: TrialTable, environment: str, agent: str) -> Parameters:
    expression = str(table.settings.agents[agent] or agent)
    episodes, steps = table.budget(environment, agent)
    parameters = parameters_of_expression(expression, table.specifications.get(agent, ""))
    return {**parameters, "episodes": episodes, "steps": steps}


def swept_agents(table: TrialTable, environment: str, parameter: str | None = None) -> SweptAgents:
    """The agents of an experiment, by one number in which they differ.

    Args:
        table: of the experiment.
        environment: whose budgets count.
        parameter: the number's path; may be None where there is one only.

    Raises:
        ExperimentError: the agents do not differ in the parameter, or in several numbers and none is named.
    """
    # Of agents from elsewhere no expression is known, but their labels may be some.
    expressions = {agent: str(table.settings.agents[agent] or agent) for agent in table.agents}
    all_parameters = {
        agent: parameters_of_expression(expression, table.specifications.get(agent, ""))
        for agent, expression in expressions.items()
    }
    chosen = _chosen(all_parameters, parameter)
    lines: dict[tuple[Any, ...], dict[float, str]] = {}
    others: dict[tuple[Any, ...], Parameters] = {}
    left_out = []
    for agent, parameters in all_parameters.items():
        value = parameters.get(chosen)
        if not is_number(value):
            left_out.append(agent)
            continue
        episodes, steps = table.budget(environment, agent)
        other = {path: item for path, item in parameters.items() if path != chosen}
        other |= {"episodes": episodes, "steps": steps}
        key: tuple[Any, ...] = tuple(sorted((path, repr(item)) for path, item in other.items()))
        if value in lines.get(key, {}):
            # The same agent under another label.
            key = (*key, agent)
        others[key] = other
        lines.setdefault(key, {})[float(value)] = agent
    names = _names(list(others.values()), [list(agents.values()) for agents in lines.values()])
    return SweptAgents(chosen, dict(zip(names, lines.values(), strict=True)), tuple(left_out))


def _stored_parameters(specification: str) -> Parameters:
    """Hyper-parameters in the specification of one of an agent's trials, defaults included; empty without any."""
    try:
        return dict(_flat(json.loads(specification)["agent"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}


def parameters_of_expression(expression: str, specification: str = "") -> Parameters:
    """Hyper-parameters of an agent by path, with those that have their default where its class or a trial is known.

    A text that is no expression is an agent without parameters.
    """
    try:
        call = parse_expression(expression)
    except ExpressionError:
        return {"": expression}
    try:
        return dict(_flat(to_data(build_known_agent(call))))
    except ValueError:
        # Of a module that is not imported, its trials tell; of an agent from elsewhere, the expression alone.
        stored = _stored_parameters(specification)
        return stored if stored.get("") == call.name else dict(_flat(call))


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Numbers, texts and names in nested data or calls, each with its path."""
    if isinstance(value, Call):
        numbered = {str(place): item for place, item in enumerate(value.positional, 1)}
        value = {"name": value.name} | numbered | value.keywords
    if not isinstance(value, Mapping):
        yield path, value if isinstance(value, bool | int | float | str | None) else to_text(value)
    elif value.get("name") == "constant" and "value" in value:
        yield path, value["value"]
    else:
        yield path, value.get("name")
        for key, item in value.items():
            if key != "name":
                yield from _flat(item, f"{path}.{key}" if path else key)


def parameters_of_call(expression: str) -> Parameters:
    """Arguments of a call by path, as far as the expression names them; of a text that is none, nothing."""
    try:
        return dict(_flat(parse_expression(expression)))
    except ExpressionError:
        return {}


def is_number(value: Any) -> TypeGuard[int | float]:
    """Whether a parameter's value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _chosen(all_parameters: Mapping[str, Parameters], parameter: str | None) -> str:
    paths = dict.fromkeys(path for parameters in all_parameters.values() for path in parameters)
    numbers = {
        path: {parameters[path] for parameters in all_parameters.values() if is_number(parameters.get(path))}
        for path in paths
    }
    varying = [path for path, values in numbers.items() if len(values) > 1]
    if parameter in varying:
        return str(parameter)
    if not varying:
        raise ExperimentError("a sweep needs agents that differ in a number, such as learning_rate; these do not")
    listed = ", ".join(varying)
    if parameter is None:
        if len(varying) > 1:
            raise ExperimentError(f"parameter must be named, for the agents differ in several numbers: {listed}")
        return varying[0]
    match = closest(parameter, varying)
    advice = match if match.startswith(":") else ""
    raise ExperimentError(f"parameter must be a number in which the agents differ: {listed}; got {parameter!r}{advice}")


def _names(parameters: Sequence[Parameters], agents: Sequence[Sequence[str]]) -> list[str]:
    """A name for each set of agents: the label of a single agent, or else what the other parameters differ in."""
    several = [one for one, labels in zip(parameters, agents, strict=True) if len(labels) > 1]
    paths = dict.fromkeys(path for one in several for path in one)
    # What only some have, comes with the name of what has it.
    differing = [path for path in paths if len({repr(one[path]) for one in several if path in one}) > 1]
    names = []
    for one, labels in zip(parameters, agents, strict=True):
        parts = [_in_words(path, one) for path in differing if path in one]
        names.append(labels[0] if len(labels) == 1 else ", ".join(parts) or str(one[""]))
    return names if len(set(names)) == len(names) else [", ".join(labels) for labels in agents]


def _in_words(path: str, parameters: Parameters) -> str:
    """Such as "policy.epsilon=0.1", or "epsilon_greedy" for a policy."""
    has_parameters = any(other.startswith(f"{path}.") for other in parameters)
    return f"{parameters[path]}" if path == "" or has_parameters else f"{path}={parameters[path]}"
