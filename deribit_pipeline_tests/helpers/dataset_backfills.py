"""Backfills of any dataset under faults, and the expected result without them."""

import asyncio
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import duckdb

from deribit_pipeline.datasets.account import SETTLEMENT_HISTORY, TRANSACTION_LOG, USER_TRADES
from deribit_pipeline.datasets.account import wire as account
from deribit_pipeline.datasets.candles_rebuilt import CANDLES_REBUILT
from deribit_pipeline.datasets.delivery_prices import DELIVERY_PRICES
from deribit_pipeline.datasets.funding_rates import FUNDING_RATES
from deribit_pipeline.datasets.historical_volatility import HISTORICAL_VOLATILITY
from deribit_pipeline.datasets.index_prices import INDEX_PRICES
from deribit_pipeline.datasets.settlements import SETTLEMENTS
from deribit_pipeline.datasets.trades import TRADES
from deribit_pipeline.datasets.volatility_index import VOLATILITY_INDEX
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.windows import days_between
from deribit_pipeline.engine.backfill_days import ForegroundBackfill
from deribit_pipeline.engine.jobs import Job
from deribit_pipeline.engine.outcome import Outcome
from deribit_pipeline.opening import open_exchange, warehouse_at
from deribit_pipeline.sandbox.exchange import CLIENT_ID, CLIENT_SECRET
from deribit_pipeline.settings import Settings

LAST = date(2024, 4, 9)
"""The day before today on the sandbox's clock."""

WAITING = 0.02
"""The share of each retry pause that is really waited."""


@dataclass(frozen=True)
class Some:
    """Some days of a dataset's series, up to the last day that is over: `few` need a handful of
    requests, `many` dozens. `before` is the dataset that they are made of."""

    dataset: Dataset
    series: tuple[str, ...]
    few: int
    many: int
    before: Dataset | None = None

    def days(self, count: int) -> dict[str, list[date]]:
        first = LAST - timedelta(days=count - 1)
        return {name: list(days_between(first, LAST)) for name in self.series}

    @property
    def steps(self) -> tuple[Dataset, ...]:
        return (self.before, self.dataset) if self.before else (self.dataset,)


_INSTRUMENTS, _CURRENCIES = ("BTC-PERPETUAL", "ETH-PERPETUAL"), ("BTC", "ETH")
_INDEXES = ("btc_usd", "eth_usd")

SOME = {
    some.dataset.name: some
    for some in (
        Some(FUNDING_RATES, _INSTRUMENTS, 62, 200),
        Some(VOLATILITY_INDEX, _CURRENCIES, 4, 12),
        Some(TRADES, _INSTRUMENTS, 3, 10),
        Some(CANDLES_REBUILT, _INSTRUMENTS, 2, 10, before=TRADES),
        Some(SETTLEMENTS, _CURRENCIES, 6, 25),
        Some(DELIVERY_PRICES, _INDEXES, 30, 1_100),
        Some(HISTORICAL_VOLATILITY, _CURRENCIES, 20, 25),
        Some(INDEX_PRICES, _INDEXES, 3, 3),
        Some(TRANSACTION_LOG, _CURRENCIES, 20, 90),
        Some(USER_TRADES, _CURRENCIES, 20, 90),
        Some(SETTLEMENT_HISTORY, _CURRENCIES, 20, 90),
    )
}
"""By the dataset's name."""


class Backfills:
    """Backfills some days from the sandbox into a warehouse."""

    def __init__(self, settings: Settings) -> None:
        self._settings = replace(settings, client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
        self.warehouse = warehouse_at(settings.warehouse, settings.environment)

    def __call__(
        self,
        some: Some,
        days: int,
        *,
        patience: float = 20.0,
        timeout: float = 30.0,
        each_twice: bool = False,
    ) -> list[Outcome]:
        """The outcomes of the days that they are made of, and of themselves."""
        outcomes = []
        for dataset in some.steps:
            with open_exchange(self._settings, patience, timeout) as exchange:
                for client in (exchange.client, exchange.history):
                    assert client is not None
                    pools = dict(client.rpc._pools)
                    # The machine's rate limit of the transaction log would make a test wait.
                    client.rpc._pools = pools | {account.LOG: pools[""]}
                    client.rpc._sleep = _hurried
                exchange.each_twice = each_twice
                here = ForegroundBackfill(exchange, self.warehouse)
                outcomes.append(here.backfill(dataset, Job("a run", some.days(days))))
        return outcomes


async def _hurried(seconds: float) -> None:
    await asyncio.sleep(seconds * WAITING)


def contradictions(held: Path, true: Path, *names: str) -> list[tuple[object, ...]]:
    """The settled days of datasets that differ from another warehouse's, and the rows that it
    does not have."""
    found: list[tuple[object, ...]] = []
    days = (
        "select series, day, state, expected, received, missing, content_hash "
        "from {}.dataset_days where dataset = $name and state in ('complete', 'not_listed')"
    )
    with duckdb.connect() as connection:
        connection.execute(f"attach '{held}' as held (read_only)")
        connection.execute(f"attach '{true}' as truth (read_only)")
        for name in names:
            found += connection.execute(
                f"{days.format('held')} except {days.format('truth')}", {"name": name}
            ).fetchall()
            found += connection.execute(f"from held.{name} except from truth.{name}").fetchall()
    return found
