"""The comparison: agents × environments × seeds, paired by seed, over the cores of the machine."""

import os
import platform
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.metadata import version
from typing import Any

import numpy as np

from velodrome.agents.errors import check_budget, check_count
from velodrome.experiments.curves import CurveGrid
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.inputs import AgentLike, EnvironmentLike, read_agent, read_environment, read_seeds
from velodrome.experiments.results import Results
from velodrome.experiments.track import Track
from velodrome.experiments.trial import Budget, Trial, run_trial
from velodrome.policies.configuration import to_expression

# A task of several short trials spares most of the threads' hand-over.
TRIALS_PER_TASK = 8

# Called after every trial with the number done, the number in all, and the environment steps taken so far.
ProgressCallback = Callable[[int, int, int], None]


def compare(
    agents: Mapping[str, AgentLike] | Sequence[AgentLike],
    environments: Mapping[str, EnvironmentLike] | Sequence[EnvironmentLike] | EnvironmentLike,
    *,
    seeds: int | Iterable[int] = 30,
    episodes: int | None = None,
    steps: int | None = None,
    success: str | None = None,
    evaluation_episodes: int = 100,
    workers: int | None = None,
    name: str = "comparison",
    progress: ProgressCallback | None = None,
) -> Results:
    """Train every agent on every environment with every seed, and evaluate each.

    Trial k of every agent meets the same environment stream (common random numbers). Trials on a transition model
    run in threads with the interpreter's lock released; each thread holds one agent's tables, and of a finished
    trial only its numbers and two curves of at most 200 points are kept.

    Args:
        agents: agents or their expressions, by label or in a list (the expression is then the label).
        environments: environment expressions, configurations or factories, likewise.
        seeds: how many (0, 1, 2, …), or the seeds themselves.
        episodes: training episodes of a trial; give this or `steps`.
        steps: training steps of a trial.
        success: success rule instead of the environments' own, such as "return > 0".
        evaluation_episodes: sampled episodes of the greedy policy where its value cannot be computed.
        workers: threads; the machine's cores if None.
        name: of the experiment.
        progress: called after every trial.

    Raises:
        BudgetError: not exactly one positive budget.
        ExperimentError: no agent, environment or seed, or something given twice.
        ValueError: an expression cannot be read; one line.
    """
    episodes, steps = check_budget(episodes, steps)
    evaluation_episodes = check_count("evaluation_episodes", evaluation_episodes)
    if workers is not None:
        workers = check_count("workers", workers)
    named_agents = {label: agent for label, (_, agent) in _named(agents, read_agent, "agent").items()}
    named_environments = _named(environments, read_environment, "environment")
    all_seeds = read_seeds(seeds)
    budget = Budget(episodes, steps, evaluation_episodes)
    tracks = [Track.of(label, environment.make, success) for label, environment in named_environments.items()]
    plan = [(label, track) for track in tracks for label in named_agents]
    grid = CurveGrid.of(episodes, steps)
    done = steps_taken = 0
    counting = threading.Lock()

    def one(label: str, track: Track, seed: int) -> tuple[dict[str, Any], np.ndarray, tuple[str, ...]]:
        nonlocal done, steps_taken
        trial = run_trial(label, named_agents[label], track, budget, seed)
        with counting:
            done, steps_taken = done + 1, steps_taken + trial.log.steps
            if progress is not None:
                progress(done, len(plan) * len(all_seeds), steps_taken)
        return trial.record(), grid.curve(trial.log), _notes(trial)

    def some(
        label: str, track: Track, few_seeds: list[int]
    ) -> list[tuple[dict[str, Any], np.ndarray, tuple[str, ...]]]:
        return [one(label, track, seed) for seed in few_seeds]

    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        futures = [
            pool.submit(some, label, track, all_seeds[first : first + TRIALS_PER_TASK])
            for label, track in plan
            for first in range(0, len(all_seeds), TRIALS_PER_TASK)
        ]
        outcomes = [outcome for task in _collect(futures) for outcome in task]
    settings = {
        "agents": {label: to_expression(agent) for label, agent in named_agents.items()},
        "environments": {label: environment.expression for label, environment in named_environments.items()},
        "episodes": episodes,
        "steps": steps,
        "seeds": all_seeds,
        "evaluation_episodes": evaluation_episodes,
        "success": success,
        "versions": _versions(),
    }
    notes = tuple(dict.fromkeys(note for outcome in outcomes for note in outcome[2]))
    return Results(
        name=name,
        records=[outcome[0] for outcome in outcomes],
        curves=np.stack([outcome[1] for outcome in outcomes]),
        grid=grid,
        settings=settings,
        notes=notes,
    )


def _collect(futures: list["Future[Any]"]) -> list[Any]:
    try:
        return [future.result() for future in futures]
    except BaseException:
        for future in futures:
            future.cancel()
        raise


def _notes(trial: Trial) -> tuple[str, ...]:
    return tuple(f"{trial.agent} on {trial.track.label} {note}" for note in trial.log.notes)


def _named(given: Any, read: Callable[[Any], Any], kind: str) -> dict[str, Any]:
    """What was given by label; `read` gives a tuple whose first item is the label where there is none."""
    if isinstance(given, Mapping):
        named = {str(label): read(item) for label, item in given.items()}
    else:
        items = [read(item) for item in (given if isinstance(given, list | tuple) else [given])]
        labels = [item[0] for item in items]
        repeated = next((label for label in labels if labels.count(label) > 1), None)
        if repeated is not None:
            raise ExperimentError(f"{kind} {repeated!r} is given twice: give labels, as a dict")
        named = dict(zip(labels, items, strict=True))
    if not named:
        raise ExperimentError(f"give at least one {kind}")
    return named


def _versions() -> dict[str, str]:
    packages = ("velodrome", "gymnasium", "numpy", "numba")
    return {"python": platform.python_version()} | {package: version(package) for package in packages}
