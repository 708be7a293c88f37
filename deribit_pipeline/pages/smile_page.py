"""The smile page: volatility by strike of each expiry, the term structure, and open interest by
strike."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, TypeAlias

import altair as alt

from deribit_pipeline.datasets.book_summaries.smile_reads import (
    EXPIRIES,
    OPTIONS,
    STRIKES,
    Row,
    Smiles,
)
from deribit_pipeline.pages.page import Specification, Swatch, View, csv_data, page

_Layers: TypeAlias = alt.LayerChart | alt.FacetChart

_SMILE_HEIGHT, _TERM_HEIGHT, _INTEREST_HEIGHT = 340, 180, 200  # pixels
_WIDTH = 1_200
_NUMBER = "isValid({0}) ? format({0}, '{1}') + '{2}' : 'none'"


def _shown(field: str, how: str = ".2f", unit: str = " %") -> str:
    return _NUMBER.format(f"datum.{field}", how, unit)


_OF_OPTION = f"""{{'title': datum.instrument_name, 'mark': {_shown("mark_iv")},
    'bid': {_shown("bid_iv")}, 'ask': {_shown("ask_iv")},
    'delta': {_shown("delta", ".3f", "")}, 'open interest': {_shown("open_interest", ",", "")}}}"""
_OF_EXPIRY = f"""{{'title': datum.expiry, 'days': {_shown("days", ",.1f", "")},
    'forward': {_shown("forward", ",", "")}, 'at the forward': {_shown("atm_iv")},
    'risk reversal, 25 delta': {_shown("risk_reversal_25")},
    'butterfly, 25 delta': {_shown("butterfly_25")},
    'risk reversal, 10 delta': {_shown("risk_reversal_10")},
    'butterfly, 10 delta': {_shown("butterfly_10")}}}"""
_OF_STRIKE = f"""{{'title': format(datum.strike, ','),
    'calls': {_shown("call_open_interest", ",", "")},
    'puts': {_shown("put_open_interest", ",", "")}}}"""


def smile_page(smiles: Smiles, source: str) -> str:
    """The page; `source` names the warehouse."""
    introduction = [
        f"{source}. Snapshot of {smiles.snapshot_at:%Y-%m-%d %H:%M:%S} UTC, received at "
        f"{smiles.received_at:%H:%M:%S}. Point at a mark for its values."
    ]
    legend = [
        Swatch("first expiry, puts", "falling", 0.72),
        Swatch("last expiry, calls", "rising", 0.72),
    ]
    return page(f"Smiles of {smiles.currency} options", introduction, legend, list(_views(smiles)))


def _views(smiles: Smiles) -> Iterator[View]:
    """One for each index."""
    for index_name in dict.fromkeys(str(row[0]) for row in smiles.expiries):
        options, expiries, strikes = (
            [row for row in rows if row[0] == index_name]
            for rows in (smiles.options, smiles.expiries, smiles.strikes)
        )
        if options:
            note = (
                "Marks of options out of the money with a delta of 0.01 or more; volatility at the "
                "forward by expiry; open contracts of calls above and of puts below the axis."
            )
            yield View(partial(_view, options, expiries, strikes), index_name, note)


def _view(options: Sequence[Row], expiries: Sequence[Row], strikes: Sequence[Row]) -> Specification:
    parts = [
        _smiles(options, expiries).properties(height=_SMILE_HEIGHT, width=_WIDTH),
        _term_structure(expiries).properties(height=_TERM_HEIGHT, width=_WIDTH),
    ]
    if strikes:
        parts.append(_interest(strikes).properties(height=_INTEREST_HEIGHT, width=_WIDTH))
    return dict(alt.vconcat(*parts, spacing=24).resolve_scale(color="independent").to_dict())


def _colour() -> alt.Color:
    ends = [alt.ExprRef("falling"), alt.ExprRef("rising")]
    return alt.Color("days:Q", scale=alt.Scale(type="log", range=ends, nice=False), legend=None)


def _axis(title: str, **more: Any) -> alt.Axis:
    return alt.Axis(title=title, titlePadding=8, **more)


def _volatility(field: str) -> alt.Y:
    axis = _axis("volatility, percent a year", minExtent=44, tickCount=6)
    return alt.Y(f"{field}:Q", scale=alt.Scale(zero=False), axis=axis)


def _smiles(options: Sequence[Row], expiries: Sequence[Row]) -> _Layers:
    """A line for each expiry; the one that is pointed at stands out."""
    days = {row[1]: row[2] for row in expiries}
    rows = [(*row, days[row[2]]) for row in options]
    pointed = alt.selection_point(
        "pointed", fields=["expiry"], on="pointerover", clear="pointerout"
    )
    drawn = alt.Chart(csv_data((*OPTIONS, "days"), rows)).encode(
        x=alt.X("strike:Q", scale=alt.Scale(type="log", nice=False, padding=10),
                axis=_axis("strike", format=",~f", labelOverlap=True)),
        y=_volatility("mark_iv"),
    )  # fmt: skip
    seen = drawn.encode(
        color=_colour(), opacity=alt.condition(pointed, alt.value(1), alt.value(0.12))
    )
    lines = seen.mark_line(strokeWidth=1.5).encode(detail="expiry:N")
    points = seen.mark_point(filled=True, size=26)
    around = drawn.mark_point(
        filled=True, size=180, opacity=0, tooltip=alt.ExprRef(_OF_OPTION)
    ).add_params(pointed)  # fmt: skip
    return alt.layer(lines, points, around)


def _term_structure(expiries: Sequence[Row]) -> _Layers:
    rows = [row for row in expiries if row[EXPIRIES.index("atm_iv")] is not None]
    drawn = alt.Chart(csv_data(EXPIRIES, rows or expiries)).encode(
        x=alt.X("days:Q", scale=alt.Scale(type="log", nice=False, padding=10),
                axis=_axis("days to expiry", format="~g", labelOverlap=True)),
        y=_volatility("atm_iv"),
    )  # fmt: skip
    line = drawn.mark_line(strokeWidth=1.5, color=alt.ExprRef("muted"))
    points = drawn.mark_point(
        filled=True, size=70, opacity=1, tooltip=alt.ExprRef(_OF_EXPIRY)
    ).encode(color=_colour())  # fmt: skip
    return alt.layer(line, points)


def _interest(strikes: Sequence[Row]) -> _Layers:
    """Calls above the axis, puts below it."""
    drawn = alt.Chart(csv_data(STRIKES, strikes)).transform_calculate(
        below="-datum.put_open_interest"
    )
    x = alt.X("strike:O", sort="ascending",
              axis=_axis("strike", format=",~f", labelOverlap=True, labelAngle=0))  # fmt: skip

    def bars(field: str, colour: str) -> alt.Chart:
        axis = _axis("open interest", format="~s", labelExpr="format(abs(datum.value), '~s')",
                     minExtent=44, tickCount=5)  # fmt: skip
        chart: alt.Chart = drawn.mark_bar(
            color=alt.ExprRef(colour), opacity=0.8, tooltip=alt.ExprRef(_OF_STRIKE)
        ).encode(x=x, y=alt.Y(f"{field}:Q", axis=axis))
        return chart

    return alt.layer(bars("call_open_interest", "rising"), bars("below", "falling"))
