"""Agents that explore by the values that they hold possible: their updates by hand, and what they reach."""

import gymnasium as gym
import numpy as np
import pytest

from velodrome import agents, envs
from velodrome.checks import ConfigurationError
from velodrome.policies import Greedy

LEFT, RIGHT = 0, 1
LOOPS = ("generic", "compiled")


class Corridor(envs.ModelEnvironment):
    """Places 0 and 1; RIGHT pays 1 and 2 on the way to the end, LEFT stays or leads back and pays 0."""

    def __init__(self, render_mode=None):
        outcomes = [
            [[(1.0, 0, 0.0, False)], [(1.0, 1, 1.0, False)]],
            [[(1.0, 0, 0.0, False)], [(1.0, 1, 2.0, True)]],
        ]
        super().__init__(envs.TransitionModel.from_outcomes(outcomes, 0), render_mode=render_mode)


def corridor(time_limit=4):
    return gym.wrappers.TimeLimit(Corridor(), max_episode_steps=time_limit)


@pytest.mark.parametrize("loop", LOOPS)
def test_every_head_learns_from_its_own_values(loop):
    agent = agents.BootstrappedQ(heads=3, head_share=1.0, discount=0.5, learning_rate=0.5, policy=Greedy(ties="first"))
    same = agents.BootstrappedQ(heads=3, head_share=1.0, discount=0.5, learning_rate=0.5, policy=Greedy(ties="first"))
    same.train(corridor(), steps=1, seed=4, loop=loop)
    agent.train(corridor(), steps=2, seed=4, loop=loop)
    # Before the second step every pair but the first is as it was drawn: rows are (place, head).
    before, after = same.learner.memory.head_values.reshape(2, 3, 2), agent.learner.memory.head_values.reshape(2, 3, 2)
    place, action = same.learner.present_state, int(agent.learner.action)
    reward = {(0, LEFT): 0.0, (0, RIGHT): 1.0, (1, LEFT): 0.0, (1, RIGHT): 2.0}[place, action]
    expected = before.copy()
    for head in range(3):
        ahead = 0.0 if (place, action) == (1, RIGHT) else before[1 if action == RIGHT else 0, head].max()
        expected[place, head, action] += 0.5 * (reward + 0.5 * ahead - before[place, head, action])
    np.testing.assert_array_equal(after, expected)
    np.testing.assert_allclose(agent.action_values, after.mean(axis=1), rtol=1e-15)


@pytest.mark.parametrize("loop", LOOPS)
def test_without_priors_and_shares_it_is_q_learning(loop):
    options = {"discount": 0.5, "learning_rate": 0.5, "initial_value": 1.0, "policy": Greedy(ties="first")}
    heads = agents.BootstrappedQ(heads=4, prior_scale=0.0, head_share=1.0, **options)
    plain = agents.QLearning(**options)
    for agent in (heads, plain):
        agent.train(corridor(), episodes=20, seed=0, loop=loop)
    np.testing.assert_array_equal(heads.action_values, plain.action_values)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_step_is_learnt_from_by_a_share_of_the_heads(loop):
    agent = agents.BootstrappedQ(heads=100, prior_scale=0.0, head_share=0.3, initial_value=-1.0, learning_rate=1.0)
    agent.train(corridor(), steps=1, seed=0, loop=loop)
    learnt = (agent.learner.memory.head_values != -1.0).any(axis=1).sum()
    # A binomial number with mean 30 and standard deviation 4.6.
    assert 12 < learnt < 48


@pytest.mark.parametrize("loop", LOOPS)
def test_one_head_acts_for_an_episode_and_the_mean_when_greedy(loop):
    agent = agents.BootstrappedQ(heads=5, prior_scale=3.0)
    agent.train(corridor(), episodes=7, seed=2, loop=loop)
    memory = agent.learner.memory
    heads = memory.head_values.reshape(2, 5, 2)
    np.testing.assert_array_equal(memory.action_values, heads[:, memory.head[0]])
    np.testing.assert_allclose(agent.action_values, heads.mean(axis=1))
    assert agent.act(0) == agent.action_values[0].argmax()
    np.testing.assert_array_equal(agent.greedy_probabilities().argmax(axis=1), agent.action_values.argmax(axis=1))


def test_it_dives_where_epsilon_greedy_does_not():
    env = gym.make("velodrome/DeepSea-v0", size=12)
    heads = agents.BootstrappedQ(discount=1.0, learning_rate=1.0, head_share=1.0)
    assert heads.train(env, episodes=1000, seed=0).returns[-100:].mean() > 0.9
    plain = agents.QLearning(discount=1.0, learning_rate=1.0)
    assert plain.train(env, episodes=1000, seed=0).returns.max() <= 0.0


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"heads": 0}, "bootstrapped_q: heads must be a whole number of at least 1, got 0"),
        ({"head_share": 0.0}, r"bootstrapped_q: head_share must be a number in \(0, 1\], got 0.0"),
        ({"prior_scale": -1}, r"bootstrapped_q: prior_scale must be a number in \[0, inf\), got -1"),
    ],
)
def test_bad_parameters_are_refused(parameters, message):
    with pytest.raises(ConfigurationError, match=message):
        agents.BootstrappedQ(**parameters)
