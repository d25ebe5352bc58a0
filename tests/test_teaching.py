"""The lectures' assignments: right solutions get all points, and each exists in both languages and as notebooks."""

import json
import re
from pathlib import Path

import pytest

from velodrome.experiments.cli.application import main
from velodrome.experiments.grading import grade, read_assignment

ROOT = Path(__file__).parents[1] / "teaching"
ASSIGNMENTS = sorted((ROOT / "assignments").iterdir())
# Learners take thousands of steps, each of which is asked of the grader's process.
IS_FAST = {"1_update", "6_value_iteration"}
fast_and_slow = pytest.mark.parametrize(
    "folder",
    [pytest.param(one, marks=() if one.name in IS_FAST else pytest.mark.slow, id=one.name) for one in ASSIGNMENTS],
)
each = pytest.mark.parametrize("folder", ASSIGNMENTS, ids=lambda folder: folder.name)


@fast_and_slow
def test_the_solution_gets_all_points_and_is_accused_of_nothing(folder):
    found = grade(folder / "assignment.toml", ROOT / "solutions" / f"{folder.name}.py")
    assert (found.points, found.mistakes, found.findings) == (found.of, (), ())


@fast_and_slow
def test_what_students_start_from_is_graded_and_is_no_solution(folder):
    found = grade(folder / "assignment.toml", folder / "start.py")
    assert 0 <= found.points < found.of / 2
    assert found.mistakes == () or folder.name == "1_update"


@each
def test_an_assignment_is_whole_in_both_languages(folder):
    assert {path.name for path in folder.iterdir()} >= {"assignment.toml", "start.py", "README.md", "README.ko.md"}
    english, korean = ((folder / name).read_text(encoding="utf-8") for name in ("README.md", "README.ko.md"))
    assert len(re.findall("[가-힣]", korean)) > 100
    assert english.count("\n\n") == korean.count("\n\n")
    code, formulas = r"`[^`]+`", r"^[Qεa].* [←=] .*$"
    assert set(re.findall(code, english)) <= set(re.findall(code, korean.replace(" --language ko", "")))
    assert len(re.findall(formulas, english, re.M)) == len(re.findall(formulas, korean, re.M))
    points = f"{read_assignment(folder / 'assignment.toml').points:g}"
    assert f"{points} points" in english
    assert f"{points}점" in korean


def test_solutions_stand_apart():
    assert {path.stem for path in (ROOT / "solutions").iterdir()} == {folder.name for folder in ASSIGNMENTS}
    for path in (ROOT / "assignments").rglob("*.*"):
        assert "solution" not in path.read_text(encoding="utf-8").lower()


@each
@pytest.mark.parametrize("language", ["en", "ko"])
def test_an_assignment_becomes_a_notebook_for_both_graders(folder, language, tmp_path, capsys):
    nbformat = pytest.importorskip("nbformat")
    arguments = ["grade", str(folder / "assignment.toml"), str(folder / "start.py"), "--language", language]
    assert main([*arguments, "--nbgrader", str(tmp_path / "a"), "--otter", str(tmp_path / "b")]) == 0
    assert capsys.readouterr().out.count("notebook.ipynb") == 2
    texts = [(tmp_path / name / "notebook.ipynb").read_text(encoding="utf-8") for name in "ab"]
    for name, text in zip("ab", texts, strict=True):
        nbformat.validate(nbformat.reads(text, as_version=4))
        title = (folder / ("README.md" if language == "en" else "README.ko.md")).read_text(encoding="utf-8")
        cells = json.loads(text)["cells"]
        assert title in ["".join(cell["source"]) for cell in cells]
        start = (folder / "start.py").read_text(encoding="utf-8")
        assert f"%%writefile submission.py\n{start}" in ["".join(cell["source"]) for cell in cells]
        assert (tmp_path / name / "assignment.toml").read_bytes() == (folder / "assignment.toml").read_bytes()
    points = [cell["metadata"].get("nbgrader", {}).get("points") for cell in json.loads(texts[0])["cells"]]
    assert sum(filter(None, points)) == read_assignment(folder / "assignment.toml").points
    (test,) = (tmp_path / "b" / "tests").glob("*.py")
    compile(test.read_text(encoding="utf-8"), test.name, "exec")
    assert main([*arguments, "--nbgrader", str(tmp_path / "a")]) == 0
    assert (tmp_path / "a" / "notebook.ipynb").read_text(encoding="utf-8") == texts[0]


@pytest.mark.slow
def test_a_notebook_gives_the_points_of_what_was_written_into_it(tmp_path, monkeypatch):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    folder = ROOT / "assignments" / "1_update"
    solution = ROOT / "solutions" / "1_update.py"
    wrong = tmp_path / "wrong.py"
    text = solution.read_text(encoding="utf-8").replace("if terminated else", "if terminated or truncated else")
    wrong.write_text(text, encoding="utf-8")
    for start, points in {solution: 10.0, wrong: 20 / 3}.items():
        assert main(["grade", str(folder / "assignment.toml"), str(start), "--nbgrader", str(tmp_path)]) == 0
        notebook = nbformat.read(tmp_path / "notebook.ipynb", as_version=4)
        nbclient.NotebookClient(notebook, resources={"metadata": {"path": str(tmp_path)}}).execute()
        assert float(notebook.cells[-1].outputs[0].data["text/plain"]) == pytest.approx(points)


def test_a_notebook_of_what_is_not_there_is_one_line(tmp_path, capsys):
    assignment = str(ROOT / "assignments" / "1_update" / "assignment.toml")
    assert main(["grade", assignment, str(tmp_path / "none.py"), "--otter", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
