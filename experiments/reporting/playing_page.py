"""The page that plays: agents side by side on their map as they learn, and a world to change while one learns."""

import base64
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from velodrome.agents.resuming.whole_files import write_whole
from velodrome.agents.snapshots import Snapshots
from velodrome.envs.grid_layout import GridLayout, grid_layout
from velodrome.envs.model.transition_model import TransitionModel
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.plotting.learning_curves import chosen_metric, mean_of_present
from velodrome.experiments.reporting.languages import LANGUAGES, Words
from velodrome.experiments.reporting.live_world import live_world
from velodrome.experiments.reporting.page_words import KEYS, PARTS, curve_note, page_words
from velodrome.experiments.results.trial_table import TrialTable
from velodrome.experiments.specification.catalogue import build_agent
from velodrome.experiments.specification.environment_configuration import build_environment
from velodrome.experiments.statistics import mean_band
from velodrome.experiments.texts import visible, visible_json
from velodrome.experiments.trials.environment_profile import EnvironmentProfile

# Of all tables of a page together, as text. First seeds are left out, then snapshots.
LARGEST_TABLES = 2_000_000
MOST_SEEDS, FEWEST_SEEDS, FEWEST_SNAPSHOTS = 6, 3, 25
# Agents that are shown first, where there are more.
MOST_SHOWN = 4
_SYMBOLS = {"epsilon": "ε", "temperature": "τ", "scale": "σ", "confidence": "c"}
_LARGEST_INT16, _LARGEST_UINT16 = 2**15 - 1, 2**16 - 1


@dataclass(frozen=True)
class ShownMap:
    """Where the states of an environment lie, and how it steps.

    Attributes:
        layout: of its states.
        model: for the world to change; None where there is none.
    """

    layout: GridLayout
    model: TransitionModel | None = None


def shown_map(profile: EnvironmentProfile) -> ShownMap | None:
    """Where the states of an environment lie; None where they lie on no grid or chain."""
    env = profile.make()
    try:
        layout = grid_layout(env)
    finally:
        env.close()
    return None if layout is None else ShownMap(layout, profile.model)


def shown_maps(table: TrialTable) -> dict[str, ShownMap]:
    """The maps of an experiment's environments that lie on a grid or a chain, by label.

    They are made by their expressions; a module that one names is imported and run.

    Raises:
        ValueError: an expression cannot be read, or its environment cannot be made.
    """
    found = {}
    for label, expression in table.settings.environments.items():
        configuration = build_environment(expression)
        shown = shown_map(EnvironmentProfile.of(configuration.label, configuration.make))
        if shown is not None:
            found[label] = shown
    return found


def no_grid(environments: Iterable[str]) -> str:
    """Why environments have no map, in a line."""
    known = "FrozenLake-v1, CliffWalking-v1, Taxi-v4 or velodrome/GridWorld-v0"
    return f"{', '.join(environments)}: the states lie on no grid or chain, as those of {known} do"


def write_playing_page(
    table: TrialTable, path: str | Path, *, maps: Mapping[str, ShownMap] | None = None, language: str = "en"
) -> Path:
    """Write the page to a file, with all that it needs; it asks for nothing from outside.

    Args:
        table: of trials with learning snapshots; agents without any are left out.
        path: of the page; its folder must exist.
        maps: of the environments that are shown, by label; all that `shown_maps` finds if None.
        language: "en" or "ko", of the page when it opens.

    Returns:
        The path.

    Raises:
        ExperimentError: no map, no snapshots, tables that are too large for a page, or an unknown language.
        OSError: the file cannot be written.
    """
    path = Path(path)
    write_whole(path, playing_page_html(table, maps=maps, language=language))
    return path


