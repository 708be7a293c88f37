"""What differs until the exchange has returned a first response: its address may be wrong, or this
machine may have no network, which the user can correct."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from deribit_pipeline.errors import DeribitUnavailable, DeribitUnreachable
from deribit_pipeline.exchange.transport import Root
from deribit_pipeline.settings import EXCHANGE_URLS, HISTORY_URLS

logger = logging.getLogger(__name__)

PATIENCE = 15.0
"""Seconds after which a request that keeps failing is given up, before the first response."""

PATIENCE_WITHOUT_CONNECTION = 1.0
"""The same where no connection can be made."""

SILENCE = 1.5
"""Seconds without a first response, or a failure, after which the remedy is logged."""

_OWN = {*EXCHANGE_URLS.values(), *HISTORY_URLS.values()}


class FirstContact:
    """Whether one API root has ever returned a response, set by the client as `has_answered`."""

    def __init__(self, root: Root, silence: float = SILENCE) -> None:
        self._root = root
        self._silence = silence
        self._has_warned = False
        self.has_answered = False

    @property
    def remedy(self) -> str:
        """What to do if there is no connection."""
        if self._root.proxy:
            first = f"Check {self._root.proxy.variable} and the network"
        elif self._root.url in _OWN:
            first = "Check the network"
        else:
            return f"Check {self._root.variable} and the network"
        return f"{first}, or set DERIBIT_ENV=sandbox, whose exchange is built in and needs none"

    def patience(self, error: BaseException | None, regular: float) -> float:
        """Seconds after which a request that fails with `error` is given up."""
        if self.has_answered:
            return regular
        is_unreachable = isinstance(error, DeribitUnreachable)
        return min(regular, PATIENCE_WITHOUT_CONNECTION if is_unreachable else PATIENCE)

    def given_up(self, error: DeribitUnavailable, tries: int) -> DeribitUnavailable:
        """The error of a request that is given up, with the remedy if no connection was ever
        made."""
        is_first = not self.has_answered and isinstance(error, DeribitUnreachable)
        remedy = f". {self.remedy}" if is_first else ""
        return type(error)(
            f"{error.reason} (given up after {tries} tries){remedy}",
            method=error.method,
            params=error.params,
        )

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Log once that there is no response yet if the block takes long: a firewall may drop what
        is sent, or a resolver may be out of reach."""
        if self.has_answered or self._has_warned:
            yield
            return
        timer = asyncio.get_running_loop().call_later(self._silence, self._warn)
        try:
            yield
        finally:
            timer.cancel()

    def _warn(self) -> None:
        if not self._has_warned:
            self._has_warned = True
            logger.warning("%s has not answered yet. %s", self._root, self.remedy)
