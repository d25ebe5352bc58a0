"""The rule by which an assignment's agent learns, and its replay over what a learner experienced."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

from velodrome.agents.agent import Agent
from velodrome.agents.tabular.expected_sarsa import ExpectedSarsa
from velodrome.agents.tabular.q_learning import QLearning
from velodrome.agents.tabular.sarsa import Sarsa
from velodrome.experiments.grading.diagnosis.replay import EXPECTED, MAX, NEXT_ACTION, Replay
from velodrome.experiments.grading.interaction import Interaction
from velodrome.policies.epsilon_greedy import EpsilonGreedy
from velodrome.policies.greedy import Greedy
from velodrome.policies.policy import Policy
from velodrome.policies.schedules import Constant, Schedule, as_schedule
from velodrome.policies.uniform import Uniform

Kind = Literal["q_learning", "sarsa", "expected_sarsa"]
VALUES: dict[Kind, int] = {"q_learning": MAX, "sarsa": NEXT_ACTION, "expected_sarsa": EXPECTED}


@dataclass(frozen=True)
class Rule:
    """A one-step rule for action values.

    Attributes:
        kind: what its target bootstraps from.
        learning_rate: of its clock.
        discount: γ.
        initial_value: of every pair.
        policy: by which the agent explores.
    """

    kind: Kind
    learning_rate: Schedule
    discount: float
    initial_value: float
    policy: Policy

    @classmethod
    def of(cls, reference: Agent) -> "Rule | None":
        """Rule of Q-learning, Sarsa or expected Sarsa; None of other agents, whose tables take more than the steps."""
        kinds: dict[type, Kind] = {QLearning: "q_learning", Sarsa: "sarsa", ExpectedSarsa: "expected_sarsa"}
        kind = kinds.get(type(reference))
        if kind is None or not isinstance(reference, QLearning | ExpectedSarsa) or reference.action_mask:
            return None
        if kind == "expected_sarsa" and _exploration_of(reference.policy) is None:
            return None
        rate = as_schedule(reference.name, "learning_rate", reference.learning_rate, 0.0, 1.0)
        return cls(kind, rate, float(reference.discount), float(reference.initial_value), reference.policy)

    def exploration(self, experience: "Experience", ahead: int = 0) -> np.ndarray:
        """Share of a uniformly random action at every step, or `ahead` steps later, float64 (steps,)."""
        schedule = _exploration_of(self.policy)
        return np.zeros(experience.steps) if schedule is None else experience.scheduled(schedule, ahead)


def _exploration_of(policy: Policy) -> Schedule | None:
    if isinstance(policy, EpsilonGreedy):
        return policy.schedule if policy.schedule.clock != "visits" else None
    if isinstance(policy, Greedy):
        return Constant(0.0)
    return Constant(1.0) if isinstance(policy, Uniform) else None


@dataclass(frozen=True, eq=False)
class Experience:
    """The steps that a learner took, and what follows from their order.

    Attributes:
        interaction: as it was recorded.
        num_states: of the environment.
        num_actions: of the environment.
    """

    interaction: Interaction
    num_states: int
    num_actions: int
    steps: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", len(self.interaction.states))

    @cached_property
    def episode(self) -> np.ndarray:
        """Number of episodes of at least one step before that of each step, int64 (steps,)."""
        if not self.steps:
            return np.zeros(0, dtype=np.int64)
        return np.concatenate([[0], np.cumsum(np.diff(self.interaction.episodes) != 0)]).astype(np.int64)

    @cached_property
    def starts(self) -> np.ndarray:
        """Whether an episode begins with the step, bool (steps,)."""
        starts: np.ndarray = np.diff(self.episode, prepend=-1) != 0
        return starts

    @cached_property
    def is_last(self) -> np.ndarray:
        """Whether an episode ends with the step, however it ended, bool (steps,)."""
        return np.append(self.starts[1:], True)[: self.steps]

    @cached_property
    def next_actions(self) -> np.ndarray:
        """Action of the next step of the same episode, -1 where there is none, int64 (steps,)."""
        return np.where(self.is_last, -1, np.append(self.interaction.actions[1:], -1)[: self.steps])

    @cached_property
    def visits(self) -> np.ndarray:
        """How often the state and action of each step had been visited before it, int64 (steps,)."""
        pairs = self.interaction.states * self.num_actions + self.interaction.actions
        order = np.argsort(pairs, kind="stable")
        firsts = np.diff(pairs[order], prepend=-1) != 0
        places = np.arange(self.steps)
        counts = np.empty(self.steps, dtype=np.int64)
        counts[order] = places - np.maximum.accumulate(np.where(firsts, places, 0))
        return counts

    @cached_property
    def step_of_episode(self) -> np.ndarray:
        """Number of steps before each in its episode, int64 (steps,)."""
        places = np.arange(self.steps)
        return places - np.maximum.accumulate(np.where(self.starts, places, 0))

    def index(self, clock: str) -> np.ndarray:
        """What a clock shows at every step, int64 (steps,)."""
        return {"episode": self.episode, "step": np.arange(self.steps), "visits": self.visits}[clock]

    def scheduled(self, schedule: Schedule, ahead: int = 0, clock: str | None = None) -> np.ndarray:
        """Values of a schedule at every step, or with its index moved ahead, float64 (steps,)."""
        if not self.steps:
            return np.zeros(0)
        index = np.maximum(self.index(clock or schedule.clock) + ahead, 0)
        values: np.ndarray = schedule.values(0, int(index.max()) + 1)[index]
        return values

    def replay(self, rule: Rule) -> Replay:
        """The rule as it should be."""
        done = self.interaction
        rates = self.scheduled(rule.learning_rate)
        ahead = 1 if rule.policy.schedule.clock == "step" else 0
        return Replay(
            states=done.states,
            actions=done.actions,
            rewards=done.rewards,
            next_states=done.next_states,
            next_actions=self.next_actions,
            discounts=np.where(done.terminated, 0.0, rule.discount),
            rates=rates,
            kept=1.0 - rates,
            exploration=rule.exploration(self, ahead),
            skipped=np.zeros(self.steps, dtype=np.bool_),
            chosen_in=done.states,
            starts=self.starts,
            initial=np.full((self.num_states, self.num_actions), rule.initial_value),
            value=VALUES[rule.kind],
        )
