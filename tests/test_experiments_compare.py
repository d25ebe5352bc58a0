"""`vd.compare`: paired seeds, the same result with any workers, what it keeps, warns of and refuses."""

import copy
import re
import warnings
from itertools import pairwise

import gymnasium as gym
import numpy as np
import pytest

import velodrome as vd
from velodrome.agents import QLearning, RandomAgent
from velodrome.experiments.errors import ExperimentError, ExperimentWarning
from velodrome.experiments.results.settings import PairBudget
from velodrome.experiments.specification.environment_configuration import build_environment
from velodrome.policies import Uniform

DETERMINISTIC, SLIPPERY = "FrozenLake-v1(is_slippery=False)", "FrozenLake-v1"
TIMES = ("train_seconds", "wall_seconds", "cpu_seconds", "steps_per_second")


def without_times(results):
    return [{key: repr(value) for key, value in row.row().items() if key not in TIMES} for row in results.records]


def compare(agents=("random",), environments=SLIPPERY, *, seeds=2, episodes=20, **settings):
    return vd.compare(agents, environments, seeds=seeds, episodes=episodes, **settings)


def curves_of(results):
    """Grid and curves of every pair, as comparable values."""
    pairs = [(environment, agent) for environment in results.environments for agent in results.agents]
    found = {pair: results.curves(*pair) for pair in pairs}
    return {pair: (grid.unit, grid.edges.tolist(), curves.tobytes()) for pair, (grid, curves) in found.items()}


@pytest.mark.parametrize("environments", [[DETERMINISTIC, SLIPPERY], ["discretize(CartPole-v1, bins=3)"]])
def test_workers_change_nothing(environments):
    agents = ["q_learning", "noise_q", "random"]
    inline, one, two = (
        compare(agents, environments, seeds=3, episodes=20, evaluation_episodes=2, workers=workers)
        for workers in (0, 1, 2)
    )
    assert without_times(inline) == without_times(one) == without_times(two)
    assert curves_of(inline) == curves_of(one) == curves_of(two)
    assert inline.settings == one.settings == two.settings


def test_records_come_by_environment_agent_and_seed():
    results = compare(["random", "q_learning"], [DETERMINISTIC, SLIPPERY], seeds=[3, 1])
    order = [(row.environment, row.agent, row.seed) for row in results.records]
    assert order == [
        (environment, agent, seed)
        for environment in (DETERMINISTIC, SLIPPERY)
        for agent in ("random", "q_learning")
        for seed in (3, 1)
    ]
    assert results.num_planned == len(results.records) == 8
    assert [row.seed for row in results.trials(SLIPPERY, "random")] == [3, 1]
    lengths = [curve.lengths.sum() for curve in results.episode_curves(SLIPPERY, "random")]
    assert lengths == [row.measures["steps"] for row in results.trials(SLIPPERY, "random")]


def test_a_trial_is_what_run_gives():
    results = compare(["q_learning"], SLIPPERY, seeds=[5], episodes=100)
    trial = vd.run("q_learning", SLIPPERY, seed=5, episodes=100)
    (given,) = without_times(results)
    record = {key: repr(value) for key, value in trial.record().items() if key not in TIMES}
    assert {key: given[key] for key in record} == record
    assert (given["status"], given["error"]) == ("'done'", "''")
    (curve,) = results.episode_curves(SLIPPERY, "q_learning")
    assert np.array_equal(curve.returns, trial.log.returns)
    assert np.array_equal(curve.lengths, trial.log.lengths)
    assert np.array_equal(curve.successes, trial.log.successes)


@pytest.mark.parametrize("environment", [SLIPPERY, "Taxi-v4(is_rainy=True)", "discretize(CartPole-v1, bins=3)"])
def test_trial_k_of_every_agent_meets_the_same_environment_and_chance(environment):
    agents = {"random": RandomAgent(), "learner": QLearning(policy=Uniform())}
    frame = compare(agents, environment, seeds=5, episodes=20, evaluation_episodes=1, workers=0).frame()
    returns = frame.pivot_table(index="seed", columns="agent", values=["train_mean_return", "steps"])
    for field in ("train_mean_return", "steps"):
        assert (returns[field]["random"] == returns[field]["learner"]).all()
        assert returns[field]["random"].nunique() > 1


def test_the_labels_are_the_users_own():
    results = compare({"by chance": "random", "learnt": QLearning()}, {"ice": SLIPPERY})
    assert results.agents == ["by chance", "learnt"]
    assert results.environments == ["ice"]
    assert results.settings.agents["by chance"] == "random()"
    assert results.settings.environments == {"ice": SLIPPERY}


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
    table = results.table(full=True).set_index("environment")
    assert table.loc["lake", "greedy_success_rate_mean"] == table.loc[SLIPPERY, "greedy_success_rate_mean"]


