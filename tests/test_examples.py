"""Every example runs as a newcomer would run it, on a small budget, and warns of nothing."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from velodrome.experiments.specification.experiment_file import read_experiment

EXAMPLES = Path(__file__).parents[1] / "examples"
# Arguments for a run of seconds, and a word that the output must have.
SMALL = {
    "frozenlake_lecture.py": (["50"], "success when greedy"),
    "own_policy.py": (["5"], "least tried"),
    "own_environment.py": (["5"], "value_iteration"),
    "compare_policies.py": (["5"], "optimistic"),
    "cartpole_discretized.py": (["5", "5"], "expected Sarsa"),
    "labels_or_reward.py": (["1", "5"], "test images right"),
    "resume.py": (["5"], "10 seeds: 30 trials, 15 of them from the store"),
}


def run(arguments, folder):
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )


def test_every_example_is_run_here():
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(SMALL)


# Two processes that import tensorflow and compile two networks.
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name == "labels_or_reward.py" else name for name in SMALL]
)
def test_an_example_runs(name, tmp_path):
    arguments, word = SMALL[name]
    done = run([str(EXAMPLES / name), *arguments], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert word in done.stdout
    told, written = done.stdout.splitlines(), {path.name for path in tmp_path.iterdir()}
    assert written <= set(told)
    assert {line for line in told if line.endswith(".png")} <= written


@pytest.mark.parametrize("name", SMALL)
def test_an_example_says_how_it_is_run(name):
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    assert f"python examples/{name}" in text.split('"""')[1]


def test_the_experiment_file_runs(tmp_path):
    path = EXAMPLES / "experiment.toml"
    plan = read_experiment(str(path))
    done = run(["-m", "velodrome", "compare", str(path), "--seeds", "5", "--episodes", "5"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert all(label in done.stdout for label in plan.environments)
    assert (tmp_path / "results" / plan.name / "learning.png").stat().st_size > 0
    assert tomllib.loads(path.read_text(encoding="utf-8"))["seeds"] == plan.seeds
