"""`velodrome compare`: what it prints, writes and keeps, and how it speaks of failures, warnings and interruptions."""

import json
import shlex
import sys
from collections import Counter
from pathlib import Path

import gymnasium as gym
import pytest

from velodrome.experiments.cli.application import main
from velodrome.experiments.results.results import Results
from velodrome.experiments.running import run_progress
from velodrome.experiments.specification.experiment_file import read_experiment
from velodrome.experiments.storage.store import Store

EXPERIMENT = """
name = "two agents"
description = "Does learning help?"
episodes = 60
seeds = 5
environments = ["FrozenLake-v1"]
[agents]
"chance" = "random"
"learner" = "q_learning(policy=epsilon_greedy(epsilon=0.2))"
"""
# A track that cannot be driven on while there is a file `closed`.
OWN_TRACK = """
from pathlib import Path
import gymnasium as gym

class Gate(gym.Env):
    observation_space = action_space = gym.spaces.Discrete(2)
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return int(self.np_random.integers(2)), {}
    def step(self, action):
        if Path("closed").exists():
            raise RuntimeError("the gate is closed")
        return action, 1.0, True, False, {}

gym.register("own/Gate-v0", Gate, disable_env_checker=True)
"""
GATED = """
name = "gated"
episodes = 3
seeds = 5
evaluation_episodes = 2
[environments]
"lake" = "FrozenLake-v1"
"gate" = "own_gate:own/Gate-v0"
[agents]
"chance" = "random"
"""
WARNINGS_SHOWN = "always::velodrome.experiments.errors.ExperimentWarning"


@pytest.fixture(autouse=True)
def _work_in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    Path("two.toml").write_text(EXPERIMENT)


@pytest.fixture
def compare(capsys):
    """Runs `velodrome compare` on the experiment of two agents; it must succeed without a word on standard error."""

    def run(*options):
        code = main(["compare", "two.toml", *options])
        printed = capsys.readouterr()
        assert (code, printed.err) == (0, "")
        return printed.out

    return run


