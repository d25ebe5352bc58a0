"""`velodrome compare`: run what is missing of an experiment, and show what it says."""

import json
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from velodrome.agents.resuming.whole_files import write_whole
from velodrome.experiments.cli.folders import experiment_folder
from velodrome.experiments.cli.kept_picture import write_learning_curves
from velodrome.experiments.cli.secondary import secondary
from velodrome.experiments.cli.streams import holds_all, say
from velodrome.experiments.cli.trial_options import TrialOptions
from velodrome.experiments.cli.without_file import fields_without_file, one_experiment
from velodrome.experiments.errors import AllTrialsFailedError
from velodrome.experiments.reporting.tables import format_table, table_data, terminal_table
from velodrome.experiments.reporting.terminal import Terminal
from velodrome.experiments.results.analysis import AnalysisOptions
from velodrome.experiments.results.numbers import json_ready
from velodrome.experiments.results.results import Results
from velodrome.experiments.running.run_status import RunStatus
from velodrome.experiments.running.stopping import stoppable
from velodrome.experiments.specification.experiment import Experiment
from velodrome.experiments.specification.experiment_file import experiment_text, read_experiment
from velodrome.experiments.storage.store import STORE_FILE
from velodrome.experiments.storage.store_file import store_path
from velodrome.experiments.texts import command_line, visible_json

if TYPE_CHECKING:
    from velodrome.experiments.running.run_plan import RunOptions
    from velodrome.experiments.watch.watch_page import WatchPage

EXPERIMENT_FILE = "experiment.toml"
WATCH_FILE = "watch.html"


def compare_command(
    names: Sequence[str],
    on: Sequence[str],
    *,
    changes: dict[str, int | None],
    trials: TrialOptions,
    until_decided: bool,
    max_seeds: int | None,
    options: AnalysisOptions,
    quiet: bool,
    as_json: bool,
    explain: bool,
    watch: bool = False,
) -> int:
    """`velodrome compare`: run what is missing of an experiment, print its table; returns 1 if trials failed.

    Args:
        names: the name or path of an experiment; or agents as expressions, with labels or without.
        on: environments for these agents, likewise; none with an experiment.
        changes: fields of the experiment in place of the file's, where they are not None.
        trials: how they are run, and where they are kept.
        until_decided: see `vd.compare`.
        max_seeds: likewise.
        options: of the table.
        quiet: show no progress.
        as_json: print JSON in place of the table.
        explain: whether the table's words are explained.
        watch: whether a page shows the run, beside the table.
    """
    from velodrome.experiments.running.run_plan import run_plan
    from velodrome.experiments.running.run_until_decided import UntilDecided, run_until_decided

    rule = UntilDecided.checked(until_decided, max_seeds, changes["seeds"], options.metric)
    # What an experiment names may change the current folder; what is printed stays as it was given.
    given, out = trials.out, store_path(trials.out).parent
    fields = fields_without_file(names, on, changes) if on else None
    plan = (read_experiment(one_experiment(names), **changes) if fields is None else Experiment(**fields)).plan()
    options.check(list(plan.agents))
    how = trials.run_options(out)
    with _watched(watch, out, plan.name, options) as page:

        def run(how: "RunOptions") -> Results:
            return run_plan(plan, how) if rule is None else run_until_decided(plan, how, rule)

        results = run_and_tell(run, plan.name, how, given, quiet=quiet, page=page)
        if page is not None:
            page.results = results
    shown = experiment_folder(given, plan.name)
    write_folder(results, experiment_folder(out, plan.name), options, shown, fields)
    if as_json:
        print_json(table_data(results, options) | {"failed": len(results.failures)})
    else:
        print_results(results, options, shown, given, has_file=fields is not None, explain=explain)
    if not results.failures:
        return 0
    asked_for: dict[str, Any] = {"on": on} | changes | trials.asked_for() | {"watch": watch}
    asked_for |= {"until_decided": until_decided, "max_seeds": max_seeds} | asdict(options)
    return tell_failures(results, command_words(names, asked_for | {"retry_failed": True}), as_json=as_json)


