"""Records trades and instrument states as the exchange publishes them on its WebSocket."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NoReturn

from deribit_pipeline.domain.windows import from_ms, to_ms, to_us
from deribit_pipeline.exchange.rpc import Answer
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.exchange.subscription import Subscription
from deribit_pipeline.exchange.websocket import Notification
from deribit_pipeline.exchange.websocket_access import WebSocketAccess
from deribit_pipeline.outside_text import shown
from deribit_pipeline.recorder.clock import Clock
from deribit_pipeline.recorder.progress import TradeCounts
from deribit_pipeline.recorder.trade_channels import trade_channels
from deribit_pipeline.recorder.write_queue import WriteQueue
from deribit_pipeline.settings import Settings
from deribit_pipeline.spool.spool_entries import (
    ALIVE,
    CONNECTED,
    DISCONNECTED,
    FRAME,
    STARTED,
    STOPPED,
    Entry,
)

logger = logging.getLogger(__name__)

# Seconds between two writes: what is received is on the disk within a second.
_WRITE_EVERY = 0.5

# How much later than the exchange's clock, as this process knows it, a trade may be.
_AHEAD = timedelta(seconds=1)


def trade_recorder(exchange: Exchange, settings: Settings, clock: Clock) -> "TradeRecorder":
    """The recorder of the trades of the settings' instruments. Raises InputError if these have none
    that the exchange publishes."""
    assert exchange.spool is not None
    assert exchange.websocket is not None
    channels = trade_channels(settings)
    queue = WriteQueue(exchange.spool, channels.values())
    return TradeRecorder(exchange.websocket, channels, clock, queue)


class TradeRecorder:
    """Writes each notification as received into the stream of its channel, with marks of when the
    channel was subscribed: the listener of one subscription.

    Nothing is sorted or deduplicated here. Trades may come twice, out of order or not at all, as
    their numbers show (assumption:socket-trades); what is missing is fetched over REST when the day
    is taken in. So is what a full or slow disk does not take: see `WriteQueue`.
    """

    def __init__(
        self,
        access: WebSocketAccess,
        channels: Mapping[str, str],
        clock: Clock,
        queue: WriteQueue,
    ) -> None:
        self._channels = dict(channels)
        self._clock = clock
        self._queue = queue
        self._has_written = asyncio.Event()
        self._subscription = Subscription(access, tuple(channels), self)
        self._subscribed: tuple[str, ...] = ()
        self._as_of: datetime | None = None
        self._session = {"session_us": to_us(clock.now())}
        self.counts = TradeCounts()

    @property
    def has_recorded(self) -> bool:
        """Whether the channels were ever subscribed: without trades, that there were none."""
        return self.counts.connections > 0

    def status(self) -> str:
        """What was recorded so far, in a line."""
        return self.counts.status()

    async def run(self) -> None:
        """Record until cancelled."""
        self._mark(STARTED, self._channels, {})
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._subscription.run())
                group.create_task(self._write())
        finally:
            self._mark(STOPPED, self._channels, self.counts.facts())
            self._queue.close()
            self._note_files()

    async def received(self, notification: Notification) -> None:
        """Take a notification; wait while the disk is too slow."""
        stream = self._channels.get(notification.channel)
        if stream is None:
            return
        moment = self._clock.now()
        as_of = self._noted(notification.data, to_ms(moment + _AHEAD))
        facts = {"received_us": to_us(moment)}
        self.counts.frames += 1
        entry = Entry(FRAME, self._clock.wall(), as_of, facts, notification.body)
        self._queue.put(stream, moment, entry)
        while self._queue.is_full:
            self._has_written.clear()
            await self._has_written.wait()

    def connected(self, channels: Sequence[str]) -> None:
        """Mark that these channels are subscribed."""
        self.counts.connections += 1
        self.counts.is_connected = True
        self._subscribed = tuple(channels)
        for channel in channels:
            facts = {"connection": self.counts.connections, "channels": [channel]}
            self._mark(CONNECTED, [channel], facts, self._as_of)

    def alive(self, answer: Answer) -> None:
        """Mark that the channels are still subscribed, with the counts so far."""
        self._clock.note(answer)
        self._as_of = answer.as_of
        self._mark(ALIVE, self._subscribed, self.counts.facts(), answer.as_of)

    def disconnected(self, reason: str) -> None:
        """Mark that the channels are no longer subscribed."""
        facts = {"connection": self.counts.connections, "reason": reason}
        self._mark(DISCONNECTED, self._subscribed, facts)
        self._subscribed = ()
        self.counts.is_connected = False

    async def _write(self) -> NoReturn:
        while True:
            await self._clock.sleep(_WRITE_EVERY)
            frames = await asyncio.to_thread(self._queue.flush)
            now = self._clock.now()
            for frame in frames:
                if frame.as_of is not None:
                    self.counts.latencies.add((now - frame.as_of).total_seconds())
            self._note_files()
            self._has_written.set()

    def _note_files(self) -> None:
        self.counts.bytes, self.counts.lost = self._queue.written, self._queue.lost

    def _mark(
        self,
        event: str,
        channels: Sequence[str] | Mapping[str, str],
        facts: Mapping[str, Any],
        as_of: datetime | None = None,
    ) -> None:
        moment = self._clock.now()
        entry = Entry(event, self._clock.wall(), as_of, {**self._session, **facts})
        for channel in channels:
            self._queue.put(self._channels[channel], moment, entry)

    def _noted(self, data: object, latest_ms: int) -> datetime | None:
        """Count the rows of a notification, and log changes of instruments; returns the newest
        time, None without any or if one is later than it can be. Malformed rows are left to taking
        in."""
        newest = 0
        for row in data if isinstance(data, list) else [data]:
            if not isinstance(row, dict):
                continue
            name, ms = row.get("instrument_name"), row.get("timestamp")
            if type(ms) is int:
                newest = max(newest, ms)
            if not isinstance(name, str):
                continue
            number = row.get("trade_seq")
            if type(number) is int:
                self.counts.note(name, number)
            elif "state" in row:
                logger.info("Instrument %s: %s", shown(name), shown(row["state"]))
        if not 0 < newest <= latest_ms:
            return None
        moment = from_ms(newest)
        self.counts.newest = max(self.counts.newest or moment, moment)
        return moment
