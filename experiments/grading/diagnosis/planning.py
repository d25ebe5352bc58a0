"""Mistakes of action values and policies that were not watched in the making, by exact solutions with one mistake."""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from velodrome.agents.agent import Agent
from velodrome.agents.planning import NotConvergedError, optimal_action_values
from velodrome.agents.planning.dynamic_programming import backed_up
from velodrome.agents.planning.plain_sweeps import repeat, sweep_of
from velodrome.envs.model import TransitionModel
from velodrome.experiments.grading.diagnosis.replay import within
from velodrome.experiments.grading.diagnosis.states import living_states
from velodrome.experiments.grading.diagnosis.table_mistakes import (
    ACTIONS_PERMUTED,
    MAP_TRANSPOSED,
    MOST_ACTIONS,
    STATES_SHIFTED,
    misplaced_tables,
)
from velodrome.experiments.grading.findings import Evidence, Finding

DISCOUNTS = (0.1, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999, 1.0)
SWEEPS = 100
TOLERANCE = 1e-6
# A policy that agrees with a mistake does so by chance with at most this probability.
CERTAIN, LIKELY = 1e-6, 1e-3
CONVERGED, MOST_SWEEPS = 1e-10, 50_000

Sweep = Callable[[np.ndarray], np.ndarray]

