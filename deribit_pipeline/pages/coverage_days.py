"""The days of a series as the coverage page shows them: counted, and compressed until the page is
written."""

import marshal
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TypeGuard

from deribit_pipeline.datasets.registry import dataset_of
from deribit_pipeline.domain.dataset import Dataset, Group
from deribit_pipeline.domain.proofs import FAILED, CrossCheck, Proof

DayKey = tuple[str, str, date]
"""The name of a dataset, the series and the day."""


@dataclass(frozen=True, slots=True)
class Unproved:
    """A day that was requested and could not be proved, with no stored data."""

    dataset: Dataset
    series: str
    day: date
    reason: str
    fetched_at: datetime
    state: str = FAILED
    expected: int = 0
    received: int = 0
    missing: int = 0
    revised: int = 0


Shown = Proof | Unproved
"""A day of a series, as displayed."""


@dataclass(frozen=True, slots=True)
class SeriesDays:
    """The days of one series, a year or several of them.

    `without_trades` is empty if the series has no proved candles. Each day's values are in
    `packed`: as objects, those of a million days take half a gigabyte.
    """

    dataset: Dataset
    series: str
    first: date
    last: date
    years: int
    states: Counter[str]
    rows: int
    missing: int
    revised: int
    without_trades: int | str
    packed: bytes

    @property
    def title(self) -> str:
        """What its rows are called."""
        return f"{self.series} {self.dataset.short_label}"

    def days(self) -> Iterator[tuple[date, tuple[object, ...]]]:
        """Each day and its values: those of the calendar's columns from `state` on."""
        for day, *values in marshal.loads(zlib.decompress(self.packed)):
            yield date.fromordinal(day), tuple(values)


def series_days(
    days: Sequence[Shown],
    runs: Mapping[DayKey, str],
    gaps: Mapping[DayKey, Sequence[str]],
    failures: Mapping[DayKey, str],
) -> SeriesDays:
    """The days of one series, one or more, in order: `runs` has the run that wrote a day, `gaps`
    names a day's first gaps, `failures` has the reason why a day could not be proved when it was
    last requested."""
    dataset = _dataset(days[0])
    counted = [day.without_trades for day in days if _is_of_candles(day)]
    values = [_values(day, dataset, runs, gaps, failures) for day in days]
    return SeriesDays(
        dataset,
        days[0].series,
        days[0].day,
        days[-1].day,
        len({day.day.year for day in days}),
        Counter(str(day.state) for day in days),
        sum(day.received for day in days),
        sum(day.missing for day in days),
        sum(day.revised for day in days),
        sum(counted) if counted else "",
        zlib.compress(marshal.dumps(values), 1),
    )


def _values(
    day: Shown,
    dataset: Dataset,
    runs: Mapping[DayKey, str],
    gaps: Mapping[DayKey, Sequence[str]],
    failures: Mapping[DayKey, str],
) -> tuple[int | str, ...]:
    key = (dataset.name, day.series, day.day)
    return (
        day.day.toordinal(), str(day.state), dataset.rows, day.expected, day.received, day.missing,
        _named(gaps.get(key, ()), day.missing), _note(day), day.revised,
        f"{day.fetched_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}", runs.get(key, ""),
        "" if isinstance(day, Unproved) else day.verdict, _cross_check(day), failures.get(key, ""),
    )  # fmt: skip


def _dataset(day: Shown) -> Dataset:
    return day.dataset if isinstance(day, Unproved) else dataset_of(day)


def _is_of_candles(day: Shown) -> TypeGuard[Proof]:
    return isinstance(day, Proof) and dataset_of(day).group is Group.CANDLES


def _note(day: Shown) -> str:
    """What else is known of a day."""
    return f"{day.without_trades:,} without trades" if _is_of_candles(day) else ""


def _cross_check(day: Shown) -> str:
    """How the day compares with an independent series; empty if it was not compared."""
    if isinstance(day, Unproved) or day.cross_check is CrossCheck.NONE:
        return ""
    return str(day.cross_check)


def _named(gaps: Sequence[str], missing: int) -> str:
    """The named gaps, and how many more rows are missing."""
    if not gaps:
        return ""
    named = ", ".join(gaps)
    more = missing - len(gaps)
    return f"{named} and {more:,} more" if more > 0 else named
