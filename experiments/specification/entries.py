"""Agents, learners, policies and environments as users give them: an expression or object, or a table around it."""

from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, ClassVar, TypeVar

import gymnasium as gym
import numpy as np
from pydantic import BeforeValidator, Field, InstanceOf, ValidationError, field_validator

from velodrome.agents.agent import Agent
from velodrome.checks import closest
from velodrome.envs.success_rules import parse_success_rule
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.specification.crossing_inputs import read_learner, read_policy
from velodrome.experiments.specification.environment_configuration import EnvironmentConfiguration
from velodrome.experiments.specification.inputs import read_agent, read_environment
from velodrome.experiments.specification.mistakes import CheckedModel, Mistake, mistake_lines, shown
from velodrome.policies.policy import Policy

BUDGETS = ("episodes", "steps", "epochs")
ONE_BUDGET = "give episodes, steps or epochs, one of them"
_AN_AGENT = "an expression such as 'q_learning(discount=0.9)'"
_A_POLICY = "an expression such as 'epsilon_greedy(epsilon=0.1)'"
_AN_ENVIRONMENT = "an expression such as 'FrozenLake-v1'"

_Model = TypeVar("_Model", bound=CheckedModel)


def _plain_integer(given: Any) -> Any:
    return int(given) if isinstance(given, np.integer) else given


def _plain_list(given: Any) -> Any:
    return list(given) if isinstance(given, tuple) else given


def budgets_in(given: Any) -> list[str]:
    """Which budgets an entry gives, as users write it or checked."""
    fields = given if isinstance(given, Mapping) else getattr(given, "__dict__", {})
    return [name for name in BUDGETS if fields.get(name) is not None]


# Budgets are counted in 64 bits, in the loops and in the store.
Count = Annotated[int, BeforeValidator(_plain_integer), Field(ge=1, le=2**63 - 1)]


class _Entry(CheckedModel):
    """What agents, learners and environments have in common: a budget of their own, or none."""

    episodes: Count | None = None
    steps: Count | None = None
    epochs: Count | None = None

    @classmethod
    def mistakes_between_fields(cls, given: Mapping[str, Any]) -> list[Mistake]:
        return [Mistake((), ONE_BUDGET)] if len(budgets_in(given)) > 1 else []


class AgentEntry(_Entry):
    """An agent of an experiment.

    Attributes:
        agent: its expression, or the agent.
        episodes: training episodes of its trials, before the environment's and the experiment's budget.
        steps: training steps of its trials, likewise; one budget alone.
        epochs: passes through an environment's labelled examples, likewise.
        environments: labels of those on which it takes part; all if None.
    """

    shorthand: ClassVar[str | None] = "agent"

    agent: str | InstanceOf[Agent] = Field(description=_AN_AGENT)
    environments: Annotated[list[str], BeforeValidator(_plain_list)] | None = None

    @field_validator("agent", mode="before")
    @classmethod
    def _can_be_built(cls, given: Any) -> Any:
        if not isinstance(given, str | Agent | type) or _is_blank(given):
            raise ValueError(f"must be {_AN_AGENT}, got {shown(given)}")
        read_agent(given)
        return given


class LearnerEntry(_Entry):
    """A learner of an experiment, to be crossed with policies.

    Attributes:
        learner: its expression, or the agent; its policy is left open.
        episodes: training episodes of its trials, before the environment's and the experiment's budget.
        steps: training steps of its trials, likewise; one budget alone.
        epochs: passes through an environment's labelled examples, likewise.
    """

    shorthand: ClassVar[str | None] = "learner"

    learner: str | InstanceOf[Agent] = Field(description=_AN_AGENT)

    @field_validator("learner", mode="before")
    @classmethod
    def _can_be_crossed(cls, given: Any) -> Any:
        if not isinstance(given, str | Agent | Policy | type) or _is_blank(given):
            raise ValueError(f"must be {_AN_AGENT}, got {shown(given)}")
        read_learner(given)
        return given


