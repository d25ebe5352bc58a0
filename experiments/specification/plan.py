"""The plan of an experiment: every agent on every environment with every seed, as trials with keys."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from velodrome.agents.agent import Agent
from velodrome.agents.tabular.random_agent import RandomAgent
from velodrome.experiments.specification.environment_configuration import Maker
from velodrome.experiments.storage.trial_key import TrialKeys
from velodrome.experiments.trials.environment_profile import EnvironmentProfile
from velodrome.experiments.trials.hopeless import Hopeless
from velodrome.experiments.trials.trial import Budget


@dataclass(frozen=True, eq=False)
class PlannedAgent:
    """An agent of an experiment.

    Attributes:
        label: its name in tables.
        agent: the configuration.
        expression: its canonical text.
        episodes: its own budget, or None.
        steps: its own budget, or None.
        epochs: its own budget, or None.
        environments: labels of those on which it takes part; all if None.
    """

    label: str
    agent: Agent
    expression: str
    episodes: int | None = None
    steps: int | None = None
    epochs: int | None = None
    environments: tuple[str, ...] | None = None


@dataclass(frozen=True, eq=False)
class PlannedEnvironment:
    """An environment of an experiment.

    Attributes:
        label: its name in tables.
        expression: its canonical text, or the name of its factory.
        make: makes a new environment.
        profile: what is known of it.
        success: the experiment's rule for it, or None.
        solved_at: greedy return at which it counts as solved, or None.
        hopeless: when its trials are given up, in what their budget counts; None for never.
        episodes: its own budget, or None.
        steps: its own budget, or None.
        epochs: its own budget, or None.
        is_expression: whether `expression` says all that is needed to make it.
    """

    label: str
    expression: str
    make: Maker
    profile: EnvironmentProfile
    success: str | None = None
    episodes: int | None = None
    steps: int | None = None
    epochs: int | None = None
    is_expression: bool = True
    solved_at: float | None = None
    hopeless: Hopeless | None = None


@dataclass(frozen=True)
class PlannedTrial:
    """One trial to run or to reuse: labels, seed and key."""

    key: str
    agent: str
    environment: str
    seed: int


@dataclass(frozen=True, eq=False)
class Plan:
    """A whole experiment, ready to run.

    Attributes:
        name: of the experiment.
        description: the question, in a sentence.
        agents: label to agent, in order.
        environments: label to environment, in order.
        seeds: of the trials of each pair, in order.
        episodes: budget of those without one of their own, or None.
        steps: budget of those without one of their own, or None.
        epochs: budget of those without one of their own, or None.
        evaluation_episodes: sampled episodes where a policy's value cannot be computed.
        success: the success rule of all environments, or None.
        seeds_of: seeds of pairs (agent, environment) that have others than `seeds`.
        sequential: where a run until decided stands, JSON-ready: see `run_until_decided`; None for other runs.
        factors: label of an agent that was crossed to the labels of its "learner" and its "policy".
        evaluate_every: what the budget counts, between two evaluations during training; none if None.
        metric: name of the measure that decides between agents; None for the usual one.
        snapshots: moments of each training at which the action values of all states are kept; None for none.
        tuning: how agents were chosen, or that this is the choosing, JSON-ready: see `velodrome.experiments.tuning`.
    """

    name: str
    description: str
    agents: Mapping[str, PlannedAgent]
    environments: Mapping[str, PlannedEnvironment]
    seeds: list[int]
    episodes: int | None
    steps: int | None
    evaluation_episodes: int = 100
    success: str | None = None
    seeds_of: Mapping[tuple[str, str], Sequence[int]] = field(default_factory=dict)
    sequential: Mapping[str, Any] | None = None
    factors: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    epochs: int | None = None
    evaluate_every: int | None = None
    metric: str | None = None
    snapshots: int | None = None
    tuning: Mapping[str, Any] | None = None

    def agents_on(self, environment: str) -> dict[str, PlannedAgent]:
        """Label to agent, in order, of those that take part on an environment.

        Args:
            environment: label of the environment.
        """
        return {
            label: agent
            for label, agent in self.agents.items()
            if agent.environments is None or environment in agent.environments
        }

    def budget(self, agent: str, environment: str) -> Budget:
        """Budget of an agent on an environment: the agent's own, else the environment's, else the experiment's.

        Args:
            agent: label of the agent.
            environment: label of the environment.

        Raises:
            BudgetError: it is in epochs, and the environment has no labelled examples.
        """
        # What does not learn step by step has nothing to reach in time.
        learner = self.agents[agent].agent
        is_waited_for = learner.learns and learner.learns_from != "model" and not isinstance(learner, RandomAgent)
        hopeless = self.environments[environment].hopeless if is_waited_for else None
        for owner in (self.agents[agent], self.environments[environment], self):
            if owner.epochs is not None:
                episodes = self.environments[environment].profile.episodes_of(self.agents[agent].agent, owner.epochs)
                # An epoch has the same number of episodes throughout.
                every = None if self.evaluate_every is None else episodes // owner.epochs * self.evaluate_every
                if hopeless is not None:
                    hopeless = replace(hopeless, after=episodes // owner.epochs * hopeless.after)
                return Budget(episodes, None, self.evaluation_episodes, owner.epochs, every, self.snapshots, hopeless)
            if owner.episodes is not None or owner.steps is not None:
                return Budget(
                    owner.episodes, owner.steps, self.evaluation_episodes, None, self.evaluate_every, self.snapshots,
                    hopeless,
                )  # fmt: skip
        raise AssertionError("a plan without a budget is refused when it is made")

    @cached_property
    def trials(self) -> list[PlannedTrial]:
        """All trials, environment by environment, agent by agent, seed by seed."""
        trials = []
        for environment in self.environments.values():
            for agent in self.agents_on(environment.label).values():
                keys = self.keys(agent.label, environment.label)
                seeds = self.seeds_of.get((agent.label, environment.label), self.seeds)
                trials += [PlannedTrial(keys.of(seed), agent.label, environment.label, seed) for seed in seeds]
        return trials

    def with_seeds(
        self, seeds_of: Mapping[tuple[str, str], Sequence[int]], sequential: Mapping[str, Any] | None = None
    ) -> "Plan":
        """The same agents on the same environments with other seeds of some pairs (agent, environment).

        Args:
            seeds_of: seeds of pairs (agent, environment) that have others than `seeds`.
            sequential: the run until decided that asks for them, JSON-ready.
        """
        return self._sharing_keys(replace(self, seeds_of=seeds_of, sequential=sequential))

    def with_agents(
        self, agents: Mapping[str, PlannedAgent], seeds_of: Mapping[tuple[str, str], Sequence[int]]
    ) -> "Plan":
        """Other agents, of which those with the same label are the same, on the same environments.

        Args:
            agents: by label.
            seeds_of: seeds of pairs (agent, environment) that have others than `seeds`.
        """
        return self._sharing_keys(replace(self, agents=agents, seeds_of=seeds_of))

    def _sharing_keys(self, other: "Plan") -> "Plan":
        # What makes the keys is the same, and takes a look at all of the user's own code.
        vars(other)["_keys"] = self._keys
        return other

    def keys(self, agent: str, environment: str) -> TrialKeys:
        """Maker of the keys of an agent's trials on an environment.

        Args:
            agent: label.
            environment: label.
        """
        pair = agent, environment
        if pair not in self._keys:
            self._keys[pair] = self._new_keys(agent, environment)
        return self._keys[pair]

    @cached_property
    def _keys(self) -> dict[tuple[str, str], TrialKeys]:
        return {}

    def _new_keys(self, agent: str, environment: str) -> TrialKeys:
        place = self.environments[environment]
        budget = self.budget(agent, environment)
        return TrialKeys(
            self.agents[agent].agent,
            place.expression,
            place.profile.classes,
            None if place.is_expression else getattr(place.make, "__wrapped__", place.make),
            budget,
            place.profile.rule.description if place.success is not None else None,
            place.profile.contents.digest,
            transitions=place.profile.transitions,
            spec_id=place.profile.spec_id,
            judged_by=place.profile.judged_by,
            largest_pixel=place.profile.contents.largest_pixel,
        )

    def settings(self) -> dict[str, Any]:
        """Settings of the experiment, JSON-ready; labels to expressions, budgets, seeds, evaluation."""
        settings: dict[str, Any] = {
            "agents": {label: agent.expression for label, agent in self.agents.items()},
            "environments": {label: environment.expression for label, environment in self.environments.items()},
            "episodes": self.episodes,
            "steps": self.steps,
            "budgets": self._own_budgets(),
            "seeds": self.seeds,
            "evaluation_episodes": self.evaluation_episodes,
            "success": self.success,
            "success_of": {
                label: environment.success
                for label, environment in self.environments.items()
                if environment.success is not None and environment.success != self.success
            },
        }
        own_seeds = self._own_seeds()
        if own_seeds:
            settings["own_seeds"] = own_seeds
        if self.sequential is not None:
            settings["sequential"] = dict(self.sequential)
        places = {label: agent.environments for label, agent in self.agents.items() if agent.environments is not None}
        if places:
            settings["environments_of"] = {label: list(own) for label, own in places.items()}
        if self.epochs is not None:
            settings["epochs"] = self.epochs
        contents = {label: place.profile.contents.to_data() for label, place in self.environments.items()}
        if any(contents.values()):
            settings["contents"] = {label: told for label, told in contents.items() if told}
        if self.evaluate_every is not None:
            settings["evaluate_every"] = self.evaluate_every
        if self.snapshots is not None:
            settings["snapshots"] = self.snapshots
        if self.metric is not None:
            settings["metric"] = self.metric
        solved_at = {
            label: place.solved_at for label, place in self.environments.items() if place.solved_at is not None
        }
        if solved_at:
            settings["solved_at"] = solved_at
        if self.tuning is not None:
            settings["tuning"] = dict(self.tuning)
        hopeless = {label: asdict(place.hopeless) for label, place in self.environments.items() if place.hopeless}
        if hopeless:
            settings["hopeless"] = hopeless
        if self.factors:
            settings["factors"] = {label: dict(levels) for label, levels in self.factors.items()}
        return settings

    def _own_seeds(self) -> list[dict[str, Any]]:
        """Where seeds differ from the experiment's."""
        return [
            {"agent": agent, "environment": environment, "seeds": list(self.seeds_of[agent, environment])}
            for environment in self.environments
            for agent in self.agents_on(environment)
            if list(self.seeds_of.get((agent, environment), self.seeds)) != self.seeds
        ]

    def _own_budgets(self) -> list[dict[str, Any]]:
        """Where a budget differs from the experiment's, or is counted in epochs."""
        own: list[dict[str, Any]] = []
        for environment in self.environments:
            for agent in self.agents_on(environment):
                budget = self.budget(agent, environment)
                if (budget.episodes, budget.steps) != (self.episodes, self.steps):
                    pair = {"agent": agent, "environment": environment}
                    amounts = {"episodes": budget.episodes, "steps": budget.steps}
                    epochs = {} if budget.epochs is None else {"epochs": budget.epochs}
                    own.append(pair | amounts | epochs)
        return own
