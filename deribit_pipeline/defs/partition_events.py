"""Records events of partitions from within an asset, many at once.

It relies on private names of dagster 1.13, as the event log does.
"""

import logging
import os
from collections.abc import Iterator, Sequence

import dagster as dg
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION
from dagster._core.events import AssetObservationData, DagsterEvent, StepMaterializationData
from dagster._core.events.log import EventLogEntry
from dagster._core.execution.context.system import StepExecutionContext
from dagster._time import get_current_timestamp

AssetEvent = dg.AssetMaterialization | dg.AssetObservation


def record_events(context: dg.AssetExecutionContext, events: Sequence[AssetEvent]) -> None:
    """Store events of partitions in Dagster's event log immediately and together.
    `context.log_event` logs and stores each separately."""
    if events:
        entries = list(_entries(context.get_step_execution_context(), events))
        context.instance.event_log_storage.store_event_batch(entries)


def already_recorded() -> dg.MaterializeResult[None]:
    """The result of an asset that has recorded each of its partitions itself. Dagster would
    materialize every partition of the run, with the same metadata. Steps of other assets that
    follow in the run find this one done."""
    return dg.MaterializeResult(metadata={SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True})


def _entries(step: StepExecutionContext, events: Sequence[AssetEvent]) -> Iterator[EventLogEntry]:
    """The entries that Dagster's log manager makes of these events, each a microsecond after the
    one before, because the UI sorts by time."""
    now, entry = get_current_timestamp(), _entry(step, events[0])
    common = entry.get_dagster_event()
    for number, event in enumerate(events):
        kind, data, message = _parts(event)
        yield entry._replace(
            user_message=message or f"{kind} for step {step.step.key}",
            timestamp=now + number * 1e-6,
            dagster_event=common._replace(
                event_type_value=kind.value, event_specific_data=data, message=message
            ),
        )


def _entry(step: StepExecutionContext, event: AssetEvent) -> EventLogEntry:
    """An entry for one of these events; all others of the step have the same envelope."""
    kind, data, _ = _parts(event)
    return EventLogEntry(  # type: ignore[no-untyped-call]
        error_info=None,
        level=logging.DEBUG,
        user_message="",
        run_id=step.run_id,
        timestamp=0.0,
        step_key=step.step.key,
        job_name=step.job_name,
        dagster_event=DagsterEvent(
            event_type_value=kind.value,
            job_name=step.job_name,
            step_handle=step.step.handle,
            node_handle=step.step.node_handle,
            step_kind_value=step.step.kind.value,
            logging_tags=step.event_tags,
            event_specific_data=data,
            pid=os.getpid(),
        ),
    )


def _parts(
    event: AssetEvent,
) -> tuple[dg.DagsterEventType, StepMaterializationData | AssetObservationData, str | None]:
    """The type of an event, its data and its message."""
    if isinstance(event, dg.AssetObservation):
        return dg.DagsterEventType.ASSET_OBSERVATION, AssetObservationData(event), None
    message = event.description or f"Materialized value {event.label}."
    return dg.DagsterEventType.ASSET_MATERIALIZATION, StepMaterializationData(event), message
