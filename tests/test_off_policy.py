"""Off-policy estimates: numbers by hand, coverage of the intervals, overlap warnings, logs with exact propensities."""

import gymnasium as gym
import numpy as np
import pytest

import velodrome as vd
from velodrome import LoggedPolicy, off_policy_value
from velodrome.agents import LinearThompson, QLearning
from velodrome.envs import LinearContextualBandit
from velodrome.experiments import ExperimentError, ExperimentWarning
from velodrome.policies import UCB, EpsilonGreedy, Greedy, RandomNoise, Softmax, Uniform

ID = "velodrome/LinearContextualBandit-v0"
ESTIMATORS = ("ips", "snips", "direct", "doubly_robust")


def small(**changes):
    given = {
        "contexts": np.array([0, 1, 0, 1]),
        "actions": np.array([0, 1, 1, 0]),
        "rewards": np.array([1.0, 0.0, 2.0, 1.0]),
        "propensities": np.array([0.5, 0.25, 0.5, 0.75]),
        "num_actions": 2,
    }
    return LoggedPolicy(**(given | changes))


TARGET = np.array([[1.0, 0.0], [0.5, 0.5], [0.25, 0.75], [0.0, 1.0]])
MODEL = np.array([[1.0, 2.0], [0.5, 0.0], [1.0, 1.0], [0.0, 0.5]])


@pytest.mark.parametrize(
    ("estimator", "clip", "value"),
    [
        # Weights are 2, 2, 1.5 and 0.
        ("ips", None, (2 + 0 + 3 + 0) / 4),
        ("snips", None, 5 / 5.5),
        ("direct", None, (1 + 0.25 + 1 + 0.5) / 4),
        ("doubly_robust", None, (1 + 0 + 0.25 + 0 + 1 + 1.5 + 0.5 + 0) / 4),
        ("ips", 1.0, (1 + 0 + 2 + 0) / 4),
        ("doubly_robust", 1.0, (1 + 0.25 + 1 + 1 + 0.5) / 4),
    ],
)
def test_estimates_by_hand(estimator, clip, value):
    found = off_policy_value(small(), TARGET, estimator, clip=clip, estimated_rewards=MODEL)
    assert found.value == pytest.approx(value)
    assert found.largest_weight == 2
    assert found.effective_sample_size == pytest.approx(5.5**2 / 10.25 if clip is None else 3)
    assert found.pulls == 4


def test_intervals_by_hand():
    found = off_policy_value(small(), TARGET, "ips", level=0.9)
    contributions = np.array([2.0, 0, 3, 0])
    error = contributions.std(ddof=1) / 2
    assert found.standard_error == pytest.approx(error)
    # 2.353 is the 0.95 quantile of Student's t with 3 degrees of freedom.
    assert [found.interval.low, found.interval.high] == pytest.approx(
        [1.25 - 2.3534 * error, 1.25 + 2.3534 * error], 1e-4
    )
    ratio = off_policy_value(small(), TARGET, "snips")
    contributions = np.array([2.0, 2, 1.5, 0]) * (np.array([1.0, 0, 2, 1]) - 5 / 5.5) / (5.5 / 4)
    assert ratio.standard_error == pytest.approx(contributions.std(ddof=1) / 2)


def test_the_model_is_a_ridge_regression_that_has_not_seen_the_pull():
    log = small()
    # Two folds of two pulls: every action was seen once, or never, in the other fold.
    found = off_policy_value(log, TARGET, "direct", folds=4, ridge=1.0)
    estimates = np.empty((4, 2))
    for held in range(4):
        others = [pull for pull in range(4) if pull != held]
        average = log.rewards[others].mean()
        for action in range(2):
            same = [p for p in others if log.actions[p] == action and log.contexts[p] == log.contexts[held]]
            estimates[held, action] = average + sum(log.rewards[p] - average for p in same) / (len(same) + 1)
    assert found.value == pytest.approx((TARGET * estimates).sum(axis=1).mean())


def test_targets_are_probabilities_actions_or_functions_of_the_contexts():
    log, actions = small(), np.array([0, 1, 0, 1])
    one = off_policy_value(log, np.eye(2)[actions], "ips").value
    assert off_policy_value(log, actions, "ips").value == one
    assert off_policy_value(log, lambda contexts: contexts, "ips").value == one


def test_the_same_policy_has_the_mean_reward():
    log = vd.log_policy(Uniform(), ID, 300, seed=1)
    own = np.full((300, 5), 0.2)
    for estimator in ("ips", "snips"):
        found = off_policy_value(log, own, estimator)
        assert found.value == pytest.approx(log.rewards.mean())
        assert found.effective_sample_size == pytest.approx(300)
        assert found.warnings == ()


