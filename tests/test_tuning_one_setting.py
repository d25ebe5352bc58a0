"""One setting for all environments beside those of each, and sensitivity of what `tune` stored."""

import pytest

import velodrome as vd
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.plotting import AlgorithmScores
from velodrome.experiments.reporting.facts import how_it_was_run
from velodrome.experiments.reporting.languages import Words
from velodrome.experiments.results import Results
from velodrome.experiments.statistics import settings_across_environments

pytestmark = pytest.mark.filterwarnings("ignore::velodrome.experiments.errors.ExperimentWarning")
POLICIES = [{"policy": "epsilon_greedy", "epsilon": [0.02, 0.5]}]
AGENTS = {
    name: {"agent": agent, "learning_rate": [0.01, 0.3, 1.0], "policy": POLICIES}
    for name, agent in (("Q", "q_learning"), ("S", "sarsa"))
}
ENVIRONMENTS = {"plain": "FrozenLake-v1(is_slippery=False)", "slippery": "FrozenLake-v1"}


def tuned(**changes):
    given = {
        "seeds": 8,
        "episodes": 200,
        "tuning_seeds": 5,
        "one_setting": True,
        "metric": "train_return",
        "workers": 0,
    }
    return vd.tune(AGENTS, ENVIRONMENTS, name="lakes", **given | changes)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return tuned(out=tmp_path_factory.mktemp("tuned"))


def test_the_setting_for_all_is_the_best_by_its_ranks(results):
    scores = AlgorithmScores.of_table(results.tuning_stage, "train_return")
    assert scores.environments == ("plain", "slippery")
    expected = settings_across_environments(scores.scores)
    for name in ("Q", "S"):
        assert len(scores.labels[name]) == 6
        chosen = {one.label for one in results.tuned if one.agent == f"{name} · one setting"}
        assert chosen == {scores.labels[name][expected[name].everywhere]}


def test_it_runs_on_fresh_seeds_beside_those_of_each(results):
    for name in ("Q · one setting", "S · one setting"):
        for environment in ENVIRONMENTS:
            assert [one.seed for one in results.done(environment, name)] == list(range(8))
    rows = [row for row in results.rows() if row["agent"] == "Q · one setting"]
    assert [row["configurations"] for row in rows] == [6, 6]
    facts = how_it_was_run(results, results.analysis(), Words.of("en"))
    told = [fact.text for fact in facts if "Q · one setting" in fact.term]
    assert len(told) == 2
    assert all("One setting for all environments: the best by the mean of its ranks on them." in text for text in told)


def test_the_settings_are_kept_in_the_store(results, tmp_path):
    results.save(tmp_path)
    loaded = Results.load(tmp_path, "lakes")
    assert [one.is_for_all for one in loaded.settings.tuning.agents] == [one.is_for_all for one in results.tuned]


def test_pictures_of_what_was_tried(results):
    for kind in ("sensitivity", "importance", "parallel"):
        page = results.tuning_stage.only(*_of_one(results, kind)).plot(kind=kind, metric="train_return")
        assert page.axes


def _of_one(results, kind):
    labels = results.tuning_stage.agents
    return (labels if kind == "sensitivity" else [one for one in labels if one.startswith("Q · ")], [*ENVIRONMENTS])


def test_bad_input_is_one_line():
    with pytest.raises(ExperimentError, match="one_setting: is for several environments, this experiment has one"):
        vd.tune(AGENTS, {"plain": ENVIRONMENTS["plain"]}, seeds=8, episodes=5, one_setting=True)
    pytest.importorskip("optuna")
    with pytest.raises(
        ExperimentError, match=r"one_setting: needs the same configurations on every environment: .* tpe"
    ):
        tuned(sampler="tpe")
