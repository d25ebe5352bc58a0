"""linear_q: semi-gradient Sarsa on tiles; Sarsa where one feature is active, and the book's figure of MountainCar."""

import math
import random
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings, strategies as st

import velodrome as vd
from velodrome.agents import (
    Agent,
    Discretized,
    DivergedError,
    EnvironmentFailureError,
    LinearQ,
    ObservationError,
    Sarsa,
    SavedAgentError,
    UnsupportedEnvironmentError,
)
from velodrome.agents.engine.seeding import environment_seed
from velodrome.agents.resuming.environment_streams import environment_streams, restore_environment_streams
from velodrome.envs import TileCoding
from velodrome.experiments.specification.catalogue import build_agent
from velodrome.experiments.specification.experiment_file import read_experiment
from velodrome.policies import ConfigurationError, EpsilonGreedy, Greedy, Harmonic, Linear, RandomNoise, Softmax

FILE = Path(__file__).parents[1] / "examples" / "mountain_car.toml"


def car():
    return gym.make("MountainCar-v0")


def pole():
    return gym.make("CartPole-v1")


def learnt(agent):
    entries, arrays = agent.state()
    return entries, {name: array.tobytes() for name, array in arrays.items()}


@settings(max_examples=15, deadline=None)
@given(
    policy=st.sampled_from(
        [EpsilonGreedy(0.3), EpsilonGreedy(Linear(1, 0, 20)), Softmax(), RandomNoise(Harmonic(clock="step")), Greedy()]
    ),
    environment=st.sampled_from(["FrozenLake-v1", "CliffWalking-v1", "velodrome/Chain-v0"]),
    learning_rate=st.sampled_from([0.1, 1.0, Linear(1, 0.1, 500, clock="step")]),
    initial_value=st.sampled_from([0.0, 0.7]),
    seed=st.integers(0, 2**20),
)
def test_on_one_feature_it_is_sarsa_bit_for_bit(policy, environment, learning_rate, initial_value, seed):
    parameters = {
        "discount": 0.9, "learning_rate": learning_rate, "initial_value": initial_value, "policy": policy
    }  # fmt: skip
    linear, table = LinearQ(**parameters), Sarsa(**parameters)
    same = [
        agent.train(gym.make(environment), steps=600, seed=seed, loop="generic").returns for agent in (linear, table)
    ]
    assert np.array_equal(*same)
    assert np.array_equal(linear.weights, table.action_values)
    states = np.arange(len(linear.weights))
    assert np.array_equal(linear.action_values_of(states), table.action_values)
    assert np.array_equal(linear.action_probabilities(states), table.greedy_probabilities())


def test_one_tiling_is_sarsa_through_bins():
    linear, table = LinearQ(tilings=1, tiles=6), Discretized(agent=Sarsa(), bins=6)
    same = [agent.train(pole(), episodes=40, seed=3).returns for agent in (linear, table)]
    assert np.array_equal(*same)
    assert np.array_equal(linear.weights, table.action_values)


def test_it_learns_on_a_box_what_it_learns_inside_the_wrapper():
    outside, inside = LinearQ(tiles=4), LinearQ()
    same = [outside.train(pole(), episodes=30, seed=1), inside.train(TileCoding(pole(), tiles=4), episodes=30, seed=1)]
    assert np.array_equal(same[0].returns, same[1].returns)
    assert np.array_equal(outside.weights, inside.weights)


def plain_sarsa_lambda(env, *, learning_rate, discount, trace_decay, steps):
    """Sarsa(λ) with binary features and replacing traces as the book has it (section 12.7), on dense arrays."""
    coder = TileCoding(env, 4, 3)
    weights = np.zeros((coder.tilings.num_features, env.action_space.n))
    traces = np.zeros_like(weights)
    rate = learning_rate / 4

    def best(features):
        return int(np.argmax(weights[features].sum(axis=0)))

    features = coder.tilings.active_features(env.reset(seed=environment_seed(0))[0])
    action = best(features)
    for _ in range(steps):
        observation, reward, terminated, truncated, _ = env.step(action)
        following = coder.tilings.active_features(observation)
        error = reward - weights[features, action].sum()
        if not terminated:
            next_action = best(following)
            error += discount * weights[following, next_action].sum()
        traces[features, action] = 1.0
        weights += rate * error * traces
        traces *= discount * trace_decay
        features, action = following, next_action
        if terminated or truncated:
            traces[:] = 0.0
            features = coder.tilings.active_features(env.reset()[0])
            action = best(features)
    return weights


