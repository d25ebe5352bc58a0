"""A tabular agent that looks through bins does what the agent does in a discretised environment."""

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, strategies as st

import velodrome as vd
from velodrome.agents import Agent, Discretized, DoubleQLearning, QLearning, SimpleCNN, UnsupportedEnvironmentError
from velodrome.agents.deep.labelled_task import ObservationError
from velodrome.agents.resuming.environment_streams import environment_streams, restore_environment_streams
from velodrome.agents.resuming.saving import SavedAgentError
from velodrome.envs import Discretize
from velodrome.envs.binning import Binning
from velodrome.experiments.specification.catalogue import build_agent
from velodrome.policies import ConfigurationError, EpsilonGreedy

DIGITS = "velodrome/Classification-v0"
PIXELS = (10, 61, 20, 42, 45, 21, 36, 29, 28)


def learner(**parameters):
    return QLearning(discount=0.9, policy=EpsilonGreedy(0.2, ties="first"), **parameters)


def pole():
    return gym.make("CartPole-v1")


@pytest.mark.parametrize("make", [learner, DoubleQLearning])
def test_it_learns_what_the_agent_learns_inside_the_wrapper(make, learnt):
    inside, outside = make(), Discretized(agent=make(), bins=(3, 4, 5, 6))
    env = Discretize(pole(), bins=(3, 4, 5, 6))
    log = inside.train(env, episodes=40, seed=3)
    same = outside.train(pole(), episodes=40, seed=3)
    assert np.array_equal(log.returns, same.returns)
    assert learnt(inside) == learnt(outside)
    observations = np.random.default_rng(0).uniform(-1, 1, (50, 4))
    acted = [inside.act(env.observation(one)) for one in observations] if make is learner else None
    if acted is not None:
        assert outside.act(observations).tolist() == acted
        assert [outside.act(one) for one in observations] == acted


def test_dimensions_that_are_not_looked_at_change_nothing():
    few = Discretized(agent=learner(), bins=(4, 6), dimensions=(3, 2))
    all_of_them = Discretized(agent=learner(), bins=(1, 1, 6, 4))
    assert np.array_equal(
        few.train(pole(), episodes=20, seed=0).returns, all_of_them.train(pole(), episodes=20, seed=0).returns
    )
    observation = np.array([0.1, -0.2, 0.05, 0.3])
    for other in ([2.0, 1.0, 0.05, 0.3], [np.nan, 9.0, 0.05, 0.3]):
        assert few.act(np.array(other)) == few.act(observation)


def test_training_in_two_calls_is_training_in_one(learnt):
    whole, parts, by_id = (Discretized(agent=learner(), bins=4) for _ in range(3))
    whole.train(pole(), steps=500, seed=5)
    env = pole()
    parts.train(env, steps=200, seed=5)
    parts.train(env, steps=300)
    by_id.train("CartPole-v1", steps=200, seed=5)
    by_id.train("CartPole-v1", steps=300)
    assert learnt(whole) == learnt(parts) == learnt(by_id)


def test_copies_of_a_configuration_learn_apart():
    agent = Discretized(agent=learner(), bins=3)
    first = vd.run(agent, "CartPole-v1", episodes=5, seed=0).trained
    second = vd.run(agent, "CartPole-v1", episodes=5, seed=1).trained
    assert not np.array_equal(first.action_values, second.action_values)
    with pytest.raises(UnsupportedEnvironmentError, match="has not been trained or loaded yet"):
        agent.act(np.zeros(4))


def test_a_loaded_agent_is_the_saved_one_and_goes_on(tmp_path, learnt):
    agent = Discretized(agent=learner(), bins=(4, 6), dimensions=(2, 3))
    agent.train(pole(), episodes=10, seed=0)
    agent.save(tmp_path)
    loaded = Agent.load(tmp_path)
    assert isinstance(loaded, Discretized)
    observations = np.random.default_rng(0).uniform(-1, 1, (30, 4))
    assert loaded.act(observations).tolist() == agent.act(observations).tolist()
    assert learnt(loaded) == learnt(agent)
    with pytest.raises(
        UnsupportedEnvironmentError, match=r"^discretized has learnt from observations with other .* of Acrobot-v1$"
    ):
        loaded.train(gym.make("Acrobot-v1"), episodes=1)
    with pytest.raises(SavedAgentError, match="holds a discretized agent, not q_learning"):
        QLearning.load(tmp_path)


def test_training_goes_on_in_an_environment_made_anew(tmp_path, learnt):
    undisturbed = Discretized(agent=learner(), bins=4)
    log = undisturbed.train(pole(), episodes=30, seed=2)

    agent, env = Discretized(agent=learner(), bins=4), pole()
    first = agent.train(env, episodes=30, seed=2, callback=lambda finished: False, callback_every=12)
    agent.save(tmp_path)
    resumed, anew = Discretized.load(tmp_path), pole()
    restore_environment_streams(anew, environment_streams(env))
    resumed.resume(anew)
    later = resumed.train(anew, episodes=18)
    assert first.episodes == 12
    assert np.array_equal(log.returns, (first + later).returns)
    assert learnt(resumed) == learnt(undisturbed)


