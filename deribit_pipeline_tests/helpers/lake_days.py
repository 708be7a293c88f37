"""Days of candles in a lake, written as by a backfill and stored once."""

from dataclasses import replace
from datetime import timedelta

from deribit_pipeline.domain.proofs import FetchedDay
from deribit_pipeline.engine.proved_days import DayWriter
from deribit_pipeline.engine.verification import verify
from deribit_pipeline.warehouse.place import Connection
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.written_warehouse import DATASET, FIRST, FROM, fetched, rows

HELD = "select count(*), count(distinct (instrument_name, opened_at)) from candles"


def day(number: int, name: str = "BTC-PERPETUAL", price: float = 1 / 3) -> FetchedDay:
    """A fetched day, confirmed by two responses."""
    returned = fetched(FIRST + timedelta(days=number), price=price)
    return replace(returned, series=name, is_confirmed=True)


def write(connection: Connection, *days: FetchedDay) -> None:
    """Write days of one instrument like a backfill."""
    DayWriter(DATASET, lambda _: FROM).write(connection, "run-1", days[0].series, days)


def hold(lake: Warehouse, *days: FetchedDay) -> None:
    lake.write(lambda connection: write(connection, *days), {days[0].series})


def assert_each_is_held_once(lake: Warehouse, days: int) -> None:
    verification = verify(lake)
    assert (verification.days, verification.findings) == (days, [])
    assert rows(lake, HELD) == [(days * 1_440, days * 1_440)]
