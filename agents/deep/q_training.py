"""Drives the compiled loop of a Q-network through a budget, from where an agent stands to where it then stands."""

from typing import Any
from weakref import WeakKeyDictionary

import gymnasium as gym
import numpy as np

from velodrome.agents.deep.q_learner import CURVE_EVERY, QLearner, QOptions, diverged, not_finite
from velodrome.agents.deep.q_model import QNetwork
from velodrome.agents.deep.replay import Replay
from velodrome.agents.engine.classic_control import NO_LIMIT, ClassicControl
from velodrome.agents.engine.compiler import compile_now
from velodrome.agents.engine.episode_ends import EpisodeEnds
from velodrome.agents.engine.generic_loop import Progress
from velodrome.agents.engine.interruption import current_interruption
from velodrome.agents.engine.sampled_model import SampledModel
from velodrome.agents.errors import EnvironmentFailureError, environment_label
from velodrome.agents.tabular.schedule_table import ScheduleTable
from velodrome.agents.training import Training
from velodrome.envs.goals import knows_goal
from velodrome.envs.model.model_sampling import read_position, write_position
from velodrome.envs.model.transition_model import TransitionModel
from velodrome.envs.success_rules import NOT_REPORTED, report_of

# Compiling the loop, once a machine, takes seconds: shorter trainings are not worth it.
_WORTH_STEPS, _WORTH_EPISODES = 5_000, 50
# Steps of one compiled call, the first and the longest: the wait for an interruption, and what is known ahead of the
# schedules.
_FIRST_CHUNK, _CHUNK = 1 << 9, 1 << 12

# For the loop to be compiled with, where it steps something else.
_ONE = np.ones(1)
_NO_MODEL = TransitionModel(
    num_states=1, num_actions=1, offsets=np.array([0, 1]), probabilities=_ONE, cumulative=_ONE,
    next_states=np.zeros(1, np.int32), rewards=np.zeros(1), terminated=np.zeros(1, np.bool_),
    initial_distribution=_ONE, initial_cumulative=_ONE, time_limit=None,
)  # fmt: skip

_arrays: WeakKeyDictionary[TransitionModel, Any] = WeakKeyDictionary()


def is_worth_compiling(training: Training) -> bool:
    """Whether the budget of a call of `train` is so large that "auto" takes the compiled loop."""
    return (training.steps or 0) >= _WORTH_STEPS or (training.episodes or 0) >= _WORTH_EPISODES


def compiled_environment(options: QOptions, env: gym.Env[Any, Any], success: str | None) -> Any:
    """What the compiled loop steps in place of an environment, or the reason why it cannot."""
    if options.action_mask:
        return f"{options.name} honours action masks"
    if options.prioritized:
        return f"{options.name} draws by priorities"
    if options.is_headed:
        return f"{options.name} has noisy weights, a distribution of returns or several heads"
    from velodrome.agents.deep.q_loop import POLICIES

    if options.policy.select not in POLICIES:
        return f"{options.policy.name} is a policy of your own"
    if isinstance(env.observation_space, gym.spaces.Discrete):
        return SampledModel.of(env, success)
    return ClassicControl.of(env)


def reason_other_learner(learner: Any) -> str | None:
    """Why a learner is not the one that the compiled loop has inside, None where it is."""
    for part, kind in ((learner, QLearner), (learner.network, QNetwork), (learner.replay, Replay)):
        if type(part) is not kind:
            return f"it learns by {type(part).__name__}"
    return None


