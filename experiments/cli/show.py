"""`velodrome table`, `plot` and `report`: what stored results say."""

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from velodrome.experiments.cli.folders import check_folder, experiment_folder
from velodrome.experiments.cli.secondary import reason_of
from velodrome.experiments.cli.streams import holds_all, say
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.results.analysis import AnalysisOptions
from velodrome.experiments.results.results import Results
from velodrome.experiments.storage.store import Store


def table_command(
    directories: Sequence[Path],
    *,
    experiment: str | None,
    table_format: str,
    options: AnalysisOptions,
    digest: str | None = None,
    explain: bool = False,
) -> None:
    """`velodrome table`: print stored results."""
    from velodrome.experiments.reporting.tables import format_table, terminal_table

    if digest is not None:
        _check_digest(directories, digest)
    results = load(directories, experiment)
    if table_format != "terminal":
        text = format_table(results, table_format, options)
        # Substitutes for letters are no JSON.
        say(json.dumps(json.loads(text), indent=2) if table_format == "json" and not holds_all(sys.stdout) else text)
        return
    from velodrome.experiments.reporting.terminal import Terminal

    console = Terminal(highlight=False)
    console.print(terminal_table(results, console.width, options, explain=explain))


def plot_command(
    directories: Sequence[Path],
    *,
    experiment: str | None,
    kind: str,
    out: Path | None,
    metric: str | None,
    environment: str | None,
    parameter: str | None,
    over: str | None,
    band: str | None,
    share: float | None,
    runs: bool,
) -> None:
    """`velodrome plot`: draw stored results."""
    from velodrome.experiments.plotting.figures import ENDINGS, draw, write_figure
    from velodrome.experiments.plotting.kinds import kind_named

    kind_named(kind)
    results = load(directories, experiment)
    name = "_".join(filter(None, (kind, metric, band, "runs" if runs else None)))
    picture = out or experiment_folder(directories[0], results.name) / f"{name}.png"
    if picture.suffix.lower() not in ENDINGS:
        raise ExperimentError(f"--out must end in {', '.join(ENDINGS)}, got {picture}")
    check_folder(picture.parent, "--out")
    figure = draw(
        results, kind, metric=metric, environment=environment, parameter=parameter, over=over, band=band, share=share,
        runs=runs,
    )  # fmt: skip
    try:
        write_figure(figure, str(picture))
    except Exception as error:
        raise ExperimentError(f"--out {picture}: {reason_of(error)}") from error
    say(picture)


def report_command(
    directories: Sequence[Path],
    *,
    experiment: str | None,
    out: Path | None,
    language: Literal["en", "ko"],
    options: AnalysisOptions,
) -> None:
    """`velodrome report`: write the page that says what stored results say."""
    from velodrome.experiments.reporting.report import write_report

    results = load(directories, experiment)
    page = out or experiment_folder(directories[0], results.name) / "report.html"
    if page.suffix.lower() not in (".html", ".htm"):
        raise ExperimentError(f"--out must end in .html, got {page}")
    check_folder(page.parent, "--out")
    try:
        written = write_report(results, page, options=options, language=language)
    except OSError as error:
        raise ExperimentError(f"--out {page}: {error.strerror or error}") from None
    say(written)


def _check_digest(directories: Sequence[Path], digest: str) -> None:
    """Refuse a store whose content is not that of a published digest."""
    if len(directories) != 1:
        raise ExperimentError(f"--digest is of one store, got {len(directories)} folders")
    if not re.fullmatch("[0-9a-fA-F]{64}", digest):
        raise ExperimentError(f"--digest must be the 64 hexadecimal digits of a SHA-256, got {digest!r}")
    with Store.open_for_reading(directories[0]) as store:
        found = store.content_digest()
        if found != digest.lower():
            raise ExperimentError(f"{store.path} has the content digest {found}, not {digest.lower()}")


def load(directories: Sequence[Path], experiment: str | None) -> Results:
    """Results of one store, or of several in one."""
    if not directories:
        raise ExperimentError("give the folder of a store that `velodrome compare` wrote, such as results")
    results = [Results.load(directory, experiment) for directory in directories]
    return results[0] if len(results) == 1 else Results.joined(results, [str(directory) for directory in directories])
