"""A tabular agent that numbers observations as it meets them."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from types import FunctionType
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from velodrome import envs
from velodrome.agents.agent import Agent, Loop
from velodrome.agents.engine.environment_answers import shown
from velodrome.agents.engine.episode_ends import EpisodeEnds
from velodrome.agents.engine.seeding import Streams
from velodrome.agents.errors import EnvironmentFailureError, UnsupportedEnvironmentError, environment_label
from velodrome.agents.named_objects import NamedObject, find, is_name, own_object
from velodrome.agents.tabular.finite_horizon import refuse_by_step
from velodrome.agents.tabular.q_learning import QLearning
from velodrome.agents.tabular.tabular_agent import TabularAgent
from velodrome.agents.tabular.tabular_learner import TabularLearner, TabularTask
from velodrome.agents.training import Training
from velodrome.agents.unfit_spaces import actions_refused
from velodrome.checks import ConfigurationError, VelodromeError, check_integer, one_line
from velodrome.policies.configuration import parameters_of

# Bytes of a digest that stands for an observation: two of a million are the same less than once in 1e26 tables.
_DIGEST_SIZE = 16
_MOST_ROWS = 10_000_000
_MET = "met_observations"


class Numbered(Agent):
    """A tabular agent with a row for each observation that it meets in training, whatever the observation consists of.

    The first observation is number 0, the next different one number 1. All that come after `limit` different ones, and
    those that are first met when it acts without learning, share one row more. It is for observations of many parts
    of which few come up, such as what is seen of a small grid; numbers that hardly ever repeat need bins, and pictures
    a network.

    Args:
        agent: a tabular agent without action masks.
        limit: most observations with a row of their own, at least 1.
        features: `features(observation)`, what a row is given for instead of the observation itself, such as a few
            numbers computed from a picture: a function, or its name "module:function"; None for the observation.

    Raises:
        ConfigurationError: the agent is not tabular, or a parameter is none that could be.
    """

    # Any agent here, so that expressions may name one; `__post_init__` refuses those without a table.
    agent: Agent = field(default_factory=QLearning, kw_only=False)
    limit: int = 10_000
    features: str | Callable[[Any], Any] | None = None

    can_checkpoint: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not isinstance(self.agent, TabularAgent):
            raise ConfigurationError(f"{self.name}: agent must be a tabular agent, got {self.agent}")
        if self.agent.action_mask:
            raise ConfigurationError(f"{self.name}: agent must learn without action masks, got {self.agent}")
        refuse_by_step(self.name, self.agent)
        check_integer(f"{self.name}: limit", self.limit, minimum=1, maximum=_MOST_ROWS)
        if callable(self.features):
            self.features = NamedObject.of(self.features)
        if self.features is not None and not (isinstance(self.features, str) and is_name(str(self.features))):
            raise ConfigurationError(
                f"{self.name}: features must be a function, or a name such as 'my_features:corner', "
                f"got {self.features!r}"
            )
        self._function: Callable[[Any], Any] | None = None
        self._inner: TabularAgent = type(self.agent)(**parameters_of(self.agent))
        self._numbers: dict[bytes, int] = {}

    @property
    def _table_agent(self) -> TabularAgent:
        """The tabular agent, with what was learnt."""
        self._inner._bound = self.binding
        return self._inner

    @property
    def action_values(self) -> np.ndarray:
        """Action values float64 (limit + 1, num_actions), the live array; the last row is that of all others."""
        values: np.ndarray = self.learner.greedy_values
        return values

    @property
    def num_met(self) -> int:
        """Number of observations that have a row of their own."""
        return len(self._numbers)

    @property
    def result_version(self) -> int:
        return self.agent.result_version

    def named_code(self) -> dict[str, Any]:
        return self.agent.named_code() | ({} if self.features is None else {f"features={self.features}": self._found()})

    def _found(self) -> Callable[[Any], Any]:
        """The function `features`.

        Raises:
            ConfigurationError: there is none of that name; one line.
        """
        assert isinstance(self.features, str)
        found = find(self.name, self.features, may_import=True)
        if not callable(found):
            raise ConfigurationError(f"{self.name}: features={self.features} must be a function, got {shown(found)}")
        function: Callable[[Any], Any] = found
        return function

    def seen(self, observation: Any) -> Any:
        """Features of an observation, by which it gets its row; without `features` the observation itself.

        Args:
            observation: one observation.

        Raises:
            EnvironmentFailureError: the function raised; one line.
        """
        if self._function is None:
            return observation
        try:
            return self._function(observation)
        except VelodromeError:
            raise
        except Exception as error:
            asked = f"{self.name}: features={self.features} on observation {shown(observation)}"
            raise EnvironmentFailureError(f"{asked} raised {one_line(error)}") from error

    def view_of(self, env: Any) -> Any:
        if self.features is not None:
            self._function = self._found()
        return NumberedObservations(env, self._numbers, self.limit, self.seen)

    def task_of(self, env: Any) -> TabularTask:
        if not isinstance(env.action_space, spaces.Discrete):
            raise UnsupportedEnvironmentError(actions_refused(self.name, env.action_space, environment_label(env)))
        return self._inner.task_of(env)

    def task_after(self, learnt: TabularTask, task: TabularTask, label: str) -> TabularTask:
        return self._inner.task_after(learnt, task, label)

    def task_from_data(self, entries: dict[str, Any], arrays: dict[str, np.ndarray]) -> TabularTask:
        return self._inner.task_from_data(entries, arrays)

    def new_learner(self, task: TabularTask, streams: Streams) -> TabularLearner:
        return self._inner.new_learner(task, streams)

    def plan_loop(self, loop: Loop, env: Any, success: str | None, notes: list[str]) -> Any:
        return self._inner.plan_loop(loop, env, success, notes)

    def run_training(self, training: Training) -> EpisodeEnds:
        ends = super().run_training(training)
        note = f"met more than {self.limit:,} different observations: all later ones share a row"
        if training.environment.is_full and note not in training.notes:
            training.notes.append(note)
        return ends

    def act(self, observation: Any, *, explore: bool = False) -> Any:
        """Action for one observation."""
        return self._table_agent.act(self._number_of(observation), explore=explore)

    def action_values_of(self, observations: Any) -> np.ndarray | None:
        return self._table_agent.action_values_of(self._numbers_of(observations))

    def action_probabilities(self, observations: Any) -> np.ndarray | None:
        return self._table_agent.action_probabilities(self._numbers_of(observations))

    def acting_generator(self) -> np.random.Generator:
        return self._table_agent.acting_generator()

    def _number_of(self, observation: Any) -> int:
        return self._numbers.get(digest_of(self.seen(observation)), self.limit)

    def _numbers_of(self, observations: Any) -> np.ndarray:
        return np.array([self._number_of(observation) for observation in observations], dtype=np.int64)

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        entries, arrays = super().state()
        met = np.frombuffer(b"".join(self._numbers), dtype=np.uint8).reshape(-1, _DIGEST_SIZE)
        return entries, arrays | {_MET: met}

    def set_state(self, entries: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        met = arrays[_MET]
        if met.dtype != np.uint8 or met.shape[1:] != (_DIGEST_SIZE,) or len(met) > self.limit:
            raise ValueError(f"array {_MET} has shape {met.shape} and dtype {met.dtype}")
        if self.features is not None and self._function is None:
            self._function = _readable(self.name, self.features)
        super().set_state(entries, self._inner.readable(entries, arrays))
        self._numbers.update({row.tobytes(): number for number, row in enumerate(met)})


class NumberedObservations(gym.ObservationWrapper[int, Any, Any]):
    """Observe the number of an observation, the next free one if it is new.

    Args:
        env: any environment.
        numbers: by digest, added to.
        limit: different observations that are numbered; all others are number `limit`.
        seen: `seen(observation)`, what is numbered for it.
    """

    def __init__(
        self, env: gym.Env[Any, Any], numbers: dict[bytes, int], limit: int, seen: Callable[[Any], Any]
    ) -> None:
        super().__init__(env)
        self._numbers, self._limit, self._seen, self.is_full = numbers, limit, seen, False
        self.observation_space = spaces.Discrete(limit + 1)  # type: ignore[assignment]

    def observation(self, observation: Any) -> int:
        """Number of an observation."""
        digest = digest_of(self._seen(observation))
        number = self._numbers.get(digest)
        if number is None:
            number = len(self._numbers)
            if number < self._limit:
                self._numbers[digest] = number
            else:
                number, self.is_full = self._limit, True
        return number


def _readable(owner: str, name: Any) -> Callable[[Any], Any]:
    """Function that a saved agent may call: of the user's own, or a public one of our environments.

    Raises:
        ConfigurationError: it is neither.
    """
    module, _, path = str(name).partition(":")
    if module == envs.__name__ and path.isidentifier() and not path.startswith("_"):
        ours = getattr(envs, path, None)
        if isinstance(ours, FunctionType):
            return ours
    own: Callable[[Any], Any] = own_object(owner, name)
    return own


def digest_of(observation: Any) -> bytes:
    """Digest of an observation, the same for the same numbers and texts in the same places.

    Raises:
        EnvironmentFailureError: it holds something else.
    """
    digest = hashlib.blake2b(digest_size=_DIGEST_SIZE)
    for content in _contents_of(observation):
        digest.update(content)
    return digest.digest()


def _contents_of(observation: Any) -> Iterator[bytes]:
    if isinstance(observation, Mapping):
        yield b"{%d" % len(observation)
        for key in sorted(observation, key=str):
            yield from _contents_of(str(key))
            yield from _contents_of(observation[key])
    elif isinstance(observation, str):
        text = observation.encode()
        yield b"'%d'" % len(text) + text
    elif isinstance(observation, tuple | list):
        yield b"(%d" % len(observation)
        for part in observation:
            yield from _contents_of(part)
    else:
        array = np.asarray(observation)
        if array.dtype.kind not in "biuf":
            raise EnvironmentFailureError(f"observation {shown(observation)} holds neither numbers nor text")
        # Adding 0 makes -0.0 the 0.0 that it equals.
        whole = array.dtype.kind in "biu"
        yield repr((whole, array.shape)).encode()
        yield (array.astype(np.int64) if whole else array.astype(np.float64) + 0.0).tobytes()
