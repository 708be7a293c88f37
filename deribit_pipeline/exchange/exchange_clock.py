"""Whether the time in a response (`usIn`) can be trusted, before it closes a candle.

Which candles are over is decided by the exchange's clock, and `usIn` is the word of one response.
The rule:

* The first response may be behind this machine's clock, but no more than AHEAD before it: a time
  that is too early closes no candle.
* Each later one must fit the former ones and the seconds that have passed since, counted on the
  monotonic clock: at most AHEAD before and BEHIND after that.
* Where one does not, `public/get_time` is requested. If its own `usIn` and its result agree with
  the response, the exchange's time is that, whatever this machine's clock says.
* If they do not, the response is refused and requested again: a single wrong one is not used, and
  a copy that was kept on the way shows the time at which it was made. Where the next one does not
  fit either, it and those after it are used, but their time counts as no later than what was agreed
  before (this machine's clock, at first): what is in doubt stays open, and that is said once. One
  that is BEHIND is refused until the request is given up.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

AHEAD = 2.0
"""Seconds by which a response's time may be before what the former ones and the clock make of it.
By so much a single wrong one can close a candle early."""

BEHIND = 60.0
"""Seconds by which a response's time may be after it."""

# The two times of one `public/get_time`: when the request came in, and the result.
_AGREEMENT = 2.0

# Seconds after a time that was not confirmed in which that is not tried again.
_REST = 10.0


class Fit(StrEnum):
    """How a response's time fits what is known."""

    WELL = "well"
    AHEAD = "ahead of"
    BEHIND = "behind"


@dataclass(frozen=True, slots=True)
class Reading:
    """`us_in` of a response whose request left at `sent_at` and which came at `came_at`, in
    seconds of the monotonic clock: somewhere between, the exchange's clock showed it."""

    us_in: int
    sent_at: float
    came_at: float

    @property
    def seconds(self) -> float:
        return self.us_in / 1e6

    @property
    def offsets(self) -> tuple[float, float]:
        """The least and the most that the exchange's time may be after the monotonic clock's."""
        return self.seconds - self.came_at, self.seconds - self.sent_at


@dataclass(frozen=True, slots=True)
class Witness:
    """The response to `public/get_time`, and its result in milliseconds; None where the host
    refuses the method, whose error has a `usIn` all the same."""

    reading: Reading
    result_ms: int | None


class ExchangeClock:
    """The exchange's clock, as the responses of one host tell it. `now` is this machine's."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        # The exchange's time minus the monotonic clock's is between these; None at first.
        self._between: tuple[float, float] | None = None
        self._one_at_a_time = asyncio.Lock()
        self._tried_at = -math.inf

    async def settled(
        self, reading: Reading, request_time: Callable[[], Awaitable[Witness | None]]
    ) -> Fit:
        """How a response's time fits, after `request_time` was called where it did not at first.
        One that fits is taken in."""
        fit = self._fit(reading)
        if fit is not Fit.WELL:
            async with self._one_at_a_time:
                fit = self._fit(reading)  # another may have confirmed the like meanwhile
                if fit is not Fit.WELL and reading.came_at - self._tried_at > _REST:
                    if self._is_confirmed(reading, await request_time()):
                        fit = Fit.WELL
                    else:
                        self._tried_at = reading.came_at
        if fit is Fit.WELL:
            self._note(reading)
        return fit

    def latest(self, came_at: float) -> int:
        """The latest time that it can be at the exchange, in microseconds, as agreed so far."""
        if self._between is None:
            return int(self._now().timestamp() * 1e6)
        return int((self._between[1] + came_at) * 1e6)

    def _fit(self, reading: Reading) -> Fit:
        if self._between is None:
            is_ahead = reading.seconds - self._now().timestamp() > AHEAD
            return Fit.AHEAD if is_ahead else Fit.WELL
        return _fit(reading, *self._between)

    def _note(self, reading: Reading) -> None:
        least, most = reading.offsets
        if self._between is not None:
            least, most = max(self._between[0], least), min(self._between[1], most)
        self._between = least, most

    def _is_confirmed(self, reading: Reading, witness: Witness | None) -> bool:
        if witness is None:
            return False
        told = witness.reading
        if (
            witness.result_ms is not None
            and abs(witness.result_ms / 1e3 - told.seconds) > _AGREEMENT
        ):
            return False
        if _fit(reading, *told.offsets) is not Fit.WELL:
            return False
        self._between = told.offsets
        return True


def _fit(reading: Reading, least: float, most: float) -> Fit:
    if reading.seconds - (most + reading.came_at) > AHEAD:
        return Fit.AHEAD
    if (least + reading.sent_at) - reading.seconds > BEHIND:
        return Fit.BEHIND
    return Fit.WELL
