"""Bad input on the command line: exit code 2, one clear line on standard error, nothing on standard output."""

import sys
from pathlib import Path

import gymnasium as gym
import pytest

from velodrome.experiments.cli.application import main
from velodrome.experiments.results.results import Results

LAKE = "FrozenLake-v1"
OWN_TRACKS = """
import gymnasium as gym
from gymnasium import spaces
import numpy as np

class EnvironmentProfile(gym.Env):
    observation_space = action_space = spaces.Discrete(2)
    reward = 1.0
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return 0, {}
    def step(self, action):
        return 1, self.reward, True, False, {}

class Unbalanced(EnvironmentProfile):
    initial_state_distrib = np.array([1.0, 0.0])
    P = {s: {a: [(0.6, 1, 0.0, True)] for a in range(2)} for s in range(2)}

class Closed(EnvironmentProfile):
    def reset(self, *, seed=None, options=None):
        raise RuntimeError("the profile is closed")

class ClosedForRepairs(EnvironmentProfile):
    def reset(self, *, seed=None, options=None):
        raise RuntimeError("the profile is closed\\nfor repairs")

class Crash(EnvironmentProfile):
    def step(self, action):
        raise KeyError("wheel")

class NaN(EnvironmentProfile):
    reward = float("nan")

class Outside(EnvironmentProfile):
    def step(self, action):
        return 7, 1.0, True, False, {}

for cls in (Unbalanced, Closed, ClosedForRepairs, Crash, NaN, Outside):
    gym.register(f"bad/{cls.__name__}-v0", cls, disable_env_checker=True)
gym.register("bad/CheckedNaN-v0", NaN)
"""


