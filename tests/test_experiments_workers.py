"""What goes wrong in a trial is that trial's affair alone; the same results come from any workers in any order."""

import contextlib
import functools
import importlib
import os
import queue
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from pathlib import Path

import gymnasium as gym
import hostile_environments
import psutil
import pytest
from hostile_environments import Corridor, Factory, Fickle, closure, locked, partial
from made_up import plan_of

import velodrome as vd
from velodrome.agents.deep import keras_runtime
from velodrome.agents.engine.interruption import Interruption, interruptible
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.running import limits
from velodrome.experiments.running.manager import Manager
from velodrome.experiments.running.process_workers import ProcessWorkers
from velodrome.experiments.running.worker_memory import MAX_GROWTH
from velodrome.experiments.running.workers import Task
from velodrome.experiments.storage.provenance import available_cores
from velodrome.experiments.storage.store import Store

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*too few to tell better", "ignore:.*trials failed", "ignore:.*cannot be compiled", "ignore:.*are the same"
)
AGENTS = {"q": "q_learning(discount=0.9)", "unsure": "sarsa(policy=softmax(temperature=0.5))"}
GOOD = {"lake": "FrozenLake-v1", "corridor": "hostile_environments:HostileCorridor-v0"}
BUDGET = {"episodes": 25, "evaluation_episodes": 4}


def hostile(mischief, **parameters):
    given = "".join(f", {name}={value!r}" for name, value in parameters.items())
    return f"hostile_environments:Hostile-v0(mischief={mischief!r}{given})"


def numbers(results, *environments):
    """What was measured in trials that are done, but for times, by environment, agent and seed."""
    timed = {"train_seconds", "steps_per_second", "wall_seconds", "cpu_seconds"}
    return {
        (record.environment, record.agent, record.seed): repr(
            [value for name, value in record.row().items() if name not in timed]
        )
        for record in results.records
        if record.status == "done" and (not environments or record.environment in environments)
    }


