"""Results: the tidy frame, the ranked table, what is stored and read back, and the formats of the table."""

import csv
import io
import json
import math
import re
import sqlite3

import gymnasium as gym
import numpy as np
import pandas as pd
import pytest
from rich.console import Console

import velodrome as vd
from velodrome.experiments.errors import AllTrialsFailedError
from velodrome.experiments.reporting.footnotes import footnotes
from velodrome.experiments.reporting.tables import format_table, terminal_table
from velodrome.experiments.results.analysis import AnalysisOptions
from velodrome.experiments.results.numbers import estimate, json_ready
from velodrome.experiments.results.results import Results
from velodrome.experiments.storage.store import STORE_FILE, Store, StoreError

DETERMINISTIC, SLIPPERY = "FrozenLake-v1(is_slippery=False)", "FrozenLake-v1"
AGENTS = {"by chance": "random", "dummy": "dummy_q", "noise | ε_100%": "noise_q", "planner": "value_iteration"}
PARTS = ("mean", "low", "high", "min", "max")


@pytest.fixture(scope="module")
def results():
    return vd.compare(AGENTS, {"ice": DETERMINISTIC, "slippery ice": SLIPPERY}, seeds=6, episodes=600, name="lakes")


@pytest.fixture(scope="module")
def endless():
    """A greedy policy that walks into a wall for ever: its return is -inf, and no training episode ends."""
    agents = {"stuck": "q_learning(policy=greedy(ties='first'))", "planner": "value_iteration(discount=1)"}
    return vd.compare(agents, "CliffWalking-v1", seeds=2, steps=50)


class Rut(gym.Wrapper, gym.utils.RecordConstructorArgs):
    """Raises in its second step."""

    def __init__(self, env):
        gym.utils.RecordConstructorArgs.__init__(self)
        gym.Wrapper.__init__(self, env)

    def reset(self, *, seed=None, options=None):
        self.steps = 0
        return super().reset(seed=seed, options=options)

    def step(self, action):
        self.steps += 1
        if self.steps > 1:
            raise ValueError("a rut | 100 %")
        return super().step(action)


def rut():
    return Rut(gym.make("FrozenLake-v1"))


@pytest.fixture(scope="module")
def failing():
    """The planner fails on the pole, which has no model, and everybody in the rut."""
    agents = {"planner": "hostile_agents:HopefulPlanner", "by chance": "random"}
    places = {"pole": "discretize(CartPole-v1, bins=2)", "rut": rut}
    return vd.compare(agents, places, seeds=6, episodes=4, evaluation_episodes=2, workers=0)


class Interruption(Exception):
    """Stands for Ctrl-C."""


def interrupted(directory, after, **settings):
    """What is stored of a comparison that ends once so many trials have."""

    def stop(status):
        if status.finished >= after:
            raise Interruption

    with pytest.raises(Interruption):
        vd.compare(["random", "q_learning"], DETERMINISTIC, out=directory, workers=0, progress=stop, **settings)
    return Results.load(directory)


def records_as_text(some):
    return [{key: repr(value) for key, value in record.row().items()} for record in some.records]


def curves_of(some):
    """Grid and curves of every pair, as comparable values."""
    pairs = [(environment, agent) for environment in some.environments for agent in some.agents]
    found = {pair: some.curves(*pair) for pair in pairs}
    return {pair: (grid.unit, grid.edges.tolist(), curves.tobytes()) for pair, (grid, curves) in found.items()}


def everything_of(some):
    """All that results hold, as comparable values."""
    told = (some.name, some.description, some.settings, some.agents, some.num_planned)
    return *told, some.warnings, some.provenance, some.notes, records_as_text(some), curves_of(some)


def test_the_frame_has_one_row_a_trial(results):
    frame = results.frame()
    assert len(frame) == 4 * 2 * 6
    assert not frame.duplicated(["agent", "environment", "seed"]).any()
    assert list(frame["agent"].unique()) == list(AGENTS) == results.agents
    assert (
        frame.select_dtypes("number").columns.isin(["greedy_success_rate", "steps", "train_seconds", "seed"]).sum() == 4
    )
    frame["steps"] = 0
    assert results.records[0].measures["steps"] > 0


