"""Learners × policies: every learner with every way to explore, as agents that know what they were made of."""

import dataclasses
from collections.abc import Collection, Mapping
from typing import NamedTuple

from velodrome.agents.agent import Agent
from velodrome.checks import ConfigurationError, one_line
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.specification.crossing_inputs import read_learner, read_policy
from velodrome.experiments.specification.entries import CrossedEntry, LearnerEntry, PolicyEntry
from velodrome.experiments.specification.mistakes import Mistake
from velodrome.policies.policy import Policy

# Crossed with policies where no learner is given.
DEFAULT_LEARNER = "q_learning"
NO_POLICIES = "learners are crossed with policies: give policies too, or give the learners under agents"


class Crossing(NamedTuple):
    """Agents by label, learner by learner and policy by policy, and the pairs that make no agent."""

    agents: dict[str, CrossedEntry]
    mistakes: list[Mistake]


def cross(
    learners: Mapping[str, LearnerEntry], policies: Mapping[str, PolicyEntry], taken: Collection[str] = ()
) -> Crossing:
    """Every learner with every policy; the budget is the learner's.

    Args:
        learners: by label; `DEFAULT_LEARNER` if there are none.
        policies: by label.
        taken: labels of agents that are not crossed.
    """
    agents: dict[str, CrossedEntry] = {}
    mistakes: list[Mistake] = []
    if policies and not learners:
        learners = {DEFAULT_LEARNER: LearnerEntry(learner=DEFAULT_LEARNER)}
    for learner_label, entry in learners.items():
        _, learner = read_learner(entry.learner)
        for policy_label, policy_entry in policies.items():
            label = crossed_label(learner_label, policy_label)
            _, policy = read_policy(policy_entry.policy)
            try:
                if label in taken or label in agents:
                    raise ExperimentError(f"another agent has the label {label!r}: change one of them")
                agents[label] = CrossedEntry(
                    agent=with_policy(learner, policy), episodes=entry.episodes, steps=entry.steps,
                    epochs=entry.epochs, learner=learner_label, policy=policy_label,
                )  # fmt: skip
            except ExperimentError as error:
                mistakes.append(Mistake(("learners", learner_label), f"with policy {policy_label!r}: {error}"))
    return Crossing(agents, mistakes)


def crossed_label(learner: str, policy: str) -> str:
    """Label of a learner with a policy."""
    return f"{learner} · {policy}"


def with_policy(learner: Agent, policy: Policy) -> Agent:
    """The learner's configuration with another policy.

    Raises:
        ExperimentError: the learner cannot use it; one line.
    """
    try:
        return dataclasses.replace(learner, policy=policy)  # type: ignore[type-var]
    # The class may be the user's own, and raise anything.
    except Exception as error:
        reason = str(error) if isinstance(error, ConfigurationError) else one_line(error)
        raise ExperimentError(
            f"{reason}; to leave this pair out, give the others under agents, each with a policy of its own"
        ) from error
