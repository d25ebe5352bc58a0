"""The generic loop for many tables side by side: one for each copy in an environment's vector form."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from velodrome.agents.engine.compiler import compile_now, compiled_greedy, compiled_vector_step
from velodrome.agents.engine.episode_ends import EpisodeEnds
from velodrome.agents.engine.generic_loop import Progress
from velodrome.agents.engine.interruption import current_interruption
from velodrome.agents.tabular.schedule_table import ScheduleTable
from velodrome.agents.tabular.tabular_learner import TabularLearner
from velodrome.checks import VelodromeError
from velodrome.envs.binning import Binning
from velodrome.envs.vector_form import VectorCopies, success_in
from velodrome.policies.ties import GREEDY

# Steps between two looks at the tables of schedules.
BLOCK = 1024


class SideBySideError(VelodromeError):
    """Something went wrong in a copy: the trials have to be run one at a time, where each meets its own error."""


def run_vector_loop(
    learners: Sequence[TabularLearner],
    copies: VectorCopies,
    progress: Sequence[Progress],
    binning: Binning | None,
    first_observation: int = 0,
    *,
    episodes: int | None,
    steps: int | None,
) -> list[EpisodeEnds]:
    """Run until every learner has finished `episodes` episodes or taken `steps` steps, whichever comes first.

    What each has learnt, its stream, its progress and its episodes are those of `run_generic_loop` in the environment
    alone, bit for bit. Learners have learnt nothing before; they honour no masks and are of the same configuration.

    Args:
        learners: one a copy.
        copies: not yet reset.
        progress: of each learner, updated.
        binning: of the observations; None where they are whole numbers.
        first_observation: the smallest of whole numbers.
        episodes: number of episodes to finish, or None.
        steps: number of steps to take, or None.

    Raises:
        NotCompilableError: Numba cannot compile the policy; nothing has been changed.
        SideBySideError: a copy failed; learners and streams are as they were.
    """
    from velodrome.agents.engine.compiled_stream import read_generator, write_generator
    from velodrome.agents.engine.vector_step import (
        EPISODE,
        IS_OVER,
        IS_OVER_INSIDE,
        LENGTH,
        NEXT_ACTION,
        NUM_WORDS,
        PHASE,
        STATE,
        STEP,
    )

    first, number = learners[0], len(learners)
    parameters, rates = first.parameters, first.rates
    step_all = compiled_vector_step(
        first.select, first.learn, first.visits_of, type(first.memory), is_on_policy=first.is_on_policy,
        needs_next_parameter=first.needs_next_parameter, parameter_clock=parameters.clock, rate_clock=rates.clock,
    )  # fmt: skip
    columns = zip(*(learner.memory for learner in learners), strict=True)
    memories = type(first.memory)(*map(np.stack, columns))
    streams = np.stack([read_generator(learner.rng) for learner in learners])
    position, totals = np.zeros((number, NUM_WORDS), np.int64), np.zeros(number)
    states, ended, chosen = np.zeros(number, np.int64), np.zeros(number, np.int64), np.zeros(number, np.int64)
    limits = np.array([-1 if limit is None else limit for limit in (episodes, steps)])
    read = _reader(binning, first_observation)
    logs = [_Episodes() for _ in learners]
    rewards, terminated, truncated = np.zeros(number), np.zeros(number, np.bool_), np.zeros(number, np.bool_)
    infos: dict[str, Any] = {}
    interruption = current_interruption()
    observations = copies.reset()
    played, live = 0, number
    while live:
        if played % BLOCK == 0:
            if interruption is not None:
                interruption.check()
            parameter_table = _table(parameters, played, episodes)
            rate_table = _table(rates, played, episodes)
        read(observations, states)
        arguments = (
            memories, states, rewards, terminated, truncated, position, totals, parameter_table, rate_table,
            first.discount, limits, streams, chosen, ended,
        )  # fmt: skip
        if played == 0:
            compile_now(step_all, arguments, first.select)
        num_ended = step_all(*arguments)
        if num_ended < 0:
            raise SideBySideError("a copy failed")
        for copy in ended[:num_ended].tolist():
            logs[copy].add(totals[copy], position[copy, LENGTH], terminated[copy], success_in(infos, copy))
        if num_ended or (steps is not None and played >= steps):
            live = int(np.count_nonzero(position[:, PHASE] < IS_OVER))
        observations, given, terminated, truncated, infos = copies.step(chosen + first.task.action_start)
        rewards[:] = given
        played += 1
    for place, learner in enumerate(learners):
        for array, learnt in zip(learner.memory, memories, strict=True):
            array[...] = learnt[place]
        write_generator(learner.rng, streams[place])
        words = position[place]
        learner.present_state, learner.next_action = int(words[STATE]), int(words[NEXT_ACTION])
        learner.episode, learner.step = int(words[EPISODE]), int(words[STEP])
        progress[place].in_episode = bool(words[PHASE] == IS_OVER_INSIDE)
        progress[place].episode_return, progress[place].episode_length = float(totals[place]), int(words[LENGTH])
        progress[place].episode += learner.episode
        progress[place].step += learner.step
    return [log.ends(learner.step) for log, learner in zip(logs, learners, strict=True)]


def run_greedily(
    learners: Sequence[TabularLearner],
    copies: VectorCopies,
    binning: Binning | None,
    first_observation: int = 0,
    *,
    episodes: int,
) -> list[EpisodeEnds]:
    """Let every learner act greedily for so many episodes of its copy, as alone, bit for bit; none of them learns.

    Raises:
        SideBySideError: a copy failed; the learners are as they were.
    """
    from velodrome.agents.engine.compiled_stream import read_generator, write_generator

    first, number = learners[0], len(learners)
    act_all = compiled_greedy(GREEDY[first.ties], first.ties)
    action_values = np.stack([learner.greedy_values for learner in learners])
    generators = [learner.streams.generator("acting") for learner in learners]
    streams = np.stack([read_generator(generator) for generator in generators])
    states, chosen = np.zeros(number, np.int64), np.zeros(number, np.int64)
    is_over, is_silent = np.zeros(number, np.bool_), np.zeros(number, np.bool_)
    totals, lengths = np.zeros(number), np.zeros(number, np.int64)
    read = _reader(binning, first_observation)
    logs = [_Episodes() for _ in learners]
    observations = copies.reset()
    while not is_over.all():
        read(observations, states)
        # Nobody acts at the end of an episode.
        begin = copies.ended
        is_silent[:] = is_over
        is_silent[begin] = True
        if not act_all(action_values, states, is_silent, streams, chosen):
            raise SideBySideError("a copy failed")
        observations, rewards, terminated, _, infos = copies.step(chosen + first.task.action_start)
        totals += rewards
        lengths += 1
        if begin:
            totals[begin], lengths[begin] = 0.0, 0
        for copy in copies.ended:
            if not is_over[copy]:
                logs[copy].add(totals[copy], lengths[copy], terminated[copy], success_in(infos, copy))
                is_over[copy] = len(logs[copy].returns) == episodes
    if not all(np.isfinite(log.returns).all() for log in logs):
        raise SideBySideError("a copy failed")
    for generator, words in zip(generators, streams, strict=True):
        write_generator(generator, words)
    return [log.ends(sum(log.lengths)) for log in logs]


@dataclass(eq=False)
class _Episodes:
    """Episodes of one copy that have ended."""

    returns: list[float] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    terminated: list[bool] = field(default_factory=list)
    reported: list[int] = field(default_factory=list)

    def add(self, episode_return: Any, length: Any, terminated: Any, success: int) -> None:
        self.returns.append(float(episode_return))
        self.lengths.append(int(length))
        self.terminated.append(bool(terminated))
        self.reported.append(success)

    def ends(self, steps: int) -> EpisodeEnds:
        return EpisodeEnds(
            np.array(self.returns, dtype=np.float64),
            np.array(self.lengths, dtype=np.int64),
            np.array(self.terminated, dtype=np.bool_),
            np.array(self.reported, dtype=np.int8),
            steps,
            "generic",
        )


def _reader(binning: Binning | None, first_observation: int) -> Callable[[Any, np.ndarray], None]:
    """Function that writes the rows of observations to an array."""
    from velodrome.agents.engine.vector_step import bins_of

    if binning is None:

        def write_rows(observations: Any, states: np.ndarray) -> None:
            np.subtract(observations, first_observation, out=states)

        return write_rows
    looked_at = binning.looked_at

    def write_bins(observations: Any, states: np.ndarray) -> None:
        rows = np.ascontiguousarray(observations, dtype=np.float64)
        bins_of(rows.reshape(len(rows), -1), *looked_at, states)

    return write_bins


def _table(schedule: ScheduleTable, played: int, episodes: int | None) -> np.ndarray:
    """Values of a schedule that may be asked for in the next block of steps."""
    last = played + BLOCK + 2
    if schedule.clock == "episode" and episodes is not None:
        last = min(last, episodes + 1)
    return schedule.from_zero(last)
