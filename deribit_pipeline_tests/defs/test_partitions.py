"""The partition grid: Dagster's own, except for the cost of its keys and its first day."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest

from deribit_pipeline.definitions import build_definitions
from deribit_pipeline.defs.partitions import UTC_DAY, series_days
from deribit_pipeline.domain.dataset import SeriesKind
from deribit_pipeline.settings import Settings

NAMES = ["BTC-PERPETUAL", "ETH-PERPETUAL", "BTC_USDC"]
FIRST = date(2024, 1, 31)


@pytest.fixture
def stock() -> dg.MultiPartitionsDefinition:
    """The webserver's and the daemon's view of the grid."""
    return dg.MultiPartitionsDefinition(
        {
            "instrument": dg.StaticPartitionsDefinition(NAMES),
            UTC_DAY: dg.DailyPartitionsDefinition(
                start_date=FIRST.isoformat(), timezone="UTC", end_offset=1
            ),
        }
    )


@pytest.mark.parametrize("at", [None, datetime(2024, 3, 1, 12, tzinfo=UTC)])
def test_the_keys_are_those_of_dagsters_own_grid_as_plain_strings(
    stock: dg.MultiPartitionsDefinition, at: datetime | None
) -> None:
    keys = series_days(SeriesKind.INSTRUMENT, NAMES, FIRST).get_partition_keys(at)
    assert list(keys) == list(stock.get_partition_keys(at))
    assert {type(key) for key in keys} == {str}


def test_to_dagster_the_grid_is_its_own(stock: dg.MultiPartitionsDefinition) -> None:
    grid = series_days(SeriesKind.INSTRUMENT, NAMES, FIRST)
    assert grid == stock
    assert grid.get_serializable_unique_identifier() == stock.get_serializable_unique_identifier()
    assert grid.get_num_partitions() == stock.get_num_partitions() == len(grid.get_partition_keys())
    assert grid.get_last_partition_key() == stock.get_last_partition_key()
    block = dg.PartitionKeyRange("BTC-PERPETUAL|2024-02-01", "ETH-PERPETUAL|2024-02-29")
    assert len(grid.get_partition_keys_in_range(block)) == 2 * 29
    assert grid.get_partition_keys_in_range(block) == stock.get_partition_keys_in_range(block)


def test_every_asset_has_partitions_since_the_day_that_is_set(settings: Settings) -> None:
    today = datetime.now(UTC).date()
    since = today - timedelta(days=499)
    graph = build_definitions(replace(settings, partitions_since=since)).resolve_asset_graph()
    grids = [
        node.partitions_def
        for node in graph.asset_nodes
        if isinstance(node.partitions_def, dg.MultiPartitionsDefinition)
    ]
    assert len(grids) > 12
    for grid in grids:
        first, last = grid.get_first_partition_key(), grid.get_last_partition_key()
        assert (str(first)[-10:], str(last)[-10:]) == (str(since), str(today))
    candles = graph.get(dg.AssetKey("candles_1m")).partitions_def
    assert not candles.has_partition_key(f"BTC-PERPETUAL|{since - timedelta(days=1)}")
    assert candles.get_num_partitions() == 1_000


@pytest.mark.parametrize(("instruments", "is_given"), [(60, False), (80, True)])
def test_a_grid_that_makes_the_ui_slow_is_reported_with_what_helps(
    settings: Settings, caplog: pytest.LogCaptureFixture, instruments: int, is_given: bool
) -> None:
    names = tuple(f"X{number}_USDC-PERPETUAL" for number in range(instruments))
    since = datetime.now(UTC).date() - timedelta(days=2_999)
    build_definitions(replace(settings, instruments=names, partitions_since=since))
    output = [record.message for record in caplog.records if "partitions" in record.message]
    assert len(output) == is_given
    if is_given:
        assert "has 240,000 partitions" in output[0]
        assert "DERIBIT_GROUPS makes assets of fewer instruments" in output[0]
