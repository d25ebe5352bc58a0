"""Makes a plan of stored trials from what is stored of them, so that they can be run again."""

import contextlib
import json
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from velodrome.agents.agent import Agent
from velodrome.agents.external import ExternalAgent
from velodrome.checks import one_line
from velodrome.envs.unimported_modules import NoSuchModuleError, add_current_directory, unimported_module
from velodrome.experiments.errors import ExperimentWarning
from velodrome.experiments.specification.catalogue import AGENTS, build_agent
from velodrome.experiments.specification.entries import EnvironmentEntry
from velodrome.experiments.specification.experiment import Experiment
from velodrome.experiments.specification.expression import Call, ExpressionError, parse_value
from velodrome.experiments.specification.plan import Plan, PlannedAgent, PlannedEnvironment, PlannedTrial
from velodrome.experiments.storage.trial_key import RESULT_VERSION, canonical_json
from velodrome.experiments.trials.trial import Budget
from velodrome.policies.configuration import from_data


@dataclass(frozen=True, eq=False)
class StoredPlan(Plan):
    """A plan of any trials, where others hold every agent on every environment with every seed.

    Attributes:
        stored_trials: the trials; their labels are those of this plan.
        budgets: of each agent (label) on each environment (label) that is among them.
    """

    stored_trials: tuple[PlannedTrial, ...] = ()
    budgets: Mapping[tuple[str, str], Budget] = field(default_factory=dict)

    @cached_property
    def trials(self) -> list[PlannedTrial]:
        """The stored trials, in order."""
        return list(self.stored_trials)

    def budget(self, agent: str, environment: str) -> Budget:
        """Budget with which an agent was trained on an environment."""
        return self.budgets[agent, environment]


