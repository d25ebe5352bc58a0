"""Exact values by dynamic programming on a transition model: of a policy, of the best possible, at random.

Within a time limit H the value of a policy is the H-step value, and the best possible is the finite-horizon
optimum, whose choice may depend on the time left. Without a limit, values are those of the unlimited episode.
Source: Sutton & Barto (2018), chapter 4; Puterman (1994), chapter 4.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from velodrome.agents.engine.compile_clock import compiling_if_first
from velodrome.agents.planning.plain_sweeps import are_few, repeat, sweep_of
from velodrome.checks import VelodromeError
from velodrome.envs.model.transition_model import TransitionModel

# Sweeps of an episode without a time limit stop when no value changes by more than this.
TOLERANCE = 1e-13
MAX_SWEEPS = 200_000
# Rounds through a policy by step, likewise.
MAX_ROUNDS = 1_000
# A state counts as certain to end an episode when the chance that it does not is below this.
CERTAIN = 1e-9


class NotConvergedError(VelodromeError, ArithmeticError):
    """Values without a time limit did not settle; the message is one line."""


@dataclass(frozen=True)
class ExactValue:
    """Success probability (None without a rule that the model can decide) and expected undiscounted return.

    Attributes:
        success_rate: probability of success in [0, 1]; None without a rule that the model can decide.
        expected_return: expected sum of an episode's rewards, undiscounted.
    """

    success_rate: float | None
    expected_return: float


def evaluate_policy(model: TransitionModel, policy: np.ndarray, success: np.ndarray | None) -> ExactValue:
    """Exact value of a policy from the initial distribution.

    Args:
        model: the environment's model.
        policy: action probabilities, float64 (S, A); of one that depends on the step, (horizon, S, A), which begins
            again with the first after the last.
        success: outcomes with which a successful episode ends, bool (num_outcomes,), or None.

    Raises:
        ValueError: the policy or the successes are not those of the model's states, actions and outcomes.
    """
    policy = np.ascontiguousarray(policy, dtype=np.float64)
    by_step = policy if policy.ndim == 3 else policy[None]
    _check_shape("policy", by_step[0], (model.num_states, model.num_actions))
    if success is not None:
        _check_shape("success", success, (model.num_outcomes,))
    if model.time_limit is not None:
        from velodrome.agents.planning.dynamic_programming_kernels import policy_values_within

        marked = np.zeros(len(model.rewards), dtype=np.bool_) if success is None else success
        with compiling_if_first(policy_values_within):
            returns, rates = policy_values_within(
                model.offsets, model.probabilities, model.next_states, model.rewards, model.terminated, marked, by_step,
                model.time_limit,
            )  # fmt: skip
        return ExactValue(None if success is None else _start_value(model, rates), _start_value(model, returns))
    if policy.ndim == 3:
        earned_on_ending = None if success is None else (success & model.terminated).astype(np.float64)
        rate = None if earned_on_ending is None else _unlimited_by_step(model, earned_on_ending, policy)
        return ExactValue(rate, _unlimited_by_step(model, model.rewards, policy))
    rate = None if success is None else _start_value(model, _success_values(model, success, policy))
    return ExactValue(rate, _unlimited_return(model, policy))


def best_possible(model: TransitionModel, success: np.ndarray | None) -> ExactValue:
    """Largest success probability and largest expected return that any policy can reach, each on its own.

    Args:
        model: transition model of the environment.
        success: whether each outcome of the model is a success, bool; None where nothing says so.

    Raises:
        NotConvergedError: there is no time limit and the optimum is not finite.
        ValueError: the successes are not those of the model's outcomes.
    """
    if success is not None:
        _check_shape("success", success, (model.num_outcomes,))
    rate = None if success is None else _start_value(model, _success_values(model, success, None))
    limit = model.time_limit
    values, settled = _repeat(
        model, model.rewards, _continuing(model), None, limit or MAX_SWEEPS, -1.0 if limit else TOLERANCE
    )
    if limit is None and not settled:
        raise NotConvergedError(
            f"the best expected return did not settle within {MAX_SWEEPS} sweeps: give the environment a time limit"
        )
    return ExactValue(rate, _start_value(model, values))


def random_policy(model: TransitionModel) -> np.ndarray:
    """The uniformly random policy, float64 (S, A).

    Args:
        model: transition model of the environment.
    """
    return np.full((model.num_states, model.num_actions), 1.0 / model.num_actions)


def random_value(model: TransitionModel, success: np.ndarray | None) -> ExactValue:
    """Exact value of the uniformly random policy: that of `evaluate_policy`, without the compiler where it can be.

    Raises:
        ValueError: the successes are not those of the model's outcomes.
    """
    policy, limit = random_policy(model), model.time_limit
    if limit is None or not are_few(model, limit):
        return evaluate_policy(model, policy, success)
    values = repeat(sweep_of(model, model.rewards, _continuing(model), policy), np.zeros(model.num_states), limit)
    if success is None:
        return ExactValue(None, _start_value(model, values))
    _check_shape("success", success, (model.num_outcomes,))
    return ExactValue(_start_value(model, _success_values(model, success, policy)), _start_value(model, values))


def optimal_action_values(
    model: TransitionModel, discount: float, tolerance: float, max_sweeps: int = MAX_SWEEPS
) -> np.ndarray:
    """Action values of the best stationary policy without time limit, float64 (S, A), by value iteration.

    Args:
        model: transition model of the environment.
        discount: discount rate γ in [0, 1].
        tolerance: largest change of a value in the last sweep, at least 0.
        max_sweeps: most sweeps over all states.

    Raises:
        NotConvergedError: a sweep still changes more than `tolerance` after `max_sweeps`.
    """
    kept = discount * _continuing(model)
    values, settled = _repeat(model, model.rewards, kept, None, max_sweeps, tolerance)
    if not settled:
        raise NotConvergedError(
            f"value iteration did not settle within {max_sweeps} sweeps: choose a discount below {discount:g}"
        )
    return backed_up(model, values, discount)


def backed_up(model: TransitionModel, values: np.ndarray, discount: float) -> np.ndarray:
    """Action values float64 (S, A) of taking one action and then earning `values` (S,)."""
    from velodrome.agents.planning.dynamic_programming_kernels import action_values_of

    _check_shape("values", values, (model.num_states,))
    kept = discount * _continuing(model)
    return np.asarray(
        action_values_of(model.offsets, model.probabilities, model.next_states, model.rewards, kept, values)
    )


def _check_shape(name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    """Refuse an array that compiled code would read beyond its end."""
    if array.shape != shape:
        raise ValueError(f"{name} must have the shape {shape} of the transition model, got {array.shape}")


def _continuing(model: TransitionModel) -> np.ndarray:
    return (~model.terminated).astype(np.float64)


def _start_value(model: TransitionModel, values: np.ndarray) -> float:
    started = model.initial_distribution > 0
    return float(model.initial_distribution[started] @ values[started])


def _repeat(
    model: TransitionModel, gains: np.ndarray, kept: np.ndarray, policy: np.ndarray | None, sweeps: int,
    tolerance: float, start: np.ndarray | None = None,
) -> tuple[np.ndarray, bool]:  # fmt: skip
    first = np.zeros(model.num_states) if start is None else start
    if tolerance < 0.0 and are_few(model, sweeps):
        return repeat(sweep_of(model, gains, kept, policy), first, sweeps), True
    from velodrome.agents.planning.dynamic_programming_kernels import repeat_best, repeat_policy

    arrays: Any = (model.offsets, model.probabilities, model.next_states, gains, kept)
    if policy is None:
        values, settled = repeat_best(*arrays, first, sweeps, tolerance)
    else:
        values, settled = repeat_policy(*arrays, policy, first, sweeps, tolerance)
    return values, bool(settled)


def _success_values(model: TransitionModel, success: np.ndarray, policy: np.ndarray | None) -> np.ndarray:
    kept = _continuing(model)
    earned_on_ending = (success & model.terminated).astype(np.float64)
    if model.time_limit is None:
        return _repeat(model, earned_on_ending, kept, policy, MAX_SWEEPS, TOLERANCE)[0]
    # The step that meets the time limit ends the episode whatever its outcome.
    last, _ = _repeat(model, success.astype(np.float64), kept, policy, 1, -1.0)
    return _repeat(model, earned_on_ending, kept, policy, model.time_limit - 1, -1.0, start=last)[0]


def _unlimited_by_step(model: TransitionModel, gains: np.ndarray, policy: np.ndarray) -> float:
    """Expected sum of gains of a policy by step without time limit; infinite where it grows for ever."""
    sweeps = [sweep_of(model, gains, _continuing(model), of_step) for of_step in policy[::-1]]
    values = np.zeros(model.num_states)
    for _ in range(MAX_ROUNDS):
        before = values
        for sweep in sweeps:
            values = sweep(values)
        if np.abs(values - before).max() <= TOLERANCE:
            break
    drift = _start_value(model, values) - _start_value(model, before)
    return _start_value(model, values) if abs(drift) < CERTAIN else float(np.copysign(np.inf, drift))


def _unlimited_return(model: TransitionModel, policy: np.ndarray) -> float:
    """Expected return of an episode without time limit; infinite where it may run for ever at a price."""
    from velodrome.agents.planning.dynamic_programming_kernels import reached_states

    kept = _continuing(model)
    ending = _repeat(model, model.terminated.astype(np.float64), kept, policy, MAX_SWEEPS, TOLERANCE)[0]
    reached = reached_states(
        model.offsets,
        model.probabilities,
        model.next_states,
        model.terminated,
        policy,
        model.initial_distribution,
    )
    if (ending[reached] >= 1.0 - CERTAIN).all():
        # States that cannot be reached may never end; they must not keep the sweeps from settling.
        policy = np.where(reached[:, None], policy, 0.0)
        values, settled = _repeat(model, model.rewards, kept, policy, MAX_SWEEPS, TOLERANCE)
        if settled:
            return _start_value(model, values)
    sooner = _repeat(model, model.rewards, kept, policy, 10_000, -1.0)[0]
    later = _repeat(model, model.rewards, kept, policy, 10_000, -1.0, start=sooner)[0]
    drift = _start_value(model, later) - _start_value(model, sooner)
    return _start_value(model, later) if abs(drift) < CERTAIN else float(np.copysign(np.inf, drift))
