"""For each assumption, responses that contradict it, from an exchange that behaves differently.

Each function takes the responses of a faithful exchange, which it may change, by name.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from deribit_pipeline.assumptions.assumption import Response
from deribit_pipeline.assumptions.subscriptions import UNKNOWN

ByName = dict[str, Response]
Break = Callable[[ByName], None]

HOUR = 3_600_000
CANDLES = ("ticks", "open", "high", "low", "close", "volume", "cost")


def result(name: str, change: Callable[[Any], Any]) -> Break:
    """Apply `change` to the result of a request, in place or by a new value."""

    def broken(responses: ByName) -> None:
        value = responses[name].result
        changed = change(value)
        responses[name] = replace(
            responses[name], result=value if changed is None else changed, code=None, message=""
        )

    return broken


def refused(name: str, code: int) -> Break:
    def broken(responses: ByName) -> None:
        responses[name] = replace(responses[name], result=None, code=code, message=f"({code})")

    return broken


def rows(name: str, change: Callable[[list[Any]], Any], within: str = "") -> Break:
    """Change the rows of a result, or of a list in it, in place or by new rows."""

    def changed(value: Any) -> Any:
        returned = value[within] if within else value
        came = change(returned)
        if came is None:
            return None
        return value | {within: came} if within else came

    return result(name, changed)


def candles(name: str, chosen: slice) -> Break:
    """Return only some candles."""
    return result(name, lambda chart: chart | {part: chart[part][chosen] for part in CANDLES})


def candle(name: str, array: str, row: int, change: Callable[[Any], Any]) -> Break:
    def changed(chart: dict[str, Any]) -> None:
        chart[array][row] = change(chart[array][row])

    return result(name, changed)


def body(name: str, **fields: object) -> Break:
    """Set these fields in the envelope of a response to a POST."""
    return result(
        name,
        lambda posted: {
            "http_status": 200,
            "body": {"result": 1} | (posted["body"] or {}) | fields,
        },
    )


def moved(by: int) -> Callable[[dict[str, Any]], Any]:
    """Every candle opens this many milliseconds later."""
    return lambda chart: chart | {"ticks": [tick + by for tick in chart["ticks"]]}


def dated(row: dict[str, Any], later: int) -> dict[str, Any]:
    return row | {"timestamp": row["timestamp"] + later}


def longer(name: str) -> Break:
    """More candles than assumed: one more before the first."""

    def changed(chart: dict[str, Any]) -> Any:
        before = chart["ticks"][0] - 60_000
        more = {part: [chart[part][0], *chart[part]] for part in CANDLES}
        return chart | more | {"ticks": [before, *chart["ticks"]]}

    return result(name, changed)


def quiet_minute(chart: dict[str, Any]) -> None:
    """A minute without a trade does not open at the last close."""
    row = next(row for row, volume in enumerate(chart["volume"]) if row and not volume)
    chart["open"][row] += 1


def an_early_trade(trades: list[Any]) -> None:
    """A trade has the time of one that is two hundred numbers away."""
    trades.sort(key=lambda trade: trade["trade_seq"])
    trades[500]["timestamp"] = trades[100]["timestamp"] - 1


def beside(trades: list[Any]) -> list[Any]:
    first = min(trade["trade_seq"] for trade in trades)
    one = trades[0]
    many = [one | {"trade_seq": first - n, "trade_id": f"leak-{n}"} for n in range(1, 151)]
    return trades[:9_800] + many


def without_number(trades: list[Any]) -> list[Any]:
    numbers = sorted(trade["trade_seq"] for trade in trades)
    return [trade for trade in trades if trade["trade_seq"] != numbers[len(numbers) // 2]]


def many(count: int) -> Callable[[Any], Any]:
    return lambda _: {"trades": [{}] * count, "has_more": True}


def currency(entries: list[Any]) -> None:
    entries[0]["settlement_currency"] = "SOL"


def expiry(entries: list[Any]) -> None:
    entry = next(entry for entry in entries if entry["settlement_period"] == "perpetual")
    entry["expiration_timestamp"] = 2_000_000_000_000


def uncounted_block(responses: ByName) -> None:
    """A trade is a block trade, and the candle of its hour does not count it."""
    returned: Any = responses["trades"].result
    trades = sorted(returned["trades"], key=lambda trade: trade["trade_seq"])
    hours = [trade["timestamp"] // HOUR for trade in trades]
    hour = hours[len(hours) // 2]
    trade = trades[len(hours) // 2]
    trade["block_trade_id"] = "BLOCK-7301"
    chart: Any = responses["hours"].result
    row = chart["ticks"].index(hour * HOUR)
    chart["volume"][row] -= trade["amount"] / trade["price"]
    chart["cost"][row] -= trade["amount"]


def close_of_a_traded_hour(responses: ByName) -> None:
    returned: Any = responses["trades"].result
    moments = sorted(trade["timestamp"] for trade in returned["trades"])
    chart: Any = responses["hours"].result
    chart["close"][chart["ticks"].index(moments[len(moments) // 2] // HOUR * HOUR)] += 0.5


BREAKS: dict[str, Break] = {
    "post-id": body("post", id=None),
    "post-id-archive": body("post-archive", id=7_301),
    "envelope": body("post", usIn=1.5),
    "responses-readable": candle("day", "close", 7, str),
    "error-instrument": refused("no-instrument", 11_050),
    "instruments-readable": rows(
        "instruments", lambda returned: returned[0].pop("tick_size") and None
    ),
    "instruments-any": refused("instruments", -32_602),
    "instruments-expiry": rows("instruments", expiry),
    "currencies-settled": rows("instruments", currency),
    "currencies-listed": rows("currencies", lambda returned: returned[1:]),
    "fields-known": rows("instruments", lambda returned: returned[3].update(rfq=True)),
    "candles-most": longer("running"),
    "candles-kept-end": candles("running", slice(0, 4_000)),
    "candles-start": candles("day", slice(1, None)),
    "candles-end": candles("day", slice(0, -1)),
    "candles-unaligned": candles("hours", slice(1, None)),
    "summaries-instant": rows(
        "summaries", lambda some: [*some, some[0] | {"creation_timestamp": 1}]
    ),
    "summaries-names": rows("summaries", lambda some: some[1:]),
    "summaries-renewed": rows(
        "summaries",
        lambda some: [
            row | {"creation_timestamp": row["creation_timestamp"] - 60_000} for row in some
        ],
    ),
    "candles-anchor-120": result("anchor-120", moved(HOUR)),
    "candles-anchor-180": result("anchor-180", moved(2 * HOUR)),
    "candles-anchor-360": result("anchor-360", moved(2 * HOUR)),
    "candles-anchor-720": result("anchor-720", moved(8 * HOUR)),
    "candles-anchor-1d": result("anchor-1D", moved(-8 * HOUR)),
    "candles-running": candles("running", slice(0, -1)),
    "candles-latency": candle("running", "ticks", -1, lambda tick: tick + 3 * 60_000),
    "candles-fillers": result("quiet", quiet_minute),
    "candles-volume": result("day", lambda chart: chart | {"volume": chart["cost"]}),
    "candles-sums": candle("hours", "high", 2, lambda high: high + 0.5),
    "candles-sums-day": candle("hours", "low", 12, lambda low: low / 2),
    "candles-closed": candle("day", "volume", 9, lambda volume: volume + 1e-8),
    "candles-spot": refused("spot", -32_602),
    "candles-expired": refused("expired", -32_602),
    "candles-listing": candles("listing", slice(3, None)),
    "candles-expiry": candles("expired", slice(0, -2)),
    "funding-most": rows(
        "funding-overflow", lambda returned: [dated(returned[0], -HOUR), *returned]
    ),
    "funding-kept-end": rows("funding-overflow", lambda returned: returned[:700]),
    "funding-start": rows("funding-day", lambda returned: [dated(returned[0], -HOUR), *returned]),
    "funding-end": rows("funding-day", lambda returned: returned[:-1]),
    "funding-sums": rows(
        "funding-day",
        lambda returned: returned[20].update(interest_8h=returned[20]["interest_8h"] + 1e-5),
    ),
    "funding-chain": rows("funding-day", lambda returned: returned[9].update(prev_index_price=1.0)),
    "funding-began": rows("funding-began", lambda returned: [dated(returned[0], -HOUR), *returned]),
    "dvol-most": rows("dvol", lambda returned: returned[1:], "data"),
    "dvol-kept-end": rows("dvol", lambda returned: returned[:900], "data"),
    "dvol-continuation": rows("dvol-older", lambda returned: returned[:-1], "data"),
    "dvol-last-page": result("dvol-older", lambda page: page | {"continuation": 1}),
    "dvol-running": rows("dvol", lambda returned: returned[:-1], "data"),
    "dvol-sums": rows(
        "dvol-hours", lambda returned: [[*row[:4], row[4] + 1] for row in returned], "data"
    ),
    "dvol-began": rows("dvol-began", lambda returned: returned[30:], "data"),
    "trades-numbers": rows("trades", without_number, "trades"),
    "trades-order": rows("trades", an_early_trade, "trades"),
    "trades-most": result("trades-more", many(1_001)),
    "trades-most-archive": result("trades-more-archive", many(10_001)),
    "trades-kept": rows(
        "trades", lambda returned: [dated(trade, 2 * HOUR) for trade in returned], "trades"
    ),
    "trades-archived": rows("trades-archive", without_number, "trades"),
    "trades-hours": close_of_a_traded_hour,
    "candles-blocks": uncounted_block,
    "trades-leaks": rows("trades-archive", beside, "trades"),
    "settlements-bound": rows(
        "settlements",
        lambda returned: [dated(returned[0], 48 * HOUR), *returned[1:]],
        "settlements",
    ),
    "settlements-order": rows("settlements-both", lambda returned: returned[::-1], "settlements"),
    "settlements-token": rows("settlements-older", lambda returned: returned[1:], "settlements"),
    "settlements-end": result("settlements-end", lambda page: page | {"continuation": "more"}),
    "pages-most": refused("settlements-end", -32_602),
    "prices-order": rows("prices", lambda returned: returned[::-1], "data"),
    "prices-total": result(
        "prices", lambda page: page | {"records_total": page["records_total"] + 3}
    ),
    "prices-delivered": rows(
        "settlements-both",
        lambda returned: [one | {"index_price": 2 * one["index_price"]} for one in returned],
        "settlements",
    ),
    "volatility-repeated": rows("volatility", lambda returned: returned[1:]),
    "volatility-hours": rows("volatility", lambda returned: returned[100:]),
    "socket-acknowledged": rows("subscription", lambda names: [*names, UNKNOWN]),
    "socket-channels": rows("subscription", lambda names: names[1:]),
}
"""By the id of the assumption."""