class PolicyEntry(CheckedModel):
    """A policy of an experiment, to be crossed with learners.

    Attributes:
        policy: its expression, or the policy.
    """

    shorthand: ClassVar[str | None] = "policy"

    policy: str | InstanceOf[Policy] = Field(description=_A_POLICY)

    @field_validator("policy", mode="before")
    @classmethod
    def _can_be_built(cls, given: Any) -> Any:
        if not isinstance(given, str | Policy | Agent | type) or _is_blank(given):
            raise ValueError(f"must be {_A_POLICY}, got {shown(given)}")
        read_policy(given)
        return given


class CrossedEntry(AgentEntry):
    """An agent that was made of a learner and a policy of the experiment; users give those instead.

    Attributes:
        learner: label.
        policy: label.
    """

    learner: str
    policy: str


class EnvironmentEntry(_Entry):
    """An environment of an experiment.

    Attributes:
        environment: its expression, its configuration, or a function that makes it.
        episodes: training episodes of its trials, before the experiment's budget.
        steps: training steps of its trials, likewise; one budget alone.
        epochs: passes through its labelled examples, likewise.
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


def mistakes_about_places(agents: Mapping[str, Any], environments: Collection[str]) -> list[Mistake]:
    """Environments of agents that are not among the experiment's, and those on which no agent takes part.

    Args:
        agents: entries by label, as users write them or checked.
        environments: labels.
    """
    mistakes, empty = [], set(environments)
    for label, entry in agents.items():
        places = places_of(entry)
        if places is None:
            empty.clear()
            continue
        empty -= set(places)
        mistakes += [
            Mistake(("agents", label, "environments"), f"no environment {place!r}{closest(place, environments)}")
            for place in places
            if place not in environments
        ]
        if not places:
            mistakes.append(Mistake(("agents", label, "environments"), "must name at least one, or be left out"))
    if agents and not mistakes:
        left = [place for place in environments if place in empty]
        mistakes += [Mistake(("environments", place), "no agent takes part on it") for place in left]
    return mistakes


def places_of(entry: Any) -> list[str] | None:
    """Labels of the environments on which an agent takes part, None for all; of an entry that may be wrong."""
    fields = entry if isinstance(entry, Mapping) else getattr(entry, "__dict__", {})
    places = fields.get("environments")
    if not isinstance(places, list | tuple) or not all(isinstance(place, str) for place in places):
        return None
    return list(places)


def read_agent_entry(label: str, given: Any) -> AgentEntry:
    """Entry of an expression, an agent, or a dict of `AgentEntry`'s fields.

    Raises:
        ExperimentError: mistakes, each in a line with its field, such as agents.LABEL.episodes.
    """
    return _read_entry(AgentEntry, "agents", label, given)


def read_learner_entry(label: str, given: Any) -> LearnerEntry:
    """Entry of an expression, an agent, or a dict of `LearnerEntry`'s fields; raises as `read_agent_entry` does."""
    return _read_entry(LearnerEntry, "learners", label, given)


def read_policy_entry(label: str, given: Any) -> PolicyEntry:
    """Entry of an expression, a policy, or a dict of `PolicyEntry`'s field; raises as `read_agent_entry` does."""
    return _read_entry(PolicyEntry, "policies", label, given)


def read_environment_entry(label: str, given: Any) -> EnvironmentEntry:
    """Entry of an expression, a configuration, a factory, or a dict of `EnvironmentEntry`'s fields.

    Raises:
        ExperimentError: mistakes, each in a line with its field, such as environments.LABEL.success.
    """
    return _read_entry(EnvironmentEntry, "environments", label, given)


def _read_entry(model: type[_Model], table: str, label: str, given: Any) -> _Model:
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise ExperimentError("\n".join(mistake_lines(error, table, label))) from None


def _is_blank(given: Any) -> bool:
    return isinstance(given, str) and not given.strip()
