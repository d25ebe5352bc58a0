"""Planning agents and exact evaluation against known figures, each other and simulation."""

import gymnasium as gym
import numpy as np
import pytest

from velodrome import agents
from velodrome.agents.errors import UnsupportedEnvironmentError
from velodrome.agents.planning import plain_sweeps
from velodrome.agents.planning.dynamic_programming import (
    NotConvergedError,
    best_possible,
    evaluate_policy,
    random_policy,
    random_value,
)
from velodrome.envs import TransitionModel, success_rule

LAKE_BEST = 0.7441902878292689  # within 100 steps, knowing the time left
LAKE_STATIONARY = 0.7401648977587045  # the best stationary policy at discount 0.99
LAKE8X8_BEST = 0.9132201502016288  # within 200 steps


def exact(env):
    model = TransitionModel.of(env)
    return model, success_rule(env).success_outcomes(model)


def evaluated(agent, env):
    model, success = exact(env)
    return evaluate_policy(model, agent.greedy_probabilities(), success)


def planned(agent, env):
    agent.train(env, episodes=1, seed=0)
    return agent


ENVIRONMENTS = [
    ("FrozenLake-v1", {}),
    ("FrozenLake-v1", {"is_slippery": False}),
    ("FrozenLake8x8-v1", {}),
    ("Taxi-v4", {}),
    ("CliffWalking-v1", {}),
    ("CliffWalkingSlippery-v1", {}),
    ("velodrome/Chain-v0", {}),
    ("velodrome/DeepSea-v0", {}),
    ("velodrome/RiverSwim-v0", {}),
    ("velodrome/Garnet-v0", {"terminal_probability": 0.2}),
    ("velodrome/GridWorld-v0", {"slip": 0.2}),
    ("velodrome/BernoulliBandit-v0", {}),
]


