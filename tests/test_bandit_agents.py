"""Bandit agents: their updates by hand, on one bandit of two or three arms, and how they are kept."""

import math

import gymnasium as gym
import numpy as np
import pytest
from scipy.special import softmax

from velodrome import agents, policies
from velodrome.experiments.specification import build_agent

AGENTS = [
    "bandit(policy=thompson_beta)",
    "bandit(policy=ucb1)",
    "gradient_bandit",
    "exp3",
    "sliding_window_ucb(window=7)",
    "discounted_ucb(decay=0.9)",
    "ucb_tuned",
    "successive_elimination",
]


@pytest.fixture
def env():
    return gym.make("velodrome/BernoulliBandit-v0", probabilities=(0.2, 0.5, 0.8))


@pytest.fixture
def pull(env):
    """Function that lets an agent, fresh in a bandit of three arms, learn from pulls (arm, reward)."""

    def pull(agent, pulls):
        agent.train(env, episodes=1, seed=0, loop="generic")
        for array in agent.learner.memory:
            array[...] = 0
        for arm, reward in pulls:
            agent.observe(0, arm, reward, 0, True, False)
        return agent

    return pull


def test_bandit_keeps_sample_averages(pull):
    agent = pull(agents.Bandit(), [(0, 1.0), (0, 0.0), (2, 0.5), (0, 1.0)])
    np.testing.assert_allclose(agent.action_values, [[2 / 3, 0.0, 0.5]])
    assert agent.visit_counts.tolist() == [[3, 0, 1]]


def test_bandit_with_a_constant_learning_rate_is_q_learning_of_one_step_episodes(env):
    values = []
    for agent in (agents.Bandit(learning_rate=0.1, initial_value=5.0), agents.QLearning(initial_value=5.0)):
        agent.train(env, episodes=200, seed=4, loop="generic")
        values.append(agent.action_values)
    np.testing.assert_array_equal(*values)


def test_bandit_looks_at_no_next_state():
    agent = agents.Bandit()
    agent.train("FrozenLake-v1", episodes=50, seed=0, loop="generic")
    paying = agent.action_values > 0
    # Only the state before the goal ever pays.
    assert set(np.flatnonzero(paying.any(axis=1))) <= {14}


@pytest.mark.parametrize("baseline", [True, False])
def test_gradient_bandit(baseline, pull):
    pulls = [(0, 1.0), (1, 3.0), (1, 2.0)]
    agent = pull(agents.GradientBandit(learning_rate=0.4, baseline=baseline), pulls)
    preferences, rewards = np.zeros(3), []
    for arm, reward in pulls:
        compared = (np.mean(rewards) if rewards else reward) if baseline else 0.0
        preferences += 0.4 * (reward - compared) * (np.eye(3)[arm] - softmax(preferences))
        rewards.append(reward)
    np.testing.assert_allclose(agent.action_values[0], preferences, rtol=1e-14)


def test_exp3(pull):
    pulls = [(0, 1.0), (1, 0.5), (0, 0.25)]
    agent = pull(agents.EXP3(exploration=0.3), pulls)
    weights = np.ones(3)
    for arm, reward in pulls:
        probabilities = 0.7 * weights / weights.sum() + 0.1
        weights[arm] *= math.exp(0.3 * reward / probabilities[arm] / 3)
    np.testing.assert_allclose(np.exp(agent.action_values[0]), weights, rtol=1e-13)


def test_exp3_chooses_with_its_probabilities(env):
    agent = agents.EXP3(exploration=0.3)
    agent.train(env, episodes=1, seed=0, loop="generic")
    agent.action_values[...] = [[0.0, math.log(2.0), math.log(7.0)]]
    arms = np.array([agent.act(0, explore=True) for _ in range(4000)])
    np.testing.assert_allclose(np.bincount(arms) / 4000, 0.7 * np.array([0.1, 0.2, 0.7]) + 0.1, atol=0.04)


