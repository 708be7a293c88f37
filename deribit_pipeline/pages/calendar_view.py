"""The calendar view: rows of days, a rectangle each, whose tooltip shows the day's proof."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import altair as alt

from deribit_pipeline.domain.windows import ONE_DAY, days_between
from deribit_pipeline.pages.page import HEIGHTS, Specification, csv_data, state_colour

_WIDTH = 1_100  # pixels of the calendar, at most, unless a day would be narrower than three
_ROW_HEIGHT = 20
_MS_A_DAY = 86_400_000
_IS_SHOWN = "shown[datum.row] >= 0"
HEADER = (
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
class Axis:
    """The horizontal axis of days; if the data spans several years, each row is a year."""

    first: date
    days: int
    by_year: bool

    @property
    def cell(self) -> int:
        """A day's width in whole pixels, so that neighbours meet without a seam."""
        return max(3, min(26, _WIDTH // self.days))

    def place_of(self, day: date) -> int:
        """The day's offset in days from the beginning."""
        return ((day.replace(year=self.first.year) if self.by_year else day) - self.first).days

    def width_of(self, day: date) -> int:
        """The drawn width in days: 28 February also covers a missing 29 February."""
        is_last = (day.month, day.day) == (2, 28) and (day + ONE_DAY).month == 3
        return 2 if self.by_year and is_last else 1


def axis_of(first: date, last: date) -> Axis:
    """Whole months if they fit within a year, else a leap year's days for rows of a year each."""
    begin = first.replace(day=1)
    end = _month_after(last)
    if (end - begin).days <= 366:
        return Axis(begin, (end - begin).days, by_year=False)
    return Axis(date(2000, 1, 1), 366, by_year=True)


def _month_after(day: date) -> date:
    return (day.replace(day=28) + 4 * ONE_DAY).replace(day=1)


def calendar(
    labels: Sequence[str], cells: Sequence[tuple[object, ...]], axis: Axis
) -> Specification:
    """The view: a row for each label, empty labels as space in between, and a rectangle for each
    cell. A cell has the values of the columns `HEADER`.

    The page may set parameters: `shown`, the place of each row or -1, with the `labels` of the
    remaining ones; `half` and `shift`, to draw the labels above the days; and `overlap`, by which
    days overlap, as a share of the width.
    """
    tracks = [(number, 0, axis.days) for number, label in enumerate(labels) if label]
    x, y = _x(axis), _y()
    start = f"datum.x * {_MS_A_DAY} + {_ms(axis.first)}"
    end = f"datum.start + datum.days * {_MS_A_DAY}"
    track = (
        alt.Chart(csv_data(("row", "x", "days"), tracks))
        .transform_calculate(start=start, end=end, **_edges("1"))
        .transform_filter(_IS_SHOWN)
        .mark_rect(color=alt.ExprRef("track"))
        .encode(x=x, x2="end", y=y, y2="bottom")
    )
    cells_drawn = alt.Chart(csv_data(HEADER, cells))
    heights = json.dumps({str(state): height for state, height in HEIGHTS.items()})
    apart = f"{end} + overlap * {axis.days * _MS_A_DAY}"
    coloured = (
        cells_drawn.transform_calculate(
            start=start, end=apart, **_edges(f"({heights})[datum.state]")
        )
        .transform_filter(_IS_SHOWN)
        .mark_rect()
        .encode(x="start:T", x2="end", y=y, y2="bottom", color=state_colour())
    )
    pointed = alt.selection_point(on="pointerover", clear="pointerout", empty=False)
    pointing = (
        cells_drawn.transform_calculate(start=start, end=end, **_edges("1"))
        .transform_filter(_IS_SHOWN)
        .mark_rect(
            fillOpacity=0, stroke=alt.ExprRef("text"), strokeWidth=2, tooltip=alt.ExprRef(_POINTED)
        )
        .encode(
            x="start:T", x2="end", y=y, y2="bottom",
            strokeOpacity=alt.condition(pointed, alt.value(1), alt.value(0)),
        )
        .add_params(pointed)
    )  # fmt: skip
    width = axis.cell * axis.days
    values: dict[str, object] = {
        "labels": labels,
        "shown": list(range(len(labels))),
        "half": 0.4,
        "shift": 0,
        # Between wide days a pixel is left free; narrow days use their full width.
        "overlap": -1 / width if axis.cell >= 8 else 0,
    }
    layers = alt.layer(track, coloured, pointing).add_params(
        *(alt.param(name=name, value=value) for name, value in values.items())
    )
    size = {"width": width, "height": _ROW_HEIGHT * len(labels)}
    return dict(layers.properties(**size).to_dict())


def _edges(height: str) -> dict[str, str]:
    """Top and bottom of a row's rectangle, of which `height` is an expression from 0 to 1."""
    middle = "shown[datum.row] + shift"
    return {"top": f"{middle} - half * {height}", "bottom": f"{middle} + half * {height}"}


def _ms(day: date) -> int:
    return (day - date(1970, 1, 1)).days * _MS_A_DAY


def _x(axis: Axis) -> alt.X:
    """Month labels above the rows, from the first day of each; day labels too, if days are wide
    enough."""
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


def _y() -> alt.Y:
    rows = "length(labels)"
    return alt.Y(
        "top:Q",
        scale=alt.Scale(domain=[alt.ExprRef(f"{rows} - 0.5"), -0.5], zero=False, nice=False),
        axis=alt.Axis(
            # Without a tick count, Vega omits labels that are closer than 40 pixels.
            title=None, values=alt.ExprRef(f"sequence({rows})"), tickCount=alt.ExprRef(rows),
            labelExpr="labels[datum.value]", labelLimit=340,
            labelPadding=10, labelColor=alt.ExprRef("text"), ticks=False, domain=False,
            grid=False, labelOverlap=False,
        ),
    )  # fmt: skip
