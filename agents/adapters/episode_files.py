"""Files of episodes that other programs write: CSV, as Stable-Baselines3's Monitor too, and TensorBoard's events."""

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from velodrome.checks import VelodromeError, closest

# Larger whole numbers are not all floats.
MOST_STEPS = 2**53
_TRUTH = {"True": True, "False": False, "1": True, "0": False, "1.0": True, "0.0": False}
# Of a TensorBoard record: its length and a check sum before, a check sum behind.
_BEFORE, _BEHIND = 12, 4


class EpisodeFileError(VelodromeError, ValueError):
    """A file of episodes that cannot be read; one line that names it and, where there is one, the line."""


@dataclass(frozen=True, eq=False)
class EpisodeTable:
    """A CSV file with a row of names, and a row an episode.

    Attributes:
        file: that was read.
        header: object in the line before the names, where that is `#` and JSON as Stable-Baselines3's Monitor writes.
        columns: by name, as texts.
        lines: number of each row's line in the file, from 1.
    """

    file: Path
    header: dict[str, Any] | None
    columns: dict[str, list[str]]
    lines: list[int]

    @classmethod
    def read(cls, file: Path) -> "EpisodeTable":
        """The table in a file.

        Raises:
            EpisodeFileError: it cannot be read, or a row is longer or shorter than the row of names.
        """
        try:
            with file.open(encoding="utf-8-sig", newline="") as lines:
                text = lines.read()
            first, _, rest = text.partition("\n")
            header = json.loads(first.removeprefix("#")) if first.startswith("#") else None
        except (OSError, ValueError) as error:
            raise EpisodeFileError(f"{file}: cannot be read: {' '.join(str(error).split())}") from None
        reader = csv.reader(io.StringIO(rest if first.startswith("#") else text))
        before = 1 if first.startswith("#") else 0
        try:
            rows = [(reader.line_num + before, row) for row in reader if row]
        except csv.Error as error:
            raise EpisodeFileError(f"{file}: cannot be read: {error}") from None
        names = rows[0][1] if rows else []
        for line, row in rows:
            if len(row) != len(names):
                raise EpisodeFileError(
                    f"{file}, line {line}: has {len(row)} values, but there are {len(names)} columns"
                )
        columns = {name.strip(): [row[place] for _, row in rows[1:]] for place, name in enumerate(names)}
        return cls(file, header if isinstance(header, dict) else None, columns, [line for line, _ in rows[1:]])

    def numbers(self, name: str, *, are_counts: bool = False) -> NDArray[np.float64]:
        """A column of finite numbers, float64 (num_rows,).

        Args:
            name: of the column.
            are_counts: whether they must be whole numbers from 1.

        Raises:
            EpisodeFileError: there is no such column, or a value is something else; the message has its line.
        """
        if name not in self.columns:
            raise EpisodeFileError(f"{self.file}: has no column {name!r}")
        found = []
        for line, text in zip(self.lines, self.columns[name], strict=True):
            number = _number(text)
            if math.isnan(number):
                raise EpisodeFileError(f"{self.file}, line {line}: column {name!r} holds no number")
            if not math.isfinite(number) or (are_counts and not _is_count(number)):
                allowed = "a whole number of steps from 1" if are_counts else "a finite number"
                raise EpisodeFileError(f"{self.file}, line {line}: column {name!r} must be {allowed}, got {number:g}")
            found.append(number)
        return np.array(found, dtype=np.float64)

    def truths(self, name: str) -> NDArray[np.bool_] | None:
        """A column of True and False, or 1 and 0; None where there is none, or a value is something else."""
        values = [_TRUTH.get(text.strip().capitalize()) for text in self.columns.get(name, [""])]
        return None if None in values else np.array(values, dtype=np.bool_)


@dataclass(frozen=True, eq=False)
class Episodes:
    """Episodes that a program has played.

    Attributes:
        returns: float64 (num_episodes,).
        lengths: int64 (num_episodes,), steps.
        terminated: bool (num_episodes,), or None where the files do not say.
        successes: bool (num_episodes,), likewise.
    """

    returns: NDArray[np.float64]
    lengths: NDArray[np.int64]
    terminated: NDArray[np.bool_] | None = None
    successes: NDArray[np.bool_] | None = None