@pytest.mark.parametrize("trace_decay", [0.0, 0.5, 0.95, 1.0])
def test_it_is_the_books_pseudocode(trace_decay):
    agent = LinearQ(
        tilings=4, tiles=3, discount=0.98, learning_rate=0.4, trace_decay=trace_decay, policy=Greedy(ties="first")
    )
    agent.train(car(), steps=3000, seed=0)
    expected = plain_sarsa_lambda(car(), learning_rate=0.4, discount=0.98, trace_decay=trace_decay, steps=3000)
    assert np.abs(agent.weights).max() > 1.0
    np.testing.assert_allclose(agent.weights, expected, rtol=0, atol=1e-7)


def test_truncation_bootstraps_and_termination_does_not():
    class Once(gym.Env):
        observation_space, action_space = spaces.Box(0.0, 1.0, (1,)), spaces.Discrete(1)

        def __init__(self, *, terminates):
            self.terminates = terminates

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return np.zeros(1, dtype=np.float32), {}

        def step(self, action):
            return np.ones(1, dtype=np.float32), 0.0, self.terminates, not self.terminates, {}

    for terminates, expected in ((True, 0.0), (False, 0.5 * 4.0)):
        agent = LinearQ(discount=0.5, learning_rate=1.0, initial_value=4.0)
        agent.train(Once(terminates=terminates), episodes=1, seed=0)
        (value,), (beyond,) = agent.action_values_of(np.array([[0.0], [1.0]]))
        assert (value, beyond) == (expected, 4.0)


@pytest.mark.parametrize("trace_decay", [0.0, 0.9])
def test_training_in_two_calls_is_training_in_one(trace_decay):
    whole, parts = (LinearQ(trace_decay=trace_decay, policy=EpsilonGreedy(0.1, ties="first")) for _ in range(2))
    whole.train(car(), steps=700, seed=5)
    env = car()
    parts.train(env, steps=333, seed=5)
    parts.act(np.zeros((3, 2)))
    parts.train(env, steps=367)
    assert learnt(whole) == learnt(parts)


def test_a_loaded_agent_goes_on_in_an_environment_made_anew(tmp_path):
    undisturbed, agent, env = (make(trace_decay=0.8, tiles=4) for make in (LinearQ, LinearQ, lambda **_: pole()))
    log = undisturbed.train(pole(), episodes=30, seed=2)
    first = agent.train(env, episodes=30, seed=2, callback=lambda finished: False, callback_every=12)
    agent.save(tmp_path)
    resumed, anew = Agent.load(tmp_path), pole()
    assert isinstance(resumed, LinearQ)
    restore_environment_streams(anew, environment_streams(env))
    resumed.resume(anew)
    later = resumed.train(anew, episodes=18)
    assert np.array_equal(log.returns, (first + later).returns)
    assert learnt(resumed) == learnt(undisturbed)
    with pytest.raises(UnsupportedEnvironmentError, match=r"^linear_q has learnt with 5000 features and 2 actions"):
        resumed.train(gym.make("Acrobot-v1"), episodes=1)
    with pytest.raises(SavedAgentError, match="holds a linear_q agent, not sarsa"):
        Sarsa.load(tmp_path)


def test_one_observation_is_answered_as_in_a_batch():
    agent = LinearQ(policy=EpsilonGreedy(0.1, ties="first"))
    agent.train(car(), episodes=3, seed=0)
    observations = np.random.default_rng(0).uniform([-1.2, -0.07], [0.6, 0.07], (40, 2))
    values = agent.action_values_of(observations)
    assert values.shape == (40, 3)
    assert agent.act(observations).tolist() == [agent.act(one) for one in observations] == values.argmax(1).tolist()
    assert agent.action_probabilities(observations).argmax(1).tolist() == agent.act(observations).tolist()
    assert set(agent.act(observations, explore=True).tolist()) <= {0, 1, 2}
    assert agent.act(observations[0], explore=True) in (0, 1, 2)
    assert agent.train(car(), steps=7).steps == 7


def test_it_is_evaluated_exactly_where_the_model_is_known():
    trial = vd.run("linear_q(learning_rate=0.3)", "FrozenLake-v1(is_slippery=False)", steps=3000, seed=1)
    assert (trial.evaluation.method, trial.log.loop) == ("exact", "generic")


