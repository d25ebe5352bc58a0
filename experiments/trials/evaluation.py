"""How good is what an agent learnt: exactly where the model is known, on all examples, or by sampled episodes."""

from dataclasses import dataclass, replace
from math import sqrt
from statistics import NormalDist
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from velodrome.agents.agent import Agent
from velodrome.agents.engine.environment_answers import add_reward, read_reset, read_step, read_success
from velodrome.agents.engine.seeding import environment_seed
from velodrome.agents.errors import EnvironmentFailureError, call_failure, environment_label
from velodrome.agents.planning.dynamic_programming import ExactValue, evaluate_policy, random_policy
from velodrome.checks import one_line
from velodrome.envs.bandit import Bandit
from velodrome.envs.environment_copy import NotCopiedError, copied
from velodrome.envs.labelled.datasets.dataset import LabelledExamples
from velodrome.envs.model.transition_model import TransitionModel
from velodrome.envs.success_rules import NO_RULE, NOT_REPORTED, report_of
from velodrome.experiments.trials.environment_profile import EnvironmentProfile, trained_bandit
from velodrome.experiments.trials.evaluation_environment import WrapperState, evaluation_environment
from velodrome.experiments.trials.example_evaluation import guesses_of

# Sampled episodes of each evaluation along a training, at most.
EPISODES_ALONG = 10
# How many observations an agent is asked about at least, to know whether it gives the same actions again.
TIMES_ASKED = 20
# A sampled episode of an environment without time limit is given up after so many steps.
MAX_EVALUATION_STEPS = 100_000
# Bytes of a policy whose exact value is kept.
MOST_KEPT = 1024


@dataclass(frozen=True)
class Evaluation:
    """Value of the greedy policy.

    Attributes:
        method: "exact" (dynamic programming on the model), "examples" (each labelled example once) or "monte-carlo";
            empty where the agent cannot act, and all numbers are NaN.
        success_rate: probability of success, NaN without a success rule.
        success_low: lower end of the 95 % Wilson interval, in which episodes and labelled images count as a sample of
            more; equal to the rate if exact, and on texts, every window of which was read.
        success_high: upper end.
        mean_return: expected undiscounted return.
        episodes: sampled episodes, or examples; 0 if exact.
        notes: what readers of the results should know of it, each in a line.
    """

    method: str
    success_rate: float
    success_low: float
    success_high: float
    mean_return: float
    episodes: int
    notes: tuple[str, ...] = ()


def evaluate(
    agent: Agent, profile: EnvironmentProfile, *, seed: int, episodes: int = 100, trained_in: WrapperState | None = None
) -> Evaluation:
    """Value of an agent acting greedily on an environment.

    Args:
        agent: trained.
        profile: the environment.
        seed: the run's seed; sampled episodes use its evaluation stream.
        episodes: how many to sample where the value cannot be computed.
        trained_in: what the wrappers held after training; new ones are taken if None.

    Raises:
        EnvironmentFailureError: the environment raised or returned something that is not allowed.
    """
    if not agent.can_act:
        return _of_its_own(agent, profile)
    profile = profile.after(agent)
    evaluation = profile.contents.evaluation
    if evaluation is not None and evaluation.reason is None:
        return _on_examples(agent, profile, evaluation.examples, trained_in)
    policy = "" if profile.model is None else _policy_on_model(agent, profile.model)
    if profile.model is None or isinstance(policy, str):
        sampled = _sample(agent, profile, seed, episodes, trained_in)
        why = (f"was evaluated in sampled episodes: {policy}",) if policy else ()
        return replace(sampled, notes=(*sampled.notes, *why))
    value = _exact_value(profile, profile.model, policy)
    if value.success_rate is None and profile.rule.description != NO_RULE:
        sampled = _sample(agent, profile, seed, episodes, trained_in)
        return Evaluation(
            "monte-carlo",
            sampled.success_rate,
            sampled.success_low,
            sampled.success_high,
            value.expected_return,
            episodes,
            sampled.notes,
        )
    rate = float("nan") if value.success_rate is None else value.success_rate
    return Evaluation("exact", rate, rate, rate, value.expected_return, 0)


def _exact_value(profile: EnvironmentProfile, model: TransitionModel, policy: NDArray[np.float64]) -> ExactValue:
    """Exact value of a policy; that of a small one is kept, for many trials on a small model come to the same."""
    if policy.nbytes > MOST_KEPT:
        return evaluate_policy(model, policy, profile.success)
    key = policy.shape, policy.tobytes()
    value = profile.exact_values.get(key)
    if value is None:
        value = profile.exact_values[key] = evaluate_policy(model, policy, profile.success)
    return value


