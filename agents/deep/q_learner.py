"""The learner of a Q-network: network, replay, streams and schedules in an environment, a step at a time."""

import math
import time
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import psutil
from gymnasium import spaces

from velodrome.agents.deep import q_kernels as kernels
from velodrome.agents.deep.bandit_learner import NoVisitCounts
from velodrome.agents.deep.distributions import Distribution
from velodrome.agents.deep.headed_q_network import HeadedQNetwork
from velodrome.agents.deep.keras_q_network import KerasQNetwork
from velodrome.agents.deep.labelled_task import LabelledTask, ObservationError, numbers
from velodrome.agents.deep.neural_classifier import NeuralClassifier
from velodrome.agents.deep.q_model import Batch, LearningRule, NetworkShape, QNetwork, take_over
from velodrome.agents.deep.replay import Replay
from velodrome.agents.deep.supervised_learner import DivergedError
from velodrome.agents.engine.buffered_stream import BufferedStream
from velodrome.agents.engine.compile_clock import COMPILE_CLOCK
from velodrome.agents.engine.environment_answers import as_whole_number, shown
from velodrome.agents.engine.interruption import not_counted
from velodrome.agents.engine.seeding import Streams
from velodrome.agents.errors import (
    EnvironmentFailureError,
    PolicyFailureError,
    UnsupportedEnvironmentError,
    policy_failure,
)
from velodrome.agents.resuming.saving import arrays_under, whole_number
from velodrome.agents.stepwise import Spaces, StepwiseLearner
from velodrome.agents.tabular.known_masks import ActionMasks
from velodrome.agents.tabular.schedule_table import ScheduleTable
from velodrome.agents.training_log import Curve
from velodrome.policies.policy import Policy
from velodrome.policies.schedules import Schedule, as_schedule

_NO_COUNTS: Any = NoVisitCounts()

# Streams of the agent: first weights, exploration, what is drawn from the replay, and noise and heads.
_WEIGHTS, _EXPLORATION, _REPLAY, _HEADS = 0, 1, 2, 3

# Steps between two points of the curves.
CURVE_EVERY = 1000
_CURVES = ("loss", "mean_action_value", "exploration", "updates")


