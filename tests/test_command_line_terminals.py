"""Texts from outside command no terminal, spreadsheet or page; tables fit every width; what is full is one line."""

import io
import json
import re
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import gymnasium as gym
import pandas as pd
import pytest
from hypothesis import given, strategies as st
from rich.cells import cell_len
from rich.live import Live
from rich.text import Text

import velodrome as vd
from velodrome.experiments.cli.application import main
from velodrome.experiments.cli.render import play
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.reporting.report import report_html
from velodrome.experiments.reporting.tables import format_table, terminal_table
from velodrome.experiments.reporting.terminal import Terminal
from velodrome.experiments.texts import is_printable, visible, visible_json, visible_line

# Clears the screen, renames the window, rings, and does the same for terminals that read eight bits.
EVIL = "\x1b[2J\x1b]0;owned\x07\x9b31m"
SHOWN = r"\x1b[2J\x1b]0;owned\x07\x9b31m"
COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]")


class Shouting(gym.Env):
    """Its errors command terminals."""

    observation_space = action_space = gym.spaces.Discrete(2)
    said = f"boom {EVIL} <script>alert(1)</script> | `end`"

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return 0, {}

    def step(self, action):
        raise ValueError(self.said)

    def render(self):
        return f"\x1b[41mred\x1b[0m\n{EVIL}"


class Drawn(Shouting):
    """Ends at once, and draws what commands terminals."""

    def step(self, action):
        return 0, 1.0, True, False, {}


def _mixed(directory=None, **labels):
    """One agent that works and one that cannot, on an environment that fails and one that does not."""
    agents = {"a random agent with a very long name": "random"} | labels
    environments = {"lake": "FrozenLake-v1", "shouting": Shouting}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return vd.compare(agents, environments, episodes=5, seeds=3, workers=0, out=directory)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    directory = tmp_path_factory.mktemp("store")
    _mixed(
        directory,
        **{
            "<b>x</b> | `y` *z*": {"agent": "value_iteration", "environments": ["lake"]},
            "=1+1": "random",
            "-0.5": "random",
        },
    )
    return directory


@pytest.fixture(scope="module")
def results(folder):
    return vd.Results.load(folder)


@given(st.text())
def test_what_is_shown_commands_nothing_and_the_rest_stays(text):
    assert not COMMANDS.search(visible(text))
    assert "\n" not in visible_line(text)
    assert is_printable(visible_line(text)) or re.search("[\ud800-\udfff]", text)
    assert visible(visible(text)) == visible(text)
    if is_printable(text):
        assert visible_line(text) == text
    assert json.loads(visible_json(json.dumps(text, ensure_ascii=False))) == text


@pytest.mark.parametrize("words", ["table", "markdown", "latex", "csv", "json", "verify", "repair"])
def test_stored_error_texts_command_no_terminal(folder, words, capsys):
    arguments = {"table": ["table"], "verify": ["verify", "--workers", "0"], "repair": ["repair"]}
    main([*arguments.get(words, ["table", "--format", words]), str(folder)])
    printed = capsys.readouterr()
    assert not COMMANDS.search(printed.out + printed.err)
    if words == "table":
        assert SHOWN in printed.out.replace("\n", "")
    if words == "json":
        assert any(EVIL in note for note in json.loads(printed.out)["notes"])


@pytest.mark.parametrize("words", [["run", f"random{EVIL}", "FrozenLake-v1", "--episodes", "5"], [f"--{EVIL}"]])
def test_error_lines_show_what_was_given_and_obey_nothing(words, capsys):
    assert main(words) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("velodrome: ")
    assert "x1b" in printed.err
    assert not COMMANDS.search(printed.out + printed.err)


def test_warnings_obey_nothing(capsys, monkeypatch):
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    assert main(["list", "agents"]) == 0
    warnings.showwarning(UserWarning(EVIL), UserWarning, "here.py", 1)
    assert capsys.readouterr().err == f"velodrome: warning: {SHOWN}\n"


