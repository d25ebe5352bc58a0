"""Nothing secondary costs a result: encodings, closed pipes, pictures, caches and files that cannot be written."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from velodrome.experiments.cli.application import main

EXPERIMENT = """
name = "naïve — 격자"
description = "Is 학습 ≥ chance · or × not…?"
episodes = 5
seeds = 2
environments = ["FrozenLake-v1"]
[agents]
"우연 · …" = "random"
"planner" = "value_iteration"
"""
COMMANDS = {
    "list": ["list"],
    "help": ["--help"],
    "help of a command": ["compare", "--help"],
    "run": ["run", "value_iteration", "FrozenLake-v1", "--episodes", "5"],
    "compare": ["compare", "it.toml", "--out", "there", "--workers", "0"],
    "table": ["table", "there"],
    "markdown": ["table", "there", "--format", "markdown"],
    "json": ["table", "there", "--format", "json"],
    "plot": ["plot", "there"],
    "report": ["report", "there", "--language", "ko"],
    "export": ["export", "there"],
    "error": ["run", "q_learning", "냉동-v1", "--episodes", "5"],
}
# Each command in a process of its own would take a minute.
PROGRAM = """
import io, json, sys
from velodrome.experiments.cli.application import main
out, answers = sys.stdout, {}
for name, arguments in json.load(sys.stdin).items():
    streams = [io.TextIOWrapper(io.BytesIO(), encoding=sys.argv[1]) for _ in range(2)]
    sys.stdout, sys.stderr = streams
    code = main(arguments)
    for stream in streams:
        stream.flush()
    answers[name] = [code, *(stream.buffer.getvalue().decode(sys.argv[1]) for stream in streams)]
