"""Events of many partitions have the rows that Dagster makes of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.dependency import NodeHandle
from dagster._core.events import (
    AssetMaterializationPlannedData,
    AssetObservationData,
    DagsterEvent,
    StepMaterializationData,
)
from dagster._core.events.log import EventLogEntry
from dagster._core.execution.plan.handle import StepHandle
from hypothesis import given
from hypothesis import strategies as st

from deribit_pipeline.defs.event_log import BulkSqliteEventLogStorage
from deribit_pipeline.defs.event_rows import rows_of

# Zero bytes are what slots begin with.
texts = st.text(st.characters(codec="utf-8"), max_size=20) | st.sampled_from(
    ["\0partition", "100 % of %(rows)s", '"quoted" \\', "\n", "…", '"metadata_entries": []']
)
whole = st.integers(-(2**53), 2**53)
metadata_values: st.SearchStrategy[dg.MetadataValue[Any]] = st.one_of(
    texts.map(dg.MetadataValue.text),
    texts.map(dg.MetadataValue.md),
    whole.map(dg.MetadataValue.int),
    st.sampled_from([0, 1]).map(dg.MetadataValue.int),
    st.floats(allow_nan=False).map(dg.MetadataValue.float),
    st.sampled_from([0.0, 1.0]).map(dg.MetadataValue.float),
    st.booleans().map(dg.MetadataValue.bool),
    st.datetimes(timezones=st.just(UTC)).map(dg.MetadataValue.timestamp),
    st.dictionaries(texts, whole | texts, max_size=3).map(dg.MetadataValue.json),
)


@dataclass(frozen=True)
class Described:
    """What differs between the events of a step."""

    partition: str | None
    description: str | None
    metadata: dict[str, dg.MetadataValue[Any]]
    asset: str
    tags: dict[str, str] | None


described = st.builds(
    Described,
    partition=st.none() | texts,
    description=st.none() | texts,
    metadata=st.dictionaries(texts, metadata_values, max_size=4),
    asset=st.sampled_from(["candles", "100 %s"]),
    tags=st.none() | st.dictionaries(st.sampled_from(["of", "to"]), st.sampled_from("AB")),
)
kinds = st.sampled_from(["planned", "materialized", "observed"])


def entry(kind: str, of: Described, number: int) -> EventLogEntry:
    """An event as Dagster makes it."""
    arguments: dict[str, Any] = {
        "partition": of.partition, "description": of.description,
        "metadata": of.metadata, "tags": of.tags,
    }  # fmt: skip
    data: Any
    if kind == "planned":
        name, data = (
            dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
            AssetMaterializationPlannedData(dg.AssetKey(of.asset), partition=of.partition),
        )
    elif kind == "materialized":
        name = dg.DagsterEventType.ASSET_MATERIALIZATION
        data = StepMaterializationData(dg.AssetMaterialization(of.asset, **arguments))
    else:
        name = dg.DagsterEventType.ASSET_OBSERVATION
        data = AssetObservationData(dg.AssetObservation(of.asset, **arguments))
    handle = NodeHandle("candles", None)
    return EventLogEntry(  # type: ignore[no-untyped-call]
        error_info=None, level=10, user_message=of.description or "", run_id="a run",
        timestamp=1.7e9 + number, step_key="candles", job_name="100 % of %(jobs)s",
        dagster_event=DagsterEvent(
            name.value, "100 % of %(jobs)s", StepHandle(handle), handle, "COMPUTE",
            {"op_name": "candles"}, data, of.description, 7,
        ),
    )  # fmt: skip


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> BulkSqliteEventLogStorage:
    return BulkSqliteEventLogStorage(str(tmp_path_factory.mktemp("events")))


@given(st.lists(st.tuples(kinds, described), max_size=6))
def test_rows_are_those_of_dagsters_serializer(
    storage: BulkSqliteEventLogStorage, given_: Sequence[tuple[str, Described]]
) -> None:
    events = [entry(*each, number) for number, each in enumerate(given_)]
    assert list(rows_of(storage, events)) == [storage._event_to_row(event) for event in events]