def read_table_episodes(file: Path, returns: Sequence[str], lengths: Sequence[str]) -> Episodes:
    """Episodes of a CSV file.

    Args:
        file: with a row an episode.
        returns: names that the column of returns may have, the first that is there counts.
        lengths: likewise, of the column of steps.

    Raises:
        EpisodeFileError: the file cannot be read, or has no such column.
    """
    table = EpisodeTable.read(file)
    returned = table.numbers(_first_of(returns, table.columns, file, "column of returns", "column"))
    taken = table.numbers(
        _first_of(lengths, table.columns, file, "column of lengths", "length_column"), are_counts=True
    )
    return Episodes(returned, taken.astype(np.int64), table.truths("terminated"), table.truths("is_success"))


def read_table_returns(file: Path, returns: Sequence[str]) -> NDArray[np.float64]:
    """Returns alone of the episodes of a CSV file, float64 (num_episodes,); raises as `read_table_episodes`."""
    table = EpisodeTable.read(file)
    return table.numbers(_first_of(returns, table.columns, file, "column of returns", "column"))


def read_event_episodes(files: Sequence[Path], returns: str, lengths: str) -> Episodes:
    """Episodes of TensorBoard's event files, in the order of their global steps.

    Args:
        files: of one run.
        returns: tag of the returns.
        lengths: tag of the steps of each episode.

    Raises:
        EpisodeFileError: tensorboard is not installed, a file cannot be read, a tag is missing, or a value is none.
    """
    scalars: dict[str, list[tuple[int, float]]] = {}
    for file in files:
        for tag, step, value in _scalars(file):
            scalars.setdefault(tag, []).append((step, value))
    where = files[0] if len(files) == 1 else f"{files[0]} and {len(files) - 1} more"
    for tag, what, parameter in ((returns, "tag of returns", "column"), (lengths, "tag of lengths", "length_column")):
        _first_of([tag], scalars, where, what, parameter)
    values = {}
    for tag in (returns, lengths):
        ordered = sorted(scalars[tag], key=lambda one: one[0])
        for number, (step, value) in enumerate(ordered, 1):
            if not math.isfinite(value) or (tag == lengths and not _is_count(value)):
                allowed = "a whole number of steps from 1" if tag == lengths else "a finite number"
                raise EpisodeFileError(
                    f"{where}: {tag} of episode {number}, at step {step}, must be {allowed}, got {value:g}"
                )
        values[tag] = np.array([value for _, value in ordered], dtype=np.float64)
    if len(values[returns]) != len(values[lengths]):
        raise EpisodeFileError(
            f"{where}: {len(values[returns])} values of {returns}, but {len(values[lengths])} of {lengths}"
        )
    return Episodes(values[returns], values[lengths].astype(np.int64))


def _scalars(file: Path) -> Iterator[tuple[str, int, float]]:
    """Tag, global step and value of each scalar; a last record that was not written whole is left out."""
    try:
        from tensorboard.compat.proto.event_pb2 import Event
    except ImportError:
        raise EpisodeFileError(
            f"{file}: TensorBoard's event files are read by the package tensorboard: "
            "pip install 'velodrome[tensorboard]'"
        ) from None
    content, place = file.read_bytes(), 0
    while place + _BEFORE <= len(content):
        size = int.from_bytes(content[place : place + 8], "little")
        record = content[place + _BEFORE : place + _BEFORE + size]
        if len(record) < size:
            return
        place += _BEFORE + size + _BEHIND
        event = Event()
        try:
            event.ParseFromString(record)
        except Exception:
            raise EpisodeFileError(f"{file}: no event file of TensorBoard") from None
        for value in event.summary.value:
            if value.HasField("simple_value"):
                yield value.tag, event.step, value.simple_value
            elif value.HasField("tensor") and len(value.tensor.float_val) == 1:
                yield value.tag, event.step, value.tensor.float_val[0]
            elif value.HasField("tensor") and value.tensor.dtype == 1 and len(value.tensor.tensor_content) == 4:
                yield value.tag, event.step, float(np.frombuffer(value.tensor.tensor_content, "<f4")[0])


def _first_of(names: Sequence[str], known: Any, where: Any, what: str, parameter: str) -> str:
    """The first of some names that is known.

    Raises:
        EpisodeFileError: none is.
    """
    found = next((name for name in names if name in known), None)
    if found is None:
        wanted = " or ".join(map(repr, names))
        raise EpisodeFileError(
            f"{where}: has no {what} {wanted}; name it with {parameter}={closest(names[0], known) or ' (it has none)'}"
        )
    return found


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _is_count(number: float) -> bool:
    return 1 <= number <= MOST_STEPS and number == math.floor(number)
