"""A film of learning: the maps of agents side by side, and their curves, which grow below."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from velodrome.agents.snapshots import Snapshots
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.plotting.film import check_film, write_film
from velodrome.experiments.plotting.fonts import has_hangul, use_hangul_font
from velodrome.experiments.plotting.learning_curves import METRICS, chosen_metric, mean_curve, set_height
from velodrome.experiments.plotting.style import REFERENCE_COLOUR, line_style, own_style, text_colour, wrapped
from velodrome.experiments.reporting.languages import Words
from velodrome.experiments.reporting.playing_page import (
    MOST_SHOWN,
    ShownMap,
    no_grid,
    places_shown_first,
    seed_that_differs,
    shown_maps,
    tie_rule,
)
from velodrome.experiments.results.trial_table import TrialTable, common_value
from velodrome.experiments.statistics import mean_band
from velodrome.experiments.views.learnt import tied_best
from velodrome.experiments.views.map_drawing import MapDrawing, map_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text
    from PIL.Image import Image

# Six seconds, and a second and a half for the last picture.
MOST_FRAMES, FRAMES_PER_SECOND = 61, 10
# 880 pixels, the width of a page on GitHub; the text can be read where the film is shrunk to 400 pixels.
_DPI, _WIDTH, _MARGIN = 100, 8.8, 0.2
_TITLE_SIZE, _LABEL_SIZE, _NOTE_SIZE = 15.0, 13.0, 11.0
_TITLE_HEIGHT, _LABEL_LINE, _NOTE_HEIGHT, _CHART_HEIGHT, _AXIS_HEIGHT = 0.45, 0.25, 0.3, 1.5, 0.55
_AXIS_WIDTH, _MOST_MAPS_HEIGHT, _GAP = 0.75, 3.2, 0.12
# Points of a curve are means of so large a part of the training.
_SMOOTHING = 20
# Orange below 0, white at 0, blue above, as on the page that plays.
_BELOW, _ABOVE = "#D55E00", "#0072B2"
# What differs from one picture to the next.
_CHANGING = ("cells", "arrows", "letter", "curve")


def write_learning_film(
    table: TrialTable,
    path: str | Path,
    *,
    environment: str | None = None,
    maps: Mapping[str, ShownMap] | None = None,
    language: str = "en",
) -> Path:
    """Write a film in which up to four agents learn side by side on their map, with their curves below.

    Args:
        table: of trials with learning snapshots; agents without any are left out. Of more than four agents, those are
            shown that the page that plays shows first.
        path: ends with .gif, or with .apng or .png for an animated PNG; its folder must exist.
        environment: its label; the first that has a map and snapshots if None.
        maps: of environments, by label; all that lie on a grid or chain if None.
        language: "en" or "ko", of the captions.

    Returns:
        The path.

    Raises:
        ExperimentError: no map, no snapshots, an unknown language or ending.
        OSError: the file cannot be written.
    """
    path = Path(path)
    check_film(path)
    words = Words.of(language)
    maps = shown_maps(table) if maps is None else maps
    scene = _scene(table, [environment] if environment is not None else list(maps), maps)
    write_film(list(_frames(scene, words)), path, FRAMES_PER_SECOND)
    return path


@dataclass(frozen=True, eq=False)
class _Shown:
    """An agent of a film.

    Attributes:
        label: of the agent.
        place: in the experiment, which its colour follows.
        snapshots: of the seed that is shown.
        takes_first: whether it takes the first of several equal actions.
        x: episodes of its curve, int64 (num_points,).
        curves: of its seeds, float64 (num_seeds, num_points), each point the mean of the last episodes.
    """

    label: str
    place: int
    snapshots: Snapshots
    takes_first: bool
    x: NDArray[np.int64]
    curves: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Scene:
    """What a film shows.

    Attributes:
        environment: its label.
        map: where its states lie.
        agents: side by side.
        seed: of the maps.
        moments: episode of each picture.
        is_success: whether the curves are of success, not of returns.
        best: possible; NaN where that is not known.
    """

    environment: str
    map: ShownMap
    agents: Sequence[_Shown]
    seed: int
    moments: NDArray[np.int64]
    is_success: bool
    best: float

    @property
    def largest(self) -> float:
        """Largest value of a state in any picture, below or above 0."""
        acting = self.map.layout.acting_states
        values = np.concatenate([one.snapshots.action_values[:, acting].max(axis=2).ravel() for one in self.agents])
        return float(np.abs(values[np.isfinite(values)]).max(initial=0.0)) or 1.0


def _scene(table: TrialTable, environments: Sequence[str], maps: Mapping[str, ShownMap]) -> _Scene:
    for environment in environments:
        if environment not in maps:
            continue
        found = {label: of_agent for label in table.agents if (of_agent := table.snapshots(environment, label))}
        if found:
            break
    else:
        if not any(environment in maps for environment in environments):
            raise ExperimentError(no_grid(environments or table.environments))
        raise ExperimentError(
            f"{table.name} has no learning snapshots of agents with action values: give `velodrome compare` "
            "--snapshots 100, and agents that have them, such as q_learning"
        )
    labels = [list(found)[place] for place in places_shown_first(list(found), table)][:MOST_SHOWN]
    seeds = [seed for seed in found[labels[0]] if all(seed in found[label] for label in labels)]
    if not seeds:
        raise ExperimentError(f"{', '.join(labels)} have no seed in common on {environment}")
    metric = chosen_metric(table, environment)
    row, _, best = METRICS[metric]
    is_success = metric == "success_rate"
    seed = seed_that_differs(table, environment, labels, seeds, is_success)
    agents = [
        _Shown(
            label, table.agents.index(label), found[label][seed],
            tie_rule(str(table.settings.agents[label])) == "first",
            curve.x, _smoothed(curve.curves),
        )
        for label in labels
        for curve in [mean_curve(table, environment, label, "episodes", row)]
    ]  # fmt: skip
    episodes = np.unique(np.concatenate([one.snapshots.episodes for one in agents]))
    kept = np.unique(np.linspace(0, len(episodes) - 1, min(MOST_FRAMES, len(episodes))).round().astype(np.int64))
    best_score = common_value(table.done_on(environment), best)
    return _Scene(environment, maps[environment], agents, seed, episodes[kept], is_success, best_score)


def _smoothed(curves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each point the mean of the last twentieth of all points, as far as there are any."""
    sums = np.cumsum(np.pad(curves, ((0, 0), (1, 0))), axis=1)
    ends = np.arange(1, sums.shape[1])
    starts = np.maximum(0, ends - max(1, round(len(ends) / _SMOOTHING)))
    return np.asarray((sums[:, ends] - sums[:, starts]) / (ends - starts))


