"""The table of action values as text, and the best actions as a map of arrows."""

from typing import Literal

import numpy as np

from velodrome.checks import check_choice
from velodrome.experiments.views.learnt import Learnt, tied_best

TableFormat = Literal["text", "latex"]
FORMATS = ("text", "latex")
_ARROWS = {(0, -1): "←", (1, 0): "↓", (0, 1): "→", (-1, 0): "↑"}
_ON_MAP = {"hole": "o", "wall": "#", "cliff": "~", "goal": "G"}
_LATEX = {
    "\\": r"\textbackslash{}", "_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
}  # fmt: skip


def action_value_table(learnt: Learnt, table_format: TableFormat = "text") -> str:
    """Action values of the states in which an agent acts, a row a state; the mean over seeds.

    The best ones have a star, in LaTeX they are bold (packages: booktabs).

    Args:
        learnt: of one trial or of several.
        table_format: "text" or "latex".
    """
    check_choice("table_format", table_format, FORMATS)
    layout, values = learnt.layout, learnt.action_values.mean(axis=0)
    best = tied_best(values)
    largest = float(np.abs(values[layout.acting_states[:, None] & np.isfinite(values)]).max(initial=0.0))
    digits = 1 if largest >= 100 else 2 if largest >= 10 else 3
    is_latex, several = table_format == "latex", len(layout.panel_names) > 1
    heading = ["state", *(["panel"] if several else []), *([] if layout.is_chain else ["row", "column"]), "cell"]
    num_words = len(heading)
    rows = [[*heading, *layout.action_names]]
    for state in np.flatnonzero(layout.acting_states):
        panel, row, column = layout.cells[state].tolist()
        words = [str(state), *([layout.panel_names[panel]] if several else [])]
        words += [] if layout.is_chain else [str(row), str(column)]
        numbers = []
        for value, is_best in zip(values[state].tolist(), best[state].tolist(), strict=True):
            # An agent with action masks never takes the others.
            text = f"{value + 0.0:.{digits}f}" if np.isfinite(value) else "-"
            numbers.append(
                (rf"\textbf{{{text}}}" if is_latex else f"{text}*") if is_best else text + " " * (not is_latex)
            )
        rows.append([*words, layout.kind_of(int(state)), *numbers])
    if not is_latex:
        return _aligned(rows)
    columns = "r" * (num_words - 1) + "l" + "r" * len(layout.action_names)
    lines = [" & ".join(map(_in_latex, rows[0]))]
    lines += [" & ".join([*map(_in_latex, row[:num_words]), *row[num_words:]]) for row in rows[1:]]
    first, *others = (rf"{line} \\" for line in lines)
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{columns}}}", r"\toprule", first, r"\midrule", *others, r"\bottomrule",
            r"\end{tabular}",
        ]
    )  # fmt: skip


def policy_map(learnt: Learnt) -> str:
    """The best actions as arrows in lines of text, all where tied; of several seeds those that at least half choose.

    Actions without direction are the first letters of their names; holes are o, walls #, cliffs ~, the goal G.

    Args:
        learnt: action values on a grid or a chain, of one seed or several.
    """
    layout, choices = learnt.layout, learnt.choices
    best = tied_best(learnt.action_values[0]) if learnt.num_seeds == 1 else choices >= 0.5
    signs = [
        _ARROWS[direction] if direction is not None else name[:1].upper()
        for name, direction in zip(layout.action_names, layout.directions, strict=True)
    ]
    acting, grids = layout.acting_states, []
    for panel, name in enumerate(layout.panel_names):
        cells = [[_ON_MAP.get(str(kind), " ") for kind in row] for row in layout.kinds[panel]]
        mine = np.flatnonzero(acting & (layout.cells[:, 0] == panel))
        if not len(mine):
            continue
        for state in mine:
            _, row, column = layout.cells[state].tolist()
            cells[row][column] = (
                "".join(sign for sign, is_best in zip(signs, best[state], strict=True) if is_best) or "·"
            )
        width = max(len(text) for row in cells for text in row)
        lines = [" ".join(text.ljust(width) for text in row).rstrip() for row in cells]
        grids.append("\n".join([name, *lines] if name else lines))
    return "\n\n".join(grids)


def _aligned(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _in_latex(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in text)
