"""Under which labels the agents and environments of several results stand in the joined ones."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from velodrome.experiments.results.results import Results

Record = dict[str, Any]
Labels = dict[str, str]


class JoinedPart:
    """One of the results; `environments` and `agents` lead from its labels to those of the joined results."""

    def __init__(self, results: Results, name: str) -> None:
        self.results = results
        self.name = name
        self.environments: Labels = {label: label for label in results.environments}
        self.agents: Labels = {label: label for label in results.agents}

    @cached_property
    def pairs(self) -> dict[tuple[str, str], tuple[str, str]]:
        """Environment and agent here, by their joined labels; those alone that have, or are to have, trials."""
        settings = self.results.settings
        return {
            (self.environments[environment], self.agents[agent]): (environment, agent)
            for environment in self.results.environments
            for agent in self.results.agents
            if environment in settings.get("environments_of", {}).get(agent, [environment])
            if "origin" not in settings or self.results.trials(environment, agent)
        }

    def seeds(self, pair: tuple[str, str]) -> list[int]:
        """Planned seeds of a joined pair."""
        if pair not in self.pairs:
            return []
        for own in self.results.settings.get("own_seeds", ()):
            if (own["environment"], own["agent"]) == self.pairs[pair]:
                return list(own["seeds"])
        return list(self.results.settings["seeds"])

    def budget(self, pair: tuple[str, str]) -> tuple[int | None, int | None]:
        """Episodes and steps of a joined pair; both None where that is not known."""
        return self.results.budget(*self.pairs[pair]) if pair in self.pairs else (None, None)

    def trials(self, pair: tuple[str, str]) -> list[Record]:
        """Records of a joined pair, under their joined labels."""
        if pair not in self.pairs:
            return []
        environment, agent = pair
        return [
            record | {"agent": agent, "environment": environment} for record in self.results.trials(*self.pairs[pair])
        ]

    def rule(self, environment: str) -> str:
        """The success rule of its own environment, as our trials used it; empty where there is none of them."""
        agents = self.results.settings["agents"]
        rules = {
            record["success_rule"]
            for record in self.results.records
            # Planning has no episodes to which a rule could be put, and from elsewhere any rule is taken.
            if record["environment"] == environment and record["status"] == "done"
            if record["loop"] != "planning" and agents[record["agent"]]
        }
        return " / ".join(sorted(rules))

    def digest(self, environment: str) -> str:
        """Of the images or texts that its own environment reads; empty where its expression says all."""
        return str(self.results.settings.get("contents", {}).get(environment, {}).get("digest", ""))

    def told(self, lines: Sequence[str]) -> list[str]:
        """Lines that may name agents or environments: with the name of the results where some were renamed."""
        renamed = any(old != new for labels in (self.agents, self.environments) for old, new in labels.items())
        return [f"{self.name}: {line}" for line in lines] if renamed else list(lines)

    def notes(self) -> list[str]:
        """Its remarks, and what joining takes from it."""
        looks = "was run until decided; the tests here do not correct for its looks at the seeds"
        return self.told(self.results.notes) + (
            [f"{self.name} {looks}."] if "sequential" in self.results.settings else []
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
        first, second = (part.results.settings["environments"][label] for part in (one, other))
        if first and second:
            rules = {one.rule(label), other.rule(label)} - {""}
            digests = {one.digest(label), other.digest(label)} - {""}
            return first == second and len(rules) < 2 and len(digests) < 2
        # Which of several environments an unknown one is cannot be told.
        known = {part.results.settings["environments"].get(label, "") for part in parts} - {""}
        return first == second or len(known) == 1

    _rename([part.environments for part in parts], parts, is_same)


def tell_agents_apart(parts: Sequence[JoinedPart]) -> None:
    """Give agents of one label whose expressions, origins, budgets or trials differ labels of their own."""

    def is_same(label: str, one: JoinedPart, other: JoinedPart) -> bool:
        first, second = (part.results.settings for part in (one, other))
        if first["agents"][label] != second["agents"][label]:
            return False
        if not first["agents"][label] and first["origin"] != second["origin"]:
            return False
        for environment in one.environments.values():
            pair = environment, label
            budgets = {one.budget(pair), other.budget(pair)} - {(None, None)}
            keys = {record["seed"]: record["key"] for record in one.trials(pair)}
            if len(budgets) > 1 or any(keys.get(row["seed"], row["key"]) != row["key"] for row in other.trials(pair)):
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
