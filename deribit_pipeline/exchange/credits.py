"""The exchange's rate limit, kept together by everyone whom it counts as one caller.

Deribit gives each caller a pool of credits that refills evenly: 20 calls a second after a burst
of 100 (https://docs.deribit.com/articles/rate-limits). The pool belongs to the caller's address
or account and not to a process, so its state stands where all processes find it: in a small file
under a lock, or, for several machines, in the database of `shared_credits.py`.
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
from deribit_pipeline.exchange.credit_files import open_own, own_folder

_STATE = struct.Struct("<d")

# Requests sent 50 ms apart arrive more or less than 50 ms apart. What is held back of the burst
# is what the network may bunch up without the exchange seeing an empty pool.
_HELD_BACK = 0.05

# A pool that owes more than an hour, and more calls than can be in flight: a clock was set back,
# the machine has started anew, or the file is damaged.
_BELIEVED_SECONDS, _BELIEVED_CALLS = 3600.0, 1000

# Seconds: the lock is held for microseconds, unless a process was stopped or means harm.
_LOCK_PATIENCE, _LOCK_PAUSE = 5.0, 0.001


class MeterUnreachable(Exception):
    """A meter is out of reach at this moment, and the message says why: nobody may call."""


class Meter(Protocol):
    """Where one pool's one number stands: the moment at which the pool will be full again, the
    "theoretical arrival time" of the generic cell rate algorithm."""

    async def advance(self, *, at_least: float, by: float, at_most: float) -> float:
        """Put the moment off to `by` seconds after itself, or after `at_least` seconds from now
        where that is later; answers how many seconds from now it lies then.

        A moment more than `at_most` seconds from now is a mistake and counts as now. Nobody else's
        change comes between. Raises MeterUnreachable.
        """


Meters = Callable[[str, str], Meter]
"""The meter of a source's pool, such as `calls`."""


class Credits:
    """A token bucket: `per_second` calls after a burst of `burst`."""

    def __init__(self, meter: Meter, *, per_second: float, burst: int) -> None:
        self._meter = meter
        self._interval = 1.0 / per_second
        self._depth = max(1.0, burst * (1 - _HELD_BACK)) * self._interval
        self._waiting = 0
        self._next: asyncio.Task[float] | None = None
        self._one_at_a_time = asyncio.Lock()

    async def take(self) -> float:
        """Take one call's credits; answers how many seconds to wait before the call.

        Raises MeterUnreachable. What a cancelled call took stays taken.
        """
        # Whoever comes while the meter is being asked shares the next question: one that lies a
        # network away would otherwise be a rate limit of its own.
        if self._next is None:
            self._next = asyncio.create_task(self._take_for_all())
        earlier, self._waiting = self._waiting, self._waiting + 1
        first = await asyncio.shield(self._next)
        return max(0.0, first + earlier * self._interval)

    async def exhaust(self, pause: float) -> None:
        """The exchange said that the pool is empty: let nobody call for `pause` seconds."""
        await self._advance(at_least=self._depth + pause, by=0.0)

    async def _take_for_all(self) -> float:
        """Take the credits of all calls that wait; the first of them is due in so many seconds."""
        async with self._one_at_a_time:
            calls, self._waiting, self._next = self._waiting, 0, None
            full_in = await self._advance(at_least=0.0, by=calls * self._interval)
        return full_in - (calls - 1) * self._interval - self._depth

    async def _advance(self, *, at_least: float, by: float) -> float:
        at_most = self._depth + max(_BELIEVED_SECONDS, _BELIEVED_CALLS * self._interval)
        return await self._meter.advance(at_least=at_least, by=by, at_most=at_most)


class FileMeter:
    """A meter in a file, on the monotonic clock, which all processes of a machine share and which
    no correction of the wall clock moves. It answers within microseconds.

    `patience` is how many seconds it waits for another process that holds the file's lock.
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
        """See `Meter`. Raises SettingsError where the file cannot be used."""
        try:
            descriptor = open_own(self._path)
            try:
                await self._locked(descriptor)
                now = self._clock()
                state = os.pread(descriptor, _STATE.size, 0)
                full_at = _STATE.unpack(state)[0] if len(state) == _STATE.size else now
                if not full_at <= now + at_most:  # nor is a damaged file's NaN
                    full_at = now
                full_at = max(full_at, now + at_least) + by
                os.pwrite(descriptor, _STATE.pack(full_at), 0)
                return full_at - now
            finally:
                os.close(descriptor)
        except OSError as error:
            raise SettingsError(
                f"The rate limit's file {self._path} cannot be used ({error.strerror}): see that "
                "it can be written by this user, or set XDG_RUNTIME_DIR to a folder of the user's."
            ) from error

    async def _locked(self, descriptor: int) -> None:
        """Lock the file. The lock is asked for again and again, so that a signal or a cancelled
        task ends the wait. Raises MeterUnreachable."""
        try:
            async with asyncio.timeout(self._patience):
                while not _is_locked(descriptor):
                    await asyncio.sleep(_LOCK_PAUSE)
        except TimeoutError:
            raise MeterUnreachable(
                f"the rate limit's file {self._path} has been locked by another process for "
                f"{self._patience:g} s: end that process"
            ) from None


def file_meter(source: str, pool: str) -> FileMeter:
    """The meter of `pool` at `source` for every process of this user on the machine. Raises
    SettingsError."""
    name = hashlib.blake2b(source.encode(), digest_size=8).hexdigest()
    return FileMeter(own_folder() / f"{name}-{pool}.credits")


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