class StoredPlanMaker:
    """Takes stored trials one by one, and makes a plan of those that can be run again.

    Modules that the trials name are imported; of one in the store's own folder a line is said first, for whoever made
    the store may have put it there.

    Args:
        folder: of the store.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._agents: dict[str, PlannedAgent] = {}
        self._environments: dict[str, PlannedEnvironment] = {}
        self._places: dict[str, EnvironmentEntry] = {}
        self._budgets: dict[tuple[str, str], Budget] = {}
        self._trials: list[PlannedTrial] = []
        # What each label of the plan stands for: different things may have been stored under one label.
        self._meanings: dict[str, str] = {}
        # Labels in the plan, by what the trials of one agent on one environment share; or why there are none.
        self._pairs: dict[str, tuple[str, str] | str] = {}

    def add(self, trial: PlannedTrial, row: Mapping[str, Any]) -> str | None:
        """Add a trial.

        Args:
            trial: with the labels under which it is known.
            row: of the store.

        Returns:
            Why it cannot be run again, or None where it can.
        """
        shared = json.loads(row["specification"])
        del shared["seed"]
        text = canonical_json(shared)
        if text not in self._pairs:
            try:
                self._pairs[text] = self._pair(trial, row, shared)
            except _NotRepeatableError as reason:
                self._pairs[text] = str(reason)
        pair = self._pairs[text]
        if isinstance(pair, str):
            return pair
        self._trials.append(PlannedTrial(trial.key, *pair, trial.seed))
        return None

    def plan(self, name: str) -> StoredPlan:
        """Plan of the trials added so far that can be run again."""
        return StoredPlan(
            name, "", self._agents, self._environments, [], None, None,
            stored_trials=tuple(self._trials), budgets=self._budgets,
        )  # fmt: skip

    def _pair(self, trial: PlannedTrial, row: Mapping[str, Any], shared: dict[str, Any]) -> tuple[str, str]:
        if shared["result_version"] < RESULT_VERSION:
            raise _NotRepeatableError(_other_version(shared["result_version"], RESULT_VERSION))
        if shared.get("factory"):
            name = shared["environment"]
            raise _NotRepeatableError(f"its environment was made by the Python factory {name!r}, which is not stored")
        evaluation = shared["evaluation"]
        try:
            announce_modules(self._folder, row["agent"], row["environment"], command="verify")
            agent = _agent_of(row["agent"], shared["agent"])
            self._announce_files(agent)
            place, environment = self._environment(trial.environment, row["environment"], evaluation["success"])
            plan = Experiment(
                name="verify",
                agents={trial.agent: {"agent": agent} | shared["budget"]},
                environments={place: environment},
                seeds=[trial.seed],
                evaluation_episodes=evaluation["episodes"],
                evaluate_every=evaluation.get("every"),
                snapshots=shared.get("snapshots"),
                hopeless=evaluation.get("hopeless"),
            ).plan()
        except _NotRepeatableError:
            raise
        except Exception as error:
            is_ours = type(error).__module__.startswith("velodrome.")
            line = " ".join(str(error).split()) if is_ours else one_line(error)
            raise _NotRepeatableError(line) from error
        specification = plan.keys(trial.agent, place).specification(trial.seed)
        if specification != row["specification"]:
            raise _NotRepeatableError(_difference(shared, json.loads(specification)))
        label = self._label(trial.agent, canonical_json([shared["agent"], shared["budget"], evaluation]))
        self._agents[label] = replace(plan.agents[trial.agent], label=label, expression=row["agent"])
        self._environments[place] = plan.environments[place]
        self._budgets[label, place] = plan.budget(trial.agent, place)
        return label, place

    def _announce_files(self, agent: Agent) -> None:
        """Likewise of a program.

        Raises:
            UnsupportedEnvironmentError: nothing would say whether it is the one that ran.
        """
        agent.check_repeatable()
        for path in agent.named_code().values():
            if isinstance(path, Path) and _is_inside(path, self._folder):
                line = f"verify runs the code of a program in the store's folder: {path.name} ({path})"
                warnings.warn(line, ExperimentWarning, stacklevel=5)

    def _environment(self, label: str, expression: str, success: str | None) -> tuple[str, EnvironmentEntry]:
        """The environment and its label in the plan, the same one each time, so that it is looked at once."""
        meaning = canonical_json([expression, success])
        label = self._label(label, meaning)
        if label not in self._places:
            given = {"environment": expression, "success": success}
            self._places[label] = EnvironmentEntry.model_validate(given)
        return label, self._places[label]

    def _label(self, label: str, meaning: str) -> str:
        """`label`, numbered where it already stands for something else."""
        number, free = 1, label
        while self._meanings.setdefault(free, meaning) != meaning:
            number += 1
            free = f"{label} ({number})"
        return free


def announce_modules(folder: Path, *expressions: str, command: str) -> None:
    """Say of each module in a store's folder that a command is about to run it, before it does.

    Args:
        folder: of the store.
        *expressions: of the store, which may name modules.
        command: that imports them.
    """
    add_current_directory()
    for name in dict.fromkeys(name for text in expressions for name in _modules_named_in(text)):
        with contextlib.suppress(NoSuchModuleError):
            module = unimported_module(name)
            if module is not None and module.path is not None and _is_inside(module.path, folder):
                line = f"{command} runs the code of a module in the store's folder: {name} ({module.path})"
                warnings.warn(line, ExperimentWarning, stacklevel=5)


def _is_inside(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


class _NotRepeatableError(Exception):
    """Why trials cannot be run again."""


def _agent_of(expression: str, data: dict[str, Any]) -> Agent:
    """The agent; its classes that no expression can import are found among those that the program has defined."""
    unimportable = [name for name in _names_of(data) if name.startswith("__main__:") or "<locals>" in name]
    if data["name"] == ExternalAgent.name:
        unimportable = [function for function in data.values() if function not in (ExternalAgent.name, None)]
    if not unimportable:
        return build_agent(expression)
    # They may be part of a shipped agent, whose class nothing has loaded yet.
    _ = list(AGENTS.values())
    try:
        return from_data(data, Agent)  # type: ignore[type-abstract]
    except (TypeError, ValueError):
        names = ", ".join(unimportable)
        raise _NotRepeatableError(f"{names} is defined in a script: call velodrome.verify there") from None


def _modules_named_in(expression: str) -> list[str]:
    """Modules that an expression names; none where it is none, as with classes inside a function."""
    try:
        return list(_modules_of(parse_value(expression)))
    except ExpressionError:
        return []


def _modules_of(value: Any) -> Iterator[str]:
    """Modules that an expression names."""
    if isinstance(value, list | tuple):
        for item in value:
            yield from _modules_of(item)
    if isinstance(value, str) and ":" in value:
        # Such as a rule's function, or the class of another library's algorithm.
        yield value.partition(":")[0]
    if isinstance(value, Call):
        if ":" in value.name:
            yield value.name.rpartition(":")[0]
        yield from _modules_of([*value.positional, *value.keywords.values()])


def _names_of(data: Any) -> list[str]:
    """Names of a configuration's data and of all in it."""
    if isinstance(data, list):
        return [name for item in data for name in _names_of(item)]
    if not isinstance(data, dict):
        return []
    return [data["name"], *[name for item in data.values() for name in _names_of(item)]]


def _difference(stored: dict[str, Any], now: dict[str, Any]) -> str:
    """Part of a trial's specification that is no longer what it was, in words."""
    if stored["result_version"] != now["result_version"]:
        return _other_version(stored["result_version"], now["result_version"])
    before, after = stored.get("code", {}), now.get("code", {})
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    if changed:
        return f"its own code has changed: {', '.join(changed)}"
    before, after = stored.get("packages", {}), now.get("packages", {})
    other = [
        f"{name} {before.get(name)}, now {after.get(name)}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]
    if other:
        return f"it was run with other versions: {', '.join(other)}"
    if stored.get("contents") != now.get("contents"):
        return f"the contents of {stored['environment']} are no longer those that it was trained on"
    parts = [part for part in sorted(stored.keys() | now.keys()) if stored.get(part) != now.get(part)]
    return f"this release reads its {' and '.join(part.replace('_', ' ') for part in parts)} differently"


def _other_version(stored: int, now: int) -> str:
    return f"its results are of version {stored}, this release computes {now}"
