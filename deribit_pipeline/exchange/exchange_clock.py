"""Validates a response's time (`usIn`) before it is used to decide which candles are closed.

`usIn` comes from a single response, so it is checked by this rule:

* The first response's time may be behind this machine's clock, but at most AHEAD seconds ahead of
  it: a time that is too early closes no candle.
* Each later time must fit the earlier ones plus the elapsed seconds on the monotonic clock: at most
  AHEAD before and BEHIND after that.
* If it does not fit, `public/get_time` is requested. If both its own `usIn` and its result agree
  with the response, the new time is accepted, regardless of this machine's clock.
* Otherwise the response is refused and requested again: a single wrong response is not used, and a
  copy kept by a cache has the time at which it was made. If the next response does not fit either,
  it and later ones are used, but their time is capped at the last confirmed time (initially this
  machine's clock), so that rows in doubt stay open; a warning is logged once. A response that is
  BEHIND is refused until the request is given up.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

AHEAD = 2.0
"""Seconds by which a response's time may be ahead of the time expected from earlier responses and
the clock. A single wrong response can close a candle early by at most this much."""

BEHIND = 60.0
"""Seconds by which a response's time may be behind the expected time."""

# `usIn` and the result of one `public/get_time`.
_AGREEMENT = 2.0

# Seconds to wait before confirming a time again after a confirmation failed.
_REST = 10.0


class Fit(StrEnum):
    """How a response's time compares with the expected time."""

    WELL = "well"
    AHEAD = "ahead of"
    BEHIND = "behind"


@dataclass(frozen=True, slots=True)
class Reading:
    """`us_in` of a response whose request was sent at `sent_at` and which was received at
    `came_at`, in seconds of the monotonic clock: `us_in` lies between the two."""

    us_in: int
    sent_at: float
    came_at: float

    @property
    def seconds(self) -> float:
        return self.us_in / 1e6

    @property
    def offsets(self) -> tuple[float, float]:
        """The minimum and maximum offset of the exchange's clock from the monotonic clock, in
        seconds."""
        return self.seconds - self.came_at, self.seconds - self.sent_at


@dataclass(frozen=True, slots=True)
class Witness:
    """The response to `public/get_time`, and its result in milliseconds; None if the host refuses
    the method (the error response still has a `usIn`)."""

    reading: Reading
    result_ms: int | None


class ExchangeClock:
    """The exchange's clock, estimated from the responses of one host. `now` is this machine's
    clock."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        # Bounds of the exchange's time minus the monotonic clock's; None before the first response.
        self._between: tuple[float, float] | None = None
        self._one_at_a_time = asyncio.Lock()
        self._tried_at = -math.inf

    async def settled(
        self, reading: Reading, request_time: Callable[[], Awaitable[Witness | None]]
    ) -> Fit:
        """How a response's time fits; `request_time` is called if it does not fit at first. A time
        that fits updates the estimate."""
        fit = self._fit(reading)
        if fit is not Fit.WELL:
            async with self._one_at_a_time:
                fit = self._fit(reading)  # a concurrent request may have confirmed it meanwhile
                if fit is not Fit.WELL and reading.came_at - self._tried_at > _REST:
                    if self._is_confirmed(reading, await request_time()):
                        fit = Fit.WELL
                    else:
                        self._tried_at = reading.came_at
        if fit is Fit.WELL:
            self._note(reading)
        return fit

    def latest(self, came_at: float) -> int:
        """The latest possible exchange time by the current estimate, in microseconds."""
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
        returned = witness.reading
        if (
            witness.result_ms is not None
            and abs(witness.result_ms / 1e3 - returned.seconds) > _AGREEMENT
        ):
            return False
        if _fit(reading, *returned.offsets) is not Fit.WELL:
            return False
        self._between = returned.offsets
        return True


def _fit(reading: Reading, least: float, most: float) -> Fit:
    if reading.seconds - (most + reading.came_at) > AHEAD:
        return Fit.AHEAD
    if (least + reading.sent_at) - reading.seconds > BEHIND:
        return Fit.BEHIND
    return Fit.WELL