@pytest.fixture(autouse=True)
def _own_tracks(tmp_path, monkeypatch):
    (tmp_path / "bad_tracks.py").write_text(OWN_TRACKS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    sys.modules.pop("bad_tracks", None)
    for identifier in [identifier for identifier in gym.registry if identifier.startswith("bad/")]:
        del gym.registry[identifier]


@pytest.fixture
def refused(capsys):
    """Runs a command line that must be refused; the lines on standard error, without the program's name."""

    def run_command(*arguments, lines=1):
        code = main(list(arguments))
        printed = capsys.readouterr()
        assert (code, printed.out) == (2, "")
        told = printed.err.splitlines()
        assert len(told) == lines, printed.err
        assert all(line.startswith("velodrome: ") for line in told)
        return "\n".join(line.removeprefix("velodrome: ") for line in told)

    return run_command


def run(agent, environment=LAKE, *options):
    return ["run", agent, environment, *(options or ("--episodes", "5"))]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (run("q_lerning"), "unknown agent 'q_lerning': did you mean 'q_learning'?"),
        (run("q_learning(policy=greedi)"), "unknown policy 'greedi': did you mean 'greedy'?"),
        (run("q_learning(discont=1)"), "q_learning has no argument 'discont': did you mean 'discount'?"),
        (run("q_learning(0.9)"), "q_learning takes its arguments by name: q_learning(discount=...)"),
        (run("q_learning(discount=2)"), "q_learning: discount must be a number in [0, 1], got 2"),
        (run("q_learning(policy=epsilon_greedy(1.5))"), "epsilon_greedy: epsilon must be a number in [0, 1], got 1.5"),
        (run("q_learning(discount=0.9"), "the bracket opened at column 11 is not closed"),
        (run("q_learning", "FrozenLak-v1"), "unknown environment 'FrozenLak-v1': did you mean 'FrozenLake-v1'?"),
        (run("q_learning", "FrozenLake-v1(slippery=0)"), "FrozenLake-v1 has no argument 'slippery': did you mean"),
        (run("q_learning", "Taxi-v3"), "environment 'Taxi-v3' is not available in this Gymnasium: use 'Taxi-v4'"),
        (run("q_learning", "FrozenLake"), "needs its version: 'FrozenLake-v1'"),
        (run("q_learning", LAKE, "--episodes", "0"), "episodes must be a whole number of at least 1, got 0"),
        (run("q_learning", LAKE, "--steps", "-3"), "steps must be a whole number of at least 1, got -3"),
        (run("q_learning", LAKE, "--episodes", "5", "--steps", "5"), "give episodes, steps or epochs, one of them"),
        (["run", "q_learning", LAKE], "give a budget: episodes, steps or epochs"),
        (
            run("q_learning", "CartPole-v1"),
            "but CartPole-v1 has a box of 4 numbers: cut them into bins, discretize(CartPole-v1, bins=10)",
        ),
        (
            run("q_learning", "Pendulum-v1"),
            "Pendulum-v1 has Box(-2.0, 2.0, (1,), float32): cut them into bins, binned_a",
        ),
        (run("value_iteration", "CartPole-v1"), "value_iteration plans on a transition model"),
        (run("q_learning", "bad_tracks:bad/Unbalanced-v0"), "state 0, action 0: probabilities must sum to 1, got 0.6"),
        (
            run("q_learning", "bad_tracks:bad/Closed-v0"),
            "reset of bad/Closed-v0 raised in episode 1: Run",
        ),
        (run("q_learning", "bad_tracks:bad/Crash-v0"), "step of bad/Crash-v0 raised in episode 1, step 1: KeyError"),
        (run("q_learning", "bad_tracks:bad/NaN-v0"), "bad/NaN-v0: reward nan is not finite"),
        (run("q_learning", "bad_tracks:bad/Outside-v0"), "observation 7 is outside the observation space"),
        (run("q_learning", "no_tracks_here:X-v0"), "cannot import module 'no_tracks_here'"),
        (run("q_learning", LAKE, "--epsodes", "5"), "Unknown option: --epsodes. Did you mean --episodes?"),
        (
            run("q_learning", LAKE, "--episodes", "x"),
            "Invalid value for --episodes: must be a whole number such as 100000, got 'x'",
        ),
        (run("q_learning", LAKE, "--episodes", "5", "--loop", "fast"), 'Invalid value "fast" for --loop.'),
        (run("q_learning", LAKE, "--episodes", "5", "--seed", "-1"), "seed must be a whole number of at least 0"),
        (run("q_learning", LAKE, "--episodes", "5", "--evaluation-episodes", "0"), "evaluation_episodes must be"),
        (run("q_learning", "CartPole-v1", "--episodes", "5", "--render", "ansi"), "CartPole-v1 can be shown as human"),
        (
            run("q_learning", "Taxi-v4(fickle_passenger=True)", "--episodes", "5", "--loop", "compiled"),
            "loop='compiled' is not possible: fickle_passenger draws outside P",
        ),
        (["run", "q_learning"], "parameter ENVIRONMENT requires an argument"),
        (["run", "q_learning", LAKE, "extra", "--episodes", "5"], "['extra']"),
        (["rn", "q_learning", LAKE], 'Unknown command "rn". Did you mean "run"?'),
        (["list", "agent"], 'Did you mean "agents"?'),
        (["compare", "frozenlak"], "unknown experiment 'frozenlak': did you mean 'frozenlake'?"),
        (["compare", "nowhere.toml"], "experiment nowhere.toml: no such file"),
        (
            ["compare", "frozenlake", "--seeds", "0"],
            "seeds: must be a whole number of at least 1, or a list of seeds, got 0",
        ),
        (["compare", "frozenlake", "--episodes", "5", "--steps", "5"], "give episodes, steps or epochs, one of them"),
        (["compare", "frozenlake", "--workers", "-1"], "workers must be a whole number of at least 0, got -1"),
        (
            ["compare", "frozenlake", "--trial-timeout", "0"],
            "trial_timeout must be a number of seconds above 0, got 0.0",
        ),
        (["compare", "frozenlake", "--trial-timeout", "1", "--workers", "0"], "trial_timeout needs workers"),
        (["compare", "frozenlake", "--trial-memory", "1GB", "--workers", "0"], "trial_memory needs workers"),
        (
            ["compare", "frozenlake", "--trial-memory", "2 gigs"],
            'trial_memory must be a size such as "2GB" or "500MB", or a number of bytes, got \'2 gigs\'',
        ),
        (["compare", "frozenlake", "--seeds", "2", "--strict"], "2 seeds are too few to tell better from luckier"),
        (["compare", "frozenlake", "--out", "/proc/there"], "--out /proc/there: No such file or directory"),
        (["compare", "frozenlake", "--out", "bad_tracks.py"], "--out bad_tracks.py: File exists"),
        (["table", "."], "no store of trials in .: trials.sqlite is missing"),
        (["plot", "nowhere"], "no store of trials in nowhere: trials.sqlite is missing"),
        (["table", ".", "--format", "xml"], 'Invalid value "xml" for --format.'),
        (["plot", ".", "--kind", "scors"], "kind must be one of learning, "),
    ],
)
def test_bad_input_is_told_in_one_line(refused, arguments, message):
    assert message in refused(*arguments)


