"""What a policy does on a bandit, with the probabilities with which it does it."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from velodrome.agents.agent import Agent
from velodrome.agents.engine.environment_answers import read_flag, read_reset, read_reward, step_values
from velodrome.agents.engine.seeding import check_seed, environment_seed, role_generator
from velodrome.agents.errors import check_count, environment_label
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.specification.entries import read_environment
from velodrome.experiments.statistics.off_policy import LoggedPolicy
from velodrome.policies.policy import Policy


def log_policy(
    agent: Agent | Policy,
    env: gym.Env[Any, Any] | str,
    pulls: int,
    *,
    seed: int = 0,
    policy: Policy | None = None,
) -> LoggedPolicy:
    """Let an agent that has learnt, and does not learn on, act on a bandit, and log what it does.

    Actions are drawn from exact probabilities, which are logged: those with which a linear bandit explores, or those of
    `policy` over the action values of any agent.

    Args:
        agent: trained; or a policy over action values that are all 0, such as `Uniform()`.
        env: with one pull an episode; an environment or an expression.
        pulls: number of episodes.
        seed: of the environment and of the actions.
        policy: by which the agent explores instead of by its own way; its schedule's first value holds throughout.

    Raises:
        ExperimentError: the policy has no closed form of its probabilities, or the agent no action values; episodes
            have several steps; actions are not Discrete, or observations are no arrays.
    """
    pulls, seed = check_count("pulls", pulls), check_seed(seed)
    made = env if isinstance(env, gym.Env) else read_environment(env).make()
    label, actions = environment_label(made), made.action_space
    if not isinstance(actions, spaces.Discrete):
        raise ExperimentError(f"log_policy needs a Discrete action space, but {label} has {actions}")
    num_actions, rng = int(actions.n), role_generator(seed, "agent")
    contexts: list[np.ndarray] = []
    probabilities, rewards = np.empty((pulls, num_actions)), np.empty(pulls)
    taken = np.empty(pulls, dtype=np.int64)
    for pull in range(pulls):
        observation, _ = read_reset(made.reset(seed=environment_seed(seed)) if pull == 0 else made.reset())
        context = np.array(observation)
        if context.dtype.kind not in "biuf":
            raise ExperimentError(
                f"log_policy needs observations that are one array of numbers, but {label} has others"
            )
        row = _probabilities(agent, policy, context[np.newaxis], num_actions)
        # The last of those whose probabilities reach the number drawn: never one of probability 0.
        sums = row.cumsum()
        action = int(np.searchsorted(sums, rng.random() * sums[-1], side="right"))
        _, reward, terminated, truncated, _ = step_values(made.step(action + int(actions.start)))
        if not (read_flag("terminated", terminated) or read_flag("truncated", truncated)):
            raise ExperimentError(f"log_policy logs one pull an episode, but episodes of {label} have several steps")
        contexts.append(context)
        probabilities[pull], rewards[pull], taken[pull] = row, read_reward(reward), action
    if made is not env:
        made.close()
    propensities = probabilities[np.arange(pulls), taken]
    return LoggedPolicy(np.array(contexts), taken, rewards, propensities, num_actions, probabilities)


def _probabilities(agent: Agent | Policy, policy: Policy | None, observations: np.ndarray, number: int) -> np.ndarray:
    """Probability of every action for a batch of one observation, float64 (num_actions,)."""
    if policy is None and isinstance(agent, Agent):
        ask = getattr(agent, "exploration_probabilities", None)
        own = None if ask is None else ask(observations)
        if own is None:
            raise ExperimentError(
                f"{agent.name} does not say how likely it explores what: give policy=, by which it explores, such as "
                "policy=EpsilonGreedy(0.1)"
            )
        row: np.ndarray = own[0]
        return row
    values: np.ndarray | None = np.zeros((1, number))
    if isinstance(agent, Agent):
        values = agent.action_values_of(observations)
    else:
        policy = agent if policy is None else policy
    if values is None:
        raise ExperimentError(f"{agent.name} has no action values by which a policy could explore")
    assert policy is not None
    if policy.probabilities is None:
        raise ExperimentError(f"policy {policy} has no closed form of its probabilities, which a log needs")
    filled = np.empty(number)
    try:
        policy.probabilities(values[0].astype(np.float64), [], float(policy.schedule(0)), filled)
    except IndexError:
        raise ExperimentError(f"policy {policy} asks for visit counts, and a log has none") from None
    return filled
