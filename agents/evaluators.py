"""Evaluation of an agent along its training, where the harness brings none: exact, on the transition model."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from velodrome.agents.engine.sampled_model import SampledModel
from velodrome.agents.planning.dynamic_programming import evaluate_policy
from velodrome.envs.bandit import Bandit
from velodrome.envs.success_rules import SuccessRule


def exact_evaluator(agent: Any, env: Any, rule: SuccessRule | None) -> Callable[[Any], Mapping[str, float]] | str:
    """Function that computes "return" and "success_rate" of the greedy policy on the model, or why there is none.

    Args:
        agent: that is trained.
        env: the environment as the agent sees it, or a model.
        rule: decides which episodes succeed.
    """
    sampled: SampledModel | str
    if isinstance(env, SampledModel):
        sampled = env
    else:
        sampled = SampledModel.of_bandit(env) if isinstance(env.unwrapped, Bandit) else SampledModel.of(env)
    if isinstance(sampled, str):
        return sampled
    if agent.needs_action_mask or (agent.remembers_observations and not agent.acts_by_step):
        return f"what {agent.name} does is no function of the observation"
    model = sampled.model
    space = None if isinstance(env, SampledModel) else env.observation_space
    start = int(space.start) if isinstance(space, spaces.Discrete) else 0
    observations = np.arange(start, start + model.num_states)

    def evaluate(agent: Any) -> Mapping[str, float]:
        model = sampled.present_model
        success = None if rule is None else rule.success_outcomes(model)
        asked = agent.action_probabilities_by_step if agent.acts_by_step else agent.action_probabilities
        policy = asked(observations)
        value = evaluate_policy(model, policy, success)
        rate = {} if value.success_rate is None else {"success_rate": value.success_rate}
        return {"return": value.expected_return} | rate

    return evaluate
