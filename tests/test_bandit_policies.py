"""Bandit policies: their indices by other means, their distributions against scipy's, and what they refuse."""

import math

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st
from scipy import optimize, stats

import velodrome as vd
from velodrome import agents, policies
from velodrome.checks import ConfigurationError
from velodrome.experiments import ExperimentError
from velodrome.experiments.specification.catalogue import CatalogueError, build_agent
from velodrome.policies.quantiles import beta_quantile, normal_quantile
from velodrome.policies.thompson import draw_beta


def divergence(p, q):
    return float(stats.entropy([p, 1 - p], [q, 1 - q]))


def kl_bound(mean, count, level):
    if mean == 1.0:
        return 1.0
    return optimize.brentq(lambda q: count * divergence(mean, q) - level, mean, 1 - 1e-16, xtol=1e-14)


def level(t, c):
    return math.log(t) + (c * math.log(math.log(t)) if c and math.log(t) > 1 else 0.0)


# Indices from (mean, count), the pulls of all arms together, and the largest mean.
INDICES = {
    policies.UCB(confidence=2.0): lambda x, n, total, best: x + 2 * math.sqrt(math.log(total) / n),
    policies.ucb1(): lambda x, n, total, best: x + math.sqrt(2 * math.log(total) / n),
    policies.KLUCB(): lambda x, n, total, best: kl_bound(x, n, level(total + 1, 0)),
    policies.KLUCB(c=3.0): lambda x, n, total, best: kl_bound(x, n, level(total + 1, 3)),
    policies.KLUCB(rewards="gaussian", standard_deviation=2.0): lambda x, n, total, best: (
        x + 2 * math.sqrt(2 * level(total + 1, 0) / n)
    ),
    policies.MOSS(horizon=900): lambda x, n, total, best: x + math.sqrt(max(math.log(900 / 3 / n), 0) / n),
    policies.BayesUCB(): lambda x, n, total, best: stats.beta.isf(1 / (total + 1), 1 + x * n, 1 + n - x * n),
    policies.BayesUCB(rewards="gaussian"): lambda x, n, total, best: x + stats.norm.isf(1 / (total + 1)) / math.sqrt(n),
    policies.IMED(): lambda x, n, total, best: -(n * divergence(x, best) + math.log(n)),
    policies.IMED(rewards="gaussian", standard_deviation=2.0): lambda x, n, total, best: (
        -(n * (best - x) ** 2 / 8 + math.log(n))
    ),
}


@pytest.mark.parametrize("policy", INDICES, ids=str)
@settings(max_examples=15)
@given(won=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=3, max_size=3), seed=st.integers(0, 99))
def test_the_action_chosen_has_the_largest_index(policy, won, seed):
    counts = [successes + failures for successes, failures in won]
    assume(min(counts) > 0)
    means = [successes / count for (successes, _), count in zip(won, counts, strict=True)]
    expected = [
        INDICES[policy](mean, count, sum(counts), max(means)) for mean, count in zip(means, counts, strict=True)
    ]
    action = policy.select(means, counts, policy.schedule(0), np.random.default_rng(seed))
    assert expected[action] == pytest.approx(max(expected), abs=1e-9)


@pytest.mark.parametrize("policy", INDICES, ids=str)
def test_an_untried_action_comes_first(policy):
    for untried in range(3):
        counts = [5, 5, 5]
        counts[untried] = 0
        assert policy.select([0.9, 0.9, 0.9], counts, policy.schedule(0), np.random.default_rng(0)) == untried


def test_kl_ucb_by_hand():
    # 10 d(1/2, q) = ln 211 where 4 q (1 - q) = exp(-ln 211 / 5): q = 0.905. An arm of mean 0.8 and 200 pulls has
    # ln 211 / 200 to go, to 0.881. With 20 pulls instead of 10, q = 0.823.
    policy = policies.KLUCB()
    assert policy.select([0.5, 0.8], [10, 200], 0.0, np.random.default_rng(0)) == 0
    assert policy.select([0.5, 0.8], [20, 200], 0.0, np.random.default_rng(0)) == 1


