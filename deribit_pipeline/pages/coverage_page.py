"""The coverage calendar: every instrument by day, coloured by state, with each day's proof."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import chain, groupby, repeat
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

_ROWS_PER_VIEW = 60  # so that the month labels are visible on the screen; more are grouped

# Settlement currency or pair, and expiry: of BTC-26JAN24-45000-C, BTC and 26JAN24.
_EXPIRING = re.compile(r"([A-Z0-9_]+?)-(?:.*[-_])?(\d{1,2}[A-Z]{3}\d{2})(?=[-_]|$)")
_WITHOUT_EXPIRY = "Without expiry"


def coverage_page(
    proofs: Sequence[Shown],
    runs: Mapping[DayKey, str],
    gaps: Mapping[DayKey, Sequence[str]],
    source: str,
    failures: Mapping[DayKey, str] = MappingProxyType({}),
    made: str = "",
) -> str:
    """The page. `proofs` has one day or more, by dataset, series and day; `runs` has the run that
    wrote a day, `gaps` names a day's first gaps, `failures` has the reason why a day could not be
    proved when it was last requested. `source` names the warehouse, `made` the environment and
    time.

    Many series are grouped by expiry, of which each group is closed at first.
    """
    axis = axis_of(min(proof.day for proof in proofs), max(proof.day for proof in proofs))
    series = [list(days) for _, days in groupby(proofs, _key_of_series)]
    views = [
        View(
            _view(some, axis, runs, gaps, failures),
            title if is_first else "",
            _note_of(whole) if is_first else "",
            _names(some, axis),
            is_closed=title not in ("", _WITHOUT_EXPIRY),
        )
        for title, whole in _groups(series, axis).items()
        for is_first, some in zip(
            chain([True], repeat(False)), _screenfuls(whole, axis), strict=False
        )
    ]
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
    title = " · ".join(filter(None, ("Coverage", made)))
    return page(title, introduction, legend, views, _totals(series))


def _groups(series: Sequence[list[Shown]], axis: Axis) -> dict[str, list[list[Shown]]]:
    """The series by currency and expiry, those without one first; under no title if all fit on a
    screen."""
    if len(list(_screenfuls(series, axis))) == 1:
        return {"": list(series)}
    groups: dict[tuple[str, date], list[list[Shown]]] = {}
    for days in series:
        found = _EXPIRING.match(days[0].series)
        expiry = datetime.strptime(found[2], "%d%b%y").date() if found else date.min
        groups.setdefault((found[1] if found else "", expiry), []).append(days)
    ordered = sorted(groups.items(), key=lambda group: group[0])
    return {
        f"{currency} {expiry:%-d%b%y}".upper() if currency else _WITHOUT_EXPIRY: some
        for (currency, expiry), some in ordered
    }


def _note_of(series: Sequence[list[Shown]]) -> str:
    """How many series a group has, and how complete they are."""
    percent = _percent(day for days in series for day in days)
    share = f", {percent} % of the requested days complete" if percent != "" else ""
    return f"{len(series):,} series{share}"


def _percent(days: Iterable[Shown], unrequested: int = 0) -> float | str:
    """The share of complete days in percent, rounded down, so that 100 means all; empty if the
    series was listed on none."""
    states = Counter(str(day.state) for day in days)
    listed = sum(states.values()) - states[DayState.NOT_LISTED] + unrequested
    return 1_000 * states[DayState.COMPLETE] // listed / 10 if listed else ""


def _names(series: Sequence[list[Shown]], axis: Axis) -> list[str]:
    """The series of each row of a view, as `_view` draws them."""
    names: list[str] = []
    for number, days in enumerate(series):
        rows = sum(1 for _ in _rows(days, axis)) + bool(number and axis.by_year)
        names += [_title(days[0])] * rows
    return names


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
        "series", "dataset", "complete %", "first day", "last day",
        *map(words, (*DayState, FAILED)), UNREQUESTED,
        "rows", "missing", "without trades", "revised",
    )  # fmt: skip
    rows: list[tuple[str | float, ...]] = []
    for days in series:
        first, last = days[0], days[-1]
        states = Counter(str(proof.state) for proof in days)
        unrequested = (last.day - first.day).days + 1 - len(days)
        rows.append((
            first.series, _dataset(first).label, _percent(days, unrequested),
            str(first.day), str(last.day),
            *(states[state] for state in (*DayState, FAILED)), unrequested,
            sum(proof.received for proof in days), sum(proof.missing for proof in days),
            _sum_of(map(_without_trades, days)), sum(proof.revised for proof in days),
        ))  # fmt: skip
    kept = [n for n in range(len(header)) if n < 6 or any(row[n] not in (0, "") for row in rows)]
    return Totals([header[n] for n in kept], [[row[n] for n in kept] for row in rows])


def _sum_of(counts: Iterable[int | str]) -> int | str:
    """The sum of the counts; empty if nothing is counted."""
    known = [count for count in counts if isinstance(count, int)]
    return sum(known) if known else ""
