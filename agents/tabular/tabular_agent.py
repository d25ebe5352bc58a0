"""Tabular agents: what every learner with a table of action values shares."""

import time
import warnings
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import field
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from velodrome.agents.agent import Agent, Loop
from velodrome.agents.engine.compiled_training import Run, run_compiled_loop, run_together
from velodrome.agents.engine.compiler import NotCompilableError, is_ours
from velodrome.agents.engine.environment_answers import read_flag, read_reward
from velodrome.agents.engine.episode_ends import EpisodeEnds
from velodrome.agents.engine.interruption import counted_cpu_seconds, current_interruption
from velodrome.agents.engine.sampled_model import SampledModel
from velodrome.agents.engine.seeding import Streams
from velodrome.agents.errors import UnsupportedEnvironmentError, check_budget, environment_label
from velodrome.agents.tabular.greedy_table import greedy_probabilities
from velodrome.agents.tabular.known_masks import masks_of_model
from velodrome.agents.tabular.named_arguments import takes
from velodrome.agents.tabular.observation_index import ObservationIndex, index_observations
from velodrome.agents.tabular.tabular_learner import MASKS, TabularLearner, TabularTask
from velodrome.agents.training import Training
from velodrome.agents.training_log import TrainingLog
from velodrome.agents.unfit_spaces import actions_refused
from velodrome.checks import ConfigurationError, VelodromeError, check_number
from velodrome.envs.bandit import Bandit
from velodrome.envs.model.model_sampling import read_position, write_position, write_wrappers
from velodrome.envs.reward_kind import reward_kind_of
from velodrome.policies.epsilon_greedy import EpsilonGreedy
from velodrome.policies.policy import Policy
from velodrome.policies.schedules import Harmonic, Schedule, as_schedule

