"""Drives the compiled loop through a budget in chunks, from where an agent stands to where it then stands."""

import time
import warnings
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

import numpy as np

from velodrome.agents.engine.compile_clock import COMPILE_CLOCK
from velodrome.agents.engine.compiler import compiled_loop, report_not_compilable
from velodrome.agents.engine.episode_ends import EpisodeEnds
from velodrome.agents.engine.generic_loop import Progress
from velodrome.agents.engine.interruption import current_interruption, not_counted
from velodrome.agents.engine.sampled_model import SampledModel
from velodrome.agents.errors import PolicyFailureError, UnsupportedEnvironmentError, policy_failure
from velodrome.agents.tabular.schedule_table import ScheduleTable
from velodrome.agents.tabular.tabular_learner import TabularLearner

# A chunk bounds the tables of schedules and results (8 MiB each at most) and the wait for Ctrl-C (about 0.1 s).
MAX_CHUNK_STEPS = 1 << 20
MAX_CHUNK_EPISODES = 1 << 15
FIRST_CHUNK_STEPS = 1 << 14
FIRST_CHUNK_EPISODES = 1 << 10

# Every loop is called with arrays of the same types, so it is compiled once.
_compiled: WeakSet[Any] = WeakSet()


def run_compiled_loop(
    sampled: SampledModel,
    learner: TabularLearner,
    progress: Progress,
    *,
    episodes: int | None,
    steps: int | None,
) -> EpisodeEnds:
    """Run until exactly `episodes` episodes are finished or `steps` steps are taken, whichever comes first.

    The learner, `progress` and both generators are updated in place, chunk by chunk.

    Returns:
        How the finished episodes ended.

    Raises:
        NotCompilableError: Numba cannot compile the policy; nothing has been changed.
        PolicyFailureError: the policy chose an action that does not exist.
        TrainingInterruptedError: see `interruptible`.
        UnsupportedEnvironmentError: the tables are not those of the model's states and actions.
        TrainingTimeoutError: see `interruptible`.
    """
    from velodrome.agents.engine.compiled_loop import (
        EPISODE,
        FAILURE,
        IN_EPISODE,
        LENGTH,
        NEXT_ACTION,
        NUM_WORDS,
        STATE,
        STEP,
        ModelArrays,
    )
    from velodrome.agents.engine.compiled_stream import read_generator, write_generator

    memory, parameters, rates = learner.memory, learner.parameters, learner.rates
    masks = learner.action_masks.by_state if learner.has_masks else None
    select = learner.select if masks is None else learner.masked_select
    loop = compiled_loop(
        select, learner.learn, learner.visits_of, has_masks=masks is not None, is_on_policy=learner.is_on_policy,
        needs_next_parameter=learner.needs_next_parameter,
        parameter_clock=parameters.clock, rate_clock=rates.clock,
    )  # fmt: skip
    model = sampled.model
    if memory.action_values.shape != (model.num_states, model.num_actions) or learner.present_state >= model.num_states:
        # Compiled code would read and write beyond the end of the tables.
        raise UnsupportedEnvironmentError(
            f"{sampled.label} has spaces of {memory.action_values.shape[0]} states and {memory.action_values.shape[1]} "
            f"actions, but its transition model has {model.num_states} and {model.num_actions}"
        )
    arrays = ModelArrays(
        model.offsets, model.cumulative, model.next_states, model.rewards, model.terminated,
        model.initial_cumulative, model.time_limit if model.time_limit is not None else 1 << 62,
    )  # fmt: skip
    by_episode = parameters.clock == rates.clock == "episode"
    chunk_steps = MAX_CHUNK_STEPS if by_episode else FIRST_CHUNK_STEPS
    chunk_episodes = MAX_CHUNK_EPISODES if episodes is not None else FIRST_CHUNK_EPISODES
    environment_rng = sampled.generator
    assert environment_rng is not None
    environment_words, agent_words = read_generator(environment_rng), read_generator(learner.rng)
    position = np.zeros(NUM_WORDS, dtype=np.int64)
    position[STATE], position[NEXT_ACTION] = learner.present_state, learner.next_action
    position[IN_EPISODE], position[LENGTH] = progress.in_episode, progress.episode_length
    position[EPISODE], position[STEP] = learner.episode, learner.step
    partial_return = np.array([progress.episode_return])
    finished = taken = 0
    compile_seconds = 0.0
    outcomes = np.empty(chunk_episodes if episodes is None else min(chunk_episodes, episodes), np.int64)
    whole = None if episodes is None else (np.empty(episodes), np.empty(episodes, np.int64))
    chunks: list[tuple[np.ndarray, ...]] = []
    interruption = current_interruption()
    while finished != episodes and taken != steps:
        if interruption is not None:
            interruption.check()
        now_steps = chunk_steps if steps is None else min(chunk_steps, steps - taken)
        now_episodes = min(now_steps + 1, chunk_episodes)
        if episodes is not None:
            now_episodes = min(now_episodes, episodes - finished)
        if whole is not None:
            returns, lengths = (column[finished : finished + now_episodes] for column in whole)
        else:
            returns, lengths = np.empty(now_episodes), np.empty(now_episodes, np.int64)
        if now_episodes > len(outcomes):
            outcomes = np.empty(now_episodes, np.int64)
        episode, step = int(position[EPISODE]), int(position[STEP])
        parameter_table, parameter_base = _table(parameters, episode, step, now_episodes, now_steps, memory, axis=1)
        rate_table, rate_base = _table(rates, episode, step, now_episodes, now_steps, memory, axis=None)
        arguments = (
            arrays, masks, memory, parameter_table, rate_table, np.array([parameter_base, rate_base]), learner.discount,
            position, partial_return, np.array([episode + now_episodes, step + now_steps]), returns, lengths, outcomes,
            environment_words, agent_words,
        )  # fmt: skip
        compile_seconds += _compile(loop, arguments, select)
        try:
            count = loop(*arguments)
        except Exception as error:
            raise policy_failure(error) from error
        ends = outcomes[:count]
        reported = sampled.reports(ends)
        chunks.append((returns[:count], lengths[:count], model.terminated[ends], reported))
        taken += int(position[STEP]) - step
        finished += count
        write_generator(environment_rng, environment_words)
        write_generator(learner.rng, agent_words)
        learner.present_state, learner.next_action = int(position[STATE]), int(position[NEXT_ACTION])
        learner.episode, learner.step = int(position[EPISODE]), int(position[STEP])
        progress.in_episode, progress.episode_length = bool(position[IN_EPISODE]), int(position[LENGTH])
        progress.episode_return = float(partial_return[0])
        progress.episode += count
        progress.step += int(position[STEP]) - step
        if position[FAILURE]:
            _raise_failure(int(position[FAILURE]), model.num_actions, parameters, rates, position, memory)
        chunk_steps = min(2 * chunk_steps, MAX_CHUNK_STEPS)
        chunk_episodes = min(4 * chunk_episodes, MAX_CHUNK_EPISODES)
    columns = list(zip(*chunks, strict=True))
    if whole is not None:
        returns, lengths = (column[:finished] for column in whole)
    else:
        returns, lengths = (np.concatenate(column) for column in columns[:2])
    terminated, reported = (np.concatenate(column) for column in columns[2:])
    return EpisodeEnds(returns, lengths, terminated, reported, taken, "compiled", compile_seconds)


