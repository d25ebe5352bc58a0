"""`velodrome show`: pictures and tables of what agents learnt, without training them again."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gymnasium as gym

from velodrome.agents.agent import Agent
from velodrome.agents.resuming.saving import MANIFEST
from velodrome.checks import VelodromeError, closest
from velodrome.experiments.cli.folders import check_folder, experiment_folder, usable_name
from velodrome.experiments.cli.secondary import reason_of, secondary
from velodrome.experiments.cli.streams import say
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.plotting.figures import write_figure
from velodrome.experiments.reporting.languages import Words
from velodrome.experiments.results.results import Results
from velodrome.experiments.specification.descriptions import shipped_experiments
from velodrome.experiments.specification.environment_configuration import environment_configuration
from velodrome.experiments.specification.experiment_file import read_experiment
from velodrome.experiments.specification.plan import Plan
from velodrome.experiments.specification.stored_plan import announce_modules
from velodrome.experiments.storage.store import STORE_FILE
from velodrome.experiments.views.action_value_table import action_value_table, policy_map
from velodrome.experiments.views.learnt import Learnt, learnt_by_agent, learnt_in
from velodrome.experiments.views.pictures import PICTURES, draw_picture

ALL = "all"
PICTURE_FORMATS = ("png", "svg", "pdf")
# Of trials that `show` itself runs.
SNAPSHOTS = 50
_OWN_STORE = Path("results")
_LONGEST_NAME = 60


def show_command(
    place: str,
    *,
    on: str | None,
    kinds: Sequence[str],
    agent: str | None,
    environment: str | None,
    seed: int | None,
    experiment: str | None,
    out: Path | None,
    output_format: str,
    language: str,
) -> None:
    """`velodrome show`: draw what agents learnt, or print it as a table.

    Args:
        place: folder of a store or of a saved agent; or an experiment, which is run first.
        on: environment of a saved agent.
        kinds: of pictures.
        agent: label of the only agent to show.
        environment: label of the only environment to show.
        seed: of the only trials to show.
        experiment: its name; the latest of the store if None.
        out: folder of the pictures.
        output_format: "png", "svg", "pdf", "text" or "latex".
        language: "en" or "ko".
    """
    Words.of(language)
    kinds = _known(kinds)
    folder = Path(place)
    if (folder / MANIFEST).is_file():
        if on is None:
            raise ExperimentError(f"{place} is a saved agent: say where it acts, such as --on FrozenLake-v1")
        parts: Iterator[Learnt | str] = iter([_of_saved(folder, on)])
        pictures = out or folder / "pictures"
    else:
        if on is not None:
            raise ExperimentError(
                f"--on is for a saved agent, and {place} is none: give --environment, a label of the store"
            )
        if folder.is_dir() or not _is_experiment(place):
            _refuse_no_store(folder, place)
            results, store = Results.load(folder, experiment), folder
        else:
            results, store = run_shown(read_experiment(place, snapshots=SNAPSHOTS).plan(), _OWN_STORE), _OWN_STORE
        pictures = out or experiment_folder(store, results.name) / "pictures"
        parts = _of_store(results, store, agent, environment, seed)
    if output_format in PICTURE_FORMATS:
        check_folder(pictures, "--out")
    problems: list[str] = []
    names: set[str] = set()
    shown = False
    for learnt in _those_that_can(parts, problems):
        shown = True
        if output_format not in PICTURE_FORMATS:
            _print(learnt, output_format)
            continue
        for kind in kinds:
            name = _name(learnt, kind, names)
            try:
                figure = draw_picture(learnt, kind, language)
            except ExperimentError as error:
                if len(kinds) == 1:
                    problems.append(str(error))
                continue
            with secondary(f"--out {pictures}: {name} is not drawn"):
                write_figure(figure, pictures / f"{name}.{output_format}")
                say(pictures / f"{name}.{output_format}")
    if not names and not shown and problems:
        raise ExperimentError(problems[0])
    for problem in dict.fromkeys(problems):
        with secondary("not shown"):
            raise ExperimentError(problem)


def _known(kinds: Sequence[str]) -> list[str]:
    """Kinds of pictures.

    Raises:
        ExperimentError: one that is none.
    """
    for kind in kinds:
        if kind not in (*PICTURES, ALL):
            known = (*PICTURES, ALL)
            raise ExperimentError(f"--kind must be one of {', '.join(known)}, got {kind!r}{closest(kind, known)}")
    return list(PICTURES) if ALL in kinds else list(dict.fromkeys(kinds)) or ["values"]


def _is_experiment(place: str) -> bool:
    return place in shipped_experiments() or place.endswith(".toml")


def _refuse_no_store(folder: Path, place: str) -> None:
    if not folder.is_dir():
        match = closest(place, shipped_experiments())
        raise ExperimentError(f"{place} is no folder of a store or of a saved agent, and no experiment{match}")
    if not (folder / STORE_FILE).exists():
        raise ExperimentError(
            f"{place} holds neither a store, which `velodrome compare ... --snapshots {SNAPSHOTS} --out {place}` "
            "writes, nor a saved agent, which `velodrome run ... --save` writes"
        )


def run_shown(plan: Plan, out: Path | None = None, *, quiet: bool = False) -> Results:
    """Results of a plan that is run to be shown: in memory, or in a store, whose trials are not run again."""
    from velodrome.experiments.running.run_plan import RunOptions, run_plan
    from velodrome.experiments.running.run_progress import RunProgress
    from velodrome.experiments.running.stopping import stoppable

    with stoppable(), RunProgress(plan.name, quiet=quiet) as progress:
        return run_plan(plan, RunOptions(out=out, progress=progress))


def _of_saved(folder: Path, on: str) -> Learnt:
    trained, configuration = Agent.load(folder), environment_configuration(on)
    env = configuration.make()
    try:
        return learnt_by_agent(trained, env, environment=configuration.label)
    finally:
        env.close()


def _of_store(
    results: Results, store: Path, agent: str | None, environment: str | None, seed: int | None
) -> Iterator[Learnt | str]:
    """What was learnt, pair by pair, or why it cannot be shown."""
    agents = chosen("--agent", agent, results.agents)
    environments = chosen("--environment", environment, results.environments)
    for label in environments:
        pairs = [one for one in agents if results.trials(label, one)]
        if not pairs:
            continue
        try:
            with _made(results, label, store) as env:
                for one in pairs:
                    try:
                        yield learnt_in(results, label, one, env, seed)
                    except ExperimentError as error:
                        yield str(error)
        except VelodromeError as error:
            yield reason_of(error)


def _those_that_can(parts: Iterator[Learnt | str], problems: list[str]) -> Iterator[Learnt]:
    for part in parts:
        if isinstance(part, str):
            problems.append(part)
        else:
            yield part


@contextmanager
def _made(results: Results, environment: str, store: Path) -> Iterator[gym.Env[Any, Any]]:
    """An environment of stored trials, made anew; modules that it names are imported."""
    expression = str(results.settings.environments[environment])
    announce_modules(store, expression, command="show")
    try:
        env = environment_configuration(expression).make()
    except VelodromeError as error:
        # Such as one that a Python function made, of which only the name is stored.
        raise ExperimentError(
            f"{environment} cannot be made again ({reason_of(error)}): draw it in Python, with "
            "velodrome.experiments.views.learnt_in"
        ) from None
    try:
        yield env
    finally:
        env.close()


def chosen(option: str, label: str | None, labels: Sequence[str]) -> list[str]:
    """All labels, or the only one that was asked for.

    Raises:
        ExperimentError: it is none of them.
    """
    if label is None:
        return list(labels)
    if label not in labels:
        raise ExperimentError(f"{option} must be one of {', '.join(labels)}, got {label!r}{closest(label, labels)}")
    return [label]


def _print(learnt: Learnt, output_format: str) -> None:
    if output_format == "latex":
        say(action_value_table(learnt, "latex"))
        return
    of = (
        f"mean of {learnt.num_seeds} seeds"
        if learnt.num_seeds > 1
        else ", ".join(f"seed {one}" for one in learnt.seeds)
    )
    say(f"{learnt.agent} on {learnt.environment}{f', {of}' if of else ''}")
    say("")
    say(policy_map(learnt))
    say("")
    say(action_value_table(learnt))
    say("")


def _name(learnt: Learnt, kind: str, names: set[str]) -> str:
    """Name of a picture's file, another one for each."""
    whole = usable_name(f"{learnt.agent}_{learnt.environment}")[:_LONGEST_NAME].strip("-. ") or "agent"
    name, number = f"{whole}_{kind}", 1
    while name.casefold() in names:
        number += 1
        name = f"{whole}-{number}_{kind}"
    names.add(name.casefold())
    return name