def test_given_agents_learn_nothing_themselves():
    agent = QLearning()
    agent.train(gym.make("FrozenLake-v1"), episodes=10, seed=1)
    before = agent.action_values.copy()
    assert without_times(compare({"a": agent})) == without_times(compare({"a": QLearning()}))
    assert np.array_equal(agent.action_values, before)


def test_the_settings_say_how_it_was_made():
    settings = compare(seeds=[4, 9], evaluation_episodes=7, success="return > 0").settings
    assert (settings.seeds, settings.budget) == ((4, 9), PairBudget(episodes=20))
    assert (settings.evaluation_episodes, settings.success) == (7, "return > 0")


def test_the_provenance_says_how_the_trials_were_run():
    (how,) = compare(workers=1).provenance
    assert {"python", "velodrome", "gymnasium", "numpy", "numba"} <= set(how["versions"])
    assert how["machine"]["cores"] >= 1
    assert (how["run"]["workers"], how["run"]["cluster"]) == (1, None)
    assert {"git", "command"} <= set(how)


def test_a_second_way_of_running_is_a_second_entry_of_the_provenance(tmp_path):
    compare(out=tmp_path, seeds=1, workers=0)
    results = compare(out=tmp_path, seeds=2, workers=1)
    assert [how["run"]["workers"] for how in results.provenance] == [0, 1]


def told_of(**settings):
    """Every state that `progress` was given."""
    told = []
    results = compare(["random", "q_learning"], progress=lambda status: told.append(copy.deepcopy(status)), **settings)
    return results, told


@pytest.mark.parametrize("workers", [0, 2])
def test_progress_is_told_from_nothing_to_all(workers):
    results, told = told_of(workers=workers)
    assert {status.total for status in told} == {4}
    finished = [status.finished for status in told]
    assert (finished[0], finished[-1]) == (0, 4)
    assert finished == sorted(finished)
    last = told[-1]
    assert (last.reused, last.failed, last.steps) == (0, 0, results.frame()["steps"].sum())
    assert {label: (status.finished, status.total) for label, status in last.agents.items()} == {
        "random": (2, 2),
        "q_learning": (2, 2),
    }


def test_stored_trials_are_not_run_again(tmp_path):
    first, _ = told_of(out=tmp_path)
    again, told = told_of(out=tmp_path)
    assert [(status.finished, status.reused, status.steps) for status in told] == [(4, 4, 0)]
    assert again.records == first.records
    more, told = told_of(out=tmp_path, seeds=3)
    assert (told[0].finished, told[-1].finished, told[-1].reused) == (4, 6, 4)
    assert [row for row in more.records if row.seed < 2] == first.records


def test_with_another_budget_all_trials_are_others(tmp_path):
    told_of(out=tmp_path)
    assert told_of(out=tmp_path, episodes=21)[1][-1].reused == 0


def test_an_agent_may_have_a_budget_of_its_own():
    results = compare({"short": {"agent": "random", "episodes": 7}, "long": "random", "steps": {
        "agent": "random", "steps": 30}})  # fmt: skip
    assert [results.trials(SLIPPERY, agent)[0].measures["episodes"] for agent in ("short", "long")] == [7, 20]
    assert results.trials(SLIPPERY, "steps")[0].measures["steps"] == 30
    assert [results.budget(SLIPPERY, agent) for agent in results.agents] == [(7, None), (20, None), (None, 30)]
    units = [(results.curves(SLIPPERY, agent)[0].unit, results.curves(SLIPPERY, agent)[0].ends[-1]) for agent in
             results.agents]  # fmt: skip
    assert units == [("episode", 7), ("episode", 20), ("step", 30)]


def test_an_environment_may_have_a_budget_and_a_success_rule_of_its_own():
    own = {"environment": SLIPPERY, "episodes": 7, "success": "terminated"}
    results = compare(environments={"own": own, "common": SLIPPERY})
    assert [results.trials(environment, "random")[0].measures["episodes"] for environment in ("own", "common")] == [
        7,
        20,
    ]
    rules = [results.trials(environment, "random")[0].measures["success_rule"] for environment in ("own", "common")]
    assert rules == ["terminated", "return > 0"]


def test_where_every_agent_has_a_budget_the_comparison_needs_none():
    assert compare({"a": {"agent": "random", "steps": 30}}, episodes=None).records[0].measures["steps"] == 30


