"""The command line: its commands and options, what they print where, and exit codes; `compare` has its own tests."""

import json
import re
from pathlib import Path

import gymnasium as gym
import numpy as np
import pandas as pd
import pytest

import velodrome as vd
from velodrome.agents import Agent, QLearning
from velodrome.experiments.cli import run as run_commands
from velodrome.experiments.cli.application import main
from velodrome.experiments.specification.catalogue import AGENTS, DISTRIBUTIONS, POLICIES, SCHEDULES

DETERMINISTIC = "FrozenLake-v1(is_slippery=False)"
EXPERIMENT = """
name = "two agents"
description = "Does learning help?"
episodes = 60
seeds = 3
environments = ["FrozenLake-v1"]
[agents]
"chance" = "random"
"learner" = "q_learning(policy=epsilon_greedy(epsilon=0.2))"
"""


@pytest.fixture(autouse=True)
def _work_in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def command(capsys):
    """Runs a command line that must succeed silently on standard error; its output."""

    def run_command(*arguments):
        code = main(list(arguments))
        printed = capsys.readouterr()
        assert (code, printed.err) == (0, "")
        return printed.out

    return run_command


@pytest.fixture
def experiment():
    Path("two.toml").write_text(EXPERIMENT)
    return "two.toml"


@pytest.fixture
def folder(experiment, command):
    command("compare", experiment, "--out", "there")
    return Path("there")


def strict(text):
    return json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


def test_list_shows_every_name(command):
    everything = command("list")
    for kind, names in (
        ("agents", AGENTS),
        ("policies", POLICIES),
        ("schedules", SCHEDULES),
        ("distributions", DISTRIBUTIONS),
    ):
        text = command("list", kind)
        assert text in everything
        assert re.findall(r"^  (\w+)\(", text, re.MULTILINE) == list(names)
    assert "FrozenLake-v1(" in command("list", "environments")
    assert "  frozenlake\n      Which of the lectures' agents" in command("list", "experiments")


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["compare", "--help"], ["-h"], []])
def test_help(command, arguments):
    text = command(*arguments)
    assert "Usage" in text
    words = {"run": "--evaluation-episodes", "compare": "--seeds"}.get(arguments[0] if arguments else "", "compare")
    assert words in text


def test_version(command):
    assert command("--version").strip() == vd.__version__


def test_run_prints_what_a_reader_wants_to_know(command):
    text = command("run", "noise_q", DETERMINISTIC, "--episodes", "300", "--seed", "3")
    lines = dict(line.strip().split("  ", 1) for line in text.splitlines())
    assert lines["agent"] == "noise_q"
    assert lines["environment"] == DETERMINISTIC
    assert re.fullmatch(r"300 episodes, [\d,]+ steps, seed 3", lines["trained"])
    assert lines["training success"].endswith("(return > 0)")
    assert lines["greedy success"] == "1.0000  (exact)"
    assert lines["best possible"] == "1.0000"
    assert lines["loop"].startswith("compiled, ")


def test_run_as_json_is_what_run_returns(command):
    arguments = ["noise_q", DETERMINISTIC, "--episodes", "300", "--seed", "3"]
    content = strict(command("run", *arguments, "--json"))
    record = vd.run("noise_q", DETERMINISTIC, episodes=300, seed=3).record()
    without = ("train_seconds", "steps_per_second")
    assert {key: content[key] for key in record if key not in without} == {
        key: value for key, value in record.items() if key not in without
    }
    assert content["notes"] == []
    generic = strict(command("run", *arguments, "--json", "--loop", "generic"))
    assert generic["loop"] == "generic"
    assert generic["train_success_rate"] == content["train_success_rate"]


def test_run_as_json_writes_null_for_what_there_is_not(command):
    text = command("run", "q_learning", "discretize(CartPole-v1, bins=2)", "--steps", "3", "--json",
                   "--evaluation-episodes", "4", "--success", "return >= 10")  # fmt: skip
    content = strict(text)
    assert content["train_success_rate"] is content["best_success_rate"] is None
    assert (content["steps"], content["evaluation"], content["evaluation_episodes"]) == (3, "monte-carlo", 4)
    assert content["success_rule"] == "return >= 10"
    assert content["notes"] == ["ran in the generic loop: wrapper Discretize may change steps"]


