"""The learner of a tabular agent: its table, streams and schedules in an environment, a step at a time."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from velodrome.agents.engine.buffered_stream import BufferedStream
from velodrome.agents.engine.seeding import Streams
from velodrome.agents.errors import UnsupportedEnvironmentError, no_such_action, policy_failure
from velodrome.agents.resuming.saving import whole_number
from velodrome.agents.stepwise import StepwiseLearner
from velodrome.agents.tabular.action_masks import among_available
from velodrome.agents.tabular.greedy_table import GreedyTable, state_of
from velodrome.agents.tabular.known_masks import ActionMasks
from velodrome.agents.tabular.named_arguments import UPDATE, VISIT, by_name
from velodrome.agents.tabular.observation_index import ObservationIndex
from velodrome.agents.tabular.schedule_table import ScheduleTable
from velodrome.policies.policy import Policy
from velodrome.policies.schedules import as_schedule

# Entry of the manifest of agents whose tables hold no masks, and name of the array of masks by state.
MASKS = "action_masks"


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

    def __len__(self) -> int:
        return len(self.array)


def python_view(memory: Any) -> Any:
    """The named tuple of a learner's arrays in the form in which plain Python reads them fastest."""
    return type(memory)(*[Rows(array) if array.ndim == 2 else memoryview(array) for array in memory])


@dataclass(frozen=True)
class TabularTask:
    """Rows and columns of a table: how observations are numbered, and the actions.

    Attributes:
        index: numbers the observations.
        num_actions: number of actions.
        action_start: the smallest.
    """

    index: ObservationIndex
    num_actions: int
    action_start: int

    def __str__(self) -> str:
        return f"{self.index.num_states} states and {self.num_actions} actions"

    def fits(self, other: "TabularTask") -> bool:
        """Whether the same table serves both."""
        return (self.index.parts, self.num_actions) == (other.index.parts, other.num_actions)

    @classmethod
    def from_data(cls, entries: dict[str, Any]) -> "TabularTask":
        """Task from the entries of a saved agent."""
        actions = entries["actions"]
        return cls(
            ObservationIndex.from_data(entries["observations"]),
            whole_number(actions, "number", 1),
            int(actions["start"]),
        )

    def to_data(self) -> dict[str, Any]:
        """JSON-ready entries."""
        actions = {"number": self.num_actions, "start": self.action_start}
        return {"observations": dataclasses.asdict(self.index), "actions": actions}


