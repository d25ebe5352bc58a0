"""The compiled step of tables that learn side by side in a vector form: one function for each policy and learner.

As in the compiled loop, the functions that explore and learn are inlined from their plain source, and each copy draws
from its own agent's stream: every table is the one that the generic loop gives, bit for bit.
"""

import hashlib
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from velodrome.agents.engine.compiled_loop import recorded_visits
from velodrome.agents.engine.compiled_stream import close_stream, open_stream
from velodrome.agents.engine.numba_cache import compiled

# Words of every copy.
STATE, ACTION, NEXT_ACTION, EPISODE, STEP, LENGTH, PHASE = range(7)
NUM_WORDS = 7
# Phases of a copy: its next observation is the first of an episode, or follows a step; or its budget is spent, at the
# end of an episode or inside.
BEGINS, GOES_ON, IS_OVER, IS_OVER_INSIDE = range(4)


def build_step(
    select: Callable[..., Any],
    learn: Callable[..., Any],
    visits_of: Callable[..., Any] | None,
    memory_type: type,
    *,
    is_on_policy: bool,
    needs_next_parameter: bool,
    parameter_clock: str,
    rate_clock: str,
    fingerprint: str,
) -> Callable[..., Any]:
    """Function that learns, in every copy, from the step before, and chooses the next action.

    The copies whose episodes have ended are written to `ended`; the function returns their number, or -1 where
    something is not as it should be: a state or an action that does not exist, a schedule without a value, or a
    return that is not finite.

    `memory_type` is the learner's named tuple of arrays; here each has a leading dimension of copies. `fingerprint`
    names the code that is inlined, see `build_loop`.
    """
    member = _member(memory_type)
    counted = recorded_visits if visits_of is None else visits_of
    parameter_by_episode, parameter_by_step = parameter_clock == "episode", parameter_clock == "step"
    rate_by_episode, rate_by_step = rate_clock == "episode", rate_clock == "step"

    def parameter_at(memory, state, episode, step, parameters):
        if parameter_by_episode:
            return parameters[episode]
        if parameter_by_step:
            return parameters[step]
        visits = 0
        for action in range(memory.visit_counts.shape[1]):
            visits += memory.visit_counts[state, action]
        return parameters[visits]

    inlined = numba.extending.register_jitable(forceinline=True)
    parameter_at = inlined(parameter_at)

    def step_all(
        memories, states, rewards, terminated, truncated, position, returns, parameters, rates, discount, limits,
        streams, actions, ended,
    ):  # fmt: skip
        # Numba keeps compiled code by what a function closes over: unused, the fingerprint would not count.
        if fingerprint == "":
            return 0
        num_states, num_actions = memories.action_values.shape[1], memories.action_values.shape[2]
        num_ended = 0
        for copy in range(len(states)):
            words = position[copy]
            if words[PHASE] >= IS_OVER:
                continue
            next_state = states[copy]
            if next_state < 0 or next_state >= num_states:
                return -1
            memory = member(memories, copy)
            rng = open_stream(streams[copy], 0)
            next_action = -1
            if words[PHASE] == BEGINS:
                words[PHASE], words[LENGTH], returns[copy] = GOES_ON, 0, 0.0
            else:
                state, action = words[STATE], words[ACTION]
                episode = words[EPISODE]
                memory.visit_counts[state, action] += 1
                visits = counted(memory, state, action, rng)
                if rate_by_episode:
                    learning_rate = rates[episode]
                elif rate_by_step:
                    learning_rate = rates[words[STEP]]
                else:
                    learning_rate = rates[visits - 1]
                if learning_rate != learning_rate:
                    return -1
                words[STEP] += 1
                words[LENGTH] += 1
                returns[copy] += rewards[copy]
                if not np.isfinite(returns[copy]):
                    return -1
                is_terminated = terminated[copy]
                is_ended = is_terminated or truncated[copy]
                parameter = 0.0
                if (is_on_policy or needs_next_parameter) and not is_terminated:
                    parameter = parameter_at(memory, next_state, episode, words[STEP], parameters)
                    if parameter != parameter:
                        return -1
                    if is_on_policy:
                        values, counts = memory.action_values[next_state], memory.visit_counts[next_state]
                        next_action = int(select(values, counts, parameter, rng))
                        if next_action < 0 or next_action >= num_actions:
                            return -1
                learn(
                    memory, state, action, rewards[copy], next_state, is_terminated, is_ended, max(next_action, 0),
                    parameter, learning_rate, discount, rng, None, None,
                )  # fmt: skip
                if is_ended:
                    words[EPISODE] += 1
                    words[PHASE] = BEGINS
                    next_action = -1
                    ended[num_ended] = copy
                    num_ended += 1
                if words[EPISODE] == limits[0] or words[STEP] == limits[1]:
                    words[PHASE] = IS_OVER if is_ended else IS_OVER_INSIDE
            words[STATE], words[NEXT_ACTION] = next_state, next_action
            if words[PHASE] == GOES_ON:
                if next_action < 0:
                    parameter = parameter_at(memory, next_state, words[EPISODE], words[STEP], parameters)
                    if parameter != parameter:
                        return -1
                    values, counts = memory.action_values[next_state], memory.visit_counts[next_state]
                    next_action = int(select(values, counts, parameter, rng))
                    if next_action < 0 or next_action >= num_actions:
                        return -1
                words[ACTION], words[NEXT_ACTION] = next_action, -1
                actions[copy] = next_action
            close_stream(rng, streams[copy], 0)
        return num_ended

    # See `build_loop`: Numba's index files must not be shared.
    options = (fingerprint, memory_type.__qualname__, is_on_policy, needs_next_parameter, parameter_clock, rate_clock)
    step_all.__qualname__ += "_" + hashlib.sha256(repr(options).encode()).hexdigest()[:16]
    return compiled(step_all)


def build_greedy(greedy: Callable[..., Any], ties: str) -> Callable[..., Any]:
    """Function that writes the greedy action of every copy in its state to `actions`; False where a state is none."""

    def act_all(action_values, states, is_silent, streams, actions):
        if ties == "":
            return False
        for copy in range(len(states)):
            if is_silent[copy]:
                continue
            state = states[copy]
            if state < 0 or state >= action_values.shape[1]:
                return False
            rng = open_stream(streams[copy], 0)
            actions[copy] = greedy(action_values[copy, state], rng)
            close_stream(rng, streams[copy], 0)
        return True

    act_all.__qualname__ += f"_{ties}"
    return compiled(act_all)


@compiled
def bins_of(observations, dimensions, low, high, bins, states):
    """Write the number of the bin of each observation, (copies, size), to `states`, -1 for NaN; see `Binning`."""
    for copy in range(len(observations)):
        index = 0
        for place in range(len(dimensions)):
            value = observations[copy, dimensions[place]]
            if value != value:
                index = -1
                break
            if value <= low[place]:
                number = 0
            elif value >= high[place]:
                number = bins[place] - 1
            else:
                number = min(int((value - low[place]) / (high[place] - low[place]) * bins[place]), bins[place] - 1)
            index = index * bins[place] + number
        states[copy] = index


def _member(memory_type: type) -> Callable[..., Any]:
    """Function that gives one copy's named tuple of arrays from that of all copies."""
    fields = ", ".join(f"memories.{name}[copy]" for name in memory_type._fields)  # type: ignore[attr-defined]
    namespace: dict[str, Any] = {"memory_type": memory_type, "__name__": __name__}
    exec(f"def member(memories, copy):\n    return memory_type({fields})\n", namespace)
    member: Callable[..., Any] = numba.extending.register_jitable(forceinline=True)(namespace["member"])
    return member
