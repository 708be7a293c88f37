"""The source of book summaries: the spool, and a listing that proves its newest snapshots."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Collection, Sequence
from datetime import date, datetime, timedelta
from functools import partial

import numpy as np

from deribit_pipeline.datasets.book_summaries import BOOK_SUMMARIES
from deribit_pipeline.datasets.book_summaries.previews import previews
from deribit_pipeline.datasets.book_summaries.proof import Listing, listing
from deribit_pipeline.datasets.book_summaries.recorded import (
    Recording,
    recorded,
    rows_of,
    slots_of,
    verdict_of,
    without_snapshot,
)
from deribit_pipeline.datasets.book_summaries.wire import BY_CURRENCY
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.proofs import DayState, FetchedDay
from deribit_pipeline.domain.rows import Keys
from deribit_pipeline.domain.windows import ONE_DAY, day_window, moment64, to_ms
from deribit_pipeline.engine.jobs import Days
from deribit_pipeline.engine.outcome import Outcome
from deribit_pipeline.engine.previews import Curves
from deribit_pipeline.engine.proof_reads import proofs_of
from deribit_pipeline.engine.recordings import opened_spool, remove_proved
from deribit_pipeline.engine.settling import is_settled
from deribit_pipeline.engine.source import Context, FailedDays, SeriesSession, SeriesSource
from deribit_pipeline.errors import DeribitBadPayload, DeribitError, NotRecorded
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.instruments.listings import exchange_time, listing_as_received
from deribit_pipeline.instruments.wire import INSTRUMENTS
from deribit_pipeline.spool.folder import Spool, stream_of
from deribit_pipeline.spool.spool_entries import Damage
from deribit_pipeline.warehouse.place import Connection
from deribit_pipeline.warehouse.warehouse import Warehouse

logger = logging.getLogger(__name__)

_MS = timedelta(milliseconds=1)


class BookSummariesSource(SeriesSource):
    """Takes recorded snapshots in, day by day.

    A snapshot is proved by the listing from before it and the one from after it. For the newest
    ones the latter is requested now. Nothing else is: what was not recorded cannot be had.
    """

    async def open(self, context: Context, days: Days) -> "RecordedSession":
        """See Source."""
        opened_spool(context.exchange).exists()  # a spool of another environment is refused here
        return RecordedSession(self, context)

    def requests(self, series: str, days: Sequence[date], *, each_twice: bool = False) -> int:
        """One listing, or the exchange's time if nothing is in the spool."""
        return 1

    async def first_available(self, exchange: Exchange, warehouse: Warehouse, series: str) -> date:
        """The first day of which anything was recorded. Raises NotRecorded if there is none."""
        first = await asyncio.to_thread(_first_day, opened_spool(exchange), warehouse, series)
        if first is None:
            raise _not_recorded(series, None, first)
        return first

    async def fetch(
        self, exchange: Exchange, warehouse: Warehouse, series: str, days: Sequence[date]
    ) -> AsyncGenerator[FetchedDay | FailedDays]:
        """See SeriesSource."""
        spool = opened_spool(exchange)
        last, as_of, failed = await _current_listing(exchange, spool, series)
        first = await asyncio.to_thread(_first_day, spool, warehouse, series)
        for day in days:
            if first is None or day < first:
                yield FailedDays([day], _not_recorded(series, day, first))
                continue
            recording = await asyncio.to_thread(_recording_of, spool, series, day)
            recording.listings += last
            if failed is not None and recording.unproved_ms():
                yield FailedDays([day], failed)
                continue
            now = as_of or _newest(recording, day)
            held = await asyncio.to_thread(_held, warehouse, series, day)
            fetched = await asyncio.to_thread(_day_of, recording, day, now, held, spool.every)
            del recording  # its snapshots are in the day: a day of a currency takes 50 MB
            yield fetched
            del fetched

    def previews(
        self, dataset: Dataset, warehouse: Warehouse, days: Days, outcome: Outcome
    ) -> Sequence[Curves]:
        """See Source."""
        return previews(warehouse, days)


SOURCE = BookSummariesSource()


class RecordedSession(SeriesSession):
    """A backfill from the spool, which removes what is proved in the warehouse at its end."""

    async def end(self, days: Days) -> None:
        """Remove the recordings of settled days."""
        await asyncio.to_thread(self._remove_proved, days)

    def _remove_proved(self, days: Days) -> None:
        for series in days:
            is_proved = partial(self._is_proved, series)
            remove_proved(self.context.exchange, _stream(series), is_proved)

    def _is_proved(self, series: str, day: date) -> bool:
        complete = _recording_of(opened_spool(self.context.exchange), series, day).complete()
        moments = {attempt.snapshot.at_ms for attempt, _ in complete}
        return _is_proved(self.context.warehouse, series, day, moments)


