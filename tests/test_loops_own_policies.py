"""A user's own policy: compiled without ceremony, never served stale, and in plain Python where Numba gives up."""

import importlib.util
import os
import subprocess
import sys
import textwrap
import warnings
import zlib
from pathlib import Path

import gymnasium as gym
import pytest

from velodrome import agents
from velodrome.agents.errors import PolicyFailureError, UnsupportedEnvironmentError

HEADER = """
from dataclasses import dataclass
import numpy as np
from velodrome.policies import Policy
"""
CLASS = """

@dataclass(frozen=True)
class Own(Policy):
    @property
    def select(self):
        return select
"""
LEAST_TRIED = """
def select(action_values, visit_counts, parameter, rng):
    if rng.random() < 0.1:
        return int(rng.random() * len(action_values))
    return visit_counts.argmin()
"""


def write_policy(path, body):
    path.write_text(HEADER + textwrap.dedent(body) + CLASS, encoding="utf-8")


def file_of(policy):
    return Path(policy.select.__code__.co_filename).name


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def own_policy(request, tmp_path, monkeypatch):
    """Function from the body of a policy file to an instance of its class."""

    def build(body):
        # Each test has its own file name, the same in every run, so that the compiled loops are kept on disk.
        path = tmp_path / f"own_policy_{zlib.crc32((request.node.name + body).encode())}.py"
        write_policy(path, body)
        monkeypatch.setitem(sys.modules, path.stem, None)
        return load(path).Own()

    return build


@pytest.fixture
def assert_loops_agree(result, differences):
    def check(policy, agent=agents.QLearning, **options):
        env, results = gym.make("FrozenLake-v1"), []
        for loop in ("generic", "auto"):
            trained = agent(policy=policy, **options)
            log = trained.train(env, episodes=40, seed=5, loop=loop)
            assert log.loop == ("generic" if loop == "generic" else "compiled"), log.notes
            results.append(result(trained, env, log))
        assert differences(*results) == []

    return check


@pytest.mark.parametrize("agent", [agents.QLearning, agents.Sarsa])
def test_a_policy_from_a_file_runs_compiled_and_equal(own_policy, assert_loops_agree, agent):
    assert_loops_agree(own_policy(LEAST_TRIED), agent)


@pytest.mark.parametrize(
    "choice",
    [
        "int(action_values.max() > 0.0)",
        "(action_values + rng.standard_normal()).argmax()",
        "np.flatnonzero(action_values == action_values.max())[0]",
        "np.int64(visit_counts.sum() % len(action_values))",
        "np.argmin(visit_counts * 1.0 - action_values.mean())",
    ],
)
def test_a_policy_gets_numpy_rows_in_both_loops(own_policy, assert_loops_agree, choice):
    body = f"""
    def select(action_values, visit_counts, parameter, rng):
        return {choice}
    """
    assert_loops_agree(own_policy(body))


@pytest.mark.parametrize(
    "draw",
    [
        "rng.random()",
        "rng.standard_normal()",
        "rng.normal(1.0, 2.0)",
        "rng.uniform(-3.0, 3.0)",
        "rng.uniform()",
        "rng.standard_exponential()",
        "rng.exponential(2.0)",
        "rng.integers(0, 7)",
        "rng.integers(3)",
        "rng.integers(-5, 5_000_000_000)",
    ],
)
def test_every_draw_of_the_compiled_stream_is_numpys(own_policy, assert_loops_agree, draw):
    # The odd draw between the tested ones moves the buffered half word of PCG64, if there is one.
    body = f"""
    def select(action_values, visit_counts, parameter, rng):
        first = {draw}
        if rng.random() < 0.3:
            first = first + {draw}
        return int(abs(first) * 1000.0) % len(action_values)
    """
    assert_loops_agree(own_policy(body))


def test_a_policy_defined_inside_a_function_runs_compiled(assert_loops_agree):
    from dataclasses import dataclass

    from velodrome.policies import Policy

    bonus = 2

    def alternate(action_values, visit_counts, parameter, rng):
        return (visit_counts.sum() + bonus) % len(action_values)

    @dataclass(frozen=True)
    class Alternating(Policy):
        @property
        def select(self):
            return alternate

    assert_loops_agree(Alternating())


