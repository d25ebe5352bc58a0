"""The benchmarks run, and the compiled loop equals the C loop bit for bit; speed is not tested here."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
COMMANDS = sorted(path for path in BENCHMARKS.glob("*.py") if path.stem != "measuring")


@pytest.fixture
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def _run(name, *options):
    command = [sys.executable, str(BENCHMARKS / f"{name}.py"), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_the_compiled_loop_equals_the_c_loop(benchmarks):
    import compiled_vs_c

    if compiled_vs_c.find_compiler() is None:
        pytest.skip("no C compiler (cc, gcc, clang, or $CC)")
    finished = _run("compiled_vs_c", "--quick")
    assert finished.returncode == 0, finished.stderr
    rows = [line for line in finished.stdout.splitlines() if line.startswith(tuple(compiled_vs_c.ENVIRONMENTS))]
    assert [line.split()[-1] for line in rows] == ["yes"] * len(compiled_vs_c.ENVIRONMENTS)


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


@pytest.mark.parametrize("name", ["compiled_vs_python", "generic_overhead", "threads"])
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
@pytest.mark.parametrize("name", ["scaling", "start_up"])
def test_a_slower_benchmark_runs(name):
    finished = _run(name, "--quick")
    assert finished.returncode == 0, finished.stderr
    assert "other programs took" in finished.stdout


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
