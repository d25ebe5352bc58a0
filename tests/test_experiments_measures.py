"""Measures of one's own: one object, and they are computed, stored, tabled, explained, exported and decided by."""

import dataclasses
import io
import math

import pandas as pd
import pytest

import velodrome as vd
from velodrome.experiments.cli.application import main
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.reporting.footnotes import footnotes
from velodrome.experiments.reporting.report import report_html
from velodrome.experiments.reporting.tables import format_table
from velodrome.experiments.reporting.verdicts import verdict_lines
from velodrome.experiments.results.analysis import AnalysisOptions
from velodrome.experiments.results.importers import from_frame
from velodrome.experiments.storage.export import export
from velodrome.experiments.storage.store import Store
from velodrome.experiments.trials.measures import MEASURES, Measure, computed

LAKE = "FrozenLake-v1(is_slippery=False)"
AGENTS = {"q": "q_learning(policy=epsilon_greedy(epsilon=0.3))", "random": "random", "greedy": "epsilon_greedy_q"}
LENGTH = Measure(
    "mean_length",
    "length of episodes",
    "Mean number of steps of the episodes in training.",
    compute=lambda trial: trial.log.lengths.mean(),
    limits=(1, math.inf),
    higher_is_better=False,
)
LENGTHS = {"q": 7.0, "random": 9.5, "greedy": 8.25}
# The store keeps what has no column of its own from the schema with measures on.
KEEPS_MEASURES = hasattr(Store, "measured_curves")
needs_store = pytest.mark.skipif(not KEEPS_MEASURES, reason="this store has a column for each number")


def of_lengths(results, lengths=LENGTHS, spread=0.1):
    """Results as they are where every trial was measured."""
    records = []
    for number, record in enumerate(results.records):
        length = lengths[record.agent] + spread * (number * number % 7)
        records.append(dataclasses.replace(record, measures=record.measures | {"mean_length": length}))
    settings = dataclasses.replace(results.settings, measures=(LENGTH,))
    return dataclasses.replace(results, records=records, settings=settings)


@pytest.fixture(scope="module")
def lakes():
    return of_lengths(vd.compare(AGENTS, LAKE, seeds=12, episodes=60, name="lengths"))


def test_a_measure_has_a_column_in_every_table_and_an_explanation_below(lakes):
    text = format_table(lakes, "markdown")
    assert "| length of episodes |" in text.splitlines()[2]
    assert "- length of episodes: Mean number of steps of the episodes in training." in text
    assert "length of episodes: Mean number of steps of the episodes in training." in footnotes(lakes)
    frame = pd.read_csv(io.StringIO(format_table(lakes, "csv")))
    expected = lakes.frame().groupby("agent")["mean_length"].mean()
    assert frame.set_index("agent")["mean_length_mean"].to_dict() == pytest.approx(expected.to_dict())
    assert "length of episodes" in report_html(lakes)
    table = lakes.table(full=True).set_index("agent")
    assert (table["mean_length_low"] <= table["mean_length_mean"]).all()


def test_where_less_is_better_the_least_is_first_and_ahead(lakes):
    options = AnalysisOptions(metric="mean_length")
    lengths = lakes.frame().groupby("agent")["mean_length"].mean()
    analysis = lakes.analysis(options)
    (one,) = analysis.environments
    assert one.comparison.compared == ["q", "greedy", "random"]
    pair = one.comparison.pairs["q", "random"]
    assert pair.verdict == "different"
    assert pair.difference.estimate == pytest.approx(lengths["random"] - lengths["q"])
    row = next(row for row in one.rows if row["agent"] == "random")
    assert row["difference"] == pytest.approx(lengths["random"] - lengths["q"])
    assert row["difference_low"] <= row["difference"] <= row["difference_high"]
    text = format_table(lakes, "markdown", AnalysisOptions(metric="mean_length"))
    assert "compared by length of episodes" in text
    close = of_lengths(lakes, {"q": 7.0, "random": 7.0, "greedy": 7.0}, spread=2.0)
    assert "has the lowest length of episodes, " in " ".join(verdict_lines(close.analysis(options), close))
    assert lakes.plot("mean_length", kind="scores").axes[0].get_xlabel() == "length of episodes"
    matrix = lakes.plot("mean_length", kind="improvement").axes[0]
    assert matrix.images[0].get_array()[0, 1] == 1


def test_missing_trials_count_as_the_worst_where_less_is_better(lakes):
    records = [
        dataclasses.replace(one, status="failed") if one.agent == "q" and one.seed < 4 else one for one in lakes.records
    ]
    settings = dataclasses.replace(lakes.settings, measures=(dataclasses.replace(LENGTH, limits=(1, 100)),))
    results = dataclasses.replace(lakes, records=records, settings=settings)
    (one,) = results.analysis(AnalysisOptions(metric="mean_length")).environments
    assert one.comparison.pairs["q", "random"].is_doubtful


