"""A wall of bricks, a ball and a paddle."""

from __future__ import annotations

from typing import Any, ClassVar, SupportsInt, cast

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from velodrome.checks import check_choice, check_probability

SIZE = 10
BRICK_ROWS = (1, 2, 3)
# Row in which the paddle lies, and into which a ball that is lost falls.
BOTTOM = SIZE - 1
# Planes of an observation.
PADDLE, BALL, NEXT, BRICKS = range(4)
# Columns by which each action moves the paddle.
MOVES = (0, -1, 1)

# The bytes of an observation of bricks alone.
_WALL = bytes(row in BRICK_ROWS and plane == BRICKS for row in range(SIZE) for _ in range(SIZE) for plane in range(4))

_CELL = 16
_BACKGROUND, _PADDLE_COLOUR, _BALL_COLOUR = (18, 20, 28), (120, 190, 255), (255, 255, 255)
_ROW_COLOURS = ((222, 73, 64), (238, 148, 52), (240, 208, 78))


class Bricks(gym.Env[NDArray[np.uint8], int]):
    """Keep the ball in the game with a paddle, until it has broken all bricks of a wall.

    ## Description
    The field has 10 rows of 10 cells. Rows 1 to 3, counted from the top, are a wall of 30 bricks, with a row free
    behind it. The paddle lies in the bottom row and is three cells wide. In each step it moves by a cell, or stays, and
    then the ball goes on by a row, straight or diagonally, to its next place:

    - a brick there breaks, and the ball turns back up or down;
    - at the top it turns down, at the left and right inwards;
    - where its next place is a cell of the paddle, the ball turns up above that cell instead of entering it. The
      middle of the paddle leaves its direction to the side as it is; the left cell turns it by one to the left, the
      right cell by one to the right: a ball that comes from the left goes up straight from the left cell, a straight
      one goes left;
    - where its next place is in the bottom row beside the paddle, it is lost.

    To follow the ball is enough not to lose it; to break the last bricks it must be aimed.

    ## Action Space
    Discrete(3): 0 stay, 1 left, 2 right.

    ## Observation Space
    Box(0, 1, (10, 10, 4), uint8): for each row and column, four planes: 1 where the paddle is, the ball, the ball's
    next place unless the paddle turns it, the bricks. The next place shows the direction, so that an observation is the
    whole state.

    ## Starting State
    All bricks, the paddle's middle in column 4, and the ball in row 4 on its way down, in a column and to a side (left
    or right) that are drawn uniformly.

    ## Rewards
    1 for a brick.

    ## Episode End
    Terminates when the ball is lost, or when all bricks are broken, which is success (`info["is_success"]`). No new
    wall comes, so that the best return is known: 30, from every start, and reached. `velodrome/Bricks-v0` is truncated
    after 500 steps; a way that breaks all bricks in 284 steps at most is known from every start.

    ## Arguments
    `sticky_actions=0.0`: probability with which a step repeats the last action instead of the given one, which
    no observation shows. Without it nothing but the start is random.

    ## Reference
    After Breakout (Atari, 1976), with rules of its own. Sticky actions: Machado et al. (2018), Revisiting the Arcade
    Learning Environment, JAIR 61.

    ## Version History
    v0: first version.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi", "rgb_array"], "render_fps": 20}  # noqa: RUF012
    action_names: ClassVar[tuple[str, ...]] = ("stay", "left", "right")

    def __init__(self, sticky_actions: float = 0.0, render_mode: str | None = None) -> None:
        check_choice("render_mode", render_mode, (None, *self.metadata["render_modes"]))
        self.sticky_actions = check_probability("sticky_actions", sticky_actions)
        self.render_mode = render_mode
        self.observation_space = spaces.Box(0, 1, (SIZE, SIZE, 4), np.uint8)
        self.action_space = cast("spaces.Space[int]", spaces.Discrete(len(MOVES)))
        # The observation, byte by byte: Python writes to it faster than to an array.
        self._cells = bytearray(SIZE * SIZE * 4)
        self.bricks_left = self.paddle = self.row = self.column = self.down = self.right = 0
        self._last_action, self._is_over = 0, True

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        """Begin a game; `options` has no effect."""
        super().reset(seed=seed)
        column, side = divmod(int(self.np_random.integers(2 * SIZE)), 2)
        self.row, self.column, self.down = BRICK_ROWS[-1] + 1, column, 1
        self.right = _inwards(column, 2 * side - 1)
        self.paddle, self.bricks_left = (SIZE - 1) // 2, len(BRICK_ROWS) * SIZE
        self._last_action, self._is_over = 0, False
        cells = self._cells
        cells[:] = _WALL
        for place in range(self.paddle - 1, self.paddle + 2):
            cells[_place(BOTTOM, place, PADDLE)] = 1
        cells[_place(self.row, column, BALL)] = 1
        cells[_place(self.row + self.down, column + self.right, NEXT)] = 1
        return self._observed(), {}

    def step(self, action: SupportsInt) -> tuple[NDArray[np.uint8], float, bool, bool, dict[str, Any]]:
        """Move the paddle, then the ball; info["is_success"] says whether all bricks are broken.

        Raises:
            ValueError: the action is none of the action space.
            gymnasium.error.ResetNeeded: the game is over.
        """
        chosen = int(action)
        if not 0 <= chosen < len(MOVES):
            raise ValueError(f"action must be 0 to {len(MOVES) - 1}, got {action!r}")
        if self._is_over:
            raise gym.error.ResetNeeded("call reset() before step()")
        if self.sticky_actions and self.np_random.random() < self.sticky_actions:
            chosen = self._last_action
        self._last_action = chosen
        cells, move = self._cells, MOVES[chosen]
        if move and 1 <= self.paddle + move <= SIZE - 2:
            middle = _place(BOTTOM, self.paddle, PADDLE)
            cells[middle - 4 * move], cells[middle + 8 * move] = 0, 1
            self.paddle += move
        row, column, right = self.row + self.down, self.column + self.right, self.right
        place = _place(row, column)
        cells[_place(self.row, self.column, BALL)] = cells[place + NEXT] = 0
        reward = 0.0
        if row == BOTTOM:
            from_middle = column - self.paddle
            if -1 <= from_middle <= 1:
                row, self.down = BOTTOM - 1, -1
                right = min(max(right + from_middle, -1), 1)
            else:
                self._is_over = True
        elif cells[place + BRICKS]:
            cells[place + BRICKS] = 0
            self.down, reward = -self.down, 1.0
            self.bricks_left -= 1
            self._is_over = self.bricks_left == 0
        if row == 0:
            self.down = 1
        self.row, self.column, self.right = row, column, _inwards(column, right)
        cells[_place(row, column, BALL)] = 1
        if row != BOTTOM:
            cells[_place(row + self.down, column + self.right, NEXT)] = 1
        return self._observed(), reward, self._is_over, False, {"is_success": self.bricks_left == 0}

    def _observed(self) -> NDArray[np.uint8]:
        return np.frombuffer(self._cells[:], np.uint8).reshape(SIZE, SIZE, 4)

    def render(self) -> Any:
        """Text where render_mode is "ansi", a picture uint8 (160, 160, 3) where it is "rgb_array"; else None."""
        if self.render_mode is None:
            gym.logger.warn('render() needs render_mode="ansi" or "rgb_array", given when the environment is made')
            return None
        return self.render_text() if self.render_mode == "ansi" else self.render_picture()

    def render_text(self) -> str:
        """The field, bricks as '#', the ball as 'o', the paddle as '=', and how many bricks are left."""
        letters, planes = np.full((SIZE, SIZE), "."), self._observed()
        for plane, letter in ((BRICKS, "#"), (PADDLE, "="), (BALL, "o")):
            letters[planes[:, :, plane] == 1] = letter
        return "\n".join(["".join(row) for row in letters] + [f"{self.bricks_left} bricks left", ""])

    def render_picture(self) -> NDArray[np.uint8]:
        """The field in colours."""
        picture, planes = np.full((SIZE * _CELL, SIZE * _CELL, 3), _BACKGROUND, np.uint8), self._observed()
        tile = np.zeros((_CELL, _CELL), np.bool_)
        tile[1:-1, 1:-1] = True
        away = np.arange(_CELL) - (_CELL - 1) / 2
        disc = away[:, np.newaxis] ** 2 + away**2 <= (_CELL / 2 - 1.5) ** 2
        cells = [(BRICKS, tile, dict(zip(BRICK_ROWS, _ROW_COLOURS, strict=True)))]
        cells += [(PADDLE, tile, {BOTTOM: _PADDLE_COLOUR}), (BALL, disc, dict.fromkeys(range(SIZE), _BALL_COLOUR))]
        for plane, shape, colours in cells:
            for row, column in np.argwhere(planes[:, :, plane]).tolist():
                top, left = row * _CELL, column * _CELL
                picture[top : top + _CELL, left : left + _CELL][shape] = colours[row]
        return picture


def follow_the_ball(observation: NDArray[np.uint8]) -> int:
    """The paddle's middle under the ball's next place; for `velodrome/Bricks-v0`.

    Args:
        observation: picture, uint8, as `step` gives it.
    """
    away = ball_from_paddle(observation)[0]
    return 1 if away < 0 else 2 if away > 0 else 0


def ball_from_paddle(observation: NDArray[np.uint8]) -> tuple[int, int, int]:
    """Where the ball of `velodrome/Bricks-v0` goes, as three small numbers.

    Args:
        observation: picture, uint8, as `step` gives it.

    Returns:
        Columns from the paddle's middle to the ball's next place, and rows and columns that the ball goes on by in a
        step, downwards and to the right.
    """
    paddle = int(observation[BOTTOM, :, PADDLE].argmax()) + 1
    row, column = divmod(int(observation[:, :, BALL].argmax()), SIZE)
    next_row, next_column = divmod(int(observation[:, :, NEXT].argmax()), SIZE)
    return next_column - paddle, next_row - row, next_column - column


def _inwards(column: int, right: int) -> int:
    """Direction to the side that does not lead out of the field."""
    return -right if not 0 <= column + right < SIZE else right


def _place(row: int, column: int, plane: int = 0) -> int:
    """Number of a byte of the observation."""
    return 4 * (SIZE * row + column) + plane
