"""The account in the sandbox: trades, daily settlements and a log of all changes of balance.

Its history is the same in every process.
"""

import hashlib
import math
from typing import Any

import numpy as np

from deribit_pipeline.sandbox.market import DAY, EIGHT_HOURS, MINUTE

CURRENCIES = ("BTC", "ETH", "USDC", "USDT", "EURR")
USER_ID, USERNAME = 7, "sandbox-user"

_OPENED_ON = 19_723  # 2024-01-01, in days since 1970
TRADED = {
    "BTC": ("BTC-PERPETUAL", 42_000.0),
    "ETH": ("ETH-PERPETUAL", 2_300.0),
    "USDC": ("SOL_USDC-PERPETUAL", 100.0),
}
_FEE = 0.0005

Row = dict[str, Any]


class Account:
    """The account's events in each currency, oldest first, generated on demand.

    `indexed_after` is the number of milliseconds until a trade is among the historical ones.
    """

    def __init__(self) -> None:
        self.indexed_after = 10 * MINUTE
        self._crowds: list[tuple[str, int, int]] = []
        self._begin()

    def _begin(self) -> None:
        self._built_until = _OPENED_ON
        self._numbers = 0
        self._balances = dict.fromkeys(CURRENCIES, 0.0)
        self._positions = dict.fromkeys(CURRENCIES, 0.0)
        self.entries: dict[str, list[Row]] = {currency: [] for currency in CURRENCIES}
        self.trades: dict[str, list[Row]] = {currency: [] for currency in CURRENCIES}
        self.settlements: dict[str, list[Row]] = {currency: [] for currency in CURRENCIES}

    def crowd(self, currency: str, at_ms: int, fills: int) -> None:
        """Add an order with this number of fills, all in one millisecond."""
        self._crowds.append((currency, at_ms, fills))
        self._begin()

    def until(self, now_ms: int) -> "Account":
        """The account with all events up to the end of this day."""
        while self._built_until <= now_ms // DAY:
            self._live_through(self._built_until)
            self._built_until += 1
        return self

    def _live_through(self, day: int) -> None:
        """Deposits at 07:00 each 30 days, orders at any time, the settlement after 08:00."""
        events: list[tuple[int, str, int]] = [
            event for event in self._crowds_as_events() if event[0] // DAY == day
        ]
        for currency in TRADED:
            rng = np.random.default_rng(_seed(f"account {currency} {day}"))
            orders = int(rng.integers(0, 4))
            if currency == "BTC" and day % 16 == 0:
                orders = 130
            if currency == "USDC" and day % 5:
                orders = 0
            for at in np.sort(rng.integers(0, DAY, orders)).tolist():
                events.append((day * DAY + at, currency, int(rng.integers(1, 4))))
            if day % 30 == _OPENED_ON % 30:
                events.append((day * DAY + 7 * 60 * MINUTE, currency, 0))
            events.append((day * DAY + EIGHT_HOURS + 412, currency, -1))
        for at_ms, currency, fills in sorted(events):
            if fills > 0:
                for _ in range(fills):
                    self._trade(currency, at_ms)
            elif fills == 0:
                self._deposit(currency, at_ms)
            elif self._positions[currency]:
                self._settle(currency, at_ms)

    def _crowds_as_events(self) -> list[tuple[int, str, int]]:
        return [(at_ms, currency, fills) for currency, at_ms, fills in self._crowds]

    def _deposit(self, currency: str, at_ms: int) -> None:
        change = 100_000.0 if currency == "USDC" else 10.0
        details = {"info": {"deposit_type": "wallet", "addr": "sandbox"}, "side": "-"}
        self._log(currency, at_ms, "deposit", change, details)

    def _settle(self, currency: str, at_ms: int) -> None:
        name, price = self._priced(currency, at_ms)
        position = self._positions[currency]
        funding = round(position / price * 1e-5, 8)
        gain = round(position / price * 1e-3, 8)
        self.settlements[currency].append(
            {
                "type": "settlement",
                "timestamp": at_ms,
                "session_profit_loss": gain,
                "profit_loss": round(gain - funding, 8),
                "position": position,
                "mark_price": price,
                "instrument_name": name,
                "index_price": price,
                "funding": funding,
            }
        )
        details = {
            "instrument_name": name,
            "position": position,
            "price": price,
            "index_price": price,
            "interest_pl": funding,
            "side": "long" if position > 0 else "short",
            "commission": None,
        }
        self._log(currency, at_ms, "settlement", gain, details)

    def _trade(self, currency: str, at_ms: int) -> None:
        name, price = self._priced(currency, at_ms)
        number = len(self.trades[currency]) + 1
        position = self._positions[currency]
        direction = "sell" if position > 0 and number % 3 == 0 else "buy"
        amount = 10.0 if currency != "USDC" else 0.1
        value = amount * price if currency == "USDC" else amount / price
        fee = round(value * _FEE, 8)
        position = round(position + (amount if direction == "buy" else -amount), 8)
        self._positions[currency] = position
        trade_id = str(48_000_000 + number) if currency == "BTC" else f"{currency}-{number}"
        ids = {"instrument_name": name, "trade_id": trade_id, "order_id": f"{currency}-o{at_ms}"}
        self.trades[currency].append(
            ids
            | {
                "trade_seq": 1_000 + 3 * number,
                "timestamp": at_ms,
                "tick_direction": number % 4,
                "direction": direction,
                "price": price,
                "amount": amount,
                "fee": fee,
                "fee_currency": currency,
                "liquidity": "T",
                "index_price": price,
                "mark_price": price,
                "profit_loss": 0,
                "matching_id": None,
                "order_type": "limit",
                "state": "filled",
            }
        )
        side = f"{'open' if direction == 'buy' else 'close'} {direction}"
        details = ids | {"side": side, "price": price, "amount": amount, "commission": fee}
        details |= {"position": position, "ip": "192.0.2.7", "info": "Source: api"}
        self._log(currency, at_ms, "trade", -fee, details)

    def _log(self, currency: str, at_ms: int, kind: str, change: float, details: Row) -> None:
        self._numbers += 1
        self._balances[currency] = balance = round(self._balances[currency] + change, 8)
        empty = dict.fromkeys(("instrument_name", "position", "price", "trade_id", "order_id"))
        self.entries[currency].append(
            empty
            | {
                "id": 60_000 + 3 * self._numbers,
                "user_seq": self._numbers,
                "user_id": USER_ID,
                "username": USERNAME,
                "currency": currency,
                "timestamp": at_ms,
                "type": kind,
                "change": change,
                "cashflow": 0 if kind == "trade" else change,
                "balance": balance,
                "equity": balance,
                "commission": 0,
                "interest_pl": None,
            }
            | details
        )

    def _priced(self, currency: str, at_ms: int) -> tuple[str, float]:
        name, price = TRADED[currency]
        return name, round(price * (1 + 0.1 * math.sin(at_ms / DAY)), 2)


def _seed(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
