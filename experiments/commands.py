"""What the commands of the command line do."""

import json
import math
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.text import Text

from velodrome.agents.agent import Loop
from velodrome.agents.errors import check_budget
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.expressions.catalogue import build_agent
from velodrome.experiments.expressions.environment_configuration import build_environment
from velodrome.experiments.progress import DelayedProgress
from velodrome.experiments.results import Results, json_ready
from velodrome.experiments.run import run
from velodrome.experiments.running.run_status import RunStatus
from velodrome.experiments.running.stopping import stoppable
from velodrome.experiments.storage.store import STORE_FILE
from velodrome.experiments.tables import format_table, terminal_table
from velodrome.experiments.trial import Trial

PICTURE_ENDINGS = (".png", ".svg", ".pdf")


def run_command(
    agent: str,
    environment: str,
    *,
    episodes: int | None,
    steps: int | None,
    seed: int,
    loop: Loop,
    success: str | None,
    evaluation_episodes: int,
    save: Path | None,
    render: str | None,
    as_json: bool,
) -> None:
    """`velodrome run`: train, evaluate, report, and save or show what was learnt."""
    check_budget(episodes, steps)
    learner, configuration = build_agent(agent), build_environment(environment)
    if save is not None:
        _check_folder(save, "--save")
    if render is not None:
        from velodrome.experiments.render import check_render_mode

        check_render_mode(configuration, render)
    with DelayedProgress(agent, "episodes") as progress:
        total = episodes or 0
        trial = run(
            learner,
            configuration,
            episodes=episodes,
            steps=steps,
            seed=seed,
            loop=loop,
            success=success,
            evaluation_episodes=evaluation_episodes,
            callback=(lambda finished: progress.update(finished, total)) if total else None,
            callback_every=max(1, total // 100),
        )
    if save is not None:
        trial.trained.save(save)
    if as_json:
        print(json.dumps(json_ready({**trial.record(), "agent": agent, "notes": list(trial.log.notes)}), indent=2))
    else:
        _print_trial(agent, trial)
    if render is not None:
        from velodrome.experiments.render import play

        # Standard output belongs to the JSON object where one was asked for.
        play(trial.trained, configuration, render, seed, sys.stderr if as_json else sys.stdout)


def compare_command(
    experiment: str,
    *,
    seeds: int | None,
    episodes: int | None,
    steps: int | None,
    out: Path,
    run_options: dict[str, Any],
    track: Sequence[str],
    quiet: bool,
    as_json: bool,
) -> int:
    """`velodrome compare`: run what is missing of an experiment, print its table; returns 1 if trials failed."""
    from velodrome.experiments.experiment_file import read_experiment
    from velodrome.experiments.make_plan import make_plan
    from velodrome.experiments.run_progress import RunProgress
    from velodrome.experiments.running.run_plan import RunOptions, run_plan
    from velodrome.experiments.tracking.tracker import open_tracker

    asked_for = {"seeds": seeds, "episodes": episodes, "steps": steps, "out": out, "track": track}
    # How often trials save their state decides nothing, and is never left out by the command line.
    asked_for |= {name: value for name, value in run_options.items() if name != "checkpoint_every"}
    told = read_experiment(experiment)
    agents, environments = dict(told.agents), dict(told.environments)
    if episodes is None and steps is None:
        episodes, steps = told.episodes, told.steps
    else:
        no_budget = {"episodes": None, "steps": None}
        agents = {label: entry.model_copy(update=no_budget) for label, entry in agents.items()}
        environments = {label: entry.model_copy(update=no_budget) for label, entry in environments.items()}
    plan = make_plan(
        agents, environments, seeds=told.seeds if seeds is None else seeds, episodes=episodes, steps=steps,
        evaluation_episodes=told.evaluation_episodes, success=told.success, name=told.name,
        description=told.description,
    )  # fmt: skip
    trackers = [open_tracker(text, out) for text in track]
    _check_folder(out, "--out")
    latest = RunStatus()

    def remember(status: RunStatus) -> None:
        nonlocal latest
        latest = status
        progress(status)

    with stoppable(), RunProgress(plan.name, quiet=quiet) as progress:
        try:
            results = run_plan(plan, RunOptions(out=out, track=trackers, progress=remember, **run_options))
        except KeyboardInterrupt as interrupt:
            done = f"{latest.finished} of {latest.total} trials are done and kept in {out}"
            raise type(interrupt)(f"stopped: {done}; the same command goes on") from None
    _write_folder(results, _folder_of(out, plan.name))
    if as_json:
        print(json.dumps(json_ready({"rows": results.rows(), "failed": len(results.failures)}), indent=2))
    else:
        console = Console(highlight=False)
        console.print(terminal_table(results, console.width))
        if any(row["seeds"] for row in results.rows()):
            console.print(
                Text(f"Table and plot: {_folder_of(out, plan.name)}; trials: {out / STORE_FILE}"), soft_wrap=True
            )
    if not results.failures:
        return 0
    again = _command_line(experiment, asked_for | {"retry_failed": True})
    line = f"{len(results.failures)} of {results.num_planned} trials failed; run them again with: {again}"
    print(line, file=sys.stderr if as_json else sys.stdout)
    return 1


def _command_line(experiment: str, options: dict[str, Any]) -> str:
    """`velodrome compare` with options by name, for a shell; those that are None or False are left out."""
    words = ["velodrome", "compare", experiment]
    for name, value in options.items():
        option = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(option)
        elif isinstance(value, tuple | list):
            words += [word for item in value for word in (option, str(item))]
        elif value is not None and value is not False:
            words += [option, str(value)]
    return shlex.join(words)


def _write_folder(results: Results, folder: Path) -> None:
    """The table and the plot of an experiment beside its store."""
    from velodrome.experiments.plots import write_figure

    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "table.md").write_text(format_table(results, "markdown") + "\n", encoding="utf-8")
        if any(row["seeds"] for row in results.rows()):
            write_figure(results.plot(), str(folder / "success_rate.png"))
    except OSError as error:
        raise ExperimentError(f"--out {folder}: {error.strerror or error}") from None


