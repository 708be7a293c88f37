"""The chart: candles and volume of each instrument, finer ones when zoomed; incomplete days are
shaded."""

import json
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial

import altair as alt

from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.proofs import DayState
from deribit_pipeline.domain.specification import currencies_of
from deribit_pipeline.domain.windows import TimeWindow, to_ms
from deribit_pipeline.pages.chart_series import Series, days_of, rows_of, spans_of, states_of
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

MOST_IN_PAGE = 100_000
"""As many candles as a page contains for zooming: about 7 MB."""

_FINER = 3  # a level of zoom has candles at least so many times shorter than the one above

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
_RISING, _FALLING = alt.ExprRef("rising"), alt.ExprRef("falling")
_HEADER = (
    "opened", "open", "high", "low", "close", "volume_base", "volume_quote", "held",
    "expected", "state", "length",
)  # fmt: skip
_POINTED = """merge(
    {'title': utcFormat(datum.opened, '%Y-%m-%d %H:%M') + ' UTC',
     'open': format(datum.open, ','), 'high': format(datum.high, ','),
     'low': format(datum.low, ','), 'close': format(datum.close, ','),
     VOLUME: format(datum.volume_base, ','), VALUE: format(datum.volume_quote, ',')},
    datum.expected > 1 ? {'made of': datum.held + ' of ' + datum.expected + ' candles'} : {},
    datum.state == 'complete' ? {} : {'day': datum.state})"""
_SHADED = """{'title': datum.days, 'day': datum.words,
    'candles missing': format(datum.missing, ',')}"""


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


def finer_lengths(
    resolution: Resolution, length: timedelta, held: int, room: int = MOST_IN_PAGE
) -> list[timedelta]:
    """The lengths of the candles that are shown when zoomed, from those of `length` down to those
    of the resolution, of which `held` are stored; as many as there is room for."""
    found: list[timedelta] = []
    for each in (*reversed(_LENGTHS), resolution.duration):
        is_finest = each == resolution.duration
        is_step = is_finest or (found or [length])[-1] >= _FINER * each
        count = held * resolution.duration // each
        if each < length and is_step and not each % resolution.duration and count <= room:
            found.append(each)
            room -= count
    return list(dict.fromkeys(found))


def chart_page(series: Sequence[Series], source: str, made: str = "") -> str:
    """The page. `series` holds one or more, each with one candle or more; `source` names the
    warehouse, `made` the environment and time."""
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
    views = [View(partial(_view, one), one.instrument_name, _note(one)) for one in series]
    names = ", ".join(dict.fromkeys(one.instrument_name for one in series))
    return page(
        " · ".join(filter(None, (f"Candles of {names}", made))), introduction, legend, views
    )


def _note(one: Series) -> str:
    """Which candles these are, and the states of their days."""
    drawn = f"{_label(one.length)} candles"
    if one.length > one.resolution.duration:
        held = int(one.held.sum())
        drawn += f", rolled up from {held:,} candles of {one.resolution.label}"
        if held > MOST_CANDLES:
            drawn += ", which are more than a screen shows"
    if one.finer:
        drawn += f"; zoom in for {' and '.join(_label(level.length) for level in one.finer)}"
    counts = Counter(state for _, state in states_of(one))
    states = ", ".join(
        f"{counts[state]:,} {words(state)}" for state in (*DayState, UNREQUESTED) if counts[state]
    )
    first, last = days_of(one.window)
    return f"{drawn}. {first} to {last}, days: {states}."


def _label(length: timedelta) -> str:
    minutes = length // timedelta(minutes=1)
    if minutes >= 1_440:
        return f"{minutes // 1_440}d"
    return f"{minutes // 60}h" if minutes >= 60 else f"{minutes}m"


def _view(one: Series) -> Specification:
    """Candles above, volume below, on one shared time axis that either can move."""
    base, quote = currencies_of(one.instrument_name)
    volume_title = f"volume, {base}"
    zoom = alt.selection_interval("zoom", bind="scales", encodings=["x"])
    start, end = to_ms(one.window.start), to_ms(one.window.end)
    scale = alt.Scale(type="utc", domain=[start, end], nice=False)

    def x(*, labels: bool) -> alt.X:
        axis = alt.Axis(title=None, labels=labels, ticks=labels, grid=True, tickCount=12,
                        labelExpr=_MOMENT)  # fmt: skip
        # Labelled once: the other part shares the axis.
        return alt.X("opened:T", axis=axis) if labels else alt.X("opened:T", scale=scale, axis=axis)

    def y(field: str, title: str) -> alt.Y:
        is_volume = title == volume_title
        axis = alt.Axis(title=title, format="~s" if is_volume else ",~f", minExtent=64,
                        tickCount=4 if is_volume else 6, titlePadding=8)  # fmt: skip
        return alt.Y(f"{field}:Q", scale=alt.Scale(zero=is_volume), axis=axis)

    drawn = alt.Chart(csv_data(_HEADER, rows_of(one))).transform_calculate(
        middle="datum.opened + datum.length / 2",
        left="datum.opened + datum.length / 10",
        right="datum.opened + datum.length * 0.9",
        end="datum.opened + datum.length",
    )
    seen = drawn.transform_filter(_of_level(one)).transform_filter(zoom)
    colour = alt.condition("datum.close >= datum.open", alt.value(_RISING), alt.value(_FALLING))
    price_title = f"price, {quote}"
    price = y("low", price_title)
    wicks = seen.mark_rule(clip=True).encode(x="middle:T", y=price, y2="high", color=colour)
    bodies = seen.mark_rect(clip=True, strokeWidth=0.5).encode(
        x="left:T", x2="right", y=y("open", price_title), y2="close",
        color=colour, stroke=colour,
    )  # fmt: skip
    volume = seen.mark_rect(clip=True, opacity=0.75).encode(
        x="left:T", x2="right", y=y("volume_base", volume_title), y2=alt.datum(0),
        color=colour,
    )  # fmt: skip
    spans = list(spans_of(one))
    # An option's value is in the same currency as its amount.
    pointed = _POINTED.replace("VOLUME", json.dumps(volume_title))
    pointed = pointed.replace("VALUE", json.dumps(f"value, {quote}"))
    layers = [
        alt.layer(*_shades(spans), wicks, bodies,
                  _pointing(seen, zoom, x(labels=False), "candle", pointed)),
        alt.layer(*_shades(spans), volume,
                  _pointing(seen, zoom, x(labels=True), "amount", pointed)),
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


def _of_level(one: Series) -> str:
    """Of a candle: whether the visible span shows candles of its length, the shortest that fit."""
    span = "(zoom.opened ? zoom.opened[1] - zoom.opened[0] : 1e15)"
    first, *finer = [level.length // timedelta(milliseconds=1) for level in one.levels]
    chosen = str(first)
    for length in finer:
        chosen = f"({span} <= {MOST_CANDLES * length} ? {length} : {chosen})"
    return f"datum.length == {chosen}"


def _pointing(seen: alt.Chart, zoom: alt.Parameter, x: alt.X, name: str, tooltip: str) -> alt.Chart:
    """The tooltip area: the whole height above and below a candle."""
    pointed = alt.selection_point(name, on="pointerover", clear="pointerout", empty=False)
    chart: alt.Chart = (
        seen.mark_rect(clip=True, color=alt.ExprRef("text"), tooltip=alt.ExprRef(tooltip))
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