@pytest.fixture(scope="module")
def undisturbed():
    """What the good environments give where nothing goes wrong."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return numbers(vd.compare(AGENTS, GOOD, seeds=3, workers=0, **BUDGET))


# Environments

STEP = "step of Hostile-v0 raised in episode "
# What the error must say, and where its code stands.
SAID = {
    "raise": (STEP, "ValueError: the floor is lava", "hostile_environments.py"),
    "NaN reward": ("Hostile-v0: reward nan is not finite", "(episode ", ""),
    "infinite reward": ("Hostile-v0: reward inf is not finite", "(episode ", ""),
    "no reward": ("Hostile-v0: reward None is not a number", "(episode ", ""),
    "text reward": ("Hostile-v0: reward 'much' is not a number", "(episode ", ""),
    "array reward": ("Hostile-v0: reward array([1., 1.]) is not a number", "(episode ", ""),
    "NaN observation": ("Hostile-v0: observation nan is outside the observation space", "(episode ", ""),
    "observation outside": ("Hostile-v0: observation 99 is outside the observation space", "(episode ", ""),
    "negative observation": ("Hostile-v0: observation -1 is outside the observation space", "(episode ", ""),
    "no observation": ("Hostile-v0: observation None is outside the observation space", "(episode ", ""),
    "array terminated": ("Hostile-v0: terminated array([", "is not True or False", ""),
    "text terminated": ("Hostile-v0: terminated 'False' is not True or False", "(episode ", ""),
    "fraction of an observation": ("Hostile-v0: observation 1.5 is outside the observation space", "(episode ", ""),
    "no info": ("Hostile-v0: info None of step is not a dictionary", "(episode ", ""),
    "four values": ("Hostile-v0: step must return (observation, reward, ", "got 4 values (episode ", ""),
    "nothing": ("Hostile-v0: step must return (observation, reward, ", "got NoneType None (episode ", ""),
    "SystemExit": ("SystemExit: enough", "", "hostile_environments.py"),
    "RecursionError": (STEP, "RecursionError", "in _recurse"),
    "MemoryError": (STEP, "MemoryError", "hostile_environments.py"),
    "surrogate": (STEP, "half a ? character", "hostile_environments.py"),
    "reset": ("reset of Hostile-v0 raised in episode ", "LookupError: the corridor is gone", "in reset"),
    "close": ("OSError: the door is stuck", "", "in close"),
    "evaluation": (STEP, "of the evaluation", "hostile_environments.py"),
}
ONLY_IN_A_PROCESS = {
    "KeyboardInterrupt": ("KeyboardInterrupt", "", "hostile_environments.py"),
    "GeneratorExit": ("GeneratorExit", "", "hostile_environments.py"),
    "killed": ("its worker process died 2 times: ended by SIGKILL (out of memory, or killed by hand)", "", ""),
    "segmentation fault": ("its worker process died 2 times: ended by SIGSEGV", "", ""),
    "exit 3": ("its worker process died 2 times: ended with exit code 3", "", ""),
    "exit 0": ("its worker process died 2 times: ended with exit code 0", "", ""),
    "abort": ("its worker process died 2 times: ended by SIGABRT", "", ""),
}
HARMLESS = ("print",)
ODDS = {"evaluation": 0.5}


def of(agent, seeds, numbers):
    return {name: value for name, value in numbers.items() if name[1] == agent and name[2] in seeds}


def check_hostile(results, said, undisturbed):
    assert numbers(results, *GOOD) == undisturbed
    # A process that dies gives no place.
    failures = {name: [] for name in said}
    for record in results.failures:
        failures[record.environment].append(record)
    for mischief, (start, part, place) in said.items():
        assert failures[mischief], mischief
        for failure in failures[mischief]:
            assert failure.status == "failed"
            assert failure.error.startswith(start)
            assert part in failure.error
            assert "\n" not in failure.error
            assert place in failure.error_place


def hostile_environment(name):
    return hostile(name, odds=ODDS[name]) if name in ODDS else hostile(name)


def test_hostile_environments_fail_their_trials_alone_in_this_process(undisturbed):
    hostiles = {name: hostile_environment(name) for name in [*SAID, *HARMLESS]}
    check_hostile(vd.compare(AGENTS, GOOD | hostiles, seeds=3, workers=0, **BUDGET), SAID, undisturbed)


def test_hostile_environments_fail_their_trials_alone_in_processes(undisturbed):
    said = {name: SAID[name] for name in ("raise", "observation outside", "SystemExit", "evaluation")}
    said |= {name: ONLY_IN_A_PROCESS[name] for name in ("KeyboardInterrupt", "segmentation fault", "exit 3", "exit 0")}
    hostiles = {name: hostile_environment(name) for name in [*said, *HARMLESS, "thread"]}
    results = vd.compare({"q": AGENTS["q"]}, GOOD | hostiles, seeds=[0], workers=2, **BUDGET)
    check_hostile(results, said, of("q", [0], undisturbed))
    assert not worker_processes()


@pytest.mark.slow
def test_all_hostile_environments_fail_their_trials_alone_in_processes(undisturbed):
    said = SAID | ONLY_IN_A_PROCESS
    hostiles = {name: hostile_environment(name) for name in [*said, *HARMLESS, "thread"]}
    check_hostile(vd.compare(AGENTS, GOOD | hostiles, seeds=3, workers=2, **BUDGET), said, undisturbed)


def test_trials_that_take_too_long_are_stopped_and_preparing_a_worker_is_no_part_of_them(undisturbed):
    hostiles = {name: hostile(name) for name in ("sleep", "spin", "slow to prepare")}
    assert hostile_environments.PREPARE_SECONDS > 6
    results = vd.compare(
        {"q": AGENTS["q"]}, GOOD | hostiles, seeds=[0], workers=2, trial_timeout=6.0, **BUDGET
    )  # fmt: skip
    assert numbers(results, *GOOD) == of("q", [0], undisturbed)
    stopped = {(record.environment, record.status, record.error) for record in results.failures}
    assert stopped == {(name, "timed out", "took longer than 6 s") for name in ("sleep", "spin")}
    assert len(results.failures) == 2


def test_loading_tensorflow_is_not_counted_as_a_trials_time(monkeypatch):
    class Keras:
        class config:
            backend = staticmethod(lambda: "tensorflow")

    monkeypatch.setattr(keras_runtime, "keras_on_tensorflow", lambda: time.sleep(0.2) or Keras)
    monkeypatch.setitem(sys.modules, "tensorflow", Keras)
    monkeypatch.setenv(keras_runtime.DETERMINISM_VARIABLE, "0")
    interruption = Interruption(threading.Event())
    with interruptible(interruption), interruption.not_counted():
        keras_runtime.tensorflow.__wrapped__()
        # What is not counted may hold more of it.
    counted = interruption.elapsed()
    with interruptible(interruption):
        keras_runtime.tensorflow.__wrapped__()
    assert time.monotonic() - interruption.began >= 0.4
    whole = time.monotonic() - interruption.began
    assert whole - interruption.elapsed() >= 0.4
    assert interruption.elapsed() >= counted


@pytest.mark.slow
def test_a_network_trains_within_a_time_in_which_tensorflow_is_not_even_loaded():
    results = vd.compare("mlp", "velodrome/Classification-v0", epochs=1, seeds=2, workers=1, trial_timeout=5.0)
    assert [record.status for record in results.records] == ["done"] * 2


def test_a_trial_that_takes_too_much_memory_fails_alone(undisturbed):
    # Compiled trials run in processes, too, and give the same.
    environments = {"hog": hostile("hog")} | GOOD
    results = vd.compare(
        {"q": AGENTS["q"]}, environments, seeds=[0], workers=2, trial_memory="700MB", **BUDGET
    )  # fmt: skip
    assert numbers(results, *GOOD) == of("q", [0], undisturbed)
    ((error, status),) = {(record.error, record.status) for record in results.failures}
    assert (error, status) == ("took more memory than 700 MB", "failed")
    assert not worker_processes()


@pytest.mark.parametrize(
    ("given", "size"),
    [("2GB", 2 * 10**9), (" 500 mb ", 5 * 10**8), ("1.5GiB", 3 * 2**29), ("64kB", 64_000), ("7B", 7), (4096, 4096)],
)
def test_sizes_are_read_in_thousands_or_in_1024s(given, size):
    assert limits.check_size("trial_memory", given) == size


@pytest.mark.slow
def test_a_worker_that_grows_is_replaced_between_two_trials(tmp_path):
    seeds = 3 + 2 * MAX_GROWTH // hostile_environments.LEAK_BYTES

    journal = tmp_path / "journal"
    place = f"hostile_environments:Leaky-v0(journal={str(journal)!r})"

    def run(**settings):
        return numbers(vd.compare({"q": AGENTS["q"]}, {"corridor": place}, seeds=seeds, **settings, **BUDGET))

    # It leaks in worker processes alone; what one trial has left there is not held against the next.
    undisturbed = run(workers=0)
    journal.unlink()
    assert run(workers=1, trial_memory=3 * hostile_environments.LEAK_BYTES) == undisturbed
    lines = journal.read_text().splitlines()
    assert len(lines) == seeds
    assert len({line.split()[0] for line in lines}) >= 2


@pytest.mark.slow
def test_a_worker_that_stands_still_is_mentioned_with_what_it_does(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "SILENT_SECONDS", 1.0)
    journal = tmp_path / "journal"
    place = f"hostile_environments:HostileCorridor-v0(journal={str(journal)!r})"
    stopped = []

    def stop_and_go_on(status):
        if not stopped and journal.exists() and journal.read_text().endswith("\n"):
            stopped.append(int(journal.read_text().split()[0]))
            os.kill(stopped[0], signal.SIGSTOP)
        if any("it was stopped" in str(one.message) for one in caught):
            with contextlib.suppress(ProcessLookupError):
                os.kill(stopped[0], signal.SIGCONT)

    monkeypatch.setenv("CORRIDOR_PAUSE", "0.02")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        results = vd.compare(
            {"q": AGENTS["q"]}, {"corridor": place}, seeds=[4], workers=1, progress=stop_and_go_on, **BUDGET
        )  # fmt: skip
    assert not results.failures
    line = next(str(one.message) for one in caught if "it was stopped" in str(one.message))
    assert line.startswith(f"worker process {stopped[0]} has used no processor time for ")
    assert line.endswith(f" s, in q on corridor, seed 4: it was stopped; kill -CONT {stopped[0]} lets it go on")


def test_an_environment_that_can_only_be_made_a_few_times_fails_the_later_trials(undisturbed, monkeypatch):
    monkeypatch.setattr(hostile_environments, "makes", [])
    environments = GOOD | {"scarce": hostile("make", spare=5)}
    results = vd.compare(AGENTS, environments, seeds=3, workers=0, **BUDGET)
    assert numbers(results, *GOOD) == undisturbed
    # A trial makes two, one to train in and one to be evaluated in.
    assert len(results.failures) == 4
    assert {failure.error for failure in results.failures} == {
        "UnknownEnvironmentError: cannot make Hostile-v0: no more corridors"
    }


def test_ctrl_c_in_this_process_keeps_what_is_done(tmp_path):
    environments = GOOD | {"stop": hostile("KeyboardInterrupt")}
    with pytest.raises(KeyboardInterrupt):
        vd.compare(AGENTS, environments, seeds=3, workers=0, out=tmp_path, **BUDGET)
    with Store.open_for_reading(tmp_path) as store:
        assert store.keys("done")
        assert store.keys("failed") == store.owners() == []


def test_factories_that_cannot_be_sent_are_refused_with_what_to_do():
    with pytest.raises(ExperimentError, match=r"cannot be sent to a worker process .*workers=0"):
        vd.compare(AGENTS, {"locked": locked()}, seeds=3, workers=1, **BUDGET)
    assert not vd.compare(AGENTS, {"locked": locked()}, seeds=3, workers=0, **BUDGET).failures


# Policies

POLICIES = {
    "raise": ("the policy raised ValueError: undecided",),
    "outside": ("the policy chose an action that is not among 0 to 3", "the policy chose action 77, but there are"),
}


def check_policies(workers, environments, undisturbed):
    agents = AGENTS | {name: vd.agents.QLearning(policy=Fickle(name)) for name in POLICIES}
    results = vd.compare(agents, environments, seeds=3, workers=workers, **BUDGET)
    assert numbers(results) == {name: value for name, value in undisturbed.items() if name[0] in environments}
    assert len(results.failures) == 3 * len(POLICIES) * len(environments)
    for failure in results.failures:
        assert failure.error.startswith(POLICIES[failure.agent]), failure.error


def test_hostile_policies_fail_their_trials_alone_in_this_process(undisturbed):
    check_policies(0, GOOD, undisturbed)


def test_hostile_policies_fail_their_trials_alone_in_threads(undisturbed):
    check_policies(2, {"lake": GOOD["lake"]}, undisturbed)


@pytest.mark.slow
def test_hostile_policies_fail_their_trials_alone_in_processes(undisturbed):
    check_policies(2, {"corridor": GOOD["corridor"]}, undisturbed)


def test_a_policy_that_numba_cannot_compile_runs_in_the_generic_loop(undisturbed):
    agents = AGENTS | {"python": vd.agents.QLearning(policy=Fickle("python only"))}
    results = [vd.compare(agents, GOOD, seeds=3, workers=workers, **BUDGET) for workers in (0, 2)]
    assert numbers(results[0]) == numbers(results[1])
    assert not results[0].failures
    assert any("cannot be compiled" in note for note in results[1].notes)


FOR_EVER = """
import sys, warnings
import hostile_environments
import velodrome as vd
warnings.simplefilter("ignore")
agents = {"stuck": vd.agents.QLearning(policy=hostile_environments.Fickle("for ever")), "q": "q_learning(discount=0.9)"}
results = vd.compare(agents, "FrozenLake-v1", seeds=[3], episodes=25, workers=1, trial_timeout=5)
for record in results.records:
    print(record.agent, record.seed, record.status, record.error)
