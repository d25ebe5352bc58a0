"""Submissions that misbehave are told so in a line, and harm nothing."""

import os
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

import velodrome as vd
from velodrome.experiments.grading import Assignment, Grade, Grader, submission_run

LAKE = "FrozenLake-v1(is_slippery=False)"
RIGHT = "policy = [1, 2, 1, 0, 1, 0, 1, 0, 2, 1, 1, 0, 0, 2, 2, 0]\n"
LIMITS = {"seconds": 20.0, "memory": "300MB", "output": 1000, "file_size": "1MB"}


def graded(source: str, *, is_confined: bool = True, **fields: object) -> Grade:
    assignment = {"name": "hostile", "environment": LAKE, "kind": "policy", "limits": LIMITS} | fields
    return Grader(Assignment.of(assignment), is_confined=is_confined).grade_source(source.encode())


def halves(cases: list[tuple[str, str]]) -> list[object]:
    """Every second case, and the others as slow ones: each needs a process."""
    return [pytest.param(*case, marks=[pytest.mark.slow] if place % 2 else []) for place, case in enumerate(cases)]


def said(grade: Grade) -> str:
    question = next(iter(grade.questions.values()))
    return " | ".join(map(str, (*question.mistakes, *question.remarks)))


@pytest.fixture(params=[True, False], ids=["kernel and hook", "hook alone"])
def is_confined(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


UNGRADED = [
    ("import sys\nsys.exit()", "line 2: it called sys.exit, which ends a program"),
    ("import os\nos._exit(0)", "it ended its process itself, such as by os._exit"),
    ("policy = [0] * 15", "policy must have the shape (16,) or (16, 4), got (15,)"),
    ("policy = [0.5] * 16", "policy must hold actions, whole numbers, got 0.5 in state 0"),
    ("policy = [4] * 16", "policy must hold actions from 0 to 3, got 4 in state 0"),
    ("policy = [float('nan')] * 16", "policy holds nan at [0]"),
    ("policy = [[1, 1, 0, 0]] * 16", "policy must hold probabilities that sum to 1 in each state, got [1, 1,"),
    ("policy = 'right'", "policy must be an array of numbers, got str"),
    ("import numpy\npolicy = numpy.zeros((10**4, 10**3))", "must have the shape (16,) or (16, 4), got (10000, 1000)"),
    ("import numpy\npolicy = numpy.zeros(16, dtype=complex)", "of numbers, got an array of complex128"),
    ("policy = [[0], [1, 2]]", "policy must be an array of numbers, got list"),
    ("Policy = 3", "there is no policy in the submission: did you mean 'Policy'?"),
    ("x = 1\nx / 0", "line 2: ZeroDivisionError: division by zero"),
    ("x = (", "line 1: SyntaxError: '(' was never closed"),
    ("def policy(state):\n    return policy(state)", "line 2: RecursionError: maximum recursion depth exceeded"),
    ("import random\ndef policy(state):\n    return random.randrange(4)", "policy gave different actions when"),
    ("class Own:\n    def __array__(self, *a, **k):\n        return 3\npolicy = Own()", "policy must be an array"),
    ("class Own(list):\n    def __len__(self):\n        return 2**62\npolicy = Own()", "policy must"),
    ("class Own:\n    def __array__(self, *a, **k):\n        exit()\npolicy = Own()", "line 3: "),
    ("class Own(Exception):\n    def __str__(self):\n        raise ValueError\nraise Own", "line 4: Own"),
    ("import numpy\nkept = numpy.zeros(10**8)", "line 2: it needs more memory than 300 MB"),
    ("import os\nos.abort()", "its process was ended by the signal SIG"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "told"), halves(UNGRADED))
def test_what_cannot_be_graded_is_told_in_a_line_with_its_place(source: str, told: str) -> None:
    grade = graded(source)
    assert told in said(grade)
    assert "\n" not in said(grade)
    assert grade.points == 0.0


# What is tried, and what is told of it.
REFUSED = {
    "open({secret!r})": "reading {secret}",
    "pathlib.Path({other!r}).read_text()": "reading {other}",
    "numpy.load({folder!r} + '/no.npz')": "reading {folder}/no.npz",
    "os.listdir({folder!r})": "reading {folder}",
    "os.chdir('..')": "reading {above}",
    "os.symlink({secret!r}, 'mine')": "writing to {secret}",
    "os.remove({other!r})": "writing to {other}",
    "open({folder!r} + '/new', 'w')": "writing to {folder}/new",
    "os.fork()": "starting another process",
    "os.kill(os.getppid(), 9)": "sending signals",
    "socket.socket()": "using the network",
    "ctypes.CDLL(None)": "calling ctypes.dlopen",
    "resource.setrlimit(resource.RLIMIT_CPU, (9, 9))": "changing limits",
    "import velodrome": "importing velodrome",
}
ALSO_PROCESSES = ("os.system('true')", "subprocess.run(['true'])", "os.execv('/bin/true', ['true'])")


def test_what_is_refused_is_told_even_where_it_is_caught(is_confined: bool, tmp_path: Path) -> None:
    secret, other = tmp_path / "answers.txt", tmp_path / "other.txt"
    for file in (secret, other):
        file.write_text("the answer")
    names = {
        "secret": str(secret), "other": str(other), "folder": str(tmp_path),
        "above": os.path.realpath(tempfile.gettempdir()),
    }  # fmt: skip
    source = "import ctypes, numpy, os, pathlib, resource, socket, subprocess\n"
    expected = []
    for tried, told in REFUSED.items():
        source += "try:\n"
        expected.append(f"line {source.count(chr(10)) + 1}: {told.format(**names)} was refused")
        source += f"    {tried.format(**names)}\nexcept OSError:\n    pass\n"
    for tried in ALSO_PROCESSES:
        source += f"try:\n    {tried}\n    raise SystemExit\nexcept OSError:\n    pass\n"
    grade = graded(source + RIGHT, is_confined=is_confined)
    assert said(grade).split(" | ")[: len(expected)] == expected
    assert grade.points == grade.of
    assert sorted(tmp_path.iterdir()) == [secret, other]
    assert "reading" in said(graded(f"print(open({str(secret)!r}).read())", is_confined=is_confined))


def test_a_submission_that_reads_another_ones_path_through_patched_functions_is_refused(
    is_confined: bool, tmp_path: Path
) -> None:
    secret = tmp_path / "answers.txt"
    secret.write_text("the answer")
    source = (
        "import os, posixpath, sys\nhere = os.getcwd()\nposixpath.realpath = os.path.realpath = lambda *a, **k: here\n"
        "os.lstat = os.fspath = lambda *a, **k: here\nsys._getframe = None\n"
        f"policy = [len(open({str(secret)!r}).read())] * 16"
    )
    assert "reading" in said(graded(source, is_confined=is_confined))


def test_a_loop_is_ended(is_confined: bool) -> None:
    limits = LIMITS | {"seconds": 1.0}
    sources = {
        True: ("while True: pass", "it took more than 1 seconds of computing"),
        False: ("import threading\nthreading.Event().wait()", "it slept or waited for 1 seconds without computing"),
    }
    source, told = sources[is_confined]
    assert said(graded(source, limits=limits, is_confined=is_confined)) == told


def test_a_machine_that_is_too_busy_is_told_and_not_the_submission(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submission_run, "_SPARE_TIMES", 0.0)
    monkeypatch.setattr(submission_run, "_SPARE_SECONDS", 0.5)
    monkeypatch.setattr(submission_run, "_LOOK_SECONDS", 0.001)
    assert "or the grader's machine was too busy" in said(graded("while True: pass"))
    # Before anything of it has run, nothing is said of the submission.
    monkeypatch.setattr(submission_run, "_START_SECONDS", 0.0)
    with pytest.raises(vd.VelodromeError, match="no submission could be started within 0 seconds"):
        graded(RIGHT)


@pytest.mark.slow
def test_signals_of_the_time_limit_cannot_be_ignored() -> None:
    source = "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass"
    limits = LIMITS | {"seconds": 1.0}
    assert said(graded(source, limits=limits)) == "it took more than 1 seconds of computing"


def test_a_gigabyte_of_output_is_cut_and_told() -> None:
    grade = graded("line = 'x' * 999_999\nfor _ in range(1000): print(line)\n" + RIGHT)
    assert said(grade) == "it printed 1,000,000,000 bytes, of which the first 1,000 are kept"
    assert grade.questions["policy"].output == "x" * 1000
    assert grade.points == grade.of


def test_threads_that_never_end_and_functions_at_exit_do_not_matter() -> None:
    source = (
        "import atexit, threading, time, signal\n"
        "def stay():\n    while True: time.sleep(1)\n"
        "threading.Thread(target=stay).start()\natexit.register(stay)\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    )
    started = time.monotonic()
    grade = graded(source + RIGHT)
    assert grade.points == grade.of
    assert time.monotonic() - started < LIMITS["seconds"]  # type: ignore[operator]


def without_hook(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let submissions run as those that have got round the hook of Python, such as by code of their own in C."""
    place = Path(submission_run.__file__).parent
    for name in ("student_process.py", "confinement.py"):
        text = (place / name).read_text()
        (folder / name).write_text(text.replace("sys.addaudithook(hook)", "pass"))
    monkeypatch.setattr(submission_run, "_SCRIPT", folder / "student_process.py")


@pytest.mark.skipif(sys.platform != "linux", reason="other kernels refuse nothing")
def test_the_kernel_refuses_what_gets_round_the_hook(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without_hook(monkeypatch, tmp_path)
    source = (
        "import ctypes, os, socket, subprocess\n"
        "def is_refused(what, *given):\n    try:\n        what(*given)\n    except OSError:\n        return True\n"
        f"tried = [(open, {str(Path(__file__))!r}), (os.fork,), (os.listdir, '/'), (socket.socket,),\n"
        "    (os.kill, os.getppid(), 0), (os.execv, '/bin/true', ['true']), (subprocess.run, ['true']),\n"
        "    (open, '/proc/%d/environ' % os.getppid()), (os.mkdir, '/tmp/made'), (os.setpriority, 0, 0, 0)]\n"
        "print([one for one in tried if not is_refused(*one)])\n"
        "print(ctypes.CDLL(None).fork(), ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0))\n"
        "import threading\nthreading.Thread(target=print, args=('a thread',)).start()\n"
    )
    question = graded(source + RIGHT).questions["policy"]
    assert question.output.splitlines() == ["[]", "-1 -1", "a thread"]
    assert question.points == question.of


def test_processes_that_get_round_hook_and_kernel_are_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without_hook(monkeypatch, tmp_path)
    source = (
        "import os, time\nfor _ in range(5):\n    if os.fork() == 0:\n        os.setsid()\n        if os.fork() == 0:\n"
        "            time.sleep(100)\n        os._exit(0)\n    os.wait()\nprint(os.getcwd())\n"
    )
    question = graded(source + RIGHT, is_confined=False).questions["policy"]
    folder = question.output.strip()
    assert question.points == question.of
    left = [one for one in psutil.process_iter(["environ"]) if (one.info["environ"] or {}).get("HOME") == folder]
    assert not left
    assert not Path(folder).exists()


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import os\nfor fd in range(3, 200):\n    try: os.close(fd)\n    except OSError: pass\n", "it "),
        ("import os\nfor fd in range(3, 200):\n    try: os.write(fd, b'forged' * 100)\n    except OSError: pass\n",
         "it wrote to the grader's connection itself"),
        ("import os, struct\ntext = b'{\"shape\": [16], \"claim\": 1}\\0' + bytes(64)\nfor fd in range(3, 200):\n"
         "    try: os.write(fd, b'D' + struct.pack('<I', len(text)) + text)\n    except OSError: pass\n",
         "it wrote to the grader's connection itself"),
        ("import os, struct\nfor fd in range(3, 200):\n    try: os.write(fd, b'D' + struct.pack('<I', 2**32 - 1))\n"
         "    except OSError: pass\n", "it wrote to the grader's connection itself"),
    ],
)  # fmt: skip
def test_what_it_writes_to_the_connection_gives_nothing(source: str, told: str) -> None:
    grade = graded(source + RIGHT)
    assert said(grade).startswith(told)
    assert grade.points == 0.0


def test_its_environment_holds_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hidden")
    source = "import os\nassert 'SECRET_TOKEN' not in os.environ\nassert os.listdir('.') == ['submission.py']\n"
    assert said(graded(source + RIGHT)) == ""


def test_files_stay_small_and_few() -> None:
    big = "with open('big', 'wb') as file:\n    file.write(bytes(2_000_000))\n"
    assert "OSError: [Errno 27] File too large" in said(graded(big))
    many = "for name in range(200):\n    open(str(name), 'w').close()\n"
    assert "writing more than 100 files was refused" in said(graded(many))


def test_changing_the_modules_of_the_grader_changes_no_score() -> None:
    source = (
        "import numpy as np, json, sys, builtins\n"
        'json.dumps = lambda *a, **k: \'{"shape": [16], "claim": 1.0}\'\n'
        "np.asarray = np.array = lambda *a, **k: 1.0\n"
        "main = sys.modules['__main__']\nmain.as_numbers = lambda *a: (_ for _ in ()).throw(SystemExit)\n"
        "score = 1.0\npolicy = [0] * 16\n"
    )
    grade = graded(source)
    assert grade.points == 0.0
    assert "\n" not in said(grade)


LEARNER = {"kind": "learner", "episodes": 20, "seeds": [0]}


MET = [
    ("def learn(env, episodes, seed):\n    return env.unwrapped.P", "line 2: AttributeError"),
    ("import gymnasium\ngymnasium.make('FrozenLake-v1')",
     "line 2: importing gymnasium.envs.toy_text.blackjack was refused"),
    ("def learn(env, episodes, seed):\n    env.step(0)", "line 2: ValueError: call env.reset() before the first"),
    ("def learn(env, episodes, seed):\n    env.reset()\n    env.step(1.5)",
     "line 3: ValueError: an action is a whole number from 0 to 3, got 1.5"),
    ("def learn(env, episodes, seed):\n    env.reset()\n    env.step(7)",
     "line 3: ValueError: an action is a whole number from 0 to 3, got 7"),
    ("def learn(env, episodes, seed):\n    env.reset()\n    while True: env.step(0)",
     "line 3: ValueError: the episode has ended: call env.reset()"),
    ("def learn(env, episodes):\n    pass", "TypeError: learn() takes 2 positional arguments but 3 were given"),
    ("def learn(env, episodes, seed):\n    pass", "learn() must be an array of numbers, got NoneType"),
    ("def learn(env, episodes, seed):\n    class Env(type(env)): pass\n    env.__class__ = Env\n"
     "    env.step = lambda action: (15, 1e9, True, False, {})\n    env.step(0)\n    return [[1e9] * 4] * 15",
     "learn() must have the shape"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "told"), halves(MET))
def test_learners_meet_the_environment_through_the_grader_alone(source: str, told: str) -> None:
    assert told in said(graded(source, **LEARNER))


def test_a_flood_of_requests_is_ended() -> None:
    source = (
        "import os, struct\ndef learn(env, episodes, seed):\n    env.reset()\n    while True:\n"
        "        for fd in range(3, 200):\n            try: os.write(fd, (b'S' + struct.pack('<Iq', 8, 0)) * 100)\n"
        "            except OSError: pass\n"
    )
    grade = graded(source, **LEARNER, limits=LIMITS | {"seconds": 2.0})
    assert grade.points == 0.0
    assert said(grade)
