"""`vd.compare`: paired seeds, the same result with any number of threads, and what it refuses."""

from itertools import pairwise

import gymnasium as gym
import numpy as np
import pytest

import velodrome as vd
from velodrome.agents import QLearning, RandomAgent
from velodrome.agents.errors import BudgetError
from velodrome.experiments.environment_configuration import build_environment
from velodrome.experiments.errors import ExperimentError
from velodrome.policies import ConfigurationError, Uniform

DETERMINISTIC, SLIPPERY = "FrozenLake-v1(is_slippery=False)", "FrozenLake-v1"
TIMES = ("seconds", "steps_per_second")


def without_times(results):
    return [{key: repr(value) for key, value in row.items() if key not in TIMES} for row in results.records]


def compare(agents=("random",), environments=SLIPPERY, *, seeds=2, episodes=20, **settings):
    return vd.compare(agents, environments, seeds=seeds, episodes=episodes, **settings)


@pytest.mark.parametrize("environments", [[DETERMINISTIC, SLIPPERY], ["discretize(CartPole-v1, bins=3)"]])
def test_the_number_of_threads_changes_nothing(environments):
    agents = ["q_learning", "noise_q", "random"]
    one, two = (
        compare(agents, environments, seeds=3, episodes=20, evaluation_episodes=2, workers=workers)
        for workers in (1, 2)
    )
    assert without_times(one) == without_times(two)
    assert np.array_equal(one.curves, two.curves, equal_nan=True)
    assert one.settings == two.settings


def test_records_come_by_environment_agent_and_seed():
    results = compare(["random", "q_learning"], [DETERMINISTIC, SLIPPERY], seeds=[3, 1])
    order = [(row["environment"], row["agent"], row["seed"]) for row in results.records]
    assert order == [
        (environment, agent, seed)
        for environment in (DETERMINISTIC, SLIPPERY)
        for agent in ("random", "q_learning")
        for seed in (3, 1)
    ]
    assert results.curves.shape[:2] == (8, 2)
    assert results.places(SLIPPERY, "random") == [4, 5]


def test_a_trial_is_what_run_gives():
    results = compare(["q_learning"], SLIPPERY, seeds=[5], episodes=100)
    record = vd.run("q_learning", SLIPPERY, seed=5, episodes=100).record()
    assert without_times(results) == [{key: repr(value) for key, value in record.items() if key not in TIMES}]


@pytest.mark.parametrize("environment", [SLIPPERY, "Taxi-v4(is_rainy=True)", "discretize(CartPole-v1, bins=3)"])
def test_trial_k_of_every_agent_meets_the_same_environment_and_chance(environment):
    agents = {"random": RandomAgent(), "learner": QLearning(policy=Uniform())}
    frame = compare(agents, environment, seeds=5, episodes=20, evaluation_episodes=1).frame()
    returns = frame.pivot_table(index="seed", columns="agent", values=["train_mean_return", "steps"])
    for field in ("train_mean_return", "steps"):
        assert (returns[field]["random"] == returns[field]["learner"]).all()
        assert returns[field]["random"].nunique() > 1


def test_the_labels_are_the_users_own():
    results = compare({"by chance": "random", "learnt": QLearning()}, {"ice": SLIPPERY})
    assert results.agents == ["by chance", "learnt"]
    assert results.environments == ["ice"]
    assert results.settings["agents"]["by chance"] == "random()"
    assert results.settings["environments"] == {"ice": SLIPPERY}


def test_without_labels_the_expressions_are():
    results = compare(["random", QLearning(discount=0.5)], [SLIPPERY, build_environment(DETERMINISTIC)])
    assert results.agents[0] == "random"
    assert results.agents[1].startswith("q_learning(discount=0.5")
    assert results.environments == [SLIPPERY, DETERMINISTIC]
    assert compare("random", SLIPPERY).agents == ["random"]


def test_environments_may_be_factories():
    def lake():
        return gym.make("FrozenLake-v1")

    results = compare(["q_learning"], [lake, SLIPPERY])
    assert results.environments == ["lake", SLIPPERY]
    table = results.table().set_index("environment")
    assert table.loc["lake", "greedy_success_rate_mean"] == table.loc[SLIPPERY, "greedy_success_rate_mean"]


def test_given_agents_learn_nothing_themselves():
    agent = QLearning()
    agent.train(gym.make("FrozenLake-v1"), episodes=10, seed=1)
    before = agent.action_values.copy()
    assert without_times(compare({"a": agent})) == without_times(compare({"a": QLearning()}))
    assert np.array_equal(agent.action_values, before)


def test_the_settings_say_how_it_was_made():
    settings = compare(seeds=[4, 9], evaluation_episodes=7, success="return > 0").settings
    assert (settings["seeds"], settings["episodes"], settings["steps"]) == ([4, 9], 20, None)
    assert (settings["evaluation_episodes"], settings["success"]) == (7, "return > 0")
    assert {"python", "velodrome", "gymnasium", "numpy", "numba"} <= set(settings["versions"])


