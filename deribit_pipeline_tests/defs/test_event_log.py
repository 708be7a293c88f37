"""The event log has the same rows as Dagster's own."""

import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from deribit_pipeline.defs import storage
from deribit_pipeline.defs.partitions import series_days
from deribit_pipeline.domain.dataset import SeriesKind

GRID = series_days(SeriesKind.INSTRUMENT, ["A", "B"])


@dg.asset(partitions_def=GRID, backfill_policy=dg.BackfillPolicy.single_run())
def candles(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    if "fail" in context.run.tags:
        context.log_event(dg.AssetMaterialization("candles", partition="A|2024-01-01"))
        raise dg.Failure("on purpose")
    return dg.MaterializeResult(metadata={"days": len(context.partition_keys)})


@dg.asset_check(asset=candles)
def are_sound() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


def bulk(home: Path) -> dict[str, Any]:
    """The storage section of `dagster.yaml`, for this home."""
    custom = {
        "module": storage.__name__,
        "class": storage.SharedSqliteStorage.__name__,
        "config": {"base_dir": str(home)},
    }
    return {"storage": {"custom": custom}}


def run_all(home: Path, overrides: dict[str, Any]) -> list[str]:
    """A success, a failure and a single key on a fresh instance; the ids of the runs, in order."""
    home.mkdir()
    overrides = {"telemetry": {"enabled": False}} | overrides
    with dg.DagsterInstance.local_temp(str(home), overrides=overrides) as instance:
        for last, more in (("B|2024-01-20", {}), ("A|2024-01-04", {"fail": "yes"})):
            dg.materialize(
                [candles, are_sound],
                instance=instance,
                tags={
                    "dagster/asset_partition_range_start": "A|2024-01-01",
                    "dagster/asset_partition_range_end": last,
                }
                | more,
                raise_on_error=False,
            )
        dg.materialize([candles, are_sound], instance=instance, partition_key="A|2024-02-01")
        assert len(instance.get_materialized_partitions(dg.AssetKey("candles"))) == 41
        [status] = instance.get_latest_materialization_events([dg.AssetKey("candles")]).values()
        assert status is not None
        return [record.dagster_run.run_id for record in reversed(instance.get_run_records())]


QUERIES = (
    "select dagster_event_type, step_key, asset_key, partition, "
    "case when asset_key is not null then event end from event_logs order by id",
    "select asset_key, key, value from asset_event_tags order by event_id, key",
    "select asset_key, last_materialization, asset_details from asset_keys",
)


def written(home: Path, overrides: dict[str, Any]) -> dict[str, list[tuple[Any, ...]]]:
    """The contents of an instance's files after its runs."""
    runs = run_all(home, overrides)
    files = {f"run {number}": f"{run_id}.db" for number, run_id in enumerate(runs)}
    return {
        f"{name}: {query}": rows(home / "history" / "runs" / file, query)
        for name, file in ({"index": "index.db"} | files).items()
        for query in QUERIES
    }


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(path)
    found = connection.execute(query).fetchall()
    connection.close()
    return [tuple(without_identity(value) for value in row) for row in found]


def without_identity(value: Any) -> Any:
    """A stored text without what differs from run to run: ids, times, places, line numbers."""
    if not isinstance(value, str):
        return value
    value = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{64}", "id", value)
    if value.startswith("{"):
        return json.dumps(_plain(json.loads(value)), sort_keys=True)
    return value


_OWN = ("timestamp", "pid", "log_key", "file_key")  # what is another in each run


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if key not in _OWN}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, int | float):
        return 0
    return re.sub(r"\d+(\.\d+)?", "0", value) if isinstance(value, str) else value


@pytest.mark.parametrize("together", ["0", "16"])
def test_it_holds_the_rows_of_the_stock_storage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, together: str
) -> None:
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", together)  # of events that Dagster itself logs
    stock = written(tmp_path / "stock", {})
    ours = written(tmp_path / "ours", bulk(tmp_path / "ours"))
    assert ours.keys() == stock.keys()
    for name, expected in stock.items():
        assert ours[name] == expected, name
    events = next(iter(stock.values()))
    assert sum(row[0] == "ASSET_MATERIALIZATION" for row in events) == 42
    assert sum(row[0] == "ASSET_MATERIALIZATION_PLANNED" for row in events) == 45
