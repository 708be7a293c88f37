"""Ranges of funding and of the volatility index, and changes of single rows in them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import pytest

from deribit_pipeline.datasets.funding_rates.source import FundingRates
from deribit_pipeline.datasets.funding_rates.wire import HISTORY
from deribit_pipeline.datasets.volatility_index.source import VolatilityIndexCandles
from deribit_pipeline.datasets.volatility_index.wire import DATA
from deribit_pipeline.domain.rows import rows_hash
from deribit_pipeline.domain.windows import to_ms
from deribit_pipeline.engine.windowed_source import WindowedSource
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.sandbox.exchange import Reply, SandboxExchange
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.fetched_days import Brought, Fetching


@dataclass(frozen=True)
class Kind:
    """A dataset's rows over a range of several windows, by the milliseconds between them."""

    source: WindowedSource
    series: str
    first: date
    last: date
    step: int

    @property
    def method(self) -> str:
        return DATA if isinstance(self.source, VolatilityIndexCandles) else HISTORY


MINUTES = Kind(VolatilityIndexCandles(), "BTC", date(2024, 3, 28), date(2024, 4, 8), step=60_000)
HOURS = Kind(VolatilityIndexCandles(), "BTC", date(2024, 3, 28), date(2024, 4, 8), step=3_600_000)
INVERSE = Kind(FundingRates(), "BTC-PERPETUAL", date(2023, 12, 1), date(2024, 4, 8), 3_600_000)
LINEAR = Kind(FundingRates(), "ETH_USDC-PERPETUAL", date(2023, 12, 1), date(2024, 4, 8), 3_600_000)
KINDS = {"minutes": MINUTES, "hours": HOURS, "inverse": INVERSE, "linear": LINEAR}

each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


Fetch = Callable[[Kind], Brought]
Change = Callable[[list[Any]], Any]


@pytest.fixture
def fetch(opened: Callable[..., Exchange], warehouse: Warehouse) -> Fetch:
    exchange = opened()
    return lambda kind: Fetching(exchange, warehouse, kind.source)(
        kind.series, kind.first, kind.last
    )


def rows_of(reply: Reply) -> list[Any]:
    result = reply.body.get("result")
    rows = result.get("data") if isinstance(result, dict) else result
    return rows if isinstance(rows, list) else []


def one_of(kind: Kind, number: int = 2) -> Callable[[str, Reply], bool]:
    """Matches only the response with this number among those with many rows of the kind."""
    seen = 0

    def where(method: str, reply: Reply) -> bool:
        nonlocal seen
        rows = rows_of(reply)
        stamps = [row["timestamp"] if isinstance(row, dict) else row[0] for row in rows[:2]]
        if len(rows) < 50 or stamps[1] - stamps[0] != kind.step:
            return False
        seen += 1
        return seen == number

    return where


def hashes(brought: Brought) -> dict[date, str]:
    assert not brought.failed
    return {day: rows_hash(fetched.rows) for day, fetched in brought.fetched.items()}


BROKEN = date(2024, 4, 3)
AT = to_ms(datetime(2024, 4, 3, 12, 3, tzinfo=UTC))
HOUR_AT = to_ms(datetime(2024, 4, 3, 12, tzinfo=UTC))


def fetch_repeatedly(sandbox: SandboxExchange, kind: Kind, at: int, change: Change) -> None:
    """Apply the change to the row of this moment from now on."""

    def changed(row: Any) -> Any:
        is_it = (row["timestamp"] if isinstance(row, dict) else row[0]) == at
        return change(row) if is_it else row

    def amended(result: Any) -> Any:
        if isinstance(result, dict):
            rows = result["data"]
            step = rows[1][0] - rows[0][0] if len(rows) > 1 else 0
            return result | {"data": list(map(changed, rows))} if step == kind.step else result
        return list(map(changed, result))

    sandbox.amend(kind.method, amended)


def others(brought: Brought, day: date = BROKEN) -> set[tuple[str, str]]:
    """The states and cross-checks of all days but one, none of which has a verdict."""
    assert {brought.fetched[other].verdict for other in brought.fetched if other != day} == {""}
    return {
        (proved.proof.state, proved.proof.cross_check)
        for other, proved in brought.proved.items()
        if other != day
    }
