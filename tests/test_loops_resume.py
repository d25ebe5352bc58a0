"""train(a) then train(b) is train(a + b), bit for bit, in both loops and from one to the other."""

import gymnasium as gym
import numpy as np
import pytest

from velodrome import agents, policies
from velodrome.agents.training_log import TrainingLog
from velodrome.envs.success_rules import INFO

LEARNERS = {
    "q_learning": (agents.QLearning, {}),
    "sarsa": (agents.Sarsa, {}),
    "expected_sarsa": (agents.ExpectedSarsa, {}),
    "double_q_learning": (agents.DoubleQLearning, {}),
    "n_step_q": (agents.NStepQ, {"n": 3}),
    "n_step_sarsa": (agents.NStepSarsa, {"n": 3}),
    "q_lambda": (agents.QLambda, {"trace_decay": 0.8, "traces": "accumulating"}),
    "dyna_q": (agents.DynaQ, {"planning_steps": 3}),
    "bootstrapped_q": (agents.BootstrappedQ, {"heads": 3}),
    "random": (agents.RandomAgent, {}),
}
LOOP_ORDERS = {
    "generic": ("generic", "generic", "generic"),
    "compiled": ("compiled", "compiled", "compiled"),
    "to and fro": ("generic", "compiled", "generic"),
    "fro and to": ("compiled", "generic", "compiled"),
}
STEPS = (31, 7, 400)  # the first two stop within an episode
EPISODES = (10, 1, 29)


def small_garnet():
    return gym.make(
        "velodrome/Garnet-v0",
        num_states=6,
        num_actions=3,
        terminal_probability=0.15,
        seed=11,
        max_episode_steps=12,
    )


def build(learner):
    agent, parameters = LEARNERS[learner]
    if agent is not agents.RandomAgent:
        parameters = parameters | {
            "learning_rate": policies.Reciprocal(every=50, clock="step"),
            "policy": policies.EpsilonGreedy(epsilon=policies.Exponential(0.9, 0.9, 0.1)),
        }
    return agent(**parameters)


@pytest.mark.parametrize("unit", ["steps", "episodes"])
@pytest.mark.parametrize("order", LOOP_ORDERS)
@pytest.mark.parametrize("learner", LEARNERS)
def test_training_in_parts_is_training_in_one_go(learner, order, unit, result, differences):
    parts = {"steps": STEPS, "episodes": EPISODES}[unit]
    whole, env = build(learner), small_garnet()
    log = whole.train(env, seed=7, loop="generic", **{unit: sum(parts)})
    in_one_go = result(whole, env, log)
    divided, env = build(learner), small_garnet()
    for part, loop in zip(parts, LOOP_ORDERS[order], strict=True):
        seed = 7 if part is parts[0] else None
        part_log = divided.train(env, seed=seed, loop=loop, **{unit: part})
        assert part_log.loop == loop
        log = part_log if seed == 7 else log + part_log
    assert differences(in_one_go, result(divided, env, log)) == []


@pytest.mark.parametrize("identifier", ["FrozenLake-v1", "Taxi-v4"])
def test_the_loops_hand_over_gymnasiums_own_environments(identifier, result, differences):
    runs = []
    for loops in (("generic",) * 6, ("compiled", "generic") * 3):
        agent, env, log = agents.Sarsa(), gym.make(identifier), None
        for loop in loops:
            part = agent.train(env, steps=333, seed=None if log else 1, loop=loop)
            log = part if log is None else log + part
        runs.append(result(agent, env, log))
    assert differences(*runs) == []


@pytest.mark.parametrize("loop", ["generic", "compiled"])
def test_budgets_are_exact(loop):
    env = small_garnet()
    for steps in (1, 2, 13, 100):
        agent = agents.QLearning()
        log = agent.train(env, steps=steps, seed=0, loop=loop)
        assert log.steps == steps == agent.visit_counts.sum()
        assert log.lengths.sum() <= steps < log.lengths.sum() + 12
    for episodes in (1, 2, 57):
        log = agents.QLearning().train(env, episodes=episodes, seed=0, loop=loop)
        assert log.episodes == episodes == len(log.lengths) == len(log.terminated)
        assert log.lengths.sum() == log.steps


@pytest.mark.parametrize("loop", ["generic", "compiled"])
@pytest.mark.parametrize("budget", [{"episodes": 25}, {"steps": 2000}], ids=str)
def test_the_callback_is_called_every_so_many_episodes(loop, budget):
    calls = []
    agent = agents.QLearning()
    log = agent.train(small_garnet(), seed=0, loop=loop, callback=calls.append, callback_every=10, **budget)
    assert calls == list(range(10, log.episodes + 1, 10))
    assert len(calls) >= 2


