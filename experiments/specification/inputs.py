"""What users hand to `run` and `compare`: agents, environments and seeds in any of their forms."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import gymnasium as gym

from velodrome.agents.agent import Agent
from velodrome.agents.engine.seeding import check_seed
from velodrome.agents.errors import check_count
from velodrome.envs.make import several_agents
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.specification.catalogue import build_agent
from velodrome.experiments.specification.environment_configuration import EnvironmentConfiguration, build_environment
from velodrome.experiments.specification.expression import parse_expression
from velodrome.policies.configuration import to_expression

AgentLike = Agent | str
EnvironmentLike = str | EnvironmentConfiguration | Callable[[], gym.Env[Any, Any]]
Maker = Callable[[], gym.Env[Any, Any]]

# The store keeps 64-bit integers.
LARGEST_SEED = 2**63 - 1
# A larger number is most likely a seed that was meant for a list.
MOST_SEEDS = 1_000_000


class NamedEnvironment(NamedTuple):
    """An environment's label, its expression (or its factory's name), and what makes it."""

    label: str
    expression: str
    make: Maker


def read_agent(given: Any) -> tuple[str, Agent]:
    """Label and agent of an agent or its expression; the label is the expression's canonical text.

    Raises:
        ExperimentError: it is neither.
        ValueError: the expression cannot be read or built; one line.
    """
    if isinstance(given, str):
        return str(parse_expression(given)), build_agent(given)
    if isinstance(given, Agent):
        return to_expression(given), given
    if isinstance(given, type) and issubclass(given, Agent):
        raise ExperimentError(f"an agent is an expression or an Agent, got the class {given.__name__}: call it")
    raise ExperimentError(f"an agent is an expression or an Agent, got {given!r}")


def read_environment(given: Any) -> NamedEnvironment:
    """Environment of an expression, a configuration or a factory.

    Raises:
        ExperimentError: it is none of these.
        ValueError: the expression cannot be read or built; one line.
    """
    if isinstance(given, str):
        given = build_environment(given)
    if isinstance(given, EnvironmentConfiguration):
        return NamedEnvironment(given.label, given.label, given.make)
    if isinstance(given, gym.Env):
        raise ExperimentError(
            f"an environment is an expression or a factory, got the environment {given}: every trial needs its own"
        )
    if callable(given):
        name = getattr(given, "__name__", type(given).__name__)
        return NamedEnvironment(name, name, _checked(name, given))
    raise ExperimentError(f"an environment is an expression or a factory, got {given!r}{several_agents(given)}")


def read_seeds(seeds: Any) -> list[int]:
    """Seeds 0, …, n - 1 of a number n, or the seeds themselves.

    Raises:
        ExperimentError: none, one twice, more than `MOST_SEEDS`, or one above `LARGEST_SEED`.
        BudgetError: a number below 1.
        ConfigurationError: something that is no seed.
    """
    if not isinstance(seeds, Iterable) or isinstance(seeds, str):
        count = check_count("seeds", seeds)
        if count > MOST_SEEDS:
            raise ExperimentError(
                f"seeds must be a number of seeds, at most {MOST_SEEDS}, or a list of seeds such as [7], got {count}"
            )
        return list(range(count))
    listed = [check_seed(seed) for seed in seeds]
    if not listed:
        raise ExperimentError("give at least one seed")
    if max(listed) > LARGEST_SEED:
        raise ExperimentError(f"seeds must be at most {LARGEST_SEED} (2**63 - 1), got {max(listed)}")
    if len(set(listed)) < len(listed):
        raise ExperimentError(f"seeds must differ from each other, got {listed}")
    return listed


def _checked(name: str, factory: Callable[[], Any]) -> Maker:
    def make() -> gym.Env[Any, Any]:
        made = factory()
        if not isinstance(made, gym.Env):
            raise ExperimentError(f"the factory {name} must return a gymnasium.Env, got {made!r}{several_agents(made)}")
        return made

    # As functools.wraps would leave it: what the user gave is what keys are made of.
    make.__wrapped__ = factory  # type: ignore[attr-defined]
    return make
