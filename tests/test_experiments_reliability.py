"""Bands that hold most runs, runs themselves, and columns of how much the runs of an agent differ."""

import io
import math

import numpy as np
import pandas as pd
import pytest

import velodrome as vd
from velodrome.experiments.cli.application import main
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.plotting.bands import marked_runs
from velodrome.experiments.plotting.figures import draw
from velodrome.experiments.reporting.facts import how_to_read
from velodrome.experiments.reporting.footnotes import footnotes
from velodrome.experiments.reporting.languages import Words
from velodrome.experiments.reporting.tables import format_table
from velodrome.experiments.results.analysis import AnalysisOptions
from velodrome.experiments.statistics import percentile_range, tolerance_interval

LAKE = "FrozenLake-v1(is_slippery=False)"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("reliability")


@pytest.fixture(scope="module")
def results(folder):
    agents = {"q": "q_learning(learning_rate=0.8)", "random": "random"}
    return vd.compare(
        agents, LAKE, seeds=46, episodes=200, evaluate_every=50, solved_at=1, workers=0, name="lakes", out=folder
    )


def band_of(axes):
    """Lowest and highest ends at each x of the first band."""
    points = axes.collections[0].get_paths()[0].vertices
    ends = pd.DataFrame(points, columns=["x", "y"]).groupby("x")["y"]
    return ends.min(), ends.max()


def test_the_band_holds_most_runs(results):
    curves = np.array([curve.values for curve in results.measured_curves(LAKE, "q", "evaluation_return")])
    (axes,) = draw(results, "evaluation", metric="return", band="tolerance").axes
    low, high = band_of(axes)
    for place, at in enumerate((50, 100, 150, 200)):
        interval = tolerance_interval(curves[:, place])
        assert (low[at], high[at]) == (interval.low, interval.high) == (curves[:, place].min(), curves[:, place].max())
    half = draw(results, "evaluation", metric="return", band="tolerance", share=0.5)
    assert "band = holds 50 % of the runs at a point, with 95 % confidence" in half.texts[0].get_text()
    low, high = band_of(half.axes[0])
    assert (low[50], high[50]) == pytest.approx(
        (tolerance_interval(curves[:, 0], share=0.5).low, tolerance_interval(curves[:, 0], share=0.5).high)
    )
    assert draw(results, "learning", band="tolerance").axes


def test_runs_are_drawn_thin_and_percentiles_marked(results):
    plain, figure = draw(results, "evaluation"), draw(results, "evaluation", runs=True)
    assert "thin: single runs, dotted: at the 5th, 50th and 95th percentile" in " ".join(
        figure.texts[0].get_text().split()
    )
    more = len(figure.axes[0].get_lines()) - len(plain.axes[0].get_lines())
    assert more == 2 * (46 + 3)
    assert {"5 %", "50 %", "95 %"} <= {text.get_text() for text in figure.axes[0].texts}
    curves = np.array([[0.0, 5.0], [9.0, 1.0], [3.0, np.nan], [1.0, 4.0], [2.0, 2.0]])
    # Last values 5, 1, 3, 4 and 2.
    assert marked_runs(curves) == [(5, 1), (50, 2), (95, 0)]


def test_profiles_have_bands_of_the_whole(results):
    figure = draw(results, "profiles", band="dkw")
    assert "band = 95 % band of the whole profile (DKW)" in figure.texts[0].get_text()
    half = math.sqrt(math.log(2 / 0.05) / 92)
    low, high = band_of(figure.axes[0])
    # Before the lowest score all runs are above, and behind the highest none.
    assert low.iloc[0] == pytest.approx(1 - half)
    assert high.iloc[-1] == pytest.approx(half)


