"""The compiled training loop of a Q-network: choose, step, keep, draw, learn, measure, without leaving compiled code.

It calls the kernels that `QLearner` calls, in the same order, with the same numbers of the same streams: networks,
replay, curves and logs equal those of the generic loop, bit for bit. The environment is either of classic control,
whose episodes its caller begins, or a transition model.
"""

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np

from velodrome.agents.deep import matrix_product, q_kernels as kernels
from velodrome.agents.deep.q_learner import CURVE_EVERY
from velodrome.agents.engine import classic_control, compiled_loop, numba_cache
from velodrome.agents.engine.compiled_loop import outcome_of, start_state
from velodrome.agents.engine.compiled_stream import STATE_WORDS, close_stream, open_stream
from velodrome.agents.engine.compiler import inlined_policy
from velodrome.policies.epsilon_greedy import EpsilonGreedy
from velodrome.policies.greedy import Greedy
from velodrome.policies.random_noise import RandomNoise
from velodrome.policies.softmax import Softmax
from velodrome.policies.uniform import Uniform

# Kind of environment beside those of `classic_control`.
MODEL = -1

# Words in which each random stream stands: of the environment, of exploration and of the replay.
ENVIRONMENT, EXPLORATION, REPLAY = 0, STATE_WORDS, 2 * STATE_WORDS

# Places of the whole numbers, int64, and of the others, float64, in which a loop leaves off and continues.
(
    STATE, IN_EPISODE, LENGTH, EPISODE, STEP, LAST_EPISODE, LAST_STEP, FINISHED, COUNT, POSITION, UPDATES,
    UPDATES_SINCE, POINTS, FAILURE,
) = range(14)  # fmt: skip
NUM_REGISTERS = 14
RETURN, LOSS_SUM, VALUE_SUM, LOSS, RATE = range(5)
NUM_NUMBERS = 5

# Why a loop stops early: before the step is counted, or inside what follows it.
NO_FAILURE, BAD_PARAMETER, NOT_FINITE, BAD_RATE, BAD_POINT, DIVERGED = range(6)


class Settings(NamedTuple):
    """What a loop does, of the options of an agent; see `DQN` and `q_kernels.learn`.

    `policy` is a place in `POLICIES`. `target_every` is 0 where there is no target network. Of the clocks of both
    schedules it is said whether they are "episode".
    """

    kind: int
    policy: int
    time_limit: int
    is_running: bool
    learning_starts: int
    train_every: int
    gradient_steps: int
    target_every: int
    target_rate: float
    n_step: int
    discount: float
    replaces_terminal: bool
    terminal_reward: float
    parameter_by_episode: bool
    rate_by_episode: bool
    is_symbol: bool
    is_dueling: bool
    has_bias: bool
    is_double: bool
    has_target: bool
    is_huber: bool
    optimizer: int
    max_gradient_norm: float


class Memory(NamedTuple):
    """Arrays of a learner, which the loop changes; see `QLearner`, `QNetwork` and `Replay`."""

    weights: np.ndarray
    sizes: np.ndarray
    powers: np.ndarray
    work: np.ndarray
    one: np.ndarray
    present: np.ndarray
    following: np.ndarray
    values: np.ndarray
    statistics: np.ndarray
    scale: np.ndarray
    observations: np.ndarray
    next_observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    ends: np.ndarray
    masks: np.ndarray
    slots: np.ndarray


# The policies that explore without Python, all in the one loop, which takes long to compile.
POLICIES: tuple[Callable[..., Any], ...] = (
    EpsilonGreedy(ties="random").select,
    EpsilonGreedy(ties="first").select,
    Greedy(ties="random").select,
    Greedy(ties="first").select,
    Softmax().select,
    RandomNoise(ties="random").select,
    RandomNoise(ties="first").select,
    Uniform().select,
)


(
    _epsilon_greedy_random, _epsilon_greedy_first, _greedy_random, _greedy_first, _softmax, _noise_random, _noise_first,
    _uniform,
) = POLICIES  # fmt: skip