def test_it_stands_beside_a_table_of_bins_on_one_environment(tmp_path):
    agents = {
        "bins": "discretized(agent=q_learning(discount=1), bins=20)",
        "tiles": "linear_q(discount=1, learning_rate=0.5, policy=greedy)",
        "random": "random",
    }
    results = vd.compare(agents, "MountainCar-v0", seeds=2, episodes=60, evaluation_episodes=5, workers=0, out=tmp_path)
    means = {row["agent"]: row["train_return_mean"] for row in results.rows()}
    assert means["tiles"] > means["bins"] == -200.0
    assert build_agent(str(build_agent(agents["tiles"]))).learning_rate == 0.5


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"tilings": 0}, "tilings must be a whole number of at least 1, got 0"),
        ({"tiles": (8, 0)}, "tiles must be a whole number of at least 1, got 0"),
        ({"tiles": (8, 8, 8), "dimensions": (0, 1)}, "tiles must be one number or 2, one a dimension, got 3"),
        ({"dimensions": (0, 0)}, r"dimensions must be different numbers, got \(0, 0\)"),
        ({"learning_rate": 0}, r"learning_rate must be a number in \(0, 2\], got 0"),
        ({"learning_rate": Harmonic(clock="visits")}, "learning_rate harmonic.* needs visit counts of a state"),
        ({"policy": vd.policies.UCB()}, r"policy ucb\(\) needs visit counts of a state"),
        ({"policy": 3}, "policy must be a policy, got 3"),
        ({"trace_decay": 1.5}, r"trace_decay must be a number in \[0, 1\], got 1.5"),
        ({"discount": -1}, r"discount must be a number in \[0, 1\], got -1"),
    ],
    ids=str,
)
def test_parameters_that_cannot_be_are_refused(parameters, message):
    with pytest.raises(ConfigurationError, match=f"^linear_q: {message}"):
        LinearQ(**parameters)


class Seeing(gym.Env):
    """Observes samples of a space."""

    action_space = spaces.Discrete(2)

    def __init__(self, space):
        self.observation_space = space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(int(self.np_random.integers(2**31)))
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), 1.0, False, False, {}


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (lambda: gym.make("Pendulum-v1"), "linear_q needs a Discrete action space, but Pendulum-v1 has Box("),
        (
            lambda: Seeing(spaces.Box(-np.inf, np.inf, (2,))),
            "linear_q: Seeing has no finite limit in dimension 0: give low=, 2 finite numbers, one a dimension",
        ),
        (
            lambda: Seeing(spaces.Box(0, 255, (84, 84, 4), dtype=np.uint8)),
            "linear_q: 8 tilings of 8 tiles a dimension make more than 10,000,000 features in 28224 dimensions: take "
            "fewer tiles, or look at a few dimensions, dimensions=[...], or take an agent that learns from pictures",
        ),
        (
            lambda: Seeing(spaces.Discrete(10**8)),
            "linear_q keeps weights of at most 10,000,000 features, but observations of Seeing have 100,000,000",
        ),
        (
            lambda: Seeing(spaces.Dict(a=spaces.Box(0, 1, (2,)))),
            "linear_q needs a Box or a finite observation space, but Seeing has a Dict of 'a': name the part that it "
            "is to see, observation(Seeing, 'a')",
        ),
    ],
)
def test_environments_that_do_not_fit_are_refused_before_anything_runs(environment, message):
    with pytest.raises(UnsupportedEnvironmentError) as caught:
        LinearQ().check_environment(environment())
    assert str(caught.value).startswith(message)
    assert len(str(caught.value).splitlines()) == 1


def test_each_value_of_each_part_of_an_observation_is_a_feature():
    for space in (spaces.MultiDiscrete([3, 4]), spaces.Tuple([spaces.Discrete(3, start=5), spaces.MultiDiscrete([4])])):
        agent = LinearQ(discount=0)
        agent.train(Seeing(space), steps=200, seed=0)
        assert agent.weights.shape == (7, 2)
        assert agent.weights.any(axis=1).all()
    assert LinearQ().train("Blackjack-v1", episodes=20, seed=0).episodes == 20


def test_observations_that_are_none_are_refused():
    agent = LinearQ()
    agent.train(car(), steps=10, seed=0)
    with pytest.raises(ObservationError, match=r"has shape \(2,\), a batch one dimension more; got \(3,\)"):
        agent.act(np.zeros(3))
    with pytest.raises(ObservationError, match="observations must be numbers, got <U1"):
        agent.act(["a", "b"])
    for observation in (np.array([np.nan, 0.0]), np.array([[np.nan, 0.0]])):
        with pytest.raises((ObservationError, EnvironmentFailureError), match="observation has NaN in dimension 0"):
            agent.act(observation)
    lost = gym.wrappers.TransformObservation(car(), lambda observation: observation * np.nan, car().observation_space)
    with pytest.raises(EnvironmentFailureError, match=r"^MountainCar-v0: observation has NaN in dimension 0 \(episode"):
        LinearQ().train(lost, episodes=1, seed=0)


