"""Large experiments: what is left out is said, and what is shown stays as it was."""

import json
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st

import velodrome as vd
from velodrome.experiments.plotting.final_scores import MOST_DOTS
from velodrome.experiments.plotting.improvement_matrix import MOST_IN_REPORT
from velodrome.experiments.reporting.report import report_html
from velodrome.experiments.reporting.report_extent import MOST_DRAWN_AGENTS, MOST_DRAWN_ENVIRONMENTS
from velodrome.experiments.reporting.tables import format_table
from velodrome.experiments.results.analysis import AnalysisOptions
from velodrome.experiments.results.comparison import MOST_TESTED
from velodrome.experiments.results.trial_table import CURVES_AT_ONCE
from velodrome.experiments.statistics import probability_of_improvement, probability_of_improvement_interval
from velodrome.experiments.statistics.resampling import resampled_counts


def many(agents, environments=1, seeds=2):
    """Results in which the later agents score higher."""
    rng = np.random.default_rng(0)
    rows = [
        {"agent": f"agent {agent}", "environment": f"place {place}", "seed": seed, "greedy_mean_return": agent + noise}
        for agent in range(agents)
        for place in range(environments)
        for seed, noise in enumerate(rng.normal(size=seeds))
    ]
    return vd.Results.from_frame(pd.DataFrame(rows))


@pytest.fixture(scope="module")
def crowd():
    return many(MOST_TESTED + 1)


def test_too_many_agents_have_no_letters_and_every_output_says_so(crowd):
    said = f"With {MOST_TESTED + 1} agents no pair is tested, and there are no letters"
    rows = crowd.rows()
    assert {row["letters"] for row in rows} == {""}
    assert {row["verdict"] for row in rows} == {"reference", "not tested"}
    assert all(np.isnan(row["p_value"]) for row in rows)
    assert said in format_table(crowd, "markdown")
    data = json.loads(format_table(crowd, "json"))
    assert any(said in note for note in data["notes"])
    assert said in data["verdict"][0]
    assert "beats" not in data["verdict"][0]
    assert len(data["pairs"]) == MOST_TESTED
    best = max(rows, key=lambda row: row["greedy_return_mean"])
    assert best["verdict"] == "reference"
    assert best["rank"] == 1
    other = rows[0]
    assert other["difference"] == pytest.approx(other["greedy_return_mean"] - best["greedy_return_mean"], abs=1e-12)


@pytest.mark.slow
def test_report_of_many_agents_says_what_it_leaves_out(crowd):
    english, korean = report_html(crowd), report_html(crowd, language="ko")
    assert f"Drawn are the {MOST_DRAWN_AGENTS} of {MOST_TESTED + 1} agents with the best mean rank" in english
    assert f"Probability of improvement: left out, for it is drawn of at most {MOST_IN_REPORT} agents." in english
    assert f"With {MOST_TESTED + 1} agents no pair is tested" in english
    # The tables have all, the pictures the best.
    assert f">agent {MOST_TESTED}<" in english
    assert ">agent 0<" in english
    assert f"에이전트 {MOST_TESTED + 1}개 중 환경별 순위의 평균이 좋은 {MOST_DRAWN_AGENTS}개만 그렸습니다" in korean
    assert "Drawn are" not in korean
    assert "no pair is tested" not in korean


def test_as_many_agents_as_are_tested_have_letters():
    few = many(20, seeds=3)
    assert all(row["letters"] for row in few.rows())
    assert "no pair is tested" not in format_table(few, "markdown")


def test_the_baseline_is_drawn_beside_the_best():
    results = many(MOST_DRAWN_AGENTS + 5)
    html = report_html(results, options=AnalysisOptions(baseline="agent 0"))
    assert "and the baseline; the tables have all." in html


@pytest.mark.slow
def test_report_of_many_environments_says_what_it_leaves_out():
    number = MOST_DRAWN_ENVIRONMENTS + 1
    html = report_html(many(1, environments=number))
    assert f"the first {MOST_DRAWN_ENVIRONMENTS} of {number} are drawn; the tables have all." in html
    assert all(f"<caption>place {place}</caption>" in html for place in range(number))


def test_report_of_many_seeds_says_how_many_dots_are_drawn():
    number = MOST_DOTS + 1
    results = many(1, seeds=number)
    assert f"of {number} seeds {MOST_DOTS} dots an agent are drawn" in report_html(results)
    assert "dots of an agent's scores beyond" in results.plot(kind="scores").get_suptitle().replace("\n", " ")


def test_small_report_leaves_nothing_out():
    assert "Left out of the figures" not in report_html(many(3, environments=2, seeds=3))


@given(
    st.lists(st.integers(-3, 3), min_size=2, max_size=9), st.lists(st.integers(-3, 3), min_size=2, max_size=9),
)  # fmt: skip
def test_counting_on_sorted_scores_is_that_of_all_pairs(first, second):
    ours, theirs = np.array(first) / 10, np.array(second) / 10
    wins = (1 + np.sign(np.subtract.outer(first, second))) / 2
    assert probability_of_improvement(ours, theirs) == pytest.approx(wins.mean(), abs=1e-12)
    found = probability_of_improvement_interval(ours, theirs, num_resamples=50)
    if wins.min() == wins.max():
        return
    rows, columns = (
        next(resampled_counts((0, agent), [size], None, 50)).T.astype(float) for agent, size in enumerate(wins.shape)
    )
    values = np.einsum("ri,ij,rj->r", rows, wins, columns) / (rows.sum(axis=1) * columns.sum(axis=1))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])), abs=1e-12)


def test_probability_of_improvement_of_many_seeds_takes_little_memory():
    rng = np.random.default_rng(0)
    ours, theirs = rng.normal(size=(2, 20_000))
    tracemalloc.start()
    value = probability_of_improvement(ours, theirs)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0.45 < value < 0.55
    # A table of all pairs would take 3.2 GB.
    assert peak < 50e6


def test_curves_are_read_some_at_a_time():
    number = 2 * CURVES_AT_ONCE + 20
    rows = [{"agent": "a", "environment": "e", "seed": seed, "train_mean_return": 1.0} for seed in range(number)]
    episodes = [row | {"episode": 1, "return": float(row["seed"])} for row in rows]
    curves = pd.DataFrame(episodes).drop(columns="train_mean_return")
    results = vd.Results.from_frame(pd.DataFrame(rows), curves=curves)
    asked = []
    source = results._curve_source

    def counted(keys):
        asked.append(len(keys))
        return source(keys)

    object.__setattr__(results, "_curve_source", counted)
    assert [curve.returns[0] for curve in results.episode_curves("e", "a")] == list(range(number))
    assert max(asked) <= CURVES_AT_ONCE
    assert sum(asked) == number