def _frames(scene: _Scene, words: Words) -> "Iterator[Image]":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    layout = _Layout.of(scene)
    with own_style():
        figure = Figure(figsize=(_WIDTH, layout.height), dpi=_DPI, facecolor="white")
        canvas = FigureCanvasAgg(figure)
        drawn = _Drawn.on(figure, layout, scene, words)
        use_hangul_font(figure)
        for moment in scene.moments:
            drawn.show(int(moment))
            canvas.draw()  # type: ignore[no-untyped-call]
            pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
            yield Image.fromarray(pixels[:, :, :3].copy())


@dataclass(frozen=True)
class _Layout:
    """Where everything stands, in inches.

    Attributes:
        a_row: maps side by side.
        rows: of maps.
        cell: width of a cell.
        map_size: width and height of a map.
        label_lines: of the longest label above a map.
        height: of all.
    """

    a_row: int
    rows: int
    cell: float
    map_size: tuple[float, float]
    label_lines: int
    height: float

    @classmethod
    def of(cls, scene: _Scene) -> "_Layout":
        """The layout with the largest cells."""
        number = len(scene.agents)
        across, down = map_size(scene.map.layout)
        best = (0.0, number)
        for a_row in range(number, 0, -1):
            rows = -(-number // a_row)
            cell = ((_WIDTH - _MARGIN) / a_row - _MARGIN) / across
            best = max(best, (min(cell, _MOST_MAPS_HEIGHT / rows / down), a_row))
        cell, a_row = best
        rows = -(-number // a_row)
        lines = max(_label(one, a_row).count("\n") + 1 for one in scene.agents)
        size = (cell * across, cell * down)
        maps = rows * (size[1] + lines * _LABEL_LINE + _GAP)
        height = _TITLE_HEIGHT + maps + 2 * _NOTE_HEIGHT + _CHART_HEIGHT + _AXIS_HEIGHT
        return cls(a_row, rows, cell, size, lines, round(height, 2))


def _label(one: _Shown, a_row: int) -> str:
    """The name of an agent above its map, in lines."""
    return wrapped(one.label, int((_WIDTH - _MARGIN) / a_row / (0.0082 * _LABEL_SIZE)), 2)


@dataclass(frozen=True, eq=False)
class _Drawn:
    """A figure, in which what differs from one moment to the next is drawn anew.

    Attributes:
        scene: that is drawn.
        words: of the captions.
        counter: names the episode.
        maps: of the agents, in order.
        chart: of the curves.
    """

    scene: _Scene
    words: Words
    counter: "Text"
    maps: Sequence[MapDrawing]
    chart: "Axes"

    @classmethod
    def on(cls, figure: "Figure", layout: _Layout, scene: _Scene, words: Words) -> "_Drawn":
        """Draw all that stays as it is."""
        from matplotlib.colors import LinearSegmentedColormap

        def axes_at(left: float, top: float, width: float, height: float) -> "Axes":
            bottom = layout.height - top - height
            return figure.add_axes(
                (left / _WIDTH, bottom / layout.height, width / _WIDTH, height / layout.height)
            )  # fmt: skip

        def write(left: float, top: float, text: str, size: float, **how: Any) -> "Text":
            if has_hangul(text):
                # Of Korean fonts many have one weight.
                how["weight"] = "normal"
            how.setdefault("va", "center")
            return figure.text(left / _WIDTH, 1 - top / layout.height, text, size=size, parse_math=False, **how)

        write(_MARGIN, 0.55 * _TITLE_HEIGHT, wrapped(scene.environment, 48, 1), _TITLE_SIZE, weight="bold")
        counter = write(_WIDTH - _MARGIN, 0.55 * _TITLE_HEIGHT, "", _TITLE_SIZE, ha="right")
        counter.set_text(_counter(scene, 0, words))
        (width, height), column = layout.map_size, (_WIDTH - _MARGIN) / layout.a_row
        heading = layout.label_lines * _LABEL_LINE
        colours = LinearSegmentedColormap.from_list("values", [_BELOW, "#ffffff", _ABOVE])
        maps, top = [], _TITLE_HEIGHT
        for place, one in enumerate(scene.agents):
            row, across = divmod(place, layout.a_row)
            middle = _MARGIN / 2 + (across + 0.5) * column
            top = _TITLE_HEIGHT + row * (height + heading + _GAP)
            write(
                middle, top + heading / 2, _label(one, layout.a_row), _LABEL_SIZE, ha="center", weight="bold",
                color=text_colour(line_style(one.place)["color"]), linespacing=1.05,
            )  # fmt: skip
            axes = axes_at(middle - width / 2, top + heading, width, height)
            drawing = MapDrawing(
                axes, scene.map.layout, layout.cell, -scene.largest, scene.largest, colour_map=colours,
                has_numbers=False, edge="#bfbfbf",
            )  # fmt: skip
            maps.append(drawing)
        top += height + heading + _GAP
        note = words("colour: value of the state; arrows: best actions; seed {seed}", seed=scene.seed)
        write(_WIDTH / 2, top + 0.5 * _NOTE_HEIGHT, note, _NOTE_SIZE, ha="center", color=REFERENCE_COLOUR)
        write(_AXIS_WIDTH, top + 1.5 * _NOTE_HEIGHT, _curve_title(scene, words), _LABEL_SIZE)
        chart = axes_at(_AXIS_WIDTH, top + 2 * _NOTE_HEIGHT, _WIDTH - _AXIS_WIDTH - 0.35, _CHART_HEIGHT)
        _dress_chart(chart, scene, words)
        return cls(scene, words, counter, maps, chart)

    def show(self, moment: int) -> None:
        """Draw what is known after so many episodes."""
        self.counter.set_text(_counter(self.scene, moment, self.words))
        for axes in (self.chart, *(drawing.axes for drawing in self.maps)):
            for artist in axes.get_children():
                if artist.get_gid() in _CHANGING:
                    artist.remove()
        for drawing, one in zip(self.maps, self.scene.agents, strict=True):
            place = int(np.searchsorted(one.snapshots.episodes, moment, side="right")) - 1
            values = np.asarray(one.snapshots.action_values[place], dtype=np.float64)
            best = tied_best(values)
            if one.takes_first:
                best &= np.cumsum(best, axis=1) == 1
            drawing.fill(values.max(axis=1))
            drawing.arrows(best.astype(np.float64), values.max(axis=1))
        for one in self.scene.agents:
            style, mean = line_style(one.place), one.curves.mean(axis=0)
            known = (one.x <= moment) & np.isfinite(mean)
            if not known.any():
                continue
            x, mean = one.x[known], mean[known]
            low, high = (end[known] for end in mean_band(one.curves))
            self.chart.fill_between(x, low, high, color=style["color"], alpha=0.15, linewidth=0, gid="curve")
            self.chart.plot(x, mean, linewidth=2.2, gid="curve", **style)
            self.chart.plot(
                x[-1:], mean[-1:], "o", color=style["color"], markersize=6, clip_on=False, zorder=4, gid="curve"
            )  # fmt: skip


def _counter(scene: _Scene, moment: int, words: Words) -> str:
    last = f"{scene.moments[-1]:,}"
    return words("episode {episode} of {episodes}", episode=f"{moment:,}", episodes=last)


def _curve_title(scene: _Scene, words: Words) -> str:
    title = words("success rate in training") if scene.is_success else words("return in training")
    averaged = round(int(scene.moments[-1]) / _SMOOTHING)
    if averaged > 1:
        title += ", " + words("last {episodes} episodes", episodes=f"{averaged:,}")
    numbers = [len(one.curves) for one in scene.agents]
    return title + (f", {words('mean of {seeds}', seeds=words.seeds(numbers))}" if max(numbers) > 1 else "")


def _dress_chart(axes: "Axes", scene: _Scene, words: Words) -> None:
    last = max(int(scene.moments[-1]), 1)
    if np.isfinite(scene.best):
        axes.axhline(scene.best, color=REFERENCE_COLOUR, linestyle=(0, (4, 3)), linewidth=1.2)
        axes.text(
            0.006 * last, scene.best, words("best possible"), size=_NOTE_SIZE, color=REFERENCE_COLOUR, va="bottom",
            parse_math=False,
        )  # fmt: skip
    axes.set_xlim(0, last)
    if scene.is_success:
        axes.set_ylim(-0.03, 1.25)
        axes.set_yticks([0, 0.5, 1])
    else:
        # Without the worst twentieth, which early episodes are.
        means = np.concatenate([one.curves.mean(axis=0) for one in scene.agents])
        means = np.append(means[np.isfinite(means)], scene.best if np.isfinite(scene.best) else [])
        set_height(axes, *(np.quantile(means, [0.05, 1.0]) if len(means) else (0.0, 1.0)))
    axes.set_xlabel(words("episode"), size=_LABEL_SIZE, labelpad=1)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.locator_params(axis="x", nbins=6)
    axes.tick_params(labelsize=_NOTE_SIZE + 1)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
