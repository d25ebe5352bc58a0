"""Solved, fell back, and the steps and seconds to it: the columns that an experiment with `solved_at` has."""

import dataclasses
import io
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import velodrome as vd
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.reporting.footnotes import footnotes
from velodrome.experiments.reporting.report import report_html
from velodrome.experiments.reporting.report_tables import sort_key
from velodrome.experiments.reporting.tables import format_table
from velodrome.experiments.storage.export import export
from velodrome.experiments.storage.store import Store

LAKE = "FrozenLake-v1(is_slippery=False)"


class Scripted(vd.Agent):
    """Goes the way to the goal between two numbers of steps, and else against the wall; some seeds fail or never do."""

    solves: int = 100
    falls: int = 10**9
    solvers: float = 1.0
    fails: bool = False

    def begin(self, observation_space, action_space, rng):
        self.taken, self.draw = 0, rng.random()

    def act(self, observation, explore=False):
        can = self.solves <= self.taken < self.falls and self.draw < self.solvers
        return {0: 2, 1: 2, 2: 1, 6: 1, 10: 1, 14: 2}.get(int(observation), 0) if can and not explore else 0

    def learn(self, observation, action, reward, next_observation, terminated, truncated):
        self.taken += 1
        if self.fails and self.taken == 150:
            raise ValueError("gives up")


