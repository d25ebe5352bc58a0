"""Plays a copy of an environment against its transition model: is what it does what the model says?"""

from __future__ import annotations

import contextlib
import math
import random
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from velodrome.checks import VelodromeError
from velodrome.envs.model.transition_checks import TransitionModelError

SEED = 20_261_130
# Every pair that can be reached is tried so often, and there are so many steps and resets in all.
TRIES = {"certain": 5, "random": 20}
STEPS = {"certain": 5_000, "random": 20_000}
MOST_STEPS = 100_000
MOST_PAIRS = 10_000
RESETS = 200
LONG_EPISODES = 3
LONGEST_EPISODE = 2_000
SECONDS = 30.0
PLAN_SWEEPS = 200
EPISODES_PER_PLAN = 5
# Standard errors beyond which frequencies are not those of the model; by chance less often than once in a million.
FAR = 6.0
# Pairs are looked at one by one too; each is far only beyond these.
FAR_ALONE = 7.0
LEAST_EXPECTED = 10.0

# Next state, reward, whether the episode terminated, and whether it succeeded where the model knows that.
Outcome = tuple[int, float, bool, bool | None]
# Of each state, the actions to choose from.
Choices = list[list[int]]


class Transitions(Protocol):
    """The part of a `TransitionModel` that the check reads."""

    @property
    def num_states(self) -> int: ...
    @property
    def num_actions(self) -> int: ...
    @property
    def offsets(self) -> NDArray[np.int64]: ...
    @property
    def probabilities(self) -> NDArray[np.float64]: ...
    @property
    def next_states(self) -> NDArray[np.int32]: ...
    @property
    def rewards(self) -> NDArray[np.float64]: ...
    @property
    def terminated(self) -> NDArray[np.bool_]: ...
    @property
    def initial_distribution(self) -> NDArray[np.float64]: ...
    @property
    def time_limit(self) -> int | None: ...
    @property
    def success(self) -> NDArray[np.bool_] | None: ...


class UntrueError(VelodromeError, ValueError):
    """Why a model does not count as true of an environment, in a clause that ends a line."""


class _ContradictedError(Exception):
    """Something that an environment did and its model does not allow."""


def check_model(env: gym.Env[Any, Any], model: Transitions) -> None:
    """Play some ten thousand steps of `env`, a copy that is thrown away afterwards, and compare each with `model`.

    Three behaviours follow each other: towards the pair of state and action that was tried least, until every pair
    that can be reached was tried; along the actions with which the model's episodes last longest; at random. Next
    state, reward and end of each step must be an outcome of the model, frequencies must be its probabilities within
    six standard errors. `env` is seeded with a number of the check's own, the global random streams are put back.

    Raises:
        UntrueError: the model is not true of it, or some of it could not be checked.
    """
    with _undisturbed():
        try:
            _Check(env, model).play()
        except _ContradictedError as error:
            raise UntrueError(f"P is not true of its steps: {error}") from None
        except UntrueError:
            raise
        except Exception as error:
            text = " ".join(str(error).split())
            raise UntrueError(f"its steps cannot be compared with P: {type(error).__name__}: {text}") from None


def only_start(env: gym.Env[Any, Any], num_states: int) -> int:
    """The state in which every reset of `env`, a copy that is thrown away afterwards, begins.

    Raises:
        TransitionModelError: there is not one such state.
    """
    lacks = "it lacks initial_state_distrib, the distribution of the first state"
    with _undisturbed():
        try:
            starts = {_as_state(env.reset(seed=SEED + k if k % 2 else None)[0], num_states) for k in range(RESETS)}
        except Exception:
            raise TransitionModelError(lacks) from None
    if len(starts) > 1:
        raise TransitionModelError(f"{lacks}, and episodes do not all start in one state")
    return starts.pop()


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """The process's own random streams afterwards stand where they stood; warnings are for those who train."""
    numpys, pythons = np.random.get_state(), random.getstate()  # noqa: NPY002 - to leave it as it is
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        np.random.set_state(numpys)  # noqa: NPY002
        random.setstate(pythons)


