"""Experiment files: TOML, read and checked before anything runs."""

import ast
import json
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from velodrome.checks import closest
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.specification.descriptions import shipped_experiments, shipped_text
from velodrome.experiments.specification.experiment import Experiment, changed_fields
from velodrome.experiments.specification.mistakes import field_path

_LONGEST_LINE = 80
# Where tomllib's words do not say what the writer did.
_TOML_MISTAKES = {
    "Cannot overwrite a value": "the key is given a second time",
    "Invalid statement": "neither a key = value nor a [table]",
    "Invalid value": "invalid value, text needs quotes",
}
_TOML_REPEATED = re.compile(r"Cannot (?:declare|mutate immutable namespace) (\(.*\))(?: twice)?(?= \(at )")


def read_experiment(name_or_path: str | Path, **changes: Any) -> Experiment:
    """Experiment of a TOML file or a shipped name.

    Args:
        name_or_path: a path, or a name among those of `velodrome list experiments`.
        changes: fields in place of the file's, where they are not None; a budget goes before all budgets of the file.

    Raises:
        ExperimentError: no such file or name, or mistakes in the file, each in a line with its field.
        BudgetError: as `Experiment`.
    """
    text, given = experiment_source(name_or_path)
    return parse_experiment(text, given, **changes)


def experiment_source(name_or_path: str | Path) -> tuple[str, str]:
    """TOML text of a file or a shipped name, and what it is called in messages; raises as `read_experiment`."""
    given = str(name_or_path)
    if given.endswith(".toml") or os.path.isfile(given):
        text = _text_of(given)
    elif given in shipped_experiments():
        text = shipped_text(given)
    elif os.path.isdir(given):
        raise ExperimentError(f"experiment {given}: it is a folder, give the path of a TOML file")
    else:
        names = shipped_experiments()
        raise ExperimentError(f"unknown experiment {given!r}{closest(given, names)} (or give the path of a TOML file)")
    return text, given


def parse_experiment(text: str, source: str = "experiment", **changes: Any) -> Experiment:
    """Experiment of a TOML text; arguments and errors as those of `read_experiment`.

    Args:
        text: TOML text of an experiment file.
        source: where the text is from, for messages.
        changes: fields in the place of the text's, as for `Experiment.changed`.
    """
    fields = changed_fields(tables_of(text, source), changes)
    try:
        return Experiment(**fields)
    except ExperimentError as error:
        raise ExperimentError("\n".join(f"{source}: {line}" for line in str(error).splitlines())) from None


def experiment_text(fields: Mapping[str, Any]) -> str:
    """TOML text of an experiment's fields: texts, numbers, lists of them, and tables of label = text."""
    tables = {field: value for field, value in fields.items() if isinstance(value, Mapping)}
    lines = [f"{field} = {_toml(value)}" for field, value in fields.items() if field not in tables]
    for field, table in tables.items():
        lines += ["", f"[{field}]", *(f"{field_path((label,))} = {_toml(value)}" for label, value in table.items())]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    # TOML escapes text as JSON does, and the delete character too.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _text_of(path: str) -> str:
    try:
        # Editors on Windows put a byte-order mark in front of UTF-8.
        return Path(path).read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        reason = "no such file"
    except IsADirectoryError:
        reason = "it is a folder, give the path of a TOML file"
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        reason = f"{error} (line {line}): a TOML file is UTF-8 text"
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
    raise ExperimentError(f"experiment {path}: {reason}")


def tables_of(text: str, source: str) -> dict[str, Any]:
    """Fields of a TOML text, not checked.

    Raises:
        ExperimentError: it is no TOML; one line with the place.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        problem = str(error)
    except ValueError as error:
        # A number of thousands of digits, which Python refuses to read.
        problem = str(error).partition(";")[0]
    except RecursionError:
        problem = "nested too deeply"
    for words, plainer in _TOML_MISTAKES.items():
        problem = problem.replace(words, plainer)
    problem = _TOML_REPEATED.sub(
        lambda found: f"[{field_path(ast.literal_eval(found[1]))}], or a table around it, was given before", problem
    )
    place = re.search(r"\(at line (\d+), column \d+\)$", problem)
    line = text.replace("\r\n", "\n").split("\n")[int(place[1]) - 1].strip() if place is not None else ""
    excerpt = f": {line[:_LONGEST_LINE]!r}" if line else ""
    raise ExperimentError(f"{source}: {problem}{excerpt}")
