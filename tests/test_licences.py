"""THIRD_PARTY_LICENSES.md names every package that velodrome or an extra installs, under the licence that it states."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "THIRD_PARTY_LICENSES.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# How packages whose metadata has no SPDX expression write the same licence.
SPELLINGS = {
    "Apache-2.0": "apache", "BSD-2-Clause": "bsd", "BSD-3-Clause": "bsd", "MIT": "mit", "GPL-3.0": "gpl",
    "LGPL-2.1": "lgpl", "LGPL-3.0": "lgpl", "PSF-based (Matplotlib License)": "python software foundation",
}  # fmt: skip


def name_of(requirement):
    return re.match(r"[\w.-]+", requirement)[0]


def rows(heading):
    part = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in re.findall(r"^\| .*", part, re.M)][1:]


LICENCES = {row[0]: row[1] for row in rows("Always installed")} | {
    row[1].partition(",")[0]: row[2] for row in rows("With extras")
}


def test_every_dependency_has_its_row():
    assert [row[0] for row in rows("Always installed")] == [name_of(one) for one in PROJECT["dependencies"]]
    extras = {
        (extra, name_of(one)) for extra, needed in PROJECT["optional-dependencies"].items() for one in needed
        if extra != "dev"
    }  # fmt: skip
    named = {(extra, package) for extra, package, _ in rows("With extras")}
    pygame = ("render", "pygame-ce, which gymnasium asks for")
    assert named == extras - {("render", "gymnasium")} | {pygame}


@pytest.mark.parametrize(("package", "licence"), LICENCES.items())
def test_the_licence_is_what_the_installed_package_states(package, licence):
    try:
        stated = metadata(package)
    except PackageNotFoundError:
        pytest.skip(f"{package} is not installed")
    if "License-Expression" in stated:
        assert stated["License-Expression"] == licence
        return
    said = " ".join(
        [stated.get("License") or "", *(one for one in stated.get_all("Classifier") or [] if "License" in one)]
    )
    assert SPELLINGS[licence] in said.lower()
