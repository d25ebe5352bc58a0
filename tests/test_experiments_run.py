"""`vd.run`: one agent, one environment, one seed; its numbers, its loops, and what it leaves alone."""

import math

import gymnasium as gym
import numpy as np
import pytest
from scipy.stats import binomtest

import velodrome as vd
from velodrome.agents import QLearning
from velodrome.agents.errors import BudgetError, UnsupportedEnvironmentError
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.specification.environment_configuration import build_environment
from velodrome.experiments.trials.evaluation import wilson_interval
from velodrome.policies import ConfigurationError, Greedy

DETERMINISTIC = "FrozenLake-v1(is_slippery=False)"
CART_POLE = "discretize(CartPole-v1, bins=[1, 1, 6, 6])"
# Wall-clock time is all that two runs with the same seed may differ in.
TIMES = ("train_seconds", "steps_per_second")


def numbers(trial, *without):
    return {key: value for key, value in trial.record().items() if key not in (*TIMES, *without)}


def test_the_record_has_the_fields_that_the_command_line_promises():
    record = vd.run("q_learning", DETERMINISTIC, episodes=500, seed=4).record()
    promised = ("agent", "environment", "seed", "episodes", "steps", "loop", "train_success_rate")
    promised += ("greedy_success_rate", "evaluation", "best_success_rate", "steps_per_second")
    assert set(promised) <= set(record)
    assert (record["agent"], record["environment"]) == ("q_learning", DETERMINISTIC)
    assert (record["seed"], record["episodes"], record["loop"]) == (4, 500, "compiled")
    assert (record["evaluation"], record["evaluation_episodes"]) == ("exact", 0)
    assert record["best_success_rate"] == 1.0
    assert record["success_rule"] == "return > 0"
    assert record["steps_per_second"] > 0


def test_the_record_repeats_the_log():
    trial = vd.run("q_learning", "FrozenLake-v1", episodes=300)
    record, log = trial.record(), trial.log
    assert record["steps"] == log.steps == log.lengths.sum()
    assert record["train_success_rate"] == log.successes.mean() == (log.returns > 0).mean()
    assert record["train_mean_return"] == log.returns.mean()
    assert record["greedy_success_rate"] == record["greedy_mean_return"]


@pytest.mark.parametrize("agent", ["q_learning", "noise_q", "q_lambda(policy=softmax)", "random"])
@pytest.mark.parametrize("environment", ["FrozenLake-v1", "velodrome/RiverSwim-v0"])
def test_both_loops_give_equal_numbers(agent, environment):
    compiled, generic = (vd.run(agent, environment, episodes=30, seed=2, loop=loop) for loop in ("compiled", "generic"))
    assert (compiled.log.loop, generic.log.loop) == ("compiled", "generic")
    # As text, because NaN equals NaN there and no digit is lost.
    assert repr(numbers(compiled, "loop")) == repr(numbers(generic, "loop"))
    assert np.array_equal(compiled.trained.action_values, generic.trained.action_values)
    assert np.array_equal(compiled.log.returns, generic.log.returns)


def test_the_seed_decides_everything():
    one, same, other = (numbers(vd.run("q_learning", "FrozenLake-v1", episodes=200, seed=seed)) for seed in (7, 7, 8))
    assert one == same
    assert one["steps"] != other["steps"]


@pytest.mark.parametrize("seed", [-1, 1.5, True, "1", None])
def test_bad_seeds_are_refused(seed):
    with pytest.raises(ConfigurationError, match="seed must be a whole number of at least 0, got"):
        vd.run("q_learning", "FrozenLake-v1", episodes=1, seed=seed)


@pytest.mark.parametrize("budget", [{}, {"episodes": 1, "steps": 1}, {"episodes": 0}, {"steps": -1}, {"episodes": 1.0}])
def test_bad_budgets_are_refused(budget):
    with pytest.raises(BudgetError):
        vd.run("q_learning", "FrozenLake-v1", **budget)
    with pytest.raises(BudgetError, match="evaluation_episodes must be a whole number of at least 1, got 0"):
        vd.run("q_learning", "FrozenLake-v1", episodes=1, evaluation_episodes=0)


@pytest.mark.parametrize("loop", ["compiled", "generic"])
def test_a_budget_of_steps_is_exact(loop):
    trial = vd.run("q_learning", "FrozenLake-v1", steps=777, loop=loop)
    assert trial.log.steps == trial.record()["steps"] == 777
    assert trial.log.lengths.sum() <= 777
    assert trial.log.episodes == trial.record()["episodes"] > 0


