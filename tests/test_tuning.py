"""Tuning in two stages: search spaces, samplers, halving over seeds, the choice, fresh seeds, interruptions."""

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
import tomllib
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import velodrome as vd
from velodrome.experiments.cli.application import main
from velodrome.experiments.errors import ExperimentError, ExperimentWarning
from velodrome.experiments.reporting.facts import how_it_was_run
from velodrome.experiments.reporting.languages import Words
from velodrome.experiments.reporting.tables import format_table, table_data
from velodrome.experiments.reporting.verdicts import verdict_lines
from velodrome.experiments.specification import build_agent
from velodrome.experiments.specification.experiment_file import read_experiment
from velodrome.experiments.specification.search_spaces import separate_spaces
from velodrome.experiments.storage.store import Store, StoreError
from velodrome.experiments.tuning import samplers
from velodrome.experiments.tuning.search import rounds_of
from velodrome.experiments.tuning.tune import tuning_plan
from velodrome.policies.configuration import to_expression

pytestmark = pytest.mark.filterwarnings("ignore::velodrome.experiments.errors.ExperimentWarning")
LAKE = "FrozenLake-v1(is_slippery=False)"
SPACE = {
    "agent": "q_learning(discount=0.9)",
    "learning_rate": {"log": [0.01, 1]},
    "policy": [
        {"policy": "epsilon_greedy", "epsilon": {"uniform": [0, 0.5]}},
        {"policy": "softmax", "temperature": {"log": [0.001, 1]}},
        "greedy",
    ],
}
AGENTS = {"Q": SPACE, "S": {"agent": "sarsa", "learning_rate": [0.1, 0.3, 0.5, 0.7]}, "random": "random"}
FILE = """
name = "lake"
episodes = 60
seeds = 8
[environments]
lake = "FrozenLake-v1(is_slippery=False)"
[agents.Q]
agent = "q_learning(discount=0.9)"
learning_rate = {log = [0.01, 1]}
policy = [{policy = "epsilon_greedy", epsilon = {uniform = [0, 0.5]}}, "greedy"]
[agents.S]
agent = "sarsa"
learning_rate = {uniform = [0.05, 1]}
"""


def tune(agents=AGENTS, environments=LAKE, **options):
    options = {"episodes": 40, "seeds": 8, "configurations": 6, "tuning_seeds": 5, "workers": 0} | options
    return vd.tune(agents, environments, **{"name": "lake"} | options)


def digest(folder):
    with Store.open_for_reading(folder) as store:
        return store.content_digest()


def refusal(**options):
    with pytest.raises((ExperimentError, ValueError)) as error:
        tune(**options)
    return str(error.value)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tuned")
    return tune(out=folder), folder


class _Draws:
    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def option(self, path, names):
        return int(self.rng.integers(len(names)))

    def number(self, path, span):
        return span.at(float(self.rng.random()))


# Search spaces


def test_what_is_drawn_lies_in_the_space_and_can_be_pasted():
    table = SPACE | {"initial_value": {"uniform": [-1, 2.5]}}
    _, spaces = separate_spaces({"Q": table, "D": {"agent": "dyna_q", "planning_steps": {"integers": [1, 3]}}})
    policies, steps = set(), set()
    for seed in range(200):
        call = spaces["Q"].configuration(_Draws(seed))
        agent = spaces["Q"].build(call)
        assert to_expression(build_agent(str(call))) == to_expression(agent)
        assert 0.01 <= agent.learning_rate <= 1
        assert -1 <= agent.initial_value <= 2.5
        assert float(f"{agent.learning_rate:.4g}") == agent.learning_rate
        policies.add(type(agent.policy).__name__)
        steps.add(spaces["D"].build(spaces["D"].configuration(_Draws(seed))).planning_steps)
    assert policies == {"EpsilonGreedy", "Softmax", "Greedy"}
    assert steps == {1, 2, 3}


