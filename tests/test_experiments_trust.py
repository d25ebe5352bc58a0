"""What a stranger's folder can do: reading runs no code of it, and what does run code looks before, and says so."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import velodrome as vd
from velodrome.agents import Agent
from velodrome.agents.resuming.saving import SavedAgentError
from velodrome.experiments.cli.application import main
from velodrome.experiments.plotting.agent_parameters import swept_agents
from velodrome.experiments.specification.catalogue import build_agent, build_known_agent

# Leaves a mark wherever it is imported.
EVIL = """
from dataclasses import dataclass
from pathlib import Path

import gymnasium as gym
from velodrome.agents import QLearning
from velodrome.envs.grid_world import GridWorld

Path("ran").touch()


@dataclass(kw_only=True, eq=False)
class Evil(QLearning):
    strength: float = 7.0


gym.register("Evil-v0", entry_point=GridWorld, max_episode_steps=20)
"""
EXPERIMENT = """
name = "trap"
episodes = 5
seeds = 3
agents = { a = "evil:Evil(learning_rate=0.1)", b = "evil:Evil(learning_rate=0.5, strength=1)" }
environments = ["evil:Evil-v0"]
"""
# A fresh program that is asked for one thing after the other, with the current folder on its path.
PROGRAM = """
import sys

sys.path.insert(0, "")
from velodrome.experiments.cli.application import main
for line in sys.argv[1:]:
    print(line, main(line.split()), file=sys.stderr)
"""
READING = [
    "table results",
    "table results --format json",
    "plot results --out learning.svg",
    "plot results --kind sweep --parameter learning_rate --out sweep.svg",
    "report results --out report.html",
    "table results copy",
    "plot results copy --kind sweep --parameter strength --out joined.svg",
    "export results --curves --out exported",
    "repair results",
    "list",
]


def program(folder, *lines):
    """What a fresh program prints on standard error: the lines with their exit codes, and what they had to say."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *lines], cwd=folder, capture_output=True, text=True, check=False, timeout=600
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def trap(tmp_path_factory):
    """A stranger's folder: a store, and beside it the module that its agents and environment name."""
    folder = tmp_path_factory.mktemp("trap")
    (folder / "evil.py").write_text(EVIL)
    (folder / "trap.toml").write_text(EXPERIMENT)
    lines = [f"compare trap.toml --workers 0 --quiet --out {out}" for out in ("results", "copy")]
    lines.append("run evil:Evil evil:Evil-v0 --episodes 3 --save saved")
    said = program(folder, *lines)
    assert [f"{line} 0" in said for line in lines[:2]] == [True, True], said
    assert (folder / "ran").exists()
    return folder


def test_reading_a_store_runs_no_module_that_it_names(trap):
    (trap / "ran").unlink(missing_ok=True)
    said = program(trap, *READING)
    assert [line for line in READING if f"{line} 0\n" not in said] == [], said
    assert not (trap / "ran").exists()
    assert (trap / "sweep.svg").exists()


def test_a_sweep_knows_the_defaults_of_classes_that_are_not_imported(trap):
    assert "evil" not in sys.modules
    swept = swept_agents(vd.Results.load(trap / "results"), "evil:Evil-v0", "strength")
    assert swept.values == [1.0, 7.0]


def test_a_saved_agent_imports_no_class_that_it_names(trap, monkeypatch):
    (trap / "ran").unlink(missing_ok=True)
    monkeypatch.chdir(trap)
    monkeypatch.syspath_prepend(str(trap))
    with pytest.raises(SavedAgentError, match="import it before loading"):
        Agent.load(trap / "saved")
    assert not (trap / "ran").exists()


def test_verify_says_before_it_runs_a_module_of_the_stores_folder(trap):
    (trap / "results" / "evil.py").write_text(EVIL)
    said = program(trap / "results", "verify . --quiet --workers 0")
    assert "verify runs the code of a module in the store's folder: evil" in said
    assert said.count("module in the store's folder") == 1
    assert "verify . --quiet --workers 0 0\n" in said
    (trap / "results" / "evil.py").unlink()
    assert "module in the store's folder" not in program(trap, "verify results --quiet --workers 0 --sample 2")