def test_a_log_has_exact_propensities_and_paired_contexts():
    agent = LinearThompson(scale=0.5)
    agent.train(ID, episodes=60, seed=0)
    log = vd.log_policy(agent, ID, 50, seed=2)
    chances = np.concatenate([agent.exploration_probabilities(context[None]) for context in log.contexts])
    assert np.array_equal(log.probabilities, chances)
    assert np.array_equal(log.propensities, chances[np.arange(50), log.actions])
    again, other = vd.log_policy(agent, ID, 50, seed=2), vd.log_policy(Uniform(), gym.make(ID), 50, seed=2)
    assert np.array_equal(again.actions, log.actions)
    assert np.array_equal(other.contexts, log.contexts)
    greedy = vd.log_policy(agent, ID, 50, seed=2, policy=Greedy())
    assert np.array_equal(greedy.actions, agent.act(log.contexts))
    softmax = vd.log_policy(agent, ID, 20, seed=2, policy=Softmax(0.1))
    values = agent.expected_rewards(softmax.contexts) / 0.1
    weights = np.exp(values - values.max(axis=1, keepdims=True))
    assert softmax.probabilities == pytest.approx(weights / weights.sum(axis=1, keepdims=True))


def test_any_agent_with_action_values_can_be_logged():
    agent = QLearning()
    agent.train("velodrome/BernoulliBandit-v0", episodes=500, seed=0)
    log = vd.log_policy(agent, "velodrome/BernoulliBandit-v0", 2000, seed=0, policy=EpsilonGreedy(0.5))
    found = off_policy_value(log, np.full(2000, 4), "doubly_robust", level=0.999)
    assert 0.9 in found.interval


def test_intervals_cover_the_value_of_a_known_policy():
    env = LinearContextualBandit(arms=3, dimension=2)
    angles = np.linspace(0, 2 * np.pi, 100_000, endpoint=False)
    circle = np.c_[np.cos(angles), np.sin(angles)]

    def target(contexts):
        return 0.7 * np.eye(3)[(contexts[:, 0] > 0).astype(int)] + 0.1

    truth = (target(circle) * env.expected_rewards(circle)).sum(axis=1).mean()
    hits = dict.fromkeys(ESTIMATORS, 0)
    for seed in range(120):
        rng = np.random.default_rng(seed)
        contexts = circle[rng.integers(len(circle), size=300)]
        actions = rng.integers(3, size=300)
        rewards = env.expected_rewards(contexts)[np.arange(300), actions] + 0.1 * rng.normal(size=300)
        log = LoggedPolicy(contexts, actions, rewards, np.full(300, 1 / 3), 3)
        for name in hits:
            hits[name] += truth in off_policy_value(log, target, name, seed=seed).interval
    # 114 on average; 107 would be three standard deviations below.
    assert min(hits["ips"], hits["snips"], hits["doubly_robust"]) >= 107


@pytest.mark.parametrize(
    ("log", "target", "options", "line"),
    [
        (
            lambda: small(probabilities=[[0.5, 0.5], [0.75, 0.25], [0.5, 0.5], [0.75, 0.25]]),
            np.array([0, 1, 1, 0]),
            {},
            "4 pulls weigh no more than 3.38 of the target policy itself: the interval may be too short",
        ),
        (
            lambda: small(actions=np.zeros(4, int), propensities=np.ones(4), probabilities=[[1.0, 0.0]] * 4),
            TARGET,
            {},
            "56 % of what the target does had logging probability 0: of it the log says nothing",
        ),
        (
            lambda: small(actions=np.zeros(4, int), propensities=np.full(4, 0.995), probabilities=[[0.995, 0.005]] * 4),
            TARGET,
            {},
            "56 % of what the target does had a logging probability below 0.01: few pulls speak for it",
        ),
        (
            lambda: small(actions=np.zeros(4, int)),
            TARGET,
            {},
            "the target takes actions that were never logged, 1: of them the log says nothing",
        ),
        (small, TARGET, {"clip": 1.5}, "2 of 4 weights were clipped to 1.5, which biases the estimate"),
        (
            small,
            TARGET,
            {"estimator": "direct", "folds": 2},
            "the interval of the direct method leaves out the error of its model of the rewards",
        ),
    ],
)
def test_what_the_log_cannot_say_is_said(log, target, options, line):
    with pytest.warns(ExperimentWarning) as caught:
        found = off_policy_value(log(), target, **({"estimator": "ips"} | options))
    assert line in found.warnings
    assert [str(warning.message) for warning in caught] == list(found.warnings)
    assert all(len(text.splitlines()) == 1 for text in found.warnings)


