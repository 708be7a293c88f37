"""The format of the spool's files: a sequence of gzip members, each with one or more entries.

`zcat` prints such a file. A member ends with a CRC-32 of its content, so that a torn or damaged one
is recognized; reading continues with the next member. An entry is a line of JSON, followed by a
body of the stated size, exactly as it was received, and a line feed.
"""

import contextlib
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from deribit_pipeline.domain.windows import from_us, to_us
from deribit_pipeline.errors import SpoolError

RESPONSE, FAILURE, STARTED, STOPPED = "response", "failure", "started", "stopped"
"""What an entry records: a response; a request without one, or that entries before it are lost; the
start or end of a recording."""

FRAME, CONNECTED, DISCONNECTED, ALIVE = "frame", "connected", "disconnected", "alive"
"""Of a WebSocket: a notification; that the channel of the stream was subscribed; that its
connection ended; that it is still subscribed at the exchange's time `as_of`, however quiet."""

_GZIP = 16 + zlib.MAX_WBITS

# Fast: a snapshot of a thousand instruments is compressed to a quarter in 10 ms.
_LEVEL = 1

# Most members are small; a damaged place may be long.
_LEAST_READ, _MOST_READ = 16 << 10, 1 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """One recorded event.

    `recorded_at` is this machine's clock, `as_of` the exchange's in the response; None without one.
    Of a notification, `as_of` is the time of its newest row, None if one cannot be right. `facts`
    say what was requested: JSON values by name. `body` is the response or the notification as
    received; empty for other events.
    """

    event: str
    recorded_at: datetime
    as_of: datetime | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)


def packed(entries: Iterable[Entry]) -> bytes:
    """The entries as one member of a file."""
    packing = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    parts = []
    for entry in entries:
        head = {
            "event": entry.event,
            "recorded_us": to_us(entry.recorded_at),
            "as_of_us": None if entry.as_of is None else to_us(entry.as_of),
            **entry.facts,
            "size": len(entry.body),
        }
        parts.append(packing.compress(json.dumps(head).encode() + b"\n" + entry.body + b"\n"))
    return b"".join([*parts, packing.flush()])


# The first bytes of every member, by which the next one is found after a damaged one.
_HEAD = packed([])[:10]


_DAMAGED = (zlib.error, ValueError, KeyError, TypeError)


@dataclass(slots=True)
class Damage:
    """How many bytes of files could not be read, in how many places."""

    places: int = 0
    skipped: int = 0


def read_entries(file: Path, damage: Damage | None = None) -> Iterator[Entry]:
    """The entries of a file in their order; damaged members are skipped and counted in `damage`.

    A file that is still being written ends with the last whole member.
    """
    damage = Damage() if damage is None else damage
    with _content_of(file) as content:
        at = 0
        while at < content.size:
            try:
                member, end = content.member(at)
                entries = list(_unpacked(member))
            except _DAMAGED:
                after = content.find_member(at + 1)
                damage.places += 1
                damage.skipped += after - at
                at = after
                continue
            yield from entries
            at = end


def read_newest_first(file: Path) -> Iterator[Entry]:
    """The entries of a file, the newest first: a file may be large, and of interest only its end.
    Damaged members are skipped."""
    with _content_of(file) as content:
        end = content.size
        while (at := content.find_member_before(end)) >= 0:
            with contextlib.suppress(*_DAMAGED):
                yield from reversed(list(_unpacked(content.member(at)[0])))
            end = at


@dataclass(frozen=True, slots=True)
class _Content:
    """The bytes of an open file. They are not mapped into memory: a writer whose disk is full
    truncates its file, and reading what was mapped beyond its end would kill this process."""

    descriptor: int
    size: int

    def read(self, at: int, size: int) -> bytes:
        return os.pread(self.descriptor, size, at)

    def member(self, at: int) -> tuple[bytes, int]:
        """The content of the member at an offset, and the offset of its end. Raises zlib.error or
        ValueError if it is torn or damaged."""
        unpacking = zlib.decompressobj(_GZIP)
        parts, size = [], _LEAST_READ
        while not unpacking.eof:
            read = self.read(at, size)
            if not read:
                raise ValueError("the last member is torn")
            parts.append(unpacking.decompress(read))
            at += len(read)
            size = min(2 * size, _MOST_READ)
        return b"".join(parts), at - len(unpacking.unused_data)

    def find_member(self, start: int) -> int:
        """Where the first member from an offset on begins; the end of the file if none does."""
        while start < self.size:
            found = self.read(start, _MOST_READ).find(_HEAD)
            if found >= 0:
                return start + found
            start += _MOST_READ - len(_HEAD) + 1
        return self.size

    def find_member_before(self, end: int) -> int:
        """Where the last member before an offset begins; -1 if none does."""
        size = _LEAST_READ
        while end > 0:
            start = max(end - size, 0)
            found = self.read(start, end - start + len(_HEAD) - 1).rfind(_HEAD)
            if found >= 0:
                return start + found
            end, size = start, min(2 * size, _MOST_READ)
        return -1


@contextlib.contextmanager
def _content_of(file: Path) -> Iterator[_Content]:
    """The content of a file. Raises FileNotFoundError, and SpoolError if it cannot be read."""
    try:
        opened = file.open("rb", buffering=0)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise SpoolError(f"{file.absolute()} cannot be read ({error.strerror}).") from error
    with opened:
        yield _Content(opened.fileno(), os.fstat(opened.fileno()).st_size)


def _unpacked(member: bytes) -> Iterator[Entry]:
    at = 0
    while at < len(member):
        end = member.index(b"\n", at)
        head = json.loads(member[at:end])
        size = head.pop("size")
        body = member[end + 1 : end + 1 + size]
        at = end + 1 + size
        if len(body) < size or member[at : at + 1] != b"\n":
            raise ValueError("an entry does not have the size that it states")
        at += 1
        as_of = head.pop("as_of_us")
        yield Entry(
            head.pop("event"),
            from_us(head.pop("recorded_us")),
            None if as_of is None else from_us(as_of),
            head,
            body,
        )
