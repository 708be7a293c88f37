"""Retries of transient failures, up to a time limit."""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import tenacity

from deribit_pipeline.errors import DeribitUnavailable
from deribit_pipeline.exchange.transport import Call

logger = logging.getLogger(__name__)

PATIENCE = 60.0
"""Seconds after which a request that keeps failing is given up."""

FIRST_PATIENCE = 15.0
"""The same before the exchange has returned any response."""

Result = TypeVar("Result")


class Retries:
    """Retries the calls of one client, with growing pauses.

    `sleep` waits in the pauses. The client sets `has_answered`: an exchange that has never answered
    may be at a wrong address, and is given up after FIRST_PATIENCE seconds.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._warned_at = -1.0
        self.has_answered = False

    async def run(
        self,
        call: Call,
        attempt: Callable[[], Awaitable[Result]],
        sleep: Callable[[float], Awaitable[None]],
    ) -> Result:
        """The result of `attempt`, retried while it raises DeribitUnavailable. Raises the last
        error."""
        failing_since: float | None = None

        def is_hopeless(state: tenacity.RetryCallState) -> bool:
            # Counted from the first failure: waiting for the rate limit is no sign of an outage.
            nonlocal failing_since
            now = time.monotonic()
            failing_since = failing_since if failing_since is not None else now
            patience = self._patience
            if not self.has_answered:
                patience = min(patience, FIRST_PATIENCE)
            return now + state.upcoming_sleep > failing_since + patience

        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(DeribitUnavailable),
            stop=is_hopeless,
            wait=tenacity.wait_exponential_jitter(multiplier=0.25, max=8.0, jitter=0.5),
            sleep=sleep,
            before_sleep=self._log_retry,
            reraise=True,
        )
        try:
            return await retrying(_awaited, attempt)
        except DeribitUnavailable as error:
            tries = retrying.statistics["attempt_number"]
            raise type(error)(
                f"{error.reason} (given up after {tries} tries)",
                method=call.method,
                params=call.params,
            ) from error

    def _log_retry(self, state: tenacity.RetryCallState) -> None:
        """Log a warning, at most once a second: when one request in flight fails, the others do
        too."""
        error = state.outcome.exception() if state.outcome else None
        wait = state.next_action.sleep if state.next_action else 0.0
        now = time.monotonic()
        level = logging.WARNING if now - self._warned_at >= 1.0 else logging.DEBUG
        if level == logging.WARNING:
            self._warned_at = now
        logger.log(level, "%s; trying again in %.1f s", error, wait)


async def _awaited(attempt: Callable[[], Awaitable[Result]]) -> Result:
    return await attempt()  # tenacity awaits coroutine functions only
