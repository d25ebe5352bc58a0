"""A robot that carries orders through a warehouse on one battery."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from velodrome.checks import ConfigurationError, check_integer, check_number, check_probability
from velodrome.envs.grid_world import draw_map, next_cells, read_map
from velodrome.envs.model.model_environment import ModelEnvironment
from velodrome.envs.model.transition_model import TransitionModel

HALL = """\
P...P...P
.##.#.##.
.##.#.##.
....C....
.##...##.
.##.#.##.
P...D...P"""

LETTERS = "PDC#."
NEEDED = (("P", "a station to pick up at"), ("D", "a desk to put down at"), ("C", "a charger"))
PICK_UP, PUT_DOWN, CHARGE = 4, 5, 6
MOST_STATES = 20_000


class Warehouse(ModelEnvironment):
    """Fetch an order and bring it to the desk before the battery is empty.

    ## Description
    The map has 'P' stations where orders wait, 'D' desks, 'C' chargers, '#' shelves and '.' free cells. The robot
    drives to the station of its order, picks it up, and puts it down at a desk. Every step takes one unit of the
    battery; a step of charging at a charger adds `charge_rate` units instead. With probability `blocked` somebody
    stands in the way: the robot waits where it is, and has used its unit all the same. The way to the far stations
    and back takes most of a full battery, so that the robot has to decide on the way whether to charge first, with
    a margin for those who stand in its way.

    It leaves out other robots, which way the robot faces, speed and load, orders that come while it drives, and
    the choice of which to fetch first. The hall is made up.

    ## Action Space
    Discrete(7): 0 left, 1 down, 2 right, 3 up, 4 pick up, 5 put down, 6 charge. An action that the place does not
    allow, a move against a shelf included, takes its step and its unit.

    ## Observation Space
    Discrete, 9450 by default: (charge * (stations + 1) + load) * cells + cell, with load the number of the station
    where the order waits, or the number of stations once the robot carries it. `describe(state)` says it.

    ## Starting State
    At a desk, the order at any of the stations, the charge from a quarter of the capacity to all of it, all equally
    likely.

    ## Rewards
    step_reward in every step; delivery_reward for putting the order down at a desk, besides; stranded_reward for
    an empty battery elsewhere than at a charger, besides: somebody has to fetch the robot.

    ## Episode End
    Terminates when the order is delivered, or the robot is stranded. `velodrome/Warehouse-v0` is truncated after
    100 steps. Success is delivery. Optimum: charge on the way, expected return -3.471, with success 0.987; who cares
    for nothing else delivers 0.992.

    ## Arguments
    `map_text`, the default being a hall of 7 rows and 9 columns: one text with rows separated by newlines or '/', or
    a list of rows; `capacity=24` units; `charge_rate=4` units a step; `blocked=0.1`; `delivery_reward=20.0`,
    `stranded_reward=-50.0`, `step_reward=-1.0`.

    ## Reference
    After the taxi of Dietterich (2000), Hierarchical reinforcement learning with the MAXQ value function
    decomposition. The trade is described by Wurman, D'Andrea & Mountz (2008), Coordinating hundreds of cooperative,
    autonomous vehicles in warehouses; for many robots: Papoudakis et al. (2021), Benchmarking multi-agent deep
    reinforcement learning algorithms in cooperative tasks (RWARE).

    ## Version History
    v0: first version.
    """

    action_names: ClassVar[tuple[str, ...]] = ("left", "down", "right", "up", "pick up", "put down", "charge")

    def __init__(
        self,
        map_text: str | Sequence[str] = HALL,
        capacity: int = 24,
        charge_rate: int = 4,
        blocked: float = 0.1,
        delivery_reward: float = 20.0,
        stranded_reward: float = -50.0,
        step_reward: float = -1.0,
        render_mode: str | None = None,
    ) -> None:
        self.cells = read_map(map_text, LETTERS, NEEDED)
        self.capacity = check_integer("capacity", capacity, minimum=1)
        charge_rate = min(check_integer("charge_rate", charge_rate, minimum=1), self.capacity)
        blocked = check_probability("blocked", blocked)
        delivery_reward = check_number("delivery_reward", delivery_reward)
        stranded_reward = check_number("stranded_reward", stranded_reward)
        step_reward = check_number("step_reward", step_reward)
        flat = self.cells.reshape(-1)
        self.stations = np.flatnonzero(flat == b"P")
        carried = self.stations.size
        num_states = (self.capacity + 1) * (carried + 1) * flat.size
        if num_states > MOST_STATES:
            raise ConfigurationError(f"map_text and capacity must make at most {MOST_STATES} states, got {num_states}")

        # Axes: charge, load, cell, action, outcome; outcome 1 is that somebody stood in the way of a move.
        shape = (self.capacity + 1, carried + 1, flat.size, len(self.action_names), 2 if blocked > 0.0 else 1)
        charge, load, cell, action, _ = np.ogrid[tuple(map(slice, shape))]
        next_cell = np.broadcast_to(cell[0, 0], shape[2:]).copy()
        next_cell[:, :PICK_UP, :1] = next_cells(self.cells, np.zeros(self.cells.shape, dtype=np.bool_))
        is_desk, is_charger = flat == b"D", flat == b"C"
        order_at = np.append(self.stations, -1)
        next_load = np.where((action == PICK_UP) & (order_at[load] == cell), carried, load)
        delivered = (action == PUT_DOWN) & (load == carried) & is_desk[cell]
        charges = (action == CHARGE) & is_charger[cell]
        next_charge = np.where(charges, charge + charge_rate, charge - 1).clip(0, self.capacity)
        stranded = (next_charge == 0) & ~is_charger[next_cell] & ~delivered
        initial = np.zeros(shape[:3])
        initial[math.ceil(self.capacity / 4) :, :carried, is_desk] = 1.0
        model = TransitionModel.from_arrays(
            num_states,
            len(self.action_names),
            probabilities=np.broadcast_to(np.array([1.0 - blocked, blocked])[: shape[-1]], shape),
            next_states=(next_charge * (carried + 1) + next_load) * flat.size + next_cell,
            rewards=step_reward + delivery_reward * delivered + stranded_reward * stranded,
            terminated=delivered | stranded,
            initial_distribution=initial.reshape(-1) / initial.sum(),
            success=np.broadcast_to(delivered, shape),
        )
        super().__init__(model, render_mode=render_mode)

    def describe(self, state: int) -> tuple[int, int, int]:
        """(charge, cell where the order waits or -1 once it is carried, cell of the robot) of a state.

        Cells are numbered in reading order, row * columns + column.

        Args:
            state: number of a state, from 0.
        """
        rest, cell = divmod(int(state), self.cells.size)
        charge, load = divmod(rest, self.stations.size + 1)
        return charge, int(self.stations[load]) if load < self.stations.size else -1, cell

    def render_text(self) -> str:
        """The map, the robot as 'x', and what it carries or fetches on which charge."""
        charge, order_at, cell = self.describe(self.s)
        row, column = divmod(order_at, self.cells.shape[1])
        order = "carries the order" if order_at < 0 else f"the order waits in row {row}, column {column}"
        battery = f"battery {charge} of {self.capacity}, {order}"
        return f"{self.last_action_text()}{battery}\n{draw_map(self.cells, cell)}"


def shortest_way(observation: int) -> int:
    """The shortest way to the order and to the desk, whatever the charge.

    For `velodrome/Warehouse-v0` with its default arguments, whose observation it takes apart, as
    `rule('velodrome.envs.applications:shortest_way')`.

    Args:
        observation: as `step` gives it.
    """
    _, order, cell = _default_hall().describe(observation)
    goal = order if order >= 0 else _cell_of(b"D")
    if cell == goal:
        return PUT_DOWN if order < 0 else PICK_UP
    return _towards(goal, cell)


def charge_first(observation: int) -> int:
    """`shortest_way` where the charge is a fifth more than it needs, else to the charger, until it is.

    Args:
        observation: as `step` gives it.
    """
    charge, order, cell = _default_hall().describe(observation)
    desk, charger = _cell_of(b"D"), _cell_of(b"C")
    needed = _steps_to(desk)[cell] + 1
    if order >= 0:
        needed = _steps_to(order)[cell] + 1 + _steps_to(desk)[order] + 1
    if 5 * charge >= 6 * needed:
        return shortest_way(observation)
    return CHARGE if cell == charger else _towards(charger, cell)


@cache
def _default_hall() -> Warehouse:
    return Warehouse()


@cache
def _moves() -> NDArray[np.int32]:
    """Cell that each move leads to from each cell of the default hall, (cells, 4)."""
    cells = _default_hall().cells
    return next_cells(cells, np.zeros(cells.shape, dtype=np.bool_))[:, :, 0]


@cache
def _cell_of(letter: bytes) -> int:
    """The only cell of the default hall with a letter."""
    return int(np.flatnonzero(_default_hall().cells.reshape(-1) == letter)[0])


@cache
def _steps_to(goal: int) -> list[int]:
    """Steps from each cell of the default hall to one of its cells, where nobody stands in the way."""
    moves = _moves()
    steps = np.full(len(moves), len(moves))
    steps[goal] = 0
    for _ in moves:
        steps = np.minimum(steps, 1 + steps[moves].min(axis=1))
    return list(steps.tolist())


def _towards(goal: int, cell: int) -> int:
    """The first move of a shortest way."""
    steps = _steps_to(goal)
    return min(range(PICK_UP), key=lambda move: steps[_moves()[cell, move]])