class _Check:
    """The model as the check reads it, and what was seen."""

    def __init__(self, env: gym.Env[Any, Any], model: Transitions) -> None:
        self.env, self.model = env, model
        self.rng = random.Random(SEED)
        self.outcomes: dict[int, dict[Outcome, float]] = {}
        self.seen: defaultdict[int, Counter[Outcome]] = defaultdict(Counter)
        self.starts: Counter[int] = Counter()
        self.shape = model.num_states, model.num_actions
        self.tries = [[0] * model.num_actions for _ in range(model.num_states)]
        self.reachable = reachable_states(model)
        self.num_steps = 0
        self.began = time.thread_time(), time.monotonic()
        sizes = np.diff(model.offsets).reshape(self.shape)
        kind = "certain" if (sizes[self.reachable] == 1).all() else "random"
        self.least, self.enough = TRIES[kind], STEPS[kind]
        self.longest = min(model.time_limit or LONGEST_EPISODE, LONGEST_EPISODE)

    def play(self) -> None:
        if self.reachable.sum() * self.model.num_actions > MOST_PAIRS:
            raise UntrueError(f"more than {MOST_PAIRS:,} pairs of state and action are too many to compare with P")
        self.env.reset(seed=SEED)
        self._try_every_pair(self.least)
        staying = self._plan(np.ones(self.model.num_states))
        for _ in range(LONG_EPISODES):
            self._episode(staying)
        while self.num_steps < self.enough:
            self._episode([list(range(self.model.num_actions))] * self.model.num_states)
            self.least += 1
            self._try_every_pair(self.least, stop_at=self.enough)
        for _ in range(RESETS - self.starts.total()):
            self._reset()
        self._compare_frequencies()

    def _try_every_pair(self, least: int, stop_at: int | None = None) -> None:
        number = 0
        while stop_at is None or self.num_steps < stop_at:
            tried = np.array(self.tries) >= least
            wanted = ~tried & self.reachable[:, None]
            if not wanted.any():
                return
            if self.num_steps > MOST_STEPS:
                pairs = int(self.reachable.sum()) * self.model.num_actions
                reached = int(tried[self.reachable].sum())
                raise UntrueError(
                    f"only {reached} of {pairs} pairs of state and action came up often enough to compare with P"
                )
            if number % EPISODES_PER_PLAN == 0:
                towards = self._plan(np.zeros(self.model.num_states), wanted)
            self._episode(towards)
            number += 1

    def _plan(self, values: NDArray[np.float64], wanted: NDArray[np.bool_] | None = None) -> Choices:
        """Actions that lead to a wanted pair soonest; without wanted ones, those by which episodes last longest."""
        model = self.model
        kept = model.probabilities * ~model.terminated * (0.99 if wanted is not None else 1.0)
        for _ in range(PLAN_SWEEPS):
            of_pairs = np.add.reduceat(kept * values[model.next_states], model.offsets[:-1]).reshape(self.shape)
            of_pairs = of_pairs if wanted is None else np.where(wanted, 1.0, of_pairs)
            before, values = values, of_pairs.max(axis=1)
            if np.abs(values - before).max() < 1e-4:
                break
        best = of_pairs >= values[:, None] - 1e-9
        return [np.flatnonzero(row).tolist() for row in best]

    def _episode(self, choices: Choices) -> None:
        state = self._reset()
        for _ in range(self.longest):
            state, ended = self._step(state, self._choose(choices[state], state))
            if ended:
                return

    def _choose(self, best: list[int], state: int) -> int:
        # Of equal ones, what was tried least half of the time, so that no order of trying is missed.
        if len(best) > 1 and self.rng.random() < 0.5:
            return min(best, key=self.tries[state].__getitem__)
        return self.rng.choice(best)

    def _reset(self) -> int:
        observation, _ = self.env.reset()
        state = _as_state(observation, self.model.num_states)
        if not self.model.initial_distribution[state] > 0.0:
            raise _ContradictedError(f"an episode started in state {state}, which has probability 0 of being the first")
        self.starts[state] += 1
        return state

    def _step(self, state: int, action: int) -> tuple[int, bool]:
        self.num_steps += 1
        if self.num_steps % 100 == 0 and self._is_slow():
            raise UntrueError("its steps take too long to compare enough of them with P")
        observation, reward, terminated, truncated, info = self.env.step(action)
        following, reported = _as_state(observation, self.model.num_states), info.get("is_success")
        outcome = (following, float(reward), bool(terminated), None if reported is None else bool(reported))
        pair = state * self.model.num_actions + action
        if truncated or outcome not in self._outcomes_of(pair):
            raise _ContradictedError(f"state {state}, action {action}: {_in_words(outcome, bool(truncated))}")
        self.tries[state][action] += 1
        self.seen[pair][outcome] += 1
        return following, outcome[2]

    def _is_slow(self) -> bool:
        # The clock of this thread alone, so that a busy machine changes nothing, unless the environment waits.
        return time.thread_time() - self.began[0] > SECONDS or time.monotonic() - self.began[1] > 10 * SECONDS

    def _outcomes_of(self, pair: int) -> dict[Outcome, float]:
        """Probability of each possible outcome; P may list one more than once."""
        if pair not in self.outcomes:
            self.outcomes[pair] = self._merged(pair)
        return self.outcomes[pair]

    def _merged(self, pair: int) -> dict[Outcome, float]:
        model, merged = self.model, dict[Outcome, float]()
        for index in range(model.offsets[pair], model.offsets[pair + 1]):
            success = None if model.success is None else bool(model.success[index])
            step = int(model.next_states[index]), float(model.rewards[index]), bool(model.terminated[index])
            if model.probabilities[index] > 0.0:
                merged[*step, success] = merged.get((*step, success), 0.0) + float(model.probabilities[index])
        return merged

    def _compare_frequencies(self) -> None:
        initial = {state: float(p) for state, p in enumerate(self.model.initial_distribution) if p > 0.0}
        parts = {"where episodes start": _likelihood_ratio(self.starts, initial)}
        for pair, counts in self.seen.items():
            state, action = divmod(pair, self.model.num_actions)
            parts[f"state {state}, action {action}"] = _likelihood_ratio(counts, self._outcomes_of(pair))
        for where, (ratio, freedom) in parts.items():
            if _standard_errors(ratio, freedom) > FAR_ALONE:
                raise _ContradictedError(f"{where}: outcomes are not as frequent as their probabilities say")
        ratio, freedom = (sum(column) for column in zip(*parts.values(), strict=True))
        if _standard_errors(ratio, int(freedom)) > FAR:
            raise _ContradictedError("outcomes are not as frequent as their probabilities say")


