"""Every room has a face, and what a user starts with is light; import-linter checks the directions of imports."""

import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

import velodrome

ROOT = Path(__file__).parents[1]
HEAVY = {"tensorflow", "keras", "pandas", "matplotlib", "scipy", "numba"}


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
    "code",
    [
        "import velodrome, gymnasium; gymnasium.make('velodrome/GridWorld-v0')",
        "import gymnasium; gymnasium.make('velodrome:velodrome/GridWorld-v0')",
    ],
)
def test_gymnasium_knows_our_environments(code, tmp_path):
    assert loaded_after(f"import warnings; warnings.simplefilter('error'); {code}", tmp_path) & HEAVY == set()


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


ROOMS = sorted(
    path.parent for top in ("agents", "envs", "policies", "experiments") for path in (ROOT / top).rglob("__init__.py")
)


@pytest.mark.parametrize("room", [str(room.relative_to(ROOT)) for room in ROOMS])
def test_every_room_says_what_it_is_and_every_name_of_its_face_is_there(room):
    assert len((ROOT / room / "README.md").read_text(encoding="utf-8").splitlines()) == 5
    module = importlib.import_module("velodrome." + room.replace("/", "."))
    assert module.__doc__
    assert module.__all__
    public = {name: getattr(module, name) for name in module.__all__}
    written = {name: value for name, value in public.items() if inspect.isclass(value) or inspect.isfunction(value)}
    assert [name for name, value in written.items() if not (value.__doc__ or "").strip()] == []


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="velodrome attribute agent"):
        velodrome.agent  # noqa: B018


@pytest.mark.slow
def test_what_is_stored_and_drawn_is_shown_without_compiler_pictures_and_networks(tmp_path):
    (tmp_path / "tables.toml").write_text(
        'name = "tables"\nepisodes = 5\nseeds = 5\nenvironments = ["FrozenLake-v1"]\nagents = ["random", "sarsa"]\n'
    )
    compare = command_line("compare", "tables.toml", "--out", "there")
    networks = "import sys; assert not [name for name in sys.modules if 'deep.' in name and 'network' in name]"
    assert "numba" in loaded_after(f"{compare}\n{networks}", tmp_path)
    assert loaded_after(compare, tmp_path) & {"tensorflow", "keras", "matplotlib", "numba"} == set()
