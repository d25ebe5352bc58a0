"""The learner of an agent of the user's own: it calls the agent's `begin`, `act` and `learn`."""

import contextlib
import copy
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from velodrome.agents.engine.actions import read_action
from velodrome.agents.engine.seeding import Streams
from velodrome.agents.errors import AgentFailureError
from velodrome.agents.resuming.own_state import UnknownStateError, state_from_data, state_to_data
from velodrome.agents.stepwise import Spaces, StepwiseLearner
from velodrome.checks import VelodromeError, one_line

_PRIVATE = ("_bound",)


class OwnLearner(StepwiseLearner):
    """Learns with an agent's own methods, and keeps its own attributes.

    Args:
        agent: with methods `begin`, `act` and `learn`.
        task: spaces of the environment.
        streams: random streams of the agent.
    """

    def __init__(self, agent: Any, task: Spaces, streams: Streams) -> None:
        self._agent, self._task, self._rng = agent, task, streams.generator("agent")
        self._has_begun = False
        self._observation: Any = None
        self._action: Any = None

    def enter(self, task: Spaces, environment: Any, *, is_resumed: bool = False) -> None:
        self._task = task
        if self._has_begun:
            return
        self._has_begun = True
        observation_space, action_space = copy.deepcopy((task.observation_space, task.action_space))
        # What is drawn from it comes from the agent's stream.
        action_space._np_random = self._rng
        called(f"{self._agent.name}.begin", lambda: self._agent.begin(observation_space, action_space, self._rng))
        self._refuse_taken_names()

    def begin(self, observation: Any) -> None:
        self._observation = observation
        called(f"{self._agent.name}.begin_episode", self._agent.begin_episode)

    def choose(self) -> Any:
        method = f"{self._agent.name}.act"
        answer = called(method, lambda: self._agent.act(self._observation, explore=True))
        self._action = read_action(answer, self._task.action_space, method)
        return self._action

    def observe(self, observation: Any, reward: float, terminated: bool, truncated: bool) -> None:
        before, self._observation = self._observation, observation
        called(
            f"{self._agent.name}.learn",
            lambda: self._agent.learn(before, self._action, reward, observation, terminated, truncated),
        )

    def pause(self) -> None:
        self._refuse_taken_names()

    def forget_episode(self) -> None:
        self._observation = self._action = None

    @contextlib.contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Inside, the agent holds copies of all that it holds, random streams too; afterwards what it held before."""
        held = self._attributes()
        memo: dict[int, Any] = {}
        for name, value in held.items():
            # What cannot be copied stays shared: a model of another library, mostly, which acting does not change.
            with contextlib.suppress(Exception):
                vars(self._agent)[name] = copy.deepcopy(value, memo)
        try:
            yield
        finally:
            for name in self._attributes():
                del vars(self._agent)[name]
            vars(self._agent).update(held)

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        try:
            spaces = self._task.to_data()
        except TypeError as error:
            raise UnknownStateError(f"{self._agent.name} cannot be saved: {error}") from None
        entries, arrays = state_to_data(self._attributes(), self._agent.name, {"rng": self._rng})
        return {"spaces": spaces, "own": entries}, arrays

    def set_state(self, entries: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        vars(self._agent).update(state_from_data(entries["own"], arrays, {"rng": self._rng}))
        self._has_begun = True

    def _attributes(self) -> dict[str, Any]:
        """The agent's own attributes: neither its parameters nor the base's."""
        parameters = {field.name for field in dataclasses.fields(self._agent)}
        return {
            name: value for name, value in vars(self._agent).items() if name not in parameters and name not in _PRIVATE
        }

    def _refuse_taken_names(self) -> None:
        ours = [base for base in type(self._agent).__mro__ if base.__module__.startswith("velodrome.")]
        for name in self._attributes():
            if any(name in vars(base) for base in ours):
                raise AgentFailureError(
                    f"{self._agent.name}: self.{name} would hide what every agent has by that name: choose another"
                )


def called(method: str, call: Callable[[], Any]) -> Any:
    """Answer of a method of the user's.

    Raises:
        AgentFailureError: it raised; one line that names it.
    """
    try:
        return call()
    except VelodromeError:
        raise
    except Exception as error:
        raise AgentFailureError(f"{method} raised {one_line(error)}") from error