def _of_its_own(agent: Agent, profile: EnvironmentProfile) -> Evaluation:
    """Evaluation of an agent that cannot act, by the greedy episodes that it has played itself, if any."""
    returns = agent.greedy_returns
    if returns is None or not len(returns):
        unknown = float("nan")
        note = f"has no greedy numbers: {agent.name} cannot act; train_return and train_success_rate compare it"
        return Evaluation("", unknown, unknown, unknown, unknown, 0, (note,))
    successes = profile.rule.successes_of_returns(returns)
    note = f"has greedy numbers of {len(returns)} episodes that {agent.name} played itself"
    return replace(evaluated_episodes("monte-carlo", returns, successes, is_sample=True), notes=(note,))


class EvaluationAlong:
    """Evaluates an agent while it trains, always on the same episodes; nothing of the training changes.

    Args:
        profile: the environment.
        seed: the run's seed; sampled episodes use its evaluation stream.
        episodes: how many to sample where the value cannot be computed, `EPISODES_ALONG` at most.
    """

    def __init__(self, profile: EnvironmentProfile, seed: int, episodes: int) -> None:
        self._profile, self._seed, self._episodes = profile, seed, min(episodes, EPISODES_ALONG)
        self.notes: tuple[str, ...] = ()

    @property
    def problem(self) -> str:
        """Why the agent cannot be evaluated while it trains; empty where it can."""
        if self._profile.keeps_open is None or self._profile.model is not None:
            return ""
        try:
            copied(self._profile.keeps_open)
        except NotCopiedError as error:
            return f"the environment {error}"
        return ""

    def __call__(self, agent: Agent) -> dict[str, float]:
        """The greedy policy now: its "return" and, where there is a success rule, "success_rate"."""
        place = agent.binding.environment
        trained_in = WrapperState.of(place) if isinstance(place, gym.Env) else None
        found = evaluate(agent, self._profile, seed=self._seed, episodes=self._episodes, trained_in=trained_in)
        if found.method == "monte-carlo":
            each = f"{self._episodes} sampled episodes" if self._episodes > 1 else "1 sampled episode"
            self.notes = (f"each evaluation along the training is the mean of {each}",)
        rate = {} if np.isnan(found.success_rate) else {"success_rate": found.success_rate}
        return {"return": found.mean_return} | rate


