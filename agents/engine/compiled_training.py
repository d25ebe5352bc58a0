"""Drives the compiled loop through a budget in chunks, from where an agent stands to where it then stands."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from velodrome.agents.engine.compiler import compile_now, compiled_loop
from velodrome.agents.engine.episode_ends import EpisodeEnds
from velodrome.agents.engine.generic_loop import Progress
from velodrome.agents.engine.interruption import current_interruption
from velodrome.agents.engine.sampled_model import SampledModel
from velodrome.agents.errors import PolicyFailureError, UnsupportedEnvironmentError, policy_failure
from velodrome.agents.tabular.schedule_table import ScheduleTable
from velodrome.agents.tabular.tabular_learner import TabularLearner
from velodrome.checks import ConfigurationError, VelodromeError

# A chunk bounds the tables of schedules and results (8 MiB each at most) and the wait for Ctrl-C (about 0.1 s).
MAX_CHUNK_STEPS = 1 << 20
MAX_CHUNK_EPISODES = 1 << 15
FIRST_CHUNK_STEPS = 1 << 14
FIRST_CHUNK_EPISODES = 1 << 10
# Episodes or steps that one seed may be ahead of another.
MAX_AHEAD = 1 << 20
# Loops over the actions of a state are unrolled where there are so few.
FEW_ACTIONS = 8
# Seeds that take turns, at most, and bytes of their tables together that a core's cache holds beside the model.
TOGETHER = 8
CACHED_BYTES = 1 << 17


@dataclass(frozen=True, eq=False)
class Run:
    """One agent that learns on a model: all three are updated in place.

    Attributes:
        sampled: the model, with the stream of its environment.
        learner: of the agent.
        progress: how far it has come.
    """

    sampled: SampledModel
    learner: TabularLearner
    progress: Progress


def run_compiled_loop(run: Run, *, episodes: int | None, steps: int | None) -> EpisodeEnds:
    """Run until exactly `episodes` episodes are finished or `steps` steps are taken, whichever comes first.

    The learner, its progress and both generators are updated in place, chunk by chunk.

    Returns:
        How the finished episodes ended.

    Raises:
        NotCompilableError: Numba cannot compile the policy; nothing has been changed.
        PolicyFailureError: the policy chose an action that does not exist.
        TrainingInterruptedError: see `interruptible`.
        UnsupportedEnvironmentError: the tables are not those of the model's states and actions.
        TrainingTimeoutError: see `interruptible`.
    """
    (ends,) = run_together([run], episodes=episodes, steps=steps, takes_turns=False)
    if isinstance(ends, VelodromeError):
        raise ends
    return ends


def run_together(
    runs: Sequence[Run], *, episodes: int | None, steps: int | None, takes_turns: bool = True
) -> list[EpisodeEnds | VelodromeError]:
    """Run several agents of one configuration on one model, each as `run_compiled_loop` does alone, bit for bit.

    They take turns inside one compiled call where that is faster. An agent that cannot go on, for a schedule has no
    value or the policy chose no action, has the error that says so in place of its episodes; the others go on.

    Args:
        runs: of learners with the same policy, update and schedules, and tables of the same shape.
        episodes: to finish, each.
        steps: to take, each.
        takes_turns: False for a loop that is faster for one agent alone.

    Raises:
        NotCompilableError, TrainingInterruptedError, UnsupportedEnvironmentError, TrainingTimeoutError: see
            `run_compiled_loop`.
        PolicyFailureError: the policy raised.
    """
    from velodrome.agents.engine.branch_free import branch_free
    from velodrome.agents.engine.compiled_arrays import addresses_of
    from velodrome.agents.engine.compiled_loop import (
        AGENT_WORDS,
        ENVIRONMENT_WORDS,
        EPISODE,
        FAILURE,
        FINISHED,
        IN_EPISODE,
        LAST_EPISODE,
        LAST_STEP,
        LEARNING_RATE,
        LENGTH,
        NEXT_ACTION,
        NUM_WORDS,
        PARAMETER,
        RETURN,
        STATE,
        STEP,
        BanditArrays,
        ModelArrays,
    )
    from velodrome.agents.engine.compiled_stream import STATE_WORDS, read_generator, write_generator

    learners = [run.learner for run in runs]
    first, sampled, num_seeds = learners[0], runs[0].sampled, len(runs)
    parameters, rates, pattern = first.parameters, first.rates, first.memory
    masks = first.action_masks.by_state if first.has_masks else None
    select = first.select if masks is None else first.masked_select
    shape = pattern.action_values.shape
    num_actions = shape[1] if shape[1] <= FEW_ACTIONS else 0
    tables = sum(1 << place for place, array in enumerate(pattern) if array.shape == shape and array.flags.c_contiguous)
    takes_turns = takes_turns and masks is None and branch_free(select, num_actions) is not None
    loop = compiled_loop(
        select, first.learn, first.visits_of, has_masks=masks is not None, takes_turns=takes_turns,
        is_on_policy=first.is_on_policy, needs_next_parameter=first.needs_next_parameter,
        is_bandit=sampled.bandit is not None,
        num_actions=num_actions, tables=tables, parameter_clock=parameters.clock, rate_clock=rates.clock,
        shown_counts=first.shown_counts,
    )  # fmt: skip
    model = sampled.model
    if pattern.action_values.shape != (model.num_states, model.num_actions) or any(
        learner.present_state >= model.num_states for learner in learners
    ):
        # Compiled code would read and write beyond the end of the tables.
        raise UnsupportedEnvironmentError(
            f"{sampled.label} has spaces of {pattern.action_values.shape[0]} states and "
            f"{pattern.action_values.shape[1]} actions, but its transition model has {model.num_states} and "
            f"{model.num_actions}"
        )
    bandits = [run.sampled.bandit for run in runs if run.sampled.bandit is not None]
    arrays = BanditArrays.of(bandits) if bandits else ModelArrays.of(model)
    together, turn = 1, 1 << 62
    # Without chance in the model little is guessed wrongly, and the wait for one seed's numbers is short.
    if takes_turns and (isinstance(arrays, BanditArrays) or arrays.places != 1):
        num_bytes = sum(array.nbytes for array in pattern)
        together, turn = min(TOGETHER, max(2, CACHED_BYTES // num_bytes)), 1
    addresses = np.array([addresses_of(learner.memory) for learner in learners], dtype=np.int64)
    registers = np.zeros((num_seeds, NUM_WORDS), dtype=np.uint64)
    positions, numbers = registers.view(np.int64), registers.view(np.float64)
    for words, position, number, run in zip(registers, positions, numbers, runs, strict=True):
        learner, progress = run.learner, run.progress
        words[ENVIRONMENT_WORDS : ENVIRONMENT_WORDS + STATE_WORDS] = read_generator(_environment_rng(run))
        words[AGENT_WORDS : AGENT_WORDS + STATE_WORDS] = read_generator(learner.rng)
        position[STATE], position[NEXT_ACTION] = learner.present_state, learner.next_action
        position[IN_EPISODE], position[LENGTH] = progress.in_episode, progress.episode_length
        position[EPISODE], position[STEP] = learner.episode, learner.step
        number[RETURN] = progress.episode_return
    by_episode = parameters.clock == rates.clock == "episode"
    chunk_steps = max(FIRST_CHUNK_STEPS, MAX_CHUNK_STEPS // num_seeds) if by_episode else FIRST_CHUNK_STEPS
    chunk_episodes = MAX_CHUNK_EPISODES if episodes is not None else FIRST_CHUNK_EPISODES
    first_steps = positions[:, STEP].copy()
    finished = np.zeros(num_seeds, dtype=np.int64)
    failures: dict[int, VelodromeError] = {}
    # How episodes end that end with the outcome of a place.
    outcomes = np.zeros(0, dtype=np.int64) if isinstance(arrays, BanditArrays) else arrays.outcomes
    terminated_at, reported_at = model.terminated[outcomes], sampled.reports(outcomes)
    regrets = None if bandits else model.pseudo_regrets()
    regrets_at = None if regrets is None else regrets[outcomes]
    is_one_step = bool(bandits) or regrets is not None
    # Columns of each seed: returns, lengths, outcomes and pseudo-regrets of a bandit. Of so many steps it is not known
    # how many episodes they have.
    room = 0 if episodes is None else episodes
    columns = _columns(num_seeds, room, bool(bandits))
    chunks: list[list[tuple[np.ndarray, ...]]] = [[] for _ in runs]
    compile_seconds = 0.0
    interruption = current_interruption()
    while True:
        taken = positions[:, STEP] - first_steps
        left = [
            seed
            for seed in range(num_seeds)
            if seed not in failures and finished[seed] != episodes and taken[seed] != steps
        ]
        if not left:
            break
        if interruption is not None:
            interruption.check()
            interruption.advance(float(finished.mean()), float(taken.mean()))
        # Those far ahead wait, so that the tables of schedules stay small.
        places = positions[left][:, [EPISODE, STEP]]
        ahead = np.abs(places - places[places[:, 1].argmin()])
        seeds = np.array(left)[(ahead < MAX_AHEAD).all(axis=1)]
        before = positions[seeds]
        now_steps = chunk_steps if steps is None else np.minimum(chunk_steps, steps - taken[seeds])
        now_episodes = np.minimum(now_steps + 1, chunk_episodes)
        if episodes is not None:
            now_episodes = np.minimum(now_episodes, episodes - finished[seeds])
            if is_one_step:
                # The tables of schedules are as long as the steps may be many.
                now_steps = np.minimum(now_steps, now_episodes)
        else:
            columns = _columns(num_seeds, int(np.max(now_episodes)), bool(bandits))
            positions[:, FINISHED] = 0
        after = np.stack([before[:, EPISODE] + now_episodes, before[:, STEP] + now_steps], axis=1)
        positions[seeds, LAST_EPISODE], positions[seeds, LAST_STEP] = after.T
        memories = [learners[seed].memory for seed in seeds]
        parameter_table, parameter_base = _table(parameters, before, after, memories, axis=1)
        rate_table, rate_base = _table(rates, before, after, memories, axis=None)
        # Of an episode that is under way.
        if parameters.clock == "episode":
            numbers[seeds, PARAMETER] = parameter_table[before[:, EPISODE] - parameter_base]
        if rates.clock == "episode":
            numbers[seeds, LEARNING_RATE] = rate_table[before[:, EPISODE] - rate_base]
        arguments = (
            arrays, masks, pattern, addresses, parameter_table, rate_table, np.array([parameter_base, rate_base]),
            first.discount, registers, *columns, seeds.copy(),
            together, turn,
        )  # fmt: skip
        compile_seconds += compile_now(loop, arguments, select)
        try:
            loop(*arguments)
        except Exception as error:
            raise policy_failure(error) from error
        for seed, episode, step in zip(
            seeds.tolist(), before[:, EPISODE].tolist(), before[:, STEP].tolist(), strict=True
        ):
            run, words, position = runs[seed], registers[seed], positions[seed].tolist()
            learner, progress = run.learner, run.progress
            write_generator(_environment_rng(run), words[ENVIRONMENT_WORDS : ENVIRONMENT_WORDS + STATE_WORDS])
            write_generator(learner.rng, words[AGENT_WORDS : AGENT_WORDS + STATE_WORDS])
            learner.present_state, learner.next_action = position[STATE], position[NEXT_ACTION]
            learner.episode, learner.step = position[EPISODE], position[STEP]
            progress.in_episode, progress.episode_length = bool(position[IN_EPISODE]), position[LENGTH]
            progress.episode_return = float(numbers[seed, RETURN])
            progress.episode += position[EPISODE] - episode
            progress.step += position[STEP] - step
            finished[seed] += position[EPISODE] - episode
            if episodes is None:
                chunks[seed].append(tuple(column[seed, : position[FINISHED]] for column in columns))
            if position[FAILURE]:
                failures[seed] = _failure(position[FAILURE], model.num_actions, learner, position)
        chunk_steps = min(2 * chunk_steps, max(FIRST_CHUNK_STEPS, MAX_CHUNK_STEPS // num_seeds))
        chunk_episodes = min(4 * chunk_episodes, MAX_CHUNK_EPISODES)
    if isinstance(arrays, BanditArrays):
        arrays.write(bandits)
    lost: np.ndarray | None
    results: list[EpisodeEnds | VelodromeError] = []
    for seed in range(num_seeds):
        if seed in failures:
            results.append(failures[seed])
            continue
        if episodes is None:
            returns, lengths, places, lost = (np.concatenate(column) for column in zip(*chunks[seed], strict=True))
        else:
            returns, lengths, places, lost = (column[seed, : finished[seed]] for column in columns)
        if isinstance(arrays, BanditArrays):
            terminated, reported = np.ones(len(returns), np.bool_), bandits[seed].best_pulls(places, lost)
        else:
            # Of the type of an index, to which NumPy would bring them each time.
            ends = places.astype(np.intp)
            terminated, reported = terminated_at[ends], reported_at[ends]
            lost = None if regrets_at is None else regrets_at[ends]
        steps_taken = int(positions[seed, STEP] - first_steps[seed])
        results.append(
            EpisodeEnds(
                returns=returns,
                lengths=lengths,
                terminated=terminated,
                reported=reported,
                steps=steps_taken,
                loop="compiled",
                compile_seconds=compile_seconds,
                pseudo_regrets=lost if len(returns) else None,
            )
        )
    return results


def _environment_rng(run: Run) -> np.random.Generator:
    assert run.sampled.generator is not None
    return run.sampled.generator


def _columns(num_seeds: int, num_episodes: int, is_bandit: bool) -> tuple[np.ndarray, ...]:
    """Room for returns, lengths, outcomes and, of a bandit, pseudo-regrets, a row each seed."""
    shape = num_seeds, num_episodes
    lost = np.empty((num_seeds, num_episodes if is_bandit else 0))
    return np.empty(shape), np.empty(shape, np.int64), np.empty(shape, np.int32), lost


def _failure(failure: int, num_actions: int, learner: TabularLearner, position: list[int]) -> VelodromeError:
    from velodrome.agents.engine.compiled_loop import BAD_ACTION, BAD_PARAMETER, EPISODE, STEP

    if failure == BAD_ACTION:
        return PolicyFailureError(f"the policy chose an action that is not among 0 to {num_actions - 1}")
    schedule = learner.parameters if failure == BAD_PARAMETER else learner.rates
    place = {"episode": position[EPISODE], "step": position[STEP]}
    # A visit count is not reported back: the first bad value of the table is the one that some state reached.
    first = place.get(schedule.clock, 0)
    try:
        schedule.refuse(first, first + 1 if schedule.clock in place else int(learner.memory.visit_counts.sum()) + 1)
    except ConfigurationError as error:
        return error
    raise AssertionError(f"{schedule.owner}: every value is allowed")


def _table(
    schedule: ScheduleTable, before: np.ndarray, after: np.ndarray, memories: Sequence[Any], axis: int | None
) -> tuple[np.ndarray, int]:
    """Values that a chunk may need from where seeds stand to their limits, and the index of the first."""
    from velodrome.agents.engine.compiled_loop import EPISODE, STEP

    if schedule.clock == "episode":
        first = int(before[:, EPISODE].min())
        return schedule.window(first, int(after[:, 0].max())), first
    if schedule.clock == "step":
        first = int(before[:, STEP].min())
        # One more: an on-policy learner chooses the action after the last step.
        return schedule.window(first, int(after[:, 1].max()) + 1), first
    counts = [memory.visit_counts if axis is None else memory.visit_counts.sum(axis=axis) for memory in memories]
    now_steps = int((after[:, 1] - before[:, STEP]).max())
    return schedule.from_zero(max(int(visits.max()) for visits in counts) + now_steps + 2), 0