"""


@pytest.mark.slow
def test_a_compiled_policy_that_never_returns_is_given_up():
    done = subprocess.run(
        [sys.executable, "-c", FOR_EVER], env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    text = "took longer than 5 s and does not stop: its thread was given up"
    assert done.stdout.splitlines() == [f"stuck 3 timed out {text}", "q 3 done "]


# Workers that are killed


def worker_processes():
    return [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]


class Bench:
    """Two worker processes and the trials that they may be given."""

    def __init__(self, seeds, journal=""):
        environment = f"hostile_environments:HostileCorridor-v0(journal={str(journal)!r})"
        plan = plan_of({"q": AGENTS["q"]}, {"corridor": environment}, seeds=seeds, episodes=10)
        self.manager = Manager(plan, Store.in_memory(), 1)
        self.events = queue.SimpleQueue()
        self.workers = ProcessWorkers(2, self.manager.payload, self.events.put)
        self.trials = list(plan.trials)

    def submit(self, number):
        for _ in range(number):
            self.workers.submit(Task("q", "corridor", (self.trials.pop(0),)))

    def outcomes(self, number, seconds=120.0):
        stop_at, outcomes = time.monotonic() + seconds, []
        while len(outcomes) < number:
            assert time.monotonic() < stop_at, outcomes
            self.workers.check()
            with contextlib.suppress(queue.Empty):
                outcomes.append(self.events.get(timeout=0.1).outcome)
        return [outcome.status for outcome in outcomes]


@pytest.fixture
def bench():
    made = Bench(seeds=30)
    yield made
    made.workers.stop()
    assert not worker_processes()


@pytest.mark.parametrize("number", [pytest.param(1, marks=pytest.mark.slow), 2])
@pytest.mark.slow
def test_workers_killed_between_two_trials_are_replaced(bench, number):
    bench.submit(4)
    assert bench.outcomes(4) == ["done"] * 4
    for process in worker_processes()[:number]:
        process.kill()
    # Some are given at once, some when the loss has been noticed.
    bench.submit(2)
    time.sleep(0.3)
    bench.submit(2)
    assert bench.outcomes(4) == ["done"] * 4


@pytest.mark.parametrize("times", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_trial_whose_worker_is_killed_is_run_once_more(times, tmp_path, monkeypatch):
    # No trial goes on before all are killed.
    monkeypatch.setenv("CORRIDOR_MOST", "0")
    journal = tmp_path / "journal"
    killed = set()

    def kill_all(status):
        begun = journal.read_text().splitlines() if journal.exists() else []
        at_work = {int(line.split()[0]) for line in begun} - killed
        if len(killed) < 2 * times and len(at_work) == 2:
            for pid in at_work:
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
        if len(killed) == 2 * times:
            Path(f"{journal}{hostile_environments.GO_ON}").touch()

    environment = f"hostile_environments:HostileCorridor-v0(journal={str(journal)!r})"
    told = {"environments": {"corridor": environment}, "seeds": 2, **BUDGET}
    results = vd.compare({"q": AGENTS["q"]}, workers=2, progress=kill_all, out=tmp_path, **told)
    assert len(killed) == 2 * times
    assert [failure.error for failure in results.failures] == (times - 1) * 2 * [
        "its worker process died 2 times: ended by SIGKILL (out of memory, or killed by hand)"
    ]
    repaired = vd.compare({"q": AGENTS["q"]}, workers=0, retry_failed=True, out=tmp_path, **told)
    assert numbers(repaired) == numbers(vd.compare({"q": AGENTS["q"]}, workers=0, **told))


# The same results, wherever they come from

KINDS = {
    "q": "q_learning(discount=0.9)",
    "double": "double_q_learning(policy=epsilon_greedy(epsilon=0.2))",
    "expected": "expected_sarsa(policy=softmax(temperature=0.5))",
    "three steps": "n_step_q(n=3)",
    "traces": "q_lambda(trace_decay=0.8)",
    "dyna": "dyna_q(planning_steps=3)",
    "lecture": "noise_q",
    "random": "random",
    "planner": "hostile_agents:HopefulPlanner(discount=0.9)",
}


def digest(folder):
    with Store.open_for_reading(folder) as store:
        return store.content_digest()


# A planner needs a model, which the corridor lacks: its trials fail, and alike.
PLACES = {"lake": "FrozenLake-v1", "cliff": "CliffWalking-v1", "corridor": GOOD["corridor"], "lava": hostile("raise")}


def content(folder, agents=KINDS, seeds=(3,), environments=PLACES, **options):
    """Digest of a store that was filled in one or several runs."""
    for number in seeds:
        vd.compare(agents, environments, seeds=number, out=folder, **(BUDGET | options))
    with Store.open_for_reading(folder) as store:
        return store.content_digest()


@pytest.mark.slow
def test_the_content_is_the_same_to_the_byte_for_any_workers_and_order(tmp_path):
    few = {name: KINDS[name] for name in ("q", "double", "three steps", "lecture", "planner")}
    first = content(tmp_path / "inline", few, workers=0)
    assert content(tmp_path / "two", few, workers=2) == first
    assert content(tmp_path / "grown", few, (1, 2, 3), workers=0) == first
    assert content(tmp_path / "turned", dict(reversed(few.items())), ([2], [1, 0], 3), workers=0) == first


@pytest.mark.slow
def test_the_content_is_the_same_to_the_byte_for_many_workers(tmp_path):
    folders = {workers: tmp_path / str(workers) for workers in (0, 1, 2, 3, 5)}
    digests = {content(folder, seeds=(8,), workers=workers) for workers, folder in folders.items()}
    assert len(digests) == 1


# What is run again


def executed(journal):
    lines = journal.read_text().splitlines() if journal.exists() else []
    journal.unlink(missing_ok=True)
    return len(lines)


def test_only_what_is_new_or_edited_is_run(tmp_path):
    journal, out = tmp_path / "journal", tmp_path / "out"
    environments = {"corridor": f"hostile_environments:HostileCorridor-v0(journal={str(journal)!r})"}

    def run(agents, seeds, **options):
        results = vd.compare(agents, environments, seeds=seeds, workers=0, out=out, **(BUDGET | options))
        assert len(results.records) == len(agents) * (seeds if isinstance(seeds, int) else len(seeds))
        return executed(journal)

    assert run(AGENTS, 2) == 4
    assert run(AGENTS, 2) == 0
    assert run(AGENTS, 3) == 2
    edited = AGENTS | {"q": "q_learning(discount=0.8)"}
    assert run(edited, 3) == 3
    # Other labels, and the same words in another order, name the same trials.
    renamed = {"old": AGENTS["q"], "new": edited["q"], "again": "q_learning(discount=0.80)"}
    assert run(renamed, 3) == 0
    assert run({"fresh": "q_learning(discount=0.7)", "twin": "q_learning(discount=0.7)"}, 2) == 2
    assert run(AGENTS, 2, name="another experiment") == 0
    assert run(AGENTS, 2, episodes=26) == 4
    assert run(AGENTS, 2, evaluation_episodes=5) == 4
    assert run(AGENTS, [7, 1]) == 2


OWN_CODE = """
from dataclasses import dataclass
import gymnasium as gym
from velodrome.policies import Policy

