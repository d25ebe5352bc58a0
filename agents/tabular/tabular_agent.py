"""Tabular agents: what every learner with a table of action values shares."""

import time
import warnings
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from velodrome.agents.agent import LOOPS, Agent, Callback, Loop
from velodrome.agents.engine.compiler import NotCompilableError
from velodrome.agents.engine.environment_answers import read_flag, read_reward
from velodrome.agents.engine.episode_ends import EpisodeEnds
from velodrome.agents.engine.sampled_model import SampledModel
from velodrome.agents.engine.seeding import check_seed
from velodrome.agents.errors import (
    EnvironmentFailureError,
    PolicyFailureError,
    UnsupportedEnvironmentError,
    check_budget,
    check_count,
)
from velodrome.agents.resuming.saving import write_agent
from velodrome.agents.tabular.action_masks import ignoring_masks, takes_masks
from velodrome.agents.tabular.greedy_table import GreedyTable, greedy_probabilities
from velodrome.agents.tabular.observation_index import ObservationIndex, index_observations
from velodrome.agents.tabular.tabular_binding import TabularBinding
from velodrome.agents.tabular.tabular_training import train_compiled, train_generic
from velodrome.agents.training_log import TrainingLog
from velodrome.checks import ConfigurationError, check_choice, check_number
from velodrome.envs.make import make_environment
from velodrome.envs.success_rules import success_rule
from velodrome.policies.configuration import to_data
from velodrome.policies.epsilon_greedy import EpsilonGreedy
from velodrome.policies.policy import Policy
from velodrome.policies.schedules import Schedule, as_schedule

_warned: set[tuple[type, str]] = set()


