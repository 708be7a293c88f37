"""Rows as arrays by column: their keys, their hashes, and the differences between two sets.

A row has a key within its series: the end of an hour, the number of a trade. Rows that are too many
for memory are `Pieces`: where each piece can be used by itself, `pieces_of` reads one at a time.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.domain.pieces import Columns as Columns
from deribit_pipeline.domain.pieces import Pieces as Pieces
from deribit_pipeline.domain.pieces import Rows as Rows

Keys = NDArray[Any]
"""Keys of rows, shape (n,): integers, instants or texts, sorted and unique."""


class Keyed(Protocol):
    """An object that defines which columns identify a row within its series, and which of them are
    counted: those of each row if none are named."""

    @property
    def key(self) -> tuple[str, ...]: ...

    @property
    def counted(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class Gap:
    """An unbroken run of expected keys that are missing: its first and last key as text."""

    gap: str
    missing: int


def count_of(rows: Rows) -> int:
    """How many rows there are."""
    if isinstance(rows, Pieces):
        return rows.count
    return len(next(iter(rows.values()))) if rows else 0


def pieces_of(rows: Rows, *names: str) -> Iterator[Columns]:
    """The rows in pieces that fit into memory, in the order of their keys: of the named columns, or
    of all. Rows that are in memory are one piece."""
    if isinstance(rows, Pieces):
        return rows.pieces(names)
    return iter([{name: rows[name] for name in names or rows}])


def some_of(rows: Rows, which: slice | NDArray[Any]) -> Columns:
    """Some of the rows: by position, or by a boolean mask."""
    return {name: values[which] for name, values in rows.items()}


def joined_rows(parts: Sequence[Columns]) -> Columns:
    """The concatenated rows of all parts."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def keys_of(dataset: Keyed, rows: Rows) -> Keys:
    """The keys of the rows; for several columns, their texts joined by spaces."""
    return _joined_keys(dataset.key, rows)


def counted_keys(dataset: Keyed, rows: Rows) -> Keys:
    """What the proof of a day counts, sorted and unique: the keys of rows sorted by key, or of the
    groups of rows that the dataset counts, such as snapshots."""
    if not dataset.counted:
        return keys_of(dataset, rows)
    return np.unique(_joined_keys(dataset.counted, rows))


def _joined_keys(names: tuple[str, ...], rows: Rows) -> Keys:
    if len(names) == 1:
        return rows[names[0]]
    # Piece by piece: while they are joined, texts take three times the memory of the result.
    return np.concatenate([_joined_texts(names, piece) for piece in pieces_of(rows, *names)])


def _joined_texts(names: tuple[str, ...], rows: Columns) -> NDArray[np.str_]:
    parts = [texts_of(rows[name]) for name in names]
    keys = parts[0]
    for part in parts[1:]:
        keys = np.strings.add(np.strings.add(keys, " "), part)
    return keys


def texts_of(values: NDArray[Any]) -> NDArray[np.str_]:
    """The values as text, instants as `2024-01-31T08:00:00.000Z`."""
    if values.dtype == np.dtype("datetime64[ms]"):
        return np.strings.add(values.astype("U23"), "Z")
    return values.astype("U")


def gaps_of(expected: Keys, missing: Keys) -> list[Gap]:
    """The missing keys in runs that are consecutive among the expected ones."""
    if not len(missing):
        return []
    positions = np.searchsorted(expected, missing)
    breaks = np.flatnonzero(np.diff(positions) > 1) + 1
    firsts = np.concatenate(([0], breaks))
    lasts = np.concatenate((breaks, [len(missing)])) - 1
    names = np.strings.replace(texts_of(missing), ".000Z", "Z")
    return [
        Gap(str(names[a]) if a == b else f"{names[a]} to {names[b]}", int(b - a + 1))
        for a, b in zip(firsts, lasts, strict=True)
    ]


def rows_hash(rows: Rows) -> str:
    """A hash of every value of a day's rows, in the order of their keys: 128 bits of BLAKE2b.

    Column by column: the name, then instants as little-endian 64-bit milliseconds (dates as
    days), numbers as little-endian doubles or 64-bit integers, texts in UTF-8 each ended by a zero
    byte, null as a single 0xff byte before it.
    """
    digest = hashlib.blake2b(digest_size=16)
    for name in rows:
        digest.update(name.encode() + b"\0")
        for piece in pieces_of(rows, name):
            digest.update(_bytes_of(piece[name]))
    return digest.hexdigest()


def differences(one: Columns, other: Columns) -> NDArray[np.bool_]:
    """Which rows differ, compared pairwise."""
    found = np.zeros(count_of(one), bool)
    for name, values in one.items():
        others = other[name]
        unlike = values != others
        if values.dtype.kind == "f":
            unlike &= ~(np.isnan(values) & np.isnan(others))
        found |= unlike
    return found


def _bytes_of(values: NDArray[Any]) -> bytes:
    if values.dtype.kind == "O":
        texts = values.tolist()
        nulls: int = texts.count(None)
        if nulls == len(texts):  # many columns are empty
            return nulls * b"\xff\0"
        if nulls:  # null becomes byte 0xff: a lone surrogate, never in JSON text
            texts = ["\udcff" if text is None else text for text in texts]
        return "\0".join([*texts, ""]).encode("utf-8", "surrogateescape")
    if values.dtype.kind == "M":
        unit = "D" if values.dtype == np.dtype("datetime64[D]") else "ms"
        return values.astype(f"<M8[{unit}]").tobytes()
    return values.astype("<f8" if values.dtype.kind == "f" else "<i8").tobytes()
