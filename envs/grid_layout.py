"""How the states of an environment lie on a grid, or along a chain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.envs.toy_text.cliffwalking import CliffWalkingEnv
from gymnasium.envs.toy_text.taxi import TaxiEnv
from numpy.typing import NDArray

from velodrome.envs.deep_sea import DeepSea
from velodrome.envs.model.transition_checks import TransitionModelError
from velodrome.envs.model.transition_model import TransitionModel
from velodrome.envs.wrapper_chain import keeps_spaces, wrappers_of

KINDS = ("free", "start", "goal", "hole", "wall", "cliff")
# What letters and numbers of a map mean.
_KIND_OF = {
    "S": "start", "G": "goal", "H": "hole", "X": "hole", "#": "wall", "W": "wall", "1": "wall", "C": "cliff",
}  # fmt: skip
_KNOWN_LETTERS = {*_KIND_OF, ".", "F", " ", "0"}
# Attributes of environments that hold a map.
_MAPS = ("desc", "cells", "grid", "map", "obstacles", "obstacle_map", "model.grid")
_DIRECTION_NAMES = {(0, -1): "left", (1, 0): "down", (0, 1): "right", (-1, 0): "up"}
_LONGEST_CHAIN = 64
_TAXI_SHAPE = (5, 5, 5, 4)

Direction = tuple[int, int]


@dataclass(frozen=True, eq=False)
class GridLayout:
    """States on a grid of cells, on several such grids (panels), or along a chain, which is a grid of one row.

    Attributes:
        rows: number of rows of a panel.
        columns: number of columns of a panel.
        cells: int64 (num_states, 3), panel, row and column of each state, counted from the observation space's start;
            -1 of states that lie nowhere, for they never come up.
        kinds: str (num_panels, rows, columns), "free", "start", "goal", "hole", "wall" or "cliff".
        action_names: of the actions, in order.
        directions: of each action, (rows down, columns to the right), such as (0, -1) for left; None of actions that
            do not move, or not everywhere in the same direction.
        panel_names: names of the panels; one empty name where there is one.
        panel_columns: panels side by side.
        walls: pairs of neighbouring cells (row, column) with a wall between them, in every panel.
    """

    rows: int
    columns: int
    cells: NDArray[np.int64]
    kinds: NDArray[np.str_]
    action_names: tuple[str, ...]
    directions: tuple[Direction | None, ...]
    panel_names: tuple[str, ...] = ("",)
    panel_columns: int = 1
    walls: tuple[tuple[tuple[int, int], tuple[int, int]], ...] = ()

    @property
    def num_states(self) -> int:
        """Number of states."""
        return len(self.cells)

    @property
    def is_chain(self) -> bool:
        """Whether it is a chain."""
        return self.rows == 1

    @property
    def acts_in(self) -> NDArray[np.bool_]:
        """Cells bool (num_panels, rows, columns) in which an agent acts: no walls, holes or cliffs, no goal at the end.

        On several panels a goal is a cell like others, in which there is something to do.
        """
        over = ("hole", "wall", "cliff") if len(self.panel_names) > 1 else ("hole", "wall", "cliff", "goal")
        lies = self.cells[:, 0] >= 0
        acts = np.zeros(self.kinds.shape, dtype=np.bool_)
        acts[tuple(self.cells[lies].T)] = True
        return np.asarray(acts & ~np.isin(self.kinds, over))

    @property
    def acting_states(self) -> NDArray[np.bool_]:
        """Whether an agent acts in each state, bool (num_states,)."""
        panels, rows, columns = self.cells.T
        return np.asarray((panels >= 0) & self.acts_in[panels, rows, columns])

    def kind_of(self, state: int) -> str:
        """Kind of a state's cell; "wall" for one that lies nowhere.

        Args:
            state: number of the state.
        """
        panel, row, column = self.cells[state].tolist()
        return "wall" if panel < 0 else str(self.kinds[panel, row, column])

    def on_grid(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Numbers of the states (num_states, ...) as (num_panels, rows, columns, ...); NaN where there is no state.

        Args:
            values: a number, or several, of each state.
        """
        grid = np.full((*self.kinds.shape, *values.shape[1:]), np.nan)
        lies = self.cells[:, 0] >= 0
        panels, rows, columns = self.cells[lies].T
        grid[panels, rows, columns] = values[lies]
        return grid

    def to_data(self) -> dict[str, Any]:
        """JSON-ready data of all attributes."""
        return {
            "rows": self.rows, "columns": self.columns, "cells": self.cells.tolist(), "kinds": self.kinds.tolist(),
            "action_names": list(self.action_names),
            "directions": [None if one is None else list(one) for one in self.directions],
            "panel_names": list(self.panel_names), "panel_columns": self.panel_columns,
            "walls": [[list(cell) for cell in pair] for pair in self.walls],
        }  # fmt: skip


