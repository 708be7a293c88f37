"""The exchange's rate limit, kept by every process of this machine together.

Deribit gives each caller a pool of credits that refills evenly: 20 calls a second after a burst
of 100 (https://docs.deribit.com/articles/rate-limits). The pool belongs to the caller's address
or account and not to a process, so its state stands in a small file under a lock.
"""

import fcntl
import hashlib
import os
import struct
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from deribit_pipeline.errors import SettingsError

_STATE = struct.Struct("<d")

# Requests sent 50 ms apart arrive more or less than 50 ms apart. What is held back of the burst
# is what the network may bunch up without the exchange seeing an empty pool.
_HELD_BACK = 0.05


class Credits:
    """A token bucket in a file: `per_second` calls after a burst of `burst`.

    The file holds one number, the moment at which the pool will be full again (the "theoretical
    arrival time" of the generic cell rate algorithm), on the monotonic clock, which all processes
    of a machine share and which no correction of the wall clock moves.
    """

    def __init__(
        self,
        path: Path,
        *,
        per_second: float,
        burst: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._interval = 1.0 / per_second
        self._depth = max(1.0, burst * (1 - _HELD_BACK)) * self._interval
        self._clock = clock

    def take(self) -> float:
        """Take one call's credits; answers how many seconds to wait before the call."""

        def taken(full_at: float, now: float) -> float:
            return max(full_at, now) + self._interval

        full_at, now = self._update(taken)
        return max(0.0, full_at - now - self._depth)

    def exhaust(self, pause: float) -> None:
        """The exchange said that the pool is empty: let nobody call for `pause` seconds."""
        self._update(lambda full_at, now: max(full_at, now + self._depth + pause))

    def _update(self, change: Callable[[float, float], float]) -> tuple[float, float]:
        try:
            descriptor = _open_shared(self._path)
        except OSError as error:
            raise SettingsError(
                f"The rate limit's file {self._path} cannot be opened ({error.strerror}): "
                "make its folder writable, or set TMPDIR to one that is."
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            now = self._clock()
            state = os.pread(descriptor, _STATE.size, 0)
            full_at = _STATE.unpack(state)[0] if len(state) == _STATE.size else now
            # A file from before a reboot, or a damaged one, could otherwise stop us for hours.
            if not now - 3600 < full_at < now + self._depth + 3600:
                full_at = now
            full_at = change(full_at, now)
            os.pwrite(descriptor, _STATE.pack(full_at), 0)
            return full_at, now
        finally:
            os.close(descriptor)


def shared_path(source: str, pool: str) -> Path:
    """Where the credits of `pool` at `source` stand for every process and user of the machine."""
    name = hashlib.blake2b(source.encode(), digest_size=8).hexdigest()
    return Path(tempfile.gettempdir()) / f"deribit-pipeline-{name}-{pool}.credits"


def _open_shared(path: Path) -> int:
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        pass
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL)
    except FileExistsError:
        return os.open(path, flags)
    os.fchmod(descriptor, 0o666)  # whatever the umask: other users share the address
    return descriptor
