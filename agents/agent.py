"""The contract of an agent: it learns with `train`, decides with `act`, and can be saved and loaded."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, dataclass_transform, final

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from velodrome.agents.engine.actions import read_action
from velodrome.agents.engine.environment_answers import shown
from velodrome.agents.engine.episode_ends import EpisodeEnds
from velodrome.agents.engine.generic_loop import Progress, run_generic_loop
from velodrome.agents.engine.interruption import current_interruption
from velodrome.agents.engine.sampled_model import SampledModel
from velodrome.agents.engine.seeding import Streams, check_seed, environment_seed, fresh_seed
from velodrome.agents.errors import (
    AgentFailureError,
    BudgetError,
    EnvironmentFailureError,
    PolicyFailureError,
    UnsupportedEnvironmentError,
    check_budget,
    check_budget_or_epochs,
    check_count,
    environment_label,
)
from velodrome.agents.evaluators import exact_evaluator
from velodrome.agents.own_learner import OwnLearner, called
from velodrome.agents.resuming.saving import SavedAgentError, read_agent, whole_number, write_agent
from velodrome.agents.snapshots import SnapshotTaker, check_snapshots, snapshot_moments
from velodrome.agents.stepwise import Learner, Spaces, StepwiseLearner
from velodrome.agents.training import (
    LOOPS,
    Binding,
    Callback as Callback,
    Evaluations,
    Loop as Loop,
    Moment as Moment,
    StopRule as StopRule,
    Training,
    Unit,
)
from velodrome.agents.training_log import TrainingLog
from velodrome.checks import ConfigurationError, check_choice
from velodrome.envs.make import make_environment
from velodrome.envs.success_rules import success_rule
from velodrome.policies.configuration import Configuration, from_data, full_name, parameters_of, to_data

# Gives numbers of an agent's greedy policy, by name, such as "return" and "success_rate".
Evaluator = Callable[["Agent"], Mapping[str, float]]


@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(field,))
class Agent(Configuration, ABC):
    """An agent: a configuration until `train` binds it to an environment, in which it learns.

    The annotated attributes of a subclass are its parameters, as those of a dataclass with keywords only.

    What `train` does, in short:

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

    `train`, `save`, `load` and `resume` stand here for all agents. What a kind of agents is made of are the methods
    that these call: `task_of` (what it learns on an environment), `new_learner` (all that is learnt, with its state),
    and `run_training`, which for agents that learn step by step stands here, too.
    """

    #: What it learns from: "steps" of an environment, labelled "examples", or the transition "model".
    learns_from: ClassVar[Literal["steps", "examples", "model"]] = "steps"
    #: Whether training can change what it does; an agent that it cannot needs no budget like that of others.
    learns: ClassVar[bool] = True
    can_checkpoint: ClassVar[bool] = False
    #: Whether it can be asked to `act`; one that cannot has no greedy policy, and evaluation nothing to ask.
    can_act: ClassVar[bool] = True
    #: Whether it keeps a table of states and actions, with the methods `index_observations` and `new_memory`.
    keeps_table: ClassVar[bool] = False
    #: Whether `act` takes several observations, in an array with a leading dimension, and gives as many actions.
    takes_batches: ClassVar[bool] = False
    #: Whether `act` depends on earlier observations of the episode; `begin_episode` forgets them.
    remembers_observations: ClassVar[bool] = False
    #: Whether it remembers nothing but how many steps an episode has had; see `action_probabilities_by_step`.
    acts_by_step: ClassVar[bool] = False

    # Whether a class makes its own `__init__`, and says by `_parameters` what was given to it.
    _has_own_parameters: ClassVar[bool] = False
    _bound: Binding | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in cls.__dict__ and "__dataclass_fields__" not in cls.__dict__ and not cls._has_own_parameters:
            raise TypeError(
                f"{cls.__name__}: the parameters of an agent are annotated attributes of its class, such as "
                "step_size: float = 0.1, and begin makes what is learnt; it has no __init__ of its own"
            )
        if cls.new_learner is Agent.new_learner and "can_checkpoint" not in cls.__dict__:
            cls.can_checkpoint = True
        written = {name: value for name, value in cls.__dict__.items() if isinstance(value, Field)}
        dataclass(kw_only=True, eq=False)(cls)
        for name, value in written.items():
            setattr(cls, name, _Written(cls, value))

    # -- training -----------------------------------------------------------------------------------------------

    @final
    def train(
        self,
        env: gym.Env[Any, Any] | SampledModel | str,
        *,
        episodes: int | None = None,
        steps: int | None = None,
        epochs: int | None = None,
        seed: int | None = None,
        loop: Loop = "auto",
        callback: Callback | None = None,
        callback_every: int = 100,
        evaluate_every: int | None = None,
        evaluator: Evaluator | None = None,
        stop_when: StopRule | None = None,
        snapshots: int | Sequence[int] | None = None,
        success: str | None = None,
    ) -> TrainingLog:
        """Learn from an environment for exactly `episodes` episodes, `steps` steps or `epochs` passes.

        A second call on the same environment continues where the first stopped, mid-episode too, unless a
        `seed` is given: then all random streams and the episode start anew, and what was learnt stays. The same id
        means the same environment again.

        Agents that learn from labelled examples count them as episodes, and their labels as steps. Planning agents
        need no budget: they learn from the environment's transition model.

        Args:
            env: a Gymnasium environment, or its id; for agents with `runs_on_model` also a model alone.
            episodes: number of episodes to finish, at least 1.
            steps: number of environment steps to take, at least 1.
            epochs: number of passes through labelled examples, at least 1.
            seed: seed of the environment's and the agent's streams; fresh entropy at first if None.
            loop: "compiled" needs an environment with a transition model, or, for a Q-network, one of classic control;
                "auto" uses it where it can.
            callback: called with a `Moment` every `callback_every` episodes; returning False stops.
            callback_every: in episodes.
            evaluate_every: evaluate the greedy policy whenever so many more episodes, steps or epochs, whichever the
                budget is in, have passed since the environment was entered; nothing of the training changes.
            evaluator: how to evaluate; exactly on the transition model if None, where that is known.
            stop_when: with `evaluate_every`, called after each evaluation with the episodes, steps or epochs since the
                environment was entered and the numbers, such as {"return": 0.2}; True ends the training there.
            snapshots: moments, spread evenly over the budget from before the training to its end, at which the action
                values of all states are kept, see `TrainingLog.snapshots`; or the moments themselves, in the unit of
                the budget since the environment was entered. Nothing of the training changes.
            success: rule that decides whether an episode succeeded, such as "return > 0" or "terminated".

        Raises:
            BudgetError: not exactly one positive budget, or one that cannot be kept exactly.
            UnsupportedEnvironmentError: the agent cannot handle the environment.
            EnvironmentFailureError: the environment raised or returned something that is not allowed.
            PolicyFailureError: the policy did.
            AgentFailureError: a method of the agent did.
        """
        if self.learns_from == "steps" and epochs is None:
            episodes, steps = check_budget(episodes, steps)
        elif self.learns_from != "model":
            episodes, steps, epochs = check_budget_or_epochs(episodes, steps, epochs)
        check_choice(f"{self.name}: loop", loop, LOOPS)
        callback_every = check_count("callback_every", callback_every)
        if evaluate_every is not None:
            evaluate_every = check_count("evaluate_every", evaluate_every)
        if snapshots is not None and not isinstance(snapshots, Sequence):
            snapshots = check_snapshots(snapshots)
        if seed is not None:
            seed = check_seed(seed)
        training = Training(loop, callback=callback, callback_every=None if callback is None else callback_every)
        self._enter(training, env, seed, success, episodes=episodes, steps=steps, epochs=epochs)
        if evaluate_every is not None and self.learns_from != "model":
            unit: Unit = "epoch" if epochs is not None else "episode" if steps is None else "step"
            self._plan_evaluations(training, unit, evaluate_every, evaluator, stop_when)
        interruption = current_interruption()
        if interruption is not None:
            interruption.begins(training.episodes, training.steps)
        try:
            if snapshots is not None:
                self._plan_snapshots(training, snapshots)
            while not training.is_over:
                training.aim()
                if training.add(self.run_training(training), self):
                    break
            if training.snapshots is not None and self.learns_from == "model":
                training.take_snapshot(self)
        except (EnvironmentFailureError, PolicyFailureError, AgentFailureError):
            # The environment has moved on without the learner: the next call starts a new episode.
            training.binding.forget_episode()
            raise
        return training.log()

    def _enter(
        self,
        training: Training,
        env: Any,
        seed: int | None,
        success: str | None,
        *,
        episodes: int | None,
        steps: int | None,
        epochs: int | None,
    ) -> None:
        """Bind the agent to an environment, or go on in it; nothing is bound where it is refused."""
        binding = self._bound
        environment_id = env if isinstance(env, str) else None
        if binding is not None and environment_id is not None and environment_id == binding.environment_id:
            environment = binding.environment
        else:
            environment = env if isinstance(env, gym.Env | SampledModel) else make_environment(env)
        is_known = binding is not None and environment is binding.environment
        if binding is not None and is_known:
            task, view = binding.task, binding.view
        else:
            view = self.view_of(environment)
            task = self._task_for(view)
        if self.learns_from != "model":
            training.episodes, training.steps = self.exact_budget(view, episodes=episodes, steps=steps, epochs=epochs)
        training.plan = self.plan_loop(training.loop, view, success, training.notes)
        if self.learns_from == "model":
            training.rule = None
        else:
            model = training.plan if isinstance(training.plan, SampledModel) else view
            training.rule = model.rule if isinstance(model, SampledModel) else success_rule(view, success)
        if binding is None:
            if seed is None:
                seed = 0 if self.learns_from == "model" else fresh_seed()
            streams = Streams(seed)
            binding = Binding(task, streams, self.new_learner(task, streams))
        elif seed is not None:
            binding.streams.restart(seed)
        if seed is not None or not is_known:
            binding.enter(task, environment, view)
            training.reset_seed = environment_seed(binding.streams.seed, index=binding.streams.environments - 1)
        binding.environment_id = environment_id
        training.binding = self._bound = binding

    def _task_for(self, view: Any) -> Any:
        """Task of an environment; where something was learnt, one for which that serves."""
        task = self.task_of(view)
        return task if self._bound is None else self.task_after(self._bound.task, task, _label(view))

    def _plan_evaluations(
        self, training: Training, unit: Unit, every: int, evaluator: Evaluator | None, stop_when: StopRule | None
    ) -> None:
        if not self.can_act:
            training.notes.append(f"was not evaluated along the training: {self.name} cannot act")
            return
        found = exact_evaluator(self, training.environment, training.rule) if evaluator is None else evaluator
        if isinstance(found, str):
            training.notes.append(f"was not evaluated along the training: {found}")
            return
        counts: dict[Unit, int | None] = {"episode": None, "step": None, "epoch": None}
        counts[unit] = every
        num_episodes, num_steps = self.exact_budget(
            training.environment, episodes=counts["episode"], steps=counts["step"], epochs=counts["epoch"]
        )
        training.evaluations = Evaluations(found, unit, every, num_episodes, num_steps, stop_when=stop_when)

    def _plan_snapshots(self, training: Training, snapshots: int | Sequence[int]) -> None:
        """Let snapshots be taken, the one before training now."""
        binding, is_in_steps = training.binding, training.steps is not None
        episode, step = binding.progress.episode - binding.first_episode, binding.progress.step - binding.first_step
        here = step if is_in_steps else episode
        if isinstance(snapshots, int):
            # An agent that learns from the model takes no steps: what it knows before and after is all there is.
            budget = 0 if self.learns_from == "model" else (training.steps or training.episodes or 0)
            snapshots = [here + moment for moment in snapshot_moments(budget, snapshots)]
        taker = SnapshotTaker.of(self, binding.environment, snapshots, is_in_steps)
        if isinstance(taker, str):
            training.notes.append(taker)
            return
        training.snapshots = taker
        if here in snapshots and self.learns_from != "model":
            training.take_snapshot(self)

    def exact_budget(
        self, env: Any, *, episodes: int | None, steps: int | None, epochs: int | None
    ) -> tuple[int | None, int | None]:
        """A budget of one of the three in episodes or steps.

        Args:
            env: the environment as the agent sees it, or a model.
            episodes: budget in episodes, None where it is in another unit.
            steps: likewise, in steps.
            epochs: likewise, in passes through labelled examples.

        Raises:
            BudgetError: it cannot be kept exactly.
        """
        if epochs is not None:
            raise BudgetError(
                f"epochs are passes through labelled examples, but {self.name} learns from steps: "
                "give episodes or steps"
            )
        return episodes, steps

    # -- what a kind of agents is made of -----------------------------------------------------------------------

    def view_of(self, env: Any) -> Any:
        """The environment as the agent sees it, from an environment or a model: itself, or a wrapper around it.

        Args:
            env: a Gymnasium environment, or a model where `runs_on_model`.

        Raises:
            UnsupportedEnvironmentError: the agent cannot handle the environment.
        """
        return env

    def task_of(self, env: Any) -> Any:
        """Task of an environment or a model: its spaces, as far as they matter to the agent.

        Args:
            env: a Gymnasium environment, or a model where `runs_on_model`.

        Raises:
            UnsupportedEnvironmentError: the agent cannot handle the environment; one line.
        """
        return Spaces.of(env)

    def task_after(self, learnt: Any, task: Any, label: str) -> Any:
        """The task of another environment, for an agent that has learnt one already.

        Args:
            learnt: task of the environment that was learnt.
            task: task of the other environment.
            label: name of the other environment, for messages.

        Raises:
            UnsupportedEnvironmentError: what was learnt is of no use there.
        """
        if task != learnt:
            raise UnsupportedEnvironmentError(f"{self.name} was trained on {learnt}, but {label} has {task}")
        return task

    def task_from_data(self, entries: dict[str, Any], arrays: dict[str, np.ndarray]) -> Any:
        """The task of a saved agent, from what its learner's `state` gave.

        Args:
            entries: JSON-ready entries that were saved.
            arrays: arrays that were saved, by name.

        Raises:
            KeyError, TypeError, ValueError: entries are missing or do not fit together.
        """
        return Spaces.from_data(entries["spaces"])

    def new_learner(self, task: Any, streams: Streams) -> Learner:
        """A learner that has learnt nothing yet; by default one that calls the agent's `begin`, `act` and `learn`.

        Args:
            task: what `task_of` gave.
            streams: random streams of the agent.
        """
        return OwnLearner(self, task, streams)

    def begin(self, observation_space: gym.Space[Any], action_space: gym.Space[Any], rng: np.random.Generator) -> None:
        """Make what is learnt, as attributes; called once, before the first episode. For agents of one's own.

        Args:
            observation_space: a copy of the environment's.
            action_space: likewise; what is drawn from it by `sample` comes from `rng`.
            rng: the agent's random stream.
        """

    def learn(
        self,
        observation: Any,
        action: Any,
        reward: float,
        next_observation: Any,
        terminated: bool,
        truncated: bool,
    ) -> None:
        """Learn from one step; called after each. For agents of one's own.

        Args:
            observation: in which the action was chosen.
            action: what `act` gave; an int of Discrete spaces, else an array.
            reward: of the step.
            next_observation: what followed.
            terminated: whether the episode is over, and nothing more can be earned.
            truncated: whether it was cut, such as by a time limit; more could have been earned.
        """

    def plan_loop(self, loop: Loop, env: Any, success: str | None, notes: list[str]) -> Any:
        """How `run_training` shall run, decided before anything is bound.

        Args:
            loop: that was asked for.
            env: the environment as the agent sees it, or a model.
            success: rule of the caller.
            notes: remarks for the log, to be added to.

        Raises:
            UnsupportedEnvironmentError: the loop that was asked for is not possible.
        """
        if loop == "compiled" and self.learns_from == "steps":
            raise UnsupportedEnvironmentError(
                f"loop='compiled' is not possible: {self.name} learns in the generic loop"
            )
        return None

    def run_training(self, training: Training) -> EpisodeEnds:
        """Learn until `training.episodes_now` episodes are finished or `training.steps_now` steps are taken.

        It is called again where training goes on: after a callback, after an evaluation, in the next call of `train`.
        An agent that learns in batches may end at the first batch that comes to the limit, within the budget.

        Args:
            training: this call of `train`: its budget, its loop, and where the next stop is.
        """
        binding = training.binding
        assert isinstance(binding.learner, StepwiseLearner)
        reset_seed, training.reset_seed = training.reset_seed, None
        return run_generic_loop(
            binding.learner,
            binding.view,
            binding.progress,
            episodes=training.episodes_now,
            steps=training.steps_now,
            first_reset_seed=None if binding.progress.in_episode else reset_seed,
            episodes_before=binding.progress.episode - binding.first_episode,
        )

    # -- what was learnt ----------------------------------------------------------------------------------------

    @property
    def is_trained(self) -> bool:
        """Whether it has been trained or loaded."""
        return self._bound is not None

    @property
    def binding(self) -> Binding:
        """Learner, streams and progress of the agent.

        Raises:
            UnsupportedEnvironmentError: it has not been trained or loaded yet.
        """
        if self._bound is None:
            raise UnsupportedEnvironmentError(f"{self.name} has not been trained or loaded yet: call train first")
        return self._bound

    @property
    def learner(self) -> Any:
        """The learner that `new_learner` gave, trained.

        Raises:
            UnsupportedEnvironmentError: it has not been trained or loaded yet.
        """
        return self.binding.learner

    @property
    def trains_side_by_side(self) -> bool:
        """Whether many of one configuration can be trained together by `train_side_by_side`."""
        return False

    @property
    def runs_on_model(self) -> bool:
        """Whether it can learn on a `SampledModel` alone, without an environment."""
        return False

    @property
    def assumes_rewards(self) -> bool:
        """Whether there are rewards for which it refuses an environment."""
        return False

    def check_environment(self, env: gym.Env[Any, Any]) -> None:
        """Refuse an environment in which the agent cannot learn; neither of the two changes.

        `train` refuses the same. Experiments ask before anything runs; an agent of your own need not override it.

        Args:
            env: a Gymnasium environment, or a model where `runs_on_model`.

        Raises:
            UnsupportedEnvironmentError: the agent cannot handle the environment; one line.
        """
        self._task_for(self.view_of(env))

    def check_steps(self, env: gym.Env[Any, Any], steps: int) -> None:
        """Refuse a budget of steps that `train` would refuse in an environment; most agents can stop at any step.

        Args:
            env: a Gymnasium environment, or a model where `runs_on_model`.
            steps: budget of environment steps.

        Raises:
            BudgetError: it cannot be kept exactly.
        """

    def episodes_per_epoch(self, num_examples: int) -> int:
        """Episodes of one pass through an environment's labelled examples: those that the agent does not hold out.

        Args:
            num_examples: of the environment.
        """
        return num_examples

    #: Distributions, by their names on the package index, whose versions decide results: part of the key of trials.
    packages: ClassVar[tuple[str, ...]] = ()

    def needed_packages(self) -> set[str]:
        """`packages`, and those of the agents among the parameters."""
        inner = [value.needed_packages() for value in parameters_of(self).values() if isinstance(value, Agent)]
        return set(self.packages).union(*inner)

    def named_code(self) -> dict[str, Any]:
        """Classes, functions and files that parameters name, by those names: part of the key of stored trials.

        Raises:
            VelodromeError: there is no such function or file.
        """
        return {}

    def check_repeatable(self) -> None:
        """Refuse to be trained again from what a store says, where the key does not say what would run.

        Raises:
            UnsupportedEnvironmentError: as with a program that is no file whose content is part of the key.
        """

    @property
    def result_version(self) -> int:
        """Version of what the same configuration, environment and seed give: part of the key of stored trials.

        An agent whose results change from one release to the next raises it, so that earlier ones are run again.
        """
        return 1

    # -- acting -------------------------------------------------------------------------------------------------

    @abstractmethod
    def act(self, observation: Any, *, explore: bool = False) -> Any:
        """Action for one observation, or actions for a batch (leading dimension).

        Greedy by default, changing nothing that training depends on; with `explore=True` the policy chooses.

        Args:
            observation: one observation, or a batch with a leading dimension.
            explore: whether the policy chooses, as in training; else the greedy action.
        """

    @property
    def needs_action_mask(self) -> bool:
        """Whether what `act` does depends on an action mask that is no function of the observation."""
        return False

    def act_with_info(self, observation: Any, info: dict[str, Any]) -> Any:
        """Greedy action for an observation and the `info` that came with it, from which action masks are taken.

        Loops that step an environment call it; for agents without masks it is `act`.

        Args:
            observation: one observation.
            info: as `reset` or `step` gave it.
        """
        return self.act(observation)

    @final
    def decide(self, observation: Any, info: dict[str, Any], action_space: gym.Space[Any]) -> Any:
        """`act_with_info` as an action of a space, from whatever form it was given in; see `read_action`.

        Args:
            observation: one observation.
            info: as `reset` or `step` gave it.
            action_space: of the environment.

        Raises:
            AgentFailureError: it is no such action; one line that names the agent's method.
        """
        method = f"{self.name}.act"
        return read_action(called(method, partial(self.act_with_info, observation, info)), action_space, method)

    def begin_episode(self) -> None:
        """Forget what was read of an episode: what `act` is asked next is the first observation of another one.

        Only agents that remember observations from act to act have something to forget. Evaluation calls it after
        each reset; call it too where you step an environment yourself.
        """
        return None

    @property
    def greedy_returns(self) -> np.ndarray | None:
        """Returns float64 (num_episodes,) of greedy episodes that an agent without `act` has played itself, or None."""
        return None

    @property
    def depends_on_episode(self) -> bool:
        """Whether what `act` does may depend on earlier observations: it says so, or has something to forget."""
        return self.remembers_observations or type(self).begin_episode is not Agent.begin_episode

    def acting_generator(self) -> np.random.Generator | None:
        """Stream that `act` draws from where it does not explore, such as for ties; None where it draws nothing."""
        return None

    def action_values_of(self, observations: Any) -> np.ndarray | None:
        """Action values float64 (batch, num_actions) of a batch of observations; None where the agent keeps none.

        Args:
            observations: a batch of observations, with a leading dimension.
        """
        return self.binding.learner.action_values(observations)

    def action_probabilities(self, observations: Any) -> np.ndarray | None:
        """The greedy policy: probabilities float64 (batch, num_actions) for a batch of observations.

        By default each observation has the one action that `act` gives for it.

        Returns None where what the agent does is no function of the observation alone.

        Args:
            observations: a batch of observations, with a leading dimension.

        Raises:
            AgentFailureError: `act` gives no action for each observation.
        """
        space = getattr(self.binding.task, "action_space", None)
        if self.needs_action_mask or self.remembers_observations or not isinstance(space, spaces.Discrete):
            return None
        method = f"{self.name}.act"
        if self.takes_batches:
            actions: Any = np.asarray(self.act(observations))
            if actions.shape != (len(observations),):
                raise AgentFailureError(f"{method} must give {len(observations)} actions, got {shown(actions)}")
        else:
            actions = [called(method, partial(self.act, observation)) for observation in observations]
        chosen = [read_action(action, space, method) - int(space.start) for action in actions]
        return np.eye(int(space.n))[chosen]

    def action_probabilities_by_step(self, observations: Any) -> np.ndarray:
        """The greedy policy of an agent that `acts_by_step`, float64 (horizon, batch, num_actions).

        After `horizon` steps of an episode it begins again with the first.

        Args:
            observations: a batch of observations, with a leading dimension.

        Raises:
            NotImplementedError: the agent does not act by step.
        """
        raise NotImplementedError(f"{self.name} does not act by step")

    # -- saving -------------------------------------------------------------------------------------------------

    @final
    def save(self, directory: str | Path) -> None:
        """Write the agent to `directory` as manifest.json and arrays.npz; nothing is pickled.

        Args:
            directory: folder, made if needed; an agent that was saved there is replaced in one step.

        Raises:
            UnsupportedEnvironmentError: it has not been trained or loaded yet.
            SavedAgentError: the folder cannot be written, or an array holds Python objects.
        """
        entries, arrays = self.state()
        write_agent(directory, {"agent": to_data(self)} | entries, arrays)

    @final
    def resume(self, env: gym.Env[Any, Any]) -> None:
        """Take `env`, made anew, for the environment in which training stopped at the end of an episode.

        The next `train` on it goes on there, instead of seeding it as a second environment of the agent.

        Args:
            env: environment of the same spaces, its random streams restored by the caller.

        Raises:
            UnsupportedEnvironmentError: the agent cannot be checkpointed, or `env` has other spaces.
        """
        if not self.can_checkpoint:
            raise UnsupportedEnvironmentError(f"{self.name} cannot go on in an environment made anew: no checkpoints")
        binding, view = self.binding, self.view_of(env)
        binding.enter(self._task_for(view), env, view, is_resumed=True)

    @final
    @classmethod
    def load(cls, directory: str | Path) -> Self:
        """Agent from a directory that `save` wrote; it continues exactly where the saved one stood.

        `Agent.load` accepts every class of agent, a subclass's `load` only its own. What a saved agent names of your
        own, a policy's class or a rule's function, is to be imported first; nothing is imported for it, and no function
        of other packages is called.

        Args:
            directory: folder that `save` wrote.

        Raises:
            SavedAgentError: files are missing, damaged, or not of this class of agent.
        """
        manifest, arrays = read_agent(directory)
        # Classes are found by their names once the room's face has loaded them.
        room = import_module("velodrome.agents")
        _ = [getattr(room, name) for name in room.__all__]
        try:
            data = manifest.get("agent")
            is_this = isinstance(data, dict) and data.get("name") == full_name(cls)
            agent: Agent = from_data(data, cls if is_this else Agent)  # type: ignore[type-abstract]
        except (ConfigurationError, TypeError) as error:
            raise SavedAgentError(f"{directory}: {error}") from None
        if not isinstance(agent, cls):
            raise SavedAgentError(f"{directory} holds a {agent.name} agent, not {cls.name}")
        try:
            agent.set_state(manifest, arrays)
        except (ConfigurationError, SavedAgentError) as error:
            raise SavedAgentError(f"{directory}: {error}") from None
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise SavedAgentError(f"the saved {agent.name} agent is not complete: {error}") from None
        return agent

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """JSON-ready entries and arrays of all that was learnt, with the streams and counts.

        Raises:
            UnsupportedEnvironmentError: it has not been trained or loaded yet.
        """
        return self.binding.state()

    def set_state(self, entries: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Take over what `state` gave, of this release or an earlier one.

        Args:
            entries: JSON-ready entries of `state`.
            arrays: arrays of `state`, by name.

        Raises:
            KeyError, TypeError, ValueError: something is missing or does not fit together.
        """
        task, streams = self.task_from_data(entries, arrays), Streams.from_state(entries)
        learner = self.new_learner(task, streams)
        learner.set_state(entries, arrays)
        counts = {"episode": 0, "step": 0, "first_episode": 0, "first_step": 0} | entries
        progress = Progress(episode=whole_number(counts, "episode"), step=whole_number(counts, "step"))
        self._bound = Binding(
            task, streams, learner, progress, whole_number(counts, "first_episode"), whole_number(counts, "first_step")
        )


class _Written:
    """A parameter as its class wrote it, for a class that is decorated as a dataclass all the same: a second time."""

    def __init__(self, owner: type, field: Field[Any]) -> None:
        self._owner, self._field = owner, field

    def __get__(self, instance: Any, owner: type) -> Any:
        # A subclass that writes the parameter anew without a default has none.
        if instance is None and owner is self._owner:
            return self._field
        if self._field.default is MISSING:
            raise AttributeError(self._field.name)
        return self._field.default


def _label(env: Any) -> str:
    return str(env.label) if isinstance(env, SampledModel) else environment_label(env)
