"""Agents and environments that the command line compares without an experiment file."""

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.specification.catalogue import kind_of
from velodrome.experiments.specification.descriptions import shipped_experiments
from velodrome.experiments.specification.expression import ExpressionError, parse_expression
from velodrome.experiments.specification.grids import grid_of

_ADD_ON = "to compare agents, add --on ENVIRONMENT, such as --on FrozenLake-v1"
# A label and an expression; what stands in brackets is an argument.
_LABELLED = re.compile(r"\s*([^=(]*[^=(\s])\s*=\s*(.*)", re.DOTALL)
_LONGEST_NAME = 80


def one_experiment(names: Sequence[str]) -> str:
    """The name or path of an experiment, where no environment is given.

    Raises:
        ExperimentError: there is none, there are several, or it is an agent.
    """
    if len(names) != 1:
        got = f", got {', '.join(names)}" if names else ""
        raise ExperimentError(
            f"give one experiment, a TOML file or one of `velodrome list experiments`{got}; {_ADD_ON}"
        )
    name = names[0]
    # Without --on the experiment is meant, where an agent has the same name.
    if not os.path.isfile(name) and name not in shipped_experiments() and _is_agent(_split(name)[1]):
        raise ExperimentError(f"{name} is an agent, not an experiment; {_ADD_ON}")
    return name


def fields_without_file(agents: Sequence[str], on: Sequence[str], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of an `Experiment` of agents and environments; its name says what is compared.

    Args:
        agents: expressions, each with a label in front or without: "slow=q_learning(learning_rate=0.1)".
        on: environments, likewise.
        changes: budgets, seeds and other fields; those that are None are left out.

    Raises:
        ExperimentError: an experiment is given in place of an agent, no agent, or a label twice.
    """
    for agent in agents:
        # An experiment may have the name of the agent that it is about: with --on the agent is meant.
        is_shipped = agent in shipped_experiments() and not _is_agent(agent)
        if is_shipped or agent.endswith(".toml") or os.path.isfile(agent):
            raise ExperimentError(
                f"{agent} is an experiment with environments of its own: leave out --on, or give agents"
            )
    if not agents:
        raise ExperimentError("give agents to compare, such as: velodrome compare q_learning sarsa --on FrozenLake-v1")
    compared = {"agents": _labelled("agent", agents), "environments": _labelled("environment", on)}
    given = {field: value for field, value in changes.items() if value is not None}
    return {"name": _name(*compared.values()), **given, **compared}


def _labelled(kind: str, texts: Sequence[str]) -> list[str] | dict[str, str]:
    """The expressions; by label if any has one, and those without by their own text."""
    pairs = [_split(text) for text in texts]
    if all(label is None for label, _ in pairs):
        return list(texts)
    labelled: dict[str, str] = {}
    for given, expression in pairs:
        for label, text in [(given, expression)] if given is not None else _own_labels(kind, expression):
            if label in labelled:
                raise ExperimentError(f"{kind} {label!r} is given twice: give labels")
            labelled[label] = text
    return labelled


def _own_labels(kind: str, expression: str) -> list[tuple[str, str]]:
    """Each expression that one stands for, by its own text."""
    every, mistakes = grid_of(kind, [kind], expression)
    if mistakes:
        raise ExperimentError(f"{expression}: {mistakes[0].reason}")
    return [(_canonical(text), text) for _, text in every]


def _split(text: str) -> tuple[str | None, str]:
    """Label and expression; None without a label."""
    found = _LABELLED.fullmatch(text)
    return (None, text) if found is None else (found[1], found[2])


def _canonical(expression: str) -> str:
    try:
        return str(parse_expression(expression))
    except ExpressionError:
        return expression


def _is_agent(expression: str) -> bool:
    try:
        return kind_of(parse_expression(expression).name) == "agent"
    except ExpressionError:
        return False


def _name(agents: Sequence[str] | Mapping[str, str], environments: Sequence[str] | Mapping[str, str]) -> str:
    """Such as "q_learning, sarsa on FrozenLake-v1"; a long one is cut, with eight digits that stand for the whole."""
    name = " ".join(f"{', '.join(agents)} on {', '.join(environments)}".split())
    if len(name) <= _LONGEST_NAME:
        return name
    digits = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{name[: _LONGEST_NAME - 10]}… {digits}"
