"""Agents, learners, policies and environments as users give them: an expression or object, or a table around it."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, NamedTuple, Self, TypeVar

import gymnasium as gym
import numpy as np
from pydantic import BeforeValidator, Field, InstanceOf, PrivateAttr, ValidationError, field_validator

from velodrome.agents.agent import Agent
from velodrome.checks import closest
from velodrome.envs.make import several_agents
from velodrome.envs.success_rules import parse_success_rule
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.specification.catalogue import build_agent, build_policy, kind_of
from velodrome.experiments.specification.environment_configuration import (
    EnvironmentConfiguration,
    Maker,
    environment_configuration,
)
from velodrome.experiments.specification.expression import ExpressionError, parse_expression
from velodrome.experiments.specification.grids import grid_of, names_arguments
from velodrome.experiments.specification.made_again import FIX, difference_when_made_again
from velodrome.experiments.specification.mistakes import CheckedModel, Mistake, mistakes_in, shown
from velodrome.experiments.texts import is_printable
from velodrome.experiments.trials.environment_profile import EnvironmentProfile
from velodrome.policies.configuration import full_name, to_data, to_expression
from velodrome.policies.policy import Policy

BUDGETS = ("episodes", "steps", "epochs")
ONE_BUDGET = "give episodes, steps or epochs, one of them"
# Budgets and seeds are counted in 64 bits, in the loops and in the store.
LARGEST_INTEGER = 2**63 - 1
_AN_AGENT = "an expression such as 'q_learning(discount=0.9)'"
_A_POLICY = "an expression such as 'epsilon_greedy(epsilon=0.1)'"
_AN_ENVIRONMENT = "an expression such as 'FrozenLake-v1'"

AnyEntry = TypeVar("AnyEntry", bound="Entry")


class NamedEnvironment(NamedTuple):
    """An environment's expression or its factory's name, what makes it, and whether the expression says all."""

    label: str
    make: Maker
    is_expression: bool


def read_agent(given: Any) -> tuple[str, Agent]:
    """Label and agent of an agent or its expression; the label is the expression's canonical text.

    Raises:
        ExperimentError: it is neither.
        ValueError: the expression cannot be read or built; one line.
    """
    if isinstance(given, str):
        call = parse_expression(given)
        return str(call), build_agent(call)
    if isinstance(given, Agent):
        return to_expression(given), given
    if isinstance(given, type) and issubclass(given, Agent):
        raise ExperimentError(f"an agent is an expression or an Agent, got the class {given.__name__}: call it")
    raise ExperimentError(f"an agent is an expression or an Agent, got {given!r}")


def read_environment(given: Any) -> NamedEnvironment:
    """Environment of an expression, a configuration or a factory, which is not made.

    Raises:
        ExperimentError: it is none of these.
        ValueError: the expression cannot be read; one line.
    """
    if isinstance(given, str):
        given = environment_configuration(given)
    if isinstance(given, EnvironmentConfiguration):
        return NamedEnvironment(given.label, given.make, True)
    if isinstance(given, gym.Env):
        raise ExperimentError(
            f"an environment is an expression or a factory, got the environment {given}: every trial needs its own"
        )
    if callable(given):
        name = getattr(given, "__name__", type(given).__name__)
        return NamedEnvironment(name, _checked(name, given), False)
    raise ExperimentError(f"an environment is an expression or a factory, got {given!r}{several_agents(given)}")


def budgets_in(given: Any) -> list[str]:
    """Which budgets an entry gives, as users write it or checked."""
    fields = given if isinstance(given, Mapping) else getattr(given, "__dict__", {})
    return [name for name in BUDGETS if fields.get(name) is not None]


def _whole_number(given: Any) -> int:
    is_integer = isinstance(given, int | np.integer) and not isinstance(given, bool)
    if not is_integer or given < 1:
        advice = f": write {given:.0f}" if isinstance(given, float) and given.is_integer() and given >= 1 else ""
        raise ValueError(f"must be a whole number of at least 1, got {shown(given)}{advice}")
    if given > LARGEST_INTEGER:
        raise ValueError(f"must be at most {LARGEST_INTEGER} (2**63 - 1), got {shown(given)}")
    return int(given)


def _plain_list(given: Any) -> Any:
    return list(given) if isinstance(given, tuple) else given


def _finite_number(given: Any) -> float:
    is_number = isinstance(given, int | float | np.integer | np.floating) and not isinstance(given, bool)
    if not is_number or not np.isfinite(given):
        raise ValueError(f"must be a finite number, got {shown(given)}")
    return float(given)


Count = Annotated[int, BeforeValidator(_whole_number)]
Return = Annotated[float, BeforeValidator(_finite_number)]


class Entry(CheckedModel):
    """Entry of an agent, learner, policy or environment; its shorthand is the thing alone."""

    shorthand: ClassVar[str]

    @property
    def label(self) -> str:
        """Label where it is given in a list, as an object."""
        return to_expression(getattr(self, self.shorthand))


class _Trained(Entry):
    """Entry of an agent, learner or environment, which may have a budget of its own."""

    episodes: Count | None = None
    steps: Count | None = None
    epochs: Count | None = None

    def without_budget(self) -> Self:
        """The same without a budget of its own."""
        return self.model_copy(update=dict.fromkeys(BUDGETS))


class AgentEntry(_Trained):
    """An agent of an experiment.

    Attributes:
        agent: the agent, given as such or as its expression.
        episodes: training episodes of its trials, before the environment's and the experiment's budget.
        steps: training steps of its trials, likewise; one budget alone.
        epochs: passes through an environment's labelled examples, likewise.
        environments: labels of those on which it takes part; all if None.
    """

    shorthand: ClassVar[str] = "agent"

    agent: InstanceOf[Agent] = Field(description=_AN_AGENT)
    environments: Annotated[list[str], BeforeValidator(_plain_list)] | None = None

    @field_validator("agent", mode="before")
    @classmethod
    def _built(cls, given: Any) -> Agent:
        _check_given(given, Agent, _AN_AGENT)
        return read_agent(given)[1]


class LearnerEntry(_Trained):
    """A learner of an experiment, to be crossed with policies.

    Attributes:
        learner: the agent, given as such or as its expression; its policy is left open.
        episodes: training episodes of its trials, before the environment's and the experiment's budget.
        steps: training steps of its trials, likewise; one budget alone.
        epochs: passes through an environment's labelled examples, likewise.
    """

    shorthand: ClassVar[str] = "learner"

    learner: InstanceOf[Agent] = Field(description=_AN_AGENT)

    @property
    def label(self) -> str:
        return _without_policy(self.learner)

    @field_validator("learner", mode="before")
    @classmethod
    def _built(cls, given: Any) -> Agent:
        _check_given(given, Agent | Policy, _AN_AGENT)
        name = full_name(type(given)) if isinstance(given, Policy) else _name_of_kind(given, "policy")
        if name is not None:
            raise ExperimentError(f"{name} is a policy, not a learner: give it under policies")
        _, agent = read_agent(given)
        _check_policy_is_open(agent, given)
        return agent


class PolicyEntry(Entry):
    """A policy of an experiment, to be crossed with learners.

    Attributes:
        policy: the policy, given as such or as its expression.
    """

    shorthand: ClassVar[str] = "policy"

    policy: InstanceOf[Policy] = Field(description=_A_POLICY)

    @field_validator("policy", mode="before")
    @classmethod
    def _built(cls, given: Any) -> Policy:
        _check_given(given, Policy | Agent, _A_POLICY)
        name = full_name(type(given)) if isinstance(given, Agent) else _name_of_kind(given, "agent")
        if name is not None:
            raise ExperimentError(f"{name} is an agent, not a policy: give it under learners")
        if isinstance(given, type):
            raise ExperimentError(f"a policy is an expression or a Policy, got the class {given.__name__}: call it")
        return build_policy(given) if isinstance(given, str) else given


class CrossedEntry(AgentEntry):
    """An agent that was made of a learner and a policy of the experiment; users give those instead.

    Attributes:
        learner: label.
        policy: label.
    """

    learner: str
    policy: str


class HopelessEntry(CheckedModel):
    """When trials are given up early.

    Attributes:
        below: greedy return that one evaluation along the training must have reached.
        after: episodes, steps or epochs, as the budget counts, that each trial is granted to reach it.
    """

    below: Return = Field(description="a greedy return, such as 0.2")
    after: Count = Field(description="episodes, steps or epochs, as the budget counts")


class EnvironmentEntry(_Trained):
    """An environment of an experiment.

    Attributes:
        environment: its configuration, given as such or as its expression, or a function that makes it.
        episodes: training episodes of its trials, before the experiment's budget.
        steps: training steps of its trials, likewise; one budget alone.
        epochs: passes through its labelled examples, likewise.
        success: success rule instead of the experiment's and the environment's own.
        solved_at: greedy return at which it counts as solved, before the experiment's.
        hopeless: when its trials are given up, before the experiment's.
    """

    shorthand: ClassVar[str] = "environment"

    environment: InstanceOf[EnvironmentConfiguration] | Callable[[], gym.Env[Any, Any]] = Field(
        description=_AN_ENVIRONMENT
    )
    success: str | None = None
    solved_at: Return | None = None
    hopeless: HopelessEntry | None = None
    _profiles: dict[tuple[str, str | None], EnvironmentProfile] = PrivateAttr(default_factory=dict)

    @property
    def was_looked_at(self) -> bool:
        """Whether a profile of it is known."""
        return bool(self._profiles)

    def profile(self, label: str, rule: str | None, made: Callable[[], gym.Env[Any, Any]]) -> EnvironmentProfile:
        """Profile of the environment, which is looked at once.

        Args:
            label: in the experiment.
            rule: success rule that was asked for, or None.
            made: gives one to look at, which is left open.

        Raises:
            ExperimentError: it is another environment each time it is made.
            ValueError: it cannot be made, its transition model is not valid, or the rule does not fit; one line.
        """
        if (label, rule) not in self._profiles:
            name, make, is_expression = self.named
            profile = dataclasses.replace(EnvironmentProfile.of(label, make, rule, keeps_open=made()), keeps_open=None)
            different = difference_when_made_again(profile, is_expression=is_expression)
            if different is not None:
                raise ExperimentError(
                    f"{name} is another environment each time it is made ({different}), so that every trial would meet "
                    f"its own: {FIX}"
                )
            self._profiles[label, rule] = profile
        return self._profiles[label, rule]

    @property
    def named(self) -> NamedEnvironment:
        """Maker of the environment, with its name."""
        return read_environment(self.environment)

    @property
    def label(self) -> str:
        return self.named.label

    @field_validator("environment", mode="before")
    @classmethod
    def _configured(cls, given: Any) -> Any:
        if not callable(given):
            _check_given(given, EnvironmentConfiguration | gym.Env, _AN_ENVIRONMENT)
        if isinstance(given, str):
            return environment_configuration(given)
        read_environment(given)
        return given

    @field_validator("success")
    @classmethod
    def _is_a_success_rule(cls, success: str | None) -> str | None:
        if success is not None:
            parse_success_rule(success)
        return success


ENTRIES: dict[str, type[Entry]] = {
    "policies": PolicyEntry,
    "learners": LearnerEntry,
    "agents": AgentEntry,
    "environments": EnvironmentEntry,
}


def read_entries(field: str, given: Any) -> tuple[dict[str, Any], list[Mistake]]:
    """Entries by label, those that cannot be read as they are given, and the mistakes in them.

    Args:
        field: a key of `ENTRIES`.
        given: entries by label; or in a list, or one alone, whose labels are their expressions. Where one has lists of
            values, it stands for one entry of every combination, labelled by what varies.
    """
    model = ENTRIES[field]
    is_table = isinstance(given, Mapping) and not is_alone(model, given)
    several = given if isinstance(given, list | tuple) else [given]
    entries: dict[str, Any] = {}
    mistakes: list[Mistake] = []
    if not (given if is_table else several):
        mistakes.append(Mistake((field,), "must hold at least one label = expression, got none"))
    for key, item in given.items() if is_table else enumerate(several):
        place = item if isinstance(item, str) and not is_table else str(key)
        every, wrong = grid_of(model.shorthand, [*model.model_fields], item)
        mistakes += [mistake._replace(location=(field, place, *mistake.location)) for mistake in wrong]
        if not every:
            entries[place] = item
        reasons: set[str] = set()
        for words, one in every:
            entry, found = _read(model, one)
            if is_table:
                label = where = f"{place} · {words}" if words else place
                found += _mistakes_about_label(model, label, one)
            else:
                where = one if isinstance(one, str) else place
                label = _label_in_list(model, one, entry, where)
            # What all of a grid have in common is wrong once.
            found = [mistake for mistake in found if mistake.reason not in reasons]
            reasons |= {mistake.reason for mistake in found}
            mistakes += [mistake._replace(location=(field, where, *mistake.location)) for mistake in found]
            if label in entries:
                twice = repr(one if isinstance(one, str) else label)
                mistakes.append(Mistake((field, key), f"{model.shorthand} {twice} is given twice: give labels"))
            entries[label] = entry
    return entries, mistakes


def _read(model: type[Entry], item: Any) -> tuple[Any, list[Mistake]]:
    """The entry, or `item` as it is, and the mistakes in it."""
    mistakes, entry = [], item
    is_short = not isinstance(item, Mapping)
    if not isinstance(item, model):
        try:
            entry = model.model_validate({model.shorthand: item} if is_short else item)
        except ValidationError as error:
            mistakes = mistakes_in(error, model)
    if is_short:
        mistakes = [mistake._replace(location=mistake.location[1:]) for mistake in mistakes]
    if len(budgets_in(item)) > 1:
        mistakes.append(Mistake((), ONE_BUDGET))
    return entry, mistakes


def is_alone(model: type[Entry], given: Mapping[str, Any]) -> bool:
    """Whether a table is one entry, and not a table of entries by label."""
    others = [key for key in given if key not in model.model_fields]
    return model.shorthand in given and (not others or names_arguments(model.shorthand, given, others))


def readable(entries: Mapping[str, Any], model: type[AnyEntry]) -> dict[str, AnyEntry]:
    """Those entries that could be read."""
    return {label: entry for label, entry in entries.items() if isinstance(entry, model)}


def mistakes_about_places(agents: Mapping[str, Any], environments: Mapping[str, Any]) -> list[Mistake]:
    """Environments of agents that are not among the experiment's, and those on which no agent takes part.

    Args:
        agents: entries by label, as users write them or checked.
        environments: likewise.
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