@pytest.mark.parametrize("loop", ["generic", "compiled"])
def test_the_callback_sees_what_was_learnt_and_changes_nothing(loop, result, differences):
    runs = []
    for watched in (False, True):
        seen, agent, env = [], agents.QLearning(), small_garnet()

        def watch(finished, seen=seen, agent=agent):
            seen.append(int(agent.visit_counts.sum()))
            agent.act(0)

        log = agent.train(env, episodes=40, seed=2, loop=loop, callback=watch if watched else None, callback_every=7)
        runs.append(result(agent, env, log))
    assert differences(*runs) == []
    assert seen == [int(log.lengths[:finished].sum()) for finished in range(7, 40, 7)]


@pytest.mark.parametrize("loop", ["generic", "compiled"])
@pytest.mark.parametrize("budget", [{"episodes": 1000}, {"steps": 100_000}], ids=str)
def test_training_stops_where_the_callback_returns_false(loop, budget, result, differences):
    stopped, env = agents.Sarsa(), small_garnet()
    log = stopped.train(env, seed=4, loop=loop, callback=lambda n: n < 30, callback_every=10, **budget)
    assert log.episodes == 30
    rest = stopped.train(env, episodes=5, loop=loop)
    plain, other_env = agents.Sarsa(), small_garnet()
    plain_log = plain.train(other_env, episodes=35, seed=4, loop=loop)
    assert differences(result(stopped, env, log + rest), result(plain, other_env, plain_log)) == []


@pytest.mark.parametrize("loop", ["generic", "compiled"])
def test_a_numpy_false_of_the_callback_stops_too(loop):
    log = agents.QLearning().train(
        small_garnet(), episodes=50, seed=0, loop=loop, callback=lambda n: np.bool_(n < 10), callback_every=5
    )
    assert log.episodes == 10


@pytest.mark.parametrize("loop", ["generic", "compiled"])
@pytest.mark.parametrize("every", [0, -3, 2.5])
def test_a_callback_period_below_one_is_refused_in_one_line(loop, every):
    with pytest.raises(ValueError, match=r"^[^\n]*callback_every[^\n]*$"):
        agents.QLearning().train(
            small_garnet(), episodes=5, seed=0, loop=loop, callback=lambda n: True, callback_every=every
        )


@pytest.mark.parametrize("loop", ["generic", "compiled"])
def test_training_goes_on_after_a_callback_that_raised(loop, result, differences):
    def interrupt(finished):
        raise KeyboardInterrupt

    stopped, env = agents.QLearning(), small_garnet()
    with pytest.raises(KeyboardInterrupt):
        stopped.train(env, episodes=50, seed=6, loop=loop, callback=interrupt, callback_every=20)
    log = stopped.train(env, episodes=15, loop=loop)
    plain, other_env = agents.QLearning(), small_garnet()
    plain.train(other_env, episodes=20, seed=6, loop=loop)
    other_log = plain.train(other_env, episodes=15, loop=loop)
    assert differences(result(stopped, env, log), result(plain, other_env, other_log)) == []


def test_logs_add_up():
    agent, env = agents.QLearning(), gym.make("FrozenLake-v1")
    first, second = (agent.train(env, episodes=n, seed=s, loop="generic") for n, s in ((5, 1), (7, None)))
    third = agent.train(env, episodes=3, loop="compiled")
    total = first + second + third
    assert total.episodes == 15
    assert total.steps == first.steps + second.steps + third.steps
    assert total.loop == "generic, compiled"
    assert (first + second).loop == "generic"
    assert total.seconds == pytest.approx(first.seconds + second.seconds + third.seconds)
    np.testing.assert_array_equal(total.returns, [*first.returns, *second.returns, *third.returns])
    assert len(total.successes) == len(total.terminated) == len(total.lengths) == 15


def test_the_log_of_an_unfinished_first_episode_adds_up_as_well():
    agent, env = agents.QLearning(), gym.make("FrozenLake-v1")
    first = agent.train(env, steps=1, seed=0)
    total = first + agent.train(env, episodes=4)
    assert first.episodes == 0
    assert np.isnan(first.success_rate)
    assert total.lengths[0] >= 2
    assert len(total.successes) == 4