def test_a_budget_of_steps_gives_curves_over_steps():
    results = vd.compare(["q_learning"], DETERMINISTIC, seeds=3, steps=4321)
    assert (results.frame()["steps"] == 4321).all()
    grid, curves = results.curves(DETERMINISTIC, "q_learning")
    assert curves.shape == (3, 2, len(grid.ends))
    assert grid.unit == "step"
    assert grid.ends[-1] == 4321
    assert len(grid.ends) <= 200
    assert (np.diff(grid.edges)[:-1] == np.diff(grid.edges)[0]).all()
    log = vd.run("q_learning", DETERMINISTIC, steps=4321, seed=1).log
    finished = np.cumsum(log.lengths) - 1
    for place, (low, high) in enumerate(pairwise(grid.edges)):
        inside = (finished >= low) & (finished < high)
        expected = log.returns[inside].mean() if inside.any() else np.nan
        assert curves[1, 1, place] == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("episodes", [1, 7, 200, 201, 450])
def test_a_budget_of_episodes_gives_means_over_bins_of_episodes(episodes):
    results = compare(["q_learning"], SLIPPERY, episodes=episodes)
    returns = vd.run("q_learning", SLIPPERY, episodes=episodes, seed=1).log.returns
    grid, curves = results.curves(SLIPPERY, "q_learning")
    assert (grid.edges[0], grid.edges[-1]) == (0, episodes)
    expected = [returns[low:high].mean() for low, high in pairwise(grid.edges)]
    assert curves[1, 1] == pytest.approx(expected)
    assert np.array_equal(curves[:, 0], curves[:, 1])


def test_a_note_names_the_agent_and_the_environment_once():
    results = compare(["q_learning"], "Taxi-v4(fickle_passenger=True)", episodes=2, evaluation_episodes=1, workers=0)
    assert results.notes == (
        "q_learning on Taxi-v4(fickle_passenger=True) ran in the generic loop: fickle_passenger draws outside P",
    )