class TabularLearner(StepwiseLearner):
    """A table of action values and what learns it: `begin` an episode, `choose` an action, `observe` what it led to.

    Args:
        name: of the agent, for messages.
        task: rows and columns.
        memory: named tuple of the arrays that are learnt.
        streams: random streams of the agent.
        policy: how to explore.
        learn: update of one transition, a plain function of what `UPDATE` and the memory have.
        visits_of: counts for the learning rate's "visits" clock, a plain function of what `VISIT` and the memory have.
        forget: drops from the memory what belongs to an unfinished episode.
        learning_rate: step size or schedule.
        discount: discount rate.
        has_masks: whether action masks are honoured.
        is_on_policy: whether an update needs the next action.
        needs_next_parameter: whether it needs the policy's parameter in the next state.
        shown_counts: array of the memory that the policy is shown in place of the visit counts.
        reward_range: smallest and largest reward that are assumed.
        expression: of the agent, for messages.
        rewards_advice: end of the line that refuses rewards.

    Attributes:
        memory: as given.
        present_state, action: where the learner stands, and its last action there, from 0.
        next_action: planned already, or -1.
        episode, step: finished so far, as schedules count them.
    """

    def __init__(
        self,
        *,
        name: str,
        task: TabularTask,
        memory: Any,
        streams: Streams,
        policy: Policy,
        learn: Callable[..., None],
        visits_of: Callable[..., int] | None,
        forget: Callable[[Any], None],
        learning_rate: Any,
        discount: float,
        has_masks: bool,
        is_on_policy: bool,
        needs_next_parameter: bool,
        shown_counts: str,
        reward_range: tuple[float, float],
        expression: str,
        rewards_advice: str,
    ) -> None:
        self.memory, self.streams = memory, streams
        self._expression, self._rewards_advice = expression, rewards_advice
        self.rng = streams.generator("agent")
        self.select = policy.select
        self.learn = by_name(learn, UPDATE, memory._fields)
        self.visits_of = None if visits_of is None else by_name(visits_of, VISIT, memory._fields)
        self.discount, self.is_on_policy, self.needs_next_parameter = discount, is_on_policy, needs_next_parameter
        self.parameters = ScheduleTable(policy.name, policy.schedule, *policy.parameter_range)
        rate = as_schedule(name, "learning_rate", learning_rate, 0.0, 1.0)
        self.rates = ScheduleTable(f"{name}: learning_rate", rate, 0.0, 1.0)
        self.action_masks = ActionMasks(task.num_actions)
        self.ties = str(getattr(policy, "ties", "random"))
        self.has_masks = has_masks
        self._forget = forget
        self._view = view = python_view(memory)
        self._counts = view.visit_counts
        self._policy_values = view.action_values if policy.indexes_only else memory.action_values
        self.shown_counts = shown_counts
        self._policy_counts = getattr(view if policy.indexes_only else memory, shown_counts)
        self._lowest_reward, self._highest_reward = reward_range
        self._checks_rewards = reward_range != (-np.inf, np.inf)
        self._num_states, self._num_actions = memory.action_values.shape
        self.masked_select = among_available(policy.select)
        self._needs_parameter = is_on_policy or needs_next_parameter
        self._buffer = BufferedStream(self.rng) if policy.draws_uniforms_only else None
        self._rng: Any = self.rng if self._buffer is None else self._buffer
        self._cached_episode = -1
        # None where another clock than the episode's decides.
        self._episode_parameter: float | None = None
        self._episode_rate: float | None = None
        self.present_state, self.action, self.next_action, self.episode, self.step = 0, 0, -1, 0, 0
        # Masks by state, where they are a function of it; or else the mask of the present state, and what reads that
        # of the state in which the learner has just arrived. All None without masks.
        self.masks: Any = None
        self.mask: Any = None
        self.read_mask: Callable[[int], bytes | None] | None = None
        self._take(task)

    def _take(self, task: TabularTask) -> None:
        self.task = task
        self._index, self._row_of, self._is_plain = task.index, task.index.index, task.index.is_plain
        self._start = task.action_start

    def enter(self, task: TabularTask, environment: Any, *, is_resumed: bool = False) -> None:
        self._take(task)
        self.forget_episode()
        if self.has_masks:
            masks = self.action_masks
            masks.enter(environment)
            self.masks = masks.rows
            self.read_mask, self.watch_info = (masks.read, masks.watch) if masks.rows is None else (None, None)

    def forget_episode(self) -> None:
        self.next_action = -1
        self._forget(self.memory)

    @property
    def greedy_values(self) -> np.ndarray:
        """Action values float64 (S, A) by which one acts greedily, the live array; the policy may explore by others."""
        values: np.ndarray = getattr(self.memory, "greedy_values", self.memory.action_values)
        return values

    @property
    def greedy(self) -> GreedyTable:
        """The table as one acts on it, ties broken by a stream that training does not share."""
        return GreedyTable(self.greedy_values, self._index, self._start, self.ties, self.streams.generator("acting"))

    def state_of(self, observation: Any) -> int:
        """Row of an observation.

        Raises:
            EnvironmentFailureError: the observation is outside its space.
        """
        return state_of(self._index, self._num_states, observation)

    def begin(self, observation: Any) -> None:
        """Start an episode at `observation`."""
        try:
            state = self._row_of(observation)
        except (TypeError, ValueError, OverflowError):
            state = -1
        self.present_state = state if 0 <= state < self._num_states else self.state_of(observation)
        self.next_action = -1
        if self.read_mask is not None:
            self.mask = self.read_mask(self.present_state)

    def choose(self) -> int:
        """Action for the present state by the exploration policy."""
        action = self.next_action
        if action < 0:
            state = self.present_state
            action = self.explore(state, self.mask if self.masks is None else self.masks[state])
        self.next_action = -1
        self.action = action
        return action + self._start

    def pause(self) -> None:
        """Leave the agent's generator where the next draw will continue."""
        if self._buffer is not None:
            self._buffer.release()

    # Methods called at every step look things up themselves where a call would cost as much as the look-up.
    def observe(self, observation: Any, reward: float, terminated: bool, truncated: bool) -> None:
        """Learn from what the chosen action led to.

        Raises:
            UnsupportedEnvironmentError: the reward is outside of what the agent or its policy assumes.
        """
        if self._checks_rewards and not self._lowest_reward <= reward <= self._highest_reward:
            allowed = f"[{self._lowest_reward:g}, {self._highest_reward:g}]"
            raise UnsupportedEnvironmentError(
                f"{self._expression} assumes rewards in {allowed}, got {reward:g}{self._rewards_advice}"
            )
        if self._is_plain and type(observation) is int:
            next_state = observation
        else:
            try:
                next_state = self._row_of(observation)
            except (TypeError, ValueError, OverflowError):
                next_state = -1
        if not 0 <= next_state < self._num_states:
            next_state = self.state_of(observation)
        state, action = self.present_state, self.action
        next_mask = None
        if self.masks is not None:
            self.mask, next_mask = self.masks[state], self.masks[next_state]
        elif self.read_mask is not None and not terminated:
            next_mask = self.read_mask(next_state)
        counts = self._counts[state]
        counts[action] += 1
        visits = counts[action] if self.visits_of is None else self.visits_of(self._view, state, action, self._rng)
        if self.episode != self._cached_episode:
            self._look_up_episode()
        learning_rate = self._episode_rate
        if learning_rate is None:
            index = self.step if self.rates.clock == "step" else visits - 1
            learning_rate = self.rates.value(index)
        self.step += 1
        next_action, parameter = 0, 0.0
        if self._needs_parameter and not terminated:
            parameter = self._parameter(next_state)
            if self.is_on_policy:
                self.next_action = next_action = self.explore(next_state, next_mask)
        ended = terminated or truncated
        self.learn(
            self._view, state, action, reward, next_state, terminated, ended,
            next_action, parameter, learning_rate, self.discount, self._rng, self.mask, next_mask,
        )  # fmt: skip
        self.present_state, self.mask = next_state, next_mask
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
                action = self.select(values, counts, parameter, self._rng)
            else:
                action = self.masked_select(values, counts, parameter, self._rng, mask)
            exists = 0 <= action < self._num_actions
        except Exception as error:
            raise policy_failure(error) from error
        if not exists:
            raise no_such_action(action, self._num_actions)
        return int(action)

    def _parameter(self, state: int) -> float:
        """The policy's parameter for choosing in `state` now."""
        if self.parameters.clock == "episode":
            return self.parameters.value(self.episode)
        return self.parameters.value(self.step if self.parameters.clock == "step" else sum(self._counts[state]))

    def _look_up_episode(self) -> None:
        if self.parameters.clock == "episode":
            self._episode_parameter = self.parameters.value(self.episode)
        if self.rates.clock == "episode":
            self._episode_rate = self.rates.value(self.episode)
        self._cached_episode = self.episode

    def explore_from(self, state: int, mask: Any = None) -> int:
        """Action (from the action space's start) for any `state` by the policy, as `choose` would choose it there."""
        # An action that is planned for another state belongs to an episode that is only paused.
        planned = self.next_action if state == self.present_state else -1
        try:
            if planned >= 0 and (mask is None or mask[planned]):
                return self.choose()
            action = self.explore(state, mask)
            if state == self.present_state:
                self.action, self.next_action = action, -1
            return action + self._start
        finally:
            self.pause()

    @contextlib.contextmanager
    def given_masks(self, given: Any, given_next: Any) -> Iterator[None]:
        """Take the masks of one transition from outside; what training knows comes back afterwards."""
        read_mask = self.read_mask
        if self.has_masks and self.masks is None:
            self.mask = self.action_masks.mask_for(self.present_state, given)
            self.read_mask = lambda state: self.action_masks.mask_for(state, given_next)
        try:
            yield
        finally:
            self.read_mask = read_mask
            self.pause()

    def action_values(self, observations: Any) -> np.ndarray:
        values: np.ndarray = self.greedy_values[self._index.index_batch(observations)]
        return values

    def visits(self, observations: Any) -> np.ndarray:
        counts: np.ndarray = self.memory.visit_counts[self._index.index_batch(observations)].sum(axis=1)
        return counts

    def exploration(self) -> float:
        if self.parameters.clock != "visits":
            return self.parameters.known_value(self.episode if self.parameters.clock == "episode" else self.step)
        counts = self.memory.visit_counts.sum(axis=1)
        return float(np.mean([self.parameters.known_value(int(visits)) for visits in counts]))

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        # The stream that acting draws from is kept, whether it has been drawn from or not.
        self.streams.generator("acting")
        entries = self.task.to_data() | {"episode": self.episode, "step": self.step, MASKS: True}
        by_state = self.action_masks.by_state
        return entries, self.memory._asdict() | ({} if by_state is None else {MASKS: by_state})

    def set_state(self, entries: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        for name, array in self.memory._asdict().items():
            if arrays[name].shape != array.shape or arrays[name].dtype != array.dtype:
                raise ValueError(f"array {name} has shape {arrays[name].shape} and dtype {arrays[name].dtype}")
            if np.isnan(arrays[name]).any() or ("counts" in name and (arrays[name] < 0).any()):
                raise ValueError(f"array {name} holds NaN, or counts below 0")
            array[...] = arrays[name]
        for stream in ("agent_stream", "acting_stream"):
            if stream not in entries:
                raise KeyError(stream)
        self.action_masks.by_state = arrays.get(MASKS)
        self.episode, self.step = whole_number(entries, "episode"), whole_number(entries, "step")
        self._forget(self.memory)
