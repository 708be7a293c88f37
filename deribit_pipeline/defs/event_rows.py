"""Events of partitions as rows of Dagster's event log, many at once.

Dagster serializes each event as if it were the only one, which takes 0.2 ms. Those of one step
differ in few values, so here the first is serialized with slots in their places, and the slots are
filled for each. It relies on private names of dagster 1.13, and a test compares the rows with
Dagster's.
"""

import functools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
from dagster._core.events import AssetMaterializationPlannedData, StepMaterializationData
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._serdes import serialize_value

Row = dict[str, Any]

OF_PARTITIONS = frozenset(
    {
        dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
        dg.DagsterEventType.ASSET_MATERIALIZATION,
        dg.DagsterEventType.ASSET_OBSERVATION,
    }
)
"""The types of events of which a run has one for each partition."""

# A slot is a text that no event contains. What is no text is emptied, and found by its key.
_SLOT = "\0{}"
_SLOTS = (
    (re.compile(r'"\\u0000(\w+)"'), r"%(\1)s"),
    (re.compile(r'("timestamp": )0\.0'), r"\1%(timestamp)s"),
    (re.compile(r'("metadata_entries": \[)'), r"\1%(metadata)s"),
)


def rows_of(storage: SqlEventLogStorage, events: Sequence[EventLogEntry]) -> Iterator[Row]:
    """The rows that the storage has for events of the types `OF_PARTITIONS`, in order."""
    former: EventLogEntry | None = None
    row: Row = {}
    for event in events:
        with_slots, own, metadata = _divided(event)
        if with_slots != former:
            former, row = with_slots, storage._event_to_row(with_slots)
            row["event"] = _template(row["event"])
        texts = {name: json.dumps(value) for name, value in own.items()}
        texts["metadata"] = ", ".join([_entry(*each) for each in metadata.items()])
        yield row | {
            "event": row["event"] % texts,
            "timestamp": storage._event_insert_timestamp(event),  # type: ignore[no-untyped-call]
            "partition": own["partition"] or None,
        }


def tags_of(event: EventLogEntry) -> Mapping[str, str]:
    """The tags of an event of the types `OF_PARTITIONS`."""
    data: Any = event.get_dagster_event().event_specific_data
    if isinstance(data, AssetMaterializationPlannedData):
        return {}
    return getattr(data, _field(data)).tags or {}


def _divided(
    event: EventLogEntry,
) -> tuple[EventLogEntry, dict[str, Any], Mapping[str, dg.MetadataValue[Any]]]:
    """An event with slots in place of the values that each event of a step has for itself, these
    values by the name of their slot, and its metadata."""
    dagster_event = event.get_dagster_event()
    data: Any = dagster_event.event_specific_data
    own = {
        "timestamp": event.timestamp,
        "user_message": event.user_message,
        "message": dagster_event.message,
    }
    metadata: Mapping[str, dg.MetadataValue[Any]] = {}
    if isinstance(data, AssetMaterializationPlannedData):
        own["partition"] = data.partition
        data = data._replace(partition=_SLOT.format("partition"))
    else:
        name = _field(data)
        described = getattr(data, name)
        metadata = described.metadata
        own |= {"partition": described.partition, "description": described.description}
        slots = {name: _SLOT.format(name) for name in ("partition", "description")}
        data = data._replace(**{name: described._replace(metadata={}, **slots)})
    with_slots = event._replace(
        timestamp=0.0,
        user_message=_SLOT.format("user_message"),
        dagster_event=dagster_event._replace(
            message=_SLOT.format("message"), event_specific_data=data
        ),
    )
    return with_slots, own, metadata


def _field(data: Any) -> str:
    """The field that holds what an asset has materialized or observed."""
    return "materialization" if isinstance(data, StepMaterializationData) else "asset_observation"


def _template(text: str) -> str:
    """A serialized event with slots as a format with their names."""
    text = text.replace("%", "%%")
    for slot, named in _SLOTS:
        text = slot.sub(named, text)
    return text


def _entry(label: str, value: dg.MetadataValue[Any]) -> str:
    try:
        return _kept_entry(label, value)
    except TypeError:  # a value that is not hashable, such as JSON
        return _kept_entry.__wrapped__(label, value)


@functools.lru_cache(maxsize=1_000, typed=True)  # a whole number equals a fraction
def _kept_entry(label: str, value: dg.MetadataValue[Any]) -> str:
    """A value of metadata as Dagster serializes it in the list of an event."""
    return (
        '{"__class__": "EventMetadataEntry", "description": null, "entry_data": '
        f'{serialize_value(value)}, "label": {json.dumps(label)}}}'  # type: ignore[arg-type]
    )