def test_own_colours_and_the_cursor_of_the_progress_display_stay():
    stream = io.StringIO()
    terminal = Terminal(file=stream, force_terminal=True, color_system="truecolor", width=80, _environ={})
    with Live(Text("bar"), console=terminal, auto_refresh=False, transient=True) as live:
        terminal.print(Text(EVIL, style="red"))
        live.update(Text(f"label {EVIL}"), refresh=True)
    written = stream.getvalue()
    assert "\x1b[31m" in written
    assert "\x1b[?25l" in written
    assert "\x1b[2K" in written
    assert "\x1b[2J" not in written
    assert "\x1b]" not in written
    assert "\x9b" not in written


def test_frames_may_choose_colours_alone():
    stream = io.StringIO()
    lake = vd.run("random", "FrozenLake-v1", episodes=1)
    configuration = SimpleNamespace(make=lambda **_: Drawn())
    play(lake.trained, configuration, "ansi", 0, stream)
    assert stream.getvalue().startswith(f"\x1b[41mred\x1b[0m\n{SHOWN}\n")


@pytest.mark.parametrize("label", ["a\x1b[31m", "two\nlines", "bell\x07", "right\u202eleft", "c1\x9b"])
def test_labels_and_names_that_command_terminals_are_refused_in_one_line(label):
    given = {"episodes": 5, "seeds": 2}
    for agents, environments, name in (
        ({label: "random"}, "FrozenLake-v1", "x"),
        ("random", {label: "FrozenLake-v1"}, "x"),
        ("random", "FrozenLake-v1", label),
    ):
        with pytest.raises(ExperimentError, match=r"must be one line of (visible )?text.*, got '") as refused:
            vd.compare(agents, environments, name=name, **given)
        assert is_printable(str(refused.value))
    with pytest.raises(ExperimentError, match="must be one line of visible text, got"):
        vd.compare(None, "FrozenLake-v1", policies={label: "greedy"}, **given)


def test_labels_in_other_scripts_are_welcome():
    results = vd.compare(
        {"우연 · …": "random", "👩‍🔬 ε_100%": "random"}, "FrozenLake-v1", episodes=2, seeds=2, workers=0
    )
    assert results.agents == ["우연 · …", "👩‍🔬 ε_100%"]


