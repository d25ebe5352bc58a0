"""What `velodrome compare` runs, checked whole before anything runs."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field, field_validator

from velodrome.envs.success_rules import parse_success_rule
from velodrome.experiments.entries import ONE_BUDGET, AgentEntry, Count, EnvironmentEntry
from velodrome.experiments.expressions.expression import parse_expression
from velodrome.experiments.inputs import LARGEST_SEED, MOST_SEEDS
from velodrome.experiments.mistakes import CheckedModel, Mistake, shown
from velodrome.policies.configuration import closest

_KINDS = {"agents": "agent", "environments": "environment"}
_ENTRIES = "a table of label = expression, or a list of expressions"
_MOST_PAIRS_TOLD = 3
_LONGEST_LIST = 80


class Experiment(CheckedModel):
    """An experiment: agents, environments, budgets and seeds.

    A trial's budget is its agent's own, else its environment's own, else the experiment's.

    Attributes:
        name: title of tables and plots.
        description: the question, in a sentence.
        agents: label to agent.
        environments: label to environment.
        episodes: training episodes of a trial; this or `steps`, or neither where every trial has a budget without.
        steps: training steps of a trial.
        seeds: how many, or the seeds themselves.
        evaluation_episodes: sampled episodes where the greedy policy's value cannot be computed.
        success: success rule instead of the environments' own.
    """

    name: str
    description: str = ""
    agents: dict[str, AgentEntry] = Field(description=_ENTRIES)
    environments: dict[str, EnvironmentEntry] = Field(description=_ENTRIES)
    episodes: Count | None = None
    steps: Count | None = None
    seeds: int | list[int] = 30
    evaluation_episodes: Count = 100
    success: str | None = None

    @field_validator("name")
    @classmethod
    def _name_can_be_a_title(cls, name: str) -> str:
        if not name.isprintable() or not any(character.isalnum() for character in name):
            raise ValueError(f"must be one line of text with a letter or digit, got {shown(name)}")
        return name

    @field_validator("agents", "environments", mode="before")
    @classmethod
    def _by_label(cls, given: Any) -> Any:
        if not isinstance(given, Mapping | list):
            raise ValueError(f"must be {_ENTRIES}, got {shown(given)}")
        if not given:
            raise ValueError("must hold at least one label = expression, got none")
        return given if isinstance(given, Mapping) else {item: item for item in given if isinstance(item, str)}

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
        return [*mistakes, *_budget_mistakes(given)]


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
    fields = [*AgentEntry.model_fields, *EnvironmentEntry.model_fields]
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


def _budget_mistakes(given: Mapping[str, Any]) -> list[Mistake]:
    if all(given.get(field) is not None for field in ("episodes", "steps")):
        return [Mistake((), ONE_BUDGET)]
    if _has_budget(given):
        return []
    agents, environments = (_labels_without_budget(given.get(field)) for field in _KINDS)
    if agents == [] or environments == []:
        return []
    if agents is None or environments is None:
        return [Mistake((), ONE_BUDGET)]
    pairs = [f"{agent!r} on {environment!r}" for environment in environments for agent in agents]
    more = f" and {len(pairs) - _MOST_PAIRS_TOLD} more" if len(pairs) > _MOST_PAIRS_TOLD else ""
    return [Mistake((), f"{ONE_BUDGET}: no budget for {', '.join(pairs[:_MOST_PAIRS_TOLD])}{more}")]


def _labels_without_budget(entries: Any) -> list[str] | None:
    """Labels of the entries that own no budget; None where there are no entries to be read."""
    if isinstance(entries, list):
        entries = {item: item for item in entries if isinstance(item, str)}
    if not isinstance(entries, Mapping) or not entries:
        return None
    return [label for label, entry in entries.items() if not _has_budget(entry)]


def _has_budget(entry: Any) -> bool:
    fields = entry if isinstance(entry, Mapping) else getattr(entry, "__dict__", {})
    return fields.get("episodes") is not None or fields.get("steps") is not None


def _canonical(expression: str) -> str:
    try:
        return str(parse_expression(expression))
    except ValueError:
        return expression
