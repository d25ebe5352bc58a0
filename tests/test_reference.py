"""The reference of the documentation: it leaves nothing public out."""

import re
import sys
from pathlib import Path

import pytest

from velodrome.experiments.cli.application import app

ROOT = Path(__file__).parents[1]
COMMANDS = [name for name in app if not name.startswith("-")]


@pytest.fixture
def public_names(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "_extensions"))
    import public_names

    yield public_names
    del sys.modules["public_names"]


@pytest.fixture
def generated_markdown(public_names):
    pytest.importorskip("sphinx")
    import generated_markdown

    yield generated_markdown
    del sys.modules["generated_markdown"], sys.modules["api_reference"]


def test_nothing_public_is_undocumented(public_names):
    assert list(public_names.undocumented()) == []


def test_every_public_name_has_one_place(public_names):
    places = public_names.places()
    assert places["velodrome.Agent"] == ["velodrome", "velodrome.agents"]
    assert len({id(public_names.value_of(path)) for path in places}) == len(places)
    assert {face for faces in places.values() for face in faces} <= set(public_names.faces())


def test_the_page_of_the_command_line_has_every_command_with_an_example():
    page = (ROOT / "docs" / "reference" / "command_line.md").read_text(encoding="utf-8")
    sections = re.split(r"^## ", page, flags=re.M)[1:]
    assert sorted(section.split()[0] for section in sections) == sorted(COMMANDS)
    for section in sections:
        name = section.split()[0]
        assert f"```{{command}} {name}\n" in section
        assert f"\nvelodrome {name}" in section


@pytest.mark.parametrize("command", COMMANDS)
def test_the_reference_has_every_option(command, generated_markdown):
    text = generated_markdown.command_text(command)
    options = {name for argument in app[command].assemble_argument_collection() for name in argument.names}
    plain = {name for name in options if not name.startswith("--empty-")}
    assert {name for name in plain if name.startswith("--")} <= set(re.findall(r"--[a-z][\w-]*", text))
    assert text.startswith(f"```console\nvelodrome {command}")


def test_the_catalogue_has_every_name(generated_markdown):
    page = (ROOT / "docs" / "reference" / "catalogue.md").read_text(encoding="utf-8")
    kinds = re.findall(r"```{catalogue} (\w+)", page)
    assert kinds == [*generated_markdown.KINDS]
    for kind in kinds:
        text = generated_markdown.catalogue_text(kind)
        names = [entry.name for entry in generated_markdown.describe(kind)]
        assert [name for name in names if f"`{name}" not in text] == []


def test_descriptions_become_restructured_text(generated_markdown):
    import api_reference

    assert api_reference.as_rest("`x`s and a*b, |Z|, step_") == "``x``\\ s and a\\*b, \\|Z\\|, step\\_"
    assert api_reference.as_rest("In `vd.Agent`, `train` it") == (
        "In :py:obj:`vd.Agent <velodrome.Agent>`, ``train`` it"
    )
    assert api_reference.as_rest("So:\n\n    a_ = *b\n\nthen").splitlines()[-3:] == ["    a_ = *b", "", "then"]
