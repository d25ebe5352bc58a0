"""Linear contextual bandits: updates by hand and by least squares, exploration, resuming; and the synthetic bandit."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env

import velodrome as vd
from velodrome.agents import (
    Agent,
    DivergedError,
    LinearBandit,
    LinearThompson,
    LinUCB,
    ObservationError,
    SavedAgentError,
    UnsupportedEnvironmentError,
)
from velodrome.agents.engine.seeding import environment_seed
from velodrome.agents.linear import context_features
from velodrome.agents.linear.arm_choices import largest_of_normals
from velodrome.agents.linear.ridge_kernels import estimates, learn
from velodrome.agents.resuming.environment_streams import environment_streams, restore_environment_streams
from velodrome.envs import LinearContextualBandit
from velodrome.policies import UCB, ConfigurationError, EpsilonGreedy, Greedy, Harmonic, Linear, Softmax

ID = "velodrome/LinearContextualBandit-v0"
AGENTS = {
    "policy": lambda: LinearBandit(policy=EpsilonGreedy(Linear(1, 0.1, 50))),
    "softmax": lambda: LinearBandit(policy=Softmax(0.2), ridge=0.1),
    "ucb": lambda: LinUCB(confidence=Harmonic(clock="step")),
    "thompson": lambda: LinearThompson(),
}


def learnt(agent):
    entries, arrays = agent.state()
    # Greedy acting draws for ties from a stream of its own.
    del entries["acting_stream"]
    return entries, {name: array.tobytes() for name, array in arrays.items()}


class Recorded(gym.Wrapper):
    """Remembers contexts, actions and rewards."""

    def __init__(self, env):
        super().__init__(env)
        self.rows = []

    def reset(self, **options):
        self.context, info = self.env.reset(**options)
        return self.context, info

    def step(self, action):
        answer = self.env.step(action)
        self.rows.append((self.context, action, answer[1]))
        return answer


def test_an_update_by_hand():
    # One feature and its constant, ridge 1, context 2, reward 5: A = [[5, 2], [2, 2]], b = [10, 5], A⁻¹ b = [5/3, 5/6].
    agent = LinearBandit(policy=Greedy(ties="first"))

    class One(gym.Env):
        observation_space, action_space = spaces.Box(-np.inf, np.inf, (1,), np.float64), spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            return np.array([2.0]), {}

        def step(self, action):
            return np.array([2.0]), 5.0, True, False, {}

    agent.train(One(), episodes=1, seed=0)
    assert agent.weights == pytest.approx(np.array([[5 / 3, 5 / 6], [0, 0]]))
    # x = (3, 1): xᵀ A⁻¹ x = (2 * 9 - 2 * 2 * 3 + 5) / 6 for the arm pulled, 10 for the other.
    assert agent.expected_rewards(np.array([[3.0]])) == pytest.approx(np.array([[35 / 6, 0]]))
    assert agent.uncertainties(np.array([[3.0]])) == pytest.approx(np.sqrt([[11 / 6, 10]]))


@pytest.mark.parametrize("make", AGENTS.values(), ids=AGENTS)
def test_estimates_are_those_of_least_squares(make):
    env, agent = Recorded(gym.make(ID)), make()
    log = agent.train(env, episodes=300, seed=4)
    contexts, actions, rewards = (np.array(column) for column in zip(*env.rows, strict=True))
    expected = env.unwrapped.expected_rewards(contexts)
    assert np.array_equal(log.pseudo_regrets, expected.max(axis=1) - expected[np.arange(300), actions])
    features = np.c_[contexts.astype(np.float64), np.ones(len(contexts))]
    for arm in range(5):
        seen = features[actions == arm]
        squares = seen.T @ seen + agent.ridge * np.eye(6)
        weights = np.linalg.solve(squares, seen.T @ rewards[actions == arm])
        assert agent.weights[arm] == pytest.approx(weights, abs=1e-12)
        assert agent.expected_rewards(contexts)[:, arm] == pytest.approx(features @ weights, abs=1e-12)
        spread = np.sqrt(np.einsum("bi,ij,bj->b", features, np.linalg.inv(squares), features))
        assert agent.uncertainties(contexts)[:, arm] == pytest.approx(spread, abs=1e-12)


def test_lin_ucb_pulls_the_largest_bound_each_time():
    env, agent = Recorded(gym.make(ID)), LinUCB(confidence=0.7)
    agent.train(env, episodes=400, seed=0)
    squares, sums = np.stack([np.eye(6)] * 5), np.zeros((5, 6))
    for number, (context, action, reward) in enumerate(env.rows):
        x = np.append(context.astype(np.float64), 1.0)
        inverses = np.linalg.inv(squares)
        bounds = np.einsum("aij,aj,i->a", inverses, sums, x) + 0.7 * np.sqrt(np.einsum("i,aij,j->a", x, inverses, x))
        assert bounds[action] == pytest.approx(bounds.max(), abs=1e-9), number
        squares[action] += np.outer(x, x)
        sums[action] += reward * x


def test_compiled_arithmetic_has_the_bits_of_plain_python():
    rng = np.random.default_rng(0)
    factors, targets = np.zeros((3, 5, 5)), np.zeros((3, 5))
    factors[:] = np.eye(5) * 0.3
    others = factors.copy(), targets.copy()
    for _ in range(40):
        arm, context, reward = int(rng.integers(3)), rng.normal(size=5) * (rng.random(5) < 0.7), float(rng.normal())
        learn(factors[arm], targets[arm], context, reward, np.empty(5))
        learn.py_func(others[0][arm], others[1][arm], context, reward, np.empty(5))
    assert np.array_equal(factors, others[0])
    assert np.array_equal(targets, others[1])
    contexts = rng.normal(size=(6, 5))
    compiled, plain = ([np.empty((6, 3)), np.empty((6, 3))] for _ in range(2))
    estimates(factors, targets, contexts, np.empty(5), *compiled)
    estimates.py_func(*others, contexts, np.empty(5), *plain)
    assert np.array_equal(compiled, plain)


def test_badly_scaled_contexts_lose_no_more_than_least_squares():
    # Columns that are nearly the same: an inverse kept up to date has no digit left here, the factor has half of them.
    rng = np.random.default_rng(0)
    first = rng.normal(size=400)
    contexts = np.c_[first, first + 1e-6 * rng.normal(size=400)]
    rewards = contexts @ [2.0, -1.0]
    factor, target = np.eye(2) * 1e-8, np.zeros(2)
    for context, reward in zip(contexts, rewards, strict=True):
        learn(factor, target, context, float(reward), np.empty(2))
    assert np.linalg.solve(factor, target) == pytest.approx([2.0, -1.0], abs=1e-4)


@pytest.mark.parametrize("make", AGENTS.values(), ids=AGENTS)
def test_parts_of_training_are_the_whole_and_saved_agents_go_on(make, tmp_path):
    whole = make()
    log = whole.train(gym.make(ID), episodes=80, seed=2)
    parts, env = make(), gym.make(ID)
    returns = [parts.train(env, episodes=30, seed=2).returns]
    parts.save(tmp_path)
    streams = environment_streams(env)
    loaded, anew = Agent.load(tmp_path), gym.make(ID)
    anew.reset(seed=environment_seed(2))
    restore_environment_streams(anew, streams)
    loaded.resume(anew)
    returns.append(loaded.train(anew, episodes=50).returns)
    assert np.array_equal(np.concatenate(returns), log.returns)
    assert learnt(loaded) == learnt(whole)


@pytest.mark.parametrize("make", AGENTS.values(), ids=AGENTS)
def test_one_and_many_act_alike_and_acting_changes_nothing(make):
    agent = make()
    agent.train(gym.make(ID), episodes=120, seed=5)
    before = learnt(agent)
    contexts = np.array([LinearContextualBandit().reset(seed=seed)[0] for seed in range(20)])
    assert [agent.act(context) for context in contexts] == agent.act(contexts).tolist()
    assert np.array_equal(agent.act(contexts), agent.expected_rewards(contexts).argmax(axis=1))
    assert np.array_equal(agent.action_values_of(contexts), agent.expected_rewards(contexts))
    assert agent.action_probabilities(contexts).sum() == 20
    assert learnt(agent) == before
    again = make()
    again.train(gym.make(ID), episodes=120, seed=5)
    explored = [agent.act(context, explore=True) for context in contexts]
    assert explored == again.act(contexts, explore=True).tolist()


@pytest.mark.parametrize("make", [*AGENTS.values(), lambda: LinearThompson(scale=0)], ids=[*AGENTS, "no scale"])
def test_exploration_has_the_probabilities_that_it_says(make):
    agent = make()
    agent.train(gym.make(ID), episodes=25, seed=7)
    context = LinearContextualBandit().reset(seed=0)[0]
    (chances,) = agent.exploration_probabilities(context[None])
    assert chances.sum() == pytest.approx(1, abs=1e-12)
    counts = np.bincount([agent.act(context, explore=True) for _ in range(3000)], minlength=5)
    assert (np.abs(counts / 3000 - chances) < 5 * np.sqrt(chances * (1 - chances) / 3000) + 1e-9).all()


def test_chances_of_the_largest_of_normals():
    from scipy.special import ndtr

    assert largest_of_normals(np.zeros((1, 4)), np.ones((1, 4)))[0] == pytest.approx([0.25] * 4, abs=1e-13)
    for mean, first, second in [(0.3, 1.0, 0.2), (5.0, 1e-3, 2.0), (1.0, 30.0, 1e-6)]:
        chances = largest_of_normals(np.array([[mean, 0.0]]), np.array([[first, second]]))[0]
        assert chances[0] == pytest.approx(ndtr(mean / np.hypot(first, second)), abs=1e-10)


def test_chances_where_some_are_certain():
    from scipy.special import ndtr

    means, deviations = np.array([[0.2, 0.0, -1.0, 0.2]]), np.array([[0.0, 0.5, 0.0, 0.0]])
    above = ndtr(-0.2 / 0.5)
    half = (1 - above) / 2
    assert largest_of_normals(means, deviations)[0] == pytest.approx([half, above, 0, half], abs=1e-12)
    agent = LinearThompson(scale=1e-300)
    agent.train(gym.make(ID), episodes=30, seed=0)
    contexts = LinearContextualBandit().reset(seed=1)[0][None]
    assert agent.exploration_probabilities(contexts) == pytest.approx(agent.action_probabilities(contexts), abs=1e-9)


def test_images_are_divided_by_the_largest_and_learnt():
    train, test = (gym.make("velodrome/Classification-v0", split=split) for split in ("train", "test"))
    examples = test.unwrapped.examples
    agent = LinUCB(confidence=0.2)
    log = agent.train(train, episodes=1437, seed=0)
    assert log.success_rate > 0.8
    assert log.pseudo_regrets is not None
    assert np.array_equal(log.pseudo_regrets, 1 - log.returns)
    assert (agent.act(examples.inputs) == examples.labels).mean() > 0.9
    assert agent.weights.shape == (10, 65)
    assert agent.learner.task.features_of_all(examples.inputs).max() == 1.0


def test_finite_observations_have_a_feature_for_each_value():
    class Parts(gym.Env):
        observation_space = spaces.Dict({"day": spaces.Discrete(7), "flags": spaces.MultiBinary(2)})
        action_space = spaces.Discrete(3, start=5)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            self.seen = {"day": int(self.np_random.integers(7)), "flags": self.np_random.integers(0, 2, 2, np.int8)}
            return self.seen, {}

        def step(self, action):
            return self.seen, float(action == 5 + self.seen["day"] % 3), True, False, {}

    agent = LinUCB(confidence=0.3)
    log = agent.train(Parts(), episodes=400, seed=0)
    assert agent.weights.shape == (3, 11)
    assert log.returns[-100:].mean() > 0.95
    batch = {"day": np.array([0, 1, 2, 6]), "flags": np.zeros((4, 2), np.int8)}
    assert agent.act(batch).tolist() == [5, 6, 7, 5]
    assert agent.act({"day": 1, "flags": np.zeros(2, np.int8)}) == 6


def test_on_one_state_lin_ucb_counts_pulls():
    # A Discrete(1) has one feature: the estimate is Σ r / (n + 1), its uncertainty 1 / √(n + 1).
    agent = LinUCB()
    agent.train("velodrome/BernoulliBandit-v0", episodes=200, seed=0)
    pulls = 1 / agent.uncertainties(np.array([0]))[0] ** 2 - 1
    assert pulls == pytest.approx(np.round(pulls), abs=1e-9)
    assert pulls.sum() == pytest.approx(200)


def test_several_steps_are_noted():
    log = LinUCB().train("CartPole-v1", episodes=3, seed=0)
    assert any("discount 0" in note for note in log.notes)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LinUCB(ridge=0), "ridge must be a number in (0, inf), got 0"),
        (lambda: LinUCB(confidence=-1), "confidence must be a number in [0, inf), got -1"),
        (lambda: LinearThompson(scale=-0.5), "scale must be a number in [0, inf), got -0.5"),
        (lambda: LinearThompson(scale=Harmonic(clock="visits")), "needs visit counts"),
        (lambda: LinearBandit(policy=UCB()), "lin_ucb"),
        (lambda: LinearBandit(policy="greedy"), "policy must be a policy, got 'greedy'"),
        (lambda: LinearContextualBandit(noise=-1), "noise must be a number in [0, inf), got -1"),
        (lambda: LinearContextualBandit(arms=0), "arms must be a whole number of at least 1, got 0"),
        (
            lambda: LinearContextualBandit(dimension=30_000),
            "dimension must be a whole number of at least 1 and at most",
        ),
        (lambda: LinearContextualBandit(1000, 20_000), "arms * dimension must be at most 10,000,000 weights"),
        (lambda: LinearContextualBandit(seed=-1), "seed must be a whole number of at least 0, got -1"),
    ],
)
def test_bad_arguments_in_one_line(make, message):
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_bad_spaces_and_observations_in_one_line(monkeypatch, tmp_path):
    with pytest.raises(UnsupportedEnvironmentError, match="lin_ucb needs a Discrete action space"):
        LinUCB().train("Pendulum-v1", episodes=1)
    with pytest.raises(UnsupportedEnvironmentError, match="loop='compiled' is not possible"):
        LinUCB().train(ID, episodes=1, loop="compiled")
    agent = LinUCB()
    agent.train(ID, episodes=5, seed=0)
    with pytest.raises(ObservationError, match="has shape"):
        agent.act(np.zeros(4))
    with pytest.raises(ObservationError, match="must be finite, got nan"):
        agent.act(np.full((2, 5), np.nan))
    agent.learner.targets[:] = np.inf
    with pytest.raises(DivergedError, match="an estimate is not finite after 5 steps"):
        agent.train(ID, episodes=1)
    agent.learner.targets[:] = 0
    agent.learner.factors[0, 0, 0] = -1
    agent.save(tmp_path)
    with pytest.raises(SavedAgentError, match="diagonal"):
        Agent.load(tmp_path)
    monkeypatch.setattr(context_features, "MOST_NUMBERS", 100)
    with pytest.raises(UnsupportedEnvironmentError, match=r"keeps 180 numbers for 6 features and 5 actions .* at most"):
        LinUCB().train(ID, episodes=1)


# -- the synthetic bandit


def test_the_environment_is_clean_and_knows_its_rewards():
    env = LinearContextualBandit()
    check_env(env, skip_render_check=True)
    context, _ = env.reset(seed=0)
    assert np.linalg.norm(context) == pytest.approx(1)
    expected = env.expected_rewards(context)
    assert expected == pytest.approx(env.parameters @ context)
    assert np.array_equal(env.expected_rewards(np.stack([context, -context])), np.stack([expected, -expected]))
    _, reward, terminated, truncated, info = env.step(2)
    assert (terminated, truncated) == (True, False)
    assert abs(reward - expected[2]) < 0.6
    assert info == {"is_success": expected.argmax() == 2, "pseudo_regret": expected.max() - expected[2]}
    with pytest.raises(gym.error.ResetNeeded):
        env.step(0)
    with pytest.raises(ValueError, match=r"contexts must have shape \(5,\) or \(B, 5\), got \(4,\)"):
        env.expected_rewards(np.zeros(4))


def test_contexts_and_noise_do_not_depend_on_what_is_pulled():
    seen = []
    for arm in (0, 3):
        env = LinearContextualBandit()
        rows = [env.reset(seed=1)[0]]
        noise = []
        for _ in range(5):
            noise.append(env.step(arm)[1] - env.expected_rewards(rows[-1])[arm])
            rows.append(env.reset()[0])
        seen.append((np.array(rows), np.array(noise)))
    assert np.array_equal(seen[0][0], seen[1][0])
    assert seen[0][1] == pytest.approx(seen[1][1], abs=1e-15)


def test_the_same_seed_makes_the_same_arms_and_noise_0_pays_what_is_expected():
    first, second, other = (LinearContextualBandit(noise=0, seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(first.parameters, second.parameters)
    assert not np.array_equal(first.parameters, other.parameters)
    context = first.reset(seed=0)[0]
    assert first.step(1)[1] == first.expected_rewards(context)[1]


def test_the_best_return_is_known():
    assert LinearContextualBandit(dimension=1, seed=2).best_return == 1.0
    assert LinearContextualBandit(arms=1).best_return == pytest.approx(0, abs=1e-15)
    # In the plane it is the perimeter of the arms' convex hull over 2 π: of two arms twice their distance.
    plane = LinearContextualBandit(arms=2, dimension=2)
    exact = np.linalg.norm(plane.parameters[0] - plane.parameters[1]) / np.pi
    assert abs(plane.best_return - exact) < 5 * plane.best_return_error < 1e-3
    env = LinearContextualBandit()
    rng = np.random.default_rng(0)
    contexts = rng.normal(size=(100_000, 5))
    best = env.expected_rewards(contexts / np.linalg.norm(contexts, axis=1, keepdims=True)).max(axis=1)
    assert abs(best.mean() - env.best_return) < 5 * best.std() / np.sqrt(len(best))
    assert env.best_return == pytest.approx(0.569, abs=5e-4)
    assert env.best_return_error < 1e-4


def test_agents_find_the_best_arms_of_the_synthetic_bandit():
    results = vd.compare(
        {"ucb": "lin_ucb", "thompson": "linear_thompson", "chance": "random"}, ID, seeds=2, episodes=800
    )
    means = {row["agent"]: row["train_return_mean"] for row in results.rows()}
    assert means["ucb"] > 0.5
    assert means["thompson"] > 0.5
    assert abs(means["chance"]) < 0.1