def run_q_loop(
    learner: QLearner,
    place: SampledModel | ClassicControl,
    env: Any,
    progress: Progress,
    *,
    episodes: int | None,
    steps: int | None,
    first_reset_seed: int | None = None,
    episodes_before: int = 0,
) -> EpisodeEnds:
    """Run as `run_generic_loop` does, bit for bit, in the compiled loop.

    Args:
        learner: that chooses and learns; updated in place.
        place: what `compiled_environment` gave.
        env: as the generic loop would step it; left as if it had been.
        progress: continued and updated.
        episodes: number of episodes to finish, or None.
        steps: number of steps to take, or None.
        first_reset_seed: for the first reset only.
        episodes_before: finished by earlier calls on this environment; numbers the episode of a failure.

    Raises:
        ConfigurationError: a schedule has no value that is allowed.
        DivergedError: the loss is not finite.
        EnvironmentFailureError: an observation is not finite.
        TrainingInterruptedError, TrainingTimeoutError: see `interruptible`.
    """
    run = _Run(learner, place, env, progress, episodes_before)
    if first_reset_seed is not None and not progress.in_episode:
        run.begin_episode(first_reset_seed)
    elif progress.in_episode:
        run.read_environment()
    taken, finished, chunk = 0, 0, _FIRST_CHUNK
    interruption = current_interruption()
    try:
        while taken != steps and (finished != episodes or progress.in_episode):
            if interruption is not None:
                interruption.check()
                interruption.advance(finished, taken)
            if not progress.in_episode and run.begins_outside:
                run.begin_episode(None)
            part = run.go_on(
                chunk if steps is None else min(chunk, steps - taken),
                chunk if episodes is None else min(chunk, episodes - finished),
            )
            taken, finished, chunk = taken + part[0], finished + part[1], min(2 * chunk, _CHUNK)
    finally:
        run.leave()
    return run.ends(taken)