CHOICE = {choice}

def helper(number):
    return number

def select(action_values, visit_counts, parameter, rng):
    {statement}

@dataclass(frozen=True)
class Own(Policy):
    @property
    def select(self):
        return select
"""


def test_trials_of_edited_code_are_run_again(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    path = tmp_path / "own_policy_under_test.py"

    def key(choice=1, statement="return helper(CHOICE)", more=""):
        path.write_text(OWN_CODE.format(choice=choice, statement=statement) + more)
        sys.modules.pop(path.stem, None)
        importlib.invalidate_caches()
        own = importlib.import_module(path.stem)
        plan = plan_of(
            {"own": vd.agents.QLearning(policy=own.Own()), "q": AGENTS["q"]}, "FrozenLake-v1", seeds=1, episodes=5,
        )  # fmt: skip
        return [trial.key for trial in plan.trials]

    first = key()
    assert key() == first
    assert key(more="\n# a remark\nUNUSED = 3\n") == first
    keys = [first, key(choice=2), key(statement="return helper(CHOICE + 0)"), key(statement="return 1 - helper(0)")]
    assert len({own for own, _ in keys}) == 4
    assert len({q for _, q in keys}) == 1


@pytest.mark.slow
def test_edited_code_is_run_again_by_the_command_line(tmp_path):
    (tmp_path / "house.py").write_text(_HOUSE.format(reward=1.0))
    experiment = tmp_path / "experiment.toml"
    experiment.write_text(
        'name = "x"\nepisodes = 5\nseeds = 2\nevaluation_episodes = 2\nenvironments = ["house:House-v0"]\n'
        'agents = ["random"]\n'
    )

    def run():
        done = subprocess.run(
            [sys.executable, "-B", "-m", "velodrome", "compare", experiment, "--workers", "0", "--quiet"],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        with Store.open_for_reading(tmp_path / "results") as store:
            return len(store.keys())

    assert [run(), run()] == [2, 2]
    (tmp_path / "house.py").write_text(_HOUSE.format(reward=2.0))
    assert run() == 4


_HOUSE = textwrap.dedent("""
    import gymnasium as gym

    class House(gym.Env):
        observation_space = gym.spaces.Discrete(2)
        action_space = gym.spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return int(self.np_random.random() < 0.5), {{}}

        def step(self, action):
            return 1, {reward}, True, False, {{}}

    gym.register("House-v0", entry_point=House)
