"""Backfills through the real webserver and daemon, launched as from an asset's page."""

from collections.abc import Callable, Iterator
from datetime import date, timedelta

import dagster as dg
import numpy as np
import pytest

from deribit_pipeline.sandbox.exchange import Reply, SandboxExchange
from deribit_pipeline.sandbox.faults import Faults
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.dagster_ui import DagsterUI, dagster_dev

CHART = "public/get_tradingview_chart_data"
BTC, ETH = "BTC-PERPETUAL", "ETH-PERPETUAL"

# Spans of different days for each instrument, and single days.
RAGGED = {
    BTC: [*range(1, 6), 12, 25],
    ETH: [*range(3, 10), 20],
}


@pytest.fixture
def ui(settings: Settings) -> Iterator[DagsterUI]:
    with dagster_dev(settings) as ui:
        yield ui


@pytest.fixture
def materialized(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[[], set[str]]:
    """Queries Dagster's instance like a user's program."""
    monkeypatch.setenv("DAGSTER_HOME", str(settings.dagster_home))

    def ask() -> set[str]:
        with dg.DagsterInstance.get() as instance:
            return instance.get_materialized_partitions(dg.AssetKey("candles_1m"))

    return ask


def complete_days(warehouse: Warehouse) -> set[str]:
    """The instrument-days that the warehouse proves complete, and holds every minute of."""
    with warehouse.reading() as connection:
        found = connection.execute(
            "select instrument_name || '|' || opened_at::date from complete_candles "
            "where resolution = '1' group by all having count(*) = 1440"
        ).fetchall()
    return {key for (key,) in found}


def of_march(days_by_instrument: dict[str, list[int]]) -> set[str]:
    return {
        f"{name}|{date(2024, 3, day)}" for name, days in days_by_instrument.items() for day in days
    }


@pytest.mark.torture
def test_a_backfill_from_the_page_makes_exactly_the_days_that_were_chosen(
    ui: DagsterUI, warehouse: Warehouse, materialized: Callable[[], set[str]]
) -> None:
    first = date(2024, 1, 1)
    grid = {f"{name}|{first + timedelta(n)}" for name in (BTC, ETH) for n in range(60)}
    ragged = of_march(RAGGED)
    backfills = [ui.launch("candles_1m", keys) for keys in (grid, ragged)]
    for backfill in backfills:
        assert ui.end_of(backfill) == "COMPLETED_SUCCESS", ui.errors_of(backfill)
    assert materialized() == complete_days(warehouse) == grid | ragged
    shown = ui.partitions("candles_1m")
    assert (shown.materialized, shown.failed, shown.materializing) == (135, 0, 0)


@pytest.mark.torture
def test_failed_days_are_shown_as_failed_and_they_alone_are_requested_again(
    ui: DagsterUI,
    warehouse: Warehouse,
    materialized: Callable[[], set[str]],
    sandbox: SandboxExchange,
    faults: Faults,
) -> None:
    corrupted = [date(2024, 3, day) for day in (8, 25)]

    def reports_the_corrupted(method: str, reply: Reply) -> bool:
        ticks = reply.body["result"]["ticks"] if method == CHART else np.empty(0)
        days = np.asarray(ticks).astype("datetime64[ms]").astype("datetime64[D]")
        return bool(np.isin(days, np.array(corrupted, "datetime64[D]")).any())

    requested = of_march(RAGGED)
    faults.corrupt_where("off_grid", reports_the_corrupted)
    backfill = ui.launch("candles_1m", requested)
    assert ui.end_of(backfill) == "COMPLETED_FAILED"
    proved = complete_days(warehouse)
    failed = requested - proved
    assert {f"{ETH}|2024-03-08", f"{BTC}|2024-03-25"} <= failed
    assert len(failed) < len(requested) / 2
    assert materialized() == proved
    shown = ui.partitions("candles_1m")
    assert (shown.materialized, shown.failed) == (len(proved), len(failed))
    assert {key for key in requested if shown.failed_on(*key.split("|"))} == failed

    faults.mend()
    before = sandbox.requests[CHART]
    alone = {f"{BTC}|2024-03-25"}
    assert ui.end_of(ui.launch("candles_1m", alone)) == "COMPLETED_SUCCESS"
    assert complete_days(warehouse) == materialized() == proved | alone
    assert sandbox.requests[CHART] - before <= 2

    before = sandbox.requests[CHART]
    assert ui.end_of(ui.reexecute_from_failure(backfill)) == "COMPLETED_SUCCESS"
    assert complete_days(warehouse) == materialized() == requested
    shown = ui.partitions("candles_1m")
    assert (shown.materialized, shown.failed) == (len(requested), 0)
    assert sandbox.requests[CHART] - before <= 4
