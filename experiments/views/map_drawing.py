"""Maps on axes: cells in colours, arrows, triangles, and what stands in the cells."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from velodrome.envs.grid_layout import GridLayout
from velodrome.experiments.plotting.style import TEXT_SIZE, WIDTH

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Colormap

# Of even lightness steps, and told apart with every common colour blindness.
COLOUR_MAP = "viridis"
# Cells between panels, with room for a name above.
GAP = 0.9
LARGEST_CELL, MAP_WIDTH = 1.3, WIDTH - 1.3
# Inches of the smallest cells with a number, and with one for each action.
_WITH_NUMBER, _WITH_NUMBERS = 0.42, 0.85
_SHORTEST_ARROW = 0.05
_WALL, _GROUND, _MARK = "#595959", "#e6e6e6", "#262626"
# An arrow of length 1: along its direction, and across it.
_ARROW = np.array([[0.08, -0.06], [0.62, -0.06], [0.62, -0.22], [1.0, 0.0], [0.62, 0.22], [0.62, 0.06], [0.08, 0.06]])
_LETTERS = {"start": "S", "goal": "G"}
_SIDES = {(0, -1): (0, 3), (1, 0): (3, 2), (0, 1): (2, 1), (-1, 0): (1, 0)}
# Corners of a cell around its middle, from the upper left one clockwise; y grows downwards.
_CORNERS = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])


def map_size(layout: GridLayout) -> tuple[float, float]:
    """Width and height of a layout's panels together, in cells."""
    across = min(layout.panel_columns, len(layout.panel_names))
    down = -(-len(layout.panel_names) // layout.panel_columns)
    has_names = len(layout.panel_names) > 1
    return across * (layout.columns + GAP) - GAP, down * (layout.rows + GAP * has_names)


def cell_inches(layout: GridLayout, width: float = MAP_WIDTH) -> float:
    """Inches of a cell, where all is to be so wide."""
    return min(LARGEST_CELL, width / map_size(layout)[0])


@dataclass(eq=False)
class MapDrawing:
    """One map on axes.

    Attributes:
        axes: to draw on.
        layout: how the states lie.
        inches: of a cell.
        low: number of the darkest colour.
        high: number of the brightest colour.
        is_logarithmic: whether colours are of the logarithm; numbers below 1 are then white.
        colour_map: matplotlib's, or its name.
        has_numbers: whether numbers stand in cells that have room for them.
        edge: colour of the lines between cells.
    """

    axes: "Axes"
    layout: GridLayout
    inches: float
    low: float = 0.0
    high: float = 1.0
    is_logarithmic: bool = False
    colour_map: "str | Colormap" = COLOUR_MAP
    has_numbers: bool = True
    edge: str = "white"
    shades: "ScalarMappable" = field(init=False)

    def __post_init__(self) -> None:
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import LogNorm, Normalize

        if self.is_logarithmic:
            self.shades = ScalarMappable(LogNorm(1.0, max(2.0, self.high)), self.colour_map)
        else:
            high = self.high if self.high > self.low else self.low + 1.0
            self.shades = ScalarMappable(Normalize(self.low, high), self.colour_map)
        self._ground()

    @property
    def middles(self) -> NDArray[np.float64]:
        """Middle (x, y) of each state's cell; NaN where it lies nowhere."""
        panel, row, column = self.layout.cells.T
        left, top = self._corner(panel)
        found = np.stack([left + column, top + row], axis=1)
        found[panel < 0] = np.nan
        return np.asarray(found, dtype=np.float64)

    def colours(self, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        """Colours (..., 4) of numbers; white for those that have none on a logarithmic scale."""
        shown: NDArray[np.float64] = np.array(
            self.shades.to_rgba(np.maximum(numbers, 1.0) if self.is_logarithmic else numbers)
        )
        if self.is_logarithmic:
            shown[numbers < 1.0] = 1.0
        return np.asarray(shown, dtype=np.float64)

    def fill(self, numbers: NDArray[np.float64]) -> None:
        """Colour the cells of states in which an agent acts, by a number each."""
        from matplotlib.collections import PolyCollection

        shown, colours = self._shown, self.colours(numbers)
        corners = self.middles[shown][:, None] + _CORNERS
        self.axes.add_collection(
            PolyCollection(list(corners), facecolors=colours[shown], edgecolors=self.edge, linewidths=0.6, gid="cells")
        )
        if self.has_numbers and self.inches >= _WITH_NUMBER:
            for state in np.flatnonzero(shown):
                self._number(self.middles[state] + (-0.44, -0.44), numbers[state], colours[state], "left", "top")

    def arrows(self, weights: NDArray[np.float64], numbers: NDArray[np.float64]) -> None:
        """An arrow for each action, its area by its weight; actions without direction are letters in the middle.

        Args:
            weights: (num_states, num_actions), 0 to 1.
            numbers: (num_states,), whose colours are behind the arrows.
        """
        from matplotlib.collections import PolyCollection

        shown, middles = self._shown, self.middles
        inks = self._inks(self.colours(numbers))
        is_moving = np.array([direction is not None for direction in self.layout.directions])
        moves = np.array([direction or (0, 0) for direction in self.layout.directions], dtype=np.float64)[:, ::-1]
        states, actions = np.nonzero((weights > _SHORTEST_ARROW) & shown[:, None] & is_moving)
        # Numbers stand above.
        has_number = self.has_numbers and self.inches >= _WITH_NUMBER
        middles = middles + np.array([0.0, 0.1 * has_number])
        sizes = (0.36 if has_number else 0.42) * np.sqrt(weights[states, actions])
        if len(states):
            # Along x and down y in the direction of the move, and across it.
            along = moves[actions][:, None]
            aside = along[:, :, ::-1] * (1.0, -1.0)
            shapes = sizes[:, None, None] * (_ARROW[None, :, :1] * along + _ARROW[None, :, 1:] * aside)
            self.axes.add_collection(
                PolyCollection(list(middles[states][:, None] + shapes), facecolors=inks[states], zorder=3, gid="arrows")
            )
        letters = self._letters()
        for state in np.flatnonzero(shown & (weights[:, ~is_moving] > _SHORTEST_ARROW).any(axis=1)):
            chosen = [action for action in letters if weights[state, action] > _SHORTEST_ARROW]
            for place, action in enumerate(chosen):
                size = max(4.5, min(TEXT_SIZE + 4, 40 * self.inches)) * float(np.sqrt(weights[state, action]))
                across = 0.44 * ((place + 1) / (len(chosen) + 1) - 0.5) * (len(chosen) > 1) * 2
                self.axes.text(
                    middles[state][0] + across, middles[state][1], letters[action], size=size, color=inks[state],
                    ha="center", va="center", weight="bold", zorder=4, gid="letter",
                )  # fmt: skip

    def triangles(self, values: NDArray[np.float64], best: NDArray[np.bool_]) -> None:
        """A triangle for each action towards where it leads, a disc for one without direction; a dot on the best.

        Args:
            values: (num_states, num_actions).
            best: bool, likewise.
        """
        from matplotlib.collections import PolyCollection

        layout, middles = self.layout, self.middles
        others = [action for action, direction in enumerate(layout.directions) if direction is None]
        is_along = layout.is_chain and all(one is None or one[0] == 0 for one in layout.directions)
        # Behind the numbers.
        far = 0.445 if self.inches >= _WITH_NUMBERS else 0.36
        polygons, colours, dots, inks = [], [], [], []
        for state in np.flatnonzero(self._shown):
            shades = self.colours(values[state])
            for action, direction in enumerate(layout.directions):
                if not np.isfinite(values[state, action]):
                    # It is never taken there.
                    continue
                if direction is None:
                    place = mark = np.array([(others.index(action) + 1) / (len(others) + 1) - 0.5, 0.0]) * 0.7
                    around = np.linspace(0.0, 2 * np.pi, 24)
                    shape = place + 0.13 * np.stack([np.cos(around), np.sin(around)], axis=1)
                elif is_along:
                    right = direction[1] / 2
                    shape = np.array([[0.0, -0.5], [right, -0.5], [right, 0.5], [0.0, 0.5]])
                    place, mark = np.array([right / 2, 0.0]), np.array([right / 2, 0.28])
                else:
                    shape = np.array([(0.0, 0.0), *_CORNERS[list(_SIDES[direction])]])
                    place, mark = np.array(direction[::-1]) * 0.28, np.array(direction[::-1]) * far
                polygons.append(middles[state] + shape)
                colours.append(shades[action])
                if best[state, action]:
                    dots.append(middles[state] + mark)
                    inks.append(_ink(shades[action]))
                if self.inches >= _WITH_NUMBERS and direction is not None:
                    self._number(middles[state] + place, values[state, action], shades[action], "center", "center")
        self.axes.add_collection(
            PolyCollection(polygons, facecolors=colours, edgecolors="white", linewidths=0.5, gid="triangles")
        )
        cells = middles[self._shown][:, None] + _CORNERS
        self.axes.add_collection(PolyCollection(list(cells), facecolors="none", edgecolors=_MARK, linewidths=0.9))
        if dots:
            size = 3.0 if self.inches < _WITH_NUMBER else 14.0
            across, along = np.array(dots).T
            self.axes.scatter(across, along, s=size, color=inks, zorder=4, gid="best")

    def outline(self, states: NDArray[np.bool_], colour: str) -> None:
        """A frame inside the cells of some states."""
        from matplotlib.collections import PolyCollection

        corners = self.middles[states & self._shown][:, None] + 0.88 * _CORNERS
        frames = PolyCollection(
            list(corners), facecolors="none", edgecolors=colour, linewidths=max(1.2, 2.6 * self.inches), gid="outlines"
        )
        self.axes.add_collection(frames)

    @property
    def _shown(self) -> NDArray[np.bool_]:
        return self.layout.acting_states

    def _corner(self, panel: NDArray[np.int64] | int) -> tuple[Any, Any]:
        """Where a panel begins, in cells."""
        layout = self.layout
        has_names = len(layout.panel_names) > 1
        down, across = np.divmod(panel, layout.panel_columns)
        return across * (layout.columns + GAP), down * (layout.rows + GAP * has_names)

    def _ground(self) -> None:
        """Cells in which nobody acts, walls, letters, and the names of panels."""
        from matplotlib.patches import Circle, Rectangle

        layout, axes = self.layout, self.axes
        width, height = map_size(layout)
        axes.set_xlim(-0.52, width - 0.48)
        axes.set_ylim(height - 0.48, -0.52 - GAP * (len(layout.panel_names) > 1))
        axes.set_aspect("equal")
        axes.set_axis_off()
        acts = layout.acts_in
        lettering = max(4.5, min(TEXT_SIZE, 16 * self.inches))
        for panel, name in enumerate(layout.panel_names):
            left, top = self._corner(panel)
            if len(layout.panel_names) > 1 and not name:
                continue
            size = min(TEXT_SIZE - 1.5, 8.5 * layout.columns * self.inches)
            axes.text(left - 0.5, top - 0.6, name, size=size, ha="left", va="bottom", parse_math=False)
            for row, column in np.ndindex(layout.rows, layout.columns):
                kind, x, y = str(layout.kinds[panel, row, column]), left + column, top + row
                if not acts[panel, row, column]:
                    colour = _WALL if kind == "wall" else _GROUND
                    hatch = "////" if kind == "cliff" else None
                    cell = Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour, edgecolor=self.edge, linewidth=0.6)
                    if hatch is not None:
                        cell.set_hatch(hatch)
                    axes.add_patch(cell)
                    if kind == "hole":
                        axes.add_patch(Circle((x, y), 0.28, facecolor=_MARK, edgecolor="none"))
                    if kind == "goal":
                        axes.text(x, y, "G", size=max(6.0, min(18.0, 22 * self.inches)), weight="bold", color=_MARK,
                                  ha="center", va="center", parse_math=False)  # fmt: skip
                elif kind in _LETTERS:
                    axes.text(
                        x + 0.44, y - 0.42, _LETTERS[kind], size=0.8 * lettering, weight="bold", color=_MARK,
                        ha="right", va="top", zorder=6,
                        bbox={"facecolor": "white", "edgecolor": _MARK, "linewidth": 0.5, "pad": 1.0 + self.inches},
                    )  # fmt: skip
            for (row, column), (other_row, other_column) in layout.walls:
                middle = left + (column + other_column) / 2, top + (row + other_row) / 2
                # Across the line from the one to the other.
                across = (other_row - row) / 2, (other_column - column) / 2
                axes.plot(
                    [middle[0] - across[0], middle[0] + across[0]], [middle[1] - across[1], middle[1] + across[1]],
                    color=_MARK, linewidth=2.4, zorder=5, solid_capstyle="butt",
                )  # fmt: skip

    def _letters(self) -> dict[int, str]:
        """A letter for each action without direction: the first of its name, or its number where two are the same."""
        names = {
            action: name
            for action, (name, direction) in enumerate(
                zip(self.layout.action_names, self.layout.directions, strict=True)
            )
            if direction is None
        }
        letters = {action: name[:1].upper() for action, name in names.items()}
        return letters if len(set(letters.values())) == len(letters) else {action: str(action) for action in names}

    def _inks(self, colours: NDArray[np.float64]) -> NDArray[np.str_]:
        return np.array([_ink(colour) for colour in colours])

    def _number(
        self, place: NDArray[np.float64], number: float, colour: NDArray[np.float64], across: Any, along: Any
    ) -> None:
        size = max(4.5, min(TEXT_SIZE - 1, 13 * self.inches))
        self.axes.text(
            place[0],
            place[1],
            self.format(number),
            size=size,
            color=_ink(colour),
            ha=across,
            va=along,
            zorder=4,
            gid="number",
        )

    @property
    def format(self) -> Callable[[float], str]:
        """How numbers in cells are written: as many digits as the range needs."""
        largest = max(abs(self.low), abs(self.high))
        if self.is_logarithmic:
            return lambda number: f"{number:,.0f}" if number < 100_000 else f"{number:.1e}".replace("e+0", "e")
        digits = 0 if largest >= 100 else 1 if largest >= 10 else 2 if largest >= 0.1 or not largest else 3
        return lambda number: f"{number + 0.0:.{digits}f}".replace("-", "−")


def _ink(colour: Sequence[float] | NDArray[np.float64]) -> str:
    """Black or white, whichever is read better on a colour.

    Source: WCAG 2.1, relative luminance.
    """
    parts = np.asarray(colour[:3], dtype=np.float64)
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return "black" if float(linear @ (0.2126, 0.7152, 0.0722)) > 0.179 else "white"