def run_and_tell(
    run: "Callable[[RunOptions], Results]",
    name: str,
    options: "RunOptions",
    given: Path,
    *,
    quiet: bool,
    page: Callable[[RunStatus], None] | None = None,
    is_search: bool = False,
) -> Results:
    """Results of a run with its progress; those that there are where every trial failed, with a line.

    Args:
        run: what is run with the options.
        name: of the experiment.
        options: `RunOptions`, whose progress is taken.
        given: folder of the store, for messages.
        quiet: show no progress.
        page: told of the progress, too.
        is_search: whether nobody knows yet how many trials there will be.

    Raises:
        KeyboardInterrupt: with a line that says what is kept.
    """
    from velodrome.experiments.running.run_progress import RunProgress

    latest = RunStatus()

    def remember(status: RunStatus) -> None:
        nonlocal latest
        latest = status
        progress(status)
        if page is not None:
            page(status)

    with stoppable(), RunProgress(name, quiet=quiet) as progress:
        try:
            return run(replace(options, progress=remember))
        except KeyboardInterrupt as interrupt:
            of = "" if is_search else f" of {latest.total}"
            done = f"{latest.finished}{of} trials are done and kept in {given}"
            raise type(interrupt)(f"stopped: {done}; the same command goes on") from None
        except AllTrialsFailedError as error:
            say(f"velodrome: {error}", sys.stderr)
            results: Results = error.results
            return results


def print_json(data: Any) -> None:
    """Data as JSON that the stream can hold."""
    print(visible_json(json.dumps(json_ready(data), indent=2, ensure_ascii=not holds_all(sys.stdout))))


def tell_failures(results: Results, again: str, *, as_json: bool) -> int:
    """Exit code 1, with a line that says how to run failed trials again."""
    line = f"{len(results.failures)} of {results.num_planned} trials failed; run them again with: {again}"
    say(line, sys.stderr if as_json else sys.stdout)
    return 1


def _watched(
    is_wanted: bool, out: Path, name: str, options: AnalysisOptions
) -> "AbstractContextManager[WatchPage | None]":
    """The page of a run that is to be watched, whose address is printed."""
    if not is_wanted:
        return nullcontext()
    from velodrome.experiments.watch.watch_page import WatchPage

    page = WatchPage(experiment_folder(out, name) / WATCH_FILE, out, name, options=options)
    say(f"Watch: {page.path.as_uri()}", sys.stderr)
    return page


def print_results(
    results: Results, options: AnalysisOptions, folder: Path, out: Path, *, has_file: bool, explain: bool
) -> None:
    """The table with its verdict, and where everything is."""
    console = Terminal(highlight=False)
    console.print(terminal_table(results, console.width, options, explain=explain))
    if not any(row["seeds"] for row in results.rows(options)):
        return
    console.print(Text(f"Table and plot: {folder}; trials: {out / STORE_FILE}"), soft_wrap=True)
    if has_file:
        console.print(Text(f"Experiment file: {folder / EXPERIMENT_FILE}"), soft_wrap=True)
    console.print(Text(f"Report: {shlex.join(['velodrome', 'report', str(out)])}"), soft_wrap=True)


def command_words(names: Sequence[str], options: dict[str, Any], command: str = "compare") -> str:
    """A command with options by name, for a shell; those that are None or False are left out."""
    words = ["velodrome", command, *names]
    for name, value in options.items():
        option = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(option)
        elif isinstance(value, tuple | list):
            words += [word for item in value for word in (option, str(item))]
        elif value is not None and value is not False:
            words += [option, str(value)]
    return command_line(words)


def write_folder(
    results: Results, folder: Path, options: AnalysisOptions, shown: Path, fields: dict[str, Any] | None
) -> None:
    """The table and the learning curves of an experiment beside its store; messages have `shown` for the folder.

    Where there was no file, `fields` are written as one.
    """
    with secondary(f"--out {shown}: the table is not written"):
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / "table.md", format_table(results, "markdown", options) + "\n")
    if fields is not None:
        with secondary(f"--out {shown}: the experiment file is not written"):
            write_whole(folder / EXPERIMENT_FILE, experiment_text(fields))
    with secondary(f"--out {shown}: the learning curves are not drawn"):
        if any(row["seeds"] for row in results.rows(options)):
            write_learning_curves(results, folder / "learning.png")