def grid_layout(env: gym.Env[Any, Any]) -> GridLayout | None:
    """How the states of an environment lie on a grid or along a chain; None where they do not, or it is not known.

    Known are Gymnasium's FrozenLake (any map), CliffWalking and Taxi, the grids and chains of this package, and
    others whose observation numbers the cells of a map that they keep, as `desc` or the like. Directions of actions are
    read from the transitions where there are any. An environment of your own may say it itself: its `grid_layout()`
    then gives a `GridLayout`.

    Args:
        env: environment; it is neither reset nor stepped.
    """
    unwrapped: Any = env.unwrapped
    if not isinstance(env.observation_space, spaces.Discrete) or not isinstance(env.action_space, spaces.Discrete):
        return None
    for wrapper in wrappers_of(env):
        # They may number states or actions otherwise.
        if isinstance(wrapper, gym.ObservationWrapper | gym.ActionWrapper) or not keeps_spaces(wrapper):
            return None
    num_states, num_actions = int(env.observation_space.n), int(env.action_space.n)
    own = getattr(unwrapped, "grid_layout", None)
    if callable(own):
        layout = own()
        fits = isinstance(layout, GridLayout) and (layout.num_states, len(layout.directions)) == (
            num_states,
            num_actions,
        )
        return layout if fits else None
    if isinstance(unwrapped, TaxiEnv):
        return _taxi(unwrapped) if num_states == np.prod(_TAXI_SHAPE) else None
    try:
        model = TransitionModel.of(unwrapped)
    except (TransitionModelError, ValueError):
        model = None
    kinds = _kinds_of_map(unwrapped, num_states)
    if kinds is not None:
        cells = _in_reading_order(*kinds.shape)
        if model is not None and not (kinds == "start").any():
            # A map without its start.
            free = (model.initial_distribution > 0).reshape(kinds.shape) & (kinds == "free")
            kinds = np.where(free, "start", kinds) if free.sum() < kinds.size // 2 else kinds
        directions = _directions(unwrapped, model, cells, num_actions)
        if isinstance(unwrapped, DeepSea):
            directions = (None,) * num_actions
        names = _action_names(unwrapped, directions)
        return GridLayout(len(kinds), kinds.shape[1], cells, kinds[None], names, directions)
    return None if model is None else _chain(unwrapped, model)


def _kinds_of_map(unwrapped: Any, num_states: int) -> NDArray[np.str_] | None:
    """Kinds of the cells (rows, columns) of an environment's map; None without a map of as many cells as states."""
    if isinstance(unwrapped, CliffWalkingEnv):
        kinds = np.where(unwrapped._cliff, "cliff", "free").astype("<U5")
        kinds.flat[unwrapped.start_state_index], kinds[-1, -1] = "start", "goal"
        return kinds if kinds.size == num_states else None
    if isinstance(unwrapped, DeepSea):
        kinds = np.full((unwrapped.size, unwrapped.size), "free", dtype="<U5")
        kinds[0, 0] = "start"
        # The diver sinks a row a step, and moves at most one column.
        kinds[np.triu_indices(unwrapped.size, 1)] = "wall"
        return kinds
    for name in _MAPS:
        thing = unwrapped
        for part in name.split("."):
            thing = getattr(thing, part, None)
        letters = _letters(thing)
        if letters is not None and letters.size == num_states:
            return np.array([[_KIND_OF.get(str(letter), "free") for letter in row] for row in letters])
    return None


def _letters(thing: Any) -> NDArray[np.str_] | None:
    """A map as letters (rows, columns); None of anything else."""
    try:
        array = np.asarray(thing)
        if array.ndim == 1 and array.dtype.kind in "US" and len(array):
            array = np.array([list(row.decode() if isinstance(row, bytes) else row) for row in array])
        if array.ndim != 2 or array.dtype.kind not in "USiu" or not array.size:
            return None
        letters = np.char.decode(array) if array.dtype.kind == "S" else array.astype(str)
    except (TypeError, ValueError, UnicodeDecodeError):
        return None
    # Marks in colours, or numbers that count something else.
    return letters if set(np.unique(letters)) <= _KNOWN_LETTERS else None


