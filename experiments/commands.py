"""What the commands of the command line do."""

import json
import math
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from velodrome.agents.agent import Loop
from velodrome.agents.errors import check_budget
from velodrome.experiments.catalogue import build_agent
from velodrome.experiments.compare import compare
from velodrome.experiments.environment_configuration import build_environment
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.progress import DelayedProgress
from velodrome.experiments.results import CURVES_FILE, RESULTS_FILE, Results, ResultsError, json_ready
from velodrome.experiments.run import run
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
    workers: int | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """`velodrome compare`: run an experiment, write its folder, print its table."""
    from velodrome.experiments.experiment_file import read_experiment
    from velodrome.experiments.plots import write_figure

    plan = read_experiment(experiment)
    if episodes is None and steps is None:
        episodes, steps = plan.episodes, plan.steps
    folder = out or Path("results") / _file_name(plan.name)
    _check_folder(folder, "--out")
    with DelayedProgress(plan.name, "trials") as progress:
        results = compare(
            plan.agents,
            plan.environments,
            seeds=plan.seeds if seeds is None else seeds,
            episodes=episodes,
            steps=steps,
            success=plan.success,
            evaluation_episodes=plan.evaluation_episodes,
            workers=workers,
            name=plan.name,
            progress=progress.update,
        )
    kept = _keep_earlier(folder, results)
    results.save(folder)
    picture = folder / "success_rate.png"
    write_figure(results.plot(), str(picture))
    (folder / "table.md").write_text(format_table(results, "markdown") + "\n", encoding="utf-8")
    if as_json:
        print(json.dumps(json_ready({"rows": results.rows()}), indent=2))
        return
    console = Console(highlight=False)
    console.print(terminal_table(results, console.width))
    if kept is not None:
        console.print(Text(f"Earlier results with other settings were kept in {kept}.", style="dim"))
    console.print(Text(f"Results, table and plot: {folder} ({picture.name})"), soft_wrap=True)


def plot_command(directory: Path, *, out: Path | None, metric: str) -> None:
    """`velodrome plot`: draw stored results."""
    from velodrome.experiments.plots import write_figure

    results = Results.load(directory)
    picture = out or directory / f"{metric}.png"
    if picture.suffix.lower() not in PICTURE_ENDINGS:
        raise ExperimentError(f"--out must end in {', '.join(PICTURE_ENDINGS)}, got {picture}")
    _check_folder(picture.parent, "--out")
    try:
        write_figure(results.plot(metric), str(picture))
    except OSError as error:
        raise ExperimentError(f"--out {picture}: {error.strerror or error}") from None
    print(picture)


def table_command(directory: Path, *, table_format: str) -> None:
    """`velodrome table`: print stored results."""
    results = Results.load(directory)
    if table_format == "terminal":
        console = Console(highlight=False)
        console.print(terminal_table(results, console.width))
    else:
        print(format_table(results, table_format))


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


def _file_name(name: str) -> str:
    return "".join(character if character.isalnum() or character in "-_." else "-" for character in name).strip(".")


def _check_folder(folder: Path, option: str) -> None:
    """Make a folder and see that files can be written to it, before anything is computed for it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ExperimentError(f"{option} {folder}: {error.strerror or error}") from None


def _keep_earlier(folder: Path, results: Results) -> Path | None:
    """Move results with other settings aside, so that nothing computed is lost."""
    if not (folder / RESULTS_FILE).exists():
        return None
    try:
        if Results.load(folder).settings == json.loads(json.dumps(json_ready(results.settings))):
            return None
    except ResultsError as error:
        print(f"velodrome: warning: {error}", file=sys.stderr)
    number = 1
    while (kept := folder / f"earlier-{number}").exists():
        number += 1
    kept.mkdir()
    for name in (RESULTS_FILE, CURVES_FILE, "success_rate.png", "table.md"):
        if (folder / name).exists():
            (folder / name).rename(kept / name)
    return kept
