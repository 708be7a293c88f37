"""Invented option chains without arbitrage, inserted as snapshots.

The smiles are Gatheral and Jacquier's surface SSVI: total variance
theta / 2 * (1 + rho phi k + sqrt((phi k + rho)^2 + 1 - rho^2)) at log-moneyness k, where theta is
the total variance at the forward and phi = 1 / sqrt(theta), which with |rho| < 1 admits no
arbitrage.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import erf, exp, log, sqrt
from typing import Any

import duckdb
import pandas as pd

from deribit_pipeline.datasets.book_summaries import BOOK_SUMMARIES
from deribit_pipeline.datasets.settlements import SETTLEMENTS
from deribit_pipeline.datasets.volatility_index import VOLATILITY_INDEX

RHO = -0.3
STRIKES = tuple(exp(0.04 * number) for number in range(-25, 26))
RECEIVED_AFTER = timedelta(seconds=3)


@dataclass(frozen=True)
class Market:
    """Options of an index on several expiries. `volatility` is that at the forward, which is
    `price` grown at `carry`, and with `is_flat` that at all strikes. `strikes` are shares of the
    price; `prefix` is how the names of instruments begin."""

    prefix: str = "BTC"
    currency: str = "BTC"
    price: float = 60_000.0
    carry: float = 0.05
    volatility: float = 0.6
    strikes: Sequence[float] = STRIKES
    is_flat: bool = False

    @property
    def is_inverse(self) -> bool:
        return "_" not in self.prefix

    def forward(self, years: float) -> float:
        return self.price * exp(self.carry * years)

    def variance(self, strike: float, years: float) -> float:
        """Total variance at a strike."""
        theta = self.volatility**2 * years
        if self.is_flat:
            return theta
        k = log(strike / self.forward(years)) / sqrt(theta)
        return theta / 2 * (1 + RHO * k + sqrt((k + RHO) ** 2 + 1 - RHO**2))

    def iv(self, strike: float, years: float) -> float:
        """Volatility at a strike, in percent."""
        return 100 * sqrt(self.variance(strike, years) / years)


def years_between(moment: datetime, expiry: datetime) -> float:
    return (expiry - moment) / timedelta(days=365)


def expiry_after(moment: datetime, days: int) -> datetime:
    """08:00 UTC, this many days later."""
    return datetime(moment.year, moment.month, moment.day, 8, tzinfo=UTC) + timedelta(days=days)


def strike_in_name(strike: float) -> str:
    return f"{strike:.12g}".replace(".", "d")


def price_of(option_type: str, forward: float, strike: float, deviation: float) -> float:
    """Black's price, in the currency of the forward."""
    sign = 1 if option_type == "call" else -1
    d1 = log(forward / strike) / deviation + deviation / 2

    def cdf(x: float) -> float:
        return (1 + erf(x / sqrt(2))) / 2

    return sign * (forward * cdf(sign * d1) - strike * cdf(sign * (d1 - deviation)))


def options_of(
    market: Market, snapshot_at: datetime, expiries: Iterable[datetime]
) -> list[dict[str, Any]]:
    """The rows of a snapshot's options."""
    rows = []
    for expiry in expiries:
        years = years_between(snapshot_at, expiry)
        forward = market.forward(years)
        for strike in (float(f"{market.price * each:.5g}") for each in market.strikes):
            deviation = sqrt(market.variance(strike, years))
            for option_type in ("call", "put"):
                mark = price_of(option_type, forward, strike, deviation)
                mark /= forward if market.is_inverse else 1
                rows.append({
                    "snapshot_at": snapshot_at, "currency": market.currency,
                    "instrument_name": f"{market.prefix}-{expiry.day}{expiry:%b%y}".upper()
                        + f"-{strike_in_name(strike)}-{option_type[0].upper()}",
                    "kind": "option", "bid_price": mark * 0.99, "ask_price": mark * 1.01,
                    "mark_price": mark, "mark_iv": market.iv(strike, years),
                    "open_interest": 10.0 if option_type == "call" else 5.0, "volume": 1.0,
                    "underlying_price": forward, "interest_rate": 0.0,
                    "received_at": snapshot_at + RECEIVED_AFTER,
                })  # fmt: skip
    return rows


def insert_rows(connection: duckdb.DuckDBPyConnection, rows: list[dict[str, Any]]) -> None:
    """Insert rows of snapshots; absent values are null."""
    names = [column.name for column in BOOK_SUMMARIES.table.columns]
    connection.register("made", pd.DataFrame(rows).reindex(columns=names))
    connection.execute(f"insert into book_summaries select {', '.join(names)} from made")
    connection.unregister("made")


def open_tables() -> duckdb.DuckDBPyConnection:
    """A database in memory with the tables that the macros read, and the macros."""
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    for dataset in (BOOK_SUMMARIES, SETTLEMENTS, VOLATILITY_INDEX):
        connection.execute(dataset.table.ddl())
    for view in BOOK_SUMMARIES.views:
        for statement in view.ddl():
            connection.execute(statement)
    return connection
