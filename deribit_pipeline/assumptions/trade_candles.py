"""Assumptions about trades, tested against the exchange's own hourly candles."""

from contextlib import suppress
from functools import partial

import numpy as np

from deribit_pipeline.assumptions.assumption import (
    Assumption,
    Comparison,
    Known,
    NotTested,
    Responses,
    compared,
)
from deribit_pipeline.assumptions.probe_requests import SERIES
from deribit_pipeline.datasets.candles.wire import candles
from deribit_pipeline.datasets.trades.hours import (
    WAYS,
    Way,
    disagreeing,
    hour_of,
    hourly,
    kind_of,
    unknown_hours,
)
from deribit_pipeline.datasets.trades.wire import Columns, trades
from deribit_pipeline.domain.candles import Candles
from deribit_pipeline.domain.rows import joined_rows, some_of

_KIND = kind_of(SERIES, "future")

_COUNTED = {True: "with", False: "without"}


def _trades(responses: Responses) -> Columns:
    """The trades of both hosts, or of the main host alone, without duplicates, sorted by
    `trade_seq`."""
    parts = [_of(responses, "trades")]
    with suppress(NotTested):
        parts.append(_of(responses, "trades-archive"))
    rows = joined_rows(parts)
    return some_of(rows, np.unique(rows["trade_seq"], return_index=True)[1])


def _of(responses: Responses, name: str) -> Columns:
    most = responses.requested(name, "count")
    return responses.read(name, partial(trades, instrument_name=SERIES, most=most))


def _hours(responses: Responses, rows: Columns) -> Candles:
    """The published candles of hours whose trades are all present. Raises NotTested if there are
    none."""
    published = responses.read("hours", candles)
    numbers, hours = rows["trade_seq"], hour_of(rows["traded_at"])
    if not len(numbers):
        raise NotTested("there are no trades")
    holes = numbers[1:][np.diff(numbers) > 1] - 1  # the last number of each: a hole may be huge
    of_candles = hour_of(published.opened_at)
    is_whole = (of_candles > hours.min()) & (of_candles < hours.max())
    found = published[is_whole & ~np.isin(of_candles, unknown_hours(rows, holes))]
    if not len(found):
        raise NotTested(f"{len(numbers):,} trades fill no hour of {SERIES}")
    return found


def _agreeing(responses: Responses) -> tuple[list[Way], str, Columns]:
    """The ways of counting in which every hour matches its trades, and an explanation for the
    report."""
    rows = _trades(responses)
    published = _hours(responses, rows)
    wrong = {way: disagreeing(hourly(rows, _KIND, way), published) for way in WAYS}
    ways = [way for way in WAYS if not wrong[way]]
    first = next(iter(wrong[WAYS[0]].items()), None)
    example = f", such as {first[0]}: {first[1]}" if first else ""
    hours = f"{len(wrong[WAYS[0]])} of {len(published)} hours differ with all trades counted"
    return ways, hours + example, rows


def _made_of_trades(responses: Responses) -> Comparison:
    ways, found, _ = _agreeing(responses)
    return compared("every hour is made of its trades", found, holds=bool(ways))


def _blocks(responses: Responses) -> Comparison:
    ways, found, rows = _agreeing(responses)
    special = sum(
        int(np.count_nonzero(rows[name] != None))  # noqa: E711 - elementwise comparison
        for name in ("block_trade_id", "combo_id")
    )
    if not special:
        raise NotTested("no block trade and no leg of a combo is among the returned trades")
    others = [f"{_COUNTED[blocks]} block trades and {_COUNTED[legs]} legs" for blocks, legs in ways]
    return compared(
        "both are counted",
        f"of {special} such trades: {found}; hours agree {' or '.join(others) or 'in no way'}",
        holds=WAYS[0] in ways,
    )


TRADE_CANDLES = (
    Assumption(
        "trades-hours",
        "An hour's candle is made of the hour's trades: first, highest, lowest and last price, and "
        "the sums of their amounts.",
        Known.GUESS,
        "",
        "Candles do not confirm trades: the verdict of each day reports the difference. Candles "
        "made of trades are not the exchange's.",
        _made_of_trades,
    ),
    Assumption(
        "candles-blocks",
        "The exchange's candles count block trades and legs of combos.",
        Known.OPEN,
        "",
        "Nothing is stored wrong: candles are compared with trades in either way. Candles made of "
        "trades differ from the exchange's on days with such trades.",
        _blocks,
    ),
)
