"""A transition model together with the random stream that its environment would draw from."""

from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from velodrome.agents.engine.seeding import environment_generator
from velodrome.agents.errors import environment_label
from velodrome.envs.bandit import Bandit, reason_not_compiled
from velodrome.envs.model.model_sampling import reason_not_sampled_from_model
from velodrome.envs.model.transition_model import NoTransitionModelError, TransitionModel
from velodrome.envs.reward_kind import RewardKind, reward_kind_of
from velodrome.envs.success_rules import NOT_REPORTED, NOT_REPORTED_AT_GOAL, SuccessRule, success_rule


@dataclass(eq=False)
class SampledModel:
    """A transition model to learn on, in place of an environment.

    Attributes:
        model: outcomes of every state and action, initial distribution, time limit.
        generator: the environment's own PCG64 generator; the loop reads and advances it. None until an agent
            that is trained without an environment seeds it.
        rule: decides which episodes succeeded.
        label: name of the environment for messages.
        bandit: whose arms are pulled in place of the model, which then lists what they are expected to pay at first;
            None where the model says all. The loop changes it as its own steps would.
    """

    model: TransitionModel
    rule: SuccessRule
    label: str
    generator: np.random.Generator | None = None
    bandit: Bandit | None = None

    def reports(self, outcomes: np.ndarray) -> np.ndarray:
        """Success that episodes ending with these outcomes report, int8; see `report_of`."""
        if self.model.success is not None:
            return np.asarray(self.model.success[outcomes], dtype=np.int8)
        reports = np.full(len(outcomes), NOT_REPORTED, np.int8)
        if self.rule.goals:
            reports[np.isin(self.model.next_states[outcomes], self.rule.goals)] = NOT_REPORTED_AT_GOAL
        return reports

    @property
    def reward_kind(self) -> RewardKind:
        """What rewards can be."""
        return reward_kind_of(self.model) if self.bandit is None else self.bandit.reward_kind

    @property
    def present_model(self) -> TransitionModel:
        """The model as it is now: of a bandit, what its arms are expected to pay at the next pull."""
        return self.model if self.bandit is None else self.bandit.model_of_expected_rewards()

    def seed(self, seed: int) -> None:
        """Begin a stream, and with it fresh arms of a bandit, as `env.reset(seed=seed)` does."""
        self.generator = environment_generator(seed)
        if self.bandit is not None:
            self.bandit.start(self.generator)

    @classmethod
    def of_bandit(cls, env: gym.Env[Any, Any], success: str | None = None) -> "SampledModel | str":
        """A `Bandit` as it stands, or the reason why the compiled loop cannot pull its arms."""
        reason, bandit = reason_not_compiled(env), env.unwrapped
        if reason is not None:
            return reason
        assert isinstance(bandit, Bandit)
        rule, generator = success_rule(env, success), bandit.np_random
        return cls(bandit.model_of_expected_rewards(), rule, environment_label(env), generator, bandit)

    @classmethod
    def of(cls, env: gym.Env[Any, Any], success: str | None = None) -> "SampledModel | str":
        """The environment as a sampled model, or the reason why it cannot be one."""
        reason = reason_not_sampled_from_model(env)
        if reason is not None:
            return reason
        try:
            model = TransitionModel.of_known(env)
        except NoTransitionModelError as error:
            return str(error)
        return cls(
            model=model,
            generator=env.unwrapped.np_random,
            rule=success_rule(env, success),
            label=environment_label(env),
        )
