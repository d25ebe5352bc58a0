"""Results: the tidy frame, the ranked table, what is stored and read back, and the formats of the table."""

import contextlib
import csv
import gc
import io
import json
import math
import warnings

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

import velodrome as vd
from velodrome.experiments.results import CURVES_FILE, RESULTS_FILE, Results, ResultsError
from velodrome.experiments.tables import footnotes, format_table, terminal_table

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


def records_as_text(some):
    return [{key: repr(value) for key, value in record.items()} for record in some.records]


def test_the_frame_has_one_row_a_trial(results):
    frame = results.frame()
    assert len(frame) == 4 * 2 * 6
    assert not frame.duplicated(["agent", "environment", "seed"]).any()
    assert list(frame["agent"].unique()) == list(AGENTS) == results.agents
    assert frame.select_dtypes("number").columns.isin(["greedy_success_rate", "steps", "seconds", "seed"]).sum() == 4
    frame["steps"] = 0
    assert results.records[0]["steps"] > 0


def test_the_table_summarises_the_frame(results):
    table = results.table().set_index(["environment", "agent"])
    grouped = results.frame().groupby(["environment", "agent"])
    fields = {"train_success_rate": "train_success_rate", "greedy_success_rate": "greedy_success_rate"}
    fields |= {"train_return": "train_mean_return", "greedy_return": "greedy_mean_return"}
    for field, measured in fields.items():
        for part in ("mean", "min", "max"):
            pd.testing.assert_series_equal(
                table[f"{field}_{part}"].sort_index(), grouped[measured].agg(part).sort_index(), check_names=False
            )
        ordered = table[[f"{field}_{part}" for part in ("min", "low", "mean", "high", "max")]].dropna()
        assert (np.diff(ordered.to_numpy(), axis=1) >= -1e-12).all()
    assert (table["seeds"] == 6).all()
    share = table["greedy_success_rate_mean"] / table["best_success_rate"]
    pd.testing.assert_series_equal(table["share_of_best"], share, check_names=False)


def test_the_table_ranks_by_greedy_success_in_each_environment(results):
    table = results.table()
    assert list(table["environment"].unique()) == ["ice", "slippery ice"]
    for _, rows in table.groupby("environment"):
        assert rows["greedy_success_rate_mean"].is_monotonic_decreasing
    assert table["agent"].iloc[4] == "planner"
    assert table["agent"].iloc[3] == "by chance"


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
    assert records_as_text(again) == records_as_text(results)
    assert np.array_equal(again.curves, results.curves, equal_nan=True)
    assert again.curves.dtype == results.curves.dtype
    assert np.array_equal(again.grid.edges, results.grid.edges)
    assert (again.name, again.notes, again.settings) == (results.name, results.notes, results.settings)
    assert format_table(again, "csv") == format_table(results, "csv")
    again.save(tmp_path / "c")
    assert (tmp_path / "c" / RESULTS_FILE).read_bytes() == (tmp_path / "a" / "b" / RESULTS_FILE).read_bytes()


def test_infinities_and_nans_are_stored_as_strict_json(endless, tmp_path):
    endless.save(tmp_path)
    stored = json.loads((tmp_path / RESULTS_FILE).read_text(), parse_constant=lambda word: pytest.fail(word))
    assert stored["records"][0]["greedy_mean_return"] == "-Infinity"
    assert stored["records"][0]["train_success_rate"] is None
    again = Results.load(tmp_path)
    assert records_as_text(again) == records_as_text(endless)
    assert again.records[0]["greedy_mean_return"] == -math.inf
    assert math.isnan(again.records[0]["train_success_rate"])
    assert np.array_equal(again.curves, endless.curves, equal_nan=True)


def test_a_return_of_minus_infinity_is_summarised_without_a_warning(endless):
    rows = {row["agent"]: row for row in endless.rows()}
    assert rows["stuck"]["greedy_return_mean"] == rows["stuck"]["greedy_return_min"] == -math.inf
    assert endless.table()["agent"].tolist() == ["planner", "stuck"]


@pytest.mark.filterwarnings("ignore:invalid value encountered in subtract")
def test_a_return_of_minus_infinity_is_ranked_last_and_printed(endless):
    assert endless.table()["agent"].tolist() == ["planner", "stuck"]
    assert "| -∞ |" in format_table(endless, "markdown")
    assert r"-$\infty$" in format_table(endless, "latex")
    rows = json.loads(format_table(endless, "json"))["rows"]
    assert rows[0]["greedy_return_mean"] == "-Infinity"
    assert rows[0]["train_success_rate_mean"] is None