def test_a_file_named_as_a_library_is_not_run_by_python_m(trap):
    for name in ("pandas.py", "matplotlib.py", "scipy.py"):
        (trap / name).write_text("from pathlib import Path\nPath('ran').touch()\n")
    (trap / "ran").unlink(missing_ok=True)
    try:
        command = [sys.executable, "-m", "velodrome", "table", "results", "--format", "csv"]
        done = subprocess.run(command, cwd=trap, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr
        assert not (trap / "ran").exists()
    finally:
        for name in ("pandas.py", "matplotlib.py", "scipy.py"):
            (trap / name).unlink()


# What cannot be an agent is refused before it runs


@pytest.fixture
def marked(tmp_path, monkeypatch):
    """Makes a module from its text, and tells whether it was run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(name, text):
        path = Path(*name.split("."))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".py").write_text(f"from pathlib import Path\nPath({str(tmp_path)!r}, 'ran').touch()\n{text}")

    yield write
    for name in ("marked", "marked_package", "marked_package.inner"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name", ["this:X", "this:s", "this:d", "this:c", "antigravity:fly", "antigravity:webbrowser"])
def test_modules_of_python_that_do_something_when_imported_are_not_run_for_what_they_lack(name, capsys):
    module = name.partition(":")[0]
    sys.modules.pop(module, None)
    assert main(["run", name, "FrozenLake-v1", "--episodes", "1"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"velodrome: module {module!r} has ")
    assert main(["run", "q_learning", f"{module}:X-v0", "--episodes", "1"]) == 2
    assert capsys.readouterr() == (
        "",
        f"velodrome: module {module!r} of environment '{module}:X-v0' registers none: it imports only Python's own "
        "library\n",
    )
    assert module not in sys.modules


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("class Mine: ...", "has 'X'"),
        ("X = 3", "as a plain value"),
        ("X = [1, 2]", "as a plain value"),
        ("class X: ...", "as a class without a base"),
        ("import os as X", "as a module"),
        ("for X in (1, 2): pass", "as a value of a loop"),
        ("def X(): ...", "must say what it returns: def X(...) -> Agent"),
        ("def f():\n    X = 1", "has no 'X'"),
        ("print([X for X in ()])", "has no 'X'"),
        ("X = (", "its source is no Python"),
    ],
)
def test_a_module_is_not_run_for_what_its_source_does_not_define(text, reason, marked, tmp_path):
    marked("marked", text)
    marked("marked_package.inner", text)
    (tmp_path / "marked_package" / "__init__.py").write_text("raise SystemExit('run')")
    for name in ("marked:X", "marked_package.inner:X"):
        with pytest.raises(ValueError, match="X") as caught:
            build_agent(name)
        assert reason.removeprefix("has 'X'") in str(caught.value)
        assert "\n" not in str(caught.value)
    assert not Path("ran").exists()


@pytest.mark.parametrize("name", ["marked:X.Y", "marked:x-y", "absent:X", "absent.inner:X", "marked.inner:X"])
def test_names_that_no_module_has_are_refused_before_it_is_run(name, marked):
    marked("marked", "class X(dict): ...")
    with pytest.raises(ValueError, match=r"is not the name of|No module named"):
        build_agent(name)
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    "text",
    [
        "from velodrome.agents import QLearning as X",
        "from velodrome.agents import QLearning\nclass X(QLearning): ...",
        "import velodrome.agents\nX = velodrome.agents.QLearning",
        "from velodrome.agents import Agent, QLearning\ndef X() -> Agent:\n    return QLearning()",
        "try:\n    from nowhere import X\nexcept ImportError:\n    from velodrome.agents import QLearning as X",
        "X = None\nif True:\n    from velodrome.agents import QLearning as X",
        "from velodrome.agents import *\nX = QLearning",
        "import velodrome.agents\ndef __getattr__(name):\n    return velodrome.agents.QLearning",
        "import velodrome.agents\nglobals()['X'] = velodrome.agents.QLearning",
        "import velodrome.agents\nwith open(__file__):\n    X: type = velodrome.agents.QLearning",
    ],
)
def test_whatever_way_a_module_defines_an_agent_it_is_found(text, marked):
    marked("marked", text)
    assert isinstance(build_agent("marked:X"), Agent)
    assert Path("ran").exists()


def test_a_class_that_the_program_has_imported_is_known_without_importing(marked):
    marked("marked", "from velodrome.agents import QLearning\nclass Mine(QLearning): ...")
    with pytest.raises(ValueError, match="marked:Mine is not imported"):
        build_known_agent("marked:Mine(discount=0.5)")
    build_agent("marked:Mine")
    assert build_known_agent("marked:Mine(discount=0.5)").discount == 0.5


# Papers


def test_every_promise_names_tests_that_are_there():
    root = Path(__file__).parents[1]
    promises = [line for line in (root / "SECURITY.md").read_text().splitlines() if "| `tests/" in line]
    assert len(promises) > 8
    for promise in promises:
        files = re.findall(r"`tests/(\w+\.py)`", promise)
        text = "".join((root / "tests" / name).read_text() for name in files)
        names = re.findall(r"`(test_\w+)`", promise)
        assert [name for name in names if f"def {name}(" not in text] == []
