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
FAILED = "failed"
# Reasons of failures that are told in full.
MOST_CAUSES = 5
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
        least = 4 if columns[0].heading == FAILED else 3
        while len(table.columns) > least and _width(table) > width:
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
    span = f"{seeds[0]}–{seeds[-1]}" if seeds == list(range(seeds[0], seeds[0] + len(seeds))) else str(seeds)
    notes = [f"{_budgets(settings)}; {len(seeds)} seed{'s' * (len(seeds) != 1)} ({span}), paired across agents."]
    notes += _what_is_missing(results)
    notes.append("Success: mean over seeds [smallest, largest]. Training success counts every training episode.")
    for environment, rows in _by_environment(results):
        rows = [row for row in rows if row["seeds"]]
        if not rows:
            notes.append(f"{environment}: no trial is done.")
            continue
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


def _budgets(settings: dict[str, Any]) -> str:
    """How long trials train, with the budgets of their own."""
    pairs: dict[str, list[tuple[str, str]]] = {}
    for row in settings.get("budgets", ()):
        pairs.setdefault(_amount(row["episodes"], row["steps"]), []).append((row["agent"], row["environment"]))
    own = [f"{owner}for {amount}" for amount, some in pairs.items() for owner in _owners(some, settings)]
    if settings["episodes"] is None and settings["steps"] is None:
        return f"Training: {'; '.join(own)}"
    common = f"Each trial trains for {_amount(settings['episodes'], settings['steps'])}"
    return common + (f"; but {'; '.join(own)}" if own else "")


def _owners(pairs: list[tuple[str, str]], settings: dict[str, Any]) -> list[str]:
    """Who has a budget: agents on environments in one phrase where each of them has it on each, else pair by pair."""
    agents, environments = (list(dict.fromkeys(labels)) for labels in zip(*pairs, strict=True))
    if len(pairs) < len(agents) * len(environments):
        return [f"{agent} on {environment} " for agent, environment in pairs]
    who = f"{', '.join(agents)} " if len(agents) < len(settings["agents"]) else ""
    where = f"on {', '.join(environments)} " if len(environments) < len(settings["environments"]) else ""
    return [f"{who}{where}"]


def _amount(episodes: int | None, steps: int | None) -> str:
    number, unit = (steps, "step") if episodes is None else (episodes, "episode")
    return f"{number:,} {unit}{'s' * (number != 1)}"


def _what_is_missing(results: "Results") -> list[str]:
    """Trials that failed, by reason, and trials that have not been run."""
    notes = []
    causes: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for record in results.failures:
        where = f" ({record['error_place']})" if record["error_place"] else ""
        causes.setdefault((record["agent"], record["environment"], f"{record['error']}{where}"), []).append(record)
    for (agent, environment, cause), records in list(causes.items())[:MOST_CAUSES]:
        seeds = ", ".join(str(record["seed"]) for record in records[:5]) + (", …" if len(records) > 5 else "")
        notes.append(
            f"Failed: {agent} on {environment}, {len(records)} trial{'s' * (len(records) != 1)} (seed {seeds}): {cause}"
        )
    if len(causes) > MOST_CAUSES:
        notes.append(f"Failed: {len(results.failures)} trials in all, for {len(causes)} reasons.")
    unfinished = results.num_planned - len(results.records)
    if unfinished:
        notes.append(
            f"Not finished: {unfinished} of {results.num_planned} trials have not been run; the same command goes on."
        )
    return notes


def _by_environment(results: "Results") -> list[tuple[str, list[dict[str, Any]]]]:
    ranked = results.table().to_dict("records")
    rows = [{str(key): value for key, value in row.items()} for row in ranked]
    by_environment = [(name, [row for row in rows if row["environment"] == name]) for name in results.environments]
    return [(name, some) for name, some in by_environment if some]


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
    columns.insert(0, _Column(FAILED, lambda row: str(row["failed"]) if row["failed"] else "–"))
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
