"""The chart: candles and volume of each instrument, zoomable; incomplete days are shaded."""

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby

import altair as alt
import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.domain.candles import Candles, Resolution
from deribit_pipeline.domain.proofs import DayState, Proof
from deribit_pipeline.domain.windows import TimeWindow, day_window, days_between, from_ms, to_ms
from deribit_pipeline.pages.page import (
    UNREQUESTED,
    Specification,
    Swatch,
    View,
    csv_data,
    page,
    state_colour,
    words,
)

MOST_CANDLES = 3_000
"""As many as fit on a screen; more are rolled up."""

# Minutes; each divides a day, or is a multiple of a day.
_LENGTHS = tuple(
    timedelta(minutes=minutes)
    for minutes in (3, 5, 10, 15, 30, 60, 120, 180, 240, 360, 720, 1440, 2880, 10080, 40320)
)
_PRICE_HEIGHT, _VOLUME_HEIGHT = 320, 125  # pixels
_SHADE, _FAINT_SHADE = 0.28, 0.1
_MOMENT = """utcFormat(datum.value,
    utchours(datum.value) || utcminutes(datum.value) ? '%H:%M'
    : utcdate(datum.value) != 1 ? '%a %d' : utcmonth(datum.value) ? '%B' : '%Y')"""
_PRICE, _VOLUME = "price, quote currency", "volume, base currency"
_RISING, _FALLING = alt.ExprRef("rising"), alt.ExprRef("falling")
_HEADER = (
    "opened", "open", "high", "low", "close", "volume_base", "volume_quote", "held",
    "expected", "state",
)  # fmt: skip
_POINTED = """merge(
    {'title': utcFormat(datum.opened, '%Y-%m-%d %H:%M') + ' UTC',
     'open': format(datum.open, ','), 'high': format(datum.high, ','),
     'low': format(datum.low, ','), 'close': format(datum.close, ','),
     'volume, base currency': format(datum.volume_base, ','),
     'volume, quote currency': format(datum.volume_quote, ',')},
    datum.expected > 1 ? {'made of': datum.held + ' of ' + datum.expected + ' candles'} : {},
    datum.state == 'complete' ? {} : {'day': datum.state})"""
_SHADED = """{'title': datum.days, 'day': datum.words,
    'candles missing': format(datum.missing, ',')}"""


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """The data drawn for one instrument and resolution.

    `candles` last `length` each, the resolution's or a longer one, and are rolled up from `held`
    candles each, shape (n,). `proofs` are those of the window's days that were requested.
    """

    instrument_name: str
    resolution: Resolution
    window: TimeWindow
    length: timedelta
    candles: Candles
    held: NDArray[np.int64]
    proofs: Mapping[date, Proof]


def fitting_length(resolution: Resolution, window: TimeWindow, held: int) -> timedelta:
    """The length of the drawn candles: that of the resolution, or longer if `held` candles do not
    fit on a screen."""
    if held <= MOST_CANDLES:
        return resolution.duration
    fitting = (
        length
        for length in _LENGTHS
        if not length % resolution.duration and window.duration <= MOST_CANDLES * length
    )
    return next(fitting, _LENGTHS[-1])


def chart_page(series: Sequence[Series], source: str) -> str:
    """The page. `series` holds one or more, each with one candle or more; `source` names the
    warehouse."""
    legend = [
        Swatch("close at or above open", "rising", 0.72),
        Swatch("below", "falling", 0.72),
        *(
            Swatch(f"{words(state)} day", state, 1.0, _SHADE)
            for state in (DayState.OPEN, DayState.GAPPED, DayState.NOT_LISTED)
        ),
        Swatch(UNREQUESTED, "muted", 1.0, _FAINT_SHADE),
    ]
    introduction = [
        f"{source}. Scroll to zoom, drag to move, double-click to see all; point at a candle for "
        "its values. Times are UTC."
    ]
    views = [View(_view(one), one.instrument_name, _note(one)) for one in series]
    return page("Candles", introduction, legend, views)


def _note(one: Series) -> str:
    """Which candles these are, and the states of their days."""
    drawn = f"{_label(one.length)} candles"
    if one.length > one.resolution.duration:
        held = int(one.held.sum())
        drawn += f", rolled up from {held:,} candles of {one.resolution.label}"
        if held > MOST_CANDLES:
            drawn += ", which are more than a screen shows"
    counts = Counter(state for _, state in _states(one))
    states = ", ".join(
        f"{counts[state]:,} {words(state)}" for state in (*DayState, UNREQUESTED) if counts[state]
    )
    first, last = _days_of(one.window)
    return f"{drawn}. {first} to {last}, days: {states}."


def _label(length: timedelta) -> str:
    minutes = length // timedelta(minutes=1)
    if minutes >= 1_440:
        return f"{minutes // 1_440}d"
    return f"{minutes // 60}h" if minutes >= 60 else f"{minutes}m"


def _days_of(window: TimeWindow) -> tuple[date, date]:
    return window.start.date(), (window.end - timedelta(microseconds=1)).date()


def _states(one: Series) -> Iterator[tuple[date, str]]:
    """Every day of the window, with its state."""
    for day in days_between(*_days_of(one.window)):
        yield day, one.proofs[day].state if day in one.proofs else UNREQUESTED


