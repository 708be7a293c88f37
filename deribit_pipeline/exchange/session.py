"""The configured exchange, usable from synchronous code for as long as a block lasts."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.exchange.auth import Credentials
from deribit_pipeline.exchange.client import TIMEOUT, DeribitClient, deribit_client
from deribit_pipeline.exchange.proxies import proxy_of
from deribit_pipeline.exchange.rate_limiter import RateLimiter, TokenBuckets, file_bucket
from deribit_pipeline.exchange.retries import PATIENCE
from deribit_pipeline.exchange.transport import Root
from deribit_pipeline.exchange.websocket_access import (
    SUBSCRIBES_AT_ONCE,
    SUBSCRIBES_PER_SECOND,
    WebSocketAccess,
)
from deribit_pipeline.settings import HISTORY_URLS, Settings
from deribit_pipeline.spool.folder import Spool

Result = TypeVar("Result")


class Exchange:
    """A client and its event loop; `source` is where its responses come from.

    `history` is a client of the archive host, which has the trades that are older than a day and
    needs no account; None if the environment has no such host. `each_twice` requires that two
    responses for different windows have the same rows before either is trusted. `spool` holds what
    was recorded of this exchange, and `websocket` is what opens its WebSockets.
    """

    def __init__(
        self,
        client: DeribitClient,
        source: str,
        runner: asyncio.Runner,
        history: DeribitClient | None = None,
        spool: Spool | None = None,
        websocket: WebSocketAccess | None = None,
    ) -> None:
        self.client = client
        self.history = history
        self.source = source
        self.spool = spool
        self.websocket = websocket
        self.each_twice = False
        self._runner = runner
        self._task: asyncio.Task[Any] | None = None
        self._is_cancelled = False

    @property
    def as_of(self) -> datetime | None:
        """The exchange's clock in the newest response of its hosts; None before the first."""
        hosts = [self.client] if self.history is None else [self.client, self.history]
        return max((host.rpc.as_of for host in hosts if host.rpc.as_of), default=None)

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run asynchronous work with this client to its end."""

        async def noted() -> Result:
            self._task = asyncio.current_task()
            if self._is_cancelled:
                work.close()
                raise asyncio.CancelledError
            return await work

        return self._runner.run(noted())

    def cancel(self) -> None:
        """From another thread, cancel the current work of `run`, and accept no more."""
        self._is_cancelled = True
        if self._task is not None:
            self._runner.get_loop().call_soon_threadsafe(self._task.cancel)


def spool_of(settings: Settings) -> Spool:
    """The spool that the settings name."""
    return Spool(
        settings.spool,
        settings.environment,
        keep_days=settings.spool_keep,
        every=settings.snapshot_every,
        instruments=settings.instruments,
    )


@contextmanager
def session(
    settings: Settings,
    url: str,
    buckets: TokenBuckets = file_bucket,
    *,
    patience: float = PATIENCE,
    timeout: float = TIMEOUT,
) -> Iterator[Exchange]:
    """The exchange with the API root `url`, and the rate limit of the settings, whose state
    `buckets` store.

    `patience` is how many seconds a failing request is retried, `timeout` how many to wait for a
    response.
    """
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()

        def opened(url: str, host: str, credentials: Credentials | None = None) -> DeribitClient:
            client = deribit_client(
                url,
                settings.environment,
                requests_per_second=settings.requests_per_second,
                burst=settings.burst,
                concurrency=settings.concurrency,
                credentials=credentials,
                timeout=timeout,
                patience=patience,
                host=host,
                buckets=buckets,
            )
            return runner.run(stack.enter_async_context(client))

        try:
            archive = settings.history_url or _archive_of(settings, url)
            yield Exchange(
                opened(url, "www", _credentials(settings)),
                settings.source,
                runner,
                opened(archive, "history") if archive else None,
                spool_of(settings),
                _websocket(settings, url, buckets),
            )
        finally:
            runner.run(stack.aclose())


def _credentials(settings: Settings) -> Credentials | None:
    if settings.client_id and settings.client_secret:
        return Credentials(settings.client_id, settings.client_secret)
    return None


def _websocket(settings: Settings, url: str, buckets: TokenBuckets) -> WebSocketAccess:
    """What opens the WebSockets of the exchange with the API root `url`."""
    address = settings.websocket_url or websocket_of(url)
    limiter = RateLimiter(
        buckets(url, "subscribe"), per_second=SUBSCRIBES_PER_SECOND, burst=SUBSCRIBES_AT_ONCE
    )
    return WebSocketAccess(
        Root(address, proxy=proxy_of(address.replace("ws", "http", 1)), is_websocket=True),
        settings.environment is Environment.TESTNET,
        _credentials(settings),
        limiter,
    )


def websocket_of(url: str) -> str:
    """The WebSocket that belongs to an API root: the same host, and Deribit's path."""
    parts = urlsplit(url)
    return f"{parts.scheme.replace('http', 'ws', 1)}://{parts.netloc}/ws/api/v2"


def _archive_of(settings: Settings, url: str) -> str | None:
    """The archive host that belongs to an API root; never the real one for another root."""
    if settings.base_url or settings.environment is Environment.SANDBOX:
        return url.replace("/api/v2", "/history/api/v2")
    return HISTORY_URLS.get(settings.environment)
