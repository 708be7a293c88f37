"""Events recorded together are those that Dagster logs one by one."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import dagster as dg
import pytest
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value

from deribit_pipeline.defs import storage
from deribit_pipeline.defs.event_log import BulkSqliteEventLogStorage
from deribit_pipeline.defs.partition_events import already_recorded, record_events
from deribit_pipeline.defs.partitions import series_days
from deribit_pipeline.domain.dataset import SeriesKind
from deribit_pipeline_tests.defs.test_event_log import bulk

GRID = series_days(SeriesKind.INSTRUMENT, ["A", "B"])
KEY = dg.AssetKey(["exchange", "candles"])
KINDS = {dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_OBSERVATION}
QUIET = {"telemetry": {"enabled": False}}


@dg.asset(key=KEY, partitions_def=GRID, backfill_policy=dg.BackfillPolicy.single_run())
def candles(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    """Observes its first day, and materializes all others."""
    first, *others = context.partition_keys
    events = [
        kind(
            KEY,
            partition=key,
            description=None if key.endswith("-02") else f"Complete: {key}.",
            metadata={"rows": number, "hash": "…", "at": dg.MetadataValue.timestamp(0.5)},
        )
        for kind, keys in ((dg.AssetObservation, [first]), (dg.AssetMaterialization, others))
        for number, key in enumerate(keys)
    ]
    if "each" in context.run.tags:
        for event in events:
            context.log_event(event)
    else:
        record_events(context, events)
    if "fail" in context.run.tags:
        raise dg.Failure("on purpose")
    return already_recorded()


def run(instance: dg.DagsterInstance, last: str, **tags: str) -> dg.ExecuteInProcessResult:
    span = {
        "dagster/asset_partition_range_start": "A|2024-01-01",
        "dagster/asset_partition_range_end": last,
    }
    return dg.materialize([candles], instance=instance, tags=span | tags, raise_on_error=False)


def alike(event: EventLogEntry) -> EventLogEntry:
    """An event without what is another in each run."""
    dagster_event = event.get_dagster_event()
    tags = {**(dagster_event.logging_tags or {}), "run_id": "", "resource_fn_name": ""}
    return event._replace(
        run_id="", timestamp=0.0, dagster_event=dagster_event._replace(pid=0, logging_tags=tags)
    )


def shown(home: Path, overrides: dict[str, Any], **tags: str) -> dict[str, Any]:
    """What Dagster answers about the days of two runs, of which the second fails."""
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home), overrides=QUIET | overrides) as instance:
        made = [
            run(instance, "B|2024-01-03", **tags),
            run(instance, "A|2024-01-02", fail="yes", **tags),
        ]
        assert [each.success for each in made] == [True, False]
        status = get_and_update_asset_status_cache_value(instance, KEY, GRID)
        assert status is not None
        last = instance.get_latest_materialization_event(KEY)
        assert last is not None
        observed = instance.fetch_observations(KEY, limit=9).records
        subset = status.deserialize_materialized_partition_subsets(GRID)
        return {
            "logs": [
                [alike(event) for event in instance.all_logs(each.run_id, of_type=KINDS)]
                for each in made
            ],
            "planned": [
                {
                    (event.partition, event.message)
                    for entry in instance.all_logs(each.run_id, of_type=PLANNED)
                    for event in [entry.get_dagster_event()]
                }
                for each in made
            ],
            "last": alike(last),
            "observed": [alike(each.event_log_entry) for each in observed],
            "materialized": set(subset.get_partition_keys()),
            "failed": set(status.deserialize_failed_partition_subsets(GRID).get_partition_keys()),
            "running": set(
                status.deserialize_in_progress_partition_subsets(GRID).get_partition_keys()
            ),
            "counts": instance.get_run_stats(made[0].run_id).materializations,
        }


PLANNED = dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED


def test_days_recorded_together_are_shown_as_days_that_dagster_logs_one_by_one(
    tmp_path: Path,
) -> None:
    each = shown(tmp_path / "each", {}, each="yes")
    assert len(each["logs"][0]) == len(each["planned"][0]) == 6
    assert len(each["materialized"]) == 5
    assert shown(tmp_path / "stock", {}) == each
    assert shown(tmp_path / "ours", bulk(tmp_path / "ours")) == each


@pytest.fixture
def instance(tmp_path: Path) -> Any:
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=QUIET | bulk(tmp_path)) as made:
        yield made


def test_the_times_of_events_recorded_together_differ(instance: dg.DagsterInstance) -> None:
    before = datetime.now(UTC).timestamp()
    made = run(instance, "B|2024-01-03")
    times = [event.timestamp for event in instance.all_logs(made.run_id, of_type=KINDS)]
    assert sorted(set(times)) == times
    assert before <= times[0]


class Counting(BulkSqliteEventLogStorage):
    """Counts how often a file of the event log is opened: each time is one transaction."""

    opened: ClassVar[Counter[str]] = Counter()

    def _connect(self, shard: str) -> Any:
        Counting.opened[shard] += 1
        return super()._connect(shard)


def test_a_run_of_many_days_has_as_many_transactions_as_one_of_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "BulkSqliteEventLogStorage", Counting)
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=QUIET | bulk(tmp_path)) as instance:
        opened = []
        for last in ("A|2024-01-02", "B|2024-01-20"):
            Counting.opened.clear()
            made = run(instance, last)
            assert made.success
            opened.append((Counting.opened["index"], Counting.opened[made.run_id]))
    few, many = opened
    assert few == many


@pytest.mark.parametrize("fails_at", ["_store_together", "_store_asset_event"])
def test_a_run_whose_days_cannot_be_stored_materializes_none_of_them_and_fails(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, fails_at: str
) -> None:
    stored = getattr(BulkSqliteEventLogStorage, fails_at)

    def refused(self: Any, connection: Any, *events: Any) -> None:
        first = events[0][0] if isinstance(events[0], list) else events[0]
        if first.dagster_event_type in KINDS:
            raise OSError("on purpose")
        stored(self, connection, *events)

    monkeypatch.setattr(BulkSqliteEventLogStorage, fails_at, refused)
    assert not run(instance, "B|2024-01-03").success
    assert instance.get_materialized_partitions(KEY) == set()
    assert instance.fetch_observations(KEY, limit=1).records == []
    monkeypatch.undo()
    assert run(instance, "B|2024-01-03").success
    assert len(instance.get_materialized_partitions(KEY)) == 5
