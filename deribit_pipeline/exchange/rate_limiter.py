"""Rate limiter for the exchange's API, shared by all processes that count as one caller.

Deribit gives each caller a pool of credits that refills at a constant rate: 20 requests a second
after a burst of 100 (https://docs.deribit.com/articles/rate-limits). The pool belongs to the
caller's address or account, not to a process, so its state is shared by all processes: in a small
locked file on one machine, or in the database of `shared_rate_limit.py` for several machines.
"""

import asyncio
import fcntl
import hashlib
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from deribit_pipeline.errors import SettingsError
from deribit_pipeline.exchange.rate_limit_files import open_own, own_folder

_STATE = struct.Struct("<d")

# Requests sent 50 ms apart arrive more or less than 50 ms apart. This fraction of the burst is
# reserved, so that requests bunched up by the network do not empty the exchange's pool.
_HELD_BACK = 0.05

# A debt of more than an hour, and of more requests than can be in flight, means that a clock was
# set back, the machine was restarted, or the file is damaged.
_MOST_DEBT_SECONDS, _MOST_DEBT_CALLS = 3600.0, 1000

# In seconds. The lock is held for microseconds, unless a process is stopped or misbehaves.
_LOCK_PATIENCE, _LOCK_PAUSE = 5.0, 0.001


class RateLimitUnreachable(Exception):
    """The rate limiter's state cannot be read or written at the moment; the message gives the
    reason. No request may be sent until it can."""


class TokenBucket(Protocol):
    """Shared storage of one token bucket's state: the instant at which the bucket will be full
    again, the "theoretical arrival time" of the generic cell rate algorithm."""

    async def advance(self, *, at_least: float, by: float, at_most: float) -> float:
        """Move the instant to `by` seconds after max(itself, now + `at_least` seconds); returns the
        seconds from now to the new instant.

        An instant more than `at_most` seconds from now is treated as damaged and counts as now. The
        read and the write are atomic. Raises RateLimitUnreachable.
        """


TokenBuckets = Callable[[str, str], TokenBucket]
"""Creates the state storage for a source and one of its pools, such as `calls`."""


class RateLimiter:
    """A token bucket: `per_second` requests per second after a burst of `burst`."""

    def __init__(self, bucket: TokenBucket, *, per_second: float, burst: int) -> None:
        self._bucket = bucket
        self._interval = 1.0 / per_second
        self._depth = max(1.0, burst * (1 - _HELD_BACK)) * self._interval
        self._waiting = 0
        self._next: asyncio.Task[float] | None = None
        self._one_at_a_time = asyncio.Lock()

    async def acquire(self) -> float:
        """Acquire one request's credits; returns the seconds to wait before sending the request.

        Raises RateLimitUnreachable. The credits of a cancelled request are not returned.
        """
        # Callers that arrive while the state is being updated share the next update: a state behind
        # a network would otherwise limit the rate to one request per round trip.
        if self._next is None:
            self._next = asyncio.create_task(self._acquire_for_all())
        earlier, self._waiting = self._waiting, self._waiting + 1
        first = await asyncio.shield(self._next)
        return max(0.0, first + earlier * self._interval)

    async def drain(self, pause: float) -> None:
        """Empty the bucket and block all callers for `pause` seconds, after the exchange reported
        an empty pool."""
        await self._advance(at_least=self._depth + pause, by=0.0)

    async def _acquire_for_all(self) -> float:
        """Acquire the credits of all waiting requests; returns the seconds until the first may be
        sent."""
        async with self._one_at_a_time:
            calls, self._waiting, self._next = self._waiting, 0, None
            full_in = await self._advance(at_least=0.0, by=calls * self._interval)
        return full_in - (calls - 1) * self._interval - self._depth

    async def _advance(self, *, at_least: float, by: float) -> float:
        at_most = self._depth + max(_MOST_DEBT_SECONDS, _MOST_DEBT_CALLS * self._interval)
        return await self._bucket.advance(at_least=at_least, by=by, at_most=at_most)


class FileBucket:
    """Token bucket state in a file, on the monotonic clock, which all processes of a machine share
    and which corrections of the wall clock do not move. An update takes microseconds.

    `patience` is the maximum number of seconds to wait for the file's lock.
    """

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float] = time.monotonic,
        patience: float = _LOCK_PATIENCE,
    ) -> None:
        self._path = path
        self._clock = clock
        self._patience = patience

    async def advance(self, *, at_least: float, by: float, at_most: float) -> float:
        """See `TokenBucket`. Raises SettingsError if the file cannot be used."""
        try:
            descriptor = open_own(self._path)
            try:
                await self._locked(descriptor)
                now = self._clock()
                state = os.pread(descriptor, _STATE.size, 0)
                full_at = _STATE.unpack(state)[0] if len(state) == _STATE.size else now
                if not full_at <= now + at_most:  # also true for a damaged file's NaN
                    full_at = now
                full_at = max(full_at, now + at_least) + by
                os.pwrite(descriptor, _STATE.pack(full_at), 0)
                return full_at - now
            finally:
                os.close(descriptor)
        except OSError as error:
            raise SettingsError(
                f"The rate limit's file {self._path} cannot be used ({error.strerror}): make it "
                "writable for this user, or set XDG_RUNTIME_DIR to a folder of this user's own."
            ) from error

    async def _locked(self, descriptor: int) -> None:
        """Lock the file. Polls without blocking, so that a signal or a cancelled task ends the
        wait. Raises RateLimitUnreachable."""
        try:
            async with asyncio.timeout(self._patience):
                while not _is_locked(descriptor):
                    await asyncio.sleep(_LOCK_PAUSE)
        except TimeoutError:
            raise RateLimitUnreachable(
                f"the rate limit's file {self._path} has been locked by another process for "
                f"{self._patience:g} s: end that process"
            ) from None


def file_bucket(source: str, pool: str) -> FileBucket:
    """The state of `pool` at `source`, shared by all processes of this user on this machine. Raises
    SettingsError."""
    name = hashlib.blake2b(source.encode(), digest_size=8).hexdigest()
    return FileBucket(own_folder() / f"{name}-{pool}.credits")


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
