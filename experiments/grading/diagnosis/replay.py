"""Learning again from a record of transitions, step by step, as a rule or a mistaken rule says."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from velodrome.agents.engine.compile_clock import compiling_if_first
from velodrome.agents.engine.numba_cache import compiled

# What the value of the next state is made of.
MAX, MIN, MEAN, SUM, NEXT_ACTION, SAME_ACTION, EXPECTED, TABLE_MAX, BEST_INDEX, FIRST_VALUE = range(10)
# How the table keeps its numbers.
DOUBLE, SINGLE, WHOLE = range(3)
# Largest difference between equal tables, as a share of their largest value.
TOLERANCE = 1e-9
SINGLE_TOLERANCE = 1e-5


@dataclass(frozen=True, eq=False)
class Replay:
    """All that decides a table: of every step, Q(s,a) <- kept Q(s,a) + rate (reward + discount value(s')).

    Attributes:
        states: whose action value is updated, int64 (steps,).
        actions: likewise.
        rewards: float64 (steps,).
        next_states: that the target bootstraps from, int64 (steps,).
        next_actions: taken there, -1 where none was, int64 (steps,).
        discounts: factor of the next state's value, 0 where there is no bootstrap, float64 (steps,).
        rates: factor of the target, float64 (steps,).
        kept: factor of the old value, float64 (steps,).
        exploration: share of a uniformly random action in expected Sarsa, float64 (steps,).
        skipped: steps from which nothing is learnt, bool (steps,).
        chosen_in: state in which each action was chosen, int64 (steps,).
        starts: whether an episode begins with the step, bool (steps,).
        initial: table before the first step, float64 (S, A).
        value: what a next state's value is, one of the constants of this module.
        storage: how the table keeps its numbers, likewise.
    """

    states: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    next_states: np.ndarray
    next_actions: np.ndarray
    discounts: np.ndarray
    rates: np.ndarray
    kept: np.ndarray
    exploration: np.ndarray
    skipped: np.ndarray
    chosen_in: np.ndarray
    starts: np.ndarray
    initial: np.ndarray
    value: int = MAX
    storage: int = DOUBLE

    def table(self, unseen: int = MAX) -> np.ndarray:
        """Action values after the last step, float64 (S, A).

        Args:
            unseen: value of a next state whose next action is needed and not known, `MIN` or `MAX`.
        """
        table, _ = self._run(unseen, traced=False)
        return table

    def trace(self) -> "Trace":
        """What was written at every step, and the values by which every action may have been chosen."""
        _, trace = self._run(MAX, traced=True)
        return trace

    @property
    def known_steps(self) -> int:
        """Number of steps before the first whose next action is needed and not known."""
        if self.value != NEXT_ACTION:
            return len(self.states)
        unknown = np.flatnonzero((self.next_actions < 0) & (self.discounts != 0.0))
        return int(unknown[0]) if len(unknown) else len(self.states)

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Smallest and largest tables (S, A), which differ where a next action is needed and not known."""
        high = self.table(MAX)
        if self.known_steps == len(self.states):
            return high, high
        low = self.table(MIN)
        return np.fmin(low, high), np.fmax(low, high)

    def agrees(self, submitted: np.ndarray, rows: np.ndarray | None = None) -> bool:
        """Whether a table is that of this rule, but for rounding; of all its rows, or of some, bool (S,)."""
        low, high = self.bounds()
        if submitted.shape != low.shape:
            return False
        if rows is not None:
            low, high, submitted = low[rows], high[rows], submitted[rows]
        if self.storage == SINGLE and not np.array_equal(submitted, submitted.astype(np.float32), equal_nan=True):
            return False
        tolerance = SINGLE_TOLERANCE if self.storage == SINGLE else TOLERANCE
        return within(submitted, low, high, tolerance)

    def in_single_precision(self) -> "Replay":
        """The same in a table of float32, which is as right."""
        return replace(self, storage=SINGLE)

    def _run(self, unseen: int, *, traced: bool) -> "tuple[np.ndarray, Trace]":
        table = np.array(self.initial, dtype=np.float64)
        steps, actions = (len(self.states) if traced else 0), table.shape[1]
        rows = [np.empty((steps, actions)) for _ in range(3)]
        trace = Trace(
            np.empty(steps), np.empty(steps), rows[0], rows[1], rows[2], np.zeros((steps, actions), dtype=np.bool_)
        )
        with compiling_if_first(_replay):
            _replay(
                self.states, self.actions, self.rewards, self.next_states, self.next_actions, self.discounts,
                self.rates, self.kept, self.exploration, self.skipped, self.chosen_in, self.starts, self.value,
                self.storage, unseen, table, traced, *trace,
            )  # fmt: skip
        return table, trace


class Trace(NamedTuple):
    """What a replay did, step by step.

    Attributes:
        before: value of the updated pair before the step, float64 (steps,).
        written: its value after the step, float64 (steps,).
        rows: action values of the state in which the action was chosen, just before the step, float64 (steps, A).
        late_rows: likewise, before the update of the step before.
        first_rows: likewise, at the beginning of the episode.
        left: which of them had ever left their first value just before the step, bool (steps, A).
    """

    before: np.ndarray
    written: np.ndarray
    rows: np.ndarray
    late_rows: np.ndarray
    first_rows: np.ndarray
    left: np.ndarray


def within(table: np.ndarray, low: np.ndarray, high: np.ndarray, tolerance: float = TOLERANCE) -> bool:
    """Whether every value lies between two others, but for rounding; NaN and infinite values must be equal."""
    finite = np.isfinite(low) & np.isfinite(high)
    if not np.array_equal(table[~finite], high[~finite], equal_nan=True) or not np.isfinite(table[finite]).all():
        return False
    allowed = tolerance * max(1.0, float(np.abs(high[finite]).max(initial=0.0)))
    return bool(np.all(table[finite] >= low[finite] - allowed) and np.all(table[finite] <= high[finite] + allowed))


@compiled
def _replay(
    states: Any, actions: Any, rewards: Any, next_states: Any, next_actions: Any, discounts: Any, rates: Any, kept: Any,
    exploration: Any, skipped: Any, chosen_in: Any, starts: Any, value: int, storage: int, unseen: int, table: Any,
    traced: bool, before: Any, written: Any, rows: Any, late_rows: Any, first_rows: Any, left: Any,
) -> None:  # fmt: skip
    num_states, num_actions = table.shape
    at_start = table.copy()
    has_left = np.zeros((num_states if traced else 1, num_actions), dtype=np.bool_)
    last_state, last_action, last_value = -1, 0, 0.0
    for step in range(len(states)):
        state, action = states[step], actions[step]
        if traced:
            if starts[step]:
                at_start[:] = table
                last_state = -1
            here = chosen_in[step]
            for other in range(num_actions):
                rows[step, other] = table[here, other]
                late_rows[step, other] = table[here, other]
                first_rows[step, other] = at_start[here, other]
                left[step, other] = has_left[here, other]
            if last_state == here:
                late_rows[step, last_action] = last_value
            before[step] = table[state, action]
        last_state, last_action, last_value = state, action, table[state, action]
        if not skipped[step]:
            target = rewards[step]
            if discounts[step] != 0.0:
                ahead = next_states[step]
                how = value
                if how == 4 and next_actions[step] < 0:
                    how = unseen
                best, worst, total, index = table[ahead, 0], table[ahead, 0], 0.0, 0
                for other in range(num_actions):
                    one = table[ahead, other]
                    total += one
                    if one > best:
                        best = one
                        index = other
                    worst = min(worst, one)
                if how == 0:
                    future = best
                elif how == 1:
                    future = worst
                elif how == 2:
                    future = total / num_actions
                elif how == 3:
                    future = total
                elif how == 4:
                    future = table[ahead, next_actions[step]]
                elif how == 5:
                    future = table[ahead, action]
                elif how == 6:
                    future = (1.0 - exploration[step]) * best + exploration[step] * total / num_actions
                elif how == 7:
                    future = table.max()
                elif how == 8:
                    future = float(index)
                else:
                    future = table[ahead, 0]
                target += discounts[step] * future
            new = kept[step] * table[state, action] + rates[step] * target
            if storage == 1:
                new = float(np.float32(new))
            elif storage == 2:
                new = np.trunc(new)
            if traced and new != table[state, action]:
                has_left[state, action] = True
            table[state, action] = new
        if traced:
            written[step] = table[state, action]
