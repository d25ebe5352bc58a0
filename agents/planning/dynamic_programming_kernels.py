"""Sweeps of dynamic programming over a transition model, compiled."""

from typing import Any

import numpy as np

from velodrome.agents.engine.numba_cache import compiled


@compiled
def action_values_of(offsets: Any, probabilities: Any, next_states: Any, gains: Any, kept: Any, values: Any) -> Any:
    """Expected gain plus kept value of every pair, float64 (S, A); `gains`, `kept` belong to the outcomes."""
    num_states = len(values)
    num_actions = (len(offsets) - 1) // num_states
    result = np.empty((num_states, num_actions))
    for state in range(num_states):
        for action in range(num_actions):
            pair = state * num_actions + action
            total = 0.0
            for outcome in range(offsets[pair], offsets[pair + 1]):
                total += probabilities[outcome] * (gains[outcome] + kept[outcome] * values[next_states[outcome]])
            result[state, action] = total
    return result


@compiled
def sweep_policy(
    offsets: Any,
    probabilities: Any,
    next_states: Any,
    gains: Any,
    kept: Any,
    policy: Any,
    values: Any,
    result: Any,
) -> float:
    """One sweep under a policy, float64 (S, A), from `values` into `result`; returns the largest change."""
    num_states, num_actions = policy.shape
    largest = 0.0
    for state in range(num_states):
        value = 0.0
        for action in range(num_actions):
            share = policy[state, action]
            if share > 0.0:
                pair = state * num_actions + action
                total = 0.0
                for outcome in range(offsets[pair], offsets[pair + 1]):
                    total += probabilities[outcome] * (gains[outcome] + kept[outcome] * values[next_states[outcome]])
                value += share * total
        largest = max(largest, abs(value - values[state]))
        result[state] = value
    return largest


@compiled
def sweep_best(
    offsets: Any, probabilities: Any, next_states: Any, gains: Any, kept: Any, values: Any, result: Any
) -> float:
    """One sweep of the best action, from `values` into `result`; returns the largest change."""
    num_states = len(values)
    num_actions = (len(offsets) - 1) // num_states
    largest = 0.0
    for state in range(num_states):
        best = -np.inf
        for action in range(num_actions):
            pair = state * num_actions + action
            total = 0.0
            for outcome in range(offsets[pair], offsets[pair + 1]):
                total += probabilities[outcome] * (gains[outcome] + kept[outcome] * values[next_states[outcome]])
            best = max(best, total)
        largest = max(largest, abs(best - values[state]))
        result[state] = best
    return largest


@compiled
def repeat_policy(
    offsets: Any, probabilities: Any, next_states: Any, gains: Any, kept: Any, policy: Any, start: Any,
    sweeps: int, tolerance: float,
) -> Any:  # fmt: skip
    """Up to `sweeps` sweeps under a policy; stops when none changes more than `tolerance` (below 0: never)."""
    values, result = start.copy(), np.empty_like(start)
    for _ in range(sweeps):
        change = sweep_policy(offsets, probabilities, next_states, gains, kept, policy, values, result)
        values, result = result, values
        if change <= tolerance:
            return values, True
    return values, False


@compiled
def repeat_best(
    offsets: Any, probabilities: Any, next_states: Any, gains: Any, kept: Any, start: Any,
    sweeps: int, tolerance: float,
) -> Any:  # fmt: skip
    """Up to `sweeps` sweeps of the best action; stops when none changes more than `tolerance`."""
    values, result = start.copy(), np.empty_like(start)
    for _ in range(sweeps):
        change = sweep_best(offsets, probabilities, next_states, gains, kept, values, result)
        values, result = result, values
        if change <= tolerance:
            return values, True
    return values, False


