"""Learners that must be the same learner, and the figures that the lectures' agents must reproduce."""

import gymnasium as gym
import numpy as np
import pytest

from velodrome import agents, policies

GREEDY_FIRST = policies.Greedy(ties="first")
EXPLORING = policies.EpsilonGreedy(epsilon=0.2)
PAIRS = [
    (agents.NStepQ, {"n": 1}, agents.QLearning, EXPLORING),
    (agents.NStepSarsa, {"n": 1}, agents.Sarsa, EXPLORING),
    (agents.QLambda, {"trace_decay": 0.0, "traces": "replacing"}, agents.QLearning, EXPLORING),
    (agents.QLambda, {"trace_decay": 0.0, "traces": "accumulating"}, agents.QLearning, EXPLORING),
    (agents.DynaQ, {"planning_steps": 0}, agents.QLearning, EXPLORING),
    (agents.ExpectedSarsa, {}, agents.QLearning, GREEDY_FIRST),
]


@pytest.fixture(scope="module")
def garnet():
    return gym.make(
        "velodrome/Garnet-v0", num_states=6, num_actions=3, terminal_probability=0.15, seed=11, max_episode_steps=12
    )


@pytest.mark.parametrize("loop", ["generic", "compiled"])
@pytest.mark.parametrize(
    ("general", "parameters", "special", "policy"),
    PAIRS,
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_a_general_learner_holds_the_special_one(garnet, general, parameters, special, policy, loop):
    for seed in range(3):
        runs = []
        for agent in (general(policy=policy, **parameters), special(policy=policy)):
            log = agent.train(garnet, episodes=60, seed=seed, loop=loop)
            runs.append((agent, log))
        (one, log), (other, other_log) = runs
        assert log.returns.tobytes() == other_log.returns.tobytes()
        assert one.action_values.tobytes() == other.action_values.tobytes()
        assert one.learner.rng.bit_generator.state == other.learner.rng.bit_generator.state


@pytest.mark.slow
def test_more_steps_a_target_or_longer_traces_are_not_q_learning(garnet):
    plain = agents.QLearning(policy=EXPLORING)
    plain.train(garnet, episodes=30, seed=0)
    for other in (
        agents.NStepQ(policy=EXPLORING, n=2),
        agents.QLambda(policy=EXPLORING, trace_decay=0.5),
        agents.DynaQ(policy=EXPLORING, planning_steps=1),
        agents.ExpectedSarsa(policy=EXPLORING),
        agents.DoubleQLearning(policy=EXPLORING),
    ):
        other.train(garnet, episodes=30, seed=0)
        assert not np.array_equal(other.action_values, plain.action_values)


LAKE = {"is_slippery": False}
LECTURES = [
    # The share of 2000 training episodes that reached the goal, mean over 30 seeds.
    (agents.dummy_q(), LAKE, 0.942),
    (agents.noise_q(), LAKE, 0.944),
    (agents.epsilon_greedy_q(), LAKE, 0.684),
    (agents.epsilon_greedy_q(ties="random"), LAKE, 0.801),
    (agents.noise_q(), {}, 0.022),
    (agents.stochastic_q(), {}, 0.500),
    (agents.RandomAgent(), LAKE, 0.015),
    (agents.RandomAgent(), {}, 0.014),
]


def fresh(agent):
    """The same configuration, not trained."""
    if isinstance(agent, agents.RandomAgent):
        return agents.RandomAgent()
    return agents.QLearning(discount=agent.discount, learning_rate=agent.learning_rate, policy=agent.policy)


@pytest.mark.parametrize(("agent", "lake", "measured"), LECTURES, ids=str)
def test_the_lectures_figures_are_reproduced(agent, lake, measured):
    env, num_seeds = gym.make("FrozenLake-v1", **lake), 30
    logs = [fresh(agent).train(env, episodes=2000, seed=seed) for seed in range(num_seeds)]
    rates = np.array([log.success_rate for log in logs])
    # Both means are of 30 seeds: four standard errors of their difference, and the last printed digit.
    allowed = 4 * rates.std(ddof=1) * np.sqrt(2 / num_seeds) + 0.0005
    assert rates.mean() == pytest.approx(measured, abs=allowed)


@pytest.mark.parametrize(
    ("agent", "value"),
    [
        (agents.dummy_q(), 1.0),
        (agents.discounted_q(), 0.9**5),
        (agents.noise_q(), 0.99**5),
        (agents.epsilon_greedy_q(ties="random"), 0.99**5),
    ],
    ids=str,
)
def test_the_start_of_the_solid_lake_is_worth_its_shortest_path(agent, value):
    env = gym.make("FrozenLake-v1", **LAKE)
    for seed in range(5):
        trained = fresh(agent)
        trained.train(env, episodes=2000, seed=seed)
        assert trained.action_values[0].max() == pytest.approx(value, abs=1e-12)


def test_sample_averages_of_a_bandit_are_its_arms_success_shares():
    env = gym.make("velodrome/BernoulliBandit-v0")
    agent = agents.QLearning(
        discount=0.0, learning_rate=policies.Harmonic(clock="visits"), policy=policies.UCB(confidence=1.0)
    )
    log = agent.train(env, episodes=5000, seed=3)
    wins = agent.action_values[0] * agent.visit_counts[0]
    np.testing.assert_allclose(wins, np.round(wins), atol=1e-6)
    assert wins.sum() == pytest.approx(log.returns.sum())
    assert agent.visit_counts[0].argmax() == 4
