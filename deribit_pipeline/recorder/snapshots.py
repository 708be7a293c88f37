"""Records the book summaries of one currency: one complete snapshot in each slot."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from deribit_pipeline.datasets.book_summaries import BOOK_SUMMARIES
from deribit_pipeline.datasets.book_summaries.proof import (
    RENEWAL,
    Listing,
    around,
    listing,
    wrong_with,
)
from deribit_pipeline.datasets.book_summaries.wire import BY_CURRENCY, Snapshot, snapshot
from deribit_pipeline.domain.windows import from_ms, to_ms, to_us
from deribit_pipeline.errors import DeribitError, SpoolError
from deribit_pipeline.exchange.client import DeribitClient
from deribit_pipeline.exchange.rpc import Answer
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.instruments.listings import listing_as_received
from deribit_pipeline.instruments.wire import INSTRUMENTS
from deribit_pipeline.recorder.clock import Clock, slot_of
from deribit_pipeline.recorder.progress import Counts, snapshots_status
from deribit_pipeline.settings import Settings
from deribit_pipeline.spool.folder import Spool, stream_of
from deribit_pipeline.spool.spool_entries import FAILURE, RESPONSE, STARTED, STOPPED, Entry
from deribit_pipeline.spool.writer import StreamWriter

logger = logging.getLogger(__name__)

# Seconds before the second attempt in a slot; each further pause is twice as long, up to this part
# of the slot.
_FIRST_PAUSE, _LONGEST_PART = 0.5, 1 / 20

# A response is on its way for a moment: the first attempt is made a little after the renewal.
_MARGIN = timedelta(milliseconds=250)


def snapshot_recorders(exchange: Exchange, settings: Settings, clock: Clock) -> "SnapshotRecorders":
    """The recorders of DERIBIT_RECORD_CURRENCIES."""
    return SnapshotRecorders(exchange, settings.record_currencies, clock)


class SnapshotRecorders:
    """Records the snapshots of several currencies, each on its own."""

    def __init__(self, exchange: Exchange, currencies: Sequence[str], clock: Clock) -> None:
        assert exchange.spool is not None
        self._counts = {currency: Counts() for currency in currencies}
        self._recorders = [
            SnapshotRecorder(exchange.client, exchange.spool, currency, clock, counts)
            for currency, counts in self._counts.items()
        ]

    @property
    def has_recorded(self) -> bool:
        """Whether any snapshot is complete."""
        return any(each.complete for each in self._counts.values())

    def status(self) -> str:
        """What was recorded so far, in a line."""
        return snapshots_status(self._counts)

    async def run(self) -> None:
        """Record until cancelled."""
        async with asyncio.TaskGroup() as group:
            for recorder in self._recorders:
                group.create_task(recorder.run())


class SnapshotRecorder:
    """Requests a snapshot of a currency in each slot until it is complete or the slot is over.

    The listing is requested at the start, in each hour, and again if a snapshot does not fit it.
    Everything received is written to the spool, whether it is complete or not; a file of the spool
    begins with a listing.
    """

    def __init__(
        self, client: DeribitClient, spool: Spool, currency: str, clock: Clock, counts: Counts
    ) -> None:
        self._client = client
        self._currency = currency
        self._every = spool.every
        self._clock = clock
        self._counts = counts
        self._writer = StreamWriter(spool, stream_of(BOOK_SUMMARIES.name, currency))
        self._listings: list[Listing] = []
        self._is_outdated = True
        self._listed_in: datetime | None = None
        self._slot = slot_of(clock.now(), self._every)

    async def run(self) -> None:
        """Record until cancelled."""
        self._mark(STARTED)
        try:
            while True:
                await self._clock.sleep_until(self._slot + RENEWAL + _MARGIN)
                await self._record()
                following = self._slot + self._every
                await self._clock.sleep_until(following)
                current = slot_of(self._clock.now(), self._every)
                # The clock may be set back by milliseconds meanwhile.
                self._slot = following if current == self._slot else current
        finally:
            self._mark(STOPPED)
            self._writer.close()

    async def _record(self) -> None:
        """Attempt the current slot until its snapshot is complete or it is over."""
        pause = _FIRST_PAUSE
        wrong: str | None = None
        found: Snapshot | None = None
        while True:
            try:
                await self._list_if_needed()
                wrong = self._judged(found) if found else "nothing was received"
                if wrong is not None:
                    found = await self._requested()
                    wrong = self._judged(found)
            except (DeribitError, ValueError) as error:
                wrong = error.summary if isinstance(error, DeribitError) else str(error)
                found = None
            if wrong is None:
                self._counts.complete += 1
                self._counts.newest = max(self._counts.newest or self._slot, self._slot)
                return
            of = f"snapshot of {self._currency} in the slot {self._slot:%H:%M:%S}"
            if self._clock.now() + timedelta(seconds=pause) >= self._slot + self._every:
                self._counts.incomplete += 1
                logger.warning("No complete %s: %s", of, wrong)
                return
            logger.info("The %s is requested again: %s", of, wrong)
            await self._clock.sleep(pause)
            pause = min(2 * pause, _LONGEST_PART * self._every.total_seconds())

    async def _list_if_needed(self) -> None:
        """Request the listing if it is of another hour, or a snapshot did not fit it."""
        hour = self._slot.replace(minute=0, second=0, microsecond=0)
        if not self._is_outdated and hour == self._listed_in:
            return
        facts = {"method": INSTRUMENTS, "params": {"currency": self._currency}}
        try:
            answer = await listing_as_received(self._client, self._currency)
        except DeribitError as error:
            self._failed(facts, error)
            if not self._listings:
                raise
            return  # the snapshot is worth having: a later listing may prove it
        self._received(facts, answer)
        found = listing(to_ms(answer.as_of), self._currency, answer.result)
        self._listings = [*self._listings[-1:], found]
        self._is_outdated, self._listed_in = False, hour

    async def _requested(self) -> Snapshot:
        facts = {
            "method": BY_CURRENCY,
            "params": {"currency": self._currency},
            "slot_ms": to_ms(self._slot),
            "every_ms": self._every // timedelta(milliseconds=1),
        }
        try:
            answer = await self._client.answer(BY_CURRENCY, currency=self._currency)
        except DeribitError as error:
            self._failed(facts, error)
            raise
        self._received(facts, answer)
        return snapshot(answer.result)

    def _judged(self, found: Snapshot) -> str | None:
        """Why a snapshot is not complete as far as is known now; None if it is."""
        at = from_ms(found.at_ms)
        if not self._slot <= at < self._slot + self._every:
            return f"it is of {at:%H:%M:%S}, and the slot begins at {self._slot:%H:%M:%S}"
        wrong = wrong_with(found, self._currency, around(self._listings, found.at_ms))
        self._is_outdated |= wrong is not None
        return wrong

    def _received(self, facts: dict[str, Any], answer: Answer) -> None:
        self._clock.note(answer)
        facts = facts | {"received_us": to_us(self._clock.now())}
        self._write(Entry(RESPONSE, self._clock.wall(), answer.as_of, facts, answer.body))

    def _failed(self, facts: dict[str, Any], error: DeribitError) -> None:
        self._write(Entry(FAILURE, self._clock.wall(), None, facts | {"reason": error.reason}))

    def _mark(self, event: str) -> None:
        self._write(Entry(event, self._clock.wall()))

    def _write(self, entry: Entry) -> None:
        """Write an entry to the file of the slot's hour. A disk that is full stops nothing."""
        try:
            self._writer.write(self._slot, [entry])
        except SpoolError as error:
            self._counts.lost += 1
            logger.error("%s", error)
        self._counts.bytes = self._writer.written
