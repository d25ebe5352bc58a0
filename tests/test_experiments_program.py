"""The program as a process: exit codes, Ctrl-C, closed pipes, and what it never imports."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from velodrome.experiments.results.results import Results

EXPERIMENT = """
name = "two agents"
episodes = 60
seeds = 3
environments = ["FrozenLake-v1"]
agents = ["random", "q_learning"]
"""


@pytest.fixture(autouse=True)
def _work_in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def process(*arguments, **settings):
    return subprocess.run(
        [sys.executable, "-m", "velodrome", *arguments], capture_output=True, text=True, check=False, **settings
    )


def test_ctrl_c_in_the_midst_of_training():
    Path("slow_track.py").write_text(
        "import sys, gymnasium as gym\n"
        "class Slow(gym.Env):\n"
        "    observation_space = action_space = gym.spaces.Discrete(2)\n"
        "    steps = 0\n"
        "    def reset(self, *, seed=None, options=None):\n"
        "        return 0, {}\n"
        "    def step(self, action):\n"
        "        self.steps += 1\n"
        # What looks at an environment beforehand takes fewer steps.
        "        if self.steps == 5000:\n"
        "            print('started', file=sys.stderr, flush=True)\n"
        "        return 0, 0.0, False, False, {}\n"
        "gym.register('own/Slow-v0', Slow)\n"
    )
    arguments = [
        sys.executable,
        "-m",
        "velodrome",
        "run",
        "q_learning",
        "slow_track:own/Slow-v0",
        "--steps",
        "1000000000000",
    ]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr.readline() == "started\n"
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=120)
    assert (running.returncode, out, err) == (130, "", "velodrome: stopped\n")


def test_a_closed_pipe_gives_no_traceback():
    line = f"{sys.executable} -m velodrome list | head -1"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("agents\n", "")


@pytest.mark.slow
def test_no_command_imports_tensorflow():
    Path("two.toml").write_text(EXPERIMENT)
    script = (
        "import sys\n"
        "from velodrome.experiments.cli.application import main\n"
        "for line in ['list', 'run q_learning FrozenLake-v1 --episodes 5', 'compare two.toml --out there',\n"
        "             'table there', 'plot there']:\n"
        "    try:\n"
        "        assert main(line.split()) == 0\n"
        "    except SystemExit as leaving:\n"
        "        assert not leaving.code\n"
        "    assert 'tensorflow' not in sys.modules, line\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def test_help_loads_nothing_heavy():
    script = (
        "import sys\n"
        "from velodrome.experiments.cli.application import main\n"
        "try:\n"
        "    assert main(['--help']) == 0\n"
        "except SystemExit as leaving:\n"
        "    assert not leaving.code\n"
        "heavy = {'tensorflow', 'pandas', 'matplotlib', 'scipy', 'numba', 'lark', 'pydantic'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def test_the_program_itself_exits_with_these_codes():
    done = process("run", "q_lerning", "FrozenLake-v1", "--episodes", "5")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "velodrome: unknown agent 'q_lerning': did you mean 'q_learning'?\n"
    assert process("list", "policies").returncode == 0


def test_a_comparison_with_failures_exits_with_1_and_says_how_to_go_on():
    Path("crash.py").write_text(
        "import gymnasium as gym\n"
        "class Crash(gym.Env):\n"
        "    observation_space = action_space = gym.spaces.Discrete(2)\n"
        "    def reset(self, *, seed=None, options=None):\n"
        "        return 0, {}\n"
        "    def step(self, action):\n"
        "        raise KeyError('wheel')\n"
        "gym.register('own/Crash-v0', Crash)\n"
    )
    Path("two.toml").write_text(EXPERIMENT.replace('["Frozen', '["crash:own/Crash-v0", "Frozen'))
    done = process("compare", "two.toml")
    assert done.returncode == 1
    warnings = [line for line in done.stderr.splitlines() if not line.endswith(" trials/s")]
    assert all(line.startswith("velodrome: ") for line in warnings)
    reason = "random on crash:own/Crash-v0, seed 0: step of own/Crash-v0 raised in episode 1, step 1: KeyError: 'wheel'"
    assert f"velodrome: warning: 6 of 12 trials failed, the first: {reason} (crash.py:7 in step)" in warnings
    last = "6 of 12 trials failed; run them again with: velodrome compare two.toml --out results --retry-failed"
    assert done.stdout.splitlines()[-1] == last
    assert [row.status for row in Results.load("results").records] == ["failed"] * 6 + ["done"] * 6


def test_the_store_knows_the_command_and_the_versions():
    Path("two.toml").write_text(EXPERIMENT)
    assert process("compare", "two.toml", "--seeds", "5", "--workers", "1").returncode == 0
    (how,) = Results.load("results").provenance
    assert how["command"] == ["__main__.py", "compare", "two.toml", "--seeds", "5", "--workers", "1"]
    assert how["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert {"velodrome", "gymnasium", "numpy", "numba"} <= set(how["versions"])


def test_a_worker_that_is_still_starting_when_all_trials_have_ended_says_nothing():
    # Of two worker processes the second starts only when the first has run all trials and is slow to end.
    Path("sitecustomize.py").write_text(
        "import os, sys, time\n"
        "if '--multiprocessing-fork' in sys.orig_argv:\n"
        "    try:\n"
        "        os.close(os.open('first', os.O_CREAT | os.O_EXCL))\n"
        "    except FileExistsError:\n"
        "        import pebble.pool.process, velodrome.experiments.running.watched_worker\n"
        "        while not os.path.exists('asked to end'):\n"
        "            time.sleep(0.01)\n"
    )
    Path("slow.py").write_text(
        "import os, pathlib, signal, time\n"
        "import gymnasium as gym\n"
        "def end(*_):\n"
        "    pathlib.Path('asked to end').touch()\n"
        "    time.sleep(0.6)\n"
        "    os._exit(0)\n"
        "class Slow(gym.Env):\n"
        "    observation_space = action_space = gym.spaces.Discrete(2)\n"
        "    def reset(self, *, seed=None, options=None):\n"
        "        if os.path.exists('first'):\n"
        "            signal.signal(signal.SIGTERM, end)\n"
        "        return 0, {}\n"
        "    def step(self, action):\n"
        "        return 0, 0.0, True, False, {}\n"
    )
    Path("run.py").write_text(
        "import sys\n"
        "import velodrome as vd\n"
        "import slow\n"
        "vd.compare('random', {'slow': slow.Slow}, seeds=5, episodes=2, workers=2)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, "run.py"], capture_output=True, text=True, env=environment, check=False, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
