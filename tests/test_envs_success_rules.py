"""Success rules: who decides, and on what."""

import functools

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import wrappers
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from gymnasium.envs.toy_text.frozen_lake import FrozenLakeEnv
from hypothesis import given, strategies as st

import velodrome as vd
from velodrome.envs import Discretize, SuccessRule, TransitionModel, parse_success_rule, success_rule
from velodrome.experiments.specification.environment_configuration import build_environment

RETURNS = np.array([0.0, 1.0, 475.0, -3.0])
LENGTHS = np.array([5, 6, 7, 8])
TERMINATED = np.array([True, False, True, False])
SILENT = np.full(4, -1, dtype=np.int8)


def decide(rule, reported=SILENT):
    answer = rule.successes(RETURNS, LENGTHS, TERMINATED, np.asarray(reported, dtype=np.int8))
    return None if answer is None else answer.tolist()


@pytest.mark.parametrize(
    ("identifier", "kwargs", "description", "source"),
    [
        ("FrozenLake-v1", {}, "return > 0", "known environment"),
        ("FrozenLake8x8-v1", {}, "return > 0", "known environment"),
        ("Taxi-v4", {}, "terminated", "known environment"),
        ("CliffWalking-v1", {}, "terminated", "known environment"),
        ("CartPole-v1", {}, "return >= 475", "known environment"),
        ("MountainCar-v0", {}, "terminated", "known environment"),
        ("Blackjack-v1", {}, "return > 0", "known environment"),
        ("MountainCarContinuous-v0", {}, "return >= 90", "reward_threshold"),
        ("Pendulum-v1", {}, "no success rule", "none"),
        ("velodrome/GridWorld-v0", {}, "info['is_success']", "info"),
        ("velodrome/DeepSea-v0", {"size": 4}, "info['is_success']", "info"),
        ("velodrome/Chain-v0", {}, "no success rule", "none"),
    ],
)
def test_the_rule_of_an_environment(identifier, kwargs, description, source):
    assert success_rule(gym.make(identifier, **kwargs)) == SuccessRule(description, source)


class Shaped(gym.Wrapper):
    """Changes rewards in a step of its own."""

    def step(self, action):
        observation, reward, *rest = self.env.step(action)
        return observation, reward + 0.01, *rest


class Own(FrozenLakeEnv):
    def step(self, action):
        return super().step(action)


def edited(identifier, state, action, outcome):
    env = gym.make(identifier)
    env.unwrapped.P[state][action] = [outcome]
    return env


def replaced():
    env = gym.make("CartPole-v1")
    env.unwrapped.step = env.unwrapped.step
    return env


AT_GOAL, NONE = "terminated at the goal", "no success rule"


@pytest.mark.parametrize(
    ("make", "description"),
    [
        (lambda: gym.make("FrozenLake-v1", reward_schedule=(1, 0, 0.01)), AT_GOAL),
        (lambda: gym.make("FrozenLake-v1", reward_schedule=(1, -1, -0.2)), AT_GOAL),
        (lambda: gym.make("FrozenLake-v1", reward_schedule=(5, -1, 0)), "return > 0"),
        (lambda: gym.make("FrozenLake-v1", desc=["SF", "HG"]), "return > 0"),
        (lambda: wrappers.TransformReward(gym.make("FrozenLake-v1"), lambda reward: reward + 0.01), AT_GOAL),
        (lambda: wrappers.ClipReward(gym.make("CartPole-v1"), -1, 0.5), NONE),
        (lambda: wrappers.NormalizeReward(gym.make("CartPole-v1")), NONE),
        (lambda: wrappers.NormalizeReward(gym.make("Taxi-v4")), "terminated"),
        (lambda: wrappers.NormalizeObservation(gym.make("CartPole-v1")), "return >= 475"),
        (lambda: Discretize(wrappers.TimeAwareObservation(gym.make("CartPole-v1")), 2, -1, 1), "return >= 475"),
        (lambda: wrappers.RecordEpisodeStatistics(gym.make("FrozenLake-v1")), "return > 0"),
        (lambda: gym.make("CartPole-v1", sutton_barto_reward=True), NONE),
        (lambda: gym.make("CartPole-v1", max_episode_steps=9, render_mode="rgb_array"), "return >= 475"),
        (lambda: gym.make("MountainCarContinuous-v0", goal_velocity=0.1), NONE),
        (lambda: gym.make("MountainCarContinuous-v0", render_mode="rgb_array"), "return >= 90"),
        (lambda: edited("FrozenLake-v1", 0, 0, (1.0, 0, 0.5, False)), AT_GOAL),
        (lambda: edited("CliffWalking-v1", 36, 0, (1.0, 0, -1, True)), AT_GOAL),
        *[(lambda name=name: Shaped(gym.make(name)), AT_GOAL) for name in ("Taxi-v4", "MountainCar-v0", "Acrobot-v1")],
        (lambda: Shaped(gym.make("CartPole-v1")), NONE),
        (replaced, NONE),
    ],
)
def test_a_rule_kept_for_an_id_holds_only_with_its_own_rewards(make, description):
    rule = success_rule(make())
    assert rule.description == description
    assert bool(rule.why) == (description in (AT_GOAL, NONE))
    assert success_rule(make(), "return > 3").description == "return > 3"


