"""The coverage calendar: every instrument by day, coloured by state, with each day's proof."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import groupby
from types import MappingProxyType
from typing import TypeGuard

from deribit_pipeline.datasets.registry import dataset_of
from deribit_pipeline.domain.dataset import Dataset, Group
from deribit_pipeline.domain.proofs import FAILED, CrossCheck, DayState, Proof
from deribit_pipeline.pages.calendar_view import Axis, axis_of, calendar
from deribit_pipeline.pages.page import (
    HEIGHTS,
    UNREQUESTED,
    Specification,
    Swatch,
    Totals,
    View,
    page,
    words,
)

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

_ROWS_PER_VIEW = 60  # so that the month labels are visible on the screen


def coverage_page(
    proofs: Sequence[Shown],
    runs: Mapping[DayKey, str],
    gaps: Mapping[DayKey, Sequence[str]],
    source: str,
    failures: Mapping[DayKey, str] = MappingProxyType({}),
) -> str:
    """The page. `proofs` has one day or more, by dataset, series and day; `runs` has the run that
    wrote a day, `gaps` names a day's first gaps, `failures` has the reason why a day could not be
    proved when it was last requested. `source` names the warehouse."""
    axis = axis_of(min(proof.day for proof in proofs), max(proof.day for proof in proofs))
    series = [list(days) for _, days in groupby(proofs, _key_of_series)]
    views = [View(_view(some, axis, runs, gaps, failures)) for some in _screenfuls(series, axis)]
    days, rows = len(proofs), sum(proof.received for proof in proofs)
    candles = all(map(_is_of_candles, proofs))
    counted = (
        f"{days:,} instrument-days with {rows:,} candles"
        if candles
        else f"{days:,} days with {rows:,} rows"
    )
    introduction = [f"{source}: {counted}. Point at a day to see its proof; days are UTC."]
    legend = [Swatch(words(state), str(state), HEIGHTS[state]) for state in DayState]
    if any(isinstance(day, Unproved) for day in proofs):
        legend.append(Swatch(words(FAILED), FAILED, HEIGHTS[FAILED]))
    legend.append(Swatch(UNREQUESTED, "track", 1.0))
    return page("Coverage", introduction, legend, views, _totals(series))


def _rows(days: Sequence[Shown], axis: Axis) -> Iterator[tuple[str, list[Shown]]]:
    """The rows of one series: a label, and the days in it."""
    title = _title(days[0])
    if not axis.by_year:
        yield title, list(days)
        return
    for number, (year, some) in enumerate(groupby(days, lambda proof: proof.day.year)):
        yield f"{title}   {year}" if number == 0 else str(year), list(some)


def _dataset(day: Shown) -> Dataset:
    return day.dataset if isinstance(day, Unproved) else dataset_of(day)


def _title(proof: Shown) -> str:
    return f"{proof.series} {_dataset(proof).short_label}"


def _key_of_series(proof: Shown) -> tuple[str, str]:
    return _dataset(proof).name, proof.series


def _is_of_candles(proof: Shown) -> TypeGuard[Proof]:
    return isinstance(proof, Proof) and dataset_of(proof).group is Group.CANDLES


def _without_trades(proof: Shown) -> int | str:
    return proof.without_trades if _is_of_candles(proof) else ""


def _screenfuls(series: Sequence[list[Shown]], axis: Axis) -> Iterator[list[list[Shown]]]:
    """The series in lists of about as many rows as a view has."""
    some: list[list[Shown]] = []
    rows = 0
    for days in series:
        more = len({proof.day.year for proof in days}) if axis.by_year else 1
        if some and rows + more > _ROWS_PER_VIEW:
            yield some
            some, rows = [], 0
        some.append(days)
        rows += more
    yield some


def _view(
    series: Sequence[list[Shown]],
    axis: Axis,
    runs: Mapping[DayKey, str],
    gaps: Mapping[DayKey, Sequence[str]],
    failures: Mapping[DayKey, str],
) -> Specification:
    labels: list[str] = []
    cells: list[tuple[object, ...]] = []
    for number, days in enumerate(series):
        if number and axis.by_year:
            labels.append("")  # a row's space between one instrument and the next
        for label, some in _rows(days, axis):
            cells += (_cell(len(labels), proof, axis, runs, gaps, failures) for proof in some)
            labels.append(label)
    return calendar(labels, cells, axis)


def _cell(
    row: int,
    proof: Shown,
    axis: Axis,
    runs: Mapping[DayKey, str],
    gaps: Mapping[DayKey, Sequence[str]],
    failures: Mapping[DayKey, str],
) -> tuple[object, ...]:
    dataset = _dataset(proof)
    key = (dataset.name, proof.series, proof.day)
    return (
        row, axis.place_of(proof.day), axis.width_of(proof.day), _title(proof), proof.day,
        proof.state, dataset.rows, proof.expected, proof.received, proof.missing,
        _named(gaps.get(key, ()), proof.missing), _note(proof), proof.revised,
        f"{proof.fetched_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}", runs.get(key, ""),
        "" if isinstance(proof, Unproved) else proof.verdict, _cross_check(proof),
        failures.get(key, ""),
    )  # fmt: skip


def _note(proof: Shown) -> str:
    """What else is known of a day."""
    return f"{proof.without_trades:,} without trades" if _is_of_candles(proof) else ""


def _cross_check(proof: Shown) -> str:
    """How the day compares with an independent series; empty if it was not compared."""
    if isinstance(proof, Unproved) or proof.cross_check is CrossCheck.NONE:
        return ""
    return str(proof.cross_check)


def _named(gaps: Sequence[str], missing: int) -> str:
    """The named gaps, and how many more rows are missing."""
    if not gaps:
        return ""
    named = ", ".join(gaps)
    more = missing - len(gaps)
    return f"{named} and {more:,} more" if more > 0 else named


def _totals(series: Sequence[list[Shown]]) -> Totals:
    header = (
        "series", "dataset", "first day", "last day", *map(words, (*DayState, FAILED)), UNREQUESTED,
        "rows", "missing", "without trades", "revised",
    )  # fmt: skip
    rows: list[tuple[str | int, ...]] = []
    for days in series:
        first, last = days[0], days[-1]
        states = Counter(str(proof.state) for proof in days)
        rows.append((
            first.series, _dataset(first).label, str(first.day), str(last.day),
            *(states[state] for state in (*DayState, FAILED)),
            (last.day - first.day).days + 1 - len(days),
            sum(proof.received for proof in days), sum(proof.missing for proof in days),
            _sum_of(map(_without_trades, days)), sum(proof.revised for proof in days),
        ))  # fmt: skip
    return Totals(header, rows)


def _sum_of(counts: Iterable[int | str]) -> int | str:
    """The sum of the counts; empty if nothing is counted."""
    known = [count for count in counts if isinstance(count, int)]
    return sum(known) if known else ""
