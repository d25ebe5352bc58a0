"""One tabular agent in one environment, a step at a time, in plain Python."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from velodrome.agents.engine.buffered_stream import BufferedStream
from velodrome.agents.errors import PolicyFailureError, policy_failure
from velodrome.agents.tabular.action_masks import among_available
from velodrome.agents.tabular.greedy_table import state_of
from velodrome.agents.tabular.observation_index import ObservationIndex
from velodrome.agents.tabular.schedule_table import ScheduleTable


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


def python_view(memory: Any) -> Any:
    """The named tuple of a learner's arrays in the form in which plain Python reads them fastest."""
    return type(memory)(*[Rows(array) if array.ndim == 2 else memoryview(array) for array in memory])


class TabularStepper:
    """What the generic loop calls: `begin` an episode, `choose` an action, `observe` what it led to."""

    __slots__ = (
        "_buffer",
        "_cached_episode",
        "_counts",
        "_discount",
        "_episode_parameter",
        "_episode_rate",
        "_index",
        "_is_on_policy",
        "_is_plain",
        "_learn",
        "_masked_select",
        "_memory",
        "_needs_next_parameter",
        "_num_actions",
        "_num_states",
        "_parameters",
        "_policy_counts",
        "_policy_values",
        "_rates",
        "_rng",
        "_row_of",
        "_select",
        "_visits_of",
        "action",
        "episode",
        "mask",
        "masks",
        "next_action",
        "read_mask",
        "state",
        "step",
    )

    def __init__(
        self,
        *,
        memory: Any,
        select: Callable[..., int],
        learn: Callable[..., None],
        visits_of: Callable[..., int] | None,
        is_on_policy: bool,
        needs_next_parameter: bool,
        indexes_only: bool,
        draws_uniforms_only: bool,
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
        self._select, self._learn, self._visits_of = select, learn, visits_of
        self._masked_select = among_available(select)
        self._is_on_policy, self._needs_next_parameter = is_on_policy, is_on_policy or needs_next_parameter
        self._parameters, self._rates = parameters, rates
        self._discount = discount
        self._buffer = BufferedStream(rng) if draws_uniforms_only else None
        self._rng: Any = rng if self._buffer is None else self._buffer
        self._index, self._row_of, self._is_plain = index, index.index, index.is_plain
        self._cached_episode = -1
        # None where another clock than the episode's decides.
        self._episode_parameter: float | None = None
        self._episode_rate: float | None = None
        self.state, self.action, self.next_action, self.episode, self.step = 0, 0, -1, 0, 0
        # Masks by state, where they are a function of it; or else the mask of the present state, and what reads that
        # of the state in which the learner has just arrived. All None without masks.
        self.masks: Sequence[bytes] | None = None
        self.mask: Any = None
        self.read_mask: Callable[[int], bytes | None] | None = None

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
        if self.read_mask is not None:
            self.mask = self.read_mask(self.state)

    def mask_of(self, state: int) -> Any:
        """Mask of the present state, or of any state where masks are a function of it; None without masks."""
        return self.mask if self.masks is None else self.masks[state]

    def choose(self) -> int:
        """Action for the present state by the exploration policy."""
        action = self.next_action
        if action < 0:
            action = self.explore(self.state, self.mask_of(self.state))
        self.next_action = -1
        self.action = action
        return action

    def pause(self) -> None:
        """Leave the agent's generator where the next draw will continue."""
        if self._buffer is not None:
            self._buffer.release()

    # Methods called at every step look things up themselves where a call would cost as much as the look-up.
    def observe(self, observation: Any, reward: float, terminated: bool, truncated: bool) -> None:
        """Learn from what the chosen action led to."""
        if self._is_plain and type(observation) is int:
            next_state = observation
        else:
            try:
                next_state = self._row_of(observation)
            except (TypeError, ValueError, OverflowError):
                next_state = -1
        if not 0 <= next_state < self._num_states:
            next_state = self.state_of(observation)
        state, action = self.state, self.action
        next_mask = None
        if self.masks is not None:
            self.mask, next_mask = self.masks[state], self.masks[next_state]
        elif self.read_mask is not None and not terminated:
            next_mask = self.read_mask(next_state)
        counts = self._counts[state]
        counts[action] += 1
        visits = counts[action] if self._visits_of is None else self._visits_of(self._memory, state, action, self._rng)
        if self.episode != self._cached_episode:
            self._look_up_episode()
        learning_rate = self._episode_rate
        if learning_rate is None:
            index = self.step if self._rates.clock == "step" else visits - 1
            learning_rate = self._rates.value(index)
        self.step += 1
        next_action, parameter = 0, 0.0
        if self._needs_next_parameter and not terminated:
            parameter = self._parameter(next_state)
            if self._is_on_policy:
                self.next_action = next_action = self.explore(next_state, next_mask)
        ended = terminated or truncated
        self._learn(
            self._memory, state, action, reward, next_state, terminated, ended,
            next_action, parameter, learning_rate, self._discount, self._rng, self.mask, next_mask,
        )  # fmt: skip
        self.state, self.mask = next_state, next_mask
        if ended:
            self.episode += 1
            self.next_action = -1

    def explore(self, state: int, mask: Any = None) -> int:
        """The policy's choice in `state` now, among the actions that `mask` allows.

        Raises:
            PolicyFailureError: the policy raised, or chose an action that does not exist.
        """
        if self.episode != self._cached_episode:
            self._look_up_episode()
        parameter = self._episode_parameter
        if parameter is None:
            parameter = self._parameter(state)
        try:
            values, counts = self._policy_values[state], self._policy_counts[state]
            if mask is None:
                action = self._select(values, counts, parameter, self._rng)
            else:
                action = self._masked_select(values, counts, parameter, self._rng, mask)
            exists = 0 <= action < self._num_actions
        except Exception as error:
            raise policy_failure(error) from error
        if not exists:
            raise PolicyFailureError(
                f"the policy chose action {action!r}, but there are actions 0 to {self._num_actions - 1}"
            )
        return int(action)

    def _parameter(self, state: int) -> float:
        """The policy's parameter for choosing in `state` now."""
        if self._parameters.clock == "episode":
            return self._parameters.value(self.episode)
        return self._parameters.value(self.step if self._parameters.clock == "step" else sum(self._counts[state]))

    def _look_up_episode(self) -> None:
        if self._parameters.clock == "episode":
            self._episode_parameter = self._parameters.value(self.episode)
        if self._rates.clock == "episode":
            self._episode_rate = self._rates.value(self.episode)
        self._cached_episode = self.episode