def test_values_that_diverge_are_refused():
    class Rich(Seeing):
        def step(self, action):
            return self.observation_space.sample(), 1e151, True, False, {}

    with pytest.raises(DivergedError, match=r"^linear_q: an error of .* after \d+ steps, action"):
        LinearQ(discount=1, learning_rate=2, trace_decay=1).train(Rich(spaces.MultiDiscrete([1, 1])), steps=50, seed=0)


def lengths_of(label, seeds, episodes, tmp_path):
    """Steps of each episode, (seeds, episodes), of an agent of the example's file."""
    expression = {
        "α = 0.1/8": "linear_q(learning_rate=0.1, discount=1, high=[0.5, 0.07], policy=greedy)",
        "α = 0.5/8": "linear_q(learning_rate=0.5, discount=1, high=[0.5, 0.07], policy=greedy)",
    }[label]
    assert expression in FILE.read_text(encoding="utf-8")
    results = vd.compare(
        {label: expression}, "MountainCar-v0(max_episode_steps=10000)", seeds=seeds, episodes=episodes,
        evaluation_episodes=1, workers=0, out=tmp_path,
    )  # fmt: skip
    return np.array([curves.lengths for curves in results.episode_curves(results.environments[0], label)])


def test_the_example_of_mountain_car_can_be_run():
    plan = read_experiment(str(FILE)).plan()
    assert len(plan.trials) == 4 * 20


def test_mountain_car_is_learnt_as_fast_as_in_the_book(tmp_path):
    lengths = lengths_of("α = 0.5/8", 1, 50, tmp_path)[0]
    # Figure 10.4 has some 300 steps in the mean of the first fifty episodes for one-step Sarsa.
    assert 200 < lengths.mean() < 400
    assert lengths[-10:].mean() < 220


def lengths_of_the_book(rate, seed, episodes):
    """The book's box of section 10.1 on its own: its car, the tiles of its software in a dictionary, ε = 0."""
    rng, weights, lengths = random.Random(seed), {}, []

    def features_of(x, v):
        first, second = math.floor(8 * x / 1.7 * 8), math.floor(8 * v / 0.14 * 8)
        return [(tiling, (first + tiling) // 8, (second + 3 * tiling) // 8) for tiling in range(8)]

    def values_of(features):
        return [sum(weights.get((feature, action), 0.0) for feature in features) for action in range(3)]

    def best_of(values):
        return rng.choice([action for action in range(3) if values[action] == max(values)])

    for _ in range(episodes):
        x, v, steps = rng.uniform(-0.6, -0.4), 0.0, 0
        features = features_of(x, v)
        action = best_of(values_of(features))
        while x < 0.5:
            v = min(max(v + 0.001 * (action - 1) - 0.0025 * math.cos(3 * x), -0.07), 0.07)
            x = min(max(x + v, -1.2), 0.5)
            v, steps = 0.0 if x == -1.2 else v, steps + 1
            following = features_of(x, v)
            next_values = values_of(following)
            next_action = best_of(next_values)
            target = -1.0 + (next_values[next_action] if x < 0.5 else 0.0)
            change = rate / 8 * (target - values_of(features)[action])
            for feature in features:
                weights[feature, action] = weights.get((feature, action), 0.0) + change
            features, action = following, next_action
        lengths.append(steps)
    return lengths


@pytest.mark.slow
def test_mountain_car_settles_where_the_book_has_it(tmp_path):
    fast, slow = (lengths_of(label, 5, 500, tmp_path).mean(axis=0) for label in ("α = 0.5/8", "α = 0.1/8"))
    assert fast[0] > 500
    for ours, rate in ((fast, 0.5), (slow, 0.1)):
        book = np.mean([lengths_of_the_book(rate, seed, 110) for seed in range(5)], axis=0)
        assert ours[:50].mean() == pytest.approx(book[:50].mean(), rel=0.05)
        assert ours[90:110].mean() == pytest.approx(book[90:110].mean(), rel=0.1)
    # Figure 10.2: at the end all three step sizes are between 100 and 200 steps, the largest near 120.
    assert 105 < fast[-50:].mean() < 140
    assert 110 < slow[-50:].mean() < 200
