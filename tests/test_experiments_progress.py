"""What is shown while an experiment runs: bars on a terminal, lines elsewhere, nothing when quiet or short."""

import io
import os
import re
import subprocess
import sys

import pytest
from rich.cells import cell_len
from rich.console import Console

import velodrome as vd
from velodrome.experiments.running.progress import DelayedProgress, duration_text, rate_text
from velodrome.experiments.running.run_progress import RunProgress, TimeLeft
from velodrome.experiments.running.run_status import AgentStatus, RunStatus

HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
# Environment variables that rich heeds.
SETTINGS = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
CONTROL = re.compile(r"\r|\n|\x1b\[(\??)(\d*)(?:;\d+)*([A-Za-z])")


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Gone(io.StringIO):
    def write(self, text):
        raise OSError(5, "Input/output error")


def console(width=80, height=24, *, terminal=True, file=None, **settings):
    environment = {"TERM": "xterm-256color"} | settings
    return Console(
        file=io.StringIO() if file is None else file,
        force_terminal=terminal,
        width=width,
        height=height,
        color_system="standard" if terminal else None,
        legacy_windows=False,
        _environ=environment,
    )


def status(agents=("random", "q_learning"), finished=0, each=10):
    """`finished` trials of the first agents, agent after agent."""
    counts = {label: AgentStatus(each, min(each, max(0, finished - each * i))) for i, label in enumerate(agents)}
    return RunStatus(total=each * len(agents), finished=finished, agents=counts)


def screen(output):
    """What a terminal shows after `output`: its lines, without trailing spaces and empty lines at the end."""
    lines, row, column, position = [""], 0, 0, 0
    for control in [*CONTROL.finditer(output), None]:
        text = output[position : control.start() if control else None]
        lines[row] = lines[row][:column].ljust(column) + text + lines[row][column + len(text) :]
        column += len(text)
        if control is None:
            break
        position = control.end()
        _, number, command = control.groups()
        if control[0] == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        if control[0] in "\r\n":
            column = 0
        elif command == "A":
            row = max(0, row - int(number or 1))
        elif command == "K":
            lines[row] = ""
    return "\n".join(line.rstrip() for line in lines).rstrip()


def shown(state, *, title="experiment", earlier=None, seconds=2.0, **settings):
    """Lines on the terminal `seconds` after the start."""
    target, clock = console(**settings), Clock()
    with RunProgress(title, console=target, clock=clock) as progress:
        progress(earlier or RunStatus(total=state.total, reused=state.reused))
        clock.now += seconds
        progress(state)
        lines = screen(target.file.getvalue()).split("\n")
    assert screen(target.file.getvalue()) == ""
    return lines


def test_bars_of_the_experiment_and_of_each_agent():
    state = status(finished=14)
    state.agents["q_learning"].failed = state.failed = 3
    state.reused, state.steps = 4, 5_000_000
    title, facts, first, second = shown(state, title="frozenlake")
    assert title.split()[0] == "frozenlake"
    assert title.endswith("14/20")
    assert facts.split(", ") == ["  5.0 trials/s", "2.50 M steps/s", "3 failed", "4 reused"]
    assert first.startswith("  random")
    assert first.endswith("10/10")
    assert second.endswith("4/10  3 failed")
    assert title.index("14/20") == first.index("10/10") == second.index("4/10") - 1


def test_compiling_is_said_as_long_as_it_takes_and_afterwards():
    state = status()
    state.is_compiling, state.compile_seconds = True, 3.2
    assert shown(state, seconds=4)[1] == "  running for 4 s, compiling for 4 s"
    state = status(finished=8)
    state.compile_seconds = 3.2
    assert shown(state)[1] == "  4.0 trials/s, compiling took 4 s"
    state.compile_seconds = 0.4
    assert shown(state)[1] == "  4.0 trials/s"


def test_the_filled_part_is_the_finished_part_and_only_a_finished_bar_is_full():
    long = status(("one", "two"), finished=1999, each=1000)
    _, _, first, second = shown(long, NO_COLOR="1")
    assert first.count("━") == 40
    assert second.count("━") == 39
    assert shown(status(finished=5), NO_COLOR="1")[2].count("━") == 20


