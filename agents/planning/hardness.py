"""How hard a transition model is to explore: its diameter, its value norm and its gaps, exactly.

Within a time limit everything is a function of the state and of the steps taken; without, of the state.
Source: Conserva & Rauber (2022), Hardness in Markov Decision Processes: Theory and Practice.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np

from velodrome.agents.planning.dynamic_programming import (
    MAX_SWEEPS,
    TOLERANCE,
    NotConvergedError,
    backed_up,
    best_possible,
    evaluate_policy,
    optimal_action_values,
    random_policy,
)
from velodrome.checks import check_number
from velodrome.envs.model.transition_model import TransitionModel

# Outcomes that the diameter looks at: its states times the steps of an episode times the outcomes of all pairs.
MAX_OPERATIONS = 1_000_000_000
# States between which ways are looked for without a time limit; each is a target of its own.
MAX_TARGETS = 1_500
# Without a time limit, where undiscounted values do not settle.
DISCOUNT = 0.99
# Action values that differ by less, as a share of the largest, are the same.
SAME = 1e-9


@dataclass(frozen=True)
class Gaps:
    """Gaps between the action values of the best policy, and how much chance decides of what follows.

    Attributes:
        discount: of the values.
        value_norm: largest standard deviation of the best value of the next state, over reachable states and actions.
        smallest_gap: the smallest positive V*(s) - Q*(s, a) in a reachable state; None where all actions are as good.
        sum_of_reciprocals: Σ 1 / (V*(s) - Q*(s, a)) over the positive gaps; 0 where there is none.
        optimal_share: mean over reachable states of the share of actions that are optimal.
    """

    discount: float
    value_norm: float
    smallest_gap: float | None
    sum_of_reciprocals: float
    optimal_share: float


def reachable(model: TransitionModel) -> np.ndarray:
    """Which states an episode can be in when the next action is taken, bool (steps, S).

    Within a time limit one row a step of an episode; without, a single row.
    """
    sources = np.repeat(np.arange(model.num_states * model.num_actions) // model.num_actions, np.diff(model.offsets))
    goes_on = (model.probabilities > 0.0) & ~model.terminated
    sources, following = sources[goes_on], model.next_states[goes_on]
    rows = [model.initial_distribution > 0.0]
    while len(rows) != model.time_limit:
        reached = np.zeros(model.num_states, dtype=np.bool_)
        reached[following[rows[-1][sources]]] = True
        if model.time_limit is None:
            reached |= rows[-1]
            if (reached == rows[-1]).all():
                return reached[np.newaxis]
            rows = [reached]
        else:
            rows.append(reached)
    return np.array(rows)


def gaps_of(model: TransitionModel, discount: float | None = None) -> Gaps:
    """Value norm and gaps of the best policy's values.

    Args:
        model: the environment's model.
        discount: in [0, 1]; by default 1, and without a time limit 0.99 where undiscounted values do not settle.

    Raises:
        ConfigurationError: the discount is out of range.
        NotConvergedError: there is no time limit, and the values with this discount do not settle.

    Source: Maillard, Mann & Mannor (2014), How hard is my MDP? The distribution-norm to the rescue; Simchowitz &
    Jamieson (2019), Non-asymptotic gap-dependent regret bounds for tabular MDPs.
    """
    if discount is not None:
        discount = check_number("discount", discount, 0.0, 1.0)
    reached = reachable(model)
    if model.time_limit is None:
        discount, action_values = _without_limit(model, discount)
        return _summary([_at_step(model, action_values, action_values.max(axis=1), reached[0])], discount)
    rate, values, steps = 1.0 if discount is None else discount, np.zeros(model.num_states), []
    for row in reached[::-1]:
        action_values = backed_up(model, values, rate)
        steps.append(_at_step(model, action_values, values, row))
        values = action_values.max(axis=1)
    return _summary(steps, rate)


def _without_limit(model: TransitionModel, discount: float | None) -> tuple[float, np.ndarray]:
    rates = [discount] if discount is not None else [1.0, DISCOUNT]
    for rate in rates:
        try:
            # Undiscounted values that have not settled soon grow for ever.
            sweeps = MAX_SWEEPS if rate < 1.0 else MAX_SWEEPS // 10
            return rate, optimal_action_values(model, rate, TOLERANCE, sweeps)
        except NotConvergedError:
            if rate == rates[-1]:
                raise
    raise AssertionError


def _at_step(
    model: TransitionModel, action_values: np.ndarray, next_values: np.ndarray, reached: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """Value norm, positive gaps, and shares of optimal actions, in the states that can be reached."""
    firsts = model.offsets[:-1]
    later = np.where(model.terminated, 0.0, next_values[model.next_states])
    means = np.add.reduceat(model.probabilities * later, firsts)
    deviations = later - np.repeat(means, np.diff(model.offsets))
    variances = np.add.reduceat(model.probabilities * deviations**2, firsts).reshape(action_values.shape)
    rows = action_values[reached]
    gaps = rows.max(axis=1, keepdims=True) - rows
    is_optimal = gaps <= SAME * np.abs(action_values).max()
    return float(np.sqrt(variances[reached].max(initial=0.0))), gaps[~is_optimal], is_optimal.mean(axis=1)


def _summary(steps: list[tuple[float, np.ndarray, np.ndarray]], discount: float) -> Gaps:
    gaps, shares = (np.concatenate([step[column] for step in steps]) for column in (1, 2))
    return Gaps(
        discount=discount,
        value_norm=max(step[0] for step in steps),
        smallest_gap=float(gaps.min()) if len(gaps) else None,
        sum_of_reciprocals=float((1.0 / gaps).sum()),
        optimal_share=float(shares.mean()),
    )


def worst_return(model: TransitionModel) -> float | None:
    """Smallest expected return that a policy can have; None where it does not settle without a time limit."""
    try:
        # Adding 0 makes a plain 0 of -0.
        return 0.0 - best_possible(dataclasses.replace(model, rewards=-model.rewards), None).expected_return
    except NotConvergedError:
        return None


def random_steps(model: TransitionModel, success_rate: float | None) -> tuple[float, float | None]:
    """Expected steps of an episode of the random policy, and its expected steps until its first success.

    Episodes follow each other until one succeeds, so that these are the steps of an episode over `success_rate`, that
    of the random policy (Wald's identity); None where that is not known.
    """
    steps = dataclasses.replace(model, rewards=np.ones(model.num_outcomes))
    length = evaluate_policy(steps, random_policy(model), None).expected_return
    return length, None if success_rate is None else np.inf if success_rate == 0.0 else length / success_rate


def diameter(model: TransitionModel) -> float:
    """Largest over pairs of reachable states of the smallest expected number of steps from one to the other.

    States are those in which one acts. A step that ends an episode leads to a state in which episodes start, as in an
    episode that goes on for ever; so does the last step before a time limit. Where there is one, the steps from a state
    to another depend on how many the episode has taken; they are those of the best moment. Infinite where a state may
    never be reached again.

    Args:
        model: transition model of the environment.

    Raises:
        TooLargeError: it takes too long: there are as many targets as states.

    Source: Jaksch, Ortner & Auer (2010), definition 1; within a time limit as Conserva & Rauber (2022).
    """
    reached = reachable(model)
    targets = np.flatnonzero(reached.any(axis=0))
    if len(targets) < 2:
        return 0.0
    if model.time_limit is None:
        from velodrome.agents.planning.hitting_times import largest_hitting_time

        if len(targets) > MAX_TARGETS:
            raise TooLargeError(f"{len(targets):,} states are reachable, more than {MAX_TARGETS:,}")
        return largest_hitting_time(model, targets)
    operations = len(targets) * model.time_limit * model.num_outcomes
    if operations > MAX_OPERATIONS:
        raise TooLargeError(
            f"{len(targets):,} reachable states x {model.time_limit:,} steps x {model.num_outcomes:,} outcomes are "
            f"{operations:.1e}, more than {MAX_OPERATIONS:.0e}"
        )
    from velodrome.agents.planning.dynamic_programming_kernels import largest_hitting_time_within

    return float(
        largest_hitting_time_within(
            model.offsets, model.probabilities, model.next_states, model.terminated, model.initial_distribution,
            reached, targets,
        )
    )  # fmt: skip


class TooLargeError(NotConvergedError):
    """A model is too large for a measure; the message says how large it is."""
