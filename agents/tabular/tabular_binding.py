"""A tabular agent bound to the spaces of an environment: its memory, streams and place in the run."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium import spaces

from velodrome.agents.agent import generator_from_state, generator_state
from velodrome.agents.engine.generic_loop import Progress
from velodrome.agents.engine.sampled_model import SampledModel
from velodrome.agents.engine.seeding import environment_generator, environment_seed, fresh_seed, role_generator
from velodrome.agents.errors import EnvironmentFailureError, UnsupportedEnvironmentError, environment_label
from velodrome.agents.resuming.saving import SavedAgentError, whole_number
from velodrome.agents.tabular.action_masks import among_available, as_mask, mask_in
from velodrome.agents.tabular.known_masks import masks_of_function, masks_of_model, no_masks_line
from velodrome.agents.tabular.observation_index import ObservationIndex
from velodrome.agents.tabular.schedule_table import ScheduleTable
from velodrome.agents.tabular.tabular_stepper import TabularStepper
from velodrome.policies.schedules import as_schedule

if TYPE_CHECKING:
    from velodrome.agents.tabular.tabular_agent import TabularAgent

# Entry of the manifest of agents whose tables hold no masks, and name of the array of masks by state.
MASKS = "action_masks"


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
        # Masks bool (S, A), where they are a function of the state as far as is known.
        self.masks: np.ndarray | None = None
        self.mask_watcher: Callable[[Any, Any], None] | None = None
        self._info: Any = None
        self._has_read_masks = False
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
            self._find_masks(environment)

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

    def explore(self, state: int, mask: Any = None) -> int:
        """Action for `state` by the policy, as the generic loop would choose it among those that `mask` allows."""
        stepper = self.stepper
        # An action that is planned for another state belongs to an episode that is only paused.
        planned = stepper.next_action if state == stepper.state else -1
        try:
            if planned >= 0 and (mask is None or mask[planned]):
                return stepper.choose()
            action = stepper.explore(state, mask)
            if state == stepper.state:
                stepper.action, stepper.next_action = action, -1
            return action
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
            masks_of_model(environment)
            if not agent._update_takes_masks:
                raise UnsupportedEnvironmentError(
                    f"{agent.name} cannot honour action masks: its update function must take two more arguments, "
                    "mask and next_mask"
                )

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
        self.learn = agent._update_function
        self.visits_of = agent._visits_function()
        self.discount = float(agent.discount)
        self.parameters = ScheduleTable(policy.name, policy.schedule, *policy.parameter_range)
        rate = as_schedule(agent.name, "learning_rate", agent.learning_rate, 0.0, 1.0)
        self.rates = ScheduleTable(f"{agent.name}: learning_rate", rate, 0.0, 1.0)
        self.stepper = TabularStepper(
            memory=memory,
            select=policy.select,
            learn=self.learn,
            visits_of=self.visits_of,
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

    def _find_masks(self, environment: Any) -> None:
        """Masks that the model knows are used as they are; of others, what the environment says in each `info`."""
        masks = masks_of_model(environment)
        is_certain = masks is not None
        if not is_certain:
            masks = masks_of_function(environment, self.num_actions)
        self.masks = masks
        self.stepper.masks = None if not is_certain else [row.tobytes() for row in masks]  # type: ignore[union-attr]
        self.stepper.read_mask = None if is_certain else self._read_mask
        self.mask_watcher = None if is_certain else self._watch
        self._has_read_masks = False

    def _watch(self, observation: Any, info: Any) -> None:
        self._info = info

    def _read_mask(self, state: int) -> bytes:
        """Mask of the state in which the learner has just arrived.

        Raises:
            UnsupportedEnvironmentError: the environment has none at all.
            EnvironmentFailureError: it has none now, or one that is not allowed.
        """
        mask, self._info = mask_in(self._info, self.num_actions), None
        if self.masks is not None:
            known = self.masks[state].tobytes()
            if mask is None:
                return as_mask(self.masks[state], self.num_actions)
            if mask != known:
                # More than the state decides, whatever the environment's function says.
                self.masks = None
        if mask is None:
            if not self._has_read_masks:
                raise UnsupportedEnvironmentError(no_masks_line(environment_label(self.environment)))
            raise EnvironmentFailureError("action_mask=True, but this time the info has no 'action_mask'")
        self._has_read_masks = True
        return mask

    def mask_for(self, state: int, given: Any) -> bytes | None:
        """Mask with which to act in `state`: the one given, or else what is known; None where every action is allowed.

        Raises:
            EnvironmentFailureError: the mask that is given is none.
        """
        if given is not None:
            return as_mask(given, self.num_actions)
        if self.masks is None or not self.masks[state].any():
            return None
        return bytes(self.masks[state].tobytes())

    def masks_for(self, states: np.ndarray, given: Any) -> np.ndarray | None:
        """Masks bool (batch, A) as of `mask_for`; a state in which no action is available counts as all of them.

        Raises:
            EnvironmentFailureError: one of those that are given is none.
        """
        if given is not None:
            if len(given) != len(states):
                raise EnvironmentFailureError(
                    f"action_mask: a batch of {len(states)} needs as many masks, got {len(given)}"
                )
            rows = [np.frombuffer(as_mask(mask, self.num_actions), np.bool_) for mask in given]
            return np.array(rows, dtype=np.bool_).reshape(len(states), self.num_actions)
        if self.masks is None:
            return None
        known = self.masks[states]
        return np.asarray(known | ~known.any(axis=1, keepdims=True))

    @contextlib.contextmanager
    def given_masks(self, has_masks: bool, given: Any, given_next: Any) -> Iterator[None]:
        """Hand the stepper the masks of one transition from outside; what training knows comes back afterwards."""
        stepper, read_mask = self.stepper, self.stepper.read_mask
        if has_masks and stepper.masks is None:
            stepper.mask = self.mask_for(stepper.state, given)
            stepper.read_mask = lambda state: self.mask_for(state, given_next)
        try:
            yield
        finally:
            stepper.read_mask = read_mask
            stepper.pause()

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
        kept = {} if self.masks is None else {MASKS: self.masks}
        return manifest | {MASKS: True}, self.memory._asdict() | kept

    def from_storage(self, agent: "TabularAgent", manifest: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Take over what `to_storage` gave.

        Raises:
            SavedAgentError: entries are missing or do not fit together.
        """
        try:
            observations, actions = manifest["observations"], manifest["actions"]
            self.index = ObservationIndex.from_data(observations)
            self.num_actions, self.action_start = whole_number(actions, "number", 1), int(actions["start"])
            # Before a table is made as large as the manifest says.
            if self.index.num_states * self.num_actions > max(array.size for array in arrays.values()):
                raise ValueError(f"no array has a value for each of {self.index.num_states} x {self.num_actions} pairs")
            self.rng = generator_from_state(manifest["agent_stream"])
            self._acting_rng = generator_from_state(manifest["acting_stream"])
            self.seed, self.num_environments = whole_number(manifest, "seed"), whole_number(manifest, "environments")
            memory = agent._new_memory(self.index.num_states, self.num_actions)
            arrays = agent._from_earlier_release(arrays)
            if agent.action_mask and MASKS not in manifest:
                arrays = without_masks_in_tables(arrays, agent._value_tables(), float(agent.initial_value))
            for name, array in memory._asdict().items():
                if arrays[name].shape != array.shape or arrays[name].dtype != array.dtype:
                    raise ValueError(f"array {name} has shape {arrays[name].shape} and dtype {arrays[name].dtype}")
                if np.isnan(arrays[name]).any() or ("counts" in name and (arrays[name] < 0).any()):
                    raise ValueError(f"array {name} holds NaN, or counts below 0")
                array[...] = arrays[name]
            self._prepare(agent, memory)
            self.masks = arrays.get(MASKS)
            self.stepper.episode, self.stepper.step = whole_number(manifest, "episode"), whole_number(manifest, "step")
            self.first_episode = whole_number({"first_episode": 0} | manifest, "first_episode")
            agent._begin_anew(memory)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise SavedAgentError(f"the saved {agent.name} agent is not complete: {error}") from None


def without_masks_in_tables(
    arrays: dict[str, np.ndarray], tables: tuple[str, ...], initial_value: float
) -> dict[str, np.ndarray]:
    """Arrays of an agent of an earlier release, which wrote masks into its tables as minus infinity.

    Raises:
        ValueError: a mask was written over something learnt.
    """
    forbidden = arrays["action_values"] == -np.inf
    clean = {name: np.where(forbidden, initial_value, arrays[name]) for name in tables}
    if arrays["visit_counts"][forbidden].any() or not all(np.isfinite(table).all() for table in clean.values()):
        raise ValueError("an earlier release wrote action masks over what it had learnt; train it anew")
    return arrays | clean | {MASKS: ~forbidden}