@pytest.mark.parametrize(
    ("error", "message", "settings"),
    [
        (ExperimentError, "agents: must hold at least one label = expression, got none", {"agents": []}),
        (ExperimentError, "agents: must hold at least one label = expression, got none", {"agents": {}}),
        (ExperimentError, "environments: must hold at least one label = expression", {"environments": []}),
        (ExperimentError, "agents.1: agent 'random' is given twice: give labels", {"agents": ["random", "random"]}),
        (
            ExperimentError,
            "environments.1: environment 'FrozenLake-v1()' is",
            {"environments": [SLIPPERY, f"{SLIPPERY}()"]},
        ),
        (ExperimentError, "agents.0: must be an expression such as 'q_learning(discount=0.9)', got 3", {"agents": [3]}),
        (ExperimentError, "environments.0: must be an expression such as 'FrozenLake-v1', got 3", {"environments": 3}),
        (ExperimentError, "seeds: must be a whole number of at least 1, or a list of seeds, got 0", {"seeds": 0}),
        (ExperimentError, "seeds: must be a whole number of at least 1, or a list of seeds, got True", {"seeds": True}),
        (ExperimentError, "seeds: must be different whole numbers of at least 0, got []", {"seeds": []}),
        (ExperimentError, "seeds: must be different whole numbers of at least 0, got [1, 2, 1]", {"seeds": [1, 2, 1]}),
        (ExperimentError, "seeds: must be different whole numbers of at least 0, got -1", {"seeds": [0, -1]}),
        (ExperimentError, "give episodes, steps or epochs, one of them", {"steps": 3}),
        (ExperimentError, "episodes: must be a whole number of at least 1, got 0", {"episodes": 0}),
        (
            ExperimentError,
            "give episodes, steps or epochs, one of them: no budget for 'random' on",
            {"episodes": None},
        ),
        (ExperimentError, "workers must be a whole number of at least 0, got -1", {"workers": -1}),
        (ExperimentError, "workers must be a whole number of at least 0, got 1.5", {"workers": 1.5}),
        (ExperimentError, "trial_timeout must be a number of seconds above 0, got 0", {"trial_timeout": 0}),
        (ExperimentError, "trial_timeout needs workers", {"trial_timeout": 3, "workers": 0}),
        *(
            (ExperimentError, "trial_memory must be a size such as", {"trial_memory": size})
            for size in ("", "2", "GB", "-1GB", "0MB", "2GBs", "1e9B", 0, -5, 1.5, True, float("nan"), ["2GB"])
        ),
        (ExperimentError, "trial_memory needs workers", {"trial_memory": "2GB", "workers": 0}),
        (ExperimentError, "checkpoint_every must be a number of seconds above 0", {"checkpoint_every": -1}),
        (
            ExperimentError,
            "agents.a: give episodes, steps or epochs, one of them",
            {"agents": {"a": {"agent": "random", "episodes": 1, "steps": 1}}},
        ),
        (
            ExperimentError,
            "unknown field 'agents.a.epsodes': did you mean 'episodes'?",
            {"agents": {"a": {"agent": "random", "epsodes": 1}}},
        ),
        (ExperimentError, "evaluation_episodes: must be a whole number", {"evaluation_episodes": 0}),
        (ExperimentError, "agents.randm: unknown agent 'randm': did you mean 'random'?", {"agents": ["randm"]}),
        (ExperimentError, "success: unknown success rule 'won'", {"success": "won"}),
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


@pytest.mark.parametrize("seeds", [2.5, "2", np.int64(2)])
def test_seeds_that_are_no_numbers_are_refused_and_numpys_are_read(seeds):
    try:
        assert len(compare(seeds=seeds).records) == 2
    except ExperimentError:
        assert not isinstance(seeds, np.int64)


def test_two_spellings_of_one_agent_are_the_same_agent():
    with pytest.raises(ExperimentError, match="given twice"):
        compare(["q_learning", "q_learning()"])


class Breaks(gym.Wrapper, gym.utils.RecordConstructorArgs):
    """Raises in its first step where the trial's seed is odd."""

    def __init__(self, env):
        gym.utils.RecordConstructorArgs.__init__(self)
        gym.Wrapper.__init__(self, env)
        self.is_odd = False

    def reset(self, *, seed=None, options=None):
        if seed is not None:
            self.is_odd = seed % 2 == 1
        return super().reset(seed=seed, options=options)

    def step(self, action):
        if self.is_odd:
            raise KeyError("wheel")
        return super().step(action)


def breaks():
    return Breaks(gym.make("FrozenLake-v1"))


@pytest.mark.parametrize("workers", [None, 0])
def test_a_failing_trial_is_recorded_with_its_reason_and_the_others_go_on(workers):
    with pytest.warns(ExperimentWarning, match=r"of 12 trials failed, the first: random on breaks, seed \d: step of "):
        results = compare(environments=[breaks, SLIPPERY], seeds=6, workers=workers)
    assert all(row.status == "done" for row in results.trials(SLIPPERY, "random"))
    statuses = [row.status for row in results.trials("breaks", "random")]
    assert set(statuses) == {"done", "failed"}
    for row in results.failures:
        assert re.match("step of FrozenLake-v1 raised in episode 1.*, step 1: KeyError", row.error)
        assert "test_experiments_compare.py" in row.error_place
        assert np.isnan(row.measures["greedy_success_rate"])
    (row,) = [row for row in results.rows() if row["environment"] == "breaks"]
    assert (row["seeds"], row["failed"]) == (statuses.count("done"), statuses.count("failed"))
    grid, curves = results.curves("breaks", "random")
    assert curves.shape == (statuses.count("done"), 2, len(grid.ends))


def test_failed_trials_are_run_again_only_where_that_is_asked_for(tmp_path):
    agents = {"planner": "hostile_agents:HopefulPlanner", "random": "random"}
    settings = {"environments": "discretize(CartPole-v1, bins=2)", "evaluation_episodes": 1, "workers": 0}
    for retry, reused in ((False, 0), (False, 4), (True, 2)):
        told = []
        with pytest.warns(ExperimentWarning, match="2 of 4 trials failed, the first: planner on"):
            compare(agents, out=tmp_path, retry_failed=retry, progress=told.append, **settings)
        assert (told[-1].finished, told[-1].failed, told[-1].reused) == (4, 2, reused)


def test_too_few_seeds_are_warned_of_and_kept_with_the_results(tmp_path):
    with pytest.warns(ExperimentWarning, match="2 seeds are too few"):
        results = compare(out=tmp_path)
    assert results.warnings == vd.Results.load(tmp_path).warnings
    assert results.warnings[0].startswith("2 seeds are too few to tell better from luckier")


def test_a_sound_comparison_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compare(seeds=5).warnings == ()


def test_where_it_is_strict_a_warning_is_an_error_and_nothing_is_run(tmp_path):
    with pytest.raises(ExperimentError, match=r"^2 seeds are too few"):
        compare(strict=True, out=tmp_path / "there")
    assert not (tmp_path / "there").exists()
    assert len(compare(strict=True, seeds=5).records) == 5
