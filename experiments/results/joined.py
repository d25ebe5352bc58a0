"""Results of several experiments as one: agents and environments of all of them in the same tables."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from velodrome.agents.snapshots import Snapshots
from velodrome.agents.training_log import Curve
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.results.importers.trials import common_evaluation_episodes, common_seeds
from velodrome.experiments.results.settings import LabelledContent, Pair, PairBudget, Settings, Tuning
from velodrome.experiments.results.trial_table import METRICS, TrialRecord, TrialTable
from velodrome.experiments.storage.episode_curves import EpisodeCurves
from velodrome.experiments.trials.hopeless import Hopeless

Labels = dict[str, str]
Table = TypeVar("Table", bound=TrialTable)
Successes = NDArray[np.bool_] | None
Source = TypeVar("Source", EpisodeCurves, Successes, Mapping[str, Curve], Snapshots)
_UNKNOWN = PairBudget()


def joined(results: Sequence[Table], names: Sequence[str] | None = None) -> Table:
    """Agents and environments of several results in one.

    Trials with the same key are one trial. An agent is the same in two results where its label, expression, origin,
    budgets and trials do not contradict each other; an environment where its label, expression and success rule do
    not. Otherwise each keeps its place under the label "label (name)". An environment whose expression is not known,
    as in results from elsewhere, is the one that has its label.

    Args:
        results: in the order of the tables.
        names: of the results, in labels and notes; by default those of the experiments.

    Raises:
        ExperimentError: there are no results, or their number is not that of the names.
    """
    if not results:
        raise ExperimentError("there are no results to join")
    if names is not None and len(names) != len(results):
        raise ExperimentError(f"names: {len(names)} names were given for {len(results)} results")
    if len(results) == 1:
        return results[0]
    for one in results:
        if one.settings.tuning is not None and one.settings.tuning.is_choosing:
            raise ExperimentError(
                f"{one.name!r} holds tuning seeds, on which configurations were chosen: join what was run on fresh ones"
            )
    parts = [
        JoinedPart(one, name)
        for one, name in zip(results, numbered(names or [one.name for one in results]), strict=True)
    ]
    tell_environments_apart(parts)
    tell_agents_apart(parts)
    environments = dict.fromkeys(label for part in parts for label in part.environments.values())
    agents = dict.fromkeys(label for part in parts for label in part.agents.values())
    pairs = [(environment, agent) for environment in environments for agent in agents]
    records, note = _one_each(parts, pairs)
    return type(results[0])(
        " + ".join(dict.fromkeys(part.results.name for part in parts)),
        records,
        _settings(parts, pairs, records),
        sum(len(_seeds(parts, pair)) for pair in pairs),
        " / ".join(dict.fromkeys(part.results.description for part in parts if part.results.description)),
        _without_repeats([line for part in parts for line in part.told(part.results.warnings)]),
        _without_repeats([way for part in parts for way in part.results.provenance]),
        _without_repeats([*note, *[line for part in parts for line in part.notes()]]),
        _curve_source=_chained([(one, one._curve_source) for one in results]),
        _success_source=_chained([(one, one._read_successes) for one in results]),
        _measured_source=_chained([(one, one._measured_source) for one in results]),
        _snapshot_source=_chained([(one, one._snapshot_source) for one in results]),
        specifications={part.agents[old]: text for part in parts for old, text in part.results.specifications.items()},
    )


def _one_each(parts: "Sequence[JoinedPart]", pairs: Sequence[Pair]) -> tuple[list[TrialRecord], list[str]]:
    """Records pair by pair and seed by seed, and what is to be said of those that were there twice."""
    records: list[TrialRecord] = []
    num_contradicted = 0
    for pair in pairs:
        by_seed: dict[int, TrialRecord] = {}
        for record in (record for part in parts for record in part.trials(pair)):
            known = by_seed.setdefault(record.seed, record)
            if record.is_done and not known.is_done:
                by_seed[record.seed] = record
            elif record.is_done:
                num_contradicted += any(not _is_equal(known.measures[name], record.measures[name]) for name in METRICS)
        records += [by_seed[seed] for seed in sorted(by_seed)]
    if not num_contradicted:
        return records, []
    some = "1 trial is" if num_contradicted == 1 else f"{num_contradicted} trials are"
    return records, [f"{some} there more than once with different numbers; the first are used."]


def _is_equal(one: Any, other: Any) -> bool:
    both_nan = isinstance(one, float) and isinstance(other, float) and math.isnan(one) and math.isnan(other)
    return both_nan or bool(one == other)


def _seeds(parts: "Sequence[JoinedPart]", pair: Pair) -> list[int]:
    return sorted({seed for part in parts for seed in part.seeds(pair)})


def _settings(parts: "Sequence[JoinedPart]", pairs: Sequence[Pair], records: Sequence[TrialRecord]) -> Settings:
    rules: dict[str, str] = {}
    contents: dict[str, LabelledContent] = {}
    solved_at: dict[str, float] = {}
    hopeless: dict[str, Hopeless] = {}
    for part in parts:
        settings = part.results.settings
        for old, new in part.environments.items():
            rule = settings.success_of.get(old, settings.success)
            if rule is not None:
                rules.setdefault(new, rule)
            if old in settings.contents:
                contents.setdefault(new, settings.contents[old])
            if old in settings.solved_at:
                solved_at.setdefault(new, settings.solved_at[old])
            if old in settings.hopeless:
                hopeless.setdefault(new, settings.hopeless[old])
    seeds, own_seeds = common_seeds({pair: some for pair in pairs if (some := _seeds(parts, pair))})
    budget, own_budgets = _budgets(parts, [pair for pair in pairs if any(pair in part.pairs for part in parts)])
    measures = {measure.name: measure for part in parts for measure in part.results.settings.measures}
    metrics = {part.results.settings.metric for part in parts}
    return Settings(
        agents=_expressions([(part.agents, part.results.settings.agents) for part in parts]),
        environments=_expressions([(part.environments, part.results.settings.environments) for part in parts]),
        budget=budget,
        own_budgets=own_budgets,
        seeds=seeds,
        own_seeds=own_seeds,
        evaluation_episodes=common_evaluation_episodes(records),
        success_of=rules,
        contents=contents,
        metric=metrics.pop() if len(metrics) == 1 else None,
        measures=tuple(measures.values()),
        solved_at=solved_at,
        hopeless=hopeless,
        origin="joined",
        tuning=_tuning(parts),
    )


def _tuning(parts: "Sequence[JoinedPart]") -> Tuning | None:
    """How the agents were tuned, under their joined labels; what differs between the parts is not told."""
    known = [(part, part.results.settings.tuning) for part in parts]
    tuned = [(part, tuning) for part, tuning in known if tuning is not None]
    if not tuned:
        return None
    agents = [
        replace(one, agent=part.agents[one.agent], environment=part.environments[one.environment])
        for part, tuning in tuned
        for one in tuning.agents
    ]
    samplers, seeds, rounds = ({getattr(one, name) for _, one in tuned} for name in ("sampler", "seeds", "rounds"))
    return Tuning(
        False,
        samplers.pop() if len(samplers) == 1 else "",
        seeds.pop() if len(seeds) == 1 else (),
        rounds.pop() if len(rounds) == 1 else (),
        _without_repeats(agents),
    )


def _expressions(labels: Sequence[tuple[Labels, Mapping[str, str]]]) -> Labels:
    """Joined label to expression, empty where it is not known."""
    expressions: Labels = {}
    for renamed, own in labels:
        for old, new in renamed.items():
            expressions[new] = expressions.get(new) or own[old]
    return expressions


def _budgets(parts: "Sequence[JoinedPart]", pairs: Sequence[Pair]) -> tuple[PairBudget, dict[Pair, PairBudget]]:
    """The budget of most pairs, and those of the others; none for all where that of some pair is not known."""
    of_pair = {
        pair: next((budget for part in parts if (budget := part.budget(pair)) != _UNKNOWN), _UNKNOWN) for pair in pairs
    }
    numbers = Counter(of_pair.values())
    common = _UNKNOWN if _UNKNOWN in numbers or not numbers else numbers.most_common(1)[0][0]
    return common, {pair: budget for pair, budget in of_pair.items() if budget != common}


def _chained(
    sources: Sequence[tuple[TrialTable, Callable[[Sequence[str]], Iterator[tuple[str, Source]]]]],
) -> Callable[[Sequence[str]], Iterator[tuple[str, Source]]]:
    """Curves of each trial from the first of the results that has any."""
    keys_of = [{record.key for record in one.records if record.is_done} for one, _ in sources]

    def curves(keys: Sequence[str]) -> Iterator[tuple[str, Source]]:
        found: set[str] = set()
        for (_, source), own in zip(sources, keys_of, strict=True):
            wanted = [key for key in keys if key in own and key not in found]
            for key, curve in source(wanted) if wanted else ():
                found.add(key)
                yield key, curve

    return curves


def _without_repeats(items: Sequence[Any]) -> tuple[Any, ...]:
    unique: list[Any] = []
    for item in items:
        if item not in unique:
            unique.append(item)
    return tuple(unique)


class JoinedPart:
    """One of the results; `environments` and `agents` lead from its labels to those of the joined results."""

    def __init__(self, results: TrialTable, name: str) -> None:
        self.results = results
        self.name = name
        self.environments: Labels = {label: label for label in results.environments}
        self.agents: Labels = {label: label for label in results.agents}

    @cached_property
    def pairs(self) -> dict[Pair, Pair]:
        """Environment and agent here, by their joined labels; those alone that have, or are to have, trials."""
        settings = self.results.settings
        return {
            (self.environments[environment], self.agents[agent]): (environment, agent)
            for environment, agent in settings.pairs
            if not settings.origin or self.results.trials(environment, agent)
        }

    def seeds(self, pair: Pair) -> list[int]:
        """Planned seeds of a joined pair."""
        return list(self.results.settings.seeds_of(*self.pairs[pair])) if pair in self.pairs else []

    def budget(self, pair: Pair) -> PairBudget:
        """Training of a joined pair; epochs are told as the episodes that they are."""
        if pair not in self.pairs:
            return _UNKNOWN
        return PairBudget(*self.results.budget(*self.pairs[pair]))

    def trials(self, pair: Pair) -> list[TrialRecord]:
        """Records of a joined pair, under their joined labels."""
        if pair not in self.pairs:
            return []
        environment, agent = pair
        own = self.results.trials(*self.pairs[pair])
        return own if pair == self.pairs[pair] else [replace(one, agent=agent, environment=environment) for one in own]

    def rule(self, environment: str) -> str:
        """The success rule of its own environment, as our trials used it; empty where there is none of them."""
        rules = {
            record.text("success_rule")
            for record in self.results.done_on(environment)
            # Planning has no episodes to which a rule could be put, and from elsewhere any rule is taken.
            if record.text("loop") != "planning" and self.results.settings.agents[record.agent]
        }
        return " / ".join(sorted(rules))

    def digest(self, environment: str) -> str:
        """Of the images or texts that its own environment reads; empty where its expression says all."""
        return self.results.settings.content_of(environment).digest

    def told(self, lines: Sequence[str]) -> list[str]:
        """Lines that may name agents or environments: with the name of the results where some were renamed."""
        renamed = any(old != new for labels in (self.agents, self.environments) for old, new in labels.items())
        return [f"{self.name}: {line}" for line in lines] if renamed else list(lines)

    def notes(self) -> list[str]:
        """Its remarks, and what joining takes from it."""
        looks = "was run until decided; the tests here do not correct for its looks at the seeds"
        return self.told(self.results.notes) + (
            [f"{self.name} {looks}."] if self.results.settings.sequential is not None else []
        )


def numbered(names: Sequence[str]) -> list[str]:
    """The names, numbered where one comes again."""
    numbers: Counter[str] = Counter()
    unique = []
    for name in names:
        numbers[name] += 1
        unique.append(name if numbers[name] == 1 else f"{name}, {numbers[name]}")
    return unique


def tell_environments_apart(parts: Sequence[JoinedPart]) -> None:
    """Give environments of one label that differ in expression, contents or success rule labels of their own."""

    def is_same(label: str, one: JoinedPart, other: JoinedPart) -> bool:
        first, second = (part.results.settings.environments[label] for part in (one, other))
        if first and second:
            rules = {one.rule(label), other.rule(label)} - {""}
            digests = {one.digest(label), other.digest(label)} - {""}
            return first == second and len(rules) < 2 and len(digests) < 2
        # Which of several environments an unknown one is cannot be told.
        known = {part.results.settings.environments.get(label, "") for part in parts} - {""}
        return first == second or len(known) == 1

    _rename([part.environments for part in parts], parts, is_same)


def tell_agents_apart(parts: Sequence[JoinedPart]) -> None:
    """Give agents of one label whose expressions, origins, budgets or trials differ labels of their own."""

    def is_same(label: str, one: JoinedPart, other: JoinedPart) -> bool:
        first, second = (part.results.settings for part in (one, other))
        if first.agents[label] != second.agents[label]:
            return False
        if not first.agents[label] and first.origin != second.origin:
            return False
        for environment in one.environments.values():
            pair = environment, label
            budgets = {one.budget(pair), other.budget(pair)} - {_UNKNOWN}
            keys = {record.seed: record.key for record in one.trials(pair)}
            if len(budgets) > 1 or any(keys.get(row.seed, row.key) != row.key for row in other.trials(pair)):
                return False
        return True

    _rename([part.agents for part in parts], parts, is_same)
    for part in parts:
        # They were made with the labels of before.
        part.__dict__.pop("pairs", None)


def _rename(
    labels: Sequence[Labels], parts: Sequence[JoinedPart], is_same: Callable[[str, JoinedPart, JoinedPart], bool]
) -> None:
    """Give a label of several meanings the name of the first of the results that have each meaning."""
    meanings: dict[str, list[list[int]]] = {}
    for place, own in enumerate(labels):
        for label in own:
            groups = meanings.setdefault(label, [])
            for group in groups:
                if all(is_same(label, parts[member], parts[place]) for member in group):
                    group.append(place)
                    break
            else:
                groups.append([place])
    taken = {label for label, groups in meanings.items() if len(groups) == 1}
    for label, groups in meanings.items():
        for group in groups if len(groups) > 1 else ():
            new = f"{label} ({parts[group[0]].name})"
            while new in taken:
                new += "'"
            taken.add(new)
            for member in group:
                labels[member][label] = new
