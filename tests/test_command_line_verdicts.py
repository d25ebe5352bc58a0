"""What table, plot and report say where there is little to say: a clear line, and what can be said."""

import json
from pathlib import Path

import pytest

import velodrome as vd
from velodrome.experiments.cli.application import main
from velodrome.experiments.errors import AllTrialsFailedError
from velodrome.experiments.storage.store import Store

LAKE = "FrozenLake-v1(is_slippery=False)"
POLE = "discretize(CartPole-v1, bins=2)"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def command(folder, capsys):
    """Runs a command and returns its exit code and what it printed."""

    def run(*arguments):
        code = main(list(arguments))
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def stored(directory, *arguments, **options):
    return vd.compare(*arguments, out=directory, workers=0, **options)


def test_an_empty_store_gets_one_line_from_every_command(folder, command):
    Store.open("empty").close()
    for name in ("table", "plot", "report", "verify"):
        code, out, err = command(name, "empty")
        assert (code, out) == (2, "")
        assert err.startswith(f"velodrome: {Path('empty/trials.sqlite').absolute()} holds no ")
        assert err.count("\n") == 1


def test_a_folder_without_store_gets_one_line(folder, command):
    for name in ("table", "plot", "report"):
        code, _, err = command(name, "nowhere")
        assert code == 2
        assert err.count("\n") == 1
        assert "nowhere" in err


def test_no_folder_at_all_gets_one_line(command):
    for name in ("table", "plot", "report"):
        code, _, err = command(name)
        assert (code, err) == (
            2,
            "velodrome: give the folder of a store that `velodrome compare` wrote, such as results\n",
        )


def test_one_seed(folder, command):
    stored("one", ["random", "noise_q"], LAKE, seeds=1, episodes=50)
    code, out, _ = command("table", "one")
    assert code == 0
    assert "One seed: nothing can be said of differences." in out
    assert "only  are" not in out
    rows = json.loads(command("table", "one", "--format", "json")[1])["rows"]
    assert {row["letters"] for row in rows} == {"a"}
    assert {row["greedy_success_rate_low"] for row in rows} == {None}
    for kind in ("learning", "scores", "profiles", "improvement", "regret"):
        assert command("plot", "one", "--kind", kind)[0] == 0
    assert command("report", "one")[0] == 0


def test_one_agent(folder, command):
    stored("one", "noise_q", LAKE, seeds=4, episodes=200)
    code, out, _ = command("table", "one")
    assert code == 0
    assert "there is nothing to compare it with" in " ".join(out.split())
    code, _, err = command("plot", "one", "--kind", "improvement")
    assert code == 2
    assert err.count("\n") == 1
    code, out, _ = command("report", "one", "--language", "ko")
    assert code == 0
    assert 'lang="ko"' in Path(out.strip()).read_text(encoding="utf-8")


def test_all_trials_failed(folder, command):
    with pytest.raises(AllTrialsFailedError):
        stored("broken", ["hostile_agents:HopefulPlanner", "hostile_agents:HopefulImprover"], POLE, seeds=2, episodes=3)
    code, out, _ = command("table", "broken")
    assert code == 0
    assert "no trial is done" in out
    assert "Failed: hostile_agents:HopefulPlanner on" in out
    for kind in ("scores", "profiles", "improvement", "regret", "sweep"):
        code, _, err = command("plot", "broken", "--kind", kind)
        assert code == 2
        assert err.count("\n") == 1
    code, out, _ = command("report", "broken")
    assert code == 0
    assert "hostile_agents:HopefulPlanner" in Path(out.strip()).read_text(encoding="utf-8")


def test_different_budgets_are_told_in_the_table(folder, command):
    agents = {"long": {"agent": "noise_q", "episodes": 80}, "short": {"agent": "noise_q", "steps": 100}}
    stored("budgets", agents, LAKE, seeds=3)
    out = " ".join(command("table", "budgets")[1].split())
    assert "Training: long: 80 episodes; short: 100 steps." in out
    page = Path(command("report", "budgets")[1].strip()).read_text(encoding="utf-8")
    assert "long: 80 episodes; short: 100 steps" in page


