"""Bandits: what arms pay, both loops alike, exact pseudo-regret and the lower bound on it."""

import math

import gymnasium as gym
import numpy as np
import pytest

import velodrome as vd
from velodrome.agents import QLearning
from velodrome.checks import ConfigurationError
from velodrome.envs import (
    AdversarialBandit,
    Bandit,
    BernoulliBandit,
    DriftingBandit,
    GaussianBandit,
    RewardKind,
    TenArmedTestbed,
    lai_robbins_constant,
    reward_kind_of,
)
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.reporting.report import report_html
from velodrome.experiments.specification import read_experiment
from velodrome.policies import UCB, EpsilonGreedy, Harmonic

CHANGES = {"means": [0.2, 0.5], "walk": 0, "rewards": "bernoulli", "changes": {50: [0.6, 0.1], 120: [0.3, 0.3]}}
MAKERS = {
    "Bernoulli": lambda: gym.make("velodrome/BernoulliBandit-v0"),
    "Gaussian": lambda: gym.make("velodrome/GaussianBandit-v0", standard_deviation=0.5),
    "testbed": lambda: gym.make("velodrome/TenArmedTestbed-v0"),
    "drifting": lambda: gym.make("velodrome/DriftingBandit-v0"),
    "changing": lambda: gym.make("velodrome/DriftingBandit-v0", **CHANGES),
    "adversarial": lambda: gym.make("velodrome/AdversarialBandit-v0", num_pulls=130),
}
EPSILON = "q_learning(learning_rate=harmonic(clock='visits'), policy=epsilon_greedy(epsilon=0.1))"


def learner(policy=None):
    return QLearning(learning_rate=Harmonic(clock="visits"), policy=policy or EpsilonGreedy(0.2))


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("policy", [EpsilonGreedy(0.2), UCB(1.0)], ids=["epsilon", "ucb"])
def test_both_loops_give_the_same_bits(name, policy):
    found = []
    for loop in ("generic", "compiled"):
        env, agent = MAKERS[name](), learner(policy)
        log = agent.train(env, episodes=200, seed=5, loop=loop) + agent.train(env, steps=77, loop=loop)
        columns = (log.returns, log.lengths, log.terminated, log.successes, log.pseudo_regrets)
        held = [agent.action_values.tobytes(), env.unwrapped.np_random.bit_generator.state]
        if isinstance(env.unwrapped, Bandit):
            held += [env.unwrapped.expected_rewards.tobytes(), env.unwrapped.pulls]
        found.append(([(column.dtype, column.tobytes()) for column in columns], held))
    assert found[0] == found[1]


@pytest.mark.parametrize("name", MAKERS)
def test_a_longer_training_is_two_shorter_ones(name):
    whole, parts = learner(), learner()
    at_once, env = whole.train(MAKERS[name](), episodes=150, seed=3), MAKERS[name]()
    log = parts.train(env, episodes=60, seed=3) + parts.train(env, episodes=90)
    assert at_once.pseudo_regrets.tobytes() == log.pseudo_regrets.tobytes()
    assert whole.action_values.tobytes() == parts.action_values.tobytes()


@pytest.mark.parametrize("name", ["Bernoulli", "testbed", "drifting", "adversarial"])
def test_trials_trained_together_are_those_trained_alone(name):
    spec = MAKERS[name]().spec
    results = vd.compare({"agent": EPSILON}, spec.id, seeds=6, episodes=300, workers=0)
    for record in results.records:
        alone = vd.run(EPSILON, spec.id, episodes=300, seed=record.seed)
        row = record.row()
        assert row["loop"] == alone.log.loop == "compiled"
        for column in ("pseudo_regret", "greedy_mean_return", "best_return", "train_success_rate", "random_return"):
            assert row[column] == alone.metrics()[column]


