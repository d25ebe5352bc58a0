"""The compiled training loop: one function for each pair of policy and learner, built from their plain source.

The functions that explore and learn are ordinary Python. They are inlined into the loop below, which runs a
transition model instead of an environment and draws exactly what Gymnasium and NumPy would draw: action values,
returns, lengths and generator states equal those of the generic loop, bit for bit.
"""

import hashlib
import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numba
import numpy as np

from velodrome.agents.engine.branch_free import branch_free
from velodrome.agents.engine.compiled_arrays import arrays_at, as_floats, borrowed, row_of
from velodrome.agents.engine.compiled_stream import close_stream, close_uniforms, open_stream
from velodrome.agents.engine.numba_cache import compiled
from velodrome.envs.bandit import Arms, Bandit, draw_reward, move_on, set_best
from velodrome.envs.model.transition_model import TransitionModel

# Words of the uint64 row of a seed, in which a loop leaves off and continues: both streams, where the agent stands, how
# far it may go, and numbers as float64.
ENVIRONMENT_WORDS, AGENT_WORDS = 0, 6
(
    STATE, NEXT_ACTION, IN_EPISODE, LENGTH, EPISODE, STEP, FINISHED, FAILURE, LAST_EPISODE, LAST_STEP, RETURN,
    PARAMETER, LEARNING_RATE,
) = range(12, 25)  # fmt: skip
NUM_WORDS = 25
NO_FAILURE, BAD_ACTION, BAD_PARAMETER, BAD_RATE = range(4)
# A pair of so few outcomes, or fewer, has as many places: finding the outcome is then three comparisons.
FEW_OUTCOMES = 4


class ModelArrays(NamedTuple):
    """Arrays of a `TransitionModel` in the form that the loop reads.

    Pairs of state and action have `places` outcomes each; where that is 0, some have many, and the outcomes of each
    lie from its offset on. `cumulative` is above 1 at the last outcome that a pair's random number can reach.
    `outcomes` numbers the model's outcomes.

    Episodes start in `starts`, found from the place that `guide` gives for a random number on; see `start_state`.
    """

    places: int
    offsets: np.ndarray
    cumulative: np.ndarray
    next_states: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray
    outcomes: np.ndarray
    starts: np.ndarray
    start_cumulative: np.ndarray
    guide: np.ndarray
    time_limit: int

    @classmethod
    def of(cls, model: TransitionModel) -> "ModelArrays":
        """The model's arrays, laid out anew where pairs have few outcomes."""
        first, end = model.offsets[:-1], model.offsets[1:]
        counts = end - first
        places, outcomes, cumulative = 0, np.arange(model.num_outcomes), model.cumulative
        if counts.max() == 1:
            places = 1
        else:
            # One number picks the outcome: the first whose cumulative probability is above. Where none is, Gymnasium
            # takes the first, by argmax over no true value; that is one more place.
            reached = counts + ((cumulative[end - 1] < 1.0) & (counts > 1))
            if reached.max() <= FEW_OUTCOMES:
                places = FEW_OUTCOMES
                place = np.arange(places)
                outcomes = np.where(place < counts[:, None], first[:, None] + place, first[:, None])
                cumulative = np.where(place < reached[:, None] - 1, cumulative[outcomes], 2.0).ravel()
                outcomes = outcomes.ravel()
        starts = np.flatnonzero(np.diff(model.initial_cumulative, prepend=0.0) > 0.0)
        start_cumulative = model.initial_cumulative[starts]
        size = 1 << int(2 * len(starts) - 1).bit_length()
        guide = np.searchsorted(start_cumulative, np.arange(size) / size, side="right")
        is_laid_out = places > 1
        return cls(
            places,
            model.offsets,
            cumulative,
            model.next_states[outcomes] if is_laid_out else model.next_states,
            model.rewards[outcomes] if is_laid_out else model.rewards,
            model.terminated[outcomes] if is_laid_out else model.terminated,
            outcomes,
            starts,
            start_cumulative,
            guide,
            model.time_limit if model.time_limit is not None else 1 << 62,
        )


