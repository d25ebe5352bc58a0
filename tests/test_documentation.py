"""What the papers say is true: their code and commands run, their links lead somewhere, and every name is told."""

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import types
import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest

from velodrome import agents, envs, policies
from velodrome.envs.labelled.datasets.mnist import find_file
from velodrome.experiments.cli.application import main
from velodrome.experiments.compare import compare
from velodrome.experiments.reporting.tables import format_table
from velodrome.experiments.specification.catalogue import AGENTS, DISTRIBUTIONS, POLICIES, SCHEDULES
from velodrome.experiments.specification.experiment_file import read_experiment

ROOT = Path(__file__).parents[1]
DOCS = sorted(page for page in (ROOT / "docs").rglob("*.md") if page.name != "README.md")
LECTURES = ROOT / "docs" / "tutorials" / "lectures.md"
KOREAN = ROOT / "docs" / "locale" / "ko" / "LC_MESSAGES"
# The theme's own words are no page.
CATALOGUES = sorted(path for path in KOREAN.rglob("*.po") if path.name != "sphinx.po")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "docs" / "README.md", *DOCS]
# Pages that take more than ten seconds, most of whose commands stand on other pages, too.
LONG_PAGES = (
    "docs/gallery.md",
    "docs/how_to/baselines.md",
    "docs/how_to/exploring_models.md",
    "docs/how_to/labelled_experiments.md",
    "docs/how_to/pictures.md",
    "docs/how_to/policy_comparison.md",
    "docs/how_to/q_networks.md",
    "docs/how_to/report.md",
    "docs/how_to/tour.md",
    "docs/reference/experiment_files.md",
    "docs/tutorials/networks_on_the_same_track.md",
)
PAPERS = [*PAGES, ROOT / "README.ko.md", ROOT / "CHANGELOG.md"]

