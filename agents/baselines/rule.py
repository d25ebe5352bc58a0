"""A user's rule of thumb, from observation to action, as an agent."""

import importlib
import re
import sys
from collections.abc import Callable
from dataclasses import field
from pathlib import Path
from typing import Any

import numpy as np

from velodrome.agents.agent import Agent
from velodrome.agents.engine.actions import read_action
from velodrome.agents.engine.environment_answers import shown
from velodrome.agents.errors import AgentFailureError, UnsupportedEnvironmentError
from velodrome.agents.named_objects import NamedObject, own_object
from velodrome.agents.stepwise import Spaces
from velodrome.checks import ConfigurationError, VelodromeError, did_you_mean, one_line
from velodrome.envs.unimported_modules import add_current_directory, unimported_module

_NAME = re.compile(r"[\w.]+:[\w.<>]+")


class Rule(Agent):
    """Acts by a function of the observation, a rule of thumb; it learns nothing.

    Args:
        function: `function(observation)`, the action: as such, or by name as "module:function". What a name stands for
            is imported when the agent is to act, from the current folder first; not when a table is read.

    Raises:
        ConfigurationError: it is neither a function nor such a name.
    """

    learns = False

    function: str | Callable[[Any], Any] = field(kw_only=False)

    def __post_init__(self) -> None:
        if callable(self.function):
            self.function = NamedObject.of(self.function)
        if not isinstance(self.function, str) or not _NAME.fullmatch(self.function):
            raise ConfigurationError(
                f"{self.name}: function must be a function, or a name such as 'my_rules:hold', got {self.function!r}"
            )

    def task_of(self, env: Any) -> Spaces:
        task: Spaces = super().task_of(env)
        self._found()
        return task

    def named_code(self) -> dict[str, Callable[..., Any] | Path]:
        return {f"function={self.function}": self._found()}

    def act(self, observation: Any, *, explore: bool = False) -> Any:
        """Action that the function gives for one observation; numbers of NumPy are given to it as Python's.

        Raises:
            AgentFailureError: the function raised, or gave no action of the action space; one line.
        """
        function = self._found()
        given = observation.item() if isinstance(observation, np.generic) else observation
        space = self.binding.task.action_space
        try:
            answer = function(given)
        except VelodromeError:
            raise
        except Exception as error:
            raise AgentFailureError(f"{self._asked(given)} raised {one_line(error)}") from error
        try:
            return read_action(answer, space, self.name)
        except AgentFailureError:
            # Observations take longer to describe than rules to answer.
            return read_action(answer, space, self._asked(given))

    def set_state(self, entries: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        name = str(self.function)
        super().set_state(entries, arrays)
        self.function = NamedObject.of(own_object(self.name, name))

    def _asked(self, observation: Any) -> str:
        return f"{self.name} {self.function} on observation {shown(observation)}"

    def _found(self) -> Callable[..., Any]:
        """The function.

        Raises:
            UnsupportedEnvironmentError: there is none of that name; one line.
        """
        name = str(self.function)
        if isinstance(self.function, NamedObject):
            given: Callable[..., Any] = self.function.thing
            return given
        module_name, _, path = name.partition(":")
        module = sys.modules.get(module_name)
        try:
            found: Any = module if module is not None else _imported(module_name, path)
        except Exception as error:
            reason = str(error) if isinstance(error, VelodromeError) else one_line(error)
            raise UnsupportedEnvironmentError(
                f"{self.name}: cannot import module {module_name!r} of {name!r}: {reason}"
            ) from error
        for part in path.split("."):
            if not hasattr(found, part):
                hint = did_you_mean(part, (key for key in vars(found) if not key.startswith("_")))
                raise UnsupportedEnvironmentError(f"{self.name}: module {module_name!r} has no {path!r}{hint}")
            found = getattr(found, part)
        if not callable(found):
            raise UnsupportedEnvironmentError(f"{self.name}: {name} must be a function, got {shown(found)}")
        function: Callable[..., Any] = found
        return function


def _imported(module: str, path: str) -> Any:
    """A module, after a look at its source for what is wanted of it."""
    add_current_directory()
    source = unimported_module(module)
    reason = None if source is None else source.why_no_factory(path.partition(".")[0])
    if reason is not None:
        raise ConfigurationError(f"it {reason}")
    return importlib.import_module(module)
