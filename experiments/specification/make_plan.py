"""Makes a plan of what users hand to `compare`: everything is read, made once and checked before anything runs."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from velodrome.agents.errors import check_budget_or_epochs, check_count
from velodrome.envs.success_rules import parse_success_rule
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.specification.crossing import NO_POLICIES, cross
from velodrome.experiments.specification.crossing_inputs import LearnerLike, PolicyLike, read_learner, read_policy
from velodrome.experiments.specification.entries import (
    AgentEntry,
    CrossedEntry,
    EnvironmentEntry,
    LearnerEntry,
    PolicyEntry,
    budgets_in,
    mistakes_about_places,
    places_of,
    read_agent_entry,
    read_environment_entry,
    read_learner_entry,
    read_policy_entry,
)
from velodrome.experiments.specification.environment_configuration import EnvironmentConfiguration
from velodrome.experiments.specification.inputs import (
    AgentLike,
    EnvironmentLike,
    read_agent,
    read_environment,
    read_seeds,
)
from velodrome.experiments.specification.made_again import FIX, difference_when_made_again
from velodrome.experiments.specification.mistakes import Mistake, field_path, shown
from velodrome.experiments.specification.pair_checks import check_pairs
from velodrome.experiments.specification.plan import Plan, PlannedAgent, PlannedEnvironment
from velodrome.experiments.texts import is_printable
from velodrome.experiments.trials.environment_profile import EnvironmentProfile
from velodrome.policies.configuration import to_expression

# A table is {"agent": …, "epochs": …, "environments": […]} or {"environment": …, "steps": …, "success": …}, likewise
# for learners.
AgentInput = AgentLike | AgentEntry | Mapping[str, Any]
LearnerInput = LearnerLike | LearnerEntry | Mapping[str, Any]
PolicyInput = PolicyLike | PolicyEntry | Mapping[str, Any]
EnvironmentInput = EnvironmentLike | EnvironmentEntry | Mapping[str, Any]
Agents = Mapping[str, AgentInput] | Sequence[AgentInput] | AgentInput
Learners = Mapping[str, LearnerInput] | Sequence[LearnerInput] | LearnerInput
Policies = Mapping[str, PolicyInput] | Sequence[PolicyInput] | PolicyInput
Environments = Mapping[str, EnvironmentInput] | Sequence[EnvironmentInput] | EnvironmentInput

_Entry = TypeVar("_Entry", AgentEntry, LearnerEntry, PolicyEntry, EnvironmentEntry)


def make_plan(
    agents: Agents | None,
    environments: Environments | None,
    *,
    policies: Policies | None = None,
    learners: Learners | None = None,
    seeds: int | Iterable[int],
    episodes: int | None,
    steps: int | None,
    epochs: int | None = None,
    evaluation_episodes: int = 100,
    evaluate_every: int | None = None,
    success: str | None = None,
    name: str = "comparison",
    description: str = "",
) -> Plan:
    """Plan of an experiment; the arguments are those of `compare`.

    Raises:
        BudgetError: a budget that is not positive, two at once, none for some trial, or epochs where there are no
            labelled examples.
        ExperimentError: no agent, environment or seed, something given twice, an agent on an environment that there is
            not or in which it cannot learn, an environment that is another one each time it is made, or a learner and
            a policy that cannot be crossed.
        ValueError: an expression cannot be read or built, or an environment not be made; one line.
    """
    evaluation_episodes = check_count("evaluation_episodes", evaluation_episodes)
    if evaluate_every is not None:
        evaluate_every = check_count("evaluate_every", evaluate_every)
    agent_entries = _agent_entries(agents, policies, learners)
    if environments is None:
        raise ExperimentError("give at least one environment")
    environment_entries = _by_label(environments, "environment", read_environment_entry, _environment_label)
    _refuse(mistakes_about_places(agent_entries, list(environment_entries)))
    _check_texts(name, description, list(agent_entries), list(environment_entries))
    without = [label for label, entry in environment_entries.items() if not budgets_in(entry)]
    every_pair_has_one = all(
        budgets_in(entry) or not set(without).intersection(places_of(entry) or without)
        for entry in agent_entries.values()
    )
    if not every_pair_has_one or any(given is not None for given in (episodes, steps, epochs)):
        episodes, steps, epochs = check_budget_or_epochs(episodes, steps, epochs)
    if success is not None:
        parse_success_rule(success)
    all_seeds = read_seeds(seeds)
    plan = Plan(
        name,
        description,
        {label: _planned_agent(label, entry) for label, entry in agent_entries.items()},
        {label: _planned_environment(label, entry, success) for label, entry in environment_entries.items()},
        all_seeds,
        episodes,
        steps,
        evaluation_episodes,
        success,
        factors={
            label: {"learner": entry.learner, "policy": entry.policy}
            for label, entry in agent_entries.items()
            if isinstance(entry, CrossedEntry)
        },
        epochs=epochs,
        evaluate_every=evaluate_every,
    )
    for environment in plan.environments:
        for agent in plan.agents_on(environment):
            plan.budget(agent, environment)
    check_pairs(plan)
    return plan


def _check_texts(name: str, description: str, agents: list[str], environments: list[str]) -> None:
    """Refuse names that cannot be stored, or that command the terminal that prints them, before anything runs.

    Raises:
        ExperimentError: one holds half a character, or, the description apart, is more than a line of visible text.
    """
    named = [("name", name), ("description", description)]
    named += [("the label of an agent", label) for label in agents]
    named += [("the label of an environment", label) for label in environments]
    for field, text in named:
        try:
            str(text).encode()
        except UnicodeEncodeError as error:
            raise ExperimentError(f"{field} holds half a character, {text[error.start]!a}: got {text!a}") from None
        if field != "description" and not is_printable(str(text)):
            raise ExperimentError(f"{field} must be one line without control characters, got {shown(text)}")


def _agent_entries(agents: Any, policies: Any, learners: Any) -> dict[str, AgentEntry]:
    """The agents as they were given, then those crossed."""
    if policies is None and learners is not None:
        raise ExperimentError(NO_POLICIES)
    if policies is None and agents is None:
        raise ExperimentError("give agents, or policies and learners")
    entries = {} if agents is None else _by_label(agents, "agent", read_agent_entry, _agent_label)
    if policies is None:
        return entries
    crossing = cross(
        {} if learners is None else _by_label(learners, "learner", read_learner_entry, _learner_label),
        _by_label(policies, "policy", read_policy_entry, _policy_label),
        entries,
    )
    _refuse(crossing.mistakes)
    return {**entries, **crossing.agents}


def _refuse(mistakes: Sequence[Mistake]) -> None:
    if mistakes:
        raise ExperimentError("\n".join(f"{field_path(mistake.location)}: {mistake.reason}" for mistake in mistakes))


def _planned_agent(label: str, entry: AgentEntry) -> PlannedAgent:
    _, agent = read_agent(entry.agent)
    places = None if entry.environments is None else tuple(entry.environments)
    return PlannedAgent(label, agent, to_expression(agent), entry.episodes, entry.steps, entry.epochs, places)


def _planned_environment(label: str, entry: EnvironmentEntry, success: str | None) -> PlannedEnvironment:
    named = read_environment(entry.environment)
    rule = entry.success if entry.success is not None else success
    try:
        profile = EnvironmentProfile.of(label, named.make, rule)
    except ValueError as error:
        raise ExperimentError(f"environments.{label}: {error}") from None
    is_expression = isinstance(entry.environment, str | EnvironmentConfiguration)
    different = difference_when_made_again(profile, is_expression=is_expression)
    if different is not None:
        raise ExperimentError(
            f"environments.{label}: {named.expression} is another environment each time it is made ({different}), so "
            f"that every trial would meet its own: {FIX}"
        )
    return PlannedEnvironment(
        label, named.expression, named.make, profile, rule, entry.episodes, entry.steps, entry.epochs, is_expression
    )


def _by_label(
    given: Any, kind: str, read: Callable[[str, Any], _Entry], label_of: Callable[[_Entry], str]
) -> dict[str, _Entry]:
    """Entries by label; without labels, the canonical expression is the label."""
    if isinstance(given, Mapping) and kind not in given:
        entries = {str(label): read(str(label), item) for label, item in given.items()}
    else:
        items = given if isinstance(given, list | tuple) else [given]
        listed = [read(item if isinstance(item, str) else str(place), item) for place, item in enumerate(items)]
        entries = {}
        for entry in listed:
            label = label_of(entry)
            if label in entries:
                raise ExperimentError(f"{kind} {label!r} is given twice: give labels, as a dict")
            entries[label] = entry
    if not entries:
        raise ExperimentError(f"give at least one {kind}")
    return entries


def _agent_label(entry: AgentEntry) -> str:
    return read_agent(entry.agent)[0]


def _learner_label(entry: LearnerEntry) -> str:
    return read_learner(entry.learner)[0]


def _policy_label(entry: PolicyEntry) -> str:
    return read_policy(entry.policy)[0]


def _environment_label(entry: EnvironmentEntry) -> str:
    return read_environment(entry.environment).label
