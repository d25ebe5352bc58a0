"""Agents and environments of an experiment as users give them: an expression or object, or a table around it."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar

import gymnasium as gym
import numpy as np
from pydantic import BeforeValidator, Field, InstanceOf, ValidationError, field_validator

from velodrome.agents.agent import Agent
from velodrome.envs.success_rules import parse_success_rule
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.expressions.environment_configuration import EnvironmentConfiguration
from velodrome.experiments.inputs import read_agent, read_environment
from velodrome.experiments.mistakes import CheckedModel, Mistake, mistake_lines, shown

ONE_BUDGET = "give episodes or steps, and not both"
_AN_AGENT = "an expression such as 'q_learning(discount=0.9)'"
_AN_ENVIRONMENT = "an expression such as 'FrozenLake-v1'"


def _plain_integer(given: Any) -> Any:
    return int(given) if isinstance(given, np.integer) else given


# Budgets are counted in 64 bits, in the loops and in the store.
Count = Annotated[int, BeforeValidator(_plain_integer), Field(ge=1, le=2**63 - 1)]


class _Entry(CheckedModel):
    """What agents and environments have in common: a budget of their own, or none."""

    episodes: Count | None = None
    steps: Count | None = None

    @classmethod
    def mistakes_between_fields(cls, given: Mapping[str, Any]) -> list[Mistake]:
        has_both = given.get("episodes") is not None and given.get("steps") is not None
        return [Mistake((), ONE_BUDGET)] if has_both else []


class AgentEntry(_Entry):
    """An agent of an experiment.

    Attributes:
        agent: its expression, or the agent.
        episodes: training episodes of its trials, before the environment's and the experiment's budget.
        steps: training steps of its trials, likewise; not both.
    """

    shorthand: ClassVar[str | None] = "agent"

    agent: str | InstanceOf[Agent] = Field(description=_AN_AGENT)

    @field_validator("agent", mode="before")
    @classmethod
    def _can_be_built(cls, given: Any) -> Any:
        if not isinstance(given, str | Agent | type) or _is_blank(given):
            raise ValueError(f"must be {_AN_AGENT}, got {shown(given)}")
        read_agent(given)
        return given


class EnvironmentEntry(_Entry):
    """An environment of an experiment.

    Attributes:
        environment: its expression, its configuration, or a function that makes it.
        episodes: training episodes of its trials, before the experiment's budget.
        steps: training steps of its trials, likewise; not both.
        success: success rule instead of the experiment's and the environment's own.
    """

    shorthand: ClassVar[str | None] = "environment"

    environment: str | InstanceOf[EnvironmentConfiguration] | Callable[[], gym.Env[Any, Any]] = Field(
        description=_AN_ENVIRONMENT
    )
    success: str | None = None

    @field_validator("environment", mode="before")
    @classmethod
    def _can_be_made(cls, given: Any) -> Any:
        is_readable = isinstance(given, str | EnvironmentConfiguration | gym.Env) or callable(given)
        if not is_readable or _is_blank(given):
            raise ValueError(f"must be {_AN_ENVIRONMENT}, got {shown(given)}")
        read_environment(given)
        return given

    @field_validator("success")
    @classmethod
    def _is_a_success_rule(cls, success: str | None) -> str | None:
        if success is not None:
            parse_success_rule(success)
        return success


def read_agent_entry(label: str, given: Any) -> AgentEntry:
    """Entry of an expression, an agent, or a dict of `AgentEntry`'s fields.

    Raises:
        ExperimentError: mistakes, each in a line with its field, such as agents.LABEL.episodes.
    """
    try:
        return AgentEntry.model_validate(given)
    except ValidationError as error:
        raise ExperimentError("\n".join(mistake_lines(error, "agents", label))) from None


def read_environment_entry(label: str, given: Any) -> EnvironmentEntry:
    """Entry of an expression, a configuration, a factory, or a dict of `EnvironmentEntry`'s fields.

    Raises:
        ExperimentError: mistakes, each in a line with its field, such as environments.LABEL.success.
    """
    try:
        return EnvironmentEntry.model_validate(given)
    except ValidationError as error:
        raise ExperimentError("\n".join(mistake_lines(error, "environments", label))) from None


def _is_blank(given: Any) -> bool:
    return isinstance(given, str) and not given.strip()
