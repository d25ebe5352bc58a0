"""The comparison table for people: terminal, Markdown, CSV, LaTeX and JSON."""

import json
import math
from typing import TYPE_CHECKING, Any, Literal, get_args

from velodrome.experiments.results import json_ready

if TYPE_CHECKING:
    from rich.console import RenderableType

    from velodrome.experiments.results import Results

TableFormat = Literal["terminal", "markdown", "csv", "latex", "json"]
TABLE_FORMATS: tuple[str, ...] = get_args(TableFormat)

_HEADINGS = (
    "agent",
    "seeds",
    "training success",
    "greedy success",
    "of best",
    "greedy return",
    "steps/s",
)


def format_table(results: "Results", table_format: str) -> str:
    """The comparison as text in one of the formats but "terminal"; CSV and JSON hold every number."""
    if table_format == "json":
        return json.dumps(json_ready({"rows": results.rows(), "notes": footnotes(results)}), indent=2)
    if table_format == "csv":
        return str(results.table().to_csv(index=False, lineterminator="\n")).rstrip("\n")
    if table_format == "latex":
        return _latex(results)
    return _markdown(results)


def terminal_table(results: "Results") -> "RenderableType":
    """The comparison as rich tables, one an environment, with footnotes."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    parts: list[RenderableType] = []
    for environment, rows in _by_environment(results):
        table = Table(title=Text(environment), title_justify="left", title_style="bold", header_style="bold")
        for heading in _HEADINGS:
            table.add_column(heading, justify="left" if heading == "agent" else "right", no_wrap=heading != "agent")
        for row in rows:
            table.add_row(*[Text(cell) for cell in _cells(row)])
        parts.append(table)
    parts.extend(Text(note, style="dim") for note in footnotes(results))
    return Group(*parts)


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


def _cells(row: dict[str, Any]) -> list[str]:
    return [
        row["agent"],
        str(row["seeds"]),
        _spread(row, "train_success_rate"),
        _spread(row, "greedy_success_rate"),
        f"{100 * row['share_of_best']:.1f} %" if _known(row["share_of_best"]) else "–",
        _short(row["greedy_return_mean"]),
        _rate(row["steps_per_second"]),
    ]


def _spread(row: dict[str, Any], name: str) -> str:
    mean, low, high = row[f"{name}_mean"], row[f"{name}_min"], row[f"{name}_max"]
    return f"{mean:.3f} [{low:.3f}, {high:.3f}]" if _known(mean) else "–"


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
        lines += [f"**{environment}**", "", f"| {' | '.join(_HEADINGS)} |"]
        lines.append("|" + "|".join(":---" if heading == "agent" else "---:" for heading in _HEADINGS) + "|")
        lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in _cells(row)) + " |" for row in rows]
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
    lines = [r"% needs \usepackage{booktabs}", r"\begin{tabular}{l" + "r" * (len(_HEADINGS) - 1) + "}", r"\toprule"]
    lines.append(" & ".join(_HEADINGS) + r" \\")
    for environment, rows in _by_environment(results):
        name = environment.translate(_LATEX_SPECIAL)
        lines += [r"\midrule", rf"\multicolumn{{{len(_HEADINGS)}}}{{l}}{{\emph{{{name}}}}} \\"]
        lines += [" & ".join(cell.translate(_LATEX_SPECIAL) for cell in _cells(row)) + r" \\" for row in rows]
    lines += [r"\bottomrule", r"\end{tabular}"]
    return "\n".join(lines + [f"% {note}" for note in footnotes(results)])
