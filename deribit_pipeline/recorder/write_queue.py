"""Entries that wait to be written, in batches and by a thread, so that a slow disk delays no
socket."""

import itertools
import logging
import threading
from collections.abc import Iterable
from datetime import datetime

from deribit_pipeline.errors import SpoolError
from deribit_pipeline.spool.folder import Spool
from deribit_pipeline.spool.spool_entries import FAILURE, FRAME, Entry
from deribit_pipeline.spool.writer import StreamWriter

logger = logging.getLogger(__name__)

MOST_BYTES = 32 << 20
"""Bytes that wait at most before the queue is full: some minutes of a busy exchange."""

# Bytes of an entry in memory, besides its body.
_OVERHEAD = 500


class WriteQueue:
    """The entries of some streams that wait to be written.

    While it `is_full`, nothing more may be received: the exchange then closes the socket of such a
    slow reader, which is recorded like any disconnection, and what was missed is fetched over REST
    later. `lost` counts notifications that a failing disk did not take, `written` bytes. The first
    entry that it takes again says so: the connection, which stayed, would not.
    """

    def __init__(self, spool: Spool, streams: Iterable[str], most_bytes: int = MOST_BYTES) -> None:
        self._writers = {stream: StreamWriter(spool, stream) for stream in streams}
        self._waiting: dict[str, list[tuple[datetime, Entry]]] = {}
        self._most_bytes = most_bytes
        self._bytes = 0
        self._lock = threading.Lock()  # of what waits
        self._writing = threading.Lock()
        self._is_failing = False
        self._lost: dict[str, int] = {}  # notifications since the last write, where one failed
        self.lost = 0

    @property
    def is_full(self) -> bool:
        """Whether nothing more should be received until the next flush."""
        return self._bytes >= self._most_bytes

    @property
    def written(self) -> int:
        """Bytes in files."""
        return sum(writer.written for writer in self._writers.values())

    def put(self, stream: str, moment: datetime, entry: Entry) -> None:
        """Append an entry, for the file of the hour of `moment`."""
        hour = moment.replace(minute=0, second=0, microsecond=0)
        with self._lock:
            self._waiting.setdefault(stream, []).append((hour, entry))
            self._bytes += len(entry.body) + _OVERHEAD

    def flush(self) -> list[Entry]:
        """Write and sync everything that waits; returns the notifications among it. In any thread.

        What a failing disk does not take is lost, counted, and missing in the numbers of trades."""
        with self._writing:
            with self._lock:
                waiting, self._waiting = self._waiting, {}
                taken = self._bytes
            try:
                return [each for stream in waiting for each in self._written(stream, waiting)]
            finally:
                with self._lock:
                    self._bytes -= taken

    def close(self) -> None:
        """Write what waits, and close all files."""
        self.flush()
        for writer in self._writers.values():
            writer.close()

    def _written(
        self, stream: str, waiting: dict[str, list[tuple[datetime, Entry]]]
    ) -> Iterable[Entry]:
        """Write the entries of a stream, a member for each hour; returns its notifications."""
        for hour, some in itertools.groupby(waiting[stream], key=lambda each: each[0]):
            entries = [entry for _, entry in some]
            frames = [entry for entry in entries if entry.event == FRAME]
            if stream in self._lost:
                facts = {"lost": self._lost[stream]}
                entries.insert(0, Entry(FAILURE, entries[0].recorded_at, None, facts))
            try:
                self._writers[stream].write(hour, entries)
            except SpoolError as error:
                self.lost += len(frames)
                self._lost[stream] = self._lost.get(stream, 0) + len(frames)
                if not self._is_failing:
                    logger.error("%s", error)
                self._is_failing = True
            else:
                if self._is_failing:
                    logger.warning("The spool can be written again")
                self._is_failing = False
                self._lost.pop(stream, None)
                yield from frames