# Methods that agents do not call where they learn and act side by side.
_COMPILED_AWAY = ("new_learner", "run_training", "act", "act_with_info", "begin_episode")
_ANY_REWARD = (-np.inf, np.inf)
_warned: set[tuple[type, str]] = set()


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
    takes_batches: ClassVar[bool] = True
    keeps_table: ClassVar[bool] = True
    is_on_policy: ClassVar[bool] = False
    needs_next_parameter: ClassVar[bool] = False
    #: Array of the memory, of two dimensions, that the policy is shown in place of the visit counts.
    shown_counts: ClassVar[str] = "visit_counts"
    learner_class: ClassVar[type[TabularLearner]] = TabularLearner

    def __post_init__(self) -> None:
        check_number(f"{self.name}: discount", self.discount, 0.0, 1.0)
        # A schedule may anneal to 0; a constant 0 would never learn.
        is_number = not isinstance(self.learning_rate, Schedule)
        as_schedule(self.name, "learning_rate", self.learning_rate, 0.0, 1.0, open_low=is_number)
        check_number(f"{self.name}: initial_value", self.initial_value, -np.inf, np.inf)
        if not isinstance(self.policy, Policy):
            raise ConfigurationError(f"{self.name}: policy must be a policy, got {self.policy!r}")
        if self.policy.needs_sample_averages and self.learning_rate != Harmonic(clock="visits"):
            raise ConfigurationError(
                f"{self.name}: policy {self.policy} takes action values for means of N(s, a) rewards: write "
                f"bandit(policy={self.policy}), or give {self.name} the learning rate harmonic(clock='visits'), "
                f"got {self.learning_rate}"
            )
        if not isinstance(self.action_mask, bool):
            raise ConfigurationError(f"{self.name}: action_mask must be True or False, got {self.action_mask!r}")

    @property
    def result_version(self) -> int:
        # Until version 2 a mask that changed stayed in the table.
        return 2 if self.action_mask else 1

    @abstractmethod
    def new_memory(self, num_states: int, num_actions: int) -> Any:
        """Named tuple of the arrays that the learner keeps; `action_values` and `visit_counts` among them.

        The policy explores by `action_values`. Where greedy acting reads other values, they are `greedy_values`, of the
        same shape.

        Args:
            num_states: number of states, S.
            num_actions: number of actions, A.
        """

    def memory_for(self, task: TabularTask) -> Any:
        """A new memory for a task.

        Args:
            task: what `task_of` gave.
        """
        return self.new_memory(task.index.num_states, task.num_actions)

    def draw_memory(self, memory: Any, streams: Streams) -> None:
        """Fill in what a new memory holds at random, the same for the same seed (`streams.at`).

        Args:
            memory: what `new_memory` made; changed in place.
            streams: random streams of the agent.
        """

    @property
    @abstractmethod
    def update(self) -> Callable[..., None]:
        """Plain function that learns from one transition, for both loops.

        It takes what its formula needs, by these names: an array of the memory by its own, or `memory` for all;
        state, action, reward, next_state, terminated, ended (terminated or cut by a time limit), next_action (where
        the agent is on-policy), parameter (of the policy in the next state, where the agent needs it), learning_rate,
        discount, rng, and mask and next_mask, the action masks of the two states, None for agents without. As long
        as it uses only what Numba compiles, the same source runs in plain Python and in the compiled loop.
        """

    @property
    def visits(self) -> Callable[..., int] | None:
        """Plain function that counts for the learning rate's "visits" clock; None where `visit_counts` does.

        It is called once a step, after the step was counted, with what it takes of the memory, state, action and rng.
        """
        return None

    @property
    def reward_range(self) -> tuple[float, float]:
        """Smallest and largest reward that the agent and its policy assume."""
        return self.policy.reward_range

    #: Ends the line that refuses rewards outside of this range.
    rewards_advice: ClassVar[str] = ""

    @property
    def assumes_rewards(self) -> bool:
        return self.reward_range != _ANY_REWARD

    def check_rewards(self, env: Any) -> None:
        """Refuse an environment that is known to pay what is outside of `reward_range`.

        Args:
            env: environment, or model.

        Raises:
            UnsupportedEnvironmentError: one line.
        """
        low, high = self.reward_range
        if not self.assumes_rewards:
            return
        kind = reward_kind_of(env)
        if kind.kind != "unknown" and not kind.is_within(low, high):
            label = env.label if isinstance(env, SampledModel) else environment_label(env)
            raise UnsupportedEnvironmentError(
                f"{self} assumes rewards in [{low:g}, {high:g}], but those of {label} are {kind}{self.rewards_advice}"
            )

    @property
    def honours_masks(self) -> bool:
        """Whether the update bootstraps from available actions alone."""
        return self.is_on_policy or takes(self.update, "next_mask") or not takes(self.update, "next_state")

    def value_tables(self) -> tuple[str, ...]:
        """Names of the arrays of action values among those of the memory."""
        return ("action_values",)

    def from_earlier_release(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Arrays as they are saved today, of an agent that an earlier release may have saved.

        Args:
            arrays: arrays that were saved, by name.
        """
        return arrays

    def forget_episode(self, memory: Any) -> None:
        """Drop from the memory what belongs to an unfinished episode.

        Args:
            memory: of the learner; changed in place.
        """

    def index_observations(self, env: gym.Env[Any, Any]) -> ObservationIndex:
        """How the observations of an environment are numbered.

        Args:
            env: a Gymnasium environment.

        Raises:
            UnsupportedEnvironmentError: the observation space is not finite.
        """
        return index_observations(env, self.name, is_wrapped=not self.acts_by_step)

    def task_of(self, env: Any) -> TabularTask:
        if isinstance(env, SampledModel):
            index = ObservationIndex(((env.model.num_states, 0),), 0)
            task = TabularTask(index, env.model.num_actions, 0)
        else:
            actions = env.action_space
            if not isinstance(actions, spaces.Discrete):
                raise UnsupportedEnvironmentError(actions_refused(self.name, actions, environment_label(env)))
            task = TabularTask(self.index_observations(env), int(actions.n), int(actions.start))
        self.check_rewards(env)
        if self.action_mask:
            masks_of_model(env)
            if not self.honours_masks:
                raise UnsupportedEnvironmentError(
                    f"{self.name} cannot honour action masks: its update function must take next_mask, and bootstrap "
                    "from the actions that it allows"
                )
        return task

    def task_after(self, learnt: TabularTask, task: TabularTask, label: str) -> TabularTask:
        if not task.fits(learnt):
            raise UnsupportedEnvironmentError(
                f"{self.name} was trained with {learnt}, but {label} has {task.index.num_states} and {task.num_actions}"
            )
        return task

    def task_from_data(self, entries: dict[str, Any], arrays: dict[str, np.ndarray]) -> TabularTask:
        task = TabularTask.from_data(entries)
        # Before a table is made as large as the manifest says.
        if task.index.num_states * task.num_actions > max(array.size for array in arrays.values()):
            raise ValueError(f"no array has a value for each of {task.index.num_states} x {task.num_actions} pairs")
        return task

    def new_learner(self, task: TabularTask, streams: Streams) -> TabularLearner:
        memory = self.memory_for(task)
        self.draw_memory(memory, streams)
        return self.learner_class(
            name=self.name,
            task=task,
            memory=memory,
            streams=streams,
            policy=self.policy,
            learn=self.update,
            visits_of=self.visits,
            forget=self.forget_episode,
            learning_rate=self.learning_rate,
            discount=float(self.discount),
            has_masks=self.action_mask,
            is_on_policy=self.is_on_policy,
            needs_next_parameter=self.needs_next_parameter,
            shown_counts=self.shown_counts,
            reward_range=self.reward_range,
            # For a message about rewards, and long in the making.
            expression=str(self) if self.assumes_rewards else self.name,
            rewards_advice=self.rewards_advice,
        )

    @property
    def trains_side_by_side(self) -> bool:
        # What a class of the user's own does otherwise is not in the compiled step.
        is_plain = not self.action_mask and self.shown_counts == "visit_counts" and not self.assumes_rewards
        return is_plain and all(getattr(type(self), name) is getattr(TabularAgent, name) for name in _COMPILED_AWAY)

    @property
    def runs_on_model(self) -> bool:
        return True

    def plan_loop(self, loop: Loop, env: Any, success: str | None, notes: list[str]) -> SampledModel | None:
        if isinstance(env, SampledModel):
            return env
        if loop == "generic":
            return None
        is_bandit = isinstance(env.unwrapped, Bandit)
        sampled = SampledModel.of_bandit(env, success) if is_bandit else SampledModel.of(env, success)
        if isinstance(sampled, str):
            if loop == "compiled":
                raise UnsupportedEnvironmentError(f"loop='compiled' is not possible: {sampled}")
            notes.append(f"ran in the generic loop: {sampled}")
            return None
        return sampled

    def run_training(self, training: Training) -> EpisodeEnds:
        if training.plan is not None:
            try:
                return self._run_compiled(training, training.plan)
            except NotCompilableError as error:
                if isinstance(training.environment, SampledModel):
                    raise
                if training.loop == "compiled":
                    message = f"{self.policy.name} cannot be compiled: {error}"
                    raise UnsupportedEnvironmentError(message) from None
                training.plan = None
                training.notes.append(f"ran in the generic loop: {self.policy.name} cannot be compiled ({error})")
                self._warn_once(str(error))
        return super().run_training(training)

    def _run_compiled(self, training: Training, sampled: SampledModel) -> EpisodeEnds:
        """Run on the model; a real environment is left as if it had been stepped all along."""
        learner, progress, environment = self.learner, training.binding.progress, training.environment
        is_real = environment is not sampled
        if training.reset_seed is not None:
            if is_real:
                environment.reset(seed=training.reset_seed)
                is_bandit = sampled.bandit is not None
                learner.present_state, learner.next_action = 0 if is_bandit else read_position(environment).state, -1
                progress.in_episode, progress.episode_length, progress.episode_return = True, 0, 0.0
                # The seeded reset gave the environment a new generator.
                sampled.generator = environment.unwrapped.np_random
            else:
                sampled.seed(training.reset_seed)
            training.reset_seed = None
        run = Run(sampled, learner, progress)
        ends = run_compiled_loop(run, episodes=training.episodes_now, steps=training.steps_now)
        if is_real and sampled.bandit is not None:
            write_wrappers(environment, progress.episode_length)
        elif is_real:
            write_position(environment, learner.present_state, progress.episode_length, None)
        return ends

    @property
    def trains_together(self) -> bool:
        """Whether several of its kind can be trained by `train_together`: all of its code is the package's.

        Code of a user's own may raise, which would end the training of the others.
        """
        functions: tuple[Callable[..., Any] | None, ...] = (self.policy.select, self.update, self.visits)
        is_own_class = type(self).__module__.startswith("velodrome.")
        return is_own_class and all(function is None or is_ours(function) for function in functions)

    @staticmethod
    def train_together(
        agents: Sequence["TabularAgent"],
        models: Sequence[SampledModel],
        seeds: Sequence[int],
        *,
        episodes: int | None,
        steps: int | None,
    ) -> list[TrainingLog | VelodromeError]:
        """Train agents of one configuration that have learnt nothing yet, each on a model of its own with its own seed.

        Each is trained as `train` trains it, bit for bit, or has the error that `train` would raise.

        Args:
            agents: that say `trains_together`.
            models: the same model for each.
            seeds: of each.
            episodes: to finish, each, or None.
            steps: to take, each, or None.

        Raises:
            BudgetError, NotCompilableError, TrainingInterruptedError, UnsupportedEnvironmentError: see `train`.
        """
        episodes, steps = check_budget(episodes, steps)
        started, cpu_started = time.perf_counter(), counted_cpu_seconds()
        trainings, runs = [], []
        for agent, sampled, seed in zip(agents, models, seeds, strict=True):
            training = Training("auto")
            agent._enter(training, sampled, seed, None, episodes=episodes, steps=steps, epochs=None)
            training.aim()
            assert training.reset_seed is not None
            sampled.seed(training.reset_seed)
            trainings.append(training)
            runs.append(Run(sampled, agent.learner, training.binding.progress))
        interruption = current_interruption()
        if interruption is not None:
            interruption.begins(episodes, steps, len(runs))
        parts = run_together(runs, episodes=episodes, steps=steps)
        all_steps = sum(part.steps for part in parts if isinstance(part, EpisodeEnds))
        ended, cpu_seconds = time.perf_counter(), counted_cpu_seconds() - cpu_started
        logs: list[TrainingLog | VelodromeError] = []
        for agent, training, part in zip(agents, trainings, parts, strict=True):
            if isinstance(part, EpisodeEnds):
                # Its share of the time.
                seconds = (ended - started - part.compile_seconds) * part.steps / max(all_steps, 1)
                training.started = time.perf_counter() - part.compile_seconds - seconds
                training.cpu_started = counted_cpu_seconds() - cpu_seconds * part.steps / max(all_steps, 1)
                training.add(part, agent)
                logs.append(training.log())
            else:
                training.binding.forget_episode()
                logs.append(part)
        return logs

    def _warn_once(self, reason: str) -> None:
        key = (type(self.policy), reason)
        if key not in _warned:
            _warned.add(key)
            warnings.warn(
                f"{self.policy.name} cannot be compiled and runs in the generic loop, "
                f"some hundred times slower: {reason}",
                stacklevel=4,
            )

    @property
    def ties(self) -> str:
        """How ties are broken when acting greedily: the policy's `ties`, at random for a policy without."""
        return str(getattr(self.policy, "ties", "random"))

    @property
    def action_values(self) -> np.ndarray:
        """Action values float64 (num_states, num_actions), the live array."""
        values: np.ndarray = self.learner.greedy_values
        return values

    @property
    def visit_counts(self) -> np.ndarray:
        """How often each action was taken in each state, int64 (num_states, num_actions), the live array."""
        counts: np.ndarray = self.learner.memory.visit_counts
        return counts

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
        learner = self.learner
        if action_mask is None and self.needs_action_mask:
            raise UnsupportedEnvironmentError(
                f"{self.name} honours action masks that are no function of the observation: "
                'give act that of the observation, action_mask=info["action_mask"]'
            )
        index, known = learner.task.index, learner.action_masks
        if index.is_batch(observation):
            states = index.index_batch(observation)
            masks = known.masks_for(states, action_mask)
            if not explore:
                return learner.greedy.act_in_all(states, masks)
            rows = [None] * len(states) if masks is None else masks
            chosen = [learner.explore_from(state, mask) for state, mask in zip(states.tolist(), rows, strict=True)]
            return np.array(chosen, dtype=np.int64)
        state = learner.state_of(observation)
        mask = known.mask_for(state, action_mask)
        return learner.explore_from(state, mask) if explore else learner.greedy.act_in(state, mask)

    @property
    def needs_action_mask(self) -> bool:
        return self.action_mask and self.is_trained and self.learner.action_masks.by_state is None

    def act_with_info(self, observation: Any, info: dict[str, Any]) -> Any:
        mask = info.get("action_mask") if self.action_mask and isinstance(info, dict) else None
        return self.act(observation, action_mask=mask)

    def acting_generator(self) -> np.random.Generator:
        generator: np.random.Generator = self.binding.streams.generator("acting")
        return generator

    def action_probabilities(self, observations: Any) -> np.ndarray | None:
        if self.needs_action_mask:
            return None
        learner = self.learner
        states, masks = learner.task.index.index_batch(observations), learner.action_masks.by_state
        values = learner.greedy_values[states]
        return greedy_probabilities(values, self.ties, None if masks is None else masks[states])

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

        Args:
            observation: before the action.
            action: that was taken.
            reward: that followed.
            next_observation: that followed.
            terminated: whether the episode ended there.
            truncated: whether a limit cut it there.
            action_mask: of the actions in `observation`, int8 (A,).
            next_action_mask: of those in `next_observation`, likewise.

        Raises:
            EnvironmentFailureError: a value is not what an environment may return.
            UnsupportedEnvironmentError: masks are missing, or are given to an agent that honours none.
        """
        learner = self.learner
        if self.needs_action_mask and (action_mask is None or (next_action_mask is None and not terminated)):
            raise UnsupportedEnvironmentError(
                f"{self.name} honours action masks that are no function of the observation: "
                "give observe those of both observations, action_mask= and next_action_mask="
            )
        if not self.action_mask and not (action_mask is None and next_action_mask is None):
            raise UnsupportedEnvironmentError(f"{self.name} learns without action masks: make it with action_mask=True")
        learner.present_state = learner.state_of(observation)
        learner.action = int(action) - learner.task.action_start
        with learner.given_masks(action_mask, next_action_mask):
            learner.observe(
                next_observation,
                read_reward(reward),
                read_flag("terminated", terminated),
                read_flag("truncated", truncated),
            )

    def greedy_probabilities(self) -> np.ndarray:
        """Greedy policy in every state: float64 (num_states, num_actions), ties as the policy breaks them.

        Raises:
            UnsupportedEnvironmentError: what it does depends on action masks that are no function of the observation.
        """
        if self.needs_action_mask:
            raise UnsupportedEnvironmentError(
                f"{self.name} honours action masks that are no function of the observation: what it does is no "
                "function of it either"
            )
        return greedy_probabilities(self.action_values, self.ties, self.learner.action_masks.by_state)

    def set_state(self, entries: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        super().set_state(entries, self.readable(entries, arrays))

    def readable(self, entries: dict[str, Any], arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Saved arrays in today's form, which an earlier release may have saved.

        Args:
            entries: JSON-ready entries that were saved.
            arrays: arrays that were saved, by name.

        Raises:
            KeyError, ValueError: they cannot be brought into it.
        """
        arrays = self.from_earlier_release(arrays)
        if self.action_mask and MASKS not in entries:
            return _without_masks_in_tables(arrays, self.value_tables(), float(self.initial_value))
        return arrays


def _without_masks_in_tables(
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