def damaged(folder, name, change):
    path = folder / name
    path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (RESULTS_FILE, lambda content: content[:-40], "cannot be read"),
        (RESULTS_FILE, lambda _: b"", "cannot be read"),
        (RESULTS_FILE, lambda _: b"\xff\xfe\x00", "cannot be read"),
        (RESULTS_FILE, lambda _: b"[]", "holds no results of velodrome"),
        (RESULTS_FILE, lambda _: b'{"records": []}', "holds no results of velodrome"),
        (RESULTS_FILE, lambda content: content.replace(b'"version": 1', b'"version": 99'), "has format version 99"),
        (RESULTS_FILE, lambda content: content.replace(b'"records"', b'"recrods"'), "cannot be read"),
        (CURVES_FILE, lambda _: b"not an archive", "cannot be read"),
        (CURVES_FILE, lambda content: content[:200] + bytes([content[200] ^ 255]) + content[201:], "cannot be read"),
    ],
)
def test_damaged_files_are_told_in_one_line(results, tmp_path, name, change, message):
    results.save(tmp_path)
    damaged(tmp_path, name, change)
    with pytest.raises(ResultsError, match=message) as caught:
        Results.load(tmp_path)
    assert len(str(caught.value).splitlines()) == 1


def test_of_a_truncated_archive_no_file_is_left_open(results, tmp_path):
    results.save(tmp_path)
    damaged(tmp_path, CURVES_FILE, lambda content: content[: len(content) // 2])
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        with contextlib.suppress(ResultsError):
            Results.load(tmp_path)
        gc.collect()
    assert not heard


def test_missing_and_foreign_files_are_told_in_one_line(results, endless, tmp_path):
    with pytest.raises(ResultsError, match=r"no results in .*nowhere: results\.json is missing"):
        Results.load(tmp_path / "nowhere")
    results.save(tmp_path / "a")
    endless.save(tmp_path / "b")
    (tmp_path / "b" / CURVES_FILE).replace(tmp_path / "a" / CURVES_FILE)
    with pytest.raises(ResultsError, match="do not belong together"):
        Results.load(tmp_path / "a")
    with pytest.raises(ResultsError, match=r"curves\.npz is missing"):
        Results.load(tmp_path / "b")
    np.savez(tmp_path / "b" / CURVES_FILE, curves=np.array([{}], dtype=object), edges=np.arange(3))
    with pytest.raises(ResultsError, match="cannot be read"):
        Results.load(tmp_path / "b")


def test_csv_holds_every_number(results):
    read = pd.read_csv(io.StringIO(format_table(results, "csv")))
    pd.testing.assert_frame_equal(read, results.table(), check_dtype=False, rtol=0, atol=0)


def test_json_holds_every_number(results):
    content = json.loads(format_table(results, "json"), parse_constant=lambda word: pytest.fail(word))
    rows = [{key: None if value != value else value for key, value in row.items()} for row in results.rows()]
    assert content["rows"] == rows
    assert content["notes"] == footnotes(results)


def test_markdown_tables_read_back(results):
    text = format_table(results, "markdown").replace(r"\|", "¦")
    tables = [block for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) == 2
    for block, environment in zip(tables, results.environments, strict=True):
        heading, rule, *lines = ([cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines())
        assert heading[:3] == ["agent", "training success", "greedy success"]
        assert set(map(len, lines)) == {len(heading)} == {len(rule)}
        table = results.table()
        rows = table[table["environment"] == environment]
        assert [line[0].replace("¦", "|") for line in lines] == rows["agent"].tolist()
        means = [float(line[2].split()[0]) for line in lines]
        assert means == pytest.approx(rows["greedy_success_rate_mean"].tolist(), abs=0.0005)
    assert f"**{results.environments[0]}**" in text
    assert all(f"- {note}" in format_table(results, "markdown") for note in footnotes(results))


def test_latex_is_balanced_and_escaped(results):
    text = format_table(results, "latex")
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 2
    assert r"noise | ε\_100\%" in text
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
        mean = f"{row['greedy_success_rate_mean']:.3f}".removeprefix("0")
        low, high = (f"{row[f'greedy_success_rate_{part}']:.3f}".removeprefix("0") for part in ("min", "max"))
        assert f"{mean} [{low}–{high}]" in text
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
    assert "600 episodes; 6 seeds (0–5), paired across agents" in notes
    assert "slippery ice: success = return > 0; greedy policies evaluated exactly on the model" in notes
    assert "best possible success 0.7442, random 0.0139" in notes
    one = vd.compare(["random"], "discretize(CartPole-v1, bins=2)", seeds=[7], steps=60, evaluation_episodes=3)
    notes = "\n".join(footnotes(one))
    assert "60 steps; 1 seed (7–7)" in notes or "60 steps; 1 seed (7)" in notes
    assert "evaluated over 3 sampled episodes" in notes
    assert "ran in the generic loop" in notes


def test_csv_text_has_no_line_that_another_reader_would_split(results):
    lines = list(csv.reader(io.StringIO(format_table(results, "csv"))))
    assert len(lines) == 1 + 8
    assert len(set(map(len, lines))) == 1
