"""A transition model together with the random stream that its environment would draw from."""

from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from velodrome.agents.errors import environment_label
from velodrome.envs.model.model_sampling import reason_not_sampled_from_model
from velodrome.envs.model.transition_model import NoTransitionModelError, TransitionModel
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
    """

    model: TransitionModel
    rule: SuccessRule
    label: str
    generator: np.random.Generator | None = None

    def reports(self, outcomes: np.ndarray) -> np.ndarray:
        """Success that episodes ending with these outcomes report, int8; see `report_of`."""
        if self.model.success is not None:
            return np.asarray(self.model.success[outcomes], dtype=np.int8)
        reports = np.full(len(outcomes), NOT_REPORTED, np.int8)
        if self.rule.goals:
            reports[np.isin(self.model.next_states[outcomes], self.rule.goals)] = NOT_REPORTED_AT_GOAL
        return reports

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