@pytest.mark.parametrize("loop", ["generic", "compiled"])
def test_a_new_environment_goes_on_learning_and_restarts_nothing_learnt(loop):
    agent = agents.QLearning(policy=policies.EpsilonGreedy(epsilon=policies.Harmonic()))
    agent.train(gym.make("FrozenLake-v1"), episodes=20, seed=0, loop=loop)
    before, counts = agent.action_values.copy(), agent.visit_counts.sum()
    log = agent.train(gym.make("FrozenLake-v1"), episodes=20, loop=loop)
    assert agent.visit_counts.sum() == counts + log.steps
    assert not np.array_equal(before, agent.action_values)
    again = agents.QLearning(policy=agent.policy)
    first = again.train(gym.make("FrozenLake-v1"), episodes=20, seed=0, loop=loop)
    second = again.train(gym.make("FrozenLake-v1"), episodes=20, loop=loop)
    assert second.returns.tobytes() == log.returns.tobytes()
    assert second.lengths.tobytes() == log.lengths.tobytes()
    assert first.lengths.tobytes() != second.lengths.tobytes()


@pytest.mark.parametrize("loop", ["generic", "compiled"])
def test_a_new_seed_restarts_both_streams_and_keeps_what_was_learnt(loop):
    agent, env = agents.RandomAgent(), small_garnet()
    first = agent.train(env, steps=55, seed=9, loop=loop)
    counts = agent.visit_counts.copy()
    second = agent.train(env, steps=55, seed=9, loop=loop)
    assert second.lengths.tobytes() == first.lengths.tobytes()
    assert second.returns.tobytes() == first.returns.tobytes()
    np.testing.assert_array_equal(agent.visit_counts, 2 * counts)


def test_the_seed_of_the_log_repeats_a_run_that_was_given_none():
    agent, env = agents.QLearning(), gym.make("FrozenLake-v1")
    log = agent.train(env, episodes=30)
    again = agents.QLearning()
    assert again.train(env, episodes=30, seed=log.seed).lengths.tobytes() == log.lengths.tobytes()
    assert again.action_values.tobytes() == agent.action_values.tobytes()


@pytest.mark.parametrize(
    "refused",
    [{"success": "rewarded"}, {"loop": "compiled"}, {"loop": "fastest"}, {"episodes": 0}],
    ids=str,
)
def test_a_refused_call_leaves_nothing_behind(refused):
    def training(agent, **changes):
        env = gym.make("Taxi-v4", fickle_passenger=True)
        if changes:
            with pytest.raises(ValueError, match=r"^[^\n]*$"):
                agent.train(env, **({"episodes": 5, "seed": 0} | changes))
        return agent.train(env, episodes=5, loop="generic")

    agent = agents.QLearning()
    log = training(agent, **refused)
    again = agents.QLearning()
    again.train(gym.make("Taxi-v4", fickle_passenger=True), episodes=5, seed=log.seed, loop="generic")
    assert again.action_values.tobytes() == agent.action_values.tobytes()


def test_an_id_trains_on_the_same_environment_again():
    parts, whole = agents.QLearning(), agents.QLearning()
    for seed in (3, None, None):
        parts.train("FrozenLake-v1", episodes=10, seed=seed)
    whole.train("FrozenLake-v1", episodes=30, seed=3)
    assert parts.action_values.tobytes() == whole.action_values.tobytes()


def _part(successes, rule):
    number = 2 if successes is None else len(successes)
    return TrainingLog(
        returns=np.zeros(number),
        lengths=np.ones(number, dtype=np.int64),
        terminated=np.ones(number, dtype=np.bool_),
        successes=None if successes is None else np.array(successes, dtype=np.bool_),
        success_rule=rule,
        steps=number,
        loop="generic",
        seconds=1.0,
        seed=0,
    )


@pytest.mark.parametrize(
    ("parts", "successes", "rule"),
    [
        # An episode that reports nothing failed, where others report.
        ([(None, "no success rule"), ([1, 0], INFO)], [0, 0, 1, 0], f"{INFO}, where absent no success rule"),
        ([([1], INFO), (None, "no success rule")], [1, 0, 0], f"{INFO}, where absent no success rule"),
        ([([1], INFO), ([0], "return > 0"), ([1], INFO)], [1, 0, 1], f"{INFO}, where absent return > 0"),
        ([(None, "no success rule")] * 2, None, "no success rule"),
        ([([1], "return > 0"), ([], INFO)], [1], "return > 0"),
        ([([1], "return > 0"), ([0], "terminated")], [1, 0], "return > 0, then terminated"),
    ],
)
def test_logs_add_up_also_where_only_some_episodes_report_success(parts, successes, rule):
    first, *others = (_part(*part) for part in parts)
    joined = sum(others, first)
    assert (None if joined.successes is None else joined.successes.tolist()) == successes
    assert joined.success_rule == rule
