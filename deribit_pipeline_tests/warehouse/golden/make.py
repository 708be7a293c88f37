"""A small warehouse of the version of today, with days of every dataset, from the sandbox.

    python -m deribit_pipeline_tests.warehouse.golden.make FOLDER

writes `version_N.duckdb.xz` and `version_N.csv`, the hashes of its days, into the folder.
"""

import csv
import lzma
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.datasets.registry import DATASETS, ROW_DATASETS
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.dataset import Dataset, SeriesKind
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.windows import days_between
from deribit_pipeline.engine.backfill_days import ForegroundBackfill
from deribit_pipeline.engine.jobs import Job
from deribit_pipeline.exchange.session import Exchange, spool_of
from deribit_pipeline.instruments.refresh import refresh
from deribit_pipeline.opening import open_exchange, warehouse_at
from deribit_pipeline.sandbox.exchange import CLIENT_ID, CLIENT_SECRET, SandboxExchange
from deribit_pipeline.sandbox.faults import Faults
from deribit_pipeline.sandbox.server import serving
from deribit_pipeline.settings import Settings
from deribit_pipeline.spool.folder import Spool
from deribit_pipeline.warehouse.schema import SCHEMA_VERSION
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.spooled import Recordings

DAYS = list(days_between(date(2024, 4, 7), date(2024, 4, 10)))
"""The last of them is not over yet."""

NOW = datetime(2024, 4, 10, 2, 0, 30, tzinfo=UTC)
FUTURE = "BTC-5JAN24"
FUTURE_DAYS = list(days_between(date(2024, 1, 2), date(2024, 1, 6)))
"""It expires on the last but one of them."""

PAIR = ("BTC-PERPETUAL", "ETH-PERPETUAL")

_SNAPSHOTS_EVERY = timedelta(hours=4)

_MINUTES, _HOURS, _THREE_HOURS, _DAILY = (
    CANDLES[resolution]
    for resolution in (
        Resolution.MINUTE_1, Resolution.HOUR_1, Resolution.HOUR_3, Resolution.DAY_1
    )
)  # fmt: skip
_SERIES = {
    SeriesKind.INSTRUMENT: PAIR,
    SeriesKind.CURRENCY: ("BTC",),
    SeriesKind.INDEX: ("btc_usd",),
}


def make(folder: Path) -> None:
    """Make the warehouse and the list of its days."""
    name = f"version_{SCHEMA_VERSION}"
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "warehouse.duckdb"
        _fill(path)
        (folder / f"{name}.duckdb.xz").write_bytes(lzma.compress(path.read_bytes(), preset=9))
        days = hashes(warehouse_at(path, Environment.SANDBOX))
    with (folder / f"{name}.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(days)


def hashes(warehouse: Warehouse) -> list[tuple[str, ...]]:
    """Dataset, series, day, state, rows expected, received and missing, and content hash of each
    day."""
    candles = " ".join(f"when '{res.value}' then '{it.name}'" for res, it in CANDLES.items())
    with warehouse.reading(as_it_is=True) as connection:
        found = connection.execute(
            f"""
            select case resolution {candles} end, instrument_name, day, state, expected, received,
                   missing, content_hash
            from candle_days
            union all
            select dataset, series, day, state, expected, received, missing, content_hash
            from dataset_days
            order by all
            """
        ).fetchall()
    return [tuple(map(str, row)) for row in found]


def _fill(path: Path) -> None:
    sandbox = SandboxExchange(NOW.timestamp, per_second=0)
    with serving(sandbox, Faults()) as url:
        settings = Settings(
            Environment.SANDBOX, url, warehouse=path, requests_per_second=1_000_000.0,
            client_id=CLIENT_ID, client_secret=CLIENT_SECRET,
            spool=path.with_name("spool"), snapshot_every=_SNAPSHOTS_EVERY,
        )  # fmt: skip
        warehouse = warehouse_at(path, Environment.SANDBOX)
        with open_exchange(settings) as exchange:
            refresh(exchange, warehouse, "BTC", "run 0")
            _lose(sandbox)
            _record(spool_of(settings), sandbox)
            for dataset in (_MINUTES, _HOURS, _THREE_HOURS, _DAILY):
                _backfill(exchange, warehouse, dataset, PAIR, DAYS)
            _backfill(exchange, warehouse, _HOURS, [FUTURE], FUTURE_DAYS)
            for dataset in ROW_DATASETS:
                if dataset.name in ("trades", "candles_rebuilt"):
                    _backfill(exchange, warehouse, dataset, [FUTURE], FUTURE_DAYS)
                else:
                    _backfill(exchange, warehouse, dataset, _SERIES[dataset.series], DAYS)
            _revise(sandbox)
            _backfill(exchange, warehouse, _MINUTES, PAIR, DAYS[:1], force=True)
            funding = DATASETS["funding_rates"]
            _backfill(exchange, warehouse, funding, PAIR, DAYS[:1], force=True)


def _record(spool: Spool, sandbox: SandboxExchange) -> None:
    """Snapshots of BTC until now, but for one of the second day."""
    recordings = Recordings(spool, sandbox, "BTC", _SNAPSHOTS_EVERY)
    with spool.recording():
        for day in DAYS:
            slots = [slot for slot in recordings.slots(day) if slot < NOW.replace(minute=0)]
            recordings.record(slots if day != DAYS[1] else slots[:-1])
    recordings.close()


def _lose(sandbox: SandboxExchange) -> None:
    """Gaps of candles and of funding rates on the second day."""
    start = ms_of(DAYS[1])
    sandbox.charts.omit("ETH-PERPETUAL", start + 60_000 * 600, start + 60_000 * 607)
    sandbox.funding.omit("ETH-PERPETUAL", start + 3_600_000 * 5, start + 3_600_000 * 6)


def _revise(sandbox: SandboxExchange) -> None:
    """Other values of a candle and of a funding rate of the first day."""
    start = ms_of(DAYS[0])
    sandbox.charts.revise("BTC-PERPETUAL", start + 60_000 * 5, 77.0)
    sandbox.funding.revise("BTC-PERPETUAL", start + 3_600_000 * 5, 0.25)


def _backfill(
    exchange: Exchange, warehouse: Warehouse, dataset: Dataset, series: Sequence[str],
    days: Sequence[date], *, force: bool = False,
) -> None:  # fmt: skip
    job = Job(f"run of {dataset.name}", {name: list(days) for name in series})
    outcome = ForegroundBackfill(exchange, warehouse).backfill(dataset, job, force=force)
    assert not outcome.failures, outcome.failures


def ms_of(day: date) -> int:
    """The beginning of a day, in UTC milliseconds."""
    return (day - date(1970, 1, 1)) // timedelta(milliseconds=1)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