def reachable_states(model: Transitions) -> NDArray[np.bool_]:
    """States in which a step may be taken, whatever the agent does, bool (num_states,)."""
    states = np.repeat(np.arange(model.num_states), np.diff(model.offsets[:: model.num_actions]))
    leads_on = (model.probabilities > 0.0) & ~model.terminated
    reached = model.initial_distribution > 0.0
    for _ in range((model.time_limit or model.num_states + 1) - 1):
        further = reached.copy()
        further[model.next_states[leads_on & reached[states]]] = True
        if np.array_equal(further, reached):
            break
        reached = further
    return reached


def _as_state(observation: Any, num_states: int) -> int:
    """The state that an observation is.

    Raises:
        _ContradictedError: it is none.
    """
    is_whole = isinstance(observation, int | np.integer) or (
        isinstance(observation, np.ndarray) and observation.shape == () and observation.dtype.kind in "iu"
    )
    if not is_whole or isinstance(observation, bool) or not 0 <= observation < num_states:
        text = " ".join(repr(observation).split())
        raise _ContradictedError(f"it observes {text[:60]}, which is not a state from 0 to {num_states - 1}")
    return int(observation)


def _in_words(outcome: Outcome, truncated: bool) -> str:
    if truncated:
        return "its step truncated the episode, which is for a TimeLimit to do"
    state, reward, terminated, success = outcome
    reported = "" if success is None else f", is_success {success}"
    return (
        f"its step gave next state {state}, reward {reward:g}, terminated {terminated}{reported}, which P does not list"
    )


def _likelihood_ratio(counts: Counter[Any], probabilities: dict[Any, float]) -> tuple[float, int]:
    """Twice the log-likelihood ratio of counts against their probabilities, and its degrees of freedom.

    Rare outcomes count as one; without enough tries, both are 0.
    """
    tries = counts.total()
    rare = [outcome for outcome, probability in probabilities.items() if tries * probability < LEAST_EXPECTED]
    cells = [(counts[outcome], tries * p) for outcome, p in probabilities.items() if outcome not in rare]
    left = tries - sum(expected for _, expected in cells)
    if rare and left >= LEAST_EXPECTED:
        cells.append((sum(counts[outcome] for outcome in rare), left))
    elif rare:
        return 0.0, 0
    ratio = 2.0 * sum(count * math.log(count / expected) for count, expected in cells if count > 0)
    return max(ratio, 0.0), len(cells) - 1


def _standard_errors(ratio: float, freedom: int) -> float:
    """A chi-squared value as a standard normal one.

    Source: Wilson & Hilferty (1931).
    """
    if freedom == 0:
        return 0.0
    spread = 2.0 / (9.0 * freedom)
    return float(((ratio / freedom) ** (1.0 / 3.0) - (1.0 - spread)) / math.sqrt(spread))
