"""One response in which two rows have exchanged values, so that no sum and no extreme changes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any

from deribit_pipeline.sandbox.exchange import SandboxExchange

_HOUR = 3_600_000

Row = Any
Pair = tuple[Row, Row]
Change = Callable[[Row, Row], Pair | None]
"""Changes two rows; returns None for rows that it cannot change."""


def exchanging(*names: str | int) -> Change:
    """Exchanges the values of two rows."""

    def change(one: Row, other: Row) -> Pair | None:
        if all(one[name] == other[name] for name in names):
            return None
        return _with(one, {n: other[n] for n in names}), _with(other, {n: one[n] for n in names})

    return change


def _with(row: Row, values: Mapping[Any, Any]) -> Row:
    if isinstance(row, dict):
        return {**row, **values}
    return [values.get(place, value) for place, value in enumerate(row)]


def exchanging_lows(one: Row, other: Row) -> Pair | None:
    """Exchanges the lows of two candles of one hour, if both stay possible."""
    is_of_one_hour = one[0] // _HOUR == other[0] // _HOUR
    is_possible = other[3] <= min(one[1], one[4]) and one[3] <= min(other[1], other[4])
    return exchanging(3)(one, other) if is_of_one_hour and is_possible else None


def a_billionth_apart(one: Row, other: Row) -> Pair:
    """Moves a billionth of funding from one row to another."""
    return (
        one | {"interest_1h": one["interest_1h"] + 1e-9},
        other | {"interest_1h": other["interest_1h"] - 1e-9},
    )


@dataclass
class Corrupter:
    """Corrupts the first response of `method` with at least `least` rows of `day`, or of `day` to
    `until`, optionally `step` apart: the first two rows after the middle that the change accepts.
    `spoiled` counts the corrupted responses."""

    method: str
    change: Change
    day: date
    until: date | None = None
    least: int = 3
    step: int | None = None
    corrupted: int = 0
    _is_on: bool = field(default=False, init=False)

    def corrupt_one(self, sandbox: SandboxExchange) -> None:
        """Corrupt the next fitting response of either host."""
        self._is_on, self.corrupted = True, 0
        for methods in (sandbox._methods, sandbox._history_methods):
            if self.method in methods:
                methods[self.method] = self._corrupting(methods[self.method])

    def _corrupting(self, returned: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def answer(params: Any) -> Any:
            result = returned(params)
            name = next((n for n, rows in _named(result) if isinstance(rows, list)), None)
            rows = result if isinstance(result, list) else result.get(name, [])
            changed = self._changed(rows) if self._is_on else None
            if changed is None:
                return result
            self._is_on, self.corrupted = False, self.corrupted + 1
            return changed if name is None else result | {name: changed}

        return answer

    def _changed(self, rows: list[Row]) -> list[Row] | None:
        is_of_step = self.step is None or (
            len(rows) > 1 and _moment(rows[1]) - _moment(rows[0]) == self.step
        )
        places = [n for n, row in enumerate(rows) if self._is_wanted(row)]
        if len(places) < self.least or not is_of_step:
            return None
        for one, other in pairwise(places[len(places) // 2 :]):
            pair = self.change(rows[one], rows[other])
            if pair is not None:
                changed = list(rows)
                changed[one], changed[other] = pair
                return changed
        return None

    def _is_wanted(self, row: Row) -> bool:
        day = datetime.fromtimestamp(_moment(row) / 1000, UTC).date()
        return self.day <= day <= (self.until or self.day)


def _named(result: Any) -> list[tuple[str, Any]]:
    return list(result.items()) if isinstance(result, dict) else []


def _moment(row: Row) -> int:
    """The time of a row, in UTC milliseconds."""
    if isinstance(row, list):
        return int(row[0])
    if "timestamp" in row:
        return int(row["timestamp"])
    return int(datetime.fromisoformat(row["date"]).replace(tzinfo=UTC).timestamp() * 1000)
