"""What the sandbox lists: real names, real listing dates, specifications as Deribit's."""

import hashlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

NEVER = 32_503_708_800_000
"""When a perpetual expires: 08:00 UTC on the first day of the year 3000, in milliseconds."""


@dataclass(frozen=True, slots=True)
class Listing:
    """An instrument of the sandbox.

    `price` is about what it costs on 2024-01-01, in quote currency; `activity` is the chance that
    a minute has a trade; `turnover` is the value traded in a usual minute, in quote currency.
    """

    instrument_name: str
    created_ms: int
    price: float
    tick_size: float
    min_trade_amount: float
    activity: float
    turnover: float
    kind: str = "future"
    expires_ms: int = NEVER
    settlement_period: str = "perpetual"

    @property
    def base_currency(self) -> str:
        return self.instrument_name.replace("_", "-").split("-")[0]

    @property
    def is_linear(self) -> bool:
        return "_" in self.instrument_name

    def result(self, now_ms: int) -> dict[str, Any]:
        """The instrument as `public/get_instrument` describes it."""
        is_active = now_ms < self.expires_ms
        quote = "USDC" if self.is_linear else "USD"
        common = {
            "instrument_name": self.instrument_name,
            "instrument_id": int.from_bytes(_digest(self.instrument_name)[:3]),
            "kind": self.kind,
            "instrument_type": "linear" if self.is_linear else "reversed",
            "base_currency": self.base_currency,
            "quote_currency": quote,
            "counter_currency": quote,
            "settlement_currency": quote if self.is_linear else self.base_currency,
            "price_index": f"{self.base_currency}_{quote}".lower(),
            "creation_timestamp": self.created_ms,
            "expiration_timestamp": self.expires_ms,
            "is_active": is_active,
            "state": "open" if is_active else "closed",
            "contract_size": self.min_trade_amount,
            "min_trade_amount": self.min_trade_amount,
            "tick_size": self.tick_size,
            "tick_size_steps": [],
            "maker_commission": 0.00015,
            "taker_commission": 0.00035,
            "block_trade_commission": 0.00025,
            "block_trade_min_trade_amount": 200_000,
            "block_trade_tick_size": 0.01,
            "base_currency_uuid": _uuid(self.base_currency),
            "quote_currency_uuid": _uuid(quote),
            "product_group": self.base_currency,
            "underlying_type": "crypto",
            "lot_size": 1,
        }
        if self.kind == "spot":
            return common
        return common | {
            "settlement_period": self.settlement_period,
            "future_type": common["instrument_type"],
            "index_id": 1_000_033,
            "max_leverage": 50,
            "max_non_default_leverage": 5.0,
            "max_liquidation_commission": 0.01,
        }


def _ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _uuid(currency: str) -> str:
    return str(uuid.UUID(bytes=_digest(currency), version=5))


def _inverse() -> Iterator[Listing]:
    for name, created, price, tick, least, activity, turnover in (
        ("BTC-PERPETUAL", "2018-08-14T10:24:47", 42_000.0, 0.5, 10.0, 0.985, 300_000.0),
        ("ETH-PERPETUAL", "2019-03-14T13:00:54", 2_300.0, 0.05, 1.0, 0.96, 120_000.0),
    ):
        yield Listing(name, _ms(created), price, tick, least, activity, turnover)


def _linear() -> Iterator[Listing]:
    for base, created, price, tick, least, activity, turnover in (
        ("BTC", "2022-03-09T11:12:22", 42_000.0, 0.5, 0.001, 0.90, 60_000.0),
        ("ETH", "2022-03-14T13:00:00", 2_300.0, 0.05, 0.01, 0.85, 30_000.0),
        ("SOL", "2022-03-15T13:00:00", 100.0, 0.01, 0.1, 0.75, 9_000.0),
        ("XRP", "2022-03-16T12:59:59", 0.62, 0.0001, 10.0, 0.60, 4_000.0),
        ("AVAX", "2022-03-17T13:00:00", 38.0, 0.01, 0.1, 0.35, 1_500.0),
        ("ADA", "2022-03-21T13:00:00", 0.6, 0.0001, 10.0, 0.35, 1_500.0),
        ("DOT", "2022-03-22T13:00:00", 8.2, 0.001, 1.0, 0.30, 1_200.0),
        ("LTC", "2022-04-28T13:00:00", 73.0, 0.01, 0.1, 0.30, 1_000.0),
        ("UNI", "2022-04-28T13:00:00", 7.3, 0.001, 1.0, 0.25, 800.0),
        ("LINK", "2022-04-28T13:00:00", 15.0, 0.001, 1.0, 0.30, 1_000.0),
        ("NEAR", "2022-04-28T13:00:00", 3.6, 0.001, 1.0, 0.25, 800.0),
        ("TRX", "2022-04-28T13:00:00", 0.107, 0.00001, 10.0, 0.25, 800.0),
        ("DOGE", "2022-04-28T13:00:00", 0.091, 0.00001, 10.0, 0.40, 1_500.0),
        ("BCH", "2022-04-28T13:00:00", 260.0, 0.05, 0.01, 0.30, 1_000.0),
        ("BNB", "2023-06-13T08:00:00", 310.0, 0.05, 0.01, 0.30, 1_000.0),
        ("TRUMP", "2025-01-20T10:00:00", 30.0, 0.001, 1.0, 0.40, 1_500.0),
        ("HYPE", "2025-06-03T10:00:00", 25.0, 0.001, 1.0, 0.45, 2_000.0),
        ("PAXG", "2025-06-03T10:00:00", 2_060.0, 0.05, 0.001, 0.20, 700.0),
    ):
        name = f"{base}_USDC-PERPETUAL"
        yield Listing(name, _ms(created), price, tick, least, activity, turnover)


def _dated() -> Iterator[Listing]:
    for name, created, expires, period in (
        ("BTC-29MAR24", "2023-03-30T08:01:20", "2024-03-29T08:00:00", "month"),
        ("ETH-29MAR24", "2023-03-30T08:01:40", "2024-03-29T08:00:00", "month"),
        ("BTC-5JAN24", "2023-12-21T08:00:10", "2024-01-05T08:00:00", "week"),
        ("BTC-25DEC26", "2025-12-25T08:01:00", "2026-12-25T08:00:00", "month"),
        ("BTC-25JUN27", "2026-06-26T08:00:23", "2027-06-25T08:00:00", "month"),
    ):
        tick, least, price = (2.5, 10.0, 42_500.0) if name[0] == "B" else (0.25, 1.0, 2_330.0)
        yield Listing(
            name, _ms(created), price, tick, least, 0.5, 20_000.0,
            expires_ms=_ms(expires), settlement_period=period,
        )  # fmt: skip


def _spot() -> Iterator[Listing]:
    # Routed to another venue since 2026-08-18: listed, but without any history here.
    yield Listing(
        "BTC_USDC", _ms("2023-04-24T09:00:00"), 42_000.0, 1.0, 0.0001, 0.5, 5_000.0, kind="spot"
    )


LISTINGS = (*_inverse(), *_linear(), *_dated(), *_spot())
