"""Assumptions about paged and retention-limited data: settlements, delivery prices, historical
volatility."""

import numpy as np

from deribit_pipeline.assumptions.assumption import (
    Assumption,
    Comparison,
    Known,
    NotTested,
    Responses,
    compared,
)
from deribit_pipeline.assumptions.probe_requests import INDEX
from deribit_pipeline.datasets.account.wire import MOST_ENTRIES, MOST_TRADES
from deribit_pipeline.datasets.account.wire import MOST_SETTLEMENTS as MOST_SETTLEMENTS_OF_ACCOUNT
from deribit_pipeline.datasets.delivery_checks import AT_DELIVERY, NEAR
from deribit_pipeline.datasets.delivery_prices.wire import MOST_DELIVERY_PRICES, delivery_prices
from deribit_pipeline.datasets.registry import index_of
from deribit_pipeline.datasets.settlements.wire import (
    MOST_SETTLEMENTS,
    SettlementsPage,
    settlements,
)
from deribit_pipeline.domain.rows import Columns
from deribit_pipeline.domain.windows import from_ms, moment64
from deribit_pipeline.exchange import shapes

_ONE_DAY = np.timedelta64(1, "D")

_LEAST_DAYS = 14
"""The minimum number of days of historical volatility in a response: hourly polls need two."""


def _page(responses: Responses, name: str) -> SettlementsPage:
    page = responses.read(name, settlements)
    if not len(page.rows["settled_at"]):
        raise NotTested(f"the response to {name} has no settlements")
    return page


def _bound(responses: Responses) -> Comparison:
    bound = moment64(from_ms(responses.requested("settlements", "search_start_timestamp")))
    newest = _page(responses, "settlements").rows["settled_at"].max()
    return compared(
        f"none after {bound}", f"the newest is of {newest}", holds=bool(newest <= bound)
    )


def _newest_first(responses: Responses) -> Comparison:
    moments = _page(responses, "settlements-both").rows["settled_at"]
    later = int(np.count_nonzero(np.diff(moments) > np.timedelta64(0)))
    return compared(
        "no row is newer than the one before it", f"{later} of {len(moments)} are",
        holds=not later,
    )  # fmt: skip


def _token(responses: Responses) -> Comparison:
    """Compares two consecutive pages with one page of twice the length."""
    assumed = "the second page continues after the first one"
    first, both = _page(responses, "settlements"), _rows(_page(responses, "settlements-both"))
    if first.continuation is None and len(both) > len(_rows(first)):
        return compared(assumed, "no continuation, and there are more settlements", holds=False)
    pages = [_rows(_page(responses, name)) for name in ("settlements", "settlements-older")]
    joined = [row for page in pages for row in page]
    lost = len([row for row in both if row not in joined])
    again = len([row for row in pages[1] if row in pages[0]])
    return compared(
        assumed,
        f"{lost} of {len(both)} settlements are on neither page, and {again} on both",
        holds=not lost and not again,
    )


def _end(responses: Responses) -> Comparison:
    page = responses.read("settlements-end", settlements)
    if len(page.rows["settled_at"]) >= responses.requested("settlements-end", "count"):
        raise NotTested("there are settlements before 2016")
    found = "none" if page.continuation is None else page.continuation
    return compared("none", found)


def _most(responses: Responses) -> Comparison:
    """Whether the longest pages that the code requests are refused."""
    refusals = [
        f"{response.method}: {response.message}"
        for response in map(responses.of, ("settlements-end", "prices-oldest"))
        if response.code is not None
    ]
    assumed = "neither is refused"
    return compared(assumed, "; ".join(refusals) or assumed)


def _rows(page: SettlementsPage) -> list[tuple[object, ...]]:
    keys = ("settled_at", "instrument_name", "type")
    return list(zip(*(page.rows[key].tolist() for key in keys), strict=True))