def test_a_class_of_ones_own_under_a_known_id_has_no_rule(monkeypatch):
    monkeypatch.setitem(gym.registry, "FrozenLake-v1", gym.envs.registration.EnvSpec("FrozenLake-v1", Own))
    rule = success_rule(gym.make("FrozenLake-v1", reward_schedule=(1, 0, 0.1)))
    assert rule.description == NONE


def test_the_goal_is_the_same_in_both_loops_and_in_the_exact_evaluation():
    env = "FrozenLake-v1(is_slippery=False, reward_schedule=(1, 0, 0.01))"
    plain = vd.run("random", "FrozenLake-v1(is_slippery=False)", episodes=500, seed=3)
    for loop in ("compiled", "generic"):
        trial = vd.run("random", env, episodes=500, seed=3, loop=loop)
        assert trial.log.success_rule == AT_GOAL
        assert trial.log.successes.tolist() == plain.log.successes.tolist()
        assert trial.evaluation.success_rate == plain.evaluation.success_rate
        assert any("'return > 0' is the rule of FrozenLake-v1" in note for note in trial.log.notes)


@pytest.mark.parametrize("shift", [0.0, 0.01, -0.2])
@pytest.mark.parametrize("wrapped", [lambda env, shift: wrappers.TransformReward(env, lambda r: r + shift), None])
def test_shaped_rewards_keep_the_true_success_rate(shift, wrapped):
    def shape(env):
        return Shaped(env) if wrapped is None else wrapped(env, shift)

    plain = vd.run("random", "FrozenLake-v1", episodes=300, seed=0, loop="generic")
    trial = vd.run("random", lambda: shape(gym.make("FrozenLake-v1")), episodes=300, seed=0)
    assert trial.log.successes.tolist() == plain.log.successes.tolist()
    assert trial.evaluation.method == "monte-carlo"
    assert trial.evaluation.success_rate < 0.1


def test_shaped_taxi_cliff_and_car_succeed_at_their_goal():
    for name in ("Taxi-v4", "CliffWalking-v1(max_episode_steps=50)", "MountainCar-v0"):
        configuration = build_environment(name)
        agent = "random" if "Car" in name else "q_learning(learning_rate=0.5)"
        plain = vd.run(agent, name, episodes=100, seed=0, loop="generic", evaluation_episodes=2)
        trial = vd.run(
            agent, lambda made=configuration: Shaped(made.make()), episodes=100, seed=0, evaluation_episodes=2
        )
        assert trial.log.success_rule == AT_GOAL
        if "Car" in name:
            assert trial.log.successes.tolist() == plain.log.successes.tolist()
        assert trial.log.successes.tolist() == trial.log.terminated.tolist()


def test_the_experiments_rule_comes_first():
    rule = success_rule(gym.make("velodrome/GridWorld-v0"), "return >= 475")
    assert rule == SuccessRule("return >= 475", "experiment")
    assert decide(rule, [1, 1, 0, 1]) == [False, False, True, False]


def test_info_wins_over_all_but_the_experiment():
    known = success_rule(gym.make("FrozenLake-v1"))
    assert decide(known) == [False, True, True, False]
    assert decide(known, [1, 0, -1, -1]) == [True, False, True, False]
    nothing = success_rule(gym.make("Pendulum-v1"))
    assert decide(nothing) is None
    assert decide(nothing, [1, 0, -1, 1]) == [True, False, False, True]
    assert decide(parse_success_rule("none"), [1, 1, 1, 1]) is None
    assert decide(parse_success_rule("is_success"), [1, 0, -1, 1]) == [True, False, False, True]
    assert decide(parse_success_rule("is_success")) is None
    assert decide(parse_success_rule("terminated"), [0, 1, 0, 1]) == TERMINATED.tolist()