def test_a_reader_may_table_any_number_that_trials_have(lakes):
    measure = Measure("loop_steps", "steps", column="steps", aggregate="median")
    table = lakes.table(full=True, measures=measure).set_index("agent")
    medians = lakes.frame().groupby("agent")["steps"].median()
    assert table["loop_steps_median"].to_dict() == medians.to_dict()
    assert "steps (median)" in format_table(lakes, "markdown", AnalysisOptions(measures=(measure,)))
    with pytest.raises(ExperimentError, match=r"metric loop_steps: agents are compared by means, not by its median"):
        lakes.table(full=True, measures=measure, metric="loop_steps")
    with pytest.raises(
        ExperimentError, match=r"no trial has the number 'stepz': did you mean 'steps'.*compare\(measur"
    ):
        lakes.table(full=True, measures=Measure("stepz"))
    with pytest.raises(ExperimentError, match=r"metric must be one of .*mean_length, got 'mean_lenght': did you mean"):
        lakes.table(full=True, metric="mean_lenght")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"name": "two words"}, "name must be letters, digits and underscores, got 'two words'"),
        ({"name": "steps", "compute": len}, "measure 'steps': a trial has that number already; give it another name"),
        ({"name": "regret", "compute": len}, "measure 'regret': a trial has that number already"),
        ({"name": "mine", "compute": 3}, "measure 'mine': compute must be a function, got 3"),
        (
            {"name": "mine", "aggregate": "men"},
            "aggregate must be one of mean, median, iqm, share, censored_median, percentile_range, all_succeed, "
            "got 'men': did you mean",
        ),
        ({"name": "mine", "percentiles": (75, 25)}, "measure 'mine': percentiles must increase between 0 and 100, got"),
        ({"name": "mine", "runs": 0}, "measure 'mine': runs must be a whole number of at least 1, got 0"),
        ({"name": "mine", "limits": (1, 0)}, "measure 'mine': limits must be increasing, got"),
        ({"name": "mine", "heading": "{name}"}, "heading and explanation must be one line without braces"),
        ({"name": "mine", "explanation": "a\nb"}, "heading and explanation must be one line without braces"),
    ],
)
def test_what_is_no_measure_is_refused_in_one_line(arguments, line):
    with pytest.raises(ExperimentError, match=line):
        Measure(**arguments)


def test_measures_that_are_there_already_are_refused():
    for measures in ([LENGTH, LENGTH], [Measure("greedy_return", compute=lambda trial: 0.0)]):
        with pytest.raises(ExperimentError, match="is there already; give it another name"):
            vd.compare(AGENTS, LAKE, seeds=1, episodes=5, measures=measures)
    with pytest.raises(ExperimentError, match="measures must be objects of the class Measure, got 'steps'"):
        vd.compare(AGENTS, LAKE, seeds=1, episodes=5, measures=["steps"])


def test_a_measure_comes_back_from_the_data_that_is_stored():
    for measure in (LENGTH, Measure("share", is_rate=True), Measure("cost", "costs", aggregate="iqm", limits=(0, 9))):
        assert Measure.from_data(measure.to_data()) == dataclasses.replace(measure, compute=None)
    with pytest.raises(ExperimentError, match="no stored measure"):
        Measure.from_data({"name": "x"})


def test_a_measure_that_raises_costs_its_number_and_no_trial():
    trial = vd.run("q_learning", LAKE, episodes=20)
    broken = Measure("ratio", compute=lambda trial: 1 / 0)
    values, remarks = computed(trial, [LENGTH, broken])
    assert values["mean_length"] == trial.log.lengths.mean()
    assert math.isnan(values["ratio"])
    assert remarks == ("has no ratio: ZeroDivisionError: division by zero",)


def test_every_measure_of_ours_is_a_number_of_a_trial():
    # Bandits alone have all of them.
    trial = vd.run("q_learning", "velodrome/BernoulliBandit-v0", episodes=20)
    numbers = trial.metrics() | computed(trial)[0]
    assert all(isinstance(numbers[measure.column], float) for measure in MEASURES.values())


def test_results_from_elsewhere_may_be_measured_too(lakes):
    measure = Measure("evaluation_episodes", "sampled episodes")
    frame = pd.DataFrame(
        {"agent": ["A", "B"], "environment": "Maze", "seed": 0, "greedy_mean_return": [1.0, 2.0]}
    ).assign(evaluation_episodes=[5, 7])
    table = from_frame(frame).table(full=True, measures=[measure], metric="evaluation_episodes")
    assert list(table["agent"]) == ["B", "A"]


@needs_store
def test_a_measure_is_stored_exported_and_read_by_every_command(tmp_path, capsys):
    options = {"seeds": 3, "episodes": 40, "name": "lengths", "out": tmp_path}
    results = vd.compare(AGENTS, {"lake": LAKE, "wind": "FrozenLake-v1"}, measures=LENGTH, workers=2, **options)
    for record in results.records:
        (curve,) = [
            curve
            for other, curve in zip(
                results.done(record.environment, record.agent),
                results.episode_curves(record.environment, record.agent),
                strict=True,
            )
            if other is record
        ]
        assert record.number("mean_length") == curve.lengths.mean()
    loaded = vd.Results.load(tmp_path)
    pd.testing.assert_frame_equal(loaded.frame(), results.frame())
    assert "length of episodes" in format_table(loaded, "markdown")
    (path,) = export(tmp_path, out=tmp_path / "tables")
    assert pd.read_csv(path)["mean_length"].tolist() == loaded.frame()["mean_length"].tolist()
    assert main(["table", str(tmp_path), "--metric", "mean_length"]) == 0
    assert "compared by length of episodes" in " ".join(capsys.readouterr().out.split())
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "report.html")]) == 0
    assert "length of episodes" in (tmp_path / "report.html").read_text(encoding="utf-8")
    more = vd.compare(AGENTS | {"late": "sarsa"}, LAKE, **options)
    assert "mean_length" not in more.frame() or more.frame()["mean_length"].isna().sum() == 3


@needs_store
def test_a_measure_of_ones_own_decides_a_run_until_decided():
    results = vd.compare(
        {"q": AGENTS["q"], "random": "random"}, "FrozenLake-v1", episodes=200, until_decided=True,
        max_seeds=12, seeds=6, measures=[LENGTH], metric="mean_length", workers=0,
    )  # fmt: skip
    told = results.settings.sequential_on("FrozenLake-v1")
    assert told.measure == "mean_length"
    assert results.analysis().environments[0].measure.name == "mean_length"
