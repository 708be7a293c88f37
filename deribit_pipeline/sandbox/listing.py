"""An instrument of the sandbox, and how `public/get_instrument` describes it."""

import functools
import hashlib
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

NEVER = 32_503_708_800_000
"""When a perpetual expires: 08:00 UTC on the first day of the year 3000, in milliseconds."""

TERMS_CHANGED_MS = 1_787_040_000_000
"""2026-08-18 08:00 UTC: since then linear perpetuals have another contract, tick and fees."""


@dataclass(frozen=True, slots=True)
class Listing:
    """An instrument of the sandbox.

    `price` is a combo's approximate price on 2024-01-01; what moves others is the driver of their
    base currency. `activity` is the probability that a minute has a trade; `turnover` is the value
    traded in a usual minute, in quote currency, and of no meaning for options.
    `tick_size_steps` are prices and the tick sizes above them; `contract_size` defaults to the
    minimum amount.
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
    strike: float | None = None
    tick_size_steps: tuple[tuple[float, float], ...] = ()
    contract_size: float | None = None

    @property
    def base_currency(self) -> str:
        return self.instrument_name.replace("_", "-").split("-")[0]

    @property
    def is_linear(self) -> bool:
        return "_" in self.instrument_name.split("-")[0]

    @property
    def counter_currency(self) -> str:
        return "USDC" if self.is_linear else "USD"

    @property
    def settlement_currency(self) -> str:
        return self.counter_currency if self.is_linear else self.base_currency

    @property
    def is_option(self) -> bool:
        return self.kind == "option"

    @property
    def is_combo(self) -> bool:
        return self.kind.endswith("combo")

    @property
    def is_call(self) -> bool:
        return self.is_option and self.instrument_name.endswith("-C")

    @property
    def quote_currency(self) -> str:
        """Options of an inverse kind are priced in the coin itself."""
        return self.settlement_currency if self.kind.startswith("option") else self.counter_currency

    def contract_size_at(self, now_ms: int) -> float:
        """The size of a contract, which the exchange changed once for linear perpetuals."""
        return self._terms(now_ms).contract_size

    def result(self, now_ms: int) -> dict[str, Any]:
        """The instrument as `public/get_instrument` describes it."""
        is_active = now_ms < self.expires_ms
        counter, settlement = self.counter_currency, self.settlement_currency
        quote = self.quote_currency
        terms = self._terms(now_ms)
        common = {
            "instrument_name": self.instrument_name,
            "instrument_id": int.from_bytes(_digest(self.instrument_name)[:3]),
            "kind": self.kind,
            "instrument_type": "linear" if self.is_linear else "reversed",
            "base_currency": self.base_currency,
            "quote_currency": quote,
            "counter_currency": counter,
            "settlement_currency": settlement,
            "price_index": f"{self.base_currency}_{counter}".lower(),
            "creation_timestamp": self.created_ms,
            "expiration_timestamp": self.expires_ms,
            "is_active": is_active,
            "state": "open" if is_active else "closed",
            "contract_size": terms.contract_size,
            "min_trade_amount": self.min_trade_amount,
            "tick_size": terms.tick_size,
            "tick_size_steps": [
                {"above_price": price, "tick_size": size} for price, size in self.tick_size_steps
            ],
            "maker_commission": terms.maker,
            "taker_commission": terms.taker,
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
            del common["settlement_currency"]
            return common
        common["settlement_period"] = self.settlement_period
        if self.strike is not None:
            option_type = "call" if self.is_call else "put"
            return common | {"strike": self.strike, "option_type": option_type, "index_id": 1}
        return common | {
            "future_type": common["instrument_type"],
            "index_id": 1_000_033,
            "max_leverage": 50,
            "max_non_default_leverage": 5.0,
            "max_liquidation_commission": 0.01,
        }

    def _terms(self, now_ms: int) -> "_Terms":
        """Contract, tick and fees, which the exchange changed once for linear perpetuals."""
        contract_size = self.contract_size or self.min_trade_amount
        if self.kind.startswith("option"):
            return _Terms(contract_size, self.tick_size, 0.0003, 0.0003)
        is_changed = self.is_linear and self.expires_ms == NEVER and now_ms >= TERMS_CHANGED_MS
        if is_changed and self.kind == "future":
            return _Terms(round(contract_size / 10, 9), round(self.tick_size / 10, 9), 0.0, 0.0005)
        return _Terms(contract_size, self.tick_size, 0.00015, 0.00035)


@dataclass(frozen=True, slots=True)
class _Terms:
    contract_size: float
    tick_size: float
    maker: float
    taker: float


def ms_of(text: str) -> int:
    """A UTC time, such as 2024-01-31T08:00:00, in milliseconds."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


@functools.cache
def _uuid(currency: str) -> str:
    return str(uuid.UUID(bytes=_digest(currency), version=5))