def test_sliding_window_ucb_knows_the_last_pulls_alone(pull):
    agent = pull(agents.SlidingWindowUCB(window=3, confidence=2.0), [(0, 0.9), (1, 0.5), (1, 0.1), (2, 0.4), (1, 0.3)])
    memory = agent.learner.memory
    assert memory.window_counts.tolist() == [[0, 2, 1]]
    np.testing.assert_allclose(memory.action_values[0][1:], [0.2, 0.4])
    # Arm 0 has left the window, and comes first.
    assert agent.act(0, explore=True) == 0
    # 0.2 + 2 sqrt(ln 3 / 2) = 1.68 against 0.4 + 2 sqrt(ln 3) = 2.50.
    agent.observe(0, 0, 0.0, 0, True, False)
    agent.observe(0, 1, 0.3, 0, True, False)
    assert memory.window_counts.tolist() == [[1, 2, 0]]
    assert agent.act(0, explore=True) == 2


def test_discounted_ucb(pull):
    agent = pull(agents.DiscountedUCB(decay=0.5, confidence=1.0), [(0, 1.0), (1, 0.5), (0, 0.0), (2, 0.0)])
    memory = agent.learner.memory
    np.testing.assert_allclose(memory.discounted_counts, [[0.625, 0.25, 1.0]])
    np.testing.assert_allclose(memory.action_values, [[0.125 / 0.625, 0.5, 0.0]])
    n = 1.875
    bounds = [mean + math.sqrt(math.log(n) / count) for mean, count in ((0.2, 0.625), (0.5, 0.25), (0.0, 1.0))]
    assert agent.act(0, explore=True) == int(np.argmax(bounds)) == 1


def test_discounted_ucb_that_forgets_nothing_is_ucb(env):
    arms = []
    for agent in (agents.DiscountedUCB(decay=1.0, ties="first"), agents.Bandit(policy=policies.UCB(ties="first"))):
        agent.train(env, episodes=300, seed=1, loop="generic")
        arms.append(agent.visit_counts)
    np.testing.assert_array_equal(*arms)


def test_ucb_tuned(pull):
    pulls = [(0, 0.4), (0, 0.6), (0, 0.5), (0, 0.5), (1, 1.0), (1, 0.0), (2, 0.3)]
    agent = pull(agents.UCBTuned(), pulls)
    np.testing.assert_allclose(agent.learner.memory.statistics, [[4, 0.255, 2, 0.5, 1, 0.09]])
    log = math.log(7)
    bounds = [
        mean + math.sqrt(log / count * min(0.25, square - mean**2 + math.sqrt(2 * log / count)))
        for mean, count, square in ((0.5, 4, 0.255), (0.5, 2, 0.5), (0.3, 1, 0.09))
    ]
    assert agent.act(0, explore=True) == int(np.argmax(bounds))


def test_successive_elimination():
    # The first t with 1 >= 2 sqrt(ln(5 * 3 t² / 0.5) / t).
    assert next(t for t in range(1, 99) if 2 * math.sqrt(math.log(30 * t * t) / t) <= 1.0) == 44
    agent = agents.SuccessiveElimination(failure_probability=0.5)
    sure = gym.make("velodrome/BernoulliBandit-v0", probabilities=(1.0, 1.0, 0.0))
    agent.train(sure, episodes=400, seed=0, loop="generic")
    assert agent.visit_counts.tolist() == [[178, 178, 44]]
    # A pull of an arm that is out, by hand, changes its mean alone.
    agent.observe(0, 2, 0.9, 0, True, False)
    assert agent.action_values[0, 2] == pytest.approx(0.9 / 45)
    assert agent.act(0, explore=True) == 0


@pytest.mark.parametrize("expression", AGENTS)
def test_training_in_two_calls_and_through_a_folder_is_training_in_one(expression, env, tmp_path, learnt, differences):
    whole, halves = build_agent(expression), build_agent(expression)
    whole.train(env, episodes=90, seed=3, loop="generic")
    halves.train(env, episodes=40, seed=3, loop="generic")
    states = env.unwrapped.np_random.bit_generator.state
    halves.save(tmp_path / "agent")
    again = agents.Agent.load(tmp_path / "agent")
    again.resume(env)
    env.unwrapped.np_random.bit_generator.state = states
    again.train(env, episodes=50, loop="generic")
    assert differences(learnt(whole), learnt(again)) == []
