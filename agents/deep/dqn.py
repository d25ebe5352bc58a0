"""Deep Q-networks: Q-learning with a network, a replay and a target network."""

import dataclasses
from dataclasses import field
from typing import Any, ClassVar, Literal

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from velodrome.agents.agent import Agent
from velodrome.agents.deep.distributions import Distribution
from velodrome.agents.deep.keras_agent import KerasAgent
from velodrome.agents.deep.mlp import MLP
from velodrome.agents.deep.neural_classifier import NeuralClassifier, layers_of
from velodrome.agents.deep.q_learner import (
    ObservationReader,
    QLearner,
    QOptions,
    check_memory,
    is_readable,
    network_bytes,
    network_shape,
    network_task,
    replay_bytes,
)
from velodrome.agents.deep.q_training import (
    compiled_environment,
    is_worth_compiling,
    reason_other_learner,
    run_q_loop,
)
from velodrome.agents.engine.episode_ends import EpisodeEnds
from velodrome.agents.engine.sampled_model import SampledModel
from velodrome.agents.engine.seeding import Streams
from velodrome.agents.errors import UnsupportedEnvironmentError, environment_label
from velodrome.agents.stepwise import Spaces
from velodrome.agents.tabular.known_masks import masks_of_model
from velodrome.agents.training import Loop, Training
from velodrome.agents.unfit_spaces import actions_refused, observations_refused
from velodrome.checks import ConfigurationError, check_choice, check_flag, check_integer, check_number
from velodrome.envs.make import make_environment
from velodrome.policies.configuration import to_expression
from velodrome.policies.epsilon_greedy import EpsilonGreedy
from velodrome.policies.policy import Policy
from velodrome.policies.schedules import Linear, Schedule, as_schedule

Loss = Literal["squared", "huber"]
Scaling = Literal["running", "bounds", "none"]
Optimizer = Literal["adam", "sgd"]

# What a keras.Model says itself.
_OF_OWN_LAYERS = ("bias", "initial_weights", "dueling")


