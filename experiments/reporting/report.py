"""The report: one HTML page with the verdict, tables, pictures, and how the experiment was run."""

import base64
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from velodrome.agents.resuming.whole_files import write_whole
from velodrome.experiments.plotting.final_scores import SCORES
from velodrome.experiments.reporting.facts import how_it_was_run, how_to_read, identical_agents
from velodrome.experiments.reporting.languages import Words
from velodrome.experiments.reporting.report_extent import drawn_part
from velodrome.experiments.reporting.report_figures import report_figures
from velodrome.experiments.reporting.report_tables import report_tables
from velodrome.experiments.reporting.tables import format_table
from velodrome.experiments.reporting.verdicts import verdicts, words_of
from velodrome.experiments.results.analysis import Analysis, AnalysisOptions, analyse
from velodrome.experiments.results.trial_table import TrialRecord, TrialTable
from velodrome.experiments.texts import command_line, visible

# Folders of people, which are nobody's business.
_HOME = re.compile(r"(?:/home/[^/\s'\"]+|/Users/[^/\s'\"]+|/root|[A-Za-z]:\\Users\\[^\\\s'\"]+)(?=[/\\\s'\"]|$)")
_INTERVAL = re.compile(r" \[-?[\d.,]+, -?[\d.,]+\]")
# Sections of the page, in order, by their identifiers.
_HEADINGS = {
    "verdict": "Verdict",
    "tables": "The numbers",
    "overall": "Over all environments",
    "margins": "Policies and learners",
    "reading": "How to read the tables",
    "figures": "Figures",
    "warnings": "Warnings of the checks before running",
    "failures": "Failed trials",
    "notes": "Notes",
    "run": "How it was run",
    "reproduce": "How to reproduce it",
}
# Seeds of failed trials that are told one by one.
MOST_SEEDS = 8


def write_report(
    results: TrialTable, path: str | Path, *, options: AnalysisOptions | None = None, language: str = "en"
) -> Path:
    """Write the report of an experiment to a file: the same bytes for the same results.

    An earlier page there is replaced when the new one is whole, and stays where that fails or is killed.

    Args:
        results: of an experiment.
        path: of the page; its folder must exist.
        options: what the reader chose.
        language: "en" or "ko"; labels, expressions and what programs said stay as they are.

    Returns:
        The path.

    Raises:
        ExperimentError: options that do not fit, or an unknown language.
        OSError: the file cannot be written.
    """
    path = Path(path)
    write_whole(path, report_html(results, options=options, language=language))
    return path


