"""Writes tables to CSV and Parquet files, piece by piece; a file appears only when it is whole."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import repeat
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from velodrome.agents.resuming.whole_files import whole_file
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.storage.episode_curves import EpisodeCurves

Format = Literal["csv", "parquet"]

# Size of Parquet's row groups, which are in memory until they are written.
ROW_GROUP = 200_000


class Episodes(NamedTuple):
    """Consecutive episodes of a trial; `first` is the number of the first of them."""

    identity: tuple[str | int, ...]
    first: int
    curves: EpisodeCurves


class TableWriter(Protocol):
    """Writes one table, piece by piece."""

    def write_rows(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Add rows."""

    def write_episodes(self, episodes: Episodes) -> None:
        """Add one row an episode: the identity, the episode's number, return, length and success."""

    def finish(self) -> None:
        """Write what waits."""

    def close(self) -> None:
        """Close the file."""


@contextmanager
def table_file(path: Path, file_format: Format, columns: dict[str, str]) -> Iterator[TableWriter]:
    """Writer of a table whose file appears, whole, at the end; nothing is left behind where something goes wrong.

    Args:
        path: of the file; its folder is made if needed.
        file_format: of the file.
        columns: name to TEXT, INTEGER, REAL or BOOLEAN.

    Raises:
        ExperimentError: it cannot be written, or pyarrow is missing.
    """
    new_writer = _ParquetTable if file_format == "parquet" else _CsvTable
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as temporary, closing(new_writer(temporary, columns)) as writer:
            yield writer
            writer.finish()
    except OSError as error:
        raise ExperimentError(f"cannot write to {path.parent}: {error.strerror or error}") from None


class _CsvTable:
    """Comma-separated values: UTF-8, a header, floats by repr, nothing for NULL and NaN.

    Written here, because `DataFrame.to_csv` gives the same bytes but takes four times as long for episodes.
    """

    def __init__(self, path: Path, columns: dict[str, str]) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow(columns)

    def write_rows(self, rows: Sequence[tuple[Any, ...]]) -> None:
        self._writer.writerows(rows)

    def write_episodes(self, episodes: Episodes) -> None:
        start = io.StringIO()
        csv.writer(start, lineterminator="").writerow(episodes.identity)
        identity, curves = start.getvalue(), episodes.curves
        successes: Iterable[Any] = repeat("") if curves.successes is None else curves.successes.tolist()
        rows = zip(curves.returns.tolist(), curves.lengths.tolist(), successes, strict=False)
        self._file.writelines(
            f"{identity},{number},{episode_return!r},{length},{success}\n"
            for number, (episode_return, length, success) in enumerate(rows, episodes.first)
        )

    def finish(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class _ParquetTable:
    """Parquet through pyarrow, in row groups."""

    def __init__(self, path: Path, columns: dict[str, str]) -> None:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError:
            raise ExperimentError("format parquet needs pyarrow: pip install 'velodrome[parquet]'") from None

        types = {
            "TEXT": pyarrow.string(),
            "INTEGER": pyarrow.int64(),
            "REAL": pyarrow.float64(),
            "BOOLEAN": pyarrow.bool_(),
        }
        self._arrow = pyarrow
        self._schema = pyarrow.schema([(name, types[kind]) for name, kind in columns.items()])
        self._writer = pyarrow.parquet.ParquetWriter(path, self._schema)
        self._waiting: list[Any] = []
        self._num_waiting = 0

    def write_rows(self, rows: Sequence[tuple[Any, ...]]) -> None:
        if rows:
            columns = zip(*rows, strict=True)
            self._add(
                [self._arrow.array(column, field.type) for column, field in zip(columns, self._schema, strict=True)]
            )

    def write_episodes(self, episodes: Episodes) -> None:
        curves, number = episodes.curves, episodes.curves.episodes
        identity = [
            self._arrow.repeat(self._arrow.scalar(value, self._schema.field(place).type), number)
            for place, value in enumerate(episodes.identity)
        ]
        numbers = np.arange(episodes.first, episodes.first + number, dtype=np.int64)
        successes = self._arrow.nulls(number, self._arrow.bool_()) if curves.successes is None else curves.successes
        self._add([*identity, numbers, curves.returns, curves.lengths, successes])

    def finish(self) -> None:
        if self._waiting:
            self._writer.write_table(self._arrow.concat_tables(self._waiting), row_group_size=ROW_GROUP)
            self._waiting, self._num_waiting = [], 0

    def close(self) -> None:
        self._writer.close()

    def _add(self, columns: list[Any]) -> None:
        self._waiting.append(self._arrow.table(columns, schema=self._schema))
        self._num_waiting += self._waiting[-1].num_rows
        if self._num_waiting >= ROW_GROUP:
            self.finish()
