"""The command line: `velodrome list | describe | run | compare | tune | table | plot | show | report | …`."""

import errno
import sys
import warnings
from difflib import get_close_matches
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from cyclopts import App, Parameter
from cyclopts.exceptions import CycloptsError, UnknownOptionError

from velodrome.experiments.cli.streams import heed_width, leave, make_printable, replacement_lines, say
from velodrome.experiments.cli.trial_options import TrialOptions
from velodrome.experiments.cli.whole_number import Whole
from velodrome.experiments.errors import ExperimentError

Kind = Literal["agents", "policies", "schedules", "distributions", "environments", "wrappers", "experiments"]
TOO_MANY_FILES = (
    "too many open files: this process may not open as many as it needs; allow more, such as with `ulimit -n 1024`, "
    "and give the same command again"
)
# Nearer than the library's own suggestions: --agent is not --save.
_NEAR = 0.75


app = App(
    name="velodrome",
    help="Put reinforcement-learning agents on one track and see who is better.",
    help_format="plaintext",
    version_flags=["--version"],
    suppress_keyboard_interrupt=False,
    result_action="return_value",
)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: as on the command line, without the program's name; those of this process if None.

    Returns:
        0; 1 where trials failed or did not reproduce; 2 for bad input, with one line on standard error; 130 for
        Ctrl-C and 143 for a polite kill.
    """
    warnings.showwarning = _show_warning
    make_printable()
    heed_width()
    try:
        code = app(arguments, exit_on_error=False, print_error=False)
        if sys.stdout is not None:
            sys.stdout.flush()
        for line in replacement_lines():
            say(f"velodrome: warning: {line}", sys.stderr)
    except CycloptsError as error:
        return _fail(_unknown_option(error) if isinstance(error, UnknownOptionError) else str(error))
    except KeyboardInterrupt as interrupt:
        say(f"velodrome: {str(interrupt) or 'stopped'}", sys.stderr)
        return int(getattr(interrupt, "exit_code", 130))
    except BrokenPipeError:
        # The reader of a pipe, such as `head`, has seen enough.
        return _leave_pipe()
    except SystemExit as stop:
        # So rich leaves where the reader of a pipe has gone.
        if not isinstance(stop.__context__, BrokenPipeError):
            raise
        return _leave_pipe()
    except OSError as error:
        # Files are looked after where they are written; what is left is standard output, such as on a full disk.
        if error.errno in (errno.EMFILE, errno.ENFILE):
            return _fail(TOO_MANY_FILES)
        if error.filename is not None:
            raise
        leave(sys.stdout)
        return _fail(f"cannot write to standard output: {error.strerror or error}")
    except (ValueError, ArithmeticError, RuntimeError) as error:
        if not _is_ours(error):
            raise
        return _fail(str(error))
    return code if isinstance(code, int) else 0


@app.command(name="list")
def list_names(kind: Kind | None = None, /) -> None:
    """Show what can be named: agents, policies, schedules, distributions, environments, wrappers, and experiments.

    Args:
        kind: only this kind.
    """
    from rich.text import Text

    from velodrome.experiments.reporting.terminal import Terminal
    from velodrome.experiments.specification.descriptions import describe

    console = Terminal(highlight=False, soft_wrap=not sys.stdout.isatty())
    kinds = (kind,) if kind else get_args(Kind)
    for place, name in enumerate(kinds):
        if place:
            console.print()
        console.print(Text(name, style="bold"))
        for _, signature, line in describe(name):
            console.print(Text.assemble("  ", (signature, "cyan")))
            console.print(Text(f"      {line}"))


@app.command
def run(
    agent: str,
    environment: str,
    /,
    *,
    episodes: Whole | None = None,
    steps: Whole | None = None,
    epochs: Whole | None = None,
    seed: Whole = 0,
    loop: Literal["auto", "generic", "compiled"] = "auto",
    success: str | None = None,
    evaluation_episodes: Whole = 100,
    evaluate_every: Whole | None = None,
    snapshots: Whole | None = None,
    save: Path | None = None,
    figures: Path | None = None,
    render: str | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Train one agent on one environment and evaluate what it learnt.

    Args:
        agent: expression, such as "q_learning(discount=0.9, policy=epsilon_greedy(epsilon=0.1))".
        environment: expression, such as "FrozenLake-v1(is_slippery=False)".
        episodes: training episodes; give one of --episodes, --steps and --epochs.
        steps: training steps.
        epochs: passes through the environment's labelled examples.
        seed: of the whole run.
        loop: "compiled" insists on the fast loop, "generic" on the Python loop.
        success: success rule instead of the environment's own, such as "return > 0".
        evaluation_episodes: sampled episodes where the greedy policy's value cannot be computed, nor be asked of all
            labelled examples.
        evaluate_every: episodes, steps or epochs, as the budget counts, between evaluations along the training.
        snapshots: moments of the training, from before it to its end, at which the action values of all states are
            kept for --figures.
        save: folder to save the trained agent in.
        figures: folder for pictures of the training's curves and of what was learnt: the map with values and arrows;
            from labelled examples, where it fails.
        render: after training, show one greedy episode: in a window (human), as text (ansi), or as a film in the file
            of this name, which ends with .gif, or with .apng or .png for an animated PNG.
        json: print one JSON object instead of text.
    """
    from velodrome.experiments.cli.run import run_command

    run_command(
        agent, environment, episodes=episodes, steps=steps, epochs=epochs, seed=seed, loop=loop, success=success,
        evaluation_episodes=evaluation_episodes, evaluate_every=evaluate_every, snapshots=snapshots, save=save,
        figures=figures, render=render, as_json=json,
    )  # fmt: skip


