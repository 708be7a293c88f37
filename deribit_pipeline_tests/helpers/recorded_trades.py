"""Recordings of trades that tests write into a spool themselves, frame by frame."""

from collections.abc import Iterable, Sequence
from datetime import date
from itertools import groupby
from typing import Any

import numpy as np
import orjson

from deribit_pipeline.datasets.trades.wire import trades as parsed_page
from deribit_pipeline.domain.rows import rows_hash
from deribit_pipeline.domain.windows import from_ms
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.sandbox.published_trades import published_trades
from deribit_pipeline.spool.folder import Spool
from deribit_pipeline.spool.spool_entries import (
    ALIVE,
    CONNECTED,
    DISCONNECTED,
    FAILURE,
    FRAME,
    STARTED,
    STOPPED,
    Entry,
)
from deribit_pipeline.spool.writer import StreamWriter

NAME = "BTC-PERPETUAL"
STREAM = "trades/future.BTC"
DAY = date(2024, 4, 9)
TODAY = date(2024, 4, 10)  # the sandbox's clock shows noon
HOUR_MS = 3_600_000
START_MS = 1_712_620_800_000  # of DAY
NOW_MS = START_MS + 36 * HOUR_MS + 30_000

Trade = dict[str, Any]
Frame = Sequence[Trade]
"""The trades of one notification."""

LATENCY_MS = 40
"""From the newest trade of a frame to its receipt."""

_INTERVAL_MS = 100


def published_on(
    sandbox: SandboxExchange, day: date, name: str = NAME, until_ms: int = 2**53
) -> list[Trade]:
    """The sandbox's trades of a day before an instant, sorted by number."""
    market = sandbox.market(sandbox._listings[name])
    number = (day - date(1970, 1, 1)).days
    numbers = np.arange(market.number_of(number), market.number_of(number + 1))
    trades = published_trades(market, numbers, {})
    return [trade for trade in trades if trade["timestamp"] < until_ms]


def frames_of(trades: Iterable[Trade]) -> list[Frame]:
    """The trades as the exchange sends them: those of a tenth of a second together."""
    by_interval = groupby(trades, lambda trade: trade["timestamp"] // _INTERVAL_MS)
    return [list(some) for _, some in by_interval]


class TradeRecording:
    """Writes what one process of the recorder would have written of a stream."""

    def __init__(self, spool: Spool, stream: str, start_ms: int) -> None:
        self._channel = f"{stream.replace('/', '.')}.100ms"
        self._writer = StreamWriter(spool, stream)
        self._session = {"session_us": start_ms * 1_000}
        self._connections = 0
        self._mark(STARTED, start_ms, self._session)
        self.connect(start_ms)

    def connect(self, at_ms: int) -> None:
        """A connection begins."""
        self._connections += 1
        facts = {"connection": self._connections, "channels": [self._channel]}
        self._mark(CONNECTED, at_ms, facts)

    def disconnect(self, at_ms: int, reason: str = "closed") -> None:
        """The connection ends."""
        self._mark(DISCONNECTED, at_ms, {"connection": self._connections, "reason": reason})

    def alive(self, at_ms: int) -> None:
        """The exchange answers at an instant: the connection is there, though it may be quiet."""
        entry = Entry(ALIVE, from_ms(at_ms), from_ms(at_ms))
        self._writer.write(from_ms(at_ms), [entry])

    def lost(self, at_ms: int, frames: int) -> None:
        """The disk takes entries again, after some that it did not take."""
        self._mark(FAILURE, at_ms, {"lost": frames})

    def frames(self, frames: Iterable[Frame]) -> None:
        """Frames in the order of their receipt, those of an hour in one member."""
        for hour_ms, some in groupby(map(self._received, frames), lambda each: each[0]):
            self._writer.write(from_ms(hour_ms), [entry for _, entry in some])

    def bodies(self, bodies: Iterable[bytes], at_ms: int) -> None:
        """Frames that are received at an instant, whatever they contain."""
        facts = {"received_us": at_ms * 1_000}
        entries = [Entry(FRAME, from_ms(at_ms), None, facts, body) for body in bodies]
        self._writer.write(from_ms(at_ms), entries)

    def stop(self, at_ms: int) -> None:
        """The process ends."""
        self._mark(STOPPED, at_ms, self._session)
        self._writer.close()

    def close(self) -> None:
        """The process is killed."""
        self._writer.close()

    def _received(self, frame: Frame) -> tuple[int, Entry]:
        newest_ms = max(trade["timestamp"] for trade in frame)
        at_ms = newest_ms + LATENCY_MS
        facts = {"received_us": at_ms * 1_000}
        body = body_of(frame, self._channel)
        entry = Entry(FRAME, from_ms(at_ms), from_ms(newest_ms), facts, body)
        return at_ms // HOUR_MS * HOUR_MS, entry

    def _mark(self, event: str, at_ms: int, facts: dict[str, Any]) -> None:
        self._writer.write(from_ms(at_ms), [Entry(event, from_ms(at_ms), None, facts)])


def body_of(frame: Frame, channel: str = "trades.future.BTC.100ms") -> bytes:
    """A notification with these trades."""
    params = {"channel": channel, "data": list(frame)}
    return orjson.dumps({"jsonrpc": "2.0", "method": "subscription", "params": params})


def hash_of(some: Sequence[Trade]) -> str:
    """The hash of a day with these trades of NAME."""
    return rows_hash(parsed_page({"trades": list(some)}, NAME, len(some)))