def test_logarithms_are_spread_evenly():
    _, spaces = separate_spaces({"Q": SPACE, "D": {"agent": "dyna_q", "planning_steps": {"log_integers": [1, 999]}}})
    rates = [spaces["Q"].configuration(_Draws(seed)).keywords["learning_rate"] for seed in range(400)]
    assert sum(rate < 0.1 for rate in rates) == pytest.approx(200, abs=40)
    steps = [spaces["D"].configuration(_Draws(seed)).keywords["planning_steps"] for seed in range(400)]
    assert {type(step) for step in steps} == {int}
    assert sum(step < 10 for step in steps) == pytest.approx(400 / 3, abs=40)


def test_a_grid_has_every_combination_once():
    table = {
        "agent": "q_learning(policy=epsilon_greedy(epsilon=[0.1, 0.2]))",
        "discount": [0.9, 0.99],
        "learning_rate": {"log": [0.01, 1], "points": 3},
    }
    _, spaces = separate_spaces({"Q": table})
    calls = spaces["Q"].grid()
    assert len(calls) == len({str(call) for call in calls}) == spaces["Q"].grid_size == 12
    assert {call.keywords["learning_rate"] for call in calls} == {0.01, 0.1, 1.0}
    assert spaces["Q"].words(calls[0]) == "policy.epsilon=0.1, discount=0.9, learning_rate=0.01"


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ({"learning_rate": {"log": [0, 1]}}, "learning_rate.log: a logarithmic range must be above 0, got [0, 1]"),
        ({"learning_rate": {"log": [-1, 1]}}, "learning_rate.log: a logarithmic range must be above 0, got [-1, 1]"),
        ({"learning_rate": {"uniform": [1, 0.5]}}, "the range [1, 0.5] has a low end above its high end"),
        ({"learning_rate": {"uniform": [1, 1]}}, "the range [1, 1] is empty"),
        ({"learning_rate": {"uniform": [0.5, 3]}}, "learning_rate must be a number in (0, 1], got 3.0"),
        ({"learning_rate": {"uniform": 0.5}}, "must be two numbers, [low, high], got 0.5"),
        ({"learning_rate": {"uniform": [0.1, math.inf]}}, "must be finite"),
        ({"learning_rate": {"integers": [0.5, 2]}}, "must be whole numbers, got [0.5, 2]"),
        ({"learning_rate": {"logg": [0.1, 1]}}, "unknown field 'agents.Q.learning_rate.logg': did you mean 'log'?"),
        ({"learning_rate": {"log": [0.1, 1], "uniform": [0, 1]}}, "give one of uniform, log, integers, log_integers"),
        ({"learning_rate": []}, "learning_rate: must hold at least one value, got an empty list"),
        ({"lerning_rate": {"log": [0.1, 1]}}, "unknown field 'agents.Q.lerning_rate': did you mean 'learning_rate'?"),
        ({"policy": [{"policy": "softmx"}, "greedy"]}, "unknown policy 'softmx': did you mean 'softmax'?"),
        ({"policy": {"policy": "softmax", "temp": [0.1, 1]}}, "unknown field 'agents.Q.policy.temp'"),
        ({"policy": {"schedule": "linear"}}, "policy: takes a policy, got a table with 'schedule'"),
    ],
)
def test_a_mistake_in_a_space_is_one_line(table, line):
    found = refusal(agents={"Q": {"agent": "q_learning"} | table})
    assert "\n" not in found
    assert line in found