def test_rewriting_and_reloading_a_file_takes_the_new_code(tmp_path):
    path = tmp_path / "edited_policy.py"
    chosen = []
    for action in (0, 2):
        write_policy(path, f"def select(action_values, visit_counts, parameter, rng): return {action}")
        os.utime(path, (1e9 + action, 1e9 + action))
        trained = agents.QLearning(policy=load(path).Own())
        assert trained.train("FrozenLake-v1", steps=50, seed=0).loop == "compiled"
        chosen.append(trained.visit_counts.sum(axis=0).tolist())
    assert chosen == [[50, 0, 0, 0], [0, 0, 50, 0]]


SCRIPT = """
import sys
from velodrome import agents
import own
agent = agents.QLearning(policy=own.Own())
log = agent.train("FrozenLake-v1", steps=50, seed=0)
print(log.loop, agent.visit_counts.sum(axis=0).argmax())
"""
# What `select` reaches, before and after the edit: {file: text}, with ACTION for the action that it then takes.
REACHED = {
    "a constant": ({}, "", "ACTION"),
    "a global": ({}, "CHOICE = ACTION", "CHOICE"),
    "a global tuple": ({}, "CHOICES = (ACTION, ACTION)", "CHOICES[1]"),
    "a global array": ({}, "CHOICES = np.array([ACTION, ACTION])", "CHOICES[1]"),
    "a function": ({}, "def choose():\n    return ACTION", "choose()"),
    "a function of a function": (
        {},
        "def innermost():\n    return ACTION\ndef choose():\n    return innermost()",
        "choose()",
    ),
    "a default": ({}, "def choose(action=ACTION):\n    return action", "choose()"),
    "a jitted function": (
        {},
        "import numba\n@numba.njit\ndef choose():\n    return ACTION",
        "choose()",
    ),
    "an imported function": (
        {"helper.py": "def choose():\n    return ACTION"},
        "from helper import choose",
        "choose()",
    ),
    "a module's function": ({"helper.py": "def choose():\n    return ACTION"}, "import helper", "helper.choose()"),
    "a module's function's function": (
        {"helper.py": "def innermost():\n    return ACTION\ndef choose():\n    return innermost()"},
        "import helper",
        "helper.choose()",
    ),
    "a module's jitted function": (
        {"helper.py": "import numba\n@numba.njit\ndef choose():\n    return ACTION"},
        "import helper",
        "helper.choose()",
    ),
    "a module's number": ({"helper.py": "CHOICE = ACTION"}, "import helper", "helper.CHOICE"),
    "a module's tuple": ({"helper.py": "CHOICES = (ACTION, ACTION)"}, "import helper", "helper.CHOICES[1]"),
    "a package's module's number": (
        {"pack/__init__.py": "from pack import inner", "pack/inner.py": "CHOICE = ACTION"},
        "import pack",
        "pack.inner.CHOICE",
    ),
    "a package's module's function": (
        {"pack/__init__.py": "from pack import inner", "pack/inner.py": "def choose():\n    return ACTION"},
        "import pack",
        "pack.inner.choose()",
    ),
}


