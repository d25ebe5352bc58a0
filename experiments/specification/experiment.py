"""The experiment: all that is compared, read and checked whole before anything runs; it alone makes the plan."""

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Self, TypedDict

import gymnasium as gym
import numpy as np
from pydantic import Field, PrivateAttr, ValidationError, field_validator

from velodrome.agents.agent import Agent
from velodrome.checks import ConfigurationError, one_line
from velodrome.envs.success_rules import parse_success_rule
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.specification.entries import (
    BUDGETS,
    ENTRIES,
    LARGEST_INTEGER,
    ONE_BUDGET,
    AgentEntry,
    Count,
    CrossedEntry,
    EnvironmentEntry,
    HopelessEntry,
    LearnerEntry,
    PolicyEntry,
    Return,
    budgets_in,
    is_alone,
    mistakes_about_places,
    places_of,
    read_entries,
    readable,
)
from velodrome.experiments.specification.environment_configuration import EnvironmentConfiguration, Maker
from velodrome.experiments.specification.mistakes import CheckedModel, Mistake, mistake_lines, mistakes_in, shown
from velodrome.experiments.specification.plan import Plan, PlannedAgent, PlannedEnvironment
from velodrome.experiments.specification.plan_checks import check_pairs
from velodrome.experiments.specification.search_spaces import has_space
from velodrome.experiments.texts import is_printable
from velodrome.experiments.trials.hopeless import Hopeless
from velodrome.experiments.trials.measures import measure_named
from velodrome.policies.configuration import to_expression
from velodrome.policies.policy import Policy

# A table is {"agent": …, "epochs": …, "environments": […]}, {"environment": …, "steps": …, "success": …}, likewise.
AgentInput = Agent | str | AgentEntry | Mapping[str, Any]
LearnerInput = Agent | str | LearnerEntry | Mapping[str, Any]
PolicyInput = Policy | str | PolicyEntry | Mapping[str, Any]
EnvironmentInput = str | EnvironmentConfiguration | Maker | EnvironmentEntry | Mapping[str, Any]
Agents = Mapping[str, AgentInput] | Sequence[AgentInput] | AgentInput
Learners = Mapping[str, LearnerInput] | Sequence[LearnerInput] | LearnerInput
Policies = Mapping[str, PolicyInput] | Sequence[PolicyInput] | PolicyInput
Environments = Mapping[str, EnvironmentInput] | Sequence[EnvironmentInput] | EnvironmentInput

# Crossed with policies where no learner is given.
DEFAULT_LEARNER = "q_learning"
# A larger number is most likely a seed that was meant for a list.
MOST_SEEDS = 1_000_000
_SEVERAL = "a table of label = expression, or a list of expressions"
_NO_POLICIES = "learners are crossed with policies: give policies too, or give the learners under agents"
_NOT_EVALUATED = "is reached in evaluations along the training: give evaluate_every too"
_HAS_SPACE = "agents: holds search spaces, which are tuned first: velodrome tune EXPERIMENT, or vd.tune(…)"
_MOST_PAIRS_TOLD = 3
_LONGEST_LIST = 80


class ExperimentFields(TypedDict, total=False):
    """The fields of an `Experiment`, in all the forms in which they may be given."""

    policies: Policies | None
    learners: Learners | None
    episodes: int | None
    steps: int | None
    epochs: int | None
    evaluate_every: int | None
    snapshots: int | None
    seeds: int | Iterable[int] | None
    evaluation_episodes: int | None
    success: str | None
    solved_at: float | None
    hopeless: Mapping[str, float] | None
    metric: str | None
    name: str | None
    description: str | None


