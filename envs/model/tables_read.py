"""What was read from the tables of Gymnasium's own environments, kept for as long as a table is the same.

To compare a table with a copy of it takes a fiftieth of the time of reading it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from velodrome.envs.model.known_dynamics import GYMNASIUM_CLASSES

Read = TypeVar("Read")

# So many tables of each class, those that were asked for last.
MOST_TABLES = 4
# What beside `P` decides what is read: the map and the places of Taxi's action masks and of the goals.
_FURTHER = ("desc", "locs", "nS", "initial_state_distrib")


class _Table:
    """A copy of `P` and of what goes with it, and what was read from them by name."""

    def __init__(self, copy: dict[Any, Any], further: tuple[Any, ...]) -> None:
        self.copy, self.further = copy, further
        self.read: dict[str, Any] = {}

    def is_of(self, table: dict[Any, Any], further: tuple[Any, ...]) -> bool:
        try:
            return self.further == further and self.copy == table
        except ValueError:
            # It holds arrays, which are neither equal nor not.
            return False


_tables: dict[type, tuple[_Table, ...]] = {}


def read_once(unwrapped: Any, name: str, read: Callable[[], Read]) -> Read:
    """`read()`, or what it gave when it was last called under this name for an environment with the same table.

    Only exactly Gymnasium's own classes are compared, and only tables of tuples of numbers; others are read each time.

    Args:
        unwrapped: an environment without its wrappers; what is read depends on `P` and what goes with it alone.
        name: of what is read.
        read: reads it; if it raises, nothing is kept.
    """
    table = _table_of(unwrapped)
    if table is None:
        return read()
    if name not in table.read:
        table.read[name] = read()
    found: Read = table.read[name]
    return found


def _table_of(unwrapped: Any) -> _Table | None:
    kind, own = type(unwrapped), vars(unwrapped)
    if kind not in GYMNASIUM_CLASSES or type(own.get("P")) is not dict or "action_mask" in own:
        return None
    further = (getattr(kind, "action_mask", None), *(_value(own.get(name)) for name in _FURTHER))
    tables = _tables.get(kind, ())
    found = next((table for table in tables if table.is_of(unwrapped.P, further)), None)
    if found is None:
        copy = _copied(unwrapped.P)
        if copy is None:
            return None
        found = _Table(copy, further)
    if not tables or found is not tables[0]:
        _tables[kind] = (found, *(table for table in tables if table is not found))[:MOST_TABLES]
    return found


def _value(member: Any) -> Any:
    """A member as a value that nothing changes afterwards."""
    if isinstance(member, np.ndarray):
        return member.shape, member.dtype.str, member.tobytes()
    return repr(member)


def _copied(table: dict[Any, Any]) -> dict[Any, Any] | None:
    """Copy of a table, which shares its outcomes; None where it holds what might change."""
    for by_action in table.values():
        if type(by_action) is not dict:
            return None
        for outcomes in by_action.values():
            if type(outcomes) is not list or not all(map(_is_fixed, outcomes)):
                return None
    return {state: {action: list(outcomes) for action, outcomes in row.items()} for state, row in table.items()}


def _is_fixed(outcome: Any) -> bool:
    return type(outcome) is tuple and all(isinstance(number, int | float | np.generic) for number in outcome)
