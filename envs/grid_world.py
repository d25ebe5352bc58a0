"""Grid worlds drawn as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from velodrome.checks import check_number, check_probability
from velodrome.envs.model.model_environment import ModelEnvironment
from velodrome.envs.model.transition_model import TransitionModel

FOUR_ROOMS = """\
#############
#S....#.....#
#.....#.....#
#...........#
#.....#.....#
#.....#.....#
##.####.....#
#.....###.###
#.....#.....#
#.....#.....#
#...........#
#.....#....G#
#############"""

LETTERS = "SG#.XH"
NEEDED = (("S", "a start"), ("G", "a goal"))
# Left, down, right, up, as in Gymnasium's FrozenLake: (rows, columns).
MOVES = ((0, -1), (1, 0), (0, 1), (-1, 0))


class GridWorld(ModelEnvironment):
    """Find the goal on a map drawn as text.

    ## Description
    The map has 'S' starts, 'G' goals, '#' walls, '.' free cells, and 'X' or 'H' pits. A move into a wall or
    off the map stays in place. With probability `slip` a move goes sideways, half of it to either side.

    ## Action Space
    Discrete(4): 0 left, 1 down, 2 right, 3 up.

    ## Observation Space
    Discrete(rows * columns): row * columns + column; walls are counted, and never entered.

    ## Starting State
    Uniform over the starts.

    ## Rewards
    goal_reward for entering a goal, pit_reward for entering a pit, step_reward for any other step; each of them
    plus or minus noise, one as likely as the other.

    ## Episode End
    Terminates in a goal or a pit. `velodrome/GridWorld-v0` is truncated after 500 steps: a larger map needs
    its own max_episode_steps. Success is a goal. Optimum of the default map, four rooms: 20 steps, return 1.

    ## Arguments
    `map_text`, the default being four rooms: one text with rows separated by newlines or '/', or a list of
    rows; `slip=0.0`, `goal_reward=1.0`, `pit_reward=0.0`, `step_reward=0.0`,
    `noise=0.0`.

    ## Reference
    Sutton, Precup & Singh (1999), Between MDPs and semi-MDPs, for the four rooms.

    ## Version History
    v0: first version.
    """

    action_names: ClassVar[tuple[str, ...]] = ("left", "down", "right", "up")

    def __init__(
        self,
        map_text: str | Sequence[str] = FOUR_ROOMS,
        slip: float = 0.0,
        goal_reward: float = 1.0,
        pit_reward: float = 0.0,
        step_reward: float = 0.0,
        noise: float = 0.0,
        render_mode: str | None = None,
    ) -> None:
        slip = check_probability("slip", slip)
        goal_reward = check_number("goal_reward", goal_reward)
        pit_reward = check_number("pit_reward", pit_reward)
        step_reward = check_number("step_reward", step_reward)
        noise = check_number("noise", noise, 0.0)
        self.cells = read_map(map_text)
        flat = self.cells.reshape(-1)
        starts, goal, over = flat == b"S", flat == b"G", np.isin(flat, (b"G", b"X", b"H"))
        next_states = next_cells(self.cells, over.reshape(self.cells.shape), sideways=slip > 0.0)
        inside = ~(over | (flat == b"#"))
        reward_of_entering = np.select([goal, over], [goal_reward, pit_reward], step_reward)
        rewards = reward_of_entering[next_states]
        # The rows of cells that no step leaves: the goal, pits and walls.
        rewards[~inside] = 0.0
        entering = over[next_states]
        entering[~inside] = True
        success = goal[next_states]
        chances = np.array([slip / 2, 1.0 - slip, slip / 2] if slip > 0.0 else [1.0])
        if noise > 0.0:
            # Every outcome twice: with less and with more.
            chances = np.tile(chances / 2.0, 2)
            rewards = np.concatenate([rewards - noise, rewards + noise], axis=-1)
            rewards[~inside] = 0.0
            next_states, entering, success = (
                np.concatenate([array, array], axis=-1) for array in (next_states, entering, success)
            )
        model = TransitionModel.from_arrays(
            flat.size,
            4,
            probabilities=np.broadcast_to(chances, next_states.shape),
            next_states=next_states,
            rewards=rewards,
            terminated=entering,
            initial_distribution=starts / starts.sum(),
            success=success,
        )
        super().__init__(model, render_mode=render_mode)

    def render_text(self) -> str:
        """The map, the walker as 'x'."""
        return f"{self.last_action_text()}\n{draw_map(self.cells, self.s)}"


def draw_map(cells: NDArray[np.bytes_], walker: int) -> str:
    """The cells as text, 'x' in place of the one where the walker is, a number in reading order."""
    drawn = cells.copy()
    drawn.reshape(-1)[walker] = b"x"
    return "\n".join(b"".join(row).decode() for row in drawn) + "\n"


def read_map(
    map_text: str | Sequence[str], letters: str = LETTERS, needed: Sequence[tuple[str, str]] = NEEDED
) -> NDArray[np.bytes_]:
    """The cells of a map, one byte each, shape (rows, columns).

    Args:
        map_text: a text with rows separated by newlines or '/', or a list of rows.
        letters: those that are allowed.
        needed: letters of which there must be one at least, each with what it means.

    Raises:
        ValueError: naming the row or the letter at fault, or what the map lacks.
    """
    if isinstance(map_text, str):
        map_text = map_text.strip().replace("/", "\n").split("\n")
    if not isinstance(map_text, Sequence) or not map_text:
        raise ValueError(f"map_text must be a text or a list of rows, got {map_text!r}")
    rows = [row.strip() if isinstance(row, str) else row for row in map_text]
    for number, row in enumerate(rows):
        if not isinstance(row, str):
            raise ValueError(f"map_text row {number} must be a text, got {row!r}")
        unknown = set(row) - set(letters)
        if unknown:
            raise ValueError(f"map_text row {number} has {min(unknown)!r}: allowed are {', '.join(map(repr, letters))}")
        if len(row) != len(rows[0]):
            raise ValueError(
                f"map_text must be a rectangle: row 0 has {len(rows[0])} cells, row {number} has {len(row)}"
            )
    cells = np.array(rows, dtype=np.bytes_).view("S1").reshape(len(rows), -1)
    for letter, meaning in needed:
        if not (cells == letter.encode()).any():
            raise ValueError(f"map_text needs at least one {letter!r}, {meaning}, got none")
    return cells


def next_cells(cells: NDArray[np.bytes_], over: NDArray[np.bool_], sideways: bool = False) -> NDArray[np.int32]:
    """Where each action leads, (rows * columns, 4, outcomes); outcomes are one, or left, ahead and right.

    Args:
        cells: of a map, (rows, columns); '#' is entered by no move.
        over: cells that no move leaves, bool (rows, columns).
        sideways: whether moves may slip.
    """
    rows, columns = cells.shape
    here = np.arange(cells.size, dtype=np.int32).reshape(rows, columns)
    blocked = cells == b"#"
    stays = blocked | over
    reached = np.empty((cells.size, 4), dtype=np.int32)
    for action, (down, right) in enumerate(MOVES):
        to_row = (np.arange(rows) + down).clip(0, rows - 1)[:, None]
        to_column = (np.arange(columns) + right).clip(0, columns - 1)[None, :]
        target = np.where(blocked[to_row, to_column] | stays, here, here[to_row, to_column])
        reached[:, action] = target.reshape(-1)
    if not sideways:
        return reached[:, :, None]
    around = (np.arange(4)[:, None] + np.array([-1, 0, 1])) % 4
    return reached[:, around]
