"""Agents that explore by the values that they hold possible: their updates by hand, and what they reach."""

import math

import gymnasium as gym
import numpy as np
import pytest

import velodrome as vd
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


FINITE = {
    "rlsvi": lambda: agents.RLSVI(noise=0.5),
    "optimistic_q": lambda: agents.OptimisticQ(bonus_scale=0.05, reward_high=2.0),
}


@pytest.mark.parametrize("name", FINITE)
def test_both_loops_train_in_parts_as_in_one_go_and_go_on_when_loaded(name, tmp_path, result, differences):
    whole, env = FINITE[name](), corridor()
    log = whole.train(env, seed=3, steps=70, loop="generic")
    in_one_go = result(whole, env, log)
    parts, env = FINITE[name](), corridor()
    parts.train(env, seed=3, steps=29, loop="compiled")
    parts.train(env, steps=11, loop="generic")
    log = parts.train(env, steps=30, loop="compiled")
    apart = result(parts, env, log)
    of_the_agent = [key for key in in_one_go if key.startswith("memory.") or "stream" in key]
    assert differences({key: in_one_go[key] for key in of_the_agent}, {key: apart[key] for key in of_the_agent}) == []
    ended, env = FINITE[name](), corridor()
    ended.train(env, seed=5, episodes=9)
    ended.save(tmp_path / name)
    loaded = agents.Agent.load(tmp_path / name)
    logs = [agent.train(corridor(), episodes=5) for agent in (ended, loaded)]
    assert logs[0].returns.tobytes() == logs[1].returns.tobytes()
    assert ended.step_values.tobytes() == loaded.step_values.tobytes()


@pytest.mark.parametrize("name", FINITE)
def test_what_is_evaluated_is_what_acts_at_each_step(name):
    trial = vd.run(FINITE[name](), corridor(), episodes=40, progress=False)
    agent = trial.trained
    assert trial.evaluation.method == "exact"
    returns = []
    for seed in range(5):
        env, total = corridor(), 0.0
        observation, _ = env.reset(seed=seed)
        agent.begin_episode()
        while True:
            observation, reward, terminated, truncated, _ = env.step(agent.act(observation))
            total += reward
            if terminated or truncated:
                break
        returns.append(total)
    assert returns == pytest.approx([trial.evaluation.mean_return] * 5)


@pytest.mark.parametrize("loop", LOOPS)
def test_optimistic_q_learns_with_its_rate_and_bonus(loop):
    agent = agents.OptimisticQ(bonus_scale=0.01, reward_high=2.0, policy=Greedy(ties="first"))
    agent.train(corridor(time_limit=3), steps=2, seed=0, loop=loop)
    # All is worth 2 a step that is left. At (0, 0) LEFT, the first, leads to 0: the rate is 1 at the first time, the
    # value ahead is 4, and the bonus 0.01 · 3 · 2 · √(3 ln(2 · 2 · 1 / 0.05) / 1).
    bonuses = [0.06 * math.sqrt(3.0 * math.log(4.0 * steps / 0.05)) for steps in (1, 2)]
    values = agent.step_values
    assert values[0, 0, LEFT] == pytest.approx(0.0 + 4.0 + bonuses[0], rel=1e-14)
    assert values[1, 0, LEFT] == pytest.approx(0.0 + 2.0 + bonuses[1], rel=1e-14)
    assert values[0, 0, RIGHT] == 6.0
    # The second episode begins with LEFT again, by its bonus, if that is above 2: at its second time the rate is
    # (3 + 1) / (3 + 2) = 4/5.
    again = agents.OptimisticQ(bonus_scale=1.0, reward_high=2.0, policy=Greedy(ties="first"))
    again.train(corridor(time_limit=3), steps=4, seed=0, loop=loop)
    first = 4.0 + 6.0 * math.sqrt(3.0 * math.log(4.0 / 0.05))
    # Ahead it is worth no more than the 4 that can still be earned.
    second = 0.2 * first + 0.8 * (4.0 + 6.0 * math.sqrt(3.0 * math.log(16.0 / 0.05) / 2.0))
    assert again.step_values[0, 0, LEFT] == pytest.approx(second, rel=1e-14)


