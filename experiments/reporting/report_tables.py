"""The tables of the report: the cells of the terminal's tables, with what each is sorted by."""

import re
from typing import NamedTuple

from velodrome.experiments.reporting.columns import BY_RETURN, Section, sections_of
from velodrome.experiments.reporting.languages import Words
from velodrome.experiments.reporting.titles import margin_title, overall_title
from velodrome.experiments.results.analysis import Analysis
from velodrome.experiments.results.numbers import MISSING

_NUMBER = re.compile(r"(?P<number>-?(?:\d[\d,]*)?\.?\d+(?:e[+-]?\d+)?)(?: (?P<unit>[kM])\b)?")
_UNITS = {"k": 1e3, "M": 1e6}
_PART = re.compile(r"\((?P<some>\d+) of (?P<all>\d+)\)")
_TO_RATE = "episodes to "
# Cells of the agent that the others are compared with.
_REFERENCES = ("best", "baseline")


class Cell(NamedTuple):
    """A cell: what is read, and what it is sorted by; "" for what is missing."""

    text: str
    key: str


class ReportTable(NamedTuple):
    """A table of the report.

    Attributes:
        title: what the agents were compared on.
        subject: heading of the first column.
        headings: of the other columns.
        kinds: "number" or "text", of these.
        rows: the label and its cells, best first.
    """

    title: str
    subject: str
    headings: tuple[str, ...]
    kinds: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]


class ReportTables(NamedTuple):
    """Tables of the environments, of all together, and of margins."""

    environments: list[ReportTable]
    overall: list[ReportTable]
    margins: list[ReportTable]


def report_tables(analysis: Analysis, words: Words) -> ReportTables:
    """All tables of an experiment, in the reader's language."""
    sections = sections_of(analysis)
    titles = [words.shipped(one.environment) for one in analysis.environments]
    if analysis.overall is not None:
        titles.append(overall_title(analysis.overall, words))
    titles += [margin_title(margin, words) for margin in analysis.margins]
    tables = [_table(section, title, words) for section, title in zip(sections, titles, strict=True)]
    first, last = len(analysis.environments), len(tables) - len(analysis.margins)
    return ReportTables(tables[:first], tables[first:last], tables[last:])


def sort_key(text: str) -> str:
    """Number by which a cell is sorted: its first one in full, "" where there is none."""
    if text in _REFERENCES:
        return "0"
    if text.startswith(("∞", "-∞", ">")):
        return "-Infinity" if text.startswith("-") else "Infinity"
    found = _NUMBER.match(text)
    if found is None:
        return ""
    return repr(float(found["number"].replace(",", "")) * _UNITS.get(found["unit"] or "", 1.0))


def _table(section: Section, title: str, words: Words) -> ReportTable:
    kinds = tuple("text" if column.heading == "letters" else "number" for column in section.columns)
    rows = []
    for row in section.rows:
        cells = []
        for column, kind in zip(section.columns, kinds, strict=True):
            text = column.cell(row)
            key = sort_key(text) if kind == "number" else text.replace(MISSING, "")
            cells.append(Cell(_in_words(text, words), key))
        rows.append((str(row["agent"]), tuple(cells)))
    headings = tuple(_heading(column.heading, words) for column in section.columns)
    return ReportTable(title, words(section.subject), headings, kinds, tuple(rows))


def _heading(heading: str, words: Words) -> str:
    if heading.startswith(_TO_RATE):
        return words("episodes to {rate}", rate=heading.removeprefix(_TO_RATE))
    return words(heading)


def _in_words(text: str, words: Words) -> str:
    if text in _REFERENCES:
        return words(text)
    text = text.replace(BY_RETURN, words(BY_RETURN))
    return _PART.sub(lambda found: words("({some} of {all})", **found.groupdict()), text)
