"""Two loops, one result: the lectures' agents over Gymnasium's own environments and ours, bit for bit."""

import gymnasium as gym
import pytest

from velodrome import agents
from velodrome.agents.errors import UnsupportedEnvironmentError

LECTURE_AGENTS = {
    "dummy_q": agents.dummy_q,
    "epsilon_greedy_q": agents.epsilon_greedy_q,
    "noise_q": agents.noise_q,
    "discounted_q": agents.discounted_q,
    "stochastic_q": agents.stochastic_q,
    "random": agents.RandomAgent,
}
LAKES = {
    "slippery": ("FrozenLake-v1", {}),
    "solid": ("FrozenLake-v1", {"is_slippery": False}),
    "success_rate": ("FrozenLake-v1", {"success_rate": 0.8}),
    "desc": ("FrozenLake-v1", {"desc": ["SFFHF", "FHFFF", "FFFHG"]}),
}
LONG = {
    "8x8": ("FrozenLake-v1", {"map_name": "8x8"}),
    "FrozenLake8x8": ("FrozenLake8x8-v1", {}),
    "Taxi": ("Taxi-v4", {}),
    "Taxi rainy": ("Taxi-v4", {"is_rainy": True}),
    "CliffWalking": ("CliffWalking-v1", {"max_episode_steps": 200}),
    "CliffWalkingSlippery": ("CliffWalkingSlippery-v1", {"max_episode_steps": 200}),
}
OURS = {
    "Chain": ("velodrome/Chain-v0", {}),
    "DeepSea": ("velodrome/DeepSea-v0", {}),
    "DeepSea random": ("velodrome/DeepSea-v0", {"deterministic": False}),
    "RiverSwim": ("velodrome/RiverSwim-v0", {}),
    "Garnet": ("velodrome/Garnet-v0", {"terminal_probability": 0.2}),
    "GridWorld": ("velodrome/GridWorld-v0", {"slip": 0.3}),
    "BernoulliBandit": ("velodrome/BernoulliBandit-v0", {}),
}


def make(identifier, keywords):
    # CliffWalkingSlippery's own info["prob"] displeases Gymnasium's checker, which says nothing about the loops.
    checked = "Slippery-v1" not in identifier
    return gym.make(identifier, disable_env_checker=not checked, **keywords)


@pytest.fixture
def assert_loops_agree(result, differences):
    def check(agent_name, environment, seeds, episodes):
        env = make(*environment)
        for seed in seeds:
            results = []
            for loop in ("generic", "compiled"):
                agent = LECTURE_AGENTS[agent_name]()
                log = agent.train(env, episodes=episodes, seed=seed, loop=loop)
                assert (log.loop, log.episodes, log.notes) == (loop, episodes, ())
                results.append(result(agent, env, log))
            assert differences(*results) == [], f"seed {seed}"

    return check


@pytest.mark.parametrize("agent", LECTURE_AGENTS)
@pytest.mark.parametrize("lake", LAKES)
def test_five_seeds_of_every_small_lake(lake, agent, assert_loops_agree):
    assert_loops_agree(agent, LAKES[lake], seeds=range(5), episodes=300)


@pytest.mark.slow
@pytest.mark.parametrize("agent", LECTURE_AGENTS)
@pytest.mark.parametrize("lake", LAKES)
def test_twenty_seeds_of_every_small_lake(lake, agent, assert_loops_agree):
    assert_loops_agree(agent, LAKES[lake], seeds=range(20), episodes=300)


@pytest.mark.parametrize("agent", LECTURE_AGENTS)
@pytest.mark.parametrize("environment", LONG)
def test_a_seed_of_the_long_environments(environment, agent, assert_loops_agree):
    assert_loops_agree(agent, LONG[environment], seeds=[1], episodes=100)


@pytest.mark.slow
@pytest.mark.parametrize("agent", LECTURE_AGENTS)
@pytest.mark.parametrize("environment", LONG)
def test_twenty_seeds_of_the_long_environments(environment, agent, assert_loops_agree):
    assert_loops_agree(agent, LONG[environment], seeds=range(20), episodes=300)


@pytest.mark.parametrize("agent", LECTURE_AGENTS)
@pytest.mark.parametrize("environment", OURS)
def test_two_seeds_of_our_environments(environment, agent, assert_loops_agree):
    assert_loops_agree(agent, OURS[environment], seeds=range(2), episodes=50)


@pytest.mark.slow
@pytest.mark.parametrize("agent", LECTURE_AGENTS)
@pytest.mark.parametrize("environment", OURS)
def test_twenty_seeds_of_our_environments(environment, agent, assert_loops_agree):
    assert_loops_agree(agent, OURS[environment], seeds=range(20), episodes=300)


@pytest.mark.parametrize("is_rainy", [False, True])
def test_a_fickle_passenger_is_not_in_the_model(is_rainy, result, differences):
    env = gym.make("Taxi-v4", fickle_passenger=True, is_rainy=is_rainy)
    results = []
    for loop in ("auto", "generic"):
        agent = agents.epsilon_greedy_q()
        log = agent.train(env, episodes=20, seed=3, loop=loop)
        assert log.loop == "generic"
        results.append(result(agent, env, log))
        assert len(log.notes) == (loop == "auto")
        assert all("fickle" in note and "\n" not in note for note in log.notes)
    assert differences(*results) == []
    with pytest.raises(UnsupportedEnvironmentError, match=r"^[^\n]*fickle[^\n]*$"):
        agents.QLearning().train(env, episodes=1, seed=0, loop="compiled")


def test_auto_compiles_where_it_can():
    assert agents.QLearning().train("FrozenLake-v1", episodes=1, seed=0).loop == "compiled"


class ShiftedReward(gym.RewardWrapper):
    def reward(self, reward):
        return reward - 0.01


def test_a_wrapper_that_may_change_the_model_is_not_compiled():
    env = ShiftedReward(gym.make("FrozenLake-v1"))
    log = agents.QLearning().train(env, episodes=2, seed=0)
    assert log.loop == "generic"
    assert "ShiftedReward" in log.notes[0]
    assert (log.returns < 1.0).all()
    with pytest.raises(UnsupportedEnvironmentError, match=r"^[^\n]*ShiftedReward[^\n]*$"):
        agents.QLearning().train(env, episodes=2, seed=0, loop="compiled")


def test_episodes_succeed_by_the_same_rule_in_both_loops():
    for rule in ("return > 0", "terminated", None):
        env = gym.make("FrozenLake-v1")
        logs = [
            agents.RandomAgent().train(env, episodes=200, seed=0, loop=loop, success=rule)
            for loop in ("generic", "compiled")
        ]
        assert logs[0].success_rule == logs[1].success_rule == (rule or "return > 0")
        assert logs[0].successes.tolist() == logs[1].successes.tolist()
        assert logs[0].successes.any()
        assert logs[0].success_rate == logs[0].successes.mean()