class Experiment(CheckedModel):
    """An experiment: what is compared, whether a file says it or a program.

    Agents, learners, policies and environments are given by label, or in a list (the expression is then the label), or
    one alone: as an expression such as "q_learning(discount=0.9)", as an object, or as a table such as
    {"agent": "dyna_q", "episodes": 200}. Lists of values are a grid: {"agent": "dyna_q", "discount": [0.9, 1.0]} makes
    two agents. An environment may be a factory, too. Every learner is crossed with every policy; learner and policy
    make the agent "learner · policy". A trial's budget is its agent's (or learner's) own, else its environment's own,
    else the experiment's.

    Everything is read, built and looked at once, when the experiment is made; modules that it names are imported.

    Attributes:
        name: title of tables and plots.
        description: the question that it answers, in a sentence.
        policies: policies to cross with the learners: how to explore.
        learners: agents whose policy is left open; q_learning where there are policies alone.
        agents: agents with all that they are; those that were crossed among them, once the experiment is made.
        environments: environments.
        episodes: training episodes of a trial; one of the three budgets, or none where every trial has one without.
        steps: training steps of a trial.
        epochs: passes through an environment's labelled examples; an episode is one of them.
        evaluate_every: episodes, steps or epochs (what the budget counts) between two evaluations during training;
            none if None.
        snapshots: moments of each training, at least 2, from before it to its end, at which the action values of all
            states are kept; none if None.
        seeds: how many (0, 1, 2, …), or the seeds themselves.
        evaluation_episodes: sampled episodes of the greedy policy where its value can neither be computed nor be asked
            of all labelled examples.
        success: success rule instead of the environments' own, such as "return > 0".
        solved_at: greedy return, of the evaluations along the training, at which an environment counts as solved;
            tables then have the share of seeds that solved it and fell back, and the steps and seconds that it took.
        hopeless: when a trial is given up: {"below": 0.2, "after": 2000} stops it at the first evaluation from 2,000 on
            (episodes, steps or epochs, what its budget counts) if none so far reached a greedy return of 0.2. It has no
            score then, and its agent no mean. Trials of agents that do not learn go on.
        metric: what decides between agents, such as "greedy_return"; greedy success where there is a success rule, or
            else greedy return, if None.

    Raises:
        ExperimentError: mistakes, each in a line with the path of its field: nothing to compare, an expression that
            cannot be read or built, something given twice, a learner and a policy that cannot be crossed, an
            environment that cannot be made or is another one each time, an agent that cannot learn in it.
        BudgetError: epochs where an environment has no labelled examples.
    """

    name: str
    description: str = ""
    policies: dict[str, PolicyEntry] = Field(default_factory=dict)
    learners: dict[str, LearnerEntry] = Field(default_factory=dict)
    agents: dict[str, AgentEntry] = Field(description=_SEVERAL)
    environments: dict[str, EnvironmentEntry] = Field(description=_SEVERAL)
    episodes: Count | None = None
    steps: Count | None = None
    epochs: Count | None = None
    evaluate_every: Count | None = None
    snapshots: Count | None = None
    seeds: int | list[int] = 30
    evaluation_episodes: Count = 100
    success: str | None = None
    solved_at: Return | None = None
    hopeless: HopelessEntry | None = None
    metric: str | None = None
    _crossed: frozenset[str] = PrivateAttr()
    _plan: Plan = PrivateAttr()

    def __init__(self, /, **given: Any) -> None:
        fields = {field: value for field, value in given.items() if value is not None}
        if has_space(fields.get("agents")):
            raise ExperimentError(_HAS_SPACE)
        entries: dict[str, dict[str, Any]] = {field: {} for field in ENTRIES}
        mistakes: list[Mistake] = []
        for field in [field for field in ENTRIES if field in fields]:
            entries[field], found = read_entries(field, fields[field])
            mistakes += found
        crossed, found = _cross(entries, fields)
        everyone = entries["agents"] | crossed
        mistakes += [*found, *mistakes_about_places(everyone, entries["environments"])]
        mistakes += _budget_mistakes(fields, everyone, entries["environments"])
        # What cannot be read is left out, so that the mistakes in all other fields are found at the same time.
        fields |= {field: readable(entries[field], model) for field, model in ENTRIES.items() if field in fields}
        if "agents" in fields or "policies" in fields or "learners" in fields:
            fields["agents"] = readable(everyone, AgentEntry)
        try:
            super().__init__(**fields)
        except ValidationError as error:
            mistakes = mistakes_in(error, Experiment) + mistakes
        with _Opened(entries["environments"]) as opened:
            for label, place in opened.places.items():
                try:
                    if not place.was_looked_at:
                        opened.one_of(label)
                except ValueError as error:
                    mistakes.append(Mistake(_location(given["environments"], label), str(error)))
            _refuse(mistakes)
            self._crossed = frozenset(crossed)
            self._plan = self._new_plan(opened)

    def plan(self) -> Plan:
        """All trials, ready to run."""
        return self._plan

    def changed(self, **changes: Any) -> "Experiment":
        """Another experiment with other fields; a budget goes before all budgets of this one, entries' own too.

        Args:
            changes: new values of fields, by name.
        """
        fields = {field: getattr(self, field) for field in self.model_fields_set}
        fields["agents"] = {label: entry for label, entry in self.agents.items() if label not in self._crossed} or None
        return Experiment(**changed_fields(fields, changes))

    @field_validator("name")
    @classmethod
    def _name_can_be_a_title(cls, name: str) -> str:
        if not is_printable(name) or not any(character.isalnum() for character in name):
            raise ValueError(f"must be one line of text with a letter or digit, got {shown(name)}")
        return name

    @field_validator("description")
    @classmethod
    def _description_can_be_stored(cls, description: str) -> str:
        try:
            description.encode()
        except UnicodeEncodeError as error:
            half = description[error.start]
            raise ValueError(f"holds half a character, {half!a}: got {description!a}") from None
        return description

    @field_validator("success")
    @classmethod
    def _is_a_success_rule(cls, success: str | None) -> str | None:
        if success is not None:
            parse_success_rule(success)
        return success

    @field_validator("snapshots")
    @classmethod
    def _has_a_start_and_an_end(cls, snapshots: int | None) -> int | None:
        if snapshots is not None and snapshots < 2:
            raise ValueError(f"must be at least 2, before training and at its end, got {snapshots}")
        return snapshots

    @field_validator("metric")
    @classmethod
    def _is_a_measure(cls, metric: str | None) -> str | None:
        if metric is not None:
            try:
                measure_named(metric)
            except ExperimentError as error:
                raise ValueError(str(error).removeprefix("metric ")) from None
        return metric

    @field_validator("seeds", mode="before")
    @classmethod
    def _seeds_are_usable(cls, seeds: Any) -> int | list[int]:
        if isinstance(seeds, Iterable) and not isinstance(seeds, str | bytes | Mapping):
            return different_seeds(list(seeds))
        if not _is_whole(seeds) or seeds < 1:
            raise ValueError(f"must be a whole number of at least 1, or a list of seeds, got {shown(seeds)}")
        if seeds > MOST_SEEDS:
            raise ValueError(
                f"must be a number of seeds, at most {MOST_SEEDS}, or a list of seeds such as [7], got {shown(seeds)}"
            )
        return int(seeds)

    def _new_plan(self, opened: "_Opened") -> Plan:
        mistakes: list[Mistake] = []
        environments = {}
        for label, entry in self.environments.items():
            rule = entry.success if entry.success is not None else self.success
            try:
                profile = entry.profile(label, rule, partial(opened.one_of, label))
            except ValueError as error:
                mistakes.append(Mistake(("environments", label), str(error)))
                continue
            name, make, is_expression = entry.named
            hopeless = self.hopeless if entry.hopeless is None else entry.hopeless
            environments[label] = PlannedEnvironment(
                label, name, make, profile, rule, entry.episodes, entry.steps, entry.epochs, is_expression,
                self.solved_at if entry.solved_at is None else entry.solved_at,
                None if hopeless is None else Hopeless(hopeless.below, hopeless.after),
            )  # fmt: skip
            if environments[label].solved_at is not None and self.evaluate_every is None:
                owner = () if entry.solved_at is None else ("environments", label)
                mistakes.append(Mistake((*owner, "solved_at"), _NOT_EVALUATED))
            owner = () if entry.hopeless is None else ("environments", label)
            mistakes += [
                Mistake((*owner, *field), why) for field, why in _wrong_about(environments[label], self.evaluate_every)
            ]
        _refuse(mistakes)
        plan = Plan(
            self.name,
            self.description,
            {label: _planned_agent(label, entry) for label, entry in self.agents.items()},
            environments,
            list(range(self.seeds)) if isinstance(self.seeds, int) else self.seeds,
            self.episodes,
            self.steps,
            self.evaluation_episodes,
            self.success,
            factors={
                label: {"learner": entry.learner, "policy": entry.policy}
                for label, entry in self.agents.items()
                if isinstance(entry, CrossedEntry)
            },
            epochs=self.epochs,
            evaluate_every=self.evaluate_every,
            snapshots=self.snapshots,
            metric=self.metric,
        )
        for environment in environments:
            for agent in plan.agents_on(environment):
                budget = plan.budget(agent, environment)
                total = budget.episodes or budget.steps or 0
                if budget.hopeless is not None and budget.hopeless.after >= total:
                    own = self.environments[environment].hopeless is not None
                    place = ("environments", environment) if own else ()
                    ends = f"the training of {agent!r} on {environment!r} ends before, or there"
                    mistakes.append(Mistake((*place, "hopeless", "after"), f"{ends}: stop none, or give less"))
        _refuse(mistakes)
        check_pairs(plan, opened.one_of)
        return plan