@dataclass(kw_only=True, eq=False)
class TabularAgent(Agent):
    """An agent with one action value for every state and action, float64 (num_states, num_actions).

    Args:
        discount: discount rate γ in [0, 1].
        learning_rate: step size α in (0, 1], a number or a schedule; on the "visits" clock it follows how often
            the state and action were visited before, so `harmonic(clock="visits")` is 1/N(s, a).
        initial_value: action value of every pair before learning; above every return it is optimistic.
        policy: how to explore; its `ties` also break the ties of greedy acting.
        action_mask: honour `info["action_mask"]`: actions it forbids are neither explored nor bootstrapped from. A
            mask may depend on more than the observation; then `act` must be given it, as `action_mask=`.

    Raises:
        ConfigurationError: a parameter is out of range.
    """

    discount: float = 0.99
    learning_rate: float | Schedule = 0.1
    initial_value: float = 0.0
    policy: Policy = field(default_factory=EpsilonGreedy)
    action_mask: bool = False

    can_checkpoint: ClassVar[bool] = True
    is_on_policy: ClassVar[bool] = False
    needs_next_parameter: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_number(f"{self.name}: discount", self.discount, 0.0, 1.0)
        # A schedule may anneal to 0; a constant 0 would never learn.
        is_number = not isinstance(self.learning_rate, Schedule)
        as_schedule(self.name, "learning_rate", self.learning_rate, 0.0, 1.0, open_low=is_number)
        check_number(f"{self.name}: initial_value", self.initial_value, -np.inf, np.inf)
        if not isinstance(self.policy, Policy):
            raise ConfigurationError(f"{self.name}: policy must be a policy, got {self.policy!r}")
        if not isinstance(self.action_mask, bool):
            raise ConfigurationError(f"{self.name}: action_mask must be True or False, got {self.action_mask!r}")
        self._bound: TabularBinding | None = None

    @property
    def result_version(self) -> int:
        # Until version 2 a mask that changed stayed in the table.
        return 2 if self.action_mask else 1

    @abstractmethod
    def _new_memory(self, num_states: int, num_actions: int) -> Any:
        """Named tuple of the arrays that the learner keeps; `action_values` and `visit_counts` among them."""

    @abstractmethod
    def _learn_function(self) -> Callable[..., None]:
        """Plain function that learns from one transition, for both loops."""

    def _visits_function(self) -> Callable[..., int] | None:
        """Plain function that counts for the learning rate's "visits" clock; None where `visit_counts` does.

        It is called once a step, after the step was counted, as visits_of(memory, state, action, rng).
        """
        return None

    @property
    def _update_function(self) -> Callable[..., None]:
        """`_learn_function` with the arguments that the loops hand over, masks included."""
        learn = self._learn_function()
        return learn if takes_masks(learn) else ignoring_masks(learn)

    @property
    def _update_takes_masks(self) -> bool:
        return takes_masks(self._learn_function())

    def _value_tables(self) -> tuple[str, ...]:
        """Names of the arrays of action values among those of the memory."""
        return ("action_values",)

    def _from_earlier_release(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Arrays as they are saved today, of an agent that an earlier release may have saved."""
        return arrays

    def _begin_anew(self, memory: Any) -> None:
        """Forget what belongs to an unfinished episode."""

    def _index_observations(self, env: gym.Env[Any, Any]) -> ObservationIndex:
        return index_observations(env, self.name)

    @property
    def ties(self) -> str:
        """How ties are broken when acting greedily: the policy's `ties`, at random for a policy without."""
        return str(getattr(self.policy, "ties", "random"))

    @property
    def action_values(self) -> np.ndarray:
        """Action values float64 (num_states, num_actions), the live array."""
        values: np.ndarray = self._binding.memory.action_values
        return values

    @property
    def visit_counts(self) -> np.ndarray:
        """How often each action was taken in each state, int64 (num_states, num_actions), the live array."""
        counts: np.ndarray = self._binding.memory.visit_counts
        return counts

    @property
    def _binding(self) -> TabularBinding:
        if self._bound is None:
            raise UnsupportedEnvironmentError(f"{self.name} has not been trained or loaded yet: call train first")
        return self._bound

    def check_environment(self, env: gym.Env[Any, Any]) -> None:
        TabularBinding().check(self, env)

    def train(
        self,
        env: gym.Env[Any, Any] | SampledModel | str,
        *,
        episodes: int | None = None,
        steps: int | None = None,
        seed: int | None = None,
        loop: Loop = "auto",
        callback: Callback | None = None,
        callback_every: int = 100,
        success: str | None = None,
    ) -> TrainingLog:
        episodes, steps = check_budget(episodes, steps)
        check_choice(f"{self.name}: loop", loop, LOOPS)
        callback_every = check_count("callback_every", callback_every)
        if seed is not None:
            seed = check_seed(seed)
        started = time.perf_counter()
        binding = self._bound or TabularBinding()
        environment: Any = env
        if isinstance(env, str):
            environment = binding.environment if binding.environment_id == env else make_environment(env)
        notes: list[str] = []
        sampled = self._compilable(environment, loop, success, notes)
        rule = sampled.rule if sampled is not None else success_rule(environment, success)
        reset_seed = binding.bind(self, environment, seed)
        binding.environment_id = env if isinstance(env, str) else None
        self._bound = binding
        budget: dict[str, Any] = {"episodes": episodes, "steps": steps, "callback_every": callback_every}
        episode_ends: EpisodeEnds | None = None
        try:
            if sampled is not None:
                try:
                    episode_ends = train_compiled(self, binding, environment, sampled, reset_seed, callback, budget)
                except NotCompilableError as error:
                    if isinstance(environment, SampledModel):
                        raise
                    if loop == "compiled":
                        message = f"{self.policy.name} cannot be compiled: {error}"
                        raise UnsupportedEnvironmentError(message) from None
                    notes.append(f"ran in the generic loop: {self.policy.name} cannot be compiled ({error})")
                    self._warn_once(str(error))
            if episode_ends is None:
                episode_ends = train_generic(binding, environment, reset_seed, callback, budget)
        except (EnvironmentFailureError, PolicyFailureError):
            # The environment has moved on without the learner: the next call starts a new episode.
            binding.begin_anew(self)
            raise
        ends = episode_ends
        return TrainingLog(
            returns=ends.returns,
            lengths=ends.lengths,
            terminated=ends.terminated,
            successes=rule.successes(ends.returns, ends.lengths, ends.terminated, ends.reported),
            success_rule=rule.as_used(ends.reported).description,
            steps=ends.steps,
            loop=ends.loop,
            seconds=time.perf_counter() - started - ends.compile_seconds,
            compile_seconds=ends.compile_seconds,
            seed=binding.seed,
            notes=tuple(notes),
            unfinished_return=binding.progress.unfinished_return,
        )

    def _compilable(self, environment: Any, loop: Loop, success: str | None, notes: list[str]) -> SampledModel | None:
        if isinstance(environment, SampledModel):
            return environment
        if loop == "generic":
            return None
        sampled = SampledModel.of(environment, success)
        if isinstance(sampled, str):
            if loop == "compiled":
                raise UnsupportedEnvironmentError(f"loop='compiled' is not possible: {sampled}")
            notes.append(f"ran in the generic loop: {sampled}")
            return None
        return sampled

    def _warn_once(self, reason: str) -> None:
        key = (type(self.policy), reason)
        if key not in _warned:
            _warned.add(key)
            warnings.warn(
                f"{self.policy.name} cannot be compiled and runs in the generic loop, "
                f"some hundred times slower: {reason}",
                stacklevel=3,
            )

    def act(self, observation: Any, *, explore: bool = False, action_mask: Any = None) -> Any:
        """Action for one observation, or actions for a batch (leading dimension).

        Greedy by default, changing nothing that training depends on; with `explore=True` the policy chooses.

        Args:
            observation: one or a batch.
            explore: as the policy explores.
            action_mask: one 0 or 1 an action (for a batch, a row each): which are available. Where masks are a function
                of the state (Taxi), the agent knows them itself.

        Raises:
            UnsupportedEnvironmentError: the agent honours masks, and this one is neither known nor given.
            EnvironmentFailureError: an observation is outside its space, or a mask is none.
        """
        binding = self._binding
        if action_mask is None and self.needs_action_mask:
            raise UnsupportedEnvironmentError(
                f"{self.name} honours action masks that are no function of the observation: "
                'give act that of the observation, action_mask=info["action_mask"]'
            )
        if binding.index.is_batch(observation):
            states = binding.index.index_batch(observation)
            masks = binding.masks_for(states, action_mask)
            if not explore:
                return self._greedy.act_in_all(states, masks)
            rows = [None] * len(states) if masks is None else masks
            chosen = [binding.explore(state, mask) for state, mask in zip(states.tolist(), rows, strict=True)]
            return np.array(chosen, dtype=np.int64) + binding.action_start
        state = binding.stepper.state_of(observation)
        mask = binding.mask_for(state, action_mask)
        return binding.explore(state, mask) + binding.action_start if explore else self._greedy.act_in(state, mask)

    @property
    def needs_action_mask(self) -> bool:
        return self.action_mask and self._bound is not None and self._bound.masks is None

    def act_with_info(self, observation: Any, info: dict[str, Any]) -> Any:
        mask = info.get("action_mask") if self.action_mask and isinstance(info, dict) else None
        return self.act(observation, action_mask=mask)

    def acting_generator(self) -> np.random.Generator | None:
        return self._binding.acting_rng

    @property
    def _greedy(self) -> GreedyTable:
        binding = self._binding
        return GreedyTable(self.action_values, binding.index, binding.action_start, self.ties, binding.acting_rng)

    def observe(
        self,
        observation: Any,
        action: Any,
        reward: float,
        next_observation: Any,
        terminated: bool,
        truncated: bool,
        *,
        action_mask: Any = None,
        next_action_mask: Any = None,
    ) -> None:
        """Learn from one transition of an environment that you step yourself, bound by an earlier `train`.

        The masks of the two observations are needed where `act` needs one; the second not if the episode terminated.

        Raises:
            EnvironmentFailureError: a value is not what an environment may return.
            UnsupportedEnvironmentError: masks are missing, or are given to an agent that honours none.
        """
        binding = self._binding
        stepper = binding.stepper
        if self.needs_action_mask and (action_mask is None or (next_action_mask is None and not terminated)):
            raise UnsupportedEnvironmentError(
                f"{self.name} honours action masks that are no function of the observation: "
                "give observe those of both observations, action_mask= and next_action_mask="
            )
        if not self.action_mask and not (action_mask is None and next_action_mask is None):
            raise UnsupportedEnvironmentError(f"{self.name} learns without action masks: make it with action_mask=True")
        stepper.state = stepper.state_of(observation)
        stepper.action = int(action) - binding.action_start
        with binding.given_masks(self.action_mask, action_mask, next_action_mask):
            try:
                stepper.observe(
                    next_observation,
                    read_reward(reward),
                    read_flag("terminated", terminated),
                    read_flag("truncated", truncated),
                )
            finally:
                stepper.pause()

    def greedy_probabilities(self) -> np.ndarray:
        """What `act` does without exploring: float64 (num_states, num_actions), ties as the policy breaks them.

        Raises:
            UnsupportedEnvironmentError: what it does depends on action masks that are no function of the observation.
        """
        if self.needs_action_mask:
            raise UnsupportedEnvironmentError(
                f"{self.name} honours action masks that are no function of the observation: what it does is no "
                "function of it either"
            )
        return greedy_probabilities(self.action_values, self.ties, self._binding.masks)

    def save(self, directory: str | Path) -> None:
        manifest, arrays = self._binding.to_storage()
        write_agent(directory, {"agent": to_data(self)} | manifest, arrays)

    def resume(self, env: gym.Env[Any, Any]) -> None:
        self._binding.resume(self, env)

    def _restore(self, manifest: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        self._bound = TabularBinding()
        self._bound.from_storage(self, manifest, arrays)
