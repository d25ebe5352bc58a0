"""Experiments survive kills of the program and of its workers, Ctrl-C, and a second program on the same store."""

import contextlib
import os
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from pathlib import Path

import hostile_environments
import numpy as np
import psutil
import pytest

import velodrome as vd
from velodrome.experiments.specification.experiment_file import read_experiment
from velodrome.experiments.storage.store import STORE_FILE, Store, StoreError

pytestmark = pytest.mark.filterwarnings("ignore:.*too few to tell better from luckier")

EXPERIMENT = """
name = "survival"
seeds = {seeds}
evaluation_episodes = 3

[environments.lake]
environment = "FrozenLake-v1"
steps = {steps}

[environments.corridor]
environment = "hostile_environments:HostileCorridor-v0(journal={journal!r})"
episodes = 12

[agents]
q_learning = "q_learning(discount=0.9, learning_rate=0.5)"
sarsa = "sarsa(policy=softmax(temperature=0.5))"
random = "random"
"""
PAUSE, MOST = "CORRIDOR_PAUSE", "CORRIDOR_MOST"
MARK = "VELODROME_TEST_MARK"
# So long that only what hangs takes longer, on whatever machine.
SECONDS_TO_END = 60.0


class Program:
    """`velodrome compare` of one experiment, as processes of their own that can be told from all others."""

    def __init__(self, folder, seeds, steps=50_000, pause=0.0, name="experiment"):
        self.folder, self.out = folder, folder / "out"
        self.journal = folder / f"{name}.journal"
        self.file = folder / f"{name}.toml"
        self.file.write_text(EXPERIMENT.format(seeds=seeds, steps=steps, journal=str(self.journal)))
        self.mark = uuid.uuid4().hex
        self.environment = os.environ | {
            MARK: self.mark, PAUSE: str(pause), "PYTHONPATH": str(Path(hostile_environments.__file__).parent),
        }  # fmt: skip
        self.log = folder / "log"
        self.started = []

    def arguments(self, *options):
        return [sys.executable, "-m", "velodrome", "compare", str(self.file), "--out", str(self.out), *options]

    def start(self, *options, workers=2, most=None):
        """Start it; with `most`, trials of the corridor wait once so many more have begun."""
        limit = {} if most is None else {MOST: str(self.begun() + most)}
        with self.log.open("a") as log:
            process = subprocess.Popen(
                self.arguments("--workers", str(workers), *options), env=self.environment | limit, cwd=self.folder,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self.started.append(process)
        return process

    def begun(self):
        """Trials of the corridor that have begun."""
        return len(self.journal.read_text().splitlines()) if self.journal.exists() else 0

    def go_on(self):
        """Let trials that wait go on."""
        Path(f"{self.journal}{hostile_environments.GO_ON}").touch()

    def finish(self, *options, **changes):
        done = subprocess.run(
            self.arguments("--workers", "2", "--quiet", *options), env=self.environment | changes, cwd=self.folder,
            capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        return done

    def rows(self):
        """Everything stored of the trials that have ended, by key."""
        try:
            with Store.open_for_reading(self.out) as store:
                return store.trials(store.keys())
        except StoreError as error:
            # Killed before there was one, or before its tables were there.
            if "no store of trials" in str(error) or "holds no trials yet" in str(error):
                return {}
            raise

    def processes(self):
        """Processes that still run for this program."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.environ().get(MARK) == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def wait_for_end(self):
        """Wait until no process is left; returns the seconds that it took."""
        started = time.monotonic()
        while left := self.processes():
            assert time.monotonic() - started < SECONDS_TO_END, [process.cmdline() for process in left]
            time.sleep(0.05)
        return time.monotonic() - started

    def wait_for_trials(self, number, seconds=120.0):
        """Wait until so many more trials are stored."""
        wanted = self.count() + number
        stop_at = time.monotonic() + seconds
        while self.count() < wanted:
            assert time.monotonic() < stop_at, self.log.read_text()
            time.sleep(0.01)

    def count(self):
        path = self.out / STORE_FILE
        if not path.exists():
            return 0
        with (
            contextlib.suppress(sqlite3.OperationalError),
            contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection,
        ):
            return connection.execute("SELECT count(*) FROM trials").fetchone()[0]
        return 0

    def undisturbed(self):
        """The store of one run in this process alone."""
        told = read_experiment(str(self.file))
        directory = self.folder / f"undisturbed-{self.file.stem}"
        vd.compare(
            dict(told.agents), dict(told.environments), seeds=told.seeds, name=told.name, out=directory, workers=0,
            evaluation_episodes=told.evaluation_episodes,
        )  # fmt: skip
        return directory


@pytest.fixture
def make_program(tmp_path):
    """Makes programs; what they have left behind is ended."""
    made = []

    def make(*args, **options):
        made.append(Program(tmp_path, *args, **options))
        return made[-1]

    yield make
    for program in made:
        for process in program.started:
            process.kill()
            process.wait()
        for process in program.processes():
            process.kill()


def assert_same_content(directory, other):
    with Store.open_for_reading(directory) as one, Store.open_for_reading(other) as two:
        assert one.keys() == two.keys()
        assert one.connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        for (key, curves), (other_key, other_curves) in zip(
            one.curves(one.keys()), two.curves(two.keys()), strict=True
        ):
            assert key == other_key
            np.testing.assert_array_equal(curves.returns, other_curves.returns)
            np.testing.assert_array_equal(curves.lengths, other_curves.lengths)
            np.testing.assert_array_equal(curves.successes, other_curves.successes)
        assert one.content_digest() == two.content_digest()
        assert one.owners() == []


def kill_at_random_moments(program, kills, longest, seed, most):
    """Start and kill a program again and again, then let it finish; returns how many were killed in their work.

    So that it is at work at every kill, however fast it is, it begins at most `most` trials of the corridor each time.
    """
    moments = np.random.default_rng(seed)
    known, slowest_end, while_running = {}, 0.0, 0
    for number in range(kills):
        process = program.start("--quiet", most=most)
        if number % 3 == 2:
            # Right after something was stored, when the next may be on its way.
            program.wait_for_trials(int(moments.integers(1, most + 1)))
            time.sleep(moments.uniform(0.0, 0.03))
        else:
            time.sleep(moments.uniform(0.0, longest))
        assert process.poll() is None, program.log.read_text()
        process.kill()
        process.wait()
        slowest_end = max(slowest_end, program.wait_for_end())
        rows = program.rows()
        assert {key: rows.get(key) for key in known} == known
        while_running += len(rows) > len(known)
        known = rows
    done = program.finish(**{PAUSE: "0"})
    assert done.returncode == 0, done.stderr
    assert not program.processes()
    rows = program.rows()
    assert {key: rows[key] for key in known} == known
    print(f"{kills} kills, {while_running} of them after new trials; processes ended within {slowest_end:.2f} s")
    return while_running


def test_a_program_killed_at_five_moments_loses_and_doubles_nothing(make_program):
    program = make_program(seeds=8, pause=0.01)
    assert kill_at_random_moments(program, kills=5, longest=2.5, seed=1, most=4) >= 1
    assert_same_content(program.out, program.undisturbed())


@pytest.mark.slow
def test_a_program_killed_at_thirty_moments_loses_and_doubles_nothing(make_program):
    program = make_program(seeds=40, steps=400_000, pause=0.006)
    assert kill_at_random_moments(program, kills=33, longest=6.0, seed=2, most=3) >= 8
    assert_same_content(program.out, program.undisturbed())


@pytest.mark.parametrize(
    ("number", "code", "to_group"),
    [
        pytest.param(signal.SIGINT, 130, True, id="Ctrl-C"),
        pytest.param(signal.SIGTERM, 143, False, id="kill", marks=pytest.mark.slow),
    ],
)
def test_a_program_asked_to_stop_says_in_one_line_what_it_keeps_and_goes_on(make_program, number, code, to_group):
    program = make_program(seeds=3, pause=0.01)
    process = program.start("--quiet", most=3)
    program.wait_for_trials(1)
    if to_group:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    assert process.wait(timeout=120) == code
    program.wait_for_end()
    kept = program.rows()
    told = [line for line in program.log.read_text().splitlines() if "warning" not in line]
    assert told == [f"velodrome: stopped: {len(kept)} of 18 trials are done and kept in {program.out}; "
                    "the same command goes on"]  # fmt: skip
    assert program.finish(**{PAUSE: "0"}).returncode == 0
    rows = program.rows()
    assert {key: rows[key] for key in kept} == kept
    assert_same_content(program.out, program.undisturbed())


def kill_worker(program, place):
    """Kill the worker of the trial that begins as the `place`-th of the corridor."""
    stop_at = time.monotonic() + 120
    while program.begun() <= place:
        assert time.monotonic() < stop_at, program.log.read_text()
        time.sleep(0.02)
    os.kill(int(program.journal.read_text().splitlines()[place].split()[0]), signal.SIGKILL)


@pytest.mark.slow
def test_a_trial_whose_worker_is_killed_is_run_once_more(make_program):
    program = make_program(seeds=2, pause=0.008)
    # No trial goes on before one of them has lost its worker.
    process = program.start(most=0)
    kill_worker(program, 0)
    program.go_on()
    assert process.wait(timeout=120) == 0, program.log.read_text()
    program.wait_for_end()
    assert_same_content(program.out, program.undisturbed())


@pytest.mark.slow
def test_trials_that_lose_two_workers_fail_alone_and_the_told_command_repairs_them(make_program):
    program = make_program(seeds=1, pause=0.008)
    process = program.start(most=0)
    for place in range(2 * 3):
        kill_worker(program, place)
    assert process.wait(timeout=120) == 1
    program.wait_for_end()
    failed = [row for row in program.rows().values() if row["status"] != "done"]
    assert [row["error"] for row in failed] == 3 * [
        "its worker process died 2 times: ended by SIGKILL (out of memory, or killed by hand)"
    ]
    assert len(program.rows()) == 6
    last = program.log.read_text().splitlines()[-1]
    told, _, command = last.partition("; run them again with: ")
    assert told == "3 of 6 trials failed"
    again = shlex.split(command)
    assert again[:2] == ["velodrome", "compare"]
    assert again[-1] == "--retry-failed"
    program.go_on()
    repaired = subprocess.run(
        [sys.executable, "-m", *again], env=program.environment, cwd=program.folder, capture_output=True, check=False
    )
    assert repaired.returncode == 0
    assert_same_content(program.out, program.undisturbed())


@pytest.mark.slow
def test_two_programs_on_one_store_share_the_work(make_program):
    program = make_program(seeds=6, pause=0.002)
    overlapping = make_program(seeds=4, pause=0.002, name="overlapping")
    # The same corridor, so that its trials are those of the first experiment.
    text = overlapping.file.read_text().replace(str(overlapping.journal), str(program.journal))
    overlapping.file.write_text(text.replace('name = "survival"', 'name = "overlapping"'))
    started = [program.start("--quiet"), program.start("--quiet"), overlapping.start("--quiet")]
    assert [process.wait(timeout=120) for process in started] == [0, 0, 0], program.log.read_text()
    assert len(program.journal.read_text().splitlines()) == 3 * 6
    assert_same_content(program.out, program.undisturbed())
    assert len(vd.Results.load(program.out, "overlapping").records) == 24


@pytest.mark.slow
def test_a_program_finishes_what_another_had_claimed_when_it_was_killed(make_program):
    program = make_program(seeds=5, pause=0.004)
    killed, other = program.start("--quiet", most=3), program.start("--quiet", most=3)
    program.wait_for_trials(1)
    killed.kill()
    killed.wait()
    program.go_on()
    assert other.wait(timeout=120) == 0, program.log.read_text()
    program.wait_for_end()
    assert_same_content(program.out, program.undisturbed())
