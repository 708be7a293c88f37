"""A pipeline from the sandbox over HTTP to a warehouse, for tests that compare both."""

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.datasets.candles import wire as parse
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.windows import days_between
from deribit_pipeline.engine.backfill_days import ForegroundBackfill
from deribit_pipeline.engine.jobs import Job
from deribit_pipeline.engine.outcome import Outcome
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.sandbox.charts import MOST_CANDLES, STEPS
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.warehouse.warehouse import Warehouse

CHART = "public/get_tradingview_chart_data"
Opened = Callable[..., Exchange]


class Pipeline:
    """Backfills the sandbox into a warehouse, and reads both."""

    def __init__(self, opened: Opened, warehouse: Warehouse, sandbox: SandboxExchange) -> None:
        self._opened, self.warehouse, self._sandbox = opened, warehouse, sandbox

    def backfill(
        self,
        first: date,
        last: date,
        resolution: str = "1",
        names: Iterable[str] = ("BTC-PERPETUAL",),
        *,
        force: bool = False,
        patience: float = 5.0,
        timeout: float = 30.0,
        each_twice: bool = False,
    ) -> Outcome:
        days = {name: list(days_between(first, last)) for name in names}
        exchange = self._opened(patience, timeout)
        exchange.each_twice = each_twice
        here = ForegroundBackfill(exchange, self.warehouse)
        return here.backfill(CANDLES[Resolution(resolution)], Job("a run", days), force=force)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.warehouse.reading() as connection:
            return connection.execute(query).fetchall()

    def returned(
        self, name: str, resolution: str, start: datetime, end: datetime
    ) -> list[list[float]]:
        """Every candle that the exchange returns in [start, end), page by page."""
        rows: list[list[float]] = self.returned_rows(name, resolution, start, end).tolist()
        return rows

    def returned_rows(
        self, name: str, resolution: str, start: datetime, end: datetime
    ) -> NDArray[np.float64]:
        """The same candles, shape (n, 7), the first column in UTC milliseconds."""
        pages, at, step = [], int(start.timestamp() * 1000), STEPS[resolution]
        while at < end.timestamp() * 1000:
            until = min(at + (MOST_CANDLES - 1) * step, int(end.timestamp() * 1000)) - 1
            params = {"instrument_name": name, "resolution": resolution}
            params |= {"start_timestamp": str(at), "end_timestamp": str(until)}
            candles = parse.candles(_lists(self._sandbox.answer(CHART, params).body["result"]))
            ticks = candles.opened_at.astype(np.int64)
            pages.append(np.column_stack([ticks, candles.values])[ticks >= at])
            at = until + 1
        return np.concatenate(pages)

    def held(self, name: str, resolution: str) -> list[list[float]]:
        """Every stored candle."""
        rows: list[list[float]] = self.held_rows(name, resolution).tolist()
        return rows

    def held_rows(self, name: str, resolution: str) -> NDArray[np.float64]:
        """The same candles, shape (n, 7), the first column in UTC milliseconds."""
        with self.warehouse.reading() as connection:
            columns = connection.execute(
                "select epoch_ms(opened_at) as at, open, high, low, close, volume_base, "
                "volume_quote from candles where instrument_name = $name and "
                "resolution = $resolution order by opened_at",
                {"name": name, "resolution": resolution},
            ).fetchnumpy()
        return np.column_stack(list(columns.values())).astype(np.float64)


def _lists(chart: dict[str, Any]) -> dict[str, Any]:
    return {
        name: getattr(value, "tolist", lambda value=value: value)() for name, value in chart.items()
    }


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def ms(day: date, minute: int) -> int:
    """A minute of a day, in UTC milliseconds."""
    return int(midnight(day).timestamp() * 1000) + minute * 60_000