def test_the_table_summarises_the_frame(results):
    table = results.table(full=True).set_index(["environment", "agent"])
    grouped = results.frame().groupby(["environment", "agent"])
    fields = {"train_success_rate": "train_success_rate", "greedy_success_rate": "greedy_success_rate"}
    fields |= {"train_return": "train_mean_return", "greedy_return": "greedy_mean_return"}
    for field, measured in fields.items():
        for part in ("mean", "min", "max"):
            pd.testing.assert_series_equal(
                table[f"{field}_{part}"].sort_index(), grouped[measured].agg(part).sort_index(), check_names=False
            )
        for low, high in (("min", "max"), ("low", "high")):
            ordered = table[[f"{field}_{part}" for part in (low, "mean", high)]].dropna()
            # The planner does not train.
            assert len(ordered) == (6 if field.startswith("train") else 8)
            assert (np.diff(ordered.to_numpy(), axis=1) >= -1e-12).all()
    rates = table[
        [f"{field}_{part}" for field in ("train_success_rate", "greedy_success_rate") for part in ("low", "high")]
    ]
    assert rates.min().min() >= 0
    assert rates.max().max() <= 1
    assert (table["seeds"] == 6).all()
    share = table["greedy_success_rate_mean"] / table["best_success_rate"]
    pd.testing.assert_series_equal(table["share_of_best"], share, check_names=False)


def test_the_table_ranks_by_greedy_success_in_each_environment(results):
    table = results.table(full=True)
    assert list(table["environment"].unique()) == ["ice", "slippery ice"]
    for _, rows in table.groupby("environment"):
        assert rows["greedy_success_rate_mean"].is_monotonic_decreasing
    assert table["agent"].iloc[4] == "planner"
    assert table["agent"].iloc[3] == "by chance"


def test_an_experiment_says_by_which_metric_it_decides(tmp_path):
    given = {"seeds": 6, "episodes": 60, "workers": 0}
    usual = vd.compare(["random", "q_learning"], "FrozenLake-v1", **given)
    by_training = vd.compare(["random", "q_learning"], "FrozenLake-v1", **given, metric="train_return", out=tmp_path)
    assert usual.settings.metric is None
    assert usual.analysis().environments[0].measure.name == "greedy_success_rate"
    joined = vd.Results.joined([by_training, usual], names=["a", "b"])
    names = [one.analysis().environments[0].measure.name for one in (by_training, vd.Results.load(tmp_path), joined)]
    assert names == ["train_return", "train_return", "greedy_success_rate"]
    by_return = by_training.analysis(AnalysisOptions(metric="greedy_return"))
    assert by_return.environments[0].measure.name == "greedy_return"


def test_rows_are_in_the_order_of_the_experiment_and_have_the_promised_fields(results):
    rows = results.rows()
    assert [(row["environment"], row["agent"]) for row in rows] == [
        (environment, agent) for environment in ("ice", "slippery ice") for agent in AGENTS
    ]
    promised = {"agent", "environment", "seeds", "best_success_rate"}
    promised |= {f"{field}_success_rate_{part}" for field in ("train", "greedy") for part in ("mean", "min", "max")}
    assert all(promised <= set(row) for row in rows)
    assert rows[0]["best_success_rate"] == 1.0
    assert rows[4]["best_success_rate"] == pytest.approx(0.7441902878292689, abs=1e-12)


def test_saved_results_read_back_whole(results, tmp_path):
    results.save(tmp_path / "a" / "b")
    again = Results.load(str(tmp_path / "a" / "b"))
    assert everything_of(again) == everything_of(results)
    assert format_table(again, "csv") == format_table(results, "csv")
    again.save(tmp_path / "c")
    again.save(tmp_path / "c")
    assert everything_of(Results.load(tmp_path / "c")) == everything_of(results)
    with Store.open_for_reading(tmp_path / "a" / "b") as one, Store.open_for_reading(tmp_path / "c") as other:
        assert one.content_digest() == other.content_digest()
        assert one.experiments() == other.experiments() == ["lakes"]


def test_failed_trials_are_saved_with_their_reasons(failing, tmp_path):
    failing.save(tmp_path)
    again = Results.load(tmp_path)
    assert everything_of(again) == everything_of(failing)
    assert [row.error for row in again.failures] == [row.error for row in failing.failures]


def test_saving_into_another_store_keeps_what_that_has(results, endless, tmp_path):
    results.save(tmp_path)
    endless.save(tmp_path)
    assert everything_of(Results.load(tmp_path)) == everything_of(endless)
    assert everything_of(Results.load(tmp_path, "lakes")) == everything_of(results)