SENTENCES = {
    "other discount": "Another discount than the assignment's was used. Look at the value of γ.",
    "immediate reward alone": "Only the next reward counts, as with γ = 0. Look at the backup: γ times the next "
    "state's value is missing.",
    "bootstrap on termination": "The value of the next state is added although the episode has terminated there. Look "
    "at the backup: an outcome that terminates is worth its reward alone.",
    "too few sweeps": "Value iteration ended before the values had settled. Look at the number of sweeps, or at the "
    "largest change at which it stops.",
    "mean for maximum": "The values are those of the random policy: the mean over the actions was taken where the "
    "maximum should be. Look at the function that reduces the row.",
    "minimum for maximum": "The values are those of the worst actions. Look at the function that reduces the row, or "
    "at a sign.",
    "slipping ignored": "Only the likeliest outcome of each action counts, as if the world were deterministic. Look "
    "at the sum over outcomes: each is weighted by its probability.",
    "last outcome alone": "Only the last outcome of each action counts. Look at the loop over outcomes: they are "
    "added up with `+=`.",
    "reward left out of the probabilities": "The reward of every outcome is added in full, and only the next value is "
    "weighted by its probability. Look at the brackets of the sum.",
    "discount on the reward too": "The reward is discounted as well as the next state's value. Look at the brackets "
    "of the backup: reward + γ value.",
    "sign of the reward": "Rewards count with the opposite sign. Look at where the reward enters the backup.",
    "state values in every column": "Every action has the value of its state. Look at the last step: an action's value "
    "is its own reward and what follows it.",
    "horizon one step short": "The values are those of one step less than the time limit. Look at the range of the "
    "loop over steps.",
    "horizon one step long": "The values are those of one step more than the time limit. Look at the range of the loop "
    "over steps.",
    "values of terminal states": "States in which an episode has ended have values; nothing more can be earned there. "
    "Look at the states that are swept.",
    "worst action taken": "The policy takes the action of the smallest value. Look at whether `argmin` stands where "
    "`argmax` should.",
    "first action everywhere": "The policy takes action 0 in nearly every state, as `argmax` does of a row of equal "
    "values. Look at whether the values were learnt at all.",
    "best next state without the reward": "The policy goes for the next state of the largest value and leaves out the "
    "reward of getting there. Look at what is compared: reward + γ value.",
    **dict([ACTIONS_PERMUTED, STATES_SHIFTED, MAP_TRANSPOSED]),
    "action values differ": "The values are not those of the assignment's solution, and no mistake that is known "
    "explains them. Look at the state that is named, and compute its value by hand.",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Solution:
    """Action values (S, A) of a planner with one mistake, its name, and what is added to the evidence."""

    name: str
    values: np.ndarray
    remark: str = ""


def diagnose_values(
    submitted: np.ndarray, *, is_policy: bool, reference: Agent, model: TransitionModel, ties: str
) -> list[Finding]:
    """Mistakes of action values or of a policy, against the optimum of a model; empty where none is seen.

    Args:
        submitted: action values, or a policy's probabilities, float64 (S, A).
        is_policy: which of the two.
        reference: the assignment's agent; its discount is the assignment's, 1 where it has none.
        model: of the environment.
        ties: how ties are broken, "first" or "random".
    """
    discount = float(getattr(reference, "discount", 1.0))
    submitted = np.asarray(submitted, dtype=np.float64)
    right = _solved(model, discount)
    if right is None or (submitted.shape != right.shape and submitted.shape != right.T.shape):
        return []
    alive = living_states(model)
    if is_policy:
        return _diagnose_policy(submitted, right, alive, model, discount) if submitted.shape == right.shape else []
    return _diagnose_table(submitted, right, alive, model, discount)


def _solved(model: TransitionModel, discount: float) -> np.ndarray | None:
    try:
        return optimal_action_values(model, discount, CONVERGED, MOST_SWEEPS)
    except NotConvergedError:
        return None


def _is_near(submitted: np.ndarray, values: np.ndarray, alive: np.ndarray) -> bool:
    return within(submitted[alive], values[alive], values[alive], TOLERANCE)


def _diagnose_table(
    submitted: np.ndarray, right: np.ndarray, alive: np.ndarray, model: TransitionModel, discount: float
) -> list[Finding]:
    if submitted.shape == right.shape and _is_near(submitted, right, alive):
        ended = np.zeros(len(right), dtype=np.bool_)
        ended[model.next_states[model.terminated]] = True
        odd = np.argwhere((np.abs(submitted) > TOLERANCE) & (ended & ~alive)[:, None])
        if not len(odd):
            return []
        state, action = odd[0]
        evidence = f"Q({state}, {action}) = {submitted[state, action]:.6g}, and an episode has ended there"
        # The model may go on from there, and a planner over all states follows it.
        return [] if _follows_model(submitted, right, state) else [_found("values of terminal states", evidence, False)]
    misplaced = misplaced_tables(right, submitted, TOLERANCE)
    if misplaced:
        return [Finding(name, text, evidence, len(misplaced) == 1) for name, text, evidence in misplaced]
    if submitted.shape != right.shape:
        return []
    matches = [one for one in _solutions(model, right, discount) if not _is_near(right, one.values, alive)]
    matches = [one for one in matches if _is_near(submitted, one.values, alive)]
    if matches:
        names = list(dict.fromkeys(one.name for one in matches))
        shown = _largest(submitted, right, alive)
        return [
            _found(name, _said(next(one for one in matches if one.name == name), names, shown), len(names) == 1)
            for name in names
        ]
    return [_found("action values differ", _largest(submitted, right, alive), True)]


def _follows_model(submitted: np.ndarray, right: np.ndarray, state: int) -> bool:
    return bool(np.allclose(submitted[state], right[state], rtol=0.0, atol=TOLERANCE))


def _found(name: str, evidence: str, certain: bool) -> Finding:
    return Finding(name, SENTENCES[name], evidence, certain)


def _said(match: _Solution, names: list[str], shown: str) -> str:
    others = [other for other in names if other != match.name]
    also = Evidence("agrees as well with: {names}", names=Evidence.names(others)) if others else ""
    return Evidence.joined([match.remark, shown, also])


def _largest(submitted: np.ndarray, right: np.ndarray, alive: np.ndarray) -> str:
    off = np.where(alive[:, None], np.abs(submitted - right), -1.0)
    off[np.isnan(off)] = np.inf
    state, action = np.unravel_index(int(off.argmax()), off.shape)
    return Evidence(
        "{place} is {yours} and should be {right}",
        place=f"Q({state}, {action})", yours=f"{submitted[state, action]:.6g}", right=f"{right[state, action]:.6g}",
    )  # fmt: skip


def _diagnose_policy(
    submitted: np.ndarray, right: np.ndarray, alive: np.ndarray, model: TransitionModel, discount: float
) -> list[Finding]:
    chosen = submitted > 1e-12
    scale = TOLERANCE * max(1.0, float(np.abs(right).max()))
    best = right >= right.max(axis=1, keepdims=True) - scale
    wrong = alive & (chosen & ~best).any(axis=1)
    if not wrong.any():
        return []
    state = int(np.flatnonzero(wrong)[0])
    action = int(np.flatnonzero(chosen[state] & ~best[state])[0])
    shown = (
        f"{int(wrong.sum()):,} of {int(alive.sum()):,} states; in state {state} it takes action {action}, worth "
        f"{right[state, action]:.6g}, and action {int(right[state].argmax())} is worth {right[state].max():.6g}"
    )
    deterministic = (chosen.sum(axis=1) == 1)[alive].all()
    if not deterministic:
        return []
    actions = chosen.argmax(axis=1)
    fits = []
    for one in _policies(model, right, discount):
        chance = _chance(actions, one.values, best, alive)
        if chance <= LIKELY:
            fits.append((chance, one))
    if not fits:
        return []
    smallest = min(chance for chance, _ in fits)
    # What explains far less of the policy is no rival.
    kept = [(chance, one) for chance, one in fits if chance <= math.sqrt(smallest)]
    names = list(dict.fromkeys(one.name for _, one in kept))
    findings = []
    for name in names:
        chance, match = min((pair for pair in kept if pair[1].name == name), key=lambda pair: pair[0])
        evidence = f"{_said(match, names, shown)}; a random policy agrees so well with probability {chance:.0e}"
        findings.append(_found(name, evidence, len(names) == 1 and chance <= CERTAIN))
    return findings


def _chance(actions: np.ndarray, values: np.ndarray, best: np.ndarray, alive: np.ndarray) -> float:
    """Probability that a random policy is greedy for values as this one is; 1 where this one is not.

    States whose best actions are those of the right solution tell nothing.
    """
    scale = 1e-9 * max(1.0, float(np.abs(values[np.isfinite(values)]).max(initial=0.0)))
    greedy = values >= values.max(axis=1, keepdims=True) - scale
    first = (values > values.max(axis=1, keepdims=True) - scale).argmax(axis=1)
    rows = np.flatnonzero(alive)
    if not greedy[rows, actions[rows]].all():
        return 1.0
    shares = greedy[rows].sum(axis=1) / values.shape[1]
    if (actions[rows] == first[rows]).all():
        shares = np.full(len(rows), 1.0 / values.shape[1])
    telling = ~(best[rows, actions[rows]])
    return float(np.prod(shares[telling])) if telling.any() else 1.0


def _policies(model: TransitionModel, right: np.ndarray, discount: float) -> Iterator[_Solution]:
    """Action values by which a mistaken policy is greedy."""
    yield from _solutions(model, right, discount)
    yield _Solution("worst action taken", -right)
    yield _Solution("first action everywhere", np.zeros_like(right))
    weighted = replace(model, rewards=np.zeros_like(model.rewards))
    yield _Solution("best next state without the reward", backed_up(weighted, right.max(axis=1), discount))
    if right.shape[1] <= MOST_ACTIONS:
        for order in itertools.permutations(range(right.shape[1])):
            if order != tuple(range(right.shape[1])):
                name = ACTIONS_PERMUTED[0]
                yield _Solution(name, right[:, order], f"its actions are those of {list(order)}")
    for by in (1, -1):
        yield _Solution(STATES_SHIFTED[0], np.roll(right, by, axis=0))
    side = math.isqrt(len(right))
    if side * side == len(right):
        swapped = np.arange(len(right)).reshape(side, side).T.reshape(-1)
        yield _Solution(MAP_TRANSPOSED[0], right[swapped])


def _solutions(model: TransitionModel, right: np.ndarray, discount: float) -> Iterator[_Solution]:
    """Exact action values of planners with one mistake each."""
    going = (~model.terminated).astype(np.float64)
    yield _Solution("immediate reward alone", backed_up(model, np.zeros(model.num_states), discount))
    for other in DISCOUNTS:
        values = _solved(model, other) if other != discount else None
        if values is not None:
            yield _Solution("other discount", values, f"γ = {other:g}")
    for name, changed in _changed_models(model, discount):
        values = _solved(changed, discount)
        if values is not None:
            yield _Solution(name, values)
    random = np.full((model.num_states, model.num_actions), 1.0 / model.num_actions)
    for name, sweep in (
        ("mean for maximum", sweep_of(model, model.rewards, discount * going, random)),
        ("minimum for maximum", _negated(sweep_of(model, -model.rewards, discount * going))),
    ):
        values = _settled(sweep, model.num_states)
        if values is not None:
            yield _Solution(name, backed_up(model, values, discount))
    yield _Solution("state values in every column", np.repeat(right.max(axis=1)[:, None], right.shape[1], axis=1))
    best = sweep_of(model, model.rewards, discount * going)
    values = np.zeros(model.num_states)
    for sweeps in range(1, SWEEPS + 1):
        yield _Solution("too few sweeps", backed_up(model, values, discount), f"as after sweep {sweeps}")
        values = best(values)
    if model.time_limit is not None:
        for by, name in ((-1, "horizon one step short"), (1, "horizon one step long")):
            values = repeat(best, np.zeros(model.num_states), max(model.time_limit + by - 1, 0))
            yield _Solution(name, backed_up(model, values, discount))


def _negated(sweep: Sweep) -> Sweep:
    return lambda values: -sweep(-values)


def _settled(sweep: Sweep, num_states: int) -> np.ndarray | None:
    values = np.zeros(num_states)
    for _ in range(5_000):
        before, values = values, sweep(values)
        if np.abs(values - before).max() <= CONVERGED:
            return values
    return None


def _changed_models(model: TransitionModel, discount: float) -> Iterator[tuple[str, TransitionModel]]:
    counts = np.diff(model.offsets)
    pairs = np.repeat(np.arange(len(counts)), counts)
    yield "bootstrap on termination", replace(model, terminated=np.zeros_like(model.terminated))
    yield "discount on the reward too", replace(model, rewards=model.rewards * discount)
    yield "sign of the reward", replace(model, rewards=-model.rewards)
    likeliest = np.full(len(counts), -1, dtype=np.int64)
    for outcome in np.argsort(model.probabilities, kind="stable"):
        likeliest[pairs[outcome]] = outcome
    yield "slipping ignored", replace(model, probabilities=_alone(model, likeliest))
    # In the lakes the outcome that is meant stands in the middle.
    if (counts == 3).any():
        middle = model.offsets[:-1] + (counts == 3)
        yield "slipping ignored", replace(model, probabilities=_alone(model, middle))
    yield "last outcome alone", replace(model, probabilities=_alone(model, model.offsets[1:] - 1))
    yield "reward left out of the probabilities", replace(model, rewards=_unweighted(model))


def _unweighted(model: TransitionModel) -> np.ndarray:
    return np.divide(
        model.rewards, model.probabilities, out=np.zeros_like(model.rewards), where=model.probabilities > 0
    )


def _alone(model: TransitionModel, outcomes: np.ndarray) -> np.ndarray:
    probabilities = np.zeros_like(model.probabilities)
    probabilities[outcomes] = 1.0
    return probabilities
