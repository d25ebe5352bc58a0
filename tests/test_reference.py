"""The reference of the documentation: it leaves nothing public out."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def public_names(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "_extensions"))
    import public_names

    yield public_names
    del sys.modules["public_names"]


def test_nothing_public_is_undocumented(public_names):
    assert list(public_names.undocumented()) == []


def test_every_public_name_has_one_place(public_names):
    places = public_names.places()
    assert places["velodrome.Agent"] == ["velodrome", "velodrome.agents"]
    assert len({id(public_names.value_of(path)) for path in places}) == len(places)
    assert {face for faces in places.values() for face in faces} <= set(public_names.faces())
