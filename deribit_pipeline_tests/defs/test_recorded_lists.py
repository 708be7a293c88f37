"""The asset `instruments` is shown as filled where the command line filled its table."""

from collections.abc import Callable
from datetime import UTC, datetime

import dagster as dg

from deribit_pipeline.defs.recorded_lists import record_lists
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.instruments.refresh import refresh
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import Clock
from deribit_pipeline_tests.helpers.pipeline import Pipeline

INSTRUMENTS = dg.AssetKey("instruments")


def test_lists_that_the_warehouse_holds_are_recorded_once(
    opened: Callable[..., Exchange],
    pipeline: Pipeline,
    warehouse: Warehouse,
    instance: dg.DagsterInstance,
    clock: Clock,
) -> None:
    clock.now = datetime(2024, 1, 2, tzinfo=UTC)
    refresh(opened(), warehouse, "BTC")
    for _ in range(2):
        record_lists(instance, warehouse)
    [record] = instance.fetch_materializations(INSTRUMENTS, limit=9).records
    event = record.asset_materialization
    assert event is not None
    [(held,)] = pipeline.rows("select count(distinct instrument_name) from instruments")
    assert (event.partition, event.metadata["instruments"].value) == ("BTC", held)
    assert held > 0
    assert event.metadata["as_of"].value == clock.now.timestamp()


def test_without_a_warehouse_or_lists_nothing_is_recorded(
    warehouse: Warehouse, instance: dg.DagsterInstance
) -> None:
    record_lists(instance, warehouse)
    with warehouse.writing():
        pass
    record_lists(instance, warehouse)
    assert instance.get_materialized_partitions(INSTRUMENTS) == set()