class _Run:
    """One call of `run_q_loop`: the registers of the loop, and what it found."""

    def __init__(
        self, learner: QLearner, place: SampledModel | ClassicControl, env: Any, progress: Progress, before: int
    ) -> None:
        from velodrome.agents.deep import q_loop
        from velodrome.agents.engine.compiled_loop import ModelArrays
        from velodrome.agents.engine.compiled_stream import STATE_WORDS, read_generator

        self._learner, self._place, self._env, self._progress, self._before = learner, place, env, progress, before
        self._loop, self._function = q_loop, q_loop.q_loop()
        self.begins_outside = isinstance(place, ClassicControl)
        self._model = place.model if isinstance(place, SampledModel) else _NO_MODEL
        if self._model not in _arrays:
            _arrays[self._model] = ModelArrays.of(self._model)
        self._arrays = _arrays[self._model]
        self._constants = place.constants if isinstance(place, ClassicControl) else np.zeros(1)
        self._settings, self._memory = self._settings_of(learner), self._memory_of(learner)
        self._registers, self._numbers = np.zeros(q_loop.NUM_REGISTERS, np.int64), np.zeros(q_loop.NUM_NUMBERS)
        self._words, self._state = np.zeros(3 * STATE_WORDS, np.uint64), np.zeros(4)
        self._points = np.zeros((_CHUNK // CURVE_EVERY + 1, 5))
        # A model's episodes begin inside the loop, those of classic control outside.
        room = 1 if self.begins_outside else _CHUNK
        self._columns = np.zeros(room), np.zeros(room, np.int64), np.zeros(room, np.bool_), np.zeros(room, np.int64)
        self._parameters, self._rates = _Window(learner._parameters), _Window(learner._rates)
        self._bases = np.zeros(2, np.int64)
        self._chunks: list[tuple[np.ndarray, ...]] = []
        self._reported: list[int] = []
        self._knows_goal = self.begins_outside and knows_goal(env)
        self._compile_seconds = 0.0
        self._was_terminated = False
        # Acting may have left numbers that were drawn ahead.
        learner.pause()
        for generator, first in ((learner._rng, q_loop.EXPLORATION), (learner.replay.rng, q_loop.REPLAY)):
            self._words[first : first + STATE_WORDS] = read_generator(generator)
        if isinstance(place, SampledModel):
            self._read_environment_stream()
        self._read_learner()

    def begin_episode(self, seed: int | None) -> None:
        """Reset the environment, as the generic loop does."""
        observation, _ = self._env.reset() if seed is None else self._env.reset(seed=seed)
        self._learner.begin(observation)
        progress = self._progress
        progress.in_episode, progress.episode_length, progress.episode_return = True, 0, 0.0
        if isinstance(self._place, SampledModel):
            # A seeded reset gives the environment a new generator.
            self._place.generator = self._env.unwrapped.np_random
            self._read_environment_stream()
        self.read_environment()

    def read_environment(self) -> None:
        """Take over where the environment stands, in an episode."""
        if isinstance(self._place, ClassicControl):
            self._state, elapsed = self._place.read()
        else:
            position = read_position(self._env)
            self._registers[self._loop.STATE], elapsed = position.state, position.elapsed_steps
        self._registers[self._loop.LENGTH] = elapsed

    def go_on(self, steps: int, episodes: int) -> tuple[int, int]:
        """Run so many steps or episodes, whichever comes first; steps taken and episodes finished.

        Raises:
            ConfigurationError, DivergedError, EnvironmentFailureError: see `run_q_loop`.
        """
        learner, loop, progress = self._learner, self._loop, self._progress
        registers, numbers = self._registers, self._numbers
        step, episode = learner.step, learner.episode
        if self.begins_outside:
            episodes = 1
        registers[loop.LAST_STEP], registers[loop.LAST_EPISODE] = step + steps, episode + episodes
        registers[loop.IN_EPISODE], numbers[loop.RETURN] = progress.in_episode, progress.episode_return
        parameters = self._parameters.covering(step, episode, max(steps, episodes))
        rates = self._rates.covering(step, episode, max(steps, episodes))
        self._bases[0], self._bases[1] = self._parameters.base, self._rates.base
        arguments = (
            self._settings, self._constants, self._state, self._arrays, self._words, registers, numbers, self._memory,
            learner.network.batch, parameters, rates, self._bases, self._points, *self._columns,
        )  # fmt: skip
        self._compile_seconds += compile_now(self._function, arguments, learner.options.policy.select)
        self._function(*arguments)
        failure, finished = int(registers[loop.FAILURE]), int(registers[loop.FINISHED])
        self._write_learner()
        # A failure inside the step's learning comes after the step was counted, but not for those that wait for it.
        taken = learner.step - step - (failure in (loop.BAD_RATE, loop.BAD_POINT, loop.DIVERGED))
        progress.in_episode, progress.episode_return = bool(registers[loop.IN_EPISODE]), float(numbers[loop.RETURN])
        progress.episode_length = int(registers[loop.LENGTH])
        progress.step, progress.episode = progress.step + taken, progress.episode + finished
        if finished:
            self._chunks.append(tuple(column[:finished].copy() for column in self._columns))
            self._was_terminated = bool(self._columns[2][finished - 1])
        if self._knows_goal and finished:
            self._write_environment()
            self._reported.append(report_of(self._env, NOT_REPORTED))
        if failure:
            progress.in_episode = False
            self._fail(failure)
        return taken, finished

    def leave(self) -> None:
        """Leave streams and environment as the generic loop would."""
        from velodrome.agents.engine.compiled_stream import STATE_WORDS, write_generator

        learner, loop = self._learner, self._loop
        for generator, first in ((learner._rng, loop.EXPLORATION), (learner.replay.rng, loop.REPLAY)):
            write_generator(generator, self._words[first : first + STATE_WORDS])
        if isinstance(self._place, SampledModel) and self._place.generator is not None:
            write_generator(self._place.generator, self._words[:STATE_WORDS])
        self._write_environment()

    def ends(self, taken: int) -> EpisodeEnds:
        """How the episodes ended."""
        columns = [np.concatenate(column) for column in zip(*self._chunks, strict=True)]
        returns, lengths, ends, outcomes = columns or [column[:0] for column in self._columns]
        pseudo_regrets = None
        if isinstance(self._place, SampledModel):
            reported = self._place.reports(self._arrays.outcomes[outcomes])
            regrets = self._place.model.pseudo_regrets()
            if regrets is not None and len(returns):
                pseudo_regrets = regrets[self._arrays.outcomes[outcomes]]
        else:
            reported = np.array(self._reported or [NOT_REPORTED] * len(returns), dtype=np.int8)
        seconds = self._compile_seconds
        return EpisodeEnds(returns, lengths, ends, reported, taken, "compiled", seconds, pseudo_regrets)

    # -- between the learner and the loop -----------------------------------------------------------------------

    def _settings_of(self, learner: QLearner) -> Any:
        options, place = learner.options, self._place
        network = learner.network
        assert isinstance(network, QNetwork)
        is_symbol, is_dueling, has_bias, _, is_double, has_target, is_huber, optimizer = network._options
        limit = place.time_limit if isinstance(place, ClassicControl) else self._model.time_limit
        return self._loop.Settings(
            kind=place.kind if isinstance(place, ClassicControl) else self._loop.MODEL,
            policy=self._loop.POLICIES.index(options.policy.select),
            time_limit=NO_LIMIT if limit is None else limit,
            is_running=learner.is_running,
            learning_starts=int(options.learning_starts),
            train_every=int(options.train_every),
            gradient_steps=int(options.gradient_steps),
            target_every=int(options.target_every or 0),
            target_rate=float(options.target_rate),
            n_step=int(options.n_step),
            discount=float(options.discount),
            replaces_terminal=options.terminal_reward is not None,
            terminal_reward=float(options.terminal_reward or 0.0),
            parameter_by_episode=learner._parameters.clock == "episode",
            rate_by_episode=learner._rates.clock == "episode",
            is_symbol=is_symbol,
            is_dueling=is_dueling,
            has_bias=has_bias,
            is_double=is_double,
            has_target=has_target,
            is_huber=is_huber,
            optimizer=optimizer,
            max_gradient_norm=network._max_gradient_norm,
        )

    def _memory_of(self, learner: QLearner) -> Any:
        network, replay = learner.network, learner.replay
        assert isinstance(network, QNetwork)
        return self._loop.Memory(
            network.weights, network._sizes, network.powers, network._work, network._one, learner._present,
            np.zeros_like(learner._present), learner._values, learner.statistics, learner.scale, replay.observations,
            replay.next_observations, replay.actions, replay.rewards, replay.ends, replay.masks, replay.slots,
        )  # fmt: skip

    def _read_learner(self) -> None:
        learner, loop, registers, numbers = self._learner, self._loop, self._registers, self._numbers
        registers[loop.EPISODE], registers[loop.STEP] = learner.episode, learner.step
        registers[loop.COUNT], registers[loop.POSITION] = learner.replay.count, learner.replay.position
        registers[loop.UPDATES], registers[loop.UPDATES_SINCE] = learner.network.num_updates, learner._updates_since
        numbers[loop.LOSS_SUM], numbers[loop.VALUE_SUM] = learner._loss_sum, learner._value_sum

    def _write_learner(self) -> None:
        learner, loop, registers, numbers = self._learner, self._loop, self._registers.tolist(), self._numbers.tolist()
        learner.episode, learner.step = registers[loop.EPISODE], registers[loop.STEP]
        learner.replay.count, learner.replay.position = registers[loop.COUNT], registers[loop.POSITION]
        learner.network.num_updates, learner._updates_since = registers[loop.UPDATES], registers[loop.UPDATES_SINCE]
        learner._loss_sum, learner._value_sum = numbers[loop.LOSS_SUM], numbers[loop.VALUE_SUM]
        learner.points += [tuple(point) for point in self._points[: registers[loop.POINTS]].tolist()]

    def _read_environment_stream(self) -> None:
        from velodrome.agents.engine.compiled_stream import STATE_WORDS, read_generator

        assert isinstance(self._place, SampledModel)
        assert self._place.generator is not None
        self._words[:STATE_WORDS] = read_generator(self._place.generator)

    def _write_environment(self) -> None:
        loop, length = self._loop, int(self._registers[self._loop.LENGTH])
        if isinstance(self._place, ClassicControl):
            if self._registers[loop.STEP]:
                self._place.write(self._state, length, self._was_terminated and not self._progress.in_episode)
        else:
            write_position(self._env, int(self._registers[loop.STATE]), length, None)

    def _fail(self, failure: int) -> None:
        learner, loop = self._learner, self._loop
        if failure == loop.NOT_FINITE:
            where = f"episode {self._before + self._progress.episode + 1}, step {self._progress.episode_length}"
            error = not_finite(self._memory.following)
            raise EnvironmentFailureError(f"{environment_label(self._env)}: {error} ({where})") from error
        if failure == loop.DIVERGED:
            loss, rate = float(self._numbers[loop.LOSS]), float(self._numbers[loop.RATE])
            raise diverged(learner.options.name, loss, learner.step, rate)
        schedule = learner._rates if failure == loop.BAD_RATE else learner._parameters
        schedule.value(learner.episode if schedule.clock == "episode" else learner.step)
        raise AssertionError(f"{schedule.owner}: every value is allowed")


class _Window:
    """Values of a schedule from where a learner stands on, for the steps or episodes of a compiled call."""

    def __init__(self, table: ScheduleTable) -> None:
        self._table, self.base = table, 0
        self._values = np.empty(0)

    def covering(self, step: int, episode: int, number: int) -> np.ndarray:
        """Values of all that so many steps or episodes may come to."""
        now = episode if self._table.clock == "episode" else step
        # One more: a point of the curves reads the value of the step that follows it.
        if now < self.base or now + number + 1 > self.base + len(self._values):
            self.base = now
            self._values = self._table.window(now, now + 2 * number + 1)
        return self._values
