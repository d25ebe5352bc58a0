"""The learner of a linear agent: weights, eligibility traces and streams in an environment, a step at a time."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from velodrome.agents.deep.bandit_learner import NoVisitCounts
from velodrome.agents.deep.supervised_learner import DivergedError
from velodrome.agents.engine.buffered_stream import BufferedStream
from velodrome.agents.engine.seeding import Streams
from velodrome.agents.errors import no_such_action, policy_failure
from velodrome.agents.linear.binary_features import LinearTask
from velodrome.agents.resuming.saving import whole_number
from velodrome.agents.stepwise import StepwiseLearner
from velodrome.agents.tabular.schedule_table import ScheduleTable
from velodrome.policies.policy import Policy
from velodrome.policies.schedules import as_schedule

# A trace that has faded below this may be dropped, which bounds the cost of a step.
FADED = 1e-10
_FEWEST_TRACES = 1024
# So that no sum of weights comes to what is not finite.
_LARGEST_ERROR = 1e150
_NO_COUNTS: Any = NoVisitCounts()


class Traces:
    """Replacing eligibility traces of the weights that have one.

    Args:
        weights: float64 (num_features, num_actions), which are written to.
        fading: factor by which traces fade in a step, γλ.
    """

    def __init__(self, weights: np.ndarray, fading: float) -> None:
        self._weights, self._num_actions, self._fading = weights.reshape(-1), weights.shape[1], fading
        self._pairs = np.zeros(2 * _FEWEST_TRACES, dtype=np.int64)
        self._traces = np.zeros(2 * _FEWEST_TRACES)
        self._places: dict[int, int] = {}
        self._most = _FEWEST_TRACES

    def learn(self, features: np.ndarray, action: int, change: float) -> None:
        """Give the weights of the features and action the trace 1, add `change` * trace to all, and let them fade."""
        places = self._places
        if len(places) + len(features) > self._most:
            self._drop_faded(len(features))
        for pair in (features * self._num_actions + action).tolist():
            place = places.get(pair)
            if place is None:
                place = places[pair] = len(places)
                self._pairs[place] = pair
            self._traces[place] = 1.0
        number = len(places)
        traces = self._traces[:number]
        self._weights[self._pairs[:number]] += change * traces
        traces *= self._fading

    def forget(self) -> None:
        """Drop every trace."""
        self._places.clear()
        self._most = _FEWEST_TRACES

    def _drop_faded(self, more: int) -> None:
        """Drop traces that have faded, and make room for twice as many as are left."""
        number = len(self._places)
        is_kept = self._traces[:number] >= FADED
        pairs, traces = self._pairs[:number][is_kept], self._traces[:number][is_kept]
        self._places = {pair: place for place, pair in enumerate(pairs.tolist())}
        self._most = max(_FEWEST_TRACES, 2 * (len(pairs) + more))
        self._pairs, self._traces = np.zeros(self._most, dtype=np.int64), np.zeros(self._most)
        self._pairs[: len(pairs)], self._traces[: len(pairs)] = pairs, traces


class LinearLearner(StepwiseLearner):
    """Weights of binary features, learnt by semi-gradient Sarsa, with traces where they do not fade at once.

    Args:
        name: of the agent, for messages.
        task: features and actions.
        streams: random streams of the agent.
        policy: how to explore.
        learning_rate: step size or schedule, shared by the active features.
        discount: discount rate.
        initial_value: action value of every observation before learning.
        trace_decay: λ.

    Attributes:
        weights: float64 (num_features, num_actions).
        episode: finished so far, as schedules count them.
        step: environment steps so far.
    """

    def __init__(
        self,
        *,
        name: str,
        task: LinearTask,
        streams: Streams,
        policy: Policy,
        learning_rate: Any,
        discount: float,
        initial_value: float,
        trace_decay: float,
    ) -> None:
        self._name, self._streams = name, streams
        self._num_active, self._num_actions = task.features.num_active, task.num_actions
        self.weights = np.full((task.features.num_features, task.num_actions), initial_value / self._num_active)
        self._columns = list(self.weights.T)
        self._discount = discount
        self._traces = Traces(self.weights, discount * trace_decay) if trace_decay > 0.0 else None
        self._select, self._takes_list = policy.select, policy.indexes_only
        self.ties = str(getattr(policy, "ties", "random"))
        self._parameters = ScheduleTable(policy.name, policy.schedule, *policy.parameter_range)
        rate = as_schedule(name, "learning_rate", learning_rate, 0.0, 2.0)
        self._rates = ScheduleTable(f"{name}: learning_rate", rate, 0.0, 2.0)
        rng = streams.generator("agent")
        self._buffer = BufferedStream(rng) if policy.draws_uniforms_only else None
        self._rng: Any = rng if self._buffer is None else self._buffer
        self.episode, self.step = 0, 0
        self._features = np.zeros(0, dtype=np.int64)
        # The action taken there, and the one that is planned already, or -1.
        self._action, self._next_action = 0, -1
        self.enter(task, None)

    def enter(self, task: LinearTask, environment: Any, *, is_resumed: bool = False) -> None:
        self.task, self._active_in, self._start = task, task.features.active, task.action_start
        self.forget_episode()

    def forget_episode(self) -> None:
        self._next_action = -1
        if self._traces is not None:
            self._traces.forget()

    def begin(self, observation: Any) -> None:
        """Start an episode at `observation`."""
        self._features = self._active_in(observation)
        self._next_action = -1

    def choose(self) -> int:
        """Action for the present observation by the exploration policy."""
        action = self._next_action
        if action < 0:
            action = self.explore(self.values(self._features))
        self._action, self._next_action = action, -1
        return action + self._start

    def observe(self, observation: Any, reward: float, terminated: bool, truncated: bool) -> None:
        """Learn from what the chosen action led to.

        Raises:
            DivergedError: the error is larger than 1e150, or no number.
        """
        features, action = self._features, self._action
        self._features = next_features = self._active_in(observation)
        learning_rate = self._rates.value(self.step if self._rates.clock == "step" else self.episode)
        self.step += 1
        error = reward
        if not terminated:
            next_values = self.values(next_features)
            self._next_action = self.explore(next_values)
            error += self._discount * next_values[self._next_action]
        error -= self.values(features)[action]
        if not abs(error) <= _LARGEST_ERROR:
            raise DivergedError(
                f"{self._name}: an error of {error:.3g} after {self.step} steps, action values diverge: give a smaller "
                "learning_rate"
            )
        change = learning_rate / self._num_active * error
        if self._traces is not None:
            self._traces.learn(features, action, change)
        else:
            self._columns[action][features] += change
        if terminated or truncated:
            self.episode += 1
            self.forget_episode()

    def pause(self) -> None:
        """Leave the agent's generator where the next draw will continue."""
        if self._buffer is not None:
            self._buffer.release()

    def values(self, features: np.ndarray) -> list[float]:
        """Value of each action where these features are active."""
        values: list[float] = np.add.reduce(self.weights.take(features, 0)).tolist()
        return values

    def explore(self, values: Sequence[float]) -> int:
        """The policy's choice now among actions of these values.

        Raises:
            PolicyFailureError: the policy raised, or chose an action that does not exist.
        """
        parameter = self._parameters.value(self.episode if self._parameters.clock == "episode" else self.step)
        try:
            shown: Any = values if self._takes_list else np.array(values)
            action = self._select(shown, _NO_COUNTS, parameter, self._rng)
            exists = 0 <= action < self._num_actions
        except Exception as error:
            raise policy_failure(error) from error
        if not exists:
            raise no_such_action(action, self._num_actions)
        return int(action)

    def exploration(self) -> float:
        return self._parameters.known_value(self.episode if self._parameters.clock == "episode" else self.step)

    def action_values(self, observations: Any) -> np.ndarray:
        features = self.task.features.active_in_all(observations)
        # Added up in the order of `values`, to the bit.
        values: np.ndarray = self.weights[features[:, 0]]
        for place in range(1, features.shape[1]):
            values += self.weights[features[:, place]]
        return values

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        # The stream that acting draws from is kept, whether it has been drawn from or not.
        self._streams.generator("acting")
        return self.task.to_data() | {"episode": self.episode, "step": self.step}, {"weights": self.weights}

    def set_state(self, entries: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        found = arrays["weights"]
        if found.shape != self.weights.shape or found.dtype != self.weights.dtype or not np.isfinite(found).all():
            raise ValueError(f"array weights has shape {found.shape} and dtype {found.dtype}, or is not finite")
        self.weights[...] = found
        self.episode, self.step = whole_number(entries, "episode"), whole_number(entries, "step")