@compiled
def policy_values_within(
    offsets: Any, probabilities: Any, next_states: Any, rewards: Any, terminated: Any, success: Any, policy: Any,
    time_limit: int,
) -> Any:  # fmt: skip
    """Returns and success probabilities float64 (S,) of a policy over the `time_limit` steps of an episode.

    The policy is float64 (horizon, S, A), one for each step; after the last comes the first again.
    `success` marks the outcomes with which a successful episode ends; the step that meets the time limit ends it
    whatever its outcome.
    """
    horizon, num_states, num_actions = policy.shape
    returns, rates = np.zeros(num_states), np.zeros(num_states)
    new_returns, new_rates = np.empty(num_states), np.empty(num_states)
    for sweep in range(time_limit):
        step = (time_limit - 1 - sweep) % horizon
        for state in range(num_states):
            state_return, state_rate = 0.0, 0.0
            for action in range(num_actions):
                share = policy[step, state, action]
                if share > 0.0:
                    pair = state * num_actions + action
                    total, rate = 0.0, 0.0
                    for outcome in range(offsets[pair], offsets[pair + 1]):
                        probability = probabilities[outcome]
                        following = next_states[outcome]
                        value, succeeded = rewards[outcome], 0.0
                        if not terminated[outcome]:
                            value += returns[following]
                            succeeded = rates[following]
                        if terminated[outcome] or sweep == 0:
                            succeeded = 1.0 if success[outcome] else 0.0
                        total += probability * value
                        rate += probability * succeeded
                    state_return += share * total
                    state_rate += share * rate
            new_returns[state] = state_return
            new_rates[state] = state_rate
        returns, new_returns = new_returns, returns
        rates, new_rates = new_rates, rates
    return returns, rates


@compiled
def reached_states(offsets: Any, probabilities: Any, next_states: Any, terminated: Any, policy: Any, start: Any) -> Any:
    """Which states a policy can be in when it starts where `start` is positive, bool (S,)."""
    num_states, num_actions = policy.shape
    reached = start > 0.0
    waiting = np.empty(num_states, np.int64)
    count = 0
    for state in range(num_states):
        if reached[state]:
            waiting[count] = state
            count += 1
    while count > 0:
        count -= 1
        state = waiting[count]
        for action in range(num_actions):
            if policy[state, action] > 0.0:
                pair = state * num_actions + action
                for outcome in range(offsets[pair], offsets[pair + 1]):
                    following = next_states[outcome]
                    if probabilities[outcome] > 0.0 and not terminated[outcome] and not reached[following]:
                        reached[following] = True
                        waiting[count] = following
                        count += 1
    return reached


@compiled
def largest_hitting_time_within(
    offsets: Any, probabilities: Any, next_states: Any, terminated: Any, start: Any, reached: Any, targets: Any
) -> float:
    """Largest smallest expected steps from one of `targets` to another, where episodes follow each other.

    Of the steps at which an episode can be in a state, `reached` bool (steps, S), the best counts. For each target the
    time from an episode's start, by which every step is valued, is found by policy iteration: it is a / (1 - b) with
    a the steps within an episode and b the chance that it ends before the target.
    """
    num_steps, num_states = reached.shape
    num_actions = (len(offsets) - 1) // num_states
    steps, chances = np.zeros(num_states), np.zeros(num_states)
    new_steps, new_chances = np.zeros(num_states), np.zeros(num_states)
    shortest = np.zeros(num_states)
    largest = 0.0
    for target in targets:
        from_start = 1e9
        for _ in range(1000):
            shortest[:] = np.inf
            for sweep in range(num_steps):
                now = num_steps - 1 - sweep
                for state in range(num_states):
                    if state == target:
                        new_steps[state], new_chances[state] = 0.0, 0.0
                        continue
                    if not reached[now, state]:
                        continue
                    best = np.inf
                    for action in range(num_actions):
                        pair = state * num_actions + action
                        taken, chance = 1.0, 0.0
                        for outcome in range(offsets[pair], offsets[pair + 1]):
                            if terminated[outcome] or sweep == 0:
                                chance += probabilities[outcome]
                            elif probabilities[outcome] > 0.0:
                                taken += probabilities[outcome] * steps[next_states[outcome]]
                                chance += probabilities[outcome] * chances[next_states[outcome]]
                        if taken + chance * from_start < best:
                            best = taken + chance * from_start
                            new_steps[state], new_chances[state] = taken, chance
                    shortest[state] = min(shortest[state], best)
                steps, new_steps = new_steps, steps
                chances, new_chances = new_chances, chances
            first, share = 0.0, 0.0
            for state in range(num_states):
                if start[state] > 0.0:
                    first += start[state] * steps[state]
                    share += start[state] * chances[state]
            if share >= 1.0:
                return np.inf
            found = first / (1.0 - share)
            if found >= from_start * (1.0 - 1e-12):
                break
            from_start = found
        for state in targets:
            if state != target:
                largest = max(largest, shortest[state])
    return largest
