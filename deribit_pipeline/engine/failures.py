"""Days that a backfill could not prove: recorded in the warehouse until they are proved."""

import logging
from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime

from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.engine import failed_days as failures
from deribit_pipeline.engine.outcome import Key, Outcome
from deribit_pipeline.engine.proof_reads import proofs_of
from deribit_pipeline.errors import (
    DeribitBadPayload,
    DeribitError,
    DeribitPipelineError,
    InputError,
    NotRecorded,
    UnknownInstrument,
    WarehouseError,
    WrongCredentials,
    WrongEnvironment,
)
from deribit_pipeline.warehouse.place import Connection
from deribit_pipeline.warehouse.warehouse import Warehouse

logger = logging.getLogger(__name__)

WRONG_INPUT = (InputError, UnknownInstrument, WrongCredentials, WrongEnvironment)
"""Errors that the command line or a setting can fix: no request was made that could fail."""

INTERRUPTED = "the backfill was interrupted"
"""The reason recorded for the days of a backfill that was interrupted."""

_GONE = "it was proved and is no longer in the warehouse: was the file replaced meanwhile?"


def note_failures(
    warehouse: Warehouse,
    dataset: Dataset,
    failed: Mapping[Key, tuple[str, str]],
    proved: Collection[Key] = (),
) -> None:
    """Record the days that failed, with the reason and run of each, and delete the records of days
    that are proved. If the warehouse cannot be written, that is logged and raises no second
    error."""
    try:
        with warehouse.reading() as connection:
            known = failures.remembered(connection, dataset)
        gone = {key for key in known if key in failed or key in proved}
        if not gone and not failed:
            return

        def change(connection: Connection) -> None:
            failures.forget(connection, dataset, gone)
            failures.remember(connection, dataset, failed, datetime.now(UTC))

        warehouse.write(change, {series for series, _ in (*failed, *gone)})
    except WarehouseError as error:
        logger.info("The failed days are not recorded: %s", error)


def note_outage(
    warehouse: Warehouse,
    dataset: Dataset,
    days: Mapping[str, Collection[date]],
    error: DeribitError,
) -> None:
    """Record all of these days as failed: not even the clock or the listing of the exchange could
    be requested. Days in the future, and those that can no longer be had, are excluded."""
    if isinstance(error, (*WRONG_INPUT, NotRecorded)):
        return
    today = datetime.now(UTC).date()
    failed = {
        (name, day): (error.summary, "")
        for name, some in days.items()
        for day in some
        if day <= today and dataset.is_kept_whole(day, today)
    }
    note_failures(warehouse, dataset, failed)


def drop_what_is_gone(connection: Connection, dataset: Dataset, outcome: Outcome) -> None:
    """Mark as failed the days that were proved, and for which the warehouse now has no proof, or a
    lesser one."""
    days = [day for _, day in outcome.proofs]
    if not days:
        return
    series = list(dict.fromkeys(name for name, _ in outcome.proofs))
    held = {
        (proof.series, proof.day): proof
        for proof in proofs_of(connection, dataset, series, min(days), max(days))
    }
    for key, proof in list(outcome.proofs.items()):
        now = held.get(key)
        if now is None or (proof.is_settled and not now.is_settled):
            del outcome.proofs[key]
            outcome.failures[key] = _GONE


def ending_of(error: BaseException) -> str:
    """Why a backfill ended, as text."""
    if isinstance(error, DeribitError):
        return error.summary
    if isinstance(error, DeribitPipelineError):
        return str(error)
    if isinstance(error, Exception):
        return f"the backfill broke off ({type(error).__name__})"
    return INTERRUPTED


def reason_of(error: DeribitError) -> str:
    """The error without the request's parameters, so that days that failed for the same reason can
    be grouped."""
    return error.reason if isinstance(error, DeribitBadPayload) else error.summary