""")


def test_factories_with_other_values_have_other_keys():
    def key(factory):
        plan = plan_of(AGENTS["q"], {"place": factory}, seeds=1, episodes=5)
        return plan.trials[0].key

    for kind in (closure, partial, Factory):
        assert key(kind(1)) == key(kind(1)) != key(kind(2))
    assert key(functools.partial(Corridor, "", 1)) != key(functools.partial(Corridor, "", 2))
    assert key(lambda: Corridor(number=1)) != key(lambda: Corridor(number=2))
    assert len({key(factory) for factory in (Corridor, closure(0), partial(0), Factory(0))}) == 4


def test_a_lock_in_a_module_does_not_make_every_trial_new():
    def key(factory):
        return plan_of(AGENTS["q"], {"place": factory}, seeds=1, episodes=5).trials[0].key

    assert key(hostile_environments.locked_by_module) == key(hostile_environments.locked_by_module)
    # What only this factory has may be anything.
    assert key(locked()) != key(locked())


KEYS = """
import functools, hostile_environments as hostile
import velodrome as vd
from velodrome.experiments.specification.experiment import Experiment
agents = {"q": "q_learning(discount=0.9)", "own": vd.agents.QLearning(policy=hostile.Fickle("outside"))}
environments = {
    "lake": "FrozenLake-v1", "corridor": "hostile_environments:HostileCorridor-v0",
    "closure": hostile.closure(frozenset("abc")), "partial": hostile.partial(2),
    "object": hostile.Factory({"a": {1, 2}}), "class": hostile.Corridor,
    "hostile": functools.partial(hostile.Hostile, "raise", odds=0.5),
}
for trial in Experiment(name="keys", agents=agents, environments=environments, seeds=2, episodes=5).plan().trials:
    print(trial.environment, trial.agent, trial.seed, trial.key)