def plot_command(directory: Path, *, experiment: str | None, out: Path | None, metric: str) -> None:
    """`velodrome plot`: draw stored results."""
    from velodrome.experiments.plots import write_figure

    results = Results.load(directory, experiment)
    picture = out or _folder_of(directory, results.name) / f"{metric}.png"
    if picture.suffix.lower() not in PICTURE_ENDINGS:
        raise ExperimentError(f"--out must end in {', '.join(PICTURE_ENDINGS)}, got {picture}")
    _check_folder(picture.parent, "--out")
    try:
        write_figure(results.plot(metric), str(picture))
    except OSError as error:
        raise ExperimentError(f"--out {picture}: {error.strerror or error}") from None
    print(picture)


def table_command(directory: Path, *, experiment: str | None, table_format: str) -> None:
    """`velodrome table`: print stored results."""
    results = Results.load(directory, experiment)
    if table_format == "terminal":
        console = Console(highlight=False)
        console.print(terminal_table(results, console.width))
    else:
        print(format_table(results, table_format))


def verify_command(
    directory: Path, *, sample: int | None, seed: int, experiment: str | None, workers: int | None, quiet: bool
) -> int:
    """`velodrome verify`: run stored trials again and say which reproduce; returns 1 unless all do."""
    from velodrome.experiments.run_progress import RunProgress
    from velodrome.experiments.verify import verify

    with stoppable(), RunProgress("verify", quiet=quiet) as progress:
        verification = verify(
            directory, sample=sample, seed=seed, experiment=experiment, workers=workers, progress=progress
        )
    for line in verification.lines():
        print(line)
    return 0 if verification.has_reproduced else 1


def export_command(
    directory: Path, *, file_format: Literal["csv", "parquet"], out: Path | None, curves: bool, experiment: str | None
) -> None:
    """`velodrome export`: write stored results to files; prints their paths."""
    from velodrome.experiments.export import export

    for path in export(directory, format=file_format, out=out, curves=curves, experiment=experiment):
        print(path)


def _print_trial(agent: str, trial: Trial) -> None:
    record = trial.record()
    lines = [
        ("agent", agent),
        ("environment", record["environment"]),
        ("trained", f"{record['episodes']:,} episodes, {record['steps']:,} steps, seed {record['seed']}"),
        ("training success", _percent(record["train_success_rate"], record["success_rule"])),
        ("greedy success", _greedy(record)),
        ("best possible", _percent(record["best_success_rate"])),
        ("random", _percent(record["random_success_rate"])),
        ("greedy return", _return(record)),
        ("loop", _loop(trial)),
    ]
    console = Console(highlight=False)
    for name, text in lines:
        if text:
            console.print(Text.assemble((f"{name:>16}  ", "dim"), text), soft_wrap=True)
    for note in trial.log.notes:
        console.print(Text(f"{'note':>16}  {note}", style="dim"), soft_wrap=True)


def _loop(trial: Trial) -> str:
    log = trial.log
    if not log.steps:
        return log.loop
    compiling = f" after {log.compile_seconds:.1f} s of compiling" if log.compile_seconds >= 0.1 else ""
    return f"{log.loop}, {log.steps_per_second:,.0f} steps/s{compiling}"


def _percent(rate: float, rule: str = "") -> str:
    return "" if math.isnan(rate) else f"{rate:.4f}" + (f"  ({rule})" if rule else "")


def _greedy(record: dict[str, Any]) -> str:
    rate = record["greedy_success_rate"]
    if math.isnan(rate):
        return ""
    if record["evaluation"] == "exact":
        return f"{rate:.4f}  (exact)"
    low, high = record["greedy_success_rate_low"], record["greedy_success_rate_high"]
    return f"{rate:.4f}  (95 % interval {low:.3f} to {high:.3f}, {record['evaluation_episodes']} sampled episodes)"


def _return(record: dict[str, Any]) -> str:
    best = record["best_return"]
    return f"{record['greedy_mean_return']:.4g}" + ("" if math.isnan(best) else f"  (best possible {best:.4g})")


def _folder_of(directory: Path, name: str) -> Path:
    """Where the table and plots of an experiment go."""
    allowed = "".join(character if character.isalnum() or character in "-_." else "-" for character in name)
    return directory / allowed.strip(".")


def _check_folder(folder: Path, option: str) -> None:
    """Make a folder and see that files can be written to it, before anything is computed for it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ExperimentError(f"{option} {folder}: {error.strerror or error}") from None