class DQN(Agent):
    """Deep Q-network: action values by a network, learnt from a replay, with a target network.

    After every `train_every` steps it makes `gradient_steps` steps of the optimizer, each on a batch that is drawn
    from the replay. The target of a step's action value is the discounted sum of the next `n_step` rewards and the
    value, by the target network, of the best action in the observation that followed them; after a termination there
    is none, after a truncation (a time limit) there is. Steps count environment steps throughout.

    Args:
        network: whose layers are taken: any neural classifier, such as `MLP(hidden=(64, 64))`, `SoftmaxRegression()`,
            which makes a linear network, or `PlainCNN()`; or a `keras.Model` that gives an action value an action, or
            a function that makes one. Options for learning from labels are refused.
        bias: whether the layers have biases.
        initial_weights: "fan_in": uniform within 1 / sqrt(inputs), biases too, as in PyTorch; "glorot":
            Glorot's uniform ones, biases 0, as in Keras; or a number: uniform from 0 to it, biases 0. A `keras.Model`
            has its own initialisers.
        policy: how to explore; it sees the network's action values, and no visit counts.
        discount: discount rate γ in [0, 1].
        learning_rate: of the optimizer, a number or a schedule on the clock "step" or "episode".
        optimizer: "adam" (as in Keras) or "sgd".
        max_gradient_norm: longer gradients of a batch are shortened to this norm; None leaves them.
        loss: mean over the batch of the "squared" error, or of Huber's, "huber": half the square up to 1, linear
            beyond.
        scaling: of observations: by their "running" mean and standard deviation, cut at 10; by the space's "bounds" to
            [-1, 1] where these are finite; or "none". Whole numbers are divided by their bounds unless it is "none".
        batch_size: steps that are learnt from at a time.
        replay: number of newest steps that are kept; 1 learns from the last step alone.
        learning_starts: steps taken at random before anything is learnt.
        train_every: steps between two times that it learns.
        gradient_steps: steps of the optimizer each time. Networks that learn in TensorFlow make up to 16 in one call,
            which costs little more than one; a prioritized replay takes their errors when all are made.
        target_every: steps between two times that the target network moves; None for no target network.
        target_rate: how far it moves towards the online network: 1 copies it; 0.005 with `target_every=1` averages.
        double: the online network chooses the action that the target network values (van Hasselt et al. 2016).
        dueling: the network estimates the state's value and the actions' advantages (Wang et al. 2016); both on the
            last hidden layer, without hidden layers of their own.
        n_step: rewards that a target sums (Sutton & Barto 2018, chapter 7). They are those of the actions that were
            explored, uncorrected: where chance matters, as on the slippery lake, more than 1 is wrong.
        prioritized: exponent of the priorities by which steps are drawn (Schaul et al. 2016); 0 draws uniformly.
        importance: exponent that corrects the losses for the priorities, in [0, 1], a number or a schedule.
        terminal_reward: reward that takes the place of the environment's where an episode terminates, in what is
            learnt, not in the log; None leaves it.
        action_mask: honour `info["action_mask"]`: actions it forbids are neither explored nor bootstrapped from. A
            mask may depend on more than the observation; then `act` must be given it, as `action_mask=`.
        noisy: all weights are means and deviations, and learnt; fresh Gaussian noise for each action and each batch
            makes the action values that are explored with. The policy explores besides, so that it should be
            `greedy`. Greedy actions are chosen by the means alone (Fortunato et al. 2018).
        distribution: of returns, `Quantile` or `Categorical`, that is learnt instead of action values, which are its
            means; None for none. It has a loss of its own, by which steps are prioritized, too.
        heads: networks that learn apart, each from its own steps, and of which one, drawn for each episode, acts; the
            policy explores besides, so that it should be `greedy`. Greedy actions are chosen by the mean of the heads'
            values (Osband et al. 2016).
        prior_scale: factor of the outputs of a network that never learns, which each of several heads has of its own
            and adds to its values (Osband et al. 2018).
        head_share: probability that a step is one that a head learns from, drawn for each of several heads.

    Raises:
        ConfigurationError: a parameter is out of range, or the policy needs visit counts.

    Source: Mnih et al. (2015), Human-level control through deep reinforcement learning; the defaults were chosen on
    CartPole. Deviations: 1. Adam instead of RMSProp, and no reward clipping; 2. dense layers, and observations scaled
    by running statistics; 3. the squared error with a limit on the gradient's norm, instead of clipped errors; 4.
    double Q-learning and 10-step returns; 5. n-step returns begin at every step of the replay, and are shorter at its
    newest ones; 6. heads share no layers, as in Osband et al. (2018); those of 2016 share convolutional ones.
    """

    # Any agent here, so that expressions may name one; `__post_init__` refuses those that are no classifiers.
    network: Agent | Any = field(default_factory=lambda: MLP(hidden=(64, 64)))
    bias: bool = True
    initial_weights: float | str = "fan_in"
    policy: Policy = field(default_factory=lambda: EpsilonGreedy(Linear(1.0, 0.05, 5_000, clock="step")))
    discount: float = 0.99
    learning_rate: float | Schedule = Linear(0.002, 0.0002, 40_000, clock="step")
    optimizer: Optimizer = "adam"
    max_gradient_norm: float | None = 10.0
    loss: Loss = "squared"
    scaling: Scaling = "running"
    batch_size: int = 64
    replay: int = 100_000
    learning_starts: int = 1_000
    train_every: int = 2
    gradient_steps: int = 1
    target_every: int | None = 250
    target_rate: float = 1.0
    double: bool = True
    dueling: bool = False
    n_step: int = 10
    prioritized: float = 0.0
    importance: float | Schedule = 0.4
    terminal_reward: float | None = None
    action_mask: bool = False
    noisy: bool = False
    distribution: Distribution | None = None
    heads: int = 1
    prior_scale: float = 3.0
    head_share: float = 0.5

    name: ClassVar[str] = "dqn"
    can_checkpoint: ClassVar[bool] = True
    takes_batches: ClassVar[bool] = True

    def __post_init__(self) -> None:
        name = self.name
        if not isinstance(self.network, Agent):
            self.network = self._keras_agent(self.network)
        layers_of(name, self.network)
        if isinstance(self.initial_weights, str):
            check_choice(f"{name}: initial_weights", self.initial_weights, ("fan_in", "glorot"))
        else:
            check_number(f"{name}: initial_weights", self.initial_weights, 0.0)
        if not isinstance(self.policy, Policy):
            raise ConfigurationError(f"{name}: policy must be a policy, got {self.policy!r}")
        if self.policy.reads_visit_counts or self.policy.schedule.clock == "visits":
            raise ConfigurationError(
                f"{name}: policy {self.policy} needs visit counts of a state, and a network keeps none: "
                "take a policy without, and clock='episode' or 'step'"
            )
        check_number(f"{name}: discount", self.discount, 0.0, 1.0)
        self._check_schedule("learning_rate", self.learning_rate, np.inf)
        check_choice(f"{name}: optimizer", self.optimizer, ("adam", "sgd"))
        if self.max_gradient_norm is not None:
            check_number(f"{name}: max_gradient_norm", self.max_gradient_norm, 0.0, open_low=True)
        check_choice(f"{name}: loss", self.loss, ("squared", "huber"))
        check_choice(f"{name}: scaling", self.scaling, ("running", "bounds", "none"))
        for count in ("batch_size", "replay", "train_every", "gradient_steps", "n_step"):
            check_integer(f"{name}: {count}", getattr(self, count), minimum=1)
        if self.batch_size > self.replay:
            raise ConfigurationError(
                f"{name}: batch_size={self.batch_size} is more than the replay can hold, replay={self.replay}"
            )
        check_integer(f"{name}: learning_starts", self.learning_starts, minimum=0)
        if self.target_every is not None:
            check_integer(f"{name}: target_every", self.target_every, minimum=1)
        check_number(f"{name}: target_rate", self.target_rate, 0.0, 1.0, open_low=True)
        for flag in ("bias", "double", "dueling", "action_mask", "noisy"):
            check_flag(f"{name}: {flag}", getattr(self, flag))
        check_number(f"{name}: prioritized", self.prioritized, 0.0)
        self._check_schedule("importance", self.importance, 1.0)
        if self.terminal_reward is not None:
            check_number(f"{name}: terminal_reward", self.terminal_reward)
        if isinstance(self.network, KerasAgent):
            for option in dataclasses.fields(self):
                if option.name in _OF_OWN_LAYERS and getattr(self, option.name) != option.default:
                    raise ConfigurationError(
                        f"{name}: {option.name}={to_expression(getattr(self, option.name))} is for layers of ours: "
                        f"a keras.Model gives the action values as they are, leave it at {option.default!r}"
                    )
        self._check_heads()

    def _keras_agent(self, network: Any) -> KerasAgent:
        """A model of the user's, or a function that makes one, as an agent."""
        if not callable(network):
            raise ConfigurationError(
                f"{self.name}: network must be a neural classifier such as mlp(hidden=[64, 64]), or a keras.Model, "
                f"got {network!r}"
            )
        return KerasAgent(model=network)

    def _check_heads(self) -> None:
        name = self.name
        if self.distribution is not None and not isinstance(self.distribution, Distribution):
            raise ConfigurationError(
                f"{name}: distribution must be quantile(), categorical(low, high) or None, got {self.distribution!r}"
            )
        if self.distribution is not None and self.loss != "squared":
            raise ConfigurationError(
                f"{name}: loss={self.loss!r} is one of action values, and {self.distribution} has its own: "
                "leave one of them out"
            )
        check_integer(f"{name}: heads", self.heads, minimum=1)
        check_number(f"{name}: prior_scale", self.prior_scale, 0.0)
        check_number(f"{name}: head_share", self.head_share, 0.0, 1.0, open_low=True)
        if self.heads > 1 and (self.noisy or self.distribution is not None):
            other = "noisy=True" if self.noisy else f"distribution={self.distribution}"
            raise ConfigurationError(f"{name}: heads={self.heads} and {other} do not combine: take one of them")
        if self._options.is_headed and self._classifier.rectified_layers is None:
            raise ConfigurationError(
                f"{name}: noisy, distribution and heads are for dense networks such as mlp(hidden=[64, 64]), "
                f"got network={to_expression(self.network)}"
            )

    def _check_schedule(self, parameter: str, value: Any, high: float) -> None:
        schedule = as_schedule(self.name, parameter, value, 0.0, high)
        if schedule.clock == "visits":
            raise ConfigurationError(
                f"{self.name}: {parameter} {schedule} counts visits of a state, and a network keeps none: "
                "take clock='episode' or 'step'"
            )

    @property
    def _classifier(self) -> NeuralClassifier:
        assert isinstance(self.network, NeuralClassifier)
        return self.network

    @property
    def _options(self) -> QOptions:
        parameters = {option.name: getattr(self, option.name) for option in dataclasses.fields(QOptions)}
        return QOptions(**parameters)

    def task_of(self, env: Any) -> Spaces:
        task = Spaces.of(env)
        label, actions = environment_label(env), task.action_space
        if not isinstance(actions, spaces.Discrete):
            raise UnsupportedEnvironmentError(actions_refused(self.name, actions, label))
        if not is_readable(task.observation_space):
            raise UnsupportedEnvironmentError(
                observations_refused(self.name, task.observation_space, label, "a numerical", is_readable)
            )
        reader, options = ObservationReader(task.observation_space), self._options
        seen = network_task(options, task, reader)
        self._classifier.check_task(seen, label)
        if isinstance(self.network, KerasAgent):
            # Only Keras knows what it gives.
            self._classifier._network(seen)
        check_memory(options, task, reader)
        if self.action_mask:
            masks_of_model(env)
        return task

    def needed_packages(self) -> set[str]:
        # The compiled kernels need none.
        return set() if self._classifier.rectified_layers is not None else super().needed_packages()

    def new_learner(self, task: Spaces, streams: Streams) -> QLearner:
        return QLearner(self._options, task, streams)

    def run_training(self, training: Training) -> EpisodeEnds:
        learner = self.learner
        if not training.parts:
            learner.points.clear()
        ends = self._run_compiled(training) or super().run_training(training)
        return dataclasses.replace(ends, compile_seconds=ends.compile_seconds + learner.take_compile_seconds())

    def plan_loop(self, loop: Loop, env: Any, success: str | None, notes: list[str]) -> Any:
        if loop != "compiled":
            # Whether "auto" is worth compiling depends on the budget.
            return None
        place = self._compiled_place(env, success)
        if isinstance(place, str):
            raise UnsupportedEnvironmentError(f"loop='compiled' is not possible: {place}")
        return place

    def _compiled_place(self, env: Any, success: str | None = None) -> Any:
        """What the compiled loop steps in place of an environment, or the reason why it cannot."""
        return "its class is your own" if type(self) is not DQN else compiled_environment(self._options, env, success)

    def _run_compiled(self, training: Training) -> EpisodeEnds | None:
        """Run in the compiled loop; None where the generic one is to run."""
        binding, learner = training.binding, self.learner
        if training.loop == "generic" or (training.loop == "auto" and not is_worth_compiling(training)):
            return None
        place = training.plan
        if place is None:
            place = self._compiled_place(binding.view)
            if isinstance(place, SampledModel):
                assert training.rule is not None
                place.rule = training.rule
            # What was asked for in vain is not asked for again by the next part.
            training.plan = place
        reason = place if isinstance(place, str) else reason_other_learner(learner)
        if reason is not None:
            if training.loop == "compiled":
                raise UnsupportedEnvironmentError(f"loop='compiled' is not possible: {reason}")
            return None
        reset_seed, training.reset_seed = training.reset_seed, None
        return run_q_loop(
            learner,
            place,
            binding.view,
            binding.progress,
            episodes=training.episodes_now,
            steps=training.steps_now,
            first_reset_seed=None if binding.progress.in_episode else reset_seed,
            episodes_before=binding.progress.episode - binding.first_episode,
        )

    @property
    def action_values(self) -> np.ndarray | None:
        """Action values float64 (num_states, num_actions) of all observations of a Discrete space; else None."""
        space = self.learner.task.observation_space
        if not isinstance(space, spaces.Discrete):
            return None
        values: np.ndarray = self.learner.action_values(np.arange(space.start, space.start + space.n))
        return values

    @property
    def needs_action_mask(self) -> bool:
        return self.action_mask and self.is_trained and self.learner.action_masks.by_state is None

    def act_with_info(self, observation: Any, info: dict[str, Any]) -> Any:
        mask = info.get("action_mask") if self.action_mask and isinstance(info, dict) else None
        return self.act(observation, action_mask=mask)

    def act(self, observation: Any, *, explore: bool = False, action_mask: Any = None) -> Any:
        """Action for one observation, or actions for a batch (leading dimension).

        Greedy by default, of several best actions the first; with `explore=True` the policy chooses.

        Args:
            observation: one or a batch.
            explore: as the policy explores.
            action_mask: one 0 or 1 an action (for a batch, a row each): which are available. Where masks are a function
                of the state (Taxi), the agent knows them itself.

        Raises:
            ObservationError: the shape is neither that of one observation nor of a batch, or it is none of the space.
            UnsupportedEnvironmentError: the agent honours masks, and this one is neither known nor given.
        """
        learner = self.learner
        if action_mask is None and self.needs_action_mask:
            raise UnsupportedEnvironmentError(
                f"{self.name} honours action masks that are no function of the observation: "
                'give act that of the observation, action_mask=info["action_mask"]'
            )
        reader: ObservationReader = learner.reader
        if not explore and not self.action_mask and reader.is_plainly_one(observation):
            return learner.greedy_action(reader.row(observation))
        is_batch = reader.is_batch(observation)
        rows = reader.read_batch(observation) if is_batch else reader.row(observation)[np.newaxis]
        values = learner.exploring_values(rows) if explore else learner.network.values(rows, learner.scale)
        masks = None
        if self.action_mask:
            states = rows[:, 0].astype(np.int64) if reader.is_symbol else np.zeros(len(rows), np.int64)
            given = action_mask if is_batch or action_mask is None else [action_mask]
            masks = learner.action_masks.masks_for(states, given)
        start = int(learner.task.action_space.start)
        if explore:
            chosen = [
                learner.explore(row, None if masks is None else masks[number]) for number, row in enumerate(values)
            ]
            learner.pause()
            actions = np.array(chosen, dtype=np.int64) + start
        else:
            if masks is not None:
                values = np.where(masks, values, -np.inf)
            actions = np.argmax(values, axis=1) + start
        return actions if is_batch else int(actions[0])

    def describe(self, env: gym.Env[Any, Any] | str | None = None) -> str:
        """The network's layers, one a line, and how large the replay is, in memory and in a checkpoint.

        Args:
            env: environment, or its id; that of the training if None.
        """
        if env is None:
            task = self.learner.task
        else:
            task = self.task_of(make_environment(env) if isinstance(env, str) else env)
        options, reader = self._options, ObservationReader(task.observation_space)
        shape = network_shape(options, task, reader)
        lines, num_weights = shape.describe(), shape.num_weights
        classifier = self._classifier
        if classifier.rectified_layers is None:
            seen = network_task(options, task, reader)
            lines, num_weights = [classifier._describe(seen)], classifier._network(seen).model.count_params()
        memory = replay_bytes(options, task, reader)
        # A checkpoint has each observation once; and the networks with the optimiser's moments.
        kept = (
            memory - self.replay * reader.size * np.dtype(reader.dtype).itemsize + network_bytes(options, num_weights)
        )
        line = (
            f"replay: {self.replay:,} steps, {memory / 2**20:,.1f} MiB in memory; "
            f"a checkpoint has up to {kept / 2**20:,.1f} MiB before it is compressed"
        )
        if self.noisy:
            lines.append("noisy: as many deviations")
        if self.heads > 1:
            lines.append(f"heads: {self.heads} such networks, and as many priors")
        return "\n".join([*lines, line])