"""


def test_keys_are_the_same_in_every_process():
    outputs = [
        subprocess.run(
            [sys.executable, "-c", KEYS],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parent)},
            capture_output=True, text=True, check=True,
        ).stdout.splitlines()
        for seed in ("0", "12345")
    ]  # fmt: skip
    assert len(outputs[0]) == 28
    assert outputs[0] == outputs[1]


THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")


def counting_threads():
    """An environment whose only reward is what its process was told about numerical threads, in base 1000."""
    reward = sum(int(os.environ.get(name, "0")) * 1000**place for place, name in enumerate(THREADS))
    return gym.wrappers.TransformReward(gym.make("Blackjack-v1"), lambda _: float(reward))


def test_numerical_libraries_share_the_cores_unless_the_user_says_otherwise(monkeypatch):
    for name in THREADS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MKL_NUM_THREADS", "7")
    given = {"seeds": 2, "steps": 5, "evaluation_episodes": 1, "success": "terminated"}
    results = vd.compare("random", counting_threads, workers=2, **given)
    each = max(1, available_cores() // 2)
    expected = each + each * 1000 + 7 * 1000**2 + each * 1000**3
    assert results.failures == []
    lengths = [record.measures["greedy_mean_return"] / expected for record in results.records]
    assert all(length == int(length) >= 1 for length in lengths)
    assert "OMP_NUM_THREADS" not in os.environ
