"""Specifications of instruments, and the format of instrument and currency names."""

import re
from dataclasses import dataclass
from datetime import datetime

KINDS = ("future", "option", "spot", "future_combo", "option_combo")

CURRENCIES = ("BTC", "ETH", "USDC", "USDT", "EURR")
"""The currencies by which the exchange lists current instruments: those that they settle in
(assumption:currencies-settled, assumption:currencies-listed). SOL was one in 2022, and others may
follow: the warehouse stores the currencies that were seen."""

CURRENCY = re.compile(r"[A-Z][A-Z0-9]{1,11}")

# Deribit's names consist of letters, digits, "-" and "_". Everything else is rejected: names become
# Dagster partition keys, where "|" and "..." have a special meaning.
INSTRUMENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")

INVERSE = r"^[A-Z0-9]+-(PERPETUAL|[0-9]{1,2}[A-Z]{3}[0-9]{2}|FS-.*)$"
"""Names of instruments with amounts in USD: inverse futures and spreads of two. Other amounts are
in coins."""

COMBO = r"^[A-Z0-9_]+-[A-Z]+-"
"""Names of combos, whose price is a difference of prices and may be 0 or negative."""

INDEX_OF = """lower(split_part(instrument_name, '-', 1)
    || if(contains(split_part(instrument_name, '-', 1), '_'), '', '_usd'))"""
"""SQL for an instrument's price index, from its name: btc_usd for BTC-25SEP26."""

SETTLES_IN = """coalesce(settlement_currency, if(
    kind = 'spot', quote_currency, split_part(split_part(instrument_name, '-', 1), '_', -1)
))"""
"""SQL for the settlement currency, under which an instrument is listed. Listings from before
October 2021 do not contain a future's settlement currency, but its name begins with it:
BTC-25SEP26, SOL_USDC-PERPETUAL. A spot pair has none and counts under its quote currency."""


def is_inverse(instrument_name: str) -> bool:
    """Whether amounts of an instrument are in USD."""
    return re.match(INVERSE, instrument_name) is not None


def settlement_currency(instrument_name: str) -> str:
    """An instrument's settlement currency, from its name: BTC for `BTC-25SEP26`, USDC for
    `XRP_USDC-30JUN23-0d625-C`."""
    return instrument_name.split("-")[0].split("_")[-1]


def kind_of(instrument_name: str) -> str:
    """An instrument's kind, from its name: `future` for `BTC-PERPETUAL`, `option` for
    `BTC-25SEP26-90000-C`, `option_combo` for `BTC-CS-25SEP26-90000_100000`, `future_combo` for
    `BTC-FS-25SEP26_PERP`, `spot` for `BTC_USDC`."""
    parts = instrument_name.split("-")
    if len(parts) == 1:
        return "spot"
    if re.match(COMBO, instrument_name):
        return "future_combo" if parts[1] == "FS" else "option_combo"
    return "option" if len(parts) > 3 else "future"


def kind_and_currency(instrument_name: str) -> str:
    """An instrument's kind and settlement currency, as in the names of the exchange's channels:
    `future.BTC` for `BTC-PERPETUAL`, `future.USDC` for `BTC_USDC-PERPETUAL`."""
    return f"{kind_of(instrument_name)}.{settlement_currency(instrument_name)}"


def currencies_of(instrument_name: str) -> tuple[str, str]:
    """An instrument's base currency, and the currency of its price, from its name: BTC and USD for
    `BTC-25SEP26`, SOL and USDC for `SOL_USDC-PERPETUAL`, BTC and BTC for `BTC-25SEP26-90000-C`."""
    base, _, quote = instrument_name.split("-")[0].partition("_")
    return base, quote or ("USD" if is_inverse(instrument_name) else base)


@dataclass(frozen=True, slots=True)
class Specification:
    """An instrument's fields as returned by the exchange; None for an absent field.

    The fields are the columns of the table `instruments`, in its order. `listed_at` and
    `expires_at` (None: never) belong to the instrument; the others may change while it trades.
    `tick_size_steps` is JSON.
    """

    instrument_name: str
    instrument_id: int | None
    kind: str
    instrument_type: str | None
    base_currency: str
    quote_currency: str
    counter_currency: str | None
    settlement_currency: str | None
    settlement_period: str | None
    listed_at: datetime
    expires_at: datetime | None
    strike: float | None
    option_type: str | None
    price_index: str | None
    contract_size: float
    tick_size: float
    tick_size_steps: str
    min_trade_amount: float
    maker_commission: float | None
    taker_commission: float | None
    max_leverage: float | None

    def is_expired(self, moment: datetime) -> bool:
        """Whether it no longer trades at an instant."""
        return self.expires_at is not None and self.expires_at <= moment
