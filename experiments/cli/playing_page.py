"""`velodrome show … --html`: the page that plays."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from velodrome.experiments.cli.folders import check_folder
from velodrome.experiments.cli.secondary import reason_of
from velodrome.experiments.cli.show import load
from velodrome.experiments.cli.show_learnt import chosen, run_shown
from velodrome.experiments.cli.streams import say
from velodrome.experiments.cli.without_file import fields_without_file, one_experiment
from velodrome.experiments.errors import ExperimentError, ExperimentWarning
from velodrome.experiments.reporting.playing_page import ShownMap, no_grid, shown_map, shown_maps, write_playing_page
from velodrome.experiments.results.results import Results
from velodrome.experiments.specification.descriptions import shipped_experiments
from velodrome.experiments.specification.experiment import Experiment
from velodrome.experiments.specification.experiment_file import read_experiment
from velodrome.experiments.specification.stored_plan import announce_modules
from velodrome.experiments.storage.store import STORE_FILE

# Enough for a band, few enough for a lecture to wait for.
SEEDS, SNAPSHOTS = 5, 81


def playing_page_command(
    names: Sequence[str],
    on: Sequence[str],
    *,
    html: Path,
    agent: str | None,
    environment: str | None,
    language: Literal["en", "ko"],
    experiment: str | None,
    changes: dict[str, int | None],
    quiet: bool,
) -> None:
    """`velodrome show … --html`: write the page of a store, or train what it shows.

    Args:
        names: folder of a store; or an experiment by name or path; or, with `on`, agents as expressions.
        on: environments for these agents.
        html: the page.
        agent: label of the only agent to show.
        environment: label of the only environment to show.
        language: of the page when it opens.
        experiment: of the store, by name; the latest if None.
        changes: fields of the experiment in place of its own, where they are not None.
        quiet: show no progress.

    Raises:
        ExperimentError: nothing that a page can show, or a page that cannot be written.
        StoreError: a folder without a store.
    """
    # What is named may change the current folder.
    page = html.absolute()
    if page.suffix.lower() not in (".html", ".htm"):
        raise ExperimentError(f"--html must end in .html, got {html}")
    if page.is_dir():
        raise ExperimentError(f"--html {html}: is a folder, give the path of a file")
    check_folder(page.parent, "--html", html.parent)
    if not on and len(names) == 1 and _is_folder(names[0]):
        given = [f"--{field}" for field, value in changes.items() if value is not None]
        if given:
            raise ExperimentError(f"{given[0]} is for trials to run, and those of {names[0]} are stored")
        folder = Path(names[0])
        results = load([folder], experiment)
        announce_modules(folder, *results.settings.environments.values(), command="show")
        maps = None
    else:
        if experiment is not None:
            raise ExperimentError("--experiment chooses among those of a store: give its folder")
        results, maps = _trained(names, on, changes, quiet=quiet)
    agents = chosen("--agent", agent, results.agents)
    results = results.only(agents, chosen("--environment", environment, results.environments))
    maps = shown_maps(results) if maps is None else maps
    maps = {label: shown for label, shown in maps.items() if label in results.environments}
    _say_what_is_left_out(results, maps)
    try:
        write_playing_page(results, page, maps=maps, language=language)
    except OSError as error:
        raise ExperimentError(f"--html {html}: {reason_of(error)}") from None
    say(html)


def _is_folder(name: str) -> bool:
    """Whether a folder is meant; a shipped experiment goes before a folder without a store."""
    return Path(name, STORE_FILE).exists() or (os.path.isdir(name) and name not in shipped_experiments())


def _trained(
    names: Sequence[str], on: Sequence[str], changes: dict[str, Any], *, quiet: bool
) -> tuple[Results, dict[str, ShownMap]]:
    """Trials of an experiment on the environments that lie on a grid, in memory."""
    changes = {"seeds": SEEDS, "snapshots": SNAPSHOTS} | {
        name: given for name, given in changes.items() if given is not None
    }
    if on:
        plan = Experiment(**fields_without_file(names, on, changes)).plan()
    else:
        plan = read_experiment(one_experiment(names), **changes).plan()
    maps = {label: shown_map(environment.profile) for label, environment in plan.environments.items()}
    found = {label: shown for label, shown in maps.items() if shown is not None}
    if not found:
        raise ExperimentError(no_grid(maps))
    return run_shown(plan, quiet=quiet), found


def _say_what_is_left_out(results: Results, maps: dict[str, ShownMap]) -> None:
    """A line of warning for each environment without a map, and for each agent without action values."""
    for environment in results.environments:
        if environment not in maps:
            warnings.warn(f"left out: {no_grid([environment])}", ExperimentWarning, stacklevel=2)
    without = [
        agent for agent in results.agents if not any(results.snapshots(environment, agent) for environment in maps)
    ]
    if without and len(without) < len(results.agents):
        names = ", ".join(without)
        warnings.warn(f"without snapshots of action values, left out: {names}", ExperimentWarning, stacklevel=2)