def test_an_environment_without_success_rule(folder, command):
    stored("chain", ["random", "q_learning"], "velodrome/Chain-v0", seeds=6, episodes=20)
    out = command("table", "chain")[1]
    assert "greedy return" in out
    assert "no success rule" in out
    assert command("plot", "chain")[0] == 0
    code, _, err = command("plot", "chain", "--kind", "scores", "--metric", "greedy_success_rate")
    assert code == 2
    assert err.count("\n") == 1
    assert command("report", "chain")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["table", "some", "--baseline", "noise_r"], "baseline must be an agent of the experiment, got 'noise_r'"),
        (["table", "some", "--threshold", "2"], "threshold must be a success rate above 0 and at most 1, got 2.0"),
        (["report", "some", "--difference", "0"], "difference must be a positive number, got 0.0"),
        (["report", "some", "--out", "page.pdf"], "--out must end in .html, got page.pdf"),
        (["report", "some", "--language", "de"], 'Invalid value "de" for --language.'),
        (["plot", "some", "--kind", "scors"], "got 'scors': did you mean 'scores'"),
        (["plot", "some", "--metric", "reward"], "metric must be one of success_rate, return, got 'reward'"),
        (["table", "some", "--metric", "train_retrun"], "got 'train_retrun': did you mean 'train_return'"),
        (["plot", "some", "--kind", "sweep", "--parameter", "discuont"], "discount"),
        (["plot", "some", "--environment", "ice"], "ice"),
        (["compare", "frozenlake", "--until-decided"], "until_decided needs max_seeds"),
        (["compare", "frozenlake", "--max-seeds", "9"], "max_seeds needs until_decided"),
        (
            ["compare", "frozenlake", "--baseline", "rnadom"],
            "baseline must be an agent of the experiment, got 'rnadom'",
        ),
    ],
)
def test_options_that_do_not_fit_are_told_in_one_line(folder, command, arguments, message):
    agents = {"low": "q_learning(discount=0.9)", "high": "q_learning(discount=0.99)", "noise_q": "noise_q"}
    stored("some", agents, LAKE, seeds=2, episodes=5)
    code, out, err = command(*arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert message in err
    assert not (folder / "results").exists()


def test_two_stores_stand_in_one_table(folder, command):
    stored("one", {"noise": "noise_q"}, LAKE, seeds=3, episodes=100)
    stored("two", {"chance": "random"}, LAKE, seeds=3, episodes=100)
    rows = json.loads(command("table", "one", "two", "--format", "json")[1])["rows"]
    assert [row["agent"] for row in rows] == ["noise", "chance"]
    assert rows[0]["letters"] in ("a", "b")
    assert command("plot", "one", "two", "--kind", "scores", "--out", "both.svg")[0] == 0
    assert command("report", "one", "two", "--out", "both.html")[0] == 0
    assert "chance" in Path("both.html").read_text(encoding="utf-8")


def test_until_decided_on_the_command_line(folder, command):
    Path("rates.toml").write_text(
        'name = "rates"\nepisodes = 300\nenvironments = ["FrozenLake-v1"]\n'
        'agents = ["random", "q_learning(learning_rate=0.1)"]\n',
        encoding="utf-8",
    )
    code, out, _ = command("compare", "rates.toml", "--until-decided", "--max-seeds", "12", "--workers", "0", "--quiet")
    assert code == 0
    assert "added until decided, at most 12" in " ".join(out.split())
    again = command("compare", "rates.toml", "--until-decided", "--max-seeds", "12", "--workers", "0", "--quiet")
    assert again[0] == 0
    data = json.loads(command("table", "results", "--format", "json")[1])
    assert {pair["verdict"] for pair in data["pairs"]} <= {"different", "not distinguishable"}