@numba.extending.register_jitable(forceinline=True)
def start_state(model, environment):
    """State in which an episode starts, by one number of the environment's stream."""
    u = environment.random()
    place = np.uint64(model.guide[np.uint64(u * model.guide.size)])
    while place < model.starts.size and model.start_cumulative[place] <= u:
        place += np.uint64(1)
    # argmax over no true value: Gymnasium then takes state 0.
    return np.uint64(model.starts[place]) if place < model.starts.size else np.uint64(0)


@numba.extending.register_jitable(forceinline=True)
def outcome_of(model, pair, environment, takes_turns):
    """Place of the outcome of a pair of state and action, by one number of the environment's stream."""
    u = environment.random()
    one = np.uint64(1)
    if model.places == 1:
        return pair
    if model.places == FEW_OUTCOMES:
        outcome = pair * np.uint64(FEW_OUTCOMES)
        if not takes_turns:
            while model.cumulative[outcome] <= u:
                outcome += one
            return outcome
        passed = np.uint64(model.cumulative[outcome] <= u)
        passed += np.uint64(model.cumulative[outcome + one] <= u)
        return outcome + passed + np.uint64(model.cumulative[outcome + np.uint64(2)] <= u)
    first, end = np.uint64(model.offsets[pair]), np.uint64(model.offsets[pair + one])
    outcome = first
    while model.cumulative[outcome] <= u:
        outcome += one
        if outcome == end:
            # argmax over no true value: Gymnasium then takes the first outcome.
            return first
    return outcome


@numba.extending.register_jitable(forceinline=True)
def stepped_in_model(model, seed, pair, environment, takes_turns, pseudo_regrets, finished):
    """Place of the outcome of a pair of state and action, next state, reward, and whether the episode terminated."""
    outcome = outcome_of(model, pair, environment, takes_turns)
    return outcome, np.uint64(model.next_states[outcome]), model.rewards[outcome], model.terminated[outcome]


class BanditArrays(NamedTuple):
    """Bandits of one configuration, one a seed, in the form that the loop reads in place of a model.

    Attributes:
        arms: how they pay and change.
        expected: as `Bandit` keeps it, a row each, float64 (num_seeds, num_arms + 1).
        position: likewise, int64 (num_seeds, 2).
        time_limit: steps of an episode, which ends by itself before.
    """

    arms: Arms
    expected: np.ndarray
    position: np.ndarray
    time_limit: int

    @classmethod
    def of(cls, bandits: Sequence[Bandit]) -> "BanditArrays":
        """The bandits as they stand, copied."""
        arms, position = bandits[0].arms, np.array([bandit.position for bandit in bandits])
        arms = arms._replace(changes_at=np.array(arms.changes_at), changed=np.array(arms.changed))
        return cls(arms, np.array([bandit.expected for bandit in bandits]), position, 1 << 62)

    def write(self, bandits: Sequence[Bandit]) -> None:
        """Let the bandits stand where their rows do."""
        for bandit, expected, position in zip(bandits, self.expected, self.position, strict=True):
            bandit.expected[:], bandit.position[:] = expected, position


for _function in (set_best, move_on, draw_reward):
    numba.extending.register_jitable(forceinline=True)(_function)


@numba.extending.register_jitable(forceinline=True)
def start_pulling(model, environment):
    """State in which each pull of a bandit starts."""
    return np.uint64(0)


@numba.extending.register_jitable(forceinline=True)
def pulled(model, seed, arm, environment, takes_turns, pseudo_regrets, finished):
    """Arm, next state, reward, and whether the episode terminated; the regret of the pull is written down."""
    expected = row_of(model.expected, seed)
    row_of(pseudo_regrets, seed)[finished] = expected[expected.size - 1] - expected[arm]
    reward = draw_reward(model.arms, expected, arm, environment)
    move_on(model.arms, expected, row_of(model.position, seed), environment)
    return arm, np.uint64(0), reward, True