def test_a_note_tells_why_the_generic_loop_ran(command):
    text = command("run", "q_learning", "Taxi-v4(fickle_passenger=True)", "--episodes", "2",
                   "--evaluation-episodes", "2")  # fmt: skip
    assert "note  ran in the generic loop: fickle_passenger draws outside P" in text
    assert "2 sampled episodes" in text


def test_a_saved_agent_loads_and_acts_the_same(command):
    command("run", "q_learning", DETERMINISTIC, "--episodes", "200", "--save", "agents/mine")
    loaded, trained = Agent.load("agents/mine"), vd.run("q_learning", DETERMINISTIC, episodes=200).trained
    assert isinstance(loaded, QLearning)
    assert np.array_equal(loaded.action_values, trained.action_values)
    assert [loaded.act(state) for state in range(16)] == [trained.act(state) for state in range(16)]


def test_render_as_text_shows_the_frames_of_one_greedy_episode(command):
    text = command("run", "noise_q", DETERMINISTIC, "--episodes", "300", "--render", "ansi")
    assert text.count("\x1b[41m") == 7
    assert "terminated after 6 steps, return 1" in text


def test_json_stays_json_when_an_episode_is_shown(capsys):
    assert main(["run", "random", DETERMINISTIC, "--episodes", "3", "--render", "ansi", "--json"]) == 0
    printed = capsys.readouterr()
    strict(printed.out)
    assert "\x1b[41m" in printed.err


@pytest.mark.parametrize("ending", ["png", "svg", "pdf", "PNG"])
def test_plot_writes_where_it_is_told(folder, command, ending):
    assert command("plot", "there", "--out", f"pictures/a.{ending}") == f"pictures/a.{ending}\n"
    assert Path(f"pictures/a.{ending}").stat().st_size > 1000


def test_plot_draws_returns_into_the_folder(folder, command):
    assert command("plot", "there", "--metric", "return") == "there/two-agents/learning_return.png\n"
    assert (folder / "two-agents" / "learning_return.png").exists()


def test_table_formats(folder, command):
    assert "training success" in command("table", "there")
    assert command("table", "there", "--format", "markdown") == (folder / "two-agents" / "table.md").read_text()
    rows = strict(command("table", "there", "--format", "json"))["rows"]
    Path("table.csv").write_text(command("table", "there", "--format", "csv"))
    table = pd.read_csv("table.csv").set_index("agent")
    assert {row["agent"]: row["greedy_success_rate_mean"] for row in rows} == pytest.approx(
        dict(table["greedy_success_rate_mean"]), rel=1e-12
    )
    assert command("table", "there", "--format", "latex").count(r"\\") == 4


def test_plot_and_table_show_the_latest_experiment_or_the_one_that_is_named(folder, command):
    Path("one.toml").write_text(EXPERIMENT.replace("two agents", "one/agent").replace('"learner" =', '"lerner" ='))
    command("compare", "one.toml", "--out", "there")
    assert "lerner" in command("table", "there")
    assert "lerner" not in command("table", "there", "--experiment", "two agents")
    assert command("plot", "there") == "there/one-agent/learning.png\n"
    assert command("plot", "there", "--experiment", "two agents") == "there/two-agents/learning.png\n"


def test_what_is_read_is_not_written_to(folder, command):
    before = (folder / "trials.sqlite").read_bytes()
    command("table", "there", "--format", "json")
    command("plot", "there")
    assert (folder / "trials.sqlite").read_bytes() == before


def test_ctrl_c_ends_with_130_and_one_line(monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(run_commands, "run", interrupted)
    assert main(["run", "random", "FrozenLake-v1", "--episodes", "1"]) == 130
    assert capsys.readouterr() == ("", "velodrome: stopped\n")


def test_main_returns_its_code():
    assert main(["list", "policies"]) == 0


def test_the_environment_given_to_a_command_is_gymnasiums(command):
    before = set(gym.registry)
    command("run", "random", "FrozenLake-v1", "--episodes", "1")
    assert set(gym.registry) == before