def test_fewer_steps_than_an_episode_leave_nothing_to_say_of_training():
    record = vd.run("q_learning", "CliffWalking-v1", steps=3).record()
    assert (record["episodes"], record["steps"]) == (0, 3)
    assert math.isnan(record["train_success_rate"])
    # The episode that the budget cut counts with what it has earned so far.
    assert record["train_mean_return"] == -3.0


class Watched(gym.Wrapper, gym.utils.RecordConstructorArgs):
    """Counts the calls of close."""

    def __init__(self, env):
        gym.utils.RecordConstructorArgs.__init__(self)
        gym.Wrapper.__init__(self, env)
        self.closed = 0

    def close(self):
        self.closed += 1
        super().close()


def test_a_given_environment_is_trained_in_and_stays_open():
    env = gym.make("FrozenLake-v1", is_slippery=False)
    watched = Watched(env)
    trial = vd.run("q_learning", watched, episodes=20)
    assert watched.closed == 0
    assert trial.record()["environment"] == "FrozenLake-v1"
    watched.reset()
    watched.step(0)
    assert numbers(vd.run("noise_q", env, episodes=300, seed=1), "environment") == numbers(
        vd.run("noise_q", DETERMINISTIC, episodes=300, seed=1), "environment"
    )


def test_an_environment_without_a_spec_is_evaluated_in_itself():
    env = gym.make("FrozenLake-v1", is_slippery=False, max_episode_steps=50).unwrapped
    env.spec = None
    trial = vd.run("value_iteration", env, episodes=1)
    record = trial.record()
    assert (record["environment"], record["success_rule"]) == ("FrozenLakeEnv", "no training episodes")
    assert record["greedy_mean_return"] == pytest.approx(1.0)
    assert math.isnan(record["greedy_success_rate"])


class Opaque(gym.Wrapper):
    """Changes nothing, but who knows that?"""

    def step(self, action):
        return self.env.step(action)


def test_a_given_environment_may_have_the_users_own_wrapper():
    trial = vd.run("q_learning", Opaque(gym.make("FrozenLake-v1", is_slippery=False)), episodes=20)
    assert trial.log.loop == "generic"


def test_an_agent_is_not_changed_and_a_copy_learns():
    agent = QLearning(policy=Greedy())
    trial = vd.run(agent, DETERMINISTIC, episodes=200)
    assert trial.trained is not agent
    assert trial.trained.action_values.any()
    with pytest.raises(UnsupportedEnvironmentError, match="has not been trained"):
        agent.act(0)
    agent.train("FrozenLake-v1", episodes=50, seed=3)
    before = agent.action_values.copy()
    again = vd.run(agent, DETERMINISTIC, episodes=200)
    assert np.array_equal(agent.action_values, before)
    assert numbers(again) == numbers(trial)


def test_the_experiments_success_rule_comes_first():
    trial = vd.run("random", "FrozenLake-v1", episodes=200, success="terminated")
    log = trial.log
    assert log.success_rule == "terminated"
    assert np.array_equal(log.successes, log.terminated)
    assert trial.record()["train_success_rate"] > 0.9
    # Ending in a hole counts now, and the value is still exact.
    assert trial.record()["greedy_success_rate"] > 0.9
    assert trial.record()["evaluation"] == "exact"
    silent = vd.run("random", "FrozenLake-v1", episodes=20, success="none").record()
    assert math.isnan(silent["train_success_rate"])
    assert math.isnan(silent["greedy_success_rate"])
    with pytest.raises(ValueError, match="unknown success rule 'retrun > 0'"):
        vd.run("random", "FrozenLake-v1", episodes=1, success="retrun > 0")


def test_without_a_model_the_greedy_policy_is_sampled_with_a_wilson_interval():
    record = vd.run("q_learning", CART_POLE, episodes=100, evaluation_episodes=60, success="return >= 40").record()
    assert (record["evaluation"], record["evaluation_episodes"], record["loop"]) == ("monte-carlo", 60, "generic")
    rate = record["greedy_success_rate"]
    interval = binomtest(round(60 * rate), 60).proportion_ci(0.95, method="wilson")
    assert record["greedy_success_rate_low"] == pytest.approx(interval.low)
    assert record["greedy_success_rate_high"] == pytest.approx(interval.high)
    assert 0 <= record["greedy_success_rate_low"] <= rate <= record["greedy_success_rate_high"] <= 1
    assert math.isnan(record["best_success_rate"])
    assert record["success_rule"] == "return >= 40"


