"""The comparison table for people: terminal, Markdown, CSV, LaTeX and JSON."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from velodrome.experiments.results import json_ready

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from velodrome.experiments.results import Results

TableFormat = Literal["terminal", "markdown", "csv", "latex", "json"]
TABLE_FORMATS: tuple[str, ...] = get_args(TableFormat)


@dataclass(frozen=True)
class _Column:
    heading: str
    cell: Callable[[dict[str, Any]], str]


def format_table(results: "Results", table_format: str) -> str:
    """The comparison as text in one of the formats but "terminal"; CSV and JSON hold every number."""
    if table_format == "json":
        return json.dumps(json_ready({"rows": results.rows(), "notes": footnotes(results)}), indent=2)
    if table_format == "csv":
        return str(results.table().to_csv(index=False, lineterminator="\n")).rstrip("\n")
    if table_format == "latex":
        return _latex(results)
    return _markdown(results)


def terminal_table(results: "Results", width: int = 80) -> "RenderableType":
    """The comparison as rich tables, one an environment, with footnotes; columns that do not fit are left out."""
    from rich import box
    from rich.cells import cell_len
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    parts: list[RenderableType] = []
    for environment, rows in _by_environment(results):
        table = Table(
            title=Text(environment), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False
        )
        columns = _columns(rows)
        longest = max(cell_len(row["agent"]) for row in rows)
        table.add_column("agent", overflow="fold", min_width=min(longest, 16))
        for column in columns:
            table.add_column(column.heading, justify="right", no_wrap=True)
        for row in rows:
            table.add_row(Text(row["agent"]), *[Text(column.cell(row)) for column in columns])
        while len(table.columns) > 3 and _width(table) > width:
            table.columns.pop()
        parts.append(table)
    parts.extend(Text(note, style="dim") for note in footnotes(results))
    return Group(*parts)


def _width(table: "Table") -> int:
    """Columns of the terminal that a table needs, long agents wrapped."""
    from rich.cells import cell_len

    cells = [[column.header, *column._cells] for column in table.columns]
    widths = [max(cell_len(str(cell)) for cell in column) for column in cells]
    return min(widths[0], 32) + sum(widths[1:]) + 3 * len(widths)


def footnotes(results: "Results") -> list[str]:
    """What a reader must know to trust the table: budget, seeds, rules, evaluation and intervals."""
    settings = results.settings
    seeds = settings["seeds"]
    budget = f"{settings['episodes']:,} episodes" if settings["episodes"] else f"{settings['steps']:,} steps"
    span = f"{seeds[0]}–{seeds[-1]}" if seeds == list(range(seeds[0], seeds[0] + len(seeds))) else str(seeds)
    notes = [
        f"Each trial trains for {budget}; {len(seeds)} seed{'s' * (len(seeds) != 1)} ({span}), paired across agents."
    ]
    notes.append("Success: mean over seeds [smallest, largest]. Training success counts every training episode.")
    for environment, rows in _by_environment(results):
        rules = list(dict.fromkeys(row["success_rule"] for row in rows if row["loop"] != "planning"))
        rule = " / ".join(rules) or rows[0]["success_rule"]
        how = {row["evaluation"] for row in rows}
        if how == {"exact"}:
            greedy = "greedy policies evaluated exactly on the model"
        else:
            greedy = f"greedy policies evaluated over {settings['evaluation_episodes']} sampled episodes"
        best = rows[0]["best_success_rate"]
        limit = f"; best possible success {best:.4f}" if _known(best) else ""
        chance = rows[0]["random_success_rate"]
        limit += f", random {chance:.4f}" if _known(chance) else ""
        notes.append(f"{environment}: success = {rule}; {greedy}{limit}.")
    return [*notes, *results.notes]


def _by_environment(results: "Results") -> list[tuple[str, list[dict[str, Any]]]]:
    ranked = results.table().to_dict("records")
    rows = [{str(key): value for key, value in row.items()} for row in ranked]
    return [(name, [row for row in rows if row["environment"] == name]) for name in results.environments]


def _columns(rows: list[dict[str, Any]]) -> list[_Column]:
    """Columns that have something to say, the most telling first."""
    columns = [
        _Column("training success", lambda row: _spread(row, "train_success_rate")),
        _Column("greedy success", lambda row: _spread(row, "greedy_success_rate")),
        _Column("of best", lambda row: f"{100 * row['share_of_best']:.1f} %" if _known(row["share_of_best"]) else "–"),
        _Column("greedy return", lambda row: _short(row["greedy_return_mean"])),
        _Column("steps/s", lambda row: _rate(row["steps_per_second"])),
    ]
    if all(row["greedy_return_mean"] == row["greedy_success_rate_mean"] for row in rows):
        columns.pop(3)
    return [column for column in columns if any(column.cell(row) != "–" for row in rows)]


def _spread(row: dict[str, Any], name: str) -> str:
    mean, low, high = row[f"{name}_mean"], row[f"{name}_min"], row[f"{name}_max"]
    return f"{_share(mean)} [{_share(low)}–{_share(high)}]" if _known(mean) else "–"


def _share(value: float) -> str:
    """A share of 1 with three digits and without the leading 0, as statisticians print it."""
    return f"{value:.3f}".removeprefix("0")


def _short(value: float) -> str:
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return f"{value:.4g}" if _known(value) else "–"


def _rate(value: float) -> str:
    if not _known(value) or value == 0:
        return "–"
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.3g}"


def _known(value: Any) -> bool:
    return value is not None and not math.isnan(value)


def _markdown(results: "Results") -> str:
    lines: list[str] = []
    for environment, rows in _by_environment(results):
        columns = _columns(rows)
        lines += [f"**{environment}**", "", f"| {' | '.join(['agent', *[column.heading for column in columns]])} |"]
        lines.append("|:---|" + "---:|" * len(columns))
        for row in rows:
            cells = [row["agent"], *[column.cell(row) for column in columns]]
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    return "\n".join([*lines, *[f"- {note}" for note in footnotes(results)]])


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
    }
)


def _latex(results: "Results") -> str:
    lines = [r"% needs \usepackage{booktabs}"]
    for environment, rows in _by_environment(results):
        columns = _columns(rows)
        lines += [r"\begin{tabular}{l" + "r" * len(columns) + "}", r"\toprule"]
        lines.append(rf"\multicolumn{{{len(columns) + 1}}}{{l}}{{\emph{{{environment.translate(_LATEX_SPECIAL)}}}}} \\")
        lines.append(" & ".join(["agent", *[column.heading for column in columns]]) + r" \\")
        lines.append(r"\midrule")
        for row in rows:
            cells = [row["agent"], *[column.cell(row) for column in columns]]
            lines.append(" & ".join(cell.translate(_LATEX_SPECIAL) for cell in cells) + r" \\")
        lines += [r"\bottomrule", r"\end{tabular}", ""]
    return "\n".join([*lines, *[f"% {note}" for note in footnotes(results)]])
