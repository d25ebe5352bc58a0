"""The grid world of a transition model, in the form in which a reader may change it while somebody learns."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from velodrome.envs.grid_layout import GridLayout
from velodrome.envs.model.transition_model import TransitionModel

_TOLERANCE = 1e-9


def live_world(model: TransitionModel, layout: GridLayout) -> dict[str, Any] | None:
    """What a `GridWorld` of live_learner.js is made of, which steps exactly as the model does.

    In such a world a move leads to the next cell, or stays where a wall or the rim is in the way; with one probability
    it slips to either side; and what a cell gives, whether it ends the episode, and whether it sends elsewhere, depends
    on the cell alone.

    Args:
        model: of the environment.
        layout: of its states.

    Returns:
        A JSON-ready dict by cell; None where the model is no such world.
    """
    rows, columns = layout.rows, layout.columns
    cells = (layout.cells[:, 1] * columns + layout.cells[:, 2]).tolist()
    moves = [move for move in layout.directions if move is not None]
    is_one_grid = len(layout.kinds) == 1 and not layout.walls and (layout.cells >= 0).all()
    if not is_one_grid or len(set(cells)) != len(cells) or len(moves) != model.num_actions:
        return None
    slip = _slip(model)
    if slip is None:
        return None
    across = [_sideways(moves, action) for action in range(len(moves))]
    if slip > 0 and None in across:
        return None
    closed = set(np.flatnonzero(layout.kinds[0] == "wall").tolist()) | set(range(rows * columns)) - set(cells)

    def target(cell: int, action: int) -> int:
        row, column = cell // columns + moves[action][0], cell % columns + moves[action][1]
        if not (0 <= row < rows and 0 <= column < columns) or row * columns + column in closed:
            return cell
        return int(row * columns + column)

    # What entering a cell gives: reward, whether it ends the episode, where one finds oneself.
    entered: dict[int, tuple[float, bool, int]] = {}
    for state in _where_steps_are_taken(model):
        cell = cells[state]
        for action, sides in enumerate(across):
            ways = [action] if slip == 0 or sides is None else [sides[0], action, sides[1]]
            first = int(model.offsets[state * model.num_actions + action])
            for way, outcome in zip(ways, range(first, first + len(ways)), strict=True):
                reached, next_cell = target(cell, way), cells[model.next_states[outcome]]
                found = float(model.rewards[outcome]), bool(model.terminated[outcome]), next_cell
                if (reached == cell and next_cell != cell) or entered.setdefault(reached, found) != found:
                    return None
    plain = Counter(reward for reward, ends, _ in entered.values() if not ends).most_common(1)
    step_reward = plain[0][0] if plain else 0.0
    starts = np.zeros(rows * columns)
    starts[cells] = model.initial_distribution
    all_cells = [entered.get(cell, (step_reward, False, cell)) for cell in range(rows * columns)]
    return {
        "rows": rows,
        "columns": columns,
        "moves": [list(move) for move in moves],
        "rewards": [reward for reward, _, _ in all_cells],
        "ends": [int(ends) for _, ends, _ in all_cells],
        "leadsTo": [leads_to for _, _, leads_to in all_cells],
        "walls": [int(cell in closed) for cell in range(rows * columns)],
        "starts": starts.tolist(),
        "slip": slip,
        "timeLimit": model.time_limit,
    }


def _slip(model: TransitionModel) -> float | None:
    """Probability of a move to either side, the same of all states and actions; None where there is no such number."""
    offsets = model.offsets
    pairs = [state * model.num_actions for state in _where_steps_are_taken(model)]
    firsts = np.array([pair + action for pair in pairs for action in range(model.num_actions)], dtype=np.int64)
    sizes = set((offsets[firsts + 1] - offsets[firsts]).tolist())
    if sizes == {1}:
        return 0.0
    if sizes != {3}:
        return None
    chances = model.probabilities[offsets[firsts][:, None] + np.arange(3)]
    slip = 2 * float(chances[0, 0])
    alike = np.abs(chances - [slip / 2, 1 - slip, slip / 2]) <= _TOLERANCE
    return slip if alike.all() and slip > 0 else None


def _where_steps_are_taken(model: TransitionModel) -> list[int]:
    """States that can be reached from a start before an episode ends, ascending."""
    waiting = np.flatnonzero(model.initial_distribution > 0).tolist()
    found = set(waiting)
    while waiting:
        first = waiting.pop() * model.num_actions
        outcomes = slice(model.offsets[first], model.offsets[first + model.num_actions])
        lasting = model.next_states[outcomes][~model.terminated[outcomes] & (model.probabilities[outcomes] > 0)]
        new = set(lasting.tolist()) - found
        found |= new
        waiting += new
    return sorted(found)


def _sideways(moves: Sequence[Any], action: int) -> tuple[int, int] | None:
    """The two actions across another, in the order in which a slip is drawn; see `sidewaysOf` in live_learner.js."""
    number = len(moves)

    def is_across(other: int) -> bool:
        return bool(moves[other][0] * moves[action][0] + moves[other][1] * moves[action][1] == 0)

    before, after = (action - 1) % number, (action + 1) % number
    if before != after and is_across(before) and is_across(after):
        return before, after
    across = [other for other in range(number) if is_across(other)]
    return (across[0], across[1]) if len(across) == 2 else None
