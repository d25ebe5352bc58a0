"""Results of several experiments as one: agents and environments of all of them in the same tables."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.results.importers.trials import common_evaluation_episodes, seed_settings
from velodrome.experiments.results.joined_labels import (
    JoinedPart,
    Labels,
    Record,
    numbered,
    tell_agents_apart,
    tell_environments_apart,
)
from velodrome.experiments.results.results import Results
from velodrome.experiments.storage.episode_curves import EpisodeCurves
from velodrome.experiments.storage.store_schema import METRICS


def joined(results: Sequence[Results], names: Sequence[str] | None = None) -> Results:
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
    return Results(
        " + ".join(dict.fromkeys(part.results.name for part in parts)),
        records,
        _settings(parts, pairs, records),
        sum(len(_seeds(parts, pair)) for pair in pairs),
        " / ".join(dict.fromkeys(part.results.description for part in parts if part.results.description)),
        _without_repeats([line for part in parts for line in part.told(part.results.warnings)]),
        _without_repeats([way for part in parts for way in part.results.provenance]),
        _without_repeats([*note, *[line for part in parts for line in part.notes()]]),
        _chained([part.results for part in parts]),
        specifications={part.agents[old]: text for part in parts for old, text in part.results.specifications.items()},
    )


def _one_each(parts: Sequence[JoinedPart], pairs: Sequence[tuple[str, str]]) -> tuple[list[Record], list[str]]:
    """Records pair by pair and seed by seed, and what is to be said of those that were there twice."""
    records: list[Record] = []
    num_contradicted = 0
    for pair in pairs:
        by_seed: dict[int, Record] = {}
        for record in (record for part in parts for record in part.trials(pair)):
            known = by_seed.setdefault(record["seed"], record)
            if known["status"] != "done" and record["status"] == "done":
                by_seed[record["seed"]] = record
            elif known["status"] == record["status"] == "done":
                num_contradicted += any(not _is_equal(known[name], record[name]) for name in METRICS)
        records += [by_seed[seed] for seed in sorted(by_seed)]
    if not num_contradicted:
        return records, []
    some = "1 trial is" if num_contradicted == 1 else f"{num_contradicted} trials are"
    return records, [f"{some} there more than once with different numbers; the first are used."]


def _is_equal(one: Any, other: Any) -> bool:
    both_nan = isinstance(one, float) and isinstance(other, float) and math.isnan(one) and math.isnan(other)
    return both_nan or bool(one == other)


def _seeds(parts: Sequence[JoinedPart], pair: tuple[str, str]) -> list[int]:
    return sorted({seed for part in parts for seed in part.seeds(pair)})


def _settings(
    parts: Sequence[JoinedPart], pairs: Sequence[tuple[str, str]], records: Sequence[Record]
) -> dict[str, Any]:
    seeds = {(agent, environment): _seeds(parts, (environment, agent)) for environment, agent in pairs}
    rules: dict[str, str] = {}
    for part in parts:
        settings = part.results.settings
        for old, new in part.environments.items():
            rule = settings["success_of"].get(old, settings["success"])
            if rule is not None:
                rules.setdefault(new, rule)
    return {
        "origin": "joined",
        "agents": _expressions([(part.agents, part.results.settings["agents"]) for part in parts]),
        "environments": _expressions([(part.environments, part.results.settings["environments"]) for part in parts]),
        **_budgets(parts, [pair for pair in pairs if any(pair in part.pairs for part in parts)]),
        "evaluation_episodes": common_evaluation_episodes(records),
        **_contents(parts),
        "success": None,
        "success_of": rules,
        **seed_settings({pair: some for pair, some in seeds.items() if some}),
    }


def _contents(parts: Sequence[JoinedPart]) -> dict[str, Any]:
    """What environments read from files or arrays, where any does."""
    contents: dict[str, Any] = {}
    for part in parts:
        for old, new in part.environments.items():
            told = part.results.settings.get("contents", {}).get(old)
            if told is not None:
                contents.setdefault(new, told)
    return {"contents": contents} if contents else {}


def _expressions(labels: Sequence[tuple[Labels, Mapping[str, str]]]) -> Labels:
    """Joined label to expression, empty where it is not known."""
    expressions: Labels = {}
    for renamed, own in labels:
        for old, new in renamed.items():
            expressions[new] = expressions.get(new) or own[old]
    return expressions


def _budgets(parts: Sequence[JoinedPart], pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The budget of most pairs, and those of the others; none for all where that of some pair is not known."""
    unknown = (None, None)
    of_pair = {
        pair: next((budget for part in parts if (budget := part.budget(pair)) != unknown), unknown) for pair in pairs
    }
    numbers = Counter(of_pair.values())
    common = unknown if unknown in numbers or not numbers else numbers.most_common(1)[0][0]
    own = [
        {"agent": agent, "environment": environment, "episodes": episodes, "steps": steps}
        for (environment, agent), (episodes, steps) in of_pair.items()
        if (episodes, steps) != common
    ]
    return {"episodes": common[0], "steps": common[1], "budgets": own}


def _chained(results: Sequence[Results]) -> Callable[[Sequence[str]], Iterator[tuple[str, EpisodeCurves]]]:
    """Curves of each trial from the first of the results that has any."""
    keys_of = [{record["key"] for record in one.records if record["status"] == "done"} for one in results]

    def curves(keys: Sequence[str]) -> Iterator[tuple[str, EpisodeCurves]]:
        found: set[str] = set()
        for one, own in zip(results, keys_of, strict=True):
            wanted = [key for key in keys if key in own and key not in found]
            for key, curve in one._curve_source(wanted) if wanted else ():
                found.add(key)
                yield key, curve

    return curves


def _without_repeats(items: Sequence[Any]) -> tuple[Any, ...]:
    unique: list[Any] = []
    for item in items:
        if item not in unique:
            unique.append(item)
    return tuple(unique)