def test_explore_then_commit_never_looks_back():
    policy = policies.ExploreThenCommit(pulls=3)
    rng = np.random.default_rng(0)
    assert [policy.select([0.0] * 3, counts, 0.0, rng) for counts in ([0, 0, 0], [1, 0, 0], [3, 3, 2])] == [0, 1, 2]
    assert policy.select([0.1, 0.7, 0.3], [3, 3, 3], 0.0, rng) == 1
    # The one that it chose pays nothing from then on.
    assert policy.select([0.1, 0.0, 0.3], [3, 90, 3], 0.0, rng) == 1


@pytest.mark.parametrize(("a", "b"), [(0.3, 0.5), (1.0, 1.0), (3.0, 11.5), (200.0, 3.0)])
def test_beta_variables_have_their_distribution(a, b):
    rng = np.random.default_rng(1)
    drawn = [draw_beta(a, b, rng) for _ in range(4000)]
    assert stats.kstest(drawn, stats.beta(a, b).cdf).pvalue > 1e-4


@given(a=st.floats(1, 5000), b=st.floats(1, 5000), probability=st.floats(1e-9, 0.999))
def test_beta_quantiles_are_those_of_scipy(a, b, probability):
    assert beta_quantile(probability, a, b) == pytest.approx(stats.beta.ppf(probability, a, b), rel=1e-9, abs=1e-13)


@given(probability=st.floats(1e-12, 1 - 1e-12))
def test_normal_quantiles_are_those_of_scipy(probability):
    assert normal_quantile(probability) == pytest.approx(stats.norm.ppf(probability), rel=1e-12, abs=1e-13)


def test_thompson_sampling_takes_each_action_as_often_as_it_is_the_best():
    rng = np.random.default_rng(2)
    beta = policies.ThompsonBeta(successes=2.0, failures=1.0).select
    # Beta(2 + 3, 1 + 1) against Beta(2, 1) of an arm never pulled.
    first = np.mean([beta([0.75, 0.0], [4, 0], 0.0, rng) == 0 for _ in range(6000)])
    draws = np.random.default_rng(3)
    assert first == pytest.approx(np.mean(draws.beta(5, 2, 400_000) > draws.beta(2, 1, 400_000)), abs=0.03)
    normal = policies.ThompsonGaussian(standard_deviation=2.0, prior_mean=1.0, prior_standard_deviation=3.0).select
    # Posterior of mean 3 after 4 rewards: precision 1/9 + 4/4, mean (1/9 + 3) / (10/9) = 2.8; the prior has mean 1.
    first = np.mean([normal([3.0, 0.0], [4, 0], 0.0, rng) == 0 for _ in range(6000)])
    assert first == pytest.approx(stats.norm.cdf((2.8 - 1.0) / math.sqrt(0.9 + 9.0)), abs=0.03)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: policies.MOSS(horizon=0), "moss: horizon must be a whole number of at least 1, got 0"),
        (
            lambda: policies.KLUCB(rewards="gauss"),
            "kl_ucb: rewards must be one of 'bernoulli', 'gaussian', got 'gauss'",
        ),
        (lambda: policies.KLUCB(c=-1), r"kl_ucb: c must be a number in \[0, inf\), got -1"),
        (
            lambda: policies.IMED(standard_deviation=0),
            r"imed: standard_deviation must be a number in \(0, inf\), got 0",
        ),
        (lambda: policies.BayesUCB(ties="last"), "bayes_ucb: ties must be one of 'random', 'first', got 'last'"),
        (lambda: policies.ThompsonBeta(failures=0), r"thompson_beta: failures must be a number in \(0, inf\), got 0"),
        (lambda: policies.ExploreThenCommit(pulls=0), "explore_then_commit: pulls must be a whole number of at least"),
        (lambda: agents.SlidingWindowUCB(window=0), "sliding_window_ucb: window must be a whole number of at least 1"),
        (lambda: agents.DiscountedUCB(decay=0), r"discounted_ucb: decay must be a number in \(0, 1\], got 0"),
        (lambda: agents.EXP3(exploration=2), r"exp3: exploration must be a number in \(0, 1\], got 2"),
        (lambda: agents.SuccessiveElimination(failure_probability=1), "failure_probability must be a number in"),
        (lambda: agents.GradientBandit(baseline=1), "gradient_bandit: baseline must be True or False, got 1"),
        (
            lambda: agents.QLearning(policy=policies.ThompsonBeta()),
            r"q_learning: policy thompson_beta\(\) takes action values for means .* write bandit\(policy=thompson_beta",
        ),
        (lambda: agents.DQN(policy=policies.KLUCB()), "needs visit counts"),
    ],
)
def test_bad_parameters_are_refused_in_one_line(make, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("bandit(policy=moss)", r"moss needs 'horizon': moss\(horizon"),
        ("sliding_window_ucb", "sliding_window_ucb needs 'window': "),
    ],
)
def test_what_has_no_default_must_be_given(expression, message):
    with pytest.raises(CatalogueError, match=message):
        build_agent(expression)


