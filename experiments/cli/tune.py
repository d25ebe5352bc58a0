"""`velodrome tune`: choose parameters on tuning seeds, and show what the chosen ones do on fresh seeds."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.text import Text

from velodrome.experiments.cli.compare import (
    command_words,
    print_json,
    print_results,
    run_and_tell,
    tell_failures,
    write_folder,
)
from velodrome.experiments.cli.folders import experiment_folder
from velodrome.experiments.cli.trial_options import TrialOptions
from velodrome.experiments.reporting.tables import table_data
from velodrome.experiments.reporting.terminal import Terminal
from velodrome.experiments.results.analysis import AnalysisOptions
from velodrome.experiments.storage.store_file import store_path


def tune_command(
    name: str,
    *,
    changes: dict[str, Any],
    trials: TrialOptions,
    tuning: dict[str, Any],
    options: AnalysisOptions,
    quiet: bool,
    as_json: bool,
    explain: bool,
) -> int:
    """`velodrome tune`: run what is missing of both stages, print the table of fresh seeds; 1 if trials failed.

    Args:
        name: name or path of an experiment.
        changes: fields of the experiment in place of the file's, where they are not None.
        trials: how they are run, and where they are kept.
        tuning: fields of `TuneOptions`.
        options: of the table.
        quiet: show no progress.
        as_json: print JSON in place of the table.
        explain: whether the table's words are explained.
    """
    from velodrome.experiments.tuning.tune import TuneOptions, run_tuning, tuning_plan

    how_tuned = TuneOptions(**tuning).checked()
    given, out = trials.out, store_path(trials.out).parent
    plan, spaces = tuning_plan(Path(name), **changes)
    options.check(list(plan.agents))
    if options.metric is not None:
        plan = replace(plan, metric=options.metric)
    how = trials.run_options(out)
    results = run_and_tell(
        lambda how: run_tuning(plan, spaces, how_tuned, how), plan.name, how, given, quiet=quiet, is_search=True
    )
    shown = experiment_folder(given, plan.name)
    write_folder(results, experiment_folder(out, plan.name), options, shown, None)
    tuned = () if results.settings.tuning is None else results.settings.tuning.agents
    if as_json:
        data = table_data(results, options) | {"failed": len(results.failures)}
        print_json(data | {"tuning": [one.to_data() for one in tuned]})
    else:
        print_results(results, options, shown, given, has_file=False, explain=explain)
        console = Terminal(highlight=False)
        for label, expression in {one.agent: one.expression for one in tuned}.items():
            console.print(Text.assemble((f"{label}: ", "bold"), expression), soft_wrap=True)
    if not results.failures:
        return 0
    asked_for: dict[str, Any] = changes | trials.asked_for() | asdict(options)
    # `--halving` is what there is without `--no-halving`.
    asked_for |= {name: value for name, value in tuning.items() if name != "halving"}
    asked_for["no_halving"] = not tuning["halving"]
    return tell_failures(results, command_words([name], asked_for | {"retry_failed": True}, "tune"), as_json=as_json)