def write(name, text):
    Path(name).write_text(text)
    return name


def test_malformed_toml_is_told_with_its_place(refused):
    assert refused("compare", write("a.toml", 'name = "x\n')).startswith("a.toml: Illegal character")
    Path("b.toml").write_bytes(b"name = '\xff'")
    assert "experiment b.toml: 'utf-8' codec" in refused("compare", "b.toml")


def test_mistakes_in_an_experiment_file_are_told_all_at_once(refused):
    text = """
    episodes = 0
    seeds = [1, 1]
    evaluation_episodes = "many"
    seedz = 3
    environments = ["FrozenLak-v1"]
    [agents]
    "a" = "q_lerning"
    """
    told = refused("compare", write("many.toml", text), lines=7)
    assert set(told.splitlines()) == {
        "many.toml: name: field required",
        "many.toml: agents.a: unknown agent 'q_lerning': did you mean 'q_learning'?",
        "many.toml: environments.FrozenLak-v1: unknown environment 'FrozenLak-v1': did you mean 'FrozenLake-v1'?",
        "many.toml: episodes: must be a whole number of at least 1, got 0",
        "many.toml: seeds: must be different whole numbers of at least 0, got [1, 1]",
        "many.toml: evaluation_episodes: must be a whole number of at least 1, got 'many'",
        "many.toml: unknown field 'seedz': did you mean 'seeds'?",
    }


def test_every_wrong_agent_is_told_with_its_label(refused):
    text = 'name = "x"\nepisodes = 5\nenvironments = ["FrozenLake-v1"]\n[agents]\na = "q_lerning"\nb = "greedy"\n'
    told = refused("compare", write("two.toml", text), lines=2)
    assert "agents.a: unknown agent 'q_lerning'" in told
    assert "agents.b: greedy is a policy, not an agent" in told


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "give episodes, steps or epochs, one of them"),
        ("episodes = 5\nsteps = 5", "give episodes, steps or epochs, one of them"),
        ("episodes = 5.0", "episodes: must be a whole number of at least 1, got 5.0"),
        ("episodes = true", "episodes: must be a whole number of at least 1, got True"),
        ("episodes = 5\nseeds = 0", "seeds: must be a whole number of at least 1"),
        ("episodes = 5\nseeds = []", "seeds: must be different whole numbers of at least 0, got []"),
    ],
)
def test_single_mistakes_in_an_experiment_file(refused, line, message):
    text = f'name = "x"\nenvironments = ["{LAKE}"]\nagents = ["random"]\n{line}\n'
    assert refused("compare", write("x.toml", text)).startswith(f"x.toml: {message}")


def experiment(environment):
    return f'name = "x"\nepisodes = 5\nseeds = 2\nenvironments = ["{environment}"]\nagents = ["random", "q_learning"]\n'


def test_a_model_that_is_none_stops_a_comparison_before_anything_is_run(refused):
    told = refused("compare", write("x.toml", experiment("bad_tracks:bad/Unbalanced-v0")))
    assert told.startswith('x.toml: environments."bad_tracks:bad/Unbalanced-v0": ')
    assert "probabilities must sum to 1, got 0.6" in told
    assert not Path("results").exists()