@pytest.mark.parametrize(("identifier", "keywords"), ENVIRONMENTS)
@pytest.mark.parametrize("discount", [0.0, 0.5, 0.99])
def test_value_iteration_and_policy_iteration_agree(identifier, keywords, discount):
    env = gym.make(identifier, disable_env_checker=True, **keywords)
    values = [
        planned(agent(discount=discount), env).action_values
        for agent in (agents.ValueIteration, agents.PolicyIteration)
    ]
    np.testing.assert_allclose(*values, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("agent", [agents.ValueIteration, agents.PolicyIteration])
def test_planned_values_satisfy_the_optimality_equation(agent):
    env = gym.make("FrozenLake-v1")
    values = planned(agent(discount=0.9), env).action_values
    for state, actions in env.unwrapped.P.items():
        for action, outcomes in actions.items():
            target = sum(p * (r + 0.9 * (not done) * values[s].max()) for p, s, r, done in outcomes)
            assert values[state, action] == pytest.approx(target, abs=1e-11)


@pytest.mark.parametrize("agent", [agents.ValueIteration, agents.PolicyIteration])
def test_the_planned_policy_of_the_slippery_lake_has_the_known_value(agent):
    env = gym.make("FrozenLake-v1")
    value = evaluated(planned(agent(discount=0.99), env), env)
    assert value.success_rate == pytest.approx(LAKE_STATIONARY, abs=1e-12)
    assert value.expected_return == pytest.approx(LAKE_STATIONARY, abs=1e-12)


@pytest.mark.parametrize(
    ("identifier", "best", "tolerance"),
    [("FrozenLake-v1", LAKE_BEST, 1e-12), ("FrozenLake8x8-v1", LAKE8X8_BEST, 1e-12)],
)
def test_the_best_possible_on_the_lakes(identifier, best, tolerance):
    value = best_possible(*exact(gym.make(identifier)))
    assert value.success_rate == pytest.approx(best, abs=tolerance)
    assert value.expected_return == pytest.approx(best, abs=tolerance)


def test_the_best_possible_of_the_solid_lake_taxi_and_the_cliff():
    assert best_possible(*exact(gym.make("FrozenLake-v1", is_slippery=False))).success_rate == 1.0
    taxi = best_possible(*exact(gym.make("Taxi-v4")))
    assert taxi.expected_return == pytest.approx(7.93, abs=0.005)
    assert taxi.success_rate == pytest.approx(1.0, abs=1e-12)
    assert best_possible(*exact(gym.make("CliffWalking-v1"))).expected_return == pytest.approx(-13.0, abs=1e-9)
    limited = best_possible(*exact(gym.make("CliffWalking-v1", max_episode_steps=12)))
    assert limited.success_rate == 0.0
    assert best_possible(*exact(gym.make("CliffWalking-v1", max_episode_steps=13))).success_rate == 1.0


@pytest.mark.parametrize("identifier", ["CliffWalking-v1", "Taxi-v4"])
def test_a_planned_policy_reaches_the_best_possible_where_time_does_not_press(identifier):
    env = gym.make(identifier)
    agent = planned(agents.ValueIteration(discount=1.0), env)
    best = best_possible(*exact(env)).expected_return
    assert evaluated(agent, env).expected_return == pytest.approx(best, abs=1e-9)


def test_the_random_policy_of_the_slippery_lake():
    model, success = exact(gym.make("FrozenLake-v1"))
    value = evaluate_policy(model, random_policy(model), success)
    assert value.success_rate == pytest.approx(0.014, abs=0.0005)


def test_no_policy_is_better_than_the_best_possible():
    rng = np.random.default_rng(0)
    for identifier in ("FrozenLake-v1", "velodrome/RiverSwim-v0", "velodrome/Garnet-v0"):
        model, success = exact(gym.make(identifier))
        best = best_possible(model, success)
        for _ in range(20):
            policy = rng.dirichlet(np.full(model.num_actions, 0.3), size=model.num_states)
            value = evaluate_policy(model, policy, success)
            assert value.expected_return <= best.expected_return + 1e-12
            if success is not None:
                assert value.success_rate <= best.success_rate + 1e-12


@pytest.mark.parametrize(
    ("identifier", "keywords"),
    [
        ("FrozenLake-v1", {}),
        ("velodrome/GridWorld-v0", {"slip": 0.3}),
        ("velodrome/RiverSwim-v0", {}),
        ("velodrome/Garnet-v0", {"terminal_probability": 0.2, "max_episode_steps": 15}),
    ],
)
def test_exact_values_are_the_means_of_simulation(identifier, keywords):
    env = gym.make(identifier, **keywords)
    model, success = exact(env)
    value = evaluate_policy(model, random_policy(model), success)
    log = agents.RandomAgent().train(env, episodes=40_000, seed=0, loop="compiled")
    error = log.returns.std(ddof=1) / np.sqrt(log.episodes)
    assert log.returns.mean() == pytest.approx(value.expected_return, abs=4 * error)
    if value.success_rate is not None:
        spread = np.sqrt(value.success_rate * (1 - value.success_rate) / log.episodes)
        assert log.success_rate == pytest.approx(value.success_rate, abs=4 * spread)


def test_ties_of_the_greedy_policy_are_evaluated_as_they_are_broken():
    # One step pays nothing and teaches nothing: every action ties, so random ties are the random policy.
    env = gym.make("FrozenLake-v1")
    model, success = exact(env)
    random_ties, first_ties = agents.dummy_q(ties="random"), agents.dummy_q(ties="first")
    for agent in (random_ties, first_ties):
        agent.train(env, steps=1, seed=0)
    uniform = evaluate_policy(model, random_policy(model), success).success_rate
    assert evaluate_policy(model, random_ties.greedy_probabilities(), success).success_rate == uniform
    assert evaluate_policy(model, first_ties.greedy_probabilities(), success).success_rate != uniform


def test_an_endless_walk_costs_infinitely_much():
    model, success = exact(gym.make("CliffWalking-v1"))
    up = np.zeros((model.num_states, model.num_actions))
    up[:, 0] = 1.0
    value = evaluate_policy(model, up, success)
    assert value.expected_return == -np.inf
    assert value.success_rate == 0.0


def test_undiscounted_values_that_grow_for_ever_are_refused_in_one_line():
    with pytest.raises(NotConvergedError, match=r"^[^\n]*choose a discount below 1$"):
        agents.ValueIteration(discount=1.0).train("velodrome/Chain-v0", episodes=1, seed=0)


def test_a_planner_takes_no_step():
    log = agents.ValueIteration().train("FrozenLake-v1", episodes=10, seed=4)
    assert (log.steps, log.episodes, log.loop, log.seed) == (0, 0, "planning", 4)
    assert log.successes is None


@pytest.mark.parametrize("identifier", ["CartPole-v1", "Blackjack-v1"])
def test_an_environment_without_a_model_is_refused_in_one_line(identifier):
    with pytest.raises(UnsupportedEnvironmentError, match=rf"^value_iteration[^\n]*{identifier}[^\n]*$"):
        agents.ValueIteration().train(identifier, episodes=1, seed=0)


@pytest.mark.parametrize(("identifier", "keywords"), ENVIRONMENTS)
def test_values_before_the_compiler_is_loaded_are_those_of_compiled_sweeps_to_the_bit(
    identifier, keywords, monkeypatch
):
    model, success = exact(gym.make(identifier, disable_env_checker=True, **keywords))
    before = best_possible(model, success), random_value(model, success)
    monkeypatch.setattr(plain_sweeps, "MAX_OPERATIONS", 0)
    assert before == (best_possible(model, success), evaluate_policy(model, random_policy(model), success))