def _prices(responses: Responses, name: str) -> Columns:
    page = responses.read(name, delivery_prices)
    if not len(page.rows["delivery_date"]):
        raise NotTested(f"the response to {name} has no prices")
    return page.rows


def _prices_order(responses: Responses) -> Comparison:
    dates = _prices(responses, "prices")["delivery_date"]
    apart = -np.diff(dates)
    off = int(np.count_nonzero(apart != _ONE_DAY))
    found = f"{off} of {len(dates)} dates from {dates[0]} on do not"
    return compared("each date is the day before the one above it", found, holds=not off)


def _prices_total(responses: Responses) -> Comparison:
    """How many prices remain after an offset that skips all but a few."""
    first = responses.read("prices", delivery_prices)
    offset, count = (responses.requested("prices-oldest", name) for name in ("offset", "count"))
    due = max(0, min(count, first.records_total - offset))
    came = len(responses.read("prices-oldest", delivery_prices).rows["delivery_date"])
    total = f"of {first.records_total:,} after an offset of {offset:,}"
    return compared(f"{due} prices {total}", f"{came} prices {total}")


def _measurements(responses: Responses) -> list[tuple[np.datetime64, object]]:
    """The time and the value of each row of historical volatility, in the response's order."""
    rows = [shapes.array(row) for row in responses.read("volatility", shapes.array)]
    if len(rows) < 2:
        raise NotTested("historical volatility has fewer than two rows")
    if any(len(row) != 2 for row in rows):
        raise ValueError("each row must be a moment and a number")
    moments = [shapes.milliseconds("timestamp", moment) for moment, _ in rows]
    return [(np.datetime64(ms, "ms"), row[1]) for ms, row in zip(moments, rows, strict=True)]


def _delivered(responses: Responses) -> Comparison:
    """The index of each settlement, compared with the delivery price of its day."""
    prices, rows = _prices(responses, "prices"), _page(responses, "settlements-both").rows
    by_day = dict(zip(prices["delivery_date"], prices["delivery_price"].tolist(), strict=True))
    counts, wrong = {True: 0, False: 0}, []
    columns = (rows[name] for name in ("settled_at", "instrument_name", "type", "index_price"))
    for at, name, kind, index in zip(*columns, strict=True):
        price = by_day.get(at.astype("datetime64[D]"))
        if price is None or np.isnan(index) or name.startswith("#") or index_of(name) != INDEX:
            continue
        is_exact = kind in AT_DELIVERY
        counts[is_exact] += 1
        if abs(index - price) > (0.0 if is_exact else NEAR * price):
            wrong.append(f"{index} of {name} where {price} was delivered")
    if not any(counts.values()):
        raise NotTested("no settlement has a delivery price of its day")
    found = f"{len(wrong)} of {sum(counts.values())} differ; {counts[True]} of all are deliveries"
    found += f", such as {wrong[0]}" if wrong else ""
    return compared(f"equal, and within {NEAR:.0%} for the others", found, holds=not wrong)


def _repeated(responses: Responses) -> Comparison:
    first, second = _measurements(responses)[:2]
    found = f"rows of {first[0]} and {second[0]} come first"
    return compared("the first row is repeated", found, holds=first == second)


def _hours(responses: Responses) -> Comparison:
    at = np.unique(np.array([moment for moment, _ in _measurements(responses)]))
    off = int(np.count_nonzero(at != at.astype("datetime64[h]")))
    reach = (at[-1] - at[0]) / _ONE_DAY
    return compared(
        f"full hours of {_LEAST_DAYS} days and more",
        f"{reach:.1f} days, {off} rows of them off the hour",
        holds=not off and bool(reach >= _LEAST_DAYS),
    )


