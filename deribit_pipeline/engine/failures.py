"""Days that a backfill could not prove: remembered in the warehouse until they are proved."""

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
    UnknownInstrument,
    WarehouseError,
    WrongCredentials,
    WrongEnvironment,
)
from deribit_pipeline.warehouse.place import Connection
from deribit_pipeline.warehouse.warehouse import Warehouse

logger = logging.getLogger(__name__)

WRONG_INPUT = (InputError, UnknownInstrument, WrongCredentials, WrongEnvironment)
"""What the command line or a setting can mend: nothing was requested that could fail."""

INTERRUPTED = "the backfill was interrupted"
"""Why days have failed whose backfill was ended from outside."""

_GONE = "it was proved and is no longer in the warehouse: was the file replaced meanwhile?"


def note_failures(
    warehouse: Warehouse,
    dataset: Dataset,
    failed: Mapping[Key, tuple[str, str]],
    proved: Collection[Key] = (),
) -> None:
    """Remember the days that failed, with the reason and run of each, and forget those that are
    proved. A warehouse that cannot be written is no second failure: it is logged."""
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
        logger.info("Which days failed is not remembered: %s", error)


def note_outage(
    warehouse: Warehouse,
    dataset: Dataset,
    days: Mapping[str, Collection[date]],
    error: DeribitError,
) -> None:
    """Remember all of these days, requested from an exchange that could not even be asked which day
    it is or what is listed. Days that have not come yet are none."""
    if isinstance(error, WRONG_INPUT):
        return
    today = datetime.now(UTC).date()
    failed = {
        (name, day): (error.summary, "")
        for name, some in days.items()
        for day in some
        if day <= today
    }
    note_failures(warehouse, dataset, failed)


def drop_what_is_gone(connection: Connection, dataset: Dataset, outcome: Outcome) -> None:
    """Let those days have failed that were proved, and of which the warehouse now holds no proof,
    or none that says as much."""
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
    """What ended a backfill, in words."""
    if isinstance(error, DeribitError):
        return error.summary
    if isinstance(error, DeribitPipelineError):
        return str(error)
    if isinstance(error, Exception):
        return f"the backfill broke off ({type(error).__name__})"
    return INTERRUPTED


def reason_of(error: DeribitError) -> str:
    """Without what was requested, so that days that failed alike can be named together."""
    return error.reason if isinstance(error, DeribitBadPayload) else error.summary
