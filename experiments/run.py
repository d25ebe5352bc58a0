"""One agent against one environment, once."""

import sys
from collections.abc import Callable
from typing import Any

import gymnasium as gym

from velodrome.agents.agent import Agent, Callback, Loop
from velodrome.agents.engine.seeding import check_seed
from velodrome.agents.errors import check_budget_or_epochs, check_count, environment_label
from velodrome.agents.snapshots import check_snapshots
from velodrome.envs.environment_copy import NotCopiedError, copied
from velodrome.experiments.running.progress import DelayedProgress, is_terminal
from velodrome.experiments.specification.entries import NamedEnvironment, read_agent, read_environment
from velodrome.experiments.specification.environment_configuration import EnvironmentConfiguration
from velodrome.experiments.specification.made_again import difference_when_made_again
from velodrome.experiments.trials.environment_profile import EnvironmentProfile
from velodrome.experiments.trials.trial import Budget, Trial, run_trial


def run(
    agent: Agent | str,
    env: gym.Env[Any, Any] | EnvironmentConfiguration | Callable[[], gym.Env[Any, Any]] | str,
    *,
    episodes: int | None = None,
    steps: int | None = None,
    epochs: int | None = None,
    seed: int = 0,
    loop: Loop = "auto",
    success: str | None = None,
    evaluation_episodes: int = 100,
    evaluate_every: int | None = None,
    snapshots: int | None = None,
    callback: Callback | None = None,
    callback_every: int = 100,
    progress: bool = True,
) -> Trial:
    """Train an agent on an environment and evaluate its greedy policy.

    Args:
        agent: an agent (a copy learns: see `Trial.trained`) or its expression, such as "q_learning(discount=0.9)".
        env: an environment, its expression such as "FrozenLake-v1(is_slippery=False)", or a factory. An environment is
            evaluated as it stands after training: on a copy, or on itself where it cannot be copied.
        episodes: training episodes; give one of `episodes`, `steps` and `epochs`.
        steps: training steps.
        epochs: passes through the environment's labelled examples; an episode is one of them.
        seed: of the whole run.
        loop: "compiled" insists on the fast loop, "generic" on the Python loop.
        success: success rule instead of the environment's own, such as "return > 0".
        evaluation_episodes: sampled episodes where the value of the policy can neither be computed nor be asked of all
            labelled examples.
        evaluate_every: the greedy policy is also evaluated along the training, after every so many episodes, steps or
            epochs, as the budget counts; see `Trial.measured`.
        snapshots: moments of the training, spread evenly from before it to its end, at which the action values of all
            states are kept; see `Trial.snapshots`.
        callback: called every `callback_every` episodes with the number finished; returning False stops.
        callback_every: in episodes.
        progress: whether a bar is shown on a terminal, where there is a budget of episodes, no `callback`, and it takes
            more than a second.

    Raises:
        ValueError: a budget, seed, expression or environment that is not allowed; one line.
        EnvironmentFailureError: the environment raised or returned something that is not allowed.
    """
    episodes, steps, epochs = check_budget_or_epochs(episodes, steps, epochs)
    evaluation_episodes = check_count("evaluation_episodes", evaluation_episodes)
    if evaluate_every is not None:
        evaluate_every = check_count("evaluate_every", evaluate_every)
    if snapshots is not None:
        snapshots = check_snapshots(snapshots)
    seed = check_seed(seed)
    label, learner = read_agent(agent)
    given = env if isinstance(env, gym.Env) else None
    named = like(given) if given is not None else read_environment(env)
    profile = EnvironmentProfile.of(named.label, named.make, success, keeps_open=given)
    note = ""
    different = difference_when_made_again(profile, is_expression=named.is_expression)
    if different is not None:
        given = named.make()
        profile = EnvironmentProfile.of(named.label, lambda: given, success, keeps_open=given)
        note = (
            f"{named.label} is another environment each time it is made ({different}): "
            "trained and evaluated in the one that was made"
        )
    if epochs is not None:
        episodes = profile.episodes_of(learner, epochs)
        if evaluate_every is not None:
            evaluate_every *= profile.episodes_of(learner, 1)
    with DelayedProgress(label, "episodes") as bar:
        if progress and callback is None and episodes is not None and is_terminal(sys.stderr):
            total = episodes
            callback, callback_every = (lambda moment: bar.update(moment, total)), max(1, total // 100)
        return run_trial(
            label,
            learner,
            profile,
            Budget(episodes, steps, evaluation_episodes, epochs, evaluate_every, snapshots),
            seed,
            loop=loop,
            environment=given,
            callback=callback,
            callback_every=callback_every,
            note=note,
        )


def like(env: gym.Env[Any, Any]) -> NamedEnvironment:
    """Maker of copies of `env` as it then stands, for evaluation, or of `env` itself where it cannot be copied."""
    label = environment_label(env)

    def make() -> gym.Env[Any, Any]:
        try:
            return copied(env)
        except NotCopiedError:
            return env

    return NamedEnvironment(label, make, is_expression=False)