@pytest.mark.parametrize(
    ("kind", "options", "line"),
    [
        (
            "learning",
            {"band": "tolerance", "share": 0.95},
            "band tolerance: 46 seeds, of 93 that 0.95 of the runs take",
        ),
        ("learning", {"band": "tolerence"}, "band must be one of mean, tolerance, got 'tolerence': did you mean"),
        ("evaluation", {"band": "tolerance", "share": 1.5}, "share must lie between 0 and 1, such as 0.9, got 1.5"),
        ("evaluation", {"share": 0.9}, "share is for the band tolerance: the band mean takes none, got 0.9"),
        ("profiles", {"band": "dwk"}, "band must be one of bootstrap, dkw, got 'dwk': did you mean 'dkw'"),
        (
            "scores",
            {"band": "mean"},
            "band is for learning, evaluation, curves, profiles: pictures of kind scores",
        ),
        ("profiles", {"runs": True}, "runs is for learning, evaluation, curves: pictures of kind profiles take none"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_line(results, kind, options, line):
    with pytest.raises(ExperimentError) as caught:
        draw(results, kind, **options)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_command_line_draws_and_tables_them(results, folder, capsys):
    assert main(["plot", str(folder), "--kind", "evaluation", "--band", "tolerance", "--share", "0.8", "--runs"]) == 0
    assert capsys.readouterr().out.strip().endswith("evaluation_tolerance_runs.png")
    assert main(["plot", str(folder), "--band", "tolerance", "--share", "0.99"]) == 2
    assert "46 seeds, of 473 that 0.99 of the runs take; add seeds" in capsys.readouterr().err
    assert main(["table", str(folder), "--reliability", "--format", "markdown"]) == 0
    heading = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("| agent"))
    assert "| greedy success | 90 % of runs | middle half | all of 5 solve it |" in heading


def test_columns_say_how_much_runs_differ(results):
    row = results.table(full=True).set_index("agent").loc["q"]
    scores = results.frame().query("agent == 'q'")["greedy_success_rate"].to_numpy()
    solved = int(results.frame().query("agent == 'q'")["solved"].sum())
    interval = tolerance_interval(scores)
    assert (row["tolerance_low"], row["tolerance_high"]) == (interval.low, interval.high)
    value, interval = percentile_range(scores)
    assert row["spread_percentile_range"] == value
    assert row["spread_low"] == interval.low
    assert row["five_runs_all_succeed"] == math.comb(solved, 5) / math.comb(46, 5)
    assert "spread_percentile_range" not in results.table().columns
    short = results.table(reliability=True)
    assert {"tolerance_low", "spread_low", "five_runs_high"} <= set(short.columns)
    assert "| middle half |" not in format_table(results, "markdown")
    text = format_table(results, "markdown", AnalysisOptions(reliability=True))
    assert "90 % of runs: Between these two scores 90 % of all runs of the agent lie, with 95 % confidence" in text
    assert "middle half: How far the quartiles" in text
    frame = pd.read_csv(io.StringIO(format_table(results, "csv")))
    assert {"tolerance_low", "spread_percentile_range", "five_runs_low"} <= set(frame.columns)


def test_none_seen_is_not_none():
    class Solves(vd.Agent):
        def begin(self, observation_space, action_space, rng):
            pass

        def act(self, observation, explore=False):
            return {0: 2, 1: 2, 2: 1, 6: 1, 10: 1, 14: 2}.get(int(observation), 0)

    results = vd.compare({"solves": Solves()}, LAKE, seeds=30, steps=40, evaluate_every=20, solved_at=1, workers=0)
    notes = [note for note in footnotes(results) if note.startswith("none seen")]
    assert notes == [
        "none seen: 0 of 30 failed to solve it (solves): a failure rate up to 9.5 % (one-sided 95 %) is not excluded.",
        "none seen: 0 of 30 fell back (solves): a rate of falling back up to 9.5 % (one-sided 95 %) is not excluded.",
    ]
    facts = [fact.text for fact in how_to_read(results.analysis(), Words.of("ko", ["solves"]))]
    assert any("실패율이 9.5 %까지" in text for text in facts)


def test_measures_of_ones_own_may_be_so_aggregated(results):
    measures = [
        vd.Measure("three", column="solved", is_rate=True, aggregate="all_succeed", runs=3),
        vd.Measure("most", column="steps", aggregate="percentile_range", percentiles=(10, 90)),
    ]
    row = results.table(full=True, measures=measures).set_index("agent").loc["random"]
    assert row["three_all_succeed"] == 0.0
    assert row["most_percentile_range"] > 0
    assert [vd.Measure.from_data(measure.to_data()) for measure in measures] == measures
