"""A treasure that only one sequence of actions reaches."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from velodrome.checks import check_flag, check_integer
from velodrome.envs.model.model_environment import ModelEnvironment
from velodrome.envs.model.transition_model import TransitionModel

MOVE_COST = 0.01
TREASURE = 1.0


class DeepSea(ModelEnvironment):
    """Dive `size` rows deep; only moving right in every row finds the treasure.

    ## Description
    The diver starts in the upper left corner of a square and sinks one row a step, moving left or right. Each
    move right costs a little, and the treasure lies in the lower right corner: random actions find it with
    probability 2 ** -size. Which of the two actions means right differs from cell to cell.

    ## Action Space
    Discrete(2): in each cell one moves left and the other right, drawn from mapping_seed; with
    randomize_actions=False 0 is left and 1 is right.

    ## Observation Space
    Discrete(size * size): row * size + column.

    ## Starting State
    State 0, the upper left corner.

    ## Rewards
    -0.01 / size for the action right, 0 for left; 1 for the action right in the lower right corner, besides.

    ## Episode End
    Terminates after `size` steps; the last observation is the cell of the bottom row moved to. Success is the
    treasure. Optimum: right in every row, return 0.99 when deterministic, else success with probability
    (1 - 1 / size) ** (size - 1).

    ## Arguments
    `size=10`; `deterministic=True`, if False a move right stays in its column with probability 1 / size;
    `randomize_actions=True`; `mapping_seed=0`.

    ## Reference
    Osband et al. (2020), Behaviour Suite for Reinforcement Learning. Differences: the reward has no noise
    when not deterministic; the mapping is drawn by another generator; the end is no state of its own.

    ## Version History
    v0: first version.
    """

    def __init__(
        self,
        size: int = 10,
        deterministic: bool = True,
        randomize_actions: bool = True,
        mapping_seed: int = 0,
        render_mode: str | None = None,
    ) -> None:
        self.size = check_integer("size", size, minimum=2, maximum=30_000)
        check_flag("deterministic", deterministic)
        check_flag("randomize_actions", randomize_actions)
        check_integer("mapping_seed", mapping_seed, minimum=0)
        right_actions = np.ones((self.size, self.size), dtype=np.int64)
        if randomize_actions:
            right_actions = np.random.default_rng(mapping_seed).integers(0, 2, size=(self.size, self.size))
        super().__init__(_model(right_actions, deterministic), render_mode=render_mode)

    def render_text(self) -> str:
        """The square, the diver as 'x'."""
        rows = [["."] * self.size for _ in range(self.size)]
        rows[self.s // self.size][self.s % self.size] = "x"
        return f"{self.last_action_text()}\n" + "\n".join("".join(row) for row in rows) + "\n"


def _model(right_actions: NDArray[np.int64], deterministic: bool) -> TransitionModel:
    """Axes of all arrays: row, column, action, outcome; outcome 1 is a failed move right."""
    size = right_actions.shape[0]
    num_outcomes = 1 if deterministic else 2
    shape = (size, size, 2, num_outcomes)
    is_right = (np.arange(2) == right_actions[:, :, None])[:, :, :, None]
    column = np.arange(size)[None, :, None, None]
    failed = np.arange(num_outcomes) == 1
    next_column = np.where(is_right, column + ~failed, column - 1).clip(0, size - 1)
    next_row = np.minimum(np.arange(1, size + 1), size - 1)[:, None, None, None]
    fail = 0.0 if deterministic else 1.0 / size
    chances = np.array([1.0 - fail, fail])[:num_outcomes]
    rewards = np.broadcast_to(np.where(is_right, -MOVE_COST / size, 0.0), shape).copy()
    corner = np.broadcast_to(is_right[-1, -1], (2, num_outcomes))
    rewards[-1, -1][corner] += TREASURE
    success = np.zeros(shape, dtype=np.bool_)
    success[-1, -1][corner] = True
    terminated = np.zeros(shape, dtype=np.bool_)
    terminated[-1] = True
    return TransitionModel.from_arrays(
        size * size,
        2,
        # A move left has one outcome; listed twice it keeps the arrays rectangular and its chances the same.
        probabilities=np.broadcast_to(chances, shape),
        next_states=np.broadcast_to(next_row * size + next_column, shape).astype(np.int32),
        rewards=rewards,
        terminated=terminated,
        initial_distribution=0,
        success=success,
    )
