"""`velodrome grade`: exact scores of what students handed in."""

import csv
import json
from pathlib import Path
from typing import Any, Literal

from rich.padding import Padding
from rich.text import Text

from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.grading.assignment import read_assignment
from velodrome.experiments.grading.grade import Grade
from velodrome.experiments.grading.grader import Grader
from velodrome.experiments.reporting.languages import Words
from velodrome.experiments.reporting.terminal import Terminal
from velodrome.experiments.results.numbers import json_ready, number
from velodrome.experiments.texts import visible_line

_ENDING = ".py"
# What spreadsheets take for a formula.
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


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
    console = Terminal(highlight=False)
    files = submissions_in(submission) if submission.is_dir() else {submission.stem: submission}
    grades: dict[str, Grade] = {}
    for name, file in files.items():
        grades[name] = found = grader.grade(file)
        if not submission.is_dir():
            _print_grade(console, found, language)
            continue
        points = words("{points} of {of} points", points=number(found.points), of=number(found.of))
        said = [*found.mistakes, *(finding.name for finding in found.findings)]
        console.print(Text.assemble((name, "bold"), f"  {points}", *(f"; {visible_line(one)}" for one in said)))
    if out is not None:
        _write_csv(out, grades)
    if json_file is not None:
        plain = {name: found.as_dict() for name, found in grades.items()}
        content: Any = plain if submission.is_dir() else next(iter(plain.values()))
        _write(json_file, "--json", json.dumps(json_ready(content), indent=2, ensure_ascii=False) + "\n")


def submissions_in(folder: Path) -> dict[str, Path]:
    """Submissions of a folder by student: its Python files, and of each folder in it the only Python file.

    Raises:
        ExperimentError: there is none, or a student has several.
    """
    found: dict[str, Path] = {}
    for place in sorted(folder.iterdir()):
        files = [place]
        if place.is_dir() and not place.name.startswith((".", "__")):
            files = sorted(place.glob(f"*{_ENDING}"))
            if len(files) > 1:
                names = ", ".join(file.name for file in files)
                raise ExperimentError(f"submission {place}: one Python file is graded, got {names}")
        for file in files:
            if file.suffix == _ENDING and file.is_file():
                student = place.name if place.is_dir() else place.stem
                if student in found:
                    raise ExperimentError(f"submission {place}: {student} has handed in {found[student]}, too")
                found[student] = file
    if not found:
        raise ExperimentError(f"submission {folder}: there is no Python file in the folder")
    return found


def _print_grade(console: Terminal, grade: Grade, language: str) -> None:
    first, *others = grade.lines(language)
    console.print(Text(first, style="bold"))
    for line in others:
        text = line.lstrip()
        console.print(Padding(Text(text), (0, 0, 0, len(line) - len(text)), expand=False) if text else "")


def _write_csv(path: Path, grades: dict[str, Grade]) -> None:
    labels = list(next(iter(grades.values())).questions)
    scores = [f"{label}: {what}" for label in labels for what in ("points", "score")]
    rows: list[list[Any]] = [["student", "points", "of", *scores, "mistakes", "findings"]]
    for name, grade in grades.items():
        questions = [grade.questions[label] for label in labels]
        numbers = [value for question in questions for value in (question.points, question.score)]
        named = "; ".join(finding.name for finding in grade.findings)
        rows.append([_cell(name), grade.points, grade.of, *numbers, _cell("; ".join(grade.mistakes)), named])
    try:
        with open(path, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
    except OSError as error:
        raise ExperimentError(f"--out {path}: {error.strerror or error}") from None


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULAS) else text


def _write(path: Path, option: str, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ExperimentError(f"{option} {path}: {error.strerror or error}") from None