def test_saved_trials_are_not_run_again(tmp_path):
    told = []
    first = vd.compare(["random"], SLIPPERY, seeds=2, episodes=9)
    first.save(tmp_path)
    again = vd.compare(["random"], SLIPPERY, seeds=2, episodes=9, out=tmp_path, progress=told.append)
    assert (told[-1].finished, told[-1].reused) == (2, 2)
    assert records_as_text(again) == records_as_text(first)


def test_results_of_ones_own_making_cannot_be_saved(results, tmp_path):
    made = Results(results.name, results.records, results.settings, results.num_planned)
    with pytest.raises(ValueError, match="only those of compare and load can be saved"):
        made.save(tmp_path)


def test_agents_and_environments_keep_the_order_of_the_experiment(tmp_path):
    agents = {"z": "random", "a": "q_learning", "m": "dummy_q"}
    places = {"second": SLIPPERY, "first": DETERMINISTIC}
    made = vd.compare(agents, places, seeds=1, episodes=3, out=tmp_path)
    for some in (made, Results.load(tmp_path)):
        assert (some.agents, some.environments) == (list(agents), list(places))
        assert [(row["environment"], row["agent"]) for row in some.rows()] == [
            (place, agent) for place in places for agent in agents
        ]


def test_experiments_in_one_store_are_told_apart_by_name_and_the_latest_comes_first(tmp_path):
    def compare(name, agents, episodes=5):
        return vd.compare(agents, SLIPPERY, seeds=2, episodes=episodes, name=name, out=tmp_path)

    compare("one", ["random"])
    compare("two", ["random", "q_learning"])
    assert Results.load(tmp_path).name == "two"
    assert Results.load(tmp_path, "one").agents == ["random"]
    compare("one", ["dummy_q"], episodes=6)
    assert Results.load(tmp_path).agents == Results.load(tmp_path, "one").agents == ["dummy_q"]
    compare("two", ["random", "q_learning"])
    assert Results.load(tmp_path).name == "two"
    with Store.open_for_reading(tmp_path) as store:
        assert store.experiments() == ["one", "two"]
        # The two that share a trial keep it once.
        assert len(store.keys()) == 2 + 2 + 2


def test_an_unknown_experiment_is_told_with_the_closest(results, tmp_path):
    results.save(tmp_path)
    with pytest.raises(StoreError, match=r"holds no experiment 'lake': did you mean 'lakes'\?$"):
        Results.load(tmp_path, "lake")


def test_infinities_and_nans_are_stored(endless, tmp_path):
    endless.save(tmp_path)
    again = Results.load(tmp_path)
    assert everything_of(again) == everything_of(endless)
    stuck = next(row for row in again.records if row.agent == "stuck")
    assert stuck.measures["greedy_mean_return"] == -math.inf
    assert math.isnan(stuck.measures["train_success_rate"])


def test_a_return_of_minus_infinity_is_summarised_without_a_warning(endless):
    rows = {row["agent"]: row for row in endless.rows()}
    assert rows["stuck"]["greedy_return_mean"] == rows["stuck"]["greedy_return_min"] == -math.inf
    assert endless.table(full=True)["agent"].tolist() == ["planner", "stuck"]


@pytest.mark.filterwarnings("ignore:invalid value encountered in subtract")
def test_a_return_of_minus_infinity_is_ranked_last_and_printed(endless):
    assert endless.table(full=True)["agent"].tolist() == ["planner", "stuck"]
    assert "| -∞ |" in format_table(endless, "markdown")
    assert r"-$\infty$" in format_table(endless, "latex")
    rows = json.loads(format_table(endless, "json"))["rows"]
    assert rows[0]["greedy_return_mean"] == "-Infinity"
    assert rows[0]["train_success_rate_mean"] is None


def change_a_number(path):
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE trials SET measures = json_set(measures, '$.greedy_success_rate', 1.0)")
    connection.close()


def change_a_setting(path):
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE experiments SET settings = replace(settings, '600', '601')")
    connection.close()