def _raise_failure(
    failure: int, num_actions: int, parameters: ScheduleTable, rates: ScheduleTable, position: np.ndarray, memory: Any
) -> None:
    from velodrome.agents.engine.compiled_loop import BAD_ACTION, BAD_PARAMETER, EPISODE, STEP

    if failure == BAD_ACTION:
        raise PolicyFailureError(f"the policy chose an action that is not among 0 to {num_actions - 1}")
    schedule = parameters if failure == BAD_PARAMETER else rates
    place = {"episode": int(position[EPISODE]), "step": int(position[STEP])}
    # A visit count is not reported back: the first bad value of the table is the one that some state reached.
    first = place.get(schedule.clock, 0)
    schedule.refuse(first, first + 1 if schedule.clock in place else int(memory.visit_counts.sum()) + 1)


def _compile(loop: Any, arguments: tuple[Any, ...], select: Callable[..., Any]) -> float:
    """Compile a loop for these arguments, or load it from disk, unless that was done; returns the seconds taken."""
    if loop in _compiled:
        return 0.0
    started = time.perf_counter()
    with not_counted(), COMPILE_CLOCK, warnings.catch_warnings():
        import numba
        from numba.core.errors import NumbaWarning

        # Advice to Numba's own users; what matters to ours is in the error.
        warnings.simplefilter("ignore", NumbaWarning)
        try:
            if loop not in _compiled:
                loop.compile(tuple(numba.typeof(argument) for argument in arguments))
        except Exception as error:
            # Compiling runs none of the user's code: whatever goes wrong, this policy cannot be compiled.
            raise report_not_compilable(loop, error, select) from error
    _compiled.add(loop)
    return time.perf_counter() - started


def _table(
    schedule: ScheduleTable, episode: int, step: int, episodes: int, steps: int, memory: Any, axis: int | None
) -> tuple[np.ndarray, int]:
    """Values that a chunk may need, and the index of the first."""
    if schedule.clock == "episode":
        return schedule.window(episode, episode + episodes), episode
    if schedule.clock == "step":
        # One more: an on-policy learner chooses the action after the last step.
        return schedule.window(step, step + steps + 1), step
    visits = memory.visit_counts if axis is None else memory.visit_counts.sum(axis=axis)
    return schedule.from_zero(int(visits.max()) + steps + 2), 0
