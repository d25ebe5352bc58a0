"""The compiled training loop: one function for each pair of policy and learner, built from their plain source.

The functions that explore and learn are ordinary Python. They are inlined into the loop below, which runs a
transition model instead of an environment and draws exactly what Gymnasium and NumPy would draw: action values,
returns, lengths and generator states equal those of the generic loop, bit for bit.
"""

import hashlib
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np

from velodrome.agents.engine.compiled_arrays import borrowed
from velodrome.agents.engine.compiled_stream import close_stream, open_stream
from velodrome.agents.engine.numba_cache import compiled

# Words of the int64 array in which a loop leaves off and continues.
STATE, NEXT_ACTION, IN_EPISODE, LENGTH, EPISODE, STEP, FAILURE = range(7)
NUM_WORDS = 7
NO_FAILURE, BAD_ACTION, BAD_PARAMETER, BAD_RATE = range(4)


class ModelArrays(NamedTuple):
    """Arrays of a `TransitionModel` that the loop reads."""

    offsets: np.ndarray
    cumulative: np.ndarray
    next_states: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray
    initial_cumulative: np.ndarray
    time_limit: int


def build_loop(
    select: Callable[..., Any],
    learn: Callable[..., Any],
    visits_of: Callable[..., Any] | None,
    *,
    has_masks: bool,
    is_on_policy: bool,
    needs_next_parameter: bool,
    checks_actions: bool,
    parameter_clock: str,
    rate_clock: str,
    fingerprint: str,
) -> Callable[..., Any]:
    """Loop for one pair of functions; Numba compiles it on its first call.

    `visits_of` counts a pair's visits for the learning rate's "visits" clock, instead of `visit_counts`. With
    `has_masks`, `select` and `learn` are handed rows of `masks`, or else nothing and None.

    `checks_actions` has every choice of the policy compared with the number of actions, which costs a tenth of a
    step; our own policies need none. `fingerprint` names the code that is inlined; as a closure variable it is
    part of the key under which Numba keeps the compiled loop on disk, so an edited policy is never served stale.
    """
    parameter_by_episode, rate_by_episode = parameter_clock == "episode", rate_clock == "episode"
    parameter_by_step, rate_by_step = parameter_clock == "step", rate_clock == "step"

    def parameter_at(parameters, bases, visit_counts, state, step):
        if parameter_by_step:
            return parameters[step - bases[0]]
        visits = 0
        for action in range(visit_counts.shape[1]):
            visits += visit_counts[state, action]
        return parameters[visits]

    parameter_at = numba.extending.register_jitable(forceinline=True)(parameter_at)
    choose, mask_of = _masked(select) if has_masks else _unmasked(select)
    counted = _visits if visits_of is None else visits_of

    def loop(
        model, masks, memory, parameters, rates, bases, discount, position, partial_return, limits,
        returns, lengths, outcomes, environment_words, agent_words,
    ):  # fmt: skip
        # Numba keeps compiled code by what a function closes over: unused, the fingerprint would not count.
        if fingerprint == "":
            return 0
        model, masks, memory = borrowed(model), borrowed(masks), borrowed(memory)
        # Both generators continue from their words, and are written back: calls in a row are one long run.
        environment = open_stream(environment_words)
        rng = open_stream(agent_words)
        action_values, visit_counts = memory.action_values, memory.visit_counts
        num_actions = np.uint64(action_values.shape[1])
        # Unsigned places spare Numba the test whether they are negative.
        one = np.uint64(1)
        state, next_action = np.uint64(position[STATE]), position[NEXT_ACTION]
        in_episode, length = position[IN_EPISODE], position[LENGTH]
        episode, step = position[EPISODE], position[STEP]
        last_episode, last_step = limits[0], limits[1]
        episode_return = partial_return[0]
        time_limit = model.time_limit
        finished = 0
        parameter, learning_rate = 0.0, 0.0
        failure = NO_FAILURE
        while step < last_step and failure == NO_FAILURE:
            if not in_episode:
                if episode == last_episode:
                    break
                u = environment.random()
                state = np.uint64(0)
                if model.initial_cumulative[0] <= u:
                    # argmax over no true value: Gymnasium then takes state 0.
                    low, high = 1, model.initial_cumulative.size
                    while low < high:
                        middle = (low + high) // 2
                        if model.initial_cumulative[middle] > u:
                            high = middle
                        else:
                            low = middle + 1
                    if low < model.initial_cumulative.size:
                        state = np.uint64(low)
                in_episode, length, episode_return, next_action = 1, 0, 0.0, -1
            if parameter_by_episode:
                parameter = parameters[episode - bases[0]]
                # NaN: the schedule has no value that is allowed.
                if parameter != parameter:
                    failure = BAD_PARAMETER
                    break
            if rate_by_episode:
                learning_rate = rates[episode - bases[1]]
                if learning_rate != learning_rate:
                    failure = BAD_RATE
                    break
            while step < last_step:
                if is_on_policy and next_action >= 0:
                    action = np.uint64(next_action)
                else:
                    if not parameter_by_episode:
                        parameter = parameter_at(parameters, bases, visit_counts, state, step)
                        if parameter != parameter:
                            failure = BAD_PARAMETER
                            break
                    action = np.uint64(choose(action_values, visit_counts, masks, state, parameter, rng))
                    if checks_actions and action >= num_actions:
                        failure = BAD_ACTION
                        break
                visit_counts[state, action] += 1
                pair = state * num_actions + action
                # As in Gymnasium, one number picks the outcome: the first whose cumulative probability is above.
                first, end = np.uint64(model.offsets[pair]), np.uint64(model.offsets[pair + one])
                outcome = first
                u = environment.random()
                while model.cumulative[outcome] <= u:
                    outcome += one
                    if outcome == end:
                        # argmax over no true value: Gymnasium then takes the first outcome.
                        outcome = first
                        break
                next_state = np.uint64(model.next_states[outcome])
                reward, terminated = model.rewards[outcome], model.terminated[outcome]
                visits = counted(memory, state, action, rng)
                if not rate_by_episode:
                    place = step - bases[1] if rate_by_step else visits - 1
                    learning_rate = rates[place]
                    if learning_rate != learning_rate:
                        failure = BAD_RATE
                        break
                length += 1
                step += 1
                episode_return += reward
                ended = terminated or length >= time_limit
                # The next action is chosen before the update, with the values and the draws of the generic loop.
                if (is_on_policy or needs_next_parameter) and not parameter_by_episode and not terminated:
                    parameter = parameter_at(parameters, bases, visit_counts, next_state, step)
                    if parameter != parameter:
                        failure = BAD_PARAMETER
                        break
                if is_on_policy and not terminated:
                    chosen = np.uint64(choose(action_values, visit_counts, masks, next_state, parameter, rng))
                    if checks_actions and chosen >= num_actions:
                        failure = BAD_ACTION
                        break
                    next_action = np.int64(chosen)
                learn(
                    memory, state, action, reward, next_state, terminated, ended, np.uint64(next_action), parameter,
                    learning_rate, discount, rng, mask_of(masks, state), mask_of(masks, next_state),
                )  # fmt: skip
                state = next_state
                if ended:
                    returns[finished] = episode_return
                    lengths[finished] = length
                    outcomes[finished] = outcome
                    finished += 1
                    episode += 1
                    in_episode, next_action = 0, -1
                    break
        position[FAILURE] = failure
        close_stream(environment, environment_words)
        close_stream(rng, agent_words)
        position[STATE], position[NEXT_ACTION] = np.int64(state), next_action
        position[IN_EPISODE], position[LENGTH] = in_episode, length
        position[EPISODE], position[STEP] = episode, step
        partial_return[0] = episode_return
        return finished

    # Numba keeps one index file for each qualified name and does not lock it: loops that shared a name could get
    # each other's code when two processes compile at once.
    options = (fingerprint, has_masks, is_on_policy, needs_next_parameter, checks_actions, parameter_clock, rate_clock)
    loop.__qualname__ += "_" + hashlib.sha256(repr(options).encode()).hexdigest()[:16]
    return compiled(loop)