def test_trials_under_way_fill_the_bar_by_what_they_have_done():
    state = status(("one", "two"), finished=0, each=2)
    state.agents["one"].under_way = state.under_way = 1.0
    title, _, first, second = shown(state, NO_COLOR="1")
    assert [line.count("━") for line in (title, first, second)] == [10, 20, 0]
    assert first.endswith("0/2")
    # Done but not evaluated: not full.
    state.agents["one"].under_way = state.under_way = 2.0
    assert shown(state, NO_COLOR="1")[2].count("━") == 39


@pytest.mark.parametrize(
    "agent",
    ["q_learning", pytest.param("progress_agents:Slow", id="a process")],
)
def test_a_long_trial_says_how_far_it_has_come(agent, monkeypatch, tmp_path):
    file = tmp_path / "progress_agents.py"
    file.write_text(SLOW)
    monkeypatch.syspath_prepend(tmp_path)
    # Compiled trials take a few seconds in all; those of the other agent sleep as long.
    budget = {"episodes": 40} if ":" in agent else {"steps": 40_000_000}
    seen = []

    def look(state):
        seen.append((state.under_way, state.agents["it"].under_way))

    vd.compare({"it": agent}, "FrozenLake-v1", seeds=1, workers=2, progress=look, **budget)
    shares = [share for share, of_agent in seen if share == of_agent and share]
    assert shares
    assert shares == sorted(shares)
    assert shares[-1] <= 1
    assert seen[-1] == (0, 0)


SLOW = """
import time
import velodrome as vd


class Slow(vd.Agent):
    def begin(self, observation_space, action_space, rng):
        self.rng = rng

    def act(self, observation, *, explore=False):
        return 0

    def learn(self, observation, action, reward, next_observation, terminated, truncated):
        if terminated or truncated:
            time.sleep(0.025)
"""


def test_failures_are_red():
    state = status(finished=3)
    state.failed = 1
    target, clock = console(), Clock()
    with RunProgress("x", console=target, clock=clock) as progress:
        progress(RunStatus())
        clock.now += 2
        progress(state)
    assert "\x1b[31m1 failed\x1b[0m" in target.file.getvalue()


def test_no_color_is_respected():
    target, clock = console(NO_COLOR="1"), Clock()
    state = status(finished=3)
    state.failed = 1
    with RunProgress("x", console=target, clock=clock) as progress:
        progress(RunStatus())
        clock.now += 2
        progress(state)
    assert "1 failed" in target.file.getvalue()
    assert not re.search(r"\x1b\[[\d;]*3\dm", target.file.getvalue())


def test_nothing_appears_within_the_first_second():
    target, clock = console(), Clock()
    with RunProgress("x", console=target, clock=clock) as progress:
        for finished in range(10):
            progress(status(finished=finished))
            clock.now += 0.09
    assert target.file.getvalue() == ""


@pytest.mark.parametrize("terminal", [True, False])
def test_quiet_shows_nothing(terminal):
    target, clock = console(terminal=terminal), Clock()
    with RunProgress("x", quiet=True, console=target, clock=clock) as progress:
        for finished in range(20):
            progress(status(finished=finished))
            clock.now += 10
    assert target.file.getvalue() == ""


def test_an_interrupt_leaves_a_clean_terminal_and_passes():
    target, clock = console(), Clock()

    def interrupted():
        with RunProgress("x", console=target, clock=clock) as progress:
            progress(status())
            clock.now += 2
            progress(status(finished=3))
            assert "3/20" in screen(target.file.getvalue())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert screen(target.file.getvalue()) == ""
    assert target.file.getvalue().rindex(SHOW_CURSOR) > target.file.getvalue().rindex(HIDE_CURSOR)


def test_nothing_is_drawn_after_the_end():
    target, clock = console(), Clock()
    with RunProgress("x", console=target, clock=clock) as progress:
        progress(status())
        clock.now += 2
        progress(status(finished=3))
    before = target.file.getvalue()
    clock.now += 2
    progress(status(finished=4))
    assert target.file.getvalue() == before


