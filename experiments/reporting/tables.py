"""The comparison table for people and programs: terminal, Markdown, CSV, LaTeX and JSON."""

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

from velodrome.experiments.reporting.columns import FAILED, NO_SCORE, OF_BEST, Section, sections_of
from velodrome.experiments.reporting.footnotes import footnotes
from velodrome.experiments.reporting.verdicts import verdict_lines, verdicts
from velodrome.experiments.results.analysis import Analysis, AnalysisOptions, analyse
from velodrome.experiments.results.comparison import AgentPair, Comparison
from velodrome.experiments.results.numbers import json_ready
from velodrome.experiments.results.rows import comparison_row, ends
from velodrome.experiments.results.trial_table import TrialTable
from velodrome.experiments.texts import no_formula, visible, visible_json, visible_line

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

TableFormat = Literal["terminal", "markdown", "csv", "latex", "json"]
TABLE_FORMATS: tuple[str, ...] = get_args(TableFormat)
# Columns that stay while agents have room for their names: agent, letters, and what decides.
FEWEST_COLUMNS = 3
# Width that agents have in a table that fits: at most, and at least before one of the fewest columns gives way.
MOST_FOR_AGENTS, LEAST_FOR_AGENTS = 32, 8
# Sentences of a verdict, the most important first; the report has them all.
TERMINAL_SENTENCES = 3


def format_table(results: TrialTable, table_format: str, options: AnalysisOptions | None = None) -> str:
    """The comparison as text in one of the formats but "terminal"; CSV and JSON hold every number.

    Args:
        results: trials.
        table_format: "markdown", "latex", "csv" or "json".
        options: metric, baseline and the like; the usual ones if None.

    Raises:
        ExperimentError: options that do not fit.
    """
    if table_format == "json":
        return visible_json(json.dumps(json_ready(table_data(results, options)), indent=2, ensure_ascii=False))
    if table_format == "csv":
        import pandas as pd

        rows = [
            {name: no_formula(value) if isinstance(value, str) else value for name, value in row.items()}
            for one in analyse(results, options).environments
            for row in one.rows
        ]
        return str(pd.DataFrame(rows).to_csv(index=False, lineterminator="\n")).rstrip("\n")
    sections, notes = sections_of(analyse(results, options)), footnotes(results, options)
    return _latex(sections, notes) if table_format == "latex" else _markdown(sections, notes)


def table_data(results: TrialTable, options: AnalysisOptions | None = None) -> dict[str, Any]:
    """Everything that the tables say, for programs: rows, pairs, overall, margins, the verdict in words and notes."""
    analysis = analyse(results, options)
    return {
        "rows": analysis.rows_in_order(results.agents),
        "pairs": [row for one in analysis.environments for row in _pairs(one.environment, one.comparison)],
        "overall": _overall(analysis),
        "margins": [
            {"environment": margin.environment, "factor": margin.factor, "averaged_over": margin.num_averaged}
            | {"rows": _rows(margin.comparison)}
            for margin in analysis.margins
        ],
        "verdict": verdict_lines(analysis, results),
        "notes": footnotes(results, options),
    }


def _overall(analysis: Analysis) -> dict[str, Any] | None:
    overall = analysis.overall
    if overall is None:
        return None
    scores = "normalised" if overall.is_normalised else "success rates"
    return {"environments": overall.num_environments, "scores": scores, "rows": _rows(overall.comparison)}


def _rows(comparison: Comparison) -> list[dict[str, Any]]:
    return [comparison_row(agent.label, comparison) for agent in comparison.agents]


def _pairs(environment: str, comparison: Comparison) -> list[dict[str, Any]]:
    """Each pair once, the agent with the larger mean first."""
    return [_pair_row(environment, pair) for (first, _), pair in comparison.pairs.items() if first == pair.first.label]


def _pair_row(environment: str, pair: AgentPair) -> dict[str, Any]:
    row: dict[str, Any] = {"environment": environment, "first": pair.first.label, "second": pair.second.label}
    row |= {"verdict": pair.verdict, "p_value": pair.p_value, "seeds": pair.num_seeds, "paired": pair.is_paired}
    if pair.difference is not None:
        low, high = ends(pair.difference.interval)
        row |= {"difference": pair.difference.estimate, "difference_low": low, "difference_high": high}
    row |= {"is_by_return": pair.is_by_return, "is_doubtful": pair.is_doubtful}
    return row | {"detectable_difference": pair.detectable}


def terminal_table(
    results: TrialTable, width: int = 80, options: AnalysisOptions | None = None, *, explain: bool = False
) -> "RenderableType":
    """The comparison as rich tables, what they say in words, and footnotes; columns that do not fit are left out.

    Args:
        results: of an experiment.
        width: of the terminal, in characters.
        options: of the table.
        explain: whether the words are explained that mean the same in all tables.

    Raises:
        ExperimentError: options that do not fit.
    """
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = []
    left_out: dict[str, None] = {}
    for section in sections_of(analyse(results, options)):
        table, missing = _terminal_section(section, width)
        parts.append(table)
        left_out |= dict.fromkeys(missing)
    for verdict in verdicts(analyse(results, options), results):
        title = visible_line(f"{verdict.title}: ") if verdict.title else ""
        parts.append(Text.assemble((title, "bold"), visible_line(" ".join(verdict.sentences[:TERMINAL_SENTENCES]))))
    parts.append(Text())
    notes = footnotes(results, options, explain=explain)
    if left_out:
        notes.append(f"For want of width without: {', '.join(left_out)}.")
    parts.extend(Text(visible(note), style="dim") for note in notes)
    return Group(*parts)


