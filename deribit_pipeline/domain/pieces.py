"""Rows that are too many for memory: in pieces of ascending keys, in a temporary file."""

import marshal
import os
import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.errors import NoTemporaryFile

Columns = dict[str, NDArray[Any]]
"""Rows by column, each of shape (n,): float64 (NaN for null), int64, datetime64[ms],
datetime64[D], or objects that are texts (None for null). In the table's order of columns, without
that of the series."""

Rows = Mapping[str, NDArray[Any]]
"""Rows by column: `Columns`, or `Pieces` of many rows, whose columns are read when they are
used."""

PIECE = 61_440
"""The rows of a piece: those of one of DuckDB's row groups, which it writes as soon as it has
them, and 20 MB of trades."""

_Place = tuple[int, int, np.dtype[Any]]
"""Of a column in the file: its first byte, its number of bytes, and its type."""


class Pieces(Mapping[str, NDArray[Any]]):
    """Rows of one day, appended by ascending key, of which at most `PIECE` are in memory.

    All others are in a file in the system's temporary folder, which has no name there, so that
    nothing remains of it, however the process ends. As a mapping it has the rows by column: a
    column is read whole, 8 bytes a row and more for texts. `pieces` reads piece after piece.
    Appending raises NoTemporaryFile.
    """

    def __init__(self) -> None:
        self._most = PIECE
        self._file: IO[bytes] | None = None
        self._end = 0
        self._in_file: list[dict[str, _Place]] = []
        self._in_memory: list[Columns] = []
        self._left = 0  # the number of rows in memory
        self._whole = weakref.WeakValueDictionary[str, NDArray[Any]]()

    def append(self, rows: Columns) -> None:
        """Add rows whose keys are higher than all before."""
        self._whole.clear()
        self._in_memory.append(rows)
        self._left += _length(rows)
        while self._left > self._most:
            whole = self._rest()
            self._put({name: values[: self._most] for name, values in whole.items()})
            # Copied, or they would keep all of the piece in memory.
            self._in_memory = [{name: v[self._most :].copy() for name, v in whole.items()}]
            self._left -= self._most

    @property
    def count(self) -> int:
        """How many rows there are."""
        return len(self._in_file) * self._most + self._left

    def rows(self) -> Rows:
        """The same rows, as `Columns` where they are all in memory."""
        return self if self._in_file else self._rest()

    def pieces(self, names: Sequence[str] = ()) -> Iterator[Columns]:
        """The rows in pieces of `PIECE`, the last one shorter: of these columns, or of all."""
        for places in self._in_file:
            yield {name: self._read(places[name]) for name in names or places}
        rest = self._rest()
        yield {name: rest[name] for name in names} if names else rest

    def __getitem__(self, name: str) -> NDArray[Any]:
        """A whole column, to be read only: the same array for as long as anyone has it."""
        found = self._whole.get(name)
        if found is None:
            found, first = np.empty(self.count, self._rest()[name].dtype), 0
            for piece in self.pieces([name]):
                found[first : first + len(piece[name])] = piece[name]
                first += len(piece[name])
            found.setflags(write=False)
            self._whole[name] = found
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._rest())

    def __len__(self) -> int:
        """The number of columns."""
        return len(self._rest())

    def _rest(self) -> Columns:
        """The rows in memory, put together."""
        parts = self._in_memory
        if len(parts) > 1:
            joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
            self._in_memory = [joined]
        return self._in_memory[0] if self._in_memory else {}

    def _put(self, rows: Columns) -> None:
        """Write a piece at the end of the file."""
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
                weakref.finalize(self, self._file.close)
            places: dict[str, _Place] = {}
            for name, values in rows.items():
                data = _bytes_of(values)
                places[name] = (self._end, len(data), values.dtype)
                self._end += len(data)
                left = memoryview(data)
                while left:  # a disk that is almost full takes a part
                    left = left[self._file.write(left) :]
        except OSError as error:
            raise NoTemporaryFile(
                f"A day of {self.count:,} rows so far cannot be put into a temporary file in "
                f"{tempfile.gettempdir()} ({error.strerror}): make room there, or set TMPDIR to a "
                "folder on a larger disk."
            ) from error
        self._in_file.append(places)

    def _read(self, place: _Place) -> NDArray[Any]:
        assert self._file
        first, size, dtype = place
        data = os.pread(self._file.fileno(), size, first)
        if dtype.kind != "O":
            return np.frombuffer(data, dtype)
        texts = marshal.loads(data)
        return np.fromiter(texts, object, len(texts))


def _bytes_of(values: NDArray[Any]) -> bytes:
    return marshal.dumps(values.tolist()) if values.dtype.kind == "O" else values.tobytes()


def _length(rows: Columns) -> int:
    return len(next(iter(rows.values()))) if rows else 0
