"""The coverage calendar: every instrument by day, coloured by state, with each day's proof."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from functools import partial
from itertools import chain, groupby, repeat

from deribit_pipeline.domain.dataset import Group
from deribit_pipeline.domain.proofs import FAILED, DayState
from deribit_pipeline.pages.calendar_view import Axis, axis_of, calendar
from deribit_pipeline.pages.coverage_days import SeriesDays
from deribit_pipeline.pages.page import (
    HEIGHTS,
    UNREQUESTED,
    Specification,
    Swatch,
    Totals,
    View,
    page_parts,
    words,
)

_ROWS_PER_VIEW = 60  # so that the month labels are visible on the screen; more are grouped

# Settlement currency or pair, and expiry: of BTC-26JAN24-45000-C, BTC and 26JAN24.
_EXPIRING = re.compile(r"([A-Z0-9_]+?)-(?:.*[-_])?(\d{1,2}[A-Z]{3}\d{2})(?=[-_]|$)")
_WITHOUT_EXPIRY = "Without expiry"


def coverage_page(series: Sequence[SeriesDays], source: str, made: str = "") -> Iterator[str]:
    """The page, in parts: only one view of it is in memory. `series` has one or more, by dataset;
    `source` names the warehouse, `made` the environment and time.

    Many series are grouped by expiry, of which each group is closed at first.
    """
    axis = axis_of(min(each.first for each in series), max(each.last for each in series))
    views = [
        View(
            partial(_view, some, axis),
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
    days, rows = sum(_states(series).values()), sum(each.rows for each in series)
    has_failed = any(FAILED in each.states for each in series)
    candles = not has_failed and all(each.dataset.group is Group.CANDLES for each in series)
    counted = (
        f"{days:,} instrument-days with {rows:,} candles"
        if candles
        else f"{days:,} days with {rows:,} rows"
    )
    introduction = [f"{source}: {counted}. Point at a day to see its proof; days are UTC."]
    legend = [Swatch(words(state), str(state), HEIGHTS[state]) for state in DayState]
    if has_failed:
        legend.append(Swatch(words(FAILED), FAILED, HEIGHTS[FAILED]))
    legend.append(Swatch(UNREQUESTED, "track", 1.0))
    title = " · ".join(filter(None, ("Coverage", made)))
    return page_parts(title, introduction, legend, views, _totals(series))


def _groups(series: Sequence[SeriesDays], axis: Axis) -> dict[str, list[SeriesDays]]:
    """The series by currency and expiry, those without one first; under no title if all fit on a
    screen."""
    if len(list(_screenfuls(series, axis))) == 1:
        return {"": list(series)}
    groups: dict[tuple[str, date], list[SeriesDays]] = {}
    for each in series:
        found = _EXPIRING.match(each.series)
        expiry = datetime.strptime(found[2], "%d%b%y").date() if found else date.min
        groups.setdefault((found[1] if found else "", expiry), []).append(each)
    ordered = sorted(groups.items(), key=lambda group: group[0])
    return {
        f"{currency} {expiry:%-d%b%y}".upper() if currency else _WITHOUT_EXPIRY: some
        for (currency, expiry), some in ordered
    }


def _note_of(series: Sequence[SeriesDays]) -> str:
    """How many series a group has, and how complete they are."""
    percent = _percent(_states(series))
    share = f", {percent} % of the requested days complete" if percent != "" else ""
    return f"{len(series):,} series{share}"


def _states(series: Sequence[SeriesDays]) -> Counter[str]:
    """How many days have each state."""
    return sum((each.states for each in series), Counter())


def _percent(states: Counter[str], unrequested: int = 0) -> float | str:
    """The share of complete days in percent, rounded down, so that 100 means all; empty if the
    series was listed on none."""
    listed = sum(states.values()) - states[DayState.NOT_LISTED] + unrequested
    return 1_000 * states[DayState.COMPLETE] // listed / 10 if listed else ""


def _names(series: Sequence[SeriesDays], axis: Axis) -> list[str]:
    """The series of each row of a view, as `_view` draws them."""
    names: list[str] = []
    for number, each in enumerate(series):
        names += [each.title] * (_rows_of(each, axis) + bool(number and axis.by_year))
    return names


def _rows_of(each: SeriesDays, axis: Axis) -> int:
    return each.years if axis.by_year else 1


def _screenfuls(series: Sequence[SeriesDays], axis: Axis) -> Iterator[list[SeriesDays]]:
    """The series in lists of about as many rows as a view has."""
    some: list[SeriesDays] = []
    rows = 0
    for each in series:
        more = _rows_of(each, axis)
        if some and rows + more > _ROWS_PER_VIEW:
            yield some
            some, rows = [], 0
        some.append(each)
        rows += more
    yield some


def _view(series: Sequence[SeriesDays], axis: Axis) -> Specification:
    labels: list[str] = []
    cells: list[tuple[object, ...]] = []
    for number, each in enumerate(series):
        if number and axis.by_year:
            labels.append("")  # a row's space between one instrument and the next
        years = groupby(each.days(), lambda day: day[0].year if axis.by_year else None)
        for is_first, (year, days) in zip(chain([True], repeat(False)), years, strict=False):
            row = len(labels)
            cells += (
                (row, axis.place_of(day), axis.width_of(day), each.title, day, *values)
                for day, values in days
            )
            title = f"{each.title}   {year}" if axis.by_year else each.title
            labels.append(title if is_first else str(year))
    return calendar(labels, cells, axis)


def _totals(series: Sequence[SeriesDays]) -> Totals:
    header = (
        "series", "dataset", "complete %", "first day", "last day",
        *map(words, (*DayState, FAILED)), UNREQUESTED,
        "rows", "missing", "without trades", "revised",
    )  # fmt: skip
    rows: list[tuple[str | float, ...]] = []
    for each in series:
        unrequested = (each.last - each.first).days + 1 - sum(each.states.values())
        rows.append((
            each.series, each.dataset.label, _percent(each.states, unrequested),
            str(each.first), str(each.last),
            *(each.states[state] for state in (*DayState, FAILED)), unrequested,
            each.rows, each.missing, each.without_trades, each.revised,
        ))  # fmt: skip
    kept = [n for n in range(len(header)) if n < 6 or any(row[n] not in (0, "") for row in rows)]
    return Totals([header[n] for n in kept], [[row[n] for n in kept] for row in rows])