def _terminal_section(section: Section, width: int) -> "tuple[Table, list[str]]":
    """A table, and the headings of the columns that did not fit."""
    from rich import box
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    names = [visible_line(row["agent"]) for row in section.rows]
    longest = max(map(cell_len, [section.subject, *names]))
    columns = [(column.heading, [visible_line(column.cell(row)) for row in section.rows]) for column in section.columns]
    least = FEWEST_COLUMNS - 1 + sum(heading in (FAILED, NO_SCORE) for heading, _ in columns)
    missing: list[str] = []
    while columns and _room_for_agents(columns, width) < min(
        longest, MOST_FOR_AGENTS if len(columns) > least else LEAST_FOR_AGENTS
    ):
        # The last is the least telling, but for the share of the best, which stays while others are there to go.
        place = -2 if columns[-1][0] == OF_BEST and len(columns) > least + 1 else -1
        missing.insert(0, columns.pop(place)[0])
    table = Table(
        title=Text(visible_line(section.title)),
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column(section.subject, overflow="fold", width=max(1, min(longest, _room_for_agents(columns, width))))
    for heading, _ in columns:
        table.add_column(heading, justify="right", no_wrap=True)
    for number, name in enumerate(names):
        table.add_row(Text(name), *[Text(cells[number]) for _, cells in columns])
    return table, missing


def _room_for_agents(columns: Sequence[tuple[str, Sequence[str]]], width: int) -> int:
    """Columns of the terminal that are left for agents beside all other columns of a table: headings and cells."""
    from rich.cells import cell_len

    taken = sum(max(map(cell_len, [heading, *cells])) for heading, cells in columns)
    return width - 2 - 3 * len(columns) - taken


def _markdown(sections: Sequence[Section], notes: Sequence[str]) -> str:
    lines: list[str] = []
    for section in sections:
        headings = [section.subject, *[column.heading for column in section.columns]]
        lines += [f"**{_markdown_text(section.title)}**", "", f"| {' | '.join(headings)} |"]
        lines.append("|:---|" + "---:|" * len(section.columns))
        for row in section.rows:
            cells = [row["agent"], *[column.cell(row) for column in section.columns]]
            lines.append("| " + " | ".join(_markdown_text(cell).replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    return "\n".join([*lines, *[f"- {_markdown_text(note)}" for note in notes]])


# A backslash, code and emphasis; what makes a link of brackets; what begins HTML, and one of its characters.
_MARKDOWN_SPECIAL = re.compile(r"[\\`*]|(?<=\S\])[(\[:]|<(?=[A-Za-z/!?])|&(?=#?\w+;)")
_MARKDOWN_CHARACTERS = {"<": "&lt;", "&": "&amp;"}


def _markdown_text(text: str) -> str:
    """A text that reads in Markdown as it is, in one line."""
    return _MARKDOWN_SPECIAL.sub(lambda found: _MARKDOWN_CHARACTERS.get(found[0], "\\" + found[0]), visible_line(text))


_LATEX_SPECIAL = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "_": r"\_",
        "%": r"\%",
        "&": r"\&",
        "#": r"\#",
        "$": r"\$",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "–": "--",
        "∞": r"$\infty$",
        "·": r"$\cdot$",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "`": r"\textasciigrave{}",
        "…": r"\ldots{}",
        "≥": r"$\geq$",
        "≤": r"$\leq$",
        "×": r"$\times$",
        "±": r"$\pm$",
        "−": r"$-$",
        "→": r"$\to$",
    }
)


def _latex(sections: Sequence[Section], notes: Sequence[str]) -> str:
    lines = [r"% needs \usepackage{booktabs}"]
    for section in sections:
        columns = section.columns
        lines += [r"\begin{tabular}{l" + "r" * len(columns) + "}", r"\toprule"]
        lines.append(rf"\multicolumn{{{len(columns) + 1}}}{{l}}{{\emph{{{_latex_text(section.title)}}}}} \\")
        headings = [section.subject, *[_latex_text(column.heading) for column in columns]]
        lines.append(" & ".join(headings) + r" \\")
        lines.append(r"\midrule")
        for row in section.rows:
            cells = [row["agent"], *[column.cell(row) for column in columns]]
            # A bracket at the start of a row would be read as an argument of the \\ before it.
            lines.append("{} " * cells[0].startswith("[") + " & ".join(map(_latex_text, cells)) + r" \\")
        lines += [r"\bottomrule", r"\end{tabular}", ""]
    return "\n".join([*lines, *[f"% {visible_line(note)}" for note in notes]])


def _latex_text(text: str) -> str:
    return visible_line(text).translate(_LATEX_SPECIAL)