class ObservationReader:
    """How observations of a space become a row of numbers.

    Symbols, the observations of a Discrete space, are one number, counted from 0. Other spaces are flattened as
    Gymnasium does it, Tuples, Dicts and MultiDiscrete ones into ones and zeros for each of their values.

    Args:
        space: of the observations.

    Attributes:
        is_symbol: whether the space is Discrete.
        size: numbers of an observation.
        dtype: in which they are kept.
        is_scalable: whether they are measurements, for which statistics have a meaning.
    """

    def __init__(self, space: gym.Space[Any]) -> None:
        self.space = space
        self.is_symbol = isinstance(space, spaces.Discrete)
        self.is_box = isinstance(space, spaces.Box)
        self.size = 1 if self.is_symbol else spaces.flatdim(space)
        is_bytes = isinstance(space, spaces.MultiBinary) or (self.is_box and space.dtype in (np.uint8, np.bool_))
        self.dtype: Any = np.uint8 if is_bytes else np.float32
        self.is_scalable = isinstance(space, spaces.Box) and space.dtype.kind == "f"
        self._shape: tuple[int, ...] = (self.size,) if space.shape is None or self.is_symbol else space.shape
        self._is_plain = self.is_box and self._shape == (self.size,)

    def read(self, observation: Any) -> np.ndarray:
        """One observation of an environment as (size,) numbers of `dtype`; it may be the same array.

        Raises:
            EnvironmentFailureError: it is none of the space.
        """
        if (
            self._is_plain
            and type(observation) is np.ndarray
            and observation.shape == self._shape
            and observation.dtype == self.dtype
            and observation.flags.c_contiguous
        ):
            return observation
        try:
            return self.row(observation)
        except ObservationError as error:
            raise EnvironmentFailureError(str(error)) from None

    def row(self, observation: Any) -> np.ndarray:
        """One observation as (size,) numbers of `dtype`.

        Raises:
            ObservationError: it is none of the space.
        """
        space = self.space
        if isinstance(space, spaces.Discrete):
            try:
                symbol = as_whole_number(observation) - int(space.start)
            except (TypeError, ValueError, OverflowError):
                symbol = -1
            if not 0 <= symbol < space.n:
                last = int(space.start + space.n) - 1
                raise ObservationError(
                    f"observation {shown(observation)} is unknown: {space.start} to {last} are allowed"
                )
            return np.array([symbol], self.dtype)
        if not self.is_box:
            if not space.contains(observation):
                raise ObservationError(f"observation {shown(observation)} is none of {space}")
            return np.asarray(spaces.flatten(space, observation), self.dtype).reshape(self.size)
        array = numbers(observation)
        if array.shape != self._shape:
            raise ObservationError(f"an observation has shape {self._shape}, got {array.shape}")
        if self.dtype == np.uint8 and array.dtype != space.dtype and not _are_held(array, space):
            raise ObservationError(f"observation {shown(observation)} is none of {space}")
        with np.errstate(over="ignore"):
            return np.ascontiguousarray(array, self.dtype).reshape(self.size)

    def is_plainly_one(self, observation: Any) -> bool:
        """Whether it can be seen at once that something is one observation."""
        if self.is_symbol:
            return isinstance(observation, int | np.integer)
        return self.is_box and type(observation) is np.ndarray and observation.shape == self._shape

    def is_batch(self, observations: Any) -> bool:
        """Whether observations have a leading dimension.

        Raises:
            ObservationError: the shape is neither that of one observation nor of a batch.
        """
        if not (self.is_symbol or self.is_box):
            return not self.space.contains(observations)
        shape, own = numbers(observations).shape, () if self.is_symbol else self._shape
        if shape == own:
            return False
        if shape[1:] == own and len(shape) == len(own) + 1:
            return True
        raise ObservationError(f"an observation has shape {own}, a batch one dimension more; got {shape}")

    def read_batch(self, observations: Any) -> np.ndarray:
        """Observations (B, …) as float32 or uint8 (B, size).

        Raises:
            ObservationError: one of them is none of the space.
        """
        if self.is_box:
            batch = numbers(observations)
            if batch.shape[1:] != self._shape or batch.ndim != len(self._shape) + 1:
                raise ObservationError(f"a batch has observations of shape {self._shape}, got {batch.shape[1:]}")
            if self.dtype == np.uint8 and batch.dtype != self.space.dtype and not _are_held(batch, self.space):
                raise ObservationError(f"observation {shown(observations)} is none of {self.space}")
            rows = np.ascontiguousarray(batch, self.dtype).reshape(len(batch), self.size)
            if not np.isfinite(rows).all():
                raise ObservationError("observations must be finite numbers")
            return rows
        found = [self.row(observation) for observation in self._parts(observations)]
        return np.array(found, self.dtype).reshape(-1, self.size)

    def _parts(self, observations: Any) -> Any:
        if isinstance(self.space, spaces.Discrete):
            return numbers(observations).tolist()
        return gym.vector.utils.iterate(gym.vector.utils.batch_space(self.space, 1), observations)

    def fixed_scale(self, scaling: str) -> np.ndarray:
        """Scale float32 (3, size) where there are no running statistics: what is taken off, the factor, no limit.

        Whole numbers between finite bounds come to lie in [0, 1], measurements in [-1, 1] with scaling "bounds".
        """
        scale = np.zeros((3, self.size), np.float32)
        scale[1], scale[2] = 1.0, np.inf
        space = self.space
        if isinstance(space, spaces.Box) and scaling != "none":
            low, high = space.low.reshape(-1).astype(np.float64), space.high.reshape(-1).astype(np.float64)
            # float32's largest number stands for infinity in some of Gymnasium's environments.
            is_bounded = (np.maximum(-low, high) < np.finfo(np.float32).max) & (high > low)
            low, high = np.where(is_bounded, low, 0.0), np.where(is_bounded, high, 1.0)
            width = high - low
            offset, factor = (low, width) if not self.is_scalable else (low + width / 2, width / 2)
            if not self.is_scalable or scaling == "bounds":
                scale[0][is_bounded] = offset[is_bounded]
                scale[1][is_bounded] = (1.0 / factor[is_bounded]).astype(np.float32)
        return scale


