"""Experiment files: what they may say, and every mistake told with its field before anything is run or written."""

import inspect
import sys
from dataclasses import fields
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

import velodrome as vd
from velodrome.experiments.cli import application
from velodrome.experiments.cli.application import main
from velodrome.experiments.compare import CompareFields
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.running.run_plan import RunOptionFields, RunOptions
from velodrome.experiments.specification.catalogue import AGENTS
from velodrome.experiments.specification.entries import AgentEntry
from velodrome.experiments.specification.experiment import Experiment, ExperimentFields
from velodrome.experiments.specification.experiment_file import parse_experiment, read_experiment

# An environment that leaves a file behind when an episode begins.
OWN_TRACK = """
from pathlib import Path
import gymnasium as gym

class Witness(gym.Env):
    observation_space = action_space = gym.spaces.Discrete(2)
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        Path("was_run").touch()
        return 0, {}
    def step(self, action):
        return 1, 1.0, True, False, {}

gym.register("own/Witness-v0", Witness)
"""
WITNESS = "own_track:own/Witness-v0"
ONE_BUDGET = "give episodes, steps or epochs, one of them"
AN_AGENT = "an expression such as 'q_learning(discount=0.9)'"
AN_ENVIRONMENT = "an expression such as 'FrozenLake-v1'"
ENTRIES = "a table of label = expression, or a list of expressions"
_OTHERS = (
    "evaluate_every, evaluation_episodes, hopeless, learners, metric, name, policies, seeds, snapshots, solved_at, "
    "steps, success"
)
FIELDS = f"agents, description, environments, episodes, epochs, {_OTHERS}"
RULES = "allowed are 'return > NUMBER', 'return >= NUMBER', 'terminated', 'is_success' and 'none'"
LARGEST = 2**63 - 1
PARTS = {
    "name": 'name = "x"',
    "budget": "episodes = 5",
    "seeds": "seeds = 2",
    "environments": f'environments = ["{WITNESS}"]',
    "agents": 'agents = ["random"]',
    "end": "",
}


def file(**changed):
    """A good experiment file with some of its parts changed; tables go to the end."""
    return "\n".join((PARTS | changed).values()) + "\n"


def agent(value):
    return file(agents="", end=f"[agents]\na = {value}")


def environment(value):
    return file(environments="", end=f"[environments]\nlake = {value}")


