"""Linear contextual bandits: a ridge regression of rewards an arm, and ways to explore by what it does not know."""

from abc import abstractmethod
from dataclasses import field
from typing import Any, ClassVar

import numpy as np

from velodrome.agents.agent import Agent, Loop
from velodrome.agents.engine.episode_ends import EpisodeEnds
from velodrome.agents.engine.seeding import Streams
from velodrome.agents.errors import UnsupportedEnvironmentError, environment_label
from velodrome.agents.linear.arm_choices import ArmChoice, PolicyChoice, SampledChoice, UpperBoundChoice
from velodrome.agents.linear.context_features import ContextTask
from velodrome.agents.linear.ridge_learner import RidgeLearner
from velodrome.agents.tabular.greedy_table import greedy_actions, greedy_probabilities
from velodrome.agents.training import Training
from velodrome.checks import ConfigurationError, check_number
from velodrome.policies.epsilon_greedy import EpsilonGreedy
from velodrome.policies.policy import Policy
from velodrome.policies.schedules import Schedule, as_schedule
from velodrome.policies.ties import GREEDY
from velodrome.policies.ucb import UCB


class RidgeBandit(Agent):
    """What linear bandits share: the regressions, the features, and acting greedily on the estimates."""

    ridge: float = 1.0

    can_checkpoint: ClassVar[bool] = True
    takes_batches: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_number(f"{self.name}: ridge", self.ridge, 0.0, np.inf, open_low=True)

    @abstractmethod
    def arm_choice(self) -> ArmChoice:
        """How it explores."""

    @property
    def weights(self) -> np.ndarray:
        """Weights of each arm's regression, float64 (num_actions, num_features); of a Box the last is the constant."""
        weights: np.ndarray = self.learner.weights()
        return weights

    def expected_rewards(self, observations: Any) -> np.ndarray:
        """Estimated reward of every action, float64 (B, num_actions), for a batch of observations.

        Args:
            observations: a batch of observations, with a leading dimension.

        Raises:
            EnvironmentFailureError, ObservationError: not a batch of the environment's observations.
        """
        means: np.ndarray = self.learner.estimated(observations)[0]
        return means

    def uncertainties(self, observations: Any) -> np.ndarray:
        """√(xᵀ A⁻¹ x) of every action, float64 (B, num_actions): standard errors where the noise has deviation 1.

        Args:
            observations: a batch of observations, with a leading dimension.

        Raises:
            EnvironmentFailureError, ObservationError: not a batch of the environment's observations.
        """
        uncertainties: np.ndarray = self.learner.estimated(observations)[1]
        return uncertainties

    def exploration_probabilities(self, observations: Any) -> np.ndarray | None:
        """Probability of every action, exploring as training would now: float64 (B, num_actions).

        None where the policy's have no closed form.

        Args:
            observations: a batch of observations, with a leading dimension.
        """
        probabilities: np.ndarray | None = self.learner.exploration_probabilities(observations)
        return probabilities

    def task_of(self, env: Any) -> ContextTask:
        return ContextTask.of(self.name, env)

    def task_after(self, learnt: ContextTask, task: ContextTask, label: str) -> ContextTask:
        task = task.after(learnt)
        if not task.fits(learnt):
            raise UnsupportedEnvironmentError(
                f"{self.name} has learnt with {learnt}, but {label} has {task}, or other limits"
            )
        return task

    def task_from_data(self, entries: dict[str, Any], arrays: dict[str, np.ndarray]) -> ContextTask:
        task = ContextTask.from_data(entries)
        # Before factors are made, as many as the manifest says.
        if task.num_numbers != arrays["factors"].size:
            raise ValueError(f"array factors does not fit {task}")
        return task

    def new_learner(self, task: ContextTask, streams: Streams) -> RidgeLearner:
        return RidgeLearner(
            name=self.name, task=task, streams=streams, choice=self.arm_choice(), ridge=float(self.ridge)
        )

    def plan_loop(self, loop: Loop, env: Any, success: str | None, notes: list[str]) -> None:
        if loop == "compiled":
            raise UnsupportedEnvironmentError(
                f"loop='compiled' is not possible: {self.name} learns in the generic loop, by compiled arithmetic"
            )

    def run_training(self, training: Training) -> EpisodeEnds:
        ends = super().run_training(training)
        if training.binding.progress.in_episode or (ends.lengths > 1).any():
            label = environment_label(training.environment)
            note = f"learnt the reward of each step alone (discount 0), though episodes of {label} have several"
            if note not in training.notes:
                training.notes.append(note)
        return ends

    def act(self, observation: Any, *, explore: bool = False) -> Any:
        """Action for one observation, or actions for a batch (leading dimension).

        The largest estimate by default, changing nothing that training depends on; with `explore=True` as in training.

        Args:
            observation: one observation, or a batch with a leading dimension.
            explore: whether the policy chooses, as in training; else the greedy action.

        Raises:
            UnsupportedEnvironmentError: nothing was learnt yet.
            EnvironmentFailureError, ObservationError: an observation is outside its space, not finite, or of a shape
                that is neither that of one observation nor of a batch.
        """
        learner: RidgeLearner = self.learner
        start = learner.task.action_start
        is_batch = learner.task.is_batch(observation)
        if explore and is_batch:
            return np.array(learner.explored(observation), dtype=np.int64) + start
        if explore:
            return learner.explored_one(observation) + start
        ties, rng = learner.choice.ties, self.acting_generator()
        if is_batch:
            return greedy_actions(learner.action_values(observation), ties, rng) + start
        return GREEDY[ties](learner.estimated_of_one(observation).tolist(), rng) + start

    def acting_generator(self) -> np.random.Generator:
        return self.binding.streams.generator("acting")

    def action_probabilities(self, observations: Any) -> np.ndarray:
        learner: RidgeLearner = self.learner
        return greedy_probabilities(learner.action_values(observations), learner.choice.ties)