def test_a_misspelt_policy_is_named_with_the_closest():
    with pytest.raises(CatalogueError, match="did you mean 'kl_ucb'"):
        build_agent("bandit(policy=kl_ubc)")


ASSUMING = ["bandit(policy=thompson_beta)", "bandit(policy=kl_ucb)", "bandit(policy=imed)", "exp3", "ucb_tuned"]


@pytest.mark.parametrize("expression", ASSUMING)
def test_rewards_that_are_known_to_be_outside_are_refused_before_training(expression):
    agent = build_agent(expression)
    with pytest.raises(
        agents.UnsupportedEnvironmentError,
        match=r"assumes rewards in \[0, 1\], but those of CliffWalking-v1 are between -100 and -1",
    ):
        agent.check_environment(gym.make("CliffWalking-v1"))
    with pytest.raises(agents.UnsupportedEnvironmentError, match="assumes rewards"):
        agent.train("CliffWalking-v1", episodes=1)
    with pytest.raises(agents.UnsupportedEnvironmentError, match="TenArmedTestbed-v0 are Gaussian with standard dev"):
        agent.check_environment(gym.make("velodrome/TenArmedTestbed-v0"))
    agent.check_environment(gym.make("velodrome/BernoulliBandit-v0"))


def test_comparisons_refuse_before_anything_runs(tmp_path):
    with pytest.raises(ExperimentError, match=r"assumes rewards in \[0, 1\], but those of velodrome/TenArmed"):
        vd.compare("bandit(policy=imed)", "velodrome/TenArmedTestbed-v0", episodes=9, seeds=1, out=tmp_path)
    assert not list(tmp_path.iterdir())


class Generous(gym.Env):
    """Pays a half, and the 20th time 2.5; nothing of it is known beforehand."""

    observation_space = gym.spaces.Discrete(1)
    action_space = gym.spaces.Discrete(3)
    pulls = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return 0, {}

    def step(self, action):
        self.pulls += 1
        return 0, 2.5 if self.pulls == 20 else 0.5, True, False, {}


@pytest.mark.parametrize("expression", ASSUMING)
def test_rewards_that_turn_out_to_be_outside_end_the_training(expression):
    agent = build_agent(expression)
    assert agent.train(Generous(), episodes=19, seed=0).loop == "generic"
    with pytest.raises(agents.UnsupportedEnvironmentError, match=r"assumes rewards in \[0, 1\], got 2.5"):
        build_agent(expression).train(Generous(), episodes=30, seed=0)


def test_policies_of_normal_rewards_take_any():
    for policy in (policies.KLUCB(rewards="gaussian"), policies.ThompsonGaussian(), policies.UCB()):
        assert agents.Bandit(policy=policy).train(Generous(), episodes=30, seed=0).steps == 30
