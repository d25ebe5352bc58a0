"""A tabular agent bound to the spaces of an environment: its memory, streams and place in the run."""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium import spaces

from velodrome.agents.action_masks import among_available, forbid, mask_function
from velodrome.agents.agent import generator_from_state, generator_state
from velodrome.agents.errors import UnsupportedEnvironmentError, environment_label
from velodrome.agents.generic_loop import Progress
from velodrome.agents.observation_index import ObservationIndex
from velodrome.agents.sampled_model import SampledModel
from velodrome.agents.saving import SavedAgentError
from velodrome.agents.schedule_table import ScheduleTable
from velodrome.agents.seeding import environment_generator, environment_seed, fresh_seed, role_generator
from velodrome.agents.tabular_stepper import TabularStepper
from velodrome.envs.model_sampling import reason_not_sampled_from_model
from velodrome.policies.schedules import as_schedule

if TYPE_CHECKING:
    from velodrome.agents.tabular import TabularAgent


class TabularBinding:
    """What `train` makes of a configuration; everything here is saved but the environment."""

    index: ObservationIndex
    num_actions: int
    action_start: int
    memory: Any
    select: Callable[..., int]
    learn: Callable[..., None]
    parameters: ScheduleTable
    rates: ScheduleTable
    discount: float
    rng: np.random.Generator
    stepper: TabularStepper
    seed: int

    def __init__(self) -> None:
        self.environment: Any = None
        self.environment_id: str | None = None
        self.num_environments = 0
        self._acting_rng: np.random.Generator | None = None
        self.progress = Progress()
        self.first_episode = 0
        self.mask_watcher: Callable[[Any, dict[str, Any]], None] | None = None
        self.is_ready = False

    def bind(self, agent: "TabularAgent", environment: Any, seed: int | None) -> int | None:
        """Bind to an environment, or continue in it.

        Returns:
            The seed for the environment's first reset, or None where its stream and episode continue.

        Raises:
            UnsupportedEnvironmentError: the agent cannot handle the spaces.
        """
        if environment is not self.environment:
            self.check(agent, environment)
        if seed is not None or not self.is_ready:
            self.seed = fresh_seed() if seed is None else seed
            rng = role_generator(self.seed, "agent")
            if self.is_ready:
                self.rng.bit_generator.state = rng.bit_generator.state
            else:
                self.rng = rng
                self._prepare(agent, agent._new_memory(self.index.num_states, self.num_actions))
            self._acting_rng = None
            self.num_environments = 0
        elif environment is self.environment:
            return None
        self._enter(agent, environment)
        self.first_episode = self.stepper.episode
        self.num_environments += 1
        reset_seed = environment_seed(self.seed, index=self.num_environments - 1)
        if isinstance(environment, SampledModel):
            environment.generator = environment_generator(reset_seed)
        return reset_seed

    def resume(self, agent: "TabularAgent", environment: Any) -> None:
        """Take an environment made anew for the one that was left at the end of an episode.

        Raises:
            UnsupportedEnvironmentError: its spaces are others.
        """
        self.check(agent, environment)
        self._enter(agent, environment)

    def _enter(self, agent: "TabularAgent", environment: Any) -> None:
        self.environment = environment
        self.begin_anew(agent)
        if agent.action_mask:
            self._apply_masks(agent, environment)

    @property
    def episodes_before(self) -> int:
        """Episodes finished since the environment was seeded; failures are numbered from there."""
        return self.stepper.episode - self.first_episode

    @property
    def acting_rng(self) -> np.random.Generator:
        """Stream that breaks ties when acting greedily; training does not share it."""
        if self._acting_rng is None:
            self._acting_rng = role_generator(self.seed, "acting")
        return self._acting_rng

    def begin_at(self, state: int) -> None:
        """Stand at the start of an episode."""
        self.stepper.state, self.stepper.next_action = state, -1
        self.progress.in_episode, self.progress.episode_length, self.progress.episode_return = True, 0, 0.0

    def explore(self, state: int) -> int:
        """Action for `state` by the policy, as the generic loop would choose it."""
        stepper = self.stepper
        # An action that is planned for another state belongs to an episode that is only paused.
        try:
            return stepper.choose() if state == stepper.state else stepper.explore(state)
        finally:
            stepper.pause()

    def begin_anew(self, agent: "TabularAgent") -> None:
        """Forget an unfinished episode."""
        self.progress = Progress()
        self.stepper.next_action = -1
        agent._begin_anew(self.memory)

    def check(self, agent: "TabularAgent", environment: Any) -> None:
        """Learn an environment's spaces.

        Raises:
            UnsupportedEnvironmentError: the agent cannot handle them, or they are others than before.
        """
        self._check_spaces(agent, environment)
        if agent.action_mask:
            _check_masks(environment)

    def _check_spaces(self, agent: "TabularAgent", environment: Any) -> None:
        if isinstance(environment, SampledModel):
            index = ObservationIndex(((environment.model.num_states, 0),), 0)
            num_actions, start, label = environment.model.num_actions, 0, environment.label
        else:
            label = environment_label(environment)
            action_space = environment.action_space
            if not isinstance(action_space, spaces.Discrete):
                raise UnsupportedEnvironmentError(
                    f"{agent.name} needs a Discrete action space, but {label} has {action_space}"
                )
            index = agent._index_observations(environment)
            num_actions, start = int(action_space.n), int(action_space.start)
        if self.is_ready and (index.parts, num_actions) != (self.index.parts, self.num_actions):
            raise UnsupportedEnvironmentError(
                f"{agent.name} was trained with {self.index.num_states} states and {self.num_actions} actions, "
                f"but {label} has {index.num_states} and {num_actions}"
            )
        self.index, self.num_actions, self.action_start = index, num_actions, start

    def _prepare(self, agent: "TabularAgent", memory: Any) -> None:
        policy = agent.policy
        self.memory = memory
        self.select = among_available(policy.select) if agent.action_mask else policy.select
        self.learn = agent._learn_function()
        self.discount = float(agent.discount)
        self.parameters = ScheduleTable(policy.name, policy.schedule, *policy.parameter_range)
        rate = as_schedule(agent.name, "learning_rate", agent.learning_rate, 0.0, 1.0)
        self.rates = ScheduleTable(f"{agent.name}: learning_rate", rate, 0.0, 1.0)
        self.stepper = TabularStepper(
            memory=memory,
            select=self.select,
            learn=self.learn,
            is_on_policy=agent.is_on_policy,
            needs_next_parameter=agent.needs_next_parameter,
            indexes_only=policy.indexes_only,
            draws_uniforms_only=policy.draws_uniforms_only,
            parameters=self.parameters,
            rates=self.rates,
            discount=self.discount,
            rng=self.rng,
            index=self.index,
        )
        self.is_ready = True

    def _apply_masks(self, agent: "TabularAgent", environment: Any) -> None:
        tables = agent._value_tables(self.memory)
        if isinstance(environment, SampledModel):
            masks = environment.model.action_mask
            assert masks is not None
            for state, mask in enumerate(masks):
                forbid(tables, state, mask)
            return
        function = mask_function(environment)
        if function is not None and isinstance(environment.observation_space, spaces.Discrete):
            for state in range(self.index.num_states):
                forbid(tables, state, function(state))
            return
        label = environment_label(environment)

        def watch(observation: Any, info: dict[str, Any]) -> None:
            if "action_mask" not in info:
                raise UnsupportedEnvironmentError(f"action_mask=True, but the info of {label} has no 'action_mask'")
            forbid(tables, self.stepper.state_of(observation), info["action_mask"])

        self.mask_watcher = watch

    def to_storage(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Manifest entries and arrays; an episode that is under way is not kept."""
        manifest = {
            "observations": dataclasses.asdict(self.index),
            "actions": {"number": self.num_actions, "start": self.action_start},
            "seed": self.seed,
            "environments": self.num_environments,
            "first_episode": self.first_episode,
            "episode": self.stepper.episode,
            "step": self.stepper.step,
            "agent_stream": generator_state(self.rng),
            "acting_stream": generator_state(self.acting_rng),
        }
        return manifest, self.memory._asdict()

    def from_storage(self, agent: "TabularAgent", manifest: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Take over what `to_storage` gave.

        Raises:
            SavedAgentError: entries are missing or do not fit together.
        """
        try:
            observations, actions = manifest["observations"], manifest["actions"]
            self.index = ObservationIndex.from_data(observations)
            self.num_actions, self.action_start = int(actions["number"]), int(actions["start"])
            self.rng = generator_from_state(manifest["agent_stream"])
            self._acting_rng = generator_from_state(manifest["acting_stream"])
            self.seed, self.num_environments = int(manifest["seed"]), int(manifest["environments"])
            memory = agent._new_memory(self.index.num_states, self.num_actions)
            for name, array in memory._asdict().items():
                if arrays[name].shape != array.shape or arrays[name].dtype != array.dtype:
                    raise ValueError(f"array {name} has shape {arrays[name].shape} and dtype {arrays[name].dtype}")
                array[...] = arrays[name]
            self._prepare(agent, memory)
            self.stepper.episode, self.stepper.step = int(manifest["episode"]), int(manifest["step"])
            self.first_episode = int(manifest.get("first_episode", 0))
            agent._begin_anew(memory)
        except (KeyError, TypeError, ValueError) as error:
            raise SavedAgentError(f"the saved {agent.name} agent is not complete: {error}") from None


def _check_masks(environment: Any) -> None:
    """Refuse an environment of which it is known beforehand that it has no action masks.

    Raises:
        UnsupportedEnvironmentError: its steps are drawn from a model that knows of none.
    """
    if isinstance(environment, SampledModel):
        has_masks, label = environment.model.action_mask is not None, environment.label
    else:
        is_model = reason_not_sampled_from_model(environment) is None
        has_masks, label = not is_model or mask_function(environment) is not None, environment_label(environment)
    if not has_masks:
        raise UnsupportedEnvironmentError(f"action_mask=True, but the info of {label} has no 'action_mask'")