class LinearBandit(RidgeBandit):
    """A contextual bandit with a linear model an arm, and any policy: ε-greedy by default.

    The reward of each arm is estimated by a ridge regression on the observation; the policy chooses among these
    estimates, and the regression of the chosen arm learns from the reward that followed, at once and exactly. A Box's
    numbers are divided by its upper bound, or by the largest value of the images that are learnt from, and have a
    constant 1 beside them; of a finite observation each value of each part is a feature.

    Only the reward of the same step counts: in episodes of several steps it is an agent with discount 0.

    Args:
        policy: how to explore; it sees estimated rewards as action values, and no visit counts.
        ridge: λ > 0 of the regressions; small against the number of pulls it hardly matters.

    Raises:
        ConfigurationError: a parameter is out of range, or the policy needs visit counts.

    Source: Sutton & Barto (2018), section 2.9, associative search, with the least squares of section 9.8; the models
    are those of `LinUCB`.
    """

    policy: Policy = field(default_factory=EpsilonGreedy)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.policy, Policy):
            raise ConfigurationError(f"{self.name}: policy must be a policy, got {self.policy!r}")
        if isinstance(self.policy, UCB) or self.policy.schedule.clock == "visits":
            raise ConfigurationError(
                f"{self.name}: policy {self.policy} needs visit counts of a state, but a context is hardly met twice: "
                "take a policy without, and clock='episode' or 'step', or lin_ucb"
            )

    def arm_choice(self) -> ArmChoice:
        return PolicyChoice(self.policy)


class LinUCB(RidgeBandit):
    """LinUCB with disjoint arms: the arm whose estimated reward could be the largest.

    Beside the estimate x·θ of `LinearBandit` stands its uncertainty s = √(xᵀ A⁻¹ x), with A = λI + Σ x xᵀ over the
    contexts in which the arm was pulled. The arm with the largest x·θ + α s is pulled; ties are broken at random.

    Args:
        confidence: α of the paper, a number or schedule of at least 0, in units of the rewards' noise; 0 is greedy.
        ridge: λ > 0 of the regressions; the paper's is 1.

    Raises:
        ConfigurationError: a parameter is out of range.

    Source: Li, Chu, Langford & Schapire (2010), A contextual-bandit approach to personalized news article
    recommendation, algorithm 1.
    """

    confidence: float | Schedule = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_clock(self.name, "confidence", as_schedule(self.name, "confidence", self.confidence, 0.0, np.inf))

    def arm_choice(self) -> ArmChoice:
        schedule = as_schedule(self.name, "confidence", self.confidence, 0.0, np.inf)
        return UpperBoundChoice(schedule, f"{self.name}: confidence", (0.0, np.inf), "random")


class LinearThompson(RidgeBandit):
    """Linear Thompson sampling: weights are drawn from what is known of them, and the best arm for these is pulled.

    The weights of an arm have the distribution N(θ, v² A⁻¹), with θ and A of `LinUCB`: the posterior for a normal prior
    and normal noise of deviation v, with λ = 1. Of the weights drawn only their product with the context matters, which
    is normal with mean x·θ and deviation v s: one number an arm is drawn, from the same distribution.

    Args:
        scale: v of the paper, a number or schedule of at least 0, in units of the rewards: the deviation of their
            noise, where that is known; 0 is greedy.
        ridge: λ > 0 of the regressions; the paper's is 1.

    Raises:
        ConfigurationError: a parameter is out of range.

    Source: Agrawal & Goyal (2013), Thompson sampling for contextual bandits with linear payoffs, algorithm 1; with a
    regression an arm instead of one for all.
    """

    scale: float | Schedule = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_clock(self.name, "scale", as_schedule(self.name, "scale", self.scale, 0.0, np.inf))

    def arm_choice(self) -> ArmChoice:
        schedule = as_schedule(self.name, "scale", self.scale, 0.0, np.inf)
        return SampledChoice(schedule, f"{self.name}: scale", (0.0, np.inf), "random")


def _check_clock(name: str, parameter: str, schedule: Schedule) -> None:
    if schedule.clock == "visits":
        raise ConfigurationError(
            f"{name}: {parameter} {schedule} needs visit counts of a state, but a context is hardly met twice: "
            "take clock='episode' or 'step'"
        )