@pytest.mark.parametrize(
    ("profile", "reason"),
    [
        ("Closed", "reset of bad/Closed-v0 raised in episode 1: RuntimeError: the profile is closed"),
        (
            "ClosedForRepairs",
            "reset of bad/ClosedForRepairs-v0 raised in episode 1: RuntimeError: the profile is closed",
        ),
        ("Crash", "step of bad/Crash-v0 raised in episode 1, step 1: KeyError: 'wheel'"),
        ("NaN", "bad/NaN-v0: reward nan is not finite"),
        ("Outside", "observation 7 is outside the observation space"),
    ],
)
@pytest.mark.filterwarnings("always::velodrome.experiments.errors.ExperimentWarning")
def test_a_failing_environment_fails_its_trials_and_no_others(capsys, profile, reason):
    places = f'"bad_tracks:bad/{profile}-v0", "{LAKE}"'
    text = experiment(LAKE).replace(f'"{LAKE}"', places).replace('"q_learning"', '"dummy_q"')
    assert main(["compare", write("x.toml", text), "--workers", "0"]) == 1
    printed = capsys.readouterr()
    assert reason.partition(":")[0] in " ".join(printed.out.split())
    (failure,) = [line for line in printed.err.splitlines() if "trials failed" in line]
    assert failure.startswith("velodrome: warning: 4 of 8 trials failed, the first: random on bad_tracks:bad/")
    assert reason in failure
    assert "Traceback" not in printed.out + printed.err
    results = Results.load("results")
    assert [row.status for row in results.records] == ["failed"] * 4 + ["done"] * 4


def test_pictures_of_other_kinds_are_refused(refused, capsys):
    assert main(["compare", write("x.toml", experiment(LAKE)), "--out", "there"]) == 0
    capsys.readouterr()
    assert refused("plot", "there", "--out", "x.jpg") == "--out must end in .png, .svg, .pdf, got x.jpg"


@pytest.mark.parametrize("command", [["table", "there"], ["plot", "there"], ["compare", "x.toml", "--out", "there"]])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: b"not a store", "there/trials.sqlite is damaged, or is not a store"),
        (lambda content: content[: len(content) // 2], "there/trials.sqlite is damaged"),
    ],
)
def test_a_damaged_store_is_told_and_left_as_it_is(refused, capsys, command, change, message):
    assert main(["compare", write("x.toml", experiment(LAKE)), "--out", "there"]) == 0
    capsys.readouterr()
    store = Path("there/trials.sqlite")
    store.write_bytes(change(store.read_bytes()))
    before = store.read_bytes()
    assert message in refused(*command)
    assert store.read_bytes() == before


@pytest.mark.parametrize("command", ["table", "plot"])
def test_an_unknown_experiment_of_a_store_is_told_with_the_closest(refused, capsys, command):
    text = experiment(LAKE).replace('name = "x"', 'name = "two agents"')
    assert main(["compare", write("x.toml", text), "--out", "there"]) == 0
    capsys.readouterr()
    told = refused(command, "there", "--experiment", "two agent")
    place = Path("there/trials.sqlite").absolute()
    assert told == f"{place} holds no experiment 'two agent': did you mean 'two agents'?"


def test_a_picture_that_cannot_be_written_is_told(refused, capsys):
    assert main(["compare", write("x.toml", experiment(LAKE)), "--out", "there"]) == 0
    capsys.readouterr()
    assert "--out" in refused("plot", "there", "--out", "bad_tracks.py/x.png")


def test_a_folder_that_an_agent_cannot_be_saved_in_is_told_before_training(refused):
    assert "--save" in refused(*run("random", LAKE, "--episodes", "5", "--save", "bad_tracks.py/agent"))


@pytest.mark.parametrize(
    "arguments", [["run", "random", LAKE, "--episodes", "5", "--success", "won"], ["compare", "s.toml"]]
)
def test_an_unknown_success_rule_is_told(refused, arguments):
    write("s.toml", experiment(LAKE).replace("episodes", 'success = "won"\nepisodes', 1))
    assert "unknown success rule 'won'" in refused(*arguments)


def test_a_failure_of_several_lines_is_told_in_one(refused):
    refused(*run("random", "bad_tracks:bad/ClosedForRepairs-v0"))


@pytest.mark.filterwarnings("default")
def test_a_nan_reward_under_gymnasiums_checker_is_told_in_one_line(refused):
    assert "reward nan is not finite" in refused(*run("random", "bad_tracks:bad/CheckedNaN-v0"))
