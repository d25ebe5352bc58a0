"""`velodrome run`: one agent on one environment."""

import json
import math
import sys
from pathlib import Path
from typing import Any

from rich.text import Text

from velodrome.agents.agent import Loop
from velodrome.agents.errors import check_budget_or_epochs
from velodrome.experiments.cli.folders import check_folder
from velodrome.experiments.cli.secondary import reason_of, secondary
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.reporting.terminal import Terminal
from velodrome.experiments.results.numbers import MISSING, json_ready
from velodrome.experiments.run import run
from velodrome.experiments.specification.catalogue import build_agent
from velodrome.experiments.specification.environment_configuration import build_environment
from velodrome.experiments.texts import visible
from velodrome.experiments.trials.environment_profile import EnvironmentProfile
from velodrome.experiments.trials.trial import Trial


def run_command(
    agent: str,
    environment: str,
    *,
    episodes: int | None,
    steps: int | None,
    epochs: int | None,
    seed: int,
    loop: Loop,
    success: str | None,
    evaluation_episodes: int,
    evaluate_every: int | None,
    snapshots: int | None,
    save: Path | None,
    figures: Path | None,
    render: str | None,
    as_json: bool,
) -> None:
    """`velodrome run`: train, evaluate, report, and save, draw or show what was learnt."""
    check_budget_or_epochs(episodes, steps, epochs)
    shown_figures = figures
    # What is named may change the current folder.
    save, figures = (None if folder is None else folder.absolute() for folder in (save, figures))
    if render is not None and Path(render).suffix:
        render = str(Path(render).absolute())
    learner, configuration = build_agent(agent), build_environment(environment)
    if epochs is not None or figures is not None:
        profile = EnvironmentProfile.of(configuration.label, configuration.make, success)
        if epochs is not None:
            episodes = profile.episodes_of(learner, epochs)
            if evaluate_every is not None:
                evaluate_every *= profile.episodes_of(learner, 1)
        is_silent = evaluate_every is None and (learner.keeps_table or not learner.learns)
        if figures is not None and profile.contents.num_examples is None and is_silent:
            _check_map(profile)
    if save is not None:
        check_folder(save, "--save")
    if figures is not None:
        check_folder(figures, "--figures")
    if not learner.can_act and (render is not None or figures is not None):
        option = "--figures" if render is None else f"--render {render}"
        raise ExperimentError(f"{option}: {learner.name} cannot act, so that there is nothing to show")
    if render is not None:
        from velodrome.experiments.cli.render import check_render

        check_render(configuration, render)
    trial = run(
        learner,
        configuration,
        episodes=episodes,
        steps=steps,
        seed=seed,
        loop=loop,
        success=success,
        evaluation_episodes=evaluation_episodes,
        evaluate_every=evaluate_every,
        snapshots=snapshots,
    )
    if as_json:
        print(json.dumps(json_ready({**trial.record(), "agent": agent, "notes": list(trial.log.notes)}), indent=2))
    else:
        _print_trial(agent, trial, shown_figures)
    # What was learnt is printed already, should one of these fail.
    if save is not None:
        trial.trained.save(save)
    if figures is not None:
        _write_figures(trial, figures)
    if render is not None:
        from velodrome.experiments.cli.render import play

        # Standard output belongs to the JSON object where one was asked for.
        play(trial.trained, configuration, render, seed, sys.stderr if as_json else sys.stdout)


def _check_map(profile: EnvironmentProfile) -> None:
    """Refuse an environment of which there is nothing to draw, before any training."""
    from velodrome.experiments.views.learnt import layout_of

    env = profile.make()
    try:
        layout_of(env, profile.label)
    except ExperimentError as error:
        raise ExperimentError(f"--figures: no labelled examples, and {error}") from None
    finally:
        env.close()


def _write_figures(trial: Trial, folder: Path) -> None:
    from velodrome.experiments.plotting.figures import write_figure
    from velodrome.experiments.views.trial_pictures import pictures_of_trial

    try:
        drawn = pictures_of_trial(trial)
    except Exception as error:
        raise ExperimentError(f"--figures {folder}: {reason_of(error)}") from error
    for name, figure in drawn.items():
        with secondary(f"--figures {folder}: {name} is not drawn"):
            write_figure(figure, folder / f"{name}.png")


def _print_trial(agent: str, trial: Trial, figures: Path | None) -> None:
    record = trial.record()
    lines = [
        ("agent", agent),
        ("environment", record["environment"]),
        ("trained", f"{record['episodes']:,} episodes, {record['steps']:,} steps, seed {record['seed']}"),
        ("training success", _percent(record["train_success_rate"], record["success_rule"])),
        ("greedy success", _greedy(trial, record)),
        ("best possible", _percent(record["best_success_rate"])),
        ("random", _percent(record["random_success_rate"])),
        ("greedy return", _return(record)),
        ("loop", _loop(trial)),
        ("figures", "" if figures is None else str(figures)),
    ]
    console = Terminal(highlight=False)
    for name, text in lines:
        if text:
            console.print(Text.assemble((f"{name:>16}  ", "dim"), visible(text)), soft_wrap=True)
    for note in trial.log.notes:
        console.print(Text(f"{'note':>16}  {visible(note)}", style="dim"), soft_wrap=True)


def _loop(trial: Trial) -> str:
    log = trial.log
    if not log.steps:
        return log.loop
    compiling = f" after {log.compile_seconds:.1f} s of compiling" if log.compile_seconds >= 0.1 else ""
    return f"{log.loop}, {log.steps_per_second:,.0f} steps/s{compiling}"


def _percent(rate: float, rule: str = "") -> str:
    return "" if math.isnan(rate) else f"{rate:.4f}" + (f"  ({rule})" if rule else "")


def _greedy(trial: Trial, record: dict[str, Any]) -> str:
    rate = record["greedy_success_rate"]
    if math.isnan(rate):
        return MISSING if not trial.trained.can_act and trial.log.successes is not None else ""
    if record["evaluation"] == "exact":
        return f"{rate:.4f}  (exact)"
    low, high = record["greedy_success_rate_low"], record["greedy_success_rate_high"]
    interval = f"95 % interval {low:.3f} to {high:.3f}"
    if record["evaluation"] == "monte-carlo":
        return f"{rate:.4f}  ({interval}, {record['evaluation_episodes']} sampled episodes)"
    evaluation = trial.profile.contents.evaluation
    assert evaluation is not None
    where = ("of training, " if evaluation.is_of_training else "") + f"each once: {evaluation.description}"
    return f"{rate:.4f}  ({f'{interval}, ' if low < high else ''}{where})"


def _return(record: dict[str, Any]) -> str:
    best, greedy = record["best_return"], record["greedy_mean_return"]
    return (MISSING if math.isnan(greedy) else f"{greedy:.4g}") + (
        "" if math.isnan(best) else f"  (best possible {best:.4g})"
    )