def _in_reading_order(rows: int, columns: int) -> NDArray[np.int64]:
    number = np.arange(rows * columns)
    return np.stack([np.zeros_like(number), number // columns, number % columns], axis=1)


def _directions(
    unwrapped: Any, model: TransitionModel | None, cells: NDArray[np.int64], num_actions: int
) -> tuple[Direction | None, ...]:
    """Directions of actions: by the transitions, or as the environment's class says them."""
    if model is not None:
        return _mean_directions(model, cells)
    moves = getattr(unwrapped, "MOVES", None)
    if isinstance(moves, Mapping):
        moves = [moves.get(action) for action in range(num_actions)]
    if isinstance(moves, Sequence) and len(moves) == num_actions:
        found = [_as_direction(move) for move in moves]
        if any(found):
            return tuple(found)
    return (None,) * num_actions


def _as_direction(move: Any) -> Direction | None:
    try:
        down, right = (int(part) for part in move)
    except (TypeError, ValueError):
        return None
    return (down, right) if (down, right) in _DIRECTION_NAMES else None


def _mean_directions(model: TransitionModel, cells: NDArray[np.int64]) -> tuple[Direction | None, ...]:
    """Direction of each action, that of the mean of its moves to a neighbouring cell, slips and all."""
    pairs = np.repeat(np.arange(model.num_states * model.num_actions), np.diff(model.offsets))
    before, after = cells[pairs // model.num_actions], cells[model.next_states]
    moves = (after - before)[:, 1:]
    is_step = (np.abs(moves).sum(axis=1) == 1) & (after[:, 0] == before[:, 0]) & (before[:, 0] >= 0)
    directions: list[Direction | None] = []
    for action in range(model.num_actions):
        own = is_step & (pairs % model.num_actions == action)
        down, right = (moves[own] * model.probabilities[own, None]).sum(axis=0)
        larger, smaller = max(abs(down), abs(right)), min(abs(down), abs(right))
        if larger <= 2 * smaller or larger < 1e-9:
            directions.append(None)
        elif larger == abs(down):
            directions.append((int(np.sign(down)), 0))
        else:
            directions.append((0, int(np.sign(right))))
    return tuple(directions)


def _action_names(unwrapped: Any, directions: Sequence[Direction | None]) -> tuple[str, ...]:
    own = getattr(unwrapped, "action_names", ())
    if isinstance(own, Sequence) and len(own) == len(directions) and all(isinstance(name, str) for name in own):
        return tuple(own)
    return tuple(
        str(action) if direction is None else _DIRECTION_NAMES[direction] for action, direction in enumerate(directions)
    )


def _taxi(unwrapped: Any) -> GridLayout:
    """One panel for each place of the passenger (rows of panels) and each goal (columns of panels)."""
    rows, columns, places, goals = _TAXI_SHAPE
    row, column, passenger, goal = np.unravel_index(np.arange(np.prod(_TAXI_SHAPE)), _TAXI_SHAPE)
    # A passenger who waits at the goal has arrived.
    cells = np.where(passenger == goal, -1, np.stack([passenger * goals + goal, row, column])).T
    letters = np.char.decode(unwrapped.desc)
    names = [str(letters[1 + place_row, 1 + 2 * place_column]) for place_row, place_column in unwrapped.locs]
    kinds = np.full((places * goals, rows, columns), "free", dtype="<U5")
    panel_names = []
    for panel in range(places * goals):
        at, to = divmod(panel, goals)
        if at == to:
            panel_names.append("")
            continue
        kinds[panel][unwrapped.locs[to]] = "goal"
        if at < goals:
            kinds[panel][unwrapped.locs[at]] = "start"
        panel_names.append(f"{names[at] if at < goals else 'in taxi'} to {names[to]}")
    walls = tuple(
        ((place_row, place_column), (place_row, place_column + 1))
        for place_row in range(rows)
        for place_column in range(columns - 1)
        if letters[1 + place_row, 2 + 2 * place_column] == "|"
    )
    directions: tuple[Direction | None, ...] = ((1, 0), (-1, 0), (0, 1), (0, -1), None, None)
    action_names = ("down", "up", "right", "left", "pick up", "drop off")
    return GridLayout(rows, columns, cells, kinds, action_names, directions, tuple(panel_names), goals, walls)


def _chain(unwrapped: Any, model: TransitionModel) -> GridLayout | None:
    """A chain: few states; some action leads from each but one to the next, others to a neighbour or the start."""
    number = model.num_states
    if not 2 <= number <= _LONGEST_CHAIN:
        return None
    pairs = np.repeat(np.arange(number * model.num_actions), np.diff(model.offsets))
    states, actions = pairs // model.num_actions, pairs % model.num_actions
    moves = model.next_states - states
    moving = (moves != 0) & ~model.terminated & (model.probabilities > 0)
    start = int(model.initial_distribution.argmax())
    if not ((np.abs(moves) == 1) | (model.next_states == start))[moving].all():
        return None
    forward = [
        len({*states[moving & (moves == 1) & (actions == action)].tolist()}) >= number - 1
        for action in range(model.num_actions)
    ]
    if not any(forward):
        return None
    directions: list[Direction | None] = []
    for action in range(model.num_actions):
        own = moving & (actions == action)
        # A jump back to the start counts as one step.
        mean = float((np.sign(moves[own]) * model.probabilities[own]).sum())
        directions.append(None if abs(mean) < 1e-9 else (0, 1 if mean > 0 else -1))
    kinds = np.full((1, 1, number), "free", dtype="<U5")
    kinds[0, 0, np.flatnonzero(model.initial_distribution)] = (
        "start" if (model.initial_distribution > 0).sum() < 2 else "free"
    )
    names = _action_names(unwrapped, directions)
    return GridLayout(1, number, _in_reading_order(1, number), kinds, names, tuple(directions))
