"""The contract of an agent: it learns with `train`, decides with `act`, and can be saved and loaded."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import gymnasium as gym
import numpy as np

from velodrome.agents.errors import UnsupportedEnvironmentError
from velodrome.agents.resuming.saving import SavedAgentError, read_agent
from velodrome.agents.training_log import TrainingLog
from velodrome.checks import ConfigurationError
from velodrome.policies.configuration import Configuration, from_data

Loop = Literal["auto", "generic", "compiled"]
LOOPS: tuple[str, ...] = ("auto", "generic", "compiled")

# Called after every `callback_every` finished episodes with the episodes finished in this call; False stops.
Callback = Callable[[int], bool | None]


class Agent(Configuration, ABC):
    """Who learns. An agent is a configuration until `train` binds it to an environment's spaces.

    The loop that `train` runs, in short:

        observation, info = env.reset(seed=…)
        while the budget lasts:
            action = agent.act(observation, explore=True)
            next_observation, reward, terminated, truncated, info = env.step(action)
            agent learns from the transition

    An agent with `can_checkpoint` can be stopped and go on in another process as if nothing had happened. It
    promises that, where a callback stopped `train` and the callback was called at the end of an episode (of an
    epoch, for agents that learn from labels),

    - `save` keeps everything that the rest of the training depends on: what was learnt, random streams, counts;
    - after `load`, `resume(env)` and `train(env, …)` without a seed go on bit for bit, with an environment made
      anew whose random streams the caller has restored.
    """

    can_checkpoint: ClassVar[bool] = False

    @abstractmethod
    def train(
        self,
        env: gym.Env[Any, Any] | str,
        *,
        episodes: int | None = None,
        steps: int | None = None,
        seed: int | None = None,
        loop: Loop = "auto",
        callback: Callback | None = None,
        callback_every: int = 100,
        success: str | None = None,
    ) -> TrainingLog:
        """Learn from an environment for exactly `episodes` episodes or `steps` steps.

        A second call on the same environment continues where the first stopped, mid-episode too, unless a
        `seed` is given: then both random streams and the episode start anew, and what was learnt stays.

        Args:
            env: a Gymnasium environment, or its id.
            episodes: number of episodes to finish, at least 1.
            steps: number of environment steps to take, at least 1.
            seed: seed of the environment's and the agent's streams; fresh entropy at first if None.
            loop: "compiled" needs an environment with a transition model; "auto" uses it where it can.
            callback: called every `callback_every` episodes with the number finished; returning False stops.
            callback_every: in episodes.
            success: rule that decides whether an episode succeeded, such as "return > 0" or "terminated".

        Raises:
            BudgetError: not exactly one positive budget.
            UnsupportedEnvironmentError: the agent cannot handle the environment.
            EnvironmentFailureError: the environment raised or returned something that is not allowed.
        """

    def check_environment(self, env: gym.Env[Any, Any]) -> None:
        """Refuse an environment in which the agent cannot learn; neither of the two changes.

        `train` refuses the same. Experiments ask before anything runs; an agent of your own need not override it.

        Raises:
            UnsupportedEnvironmentError: the agent cannot handle the environment; one line.
        """
        return None

    @property
    def result_version(self) -> int:
        """Version of what the same configuration, environment and seed give: part of the key of stored trials.

        An agent whose results change from one release to the next raises it, so that earlier ones are run again.
        """
        return 1

    @property
    def needs_action_mask(self) -> bool:
        """Whether what `act` does depends on an action mask that is no function of the observation."""
        return False

    def act_with_info(self, observation: Any, info: dict[str, Any]) -> Any:
        """Greedy action for an observation and the `info` that came with it, from which action masks are taken.

        Loops that step an environment call it; for agents without masks it is `act`.
        """
        return self.act(observation)

    @abstractmethod
    def act(self, observation: Any, *, explore: bool = False) -> Any:
        """Action for one observation, or actions for a batch (leading dimension).

        Greedy by default, changing nothing that training depends on; with `explore=True` the policy chooses.
        """

    def check_steps(self, env: gym.Env[Any, Any], steps: int) -> None:
        """Refuse a budget of steps that `train` would refuse in an environment; most agents can stop at any step.

        Raises:
            BudgetError: it cannot be kept exactly.
        """

    def episodes_per_epoch(self, num_examples: int) -> int:
        """Episodes of one pass through an environment's labelled examples: those that the agent does not hold out.

        Args:
            num_examples: of the environment.
        """
        return num_examples

    def acting_generator(self) -> np.random.Generator | None:
        """Stream that `act` draws from where it does not explore, such as for ties; None where it draws nothing."""
        return None

    def begin_episode(self) -> None:
        """Forget what was read of an episode: what `act` is asked next is the first observation of another one.

        Only agents that remember observations from act to act have something to forget. Evaluation calls it after
        each reset; call it too where you step an environment yourself.
        """
        return None

    @abstractmethod
    def save(self, directory: str | Path) -> None:
        """Write the agent to `directory` as manifest.json and arrays.npz; nothing is pickled."""

    def resume(self, env: gym.Env[Any, Any]) -> None:
        """Take `env`, made anew, for the environment in which training stopped at the end of an episode.

        The next `train` on it goes on there, instead of seeding it as a second environment of the agent.

        Raises:
            UnsupportedEnvironmentError: the agent cannot be checkpointed, or `env` has other spaces.
        """
        raise UnsupportedEnvironmentError(f"{self.name} cannot go on in an environment made anew: no checkpoints")

    @classmethod
    def load(cls, directory: str | Path) -> Self:
        """Agent from a directory that `save` wrote; it continues exactly where the saved one stood.

        `Agent.load` accepts every class of agent, a subclass's `load` only its own. A saved agent with a policy
        of your own needs that class to be imported first; nothing is imported for it.

        Raises:
            SavedAgentError: files are missing, damaged, or not of this class of agent.
        """
        manifest, arrays = read_agent(directory)
        # Classes are found by their names once the room's face has loaded them.
        room = import_module("velodrome.agents")
        _ = [getattr(room, name) for name in room.__all__]
        try:
            agent = from_data(manifest.get("agent"), Agent)  # type: ignore[type-abstract]
        except (ConfigurationError, TypeError) as error:
            raise SavedAgentError(f"{directory}: {error}") from None
        if not isinstance(agent, cls):
            raise SavedAgentError(f"{directory} holds a {agent.name} agent, not {cls.name}")
        agent._restore(manifest, arrays)
        return agent

    @abstractmethod
    def _restore(self, manifest: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Take over what `save` wrote."""


def generator_state(generator: np.random.Generator) -> dict[str, Any]:
    """State of a generator as JSON-ready data."""
    return dict(generator.bit_generator.state)


def generator_from_state(state: Any) -> np.random.Generator:
    """PCG64 generator from the data of `generator_state`."""
    generator = np.random.Generator(np.random.PCG64(0))
    generator.bit_generator.state = state
    return generator
