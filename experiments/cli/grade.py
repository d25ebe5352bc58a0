"""`velodrome grade`: exact scores of what students handed in."""

import csv
import io
import json
import sys
from pathlib import Path
from typing import Any, Literal

from rich.padding import Padding
from rich.text import Text

from velodrome.experiments.cli.streams import say
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.grading.assignment import Assignment, read_assignment
from velodrome.experiments.grading.grader import Grader
from velodrome.experiments.grading.grades import Grade
from velodrome.experiments.grading.notebooks import write_notebook
from velodrome.experiments.reporting.languages import Words
from velodrome.experiments.reporting.terminal import Terminal
from velodrome.experiments.results.numbers import json_ready, number
from velodrome.experiments.texts import no_formula, visible_json, visible_line

_ENDING = ".py"
_UNCONFINED = (
    "velodrome: warning: this system's kernel refuses a submission nothing, Python alone does: grade what you do not "
    "trust in a container"
)
# Halves of characters, of which file names and messages may be made, become what JSON reads as such.
_LACKING = "backslashreplace"


def grade_command(
    assignment: Path, submission: Path, *, json_file: Path | None, out: Path | None, language: Literal["en", "ko"]
) -> None:
    """`velodrome grade`: print the grade of a submission, or a line for each of a folder.

    Args:
        assignment: TOML file.
        submission: a Python file; or a folder of them, or of a folder for each student with one in it.
        json_file: to write all that is known to.
        out: CSV to write a line for each submission to.
        language: of what is printed.

    Raises:
        ExperimentError: nothing that can be graded, or a file that cannot be written.
    """
    grader = Grader(read_assignment(assignment))
    words = Words.of(language)
    console, is_warned = Terminal(highlight=False), False
    is_folder = submission.is_dir()
    submissions = submissions_in(submission) if is_folder else {submission.stem: [submission]}
    grades: dict[str, Grade] = {}
    ungraded: dict[str, str] = {}
    for name, files in submissions.items():
        try:
            grades[name] = found = grader.grade(_only(name, files) if is_folder else submission)
        except ExperimentError as error:
            if not is_folder:
                raise
            ungraded[name] = str(error)
            console.print(Text.assemble((visible_line(name), "bold"), f"  {visible_line(str(error))}"), soft_wrap=True)
            continue
        if not is_warned and not any(question.confinement for question in found.questions.values()):
            say(_UNCONFINED, sys.stderr)
            is_warned = True
        if not is_folder:
            _print_grade(console, found, language)
            continue
        points = words("{points} of {of} points", points=number(found.points), of=number(found.of))
        said = [*found.mistakes, *(finding.name for finding in found.findings)]
        line = Text.assemble((visible_line(name), "bold"), f"  {points}", *(f"; {visible_line(one)}" for one in said))
        console.print(line, soft_wrap=True)
    if out is not None:
        _write_csv(out, grader.assignment, grades, ungraded)
    if json_file is not None:
        plain = {name: found.as_dict() for name, found in grades.items()}
        content: Any = plain if is_folder else next(iter(plain.values()))
        text = visible_json(json.dumps(json_ready(content), indent=2, ensure_ascii=False))
        _write(json_file, "--json", text + "\n")


def notebook_command(
    assignment: Path, start: Path, *, nbgrader: Path | None, otter: Path | None, language: Literal["en", "ko"]
) -> None:
    """`velodrome grade --nbgrader | --otter`: write the assignment as a notebook, and say where.

    Args:
        assignment: TOML file.
        start: Python file that students start from.
        nbgrader: folder, or None.
        otter: likewise.
        language: of the notebook's words.

    Raises:
        ExperimentError: nothing that can be read, or a file that cannot be written.
    """
    console = Terminal(highlight=False)
    folders: dict[Literal["nbgrader", "otter"], Path | None] = {"nbgrader": nbgrader, "otter": otter}
    for grader, folder in folders.items():
        if folder is not None:
            path = write_notebook(assignment, start, folder, grader, language=language)
            console.print(Text(f"Notebook: {path}"), soft_wrap=True)


def submissions_in(folder: Path) -> dict[str, list[Path]]:
    """Python files of a folder by student: one for each file, and those of each folder in it.

    Raises:
        ExperimentError: there is none.
    """
    found: dict[str, list[Path]] = {}
    for place in sorted(folder.iterdir()):
        if place.is_dir() and not place.is_symlink() and not place.name.startswith((".", "__")):
            files = sorted(place.glob(f"*{_ENDING}"))
            found.setdefault(place.name, []).extend(files)
        elif place.suffix == _ENDING:
            found.setdefault(place.stem, []).append(place)
    if not any(found.values()):
        raise ExperimentError(f"submission {folder}: there is no Python file in the folder")
    return found


def _only(student: str, files: list[Path]) -> Path:
    """The file of a student.

    Raises:
        ExperimentError: there is none, there are several, or it is a link.
    """
    if len(files) != 1:
        names = ", ".join(file.name for file in files) or "none"
        raise ExperimentError(f"submission {student}: one Python file is graded, got {names}")
    if files[0].is_symlink():
        raise ExperimentError(f"submission {files[0]}: it is a link, which may lead to what others wrote")
    return files[0]


def _print_grade(console: Terminal, grade: Grade, language: str) -> None:
    first, *others = grade.lines(language)
    console.print(Text(first, style="bold"))
    for line in others:
        text = line.lstrip()
        console.print(Padding(Text(text), (0, 0, 0, len(line) - len(text)), expand=False) if text else "")


def _write_csv(path: Path, assignment: Assignment, grades: dict[str, Grade], ungraded: dict[str, str]) -> None:
    labels = list(assignment.questions)
    scores = [f"{label}: {what}" for label in labels for what in ("points", "score")]
    rows: list[list[Any]] = [["student", "points", "of", *scores, "mistakes", "findings"]]
    for name, grade in grades.items():
        questions = [grade.questions[label] for label in labels]
        numbers = [value for question in questions for value in (question.points, question.score)]
        named = "; ".join(finding.name for finding in grade.findings)
        rows.append([_cell(name), grade.points, grade.of, *numbers, _cell("; ".join(grade.mistakes)), named])
    for name, reason in ungraded.items():
        rows.append([_cell(name), "", assignment.points, *[""] * len(scores), _cell(reason), ""])
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    _write(path, "--out", text.getvalue())


def _cell(text: str) -> str:
    return visible_line(no_formula(text))


def _write(path: Path, option: str, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8", errors=_LACKING, newline="")
    except OSError as error:
        raise ExperimentError(f"{option} {path}: {error.strerror or error}") from None
