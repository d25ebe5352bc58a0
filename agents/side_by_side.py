"""Training many agents of one configuration side by side, in an environment's vector form."""

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
from gymnasium import spaces

from velodrome.agents.agent import Agent
from velodrome.agents.engine.vector_loop import SideBySideError as SideBySideError, run_vector_loop
from velodrome.agents.tabular.tabular_learner import TabularLearner
from velodrome.agents.training import Training
from velodrome.agents.training_log import TrainingLog
from velodrome.envs.discretize import Discretize
from velodrome.envs.vector_form import VectorForm


def train_side_by_side(
    agents: Sequence[Agent],
    env: gym.Env[Any, Any],
    form: VectorForm,
    seeds: Sequence[int],
    *,
    episodes: int | None,
    steps: int | None,
    success: str | None = None,
) -> list[TrainingLog]:
    """Train agents that have learnt nothing, each as its `train` would with its seed in the environment alone.

    Every agent and log is the same, bit for bit, as if they trained one after the other; the seconds are shared
    equally.

    Args:
        agents: of one configuration.
        env: of which `form` is the vector form; it is looked at, not stepped.
        form: that was found to be exact.
        seeds: of each agent.
        episodes: as of `Agent.train`.
        steps: as of `Agent.train`.
        success: as of `Agent.train`.

    Raises:
        NotCompilableError: the policy cannot be compiled.
        SideBySideError: they have to be trained alone, be it that one of them fails; these have learnt nothing.
    """
    started = time.perf_counter()
    trainings = []
    for agent, seed in zip(agents, seeds, strict=True):
        training = Training("auto")
        agent._enter(training, env, seed, success, episodes=episodes, steps=steps, epochs=None)
        training.aim()
        trainings.append(training)
    bindings = [training.binding for training in trainings]
    learners = [binding.learner for binding in bindings]
    view = bindings[0].view
    if not all(isinstance(learner, TabularLearner) and not learner.has_masks for learner in learners):
        raise SideBySideError("they keep no tables, or honour action masks")
    binning, first_observation = None, 0
    if isinstance(view, Discretize):
        binning = view.binning
    elif isinstance(view.observation_space, spaces.Discrete):
        first_observation = int(view.observation_space.start)
    else:
        raise SideBySideError("their observations are not those of the vector form")
    copies = form.copies([training.reset_seed for training in trainings])
    try:
        ends = run_vector_loop(
            learners, copies, [binding.progress for binding in bindings], binning, first_observation,
            episodes=episodes, steps=steps,
        )  # fmt: skip
    finally:
        copies.close()
    logs = []
    for training, agent, part in zip(trainings, agents, ends, strict=True):
        training.add(part, agent)
        logs.append(training.log())
    seconds = (time.perf_counter() - started) / len(agents)
    return [dataclasses.replace(log, seconds=seconds) for log in logs]