def _stream(series: str) -> str:
    return stream_of(BOOK_SUMMARIES.name, series)


async def _current_listing(
    exchange: Exchange, spool: Spool, series: str
) -> tuple[list[Listing], datetime | None, DeribitError | None]:
    """The listing of now, the exchange's time, and why there is none: a spool can be taken in while
    the exchange is away, up to the last listing in it."""
    try:
        if not spool.days(_stream(series)):
            return [], await exchange_time(exchange.client), None
        returned = await listing_as_received(exchange.client, series)
    except DeribitError as error:
        logger.warning("Only what recorded listings prove is taken in: %s", error)
        return [], None, error
    try:
        found = listing(to_ms(returned.as_of), series, returned.result)
    except ValueError as error:
        wrong = DeribitBadPayload(str(error), method=INSTRUMENTS, params={"currency": series})
        return [], returned.as_of, wrong
    return [found], returned.as_of, None


def _first_day(spool: Spool, warehouse: Warehouse, series: str) -> date | None:
    """The first day of which anything was recorded; None if there is none."""
    with warehouse.reading() as connection:
        found = connection.execute(
            "select min(cast(timezone('UTC', snapshot_at) as date)) from book_summaries "
            "where currency = $series",
            {"series": series},
        ).fetchall()
    return min([*(day for (day,) in found if day), *spool.days(_stream(series))], default=None)


def _not_recorded(series: str, day: date | None, first: date | None) -> NotRecorded:
    since = f"recordings of {series} begin on {first}" if first else f"nothing of {series} is"
    return NotRecorded(
        f"{since}{'' if first else ' recorded yet'}: the exchange publishes no history of book "
        "summaries, so let `deribit-pipeline record` run",
        method=BY_CURRENCY,
        params={"currency": series} | ({"day": day} if day else {}),
    )


def _recording_of(spool: Spool, series: str, day: date) -> Recording:
    damage = Damage()
    recording = recorded(series, spool.entries(_stream(series), day, damage))
    for entry in spool.entries(_stream(series), day + ONE_DAY):
        if entry.facts.get("method") == INSTRUMENTS:
            recording.add(entry)  # the first listing after the day's last snapshot
            break
    if damage.places:
        logger.warning(
            "%d damaged places of the recordings of %s %s were skipped, %d bytes",
            damage.places, series, day, damage.skipped,
        )  # fmt: skip
    return recording


def _newest(recording: Recording, day: date) -> datetime:
    """The exchange's time according to the recordings, within the day."""
    start = day_window(day).start
    newest = max((each.received_ms for each in recording.attempts), default=to_ms(start))
    return start + (newest - to_ms(start)) * _MS


def _held(warehouse: Warehouse, series: str, day: date) -> Keys:
    """The instants of the stored snapshots of a day."""
    with warehouse.reading() as connection:
        return _held_on(connection, series, day)


def _held_on(connection: Connection, series: str, day: date) -> Keys:
    window = day_window(day)
    found = connection.execute(
        "select distinct epoch_ms(snapshot_at) as taken_ms from book_summaries "
        "where currency = $series and snapshot_at >= $start and snapshot_at < $end order by all",
        {"series": series, "start": window.start, "end": window.end},
    ).fetchall()
    return np.array([taken_ms for (taken_ms,) in found], np.int64).astype("datetime64[ms]")


def _is_proved(warehouse: Warehouse, series: str, day: date, moments: Collection[int]) -> bool:
    """Whether a day is settled and holds the snapshots of these instants."""
    with warehouse.reading() as connection:
        proofs = proofs_of(connection, BOOK_SUMMARIES, [series], day, day)
        held = _held_on(connection, series, day)
    is_settled = any(each.state in (DayState.COMPLETE, DayState.GAPPED) for each in proofs)
    return is_settled and set(moments) <= set(held.astype(np.int64).tolist())


def _day_of(
    recording: Recording, day: date, as_of: datetime, held: Keys, every: timedelta
) -> FetchedDay:
    """The day as it was recorded: its complete snapshots, and those stored before."""
    complete = recording.complete()
    every_ms = recording.every_ms or every // _MS
    moments = np.array([attempt.snapshot.at_ms for attempt, _ in complete], np.int64)
    snapshots = np.union1d(moments.astype("datetime64[ms]"), held)
    slots = slots_of(day, every_ms)
    missing = without_snapshot(slots, snapshots, every_ms)
    is_closed = missing + np.timedelta64(every_ms, "ms") <= moment64(as_of)
    return FetchedDay(
        recording.currency,
        day,
        rows_of(complete),
        as_of,
        expected=np.union1d(snapshots, missing),
        unclosed=missing[~is_closed],
        is_over=is_settled(day, as_of),
        is_confirmed=True,
        verdict=verdict_of(slots, missing[is_closed], recording.reasons),
    )
