"""The exchange's clock between responses, and the slots aligned to it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from deribit_pipeline.domain.windows import from_ms
from deribit_pipeline.exchange.rpc import Answer

# The longest sleep: this machine may be suspended, and the monotonic clock stands still meanwhile.
_NAP = 1.0


@dataclass(slots=True)
class Clock:
    """The exchange's time, from the newest response and the monotonic clock; this machine's time
    before the first response. A jump of this machine's clock changes nothing after it."""

    wall: Callable[[], datetime] = lambda: datetime.now(UTC)
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _offset: timedelta | None = field(default=None, init=False)

    def now(self) -> datetime:
        """The exchange's time."""
        if self._offset is None:
            return self.wall()
        return from_ms(0) + self._offset + timedelta(seconds=self.monotonic())

    def note(self, answer: Answer) -> None:
        """Take the time of a response that was just received: built after `as_of`, and on its way
        for at most the latency."""
        received = answer.as_of + timedelta(seconds=answer.latency)
        self._offset = received - from_ms(0) - timedelta(seconds=self.monotonic())

    async def sleep_until(self, moment: datetime) -> None:
        """Wait until the exchange's clock shows this time."""
        while (left := (moment - self.now()).total_seconds()) > 0:
            await self.sleep(min(left, _NAP))


def slot_of(moment: datetime, every: timedelta) -> datetime:
    """The beginning of the slot that contains an instant; slots are aligned to midnight UTC."""
    return from_ms(0) + (moment - from_ms(0)) // every * every
