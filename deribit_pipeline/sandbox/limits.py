"""The rate limit of the sandbox: a token bucket; calls are refused when it is empty."""

import time
from collections.abc import Callable


class CreditPool:
    """`per_second` calls after a burst of `burst`; a rate of 0 means no limit."""

    def __init__(
        self, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_second, self._burst, self._clock = per_second, burst, clock
        self._credits = float(burst)
        self._counted_at = clock()

    def acquire(self) -> bool:
        """Take the credits of one call; returns whether there were enough."""
        if not self._per_second:
            return True
        now = self._clock()
        refilled = self._credits + (now - self._counted_at) * self._per_second
        self._credits, self._counted_at = min(refilled, self._burst), now
        if self._credits < 1:
            return False
        self._credits -= 1
        return True
