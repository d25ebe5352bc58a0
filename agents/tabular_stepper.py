"""One tabular agent in one environment, a step at a time, in plain Python."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from velodrome.agents.errors import PolicyFailureError
from velodrome.agents.greedy_table import state_of
from velodrome.agents.observation_index import ObservationIndex
from velodrome.agents.schedule_table import ScheduleTable


class Rows(dict[int, Any]):
    """Rows of a two-dimensional array as buffers over the same memory, made when first asked for.

    Reading and writing numbers through a buffer takes half the time of NumPy's own indexing.
    """

    def __init__(self, array: np.ndarray) -> None:
        super().__init__()
        self.array = array

    def __missing__(self, row: int) -> Any:
        self[row] = view = memoryview(self.array[row])
        return view


def python_view(memory: NamedTuple) -> Any:
    """The arrays of a learner's memory in the form in which plain Python reads them fastest."""
    return type(memory)(*[Rows(array) if array.ndim == 2 else memoryview(array) for array in memory])


class TabularStepper:
    """What the generic loop calls: `begin` an episode, `choose` an action, `observe` what it led to."""

    __slots__ = (
        "_counts", "_discount", "_index", "_is_on_policy", "_learn", "_memory", "_needs_next_parameter", "_num_actions", "_num_states",
        "_parameters", "_policy_counts", "_policy_values", "_rates", "_rng", "_select",
        "action", "episode", "next_action", "state", "step",
    )  # fmt: skip

    def __init__(
        self,
        *,
        memory: Any,
        select: Callable[..., int],
        learn: Callable[..., None],
        is_on_policy: bool,
        needs_next_parameter: bool,
        indexes_only: bool,
        parameters: ScheduleTable,
        rates: ScheduleTable,
        discount: float,
        rng: np.random.Generator,
        index: ObservationIndex,
    ) -> None:
        self._memory = view = python_view(memory)
        self._counts = view.visit_counts
        self._policy_values = view.action_values if indexes_only else memory.action_values
        self._policy_counts = view.visit_counts if indexes_only else memory.visit_counts
        self._num_states, self._num_actions = memory.action_values.shape
        self._select, self._learn = select, learn
        self._is_on_policy, self._needs_next_parameter = is_on_policy, is_on_policy or needs_next_parameter
        self._parameters, self._rates = parameters, rates
        self._discount, self._rng, self._index = discount, rng, index
        self.state, self.action, self.next_action, self.episode, self.step = 0, 0, -1, 0, 0

    def state_of(self, observation: Any) -> int:
        """Row of an observation.

        Raises:
            EnvironmentFailureError: the observation is outside its space.
        """
        return state_of(self._index, self._num_states, observation)

    def begin(self, observation: Any) -> None:
        """Start an episode at `observation`."""
        self.state = self.state_of(observation)
        self.next_action = -1

    def choose(self) -> int:
        """Action for the present state by the exploration policy."""
        state = self.state
        action = self.next_action
        if action < 0:
            action = self._explore(state)
        self.next_action = -1
        self.action = action
        return action

    def observe(self, observation: Any, reward: float, terminated: bool, truncated: bool) -> None:
        """Learn from what the chosen action led to."""
        next_state = self.state_of(observation)
        self._counts[self.state][self.action] += 1
        rates = self._rates
        clock = rates.clock
        if clock == "episode":
            learning_rate = rates.value(self.episode)
        elif clock == "step":
            learning_rate = rates.value(self.step)
        else:
            learning_rate = rates.value(self._counts[self.state][self.action] - 1)
        self.step += 1
        next_action, parameter = 0, 0.0
        if self._needs_next_parameter and not terminated:
            parameter = self.parameter(next_state)
            if self._is_on_policy:
                self.next_action = next_action = self._explore(next_state)
        self._learn(
            self._memory, self.state, self.action, reward, next_state, terminated, terminated or truncated,
            next_action, parameter, learning_rate, self._discount, self._rng,
        )  # fmt: skip
        self.state = next_state
        if terminated or truncated:
            self.episode += 1
            self.next_action = -1

    def parameter(self, state: int) -> float:
        """The policy's parameter for choosing in `state` now."""
        parameters = self._parameters
        clock = parameters.clock
        if clock == "episode":
            return parameters.value(self.episode)
        if clock == "step":
            return parameters.value(self.step)
        return parameters.value(sum(self._counts[state]))

    def _explore(self, state: int) -> int:
        action = self._select(self._policy_values[state], self._policy_counts[state], self.parameter(state), self._rng)
        if not 0 <= action < self._num_actions:
            raise PolicyFailureError(
                f"the policy chose action {action!r}, but there are actions 0 to {self._num_actions - 1}"
            )
        return int(action)
