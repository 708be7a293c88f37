"""Malformed entries of a response: the time range of each, and what is wrong. Such an entry
invalidates the days in this range, and no other day."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date

from deribit_pipeline.domain.windows import day_window, from_ms, to_ms


@dataclass(frozen=True, slots=True, order=True)
class Malformed:
    """A malformed entry. `first` and `last`, in UTC milliseconds and both included, are its own
    timestamp, or those of the readable entries on either side of it."""

    first: int
    last: int
    reason: str

    def may_be_of(self, day: date) -> bool:
        """Whether it may be on the UTC day."""
        window = day_window(day)
        return self.first < to_ms(window.end) and self.last >= to_ms(window.start)

    def on_grid(self, step_ms: int) -> "Malformed":
        """The same for rows that are at least a step apart: between its neighbours, excluding
        them."""
        if self.last - self.first < 2 * step_ms:
            return self
        return replace(self, first=self.first + step_ms, last=self.last - step_ms)

    def __str__(self) -> str:
        moments = [f"{from_ms(at):%Y-%m-%dT%H:%M:%S}.{at % 1000:03}Z" for at in self._ends]
        where = f"of {moments[0]}" if len(moments) == 1 else f"between {' and '.join(moments)}"
        return f"the row {where} is malformed: {self.reason}"

    @property
    def _ends(self) -> tuple[int, ...]:
        return (self.first,) if self.first == self.last else (self.first, self.last)


def malformed_of(malformed: Iterable[Malformed], day: date) -> str | None:
    """What is wrong with the first malformed row of a day, and how many there are; None if there is
    none."""
    found = sorted({each for each in malformed if each.may_be_of(day)})
    if not found:
        return None
    return f"{found[0]}" + (f" (and {len(found) - 1} more)" if len(found) > 1 else "")
