"""The JSON schema of experiment files: it refuses no file that is read, and the mistakes that people make."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from velodrome.experiments.cli.application import main
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.specification import experiment_schema, parse_experiment
from velodrome.experiments.specification.descriptions import shipped_experiments, shipped_text

jsonschema = pytest.importorskip("jsonschema")
ROOT = Path(__file__).parents[1]
VALIDATOR = jsonschema.Draft7Validator(experiment_schema())
BLOCKS = [
    pytest.param(text, id=f"{page.stem}-{number}")
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    for number, text in enumerate(re.findall(r"^```toml\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S))
]
START = 'name = "test"\nepisodes = 5\n'
RIGHT = [
    'agents = "q_learning"\nenvironments = "FrozenLake-v1"',
    'agents = ["q_learning(discount=0.9)", "sarsa"]\nenvironments = ["CliffWalking-v1", "velodrome/Chain-v0"]',
    'agents = {agent = "dyna_q", discount = [0.9, 1.0]}\nenvironments = {lake = "FrozenLake-v1"}',
    '[agents]\na = "q_learning"\n[agents."b · c"]\nagent = "sarsa"\npolicy = ["greedy", "epsilon_greedy(0.2)"]\n'
    'environments = ["lake"]\n[environments.lake]\nenvironment = "FrozenLake-v1"\nsuccess = "return > 0"',
    'policies = ["greedy", "softmax(0.1)"]\nenvironments = "FrozenLake-v1"',
    'learners = {q = "q_learning(discount=0.9)"}\npolicies = ["greedy"]\nenvironments = "FrozenLake-v1"\nseeds = [3]',
    'agents = " q_learning ( discount = 0.9 )"\nenvironments = "TimeLimit(FrozenLake-v1, 20)"',
    'agents = "q_learning"\nenvironments = "velodrome/Chain-v0"\nmetric = "train_return"',
    'evaluate_every = 1\nsolved_at = 1\nhopeless = {below = 0.1, after = 2}\nagents = "q_learning"\n'
    'environments = "FrozenLake-v1"',
]
WRONG = {
    "a misspelt field": 'agent = "q_learning"\nenvironments = "FrozenLake-v1"',
    "no environments": 'agents = "q_learning"',
    "no agents": 'environments = "FrozenLake-v1"',
    "an unknown agent": 'agents = "q_lerning"\nenvironments = "FrozenLake-v1"',
    "an unknown policy": 'policies = "epsilon_gredy"\nenvironments = "FrozenLake-v1"',
    "an unknown environment of ours": 'agents = "q_learning"\nenvironments = "velodrome/Chian-v0"',
    "an environment of ours without its version": 'agents = "q_learning"\nenvironments = "velodrome/Chain"',
    "an unknown argument": 'agents = {agent = "q_learning", discuont = 0.9}\nenvironments = "FrozenLake-v1"',
    "two budgets": 'steps = 5\nagents = "q_learning"\nenvironments = "FrozenLake-v1"',
    "a budget of zero": 'agents = {agent = "q_learning", episodes = 0}\nenvironments = "FrozenLake-v1"',
    "a text for a number": 'evaluate_every = "10"\nagents = "q_learning"\nenvironments = "FrozenLake-v1"',
    "a seed given twice": 'seeds = [1, 1]\nagents = "q_learning"\nenvironments = "FrozenLake-v1"',
    "learners without policies": 'learners = "q_learning"\nenvironments = "FrozenLake-v1"',
    "a label with a dot": 'environments = "FrozenLake-v1"\n[agents]\nepsilon0.1 = "q_learning"',
    "an empty list": 'agents = []\nenvironments = "FrozenLake-v1"',
    "solved without evaluations": 'solved_at = 1\nagents = "q_learning"\nenvironments = "FrozenLake-v1"',
}


def refusals(text):
    errors = VALIDATOR.iter_errors(tomllib.loads(text))
    return [f"{'.'.join(map(str, error.path))}: {error.message}" for error in errors]


def is_read(text):
    try:
        parse_experiment(text)
    except (ExperimentError, ValueError) as error:
        # A file with search spaces is one that `velodrome tune` reads.
        return "holds search spaces" in str(error)
    return True


def test_it_is_a_schema():
    jsonschema.Draft7Validator.check_schema(experiment_schema())


@pytest.mark.parametrize("name", shipped_experiments())
def test_experiments_that_come_with_the_package_fit(name):
    assert refusals(shipped_text(name)) == []


@pytest.mark.parametrize("text", BLOCKS)
def test_no_file_of_the_docs_that_is_read_is_refused(text):
    if refusals(text):
        assert not is_read(text), refusals(text)


@pytest.mark.parametrize("text", RIGHT)
def test_every_way_to_write_an_experiment_fits(text):
    assert is_read(START + text)
    assert refusals(START + text) == []


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG.keys())
def test_mistakes_are_refused_as_by_the_reader(text):
    assert not is_read(START + text)
    assert refusals(START + text) != []


def test_every_field_has_a_title_and_a_description():
    def fields_of(schema):
        if isinstance(schema, dict):
            yield from schema.get("properties", {}).items() if "if" not in schema else ()
            for key, inner in schema.items():
                yield from fields_of(inner) if key != "if" else ()
        elif isinstance(schema, list):
            for inner in schema:
                yield from fields_of(inner)

    fields = list(fields_of(experiment_schema()))
    assert len(fields) > 100
    assert [name for name, field in fields if not field.get("title") or not field.get("description")] == []


def test_the_command_writes_it(tmp_path, capsys):
    path = tmp_path / "experiment.schema.json"
    assert main(["schema", "--out", str(path)]) == 0
    assert json.loads(path.read_text(encoding="utf-8")) == experiment_schema()
    assert main(["schema"]) == 0
    assert path.read_text(encoding="utf-8") in capsys.readouterr().out
