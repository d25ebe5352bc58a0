"""Every example runs as a newcomer would run it, on a small budget, and warns of nothing."""

import subprocess
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest

import velodrome as vd
from velodrome.experiments.specification.experiment_file import read_experiment

EXAMPLES = Path(__file__).parents[1] / "examples"
# Arguments for a run of seconds, and a word that the output must have.
SMALL = {
    "frozenlake_lecture.py": (["50"], "success when greedy"),
    "own_policy.py": (["5"], "least tried"),
    "own_reinforce.py": (["5", "5"], "REINFORCE on features"),
    "own_environment.py": (["5"], "value_iteration"),
    "compare_policies.py": (["5"], "optimistic"),
    "cartpole_discretized.py": (["5", "5"], "expected Sarsa"),
    "labels_or_reward.py": (["1", "5"], "test images right"),
    "single_file_q_learning.py": (["--total-timesteps", "500", "--evaluation-episodes", "5"], "episodes.csv"),
    "thermal_zone_day.py": ([], "value iteration: -14.21 a day"),
    "resume.py": (["5"], "10 seeds: 30 trials, 15 of them from the store"),
    "bandit_figures.py": (["2.4", "2"], "best arm, last 50"),
}

# Two processes that import tensorflow and compile two networks, or that take a few seconds to start.
LONG = {"labels_or_reward.py", "bandit_figures.py", "own_reinforce.py", "compare_policies.py", "thermal_zone_day.py"}


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


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in LONG else name for name in SMALL]
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


@pytest.mark.slow
def test_the_experiment_file_runs(tmp_path):
    path = EXAMPLES / "experiment.toml"
    plan = read_experiment(str(path))
    done = run(["-m", "velodrome", "compare", str(path), "--seeds", "5", "--episodes", "5"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert all(label in done.stdout for label in plan.environments)
    assert (tmp_path / "results" / plan.name / "learning.png").stat().st_size > 0
    assert tomllib.loads(path.read_text(encoding="utf-8"))["seeds"] == plan.seeds


@pytest.fixture
def other_libraries(monkeypatch):
    """The plan; its program is named as seen from the folder above the examples."""
    monkeypatch.chdir(EXAMPLES.parent)
    return read_experiment("examples/other_libraries.toml")


def test_the_experiment_of_other_libraries_is_a_plan(other_libraries):
    plan = other_libraries.plan()
    assert list(plan.environments) == ["lake", "pole"]
    assert len(plan.agents) == 7


@pytest.mark.slow
def test_learners_of_other_libraries_stand_in_one_table(other_libraries, tmp_path):
    pytest.importorskip("sb3_contrib")
    done = run(
        [
            "-m",
            "velodrome",
            "compare",
            "examples/other_libraries.toml",
            "--seeds",
            "1",
            "--steps",
            "300",
            "--out",
            tmp_path,
        ],
        EXAMPLES.parent,
    )
    assert done.returncode == 0, done.stderr
    assert all(label in done.stdout for label in other_libraries.agents)


def test_the_program_of_one_file_looks_through_bins(tmp_path):
    path = EXAMPLES / "single_file_q_learning.py"
    bins = ["--env-id", "CartPole-v1", "--bins", "1", "1", "6", "12", "--evaluation-episodes", "5"]
    done = run([str(path), *bins, "--total-timesteps", "10000"], tmp_path)
    assert done.returncode == 0, done.stderr
    returns = np.loadtxt(tmp_path / "evaluation.csv", skiprows=1)
    assert returns.shape == (5,)
    assert returns.mean() > 100


def reinforce():
    """The class of the example, and its lines."""
    text = (EXAMPLES / "own_reinforce.py").read_text(encoding="utf-8")
    cell = "import numpy as np" + text.split("import numpy as np")[1].split("# %%")[0]
    names = {}
    exec(cell, names)
    return names["Reinforce"], [line for line in cell.splitlines() if line.strip()]


def test_reinforce_of_ones_own_has_at_most_25_lines_and_learns():
    agent, lines = reinforce()
    assert len(lines) <= 25
    trial = vd.run(agent(step_size=0.5), "FrozenLake-v1(is_slippery=False)", episodes=500, seed=4, evaluate_every=250)
    assert trial.evaluation.method == "exact"
    assert trial.measured[0].at.tolist() == [250, 500]
    assert np.mean(trial.log.successes[-100:]) > 0.5


@pytest.mark.slow
def test_reinforce_goes_on_after_a_kill_in_two_processes(tmp_path):
    command = [sys.executable, str(EXAMPLES / "own_reinforce.py"), "5", "100"]
    first = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    store, deadline = tmp_path / "results" / "trials.sqlite", time.monotonic() + 120
    while not store.exists() and first.poll() is None and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(2.0)
    first.kill()
    first.wait()
    done = run([str(EXAMPLES / "own_reinforce.py"), "5", "100"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("REINFORCE") >= 2