# A fenced block, and the comment in the line above it: `file: NAME` also writes the block to a file of that name;
# the commands of a block with `minutes` take that long, and run with the slow tests; blocks with `needs MODULE` run
# where it can be imported; a block with `printed` is what the code before it prints, but for breaks of lines. Several
# are separated by commas.
BLOCK = re.compile(r"^(?:<!-- (?P<remark>[^\n]*) -->\n)?```(?P<language>[^`\n]*)\n(?P<text>.*?)^```$", re.M | re.S)
TABLE = re.compile(r"<!-- table: frozenlake -->\n(.*?)<!-- end of table -->", re.S)
LINK = re.compile(r"\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    language: str
    text: str
    remark: str
    line: int

    @property
    def remarks(self):
        return self.remark.split(", ")

    @property
    def takes_minutes(self):
        return "minutes" in self.remarks

    @property
    def file(self):
        """Name of the file that it is to be written to, or None."""
        return next((remark.removeprefix("file: ") for remark in self.remarks if remark.startswith("file: ")), None)

    @property
    def is_possible(self):
        modules = [remark.removeprefix("needs ") for remark in self.remarks if remark.startswith("needs ")]
        return all(importlib.util.find_spec(module) for module in modules)


def read(path):
    return path.read_text(encoding="utf-8")


def name_of(path):
    return str(path.relative_to(ROOT))


def blocks_of(path):
    page = read(path)
    return [
        Block(found["language"], found["text"], found["remark"] or "", page.count("\n", 0, found.start("text")))
        for found in BLOCK.finditer(page)
    ]


def commands_of(block):
    return [line for line in block.text.splitlines() if block.language == "bash" and line.strip()]


def exit_code_of(arguments):
    try:
        return main(arguments)
    except SystemExit as end:
        return end.code or 0


@pytest.fixture
def clean_process(tmp_path, monkeypatch):
    """A current folder with the examples alone, and a process that forgets what a page imported."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.slow] if name_of(page) in LONG_PAGES else []) for page in PAGES],
    ids=name_of,
)
def test_the_code_and_the_commands_of_a_page_run(page, clean_process, capsys):
    module = types.ModuleType(f"page_{page.stem}")
    module.__file__ = str(clean_process / "page.py")
    sys.modules[module.__name__] = module
    for block in blocks_of(page):
        if not block.is_possible:
            continue
        if block.file is not None:
            (clean_process / block.file).write_text(block.text, encoding="utf-8")
        if block.language == "python":
            # The empty lines make a traceback point into the page.
            capsys.readouterr()
            exec(compile("\n" * block.line + block.text, str(page), "exec"), module.__dict__)
        if "printed" in block.remarks:
            assert capsys.readouterr().out.split() == block.text.split()
        for command in commands_of(block):
            if command.startswith("velodrome ") and not block.takes_minutes:
                code = exit_code_of(shlex.split(command)[1:])
                assert code == 0, f"{command}\n{capsys.readouterr().err}"


# Commands that the tests don't run: they install, serve, or have tests of their own.
NOT_RUN = ("pip install", "pre-commit install", "python docs/build.py", "python -m pytest", "python3 -m venv", ".ci/")
NOT_RUN += ("python examples/", "python benchmarks/", "python -m build", "tensorboard --logdir")
# Pages whose commands need other machines.
ELSEWHERE = ("docs/how_to/clusters.md", "docs/tutorials/laptop_to_cluster.md")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_is_run_here_or_in_the_build_or_is_at_least_well_formed(page):
    is_notebook = read(page).startswith("---\nfile_format: mystnb\n")
    for block in blocks_of(page):
        language = block.language.partition(" ")[0]
        if language == "bash":
            unknown = [line for line in commands_of(block) if not line.startswith(("velodrome ", *NOT_RUN))]
            assert unknown == []
        elif language == "{code-cell}":
            assert is_notebook, "the build runs cells of text notebooks alone: see docs/README.md"
        elif language == "sh":
            assert "\nvelodrome " not in f"\n{block.text}" or name_of(page) in ELSEWHERE, "bash, so that it is run"
            subprocess.run(["bash", "-n"], input=block.text, text=True, check=True)
        elif language == "py":
            compile(block.text, str(page), "exec")
        elif language == "toml":
            tomllib.loads(block.text)
        elif language == "json":
            json.loads(block.text)
        else:
            assert language in ("python", "", "text") or re.fullmatch(r"\{[a-z-]+\}", language)


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["raise ValueError('a cell')", "!velodrome describe nothing"])
def test_a_cell_or_its_command_that_fails_ends_the_build(cell, tmp_path):
    pytest.importorskip("myst_nb")
    head = "---\nfile_format: mystnb\nkernelspec:\n  name: python3\n---\n\n# Page\n\n"
    (tmp_path / "index.md").write_text(f"{head}```{{code-cell}}\n{cell}\n```\n", encoding="utf-8")
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-c", str(ROOT / "docs"), str(tmp_path), "site"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode != 0
    assert "CellExecutionError" in ended.stderr + ended.stdout


def test_the_build_finds_links_that_lead_nowhere_and_pages_out_of_reach(tmp_path, monkeypatch):
    specification = importlib.util.spec_from_file_location("site_build", ROOT / "docs" / "build.py")
    site = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(site)
    monkeypatch.setattr(site, "SITE", tmp_path)
    right = '<a href="other.html#part"></a><a href="https://example.org/a"></a><a href="#here" id="here"></a>'
    (tmp_path / "index.html").write_text(right, encoding="utf-8")
    (tmp_path / "other.html").write_text('<a href="index.html"></a><p id="part"></p>', encoding="utf-8")
    site.check_links()

    wrong = '<a href="other.html#no"></a><img src="no.png"><a href="http://example.org"></a><a href="https://bad"></a>'
    (tmp_path / "index.html").write_text(wrong, encoding="utf-8")
    (tmp_path / "alone.html").write_text("", encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        site.check_links()
    assert str(ended.value).splitlines() == [
        "alone.html: no page links to it",
        "index.html: http://example.org leads nowhere",
        "index.html: https://bad leads nowhere",
        "index.html: no.png leads nowhere",
        "index.html: other.html#no leads nowhere",
    ]


@pytest.mark.parametrize("paper", PAPERS, ids=name_of)
def test_relative_links_lead_to_files(paper):
    broken = []
    for link in LINK.findall(read(paper)):
        if not link.startswith(("http://", "https://", "#")):
            target = (paper.parent / link.partition("#")[0]).resolve()
            if not target.exists() or ROOT not in target.parents:
                broken.append(link)
    assert broken == []


@pytest.mark.parametrize("room", [agents, policies, envs], ids=lambda room: room.__name__)
def test_every_public_name_is_told_in_the_docs(room):
    told = "\n".join(read(page) for page in DOCS)
    assert [name for name in room.__all__ if not re.search(rf"\b{re.escape(name)}\b", told)] == []


def test_every_name_of_the_catalogue_is_told_in_the_docs():
    told = "\n".join(read(page) for page in DOCS)
    names = [*AGENTS, *POLICIES, *SCHEDULES, *DISTRIBUTIONS, *envs.list_environments()]
    ours = [name for name in names if not name.endswith(("-v0", "-v1", "-v4")) or name.startswith("velodrome/")]
    assert [name for name in ours if not re.search(rf"\b{re.escape(name)}\b", told)] == []


def test_every_page_of_the_docs_is_in_the_contents_of_the_site():
    listed = {
        (page.parent / f"{entry.rpartition('<')[2].rstrip('>')}.md").resolve()
        for page in DOCS
        for block in blocks_of(page)
        if block.language == "{toctree}"
        for entry in block.text.splitlines()
    }
    unlisted = [name_of(page) for page in DOCS if page not in listed]
    assert unlisted == ["docs/index.md"]


def parts_of(text):
    """What a translation leaves as it is: code, roles, targets of links and footnotes."""
    spans = re.findall(r"`[^`]*`|\{[\w:-]+\}(?=`)|\]\([^)]*\)|<https?:[^>]*>|\[\^[^\]]*\]", text)
    return sorted(re.sub(r"^`.*(<[^>]*>)`$", r"\1", span) for span in spans)


@pytest.mark.parametrize("catalogue", CATALOGUES, ids=lambda path: path.relative_to(KOREAN).as_posix())
def test_translated_pages_have_every_text_with_its_code_and_links(catalogue):
    pofile = pytest.importorskip("babel.messages.pofile")
    with open(catalogue, "rb") as file:
        messages = [message for message in pofile.read_po(file, locale="ko") if message.id]
    assert messages
    assert [message.id for message in messages if message.fuzzy or not message.string] == []
    changed = [message.id for message in messages if parts_of(message.id) != parts_of(message.string)]
    assert changed == []


def test_every_index_and_tutorial_is_in_korean():
    pages = [page for page in DOCS if page.name == "index.md" or "tutorials" in page.relative_to(ROOT).parts]
    names = [page.relative_to(ROOT / "docs").with_suffix(".po") for page in pages]
    assert [path.relative_to(KOREAN) for path in CATALOGUES] == sorted(names)


def test_both_readmes_keep_step():
    english, korean = ROOT / "README.md", ROOT / "README.ko.md"
    blocks = [[(block.language, block.text, block.remark) for block in blocks_of(page)] for page in (english, korean)]
    assert blocks[0] == blocks[1]
    links = [sorted({*LINK.findall(read(page))} - {"README.md", "README.ko.md"}) for page in (english, korean)]
    assert links[0] == links[1]
    levels = [re.findall(r"^#+(?= )", BLOCK.sub("", read(page)), re.M) for page in (english, korean)]
    assert levels[0] == levels[1]
    columns = [re.findall(r"^\|[:|-]+\|$", read(page), re.M) for page in (english, korean)]
    assert columns[0] == columns[1]


def short_table(long):
    """Greedy success and letters of the lectures' long table, an agent a row, in the order of the slippery lake."""

    def rows(part):
        cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines() if line[:1] == "|"]
        assert cells[0][:3] == ["agent", "letters", "greedy success"]
        return {label: (success, letters) for label, letters, success, *_ in cells[2:]}

    dry, slippery = (rows(part) for part in re.split(r"^\*\*.*\*\*$", long, flags=re.M)[1:3])
    head = ["| agent | not slippery | | slippery | |", "|:---|---:|:---|---:|:---|"]
    return [*head, *(f"| {' | '.join([label, *dry[label], *cells])} |" for label, cells in slippery.items())]