out.write(json.dumps(answers))
"""


@pytest.fixture(autouse=True)
def _work_in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    Path("it.toml").write_text(EXPERIMENT, encoding="utf-8")


# All commands take some ten seconds.
_SLOW = [pytest.param(encoding, marks=pytest.mark.slow) for encoding in ("cp949", "cp1252", "utf-8")]


@pytest.mark.parametrize("encoding", ["ascii", *_SLOW])
@pytest.mark.slow
def test_every_command_prints_its_result_in_any_encoding(encoding):
    given = [sys.executable, "-c", PROGRAM, encoding]
    done = subprocess.run(given, input=json.dumps(COMMANDS), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    for name, (code, printed, said) in answers.items():
        assert (code, bool(printed)) == ((2, False) if name == "error" else (0, True)), (name, said)
        lines = [line for line in said.splitlines() if not ("Korean letters" in line or "too few" in line)]
        assert len(lines) <= 1 + (name == "error"), said
    rows = json.loads(answers["json"][1])
    assert "우연 · …" in {row["agent"] for row in rows["rows"]}
    assert "planner" in answers["table"][1]
    if encoding == "utf-8":
        assert "우연 · …" in answers["compare"][1]
        assert (answers["table"][2], answers["list"][2]) == ("", "")
    if encoding == "ascii":
        assert "PYTHONIOENCODING=utf-8" in answers["table"][2]


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "velodrome", *arguments],
        capture_output=True, text=True, check=False, env=os.environ | environment,
    )  # fmt: skip


@pytest.mark.skipif(os.name == "nt", reason="a pipe of POSIX")
def test_a_reader_that_has_seen_enough_ends_a_command_silently():
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "velodrome", "list"], stdout=closed, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
def test_a_full_disk_is_one_line():
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "velodrome", "list"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2
    assert done.stderr == "velodrome: cannot write to standard output: No space left on device\n"


@pytest.mark.slow
def test_a_users_settings_of_pictures_cost_nothing():
    Path("matplotlibrc").write_text(
        "text.usetex: True\nfont.family: No Such Font\nsavefig.format: ps\nsavefig.dpi: 1\naxes.grid: True\n"
    )
    done = run("compare", "it.toml", "--out", "there", "--workers", "0", MATPLOTLIBRC=str(Path.cwd()))
    assert done.returncode == 0, done.stderr
    assert "planner" in done.stdout
    assert "not drawn" not in done.stderr
    picture = next(Path("there").rglob("learning.png"))
    drawn = picture.read_bytes()
    picture.unlink()
    plain = run("compare", "it.toml", "--out", "there", "--workers", "0")
    assert plain.returncode == 0
    assert picture.read_bytes() == drawn


def _refuse(*arguments, **options):
    raise ZeroDivisionError("no\npicture")


@pytest.mark.filterwarnings("always::velodrome.experiments.errors.ExperimentWarning")
def test_a_picture_that_cannot_be_drawn_is_a_line_of_warning(monkeypatch, capsys):
    from velodrome.experiments.plotting import figures

    monkeypatch.setattr(figures, "figure_bytes", _refuse)
    assert main(["compare", "it.toml", "--out", "there", "--workers", "0"]) == 0
    printed = capsys.readouterr()
    assert "planner" in printed.out
    assert [line for line in printed.err.splitlines() if "not drawn" in line] == [
        f"velodrome: warning: --out {next(Path('there').glob('na*'))}: the learning curves are not drawn: no picture"
    ]
    assert main(["report", "there"]) == 0
    page = Path(capsys.readouterr().out.strip().splitlines()[-1]).read_text(encoding="utf-8")
    assert "planner" in page
    assert main(["plot", "there"]) == 2
    assert capsys.readouterr().err.endswith("no picture\n")


def test_what_was_learnt_is_printed_before_it_cannot_be_saved(monkeypatch, capsys):
    from velodrome.agents.resuming import saving

    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(saving, "write_whole", full)
    assert main(["run", "value_iteration", "FrozenLake-v1", "--episodes", "5", "--save", "here"]) == 2
    printed = capsys.readouterr()
    assert "greedy success" in printed.out
    assert printed.err == f"velodrome: {Path('here').absolute()}: the agent cannot be saved: No space left on device\n"


@pytest.mark.slow
def test_without_a_place_for_numbas_cache_everything_runs_with_one_warning(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    program = (
        "import numba.core.caching as caching\n"
        "caching.CacheImpl._locator_classes = []\n"
        "caching.CodeLibraryCacheImpl._locator_classes = []\n"
        "import sys; from velodrome.experiments.cli.application import main; sys.exit(main(sys.argv[1:]))\n"
    )
    for loop in ("generic", "compiled"):
        words = ["run", "q_learning", "FrozenLake-v1", "--episodes", "50", "--loop", loop]
        done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "greedy success" in done.stdout
        assert done.stderr.count("NUMBA_CACHE_DIR") == done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "--agent", "random", "FrozenLake-v1"], "Unknown option: --agent. agent is given by its place"),
        (["run", "random", "FrozenLake-v1", "--episods", "5"], "Unknown option: --episods. Did you mean --episodes?"),
        (["run", "random", "FrozenLake-v1", "--colour", "5"], "Unknown option: --colour. --help lists all"),
        (["run", "random", "FrozenLake-v1", "--episodes", "2.7"], "must be a whole number such as 100000, got '2.7'"),
        (["run", "random", "FrozenLake-v1", "--episodes", "many"], "must be a whole number such as 100000, got 'many'"),
        (["run", "random", "FrozenLake-v1", "--steps", "inf"], "must be a whole number such as 100000, got 'inf'"),
        (["compare", "it.toml", "--seeds", "1.5"], "must be a whole number such as 100000, got '1.5'"),
    ],
    ids=" ".join,
)
def test_words_that_cannot_be_read_are_one_clear_line(words, said, capsys):
    assert main(words) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert said in printed.err
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize("amount", ["20", "2e1", "20.0", "0.2e2"])
def test_whole_numbers_may_be_written_with_an_exponent(amount, capsys):
    assert main(["run", "random", "FrozenLake-v1", "--episodes", amount, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["episodes"] == 20
    assert np.isfinite(float(amount))