def _label_in_list(model: type[Entry], item: Any, entry: Any, place: str) -> str:
    """The canonical text of an expression, else what its entry says, else its place."""
    text = item.get(model.shorthand) if isinstance(item, Mapping) else item
    if isinstance(text, str):
        try:
            return str(parse_expression(text))
        except ExpressionError:
            return text
    return entry.label if isinstance(entry, Entry) else place


def _mistakes_about_label(model: type[Entry], label: str, item: Any) -> Iterator[Mistake]:
    if not label.strip() or not is_printable(label):
        yield Mistake((), f"a label must be one line of visible text, got {shown(label)}")
    if not isinstance(item, Mapping) or model.shorthand in item:
        return
    # What TOML took for a field in a label without quotes such as epsilon0.1.
    known = {name for entry in ENTRIES.values() for name in entry.model_fields}
    for name, value in item.items():
        if isinstance(value, str) and name not in known and "did you mean" not in closest(name, known):
            yield Mistake((), f'a label with a dot needs quotes: "{label}.{name}"')
            return


def _check_given(given: Any, objects: Any, allowed: str) -> None:
    """Refuse what is neither a text, nor one of the objects, nor a class, which others say more of."""
    if not isinstance(given, str | type | objects) or (isinstance(given, str) and not given.strip()):
        raise ValueError(f"must be {allowed}, got {shown(given)}")


def _checked(name: str, factory: Callable[[], Any]) -> Maker:
    def make() -> gym.Env[Any, Any]:
        made = factory()
        if not isinstance(made, gym.Env):
            raise ExperimentError(f"the factory {name} must return a gymnasium.Env, got {made!r}{several_agents(made)}")
        return made

    # As functools.wraps would leave it: what the user gave is what keys are made of.
    make.__wrapped__ = factory  # type: ignore[attr-defined]
    return make


def _name_of_kind(given: Any, kind: str) -> str | None:
    """The name in an expression where it is one of the catalogue's of that kind."""
    name = parse_expression(given).name if isinstance(given, str) else ""
    return name if kind_of(name) == kind else None


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