def test_the_readmes_have_the_lectures_table_in_short():
    (long,) = TABLE.findall(read(LECTURES))
    assert long.count("| random |") == 3
    for page in (ROOT / "README.md", ROOT / "README.ko.md"):
        (short,) = re.findall(r"<!-- table: frozenlake, short -->\n(.*?)<!-- end of table -->", read(page), re.S)
        assert short.split("\n")[1:-2] == short_table(long)


def test_the_readme_takes_sixty_seconds():
    assert len(read(ROOT / "README.md").split()) <= 1000


# By their text: what stands on several pages is run once.
LONG = {
    block.text: pytest.param(page, block, id=f"{name_of(page)}:{block.line}")
    for page in PAGES
    for block in blocks_of(page)
    if block.takes_minutes and block.is_possible and "velodrome " in block.text
}


@pytest.mark.slow
@pytest.mark.parametrize(("page", "block"), LONG.values())
def test_commands_that_take_minutes_run(page, block, clean_process, capsys):
    if "mnist" in block.text and find_file("mnist") is None:
        pytest.skip("no MNIST on this machine")
    for written in blocks_of(page):
        if written.file is not None:
            (clean_process / written.file).write_text(written.text, encoding="utf-8")
    for command in commands_of(block):
        if command.startswith("velodrome "):
            code = exit_code_of(shlex.split(command)[1:])
            assert code == 0, f"{command}\n{capsys.readouterr().err}"