@pytest.mark.parametrize("width", [1, 2, 5, 10, 20, 30, 40, 60, 80, 200])
@pytest.mark.parametrize("height", [1, 2, 4, 24])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_every_terminal_is_wide_and_high_enough(width, height, encoding):
    labels = ["입실론 그리디 정책을 따르는 큐 러닝 에이전트", "[bold]x[/bold]", "a\nb\x1b[2J\t", *map(str, range(20))]
    state = status(labels, finished=25)
    state.failed = state.agents["0"].failed = 3
    state.steps, state.reused = 10**9, 5
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="")
    target, clock = console(width, height, file=file), Clock()
    with RunProgress("한국어 [red]실험[/] 이름", console=target, clock=clock) as progress:
        progress(RunStatus(reused=5))
        clock.now += 2
        progress(state)
        clock.now += 2
        progress(state)
        file.flush()
        drawn = file.buffer.getvalue().decode(encoding)
    lines = screen(drawn).split("\n")
    assert lines[0] != "" or width < 3
    assert len(lines) <= max(1, height - 1)
    assert max(map(cell_len, lines)) <= max(1, width - 2)
    assert "\x1b[2J" not in drawn


def test_markup_and_wide_characters_are_shown_as_they_are_and_stay_in_columns():
    state = status(["[bold]큐[/bold]", "[/]", ":smile:", "%s {x}"], finished=17)
    lines = shown(state, title="[red]실험[/]")
    assert lines[0].startswith("[red]실험[/]")
    assert [line.split("━")[0].strip() for line in lines[2:]] == ["[bold]큐[/bold]", "[/]", ":smile:", "%s {x}"]
    assert len({cell_len(line) for line in lines[2:]}) == 1


def test_a_narrow_terminal_keeps_what_matters_most():
    state = status(["an agent with quite a long label", "short"], finished=12)
    state.failed, state.steps, state.reused = 2, 10**9, 1
    title, facts, first, _ = shown(state, title="frozenlake-exploration", width=40)
    assert title.startswith("frozenlake-…")
    assert title.endswith("12/20")
    assert facts == "  5.5 trials/s, 2 failed"
    assert first.startswith("  an agent …")
    assert "━" in first


@pytest.mark.parametrize(("num_agents", "height", "rows"), [(20, 24, 20), (40, 50, 20), (20, 14, 10), (9, 6, 2)])
def test_where_not_all_agents_fit_the_unfinished_ones_are_shown(num_agents, height, rows):
    state = status([f"agent-{i}" for i in range(num_agents)], finished=15, each=5)
    lines = shown(state, height=height)[2:]
    assert len(lines) == rows
    if num_agents == rows:
        assert lines[0].startswith("  agent-0 ")
    else:
        assert lines[0].startswith("  agent-3 ")
        assert lines[-1] == f"  and {num_agents - rows + 1} more agents, 3 of them finished"


def test_agents_under_way_come_before_those_that_wait():
    state = status([f"agent-{i}" for i in range(30)])
    state.agents["agent-29"].finished = state.finished = 1
    lines = shown(state, height=8)
    assert [line.split()[0] for line in lines[2:-1]] == ["agent-0", "agent-1", "agent-29"]


def test_one_agent_needs_no_bar_of_its_own():
    assert len(shown(status(["only"], finished=3))) == 2


def test_an_experiment_without_trials_can_be_shown():
    assert shown(RunStatus())[0].endswith("0/0")