def test_wrong_propensities_and_heavy_weights_are_seen():
    log = vd.log_policy(Uniform(), ID, 400, seed=0)
    target = np.full((400, 5), 0.2)
    wrong = LoggedPolicy(log.contexts, log.actions, log.rewards, np.minimum(1.0, 2 * log.propensities), 5)
    (line,) = off_policy_value(wrong, target, "ips").warnings
    assert line.startswith("weights average 0.5 ± ")
    propensities = log.propensities.copy()
    propensities[7] = 0.001
    heavy = LoggedPolicy(log.contexts, log.actions, log.rewards, propensities, 5)
    found = off_policy_value(heavy, target, "snips")
    assert any(line.startswith("one pull has weight 200, 99 % of the sum of squares") for line in found.warnings)
    assert "which weigh" in str(found)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: small(propensities=[0.5, 0, 0.5, 0.5]),
            "propensities: must be above 0 and at most 1, got 0 for pull 1",
        ),
        (lambda: small(propensities=[0.5, 1, 1.5, 2]), "at most 1, got 1.5 for pull 2 and 1 more"),
        (lambda: small(rewards=[1.0, 2.0]), "got 4 contexts, 4 actions, 2 rewards, 4 propensities"),
        (lambda: small(rewards=[1.0, np.nan, 1, 1]), "rewards: 1 of 4 are not finite"),
        (lambda: small(actions=[0, 1, 2, 0]), "actions: must be from 0 to 1, got 2 for pull 2"),
        (lambda: small(actions=[0.5, 1, 1, 0]), "actions: must be whole numbers, one a pull"),
        (lambda: small(num_actions=0), "num_actions: must be a whole number of at least 1, got 0"),
        (lambda: small(probabilities=[[0.4, 0.6]] * 4), "must give the action taken its propensity, got 0.4 and 0.5"),
        (
            lambda: off_policy_value(small(), TARGET[:3]),
            "target: must have shape (4, 2), pulls and actions; got (3, 2)",
        ),
        (lambda: off_policy_value(small(), TARGET * 2), "target: must be at least 0 and add up to 1 for every pull"),
        (
            lambda: off_policy_value(small(), np.array([0, 1])),
            "target: must have one action for each of 4 pulls, got 2",
        ),
        (lambda: off_policy_value(small(), lambda contexts: None), "target: the function gave None"),
        (lambda: off_policy_value(small(), 1 - small().actions, "ips"), "target: it would take none of the logged"),
        (lambda: off_policy_value(small(), TARGET, clip=0), "clip: must be a number above 0, or None, got 0"),
        (lambda: off_policy_value(small(), TARGET, ridge=0, folds=2), "ridge: must be a number above 0, got 0"),
        (
            lambda: off_policy_value(small(), TARGET, folds=5),
            "folds: must be a whole number from 2 to the number of pulls",
        ),
        (lambda: off_policy_value(small(), TARGET, level=1), "level: must be between 0 and 1, got 1"),
        (
            lambda: off_policy_value(small(), TARGET, "double_robust"),
            "estimator must be one of 'ips', 'snips', 'direct', 'doubly_robust', got 'double_robust': did you mean "
            "'doubly_robust'?",
        ),
        (
            lambda: off_policy_value(small(), TARGET, estimated_rewards=MODEL.T),
            "estimated_rewards: must have shape (4, 2), pulls and actions; got (2, 4)",
        ),
        (
            lambda: off_policy_value(small(contexts=np.array(list("abcd"))), TARGET, folds=2),
            "contexts: must be finite numbers for a regression; give estimated_rewards=, or take 'ips' or 'snips'",
        ),
    ],
)
def test_bad_input_in_one_line(make, message):
    with pytest.raises(vd.VelodromeError) as caught:
        make()
    assert isinstance(caught.value, ValueError)
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("agent", "env", "options", "message"),
    [
        (Uniform, "FrozenLake-v1", {}, "episodes of FrozenLake-v1 have several steps"),
        (Uniform, "Pendulum-v1", {}, "needs a Discrete action space"),
        (Uniform, "Blackjack-v1", {"policy": RandomNoise()}, "has no closed form of its probabilities"),
        (UCB, ID, {}, "asks for visit counts, and a log has none"),
        (QLearning, ID, {}, "q_learning does not say how likely it explores what: give policy="),
    ],
)
def test_what_cannot_be_logged_in_one_line(agent, env, options, message):
    with pytest.raises(ExperimentError) as caught:
        vd.log_policy(agent(), env, 3, **options)
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