def test_progress_is_told_after_every_trial():
    told = []
    results = compare(["random", "q_learning"], progress=lambda *numbers: told.append(numbers), workers=1)
    assert [(done, total) for done, total, _ in told] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert told[-1][2] == results.frame()["steps"].sum()


def test_a_budget_of_steps_gives_curves_over_steps():
    results = vd.compare(["q_learning"], DETERMINISTIC, seeds=3, steps=4321)
    assert (results.frame()["steps"] == 4321).all()
    assert results.grid.unit == "step"
    assert results.grid.ends[-1] == 4321
    assert len(results.grid.ends) <= 200
    assert (np.diff(results.grid.edges)[:-1] == np.diff(results.grid.edges)[0]).all()
    log = vd.run("q_learning", DETERMINISTIC, steps=4321, seed=1).log
    finished = np.cumsum(log.lengths) - 1
    for place, (low, high) in enumerate(zip(results.grid.edges, results.grid.ends, strict=False)):
        inside = (finished >= low) & (finished < high)
        expected = log.returns[inside].mean() if inside.any() else np.nan
        assert results.curves[1, 1, place] == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("episodes", [1, 7, 200, 201, 450])
def test_a_budget_of_episodes_gives_means_over_bins_of_episodes(episodes):
    results = compare(["q_learning"], SLIPPERY, episodes=episodes)
    returns = vd.run("q_learning", SLIPPERY, episodes=episodes, seed=1).log.returns
    edges = results.grid.edges
    assert (edges[0], edges[-1]) == (0, episodes)
    expected = [returns[low:high].mean() for low, high in pairwise(edges)]
    assert results.curves[1, 1] == pytest.approx(expected)
    assert np.array_equal(results.curves[:, 0], results.curves[:, 1])


def test_a_note_names_the_agent_and_the_environment_once():
    results = compare(["q_learning"], "Taxi-v4(fickle_passenger=True)", episodes=2, evaluation_episodes=1)
    assert results.notes == (
        "q_learning on Taxi-v4(fickle_passenger=True) ran in the generic loop: fickle_passenger draws outside P",
    )


@pytest.mark.parametrize(
    ("error", "message", "settings"),
    [
        (ExperimentError, "give at least one agent", {"agents": []}),
        (ExperimentError, "give at least one agent", {"agents": {}}),
        (ExperimentError, "give at least one environment", {"environments": []}),
        (ExperimentError, "agent 'random' is given twice: give labels", {"agents": ["random", "random"]}),
        (ExperimentError, "environment 'FrozenLake-v1' is given twice", {"environments": [SLIPPERY, f"{SLIPPERY}()"]}),
        (ExperimentError, "an agent is an expression or an Agent, got 3", {"agents": [3]}),
        (ExperimentError, "an environment is an expression or a factory, got 3", {"environments": 3}),
        (BudgetError, "seeds must be a whole number of at least 1, got 0", {"seeds": 0}),
        (BudgetError, "seeds must be a whole number of at least 1, got True", {"seeds": True}),
        (ExperimentError, "give at least one seed", {"seeds": []}),
        (ExperimentError, "seeds must differ from each other, got", {"seeds": [1, 2, 1]}),
        (ConfigurationError, "seed must be a whole number of at least 0, got -1", {"seeds": [0, -1]}),
        (BudgetError, "give episodes or steps, not both", {"steps": 3}),
        (BudgetError, "episodes must be a whole number of at least 1, got 0", {"episodes": 0}),
        (BudgetError, "give a budget", {"episodes": None}),
        (BudgetError, "workers must be a whole number of at least 1, got 0", {"workers": 0}),
        (BudgetError, "evaluation_episodes must be", {"evaluation_episodes": 0}),
        (ValueError, "unknown agent 'randm': did you mean 'random'?", {"agents": ["randm"]}),
        (ValueError, "unknown success rule", {"success": "won"}),
    ],
)
def test_what_is_refused(error, message, settings):
    with pytest.raises(error) as caught:
        compare(**settings)
    assert str(caught.value).startswith(message)
    assert len(str(caught.value).splitlines()) == 1


def test_one_environment_cannot_serve_many_trials():
    with pytest.raises(ExperimentError, match="every trial needs its own"):
        compare(environments=gym.make("FrozenLake-v1"))


@pytest.mark.parametrize("seeds", [2.5, None, np.int64(2)])
def test_seeds_that_are_no_numbers_are_refused_and_numpys_are_read(seeds):
    try:
        assert len(compare(seeds=seeds).records) == 2
    except (BudgetError, ExperimentError):
        assert not isinstance(seeds, np.int64)


def test_two_spellings_of_one_agent_are_the_same_agent():
    with pytest.raises(ExperimentError, match="given twice"):
        compare(["q_learning", "q_learning()"])


def test_a_failing_trial_stops_the_comparison_with_its_reason():
    def broken():
        env = gym.make("FrozenLake-v1")
        env.unwrapped.step = None
        return gym.wrappers.TransformReward(env, float)

    with pytest.raises(RuntimeError, match="step of FrozenLake-v1 raised in episode 1, step 1: TypeError"):
        compare(environments=broken)