def is_readable(space: gym.Space[Any]) -> bool:
    """Whether the observations of a space can be read as numbers."""
    try:
        ObservationReader(space)
    except (NotImplementedError, ValueError):
        return False
    return True


def _are_held(array: np.ndarray, space: Any) -> bool:
    """Whether numbers of another dtype, of one observation or a batch, are such as a Box of bytes or flags holds."""
    return bool(((array >= space.low) & (array <= space.high) & (array == np.floor(array))).all())


@dataclass(frozen=True, kw_only=True)
class QOptions:
    """What a Q-network learns with; see `DQN`, whose parameters these are."""

    name: str
    network: NeuralClassifier
    bias: bool
    initial_weights: float | str
    policy: Policy
    discount: float
    learning_rate: float | Schedule
    optimizer: str
    max_gradient_norm: float | None
    loss: str
    scaling: str
    batch_size: int
    replay: int
    learning_starts: int
    train_every: int
    gradient_steps: int
    target_every: int | None
    target_rate: float
    double: bool
    dueling: bool
    n_step: int
    prioritized: float
    importance: float | Schedule
    terminal_reward: float | None
    action_mask: bool
    noisy: bool
    distribution: Distribution | None
    heads: int
    prior_scale: float
    head_share: float

    @property
    def is_headed(self) -> bool:
        """Whether the network has noisy weights, a distribution of returns or several heads."""
        return self.noisy or self.distribution is not None or self.heads > 1


