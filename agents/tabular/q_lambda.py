"""Watkins's Q(λ): Q-learning whose errors reach back along the episode by eligibility traces."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np

from velodrome.agents.tabular.action_masks import best_available
from velodrome.agents.tabular.tabular_agent import TabularAgent
from velodrome.checks import check_choice, check_number

# A trace that has faded below this is dropped, which bounds the cost of a step.
FADED = 1e-10


class QLambdaMemory(NamedTuple):
    """Action values and visit counts (S, A), and the list of pairs that have a trace.

    `places` int64 (S, A) holds each pair's place in the list plus 1, or 0; `num_traces` int64 (1,).
    """

    action_values: np.ndarray
    visit_counts: np.ndarray
    places: np.ndarray
    trace_states: np.ndarray
    trace_actions: np.ndarray
    traces: np.ndarray
    num_traces: np.ndarray


def forget_traces(memory: Any) -> None:
    """Drop every trace."""
    for place in range(memory.num_traces[0]):
        memory.places[memory.trace_states[place]][memory.trace_actions[place]] = 0
    memory.num_traces[0] = 0


def mark_visit(memory: Any, state: int, action: int, kept: float) -> None:
    """Give a pair the trace `kept` * old trace + 1."""
    place = memory.places[state][action] - 1
    if place >= 0:
        memory.traces[place] = kept * memory.traces[place] + 1.0
    else:
        place = memory.num_traces[0]
        memory.trace_states[place] = state
        memory.trace_actions[place] = action
        memory.traces[place] = 1.0
        memory.places[state][action] = place + 1
        memory.num_traces[0] = place + 1


def spread_error(memory: Any, change: float, fading: float) -> None:
    """Add `change` * trace to every traced pair, fade the traces, and drop those that have vanished."""
    place = 0
    while place < memory.num_traces[0]:
        row = memory.action_values[memory.trace_states[place]]
        row[memory.trace_actions[place]] += change * memory.traces[place]
        faded = fading * memory.traces[place]
        if faded >= FADED:
            memory.traces[place] = faded
            place += 1
        else:
            memory.places[memory.trace_states[place]][memory.trace_actions[place]] = 0
            last = memory.num_traces[0] - 1
            memory.num_traces[0] = last
            if place != last:
                memory.trace_states[place] = memory.trace_states[last]
                memory.trace_actions[place] = memory.trace_actions[last]
                memory.traces[place] = memory.traces[last]
                memory.places[memory.trace_states[place]][memory.trace_actions[place]] = place + 1


@lru_cache(maxsize=256)
def make_learn_q_lambda(trace_decay: float, kept: float) -> Callable[..., None]:
    """Update of Q(λ) with λ = `trace_decay`; `kept` is 1 for accumulating and 0 for replacing traces."""

    def learn_q_lambda(
        memory: Any, state: int, action: int, reward: float, next_state: int, terminated: bool, ended: bool,
        learning_rate: float, discount: float, mask: Any, next_mask: Any,
    ) -> None:  # fmt: skip
        row = memory.action_values[state]
        if row[action] < best_available(row, mask):
            forget_traces(memory)
        mark_visit(memory, state, action, kept)
        target = reward
        if not terminated:
            target += discount * best_available(memory.action_values[next_state], next_mask)
        spread_error(memory, learning_rate * (target - row[action]), discount * trace_decay)
        if ended:
            forget_traces(memory)

    return learn_q_lambda


class QLambda(TabularAgent):
    """Watkins's Q(λ): traces fade by γλ and are cut by an exploratory action; λ = 0 is Q-learning.

    An action counts as exploratory if its value is below the state's best when it is taken; `traces` are
    "accumulating" (Watkins) or "replacing" (Singh & Sutton 1996). A trace below 1e-10 is dropped. Every traced pair
    learns with the learning rate of the step that made the error, on the "visits" clock that of the pair just visited.

    Attributes:
        trace_decay: λ in [0, 1].
        traces: "accumulating" traces add 1 at each visit, "replacing" ones are set to 1.

    Raises:
        ConfigurationError: `trace_decay` leaves [0, 1], or `traces` is neither of the two.

    Source: Watkins (1989); Sutton & Barto (1998), figure 7.14.
    """

    trace_decay: float = 0.9
    traces: Literal["accumulating", "replacing"] = "replacing"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(f"{self.name}: trace_decay", self.trace_decay, 0.0, 1.0)
        check_choice(f"{self.name}: traces", self.traces, ("accumulating", "replacing"))

    def new_memory(self, num_states: int, num_actions: int) -> QLambdaMemory:
        num_pairs = num_states * num_actions
        return QLambdaMemory(
            np.full((num_states, num_actions), self.initial_value, dtype=np.float64),
            np.zeros((num_states, num_actions), dtype=np.int64),
            np.zeros((num_states, num_actions), dtype=np.int64),
            np.zeros(num_pairs, dtype=np.int64),
            np.zeros(num_pairs, dtype=np.int64),
            np.zeros(num_pairs, dtype=np.float64),
            np.zeros(1, dtype=np.int64),
        )

    @property
    def update(self) -> Callable[..., None]:
        return make_learn_q_lambda(float(self.trace_decay), 1.0 if self.traces == "accumulating" else 0.0)

    def forget_episode(self, memory: Any) -> None:
        forget_traces(memory)