@app.command
def describe(
    environment: str,
    /,
    *,
    success: str | None = None,
    discount: float | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Show what is known of an environment: its facts, and how hard it is to explore.

    With a transition model: the best, random and worst return, the steps until random actions succeed, and the measures
    of hardness: diameter, value norm and gaps, all exact.

    Args:
        environment: expression, such as "FrozenLake-v1(is_slippery=False)".
        success: success rule instead of the environment's own, such as "return > 0".
        discount: of the values of gaps and value norm; 1 by default, and 0.99 without a time limit where undiscounted
            values do not settle.
        json: print one JSON object instead of text.
    """
    from velodrome.experiments.cli.describe import describe_command

    describe_command(environment, success=success, discount=discount, as_json=json)


@app.command
def compare(
    *experiment: str,
    on: list[str] | None = None,
    seeds: Whole | None = None,
    episodes: Whole | None = None,
    steps: Whole | None = None,
    epochs: Whole | None = None,
    evaluation_episodes: Whole | None = None,
    evaluate_every: Whole | None = None,
    snapshots: Whole | None = None,
    until_decided: Annotated[bool, Parameter(negative="")] = False,
    max_seeds: Whole | None = None,
    metric: str | None = None,
    baseline: str | None = None,
    threshold: float | None = None,
    difference: float | None = None,
    trials: TrialOptions | None = None,
    quiet: Annotated[bool, Parameter(negative="")] = False,
    json: Annotated[bool, Parameter(negative="")] = False,
    explain: Annotated[bool, Parameter(negative="")] = False,
    watch: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Train every agent on every environment over many seeds; print the table, draw the plot.

    What is compared is an experiment; or, with --on, agents: velodrome compare q_learning sarsa --on FrozenLake-v1
    --episodes 500. Their experiment file is then written beside the table.

    Every trial is stored as it ends. Stored trials are not run again: the same command goes on after an interruption,
    and more seeds or another agent run only what is new. Modules that the experiment names are imported and run.

    Args:
        experiment: a TOML file, or the name of a shipped experiment (see `velodrome list experiments`); or, with --on,
            agents as expressions, each with a label in front if it is to have one: "fast=q_learning(learning_rate=1)".
        on: environment for these agents, an expression likewise; may be repeated.
        seeds: number of seeds instead of the experiment's.
        episodes: training episodes of every trial instead of the experiment's budgets.
        steps: training steps of every trial instead of the experiment's budgets.
        epochs: passes through the labelled examples of every trial instead of the experiment's budgets.
        evaluation_episodes: sampled episodes of every evaluation instead of the experiment's, 100 by default; where a
            policy's value can be computed there are none.
        evaluate_every: episodes, steps or epochs, as the budget counts, between evaluations along each training.
        snapshots: moments of each training, from before it to its end, at which the action values of all states are
            stored, such as 50, for `velodrome show`.
        until_decided: add seeds, only to agents of undecided pairs, until every pair is decided; --seeds is then the
            number at the first look.
        max_seeds: the most seeds of an agent, with --until-decided.
        metric: what decides between agents: greedy_success_rate, greedy_return, train_success_rate, train_return, or a
            measure of your own; by default greedy success, or greedy return without a success rule.
        baseline: agent that the others are compared with; the best by default.
        threshold: success rate whose first episode is looked for; 0.8 of the best possible by default.
        difference: smallest difference that matters, for the number of seeds that it needs.
        trials: how they are run.
        quiet: show no progress.
        json: print one JSON object with all rows and pairs instead of the table.
        explain: explain the words of the table below it.
        watch: write a page beside the table that shows the run as it goes: curves, pairs, failures, time left.
    """
    from velodrome.experiments.cli.compare import compare_command
    from velodrome.experiments.results.analysis import AnalysisOptions

    changes = {
        "seeds": seeds, "episodes": episodes, "steps": steps, "epochs": epochs,
        "evaluation_episodes": evaluation_episodes, "evaluate_every": evaluate_every, "snapshots": snapshots,
    }  # fmt: skip
    options = AnalysisOptions(metric=metric, baseline=baseline, threshold=threshold, difference=difference)
    return compare_command(
        experiment, on or (), changes=changes, trials=trials or TrialOptions(), until_decided=until_decided,
        max_seeds=max_seeds, options=options, quiet=quiet, as_json=json, explain=explain, watch=watch,
    )  # fmt: skip


@app.command
def tune(
    experiment: str,
    /,
    *,
    configurations: Whole = 60,
    tuning_seeds: Whole = 10,
    seeds: Whole | None = None,
    sampler: str = "auto",
    no_halving: Annotated[bool, Parameter(negative="")] = False,
    tuning_seed: Whole = 0,
    one_setting: Annotated[bool, Parameter(negative="")] = False,
    episodes: Whole | None = None,
    steps: Whole | None = None,
    epochs: Whole | None = None,
    evaluation_episodes: Whole | None = None,
    metric: str | None = None,
    baseline: str | None = None,
    difference: float | None = None,
    trials: TrialOptions | None = None,
    quiet: Annotated[bool, Parameter(negative="")] = False,
    json: Annotated[bool, Parameter(negative="")] = False,
    explain: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Choose the parameters of agents on tuning seeds; compare the chosen ones on fresh seeds.

    Agents of the experiment's file may have open parameters: learning_rate = {log = [0.01, 1]}, {uniform = [0, 1]},
    {integers = [1, 20]}, {log_integers = [1, 1000]}, a list of values, or of alternatives with their own. The table,
    the plot and the verdict are of the fresh seeds alone, which no choice has seen.

    Every trial is stored as it ends, and the same command goes on after an interruption.

    Args:
        experiment: a TOML file, or the name of a shipped experiment such as lake_tuning.
        configurations: to try of each agent on each environment.
        tuning_seeds: seeds of a configuration, 1,000,000 and those that follow; at least 2.
        seeds: number of fresh seeds instead of the experiment's, 30 by default.
        sampler: auto, grid, random, or one of Optuna's: tpe, qmc, cma_es, gp; auto is the grid where that has no more
            than --configurations, else random.
        no_halving: run all configurations on all tuning seeds, instead of giving up the worse half after the first.
        tuning_seed: of all that the sampler draws.
        one_setting: let every tuned agent take part a second time, with one configuration for all environments.
        episodes: training episodes of every trial instead of the experiment's budgets.
        steps: training steps of every trial instead of the experiment's budgets.
        epochs: passes through the labelled examples of every trial instead of the experiment's budgets.
        evaluation_episodes: sampled episodes of every evaluation instead of the experiment's.
        metric: what decides, in both stages, such as greedy_return.
        baseline: agent that the others are compared with; the best by default.
        difference: smallest difference that matters, for the number of seeds that it needs.
        trials: how they are run.
        quiet: show no progress.
        json: print one JSON object with all rows, pairs and how agents were tuned instead of the table.
        explain: explain the words of the table below it.
    """
    from velodrome.experiments.cli.tune import tune_command
    from velodrome.experiments.results.analysis import AnalysisOptions

    changes = {
        "seeds": seeds, "episodes": episodes, "steps": steps, "epochs": epochs,
        "evaluation_episodes": evaluation_episodes,
    }  # fmt: skip
    tuning = {
        "configurations": configurations, "tuning_seeds": tuning_seeds, "sampler": sampler,
        "halving": not no_halving, "tuning_seed": tuning_seed, "one_setting": one_setting,
    }  # fmt: skip
    return tune_command(
        experiment, changes=changes, trials=trials or TrialOptions(), tuning=tuning,
        options=AnalysisOptions(metric=metric, baseline=baseline, difference=difference),
        quiet=quiet, as_json=json, explain=explain,
    )  # fmt: skip


@app.command
def grade(
    assignment: Path,
    submission: Path,
    /,
    *,
    json: Path | None = None,
    out: Path | None = None,
    nbgrader: Path | None = None,
    otter: Path | None = None,
    language: Literal["en", "ko"] = "en",
) -> None:
    """Grade what students handed in: exact scores of policies, action values, updates and learners.

    A submission runs in a process of its own, in an empty folder, with limits of time, memory and output; scores are
    computed in the grader's. The exit code is 0 where there is a grade, whatever its points.

    Args:
        assignment: TOML file of the questions, their points and the limits.
        submission: a Python file; or a folder of them, or with a folder for each student, for a line each.
        json: file for all that is known of the grade.
        out: CSV to write a line for each submission to.
        nbgrader: folder for a notebook of the assignment, in place of grading; students start from the submission.
        otter: likewise, for Otter-Grader.
        language: of what is printed, English or Korean.
    """
    from velodrome.experiments.cli.grade import grade_command, notebook_command

    if nbgrader is not None or otter is not None:
        notebook_command(assignment, submission, nbgrader=nbgrader, otter=otter, language=language)
    else:
        grade_command(assignment, submission, json_file=json, out=out, language=language)


@app.command
def table(
    *directories: Path,
    experiment: str | None = None,
    format: Literal["terminal", "markdown", "csv", "latex", "json"] = "terminal",
    metric: str | None = None,
    baseline: str | None = None,
    threshold: float | None = None,
    difference: float | None = None,
    digest: str | None = None,
    explain: Annotated[bool, Parameter(negative="")] = False,
    reliability: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Print the comparison table of stored results; of several stores in one table.

    Args:
        directories: folders of stores that `velodrome compare` wrote.
        experiment: its name; the latest by default.
        format: how to write it; csv and json hold every number.
        metric: what decides between agents: greedy_success_rate, greedy_return, train_success_rate, train_return, or a
            measure of your own; by default greedy success, or greedy return without a success rule.
        baseline: agent that the others are compared with; the best by default.
        threshold: success rate whose first episode is looked for; 0.8 of the best possible by default.
        difference: smallest difference that matters.
        digest: content digest that was published with the results, as `velodrome verify` prints it; where the store
            has another, that is said instead of a table, with exit code 2.
        explain: explain the words of the table below it, on the terminal; the other formats do so always.
        reliability: also how much the runs of an agent differ: what holds 90 % of them, their quartiles, and how likely
            five runs all solve it.
    """
    from velodrome.experiments.cli.show import table_command
    from velodrome.experiments.results.analysis import AnalysisOptions

    options = AnalysisOptions(
        metric=metric, baseline=baseline, threshold=threshold, difference=difference, reliability=reliability
    )
    table_command(
        directories, experiment=experiment, table_format=format, options=options, digest=digest, explain=explain
    )


@app.command
def plot(
    *directories: Path,
    kind: str = "learning",
    experiment: str | None = None,
    out: Path | None = None,
    metric: str | None = None,
    environment: str | None = None,
    parameter: str | None = None,
    over: Literal["episodes", "steps"] | None = None,
    band: Literal["mean", "tolerance", "bootstrap", "dkw"] | None = None,
    share: float | None = None,
    runs: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Draw stored results: curves, final scores, profiles, improvement, regret, or parameters and their importance.

    Args:
        directories: folders of stores that `velodrome compare` wrote.
        kind: of picture: learning, evaluation, scores, profiles, improvement, regret, sweep, parallel or importance.
        experiment: its name; the latest by default.
        out: picture to write, PNG, SVG or PDF; EXPERIMENT/KIND.png in the folder by default.
        metric: success_rate or return for curves of learning or evaluation; what decides between agents for the others:
            greedy_success_rate, greedy_return, train_success_rate, train_return, pseudo_regret, or a measure of your
            own.
        environment: only this one.
        parameter: that a sweep varies, such as discount or policy.epsilon.
        over: x axis of learning curves and regret.
        band: of curves mean, the 95 % interval of the mean, or tolerance, which holds a share of all runs; of profiles
            bootstrap, pointwise, or dkw, which holds the whole profile at once.
        share: of the runs that the band tolerance holds at each point, with 95 % confidence; 0.9 by default.
        runs: draw single runs too, and mark those at the 5th, 50th and 95th percentile of the last value.
    """
    from velodrome.experiments.cli.show import plot_command

    plot_command(
        directories, experiment=experiment, kind=kind, out=out, metric=metric, environment=environment,
        parameter=parameter, over=over, band=band, share=share, runs=runs,
    )  # fmt: skip


@app.command
def show(
    *what: str,
    on: list[str] | None = None,
    html: Path | None = None,
    film: Path | None = None,
    kind: list[str] | None = None,
    agent: str | None = None,
    environment: str | None = None,
    seed: Whole | None = None,
    experiment: str | None = None,
    out: Path | None = None,
    format: Literal["png", "svg", "pdf", "text", "latex"] | None = None,
    seeds: Whole | None = None,
    episodes: Whole | None = None,
    steps: Whole | None = None,
    snapshots: Whole | None = None,
    language: Literal["en", "ko"] = "en",
    quiet: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Draw what agents learnt on grids and chains: values, arrows, visits, and what the optimum does.

    Nothing is trained again: of stored trials it reads the snapshots that `velodrome compare --snapshots 50` kept, and
    shows the mean over seeds. An experiment in place of a folder is first run with snapshots, into results. Modules
    that stored environments name are imported and run.

    With --html it writes one page that plays how they learnt, side by side, and needs no server; with --film a film of
    the same, for slides and READMEs. For an experiment, or agents with --on, seeds are trained for it and not stored.

    Args:
        what: folder of a store, or of an agent that `velodrome run --save` wrote; or an experiment; with --html or
            --film and --on also agents as expressions.
        on: environment in which a saved agent is shown, such as FrozenLake-v1; with --html or --film, in which agents
            learn.
        html: page that plays, to write instead of pictures.
        film: film of up to four agents that learn side by side, to write instead of pictures: a .gif, or an animated
            .png or .apng.
        kind: of picture: values, action_values, visits, learning, exploration, optimum, or all; may be repeated.
        agent: only this one, a label of the store.
        environment: only this one, a label of the store.
        seed: only the trials with this seed.
        experiment: its name; the latest by default.
        out: folder for the pictures; EXPERIMENT/pictures in the store's, or pictures in the agent's by default.
        format: of the pictures, png by default; text or latex prints the table of action values instead.
        seeds: with --html or --film, number of seeds to train, 5 by default, 30 for a film alone.
        episodes: with --html or --film, training episodes of every trial instead of the experiment's budgets.
        steps: with --html or --film, training steps of every trial, likewise.
        snapshots: with --html or --film, moments of each training that are shown, 81 by default, 61 for a film alone.
        language: of the captions, or of the page when it opens, English or Korean.
        quiet: with --html or --film, show no progress.
    """
    changes = {"seeds": seeds, "episodes": episodes, "steps": steps, "snapshots": snapshots}
    if html is not None or film is not None:
        from velodrome.experiments.cli.playing_page import playing_page_command

        option = "--html writes a page" if film is None else "--film writes a film"
        _refuse({"kind": kind, "seed": seed, "out": out, "format": format}, f"of pictures, and {option}")
        playing_page_command(
            what, on or (), html=html, film=film, agent=agent, environment=environment, language=language,
            experiment=experiment, changes=changes, quiet=quiet,
        )  # fmt: skip
        return
    from velodrome.experiments.cli.show_learnt import show_command

    _refuse(changes | {"quiet": quiet or None}, "of a page or a film: add --html FILE or --film FILE")
    if len(what) != 1 or len(on or ()) > 1:
        raise ExperimentError(
            "give one folder of a store or of a saved agent, such as results, or one experiment; and one --on at most"
        )
    show_command(
        what[0], on=on[0] if on else None, kinds=kind or (), agent=agent, environment=environment, seed=seed,
        experiment=experiment, out=out, output_format=format or "png", language=language,
    )  # fmt: skip


def _refuse(options: dict[str, Any], why: str) -> None:
    """Refuse options that were given, where they would do nothing.

    Raises:
        ExperimentError: there is one.
    """
    for name, value in options.items():
        if value is not None:
            raise ExperimentError(f"--{name} is {why}")


@app.command
def report(
    *directories: Path,
    experiment: str | None = None,
    out: Path | None = None,
    language: Literal["en", "ko"] = "en",
    metric: str | None = None,
    baseline: str | None = None,
    threshold: float | None = None,
    difference: float | None = None,
) -> None:
    """Write one HTML page: the verdict in words, tables, plots, warnings, and how it was run.

    Args:
        directories: folders of stores that `velodrome compare` wrote.
        experiment: its name; the latest by default.
        out: page to write; EXPERIMENT/report.html in the folder by default.
        language: of the page, English or Korean.
        metric: what decides between agents: greedy_success_rate, greedy_return, train_success_rate, train_return, or a
            measure of your own; by default greedy success, or greedy return without a success rule.
        baseline: agent that the others are compared with; the best by default.
        threshold: success rate whose first episode is looked for; 0.8 of the best possible by default.
        difference: smallest difference that matters, for the number of seeds that it needs.
    """
    from velodrome.experiments.cli.show import report_command
    from velodrome.experiments.results.analysis import AnalysisOptions

    options = AnalysisOptions(metric=metric, baseline=baseline, threshold=threshold, difference=difference)
    report_command(directories, experiment=experiment, out=out, language=language, options=options)


@app.command
def verify(
    directory: Path,
    /,
    *,
    sample: Whole | None = None,
    seed: Whole = 0,
    experiment: str | None = None,
    workers: Whole | None = None,
    quiet: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Run stored trials again and say whether they give what is stored, to the byte; if not, the exit code is 1.

    Metrics (but for times) and curves are compared; nothing is written to the store. Modules that stored trials name
    are imported and run.

    Args:
        directory: folder of a store that `velodrome compare` wrote.
        sample: number of trials to draw; all by default.
        seed: of the draw.
        experiment: only the trials of the latest experiment with this name.
        workers: trials that run at the same time, all cores by default; 0 runs them in this process, one by one.
        quiet: show no progress.
    """
    from velodrome.experiments.running.run_progress import RunProgress
    from velodrome.experiments.running.stopping import stoppable
    from velodrome.experiments.verify import verify as run_again

    with stoppable(), RunProgress("verify", quiet=quiet) as progress:
        found = run_again(
            directory, sample=sample, seed=seed, experiment=experiment, workers=workers, progress=progress
        )
    for line in found.lines():
        say(line)
    return 0 if found.has_reproduced else 1


@app.command
def repair(directory: Path, /) -> None:
    """Drop what is damaged of a store, keep all that is whole, and say which trials were dropped.

    The file of before is kept beside it. The same `velodrome compare` runs the dropped trials again.

    Args:
        directory: folder of a store that `velodrome compare` wrote.
    """
    from velodrome.experiments.storage.repair import repair as repair_store

    for line in repair_store(directory).lines():
        say(line)


@app.command
def schema(*, of: Literal["experiment", "assignment"] = "experiment", out: Path | None = None) -> None:
    """Print the JSON schema of experiment files or assignments, by which an editor completes and checks them.

    Write it beside the files, and let their first line be: #:schema ./experiment.schema.json

    Args:
        of: experiment files, or the assignments of velodrome grade.
        out: file to write it to, such as experiment.schema.json, instead of printing it.
    """
    from velodrome.agents.resuming.whole_files import write_whole
    from velodrome.experiments.specification.schema import experiment_schema, schema_text

    if of == "experiment":
        text = schema_text(experiment_schema())
    else:
        from velodrome.experiments.grading.assignment_schema import assignment_schema

        text = schema_text(assignment_schema())
    if out is None:
        print(text, end="")
    else:
        write_whole(out, text)
        say(out)


@app.command
def completion(shell: Literal["bash", "zsh", "fish"]) -> None:
    """Print the script by which a shell completes commands, options and their values.

    For bash: velodrome completion bash >> ~/.bash_completion

    Args:
        shell: which.
    """
    print(app.generate_completion(prog_name="velodrome", shell=shell))


@app.command
def export(
    directory: Path,
    /,
    *,
    format: Literal["csv", "parquet"] = "csv",
    out: Path | None = None,
    curves: Annotated[bool, Parameter(negative="")] = False,
    experiment: str | None = None,
) -> None:
    """Write stored results to trials.csv or trials.parquet, one row a trial, for other programs.

    Args:
        directory: folder of a store that `velodrome compare` wrote.
        format: of the files; parquet needs pip install 'velodrome[parquet]'.
        out: folder to write to; the store's by default.
        curves: write curves.csv or curves.parquet too, one row a training episode.
        experiment: only the latest experiment with this name; all experiments by default.
    """
    from velodrome.experiments.storage.export import export as export_store

    for path in export_store(directory, format=format, out=out, curves=curves, experiment=experiment):
        say(path)


def _unknown_option(error: UnknownOptionError) -> str:
    given = (error.token.keyword or error.token.value).partition("=")[0]
    options = list(chain.from_iterable(argument.names for argument in error.argument_collection))
    positional = [name for name in options if not name.startswith("-")]
    word = given.lstrip("-")
    said = f"Unknown option: {given}."
    if word.upper() in positional:
        return f"{said} {word} is given by its place, without an option: {' '.join(positional)}"
    near = get_close_matches(given, [name for name in options if name.startswith("-")], n=1, cutoff=_NEAR)
    return said + (f" Did you mean {near[0]}?" if near else " --help lists all")


def _leave_pipe() -> int:
    for stream in (sys.stdout, sys.stderr):
        leave(stream)
    return 0


def _fail(message: str) -> int:
    for line in message.splitlines():
        say(f"velodrome: {line}", sys.stderr)
    return 2


def _is_ours(error: BaseException) -> bool:
    """Whether an error was worded for users: its class is defined by this package."""
    return type(error).__module__.startswith("velodrome.")


def _show_warning(message: Warning | str, category: type[Warning], filename: str, *_: Any, **__: Any) -> None:
    # Gymnasium's checker warns of what our loops refuse in a line of their own.
    if "gymnasium" not in Path(filename).parts:
        say(f"velodrome: warning: {message}", sys.stderr)