@numba.extending.register_jitable(forceinline=True)
def _select(policy, values, counts, parameter, rng):
    if policy == 0:
        return _epsilon_greedy_random(values, counts, parameter, rng)
    if policy == 1:
        return _epsilon_greedy_first(values, counts, parameter, rng)
    if policy == 2:
        return _greedy_random(values, counts, parameter, rng)
    if policy == 3:
        return _greedy_first(values, counts, parameter, rng)
    if policy == 4:
        return _softmax(values, counts, parameter, rng)
    if policy == 5:
        return _noise_random(values, counts, parameter, rng)
    if policy == 6:
        return _noise_first(values, counts, parameter, rng)
    return _uniform(values, counts, parameter, rng)


@cache
def q_loop() -> Callable[..., Any]:
    """The loop; Numba compiles it on its first call, or finds it on disk."""
    # Numba itself looks at this file alone.
    files = [str(module.__file__) for module in (kernels, matrix_product, classic_control, compiled_loop)]
    contents = [hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in files]
    return _build("".join([inlined_policy(select) for select in POLICIES] + contents))


def _build(fingerprint: str) -> Callable[..., Any]:
    def loop(
        settings, constants, state, model, words, registers, numbers, memory, batch, parameters, rates, bases, points,
        returns, lengths, ends, outcomes,
    ):  # fmt: skip
        # Numba keeps compiled code by what a function closes over: unused, the fingerprint would not count.
        if fingerprint == "":
            return
        environment, rng = open_stream(words, ENVIRONMENT), open_stream(words, EXPLORATION)
        draws = open_stream(words, REPLAY)
        present, following, values = memory.present, memory.following, memory.values
        num_actions, capacity = values.shape[0], memory.observations.shape[0]
        shown_values, no_counts = np.empty(num_actions), np.zeros(num_actions, np.int64)
        is_model = settings.kind == MODEL
        at_state, in_episode, length = registers[STATE], registers[IN_EPISODE], registers[LENGTH]
        episode, step, finished = registers[EPISODE], registers[STEP], 0
        count, position, num_points = registers[COUNT], registers[POSITION], 0
        total, loss_sum, value_sum = numbers[RETURN], numbers[LOSS_SUM], numbers[VALUE_SUM]
        updates_since, failure, outcome = registers[UPDATES_SINCE], NO_FAILURE, np.uint64(0)
        while step < registers[LAST_STEP]:
            if not in_episode:
                if not is_model or episode >= registers[LAST_EPISODE]:
                    break
                at_state = np.int64(start_state(model, environment))
                following[0] = at_state
                kernels.see(following, present, memory.statistics, memory.scale, settings.is_running)
                in_episode, length, total = 1, 0, 0.0
            if step < settings.learning_starts:
                action = np.int64(rng.random() * num_actions)
            else:
                kernels.values_of_one(
                    memory.weights, memory.sizes, present, memory.scale, memory.one, values, settings.is_symbol,
                    settings.is_dueling,
                )  # fmt: skip
                parameter = parameters[(episode if settings.parameter_by_episode else step) - bases[0]]
                # NaN: the schedule has no value that is allowed.
                if parameter != parameter:
                    failure = BAD_PARAMETER
                    break
                for choice in range(num_actions):
                    shown_values[choice] = values[choice]
                action = np.int64(_select(settings.policy, shown_values, no_counts, parameter, rng))
            if is_model:
                pair = np.uint64(at_state) * np.uint64(num_actions) + np.uint64(action)
                outcome = outcome_of(model, pair, environment, False)
                at_state = np.int64(model.next_states[outcome])
                reward, terminated = model.rewards[outcome], model.terminated[outcome]
                following[0] = at_state
            else:
                reward, terminated = classic_control.step(settings.kind, constants, state, action, following)
            length += 1
            end = kernels.GOES_ON
            kept_reward = reward
            if terminated:
                end = kernels.TERMINATED
                if settings.replaces_terminal:
                    kept_reward = settings.terminal_reward
            elif length >= settings.time_limit:
                end = kernels.TRUNCATED
            if not kernels.store(
                memory.observations, memory.next_observations, memory.actions, memory.rewards, memory.ends, position,
                present, following, memory.statistics, memory.scale, settings.is_running, action, kept_reward, end,
            ):  # fmt: skip
                failure = NOT_FINITE
                break
            count = max(count, position + 1)
            position = position + 1 if position + 1 < capacity else 0
            step += 1
            is_due = step >= settings.learning_starts and step % settings.train_every == 0
            if is_due and count >= memory.slots.shape[0]:
                for _ in range(settings.gradient_steps):
                    rate = rates[(episode if settings.rate_by_episode else step) - bases[1]]
                    if rate != rate:
                        failure = BAD_RATE
                        break
                    for row in range(memory.slots.shape[0]):
                        memory.slots[row] = np.int64(draws.random() * count)
                    newest = position - 1 if position else capacity - 1
                    kernels.gather(
                        memory.observations, memory.next_observations, memory.actions, memory.rewards, memory.ends,
                        memory.masks, memory.slots, newest, settings.n_step, settings.discount, memory.scale, False,
                        batch.inputs, batch.next_inputs, batch.actions, batch.returns, batch.factors, batch.next_masks,
                    )  # fmt: skip
                    registers[UPDATES] += 1
                    loss, value = kernels.learn(
                        memory.weights, memory.sizes, memory.powers, batch.inputs, batch.next_inputs, batch.actions,
                        batch.returns, batch.factors, batch.next_masks, batch.shares, batch.errors, memory.work,
                        settings.is_symbol, settings.is_dueling, settings.has_bias, False, settings.is_double,
                        settings.has_target, settings.is_huber, settings.optimizer, rate, settings.max_gradient_norm,
                    )  # fmt: skip
                    if not np.isfinite(loss):
                        failure, numbers[LOSS], numbers[RATE] = DIVERGED, loss, rate
                        break
                    loss_sum += loss
                    value_sum += value
                    updates_since += 1
                if failure != NO_FAILURE:
                    break
            if settings.target_every and step % settings.target_every == 0:
                kernels.move_target(memory.weights, settings.target_rate)
            if step % CURVE_EVERY == 0:
                parameter = parameters[(episode if settings.parameter_by_episode else step) - bases[0]]
                if parameter != parameter:
                    failure = BAD_POINT
                    break
                point = points[num_points]
                point[0], point[1], point[2] = step, np.nan, np.nan
                point[3], point[4] = parameter, registers[UPDATES]
                if updates_since:
                    point[1], point[2] = loss_sum / updates_since, value_sum / updates_since
                loss_sum, value_sum, updates_since = 0.0, 0.0, 0
                num_points += 1
            total += reward
            if end != kernels.GOES_ON:
                returns[finished], lengths[finished], ends[finished] = total, length, terminated
                outcomes[finished] = outcome
                finished += 1
                episode += 1
                in_episode = 0
        close_stream(environment, words, ENVIRONMENT)
        close_stream(rng, words, EXPLORATION)
        close_stream(draws, words, REPLAY)
        registers[STATE], registers[IN_EPISODE], registers[LENGTH] = at_state, in_episode, length
        registers[EPISODE], registers[STEP], registers[FINISHED] = episode, step, finished
        registers[COUNT], registers[POSITION], registers[POINTS] = count, position, num_points
        registers[UPDATES_SINCE], registers[FAILURE] = updates_since, failure
        numbers[RETURN], numbers[LOSS_SUM], numbers[VALUE_SUM] = total, loss_sum, value_sum

    # Numba keeps one index file for each qualified name and does not lock it.
    loop.__qualname__ += "_" + hashlib.sha256(fingerprint.encode()).hexdigest()[:16]
    return numba_cache.compiled(loop, error_model="numpy")
