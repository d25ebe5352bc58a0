"""What a notebook shows of results: the table that people read, the verdict in words and the learning curves."""

import base64
import io
from html import escape

from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.plotting.figures import draw
from velodrome.experiments.reporting.columns import SPEED, Section, sections_of
from velodrome.experiments.reporting.verdicts import verdicts
from velodrome.experiments.results.analysis import analyse
from velodrome.experiments.results.trial_table import TrialTable


def results_html(results: TrialTable, extent: str) -> str:
    """Results as HTML that stands by itself.

    Args:
        results: of an experiment.
        extent: how much there is, in words.
    """
    analysis = analyse(results, None)
    parts = [f"<p><b>{escape(results.name)}</b>: {escape(extent)}</p>", *map(_table, sections_of(analysis))]
    for verdict in verdicts(analysis, results):
        title = f"<b>{escape(verdict.title)}:</b> " if verdict.title else ""
        parts.append(f"<p>{title}{escape(' '.join(verdict.sentences))}</p>")
    return "\n".join([*parts, _picture(results)])


def _table(section: Section) -> str:
    # Without the speed, so that the same cell shows the same table when it is run again.
    columns = [column for column in section.columns if column.heading != SPEED]
    headings = [section.subject, *(column.heading for column in columns)]
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    rows = []
    for row in section.rows:
        cells = [str(row["agent"]), *(_unbroken(column.cell(row)) for column in columns)]
        rows.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    table = f"<table><caption>{escape(section.title)}</caption><tr>{head}</tr>{''.join(rows)}</table>"
    # On a narrow page the table scrolls, not the page.
    return f'<div style="overflow-x: auto">{table}</div>'


def _unbroken(cell: str) -> str:
    """The cell, in which no line breaks inside an interval, or before "%"."""
    return cell.replace(", ", ",\N{NO-BREAK SPACE}").replace(" %", "\N{NO-BREAK SPACE}%")


def _picture(results: TrialTable) -> str:
    """The learning curves, or why there are none."""
    picture = io.BytesIO()
    try:
        draw(results, "learning").savefig(picture, format="png")
    except ExperimentError as error:
        return f"<p>{escape(str(error))}</p>"
    encoded = base64.b64encode(picture.getvalue()).decode("ascii")
    return f'<img alt="learning curves" style="max-width: 100%" src="data:image/png;base64,{encoded}">'