@pytest.fixture
def closed_gate(monkeypatch):
    """An experiment whose second environment raises as long as the file `closed` exists."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    Path("own_gate.py").write_text(OWN_TRACK)
    Path("gated.toml").write_text(GATED)
    Path("closed").touch()
    yield Path("closed")
    sys.modules.pop("own_gate", None)
    gym.registry.pop("own/Gate-v0", None)


def strict(text):
    return json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


def test_it_writes_a_store_a_table_and_a_plot_and_prints_the_table(compare):
    text = compare("--out", "there")
    assert "learner" in text
    assert "Training: 60 episodes in each trial." in text
    places = "Table and plot: there/two-agents; trials: there/trials.sqlite\nReport: velodrome report there\n"
    assert text.endswith(places)
    assert max(map(len, text.splitlines())) <= 80
    files = {str(path.relative_to("there")) for path in Path("there").rglob("*") if path.is_file()}
    own = {name for name in files if name.startswith(("trials.sqlite-", "."))}
    assert files - own == {"trials.sqlite", "two-agents/learning.png", "two-agents/table.md"}
    results = Results.load("there")
    assert (results.name, results.description) == ("two agents", "Does learning help?")
    assert results.agents == ["chance", "learner"]
    assert Path("there/two-agents/table.md").read_text().startswith("**FrozenLake-v1**")
    assert Path("there/two-agents/learning.png").read_bytes().startswith(b"\x89PNG")


def test_the_plot_is_drawn_again_where_trials_or_the_file_have_changed(compare):
    picture = Path("there/two-agents/learning.png")
    compare("--out", "there")
    drawn, before = picture.read_bytes(), picture.stat().st_mtime_ns
    compare("--out", "there")
    assert picture.stat().st_mtime_ns == before
    picture.write_bytes(drawn[:-100])
    compare("--out", "there")
    assert picture.read_bytes() == drawn
    compare("--out", "there", "--seeds", "3")
    assert picture.read_bytes() != drawn


def test_as_json(compare):
    content = strict(compare("--json"))
    assert list(content) == ["rows", "pairs", "overall", "margins", "verdict", "notes", "failed"]
    assert content["failed"] == 0
    promised = {"agent", "environment", "seeds", "failed", "best_success_rate"}
    promised |= {f"{field}_success_rate_{part}" for field in ("train", "greedy") for part in ("mean", "min", "max")}
    assert all(promised <= set(row) for row in content["rows"])
    assert [row["agent"] for row in content["rows"]] == ["chance", "learner"]
    assert Path("results/trials.sqlite").exists()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--seeds", "6"], {"seeds": list(range(6)), "episodes": 60, "steps": None}),
        (["--episodes", "9"], {"seeds": list(range(5)), "episodes": 9, "steps": None}),
        (["--steps", "20000", "--workers", "1"], {"seeds": list(range(5)), "episodes": None, "steps": 20_000}),
    ],
)
def test_options_go_before_the_file(compare, options, expected):
    compare("--out", "there", *options)
    settings = Results.load("there").settings
    told = {"seeds": list(settings.seeds), "episodes": settings.budget.episodes, "steps": settings.budget.steps}
    assert told == {"steps": None} | expected


def test_a_budget_on_the_command_line_goes_before_every_budget_of_the_file(compare):
    text = EXPERIMENT.replace('"chance" = "random"', '"chance" = { agent = "random", steps = 7 }')
    Path("two.toml").write_text(text)
    compare("--out", "there")
    assert Results.load("there").budget("FrozenLake-v1", "chance") == (None, 7)
    compare("--out", "there", "--episodes", "9")
    assert {row.measures["episodes"] for row in Results.load("there").records} == {9}


def test_a_small_budget_of_steps_warns_nobody(compare):
    compare("--out", "there", "--steps", "300")


def test_the_shipped_experiment_runs(capsys):
    assert main(["compare", "frozenlake", "--seeds", "2", "--episodes", "3", "--json"]) == 0
    assert len(strict(capsys.readouterr().out)["rows"]) == 14
    assert Path("results/frozenlake/learning.png").exists()


def test_the_shipped_experiments_can_be_run():
    for name, number in (("digits", 4 * 8), ("characters", 24 * 10), ("everything", 13 * 11)):
        assert len(read_experiment(name).plan().trials) == number


@pytest.mark.parametrize(
    ("name", "amounts", "pairs"),
    [
        ("digits", ["--epochs", "1"], {"digits": 4}),
        # Many networks are traced.
        pytest.param(
            "characters",
            ["--epochs", "2"],
            {"hello": 6, "hihello": 6, "if you want you": 6, "long sentence": 6},
            marks=pytest.mark.slow,
        ),
        pytest.param("everything", ["--episodes", "40"], {"digits": 8, "if you want you": 5}, marks=pytest.mark.slow),
    ],
)
def test_the_shipped_experiments_on_images_and_texts_run(capsys, name, amounts, pairs):
    options = ["--seeds", "2", "--workers", "0", "--quiet", "--json", *amounts]
    assert main(["compare", name, *options]) == 0
    rows = strict(capsys.readouterr().out)["rows"]
    assert Counter(row["environment"] for row in rows) == pairs
    assert {row["seeds"] for row in rows} == {2}
    assert {row["evaluation"] for row in rows} == {"examples"}
    assert Path(f"results/{name}/learning.png").exists()


def test_mnist_says_how_to_get_it_where_it_is_not(capsys, tmp_path, monkeypatch):
    monkeypatch.delenv("VELODROME_DATA", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "none"))
    # Without Keras nothing is downloaded.
    monkeypatch.setitem(sys.modules, "keras", None)
    assert main(["compare", "mnist"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    assert "environments.MNIST: " in printed.err
    for word in ("path=", "VELODROME_DATA", "Keras"):
        assert word in printed.err
    assert not Path("results").exists()


def test_one_store_holds_experiments_with_other_settings_and_no_trial_is_lost(compare):
    compare("--out", "there")
    first = Results.load("there")
    with Store.open_for_reading("there") as store:
        before = store.content_digest(), store.keys()
    assert compare("--out", "there") == compare("--out", "there")
    with Store.open_for_reading("there") as store:
        assert (store.content_digest(), store.keys()) == before
    compare("--out", "there", "--seeds", "6")
    again = Results.load("there")
    assert again.settings.seeds == (0, 1, 2, 3, 4, 5)
    assert [row for row in again.records if row.seed < 5] == first.records
    with Store.open_for_reading("there") as store:
        assert len(store.keys()) == 12


def test_what_else_is_in_the_folder_is_left_alone(compare):
    Path("there/two-agents").mkdir(parents=True)
    Path("there/results.json").write_text("half a")
    Path("there/two-agents/notes.md").write_text("mine")
    compare("--out", "there")
    assert Path("there/results.json").read_text() == "half a"
    assert Path("there/two-agents/notes.md").read_text() == "mine"


@pytest.mark.filterwarnings(WARNINGS_SHOWN)
@pytest.mark.parametrize("name", ["mine"])
def test_where_the_table_cannot_be_written_that_is_told_and_the_trials_are_kept(capsys, name):
    Path("there").mkdir()
    Path("there/mine").write_text("")
    Path("two.toml").write_text(EXPERIMENT.replace("two agents", name))
    assert main(["compare", "two.toml", "--out", "there"]) == 0
    out, err = capsys.readouterr()
    assert "FrozenLake-v1" in out
    assert f"velodrome: warning: --out there/{name}: the table is not written: File exists\n" in err
    assert len(Results.load("there").records) == 10


def failed(capsys, *options):
    """What a run with failures prints; its exit code is 1."""
    assert main(["compare", "gated.toml", "--workers", "0", *options]) == 1
    return capsys.readouterr()


def test_the_command_that_runs_failures_again_quotes_expressions_as_they_are_typed(capsys):
    agents = ["random", "sb3('DQM')"]
    assert main(["compare", *agents, "--on", "FrozenLake-v1", "--steps", "50", "--seeds", "1", "--workers", "0"]) == 1
    command = capsys.readouterr().out.splitlines()[-1].partition("with: ")[2]
    assert command.startswith("""velodrome compare random "sb3('DQM')" --on FrozenLake-v1 """)
    assert shlex.split(command)[2:4] == agents


def test_failures_end_with_how_many_and_the_command_that_runs_them_again(closed_gate, capsys):
    out = failed(capsys, "--seeds", "6", "--out", "my results").out
    last = out.splitlines()[-1]
    text, _, command = last.partition("; run them again with: ")
    assert text == "6 of 12 trials failed"
    assert command == ("velodrome compare gated.toml --seeds 6 --out 'my results' --workers 0 --retry-failed")
    assert "Failed: chance on gate, 6 trials (seed 0, 1, 2, 3, 4, …): step of own/Gate-v0 raised" in " ".join(
        out.split()
    )
    assert "the gate is closed" in Path("my results/gated/table.md").read_text()
    closed_gate.unlink()
    # Failed trials are results too, until somebody asks for another try.
    assert "6 of 12 trials failed" in failed(capsys, "--seeds", "6", "--out", "my results").out
    assert main(shlex.split(command)[1:]) == 0
    out = capsys.readouterr().out
    assert "failed" not in out
    assert Results.load("my results").failures == []
    assert main(shlex.split(command)[1:-1]) == 0


@pytest.mark.parametrize(
    ("options", "repeated"),
    [
        ([], ""),
        (["--episodes", "3"], "--episodes 3 "),
        (["--steps", "9"], "--steps 9 "),
        (["--strict"], "--strict "),
        (["--checkpoint-every", "60", "--quiet"], ""),
    ],
)
def test_the_command_repeats_what_was_asked_for(closed_gate, capsys, options, repeated):
    words = shlex.split(failed(capsys, *options).out.splitlines()[-1].partition("with: ")[2])
    expected = f"velodrome compare gated.toml {repeated}--out results --workers 0 --retry-failed"
    assert sorted(words) == sorted(expected.split())
    again = shlex.split(failed(capsys, *options, "--retry-failed").out.splitlines()[-1].partition("with: ")[2])
    assert again == words


def test_the_command_repeats_the_time_and_memory_that_a_trial_may_take(closed_gate, capsys):
    options = ["--trial-timeout", "30", "--trial-memory", "2GB", "--workers", "1"]
    assert main(["compare", "gated.toml", *options]) == 1
    assert (
        "--workers 1 --trial-timeout 30.0 --trial-memory 2GB --retry-failed" in capsys.readouterr().out.splitlines()[-1]
    )


def test_failures_in_json_leave_standard_output_to_the_object(closed_gate, capsys):
    printed = failed(capsys, "--json")
    content = strict(printed.out)
    assert content["failed"] == 5
    assert [(row["environment"], row["seeds"], row["failed"]) for row in content["rows"]] == [
        ("lake", 5, 0),
        ("gate", 0, 5),
    ]
    assert content["rows"][1]["greedy_success_rate_mean"] is None
    assert printed.err.startswith("5 of 10 trials failed; run them again with: velodrome compare gated.toml ")


def test_where_every_trial_failed_there_is_a_table_and_no_plot(closed_gate, capsys):
    Path("gated.toml").write_text(GATED.replace('"lake" = "FrozenLake-v1"', ""))
    out = failed(capsys).out
    assert "gate: no trial is done." in out
    assert "Table and plot" not in out
    assert {path.name for path in Path("results/gated").iterdir()} == {"table.md"}


@pytest.mark.filterwarnings(WARNINGS_SHOWN)
def test_warnings_are_lines_on_standard_error_and_kept(capsys):
    assert main(["compare", "two.toml", "--seeds", "2"]) == 0
    line = "2 seeds are too few to tell better from luckier: give at least 5, such as seeds = 30"
    assert capsys.readouterr().err == f"velodrome: warning: {line}\n"
    assert Results.load("results").warnings == (line,)


def test_where_it_is_strict_every_warning_is_a_line_and_nothing_is_run(capsys):
    text = EXPERIMENT.replace('"chance" = "random"', '"chance" = "random"\n"luck" = "random"')
    Path("two.toml").write_text(text)
    assert main(["compare", "two.toml", "--seeds", "2", "--strict"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    first, second = printed.err.splitlines()
    assert first.startswith("velodrome: 2 seeds are too few")
    assert second == "velodrome: agents 'chance', 'luck' are the same, and so will be their results: leave one"
    assert not Path("results/trials.sqlite").exists()


@pytest.fixture
def impatient(monkeypatch):
    """Progress is told from the first moment on."""
    for name in ("DELAY_SECONDS", "FIRST_LINE_SECONDS", "LINE_SECONDS", "REFRESH_SECONDS"):
        monkeypatch.setattr(run_progress, name, 0.0)


@pytest.mark.usefixtures("impatient")
def test_progress_is_told_on_standard_error_but_not_where_it_is_quiet(capsys):
    assert main(["compare", "two.toml", "--workers", "0"]) == 0
    assert "velodrome: 10 of 10 trials (100 %)" in capsys.readouterr().err
    assert main(["compare", "two.toml", "--workers", "0", "--out", "other", "--quiet"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "learner" in printed.out


def test_ctrl_c_says_what_is_kept_and_the_same_command_goes_on(monkeypatch, capsys):
    def stop(_, status):
        if status.finished:
            raise KeyboardInterrupt

    arguments = ["compare", "two.toml", "--workers", "0", "--out", "there"]
    with monkeypatch.context() as patch:
        patch.setattr(run_progress.RunProgress, "__call__", stop)
        assert main(arguments) == 130
    told = "velodrome: stopped: 2 of 10 trials are done and kept in there; the same command goes on\n"
    assert capsys.readouterr() == ("", told)
    assert not Path("there/two-agents").exists() or not list(Path("there/two-agents").iterdir())
    assert main(["table", "there"]) == 0
    assert "Not finished: 8 of 10 trials have not been run" in capsys.readouterr().out
    kept = Results.load("there").records
    assert main(arguments) == 0
    assert len(kept) == 2
    assert all(row in Results.load("there").records for row in kept)


def compared(capsys, *words):
    """Runs `velodrome compare`, which must succeed without a word on standard error."""
    code = main(["compare", *words])
    printed = capsys.readouterr()
    assert (code, printed.err) == (0, "")
    return printed.out


def test_agents_are_compared_without_a_file_which_is_written(capsys):
    text = compared(capsys, "q_learning", "sarsa", "--on", "FrozenLake-v1", "--steps", "200", "--seeds", "5")
    folder = "results/q_learning--sarsa-on-FrozenLake-v1"
    assert text.endswith(
        f"Table and plot: {folder}; trials: results/trials.sqlite\n"
        f"Experiment file: {folder}/experiment.toml\nReport: velodrome report results\n"
    )
    with Store.open_for_reading("results") as store:
        before = store.content_digest()
    again = compared(capsys, f"{folder}/experiment.toml")
    assert again.splitlines() == [line for line in text.splitlines() if not line.startswith("Experiment file")]
    with Store.open_for_reading("results") as store:
        assert store.content_digest() == before
    Path("by_hand.toml").write_text(
        'name = "x"\nsteps = 200\nseeds = 5\nagents = ["q_learning", "sarsa"]\nenvironments = ["FrozenLake-v1"]'
    )
    assert [trial.key for trial in read_experiment("by_hand.toml").plan().trials] == [
        trial.key for trial in read_experiment(f"{folder}/experiment.toml").plan().trials
    ]


def test_agents_and_environments_without_a_file_may_have_labels(capsys):
    agents = ["fast=random", "random( )", "ε-greedy = random"]
    places = ["--on", "a lake=FrozenLake-v1(is_slippery=False)", "--on", "CliffWalking-v1"]
    options = ["--steps", "50", "--seeds", "5", "--baseline", "fast", "--quiet", "--json", "--out", "there"]
    content = strict(compared(capsys, *agents, *places, *options))
    assert {row["agent"] for row in content["rows"]} == {"fast", "random", "ε-greedy"}
    (file,) = Path("there").rglob("experiment.toml")
    assert file.read_text() == (
        'name = "fast, random, ε-greedy on a lake, CliffWalking-v1"\nseeds = 5\nsteps = 50\n\n'
        '[agents]\nfast = "random"\nrandom = "random( )"\n'
        '"ε-greedy" = "random"\n\n'
        '[environments]\n"a lake" = "FrozenLake-v1(is_slippery=False)"\nCliffWalking-v1 = "CliffWalking-v1"\n'
    )


def test_the_name_of_many_is_short_and_their_own(capsys):
    texts = [f"q_learning(learning_rate={rate})" for rate in (0.1, 0.2, 0.3, 0.4)]
    names = []
    for agents in (texts, [*texts, "random"]):
        compared(capsys, *agents, "--on", "FrozenLake-v1", "--steps", "9", "--seeds", "5", "--quiet", "--json")
        names.append(Results.load("results").name)
    assert all(len(name) <= 80 and name.startswith("q_learning(learning_rate=0.1), q_lear") for name in names)
    assert names[0] != names[1]
    assert len(list(Path("results").rglob("experiment.toml"))) == 2


def test_a_name_of_both_is_an_experiment_alone_and_an_agent_with_an_environment(capsys):
    assert main(["compare", "dqn", "--seeds", "0"]) == 2
    assert "seeds" in capsys.readouterr().err
    budget = ["--steps", "60", "--seeds", "2", "--evaluation-episodes", "2", "--quiet"]
    assert main(["compare", "dqn", "random", "--on", "CartPole-v1", *budget]) == 0
    assert Results.load("results").agents == ["dqn", "random"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "give one experiment, a TOML file or one of `velodrome list experiments`; to compare agents, add --on"),
        (["q_learning"], "q_learning is an agent, not an experiment; to compare agents, add --on ENVIRONMENT, such as"),
        (["fast=sarsa(discount=0.9)"], "fast=sarsa(discount=0.9) is an agent, not an experiment; to compare agents"),
        (["q_learning", "sarsa"], "give one experiment, a TOML file or one of `velodrome list experiments`, got q_lea"),
        (["frozenlak"], "unknown experiment 'frozenlak': did you mean 'frozenlake'?"),
        (["frozenlake", "--on", "CartPole-v1"], "frozenlake is an experiment with environments of its own: leave out"),
        (["two.toml", "--on", "CartPole-v1"], "two.toml is an experiment with environments of its own: leave out --on"),
        (["--on", "CartPole-v1"], "give agents to compare, such as: velodrome compare q_learning sarsa --on Frozen"),
        (["q_lerning", "--on", "FrozenLake-v1"], "agents.q_lerning: unknown agent 'q_lerning': did you mean 'q_lea"),
        (["sarsa", "--on", "FrozenLak-v1"], "environments.FrozenLak-v1: unknown environment 'FrozenLak-v1': did you"),
        (["sarsa", "--on", "random"], "environments.random: random is an agent, not an environment such as Frozen"),
        (["CartPole-v1", "--on", "CartPole-v1"], "agents.CartPole-v1: CartPole-v1 is an environment, not an agent"),
        (["sarsa", "sarsa", "--on", "FrozenLake-v1"], "agents.1: agent 'sarsa' is given twice: give labels"),
        (["a=sarsa", "a=random", "--on", "FrozenLake-v1"], "agent 'a' is given twice: give labels"),
        (["sarsa", "--on", "FrozenLake-v1", "--steps", "3"], "give episodes, steps or epochs, one of them"),
        (["sarsa", "--no", "FrozenLake-v1"], "Unknown option: --no. Did you mean --on?"),
    ],
)
def test_mistakes_without_a_file_are_one_line(capsys, words, line):
    assert main(["compare", *words, "--episodes", "5"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"velodrome: {line}")
    assert len(printed.err.splitlines()) == 1


def test_without_a_budget_the_pair_is_named(capsys):
    assert main(["compare", "sarsa", "--on", "FrozenLake-v1"]) == 2
    line = "give episodes, steps or epochs, one of them: no budget for 'sarsa' on 'FrozenLake-v1'"
    assert capsys.readouterr().err == f"velodrome: {line}\n"


def test_the_command_repeats_agents_and_environments(closed_gate, capsys):
    words = ["random", "--on", "lake=FrozenLake-v1", "--on", "own_gate:own/Gate-v0", "--episodes", "3", "--seeds", "5"]
    assert main(["compare", *words, "--workers", "0"]) == 1
    command = shlex.split(capsys.readouterr().out.splitlines()[-1].partition("with: ")[2])
    assert command[:7] == ["velodrome", "compare", *words[:5]]
    closed_gate.unlink()
    assert main(command[1:]) == 0


def test_the_number_of_evaluation_episodes_is_an_option_and_stands_in_the_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["random", "--on", "TimeLimit(CartPole-v1, max_episode_steps=9)", "--episodes", "2", "--seeds", "2"]
    assert main(["compare", *words, "--evaluation-episodes", "3", "--workers", "0", "--quiet"]) == 0
    assert "evaluated over 3 sampled episodes" in " ".join(capsys.readouterr().out.split())
    (file,) = (tmp_path / "results").glob("*/experiment.toml")
    assert "evaluation_episodes = 3\n" in file.read_text(encoding="utf-8")