class QLearner(StepwiseLearner):
    """A Q-network in an environment.

    Args:
        options: of the agent.
        task: spaces of the environment.
        streams: random streams of the agent.

    Attributes:
        network: online and target network.
        replay: what it learns from.
        reader: reads observations.
        scale: of the observations, float32 (3, size); see `q_kernels.scaled_into`.
        episode, step: finished so far, as schedules count them.
        points: (step, loss, mean action value, exploration, updates) every `CURVE_EVERY` steps since it was cleared.
        compile_seconds: spent on compiling, or on loading what was compiled.
    """

    def __init__(self, options: QOptions, task: Spaces, streams: Streams) -> None:
        self.options, self.task, self._streams = options, task, streams
        self.reader = reader = ObservationReader(task.observation_space)
        assert isinstance(task.action_space, spaces.Discrete)
        self._num_actions, self._start = int(task.action_space.n), int(task.action_space.start)
        self.is_running = options.scaling == "running" and reader.is_scalable
        self.scale = reader.fixed_scale(options.scaling)
        self.statistics = np.zeros((3, reader.size))
        shape = network_shape(options, task, reader)
        rule = LearningRule(
            is_double=options.double,
            has_target=options.target_every is not None,
            has_masks=options.action_mask,
            is_huber=options.loss == "huber",
            optimizer=kernels.SGD if options.optimizer == "sgd" else kernels.ADAM,
            max_gradient_norm=math.inf if options.max_gradient_norm is None else float(options.max_gradient_norm),
        )
        given: dict[str, Any] = {
            "initial_weights": options.initial_weights, "batch_size": options.batch_size, "rule": rule,
        }  # fmt: skip
        self.network: QNetwork | HeadedQNetwork | KerasQNetwork
        if options.network.rectified_layers is None:
            self.network = KerasQNetwork(
                shape,
                self._generator(_WEIGHTS),
                classifier=options.network,
                task=network_task(options, task, reader),
                streams=streams,
                gradient_steps=options.gradient_steps,
                **given,
            )
            self._fill_exploring = self.network.values_of_one
        elif options.is_headed:
            self.network = headed = HeadedQNetwork(
                shape,
                self._generator(_WEIGHTS),
                self._generator(_HEADS),
                is_noisy=options.noisy,
                distribution=options.distribution,
                num_heads=options.heads,
                prior_scale=options.prior_scale,
                head_share=options.head_share,
                **given,
            )
            self._fill_exploring = headed.exploring_values_of_one
        else:
            self.network = QNetwork(shape, self._generator(_WEIGHTS), **given)
            self._fill_exploring = self.network.values_of_one
        self.replay = Replay(
            options.replay,
            reader.size,
            reader.dtype,
            self._num_actions,
            has_masks=options.action_mask,
            prioritized=float(options.prioritized),
            rng=self._generator(_REPLAY),
            batch_size=options.batch_size,
            num_heads=options.heads if options.heads > 1 else 0,
        )
        policy, name = options.policy, options.name
        self._select, self._takes_list = policy.select, policy.indexes_only
        self._parameters = ScheduleTable(policy.name, policy.schedule, *policy.parameter_range)
        rate = as_schedule(name, "learning_rate", options.learning_rate, 0.0, np.inf)
        self._rates = ScheduleTable(f"{name}: learning_rate", rate, 0.0, np.inf)
        importance = as_schedule(name, "importance", options.importance, 0.0, 1.0)
        self._importances = ScheduleTable(f"{name}: importance", importance, 0.0, 1.0)
        self._rng = streams.generator("agent", _EXPLORATION)
        self._buffer = BufferedStream(self._rng)
        self._draws: Any = self._buffer if policy.draws_uniforms_only else self._rng
        self._present = np.zeros(reader.size, reader.dtype)
        self._values = np.zeros(self._num_actions, np.float32)
        self._acting_values = np.zeros(self._num_actions, np.float32)
        self._row: Any = memoryview(self._values)  # type: ignore[arg-type]
        self._action, self.episode, self.step = 0, 0, 0
        self.action_masks = ActionMasks(self._num_actions)
        self._mask: Any = None
        self.points: list[tuple[float, ...]] = []
        self._loss_sum = self._value_sum = 0.0
        self._updates_since = 0
        started = time.perf_counter()
        with not_counted(), COMPILE_CLOCK:
            self.network.compile(self._present, self.scale)
            self.replay.compile(self.network.batch, self.scale, self.statistics)
        self.compile_seconds = time.perf_counter() - started

    def _generator(self, index: int) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64(self._streams.sequence(index)))

    def enter(self, task: Spaces, environment: Any, *, is_resumed: bool = False) -> None:
        self.forget_episode()
        if not is_resumed and self._streams.environments == 1:
            # A seed was given, which begins all streams anew.
            self.replay.rng = self._generator(_REPLAY)
            if isinstance(self.network, HeadedQNetwork):
                self.network.stream = self._generator(_HEADS)
        if self.options.action_mask:
            self.action_masks.enter(environment)
            self.watch_info = self.action_masks.watch if self.action_masks.rows is None else None

    def forget_episode(self) -> None:
        self.replay.cut()

    # -- a step at a time ---------------------------------------------------------------------------------------

    def begin(self, observation: Any) -> None:
        """Start an episode at `observation`."""
        row = self.reader.read(observation)
        if not kernels.see(row, self._present, self.statistics, self.scale, self.is_running):
            raise not_finite(observation)
        if self.options.action_mask:
            self._mask = self._read_mask()
        if self.options.heads > 1:
            self.network.draw_head()  # type: ignore[union-attr]

    def choose(self) -> int:
        """Action for the present observation by the exploration policy; a random one before `learning_starts`."""
        if self.step < self.options.learning_starts:
            action = self._random_action()
        else:
            self._fill_exploring(self._present, self.scale, self._values)
            action = self.explore(self._values, self._mask)
        self._action = action
        return action + self._start

    def observe(self, observation: Any, reward: float, terminated: bool, truncated: bool) -> None:
        """Keep what the chosen action led to, and learn where that is due.

        Raises:
            DivergedError: the loss is not finite.
        """
        options = self.options
        row = self.reader.read(observation)
        mask = None
        if options.action_mask and not terminated:
            mask = self._read_mask(row)
        if terminated:
            end = kernels.TERMINATED
            if options.terminal_reward is not None:
                reward = float(options.terminal_reward)
        else:
            end = kernels.TRUNCATED if truncated else kernels.GOES_ON
        if not self.replay.add(
            self._present, row, self.statistics, self.scale, self.is_running, self._action, reward, end, mask
        ):
            raise not_finite(observation)
        if options.heads > 1:
            self.replay.give_to(self.network.draw_learning_heads())  # type: ignore[union-attr]
        self._mask = mask
        self.step = step = self.step + 1
        if step >= options.learning_starts and step % options.train_every == 0:
            if self.replay.count < options.batch_size:
                pass
            elif isinstance(self.network, KerasQNetwork):
                self._learn_in_bursts(self.network)
            else:
                for _ in range(options.gradient_steps):
                    self._learn()
        if options.target_every is not None and step % options.target_every == 0:
            self.network.move_target(float(options.target_rate))
        if step % CURVE_EVERY == 0:
            self._add_point()
        if end != kernels.GOES_ON:
            self.episode += 1

    def pause(self) -> None:
        """Leave the agent's generator where the next draw will continue."""
        self._buffer.release()

    def explore(self, values: np.ndarray, mask: Any = None) -> int:
        """The policy's choice now by action values float32 (num_actions,), among the actions that a mask allows.

        Raises:
            PolicyFailureError: the policy raised, or chose an action that does not exist.
        """
        parameter = self._parameters.value(self.episode if self._parameters.clock == "episode" else self.step)
        shown_values: Any
        if mask is None:
            if self._takes_list:
                shown_values = self._row if values is self._values else values.tolist()
            else:
                shown_values = values.astype(np.float64)
        else:
            available = [action for action in range(self._num_actions) if mask[action]]
            shown_values = values[available].astype(np.float64)
            if self._takes_list:
                shown_values = shown_values.tolist()
        if self._draws is self._rng:
            self._buffer.release()
        try:
            action = self._select(shown_values, _NO_COUNTS, parameter, self._draws)
            exists = 0 <= action < len(shown_values)
        except Exception as error:
            raise policy_failure(error) from error
        if not exists:
            raise PolicyFailureError(
                f"the policy chose action {action!r}, but there are actions 0 to {len(shown_values) - 1}"
            )
        return int(action) if mask is None else available[int(action)]

    def exploring_values(self, rows: np.ndarray) -> np.ndarray:
        """Action values float32 (B, num_actions) that are explored with: with noise, or of the head that acts."""
        network = self.network
        if isinstance(network, HeadedQNetwork):
            return network.exploring_values(rows, self.scale)
        return network.values(rows, self.scale)

    def greedy_action(self, row: np.ndarray) -> int:
        """Action of the largest value for one observation as the reader gives it, from the action space's start.

        Raises:
            ObservationError: it holds numbers that are not finite.
        """
        if not np.isfinite(row).all():
            raise ObservationError("observations must be finite numbers")
        self.network.values_of_one(row, self.scale, self._acting_values)
        return int(self._acting_values.argmax()) + self._start

    def _random_action(self) -> int:
        uniform = self._buffer.random()
        if self._mask is None:
            return int(uniform * self._num_actions)
        available = [action for action in range(self._num_actions) if self._mask[action]]
        return available[int(uniform * len(available))]

    def _read_mask(self, row: Any = None) -> Any:
        """Mask of the observation in which the learner has just arrived."""
        state = int((self._present if row is None else row)[0]) if self.reader.is_symbol else 0
        rows = self.action_masks.rows
        return self.action_masks.read(state) if rows is None else rows[state]

    def _learn(self) -> None:
        network = self.network
        assert not isinstance(network, KerasQNetwork)
        rate = self._rate()
        self._draw(network.batch)
        loss, value = network.learn(rate)
        self._take(loss, value, rate)
        self.replay.learnt(network.batch.errors)

    def _learn_in_bursts(self, network: KerasQNetwork) -> None:
        """As `_learn`, several times, on batches that are drawn before any of them is learnt from."""
        rate, left = self._rate(), self.options.gradient_steps
        while left:
            batches = network.batches[:left]
            left -= len(batches)
            slots = []
            for batch in batches:
                self._draw(batch)
                slots.append(self.replay.slots.copy())
            losses, values = network.learn(rate, len(batches))
            for batch, own_slots, loss, value in zip(batches, slots, losses.tolist(), values.tolist(), strict=True):
                self._take(loss, value, rate)
                self.replay.slots[...] = own_slots
                self.replay.learnt(batch.errors)

    def _rate(self) -> float:
        return self._rates.value(self.episode if self._rates.clock == "episode" else self.step)

    def _draw(self, batch: Batch) -> None:
        options, importance = self.options, 0.0
        if options.prioritized:
            importance = self._importances.value(self.episode if self._importances.clock == "episode" else self.step)
        self.replay.draw(
            batch, n_step=options.n_step, discount=float(options.discount), scale=self.scale, importance=importance
        )
        if options.heads > 1:
            self.replay.fill_heads(self.network.batch_heads)  # type: ignore[union-attr]

    def _take(self, loss: float, value: float, rate: float) -> None:
        if not math.isfinite(loss):
            raise diverged(self.options.name, loss, self.step, rate)
        self._loss_sum += loss
        self._value_sum += value
        self._updates_since += 1

    # -- what it measures ---------------------------------------------------------------------------------------

    def take_compile_seconds(self) -> float:
        """Seconds spent on compiling, or on loading what was compiled, since the last call."""
        found = self.compile_seconds
        self.compile_seconds = 0.0
        if isinstance(self.network, KerasQNetwork):
            found += self.network.compile_seconds
            self.network.compile_seconds = 0.0
        return found

    def _add_point(self) -> None:
        number = self._updates_since
        loss, value = (self._loss_sum / number, self._value_sum / number) if number else (math.nan, math.nan)
        clock = self.episode if self._parameters.clock == "episode" else self.step
        self.points.append((self.step, loss, value, self._parameters.value(clock), self.network.num_updates))
        self._loss_sum = self._value_sum = 0.0
        self._updates_since = 0

    def curves(self, step: int) -> tuple[Curve, ...]:
        if not self.points:
            return ()
        columns = np.array(self.points)
        at = columns[:, 0].astype(np.int64) - step
        found = []
        for number, name in enumerate(_CURVES, start=1):
            # Where nothing was learnt there is no loss.
            is_known = np.isfinite(columns[:, number])
            found.append(Curve(name, "step", at[is_known], columns[is_known, number]))
        return tuple(curve for curve in found if len(curve.at))

    def exploration(self) -> float:
        return self._parameters.known_value(self.episode if self._parameters.clock == "episode" else self.step)

    def action_values(self, observations: Any) -> np.ndarray:
        values: np.ndarray = self.network.values(self.reader.read_batch(observations), self.scale)
        return values.astype(np.float64)

    # -- its state ----------------------------------------------------------------------------------------------

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        replay = self.replay
        entries = {
            "spaces": self.task.to_data(),
            "episode": self.episode,
            "step": self.step,
            "updates": self.network.num_updates,
            "replay": {
                "count": replay.count,
                "position": replay.position,
                "largest_priority": float(replay.largest_priority),
                "stream": dict(replay.rng.bit_generator.state),
            },
            "since_point": [self._loss_sum, self._value_sum, self._updates_since],
        }
        arrays = {f"network/{name}": array for name, array in self.network.arrays().items()}
        arrays |= {f"replay/{name}": array for name, array in replay.arrays().items()}
        if isinstance(self.network, HeadedQNetwork):
            entries["heads"] = {
                "acting": self.network.head, "stream": dict(self.network.stream.bit_generator.state),
            }  # fmt: skip
        if self.is_running:
            arrays |= {"statistics": self.statistics, "scale": self.scale}
        by_state = self.action_masks.by_state
        return entries, arrays if by_state is None else arrays | {"action_masks": by_state}

    def set_state(self, entries: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        self.episode, self.step = whole_number(entries, "episode"), whole_number(entries, "step")
        self.network.restore(arrays_under("network/", arrays), whole_number(entries, "updates"))
        replay = entries["replay"]
        self.replay.restore(
            arrays_under("replay/", arrays),
            whole_number(replay, "count"),
            whole_number(replay, "position"),
            float(replay["largest_priority"]),
        )
        self.replay.rng.bit_generator.state = replay["stream"]
        if isinstance(self.network, HeadedQNetwork):
            heads = entries["heads"]
            self.network.head = min(whole_number(heads, "acting"), self.options.heads - 1)
            self.network.stream.bit_generator.state = heads["stream"]
        # An episode that was under way is not kept.
        self.replay.cut()
        if self.is_running:
            take_over("statistics", self.statistics, arrays["statistics"])
            take_over("scale", self.scale, arrays["scale"])
        loss_sum, value_sum, updates = entries["since_point"]
        self._loss_sum, self._value_sum, self._updates_since = float(loss_sum), float(value_sum), int(updates)
        self.action_masks.by_state = arrays.get("action_masks")
        if "agent_stream" not in entries:
            raise KeyError("agent_stream")


def network_shape(options: QOptions, task: Spaces, reader: ObservationReader) -> NetworkShape:
    """The layers of the network for a task."""
    assert isinstance(task.action_space, spaces.Discrete)
    size = int(task.observation_space.n) if isinstance(task.observation_space, spaces.Discrete) else reader.size
    return NetworkShape(
        num_inputs=size,
        hidden=options.network.rectified_layers or (),
        num_actions=int(task.action_space.n),
        is_symbol=reader.is_symbol,
        is_dueling=options.dueling,
        has_bias=options.bias,
        num_atoms=1 if options.distribution is None else options.distribution.num_atoms,
    )


def network_task(options: QOptions, task: Spaces, reader: ObservationReader) -> LabelledTask:
    """What layers of a classifier read, and how many outputs they give, as a task of labels."""
    space, shape = task.observation_space, network_shape(options, task, reader)
    seen = space.shape if isinstance(space, spaces.Box | spaces.MultiBinary) else (reader.size,)
    return LabelledTask(
        observation_shape=() if reader.is_symbol else tuple(seen),
        num_symbols=shape.num_inputs if shape.is_symbol else 0,
        symbol_start=0,
        scale=1.0,
        num_classes=shape.sizes[-1],
        action_start=0,
        is_whole=shape.is_symbol,
    )


def network_bytes(options: QOptions, num_weights: int) -> int:
    """Size of the networks of all heads in a checkpoint, with the optimiser's moments and with priors."""
    number = num_weights * options.heads
    return 16 * number * (2 if options.noisy else 1) + (4 * number if options.heads > 1 else 0)


def replay_bytes(options: QOptions, task: Spaces, reader: ObservationReader) -> int:
    """Memory of a full replay, in bytes."""
    assert isinstance(task.action_space, spaces.Discrete)
    step = 2 * reader.size * np.dtype(reader.dtype).itemsize + 9
    step += int(task.action_space.n) if options.action_mask else 0
    step += options.heads if options.heads > 1 else 0
    number: int = options.replay * (step + (32 if options.prioritized else 0))
    return number


def check_memory(options: QOptions, task: Spaces, reader: ObservationReader) -> None:
    """Refuse a replay that this machine has no memory for.

    Raises:
        UnsupportedEnvironmentError: one line with both sizes.
    """
    needed, there = replay_bytes(options, task, reader), int(psutil.virtual_memory().total)
    if needed > there:
        raise UnsupportedEnvironmentError(
            f"{options.name}: replay={options.replay} steps of {reader.size} numbers need {needed / 2**30:,.1f} GiB, "
            f"but this machine has {there / 2**30:,.1f}: at most {options.replay * there // needed} fit"
        )


def not_finite(observation: Any) -> EnvironmentFailureError:
    """That an observation holds numbers that are not finite."""
    return EnvironmentFailureError(f"observation {shown(observation)} holds numbers that are not finite")


def diverged(name: str, loss: float, step: int, learning_rate: float) -> DivergedError:
    """That the loss of an agent is not finite at a step."""
    return DivergedError(
        f"{name}: the loss is {loss} at step {step} with learning_rate={learning_rate:g}: give a smaller learning_rate"
    )