def lines_elsewhere(seconds, **last):
    """What is written where no terminal is, called every half second while a trial a second ends."""
    target, clock = console(terminal=False), Clock()
    with RunProgress("x", console=target, clock=clock) as progress:
        for half in range(2 * seconds + 1):
            state = status(finished=half // 2, each=105)
            vars(state).update(last)
            progress(state)
            clock.now += 0.5
    return target.file.getvalue().splitlines()


def test_elsewhere_a_line_after_five_seconds_and_then_every_ten():
    assert lines_elsewhere(26, failed=2) == [
        "velodrome: 5 of 210 trials (2 %), 1.0 trials/s, 3 min 25 s left, 2 failed",
        "velodrome: 15 of 210 trials (7 %), 1.0 trials/s, 3 min 15 s left, 2 failed",
        "velodrome: 25 of 210 trials (11 %), 1.0 trials/s, 3 min 05 s left, 2 failed",
    ]


def test_elsewhere_short_runs_write_nothing():
    assert lines_elsewhere(4) == []


def test_before_the_first_trial_ends_the_time_is_told():
    target, clock = console(terminal=False), Clock()
    with RunProgress("x", console=target, clock=clock) as progress:
        progress(status())
        clock.now += 75
        progress(status())
    assert target.file.getvalue() == "velodrome: 0 of 20 trials (0 %), running for 1 min 15 s\n"


@pytest.mark.parametrize("terminal", [True, False])
def test_a_terminal_that_was_closed_does_not_end_the_experiment(terminal):
    target, clock = console(terminal=terminal, file=Gone()), Clock()
    with RunProgress("x", console=target, clock=clock) as progress:
        for finished in range(5):
            progress(status(finished=finished))
            clock.now += 6
    assert finished == 4


def test_it_is_drawn_at_most_ten_times_a_second_however_often_it_is_called():
    target, clock = console(), Clock()
    with RunProgress("x", console=target, clock=clock) as progress:
        for finished in range(10_000):
            progress(status(finished=finished, each=5_000))
            clock.now += 1 / 2_000
        drawn = target.file.getvalue().count("/10,000")
    assert 4 <= drawn <= 40


def simulated(durations, workers=1, every=0.25):
    """(true, estimated) seconds left at each look, for trials (agent, seconds) that `workers` take in turn."""
    free, ends = [0.0] * workers, []
    for agent, seconds in durations:
        free.sort()
        free[0] += seconds
        ends.append((free[0], agent))
    ends.sort()
    labels = list(dict.fromkeys(agent for agent, _ in durations))
    state = RunStatus(len(ends), agents={label: AgentStatus(sum(a == label for a, _ in durations)) for label in labels})
    estimate, now, looks = TimeLeft(), 0.0, []
    while ends:
        while ends and ends[0][0] <= now:
            state.agents[ends.pop(0)[1]].finished += 1
            state.finished += 1
        looks.append(((ends[-1][0] - now) if ends else 0.0, estimate.update(state, now)))
        now += every
    return looks


@pytest.mark.parametrize(("seconds", "workers"), [(0.01, 1), (0.6, 2), (60.0, 1), (60.0, 8)])
def test_time_left_of_equal_trials(seconds, workers):
    looks = simulated([("a", seconds)] * (2000 if seconds < 0.1 else 64), workers)
    assert looks[0][1] is None
    assert all(
        estimate == pytest.approx(true, rel=0.3, abs=1.1 * seconds)
        for true, estimate in looks[len(looks) // 3 :]
        if true > 0
    )


def test_time_left_knows_the_agents_that_are_still_to_come():
    looks = simulated(([("fast", 0.01)] * 100 + [("slow", 1.0)] * 50) * 2)
    # While the second environment's fast trials end.
    true, estimate = next(look for look in looks if look[0] < 50.9)
    assert estimate == pytest.approx(true, rel=0.05)


def test_a_slow_start_is_not_taken_for_the_speed_of_all():
    looks = simulated([("first", 10.0)] + [(label, 0.02) for label in "abcdefgh" for _ in range(100)])
    true, estimate = next(look for look in looks if look[0] < 12)
    assert estimate == pytest.approx(true, rel=0.1)


def test_time_left_grows_while_a_trial_outlasts_all_others():
    looks = simulated([("fast", 0.1)] * 50 + [("slow", 40.0)] * 2)
    waits = [estimate for true, estimate in looks if 50 < true < 70]
    assert waits == sorted(waits)
    assert waits[0] > 5


def test_reused_trials_tell_nothing_about_the_time_left():
    estimate, state = TimeLeft(), status(finished=0, each=100)
    estimate.update(state, 0.0)
    state.agents["random"].finished, state.finished, state.reused = 80, 80, 80
    assert estimate.update(state, 1.0) is None
    for second in range(2, 12):
        state.agents["random"].finished += 1
        left = estimate.update(state, float(second))
    assert left == pytest.approx(110)


def test_no_time_left_is_claimed_before_compiling_is_over():
    estimate, state = TimeLeft(), status(finished=0, each=100)
    for second in range(10):
        state.agents["random"].finished, state.is_compiling = second, second < 8
        left = estimate.update(state, float(second))
        assert (left is None) == (second < 8)


def test_nothing_is_left_at_the_end():
    assert simulated([("a", 1.0)] * 5)[-1] == (0.0, None)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "1 s"),
        (2.1, "3 s"),
        (59.5, "1 min 00 s"),
        (125, "2 min 05 s"),
        (3599.5, "1 h 00 min"),
        (4320, "1 h 12 min"),
        (86_399, "1 d 0 h"),
        (273_600, "3 d 4 h"),
    ],
)
def test_durations(seconds, text):
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("count", "seconds", "text"),
    [
        (348, 10, "34.8 trials/s"),
        (12_345, 10, "1,234 trials/s"),
        (2_400_000, 2, "1.20 M trials/s"),
        (4, 60, "4.0 trials/min"),
        (4, 3600, "4.0 trials/h"),
        (0, 3, "0.0 trials/s"),
        (1, 0, "0.0 trials/s"),
    ],
)
def test_rates(count, seconds, text):
    assert rate_text(count, seconds, "trials") == text


