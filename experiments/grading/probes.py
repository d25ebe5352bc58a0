"""Hand-made transitions on which an update is tried, and what the reference agent makes of each."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from velodrome.agents.agent import Agent
from velodrome.agents.tabular.named_arguments import UPDATE, by_name, takes
from velodrome.agents.tabular.tabular_agent import TabularAgent
from velodrome.envs.model.transition_model import TransitionModel
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.grading.interaction import Probe

# Kinds of transitions: each is worth the same, and is right where every probe of it is.
GROUPS = ("ongoing", "terminated", "truncated")
TOLERANCE = 1e-9
_PROBES_OF_A_GROUP = 8
_REPLAYED = 40
_LARGEST_TABLE = 100_000
_REWARDS = (0.0, 1.0, -1.0, 20.0, -0.5)


def group_of(probe: Probe) -> str:
    """Kind of a probe's transition."""
    return "terminated" if probe.terminated else "truncated" if probe.truncated else "ongoing"


@dataclass(frozen=True)
class UpdateReference:
    """Update of a reference agent.

    Raises:
        ExperimentError: an agent whose update is no function of one transition.
    """

    agent: Agent

    def __post_init__(self) -> None:
        agent = self.agent
        usable = isinstance(agent, TabularAgent) and isinstance(agent.learning_rate, int | float)
        if usable and isinstance(agent, TabularAgent):
            fields = set(type(agent.new_memory(1, 1))._fields)
            usable = fields <= {"action_values", "visit_counts"}
            usable = usable and not any(takes(agent.update, name) for name in ("parameter", "rng"))
        if not usable:
            raise ExperimentError(
                f"{agent} has no update of one transition to compare with: give q_learning or sarsa, with a number as "
                "learning_rate"
            )

    def __call__(self, probe: Probe) -> NDArray[np.float64]:
        """Action values after a probe's transition."""
        agent: Any = self.agent
        memory = agent.new_memory(*probe.before.shape)
        memory.action_values[:] = probe.before
        learn: Callable[..., None] = by_name(agent.update, UPDATE, memory._fields)
        next_action = -1 if probe.next_action is None else probe.next_action
        learn(
            memory, probe.state, probe.action, probe.reward, probe.next_state, probe.terminated,
            probe.terminated or probe.truncated, next_action, 0.0, float(agent.learning_rate), agent.discount, None,
            None, None,
        )  # fmt: skip
        return np.array(memory.action_values)

    def probes(self, model: TransitionModel) -> list[Probe]:
        """Hand-made transitions of every group, then some of the environment; `answer` is still the table before.

        Raises:
            ExperimentError: the table is too large.
        """
        shape = model.num_states, model.num_actions
        if shape[0] * shape[1] > _LARGEST_TABLE or shape[0] < 2:
            raise ExperimentError(f"an update is tried on tables of 2 states to {_LARGEST_TABLE} entries, got {shape}")
        rng = np.random.default_rng(0)
        probes = []
        for group in GROUPS:
            for place in range(_PROBES_OF_A_GROUP):
                before = np.round(rng.normal(size=shape) * 2.0, 2) if place else np.zeros(shape)
                state, next_state = (int(one) for one in rng.choice(shape[0], 2, replace=False))
                if place == 1:
                    # All values below 0, as where every step costs; the best is not the 0 of an empty table.
                    before = -1.0 - np.abs(before)
                if place == 2:
                    next_state = state
                if place == 3:
                    before[next_state] = 1.5
                probes.append(
                    self._probe(
                        before, state, int(rng.integers(shape[1])), _REWARDS[place % len(_REWARDS)], next_state,
                        group == "terminated", group == "truncated", int(rng.integers(shape[1])),
                    )
                )  # fmt: skip
        return probes + self._replay(model, rng)

    def _replay(self, model: TransitionModel, rng: np.random.Generator) -> list[Probe]:
        """Transitions of random actions in the environment, each from the table that the reference has come to."""
        table = np.zeros((model.num_states, model.num_actions))
        probes: list[Probe] = []
        state, step = -1, 0
        while len(probes) < _REPLAYED:
            if state < 0:
                state, step = int(rng.choice(model.num_states, p=model.initial_distribution)), 0
            action = int(rng.integers(model.num_actions))
            pair = state * model.num_actions + action
            first, last = model.offsets[pair], model.offsets[pair + 1]
            outcome = int(first + rng.choice(last - first, p=model.probabilities[first:last]))
            step += 1
            truncated = step == model.time_limit
            next_state, terminated = int(model.next_states[outcome]), bool(model.terminated[outcome])
            next_action = int(rng.integers(model.num_actions))
            probe = self._probe(
                table, state, action, float(model.rewards[outcome]), next_state, terminated, truncated, next_action
            )
            probes.append(probe)
            table = probe.expected
            state = -1 if terminated or truncated else next_state
        return probes

    def _probe(
        self, before: NDArray[np.float64], state: int, action: int, reward: float, next_state: int, terminated: bool,
        truncated: bool, next_action: int,
    ) -> Probe:  # fmt: skip
        chosen = next_action if self.agent.is_on_policy else None  # type: ignore[attr-defined]
        probe = Probe(before, state, action, reward, next_state, terminated, truncated, chosen, before, before)
        return replace(probe, expected=self(probe))


def arguments_of(probe: Probe) -> list[Any]:
    """What an update is called with after the action values."""
    known = [probe.state, probe.action, probe.reward, probe.next_state, probe.terminated, probe.truncated]
    return known if probe.next_action is None else [*known, probe.next_action]


def is_right(probe: Probe) -> bool:
    """Whether an answer is the reference's, but for rounding."""
    return bool(np.allclose(probe.answer, probe.expected, rtol=TOLERANCE, atol=TOLERANCE))


def right_share(probes: list[Probe]) -> float:
    """Share of the groups of which every probe is right."""
    wrong = {group_of(probe) for probe in probes if not is_right(probe)}
    return 1.0 - len(wrong) / len(GROUPS)