@pytest.mark.parametrize("name", MAKERS)
def test_pseudo_regret_is_what_playing_each_arm_loses_on_average(name):
    """Pulls of every arm, many times over: what they pay less than the best, on average."""
    env = MAKERS[name]()
    env.reset(seed=1)
    unwrapped = env.unwrapped
    arm, lost, paid, best_paid = 0, [], [], []
    for _ in range(130):
        expected = unwrapped.expected_rewards if isinstance(unwrapped, Bandit) else unwrapped.model.expected_rewards()
        best = AdversarialBandit(num_pulls=130).arms.best_arm if name == "adversarial" else int(np.argmax(expected))
        _, reward, terminated, truncated, info = env.step(arm)
        assert (terminated, truncated) == (True, False)
        lost.append(info["pseudo_regret"])
        paid.append(reward - expected[arm])
        best_paid.append(expected[best] - expected[arm])
        assert info["is_success"] == (lost[-1] == 0.0 if name != "adversarial" else arm == best)
        env.reset()
        arm = (arm + 1) % len(expected)
    assert lost == best_paid
    assert abs(np.mean(paid)) < 4 * max(np.std(paid), 1e-12) / math.sqrt(len(paid))


def test_pseudo_regret_of_a_policy_is_its_expectation():
    """Random pulls lose the mean gap each, and the noise of rewards has no part in it."""
    trial = vd.run("random", "velodrome/GaussianBandit-v0", episodes=20_000, seed=0)
    assert trial.metrics()["pseudo_regret"] == pytest.approx(20_000 * 0.5, rel=0.01)
    assert trial.metrics()["greedy_mean_return"] == pytest.approx(0.5)
    (curve,) = (curve for curve in trial.measured if curve.name == "pseudo_regret")
    assert curve.at[:65].tolist() == [*range(1, 66)]
    assert (curve.at[-1], len(curve.at)) == (20_000, 591)
    assert curve.values[-1] == trial.metrics()["pseudo_regret"] == trial.log.pseudo_regrets.sum()


def test_environments_without_one_step_episodes_have_no_pseudo_regret():
    trial = vd.run("q_learning", "velodrome/Chain-v0", episodes=3, seed=0)
    assert trial.log.pseudo_regrets is None
    assert "pseudo_regret" not in trial.metrics()


def test_arms_of_a_testbed_are_drawn_by_seeded_resets_alone():
    env = TenArmedTestbed(mean=4.0)
    means = []
    for seed in (1, None, 2, 1):
        env.reset(seed=seed)
        means.append(env.expected_rewards)
    assert (means[0] == means[1]).all()
    assert (means[0] == means[3]).all()
    assert not (means[0] == means[2]).any()
    drawn = np.array([env.expected_rewards for seed in range(300) if env.reset(seed=seed)])
    assert (drawn.mean(), drawn.std()) == (pytest.approx(4.0, abs=0.08), pytest.approx(1.0, abs=0.06))
    assert (drawn.max(axis=1) - 4.0).mean() == pytest.approx(1.54, abs=0.12)


def test_a_drifting_bandit_wanders_and_begins_anew():
    env = DriftingBandit(means=[0.0, 1.0], walk=0.1)
    env.reset(seed=0)
    for _ in range(400):
        env.step(0)
        env.reset()
    assert env.pulls == 400
    assert not (env.expected_rewards == [0.0, 1.0]).any()
    env.reset(seed=0)
    assert (env.pulls, env.expected_rewards.tolist()) == (0, [0.0, 1.0])


def test_changes_come_after_their_numbers_of_pulls():
    env = DriftingBandit(**CHANGES)
    env.reset(seed=0)
    seen = []
    for _ in range(121):
        seen.append(env.expected_rewards.tolist())
        env.step(0)
        env.reset()
    assert seen[49:51] == [[0.2, 0.5], [0.6, 0.1]]
    assert seen[119:121] == [[0.6, 0.1], [0.3, 0.3]]
    assert env.best_arms.tolist() == [True, True]