def test_sampled_evaluation_repeats_with_the_seed_and_varies_with_it():
    one, same, other = (
        numbers(vd.run("q_learning", CART_POLE, episodes=20, evaluation_episodes=10, seed=seed)) for seed in (1, 1, 2)
    )
    assert one["greedy_mean_return"] == same["greedy_mean_return"]
    assert one["greedy_mean_return"] != other["greedy_mean_return"]
    assert one["success_rule"] == "return >= 475"


def test_sampling_agrees_with_the_exact_value():
    exact = vd.run("stochastic_q", "FrozenLake-v1", steps=20_000, seed=1)

    def opaque():
        return Opaque(gym.make("FrozenLake-v1"))

    sampled = vd.run("stochastic_q", opaque, steps=20_000, seed=1, evaluation_episodes=400, success="return > 0")
    assert sampled.record()["evaluation"] == "monte-carlo"
    assert np.array_equal(sampled.log.returns, exact.log.returns)
    low, high = sampled.record()["greedy_success_rate_low"], sampled.record()["greedy_success_rate_high"]
    assert low - 0.05 < exact.record()["greedy_success_rate"] < high + 0.05


def test_a_fickle_taxi_runs_in_the_generic_loop_and_says_why():
    trial = vd.run("q_learning", "Taxi-v4(fickle_passenger=True)", episodes=3, evaluation_episodes=2)
    assert trial.log.loop == "generic"
    assert trial.log.notes == ("ran in the generic loop: fickle_passenger draws outside P",)
    assert trial.record()["evaluation"] == "monte-carlo"
    with pytest.raises(UnsupportedEnvironmentError, match="'compiled' is not possible: fickle_passenger draws"):
        vd.run("q_learning", "Taxi-v4(fickle_passenger=True)", episodes=3, loop="compiled")


def test_where_an_environment_may_come_from():
    def lake():
        return gym.make("FrozenLake-v1", is_slippery=False)

    trials = [
        vd.run("noise_q", environment, episodes=200, seed=5)
        for environment in (DETERMINISTIC, build_environment(DETERMINISTIC), lake, lake())
    ]
    assert [trial.record()["environment"] for trial in trials] == [
        DETERMINISTIC,
        DETERMINISTIC,
        "lake",
        "FrozenLake-v1",
    ]
    assert all(numbers(trial, "environment") == numbers(trials[0], "environment") for trial in trials)


def test_every_environment_that_run_makes_is_closed():
    made = []

    def lake():
        made.append(Watched(gym.make("FrozenLake-v1")))
        return made[-1]

    vd.run("random", lake, episodes=1)
    assert [env.closed for env in made] == [1] * len(made)


@pytest.mark.parametrize(
    ("agent", "environment"), [(3, "FrozenLake-v1"), ("random", 3), ("random", lambda: 3), (QLearning, "FrozenLake-v1")]
)
def test_what_is_no_agent_or_environment_is_refused_in_one_line(agent, environment):
    with pytest.raises(ExperimentError):
        vd.run(agent, environment, episodes=1)


def test_a_callback_sees_the_episodes_and_can_stop():
    seen = []

    def stop_at_thirty(finished):
        seen.append(finished)
        return finished < 30

    trial = vd.run("random", "FrozenLake-v1", episodes=100, callback=stop_at_thirty, callback_every=10)
    assert seen == [10, 20, 30]
    assert trial.record()["episodes"] == 30


def test_planning_takes_no_episode():
    record = vd.run("value_iteration(discount=0.9)", DETERMINISTIC, episodes=10).record()
    assert (record["episodes"], record["steps"], record["loop"]) == (0, 0, "planning")
    assert record["greedy_success_rate"] == record["best_success_rate"] == 1.0
    with pytest.raises(UnsupportedEnvironmentError, match="no transition model"):
        vd.run("value_iteration", "CartPole-v1", episodes=1)


@pytest.mark.parametrize("episodes", [1, 7, 100, 2000])
def test_the_wilson_interval_is_scipys(episodes):
    for successes in {0, 1, episodes // 3, episodes - 1, episodes}:
        expected = binomtest(successes, episodes).proportion_ci(0.95, method="wilson")
        assert wilson_interval(successes, episodes) == pytest.approx((expected.low, expected.high), abs=1e-14)
