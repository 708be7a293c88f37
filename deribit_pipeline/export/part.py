"""The input of an export format: a series over a window, read when the format requests it."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from deribit_pipeline.datasets.candles import series as candle_series
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.windows import TimeWindow
from deribit_pipeline.engine import selected_series as series
from deribit_pipeline.engine.selected_series import SelectedRows
from deribit_pipeline.errors import InputError
from deribit_pipeline.reader import frames
from deribit_pipeline.warehouse.connections import sorting_within_memory, writing_to
from deribit_pipeline.warehouse.place import Connection
from deribit_pipeline.warehouse.warehouse import Warehouse

ReadFrames = Callable[[], Iterator[Any]]
"""Reads rows as pandas frames."""

# DuckDB's memory limits while it sorts rows: for those that it writes itself, and for those that
# become frames, for which pandas and pyarrow need as much again.
_TO_WRITE, _TO_READ = "224MB", "128MB"
_SORTED = ".sorted"  # in the folder of an export, the folder for rows that exceed the limit


@dataclass(slots=True)
class Part:
    """A series over a window. After reading, `selected` states what its `count` rows are
    based on."""

    warehouse: Warehouse
    dataset: Dataset
    series: str
    window: TimeWindow
    is_incomplete_allowed: bool = False
    selected: SelectedRows | None = None
    count: int = 0

    def require_complete(self) -> None:
        """Raise IncompleteDays if a day is not proved complete, unless that is allowed."""
        with self._select() as (_, selected):
            if not self.is_incomplete_allowed:
                selected.require_complete()

    def copy(self, file: Path, name: str, options: str) -> None:
        """Write the rows, sorted, to a file with DuckDB's `copy` and these options. The first
        column is the series, named `name`."""
        file.parent.mkdir(exist_ok=True)
        with self._read(file.parent, _TO_WRITE) as (connection, selected), writing_to(file):
            [(self.count,)] = connection.execute(
                f"copy (select $copied_series::varchar as {name}, * from ({selected.query}) "
                f"order by {selected.order}) to $file ({options})",
                {**selected.parameters, "file": str(file), "copied_series": self.series},
            ).fetchall()

    @contextmanager
    def reading(self, folder: Path, most: int) -> Iterator[tuple[Connection, ReadFrames]]:
        """A connection, and a function that reads the rows as pandas frames of `most` rows, sorted
        and indexed by their instants: at least one frame, and the same ones in each call. DuckDB
        may write temporary files to the folder."""
        with self._read(folder, _TO_READ) as (connection, selected):
            [(self.count,)] = connection.execute(
                f"select count(*) from ({selected.query})", dict(selected.parameters)
            ).fetchall()
            yield connection, lambda: frames.frames_of(connection, frames.rows_of(selected), most)

    @contextmanager
    def _read(self, folder: Path, memory: str) -> Iterator[tuple[Connection, SelectedRows]]:
        """A connection whose memory is limited while it sorts, and the query for the rows."""
        with self._select() as (connection, selected):
            # A lake is not limited: it needs more memory to read its files.
            is_limited = isinstance(self.warehouse.location, Path)
            limit = sorting_within_memory(connection, folder / _SORTED, memory)
            with limit if is_limited else nullcontext():
                yield connection, selected

    @contextmanager
    def _select(self) -> Iterator[tuple[Connection, SelectedRows]]:
        with self.warehouse.reading() as connection:
            if self.dataset.resolution:
                selected = candle_series.candles(
                    connection, self.series, self.dataset.resolution, self.window
                )
            else:
                selected = series.rows(connection, self.dataset, self.series, self.window)
            if selected.incomplete and not self.is_incomplete_allowed:
                selected.require_complete()  # it may have changed since the check
            self.selected = selected
            yield connection, selected


def require_finite(frame: Any, columns: Collection[str], part: Part, program: str) -> None:
    """Raise InputError for a null or non-finite number in these columns, which the program cannot
    represent."""
    for column in columns:
        impossible = ~np.isfinite(frame[column].to_numpy(dtype=np.float64, na_value=np.nan))
        if impossible.any():
            refuse(frame, column, int(impossible.argmax()), part, program)


def refuse(frame: Any, column: str, row: int, part: Part, program: str) -> NoReturn:
    """Raise InputError for a row's number that the program cannot represent."""
    value = frame[column].iloc[row]
    shown_value = "missing" if value is None or value != value else f"{value}"
    raise InputError(
        f"{column} of {part.series} at {frame.index[row]:%Y-%m-%d %H:%M} is {shown_value}, which "
        f"{program} cannot represent: nothing is written; export it as parquet or csv."
    )