def choose_in_a_new_process(folder, reached, action):
    files, above, expression = REACHED[reached]
    body = f"{above}\ndef select(action_values, visit_counts, parameter, rng):\n    return {expression}\n"
    texts = files | {"own.py": HEADER + body + CLASS, "main.py": SCRIPT}
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.replace("ACTION", str(action)), encoding="utf-8")
        # Python itself must notice the edit, although it keeps the size and may come within the same second.
        os.utime(path, (1e9 + action, 1e9 + action))
    # The same cache in both processes, away from the package's so that the first process compiles.
    environment = os.environ | {"NUMBA_CACHE_DIR": str(folder / "numba"), "PYTHONWARNINGS": "ignore"}
    finished = subprocess.run(
        [sys.executable, "main.py"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    loop, chosen = finished.stdout.split()
    return loop, int(chosen)


@pytest.mark.parametrize(
    "reached",
    [
        "a module's function",
        pytest.param("a module's tuple", marks=pytest.mark.slow),
        pytest.param("a jitted function", marks=pytest.mark.slow),
    ],
)
def test_an_edit_is_noticed_by_the_next_process(tmp_path, reached):
    before = choose_in_a_new_process(tmp_path, reached, 1)
    after = choose_in_a_new_process(tmp_path, reached, 2)
    assert (before[1], after[1]) == (1, 2)
    assert before[0] == after[0] == "compiled"


@pytest.mark.slow
@pytest.mark.parametrize("reached", REACHED)
def test_no_edit_anywhere_is_served_stale(tmp_path, reached):
    before, after = (choose_in_a_new_process(tmp_path, reached, action)[1] for action in (1, 2))
    assert (before, after) == (1, 2)


@pytest.mark.slow
def test_the_unchanged_policy_comes_from_disk_in_the_next_process(tmp_path):
    choose_in_a_new_process(tmp_path, "a module's function", 1)
    kept = sorted((tmp_path / "numba").rglob("*.nbc"))
    assert kept
    choose_in_a_new_process(tmp_path, "a module's function", 1)
    assert sorted((tmp_path / "numba").rglob("*.nbc")) == kept


INTERLEAVED = """
import sys, time
from pathlib import Path
from numba.core.caching import IndexDataCacheFile

me, other = sys.argv[1:]
save = IndexDataCacheFile.save


def wait_for(name):
    limit = time.monotonic() + 120
    while not Path(name).exists() and time.monotonic() < limit:
        time.sleep(0.02)


def save_in_turns(self, key, data):
    if "loop" not in self._index_name:
        return save(self, key, data)
    # Numba's own steps: both processes read the index, first one, then the other writes it, then their code.
    overloads = self._load_index()
    Path("read " + me).touch()
    wait_for("read " + other)
    taken = set(overloads.values())
    name = next(name for name in map(self._data_name, range(1, 99)) if name not in taken)
    overloads[key] = name
    if me == "2":
        wait_for("indexed 1")
    self._save_index(overloads)
    Path("indexed " + me).touch()
    if me == "1":
        wait_for("saved 2")
    self._save_data(name, data)
    Path("saved " + me).touch()


if other != "0":
    IndexDataCacheFile.save = save_in_turns
from velodrome import agents
import own

agent = agents.QLearning(policy=own.Own(action=int(me)))
agent.train("FrozenLake-v1", steps=50, seed=0)
print(agent.visit_counts.sum(axis=0).argmax())
"""
FIXED_ACTION = """
from dataclasses import dataclass
from velodrome.policies import Policy


def one(action_values, visit_counts, parameter, rng):
    return 1


def two(action_values, visit_counts, parameter, rng):
    return 2


@dataclass(frozen=True)
class Own(Policy):
    action: int = 1

    @property
    def select(self):
        return {1: one, 2: two}[self.action]
"""


@pytest.mark.slow
def test_two_processes_that_compile_at_once_do_not_swap_their_code(tmp_path):
    (tmp_path / "own.py").write_text(FIXED_ACTION, encoding="utf-8")
    (tmp_path / "main.py").write_text(INTERLEAVED, encoding="utf-8")
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "numba")}

    def start(me, other):
        command = [sys.executable, "main.py", me, other]
        return subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)

    together = [start("1", "2"), start("2", "1")]
    assert [process.communicate()[0].strip() for process in together] == ["1", "2"]
    later = [start("1", "0"), start("2", "0")]
    assert [process.communicate()[0].strip() for process in later] == ["1", "2"]


