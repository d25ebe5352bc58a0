"""`velodrome tune`: choose parameters on tuning seeds, and show what the chosen ones do on fresh seeds."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.text import Text

from velodrome.experiments.cli.compare import command_words, print_results, write_folder
from velodrome.experiments.cli.folders import check_folder, experiment_folder
from velodrome.experiments.cli.streams import holds_all, say
from velodrome.experiments.errors import AllTrialsFailedError
from velodrome.experiments.reporting.tables import table_data
from velodrome.experiments.reporting.terminal import Terminal
from velodrome.experiments.results.analysis import AnalysisOptions
from velodrome.experiments.results.numbers import json_ready
from velodrome.experiments.results.results import Results
from velodrome.experiments.running.run_status import RunStatus
from velodrome.experiments.running.stopping import stoppable
from velodrome.experiments.storage.store_file import store_path
from velodrome.experiments.texts import visible_json


def tune_command(
    name: str,
    *,
    changes: dict[str, Any],
    out: Path,
    tuning: dict[str, Any],
    options: AnalysisOptions,
    run_options: dict[str, Any],
    track: Sequence[str],
    quiet: bool,
    as_json: bool,
    explain: bool,
) -> int:
    """`velodrome tune`: run what is missing of both stages, print the table of fresh seeds; 1 if trials failed.

    Args:
        name: name or path of an experiment.
        changes: fields of the experiment in place of the file's, where they are not None.
        out: folder of the store.
        tuning: fields of `TuneOptions`.
        options: of the table.
        run_options: fields of `RunOptions`.
        track: trackers, as texts.
        quiet: show no progress.
        as_json: print JSON in place of the table.
        explain: whether the table's words are explained.
    """
    from velodrome.experiments.running.run_plan import RunOptions
    from velodrome.experiments.running.run_progress import RunProgress
    from velodrome.experiments.tracking.tracker import open_tracker
    from velodrome.experiments.tuning.tune import TuneOptions, run_tuning, tuning_plan

    how_tuned = TuneOptions(**tuning).checked()
    given, out = out, store_path(out).parent
    plan, spaces = tuning_plan(Path(name), **changes)
    options.check(list(plan.agents))
    if options.metric is not None:
        plan = replace(plan, metric=options.metric)
    trackers = [open_tracker(text, out) for text in track]
    check_folder(out, "--out", given)
    latest = RunStatus()

    def remember(status: RunStatus) -> None:
        nonlocal latest
        latest = status
        progress(status)

    results: Results
    with stoppable(), RunProgress(plan.name, quiet=quiet) as progress:
        how = RunOptions(out=out, track=trackers, progress=remember, **run_options)
        try:
            results = run_tuning(plan, spaces, how_tuned, how)
        except KeyboardInterrupt as interrupt:
            done = f"{latest.finished} trials are done and kept in {given}"
            raise type(interrupt)(f"stopped: {done}; the same command goes on") from None
        except AllTrialsFailedError as error:
            say(f"velodrome: {error}", sys.stderr)
            results = error.results
    shown = experiment_folder(given, plan.name)
    write_folder(results, experiment_folder(out, plan.name), options, shown, None)
    tuned = () if results.settings.tuning is None else results.settings.tuning.agents
    if as_json:
        data = table_data(results, options) | {"failed": len(results.failures)}
        data["tuning"] = [one.to_data() for one in tuned]
        print(visible_json(json.dumps(json_ready(data), indent=2, ensure_ascii=not holds_all(sys.stdout))))
    else:
        print_results(results, options, shown, given, has_file=False, explain=explain)
        console = Terminal(highlight=False)
        for label, expression in {one.agent: one.expression for one in tuned}.items():
            console.print(Text.assemble((f"{label}: ", "bold"), expression), soft_wrap=True)
    if not results.failures:
        return 0
    asked_for: dict[str, Any] = changes | {"out": given, "track": track} | asdict(options)
    # `--halving` is what there is without `--no-halving`.
    asked_for |= {name: value for name, value in tuning.items() if name != "halving"}
    asked_for["no_halving"] = not tuning["halving"]
    asked_for |= {name: value for name, value in run_options.items() if name != "checkpoint_every"}
    again = command_words([name], asked_for | {"retry_failed": True}, "tune")
    line = f"{len(results.failures)} of {results.num_planned} trials failed; run them again with: {again}"
    say(line, sys.stderr if as_json else sys.stdout)
    return 1