def _policy_on_model(agent: Agent, model: TransitionModel) -> NDArray[np.float64] | str:
    """The greedy policy of an agent, (S, A) asked state by state or (horizon, S, A), or why states do not decide it."""
    if agent.needs_action_mask:
        return f"what {agent.name} does depends on action masks that are no function of the observation"
    if agent.acts_by_step:
        policy_by_step = agent.action_probabilities_by_step(np.arange(model.num_states))
        if policy_by_step.shape[1:] != (model.num_states, model.num_actions):
            return f"{agent.name} knows other states or actions than those of the model"
        return policy_by_step
    if agent.depends_on_episode:
        return f"what {agent.name} does depends on earlier observations of the episode"
    try:
        with agent.learner.undisturbed():
            policy, asked = _asked_policy(agent, model)
            # An agent that draws its actions would seldom give the same ones so often.
            again = agent.action_probabilities(np.tile(asked, -(-TIMES_ASKED // len(asked)))[::-1])
    except Exception as error:
        # Where it matters, sampled episodes come to it, too.
        return one_line(error)
    if policy is None or again is None:
        return f"what {agent.name} does is no function of the observation"
    if policy.shape != (model.num_states, model.num_actions):
        return f"{agent.name} knows other states or actions than those of the model"
    if not np.array_equal(np.tile(policy[asked], (len(again) // len(asked), 1)), again[::-1]):
        return f"the act of {agent.name} gave different actions when it was asked twice"
    return policy


def _asked_policy(agent: Agent, model: TransitionModel) -> tuple[NDArray[np.float64] | None, NDArray[np.int64]]:
    """A policy (S, A), and the states that were asked: all of agents that take batches, else those that it comes to.

    Where it never comes, an agent of the user's own may know nothing; it is taken to choose at random there.
    """
    if agent.takes_batches:
        states = np.arange(model.num_states)
        return agent.action_probabilities(states), states
    policy = random_policy(model)
    seen = model.initial_distribution > 0.0
    waiting = np.flatnonzero(seen)
    while len(waiting):
        rows = agent.action_probabilities(waiting)
        if rows is None or rows.shape[1] != model.num_actions:
            return rows, waiting
        policy[waiting] = rows
        states, actions = np.nonzero(rows)
        pairs = waiting[states] * model.num_actions + actions
        outcomes = np.concatenate([np.arange(model.offsets[pair], model.offsets[pair + 1]) for pair in pairs])
        goes_on = ~model.terminated[outcomes] & (model.probabilities[outcomes] > 0.0)
        following = np.unique(model.next_states[outcomes[goes_on]])
        waiting = following[~seen[following]]
        seen[waiting] = True
    return policy, np.flatnonzero(seen)


def _on_examples(
    agent: Agent, profile: EnvironmentProfile, examples: LabelledExamples, trained_in: WrapperState | None
) -> Evaluation:
    labels = examples.labels
    is_sequence = labels.ndim == 2
    where = evaluation_environment(profile.make, trained_in, profile.keeps_open)
    try:
        where.before_episode()
        guesses = guesses_of(agent, where.env, examples.inputs, is_sequence=is_sequence)
    finally:
        where.close()
    right = (guesses == labels).reshape(len(labels), -1)
    returns, lengths = right.sum(axis=1, dtype=np.float64), np.full(len(labels), right.shape[1])
    successes = profile.rule.successes(returns, lengths, np.ones(len(labels), dtype=np.bool_), right.all(axis=1))
    evaluated = evaluated_episodes("examples", returns, successes, is_sample=not is_sequence)
    return replace(evaluated, notes=tuple(where.notes))


def _sample(
    agent: Agent, profile: EnvironmentProfile, seed: int, episodes: int, trained_in: WrapperState | None
) -> Evaluation:
    where = evaluation_environment(profile.make, trained_in, profile.keeps_open)
    returns, lengths = np.zeros(episodes), np.zeros(episodes, dtype=np.int64)
    terminated, reported = np.zeros(episodes, dtype=np.bool_), np.full(episodes, -1, dtype=np.int8)
    first_seed: int | None = environment_seed(seed, "evaluation")
    arms = trained_bandit(agent)
    try:
        for episode in range(episodes):
            place = f"episode {episode + 1} of the evaluation"
            where.before_episode()
            returns[episode], lengths[episode], terminated[episode], reported[episode] = _episode(
                agent, where.env, first_seed, place, arms
            )
            first_seed = None
    finally:
        where.close()
    successes = profile.rule.successes(returns, lengths, terminated, reported)
    return replace(evaluated_episodes("monte-carlo", returns, successes, is_sample=True), notes=tuple(where.notes))


def evaluated_episodes(
    method: str, returns: NDArray[np.float64], successes: NDArray[np.bool_] | None, *, is_sample: bool
) -> Evaluation:
    """Evaluation from episodes; their success has an interval where they are a sample of others."""
    episodes, mean_return = len(returns), float(returns.mean())
    if successes is None:
        unknown = float("nan")
        return Evaluation(method, unknown, unknown, unknown, mean_return, episodes)
    rate = float(successes.mean())
    low, high = wilson_interval(int(successes.sum()), episodes) if is_sample else (rate, rate)
    return Evaluation(method, rate, low, high, mean_return, episodes)


def _episode(
    agent: Agent, env: gym.Env[Any, Any], seed: int | None, place: str, arms: Bandit | None
) -> tuple[float, int, bool, int]:
    """Return, length, whether it terminated and what it reported of its success (see `report_of`) of an episode.

    The arms of a bandit are those that training left.

    Raises:
        EnvironmentFailureError: the environment raised, or returned something that is not allowed.
    """
    episode_return = 0.0
    length = 0
    call, where = "reset", place
    try:
        answer: Any = env.reset(seed=seed)
        call = "learner"
        observation, info = read_reset(answer)
        if arms is not None and isinstance(env.unwrapped, Bandit):
            env.unwrapped.take_arms(arms)
        terminated = False
        agent.begin_episode()
        while length < MAX_EVALUATION_STEPS:
            action = agent.decide(observation, info, env.action_space)
            call, length = "step", length + 1
            where = f"{place}, step {length}"
            answer = env.step(action)
            call = "learner"
            observation, reward, terminated, truncated, info = read_step(answer)
            episode_return = add_reward(episode_return, reward)
            if terminated or truncated:
                break
        return episode_return, length, terminated, report_of(env, read_success(info)) if length else NOT_REPORTED
    except EnvironmentFailureError as error:
        raise EnvironmentFailureError(f"{environment_label(env)}: {error} ({where})") from error
    except Exception as error:
        if call == "learner":
            raise
        raise call_failure(env, call, where, error) from error


def wilson_interval(successes: int, episodes: int) -> tuple[float, float]:
    """95 % interval of a success probability. Source: Wilson (1927).

    Written out, because loading scipy.stats for it would take every worker process longer than many a trial.

    Args:
        successes: number of successes.
        episodes: number of episodes, at least 1.
    """
    z_squared = NormalDist().inv_cdf(0.975) ** 2
    rate = successes / episodes
    centre = rate + z_squared / (2 * episodes)
    half = sqrt(z_squared * (rate * (1 - rate) + z_squared / (4 * episodes)) / episodes)
    low, high = ((centre + side * half) / (1 + z_squared / episodes) for side in (-1, 1))
    return (low if successes else 0.0), (high if successes < episodes else 1.0)