def test_the_rule_that_was_used_is_stated():
    known = success_rule(gym.make("FrozenLake-v1"))
    assert known.as_used(SILENT) == known
    assert known.as_used(np.array([1, 0])) == SuccessRule("info['is_success']", "info")
    assert known.as_used(np.array([1, -1])).description == "info['is_success'], where absent return > 0"
    own = parse_success_rule("terminated")
    assert own.as_used(np.array([1, 0])) == own


def test_no_episodes_are_no_successes():
    empty = np.array([])
    rule = success_rule(gym.make("velodrome/GridWorld-v0"))
    assert rule.successes(empty, empty, empty, empty.astype(np.int8)).shape == (0,)


@pytest.mark.parametrize(
    ("text", "description"),
    [
        ("return > 0", "return > 0"),
        ("  return>=475.0 ", "return >= 475"),
        ("return > -1.5", "return > -1.5"),
        ("return >= 1e3", "return >= 1000"),
        ("terminated", "terminated"),
        ("is_success", "info['is_success']"),
        ("info['is_success']", "info['is_success']"),
        ("none", "no success rule"),
    ],
)
def test_rules_are_read(text, description):
    rule = parse_success_rule(text)
    assert rule == SuccessRule(description, "experiment")
    assert parse_success_rule(rule.description) == rule


@given(st.floats(-1e300, 1e300), st.sampled_from([">", ">="]))
def test_thresholds_are_kept_exactly(threshold, comparison):
    rule = parse_success_rule(f"return {comparison} {threshold!r}")
    returns = np.array([threshold, np.nextafter(threshold, np.inf), np.nextafter(threshold, -np.inf)])
    found = rule.successes(returns, LENGTHS[:3], TERMINATED[:3], SILENT[:3])
    assert found.tolist() == [comparison == ">=", True, False]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("termnated", "unknown success rule 'termnated': did you mean 'terminated'? allowed are"),
        ("is_sucess", "unknown success rule 'is_sucess': did you mean 'is_success'?"),
        ("return > lots", "unknown success rule 'return > lots': did you mean 'return > 0'?"),
        ("return > nan", "unknown success rule 'return > nan'"),
        ("return < 5", "unknown success rule 'return < 5'"),
        ("zzz", "unknown success rule 'zzz': allowed are"),
        (5, "unknown success rule 5: allowed are"),
    ],
)
def test_misspelt_rules_are_one_line(text, words):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the words are checked below
        parse_success_rule(text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def outcomes_of(identifier, rule=None, **kwargs):
    env = gym.make(identifier, **kwargs)
    model = TransitionModel.of(env)
    return model, success_rule(env, rule).success_outcomes(model)


def test_final_outcomes_decide_where_they_can():
    model, lake = outcomes_of("FrozenLake-v1")
    assert np.array_equal(lake, model.rewards == 1.0)
    model, taxi = outcomes_of("Taxi-v4")
    assert np.array_equal(taxi, model.terminated)
    model, grid = outcomes_of("velodrome/GridWorld-v0")
    assert np.array_equal(grid, model.success)
    model, high = outcomes_of("FrozenLake-v1", "return >= 1")
    assert np.array_equal(high, model.rewards == 1.0)


@pytest.mark.parametrize(
    ("identifier", "rule", "kwargs"),
    [
        ("CliffWalking-v1", "return > 0", {}),
        ("FrozenLake-v1", "return > -1", {}),
        ("FrozenLake-v1", "return >= 0", {}),
        ("FrozenLake-v1", "return > 0", {"reward_schedule": (1, 0, -0.1)}),
        ("FrozenLake-v1", "none", {}),
        ("FrozenLake-v1", "is_success", {}),
        ("velodrome/Chain-v0", None, {}),
    ],
)
def test_final_outcomes_do_not_decide(identifier, rule, kwargs):
    assert outcomes_of(identifier, rule, **kwargs)[1] is None


def test_a_patch_that_wears_the_names_of_what_it_replaces_is_seen(monkeypatch):
    original = CartPoleEnv.step

    @functools.wraps(original)
    def step(self, action):
        observation, reward, *rest = original(self, action)
        return observation, 100 * reward, *rest

    assert success_rule(gym.make("CartPole-v1")).description == "return >= 475"
    monkeypatch.setattr(CartPoleEnv, "step", step)
    assert success_rule(gym.make("CartPole-v1")).description == "no success rule"