def make_newer(path):
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]), "is damaged"),
        (lambda path: path.write_bytes(b""), "holds no trials yet"),
        (lambda path: path.write_bytes(b"half a"), "is damaged, or is not a store"),
        (lambda path: path.unlink(), r"no store of trials in .*: trials\.sqlite is missing"),
        (change_a_number, "does not match its checksum"),
        (change_a_setting, "the experiment 'lakes' does not match its checksum"),
        (make_newer, "was written by a newer release: it has schema version 99"),
    ],
)
def test_damaged_stores_are_told_in_one_line(results, tmp_path, change, message):
    results.save(tmp_path)
    change(tmp_path / STORE_FILE)
    with pytest.raises(StoreError, match=message) as caught:
        Results.load(tmp_path)
    assert len(str(caught.value).splitlines()) == 1


def test_of_the_folder_of_an_experiment_the_store_above_is_named(results, tmp_path):
    results.save(tmp_path)
    (tmp_path / "lakes").mkdir()
    with pytest.raises(StoreError, match=rf"did you mean {tmp_path}\?"):
        Results.load(tmp_path / "lakes")


def test_a_damaged_curve_is_told_when_it_is_read(results, tmp_path):
    results.save(tmp_path)
    with sqlite3.connect(tmp_path / STORE_FILE) as connection:
        connection.execute("UPDATE curves SET returns = zeroblob(length(returns))")
    connection.close()
    again = Results.load(tmp_path)
    with pytest.raises(StoreError, match=r"the curves of trial .* do not match; `velodrome repair .*` keeps"):
        again.curves("ice", "dummy")


def test_failed_trials_are_counted_beside_those_that_are_done(failing):
    counts = {(row["environment"], row["agent"]): (row["seeds"], row["failed"]) for row in failing.rows()}
    assert counts == {
        ("pole", "planner"): (0, 6),
        ("pole", "by chance"): (6, 0),
        ("rut", "planner"): (0, 6),
        ("rut", "by chance"): (0, 6),
    }
    assert len(failing.failures) == 18
    assert set(failing.frame()["status"]) == {"done", "failed"}
    table = failing.table(full=True).set_index(["environment", "agent"])
    assert table.loc[("pole", "planner"), "greedy_success_rate_mean":"greedy_success_rate_max"].isna().all()
    assert table.loc[("pole", "by chance"), "greedy_return_mean"] > 0
    # Who has no result is ranked last.
    assert failing.table(full=True)["agent"].tolist()[:2] == ["by chance", "planner"]


def test_a_column_shows_who_failed_and_only_where_somebody_did(failing, results):
    text = format_table(failing, "markdown")
    assert "| by chance | – | " in text
    assert "| planner | 6 | – |" in text
    assert "failed |" not in format_table(results, "markdown")
    assert "| failed |" in text
    assert " & failed & " in format_table(failing, "latex")
    assert "failed" in printed(failing, 80)
    assert json.loads(format_table(failing, "json"))["rows"][0]["failed"] == 6


