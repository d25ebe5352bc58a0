"""The JSON schema of assignment files: it refuses no file that is read, and the mistakes that people make."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from velodrome.experiments.cli.application import main
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.grading import Assignment, Grader, Limits, Question, assignment_schema

jsonschema = pytest.importorskip("jsonschema")
ROOT = Path(__file__).parents[1]
VALIDATOR = jsonschema.Draft7Validator(assignment_schema())
FILES = sorted((ROOT / "teaching" / "assignments").glob("*/assignment.toml"))
BLOCKS = [
    text
    for page in sorted((ROOT / "docs").rglob("*.md"))
    for text in re.findall(r"^```toml\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
]
LAKE = 'environment = "FrozenLake-v1"\n'
RIGHT = [
    LAKE + 'kind = "policy"',
    LAKE + 'kind = "learner"\nsteps = 100\nhidden_environments = "velodrome/Chain-v0"',
    LAKE + 'kind = "update"\nreference = "sarsa(discount=0.9)"\ntext = "SARSA"\npoints = 2.5',
    LAKE + 'reference = "q_learning"\n[questions.a]\nkind = "update"\n[questions."b c"]\nkind = "learner"\n'
    'episodes = 9\nname = "배우기"',
    '[questions.a]\nkind = "policy"\nenvironment = ["Taxi-v4"]\nhidden_environments = []\nfull_share = 1',
    '[questions.a]\nkind = "learner"\nepisodes = 1\nenvironment = ["Taxi-v4", "CliffWalking-v1"]\nseeds = [0, 7]\n'
    '[limits]\nseconds = 5\nmemory = "1.5 GiB"\noutput = 100\nfile_size = "10kb"',
]
WRONG = {
    "no kind": LAKE,
    "a misspelt field": LAKE + 'kind = "policy"\npoint = 3',
    "an unknown kind": LAKE + 'kind = "polcy"',
    "no environment": 'kind = "policy"',
    "no environment of a question": '[questions.a]\nkind = "policy"',
    "a learner without a budget": LAKE + 'kind = "learner"',
    "a learner with two budgets": LAKE + 'kind = "learner"\nepisodes = 1\nsteps = 1',
    "a budget of a policy": LAKE + 'kind = "policy"\nepisodes = 1',
    "hidden environments of a policy": LAKE + 'kind = "policy"\nhidden_environments = "Taxi-v4"',
    "two environments of a policy": 'environment = ["Taxi-v4", "FrozenLake-v1"]\nkind = "policy"',
    "an update without a reference": LAKE + 'kind = "update"',
    "a question's update without a reference": LAKE + '[questions.a]\nkind = "update"',
    "all points for a reference that is missing": LAKE + 'kind = "policy"\nfull_of = "reference"',
    "an unknown reference": LAKE + 'kind = "update"\nreference = "q_lerning"',
    "a share above 1": LAKE + 'kind = "policy"\nfull_share = 1.1',
    "no points": LAKE + 'kind = "policy"\npoints = 0',
    "a name that is none": LAKE + '[questions.a]\nkind = "policy"\nname = "my policy"',
    "a seed given twice": LAKE + 'kind = "learner"\nepisodes = 1\nseeds = [1, 1]',
    "no questions": LAKE + "[questions]",
    "a kind beside questions": LAKE + 'kind = "policy"\n[questions.a]\nkind = "policy"',
    "a limit that is no size": LAKE + 'kind = "policy"\n[limits]\nmemory = "much"',
    "an unknown limit": LAKE + 'kind = "policy"\n[limits]\ntime = 3',
}


def refusals(text):
    return [error.message for error in VALIDATOR.iter_errors(tomllib.loads(text))]


def is_read(text):
    try:
        Assignment.of(tomllib.loads(text))
    except ExperimentError:
        return False
    return True


def test_it_is_a_schema_whose_fields_have_descriptions():
    schema = assignment_schema()
    jsonschema.Draft7Validator.check_schema(schema)
    tables = [schema, schema["definitions"]["question"], schema["definitions"]["limits"]]
    fields = [field for table in tables for field in table["properties"].items()]
    assert [name for name, field in fields if not field["title"] or not field["description"]] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_the_assignments_of_the_lectures_fit(path):
    assert refusals(path.read_text(encoding="utf-8")) == []


def test_no_assignment_of_the_docs_is_refused():
    found = [text for text in BLOCKS if is_read(text)]
    assert found
    assert [refusals(text) for text in found if refusals(text)] == []


@pytest.mark.parametrize("text", RIGHT)
def test_every_way_to_write_an_assignment_fits(text):
    assert is_read(f'name = "test"\n{text}')
    assert refusals(f'name = "test"\n{text}') == []


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG.keys())
def test_mistakes_are_refused_as_by_the_reader(text):
    assert not is_read(f'name = "test"\n{text}')
    assert refusals(f'name = "test"\n{text}') != []


def test_an_unknown_environment_of_ours_is_refused_before_it_is_tried():
    text = 'name = "test"\nenvironment = "velodrome/Chian-v0"\nkind = "policy"'
    assert refusals(text) != []
    with pytest.raises(ExperimentError, match="Chian"):
        Grader(Assignment.of(tomllib.loads(text)))


def test_the_command_writes_it(tmp_path, capsys):
    path = tmp_path / "assignment.schema.json"
    assert main(["schema", "--of", "assignment", "--out", str(path)]) == 0
    assert json.loads(path.read_text(encoding="utf-8")) == assignment_schema()
    assert main(["schema", "--of", "experiments"]) == 2
    assert "assignment" in capsys.readouterr().err


def test_every_field_is_in_the_schema():
    definitions = assignment_schema()["definitions"]
    for name, model in {"question": Question, "limits": Limits}.items():
        assert set(definitions[name]["properties"]) == set(model.model_fields)