class Terminal(io.StringIO):
    def isatty(self):
        return True


def replace_stderr(monkeypatch, stream, **settings):
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm-256color", **settings}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


def test_the_bar_of_one_trial_shows_its_agent_as_written_and_is_erased(monkeypatch):
    terminal = replace_stderr(monkeypatch, Terminal(), COLUMNS="100")
    with DelayedProgress("q_learning[/]", "episodes") as progress:
        progress.update(1, 40)
        assert terminal.getvalue() == ""
        progress.started -= 10
        progress.update(20, 40, steps=3_000_000)
    assert "q_learning[/]" in terminal.getvalue()
    assert "20/40" in terminal.getvalue()
    assert "2.0 episodes/s, 0.30 M steps/s" in terminal.getvalue()
    assert screen(terminal.getvalue()) == ""


def test_the_bar_of_one_trial_stays_out_of_a_log_file(monkeypatch):
    log = replace_stderr(monkeypatch, io.StringIO(), FORCE_COLOR="1")
    with DelayedProgress("q_learning", "episodes") as progress:
        progress.started -= 10
        progress.update(20, 40)
    assert log.getvalue() == ""


CHILD = """
import sys
import velodrome.experiments.running.run_progress as module
from velodrome.experiments.running.run_status import AgentStatus, RunStatus

assert "rich" not in sys.modules, "importing the display must not import rich"
now = 0.0
progress = module.RunProgress("frozenlake", clock=lambda: now)
try:
    with progress:
        progress(RunStatus(total=20))
        now = 6.0
        progress(RunStatus(20, 14, agents={"큐 러닝": AgentStatus(10, 10), "[bold]random": AgentStatus(10, 4)}))
        if sys.stderr.isatty():
            print("a warning", file=sys.stderr)
            print("printed")
            raise KeyboardInterrupt
except KeyboardInterrupt:
    pass
"""


def start_child(stderr, **settings):
    environment = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    environment |= {"TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"} | settings
    return subprocess.Popen([sys.executable, "-c", CHILD], env=environment, stdout=subprocess.PIPE, stderr=stderr)


def test_force_color_does_not_animate_a_log_file():
    child = start_child(subprocess.PIPE, FORCE_COLOR="1")
    output, errors = child.communicate(timeout=60)
    assert (child.returncode, output) == (0, b"")
    assert errors.decode().splitlines() == ["velodrome: 14 of 20 trials (70 %), 2.3 trials/s"]


def test_a_real_terminal_shows_the_bars_and_is_clean_after_an_interrupt():
    pty, termios = pytest.importorskip("pty"), pytest.importorskip("termios")
    terminal, end = pty.openpty()
    termios.tcsetwinsize(end, (24, 60))
    child = start_child(end)
    os.close(end)
    received = b""
    try:
        while more := os.read(terminal, 4096):
            received += more
    except OSError:
        # The child has closed its end.
        pass
    finally:
        os.close(terminal)
    piped, _ = child.communicate(timeout=60)
    output = received.decode()
    assert child.returncode == 0, output
    assert piped == b"printed\n"
    warning, title, facts, first, second = screen(output[: output.rindex(SHOW_CURSOR)]).split("\n")
    assert warning == "a warning"
    assert title.startswith("frozenlake ")
    assert title.endswith("14/20")
    assert facts == "  2.3 trials/s"
    assert first.startswith("  큐 러닝 ")
    assert first.endswith("10/10")
    assert second.startswith("  [bold]random ")
    assert screen(output) == "a warning"
