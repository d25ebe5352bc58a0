"""The benchmarks run, and the compiled loop equals the C loop bit for bit; speed is not tested here."""

import argparse
import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
SHARED = {"measuring", "peer_networks", "peer_q_networks", "tables"}
COMMANDS = sorted(path for path in BENCHMARKS.glob("*.py") if path.stem not in SHARED)


@pytest.fixture
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def _run(name, *options, timeout=120):
    command = [sys.executable, str(BENCHMARKS / f"{name}.py"), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout)


@pytest.mark.slow
def test_the_compiled_loop_equals_the_c_loop(benchmarks):
    import compiled_vs_c

    if compiled_vs_c.find_compiler() is None:
        pytest.skip("no C compiler (cc, gcc, clang, or $CC)")
    finished = _run("compiled_vs_c", "--quick")
    assert finished.returncode == 0, finished.stderr
    rows = [line for line in finished.stdout.splitlines() if line.startswith(tuple(compiled_vs_c.ENVIRONMENTS))]
    assert len(rows) == len(compiled_vs_c.ENVIRONMENTS) + 2 * len(compiled_vs_c.TRIALS)
    assert "bit-identical: yes" in finished.stdout


def test_a_difference_of_one_bit_is_seen(benchmarks):
    import compiled_vs_c
    import numpy as np

    def outcome():
        return compiled_vs_c.Outcome(np.zeros((2, 2)), np.ones(3), np.ones(3, np.int64), (1, 2), (3, 4))

    other = outcome()
    assert outcome().differences(other) == []
    other.action_values[0, 0] = 5e-324
    other.agent_state = (3, 5)
    assert outcome().differences(other) == ["action_values", "agent_state"]


@pytest.mark.parametrize(
    "name",
    [
        "generic_overhead",
        "learners",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("tutorial_loop", "threads")),
    ],
)
def test_a_cheap_benchmark_runs(name):
    finished = _run(name, "--quick")
    assert finished.returncode == 0, finished.stderr
    assert "other programs took" in finished.stdout


@pytest.mark.parametrize("name", ["compiled_vs_jax", "peers"])
def test_a_benchmark_without_its_peers_says_how_to_get_them(name):
    finished = _run(name, "--quick", *(["--jax-python", sys.executable] if name == "compiled_vs_jax" else []))
    if name == "compiled_vs_jax" and "median of" in finished.stdout:
        pytest.skip("JAX is installed here")
    assert finished.returncode == 0, finished.stderr
    assert "--setup" in finished.stdout or "--jax-python" in finished.stdout


@pytest.mark.parametrize("command", COMMANDS, ids=lambda path: path.stem)
def test_every_benchmark_says_what_it_shows(command):
    assert ast.get_docstring(ast.parse(command.read_text(encoding="utf-8")))
    finished = _run(command.stem, "--help")
    assert finished.returncode == 0, finished.stderr
    assert {"--rounds", "--quick"} <= set(finished.stdout.replace("[", " ").replace("]", " ").split())
    assert f"`{command.name}" in (BENCHMARKS / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["scaling", "soak"])
def test_a_slower_benchmark_runs(name):
    finished = _run(name, "--quick", timeout=400)
    assert finished.returncode == 0, finished.stderr
    assert "other programs took" in finished.stdout


@pytest.mark.slow
def test_every_benchmark_of_the_speed_tables_runs(benchmarks):
    import tables

    # Several of them start tensorflow in processes of their own.
    finished = _run("tables", "--quick", timeout=1500)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.count("other programs took") == len(tables.BENCHMARKS)


def test_the_speed_tables_are_what_was_measured(benchmarks):
    import tables

    blocks = []
    for page in tables.PAGES:
        text = page.read_text(encoding="utf-8")
        assert tables.rewritten(text) == text, f"{page.name}: run python benchmarks/tables.py --rewrite"
        blocks += [found["what"].split()[0] for found in tables.BLOCK.finditer(text)]
    assert {*blocks} == {"summary", *tables.BENCHMARKS}


def _page(what):
    return f"before\n<!-- speed: {what} -->\n\nby hand\n\n<!-- end of speed -->\nafter\n"


@pytest.fixture
def kept(benchmarks, tmp_path, capsys):
    """A folder with what a run of a benchmark left."""
    import measuring

    with measuring.Load() as load:
        load.given = argparse.Namespace(json=tmp_path / "compiled_vs_c.json", rounds=3, quick=False)
        rows = [measuring.Row("lake", "10 ns", "C -O3", "20 ns", [1.9, 2.0, 2.1], ">= 1.5: met")]
        load.table("long", "one long run", rows)
        load.table("short", "short trials", [measuring.Row("lake", "10 ns", "C", measuring.NOT_INSTALLED)])
    capsys.readouterr()
    return tmp_path


