"""Which observation and action spaces tabular agents take, and how action masks are honoured."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from velodrome import agents, envs, policies
from velodrome.agents.errors import EnvironmentFailureError, UnsupportedEnvironmentError


class Walk(gym.Env):
    """Five places in a row, told as the space likes; one action walks on, the other stays. The end pays 1."""

    def __init__(self, observation_space, observations, action_start=0):
        self.observation_space = observation_space
        self.action_space = spaces.Discrete(2, start=action_start)
        self.observations = observations

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = 0
        return self.observations[0], {}

    def step(self, action):
        assert self.action_space.contains(action), action
        self.place += int(action - self.action_space.start)
        ended = self.place == 4
        return self.observations[self.place], float(ended), ended, False, {}


SPACES = {
    "Discrete": (spaces.Discrete(5), [0, 1, 2, 3, 4]),
    "Discrete with a start": (spaces.Discrete(5, start=-2), [-2, -1, 0, 1, 2]),
    "MultiDiscrete": (
        spaces.MultiDiscrete([2, 3]),
        [np.array(pair) for pair in ((0, 0), (1, 2), (0, 1), (1, 0), (0, 2))],
    ),
    "MultiDiscrete with a start": (
        spaces.MultiDiscrete([2, 3], start=[10, -1]),
        [np.array(pair) for pair in ((10, -1), (11, 1), (10, 0), (11, -1), (10, 1))],
    ),
    "MultiDiscrete of two dimensions": (
        spaces.MultiDiscrete([[2, 2], [2, 2]]),
        [np.array([[place % 2, 0], [place // 2 % 2, place // 4]]) for place in range(5)],
    ),
    "MultiBinary": (spaces.MultiBinary(3), [np.array([k % 2, k // 2 % 2, k // 4], np.int8) for k in range(5)]),
    "Tuple": (
        spaces.Tuple([spaces.Discrete(3, start=1), spaces.MultiDiscrete([2])]),
        [(1 + k % 3, np.array([k // 3])) for k in range(5)],
    ),
}


def walked(name, loop="auto", action_start=0):
    env = gym.wrappers.TimeLimit(Walk(*SPACES[name], action_start=action_start), max_episode_steps=50)
    agent = agents.QLearning(discount=0.5, learning_rate=1.0, policy=policies.EpsilonGreedy(epsilon=0.5, ties="first"))
    return agent, env, agent.train(env, episodes=100, seed=0, loop=loop)


def stacked(observations):
    if isinstance(observations[0], tuple):
        return tuple(np.array([observation[part] for observation in observations]) for part in range(2))
    return np.array(observations)


@pytest.mark.parametrize("name", SPACES)
def test_every_finite_space_gets_a_row_for_each_observation(name):
    agent, _, _ = walked(name)
    assert np.count_nonzero(agent.visit_counts.sum(axis=1)) == 4
    # The value of walking on doubles towards the end; staying is worth half the best.
    assert sorted(agent.action_values[agent.visit_counts.sum(axis=1) > 0, 1].tolist()) == [0.125, 0.25, 0.5, 1.0]
    observations = SPACES[name][1]
    assert [agent.act(observation) for observation in observations[:4]] == [1] * 4
    assert agent.act(stacked(observations[:4])).tolist() == [1] * 4
    assert agent.act(stacked(observations[4:])).shape == (1,)


def test_a_tuple_counts_by_its_whole_numbers_however_often_it_was_seen():
    agent = agents.QLearning()
    agent.train(gym.make("Blackjack-v1"), episodes=200, seed=0)
    row = agent.learner.state_of((14, 10, 0))
    for same in ((14, 10, 0), (14.0, np.int64(10), False), (np.array(14), 10, 0)):
        assert agent.learner.state_of(same) == row
    for other in ((14, 10, 2), (14, 10), (14.5, 10, 0), ("14", 10, 0), [14, 10, 0], (14, 10, 0, 0), -1):
        with pytest.raises(EnvironmentFailureError):
            agent.learner.state_of(other)


@pytest.mark.parametrize("start", [0, 3, -5])
def test_actions_are_counted_from_the_start_of_their_space(start):
    agent, _, log = walked("Discrete", action_start=start)
    plain, _, plain_log = walked("Discrete")
    assert agent.action_values.tobytes() == plain.action_values.tobytes()
    assert log.lengths.tobytes() == plain_log.lengths.tobytes()
    assert agent.act(0) == start + 1
    assert agent.act(np.arange(4)).tolist() == [start + 1] * 4
    assert agent.act(2, explore=True) in (start, start + 1)
    assert set(agent.act(np.arange(4), explore=True).tolist()) <= {start, start + 1}


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("when", ["reset", "step"])
def test_an_observation_outside_its_space_is_the_environments_failure(name, when):
    space, observations = SPACES[name]
    outside = {
        "Discrete": 5,
        "Discrete with a start": 3,
        "MultiDiscrete": np.array([0, 3]),
        "MultiDiscrete with a start": np.array([9, 1]),
        "MultiDiscrete of two dimensions": np.array([[0, 2], [0, 0]]),
        "MultiBinary": np.array([0, 2, 0], np.int8),
        "Tuple": (0, np.array([1])),
    }[name]
    places = [outside, *observations[1:]] if when == "reset" else [observations[0]] + [outside] * 4
    env = gym.wrappers.TimeLimit(Walk(space, places), max_episode_steps=50)
    with pytest.raises(EnvironmentFailureError, match=r"^Walk: observation [^\n]*outside[^\n]*episode 1, step \d+\)$"):
        agents.QLearning().train(env, episodes=3, seed=0)


@pytest.mark.parametrize("explore", [False, True])
@pytest.mark.parametrize("observation", [-1, 16, "left", None, [0, 99], [-1, 3]])
def test_acting_outside_the_observation_space_is_refused_in_one_line(observation, explore):
    agent = agents.QLearning()
    agent.train("FrozenLake-v1", episodes=2, seed=0)
    with pytest.raises(EnvironmentFailureError, match=r"^[^\n]*outside the observation space[^\n]*$"):
        agent.act(observation, explore=explore)


def test_blackjack_with_its_tuple_observations():
    env = gym.make("Blackjack-v1")
    agent = agents.QLearning(
        learning_rate=policies.Harmonic(clock="visits"), policy=policies.EpsilonGreedy(epsilon=0.3)
    )
    log = agent.train(env, episodes=3000, seed=0)
    assert agent.action_values.shape == (32 * 11 * 2, 2)
    assert log.loop == "generic"
    assert log.success_rule == "return > 0"
    # With 20 or 21 one stays, with 5 to 8 one cannot go bust.
    assert agent.act((20, 5, 0)) == 0
    assert agent.act((np.array([20, 21]), np.array([10, 6]), np.array([0, 0]))).tolist() == [0, 0]


def test_a_box_is_refused_in_one_line_that_names_the_way_out():
    with pytest.raises(
        UnsupportedEnvironmentError, match=r"^q_learning[^\n]*CartPole-v1 has Box[^\n]*Discretize[^\n]*$"
    ):
        agents.QLearning().train("CartPole-v1", episodes=1, seed=0)


@pytest.mark.parametrize("space", [spaces.Dict({"a": spaces.Discrete(2)}), spaces.Text(3)], ids=["Dict", "Text"])
def test_an_unbounded_or_nested_space_is_refused_in_one_line(space):
    env = Walk(space, [])
    with pytest.raises(UnsupportedEnvironmentError, match=rf"^q_learning[^\n]*Walk has {type(space).__name__}[^\n]*$"):
        agents.QLearning().train(env, episodes=1, seed=0)


@pytest.mark.parametrize("agent", [agents.QLearning, agents.RandomAgent])
def test_actions_that_are_not_discrete_are_refused_in_one_line(agent):
    with pytest.raises(UnsupportedEnvironmentError, match=r"^[^\n]*needs a Discrete action space, but Pendulum[^\n]*$"):
        agent().train("Pendulum-v1", episodes=1, seed=0)


def test_an_environment_of_another_size_is_refused_and_changes_nothing():
    agent = agents.QLearning()
    agent.train("FrozenLake-v1", episodes=5, seed=0)
    before = agent.action_values.copy()
    with pytest.raises(UnsupportedEnvironmentError, match=r"^[^\n]*16 states and 4 actions[^\n]*500 and 6$"):
        agent.train("Taxi-v4", episodes=5)
    np.testing.assert_array_equal(agent.action_values, before)
    assert agent.train("FrozenLake-v1", episodes=5).episodes == 5


def test_discretized_cartpole_is_learnt():
    env = envs.Discretize(gym.make("CartPole-v1"), bins=6, low=[-2.4, -2.0, -0.21, -2.0], high=[2.4, 2.0, 0.21, 2.0])
    agent = agents.QLearning(learning_rate=0.2, policy=policies.EpsilonGreedy(epsilon=policies.Linear(1.0, 0.01, 150)))
    log = agent.train(env, episodes=300, seed=0)
    assert log.loop == "generic"
    assert log.returns[-50:].mean() > 2 * log.returns[:50].mean()


def test_the_random_agent_takes_any_observation():
    agent = agents.RandomAgent()
    env = gym.make("CartPole-v1")
    log = agent.train(env, episodes=20, seed=0)
    assert 10 < log.returns.mean() < 40
    observation, _ = env.reset(seed=0)
    assert agent.act(observation) in (0, 1)
    assert agent.act(observation, explore=True) in (0, 1)


def test_the_random_agent_acts_on_a_batch_of_any_observations():
    agent = agents.RandomAgent()
    agent.train("CartPole-v1", episodes=1, seed=0)
    actions = agent.act(np.zeros((500, 4), dtype=np.float32))
    assert actions.shape == (500,)
    assert 150 < actions.sum() < 350


def test_a_loaded_random_agent_still_takes_any_observation(tmp_path):
    agent = agents.RandomAgent()
    agent.train("CartPole-v1", episodes=1, seed=0)
    agent.save(tmp_path)
    loaded = agents.Agent.load(tmp_path)
    assert (
        loaded.train("CartPole-v1", episodes=2, seed=5).returns.tolist()
        == agent.train("CartPole-v1", episodes=2, seed=5).returns.tolist()
    )


# Action masks

MASKED = {
    "q_learning": (agents.QLearning, policies.EpsilonGreedy(epsilon=0.5)),
    "sarsa": (agents.Sarsa, policies.Uniform()),
    "expected_sarsa": (agents.ExpectedSarsa, policies.Softmax(temperature=1.0)),
    "double_q_learning": (agents.DoubleQLearning, policies.RandomNoise(scale=2.0)),
    "n_step_q": (agents.NStepQ, policies.UCB(confidence=5.0)),
    "q_lambda": (agents.QLambda, policies.EpsilonGreedy(epsilon=0.5, ties="first")),
    "dyna_q": (agents.DynaQ, policies.Greedy(ties="random")),
}


def allowed_actions(env):
    return np.array([env.unwrapped.action_mask(state) for state in range(500)], dtype=bool)


@pytest.mark.parametrize("name", MASKED)
def test_a_masked_agent_never_takes_a_forbidden_action_in_either_loop(name, result, differences):
    agent, policy = MASKED[name]
    env, results = gym.make("Taxi-v4"), []
    for loop in ("generic", "compiled"):
        trained = agent(action_mask=True, policy=policy)
        log = trained.train(env, episodes=8, seed=3, loop=loop)
        assert log.loop == loop
        results.append(result(trained, env, log))
        forbidden = ~allowed_actions(env)
        assert trained.visit_counts[forbidden].sum() == 0
        assert trained.visit_counts.sum() == log.steps
        assert np.isfinite(trained.action_values[~forbidden]).all()
        # The destination states end an episode: nothing is chosen there.
        assert allowed_actions(env)[np.arange(500), trained.act(np.arange(500))].all()
    assert differences(*results) == []


def test_without_a_mask_the_forbidden_actions_are_taken():
    env = gym.make("Taxi-v4")
    agent = agents.QLearning()
    agent.train(env, episodes=8, seed=3)
    assert agent.visit_counts[~allowed_actions(env)].sum() > 0


def test_a_masked_agent_keeps_to_the_mask_when_loaded(tmp_path):
    env = gym.make("Taxi-v4")
    agent = agents.QLearning(action_mask=True, policy=policies.Uniform())
    agent.train(env, episodes=2, seed=0)
    agent.save(tmp_path)
    loaded = agents.Agent.load(tmp_path)
    loaded.train(gym.make("Taxi-v4"), episodes=5)
    assert loaded.visit_counts[~allowed_actions(env)].sum() == 0


@pytest.mark.parametrize("loop", ["auto", "generic", "compiled"])
def test_an_environment_without_masks_is_refused_in_one_line(loop):
    with pytest.raises(UnsupportedEnvironmentError, match=r"^[^\n]*action_mask[^\n]*FrozenLake-v1[^\n]*$"):
        agents.QLearning(action_mask=True).train("FrozenLake-v1", episodes=5, seed=0, loop=loop)


class MaskedWalk(Walk):
    """Says in `info` that standing still is not available."""

    def __init__(self):
        super().__init__(*SPACES["MultiDiscrete"])

    def reset(self, *, seed=None, options=None):
        observation, _ = super().reset(seed=seed)
        return observation, {"action_mask": np.array([0, 1], np.int8)}

    def step(self, action):
        observation, reward, terminated, truncated, _ = super().step(action)
        return observation, reward, terminated, truncated, {"action_mask": np.array([0, 1], np.int8)}


@pytest.mark.parametrize("agent", [agents.QLearning, agents.Sarsa, agents.ExpectedSarsa])
def test_masks_that_come_with_each_observation_are_honoured(agent):
    trained = agent(action_mask=True, policy=policies.EpsilonGreedy(epsilon=1.0))
    log = trained.train(MaskedWalk(), episodes=10, seed=0)
    assert log.lengths.tolist() == [4] * 10
    assert trained.visit_counts[:, 0].sum() == 0
