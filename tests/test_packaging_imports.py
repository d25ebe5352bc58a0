"""Imports point one way, and what a user starts with is light."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import velodrome

ROOT = Path(__file__).parents[1]
# What of ours each room may import, beside itself.
MAY_IMPORT = {
    "policies": set(),
    "envs": set(),
    "agents": {"policies", "envs"},
    "experiments": {"agents", "policies", "envs"},
    "front": {"agents", "policies", "envs", "experiments"},
}
HEAVY = {"tensorflow", "keras", "pandas", "matplotlib", "scipy", "numba"}


def modules_of(room):
    return sorted((ROOT / room).rglob("*.py"))


def imported_by(path):
    """Dotted names of all that a module imports, at the top and inside functions."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} is a relative import"
            # `from velodrome import agents` names a room in the second part.
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_point_one_way(room):
    wrong = []
    for path in modules_of(room):
        for name in imported_by(path):
            parts = name.split(".")
            if parts[0] == "velodrome" and parts[1] not in MAY_IMPORT[room] | {room}:
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
            if parts[0] in MAY_IMPORT:
                wrong.append(f"{path.relative_to(ROOT)} imports {name} past the package")
    assert wrong == []


def test_the_rooms_have_modules():
    assert all(len(modules_of(room)) >= 2 for room in MAY_IMPORT)


def loaded_after(code, folder):
    """Top-level packages that a fresh Python process has loaded after `code`."""
    report = "import json, sys; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def command_line(*arguments):
    return f"""
from velodrome.experiments.cli.application import main
try:
    code = main({list(arguments)!r})
except SystemExit as end:
    code = end.code
assert not code
"""


@pytest.mark.parametrize(
    "code",
    ["import velodrome", "import velodrome as vd; dir(vd), vd.__version__", command_line("--help")],
    ids=["import", "dir", "help"],
)
def test_the_start_loads_nothing_heavy(code, tmp_path):
    loaded = loaded_after(code, tmp_path)
    assert "velodrome" in loaded
    assert loaded & HEAVY == set()


@pytest.mark.parametrize(
    "arguments",
    [
        ("list",),
        ("run", "q_learning", "FrozenLake-v1", "--episodes", "20"),
        ("run", "q_learning", "Blackjack-v1", "--episodes", "20", "--evaluation-episodes", "2"),
        ("compare", "frozenlake", "--seeds", "2", "--episodes", "20"),
    ],
    ids=lambda arguments: " ".join(arguments[:3]),
)
def test_tabular_work_loads_no_tensorflow(arguments, tmp_path):
    assert loaded_after(command_line(*arguments), tmp_path) & {"tensorflow", "keras"} == set()


def test_the_generic_loop_loads_no_numba(tmp_path):
    code = """
import gymnasium as gym
from velodrome.agents import QLearning
QLearning().train(gym.make("FrozenLake-v1"), episodes=5, seed=0, loop="generic")
"""
    assert loaded_after(code, tmp_path) & {"numba", "tensorflow"} == set()


@pytest.mark.parametrize("name", velodrome.__all__)
def test_every_public_name_is_there(name):
    assert getattr(velodrome, name) is not None
    assert name in dir(velodrome)


@pytest.mark.parametrize("room", ["agents", "policies", "envs"])
def test_every_name_of_a_room_is_there(room):
    module = getattr(velodrome, room)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []
    assert len(set(module.__all__)) == len(module.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'velodrome' has no attribute 'agent'"):
        velodrome.agent  # noqa: B018
