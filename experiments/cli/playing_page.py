"""`velodrome show … --html` and `--film`: the page that plays, and a film of the same."""

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from velodrome.checks import closest
from velodrome.experiments.cli.folders import check_folder
from velodrome.experiments.cli.secondary import reason_of
from velodrome.experiments.cli.show import load
from velodrome.experiments.cli.show_learnt import chosen, run_shown
from velodrome.experiments.cli.streams import say
from velodrome.experiments.cli.without_file import fields_without_file, one_experiment
from velodrome.experiments.errors import ExperimentError, ExperimentWarning
from velodrome.experiments.plotting.film import FILMS
from velodrome.experiments.reporting.playing_page import ShownMap, no_grid, shown_map, shown_maps, write_playing_page
from velodrome.experiments.results.results import Results
from velodrome.experiments.specification.descriptions import shipped_experiments
from velodrome.experiments.specification.experiment import Experiment
from velodrome.experiments.specification.experiment_file import read_experiment
from velodrome.experiments.specification.stored_plan import announce_modules
from velodrome.experiments.storage.store import STORE_FILE
from velodrome.experiments.views.learning_film import MOST_FRAMES, write_learning_film

# Enough for a band, few enough for a lecture to wait for; of a film, in which one seed's maps are seen, a picture each.
PAGE_NUMBERS = {"seeds": 5, "snapshots": 81}
FILM_NUMBERS = {"seeds": 30, "snapshots": MOST_FRAMES}


def playing_page_command(
    names: Sequence[str],
    on: Sequence[str],
    *,
    html: Path | None,
    film: Path | None,
    agent: str | None,
    environment: str | None,
    language: Literal["en", "ko"],
    experiment: str | None,
    changes: dict[str, int | None],
    quiet: bool,
) -> None:
    """`velodrome show … --html` and `--film`: write the page and the film of a store, or train what they show.

    Args:
        names: folder of a store; or an experiment by name or path; or, with `on`, agents as expressions.
        on: environments for these agents.
        html: the page; none if None.
        film: the film; none if None.
        agent: label of the only agent to show.
        environment: label of the only environment to show.
        language: of the page when it opens, and of the film.
        experiment: of the store, by name; the latest if None.
        changes: fields of the experiment in place of its own, where they are not None.
        quiet: show no progress.

    Raises:
        ExperimentError: nothing that can be shown, or a file that cannot be written.
        StoreError: a folder without a store.
    """
    # What is named may change the current folder.
    page, moving = _target("--html", html, (".html", ".htm")), _target("--film", film, tuple(FILMS))
    if not on and len(names) == 1 and _is_folder(names[0]):
        options = [f"--{field}" for field, value in changes.items() if value is not None]
        if options:
            raise ExperimentError(f"{options[0]} is for trials to run, and those of {names[0]} are stored")
        folder = Path(names[0])
        results = load([folder], experiment)
        announce_modules(folder, *results.settings.environments.values(), command="show")
        maps = None
    else:
        if experiment is not None:
            raise ExperimentError("--experiment chooses among those of a store: give its folder")
        numbers = FILM_NUMBERS if page is None else PAGE_NUMBERS
        given = {name: value for name, value in changes.items() if value is not None}
        results, maps = _trained(names, on, numbers | given, quiet=quiet)
    agents = chosen("--agent", agent, results.agents)
    results = results.only(agents, chosen("--environment", environment, results.environments))
    maps = shown_maps(results) if maps is None else maps
    maps = {label: shown for label, shown in maps.items() if label in results.environments}
    _say_what_is_left_out(results, maps)
    if page is not None:
        with _named_problem("--html", html):
            write_playing_page(results, page, maps=maps, language=language)
        say(html)
    if moving is not None:
        if len(maps) > 1:
            line = f"the film shows {next(iter(maps))}, --environment chooses another: {', '.join(list(maps)[1:])}"
            warnings.warn(line, ExperimentWarning, stacklevel=2)
        with _named_problem("--film", film):
            write_learning_film(results, moving, maps=maps, language=language)
        say(film)


def _target(option: str, given: Path | None, endings: Sequence[str]) -> Path | None:
    """Absolute path of a file to write; None if none is asked for.

    Raises:
        ExperimentError: it has another ending, or cannot be written there.
    """
    if given is None:
        return None
    if given.suffix.lower() not in endings:
        allowed = endings[0] if option == "--html" else ", ".join(endings)
        raise ExperimentError(f"{option} must end in {allowed}, got {given}{closest(given.suffix, endings)}")
    if given.is_dir():
        raise ExperimentError(f"{option} {given}: is a folder, give the path of a file")
    path = given.absolute()
    check_folder(path.parent, option, given.parent)
    return path


@contextmanager
def _named_problem(option: str, given: Path | None) -> Iterator[None]:
    """Name the option of a file that cannot be written."""
    try:
        yield
    except OSError as error:
        raise ExperimentError(f"{option} {given}: {reason_of(error)}") from None


def _is_folder(name: str) -> bool:
    """Whether a folder is meant; a shipped experiment goes before a folder without a store."""
    return Path(name, STORE_FILE).exists() or (os.path.isdir(name) and name not in shipped_experiments())


def _trained(
    names: Sequence[str], on: Sequence[str], changes: dict[str, Any], *, quiet: bool
) -> tuple[Results, dict[str, ShownMap]]:
    """Trials of an experiment on the environments that lie on a grid, in memory."""
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