@pytest.mark.parametrize("width", [80, 200])
def test_a_column_more_cuts_no_number(width):
    agents = {"a name of so many words that it has to be wrapped": "random", "planner": "hostile_agents:HopefulPlanner"}
    some = vd.compare(agents, "discretize(CartPole-v1, bins=2)", seeds=2, episodes=4, evaluation_episodes=2, workers=0)
    text = printed(some, width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert re.search(r" – +a +\.000( |$)", text, re.M)


def test_footnotes_tell_each_reason_once_with_its_seeds_and_place(failing):
    told = [note for note in footnotes(failing) if note.startswith("Failed: ")]
    assert len(told) == 3
    assert told[0].startswith("Failed: planner on pole, 6 trials (seed 0, 1, 2, 3, 4, …): hopeful_planner plans on ")
    assert "step of FrozenLake-v1 raised in episode 1, step 2: ValueError: a rut | 100 %" in told[2]
    assert "test_experiments_results.py" in told[2]
    assert "rut: no trial is done." in footnotes(failing)
    assert all(f"- {note}" in format_table(failing, "markdown") for note in told)
    assert all(f"% {note}" in format_table(failing, "latex") for note in told)
    assert all(note in json.loads(format_table(failing, "json"))["notes"] for note in told)


def all_failed(agents, environment):
    """Results of trials all of which fail."""
    with pytest.raises(AllTrialsFailedError) as failed:
        vd.compare(agents, environment, seeds=1, episodes=2, workers=0)
    return failed.value.results


def test_of_many_reasons_the_first_few_are_told_and_all_counted():
    agents = {f"learner {number}": "q_learning" for number in range(7)}
    some = all_failed(agents, rut)
    told = [note for note in footnotes(some) if note.startswith("Failed: ")]
    assert len(told) == 6
    assert told[0].startswith("Failed: learner 0 on rut, 1 trial (seed 0): ")
    assert told[-1] == "Failed: 7 trials in all, for 7 reasons."


@pytest.mark.parametrize("table_format", ["markdown", "latex", "csv", "json"])
def test_a_table_where_every_trial_failed_can_be_written(table_format):
    some = all_failed(["hostile_agents:HopefulPlanner"], rut)
    assert "hostile_agents:HopefulPlanner" in format_table(some, table_format)
    assert "hostile_agents:HopefulPlanner" in printed(some, 80)


def test_an_unfinished_experiment_says_so_and_shows_what_there_is(tmp_path):
    # The first task is three trials, which end together.
    some = interrupted(tmp_path, after=1, seeds=7, episodes=5)
    assert (some.num_planned, len(some.records), some.agents) == (14, 3, ["random", "q_learning"])
    assert [row["agent"] for row in some.rows()] == ["random"]
    note = "Not finished: 11 of 14 trials have not been run; the same command goes on."
    assert note in footnotes(some)
    assert note in printed(some, 80).replace("\n", " ")
    assert some.curves(DETERMINISTIC, "q_learning")[1].shape[0] == 0
    whole = vd.compare(["random", "q_learning"], DETERMINISTIC, out=tmp_path, workers=0, seeds=7, episodes=5)
    assert (whole.num_planned, len(whole.records)) == (14, 14)
    assert not any("Not finished" in note for note in footnotes(whole))


@pytest.mark.parametrize("table_format", ["markdown", "latex", "csv", "json"])
def test_an_experiment_without_any_trial_yet_can_be_shown(tmp_path, table_format):
    some = interrupted(tmp_path, after=0, seeds=2, episodes=5)
    assert (some.records, some.rows(), some.failures) == ([], [], [])
    assert len(some.table(full=True)) == len(some.frame()) == 0
    if table_format != "csv":
        assert "Not finished: 4 of 4 trials" in format_table(some, table_format)
    assert "Not finished: 4 of 4 trials" in printed(some, 80)


def budget_notes(results):
    """Notes from that on budgets on; those on unfinished episodes stand before it."""
    return [note for note in footnotes(results) if not note.startswith("Unfinished: ")]


def test_budgets_of_their_own_are_told():
    agents = {"short": {"agent": "random", "episodes": 1200}, "common": "random"}
    some = vd.compare(agents, SLIPPERY, seeds=2, episodes=20)
    assert footnotes(some)[0] == "Training: 20 episodes in each trial; short: 1,200 episodes."
    places = {"ice": {"environment": SLIPPERY, "steps": 30}, "snow": {"environment": DETERMINISTIC, "episodes": 3}}
    some = vd.compare(["random"], places, seeds=1)
    assert budget_notes(some)[:2] == ["Training: ice: 30 steps; snow: 3 episodes.", "Seeds: 1 seed (0)."]
    agents = {"a": {"agent": "random", "steps": 1}, "b": "random", "c": {"agent": "random", "steps": 1}}
    some = vd.compare(agents, places, seeds=1)
    assert budget_notes(some)[0] == "Training: a, c: 1 step; b on ice: 30 steps; b on snow: 3 episodes."
    places["snow"] = {"environment": DETERMINISTIC, "steps": 1}
    some = vd.compare(agents, places, seeds=1)
    assert budget_notes(some)[0] == (
        "Training: a on ice: 1 step; c on ice: 1 step; a on snow: 1 step; b on snow: 1 step; c on snow: 1 step; "
        "b on ice: 30 steps."
    )


def test_csv_holds_every_number(results):
    read = pd.read_csv(io.StringIO(format_table(results, "csv")))
    pd.testing.assert_frame_equal(read, results.table(full=True), check_dtype=False, rtol=0, atol=0)


def test_json_holds_every_number(results):
    content = json.loads(format_table(results, "json"), parse_constant=lambda word: pytest.fail(word))
    assert content["rows"] == json_ready(results.rows())
    assert len(content["pairs"]) == 2 * 6
    assert {pair["verdict"] for pair in content["pairs"]} <= {"different", "not distinguishable"}
    assert content["overall"]["rows"][0]["agent"] == "planner"
    assert content["notes"] == footnotes(results)


def test_markdown_tables_read_back(results):
    text = format_table(results, "markdown").replace(r"\|", "¦")
    tables = [block for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) == 3
    assert "**2 environments together**" in text
    for block, environment in zip(tables, results.environments, strict=False):
        heading, rule, *lines = ([cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines())
        assert heading[:4] == ["agent", "letters", "greedy success", "training success"]
        assert set(map(len, lines)) == {len(heading)} == {len(rule)}
        table = results.table(full=True)
        rows = table[table["environment"] == environment]
        assert [line[0].replace("¦", "|") for line in lines] == rows["agent"].tolist()
        means = [float(line[2].split()[0]) for line in lines]
        # As many decimals as the interval bears.
        assert means == pytest.approx(rows["greedy_success_rate_mean"].tolist(), abs=0.005)
        assert [line[1] for line in lines] == rows["letters"].tolist()
    assert f"**{results.environments[0]}**" in text
    assert all(f"- {note}" in format_table(results, "markdown") for note in footnotes(results))


def test_latex_is_balanced_and_escaped(results):
    text = format_table(results, "latex")
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 3
    assert r"noise \textbar{} ε\_100\%" in text
    for block in text.split(r"\begin{tabular}")[1:]:
        columns = block[: block.index("}")].strip("{").count("r") + 1
        body = block[block.index(r"\midrule") : block.index(r"\bottomrule")].splitlines()[1:]
        assert len(body) == 4
        assert all(line.endswith(r"\\") and line.count(" & ") == columns - 1 for line in body)


def printed(results, width):
    console = Console(width=width, file=io.StringIO(), highlight=False)
    console.print(terminal_table(results, width))
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 100, 200])
def test_the_terminal_table_fits_and_cuts_no_number(results, width):
    text = printed(results, width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for row in results.rows():
        mean, low, high = (row[f"greedy_success_rate_{part}"] for part in ("mean", "low", "high"))
        assert estimate(mean, low, high) in text
        assert abs(float(estimate(mean, low, high).split()[0]) - mean) <= 0.005
    assert ("without: " in text) == (width < 200)
    for agent in AGENTS:
        assert agent in text


def test_long_names_wrap_rather_than_widen_the_table(tmp_path):
    long = "q_learning(discount=0.999, learning_rate=harmonic(scale=1, clock='visits'), policy=ucb(confidence=2))"
    environment = "Taxi-v4(is_rainy=True, max_episode_steps=1000)"
    text = printed(vd.compare([long, "random"], environment, seeds=2, episodes=5), 80)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert "".join(long.split()) in "".join(line.split("  ")[0].strip() for line in text.splitlines()).replace(" ", "")


def test_footnotes_say_what_a_reader_must_know(results, endless):
    notes = "\n".join(footnotes(results))
    assert "Training: 600 episodes in each trial." in notes
    assert "Seeds: 6 seeds (0–5); the same for all agents" in notes
    assert "slippery ice: success if return > 0; greedy policies evaluated exactly on the model" in notes
    assert "best possible .744; random policy .014" in notes
    place = "discretize(CartPole-v1, bins=2)"
    one = vd.compare(["random"], place, seeds=[7], steps=60, evaluation_episodes=3, workers=0)
    notes = "\n".join(footnotes(one))
    assert "Training: 60 steps in each trial." in notes
    assert "Seeds: 1 seed (7)." in notes
    assert "evaluated over 3 sampled episodes" in notes
    assert "ran in the generic loop" in notes


def test_csv_text_has_no_line_that_another_reader_would_split(results):
    lines = list(csv.reader(io.StringIO(format_table(results, "csv"))))
    assert len(lines) == 1 + 8
    assert len(set(map(len, lines))) == 1


def test_successes_that_are_kept_are_those_of_the_curves(tmp_path):
    results = vd.compare({"many": "q_learning"}, ["FrozenLake-v1"], seeds=3, episodes=450, out=tmp_path)
    stored = vd.Results.load(tmp_path)
    for table in (results, stored, vd.Results.joined([stored])):
        (kept, curves) = (table.successes("FrozenLake-v1", "many"), table.episode_curves("FrozenLake-v1", "many"))
        assert [one.tolist() for one in kept] == [curve.successes.tolist() for curve in curves]
        grid, rates = table.success_curves("FrozenLake-v1", "many")
        same, both = table.curves("FrozenLake-v1", "many", over="episodes")
        assert grid.ends.tolist() == same.ends.tolist()
        assert rates.tobytes() == both[:, 0].tobytes()
