"""What `velodrome compare` runs, checked whole before anything runs."""

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import Field, ValidationError, ValidationInfo, field_validator

from velodrome.checks import closest
from velodrome.envs.success_rules import parse_success_rule
from velodrome.experiments.specification.crossing import DEFAULT_LEARNER, NO_POLICIES, cross, crossed_label
from velodrome.experiments.specification.entries import (
    ONE_BUDGET,
    AgentEntry,
    Count,
    EnvironmentEntry,
    LearnerEntry,
    PolicyEntry,
    budgets_in,
    mistakes_about_places,
    places_of,
)
from velodrome.experiments.specification.expression import parse_expression
from velodrome.experiments.specification.inputs import LARGEST_SEED, MOST_SEEDS
from velodrome.experiments.specification.mistakes import CheckedModel, Mistake, shown

_KINDS = {"policies": "policy", "learners": "learner", "agents": "agent", "environments": "environment"}
_ENTRIES = "a table of label = expression, or a list of expressions"
_MOST_PAIRS_TOLD = 3
_LONGEST_LIST = 80

_Model = TypeVar("_Model", bound=CheckedModel)


class Experiment(CheckedModel):
    """An experiment: agents, environments, budgets and seeds.

    Every learner is crossed with every policy. A trial's budget is its agent's (or learner's) own, else its
    environment's own, else the experiment's.

    Attributes:
        name: title of tables and plots.
        description: the question, in a sentence.
        policies: label to policy.
        learners: label to learner; empty for the default one where there are policies.
        agents: label to agent, the learners crossed with the policies among them.
        environments: label to environment.
        episodes: training episodes of a trial; one of the three budgets, or none where every trial has one without.
        steps: training steps of a trial.
        epochs: passes through an environment's labelled examples.
        seeds: how many, or the seeds themselves.
        evaluation_episodes: sampled episodes where the greedy policy's value cannot be computed.
        evaluate_every: episodes, steps or epochs, as the budget counts, between evaluations along a training; none of
            these if None.
        success: success rule instead of the environments' own.
    """

    name: str
    description: str = ""
    policies: dict[str, PolicyEntry] = Field(default_factory=dict)
    learners: dict[str, LearnerEntry] = Field(default_factory=dict)
    agents: dict[str, AgentEntry] = Field(default=None, validate_default=True)
    environments: dict[str, EnvironmentEntry] = Field(description=_ENTRIES)
    episodes: Count | None = None
    steps: Count | None = None
    epochs: Count | None = None
    seeds: int | list[int] = 30
    evaluation_episodes: Count = 100
    evaluate_every: Count | None = None
    success: str | None = None

    @field_validator("name")
    @classmethod
    def _name_can_be_a_title(cls, name: str) -> str:
        if not name.isprintable() or not any(character.isalnum() for character in name):
            raise ValueError(f"must be one line of text with a letter or digit, got {shown(name)}")
        return name

    @field_validator(*_KINDS, mode="before")
    @classmethod
    def _by_label(cls, given: Any, info: ValidationInfo) -> Any:
        if given is None and info.field_name == "agents":
            # Fields that hold a mistake are not in the data, but were given.
            if any(info.data.get(field, True) for field in ("policies", "learners")):
                return {}
            raise ValueError(f"field required: {_ENTRIES}")
        if not isinstance(given, Mapping | list):
            raise ValueError(f"must be {_ENTRIES}, got {shown(given)}")
        if not given:
            raise ValueError("must hold at least one label = expression, got none")
        return _labelled(given)

    @field_validator("agents")
    @classmethod
    def _with_crossed_ones(cls, agents: dict[str, AgentEntry], info: ValidationInfo) -> dict[str, AgentEntry]:
        return {**agents, **cross(info.data.get("learners", {}), info.data.get("policies", {}), agents).agents}

    @field_validator("success")
    @classmethod
    def _is_a_success_rule(cls, success: str | None) -> str | None:
        if success is not None:
            parse_success_rule(success)
        return success

    @field_validator("seeds", mode="before")
    @classmethod
    def _seeds_are_usable(cls, seeds: Any) -> Any:
        if isinstance(seeds, list):
            return _different_seeds(seeds)
        if not isinstance(seeds, int) or isinstance(seeds, bool) or seeds < 1:
            raise ValueError(f"must be a whole number of at least 1, or a list of seeds, got {shown(seeds)}")
        if seeds > MOST_SEEDS:
            raise ValueError(
                f"must be a number of seeds, at most {MOST_SEEDS}, or a list of seeds such as [7], got {shown(seeds)}"
            )
        return seeds

    @classmethod
    def mistakes_between_fields(cls, given: Mapping[str, Any]) -> list[Mistake]:
        mistakes: list[Mistake] = []
        for field in _KINDS:
            entries = given.get(field)
            if isinstance(entries, Mapping):
                mistakes += _label_mistakes(field, entries)
            elif isinstance(entries, list):
                mistakes += _list_mistakes(field, entries)
        places = mistakes_about_places(_all_agents(given), list(_labelled(given.get("environments"))))
        return [*mistakes, *places, *_crossing_mistakes(given), *_budget_mistakes(given)]