UNCOMPILABLE = {
    "a dict of lists": """
        SEEN = {}

        def select(action_values, visit_counts, parameter, rng):
            SEEN.setdefault("counts", []).append(1)
            return 1
        """,
    "a Python object": """
        class Chooser:
            def choose(self):
                return 1

        CHOOSER = Chooser()

        def select(action_values, visit_counts, parameter, rng):
            return CHOOSER.choose()
        """,
    "a generator method that the compiled stream lacks": """
        def select(action_values, visit_counts, parameter, rng):
            return int(rng.choice([1, 1]))
        """,
    "text handling": """
        def select(action_values, visit_counts, parameter, rng):
            return len(f"{parameter:.3e}".split("e")) - 1
        """,
    "a callable object": """
        class Select:
            def __call__(self, action_values, visit_counts, parameter, rng):
                return 1

        select = Select()
        """,
    "a partial function": """
        from functools import partial

        def choose(action, action_values, visit_counts, parameter, rng):
            return action

        select = partial(choose, 1)
        """,
    "a bound method": """
        class Chooser:
            def choose(self, action_values, visit_counts, parameter, rng):
                return 1

        select = Chooser().choose
        """,
    "a closure that cannot be pickled": """
        import threading

        def make():
            lock = threading.Lock()

            def choose(action_values, visit_counts, parameter, rng):
                with lock:
                    return 1

            return choose

        select = make()
        """,
}


@pytest.mark.parametrize("reason", UNCOMPILABLE)
def test_an_uncompilable_policy_runs_generic_and_equal(own_policy, result, differences, reason):
    policy, env, results = own_policy(UNCOMPILABLE[reason]), gym.make("FrozenLake-v1"), []
    for loop in ("generic", "auto"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            agent = agents.QLearning(policy=policy)
            log = agent.train(env, episodes=20, seed=5, loop=loop)
        assert log.loop == "generic"
        assert len(log.notes) == (loop == "auto")
        results.append(result(agent, env, log))
    assert differences(*results) == []
    assert agent.visit_counts[:, 1].sum() == agent.visit_counts.sum()


def test_an_uncompilable_policy_warns_once_naming_file_and_line(own_policy):
    body = UNCOMPILABLE["a dict of lists"]
    policy = own_policy(body)
    line = next(
        number
        for number, text in enumerate((HEADER + textwrap.dedent(body)).splitlines(), start=1)
        if "SEEN.setdefault" in text
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        logs = [agents.QLearning(policy=policy).train("FrozenLake-v1", episodes=2, seed=0) for _ in range(3)]
    assert len(caught) == 1
    place = f"{file_of(policy)}:{line}"
    for text in (str(caught[0].message), *(note for log in logs for note in log.notes)):
        assert place in text
        assert "\n" not in text
    assert [len(log.notes) for log in logs] == [1, 1, 1]


def test_the_warning_points_at_the_call_of_train(own_policy):
    policy = own_policy(UNCOMPILABLE["a Python object"])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        agents.QLearning(policy=policy).train("FrozenLake-v1", episodes=2, seed=0)
    assert [warning.filename for warning in caught] == [__file__]


def test_an_uncompilable_policy_is_refused_where_the_compiled_loop_was_asked_for(own_policy):
    policy = own_policy(UNCOMPILABLE["a Python object"])
    with pytest.raises(UnsupportedEnvironmentError, match=rf"^[^\n]*{file_of(policy)}:\d+[^\n]*$"):
        agents.QLearning(policy=policy).train("FrozenLake-v1", episodes=2, seed=0, loop="compiled")


@pytest.mark.parametrize("loop", ["generic", "compiled"])
@pytest.mark.parametrize("agent", [agents.QLearning, agents.Sarsa])
@pytest.mark.parametrize("action", [4, -1, 10**12])
def test_an_action_that_does_not_exist_is_the_policys_failure(own_policy, loop, agent, action):
    body = f"""
    def select(action_values, visit_counts, parameter, rng):
        return {action} if visit_counts.sum() == 2 else 0
    """
    with pytest.raises(PolicyFailureError, match=r"^[^\n]*0 to 3[^\n]*$"):
        agent(policy=own_policy(body)).train("FrozenLake-v1", episodes=20, seed=0, loop=loop)


@pytest.mark.parametrize("loop", ["generic", "compiled"])
def test_a_policy_that_raises_is_the_policys_failure(own_policy, loop):
    body = """
    def select(action_values, visit_counts, parameter, rng):
        if visit_counts.sum() == 2:
            raise ValueError("no idea")
        return 0
    """
    with pytest.raises(PolicyFailureError, match=r"^[^\n]*no idea[^\n]*$"):
        agents.QLearning(policy=own_policy(body)).train("FrozenLake-v1", episodes=20, seed=0, loop=loop)
