"""Trials of one agent on one environment, trained side by side in the environment's vector form."""

import math
from collections.abc import Sequence

from velodrome.agents.agent import Agent
from velodrome.agents.engine.seeding import environment_seed
from velodrome.agents.side_by_side import SideBySideError, act_side_by_side, train_side_by_side
from velodrome.envs.vector_form import VectorForm
from velodrome.experiments.trials.environment_profile import EnvironmentProfile
from velodrome.experiments.trials.evaluation import Evaluation, evaluated_episodes
from velodrome.experiments.trials.trial import Budget, Trained, fresh, runs_on_model

# Fewer copies take longer than one after the other.
FEWEST_COPIES = 16
MOST_COPIES = 128
# Steps a second of one copy, among many, at least.
_STEPS_PER_SECOND = 10_000
# Loading the compiled step takes as long as so many steps of trials that run alone.
FEWEST_STEPS = 100_000
# Of an episode, where only that is known.
_USUAL_STEPS = 20


def copies_side_by_side(agent: Agent, profile: EnvironmentProfile, budget: Budget, number: int, seconds: float) -> int:
    """How many of `number` trials are best trained side by side; 1 where each has to be trained alone.

    Args:
        agent: the configuration.
        profile: the environment.
        budget: of training.
        number: of trials.
        seconds: that the training may take, about: what a kill can cost.
    """
    if number < FEWEST_COPIES or not agent.trains_side_by_side or runs_on_model(agent, profile):
        return 1
    episodes = (budget.episodes or 0) + budget.evaluation_episodes
    if budget.evaluate_every is not None or budget.snapshots is not None:
        return 1
    if number * ((budget.steps or 0) + _USUAL_STEPS * episodes) < FEWEST_STEPS:
        return 1
    form = profile.vector_form
    if not isinstance(form, VectorForm):
        return 1
    longest = budget.steps or (budget.episodes or 0) * (form.spec.max_episode_steps or 0)
    if not 0 < longest <= seconds * _STEPS_PER_SECOND:
        return 1
    # As many in every part.
    return math.ceil(number / math.ceil(number / MOST_COPIES))


def trained_side_by_side(
    agent: Agent, profile: EnvironmentProfile, budget: Budget, seeds: Sequence[int]
) -> list[Trained]:
    """Agents trained and evaluated with these seeds, each as it would be alone.

    Raises:
        NotCompilableError: the policy cannot be compiled.
        SideBySideError: the trials have to be run one at a time.
    """
    form = profile.quickest_vector_form
    agents = [fresh(agent) for _ in seeds]
    rule = profile.rule.description if profile.rule.source == "experiment" else None
    env = profile.make()
    try:
        logs = train_side_by_side(agents, env, form, seeds, episodes=budget.episodes, steps=budget.steps, success=rule)
    finally:
        env.close()
    evaluations = _evaluations(agents, profile, form, seeds, budget.evaluation_episodes)
    return [Trained(*trained) for trained in zip(agents, logs, evaluations, strict=True)]


def _evaluations(
    agents: Sequence[Agent], profile: EnvironmentProfile, form: VectorForm, seeds: Sequence[int], episodes: int
) -> list[Evaluation] | list[None]:
    """Of sampled episodes, each as `evaluate` gives it; None where that is to be asked."""
    sampled = profile.model is None and (profile.contents.evaluation is None)
    # Without a time limit, an episode may have no end.
    if not sampled or form.spec.max_episode_steps is None:
        return [None] * len(agents)
    try:
        ends = act_side_by_side(agents, form, [environment_seed(seed, "evaluation") for seed in seeds], episodes)
    except SideBySideError:
        return [None] * len(agents)
    successes = [profile.rule.successes(end.returns, end.lengths, end.terminated, end.reported) for end in ends]
    return [
        evaluated_episodes("monte-carlo", end.returns, success, is_sample=True)
        for end, success in zip(ends, successes, strict=True)
    ]


def notes_on_vector_form(agent: Agent, profile: EnvironmentProfile) -> tuple[str, ...]:
    """Why trials that could be trained side by side are not, where the environment has a vector form."""
    if not agent.trains_side_by_side or runs_on_model(agent, profile) or not isinstance(profile.vector_form, str):
        return ()
    return (f"ran alone, not in the environment's vector form: {profile.vector_form}",)