def _wrong_about(place: PlannedEnvironment, every: int | None) -> list[tuple[tuple[str, ...], str]]:
    """Fields of `hopeless` on an environment that cannot be, and why.

    Args:
        place: the environment.
        every: between two evaluations along the training, or None.
    """
    rule = place.hopeless
    if rule is None:
        return []
    if every is None:
        return [(("hopeless",), "looks at evaluations along the training: give evaluate_every too")]
    wrong: list[tuple[tuple[str, ...], str]] = []
    if rule.after % every:
        wrong.append((("hopeless", "after"), f"must be a multiple of evaluate_every ({every}), got {rule.after}"))
    best = place.profile.best
    if place.solved_at is not None and rule.below > place.solved_at:
        wrong.append((("hopeless", "below"), f"must be at most solved_at ({place.solved_at:g}), got {rule.below:g}"))
    elif best is not None and rule.below > best.expected_return:
        most = f"no policy reaches it on {place.label!r}: the best possible return is {best.expected_return:.4g}"
        wrong.append((("hopeless", "below"), f"{most}, got {rule.below:g}"))
    return wrong


def changed_fields(fields: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of an experiment, as written or checked, with others in their place.

    Args:
        fields: by name.
        changes: likewise, without those that are None; a budget goes before all budgets in `fields`, entries' own too.
    """
    changes = {field: value for field, value in changes.items() if value is not None}
    kept = dict(fields)
    if changes.keys() & set(BUDGETS):
        kept = {field: value for field, value in fields.items() if field not in BUDGETS}
        for field, model in ENTRIES.items():
            given = kept.get(field)
            if isinstance(given, list | tuple):
                kept[field] = [_without_budget(entry) for entry in given]
            elif isinstance(given, Mapping) and not is_alone(model, given):
                kept[field] = {label: _without_budget(entry) for label, entry in given.items()}
            elif given is not None:
                kept[field] = _without_budget(given)
    return kept | changes


def _without_budget(entry: Any) -> Any:
    if isinstance(entry, AgentEntry | LearnerEntry | EnvironmentEntry):
        return entry.without_budget()
    return {key: value for key, value in entry.items() if key not in BUDGETS} if isinstance(entry, Mapping) else entry


def _cross(entries: Mapping[str, Mapping[str, Any]], given: Collection[str]) -> tuple[dict[str, Any], list[Mistake]]:
    """Every learner with every policy by label, and the pairs that make no agent; the budget is the learner's.

    Args:
        entries: of all fields by label; those that could not be read stand for their agents.
        given: fields that were given.
    """
    if "learners" in given and "policies" not in given:
        return {}, [Mistake((), _NO_POLICIES)]
    learners, policies = entries["learners"], entries["policies"]
    if "learners" not in given and policies:
        learners = {DEFAULT_LEARNER: LearnerEntry.model_validate({"learner": DEFAULT_LEARNER})}
    crossed: dict[str, Any] = {}
    mistakes = []
    for learner_label, learner in learners.items():
        for policy_label, policy in policies.items():
            label = f"{learner_label} · {policy_label}"
            crossed.setdefault(label, learner)
            if not isinstance(learner, LearnerEntry) or not isinstance(policy, PolicyEntry):
                continue
            try:
                if label in entries["agents"] or isinstance(crossed[label], CrossedEntry):
                    raise ExperimentError(f"another agent has the label {label!r}: change one of them")
                crossed[label] = CrossedEntry(
                    agent=_with_policy(learner.learner, policy.policy), learner=learner_label, policy=policy_label,
                    **{budget: getattr(learner, budget) for budget in BUDGETS},
                )  # fmt: skip
            except ExperimentError as error:
                mistakes.append(Mistake(("learners", learner_label), f"with policy {policy_label!r}: {error}"))
    return crossed, mistakes


def _with_policy(learner: Agent, policy: Policy) -> Agent:
    """The learner's configuration with another policy.

    Raises:
        ExperimentError: the learner cannot use it; one line.
    """
    try:
        return dataclasses.replace(learner, policy=policy)  # type: ignore[type-var]
    # The class may be the user's own, and raise anything.
    except Exception as error:
        reason = str(error) if isinstance(error, ConfigurationError) else one_line(error)
        raise ExperimentError(
            f"{reason}; to leave this pair out, give the others under agents, each with a policy of its own"
        ) from error


def _budget_mistakes(
    fields: Mapping[str, Any], agents: Mapping[str, Any], environments: Mapping[str, Any]
) -> list[Mistake]:
    own = budgets_in(fields)
    if own:
        return [Mistake((), ONE_BUDGET)] if len(own) > 1 else []
    if not agents or not environments:
        return [Mistake((), ONE_BUDGET)]
    pairs = [
        f"{agent!r} on {environment!r}"
        for environment, place in environments.items()
        for agent, entry in agents.items()
        if not budgets_in(place) and not budgets_in(entry) and environment in (places_of(entry) or environments)
    ]
    if not pairs:
        return []
    more = f" and {len(pairs) - _MOST_PAIRS_TOLD} more" if len(pairs) > _MOST_PAIRS_TOLD else ""
    return [Mistake((), f"{ONE_BUDGET}: no budget for {', '.join(pairs[:_MOST_PAIRS_TOLD])}{more}")]


def _refuse(mistakes: list[Mistake]) -> None:
    """Raise an error with all mistakes, in the order of the fields."""
    order = [*Experiment.model_fields]

    def place(mistake: Mistake) -> int:
        field = mistake.location[0] if mistake.location else ""
        return order.index(str(field)) if field in order else len(order) + (not mistake.location)

    if mistakes:
        raise ExperimentError(mistake_lines(sorted(mistakes, key=place)))


def _planned_agent(label: str, entry: AgentEntry) -> PlannedAgent:
    places = None if entry.environments is None else tuple(entry.environments)
    return PlannedAgent(
        label, entry.agent, to_expression(entry.agent), entry.episodes, entry.steps, entry.epochs, places
    )


def different_seeds(seeds: list[Any]) -> list[int]:
    """Seeds as plain numbers.

    Raises:
        ValueError: none, something that is no seed, or one twice; without the field's name.
    """
    for seed in seeds:
        if not _is_whole(seed) or seed < 0:
            raise ValueError(f"must be different whole numbers of at least 0, got {shown(seed)}")
        if seed > LARGEST_INTEGER:
            raise ValueError(f"must be at most {LARGEST_INTEGER} (2**63 - 1), got {shown(seed)}")
    repeated = [seed for seed, times in Counter(seeds).items() if times > 1]
    if repeated or not seeds:
        given = repr(seeds) if len(repr(seeds)) <= _LONGEST_LIST else f"{repeated[0]} twice"
        raise ValueError(f"must be different whole numbers of at least 0, got {given}")
    return [int(seed) for seed in seeds]


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


class _Opened:
    """Environments that are made once to look at, and closed in the end.

    Args:
        entries: by label, those that cannot be read as they were given.
    """

    def __init__(self, entries: Mapping[str, Any]) -> None:
        self.places = readable(entries, EnvironmentEntry)
        for label in entries.keys() - self.places.keys():
            # Where another field is wrong, the environment itself may be wrong, too.
            with contextlib.suppress(ValidationError, TypeError, KeyError):
                alone = {"environment": entries[label]["environment"]}
                self.places[label] = EnvironmentEntry.model_validate(alone)
        self._made: dict[str, gym.Env[Any, Any]] = {}

    def one_of(self, label: str) -> gym.Env[Any, Any]:
        """The one of that label, made where it is not yet."""
        if label not in self._made:
            self._made[label] = self.places[label].named.make()
        return self._made[label]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for env in self._made.values():
            with contextlib.suppress(Exception):
                env.close()


def _location(environments: Any, label: str) -> tuple[str, ...]:
    """Where a file says what environment it is."""
    is_table = isinstance(environments, Mapping) and isinstance(environments.get(label), Mapping)
    return ("environments", label, "environment") if is_table else ("environments", label)
