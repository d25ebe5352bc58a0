"""Success rules: who decides, and on what."""

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from velodrome.envs import SuccessRule, TransitionModel, parse_success_rule, success_rule

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