@pytest.mark.slow
def test_the_table_of_the_lectures_is_what_the_command_prints():
    def without_times(text):
        return [line.rpartition(" | ")[0] if line.startswith("|") else line for line in text.strip().splitlines()]

    plan = read_experiment("frozenlake")
    results = compare(plan.agents, plan.environments, seeds=plan.seeds, episodes=plan.episodes)
    (printed,) = TABLE.findall(read(LECTURES))
    assert without_times(printed) == without_times(format_table(results, "markdown"))


def test_what_contributing_calls_short_is_at_most_15_lines():
    short = [block for block in blocks_of(ROOT / "CONTRIBUTING.md") if block.remark == "at most 15 lines"]
    lengths = [len([line for line in block.text.splitlines() if line.strip()]) for block in short]
    assert len(lengths) == 3
    assert max(lengths) <= 15


def test_the_readme_has_two_commands_and_ci_runs_the_second():
    installing = [
        command for block in blocks_of(ROOT / "README.md") for command in commands_of(block) if "pip install" in command
    ]
    assert len(installing) == 2
    assert installing[0].endswith("velodrome compare frozenlake")
    assert ".venv/bin/python -m pytest" in installing[1]
    script = read(ROOT / ".ci" / "run")
    assert """grep -m 1 -F "pip install -e '.[dev]'" README.md""" in script
    assert script.startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in script
    assert os.name == "nt" or os.access(ROOT / ".ci" / "run", os.X_OK)


def test_every_version_of_the_changelog_has_its_headings():
    text = read(ROOT / "CHANGELOG.md")
    versions = re.split(r"^## \[", text, flags=re.M)[1:]
    assert versions
    for version in versions:
        assert re.findall(r"^### (.*)$", version, re.M) == ["Breaking", "Added", "Fixed", "Changes results"]


@pytest.mark.parametrize("paper", PAPERS, ids=name_of)
def test_papers_name_no_place_of_a_machine(paper):
    assert re.findall(r"/(?:home|root|tmp|work|Users)/\S*|localhost|127\.0\.0\.1", read(paper)) == []


@pytest.mark.parametrize("page", [*PAGES, *sorted((ROOT / "examples").glob("*.py"))], ids=lambda page: page.name)
def test_pages_and_examples_import_from_the_faces_of_rooms_alone(page):
    modules = re.findall(r"^\s*from (velodrome[\w.]*) import", read(page), flags=re.MULTILINE)
    deep = [name for name in modules if not importlib.util.find_spec(name).submodule_search_locations]
    assert [name for name in deep if name not in ("velodrome.checks", "velodrome.testing")] == []
