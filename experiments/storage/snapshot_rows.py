"""Learning snapshots as the store keeps them: rows beside the measured curves of a trial, under names of their own."""

from collections.abc import Sequence

import numpy as np

from velodrome.agents.snapshots import Snapshots
from velodrome.experiments.storage.episode_curves import CurvesError, PackedCurve, pack_array, unpack_array

# Of names of such rows; no curve's begins so.
_PREFIX = "snapshots."
_VALUES, _VISITS, _EXPLORATION = (f"{_PREFIX}{name}" for name in ("action_values", "visits", "exploration"))
_LARGEST_NUMBER = 2**31


def pack_snapshots(snapshots: Snapshots) -> tuple[PackedCurve, ...]:
    """Rows in order of names; equal snapshots give equal bytes.

    The `at` of each holds the shape (num_states, num_actions), then episodes and steps of each snapshot.
    """
    number, num_states, num_actions = snapshots.action_values.shape
    moments = np.stack([snapshots.episodes, snapshots.steps], axis=1)
    at = pack_array(np.append([[num_states, num_actions]], moments), "<i8")
    rows = {_VALUES: pack_array(snapshots.action_values, "<f4"), _EXPLORATION: pack_array(snapshots.exploration, "<f8")}
    if snapshots.visits is not None:
        rows[_VISITS] = pack_array(snapshots.visits, "<i8")
    return tuple(PackedCurve(name, "snapshot", number, at, rows[name]) for name in sorted(rows))


def is_of_snapshots(row: PackedCurve) -> bool:
    """Whether a row is none of a measured curve."""
    return isinstance(row.name, str) and row.name.startswith(_PREFIX)


def unpack_snapshots(rows: Sequence[PackedCurve]) -> Snapshots | None:
    """What `pack_snapshots` was given, from all rows of a trial; None where none of them is of snapshots.

    Raises:
        CurvesError: they are damaged, or do not fit together.
    """
    found = {row.name: row for row in rows if is_of_snapshots(row)}
    if not found:
        return None
    values, exploration, visits = found.get(_VALUES), found.get(_EXPLORATION), found.get(_VISITS)
    if values is None or exploration is None or not isinstance(values.num_points, int) or values.num_points < 1:
        raise CurvesError("the snapshots are not complete")
    number = values.num_points
    at = unpack_array(values.at, "<i8", 2 * number + 2, "snapshots").reshape(-1, 2)
    num_states, num_actions = at[0].tolist()
    if not (0 < num_states < _LARGEST_NUMBER and 0 < num_actions < _LARGEST_NUMBER):
        raise CurvesError(f"the snapshots are of {num_states} states and {num_actions} actions")
    size = number * num_states
    table = unpack_array(values.values, "<f4", size * num_actions, "action values")
    counted = None if visits is None else unpack_array(visits.values, "<i8", size, "visits")
    return Snapshots(
        at[1:, 0],
        at[1:, 1],
        table.reshape(number, num_states, num_actions),
        None if counted is None else counted.reshape(number, num_states),
        unpack_array(exploration.values, "<f8", number, "snapshots"),
    )