@pytest.mark.slow
def test_a_table_of_nine_pixels_learns_digits_from_reward():
    expression = (
        "discretized(agent=q_learning(discount=0, learning_rate=harmonic(1, clock='visits'), "
        f"policy=epsilon_greedy(0.1)), bins=2, dimensions={PIXELS})"
    )
    results = vd.compare(
        {"table": expression, "chance": "random", "linear": "softmax_regression"}, DIGITS, seeds=5, epochs=5, workers=0
    )
    rows = {row["agent"]: row for row in results.rows()}
    # With labels the best table of these pixels is right for 0.756 of the test images.
    assert rows["table"]["greedy_success_rate_mean"] > 0.6
    assert str(build_agent(expression)) == str(build_agent(str(build_agent(expression))))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Discretized(agent=SimpleCNN()), "discretized: agent must be a tabular agent, got simple_cnn"),
        (lambda: Discretized(bins=0), "discretized: bins must be a whole number of at least 1, got 0"),
        (lambda: Discretized(bins=(2, 0)), "discretized: bins must be a whole number of at least 1, got 0"),
        (lambda: Discretized(dimensions=(1, 1)), "discretized: dimensions must be different numbers, got (1, 1)"),
        (lambda: Discretized(dimensions=()), "discretized: dimensions must be different numbers, got ()"),
        (lambda: Discretized(dimensions=(-1,)), "discretized: dimensions must be a whole number of at least 0, got -1"),
        (
            lambda: Discretized(bins=(2, 2, 2), dimensions=(0, 1)),
            "discretized: bins must be one number or 2, one a dimension, got 3",
        ),
    ],
)
def test_parameters_that_cannot_be_are_refused(make, message):
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("agent", "environment", "message"),
    [
        (Discretized(), "FrozenLake-v1", "discretized needs a Box observation space, but FrozenLake-v1 has Discrete("),
        (
            Discretized(dimensions=(4,)),
            "CartPole-v1",
            "discretized: observations of CartPole-v1 have dimensions 0 to 3",
        ),
        (Discretized(bins=(2, 2)), "CartPole-v1", "discretized: bins must be one number or 4, one a dimension, got 2"),
        (Discretized(bins=100), DIGITS, "discretized: bins must make at most 2147483647 states, got "),
        (
            Discretized(),
            "velodrome/Classification-v0",
            "discretized: bins must make at most 2147483647 states, got some",
        ),
        (Discretized(), "Pendulum-v1", "discretized needs a Discrete action space, but Pendulum-v1 has Box("),
    ],
)
def test_environments_that_do_not_fit_are_refused_before_anything_runs(agent, environment, message):
    with pytest.raises(UnsupportedEnvironmentError) as caught:
        agent.check_environment(gym.make(environment))
    assert str(caught.value).startswith(message)
    with pytest.raises(ValueError, match=rf"^agents\.own on {environment!r}: "):
        vd.compare({"own": agent}, environment, seeds=1, episodes=1, workers=0)


def test_observations_of_another_shape_are_refused():
    agent = Discretized(agent=learner(), bins=2)
    agent.train(pole(), episodes=1, seed=0)
    message = r"^an observation has shape \(4,\), a batch one dimension more; got \(3,\)$"
    with pytest.raises(ObservationError, match=message):
        agent.act(np.zeros(3))


@given(st.lists(st.floats(-3, 3), min_size=2, max_size=2), st.integers(1, 5), st.integers(1, 5))
def test_a_bin_holds_what_lies_between_its_limits(observation, first, second):
    binning = Binning(np.array([first, second]), np.array([-1.0, 0.0]), np.array([1.0, 2.0]))
    number = binning.number_of(observation)
    assert 0 <= number < binning.num_bins == first * second
    for place, value, low, bins in zip(divmod(number, second), observation, (-1.0, 0.0), (first, second), strict=True):
        inner = min(max(value, low), low + 2.0)
        width = 2.0 / bins
        assert low + place * width - 1e-9 <= inner <= low + (place + 1) * width + 1e-9


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"bins": 2.5}, "bins must be a whole number of at least 1, got 2.5"),
        ({"bins": None}, "bins must be a whole number of at least 1, got None"),
        ({"dimensions": 5}, "dimensions must be a tuple of numbers, got 5"),
        ({"dimensions": (1.5,)}, "dimensions must be a whole number of at least 0, got 1.5"),
    ],
    ids=str,
)
def test_parameters_of_another_type_are_refused(parameters, message):
    with pytest.raises(ConfigurationError, match=f"^discretized: {message}"):
        Discretized(**parameters)


def test_a_refused_training_leaves_it_free_for_other_environments():
    agent = Discretized(bins=3)
    with pytest.raises(UnsupportedEnvironmentError, match="Discrete action space"):
        agent.train("Pendulum-v1", episodes=1)
    with pytest.raises(ValueError, match="episodes must be"):
        agent.train(gym.make("MountainCar-v0"), episodes=0)
    with pytest.raises(UnsupportedEnvironmentError, match="call train first"):
        agent.act(np.zeros(3))
    assert agent.train(pole(), episodes=2, seed=0).episodes == 2


def test_an_observation_that_is_none_is_refused():
    agent = Discretized(bins=3)
    agent.train(pole(), episodes=2, seed=0)
    for observation, message in (
        (np.full(4, np.nan), "NaN in dimension 0"),
        (["a", "b", "c", "d"], "must be numbers"),
        ([[1.0], [1.0, 2.0]], "must be arrays of numbers"),
    ):
        with pytest.raises(ObservationError, match=message):
            agent.act(observation)


def test_observations_of_another_size_are_refused_by_the_bins():
    binning = Binning(np.array([2, 2]), np.zeros(2), np.ones(2))
    for values in ([0.5], [0.5, 0.5, 0.5]):
        with pytest.raises(ValueError, match=rf"observation must have 2 numbers, got {len(values)}"):
            binning.number_of(values)
