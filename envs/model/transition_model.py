"""The transition model of an environment, as arrays."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Self

import gymnasium as gym
import numpy as np
from numpy.typing import ArrayLike, NDArray

from velodrome.envs.environment_copy import NotCopiedError, copied
from velodrome.envs.model import transition_checks as checks
from velodrome.envs.model.action_masks import masks_by_state
from velodrome.envs.model.known_dynamics import (
    DYNAMICS,
    GYMNASIUM_CLASSES,
    known_class_of,
    reason_not_known,
    replaced_on_instance,
)
from velodrome.envs.model.model_check import UntrueError, check_model, only_start
from velodrome.envs.model.tables_read import read_once
from velodrome.envs.model.transition_checks import NoTransitionModelError, TransitionModelError, UntrueModelError
from velodrome.envs.model.transition_table import cumulative_inside_pairs, read_transition_table
from velodrome.envs.wrapper_chain import is_transparent, keeps_spaces, name_of, time_limit_of, wrappers_of

__all__ = ["NoTransitionModelError", "TransitionModel", "TransitionModelError", "UntrueModelError"]


@dataclass(frozen=True, eq=False)
class TransitionModel:
    """A finite Markov decision process, its outcomes listed pair by pair.

    The outcomes of pair (state, action) are those from offsets[state * num_actions + action] up to, not
    including, the next offset. They keep the order of `P`, and duplicates stay: both decide which outcome
    a random number selects. Build one with `of`, `from_outcomes` or `from_arrays`,
    which may keep the arrays they are given.

    Args:
        num_states: number of states.
        num_actions: number of actions, the same in every state.
        offsets: int64 (num_states * num_actions + 1,).
        probabilities: float64 (num_outcomes,), summing to 1 inside each pair.
        cumulative: float64 (num_outcomes,), np.cumsum of the probabilities of each pair, not renormalised.
        next_states: int32 (num_outcomes,).
        rewards: float64 (num_outcomes,).
        terminated: bool (num_outcomes,).
        initial_distribution: float64 (num_states,).
        initial_cumulative: float64 (num_states,), its np.cumsum.
        time_limit: steps after which an episode is truncated, None if never.
        success: bool (num_outcomes,), whether an episode ending with this outcome succeeded, or None.
        action_mask: bool (num_states, num_actions), False where the environment calls an action useless.

    Raises:
        TransitionModelError: if the arrays do not describe a Markov decision process.
    """

    num_states: int
    num_actions: int
    offsets: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    cumulative: NDArray[np.float64]
    next_states: NDArray[np.int32]
    rewards: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    initial_distribution: NDArray[np.float64]
    initial_cumulative: NDArray[np.float64]
    time_limit: int | None
    success: NDArray[np.bool_] | None = None
    action_mask: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        checks.check_sizes(self.num_states, self.num_actions)
        for name in ("next_states", "rewards", "terminated", "cumulative", "success"):
            if getattr(self, name) is not None:
                checks.check_length(name, getattr(self, name), self.num_outcomes)
        checks.check_offsets(self.num_states, self.num_actions, self.offsets, self.num_outcomes)
        checks.check_outcomes(
            self.num_states,
            self.num_actions,
            self.offsets,
            self.probabilities,
            self.next_states,
            self.rewards,
        )
        checks.check_initial_distribution(self.num_states, self.initial_distribution)
        checks.check_time_limit(self.time_limit)
        shape = (self.num_states, self.num_actions)
        if self.action_mask is not None and self.action_mask.shape != shape:
            raise TransitionModelError(f"action_mask must have shape {shape}, got {self.action_mask.shape}")

    @property
    def num_outcomes(self) -> int:
        """Number of listed outcomes of all pairs together."""
        return self.probabilities.size

    @classmethod
    def of(cls, env: gym.Env[Any, Any]) -> TransitionModel:
        """Read the model of a Gymnasium environment from `env.unwrapped.P` and its initial distribution.

        The time limit is that of the TimeLimit wrappers in the chain, None without one. An environment whose `step`
        and `reset` are not known to follow `P` is played, as a copy, until it is known that they do, or do not. Where
        it has no initial distribution, it must start in one and the same state.

        Args:
            env: a Gymnasium environment; only a copy of it is played.

        Raises:
            NoTransitionModelError: the environment has no model, or a wrapper or option may make `P` untrue of it.
            UntrueModelError: its spaces or steps are not those of `P`, or are not known to be, or its own `P` has no
                initial distribution and cannot be read without.
            TransitionModelError: `P` is invalid.
        """
        unwrapped = env.unwrapped
        if _own_model(unwrapped) is None and not hasattr(unwrapped, "P"):
            raise NoTransitionModelError(f"{name_of(env)} has no transition model (no attribute P)")
        _check_wrappers(env)
        if getattr(unwrapped, "fickle_passenger", False):
            raise NoTransitionModelError(f"{name_of(env)} has no transition model: fickle_passenger is not in P")
        return cls._of(env, reason_not_known(unwrapped))

    @classmethod
    def of_known(cls, env: gym.Env[Any, Any]) -> TransitionModel:
        """As `of`, where `reason_not_sampled_from_model` was None just now: code and wrappers are not looked at again.

        Args:
            env: environment with a table `P`.

        Raises:
            NoTransitionModelError, UntrueModelError, TransitionModelError: see `of`.
        """
        return cls._of(env, None)

    @classmethod
    def _of(cls, env: gym.Env[Any, Any], unknown: str | None) -> TransitionModel:
        unwrapped, limit = env.unwrapped, time_limit_of(env)
        own = _own_model(unwrapped)
        if own is not None:
            model = own.with_time_limit(limit)
        elif unknown is None:
            model = read_once(unwrapped, "model", lambda: cls._read(env, limit, True)._with_action_mask(unwrapped))
            model = model._copied().with_time_limit(limit)
        else:
            model = cls._read(env, limit, False)
        reason = reason_other_spaces(env, model.num_states, model.num_actions)
        if reason is None and own is not None and not own._has_own_sums():
            reason = "the probabilities of its model were changed, but not their running sums, by which it steps"
        if reason is None and unknown is not None:
            reason = _reason_untrue(unwrapped, model, unknown)
        if reason is not None:
            raise UntrueModelError(f"{name_of(env)} has no transition model: {reason}")
        return model._with_action_mask(unwrapped)

    @classmethod
    def _read(cls, env: gym.Env[Any, Any], limit: int | None, is_known: bool) -> TransitionModel:
        unwrapped: Any = env.unwrapped
        if hasattr(unwrapped, "initial_state_distrib"):
            return cls.from_outcomes(unwrapped.P, unwrapped.initial_state_distrib, time_limit=limit)
        if is_known:
            raise NoTransitionModelError(
                f"{name_of(env)} has no initial distribution (no attribute initial_state_distrib)"
            )
        try:
            table = read_transition_table(unwrapped.P)
            start = only_start(copied(unwrapped), table.num_states)
            return cls.from_arrays(**table._asdict(), initial_distribution=start, time_limit=limit)
        except TransitionModelError as error:
            raise UntrueModelError(f"{name_of(env)} has no transition model: {error}") from None
        except NotCopiedError as error:
            raise UntrueModelError(
                f"{name_of(env)} has no transition model: it lacks initial_state_distrib, and {error}"
            ) from None

    @classmethod
    def from_outcomes(
        cls,
        outcomes: object,
        initial_distribution: ArrayLike,
        *,
        time_limit: int | None = None,
        success: ArrayLike | None = None,
    ) -> TransitionModel:
        """Build from outcomes[state][action] = [(probability, next_state, reward, terminated), ...].

        Args:
            outcomes: a dict of dicts or nested lists.
            initial_distribution: (num_states,), or one integer, the state every episode starts in.
            time_limit: steps, or None.
            success: (num_outcomes,) in the order of `outcomes`, or None.

        Raises:
            TransitionModelError: naming state, action and value of the first fault.
        """
        table = read_transition_table(outcomes)
        return cls.from_arrays(
            **table._asdict(),
            initial_distribution=initial_distribution,
            time_limit=time_limit,
            success=success,
        )

    @classmethod
    def from_arrays(
        cls,
        num_states: int,
        num_actions: int,
        *,
        probabilities: ArrayLike,
        next_states: ArrayLike,
        rewards: ArrayLike,
        terminated: ArrayLike,
        initial_distribution: ArrayLike,
        offsets: ArrayLike | None = None,
        time_limit: int | None = None,
        success: ArrayLike | None = None,
    ) -> TransitionModel:
        """Build from arrays of outcomes, of any shape whose flat order is state, action, outcome.

        Without `offsets` every pair has equally many outcomes: shape (num_states, num_actions, outcomes).

        Args:
            num_states: number of states, S.
            num_actions: number of actions, A.
            probabilities: of each outcome of a pair of state and action; those of a pair sum to 1.
            next_states: state that each outcome leads to, counted from 0.
            rewards: of each outcome.
            terminated: whether each outcome ends the episode.
            initial_distribution: probability of each state to start in, (S,).
            offsets: (S * A + 1,), where the outcomes of each pair begin, and where the last end.
            time_limit: steps after which an episode is truncated; None for none.
            success: whether each outcome is a success, bool; None where nothing says so.

        Raises:
            TransitionModelError: naming state, action and value of the first fault.
        """
        checks.check_sizes(num_states, num_actions)
        probability = checks.as_floats("probabilities", probabilities)
        if offsets is None:
            num_pairs = num_states * num_actions
            offset = np.arange(num_pairs + 1, dtype=np.int64) * (probability.size // num_pairs)
        else:
            offset = checks.as_integers("offsets", offsets).astype(np.int64)
        checks.check_offsets(num_states, num_actions, offset, probability.size)
        following = checks.as_integers("next_states", next_states)
        reward = checks.as_floats("rewards", rewards)
        checks.check_length("next_states", following, probability.size)
        checks.check_length("rewards", reward, probability.size)
        # Before the cast to int32, which would wrap a state that is far out of range back into it.
        checks.check_outcomes(num_states, num_actions, offset, probability, following, reward)
        initial = _initial_distribution(num_states, initial_distribution)
        return cls(
            num_states=int(num_states),
            num_actions=int(num_actions),
            offsets=offset,
            probabilities=probability,
            cumulative=cumulative_inside_pairs(probability, offset),
            next_states=following.astype(np.int32, copy=False),
            rewards=reward,
            terminated=checks.as_booleans("terminated", terminated),
            initial_distribution=initial,
            initial_cumulative=np.cumsum(initial),
            time_limit=time_limit,
            success=None if success is None else checks.as_booleans("success", success),
        )

    def expected_rewards(self) -> NDArray[np.float64]:
        """Expected immediate reward of every pair, (num_states * num_actions,)."""
        return np.add.reduceat(self.probabilities * self.rewards, self.offsets[:-1])

    def pseudo_regrets(self) -> NDArray[np.float64] | None:
        """How much less each outcome's pair was expected to pay than the best action of its state, (num_outcomes,).

        None where episodes may take more than one step: what an action is worth then depends on those after it.
        """
        if not self.terminated[self.probabilities > 0.0].all():
            return None
        expected = self.expected_rewards().reshape(self.num_states, self.num_actions)
        lost = (expected.max(axis=1, keepdims=True) - expected).ravel()
        return np.repeat(lost, np.diff(self.offsets))

    def with_time_limit(self, time_limit: int | None) -> Self:
        """The same model, sharing its arrays, under another time limit in steps.

        Args:
            time_limit: in steps, at least 1; None for none.

        Raises:
            TransitionModelError: if the limit is neither None nor a positive integer.
        """
        checks.check_time_limit(time_limit)
        model = copy.copy(self)
        object.__setattr__(model, "time_limit", None if time_limit is None else int(time_limit))
        return model

    def _copied(self) -> Self:
        model = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):
                object.__setattr__(model, name, value.copy())
        return model

    def _has_own_sums(self) -> bool:
        sums = cumulative_inside_pairs(self.probabilities, self.offsets)
        initial = np.cumsum(self.initial_distribution)
        return bool(
            (np.abs(sums - self.cumulative) <= 1e-9).all() and (np.abs(initial - self.initial_cumulative) <= 1e-9).all()
        )

    def _with_action_mask(self, unwrapped: gym.Env[Any, Any]) -> Self:
        if self.action_mask is not None:
            return self
        masks = masks_by_state(unwrapped, self.num_states, self.num_actions)
        if masks is None:
            return self
        model = copy.copy(self)
        object.__setattr__(model, "action_mask", masks)
        return model


def _own_model(unwrapped: Any) -> TransitionModel | None:
    """The model by which an environment steps, None where it has a table instead."""
    own = getattr(unwrapped, "model", None)
    return own if isinstance(own, TransitionModel) and known_class_of(unwrapped) not in GYMNASIUM_CLASSES else None


def _initial_distribution(num_states: int, given: ArrayLike) -> NDArray[np.float64]:
    if isinstance(given, int | np.integer) and not isinstance(given, bool):
        if not 0 <= given < num_states:
            raise TransitionModelError(f"initial state must be 0 to {num_states - 1}, got {given}")
        one_state = np.zeros(num_states)
        one_state[given] = 1.0
        return one_state
    return checks.as_floats("initial_distribution", given).copy()


def _check_wrappers(env: gym.Env[Any, Any]) -> None:
    for wrapper in wrappers_of(env):
        if not keeps_spaces(wrapper):
            raise UntrueModelError(
                f"{name_of(env)} has no transition model: wrapper {type(wrapper).__name__} changes a space"
            )
        if not is_transparent(wrapper):
            raise NoTransitionModelError(
                f"{name_of(env)} has no transition model: wrapper {type(wrapper).__name__} may change it"
            )


def _reason_untrue(unwrapped: gym.Env[Any, Any], model: TransitionModel, unknown: str) -> str | None:
    """Why an environment of unknown code is not known to step by its model, None where playing showed that it does."""
    if replaced_on_instance(unwrapped, DYNAMICS) is not None:
        return unknown
    try:
        check_model(copied(unwrapped), model)
    except UntrueError as error:
        return f"{error} ({unknown})"
    except NotCopiedError as error:
        return f"{unknown}, and its steps cannot be compared with P, because it {error}"
    return None


def reason_other_spaces(env: gym.Env[Any, Any], num_states: int, num_actions: int) -> str | None:
    """Why an environment's spaces are not those of a model's states and actions, None where they are."""
    for name, size in (("observation", num_states), ("action", num_actions)):
        space = getattr(env, f"{name}_space", None)
        if not isinstance(space, gym.spaces.Discrete):
            return f"{name} space must be Discrete({size}) as in P, got {space}"
        if space.start != 0:
            return f"{name} space must start at 0, got start={space.start}"
        if space.n != size:
            return f"{name} space must be Discrete({size}) as in P, got {space}"
    return None