AGENTS = {
    "solves": Scripted(),
    "later": Scripted(solves=300),
    "falls": Scripted(falls=300),
    "some": Scripted(solvers=0.4),
    "never": Scripted(solves=10**9),
    "optimum": "value_iteration",
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return vd.compare(
        AGENTS, LAKE, seeds=8, steps=400, evaluate_every=100, solved_at=1, workers=0, name="solved",
        out=tmp_path_factory.mktemp("solved"),
    )  # fmt: skip


def row_of(results, agent):
    return results.table(full=True).set_index("agent").loc[agent]


def test_shares_have_exact_intervals_and_times_are_censored(results):
    exact = {count: stats.binomtest(count, 8).proportion_ci(method="exact") for count in range(9)}
    for agent, solved, fell, steps in (
        ("solves", 8, 0, 100), ("later", 8, 0, 300), ("falls", 8, 8, 100), ("never", 0, None, math.inf),
    ):  # fmt: skip
        row = row_of(results, agent)
        shares = tuple(row[["solved_share", "solved_low", "solved_high"]])
        assert shares == pytest.approx((solved / 8, *exact[solved]))
        if fell is None:
            assert math.isnan(row["fell_back_share"])
        else:
            shares = tuple(row[["fell_back_share", "fell_back_low", "fell_back_high"]])
            assert shares == pytest.approx((fell / 8, *exact[fell]))
        assert row["steps_to_solve_censored_median"] == steps
    assert row_of(results, "never")["steps_to_solve_more_than"] == 400
    assert row_of(results, "never")["cpu_seconds_to_solve_more_than"] > 0
    assert row_of(results, "solves")["cpu_seconds_to_solve_censored_median"] > 0
    assert math.isnan(row_of(results, "optimum")["solved_share"])


def test_seeds_that_never_solve_are_longer_than_any(results):
    each = results.frame().query("agent == 'some'")
    assert set(each["solved"]) == {0.0, 1.0}
    assert (each["steps_to_solve"] == np.where(each["solved"] == 1, 100, math.inf)).all()
    row = row_of(results, "some")
    count = int(each["solved"].sum())
    assert row["solved_share"] == count / 8
    # Half or more never did: the median is not reached, and with fewer of them it is.
    assert row["steps_to_solve_censored_median"] == (100 if count > 4 else math.inf)
    assert row["steps_to_solve_high"] == math.inf


def test_tables_footnotes_and_the_report_tell_them(results):
    text = format_table(results, "markdown")
    heading = next(line for line in text.splitlines() if line.startswith("| agent"))
    for name in ("solved", "fell back", "steps to solve", "CPU s to solve"):
        assert f"| {name} |" in heading
    row = next(line for line in text.splitlines() if line.startswith("| never"))
    assert "| .00 [.00, .37] |" in row
    assert "| > 400 |" in row
    notes = footnotes(results)
    assert any(note.startswith("solved: Share of the seeds whose greedy policy reached the return") for note in notes)
    assert any("solved at a greedy return of 1;" in note for note in notes)
    frame = pd.read_csv(io.StringIO(format_table(results, "csv")))
    assert frame["solved_share"].notna().sum() == 5
    assert sort_key("> 400") == "Infinity"
    page = report_html(results)
    assert "steps to solve" in page
    assert "해결까지의 스텝" in report_html(results, language="ko")


def test_without_it_nothing_new_is_shown():
    results = vd.compare(["q_learning", "random"], LAKE, seeds=5, episodes=40, evaluate_every=20, workers=0)
    assert not [column for column in results.table(full=True).columns if "solve" in column or "fell" in column]
    assert not [column for column in results.frame().columns if "solve" in column or "evaluated" in column]
    assert "solved" not in format_table(results, "markdown")


def test_it_is_chosen_afterwards_without_training_again(tmp_path):
    options = {"seeds": 5, "episodes": 60, "evaluate_every": 20, "workers": 0, "out": tmp_path, "name": "lakes"}
    vd.compare(["q_learning", "random"], LAKE, **options)
    with Store.open_for_reading(tmp_path) as store:
        before, finished = store.content_digest(), store.keys()
    results = vd.compare(["q_learning", "random"], {"ice": {"environment": LAKE, "solved_at": 0.5}}, **options)
    with Store.open_for_reading(tmp_path) as store:
        assert (store.content_digest(), store.keys()) == (before, finished)
    frame = results.frame()
    # Counted in episodes, they are converted: no episode of the lake is shorter than six steps, or longer than 100.
    solved = frame[frame["solved"] == 1]
    assert solved["steps_to_solve"].between(20, 60 * 100).all()
    assert list(vd.Results.load(tmp_path).frame()["solved"]) == list(frame["solved"])
    *_, measured = export(tmp_path, out=tmp_path / "files", curves=True)
    assert "training_cpu_seconds" in set(pd.read_csv(measured)["curve"])


def test_failed_trials_did_not_solve():
    agents = {"fails": Scripted(fails=True), "solves": Scripted()}
    with pytest.warns(match="trials failed"):
        results = vd.compare(agents, LAKE, seeds=6, steps=400, evaluate_every=100, solved_at=1, workers=0)
    row = row_of(results, "fails")
    assert (row["solved_share"], row["solved_low"]) == (0, 0)
    assert row["solved_high"] == pytest.approx(stats.beta.ppf(0.975, 1, 6))
    assert "| > 0 |" in format_table(results, "markdown")


def test_times_are_no_part_of_the_content(tmp_path):
    digests = []
    for folder in ("one", "two"):
        vd.compare(
            ["q_learning", "random"], LAKE, seeds=5, episodes=40, evaluate_every=20, workers=0, out=tmp_path / folder
        )
        with Store.open_for_reading(tmp_path / folder) as store:
            digests.append(store.content_digest())
            (_, curves), *_ = store.measured_curves(store.keys())
        assert set(curves) == {"evaluation_return", "evaluation_success_rate", "training_cpu_seconds"}
        assert (np.diff(curves["training_cpu_seconds"].values, prepend=0) > 0).all()
    assert digests[0] == digests[1]
    assert vd.verify(tmp_path / "one", workers=0).reproduced == 10


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"solved_at": 1}, "solved_at: is reached in evaluations along the training: give evaluate_every too"),
        ({"solved_at": math.nan, "evaluate_every": 5}, "solved_at: must be a finite number, got nan"),
        ({"solved_at": "high", "evaluate_every": 5}, "solved_at: must be a finite number, got 'high'"),
        ({"solved_at": True, "evaluate_every": 5}, "solved_at: must be a finite number, got True"),
    ],
)
def test_mistakes_are_one_line(options, line):
    with pytest.raises(ExperimentError) as refused:
        vd.compare(["q_learning", "random"], LAKE, seeds=5, episodes=20, **options)
    assert str(refused.value) == line


def test_joined_results_keep_it(results):
    other = dataclasses.replace(results, name="other")
    joined = vd.Results.joined([results, other])
    assert joined.settings.solved_at == {LAKE: 1.0}
    assert row_of(joined, "falls")["fell_back_share"] == 1