@pytest.mark.parametrize("given_width", ["0", "-5", "", "wide", "1", "7", "999999999", "9" * 5000, "²"])
@pytest.mark.parametrize("words", [["table"], ["--help"]])
def test_every_width_that_is_given_prints_all(folder, given_width, words, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", given_width)
    assert main([*words, str(folder)] if words == ["table"] else words) == 0
    printed = capsys.readouterr().out
    assert len(printed.split()) > 50
    widest = max(map(cell_len, printed.splitlines()))
    # The help of a program that has printed some already keeps its width.
    assert widest <= (20 if given_width in ("1", "7") and words == ["table"] else 80)


@pytest.mark.parametrize("width", [8, 10, 20, 30, 40, 60])
def test_agents_keep_their_names_however_narrow_the_terminal(results, width):
    stream = io.StringIO()
    terminal = Terminal(file=stream, width=width, _environ={})
    terminal.print(terminal_table(results, width))
    printed = stream.getvalue()
    assert max(map(cell_len, printed.splitlines())) <= width
    table = printed.split("lake: ")[0]
    assert "…" not in table
    names = "".join(line[1 : max(width // 2, 10)] for line in table.splitlines()).replace(" ", "")
    assert "random" in names
    assert "For want of width without:" in " ".join(printed.split())


def test_where_there_is_width_nothing_is_wrapped(results):
    stream = io.StringIO()
    Terminal(file=stream, width=300, _environ={}).print(terminal_table(results, 300))
    assert "a random agent with a very long name  " in stream.getvalue()
    assert "For want of width" not in stream.getvalue()


def _run(*arguments, preexec=None, **streams):
    return subprocess.run(
        [sys.executable, "-m", "velodrome", *map(str, arguments)],
        stderr=subprocess.PIPE, text=True, check=False, preexec_fn=preexec, **streams,
    )  # fmt: skip


# In one process, for starting one for each takes a second.
FULL = """
import json, sys
from velodrome.experiments.cli.application import main
codes = []
for arguments in json.load(sys.stdin):
    sys.stdout = open("/dev/full", "w")
    codes.append(main(arguments))
sys.stderr.write(json.dumps(codes))
"""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
@pytest.mark.slow
def test_on_a_full_disk_every_command_is_one_line(folder, tmp_path):
    there = str(folder)
    commands = [
        ["list"], ["--help"], ["run", "random", "FrozenLake-v1", "--episodes", "2"], ["table", there],
        ["table", there, "--format", "json"], ["plot", there], ["report", there, "--out", str(tmp_path / "a.html")],
        ["repair", there], ["export", there, "--out", str(tmp_path)],
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", FULL], input=json.dumps(commands), capture_output=True, text=True, check=False
    )
    *lines, codes = done.stderr.splitlines()
    assert json.loads(codes) == [2] * len(commands)
    assert lines == ["velodrome: cannot write to standard output: No space left on device"] * len(commands)


def _few_files():
    import resource

    resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))


@pytest.mark.skipif(sys.platform != "linux", reason="numbers of files that a process needs are Linux's")
def test_too_few_open_files_are_one_line(tmp_path):
    (tmp_path / "it.toml").write_text(
        'name = "it"\nepisodes = 2\nseeds = 4\nenvironments = ["CartPole-v1"]\nagents = ["random"]\n'
    )
    done = _run(
        "compare", tmp_path / "it.toml", "--out", tmp_path / "out", "--workers", "4",
        preexec=_few_files, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    said = [line for line in done.stderr.splitlines() if "warning" not in line]
    assert done.returncode == 2
    assert len(said) == 1
    assert said[0].startswith("velodrome: too many open files")


def test_labels_in_csv_are_no_formulas_and_numbers_stay_numbers(results):
    read = pd.read_csv(io.StringIO(format_table(results, "csv")))
    assert set(read["agent"]) >= {"'=1+1", "'-0.5", "a random agent with a very long name"}
    assert not any(str(name).startswith(("=", "+", "-", "@")) for name in read["agent"])
    differences = read["difference"].dropna()
    assert differences.dtype == float
    assert (differences < 0).any()


def test_exported_labels_are_those_of_the_store(folder, tmp_path, capsys):
    assert main(["export", str(folder), "--out", str(tmp_path)]) == 0
    capsys.readouterr()
    read = pd.read_csv(tmp_path / "trials.csv")
    assert {"=1+1", "-0.5"} <= set(read["agent"])


def test_markdown_shows_labels_and_runs_nothing(results):
    text = format_table(results, "markdown")
    assert r"| &lt;b>x&lt;/b> \| \`y\` \*z\* |" in text
    assert not re.search("<[a-zA-Z/!?]", text)
    assert "&lt;script>alert(1)&lt;/script> | \\`end\\`" in text
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in rows[:4]}) == 1


def test_latex_shows_labels_and_runs_nothing(results):
    text = format_table(results, "latex")
    assert r"\textless{}b\textgreater{}x\textless{}/b\textgreater{} \textbar{} \textasciigrave{}y" in text
    assert all(line.startswith("%") for line in text.splitlines() if "boom" in line)


def test_the_report_shows_labels_and_runs_nothing(results):
    page = report_html(results)
    assert "<script>alert" not in page
    assert "<b>x</b>" not in page
    assert "&lt;b&gt;x&lt;/b&gt;" in page
    assert not COMMANDS.search(page)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands(capsys, shell):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(word in script for word in ("velodrome", "compare", "until-decided"))


def test_the_terminal_explains_words_only_when_asked(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    command = ["compare", "q_learning", "q_learning(discount=0.5)", "random", "--on", "FrozenLake-v1", "--quiet"]
    command += ["--episodes", "20", "--seeds", "12", "--out", str(tmp_path)]
    assert main(command) == 0
    short = capsys.readouterr().out
    assert "Interquartile mean" not in short
    assert "Training: 20 episodes in each trial." in short
    assert "of best" in short.splitlines()[2]
    assert main(["table", str(tmp_path), "--explain"]) == 0
    assert "Interquartile mean" in capsys.readouterr().out.replace("\n", " ")


def test_agents_that_do_the_same_are_named(tmp_path, capsys):
    command = ["compare", "a=q_learning", "b=q_learning(discount=0.99)", "--on", "FrozenLake-v1", "--quiet"]
    assert main([*command, "--episodes", "20", "--seeds", "3", "--out", str(tmp_path)]) == 0
    told = capsys.readouterr().out.replace("\n", " ")
    assert "identical: The same numbers with every seed: a and b." in told