def build_loop(
    select: Callable[..., Any],
    learn: Callable[..., Any],
    visits_of: Callable[..., Any] | None,
    *,
    has_masks: bool,
    takes_turns: bool,
    is_on_policy: bool,
    needs_next_parameter: bool,
    checks_actions: bool,
    draws: bool,
    is_bandit: bool,
    num_actions: int,
    tables: int,
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
            return parameters[np.uint64(step - bases[0])]
        visits = 0
        for action in range(visit_counts.shape[1]):
            visits += visit_counts[state, action]
        return parameters[np.uint64(visits)]

    parameter_at = numba.extending.register_jitable(forceinline=True)(parameter_at)
    form = branch_free(select, num_actions) if takes_turns else None
    choose, mask_of = _masked(select) if has_masks else _unmasked(select if form is None else form)
    counted = recorded_visits if visits_of is None else visits_of
    start, stepped = (start_pulling, pulled) if is_bandit else (start_state, stepped_in_model)
    # A stream of which nothing but `random` is asked has no half of a word to keep.
    draws_uniforms_only = form is not None and not draws

    def loop(
        model, masks, pattern, addresses, parameters, rates, bases, discount, registers, returns, lengths, outcomes,
        pseudo_regrets, waiting, together, turn,
    ):  # fmt: skip
        # Numba keeps compiled code by what a function closes over: unused, the fingerprint would not count.
        if fingerprint == "":
            return
        model, masks = borrowed(model), borrowed(masks)
        time_limit = model.time_limit
        num_seeds = waiting.size
        first_seed = 0
        while first_seed < num_seeds:
            # Of `together` seeds, each has its turn of so many steps, until none is left in `waiting`.
            num_waiting = min(together, num_seeds - first_seed)
            place = 0
            while num_waiting > 0:
                seed = waiting[np.uint64(first_seed + place)]
                words = row_of(registers, seed)
                floats = as_floats(words)
                # Both generators continue from their words, and are written back: calls in a row are one long run.
                environment, rng = open_stream(words, ENVIRONMENT_WORDS), open_stream(words, AGENT_WORDS)
                memory = arrays_at(pattern, row_of(addresses, seed), tables, num_actions)
                action_values, visit_counts = memory.action_values, memory.visit_counts
                shown_counts = memory.visit_counts
                row_size = np.uint64(action_values.shape[1])
                state, next_action = words[STATE], np.int64(-1)
                if is_on_policy:
                    next_action = np.int64(words[NEXT_ACTION])
                in_episode, length = np.int64(words[IN_EPISODE]), np.int64(words[LENGTH])
                episode, step = np.int64(words[EPISODE]), np.int64(words[STEP])
                last_episode, last_step = np.int64(words[LAST_EPISODE]), np.int64(words[LAST_STEP])
                episode_return, parameter, learning_rate = floats[RETURN], 0.0, 0.0
                if parameter_by_episode:
                    parameter = floats[PARAMETER]
                if rate_by_episode:
                    learning_rate = floats[LEARNING_RATE]
                failure = NO_FAILURE
                begins = not in_episode and step < last_step and episode < last_episode
                last_of_turn = min(last_step, step + turn)
                while (in_episode and step < last_of_turn) or begins:
                    if begins:
                        state = start(model, environment)
                        in_episode, length, episode_return, next_action = 1, 0, 0.0, -1  # type: ignore[assignment]
                        begins = False
                        if parameter_by_episode:
                            floats[PARAMETER] = parameter = parameters[np.uint64(episode - bases[0])]
                        if rate_by_episode:
                            floats[LEARNING_RATE] = learning_rate = rates[np.uint64(episode - bases[1])]
                        if step >= last_of_turn:
                            break
                    # NaN: the schedule has no value that is allowed.
                    if parameter_by_episode and parameter != parameter:
                        failure = BAD_PARAMETER
                        break
                    if rate_by_episode and learning_rate != learning_rate:
                        failure = BAD_RATE
                        break
                    if is_on_policy and next_action >= 0:
                        action = np.uint64(next_action)
                    else:
                        if not parameter_by_episode:
                            parameter = parameter_at(parameters, bases, visit_counts, state, step)
                            if parameter != parameter:
                                failure = BAD_PARAMETER
                                break
                        action = np.uint64(choose(action_values, shown_counts, masks, state, parameter, rng))
                        if checks_actions and action >= row_size:
                            failure = BAD_ACTION
                            break
                    visit_counts[state, action] += 1
                    outcome, next_state, reward, terminated = stepped(
                        model, seed, state * row_size + action, environment, takes_turns, pseudo_regrets,
                        words[FINISHED],
                    )  # fmt: skip
                    visits = counted(memory, state, action, rng)
                    if not rate_by_episode:
                        learning_rate = rates[np.uint64(step - bases[1] if rate_by_step else visits - 1)]
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
                        chosen = np.uint64(choose(action_values, shown_counts, masks, next_state, parameter, rng))
                        if checks_actions and chosen >= row_size:
                            failure = BAD_ACTION
                            break
                        next_action = np.int64(chosen)
                    learn(
                        memory, state, action, reward, next_state, terminated, ended, np.uint64(next_action), parameter,
                        learning_rate, discount, rng, mask_of(masks, state), mask_of(masks, next_state),
                    )  # fmt: skip
                    state = next_state
                    if ended:
                        finished = words[FINISHED]
                        row_of(returns, seed)[finished] = episode_return
                        row_of(lengths, seed)[finished] = length
                        row_of(outcomes, seed)[finished] = outcome
                        words[FINISHED] += np.uint64(1)
                        episode += 1
                        in_episode, next_action = 0, -1  # type: ignore[assignment]
                        begins = episode < last_episode and step < last_step
                close_uniforms(environment, words, ENVIRONMENT_WORDS)
                if draws_uniforms_only:
                    close_uniforms(rng, words, AGENT_WORDS)
                else:
                    close_stream(rng, words, AGENT_WORDS)
                words[STATE], floats[RETURN] = state, episode_return
                if is_on_policy:
                    words[NEXT_ACTION] = np.uint64(next_action)
                words[IN_EPISODE], words[LENGTH] = np.uint64(in_episode), np.uint64(length)
                words[EPISODE], words[STEP] = np.uint64(episode), np.uint64(step)
                if failure != NO_FAILURE or not in_episode or step >= last_step:
                    words[FAILURE] = np.uint64(failure)
                    num_waiting -= 1
                    waiting[np.uint64(first_seed + place)] = waiting[np.uint64(first_seed + num_waiting)]
                else:
                    place += 1
                if place >= num_waiting:
                    place = 0
            first_seed += together

    # Numba keeps one index file for each qualified name and does not lock it: loops that shared a name could get
    # each other's code when two processes compile at once.
    options = (
        fingerprint, has_masks, is_on_policy, needs_next_parameter, checks_actions, parameter_clock, rate_clock,
        draws, num_actions, tables, takes_turns, is_bandit,
    )  # fmt: skip
    loop.__qualname__ += "_" + hashlib.sha256(repr(options).encode()).hexdigest()[:16]
    return compiled(loop)


def loop_builder(arguments: tuple[str, ...], shown_counts: str) -> Callable[..., Callable[..., Any]]:
    """`build_loop` whose loop calls `learn` with these arguments alone, written as in its own call.

    The policy is shown the array `shown_counts` of the memory in place of the visit counts.

    A function between the two that picks them costs Q(λ) half a step's time: Numba counts references to every array
    of the memory once more where it is handed on.
    """
    before, call, after = inspect.getsource(build_loop).partition("                    learn(\n")
    assert call
    handed = [_HANDED.get(argument, argument) for argument in arguments]
    source = f"{before}                    learn({', '.join(handed)})\n{after.partition('# fmt: skip')[2]}"
    source = source.replace("shown_counts = memory.visit_counts\n", f"shown_counts = memory.{shown_counts}\n")
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
def recorded_visits(memory, state, action, rng):
    """Visits of a pair so far, for a learner that does not count them otherwise."""
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
