"""The calendar: every instrument by day, coloured by state, with each day's proof under it."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import groupby
from types import MappingProxyType
from typing import TypeGuard

import altair as alt

from deribit_pipeline.datasets.registry import dataset_of
from deribit_pipeline.domain.dataset import Dataset, Group
from deribit_pipeline.domain.proofs import FAILED, CrossCheck, DayState, Proof
from deribit_pipeline.domain.windows import ONE_DAY, days_between
from deribit_pipeline.pages.page import (
    HEIGHTS,
    NEVER_ASKED,
    Specification,
    csv_data,
    legend,
    page,
    place,
    state_colour,
    table,
    words,
)

DayKey = tuple[str, str, date]
"""The name of a dataset, the series and the day."""


@dataclass(frozen=True, slots=True)
class Unproved:
    """A day that was requested and could not be proved, of which nothing else is held."""

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
"""A day of a series, as it is shown."""

_WIDTH = 1_100  # pixels of the calendar, at most, unless a day would be narrower than three
_ROW_HEIGHT = 20
_ROWS_PER_VIEW = 60  # so that the months stand above what is on the screen
_HEADER = (
    "row", "x", "days", "series", "day", "state", "rows", "expected", "received", "missing", "gaps",
    "note", "revised", "fetched", "run_id", "verdict", "cross_check", "failure",
)  # fmt: skip
_POINTED = """merge(
    {'title': datum.series + '  ' + datum.day, 'state': replace(datum.state, '_', ' '),
     'expected': format(datum.expected, ',') + ' ' + datum.rows,
     'received': format(datum.received, ','), 'missing': format(datum.missing, ',')},
    datum.gaps ? {'gaps (UTC)': datum.gaps} : {},
    datum.note ? {'note': datum.note} : {},
    datum.failure ? {'not proved': datum.failure} : {},
    datum.verdict ? {'verdict': datum.verdict} : {},
    datum.cross_check ? {'cross-check': datum.cross_check} : {},
    {'revised': format(datum.revised, ',') + (datum.revised == 1 ? ' time' : ' times'),
     'fetched': datum.fetched + ' UTC', 'by run': datum.run_id})"""


@dataclass(frozen=True, slots=True)
class _Axis:
    """The days from left to right; where they are of one year after another, rows are years."""

    first: date
    days: int
    by_year: bool

    @property
    def cell(self) -> int:
        """A day's width in pixels: whole, so that neighbours meet without a seam."""
        return max(3, min(26, _WIDTH // self.days))

    def place_of(self, day: date) -> int:
        """How many days right of the beginning the day stands."""
        return ((day.replace(year=self.first.year) if self.by_year else day) - self.first).days

    def width_of(self, day: date) -> int:
        """How many days wide it is drawn: 28 February also stands where there is no 29th."""
        is_last = (day.month, day.day) == (2, 28) and (day + ONE_DAY).month == 3
        return 2 if self.by_year and is_last else 1


def coverage_page(
    proofs: Sequence[Shown],
    runs: Mapping[DayKey, str],
    gaps: Mapping[DayKey, Sequence[str]],
    source: str,
    failures: Mapping[DayKey, str] = MappingProxyType({}),
) -> str:
    """The page. `proofs` holds one day or more, by dataset, series and day; `runs` says which run
    wrote a day, `gaps` names the first of them, `failures` why a day could not be proved when it
    was last requested. `source` names the warehouse."""
    axis = _axis(min(proof.day for proof in proofs), max(proof.day for proof in proofs))
    series = [list(days) for _, days in groupby(proofs, _key_of_series)]
    views = [_view(some, axis, runs, gaps, failures) for some in _screenfuls(series, axis)]
    days, rows = len(proofs), sum(proof.received for proof in proofs)
    candles = all(map(_is_of_candles, proofs))
    counted = (
        f"{days:,} instrument-days with {rows:,} candles"
        if candles
        else f"{days:,} days with {rows:,} rows"
    )
    introduction = [f"{source}: {counted}. Point at a day to see its proof; days are UTC."]
    shown = [(words(state), str(state), HEIGHTS[state], 1.0) for state in DayState]
    if any(isinstance(day, Unproved) for day in proofs):
        shown.append((words(FAILED), FAILED, HEIGHTS[FAILED], 1.0))
    body = [legend([*shown, (NEVER_ASKED, "track", 1.0, 1.0)])]
    body += [place(number) for number in range(len(views))]
    body += ["<h2>Totals</h2>", _totals(series)]
    return page("Coverage", introduction, "\n".join(body), views)


def _axis(first: date, last: date) -> _Axis:
    """Whole months where a year holds them, else a leap year's days for rows of a year each."""
    begin = first.replace(day=1)
    end = _month_after(last)
    if (end - begin).days <= 366:
        return _Axis(begin, (end - begin).days, by_year=False)
    return _Axis(date(2000, 1, 1), 366, by_year=True)


def _month_after(day: date) -> date:
    return (day.replace(day=28) + 4 * ONE_DAY).replace(day=1)


def _rows(days: Sequence[Shown], axis: _Axis) -> Iterator[tuple[str, list[Shown]]]:
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


def _screenfuls(series: Sequence[list[Shown]], axis: _Axis) -> Iterator[list[list[Shown]]]:
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
    axis: _Axis,
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
    tracks = [(number, 0, axis.days) for number, label in enumerate(labels) if label]
    x, y = _x(axis), _y(len(labels))
    start = f"datum.x * {_MS_A_DAY} + {_ms(axis.first)}"
    end = f"datum.start + datum.days * {_MS_A_DAY}"
    track = (
        alt.Chart(csv_data(("row", "x", "days"), tracks))
        .transform_calculate(start=start, end=end, **_edges("1"))
        .mark_rect(color=alt.ExprRef("track"))
        .encode(x=x, x2="end", y=y, y2="bottom")
    )
    cells_drawn = alt.Chart(csv_data(_HEADER, cells))
    heights = json.dumps({str(state): height for state, height in HEIGHTS.items()})
    # A pixel between wide days shows where one ends; narrow ones need all they have.
    apart = f"{end} - {_MS_A_DAY // axis.cell if axis.cell >= 8 else 0}"
    coloured = (
        cells_drawn.transform_calculate(
            start=start, end=apart, **_edges(f"({heights})[datum.state]")
        )
        .mark_rect()
        .encode(x="start:T", x2="end", y=y, y2="bottom", color=state_colour())
    )
    pointed = alt.selection_point(on="pointerover", clear="pointerout", empty=False)
    pointing = (
        cells_drawn.transform_calculate(start=start, end=end, **_edges("1"))
        .mark_rect(
            fillOpacity=0, stroke=alt.ExprRef("text"), strokeWidth=2, tooltip=alt.ExprRef(_POINTED)
        )
        .encode(
            x="start:T", x2="end", y=y, y2="bottom",
            strokeOpacity=alt.condition(pointed, alt.value(1), alt.value(0)),
        )
        .add_params(pointed)
    )  # fmt: skip
    named = alt.param(name="labels", value=labels)
    layers = alt.layer(track, coloured, pointing).add_params(named)
    size = {"width": axis.cell * axis.days, "height": _ROW_HEIGHT * len(labels)}
    return dict(layers.properties(**size).to_dict())


def _edges(height: str) -> dict[str, str]:
    """Top and bottom of a row's rectangle, of which `height` is an expression from 0 to 1."""
    return {"top": f"datum.row - 0.4 * {height}", "bottom": f"datum.row + 0.4 * {height}"}


_MS_A_DAY = 86_400_000


def _ms(day: date) -> int:
    return (day - date(1970, 1, 1)).days * _MS_A_DAY


def _x(axis: _Axis) -> alt.X:
    """Months above the rows, each from its first day on; days too, where they are wide enough."""
    last = axis.first + (axis.days - 1) * ONE_DAY
    months = [day for day in days_between(axis.first, last) if day.day == 1]
    with_days = axis.cell >= 18
    month = "'%b'" if axis.by_year else "(month(datum.value) && datum.index ? '%b' : '%b %Y')"
    label = f"utcFormat(datum.value, {month.replace('month(', 'utcmonth(')})"
    if with_days:
        label = (
            "[utcdate(datum.value) == 1 ? utcFormat(datum.value, '%b %Y') : '',"
            " utcFormat(datum.value, '%-d')]"
        )
    shown = list(days_between(axis.first, last)) if with_days else months
    return alt.X(
        "start:T",
        scale=alt.Scale(type="utc", domain=[_ms(axis.first), _ms(last) + _MS_A_DAY], nice=False),
        axis=alt.Axis(
            orient="top", title=None, values=[_ms(day) for day in shown], tickCount=len(shown),
            labelExpr=label,
            labelAlign="left", labelOffset=(axis.cell - 14) // 2 if with_days else 2,
            labelOverlap=False, grid=not with_days,
            tickSize=0 if with_days else 8, domain=False, labelPadding=20 if with_days else 4,
        ),
    )  # fmt: skip


def _y(rows: int) -> alt.Y:
    return alt.Y(
        "top:Q",
        scale=alt.Scale(domain=[rows - 0.5, -0.5], zero=False, nice=False),
        axis=alt.Axis(
            # Without a count, Vega leaves out what stands closer than 40 pixels.
            title=None, values=list(range(rows)), tickCount=rows,
            labelExpr="labels[datum.value]", labelLimit=340,
            labelPadding=10, labelColor=alt.ExprRef("text"), ticks=False, domain=False,
            grid=False, labelOverlap=False,
        ),
    )  # fmt: skip


def _cell(
    row: int,
    proof: Shown,
    axis: _Axis,
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
    """What else is to be said of a day."""
    return f"{proof.without_trades:,} without trades" if _is_of_candles(proof) else ""


def _cross_check(proof: Shown) -> str:
    """How the day compares with an independent series; empty where it was not compared."""
    if isinstance(proof, Unproved) or proof.cross_check is CrossCheck.NONE:
        return ""
    return str(proof.cross_check)


def _named(gaps: Sequence[str], missing: int) -> str:
    """The gaps that are named, and how many rows more lack."""
    if not gaps:
        return ""
    named = ", ".join(gaps)
    more = missing - len(gaps)
    return f"{named} and {more:,} more" if more > 0 else named


def _totals(series: Sequence[list[Shown]]) -> str:
    header = (
        "series", "dataset", "first day", "last day", *map(words, (*DayState, FAILED)), NEVER_ASKED,
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
    return table(header, rows)


def _sum_of(counts: Iterable[int | str]) -> int | str:
    """The sum of what is counted; nothing where nothing is."""
    known = [count for count in counts if isinstance(count, int)]
    return sum(known) if known else ""
