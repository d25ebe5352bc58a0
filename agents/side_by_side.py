"""Training many agents of one configuration side by side, in an environment's vector form."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

import gymnasium as gym
from gymnasium import spaces

from velodrome.agents.agent import Agent
from velodrome.agents.engine.episode_ends import EpisodeEnds
from velodrome.agents.engine.vector_loop import SideBySideError as SideBySideError, run_greedily, run_vector_loop
from velodrome.agents.tabular.tabular_learner import TabularLearner, TabularTask
from velodrome.agents.training import Training
from velodrome.agents.training_log import TrainingLog
from velodrome.envs.binning import Binning
from velodrome.envs.discretize import Discretize
from velodrome.envs.vector_form import VectorForm

# Forms with a compiled step, by the vector entry points of those whose place they take.
_COMPILED_FORMS = {
    "gymnasium.envs.classic_control.cartpole:CartPoleVectorEnv": "velodrome.agents.engine.cart_pole:CartPoleCopies",
}
# Of all tables together; each takes 32 bytes with its count and the copy that is learnt in.
_MOST_VALUES = 1 << 24


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
    task = agents[0].task_of(agents[0].view_of(env))
    if isinstance(task, TabularTask) and len(agents) * task.index.num_states * task.num_actions > _MOST_VALUES:
        raise SideBySideError("their tables are too large")
    trainings = []
    for agent, seed in zip(agents, seeds, strict=True):
        training = Training("auto")
        agent._enter(training, env, seed, success, episodes=episodes, steps=steps, epochs=None)
        if training.plan is not None:
            raise SideBySideError("they learn on a model")
        training.aim()
        trainings.append(training)
    bindings = [training.binding for training in trainings]
    learners, reading = _learners(agents), _reading(bindings[0].view)
    copies = form.copies([training.reset_seed or 0 for training in trainings])
    with closing(copies):
        ends = run_vector_loop(
            learners, copies, [binding.progress for binding in bindings], *reading, episodes=episodes, steps=steps
        )
    logs = []
    for training, agent, part in zip(trainings, agents, ends, strict=True):
        training.add(part, agent)
        logs.append(training.log())
    seconds = (time.perf_counter() - started) / len(agents)
    return [dataclasses.replace(log, seconds=seconds) for log in logs]


def compiled_form(form: VectorForm, make: Callable[[], gym.Env[Any, Any]]) -> VectorForm:
    """The same form with a compiled step, where there is one and it was found to be exact, too.

    Args:
        form: that was found to be exact.
        make: makes the environment.
    """
    entry_point = form.spec.vector_entry_point
    compiled = _COMPILED_FORMS.get(entry_point) if isinstance(entry_point, str) else None
    return form if compiled is None else form.through(compiled, make)


def act_side_by_side(
    agents: Sequence[Agent], form: VectorForm, reset_seeds: Sequence[int], episodes: int
) -> list[EpisodeEnds]:
    """Episodes of agents that `train_side_by_side` has trained, each acting greedily in a copy of its own.

    Args:
        agents: trained.
        form: of the environment.
        reset_seeds: of each copy's first reset.
        episodes: of each.

    Raises:
        SideBySideError: they have to act alone, be it that one of them fails.
    """
    learners, reading = _learners(agents), _reading(agents[0].binding.view)
    with closing(form.copies(reset_seeds)) as copies:
        return run_greedily(learners, copies, *reading, episodes=episodes)


def _learners(agents: Sequence[Agent]) -> list[TabularLearner]:
    learners = [agent.learner for agent in agents]
    if not all(isinstance(learner, TabularLearner) and not learner.has_masks for learner in learners):
        raise SideBySideError("they keep no tables, or honour action masks")
    return learners


def _reading(view: gym.Env[Any, Any]) -> tuple[Binning | None, int]:
    """Bins of the observations, or the first of whole numbers."""
    if isinstance(view, Discretize):
        return view.binning, 0
    if isinstance(view.observation_space, spaces.Discrete):
        return None, int(view.observation_space.start)
    raise SideBySideError("their observations are not those of the vector form")