def playing_page_html(table: TrialTable, *, maps: Mapping[str, ShownMap] | None = None, language: str = "en") -> str:
    """The page as text; see `write_playing_page`.

    Args:
        table: trials.
        maps: what is drawn for each environment, by its label; made from the trials if None.
        language: "en" or "ko".
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    words = Words.of(language)
    maps = shown_maps(table) if maps is None else maps
    folder = Path(__file__).parent
    read = {name: (folder / name).read_text(encoding="utf-8") for name in _SOURCES}
    style = "\n" + read["playing_page.css"]
    script = (
        '\n"use strict";\nconst velodrome = (() => {\n'
        + read["live_learner.js"]
        + read["playing_page.js"]
        + "return { GridWorld, Learner, LiveTraining, uniforms, state, data };\n})();\n"
    )
    environment = Environment(
        loader=PackageLoader("velodrome.experiments.reporting", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("playing_page.html.jinja").render(
        language=language,
        name=visible(table.name),
        description=visible(table.description),
        noscript=words("This page needs JavaScript."),
        keys=KEYS,
        style=style,
        style_hash=_hash(style),
        script=script,
        script_hash=_hash(script),
        data=_embedded(_data(table, maps, language)),
    )


_SOURCES = ("playing_page.css", "live_learner.js", "playing_page.js")


def _hash(text: str) -> str:
    """By which a page's policy knows its own script, whatever else may have got into it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _embedded(data: Any) -> str:
    """JSON that ends no script element and has no character that is not seen."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return visible_json(text).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _data(table: TrialTable, maps: Mapping[str, ShownMap], language: str) -> dict[str, Any]:
    if not maps:
        raise ExperimentError(no_grid(table.environments))
    snapshots = {
        environment: {label: found for label in table.agents if (found := table.snapshots(environment, label))}
        for environment in maps
    }
    snapshots = {environment: found for environment, found in snapshots.items() if found}
    if not snapshots:
        raise ExperimentError(
            f"{table.name} has no learning snapshots of agents with action values: give `velodrome compare` "
            "--snapshots 100, and agents that have them, such as q_learning"
        )
    kept = _as_many_as_fit(snapshots)
    return {
        "name": table.name,
        "language": language,
        "parts": PARTS,
        "words": {one: page_words(Words.of(one)) for one in LANGUAGES},
        "environments": [
            _environment(table, environment, maps[environment], found, kept) for environment, found in snapshots.items()
        ],
    }


def _as_many_as_fit(snapshots: Mapping[str, Mapping[str, Mapping[int, Snapshots]]]) -> tuple[int, int]:
    """Seeds of each agent and snapshots of each seed that a page has room for.

    Raises:
        ExperimentError: two snapshots of one seed are too many.
    """
    found = [of_agent for agents in snapshots.values() for of_agent in agents.values()]
    size = sum(_size_of(next(iter(of_agent.values())).action_values) for of_agent in found)
    seeds = min(MOST_SEEDS, max(len(of_agent) for of_agent in found))
    number = max(len(one) for of_agent in found for one in of_agent.values())
    while seeds * number * size > LARGEST_TABLES:
        if seeds > FEWEST_SEEDS:
            seeds -= 1
        elif number > FEWEST_SNAPSHOTS:
            number -= 1
        elif seeds > 1:
            seeds -= 1
        elif number > 2:
            number -= 1
        else:
            raise ExperimentError(
                f"two tables of each agent take {2 * size / 1e6:,.1f} MB as text, more than "
                f"{LARGEST_TABLES / 1e6:,.1f}: show fewer agents, or a smaller environment"
            )
    return seeds, number


def _size_of(values: NDArray[np.float32]) -> int:
    """Characters that one snapshot takes: values, ties and visits."""
    num_states, num_actions = int(values.shape[1]), int(values.shape[2])
    return math.ceil(num_states * (2 * num_actions + _bytes_of_ties(num_actions) + 2) * 4 / 3)


def _bytes_of_ties(num_actions: int) -> int:
    return 1 if num_actions <= 8 else 4


def _environment(
    table: TrialTable,
    environment: str,
    shown: ShownMap,
    snapshots: Mapping[str, Mapping[int, Snapshots]],
    kept: tuple[int, int],
) -> dict[str, Any]:
    metric = chosen_metric(table, environment)
    is_success = metric == "success_rate"
    records = table.done_on(environment)
    best = records[0].number("best_success_rate" if is_success else "best_return") if records else math.nan
    labels = list(snapshots)
    curves = {label: _curve(table, environment, label, is_success) for label in labels}
    numbers = [len(table.done(environment, label)) for label in labels]
    layout = shown.layout
    living = [state for state in range(layout.num_states) if layout.kind_of(state) in ("free", "start")]
    lasts = [one.action_values[-1][living] for found in snapshots.values() for one in found.values()]
    values = np.concatenate([last.max(axis=1) for last in lasts]) if living else np.zeros(1)
    shown_first = places_shown_first(labels, table)
    seeds = list(next(iter(snapshots.values())))
    seed = seed_that_differs(table, environment, [labels[place] for place in shown_first], seeds, is_success)
    # The seed that is shown first is among those for which there is room.
    chosen = [seed, *(other for other in seeds if other != seed)][: kept[0]]
    panel, row, column = layout.cells.T
    cells = np.where(panel < 0, -1, (panel * layout.rows + row) * layout.columns + column)
    return {
        "label": environment,
        "rows": layout.rows,
        "columns": layout.columns,
        "panels": list(layout.panel_names),
        "cells": cells.tolist(),
        "kinds": layout.kinds.ravel().tolist(),
        "walls": layout.walls,
        "moves": layout.directions,
        "actions": list(layout.action_names),
        "world": None if shown.model is None else live_world(shown.model, layout),
        "metric": "success" if is_success else "return",
        "best": None if math.isnan(best) else _rounded(best),
        "curveRange": [0, 1] if is_success else _range(curves.values(), best),
        "curveNote": {one: curve_note(Words.of(one), numbers) for one in LANGUAGES},
        "range": [_rounded(min(0.0, float(values.min()))), _rounded(max(0.0, float(values.max())))],
        "shown": shown_first,
        "seed": seed,
        "agents": [
            {
                "label": label,
                "expression": str(table.settings.agents[label]),
                "place": table.agents.index(label),
                **_exploration_of(str(table.settings.agents[label])),
                "curve": curves[label],
                "trials": [_trial(seed, found[seed], kept[1]) for seed in sorted(chosen) if seed in found],
            }
            for label, found in snapshots.items()
        ],
    }


def _exploration_of(expression: str) -> dict[str, str]:
    """The tie rule of an agent, and what its exploration parameter is called."""
    policy = _policy_of(expression)
    symbols = [symbol for name, symbol in _SYMBOLS.items() if hasattr(policy, name)]
    return {"ties": tie_rule(expression), "parameter": symbols[0] if symbols else ""}


def tie_rule(expression: str) -> str:
    """The tie rule of an agent, "first" or "random"; "random" where it is not known."""
    return str(getattr(_policy_of(expression), "ties", "random"))


def _policy_of(expression: str) -> object:
    try:
        return getattr(build_agent(expression), "policy", None)
    except ValueError:
        # An agent of a module that is not here.
        return None


def _trial(seed: int, snapshots: Snapshots, most: int) -> dict[str, Any]:
    """The snapshots of a trial as text: values in steps of a 32,767th of the largest, ties as they are."""
    number = len(snapshots.episodes)
    kept = np.unique(np.linspace(0, number - 1, min(most, number)).round().astype(np.int64))
    values = np.nan_to_num(np.asarray(snapshots.action_values[kept], dtype=np.float64))
    scale = float(np.abs(values).max()) / _LARGEST_INT16 or 1.0
    tied = values == values.max(axis=2, keepdims=True)
    bits = (tied * (1 << np.arange(values.shape[2]))).sum(axis=2)
    visits, visit_scale = snapshots.visits, 1.0
    if visits is not None:
        logarithms = np.log1p(visits[kept].astype(np.float64))
        visit_scale = float(logarithms.max()) / _LARGEST_UINT16 or 1.0
    exploration = snapshots.exploration[kept]
    return {
        "seed": int(seed),
        "episodes": snapshots.episodes[kept].tolist(),
        "scale": scale,
        "values": _text_of((values / scale).round(), "<i2"),
        "tied": _text_of(bits, f"<u{_bytes_of_ties(values.shape[2])}"),
        "visitScale": visit_scale,
        "visits": None if visits is None else _text_of((logarithms / visit_scale).round(), "<u2"),
        "exploration": [_rounded(one) for one in exploration] if np.isfinite(exploration).all() else None,
    }


def _text_of(numbers: NDArray[Any], kind: str) -> str:
    return base64.b64encode(numbers.astype(kind).tobytes()).decode("ascii")


def _curve(table: TrialTable, environment: str, agent: str, is_success: bool) -> dict[str, list[float]] | None:
    """Mean over seeds in training and the ends of its band, by episode; None where there is none."""
    if is_success:
        grid, curves = table.success_curves(environment, agent)
    else:
        grid, both = table.curves(environment, agent, over="episodes")
        curves = both[:, 1]
    rates = curves.astype(np.float64)
    if not np.isfinite(rates).any():
        return None
    mean = mean_of_present(rates)
    low, high = mean_band(rates)
    if is_success:
        low, high = np.clip([low, high], 0.0, 1.0)
    known = np.isfinite(mean)
    # A single seed has no band.
    low, high = (np.where(np.isfinite(end), end, mean) for end in (low, high))
    columns = {"x": grid.ends[known], "mean": mean[known], "low": low[known], "high": high[known]}
    return {name: [_rounded(one) for one in column.tolist()] for name, column in columns.items()}


def _range(curves: Any, best: float) -> list[float]:
    """Limits of a chart of returns: without the worst twentieth, which early episodes are."""
    means = np.concatenate([curve["mean"] for curve in curves if curve] or [np.zeros(1)])
    low, high = np.quantile(means, 0.05), means.max()
    if not math.isnan(best):
        high = max(high, best)
    margin = 0.06 * (high - low) or 1.0
    return [_rounded(float(low - margin)), _rounded(float(high + margin))]


def places_shown_first(labels: Sequence[str], table: TrialTable) -> list[int]:
    """Places of the agents that are shown at first: all where they are few, else the first two that ties alone part."""
    if len(labels) <= MOST_SHOWN:
        return list(range(len(labels)))
    for place, one in enumerate(labels):
        for later in range(place + 1, len(labels)):
            if _differ_in_ties(str(table.specifications.get(one)), str(table.specifications.get(labels[later]))):
                return [place, later]
    return list(range(MOST_SHOWN))


def _differ_in_ties(one: str, other: str) -> bool:
    """Whether specifications of two agents' trials differ in nothing but the tie rule."""
    as_first = '"ties":"first"', '"ties":"random"'
    return one != other and one.replace(*as_first) == other.replace(*as_first)


def seed_that_differs(
    table: TrialTable, environment: str, labels: Sequence[str], seeds: Sequence[int], is_success: bool
) -> int:
    """The seed on which the greedy policies of some agents differ most; the first of several."""
    name = "greedy_success_rate" if is_success else "greedy_mean_return"
    scores: dict[int, list[float]] = {seed: [] for seed in seeds}
    for label in labels:
        for record in table.done(environment, label):
            if record.seed in scores and not math.isnan(record.number(name)):
                scores[record.seed].append(record.number(name))
    return max(seeds, key=lambda seed: max(scores[seed], default=0.0) - min(scores[seed], default=0.0))


def _rounded(value: float) -> float:
    """Four digits, which is more than can be seen."""
    return float(f"{value:.4g}")
