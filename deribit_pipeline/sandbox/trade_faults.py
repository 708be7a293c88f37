"""Faults of one response with trades: a single value in its middle, some of its trades, or all."""

from collections.abc import Callable
from typing import Any

Trade = dict[str, Any]
Trades = list[Trade]

_HOUR = 3_600_000
_VALUES = ("price", "mark_price", "index_price", "amount", "contracts")


def is_trades(value: Any) -> bool:
    """Whether a value is a list of trades that a fault can change."""
    return isinstance(value, list) and len(value) > 2 and "trade_seq" in value[0]


def _middle(change: Callable[[Trade], Trade]) -> Callable[[Trades], Trades]:
    """A fault of the trade in the middle of the response."""

    def fault(trades: Trades) -> Trades:
        place = len(trades) // 2
        return [*trades[:place], trades[place] | change(trades[place]), *trades[place + 1 :]]

    return fault


def _swapped(trades: Trades) -> Trades:
    """Two distant trades, with their prices and amounts exchanged."""
    one, other = len(trades) // 4, 3 * len(trades) // 4
    found = list(trades)
    for place, source in ((one, other), (other, one)):
        found[place] = trades[place] | {name: trades[source][name] for name in _VALUES}
    return found


def _hour_of_another(trades: Trades) -> Trades:
    """An hour in the middle at a twentieth of the price."""
    hour = trades[len(trades) // 2]["timestamp"] // _HOUR
    return [
        trade | {"price": round(trade["price"] / 20, 2), "amount": trade["amount"] * 7}
        if trade["timestamp"] // _HOUR == hour
        else trade
        for trade in trades
    ]


def _repeated(trades: Trades) -> Trades:
    return [*trades, dict(trades[len(trades) // 2])]


def _torn(trades: Trades) -> Trades:
    """A trade repeated with another price."""
    return [*trades, trades[len(trades) // 2] | {"price": trades[0]["price"] + 7}]


CHANGES: dict[str, Callable[[Trades], Trades]] = {
    "trade_price_up": _middle(lambda trade: {"price": round(trade["price"] * 1.1, 1)}),
    "trade_price_zero": _middle(lambda trade: {"price": 0.0}),
    "trade_price_negative": _middle(lambda trade: {"price": -trade["price"]}),
    "trade_price_huge": _middle(lambda trade: {"price": 1e308}),
    "trade_amount_up": _middle(lambda trade: {"amount": trade["amount"] * 2}),
    "trade_amount_zero": _middle(lambda trade: {"amount": 0.0}),
    "trade_amount_negative": _middle(lambda trade: {"amount": -trade["amount"]}),
    "trade_amount_huge": _middle(lambda trade: {"amount": 1e308}),
    "trade_mark_negative": _middle(lambda trade: {"mark_price": -1.0}),
    "trade_index_huge": _middle(lambda trade: {"index_price": 1e308}),
    "trade_iv_negative": _middle(lambda trade: {"iv": -40.0}),
    "trade_contracts_negative": _middle(lambda trade: {"contracts": -1.0}),
    "trade_an_hour_late": _middle(lambda trade: {"timestamp": trade["timestamp"] + _HOUR}),
    "trade_a_day_early": _middle(lambda trade: {"timestamp": trade["timestamp"] - 24 * _HOUR}),
    "trade_null": _middle(lambda trade: {"price": None}),
    "trade_torn": _torn,
    "trades_repeated": _repeated,
    "trades_swapped": _swapped,
    "trades_of_another": _hour_of_another,
    "trades_off_by_one": lambda trades: [
        trade | {"trade_seq": trade["trade_seq"] + 1} for trade in trades
    ],
    "trades_later": lambda trades: [
        trade | {"timestamp": trade["timestamp"] + _HOUR} for trade in trades
    ],
}
"""The faults by name, for responses with at least three trades."""
