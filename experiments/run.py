"""One agent against one environment, once."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym

from velodrome.agents.agent import Agent, Callback, Loop
from velodrome.agents.errors import check_budget, environment_label
from velodrome.agents.seeding import check_seed
from velodrome.experiments.catalogue import build_agent
from velodrome.experiments.compare import check_whole_number
from velodrome.experiments.environment_configuration import EnvironmentConfiguration, build_environment
from velodrome.experiments.track import Track
from velodrome.experiments.trial import Budget, Trial, run_trial
from velodrome.policies.configuration import to_expression


def run(
    agent: Agent | str,
    env: gym.Env[Any, Any] | EnvironmentConfiguration | Callable[[], gym.Env[Any, Any]] | str,
    *,
    episodes: int | None = None,
    steps: int | None = None,
    seed: int = 0,
    loop: Loop = "auto",
    success: str | None = None,
    evaluation_episodes: int = 100,
    callback: Callback | None = None,
    callback_every: int = 100,
) -> Trial:
    """Train an agent on an environment and evaluate its greedy policy.

    Args:
        agent: an agent (a copy learns: see `Trial.trained`) or its expression, such as "q_learning(discount=0.9)".
        env: an environment, its expression such as "FrozenLake-v1(is_slippery=False)", or a factory.
        episodes: training episodes; give this or `steps`.
        steps: training steps.
        seed: of the whole run.
        loop: "compiled" insists on the fast loop, "generic" on the Python loop.
        success: success rule instead of the environment's own, such as "return > 0".
        evaluation_episodes: sampled episodes where the value of the policy cannot be computed.
        callback: called every `callback_every` episodes with the number finished; returning False stops.
        callback_every: in episodes.

    Raises:
        ValueError: a budget, seed, expression or environment that is not allowed; one line.
        EnvironmentFailureError: the environment raised or returned something that is not allowed.
    """
    check_budget(episodes, steps)
    check_whole_number("evaluation_episodes", evaluation_episodes)
    seed = check_seed(seed)
    learner = build_agent(agent) if isinstance(agent, str) else agent
    if isinstance(env, str):
        env = build_environment(env)
    given: gym.Env[Any, Any] | None = None
    make: Callable[[], gym.Env[Any, Any]]
    if isinstance(env, EnvironmentConfiguration):
        label, make = env.label, env.make
    elif isinstance(env, gym.Env):
        given = env
        label, make = environment_label(env), _another(env)
    else:
        label, make = getattr(env, "__name__", type(env).__name__), env
    track = Track.of(label, make, success)
    return run_trial(
        agent if isinstance(agent, str) else to_expression(learner),
        learner,
        track,
        Budget(episodes, steps, evaluation_episodes),
        seed,
        loop=loop,
        environment=given,
        callback=callback,
        callback_every=callback_every,
    )


def _another(env: gym.Env[Any, Any]) -> Callable[[], gym.Env[Any, Any]]:
    """Maker of environments like `env` for evaluation, or of `env` itself where it has no spec."""
    spec = env.spec
    return (lambda: env) if spec is None else (lambda: gym.make(spec))