@pytest.fixture(autouse=True)
def _own_track(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    Path("own_track.py").write_text(OWN_TRACK)
    Path("kept/earlier-1").mkdir(parents=True)
    Path("kept/trials.sqlite").write_bytes(b"SQLite format 3\0 and trials")
    Path("kept/earlier-1/table.md").write_text("| agent |")
    yield
    sys.modules.pop("own_track", None)
    gym.registry.pop("own/Witness-v0", None)


@pytest.fixture
def refused(capsys):
    """Compares a file that must be refused, with nothing run or written; what each line says of the file."""

    def compare(content, path="bad.toml"):
        if content is not None:
            Path(path).write_bytes(content if isinstance(content, bytes) else content.encode())
        before = everything()
        told = []
        for folder in ("kept", "absent/there"):
            code = main(["compare", path, "--out", folder])
            printed = capsys.readouterr()
            assert (code, printed.out) == (2, "")
            told.append(printed.err)
        assert everything() == before
        assert told[0] == told[1] != ""
        assert "Traceback" not in told[0]
        lines = told[0].removesuffix("\n").split("\n")
        assert all(line.startswith("velodrome: ") and path in line for line in lines), told[0]
        return [line.removeprefix("velodrome: ").removeprefix(f"{path}: ") for line in lines]

    return compare


def everything():
    """Every file and folder here with its content, but for Python's own caches."""
    paths = [path for path in sorted(Path().rglob("*")) if "__pycache__" not in path.parts]
    return {path: path.read_bytes() if path.is_file() else None for path in paths}


# What is not even TOML, with the place and what to look for there.
NOT_TOML = {
    "string not closed": ('name = "x\n', "line 1, column 10", 'name = "x'),
    "text without quotes": (file(name="name = x"), "invalid value, text needs quotes (at line 1", "name = x"),
    "two values": (file(seeds="seeds = 1 2"), "line 3, column 11", "seeds = 1 2"),
    "leading zero": (file(budget="episodes = 05"), "line 2, column 13", "episodes = 05"),
    "no such day": (file(end="description = 2024-13-45"), "line 6", "2024-13-45"),
    "field twice": (file(end='name = "y"'), "the key is given a second time (at line 6", 'name = "y"'),
    "label twice": (
        file(agents="", end="[agents]\na = 'random'\na = 'q_learning'"),
        "the key is given a second time (at line 8",
        "a = 'q_learning'",
    ),
    "table twice": (
        file(agents="", end='[agents."a b"]\n[agents."a b"]'),
        '[agents."a b"], or a table around it, was given before (at line 7',
        '[agents."a b"]',
    ),
    "list and table": (file(end="[agents]"), "[agents], or a table around it, was given before (at line 6", "[agents]"),
    "YAML": ("name: x\nepisodes: 5\n", "Expected '=' after a key in a key/value pair (at line 1, column 5)", "name: x"),
    "JSON": ('{"name": "x"}', "neither a key = value nor a [table] (at line 1, column 1)", '{"name": "x"}'),
    "binary": (b"PK\x03\x04\0\0", "line 1, column 3", r"PK\x03\x04\x00\x00"),
    "nested without end": (file(end=f"x = {'[' * 5000}"), "nested too deeply", ""),
    "number of 5000 digits": (file(budget=f"episodes = {'9' * 5000}"), "Exceeds the limit (4300 digits)", ""),
    "not UTF-8": (file(name="name = 'é'").encode("latin-1"), "byte 0xe9", "(line 1): a TOML file is UTF-8 text"),
    "UTF-16 with its byte-order mark": (file().encode("utf-16"), "position 0", "a TOML file is UTF-8 text"),
    "machine code": (b"\x7fELF\n\xff", "byte 0xff", "(line 2): a TOML file is UTF-8 text"),
}


@pytest.mark.parametrize(("content", "place", "shown"), NOT_TOML.values(), ids=NOT_TOML)
def test_what_is_no_toml_is_told_with_its_place(refused, content, place, shown):
    (line,) = refused(content)
    assert place in line
    assert shown in line


# Every line that is told, without the file's name.
MALFORMED = {
    # The whole file.
    "empty": ("", [
        "name: field required", f"agents: field required: {ENTRIES}", f"environments: field required: {ENTRIES}",
        ONE_BUDGET,
    ]),
    "unknown fields": ("name='x'\nagnts=['random']\nenviroments=['FrozenLake-v1']\nsteps=1", [
        f"agents: field required: {ENTRIES}", f"environments: field required: {ENTRIES}",
        "unknown field 'agnts': did you mean 'agents'?", "unknown field 'enviroments': did you mean 'environments'?",
    ]),
    "unknown field": (file(end="title = 'x'"), [f"unknown field 'title'; allowed: {FIELDS}"]),
    "table around all": (file(end="[experiment]\nname = 'x'"), [f"unknown field 'experiment'; allowed: {FIELDS}"]),
    # Texts.
    "name is a number": (file(name="name = 3"), ["name: input should be a valid string, got 3"]),
    "name is a list": (file(name="name = ['x']"), ["name: input should be a valid string, got a list"]),
    "name is empty": (file(name="name = ''"), ["name: must be one line of text with a letter or digit, got ''"]),
    "name is a folder": (file(name="name = '..'"), ["name: must be one line of text with a letter or digit, got '..'"]),
    "name of two lines": (
        file(name='name = "a\\nb"'), [r"name: must be one line of text with a letter or digit, got 'a\nb'"]
    ),
    "description is a date": (
        file(end="description = 2024-01-01"), ["description: input should be a valid string, got the date 2024-01-01"]
    ),
    # Budgets.
    "no budget": (file(budget=""), [f"{ONE_BUDGET}: no budget for 'random' on '{WITNESS}'"]),
    "both budgets": (file(budget="episodes = 5\nsteps = 5"), [ONE_BUDGET]),
    "misspelt budget": (file(budget="episode = 5"), [
        "unknown field 'episode': did you mean 'episodes'?",
        f"{ONE_BUDGET}: no budget for 'random' on '{WITNESS}'",
    ]),
    "pairs without a budget": (
        file(budget="", agents="", end="[agents]\na='random'\nb='q_learning'\n[agents.c]\nagent='random'\nsteps=5"),
        [f"{ONE_BUDGET}: no budget for 'a' on '{WITNESS}', 'b' on '{WITNESS}'"],
    ),
    "many pairs without a budget": (
        file(budget="", environments="environments=['FrozenLake-v1', 'Taxi-v4']", agents="agents=['random', 'sarsa']"),
        [f"{ONE_BUDGET}: no budget for 'random' on 'FrozenLake-v1', 'sarsa' on 'FrozenLake-v1', "
         "'random' on 'Taxi-v4' and 1 more"],
    ),
    "budget of zero": (
        file(budget="episodes = 0"), ["episodes: must be a whole number of at least 1, got 0"]
    ),
    "negative budget": (file(budget="steps = -5"), ["steps: must be a whole number of at least 1, got -5"]),
    "budget as a float": (
        file(budget="steps = 1e5"), ["steps: must be a whole number of at least 1, got 100000.0: write 100000"]
    ),
    "budget as a flag": (file(budget="steps = true"), ["steps: must be a whole number of at least 1, got True"]),
    "budget as text": (file(budget="steps = '5'"), ["steps: must be a whole number of at least 1, got '5'"]),
    "budget is no number": (file(budget="steps = nan"), ["steps: must be a whole number of at least 1, got nan"]),
    "endless budget": (file(budget="steps = inf"), ["steps: must be a whole number of at least 1, got inf"]),
    "budget beyond 64 bits": (
        file(budget=f"steps = {2**63}"), [f"steps: must be at most {LARGEST} (2**63 - 1), got {2**63}"]
    ),
    "budget of thousands of bits": (
        file(budget=f"steps = 0x1{'0' * 5000}"),
        [f"steps: must be at most {LARGEST} (2**63 - 1), got a whole number of 20001 bits"],
    ),
    "budget is a table": (
        file(budget="", end="[episodes]\nx = 1"), ["episodes: must be a whole number of at least 1, got a table"]
    ),
    "evaluation of zero": (
        file(end="evaluation_episodes = 0"),
        ["evaluation_episodes: must be a whole number of at least 1, got 0"],
    ),
    "a metric that there is not": (
        file(end="metric = 'greedy_retrun'"),
        [
            "metric: must be one of greedy_success_rate, greedy_return, train_success_rate, train_return, "
            "pseudo_regret, got 'greedy_retrun': did you mean 'greedy_return'?"
        ],
    ),
    # Seeds.
    "no seeds": (
        file(seeds="seeds = 0"), ["seeds: must be a whole number of at least 1, or a list of seeds, got 0"]
    ),
    "seeds as a float": (
        file(seeds="seeds = 2.0"), ["seeds: must be a whole number of at least 1, or a list of seeds, got 2.0"]
    ),
    "seeds as a flag": (
        file(seeds="seeds = true"), ["seeds: must be a whole number of at least 1, or a list of seeds, got True"]
    ),
    "seeds as a time": (
        file(seeds="seeds = 10:00:00"),
        ["seeds: must be a whole number of at least 1, or a list of seeds, got the time 10:00:00"],
    ),
    "a seed for a number of seeds": (
        file(seeds="seeds = 20240101"),
        ["seeds: must be a number of seeds, at most 1000000, or a list of seeds such as [7], got 20240101"],
    ),
    "empty list of seeds": (
        file(seeds="seeds = []"), ["seeds: must be different whole numbers of at least 0, got []"]
    ),
    "float among seeds": (
        file(seeds="seeds = [1, 2.5]"), ["seeds: must be different whole numbers of at least 0, got 2.5"]
    ),
    "flags as seeds": (
        file(seeds="seeds = [false, true]"), ["seeds: must be different whole numbers of at least 0, got False"]
    ),
    "negative seed": (file(seeds="seeds = [-1]"), ["seeds: must be different whole numbers of at least 0, got -1"]),
    "seed twice": (file(seeds="seeds = [1, 1]"), ["seeds: must be different whole numbers of at least 0, got [1, 1]"]),
    "seed twice among many": (
        file(seeds=f"seeds = {[*range(99), 7]}"),
        ["seeds: must be different whole numbers of at least 0, got 7 twice"],
    ),
    "seed beyond 64 bits": (
        file(seeds=f"seeds = [{2**63}]"), [f"seeds: must be at most {LARGEST} (2**63 - 1), got {2**63}"]
    ),
    # Success rules.
    "unknown rule": (file(end="success = 'won'"), [f"success: unknown success rule 'won': {RULES}"]),
    "rule without a number": (
        file(end="success = 'return > nan'"),
        [f"success: unknown success rule 'return > nan': did you mean 'return > 0'? {RULES}"],
    ),
    "rule is a number": (file(end="success = 0.5"), ["success: input should be a valid string, got 0.5"]),
    "rule of an environment": (
        environment("{environment = 'FrozenLake-v1', success = 'terminate'}"),
        [f"environments.lake.success: unknown success rule 'terminate': did you mean 'terminated'? {RULES}"],
    ),
    # Tables and lists of agents and environments.
    "no agents": (file(agents="agents = []"), ["agents: must hold at least one label = expression, got none"]),
    "empty table": (
        file(environments="", end="[environments]"),
        ["environments: must hold at least one label = expression, got none"],
    ),
    "agent twice": (
        file(agents="agents = ['q_learning', 'q_learning()']"),
        ["agents.1: agent 'q_learning()' is given twice: give labels"],
    ),
    "number in a list": (file(agents="agents = ['random', 3]"), [f"agents.1: must be {AN_AGENT}, got 3"]),
    "list of tables": (
        file(agents="", end="[[agents]]\nagent = 'random'\n[[agents]]\nagent = 'random()'"),
        ["agents.1: agent 'random' is given twice: give labels"],
    ),
    "empty label": (
        file(agents="", end='[agents]\n"" = "random"'),
        ["agents.\"\": a label must be one line of visible text, got ''"],
    ),
    "blank label": (
        file(agents="", end='[agents]\n"  " = "random"'),
        ["agents.\"  \": a label must be one line of visible text, got '  '"],
    ),
    "label of two lines": (
        file(agents="", end='[agents]\n"a\\nb" = "random"'),
        [r"""agents."a\nb": a label must be one line of visible text, got 'a\nb'"""],
    ),
    "label with a dot": (file(agents="", end="[agents]\nepsilon0.1 = 'random'"), [
        f"agents.epsilon0.agent: field required: {AN_AGENT}",
        "unknown field 'agents.epsilon0.1'; allowed: agent, environments, episodes, epochs, steps",
        'agents.epsilon0: a label with a dot needs quotes: "epsilon0.1"',
    ]),
    # Tables around one agent or environment.
    "agent is missing": (agent("{steps = 5}"), [f"agents.a.agent: field required: {AN_AGENT}"]),
    "both budgets of an agent": (agent("{agent = 'random', episodes = 5, steps = 5}"), [f"agents.a: {ONE_BUDGET}"]),
    "budget of an agent": (
        agent("{agent = 'random', steps = 1.5}"), ["agents.a.steps: must be a whole number of at least 1, got 1.5"]
    ),
    "unknown field of an agent": (
        agent("{agent = 'random', episods = 5}"), ["unknown field 'agents.a.episods': did you mean 'episodes'?"]
    ),
    "success rule of an agent": (
        agent("{agent = 'random', success = 'terminated'}"),
        ["unknown field 'agents.a.success'; allowed: agent, environments, episodes, epochs, steps, or an argument of "
         "random"],
    ),
    "table in a table": (agent("{agent = {agent = 'random'}}"), [f"agents.a.agent: must be {AN_AGENT}, got a table"]),
    "agent in an environment's table": (environment("{agent = 'random'}"), [
        f"environments.lake.environment: field required: {AN_ENVIRONMENT}",
        "unknown field 'environments.lake.agent'; allowed: environment, episodes, epochs, hopeless, solved_at, steps, "
        "success",
    ]),
    # Expressions.
    "agent is a number": (agent("3"), [f"agents.a: must be {AN_AGENT}, got 3"]),
    "agent is a list": (agent("['random']"), [f"agents.a: must be {AN_AGENT}, got a list"]),
    "agent is blank": (agent("' '"), [f"agents.a: must be {AN_AGENT}, got ' '"]),
    "environment is a flag": (environment("true"), [f"environments.lake: must be {AN_ENVIRONMENT}, got True"]),
    "unknown agent": (agent("'q_lerning'"), ["agents.a: unknown agent 'q_lerning': did you mean 'q_learning'?"]),
    "unknown agent of a quoted label": (
        file(agents="", end='[agents."dyna, few"]\nagent = "dina_q"'),
        ["agents.\"dyna, few\".agent: unknown agent 'dina_q': did you mean 'dyna_q'?"],
    ),
    "unknown policy": (
        agent("'q_learning(policy=greedi)'"), ["agents.a: unknown policy 'greedi': did you mean 'greedy'?"]
    ),
    "unknown schedule": (
        agent("'q_learning(policy=epsilon_greedy(liner(1, 0, 5)))'"),
        ["agents.a: unknown schedule 'liner': did you mean 'linear'?"],
    ),
    "unknown argument": (
        agent("'q_learning(discont=1)'"),
        ["agents.a: q_learning has no argument 'discont': did you mean 'discount'?"],
    ),
    "missing argument": (
        agent("'q_learning(learning_rate=linear(1, 0))'"),
        ["agents.a: linear needs 'over': linear(start, end, over, clock='episode')"],
    ),
    "range": (agent("'q_learning(discount=2)'"), ["agents.a: q_learning: discount must be a number in [0, 1], got 2"]),
    "infinity": (
        agent("'q_learning(discount=inf)'"), ["agents.a: q_learning: discount must be a number in [0, 1], got inf"]
    ),
    "range at depth": (
        agent("'q_learning(policy=epsilon_greedy(linear(1, 2, over=5)))'"),
        ["agents.a: epsilon_greedy: epsilon must stay in [0, 1], "
         "but linear(start=1, end=2, over=5) runs from 1 to 2"],
    ),
    "bracket": (
        agent("'q_learning('"),
        ["agents.a: expression 'q_learning(': the bracket opened at column 11 is not closed"],
    ),
    "policy as an agent": (
        agent("'greedy'"), ["agents.a: greedy is a policy, not an agent: write q_learning(policy=greedy(...))"]
    ),
    "agent as a policy": (
        agent("'q_learning(policy=sarsa)'"), ["agents.a: q_learning: policy takes a policy, but sarsa is an agent"]
    ),
    "environment as an agent": (
        agent("'FrozenLake-v1'"), ["agents.a: FrozenLake-v1 is an environment, not an agent"]
    ),
    "function that makes no agent": (
        agent("'os:system'"), ["agents.a: os:system must say what it returns: def system(...) -> Agent"]
    ),
    "agent as an environment": (
        environment("'q_learning'"),
        ["environments.lake: q_learning is an agent, not an environment such as FrozenLake-v1"],
    ),
    "unknown environment": (
        environment("{environment = 'FrozenLak-v1', steps = 5}"),
        ["environments.lake.environment: unknown environment 'FrozenLak-v1': did you mean 'FrozenLake-v1'?"],
    ),
    "environment without its version": (
        environment("'FrozenLake'"),
        ["environments.lake: environment 'FrozenLake' needs its version: 'FrozenLake-v1'"],
    ),
    "range of an environment": (
        environment("'velodrome/DeepSea-v0(size=-1)'"),
        ["environments.lake: cannot make velodrome/DeepSea-v0: "
         "size must be a whole number of at least 2 and at most 30000, got -1"],
    ),
    "unknown argument of a wrapper": (
        environment("'discretize(CartPole-v1, bin=3)'"),
        ["environments.lake: discretize has no argument 'bin': did you mean 'bins'?"],
    ),
    "range of a wrapper": (
        environment("'discretize(CartPole-v1, bins=0)'"),
        ["environments.lake: discretize: bins must be a whole number of at least 1, got 0"],
    ),
    "wrapper around text": (
        environment("'discretize(\"CartPole-v1\")'"),
        ["environments.lake: discretize needs an environment without quotes, such as discretize(CartPole-v1), "
         "got 'CartPole-v1'"],
    ),
    # Several of all kinds, in the order of the fields.
    "everything at once": (
        'nam = "x"\nepisodes = 5\nsteps = 0\nseeds = [1, 1]\nsuccess = "won"\n'
        '[agents]\na = "q_lerning"\nb = "greedy"\n" " = "random"\n'
        '[agents.c]\nagent = "q_learning(discount=2)"\nepisodes = 0\nsteps = 1\n'
        '[environments.lake]\nenvironment = "FrozenLak-v1"\nsucces = "terminated"\n',
        [
            "name: field required",
            "agents.a: unknown agent 'q_lerning': did you mean 'q_learning'?",
            "agents.b: greedy is a policy, not an agent: write q_learning(policy=greedy(...))",
            "agents.\" \": a label must be one line of visible text, got ' '",
            "agents.c.episodes: must be a whole number of at least 1, got 0",
            "agents.c.agent: q_learning: discount must be a number in [0, 1], got 2",
            f"agents.c: {ONE_BUDGET}",
            "unknown field 'environments.lake.succes': did you mean 'success'?",
            "environments.lake.environment: unknown environment 'FrozenLak-v1': did you mean 'FrozenLake-v1'?",
            "steps: must be a whole number of at least 1, got 0",
            "seeds: must be different whole numbers of at least 0, got [1, 1]",
            f"success: unknown success rule 'won': {RULES}",
            "unknown field 'nam': did you mean 'name'?",
            ONE_BUDGET,
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("content", "lines"), MALFORMED.values(), ids=MALFORMED)
def test_every_mistake_of_a_file_is_told_with_its_field(refused, content, lines):
    assert refused(content) == lines


def test_a_folder_is_no_experiment(refused):
    Path("folder.toml").mkdir()
    for path in ("kept", "folder.toml"):
        assert refused(None, path) == [f"experiment {path}: it is a folder, give the path of a TOML file"]


def test_a_file_of_any_name_is_read(refused):
    assert refused("", "experiment.txt")[0] == "name: field required"


def test_a_path_too_long_for_the_system_is_told(refused):
    (line,) = refused(None, f"{'x' * 5000}.toml")
    assert "name too long" in line


def test_the_good_file_that_the_bad_ones_are_made_of_is_run_and_written(capsys):
    Path("good.toml").write_text(file())
    assert main(["compare", "good.toml", "--out", "there"]) == 0
    assert Path("was_run").exists()
    assert any(Path("there").iterdir())


@pytest.mark.parametrize("change", [lambda text: "\N{BYTE ORDER MARK}" + text, lambda text: text.replace("\n", "\r\n")])
def test_files_of_windows_editors_are_read(change):
    Path("windows.toml").write_bytes(change(file()).encode())
    assert read_experiment("windows.toml").plan().settings() == parse_experiment(file()).plan().settings()


def test_entries_may_be_expressions_or_tables():
    experiment = parse_experiment("""
        name = "x"
        [agents]
        "q" = "q_learning"
        [agents."dyna, fewer episodes"]
        agent = "dyna_q(planning_steps=20)"
        episodes = 200
        [environments."lake"]
        environment = "FrozenLake-v1"
        steps = 5000
        success = "return > 0"
    """)
    assert {label: (entry.label, entry.episodes) for label, entry in experiment.agents.items()} == {
        "q": ("q_learning(policy=epsilon_greedy())", None),
        "dyna, fewer episodes": ("dyna_q(policy=epsilon_greedy(), planning_steps=20)", 200),
    }
    lake = experiment.environments["lake"]
    assert (lake.label, lake.steps, lake.success) == ("FrozenLake-v1", 5000, "return > 0")
    assert experiment.episodes is experiment.steps is None


def test_a_list_labels_its_expressions_with_themselves():
    agents = parse_experiment(file(agents="agents = ['random', 'sarsa( discount = 0.5)']")).agents
    assert list(agents) == ["random", "sarsa(discount=0.5)"]
    for text in ("agents = 'random'", "[[agents]]\nagent = 'random'"):
        assert list(parse_experiment(file(agents="", end=text)).agents) == ["random"]


@pytest.mark.parametrize("owner", ["agents", "environments"])
def test_the_budget_may_be_left_out_where_every_pair_has_one(owner):
    expression = {"agents": "random", "environments": "FrozenLake-v1"}[owner]
    table = f'[{owner}.a]\n{owner.removesuffix("s")} = "{expression}"\nsteps = 5'
    experiment = parse_experiment(file(**{"budget": "", owner: "", "end": table}))
    assert getattr(experiment, owner)["a"].steps == 5


@pytest.mark.parametrize("seeds", [1, 1_000_000, [0], [LARGEST, 3]])
def test_seeds_that_the_store_can_keep_are_accepted(seeds):
    experiment = parse_experiment(file(seeds=f"seeds = {seeds}"))
    assert experiment.seeds == seeds
    assert experiment.plan().seeds == (list(range(seeds)) if isinstance(seeds, int) else seeds)


def same(given):
    """An experiment of Python's arguments that is the good file but for some of them."""
    return Experiment(**{"name": "x", "episodes": 5, "seeds": 2, "agents": "random", "environments": WITNESS} | given)


@pytest.mark.parametrize(
    "given",
    [
        {"episodes": 0}, {"steps": 2.5, "episodes": None}, {"seeds": 0}, {"seeds": [1, 1]}, {"seeds": []},
        {"seeds": [0, LARGEST + 1]}, {"seeds": 20240101}, {"seeds": True}, {"evaluation_episodes": -1},
        {"evaluate_every": 0}, {"success": "won"}, {"name": ""}, {"episodes": None}, {"episodes": 5, "steps": 5},
        {"agents": []}, {"agents": None}, {"environments": None}, {"agents": ["random", "random()"]},
        {"agents": ["q_lerning", 3]}, {"environments": ["FrozenLak-v1"]}, {"environments": {" ": "FrozenLake-v1"}},
        {"agents": {"a": {"agent": "random", "step": 5, "episodes": 0}}}, {"learners": ["sarsa"]}, {"agnts": ["sarsa"]},
        {"policies": {"n": "random_noise"}, "learners": {"E": "expected_sarsa"}},
        {"agents": {"a": {"agent": "random", "environments": ["nowhere"]}}},
        {"agents": {"a": {"agent": "random", "episodes": 1, "steps": 1}}},
        {"environments": {"lake": {"environment": "FrozenLak-v1", "success": "won"}}},
    ],
    ids=str,
)  # fmt: skip
def test_a_mistake_is_told_in_the_same_words_whether_a_file_or_a_program_makes_it(given):
    def line(value):
        if isinstance(value, dict):
            return "{" + ", ".join(f'"{key}" = {line(item)}' for key, item in value.items()) + "}"
        return {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)

    with pytest.raises(ExperimentError) as of_python:
        same(given)
    fields = {"name": "x", "episodes": 5, "seeds": 2, "agents": ["random"], "environments": [WITNESS]} | given
    text = "\n".join(f"{field} = {line(value)}" for field, value in fields.items() if value is not None)
    with pytest.raises(ExperimentError) as of_file:
        parse_experiment(text, "x.toml")
    assert [f"x.toml: {line}" for line in str(of_python.value).splitlines()] == str(of_file.value).splitlines()


def make_lake():
    return gym.make("FrozenLake-v1")


def test_an_experiment_of_python_holds_what_was_given():
    learner = vd.agents.QLearning(discount=0.5)
    experiment = same({"agents": {"a": learner, "b": {"agent": learner, "steps": np.int64(5)}, "c": learner}})
    assert experiment.agents["a"].agent is experiment.plan().agents["b"].agent is learner
    assert (experiment.agents["b"].steps, type(experiment.agents["b"].steps)) == (5, int)
    places = {"lake": {"environment": make_lake, "success": "terminated"}, "other": make_lake}
    environments = same({"environments": places}).environments
    assert (environments["lake"].environment, environments["lake"].success) == (make_lake, "terminated")
    assert environments["other"].environment is make_lake
    assert same({"environments": environments}).environments["lake"] is environments["lake"]
    assert list(same({"agents": [learner, AgentEntry(agent="random")]}).agents) == [str(learner), "random()"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"agents": {"a": 3}}, f"agents.a: must be {AN_AGENT}, got 3"),
        ({"agents": [vd.agents.QLearning]}, "agents.0: an agent is an expression or an Agent, got the class QLearning"),
        ({"agents": {"a": {"agnt": "random"}}}, f"agents.a.agent: field required: {AN_AGENT}\nunknown field"),
        ({"environments": [None]}, f"environments.0: must be {AN_ENVIRONMENT}, got None"),
        ({"environments": make_lake()}, "environments.0: an environment is an expression or a factory, got"),
        ({"environments": [{"environment": make_lake, "success": 1}]}, "environments.0.success: input should be a"),
        ({"environments": lambda: 3}, "environments.<lambda>: the factory <lambda> must return a gymnasium.Env, got 3"),
        ({"description": "half \ud800"}, r"description: holds half a character, '\ud800': got 'half \ud800'"),
        ({"title": "x"}, "unknown field 'title'; allowed: agents, "),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_mistakes_that_only_python_can_make_are_told_with_their_field(given, message):
    with pytest.raises(ExperimentError) as refusal:
        same(given)
    assert str(refusal.value).replace('"<lambda>"', "<lambda>").startswith(message)


def test_everything_is_read_built_and_made_once(monkeypatch):
    built, made = [], []

    class Counted(vd.agents.QLearning):
        def __post_init__(self):
            super().__post_init__()
            built.append(self)

    def lake():
        made.append("lake")
        return make_lake()

    monkeypatch.setitem(AGENTS, "counted", Counted)
    experiment = same({"agents": {"a": "counted", "b": "counted(discount=0.5)"}, "environments": {"lake": lake}})
    assert len(experiment.plan().trials) == 4
    assert len(built) == 2
    # Once to look at, and twice as it is not Gymnasium's: whether it is another one each time.
    assert len(made) == 3
    changed = experiment.changed(episodes=7, seeds=3, evaluate_every=2)
    assert {changed.plan().budget(agent, "lake").episodes for agent in "ab"} == {7}
    assert changed.plan().budget("a", "lake").evaluate_every == 2
    assert (len(changed.plan().trials), len(built), len(made)) == (6, 2, 3)


@pytest.mark.parametrize(
    "agents",
    [
        "agents = [{agent = 'random', steps = 7}, 'q_learning']",
        "agents = {agent = 'random', steps = 7}",
        "[agents]\nsteps = {agent = 'random', episodes = 7}\n[agents.b]\nagent = 'sarsa'\nsteps = 3",
        "policies = ['ucb']\n[learners.Q]\nlearner = 'q_learning'\nsteps = 3",
    ],
)
def test_a_budget_beside_a_file_goes_before_all_of_its_own(agents):
    text = file(agents="", environments="environments = ['FrozenLake-v1']", end=agents)
    for experiment in (parse_experiment(text, steps=9), parse_experiment(text).changed(steps=9, seeds=None)):
        plan = experiment.plan()
        budgets = [plan.budget(agent, "FrozenLake-v1") for agent in plan.agents]
        assert {(budget.episodes, budget.steps) for budget in budgets} == {(None, 9)}
        assert len(plan.trials) == 2 * len(budgets)


def test_compare_takes_an_experiment_or_its_file_with_changes():
    Path("x.toml").write_text(file(environments="environments = ['FrozenLake-v1']"))
    options = {"workers": 0, "seeds": 3, "episodes": 4}
    results = [
        vd.compare(given, **options)
        for given in ("x.toml", Path("x.toml"), read_experiment("x.toml"), read_experiment("x.toml", episodes=4))
    ]
    assert {len(one.records) for one in results} == {3}
    assert {episodes for one in results for episodes in one.frame()["episodes"]} == {4}
    assert results[0].settings == results[1].settings == results[2].settings == results[3].settings
    with pytest.raises(ExperimentError, match="unknown experiment 'frozenlak': did you mean 'frozenlake'"):
        vd.compare("frozenlak")


def test_the_three_groups_of_arguments_are_declared_once():
    assert set(ExperimentFields.__annotations__) | {"agents", "environments"} == set(Experiment.model_fields)
    assert set(RunOptionFields.__annotations__) == {field.name for field in fields(RunOptions)}
    flags = set(inspect.signature(application.compare).parameters) - {"trials"}
    flags |= {field.name for field in fields(application.TrialOptions)}
    of_table = {"experiment", "on", "baseline", "threshold", "difference", "quiet", "json", "explain", "watch"}
    stopping = {"until_decided", "max_seeds"}
    assert flags - of_table <= set(CompareFields.__annotations__) | stopping
    assert (
        flags
        >= set(RunOptionFields.__annotations__) - {"progress", "measures"} | {"seeds", "evaluate_every"} | stopping
    )
    experiment = same({"environments": "FrozenLake-v1"})
    options = RunOptions(workers=0)
    assert len(vd.compare(experiment, options=options, strict=False).records) == 2
    with pytest.raises(TypeError, match="has no argument 'wokers': did you mean 'workers'"):
        vd.compare(experiment, wokers=2)
