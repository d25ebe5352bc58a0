"""The pictures of what was learnt, by name."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from velodrome.agents.planning.dynamic_programming import backed_up
from velodrome.agents.snapshots import Snapshots
from velodrome.checks import closest
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.plotting.single_page import finished, new_figure
from velodrome.experiments.plotting.style import COLOURS, TEXT_SIZE, WIDTH, dress, own_style
from velodrome.experiments.reporting.languages import Words
from velodrome.experiments.views.learnt import Learnt, optimal_actions, shares, state_values, tied_best
from velodrome.experiments.views.map_drawing import MAP_WIDTH, MapDrawing, cell_inches, map_size

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Maps of a training, at most, and of a row.
MOST_ROWS, MAPS_A_ROW = 2, 4
# Inches of the smallest cell that shows an arrow.
_SMALLEST_CELL = 0.14
_HEADING = 0.25
_WRONG = "#D55E00"


def draw_picture(learnt: Learnt, kind: str = "values", language: str = "en") -> "Figure":
    """A picture of what was learnt.

    Args:
        learnt: of one trial or of several.
        kind: "values", "action_values", "visits", "learning", "exploration" or "optimum".
        language: "en" or "ko".

    Raises:
        ExperimentError: an unknown kind or language, or nothing to draw.
    """
    words = Words.of(language)
    if kind not in PICTURES:
        raise ExperimentError(f"kind must be one of {', '.join(PICTURES)}, got {kind!r}{closest(str(kind), PICTURES)}")
    with own_style():
        return PICTURES[kind](learnt, words)


def _values(learnt: Learnt, words: Words) -> "Figure":
    values, layout = learnt.values, learnt.layout
    figure, (axes,) = _figure_of_maps(learnt, 1)
    low, high = _range(values[layout.acting_states])
    drawing = MapDrawing(axes, layout, cell_inches(layout), low, high)
    drawing.fill(values)
    drawing.arrows(_weights(learnt.action_values), values)
    _colour_bar(figure, drawing, axes, words("value of the state"))
    if learnt.num_seeds > 1:
        arrows = words("arrows: best actions, the larger, the more of the seeds choose it")
    else:
        arrows = words("arrows: best actions, all of them where several are equally good")
    return finished(figure, _title(learnt, words), arrows, _legend(learnt, words))


def _action_values(learnt: Learnt, words: Words) -> "Figure":
    layout, values = learnt.layout, learnt.action_values.mean(axis=0)
    figure, (axes,) = _figure_of_maps(learnt, 1)
    low, high = _range(values[layout.acting_states])
    drawing = MapDrawing(axes, layout, cell_inches(layout), low, high)
    drawing.triangles(values, tied_best(values))
    _colour_bar(figure, drawing, axes, words("action value"))
    how = words("each part of a cell is the action in its direction, a dot marks the best")
    others = [name for name, one in zip(layout.action_names, layout.directions, strict=True) if one is None]
    if others:
        how += "; " + words("discs, from left to right: {names}", names=", ".join(others))
    return finished(figure, _title(learnt, words), how, _legend(learnt, words, has_letters=False))


def _visits(learnt: Learnt, words: Words) -> "Figure":
    if learnt.visits is None:
        raise ExperimentError(
            f"{learnt.agent} does not count visits, or was not trained on {learnt.environment}: tabular agents do"
        )
    layout, visits = learnt.layout, learnt.visits.mean(axis=0)
    figure, (axes,) = _figure_of_maps(learnt, 1)
    drawing = MapDrawing(
        axes, layout, cell_inches(layout), 0.0, float(visits[layout.acting_states].max()), is_logarithmic=True
    )
    drawing.fill(visits)
    _colour_bar(figure, drawing, axes, words("actions taken in the state"))
    never, states = int((visits[layout.acting_states] == 0).sum()), int(layout.acting_states.sum())
    how = words(
        "actions taken in each state, on a logarithmic scale; {never} of {states} states were never visited (white)",
        never=f"{never:,}",
        states=f"{states:,}",
    )
    if not never:
        how = words("actions taken in each state, on a logarithmic scale")
    return finished(figure, _title(learnt, words), how, _legend(learnt, words))


def _learning(learnt: Learnt, words: Words) -> "Figure":
    number = len(_common(learnt))
    layout, acting = learnt.layout, learnt.layout.acting_states
    a_row = min(MAPS_A_ROW, max(1, int(MAP_WIDTH / (map_size(layout)[0] * _SMALLEST_CELL))), number)
    most = min(MOST_ROWS * a_row, number)
    places = np.unique(np.geomspace(1, number, most).round().astype(int)) - 1
    # The first are so close that some fall on each other.
    places = np.sort(np.append(places, np.setdiff1d(np.arange(number), places)[: most - len(places)]))
    tables = [learnt.tables_at(int(place)) for place in places]
    ranges = [_range(state_values(table)[acting]) for table in tables]
    low, high = min(one[0] for one in ranges), max(one[1] for one in ranges)
    figure, panels = _figure_of_maps(learnt, len(places), a_row)
    drawing = None
    for axes, place, table in zip(panels, places, tables, strict=False):
        drawing = MapDrawing(axes, layout, cell_inches(layout, MAP_WIDTH / a_row - 0.1), low, high)
        values = state_values(table)
        drawing.fill(values)
        drawing.arrows(_weights(table), values)
        axes.set_title(_moment(learnt.snapshots, int(place), words), size=TEXT_SIZE)
    for axes in panels[len(places) :]:
        axes.set_axis_off()
    assert drawing is not None
    _colour_bar(figure, drawing, panels, words("value of the state"))
    arrows = words("arrows: best actions, all of them where several are equally good")
    if learnt.num_seeds > 1:
        arrows = words("arrows: best actions, the larger, the more of the seeds choose it")
    return finished(figure, _title(learnt, words), arrows, _legend(learnt, words))


def _exploration(learnt: Learnt, words: Words) -> "Figure":
    _common(learnt)
    explored = np.array([one.exploration for one in learnt.snapshots], dtype=np.float64)
    errors = bellman_errors(learnt)
    has_parameter = bool(np.isfinite(explored).any())
    if errors is None and not has_parameter:
        raise ExperimentError(
            f"{learnt.agent} has no exploration parameter, and a Bellman error needs a transition model and a discount"
        )
    parts = [part for part in ("parameter" * has_parameter, "error" * (errors is not None)) if part]
    figure = new_figure(2.6 * len(parts) + 0.7)
    grid = figure.subplots(len(parts), 1, squeeze=False, sharex=True)[:, 0]
    episodes = np.array([one.episodes for one in learnt.snapshots]).mean(axis=0)
    for axes, part in zip(grid, parts, strict=True):
        lines = explored if part == "parameter" else errors
        assert lines is not None
        if len(lines) > 1:
            axes.plot(episodes, lines.T, color=COLOURS[0], linewidth=0.6, alpha=0.3)
        axes.plot(episodes, lines.mean(axis=0), color=COLOURS[0], linewidth=1.8, gid=part)
        dress(axes, ylabel=words("exploration parameter") if part == "parameter" else words("mean Bellman error"))
        axes.set_ylim(bottom=min(0.0, float(np.nanmin(lines))))
    grid[-1].set_xlabel(words("episode"), size=TEXT_SIZE)
    how = words("Bellman error: mean of |E[r + γ max Q(s′, a′)] − Q(s, a)|, the expected TD error")
    if learnt.num_seeds > 1:
        how = words("thick: mean of the seeds, thin: each of them") + ("" if errors is None else f"; {how}")
    elif errors is None:
        how = ""
    return finished(figure, _title(learnt, words), how)


def _optimum(learnt: Learnt, words: Words) -> "Figure":
    best_values = learnt.optimal_action_values()
    layout, acting = learnt.layout, learnt.layout.acting_states
    best, optimum = optimal_actions(best_values), best_values.max(axis=1)
    chosen = shares(learnt.action_values)
    # Whether what the seeds choose is optimal, each tied action as likely as the others.
    right = (chosen * best).sum(axis=1)
    ranges = [_range(values[acting]) for values in (learnt.values, optimum)]
    low, high = min(one[0] for one in ranges), max(one[1] for one in ranges)
    beside = map_size(layout)[0] <= 2 * map_size(layout)[1] or map_size(layout)[0] <= 9
    a_row = 2 if beside else 1
    figure, panels = _figure_of_maps(learnt, 2, a_row)
    inches = cell_inches(layout, MAP_WIDTH / a_row - 0.2)
    drawing = None
    for axes, values, weights, name in (
        (panels[0], learnt.values, _weights(learnt.action_values), learnt.agent),
        (
            panels[1],
            optimum,
            best.astype(np.float64),
            words("optimum for discount {discount}", discount=f"{learnt.discount:g}"),
        ),
    ):
        drawing = MapDrawing(axes, layout, inches, low, high)
        drawing.fill(values)
        drawing.arrows(weights, values)
        axes.set_title(name if len(name) < 40 else f"{name[:38]}…", size=TEXT_SIZE, parse_math=False)
        if axes is panels[0]:
            drawing.outline(right < 0.5, _WRONG)
    assert drawing is not None
    _colour_bar(figure, drawing, panels, words("value of the state"))
    share = f"{float(right[acting].mean()):.0%}"
    if learnt.num_seeds > 1:
        how = words("optimal action in {share} of the states; framed: most seeds choose another action", share=share)
    else:
        how = words("optimal action in {share} of the states; framed: another action", share=share)
    return finished(figure, _title(learnt, words), how, _legend(learnt, words))


#: Pictures of what was learnt on a grid or a chain, by name: functions of what was learnt and the words to use.
PICTURES: "dict[str, Callable[[Learnt, Words], Figure]]" = {
    "values": _values,
    "action_values": _action_values,
    "visits": _visits,
    "learning": _learning,
    "exploration": _exploration,
    "optimum": _optimum,
}


def bellman_errors(learnt: Learnt) -> NDArray[np.float64] | None:
    """Mean over states in which one acts and actions of |E[r + γ max Q(s')] - Q(s, a)|, (num_seeds, num_snapshots).

    None without a model or a discount.
    """
    model, discount, acting = learnt.model, learnt.discount, learnt.layout.acting_states
    if model is None or discount is None:
        return None
    number = len(learnt.snapshots[0])
    tables = np.stack([learnt.tables_at(place) for place in range(number)], axis=1)
    found = np.zeros(tables.shape[:2])
    for seed, place in np.ndindex(found.shape):
        table = tables[seed, place]
        errors = (backed_up(model, table.max(axis=1), discount) - table)[acting]
        found[seed, place] = np.abs(errors[np.isfinite(errors)]).mean()
    return found


def _common(learnt: Learnt) -> Snapshots:
    """Snapshots of the first of the trials, which have as many.

    Raises:
        ExperimentError: there are none.
    """
    if not learnt.snapshots:
        raise ExperimentError(
            f"{learnt.agent} on {learnt.environment} has no snapshots of its training: give snapshots=50"
        )
    if len(learnt.snapshots[0]) < 2:
        raise ExperimentError(f"{learnt.agent} did not learn along episodes: it has one snapshot, which values show")
    if len({len(one) for one in learnt.snapshots}) > 1:
        raise ExperimentError(
            f"the trials of {learnt.agent} on {learnt.environment} have different numbers of snapshots"
        )
    return learnt.snapshots[0]


def _weights(action_values: NDArray[Any]) -> NDArray[np.float64]:
    """Length of each action's arrow: 1 for each best action of a single trial, else the share of seeds."""
    return tied_best(action_values[0]).astype(np.float64) if len(action_values) == 1 else shares(action_values)


def _range(values: NDArray[np.float64]) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    return float(known.min()), float(known.max())


def _figure_of_maps(learnt: Learnt, number: int, a_row: int = 1) -> "tuple[Figure, Sequence[Any]]":
    """A figure with so many maps, so many a row."""
    down = map_size(learnt.layout)[1]
    inches = cell_inches(learnt.layout, MAP_WIDTH / a_row - 0.1 * (a_row > 1))
    rows = -(-number // a_row)
    has_names = len(learnt.layout.panel_names) > 1
    height = rows * ((down + (0.9 if has_names else 0.1)) * inches + _HEADING * (number > 1)) + 0.95
    figure = new_figure(max(height, 1.9), WIDTH)
    return figure, list(figure.subplots(rows, a_row, squeeze=False).flat)


def _colour_bar(figure: "Figure", drawing: MapDrawing, axes: Any, label: str) -> None:
    bar = figure.colorbar(drawing.shades, ax=axes, shrink=0.9, aspect=22, pad=0.02, fraction=0.06)
    bar.set_label(label, size=TEXT_SIZE)
    bar.ax.tick_params(labelsize=TEXT_SIZE - 1)


def _title(learnt: Learnt, words: Words) -> str:
    of = ""
    if learnt.num_seeds > 1:
        of = words("mean of {seeds}", seeds=words.seeds([learnt.num_seeds]))
    elif learnt.seeds:
        of = words("seed {seed}", seed=learnt.seeds[0])
    return f"{learnt.agent}\n{learnt.environment}" + (f", {of}" if of else "")


def _legend(learnt: Learnt, words: Words, *, has_letters: bool = True) -> str:
    layout = learnt.layout
    kinds = set(layout.kinds[:, :, :].flat) - {"free"}
    several = len(layout.panel_names) > 1
    letters = [
        name[:1].upper() for name, one in zip(layout.action_names, layout.directions, strict=True) if one is None
    ]
    texts = {
        "start": words("S passenger") if several else words("S start"),
        "goal": words("G goal"),
        "hole": words("disc: hole"),
        "wall": words("dark: wall"),
        "cliff": words("hatched: cliff"),
    }
    told = [text for kind, text in texts.items() if kind in kinds]
    if several and has_letters:
        names = [name for name, one in zip(layout.action_names, layout.directions, strict=True) if one is None]
        told += [f"{letter} {name}" for letter, name in zip(letters, names, strict=True)]
    return ", ".join(told)


def _moment(snapshots: Sequence[Snapshots], place: int, words: Words) -> str:
    episodes = float(np.mean([one.episodes[place] for one in snapshots]))
    if all(one.steps[place] == 0 for one in snapshots):
        return words("before training")
    return words("episode {episode}", episode=f"{episodes:,.0f}")
