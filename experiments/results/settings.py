"""Settings of an experiment, as its store keeps them."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from velodrome.experiments.results.solved import SOLVED
from velodrome.experiments.statistics import SequentialState
from velodrome.experiments.trials.hopeless import Hopeless
from velodrome.experiments.trials.measures import MEASURES, Measure

Pair = tuple[str, str]


@dataclass(frozen=True)
class PairBudget:
    """Training of each trial of an agent on an environment: episodes or steps; both None where that is not known.

    Attributes:
        episodes: of training.
        steps: of training.
        epochs: that the episodes are, where the user counted in them.
    """

    episodes: int | None = None
    steps: int | None = None
    epochs: int | None = None


@dataclass(frozen=True)
class LabelledContent:
    """Labelled contents of an environment, from files or arrays.

    Attributes:
        learnt: the examples or the text that agents learn on, in words.
        evaluated: those that they are evaluated on; empty for the same.
        digest: SHA-256 of them.
        num_examples: that agents learn on.
        num_guesses: labels of an example.
    """

    learnt: str = ""
    evaluated: str = ""
    digest: str = ""
    num_examples: int | None = None
    num_guesses: int = 1


@dataclass(frozen=True)
class SequentialEnvironment:
    """Where a run until decided stands on one environment.

    Attributes:
        measure: name of what decides; None before the first trials.
        agents: labels of those compared, in the order of the state.
        state: of the comparison, without pairs where fewer than two agents are left.
        excluded: label to reason of the agents that are left out.
        seeds: used so far, in order; look k uses the first `state.design.stage_sizes[k]`.
        stopped: why pairs stay undecided, or "".
    """

    measure: str | None
    agents: tuple[str, ...]
    state: SequentialState
    excluded: Mapping[str, str]
    seeds: tuple[int, ...]
    stopped: str


@dataclass(frozen=True)
class Sequential:
    """A run until decided.

    Attributes:
        first: seeds at the first look.
        max_seeds: seeds at the last.
        metric: that the user asked to decide by, or None.
        environments: where it stands, by label.
    """

    first: int
    max_seeds: int
    metric: str | None
    environments: Mapping[str, SequentialEnvironment]


@dataclass(frozen=True)
class PossibleBest:
    """A configuration that may be the best.

    Attributes:
        label: of the configuration.
        expression: of it.
        probability: to be the best, given its tuning scores.
    """

    label: str
    expression: str
    probability: float


@dataclass(frozen=True, kw_only=True)
class TunedAgent:
    """How the configuration of an agent was chosen on an environment.

    Attributes:
        agent: its label in the table of fresh seeds.
        environment: label.
        label: of the configuration among those that were tried.
        expression: of the configuration, to be written wherever an agent is.
        sampler: that gave the configurations.
        configurations: that were tried.
        runs: trials on tuning seeds.
        saved: trials that giving configurations up has saved.
        dropped: configurations that were given up, for lower means on the first seeds; no test says that they
            are worse.
        claim: mean of the configuration on its tuning seeds and the ends of the interval that one would naively give;
            NaN where it is not known.
        optimism: by how much such a mean is expected to flatter the best of so many; NaN where it is not known.
        may_be_best: the chosen configuration first, the others by their probability.
        is_for_all: whether it is one setting for all environments, by the mean of its ranks on them; then neither
            optimism nor what else may be the best is known.
        unscored: configurations of which a trial failed, was stopped or has no finite score, and which are not chosen.
    """

    agent: str
    environment: str
    label: str
    expression: str
    sampler: str
    configurations: int
    runs: int
    saved: int
    dropped: int
    claim: tuple[float, float, float]
    optimism: float
    may_be_best: tuple[PossibleBest, ...]
    is_for_all: bool = False
    unscored: int = 0

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> "TunedAgent":
        """One as `to_data` gives it.

        Args:
            data: what `to_data` gave, also after JSON.
        """
        mean, low, high = (_known(number) for number in data["claim"])
        best = tuple(PossibleBest(one["label"], one["expression"], one["probability"]) for one in data["may_be_best"])
        plain = {each.name: data[each.name] for each in fields(cls) if each.name in data}
        return cls(**plain | {"claim": (mean, low, high), "optimism": _known(data["optimism"]), "may_be_best": best})

    def to_data(self) -> dict[str, Any]:
        """The same, JSON-ready."""
        data = asdict(self)
        data["claim"] = [None if math.isnan(number) else number for number in self.claim]
        return data | {"optimism": None if math.isnan(self.optimism) else self.optimism}


@dataclass(frozen=True)
class Tuning:
    """How agents were tuned.

    Attributes:
        is_choosing: whether the trials are those on tuning seeds, by which configurations are chosen; else they are
            those of the chosen configurations on fresh seeds.
        sampler: that was asked for, or "auto".
        seeds: tuning seeds.
        rounds: how many of them a configuration has at the end of each round.
        agents: how each agent was chosen on each environment; none while that goes on.
    """

    is_choosing: bool
    sampler: str
    seeds: tuple[int, ...]
    rounds: tuple[int, ...]
    agents: tuple[TunedAgent, ...]

    def of(self, environment: str, agent: str) -> TunedAgent | None:
        """How an agent was chosen on an environment; None where it was not tuned.

        Args:
            environment: label.
            agent: label.
        """
        return next((one for one in self.agents if (one.environment, one.agent) == (environment, agent)), None)


def _known(number: float | None) -> float:
    return math.nan if number is None else float(number)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of an experiment.

    Attributes:
        agents: label to expression; empty where that is not known.
        environments: label to expression; empty where that is not known.
        budget: of the pairs without one of their own.
        own_budgets: by environment and agent.
        seeds: of the pairs without seeds of their own.
        own_seeds: by environment and agent.
        evaluation_episodes: of sampled evaluations; None where they differ or are not known.
        success: the success rule of all environments, or None.
        success_of: environment to its own success rule.
        environments_of: agent to the environments on which alone it takes part.
        contents: environment to what it reads from files or arrays.
        factors: label of an agent that was crossed to the labels of its "learner" and its "policy".
        sequential: where a run until decided stands; None for other runs.
        metric: name of the measure that decides between agents; None for the usual one.
        measures: a user's own.
        solved_at: environment to the greedy return at which it counts as solved.
        tuning: how agents were tuned; None for other experiments.
        hopeless: environment to when its trials were given up.
        origin: whence results came that no store of ours holds, such as "frame" or "joined"; otherwise empty.
    """

    agents: Mapping[str, str]
    environments: Mapping[str, str]
    budget: PairBudget = PairBudget()
    own_budgets: Mapping[Pair, PairBudget] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()
    own_seeds: Mapping[Pair, tuple[int, ...]] = field(default_factory=dict)
    evaluation_episodes: int | None = None
    success: str | None = None
    success_of: Mapping[str, str] = field(default_factory=dict)
    environments_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    contents: Mapping[str, LabelledContent] = field(default_factory=dict)
    factors: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    sequential: Sequential | None = None
    metric: str | None = None
    measures: tuple[Measure, ...] = ()
    solved_at: Mapping[str, float] = field(default_factory=dict)
    tuning: Tuning | None = None
    hopeless: Mapping[str, Hopeless] = field(default_factory=dict)
    origin: str = ""

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> "Settings":
        """Settings as `Plan.settings` gives them and a store keeps them.

        Args:
            data: settings, JSON-ready.

        Raises:
            ValueError: a run until decided or a measure of a form that no release has written.
        """
        return cls(
            agents=data["agents"],
            environments=data["environments"],
            budget=PairBudget(data["episodes"], data["steps"], data.get("epochs")),
            own_budgets={
                (own["environment"], own["agent"]): PairBudget(own["episodes"], own["steps"], own.get("epochs"))
                for own in data["budgets"]
            },
            seeds=tuple(data["seeds"]),
            own_seeds={(own["environment"], own["agent"]): tuple(own["seeds"]) for own in data.get("own_seeds", ())},
            evaluation_episodes=data["evaluation_episodes"],
            success=data["success"],
            success_of=data["success_of"],
            environments_of={agent: tuple(own) for agent, own in data.get("environments_of", {}).items()},
            contents={
                label: LabelledContent(
                    **{each.name: content[each.name] for each in fields(LabelledContent) if each.name in content}
                )
                for label, content in data.get("contents", {}).items()
            },
            factors=data.get("factors", {}),
            sequential=_sequential(data["sequential"]) if "sequential" in data else None,
            metric=data.get("metric"),
            measures=tuple(Measure.from_data(measure) for measure in data.get("measures", ())),
            solved_at=data.get("solved_at", {}),
            tuning=_tuning(data["tuning"]) if "tuning" in data else None,
            hopeless={label: Hopeless(one["below"], one["after"]) for label, one in data.get("hopeless", {}).items()},
        )

    @property
    def all_measures(self) -> dict[str, Measure]:
        """By name: those of every experiment, those of what counts as solved, and a user's own."""
        return MEASURES | (SOLVED if self.solved_at else {}) | {measure.name: measure for measure in self.measures}

    @property
    def pairs(self) -> list[Pair]:
        """Environment and agent of all that take part, in order."""
        return [
            (environment, agent)
            for environment in self.environments
            for agent in self.agents
            if environment in self.environments_of.get(agent, (environment,))
        ]

    def budget_of(self, environment: str, agent: str) -> PairBudget:
        """Training of the trials of a pair.

        Args:
            environment: label of the environment.
            agent: label of the agent.
        """
        return self.own_budgets.get((environment, agent), self.budget)

    def seeds_of(self, environment: str, agent: str) -> tuple[int, ...]:
        """Planned seeds of a pair.

        Args:
            environment: label of the environment.
            agent: label of the agent.
        """
        return self.own_seeds.get((environment, agent), self.seeds)

    def sequential_on(self, environment: str) -> SequentialEnvironment | None:
        """Where a run until decided stands on an environment; None for other runs.

        Args:
            environment: label of the environment.
        """
        return None if self.sequential is None else self.sequential.environments.get(environment)

    def content_of(self, environment: str) -> LabelledContent:
        """Labelled contents of an environment; none where its expression says all.

        Args:
            environment: label of the environment.
        """
        return self.contents.get(environment, LabelledContent())

    def only(self, agents: list[str], environments: list[str]) -> "Settings":
        """The same for some agents on some environments, in the order given.

        Args:
            agents: labels to keep.
            environments: labels to keep.
        """
        return replace(
            self,
            agents={label: self.agents[label] for label in agents},
            environments={label: self.environments[label] for label in environments},
        )


def _tuning(data: Mapping[str, Any]) -> Tuning:
    agents = tuple(TunedAgent.from_data(one) for one in data["agents"])
    return Tuning(data["stage"] == "tuning", data["sampler"], tuple(data["seeds"]), tuple(data["rounds"]), agents)


def _sequential(data: Mapping[str, Any]) -> Sequential:
    try:
        environments = {
            label: SequentialEnvironment(
                one["measure"], tuple(one["agents"]), SequentialState.from_data(one["state"]), one["excluded"],
                tuple(one["seeds"]), one["stopped"],
            )
            for label, one in data["environments"].items()
        }  # fmt: skip
        return Sequential(data["first"], data["max_seeds"], data["metric"], environments)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"settings.sequential: not of a run until decided ({error})") from None
