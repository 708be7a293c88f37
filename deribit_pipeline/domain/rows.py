"""Rows as arrays by column: their keys, their hashes, and the differences between two sets.

A row has a key within its series: the end of an hour, the number of a trade.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[Any]
"""Keys of rows, shape (n,): integers, instants or texts, sorted and unique."""

Columns = dict[str, NDArray[Any]]
"""Rows by column, each of shape (n,): float64 (NaN for null), int64, datetime64[ms],
datetime64[D], or objects that are texts (None for null). In the table's order of columns, without
that of the series."""


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


def count_of(rows: Columns) -> int:
    """How many rows there are."""
    return len(next(iter(rows.values()))) if rows else 0


def some_of(rows: Columns, which: slice | NDArray[Any]) -> Columns:
    """Some of the rows: by position, or by a boolean mask."""
    return {name: values[which] for name, values in rows.items()}


def joined_rows(parts: Sequence[Columns]) -> Columns:
    """The concatenated rows of all parts."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def keys_of(dataset: Keyed, rows: Columns) -> Keys:
    """The keys of the rows; for several columns, their texts joined by spaces."""
    return _joined_keys(dataset.key, rows)


def counted_keys(dataset: Keyed, rows: Columns) -> Keys:
    """What the proof of a day counts, sorted and unique: the keys of rows sorted by key, or of the
    groups of rows that the dataset counts, such as snapshots."""
    if not dataset.counted:
        return keys_of(dataset, rows)
    return np.unique(_joined_keys(dataset.counted, rows))


def _joined_keys(names: tuple[str, ...], rows: Columns) -> Keys:
    if len(names) == 1:
        return rows[names[0]]
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


def rows_hash(rows: Columns) -> str:
    """A hash of every value of a day's rows, in the order of their keys: 128 bits of BLAKE2b.

    Column by column: the name, then instants as little-endian 64-bit milliseconds (dates as
    days), numbers as little-endian doubles or 64-bit integers, texts in UTF-8 each ended by a zero
    byte, null as a single 0xff byte before it.
    """
    digest = hashlib.blake2b(digest_size=16)
    for name, values in rows.items():
        digest.update(name.encode() + b"\0")
        digest.update(_bytes_of(values))
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
        if None in texts:  # null becomes byte 0xff: a lone surrogate, never in JSON text
            texts = ["\udcff" if text is None else text for text in texts]
        return "\0".join([*texts, ""]).encode("utf-8", "surrogateescape")
    if values.dtype.kind == "M":
        unit = "D" if values.dtype == np.dtype("datetime64[D]") else "ms"
        return values.astype(f"<M8[{unit}]").tobytes()
    return values.astype("<f8" if values.dtype.kind == "f" else "<i8").tobytes()
