"""An agent that chooses among a few of many actions: those of bins."""

from collections.abc import Iterator
from dataclasses import field
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from velodrome.agents.agent import Agent, Loop
from velodrome.agents.engine.actions import read_action
from velodrome.agents.engine.episode_ends import EpisodeEnds
from velodrome.agents.engine.seeding import Streams
from velodrome.agents.errors import UnsupportedEnvironmentError, environment_label
from velodrome.agents.resuming.saving import SavedAgentError
from velodrome.agents.stepwise import Learner, Spaces, space_from_data, space_to_data
from velodrome.agents.tabular.q_learning import QLearning
from velodrome.agents.training import Training
from velodrome.agents.unfit_spaces import described
from velodrome.checks import ConfigurationError, check_integer
from velodrome.envs.action_bins import ActionBins, BinActions
from velodrome.envs.wrapper_chain import wrappers_of
from velodrome.policies.configuration import parameters_of

_OTHER_SOURCES = {"model": "a transition model, whose actions are Discrete", "examples": "labelled examples"}


class BinnedActions(Agent):
    """An agent of Discrete actions that acts through bins in real ones, or in several numbers at once.

    The agent chooses the number of an action. In each dimension of a Box there are as many values as bins, evenly
    spaced between the limits of the actions and both of these included; a single bin is the middle. Of Discrete,
    MultiDiscrete and MultiBinary actions every value counts; what Tuples and Dicts hold is combined.

    Args:
        agent: any agent that learns from steps and chooses among Discrete actions.
        bins: in every dimension of the action, or one number for each.

    Raises:
        ConfigurationError: the agent learns from something else than steps, or a parameter is none that could be.
    """

    agent: Agent = field(default_factory=QLearning, kw_only=False)
    bins: int | tuple[int, ...] = 5

    def __post_init__(self) -> None:
        if not isinstance(self.agent, Agent):
            raise ConfigurationError(f"{self.name}: agent must be an agent, got {self.agent!r}")
        if self.agent.learns_from != "steps":
            source = _OTHER_SOURCES[self.agent.learns_from]
            raise ConfigurationError(
                f"{self.name}: agent must learn from steps, but {self.agent.name} learns from {source}"
            )
        if isinstance(self.agent, BinnedActions):
            raise ConfigurationError(f"{self.name}: agent must choose among Discrete actions, got {self.agent}")
        for number in self.bins if isinstance(self.bins, tuple | list) else (self.bins,):
            check_integer(f"{self.name}: bins", number, minimum=1)
        self._inner: Agent = type(self.agent)(**parameters_of(self.agent))
        self._loaded_bins: ActionBins | None = None

    @property
    def _acting(self) -> Agent:
        """The agent inside, with what was learnt."""
        self._inner._bound = self.binding
        return self._inner

    @property
    def _action_bins(self) -> ActionBins:
        """Bins of the actions of the environment that was entered last, or of the saved agent."""
        found = _bins_of(self.binding.view)
        assert found is not None or self._loaded_bins is not None
        return self._loaded_bins if found is None else found  # type: ignore[return-value]

    # -- what the harness asks of an agent is that of the agent inside --------------------------------------------

    @property
    def can_checkpoint(self) -> bool:  # type: ignore[override]
        return self.agent.can_checkpoint

    @property
    def takes_batches(self) -> bool:  # type: ignore[override]
        return self.agent.takes_batches

    @property
    def remembers_observations(self) -> bool:  # type: ignore[override]
        return self.agent.remembers_observations

    @property
    def result_version(self) -> int:
        return self.agent.result_version

    @property
    def action_values(self) -> np.ndarray:
        """Action values float64 (num_states, num_actions) of an agent with a table, the live array."""
        values: np.ndarray = getattr(self._acting, "action_values")  # noqa: B009
        return values

    def view_of(self, env: Any) -> Any:
        space = Spaces.of(env).action_space
        if isinstance(space, spaces.Discrete):
            raise UnsupportedEnvironmentError(
                f"{self.name} is for actions that are not Discrete, but {environment_label(env)} has {space}: take "
                f"{self.agent.name} itself"
            )
        try:
            binned = BinActions(env, list(self.bins) if isinstance(self.bins, tuple | list) else self.bins)
        except ValueError as error:
            raise UnsupportedEnvironmentError(f"{self.name}: {error}") from None
        return self._inner.view_of(binned)

    def task_of(self, env: Any) -> Any:
        if self.is_trained:
            before, now = self._action_bins, _bins_of(env)
            if now is None or before.space != now.space:
                raise UnsupportedEnvironmentError(
                    f"{self.name} has learnt to choose among other actions, {described(before.space)}, than those of "
                    f"{environment_label(env)}"
                )
        return self._inner.task_of(env)

    def task_after(self, learnt: Any, task: Any, label: str) -> Any:
        return self._inner.task_after(learnt, task, label)

    def new_learner(self, task: Any, streams: Streams) -> Learner:
        return self._inner.new_learner(task, streams)

    def exact_budget(
        self, env: Any, *, episodes: int | None, steps: int | None, epochs: int | None
    ) -> tuple[int | None, int | None]:
        self._inner._bound = self._bound
        return self._inner.exact_budget(env, episodes=episodes, steps=steps, epochs=epochs)

    def check_steps(self, env: gym.Env[Any, Any], steps: int) -> None:
        self._inner.check_steps(env, steps)

    def plan_loop(self, loop: Loop, env: Any, success: str | None, notes: list[str]) -> Any:
        return self._inner.plan_loop(loop, env, success, notes)

    def run_training(self, training: Training) -> EpisodeEnds:
        # Callbacks and evaluations are to see this agent, which acts in the environment's own actions.
        training.agent = self
        return self._acting.run_training(training)

    def act_with_info(self, observation: Any, info: dict[str, Any]) -> Any:
        return self._action_of(self._acting.act_with_info(observation, info))

    def act(self, observation: Any, *, explore: bool = False) -> Any:
        """Action for one observation, or actions for a batch where the agent inside takes one."""
        chosen = self._acting.act(observation, explore=explore)
        if np.ndim(chosen) == 0:
            return self._action_of(chosen)
        actions = [self._action_of(number) for number in chosen]
        return actions if self._action_bins.space.shape is None else np.array(actions)

    def _action_of(self, chosen: Any) -> Any:
        bins = self._action_bins
        return bins.action(read_action(chosen, spaces.Discrete(bins.num_actions), f"{self.agent.name}.act"))

    def begin_episode(self) -> None:
        self._acting.begin_episode()

    def acting_generator(self) -> np.random.Generator | None:
        return self._acting.acting_generator()

    def action_values_of(self, observations: Any) -> np.ndarray | None:
        return self._acting.action_values_of(observations)

    def action_probabilities(self, observations: Any) -> np.ndarray | None:
        return self._acting.action_probabilities(observations)

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        entries, arrays = self._acting.state()
        try:
            return entries | {"binned_space": space_to_data(self._action_bins.space)}, arrays
        except TypeError as error:
            raise SavedAgentError(f"{self.name} cannot be saved: {error}") from None

    def set_state(self, entries: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        bins = list(self.bins) if isinstance(self.bins, tuple | list) else self.bins
        self._loaded_bins = ActionBins(space_from_data(entries["binned_space"]), bins, self.name)
        self._inner.set_state(entries, arrays)
        self._bound = self._inner._bound


def _bins_of(view: Any) -> ActionBins | None:
    found: Iterator[ActionBins] = (layer.action_bins for layer in wrappers_of(view) if isinstance(layer, BinActions))
    return next(found, None)