PAGES = (
    Assumption(
        "settlements-bound",
        "`search_start_timestamp` is an upper bound: nothing later is returned.",
        Known.RECORDED,
        "the documentation agrees: the latest timestamp to return results from",
        "Pages of settlements are refused, and their days fail. Report it to the maintainers.",
        _bound,
    ),
    Assumption(
        "settlements-order",
        "Settlements are returned newest first.",
        Known.RECORDED,
        "recorded pages of BTC and of BTC-PERPETUAL",
        "Pages of settlements are refused, and their days fail. Report it to the maintainers.",
        _newest_first,
    ),
    Assumption(
        "settlements-token",
        "`continuation` leads to the settlement after the last one of the page, also between two "
        "of one millisecond.",
        Known.OPEN,
        "",
        "Nothing: rows that share a millisecond with a page boundary are read on both pages, or "
        "the day fails.",
        _token,
    ),
    Assumption(
        "settlements-end",
        "Where nothing older is left, `continuation` is absent, null, empty or `none`.",
        Known.SEEN,
        "each of them for some method",
        "The end of history is not recognised: days near the first settlement fail.",
        _end,
    ),
    Assumption(
        "pages-most",
        f"Up to {MOST_SETTLEMENTS:,} settlements and {MOST_DELIVERY_PRICES:,} delivery prices may "
        "be requested at once.",
        Known.DOCUMENTED,
        "",
        "Settlements and delivery prices cannot be fetched: report it to the maintainers.",
        _most,
    ),
    Assumption(
        "account-pages",
        f"A response holds at most {MOST_ENTRIES} entries of the transaction log, {MOST_TRADES:,} "
        f"own trades and {MOST_SETTLEMENTS_OF_ACCOUNT:,} own settlements; of more trades some are "
        "left out, whatever `has_more` says.",
        Known.DOCUMENTED,
        "that `has_more` may be wrong was seen",
        "Days of your own account fail, or `verify` and a second fetch find what is missing.",
        untested="it needs an account, and only public requests are made",
    ),
    Assumption(
        "settlements-total",
        "`session_profit_loss` and `profit_loss` are sums over all accounts, the first realised.",
        Known.DOCUMENTED,
        "two recorded options of one session have the same total",
        "The columns mean something else: do not use them.",
        untested="no public response says whose total it is",
    ),
    Assumption(
        "prices-order",
        "Delivery prices are returned newest first, one for each day.",
        Known.RECORDED,
        "a recorded page of btc_usd",
        "Pages of delivery prices are refused, and their days fail. Report it to the maintainers.",
        _prices_order,
    ),
    Assumption(
        "prices-total",
        "`records_total` counts the delivery prices of an index, and `offset` those skipped.",
        Known.RECORDED,
        "",
        "Pages of delivery prices are refused, and their days fail. Report it to the maintainers.",
        _prices_total,
    ),
    Assumption(
        "prices-delivered",
        "Expired instruments settle at the delivery price of their index on that day, and the "
        f"index at which others settle is within {NEAR:.0%} of it.",
        Known.RECORDED,
        "recorded pages of one day",
        "Settlements and delivery prices do not confirm each other: the verdict of each day "
        "notes it.",
        _delivered,
    ),
    Assumption(
        "volatility-repeated",
        "Historical volatility returns its first row twice.",
        Known.RECORDED,
        "a recorded response",
        "Nothing: a first row without a repetition is read as well.",
        _repeated,
    ),
    Assumption(
        "volatility-hours",
        "Historical volatility has full hours, of about the last 16 days.",
        Known.RECORDED,
        "a recorded response",
        "With fewer days, `historical_volatility` must be polled more often than it is.",
        _hours,
    ),
    Assumption(
        "volatility-hour",
        "An hour of historical volatility, and a point of an index chart, is final once the hour "
        "or the span on either side of its time is over.",
        Known.GUESS,
        "whether it measures the time before or after is open",
        "Stored values are revised: `dataset_revisions` keeps the former ones.",
        untested="it needs two requests an hour apart: the schedules make them, and "
        "`dataset_revisions` shows what changed",
    ),
)