def report_html(results: TrialTable, *, options: AnalysisOptions | None = None, language: str = "en") -> str:
    """The report as one page that asks for nothing from outside; see `write_report`.

    Args:
        results: trials.
        options: metric, baseline and the like; the usual ones if None.
        language: "en" or "ko".
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    options = options or AnalysisOptions()
    words = words_of(results, language)
    analysis = analyse(results, options)
    environment = Environment(
        loader=PackageLoader("velodrome.experiments.reporting", "."),
        autoescape=True,
        finalize=_visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["unbroken"] = _unbroken
    page = environment.get_template("report.html.jinja")
    return page.render(words=words, results=results, **_contents(results, analysis, options, words))


def _contents(results: TrialTable, analysis: Analysis, options: AnalysisOptions, words: Words) -> dict[str, Any]:
    has_rows = bool(analysis.environments)
    part = drawn_part(results, analysis, words)
    tables, figures = report_tables(analysis, words), report_figures(part, options, words)
    # The final scores show what the verdict says; where nobody was scored, whatever else there is.
    first = next((figure for figure in figures if figure.name == SCORES.name), figures[0] if figures else None)
    contents: dict[str, Any] = {
        "verdicts": verdicts(analysis, results, words.language),
        "tables": tables,
        "first_figure": first,
        "figures": [figure for figure in figures if figure is not first],
        "left_out": part.left_out,
        "warnings": [without_home(line) for line in results.warnings],
        "failures": _failures(results, words),
        "notes": [without_home(note) for note in results.notes],
        "run": how_it_was_run(results, analysis, words),
        "reading": [*identical_agents(results, words), *how_to_read(analysis, words)],
        "provenance": [_provenance(way, words) for way in results.provenance],
        "commands": _commands(results),
        "agents": _expressions(results.settings.agents),
        "environments": _expressions(results.settings.environments),
        "csv": _data_address(format_table(results, "csv", options) + "\n") if has_rows else "",
    }
    contents["headings"] = {name: words(heading) for name, heading in _HEADINGS.items()}
    there = contents | tables._asdict() | {"tables": tables.environments, "verdict": True}
    there["reproduce"] = results.provenance
    contents["sections"] = [(name, heading) for name, heading in contents["headings"].items() if there[name]]
    return contents


def _visible(value: Any) -> Any:
    """A plain text without control characters, which browsers hide; markup is our own."""
    return visible(value) if type(value) is str else value


def _unbroken(text: str) -> str:
    """A sentence whose intervals stay on one line."""
    return _INTERVAL.sub(lambda found: found[0].replace(" ", "\u00a0"), text)


def without_home(text: str) -> str:
    """A text with the folders of people as `~`."""
    return _HOME.sub("~", text)


def _failures(results: TrialTable, words: Words) -> list[dict[str, Any]]:
    """Failed trials by reason, those of the most trials first."""
    groups: dict[str, list[TrialRecord]] = {}
    for record in results.failures:
        groups.setdefault(without_home(record.failure_reason), []).append(record)
    rows = []
    for reason, records in sorted(groups.items(), key=lambda item: -len(item[1])):
        pairs: dict[tuple[str, str], list[str]] = {}
        for trial in records:
            pairs.setdefault((trial.agent, trial.environment), []).append(str(trial.seed))
        where = [
            {"agent": agent, "environment": environment, "seeds": _some(seeds)}
            for (agent, environment), seeds in pairs.items()
        ]
        rows.append({"reason": reason, "number": len(records), "where": where})
    return rows


def _some(seeds: Sequence[str]) -> str:
    return ", ".join(seeds[:MOST_SEEDS]) + ", …" * (len(seeds) > MOST_SEEDS)


def _provenance(way: Mapping[str, Any], words: Words) -> list[tuple[str, str]]:
    """How some trials were run: what anybody needs to repeat it, without the name of the machine."""
    git, machine, run = way.get("git") or {}, way.get("machine") or {}, way.get("run") or {}
    commit = str(git.get("commit", ""))
    if commit and git.get("is_modified"):
        commit = words("{commit} with changes that were not committed", commit=commit)
    versions = ", ".join(f"{name} {version}" for name, version in sorted((way.get("versions") or {}).items()))
    hardware = [str(machine[name]) for name in ("system", "processor") if machine.get(name)]
    if machine.get("cores"):
        hardware.append(words.counted("{number} core", "{number} cores", int(machine["cores"])))
    workers = words.counted("{number} worker", "{number} workers", int(run["workers"])) if run.get("workers") else ""
    facts = [
        (words("command"), without_home(_command(way))),
        (words("versions"), versions),
        (words("commit"), commit),
        (words("machine"), ", ".join(hardware)),
        (words("workers"), workers),
    ]
    return [(term, text) for term, text in facts if text]


def _commands(results: TrialTable) -> list[str]:
    """The commands that made the trials, each once."""
    commands = (without_home(_command(way)) for way in results.provenance)
    return list(dict.fromkeys(command for command in commands if command.startswith("velodrome compare")))


def _command(way: Mapping[str, Any]) -> str:
    return command_line(way.get("command") or ())


def _expressions(configurations: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(label, without_home(str(expression))) for label, expression in configurations.items()]


def _data_address(text: str) -> str:
    """A file as the address of a link; it starts with the mark by which spreadsheets know UTF-8."""
    return "data:text/csv;charset=utf-8;base64," + base64.b64encode(text.encode("utf-8-sig")).decode("ascii")