@pytest.mark.parametrize("loop", LOOPS)
def test_rlsvi_draws_from_the_posterior_of_its_targets(loop):
    # With next to no noise the draws are the means: of n targets with precision p and the prior's q, n p / (q + n p).
    agent = agents.RLSVI(noise=1e-6, prior_scale=1e-3)
    agent.train(corridor(time_limit=2), episodes=60, seed=1, loop=loop)
    values, counts = agent.step_values, agent.visit_counts
    tried = counts > 0
    last = np.array([[0.0, 1.0], [0.0, 2.0]])
    np.testing.assert_allclose(values[1][tried], last[tried], atol=1e-4)
    ahead = np.where(tried, values[1], values[1]).max(axis=1)
    first = np.array([[ahead[0], 1.0 + ahead[1]], [ahead[0], 2.0]])
    np.testing.assert_allclose(values[0][tried], first[tried], atol=1e-4)


def test_rlsvi_is_as_uncertain_as_the_posterior_says():
    # One pair, whose only step ends an episode and pays 2; after 15 of them precision is 1/4 + 15/9.
    model = envs.TransitionModel.from_outcomes([[[(1.0, 0, 2.0, True)]]], 0, time_limit=1)

    class One(envs.ModelEnvironment):
        def __init__(self, render_mode=None):
            super().__init__(model, render_mode=render_mode)

    drawn = []
    for seed in range(200):
        agent = agents.RLSVI(noise=3.0, prior_scale=2.0, horizon=1)
        agent.train(One(), episodes=15, seed=seed, loop="generic")
        drawn.append(agent.step_values[0, 0, 0])
    precision = 1.0 / 4.0 + 15.0 / 9.0
    mean, deviation = (15.0 / 9.0 * 2.0) / precision, 1.0 / math.sqrt(precision)
    assert np.mean(drawn) == pytest.approx(mean, abs=4.0 * deviation / math.sqrt(200.0))
    assert np.std(drawn) == pytest.approx(deviation, rel=0.2)


def test_rlsvi_dives_deep():
    env = gym.make("velodrome/DeepSea-v0", size=12, max_episode_steps=12)
    assert agents.RLSVI(noise=0.1).train(env, episodes=150, seed=0).returns[-20:].mean() > 0.9


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: agents.RLSVI(noise=0), r"rlsvi: noise must be a number in \(0, inf\), got 0"),
        (
            lambda: agents.OptimisticQ(bonus_scale=-1),
            r"optimistic_q: bonus_scale must be a number in \[0, inf\), got -1",
        ),
        (
            lambda: agents.OptimisticQ().train(corridor(), episodes=1),
            r"assumes rewards in \[0, 1\], but those of Corridor are between 0 and 2: give",
        ),
        (lambda: agents.RLSVI().train(Corridor(), episodes=1), "has no time limit: give horizon="),
    ],
)
def test_what_finite_horizon_agents_need_is_said_in_a_line(make, message):
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert len(str(caught.value).splitlines()) == 1


@pytest.fixture(scope="module")
def seas():
    places = {f"N = {size}": f"velodrome/DeepSea-v0(size={size}, max_episode_steps={size})" for size in (2, 3, 4)}
    dives = "q_learning(learning_rate=1, discount=1, initial_value=1, policy=greedy)"
    found = {"dives": dives, "random": "random"}
    return vd.compare(found, places, seeds=2, episodes=60, evaluate_every=5, solved_at=0.9)


def test_the_time_to_solve_is_drawn_by_size(seas):
    (axes,) = seas.plot(kind="scaling").axes
    assert axes.get_xlabel() == "size"
    assert axes.get_ylabel() == "episodes to solve (median)"
    lines = {line.get_label(): line.get_xydata() for line in axes.get_lines()}
    assert lines["dives"][:, 0].tolist() == [2.0, 3.0, 4.0]
    assert (np.diff(lines["dives"][:, 1]) >= 0.0).all()
    # Random actions see the treasure once in 2^N episodes, and solve nothing.
    assert lines["random actions"].tolist() == [[2.0, 4.0], [3.0, 8.0], [4.0, 16.0]]
    assert len(lines["random"]) == 0


def test_what_cannot_be_drawn_by_size_is_said_in_a_line(seas):
    with pytest.raises(ValueError, match="parameter must be a number in which the environments differ: size, max"):
        seas.plot(kind="scaling", parameter="sise")
    lakes = vd.compare("random", ["FrozenLake-v1", "CliffWalking-v1(max_episode_steps=9)"], seeds=1, episodes=2)
    with pytest.raises(ValueError, match="scaling needs environments that differ in a number"):
        lakes.plot(kind="scaling")
