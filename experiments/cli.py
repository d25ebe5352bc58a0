"""The command line: `velodrome list | run | compare | plot | table`."""

import sys
import warnings
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter
from cyclopts.exceptions import CycloptsError

Kind = Literal["agents", "policies", "schedules", "environments", "experiments"]

app = App(
    name="velodrome",
    help="Put reinforcement-learning agents on one track and see who is better.",
    help_format="plaintext",
    version_flags=["--version"],
    suppress_keyboard_interrupt=False,
    result_action="return_value",
)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns 0, 2 for bad input with one line on standard error, or 130 for Ctrl-C."""
    warnings.showwarning = _show_warning
    try:
        app(arguments, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        print("velodrome: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of a pipe, such as `head`, has seen enough.
        sys.stderr.close()
        return 0
    except (ValueError, ArithmeticError, RuntimeError) as error:
        if not _is_ours(error):
            raise
        return _fail(str(error))
    return 0


@app.command(name="list")
def list_names(kind: Kind | None = None, /) -> None:
    """Show what can be named: agents, policies, schedules, environments and experiments.

    Args:
        kind: only this kind.
    """
    from rich.console import Console
    from rich.text import Text

    from velodrome.experiments.descriptions import describe
    from velodrome.experiments.shipped import describe_experiments

    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    kinds: list[str] = [kind] if kind else ["agents", "policies", "schedules", "environments", "experiments"]
    for place, name in enumerate(kinds):
        if place:
            console.print()
        console.print(Text(name, style="bold"))
        entries = describe_experiments() if name == "experiments" else describe(name)
        for _, signature, line in entries:
            console.print(Text.assemble("  ", (signature, "cyan")))
            console.print(Text(f"      {line}"))


@app.command
def run(
    agent: str,
    environment: str,
    /,
    *,
    episodes: int | None = None,
    steps: int | None = None,
    seed: int = 0,
    loop: Literal["auto", "generic", "compiled"] = "auto",
    success: str | None = None,
    evaluation_episodes: int = 100,
    save: Path | None = None,
    render: Literal["human", "ansi"] | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Train one agent on one environment and evaluate what it learnt.

    Args:
        agent: expression, such as "q_learning(discount=0.9, policy=epsilon_greedy(epsilon=0.1))".
        environment: expression, such as "FrozenLake-v1(is_slippery=False)".
        episodes: training episodes; give this or --steps.
        steps: training steps.
        seed: of the whole run.
        loop: "compiled" insists on the fast loop, "generic" on the Python loop.
        success: success rule instead of the environment's own, such as "return > 0".
        evaluation_episodes: sampled episodes where the greedy policy's value cannot be computed.
        save: folder to save the trained agent in.
        render: after training, show one greedy episode in a window (human) or as text (ansi).
        json: print one JSON object instead of text.
    """
    from velodrome.experiments.commands import run_command

    run_command(
        agent, environment, episodes=episodes, steps=steps, seed=seed, loop=loop, success=success,
        evaluation_episodes=evaluation_episodes, save=save, render=render, as_json=json,
    )  # fmt: skip


@app.command
def compare(
    experiment: str,
    /,
    *,
    seeds: int | None = None,
    episodes: int | None = None,
    steps: int | None = None,
    workers: int | None = None,
    out: Path | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Train every agent of an experiment on every environment over many seeds; print the table, draw the plot.

    Args:
        experiment: a TOML file, or the name of a shipped experiment (see `velodrome list experiments`).
        seeds: number of seeds instead of the experiment's.
        episodes: training episodes of a trial instead of the experiment's budget.
        steps: training steps of a trial instead of the experiment's budget.
        workers: threads; all cores by default.
        out: folder for the results, table and plot; results/NAME by default.
        json: print {"rows": [...]} instead of the table.
    """
    from velodrome.experiments.commands import compare_command

    compare_command(experiment, seeds=seeds, episodes=episodes, steps=steps, workers=workers, out=out, as_json=json)


@app.command
def plot(
    directory: Path, /, *, out: Path | None = None, metric: Literal["success_rate", "return"] = "success_rate"
) -> None:
    """Draw the learning curves of stored results.

    Args:
        directory: folder that `velodrome compare` wrote.
        out: picture to write, PNG, SVG or PDF; METRIC.png in the folder by default.
        metric: what to draw.
    """
    from velodrome.experiments.commands import plot_command

    plot_command(directory, out=out, metric=metric)


@app.command
def table(
    directory: Path,
    /,
    *,
    format: Literal["terminal", "markdown", "csv", "latex", "json"] = "terminal",
) -> None:
    """Print the comparison table of stored results.

    Args:
        directory: folder that `velodrome compare` wrote.
        format: how to write it; csv and json hold every number.
    """
    from velodrome.experiments.commands import table_command

    table_command(directory, table_format=format)


def _fail(message: str) -> int:
    for line in message.splitlines():
        print(f"velodrome: {line}", file=sys.stderr)
    return 2


def _is_ours(error: BaseException) -> bool:
    """Whether an error was worded for users: its class is defined by this package."""
    return type(error).__module__.startswith("velodrome.")


def _show_warning(message: Warning | str, category: type[Warning], filename: str, *_: Any, **__: Any) -> None:
    # Gymnasium's checker warns of what our loops refuse in a line of their own.
    if "gymnasium" not in Path(filename).parts:
        print(f"velodrome: warning: {message}", file=sys.stderr)