def _different_seeds(seeds: list[Any]) -> list[int]:
    for seed in seeds:
        if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
            raise ValueError(f"must be different whole numbers of at least 0, got {shown(seed)}")
        if seed > LARGEST_SEED:
            raise ValueError(f"must be at most {LARGEST_SEED} (2**63 - 1), got {shown(seed)}")
    repeated = [seed for seed, times in Counter(seeds).items() if times > 1]
    if repeated or not seeds:
        given = repr(seeds) if len(repr(seeds)) <= _LONGEST_LIST else f"{repeated[0]} twice"
        raise ValueError(f"must be different whole numbers of at least 0, got {given}")
    return seeds


def _label_mistakes(field: str, entries: Mapping[str, Any]) -> Iterator[Mistake]:
    for label, entry in entries.items():
        if not label.strip() or not label.isprintable():
            yield Mistake((field, label), f"a label must be one line of visible text, got {shown(label)}")
        rest = _rest_of_label(field, entry)
        if rest is not None:
            yield Mistake((field, label), f'a label with a dot needs quotes: "{label}.{rest}"')


def _rest_of_label(field: str, entry: Any) -> str | None:
    """What TOML took for a field in a label without quotes such as epsilon0.1, or None."""
    if not isinstance(entry, Mapping) or _KINDS[field] in entry:
        return None
    entries = (AgentEntry, LearnerEntry, PolicyEntry, EnvironmentEntry)
    fields = [name for model in entries for name in model.model_fields]
    names = (key for key, value in entry.items() if isinstance(value, str) and key not in fields)
    return next((name for name in names if "did you mean" not in closest(name, fields)), None)


def _list_mistakes(field: str, entries: list[Any]) -> Iterator[Mistake]:
    known: set[str] = set()
    for place, item in enumerate(entries):
        if not isinstance(item, str):
            advice = f': write [{field}."label"]' if isinstance(item, Mapping) else ""
            yield Mistake((field, place), f"must be an expression, got {shown(item)}{advice}")
        elif (text := _canonical(item)) in known:
            yield Mistake((field, place), f"{_KINDS[field]} {item!r} is given twice: give labels, as a table")
        else:
            known.add(text)


def _crossing_mistakes(given: Mapping[str, Any]) -> list[Mistake]:
    """Of learners and policies that are each without a mistake."""
    policies, learners = given.get("policies"), given.get("learners")
    if learners is not None and policies is None:
        return [Mistake((), NO_POLICIES)]
    readable = _readable(LearnerEntry, learners)
    if learners is not None and not readable:
        return []
    return cross(readable, _readable(PolicyEntry, policies), _labelled(given.get("agents"))).mistakes


def _readable(model: type[_Model], entries: Any) -> dict[str, _Model]:
    readable = {}
    for label, entry in _labelled(entries).items():
        with contextlib.suppress(ValidationError):
            readable[label] = model.model_validate(entry)
    return readable


def _labelled(entries: Any) -> Mapping[str, Any]:
    """Entries by label, of a table or a list; none where they are neither."""
    if isinstance(entries, list):
        return {item: item for item in entries if isinstance(item, str)}
    return entries if isinstance(entries, Mapping) else {}


def _budget_mistakes(given: Mapping[str, Any]) -> list[Mistake]:
    own = budgets_in(given)
    if own:
        return [Mistake((), ONE_BUDGET)] if len(own) > 1 else []
    all_agents = _all_agents(given)
    agents, environments = _labels_without_budget(all_agents), _labels_without_budget(given.get("environments"))
    if agents == [] or environments == []:
        return []
    if agents is None or environments is None:
        return [Mistake((), ONE_BUDGET)]
    places = {agent: places_of(all_agents[agent]) for agent in agents}
    pairs = [
        f"{agent!r} on {environment!r}"
        for environment in environments
        for agent in agents
        if environment in (places[agent] or environments)
    ]
    if not pairs:
        return []
    more = f" and {len(pairs) - _MOST_PAIRS_TOLD} more" if len(pairs) > _MOST_PAIRS_TOLD else ""
    return [Mistake((), f"{ONE_BUDGET}: no budget for {', '.join(pairs[:_MOST_PAIRS_TOLD])}{more}")]


def _all_agents(given: Mapping[str, Any]) -> dict[str, Any]:
    """What stands for each agent, by label: its entry, or its learner's if it is crossed."""
    learners = _labelled(given.get("learners", {DEFAULT_LEARNER: DEFAULT_LEARNER}))
    crossed = {
        crossed_label(learner, policy): entry
        for learner, entry in learners.items()
        for policy in _labelled(given.get("policies"))
    }
    return {**_labelled(given.get("agents")), **crossed}


def _labels_without_budget(given: Any) -> list[str] | None:
    """Labels of the entries that own no budget; None where there are no entries to be read."""
    entries = _labelled(given)
    return [label for label, entry in entries.items() if not budgets_in(entry)] if entries else None


def _canonical(expression: str) -> str:
    try:
        return str(parse_expression(expression))
    except ValueError:
        return expression
