"""Parse the entries of a response one by one: a malformed entry does not affect the others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.domain.malformed import Malformed
from deribit_pipeline.exchange import shapes

Rows = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Readings:
    """The rows of one response in their original order, by the table's columns, and those that
    cannot be read."""

    rows: Rows
    malformed: tuple[Malformed, ...] = ()


def readable(
    entries: Sequence[Any], read: Callable[[Sequence[Any]], Rows], at: Callable[[Any], int]
) -> tuple[Rows, tuple[Malformed, ...]]:
    """The rows of the entries that `read` can parse, in their original order, and what is wrong
    with the others. `at` returns an entry's timestamp in UTC milliseconds; both raise ValueError
    for a malformed entry.

    Raises ValueError if no entry can be parsed, or if a malformed entry cannot be placed in time.
    """
    try:
        return read(entries), ()
    except ValueError as error:
        whole = error
    moments = [_moment(at, entry) for entry in entries]
    sound, malformed = [], []
    for number, entry in enumerate(entries):
        try:
            read([entry])
        except ValueError as error:
            malformed.append(Malformed(*_between(moments, number, error), str(error)))
        else:
            sound.append(entry)
    if not sound:
        raise whole
    return read(sound), tuple(malformed)


def pairs(at: str, name: str, answer: object) -> Readings:
    """Rows that consist of a timestamp and a number."""

    def read(rows: Sequence[Any]) -> Rows:
        moments = [_instant(row) for row in rows]
        numbers = shapes.numbers("value", [row[1] for row in rows])
        return {at: np.array(moments, "datetime64[ms]"), name: numbers}

    return Readings(*readable(shapes.array(answer), read, _instant))


def _instant(row: Any) -> int:
    if not isinstance(row, list) or len(row) != 2:
        raise ValueError("each row must be a timestamp and a number")
    return shapes.milliseconds("timestamp", row[0])


def _moment(at: Callable[[Any], int], entry: Any) -> int | None:
    try:
        return at(entry)
    except ValueError:
        return None


def _between(moments: Sequence[int | None], number: int, error: ValueError) -> tuple[int, int]:
    """The entry's own timestamp, twice, or the timestamps of its readable neighbours."""
    own = moments[number]
    if own is not None:
        return own, own
    before = next((at for at in moments[number::-1] if at is not None), None)
    after = next((at for at in moments[number:] if at is not None), None)
    if before is None or after is None:
        raise ValueError(f"{error}, in a row at the edge, which may be of any day") from error
    return min(before, after), max(before, after)
