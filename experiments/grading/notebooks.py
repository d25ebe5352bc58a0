"""Assignments as notebooks that nbgrader and Otter-Grader collect and grade, by the same exact scores."""

from pathlib import Path
from typing import Any, Literal

from velodrome.agents.resuming.whole_files import write_whole
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.grading.assignment import Assignment, read_assignment
from velodrome.experiments.reporting.languages import Words

ASSIGNMENT = "assignment.toml"
NOTEBOOK = "notebook.ipynb"
_SUBMISSION = "submission.py"
# Otter-Grader knows only passed and failed: a question's points are shared among this many steps of its score.
_STEPS = 10

_GRADE = f"""\
from velodrome.experiments.grading import grade

found = grade("{ASSIGNMENT}", "{_SUBMISSION}")
print(found)
"""
_OTTER_TEST = """\
from functools import cache

from otter.test_files import test_case

from velodrome.experiments.grading import grade

OK_FORMAT = False
name = {name!r}
points = None


@cache
def found():
    return grade("{assignment}", "{submission}")


def step_of(least):
    def reaches():
        question = found().questions[{label!r}]
        assert question.points >= least * question.of - 1e-9, str(found())

    return test_case(points={points!r}, name=f"{{least:.0%}} of {{name}}")(reaches)


for step in range(1, {steps} + 1):
    globals()[f"step_{{step}}"] = step_of(step / {steps})
"""


def write_notebook(
    assignment: str | Path,
    start: str | Path,
    folder: str | Path,
    grader: Literal["nbgrader", "otter"],
    *,
    language: Literal["en", "ko"] = "en",
) -> Path:
    """Notebook of an assignment, with what its grader needs beside it; returns its path.

    Students write in one cell, which `%%writefile` keeps as submission.py; what grades is `grade`, on that file. The
    words of the notebook are those of README.md, or README.ko.md, beside the assignment, where there is one.

    Args:
        assignment: TOML file.
        start: Python file that students start from.
        folder: to write to, made if needed: the notebook and the assignment; for Otter-Grader also tests/ and
            requirements.txt.
        grader: "nbgrader", which gives a question's points in parts; or "otter", in tenths.
        language: "en" or "ko".

    Raises:
        ExperimentError: a file that cannot be read or written, mistakes in the assignment, or nbformat is missing.
    """
    try:
        from nbformat import v4, writes
    except ImportError:
        raise ExperimentError("a notebook needs nbformat: pip install 'velodrome[teach]'") from None
    assignment, start, folder = Path(assignment), Path(start), Path(folder)
    asked = read_assignment(assignment)
    notebook = v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    words = assignment.with_name("README.ko.md" if language == "ko" else "README.md")
    text = _read(words) if words.is_file() else f"# {asked.name}\n\n{asked.text}"
    instead = Words.of(language)("In this notebook the cell below stands for `{file}`.", file=start.name)
    cells = [
        v4.new_markdown_cell(text),
        v4.new_markdown_cell(instead),
        v4.new_code_cell(f"%%writefile {_SUBMISSION}\n{_read(start)}"),
    ]
    files = {ASSIGNMENT: _read(assignment)}
    if grader == "nbgrader":
        # The students' cell has no role: nbgrader empties what is marked as a solution, start and all.
        cells += [_mark(v4.new_code_cell(_GRADE), "grade", locked=True)]
        for label, question in asked.questions.items():
            cell = v4.new_code_cell(f"found.questions[{label!r}].points")
            cells.append(_mark(cell, f"question-{label}", grade=True, locked=True, points=question.points))
    else:
        beginning = f'import otter\n\ngrader = otter.Notebook("{NOTEBOOK}")'
        checks = [f"grader.check({_file_name(label, place)!r})" for place, label in enumerate(asked.questions)]
        cells = [v4.new_code_cell(beginning), *cells, *map(v4.new_code_cell, checks)]
        files |= _otter_tests(asked) | {"requirements.txt": "velodrome\n"}
    for place, cell in enumerate(cells):
        # Ids are random otherwise, and the same assignment would be another file each time.
        cell["id"] = f"cell-{place}"
    notebook.cells = cells
    for name, content in {NOTEBOOK: writes(notebook) + "\n", **files}.items():
        _write(folder / name, content)
    return folder / NOTEBOOK


def _mark(cell: Any, name: str, *, points: float | None = None, **roles: bool) -> Any:
    """The cell, with what nbgrader reads of its role."""
    roles = {"grade": False, "solution": False, "locked": False, "task": False} | roles
    cell.metadata["nbgrader"] = {"grade_id": name, "schema_version": 3, **roles}
    if points is not None:
        cell.metadata["nbgrader"]["points"] = points
    return cell


def _otter_tests(assignment: Assignment) -> dict[str, str]:
    files = {}
    for place, (label, question) in enumerate(assignment.questions.items()):
        name = _file_name(label, place)
        files[f"tests/{name}.py"] = _OTTER_TEST.format(
            name=name, label=label, points=question.points / _STEPS, steps=_STEPS, assignment=ASSIGNMENT,
            submission=_SUBMISSION,
        )  # fmt: skip
    return files


def _file_name(label: str, place: int) -> str:
    """A question's label, as the name of a file that every system takes."""
    return label if label.isidentifier() and label.isascii() else f"question_{place + 1}"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise ExperimentError(f"{path}: {getattr(error, 'strerror', None) or error}") from None


def _write(path: Path, content: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    except OSError as error:
        raise ExperimentError(f"{path}: cannot be written: {error.strerror or error}") from None