def test_compare_sends_search_spaces_to_tune(tmp_path, capsys):
    (tmp_path / "lake.toml").write_text(FILE)
    assert main(["compare", str(tmp_path / "lake.toml"), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "holds search spaces, which are tuned first: velodrome tune" in said
    with pytest.raises(ExperimentError, match=r"vd\.tune"):
        vd.compare(AGENTS, LAKE, episodes=5)


# What cannot be tuned


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"agents": {"Q": "q_learning"}}, "nothing to tune: no agent has a parameter given as a range or a list"),
        ({"sampler": "tpee"}, "sampler must be one of auto, grid, random, tpe, qmc, cma_es, gp, got 'tpee'"),
        ({"seeds": 6}, "seeds: got 6 fresh, a verdict on 3 agents needs at least 7, such as seeds = 30"),
        ({"tuning_seeds": [7, 8]}, "seeds: 7 is a tuning seed, too"),
        ({"tuning_seeds": 1}, "tuning_seeds: one seed tells no configuration from a lucky one, give at least 2"),
        ({"tuning_seeds": [3, 3]}, "tuning_seeds: must be different whole numbers of at least 0, got [3, 3]"),
        ({"configurations": 0}, "configurations must be"),
        ({"tuning_seed": -1}, "tuning_seed must be a whole number of at least 0, got -1"),
        ({"sampler": "grid"}, "agents.Q: a grid needs points, such as {log = [0.01, 1], points = 5}"),
        (
            {"agents": {"Q": {"agent": "sarsa", "discount": [0.1, 0.2, 0.3]}}, "sampler": "grid", "configurations": 2},
            "the grid of 'Q' has 3 configurations, more than configurations = 2",
        ),
        ({"metric": "greedy_sucess_rate"}, "did you mean 'greedy_success_rate'?"),
        ({"halving": "no"}, "halving: must be True or False, got 'no'"),
        (
            {"agents": {"Q": SPACE, "Q · a": "sarsa"}, "environments": {"a": LAKE, "b": "FrozenLake-v1"}},
            "agents: 'Q · a' is what a chosen configuration of 'Q' may be called: rename one of them",
        ),
        (
            {"agents": {"Q": {"agent": "q_learning", "discount": [0.1, 0.2]}}, "episodes": 10, "evaluate_every": 5,
             "hopeless": {"below": 0.9, "after": 5}},
            f"no configuration of 'Q' has a score on all tuning seeds of {LAKE!r}: 10 of 10 trials were stopped as "
            "hopeless",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_tuned_is_one_line(options, line):
    found = refusal(**options)
    assert "\n" not in found
    assert line in found


def test_a_sampler_without_its_package_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(samplers, "find_spec", lambda name: None)
    assert refusal(sampler="tpe") == "sampler tpe needs Optuna: pip install 'velodrome[tune]'"
    monkeypatch.setattr(samplers, "find_spec", lambda name: True if name == "optuna" else None)
    assert refusal(sampler="gp") == "sampler gp needs torch beside Optuna: pip install torch"


def test_an_unknown_argument_is_told():
    with pytest.raises(TypeError, match="no argument 'tuning_seedz'"):
        vd.tune(AGENTS, LAKE, episodes=5, tuning_seedz=3)


# Two stages


def test_the_table_is_of_fresh_seeds_alone(tuned):
    results, _ = tuned
    assert {record.seed for record in results.records} == set(range(8))
    assert {record.seed for record in results.tuning_stage.records} == set(range(1_000_000, 1_000_005))
    assert results.agents == ["Q", "S", "random"]
    rows = {row["agent"]: row for row in results.rows()}
    assert {label: row["configurations"] for label, row in rows.items()} == {"Q": 6, "S": 4, "random": 1}
    assert {label: row["tuning_runs"] for label, row in rows.items()} == {"Q": 30, "S": 20, "random": 0}
    assert "| configurations | tuning runs |" in format_table(results, "markdown")


def test_the_choice_has_the_best_mean_of_the_last_round(tuned):
    results, _ = tuned
    for one in results.tuned:
        scores = {
            label: np.mean(
                [record.number("greedy_success_rate") for record in results.tuning_stage.trials(LAKE, label)]
            )
            for label in results.tuning_stage.agents
            if label.startswith(f"{one.agent} · ")
        }
        assert scores[one.label] == max(scores.values()) == one.claim[0]
        assert one.may_be_best[0].label == one.label
        # Equal ones in the order in which they were tried, in every process.
        order = list(scores)
        rest = [(-best.probability, order.index(best.label)) for best in one.may_be_best[1:]]
        assert rest == sorted(rest)
        assert sum(best.probability for best in one.may_be_best) <= 1 + 1e-9
        assert one.runs == sum(len(results.tuning_stage.trials(LAKE, label)) for label in scores)


def test_the_chosen_expression_gives_the_same_scores_where_it_is_pasted(tuned):
    results, _ = tuned
    again = vd.compare({one.agent: one.expression for one in results.tuned}, LAKE, episodes=40, seeds=8, workers=0)
    for label in ("Q", "S"):
        ours, theirs = ([one.measures for one in some.trials(LAKE, label)] for some in (results, again))
        assert repr(ours) == repr(theirs)


def test_claim_and_fresh_result_stand_below_the_table_and_in_the_report(tuned):
    results, _ = tuned
    note = next(note for note in table_data(results)["notes"] if note.startswith("Tuning of Q"))
    assert results.tuned[0].expression in note
    assert "of 6 configurations in 30 runs on tuning seeds" in note
    assert "on its tuning seeds; " in note
    assert " on fresh ones" in note
    # What the report says of how it was run, and in Korean.
    english, korean = (
        [fact.text for fact in how_it_was_run(results, results.analysis(), Words(language))]
        for language in ("en", "ko")
    )
    assert f"{note.partition(': ')[2]}" in english
    assert [text for text in korean if "튜닝 시드에서는" in text and "fresh" not in text and "others" not in text]


def test_a_tuning_stage_has_scores_and_no_verdict(tuned):
    results, folder = tuned
    stage = vd.Results.load(folder, "lake · tuning")
    data = table_data(stage)
    assert len(data["rows"]) == 10
    assert data["pairs"] == []
    assert data["overall"] is None
    assert {row["letters"] for row in data["rows"]} == {""}
    assert "No verdict on tuning seeds" in data["verdict"][0]
    assert "not distinguishable" not in " ".join(data["verdict"])
    assert "튜닝 시드로는 판정하지 않습니다" in verdict_lines(stage.analysis(), stage, "ko")[0]
    with pytest.raises(ExperimentError, match="'lake · tuning' holds tuning seeds"):
        vd.Results.joined([stage, results])


def test_stored_results_say_how_they_were_tuned(tuned, capsys):
    results, folder = tuned
    loaded = vd.Results.load(folder)
    assert loaded.name == "lake"
    assert loaded.settings.tuning == results.settings.tuning
    assert main(["table", str(folder), "--experiment", "lake · tuning"]) == 0
    assert "No verdict on tuning seeds" in " ".join(capsys.readouterr().out.split())


def test_joined_results_keep_how_their_agents_were_tuned(tuned):
    results, _ = tuned
    other = vd.compare({"Q": "q_learning", "fixed": "sarsa"}, LAKE, name="other", episodes=40, seeds=8, workers=0)
    both = vd.Results.joined([results, other])
    spent = {row["agent"]: (row["configurations"], row["tuning_runs"]) for row in both.rows()}
    assert spent == {"Q (lake)": (6, 30), "S": (4, 20), "random": (1, 0), "Q (other)": (1, 0), "fixed": (1, 0)}
    assert any("튜닝 시드에서는" in fact.text for fact in how_it_was_run(both, both.analysis(), Words("ko")))
    assert both.settings.tuning.seeds == results.settings.tuning.seeds


def test_sentences_hold_for_one_and_for_no_optimism(tuned):
    results, _ = tuned
    one = results.settings.tuning.agents[0]
    changed = replace(one, optimism=-0.004, dropped=1, saved=5, may_be_best=one.may_be_best[:1] * 2)
    settings = replace(results.settings, tuning=replace(results.settings.tuning, agents=(changed,)))
    again = replace(results, settings=settings)
    text = how_it_was_run(again, again.analysis(), Words("en"))[3].text
    assert "These tuning seeds do not show that the best of so many scores is too good (-.004)." in text
    assert "; one other is not excluded (95 %): " in text
    assert "One was given up on the way for a lower mean, without a test, which saved 5 runs." in text


def test_settings_of_another_form_are_damage(tuned, tmp_path):
    results, _ = tuned
    results.save(tmp_path)
    with Store.open(tmp_path) as store:
        stored = store.experiment()
        broken = stored.settings | {"tuning": stored.settings["tuning"] | {"agents": [{"agent": 3}]}}
        store.add_experiment("broken", "", broken, (), stored.trials)
    with pytest.raises(StoreError, match="damaged"):
        vd.Results.load(tmp_path, "broken")


def test_unequal_tuning_is_warned_of_and_what_cannot_be_tuned_is_not():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tune()
    said = [str(one.message) for one in caught if issubclass(one.category, ExperimentWarning)]
    assert any(
        "unequal tuning on 'FrozenLake-v1(is_slippery=False)': 6 configurations for 'Q'; 4" in line for line in said
    )
    assert not any("'random'" in line for line in said)


def test_tuning_again_in_another_way_after_the_verdict_is_warned_of(tmp_path):
    agents = {"Q": {"agent": "q_learning", "learning_rate": {"log": [0.01, 1]}}}
    tune(agents, out=tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tune(agents, out=tmp_path)
    assert not any("chooses by them" in str(one.message) for one in caught)
    for other in ({"tuning_seed": 1}, {"configurations": 7}, {"metric": "train_return"}):
        with pytest.warns(ExperimentWarning, match="chooses by them"):
            tune(agents, out=tmp_path, **other)


def test_each_environment_has_its_own_choice():
    places = {"lake": LAKE, "slippery": "FrozenLake-v1"}
    agents = {"Q": {"agent": "q_learning", "learning_rate": [0.05, 0.5], "discount": [0.9, 0.99]}, "S": "sarsa"}
    results = tune(agents, places, episodes=100)
    assert {(one.environment) for one in results.tuned} == set(places)
    labels = {one.agent for one in results.tuned}
    assert labels in ({"Q"}, {"Q · lake", "Q · slippery"})
    for one in results.tuned:
        assert len(results.trials(one.environment, one.agent)) == 8
        assert results.settings.agents[one.agent] == one.expression


# Halving


def test_rounds_double_the_seeds():
    assert rounds_of(10, halving=True) == (5, 10)
    assert rounds_of(40, halving=True) == (5, 10, 20, 40)
    assert rounds_of(4, halving=True) == (4,)
    assert rounds_of(40, halving=False) == (40,)


def test_the_worse_half_runs_on_the_first_seeds_alone():
    agents = {"Q": SPACE}
    halved = tune(agents, configurations=8, tuning_seeds=10)
    whole = tune(agents, configurations=8, tuning_seeds=10, halving=False)
    one = halved.tuned[0]
    assert (one.runs, one.saved, one.dropped) == (60, 20, 4)
    assert (whole.tuned[0].runs, whole.tuned[0].saved, whole.tuned[0].dropped) == (80, 0, 0)
    first = {
        label: np.mean([record.number("greedy_success_rate") for record in whole.tuning_stage.trials(LAKE, label)[:5]])
        for label in whole.tuning_stage.agents
    }
    kept = [label for label in first if len(halved.tuning_stage.trials(LAKE, label)) == 10]
    assert len(kept) == 4
    assert min(first[label] for label in kept) >= max(first[label] for label in first if label not in kept)


# Samplers


def test_random_configurations_do_not_depend_on_the_other_agents():
    alone = tune({"Q": SPACE}).tuning_stage.agents
    assert [label for label in tune().tuning_stage.agents if label.startswith("Q")] == alone
    assert tune({"Q": SPACE}, tuning_seed=1).tuning_stage.agents != alone


def test_an_own_class_and_an_object_can_be_tuned():
    agents = {"Q": {"agent": vd.agents.QLearning(discount=0.9), "learning_rate": {"log": [0.01, 1]}}}
    results = tune(agents, configurations=3)
    assert results.tuned[0].expression.startswith("q_learning(discount=0.9, learning_rate=")


def test_lower_may_be_better():
    measure = vd.Measure("length", compute=lambda trial: float(trial.log.steps), higher_is_better=False)
    results = tune({"Q": SPACE}, metric="length", measures=measure, configurations=4)
    means = [
        np.mean([record.number("length") for record in results.tuning_stage.trials(LAKE, label)])
        for label in results.tuning_stage.agents
    ]
    assert results.tuned[0].claim[0] == min(means)


@pytest.mark.parametrize(("name", "workers"), [("tpe", 2), ("qmc", 0)])
def test_optunas_samplers_choose_the_same_on_any_number_of_workers(name, workers, tmp_path):
    optuna = pytest.importorskip("optuna")
    one, other = (tmp_path / folder for folder in ("one", "other"))
    results = tune({"Q": SPACE}, sampler=name, configurations=12, tuning_seeds=2, out=one)
    # Those that it asks for twice run once.
    assert 6 <= results.tuned[0].configurations <= 12
    again = tune({"Q": SPACE}, sampler=name, configurations=12, tuning_seeds=2, out=other, workers=workers)
    assert again.tuned == results.tuned
    assert digest(one) == digest(other)
    storage = f"sqlite:///{one / 'optuna.sqlite'}"
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.load_study(study_name=f"lake: Q on {LAKE}", storage=storage)
    assert len(study.trials) == 12
    assert study.best_value == pytest.approx(results.tuned[0].claim[0])
    assert results.tuned[0].label.startswith("Q · ")
    assert all(trial.user_attrs["expression"].startswith("q_learning(") for trial in study.trials)
    # Once more: the study of that name is replaced.
    tune({"Q": SPACE}, sampler=name, configurations=12, tuning_seeds=2, out=one)
    assert len(optuna.load_study(study_name=study.study_name, storage=storage).trials) == 12


def test_a_study_that_cannot_be_written_costs_a_warning(tmp_path):
    pytest.importorskip("optuna")
    (tmp_path / "optuna.sqlite").write_text("something else")
    with pytest.warns(ExperimentWarning, match=r"optuna\.sqlite: Optuna's studies are not written"):
        results = tune({"Q": SPACE}, sampler="tpe", configurations=4, tuning_seeds=2, out=tmp_path)
    assert results.tuned


# Interruptions


def test_workers_make_no_difference(tuned, tmp_path):
    results, folder = tuned
    assert tune(out=tmp_path, workers=2).tuned == results.tuned
    assert digest(tmp_path) == digest(folder)


def test_what_is_stored_is_not_run_again(tuned):
    results, folder = tuned
    before = digest(folder)
    seen = []
    assert (
        tune(out=folder, progress=lambda status: seen.append((status.finished, status.reused))).tuned == results.tuned
    )
    assert all(finished == reused for finished, reused in seen)
    assert digest(folder) == before


def program(path, out):
    return [
        sys.executable, "-m", "velodrome", "tune", str(path), "--configurations", "8", "--tuning-seeds", "6", "--out",
        str(out), "--workers", "2", "--quiet",
    ]  # fmt: skip


def killed_and_finished(tmp_path, kills, longest):
    """The store of a tuning that was killed at random moments, and that of one that was not."""
    path = tmp_path / "lake.toml"
    path.write_text(FILE.replace("episodes = 60", "episodes = 3000"))
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    rng = random.Random(0)
    for _ in range(kills):
        process = subprocess.Popen(
            program(path, tmp_path / "killed"), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        time.sleep(rng.uniform(0.5, longest))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    outputs = []
    for name in ("killed", "whole"):
        done = subprocess.run(
            program(path, tmp_path / name), env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr
        outputs.append(done.stdout.replace(str(tmp_path / name), "OUT"))
    return outputs


def test_a_killed_tuning_goes_on_to_the_same_choice(tmp_path):
    options = {"name": "lake", "episodes": 60, "seeds": 8, "configurations": 4, "tuning_seeds": 6, "workers": 0}
    whole = vd.tune(agents_of(FILE), LAKE, **options)
    for stop in (5, 30, 45):
        folder = tmp_path / str(stop)

        def interrupt(status, stop=stop):
            if status.finished >= stop:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            vd.tune(agents_of(FILE), LAKE, out=folder, progress=interrupt, **options)
        assert vd.tune(agents_of(FILE), LAKE, out=folder, **options).tuned == whole.tuned


def agents_of(text):
    return tomllib.loads(text)["agents"]


@pytest.mark.slow
def test_a_tuning_killed_at_twenty_moments_gives_the_same_choice_and_table(tmp_path):
    killed, whole = killed_and_finished(tmp_path, kills=20, longest=6.0)
    assert killed == whole
    stores = [vd.Results.load(tmp_path / name) for name in ("killed", "whole")]
    assert stores[0].settings.tuning == stores[1].settings.tuning
    timed = ("train_seconds", "wall_seconds", "cpu_seconds", "steps_per_second")
    one, other = (store.frame().drop(columns=list(timed)) for store in stores)
    assert one.equals(other)


# Failures


class Fragile(vd.Agent):
    """Fails with some numbers, and walks down and right with the others."""

    number: int = 0

    def begin(self, observation_space, action_space, rng):
        if self.number < 2:
            raise OSError("out of luck")
        self.rng = rng

    def act(self, observation, explore=False):
        return int(self.rng.integers(1, 3)) if explore else 1


def test_a_configuration_whose_trials_fail_is_not_chosen():
    with pytest.warns(
        ExperimentWarning, match="on tuning seeds 10 of 20 trials failed, the first: F · number=0"
    ) as told:
        results = tune({"F": {"agent": Fragile(), "number": [0, 1, 2, 3]}}, episodes=2)
    assert any("a configuration with a failed trial is not chosen" in str(one.message) for one in told)
    assert results.tuned[0].label == "F · number=2"
    assert len(results.tuning_stage.failures) == 10
    assert {one.label for one in results.tuned[0].may_be_best} == {"F · number=2", "F · number=3"}
    note = next(note for note in table_data(results)["notes"] if note.startswith("Tuning of F"))
    assert "2 have trials without a score and are not chosen." in note
    alone = tune({"F": {"agent": Fragile(), "number": [1, 2]}}, episodes=2)
    note = next(note for note in table_data(alone)["notes"] if note.startswith("Tuning of F"))
    assert "One has a trial without a score and is not chosen." in note
    assert "excluded" not in note
    line = refusal(agents={"F": {"agent": Fragile(), "number": [0, 1]}}, episodes=2)
    assert f"no configuration of 'F' has a score on all tuning seeds of {LAKE!r}" in line
    assert "out of luck" in line


# The command line


def test_the_command_says_what_was_chosen_and_where_everything_is(tmp_path, capsys):
    (tmp_path / "lake.toml").write_text(FILE)
    arguments = ["tune", str(tmp_path / "lake.toml"), "--configurations", "4", "--tuning-seeds", "3", "--quiet"]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    results = vd.Results.load(tmp_path / "out")
    for one in results.settings.tuning.agents:
        assert f"\n{one.agent}: {one.expression}" in said
    assert (tmp_path / "out" / "lake" / "table.md").exists()
    assert main([*arguments, "--out", str(tmp_path / "out"), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert [one["expression"] for one in data["tuning"]] == [one.expression for one in results.settings.tuning.agents]
    assert {row["seeds"] for row in data["rows"]} == {8}


def test_the_shipped_experiment_has_three_learners_with_the_same_space():
    path = Path(vd.experiments.__file__).with_name("lake_tuning.toml")
    with pytest.raises(ExperimentError, match="velodrome tune"):
        read_experiment(path)
    plan, spaces = tuning_plan("lake_tuning")
    assert list(spaces) == list(plan.agents) == ["Q-learning", "Sarsa", "expected Sarsa"]
    assert len({space.to_text().partition("(")[2] for space in spaces.values()}) == 1
