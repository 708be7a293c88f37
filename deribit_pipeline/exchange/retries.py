"""Retries of transient failures, up to a time limit."""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import tenacity

from deribit_pipeline.errors import DeribitUnavailable
from deribit_pipeline.exchange.first_contact import FirstContact

logger = logging.getLogger(__name__)

PATIENCE = 60.0
"""Seconds after which a request that keeps failing is given up."""

Result = TypeVar("Result")


class Retries:
    """Retries the calls of one client, with growing pauses.

    `first_contact` shortens the patience with an exchange that has never answered.
    """

    def __init__(self, patience: float, first_contact: FirstContact) -> None:
        self._patience = patience
        self._first_contact = first_contact
        self._warned_at = -1.0

    async def run(
        self,
        attempt: Callable[[], Awaitable[Result]],
        sleep: Callable[[float], Awaitable[None]],
    ) -> Result:
        """The result of `attempt`, retried while it raises DeribitUnavailable; `sleep` waits in the
        pauses. Raises the last error."""
        failing_since: float | None = None

        def is_hopeless(state: tenacity.RetryCallState) -> bool:
            # Counted from the first failure: waiting for the rate limit is no sign of an outage.
            nonlocal failing_since
            now = time.monotonic()
            failing_since = failing_since if failing_since is not None else now
            patience = self._first_contact.patience(_error_of(state), self._patience)
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
            raise self._first_contact.given_up(error, tries) from error

    def _log_retry(self, state: tenacity.RetryCallState) -> None:
        """Log a warning, at most once a second: when one request in flight fails, the others do
        too."""
        error = _error_of(state)
        wait = state.next_action.sleep if state.next_action else 0.0
        now = time.monotonic()
        level = logging.WARNING if now - self._warned_at >= 1.0 else logging.DEBUG
        if level == logging.WARNING:
            self._warned_at = now
        logger.log(level, "%s; trying again in %.1f s", error, wait)


def _error_of(state: tenacity.RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


async def _awaited(attempt: Callable[[], Awaitable[Result]]) -> Result:
    return await attempt()  # tenacity awaits coroutine functions only