def test_a_speed_table_is_written_from_what_a_run_left(kept):
    import tables

    page = tables.rewritten(_page("compiled_vs_c"), kept)
    assert page.startswith("before\n<!-- speed: compiled_vs_c -->\n\n**one long run**\n")
    assert page.endswith("<!-- end of speed -->\nafter\n")
    assert "by hand" not in page
    assert "| lake | 10 ns | C -O3 | 20 ns | 2.00 (1.90-2.10) | >= 1.5: met |" in page
    assert "| lake | 10 ns | C | not installed here |" in page
    run = json.loads((kept / "compiled_vs_c.json").read_text(encoding="utf-8"))
    for fact in (run["date"], run["machine"]["processor"], run["versions"], "3 rounds; other programs took"):
        assert fact in page
    assert tables.rewritten(page, kept) == page


def test_a_page_may_ask_for_one_table(kept):
    import tables

    page = tables.rewritten(_page("compiled_vs_c short"), kept)
    assert "short trials" in page
    assert "long run" not in page
    assert "batch: not measured yet" in tables.rewritten(_page("compiled_vs_c short batch"), kept)
    with pytest.raises(KeyError, match="no benchmark 'compiled_vs_d'"):
        tables.rewritten(_page("compiled_vs_d"), kept)


def test_the_summary_says_what_was_not_measured(kept):
    import tables

    day = json.loads((kept / "compiled_vs_c.json").read_text(encoding="utf-8"))["date"]
    lines = tables.rewritten(_page("summary"), kept).splitlines()
    assert any(line.endswith(f"| 2.00 | {day} |") for line in lines)
    assert any(line.endswith(f"| not installed here | {day} |") for line in lines)
    assert sum("not measured yet" in line for line in lines) == len(tables.RATIOS) + len(tables.TIMES) - 3


@pytest.mark.parametrize(("text", "window"), [("hihello", 0), ("if you want", 4)])
def test_the_peers_of_a_character_rnn_learn_the_same_windows(benchmarks, text, window):
    import numpy as np
    import recurrent_training

    from velodrome.envs.labelled.text import Text

    examples = Text(text, window=window or None).examples
    inputs, labels, characters = recurrent_training.windows_of(text, window)
    assert np.array_equal(inputs, examples.inputs)
    assert np.array_equal(labels, examples.labels)
    assert characters == len(set(text))


def test_weights_for_the_peers_of_an_agent_are_in_keras_order(benchmarks, tmp_path):
    import acting
    import numpy as np

    from velodrome.agents.resuming.saving import write_agent

    class Saved:
        def save(self, folder):
            names = ["dense_1/bias", "dense_1/kernel", "convolution_1/bias", "convolution_1/kernel"]
            arrays = {f"network/weights/{name}": np.array(place) for place, name in enumerate(names)}
            write_agent(folder, {}, arrays | {"network/first/dense_1/bias": np.array(9)})

    assert acting.weights_of(Saved(), tmp_path) == [3, 2, 1, 0]


def test_a_table_aligns_its_columns(benchmarks, capsys):
    import measuring

    measuring.print_table("title", ["name", "ns", "remark"], [["one", "1.0", "short"], ["twenty", "20.0", "longer"]])
    assert capsys.readouterr().out.splitlines()[1:] == [
        "title",
        "name      ns  remark",
        "------  ----  ------",
        "one      1.0  short",
        "twenty  20.0  longer",
    ]


def test_a_ratio_is_the_median_of_the_rounds(benchmarks):
    import measuring

    ratios = measuring.speed_ratios([1.0, 2.0, 4.0], [2.0, 2.0, 2.0])
    assert ratios == [2.0, 1.0, 0.5]
    assert measuring.as_ratio(ratios) == "1.00 (0.50-2.00)"
    assert measuring.verdict(0.9, 0.85) == ">= 0.85: met"
    assert measuring.verdict(6.0, 5.0, at_least=False) == "<= 5: missed"


def test_rounds_take_turns(benchmarks):
    import measuring

    order = []
    contenders = {
        name: lambda name=name: (order.append(name), measuring.Run(2, 1.0))[1] for name in ("first", "second")
    }
    assert measuring.interleave(contenders, 2) == {"first": [0.5, 0.5], "second": [0.5, 0.5]}
    assert order == ["first", "second", "second", "first"]


def test_a_worker_that_fails_says_why(benchmarks, tmp_path):
    import measuring

    script = tmp_path / "failing.py"
    script.write_text("raise SystemExit('no such library')", encoding="utf-8")
    with pytest.raises(measuring.WorkerError, match="no such library"):
        measuring.Worker(sys.executable, str(script))