def loop_builder(arguments: tuple[str, ...]) -> Callable[..., Callable[..., Any]]:
    """`build_loop` whose loop calls `learn` with these arguments alone, written as in its own call.

    A function between the two that picks them costs Q(λ) half a step's time: Numba counts references to every array
    of the memory once more where it is handed on.
    """
    before, call, after = inspect.getsource(build_loop).partition("                learn(\n")
    assert call
    handed = [_HANDED.get(argument, argument) for argument in arguments]
    source = f"{before}                learn({', '.join(handed)})\n{after.partition('# fmt: skip')[2]}"
    namespace = dict(globals())
    # The lines keep their numbers, and the file is the key under which Numba keeps what it compiles.
    exec(compile("\n" * (build_loop.__code__.co_firstlineno - 1) + source, __file__, "exec"), namespace)
    builder: Callable[..., Callable[..., Any]] = namespace["build_loop"]
    return builder


# What an update calls otherwise than the loop.
_HANDED = {
    "next_action": "np.uint64(next_action)",
    "mask": "mask_of(masks, state)",
    "next_mask": "mask_of(masks, next_state)",
}


@numba.extending.register_jitable(forceinline=True)
def _visits(memory, state, action, rng):
    return memory.visit_counts[state, action]


def _unmasked(select: Callable[..., Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def choose(action_values, visit_counts, masks, state, parameter, rng):
        return select(action_values[state], visit_counts[state], parameter, rng)

    def mask_of(masks, state):
        return None

    inlined = numba.extending.register_jitable(forceinline=True)
    return inlined(choose), inlined(mask_of)


def _masked(select: Callable[..., Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def choose(action_values, visit_counts, masks, state, parameter, rng):
        return select(action_values[state], visit_counts[state], parameter, rng, masks[state])

    def mask_of(masks, state):
        return masks[state]

    inlined = numba.extending.register_jitable(forceinline=True)
    return inlined(choose), inlined(mask_of)