def test_an_adversary_pays_nothing_to_who_takes_turns_and_repeats():
    env = AdversarialBandit(num_arms=3, num_pulls=40)
    env.reset(seed=0)
    assert [env.step(pull % 3)[1] for pull in range(40)] == [0.0] * 40
    own = AdversarialBandit(rewards=[[1, 0], [0, 2], [1, 0]])
    own.reset(seed=0)
    assert [own.step(0)[1] for _ in range(5)] == [1.0, 0.0, 1.0, 1.0, 0.0]
    assert own.best_arms.tolist() == [True, False]


def test_reward_kinds_are_stated():
    assert reward_kind_of(MAKERS["Bernoulli"]()) == RewardKind("binary", 0.0, 1.0)
    assert reward_kind_of(MAKERS["changing"]()).kind == "binary"
    assert reward_kind_of(MAKERS["Gaussian"]()) == RewardKind("gaussian", standard_deviation=0.5)
    assert reward_kind_of(AdversarialBandit([[0, 3]])) == RewardKind("bounded", 0.0, 3.0)
    assert reward_kind_of(gym.make("Taxi-v4")).is_within(-10, 20)
    assert reward_kind_of(gym.make("CartPole-v1")).kind == "unknown"
    changed = gym.wrappers.TransformReward(MAKERS["Bernoulli"](), lambda reward: 2 * reward)
    assert reward_kind_of(changed).kind == "unknown"
    assert str(reward_kind_of(MAKERS["Gaussian"]())) == "Gaussian with standard deviation 0.5"


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        # 0.2 / (0.5 ln(0.5 / 0.7) + 0.5 ln(0.5 / 0.3)) = 0.2 / 0.0871767
        (lambda: BernoulliBandit((0.5, 0.7)), 2.29419),
        # Garivier & Cappé (2011), two arms of 0.9 and 0.8: 0.1 / (0.8 ln(8 / 9) + 0.2 ln 2) = 0.1 / 0.0444030
        (lambda: BernoulliBandit((0.9, 0.8)), 2.25210),
        # 2 σ² / gap of each: 2 (1 / 1 + 1 / 0.75 + 1 / 0.5 + 1 / 0.25)
        (lambda: GaussianBandit(), 16.6666667),
        (lambda: GaussianBandit((0.0, 1.0, 1.0), standard_deviation=3.0), 18.0),
        (lambda: BernoulliBandit((0.5, 1.0)), 0.0),
        (lambda: DriftingBandit(), None),
        (lambda: AdversarialBandit(), None),
        (lambda: gym.make("FrozenLake-v1"), None),
    ],
)
def test_lower_bounds_computed_by_hand(make, expected):
    found = lai_robbins_constant(make())
    assert found is None if expected is None else found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GaussianBandit(()), "means must name at least one arm, got ()"),
        (
            lambda: GaussianBandit((0.1,), standard_deviation=0),
            "standard_deviation must be a number in (0, inf), got 0",
        ),
        (lambda: TenArmedTestbed(num_arms=0), "num_arms must be a whole number of at least 1, got 0"),
        (lambda: DriftingBandit(walk=0), "nothing drifts: give walk above 0, or changes"),
        (lambda: DriftingBandit(rewards="bernouli"), "'bernouli': did you mean 'bernoulli'?"),
        (lambda: DriftingBandit((0.5,), rewards="bernoulli"), "walk must be 0 with bernoulli rewards"),
        (lambda: DriftingBandit((0.5,), changes={9: [1, 2]}), "changes[9] must have 1 numbers, one an arm, got 2"),
        (lambda: DriftingBandit((0.5,), changes={"x": [1]}), "changes: the number of pulls must be a whole number"),
        (lambda: AdversarialBandit([1.0]), "rewards must have a row for each pull and a column for each arm"),
        (lambda: AdversarialBandit([[math.nan]]), "rewards must be finite, got nan at pull 0, arm 0"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(make, message):
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_regret_of_bandits_is_drawn_without_noise_and_above_its_bound():
    results = vd.compare({"ε": EPSILON}, "velodrome/BernoulliBandit-v0", seeds=3, episodes=300, workers=0)
    axes = results.plot(kind="regret").axes[0]
    assert axes.get_ylabel() == "cumulative pseudo-regret"
    agent, bound = axes.get_lines()[:2]
    total = np.mean([record.row()["pseudo_regret"] for record in results.records])
    assert agent.get_ydata()[-1] == pytest.approx(total)
    assert bound.get_label() == "Lai–Robbins lower bound"
    constant = lai_robbins_constant(BernoulliBandit())
    assert bound.get_ydata()[-1] == pytest.approx(constant * math.log(300))
    (row,) = results.rows()
    assert row["regret_mean"] == pytest.approx(total)


def test_each_seed_of_a_testbed_has_its_own_best():
    results = vd.compare({"ε": EPSILON}, "velodrome/TenArmedTestbed-v0", seeds=6, episodes=400, workers=0)
    rows = [record.row() for record in results.records]
    assert len({row["best_return"] for row in rows}) == 6
    assert all(row["greedy_mean_return"] <= row["best_return"] for row in rows)
    assert all(math.isnan(row.get("lai_robbins", math.nan)) for row in rows)
    with pytest.raises(ExperimentError, match="no regret"):
        vd.compare({"q": "q_learning"}, "Blackjack-v1", seeds=1, episodes=2, workers=0).plot(kind="regret")


def test_evaluations_along_the_training_are_of_the_arms_as_they_are():
    env, agent = MAKERS["testbed"](), learner()
    log = agent.train(env, episodes=200, seed=0, evaluate_every=100)
    curve = next(curve for curve in log.curves if curve.name == "evaluation_return")
    assert curve.values[-1] == env.unwrapped.expected_rewards[int(np.argmax(agent.action_values))]


class Guessing(vd.Agent):
    """Draws its arm of the first two anew each time, so that no policy can be computed."""

    def begin(self, observation_space, action_space, rng):
        self.rng = rng

    def act(self, observation, explore=False):
        return int(self.rng.integers(2))


class Doubled(gym.RewardWrapper):
    def reward(self, reward):
        return 2 * reward


@pytest.mark.parametrize(("make", "factor"), [(MAKERS["testbed"], 1.0), (lambda: Doubled(MAKERS["testbed"]()), 2.0)])
def test_sampled_evaluations_are_of_the_trials_own_arms(make, factor):
    trial = vd.run(Guessing(), make, episodes=50, seed=3, evaluation_episodes=2000)
    assert trial.evaluation.method == "monte-carlo"
    env = MAKERS["testbed"]()
    learner().train(env, episodes=1, seed=3)
    arms = env.unwrapped.expected_rewards
    assert trial.evaluation.mean_return == pytest.approx(factor * arms[:2].mean(), abs=0.15 * factor)


def test_only_arms_in_hindsight_may_cost_less_than_nothing():
    turns = str([[1, 0]] * 60 + [[0, 1]] * 50).replace(" ", "")
    (adversarial,) = vd.compare(
        "exp3(exploration=0.3)", f"velodrome/AdversarialBandit-v0(rewards={turns})", seeds=5, episodes=110, workers=0
    ).rows()
    (fixed,) = vd.compare(
        "random", "velodrome/BernoulliBandit-v0(probabilities=[0,0.1,0.1])", seeds=5, episodes=1, workers=0
    ).rows()
    for row in (adversarial, fixed):
        assert (row["regret_low"], row["regret_high"]) == (row["pseudo_regret_low"], row["pseudo_regret_high"])
    assert adversarial["regret_low"] < min(0, adversarial["regret_mean"])
    assert fixed["regret_low"] == 0


def test_korean_pictures_of_regret():
    results = vd.compare({"ε": EPSILON}, "velodrome/BernoulliBandit-v0", seeds=2, episodes=50, workers=0)
    page = report_html(results, language="ko")
    assert "당긴 팔의 기대 보상이 가장 좋은 팔에 못 미친 양의 누적" in page


def test_the_shipped_experiments_on_bandits_can_be_run():
    assert len(read_experiment("bandits").plan().trials) == 11 * 100
    assert len(read_experiment("contextual").plan().trials) == 5 * 2 * 10