def _view(one: Series) -> Specification:
    """Candles above, volume below, on one shared time axis that either can move."""
    zoom = alt.selection_interval("zoom", bind="scales", encodings=["x"])
    start, end = to_ms(one.window.start), to_ms(one.window.end)
    scale = alt.Scale(type="utc", domain=[start, end], nice=False)

    def x(*, labels: bool) -> alt.X:
        axis = alt.Axis(title=None, labels=labels, ticks=labels, grid=True, tickCount=12,
                        labelExpr=_MOMENT)  # fmt: skip
        # Labelled once: the other part shares the axis.
        return alt.X("opened:T", axis=axis) if labels else alt.X("opened:T", scale=scale, axis=axis)

    def y(field: str, title: str) -> alt.Y:
        axis = alt.Axis(title=title, format="~s" if title == _VOLUME else ",~f", minExtent=64,
                        tickCount=4 if title == _VOLUME else 6, titlePadding=8)  # fmt: skip
        return alt.Y(f"{field}:Q", scale=alt.Scale(zero=title == _VOLUME), axis=axis)

    length = one.length // timedelta(milliseconds=1)
    drawn = alt.Chart(csv_data(_HEADER, _rows(one))).transform_calculate(
        middle=f"datum.opened + {length // 2}",
        left=f"datum.opened + {length // 10}",
        right=f"datum.opened + {length - length // 10}",
        end=f"datum.opened + {length}",
    )
    seen = drawn.transform_filter(zoom)
    colour = alt.condition("datum.close >= datum.open", alt.value(_RISING), alt.value(_FALLING))
    price = y("low", _PRICE)
    wicks = seen.mark_rule(clip=True).encode(x="middle:T", y=price, y2="high", color=colour)
    bodies = seen.mark_rect(clip=True, strokeWidth=0.5).encode(
        x="left:T", x2="right", y=y("open", _PRICE), y2="close",
        color=colour, stroke=colour,
    )  # fmt: skip
    volume = seen.mark_rect(clip=True, opacity=0.75).encode(
        x="left:T", x2="right", y=y("volume_base", _VOLUME), y2=alt.datum(0),
        color=colour,
    )  # fmt: skip
    spans = list(_spans(one))
    layers = [
        alt.layer(*_shades(spans), wicks, bodies,
                  _pointing(seen, zoom, x(labels=False), "candle")),
        alt.layer(*_shades(spans), volume,
                  _pointing(seen, zoom, x(labels=True), "amount")),
    ]  # fmt: skip
    heights = (_PRICE_HEIGHT, _VOLUME_HEIGHT)
    parts = [
        layer.properties(height=height, width=1_200)
        for layer, height in zip(layers, heights, strict=True)
    ]
    with warnings.catch_warnings():  # one zoom for both parts is intended
        warnings.filterwarnings("ignore", "Automatically deduplicated selection parameter")
        both = alt.vconcat(*parts, spacing=10).resolve_scale(x="shared")
        return dict(both.to_dict())


def _pointing(seen: alt.Chart, zoom: alt.Parameter, x: alt.X, name: str) -> alt.Chart:
    """The tooltip area: the whole height above and below a candle."""
    pointed = alt.selection_point(name, on="pointerover", clear="pointerout", empty=False)
    chart: alt.Chart = (
        seen.mark_rect(clip=True, color=alt.ExprRef("text"), tooltip=alt.ExprRef(_POINTED))
        .encode(x=x, x2="end", opacity=alt.condition(pointed, alt.value(0.1), alt.value(0)))
        .add_params(pointed, zoom)
    )
    return chart


def _shades(spans: Sequence[tuple[object, ...]]) -> Iterator[alt.Chart]:
    """The days that are not complete: shaded, with a strip above that is visible when zoomed
    out."""
    if not spans:
        return
    chart = alt.Chart(csv_data(("start", "end", "state", "words", "days", "missing"), spans))
    faint = alt.condition(
        f"datum.words == '{UNREQUESTED}'", alt.value(_FAINT_SHADE), alt.value(_SHADE)
    )
    color = alt.condition(
        f"datum.words == '{UNREQUESTED}'", alt.value(alt.ExprRef("muted")), state_colour()
    )
    yield chart.mark_rect(clip=True, tooltip=alt.ExprRef(_SHADED)).encode(
        x="start:T", x2="end", color=color, opacity=faint
    )
    yield chart.mark_rect(clip=True, strokeWidth=1).encode(
        x="start:T", x2="end", y=alt.value(0), y2=alt.value(4), color=color, stroke=color
    )


def _rows(one: Series) -> Iterator[tuple[object, ...]]:
    expected = one.length // one.resolution.duration
    states = dict(_states(one))
    for opened, values, held in zip(
        one.candles.opened_at.astype(int).tolist(),
        one.candles.values.tolist(),
        one.held.tolist(),
        strict=True,
    ):
        first = from_ms(opened)
        days = days_between(first.date(), (first + one.length - timedelta(milliseconds=1)).date())
        seen = dict.fromkeys(states[day] for day in days if day in states)
        yield opened, *values, held, expected, words(", ".join(seen))


def _spans(one: Series) -> Iterator[tuple[object, ...]]:
    """Runs of consecutive days in one state that is not complete."""
    for state, some in groupby(_states(one), lambda day: day[1]):
        days = [day for day, _ in some]
        if state == DayState.COMPLETE:
            continue
        first, last = days[0], days[-1]
        missing = sum(one.proofs[day].missing for day in days if day in one.proofs)
        yield (
            to_ms(day_window(first).start), to_ms(day_window(last).end), state, words(state),
            f"{first}" if first == last else f"{first} to {last}", missing,
        )  # fmt: skip
