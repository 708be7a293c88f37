"""The sandbox behind a cache or with every request recorded."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpx

from deribit_pipeline.exchange.client import DeribitClient
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.opening import open_exchange
from deribit_pipeline.sandbox.cache import Cache
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.sandbox.faults import Faults
from deribit_pipeline.sandbox.server import serving
from deribit_pipeline.settings import Settings


def requests_of(client: DeribitClient) -> list[httpx.Request]:
    """Records every request that a client sends from now on."""
    sent: list[httpx.Request] = []

    async def note(request: httpx.Request) -> None:
        sent.append(request)

    client.rpc._http.event_hooks = {"request": [note]}
    return sent


def body_of(request: httpx.Request) -> dict[str, Any]:
    """The JSON of a POST."""
    body: dict[str, Any] = json.loads(request.content)
    return body


@contextmanager
def behind(
    cache: Cache, sandbox: SandboxExchange, faults: Faults, settings: Settings
) -> Iterator[Callable[[float, float], Exchange]]:
    """Opens the exchange behind a cache."""
    with serving(sandbox, faults, cache=cache) as url:
        settings = replace(settings, base_url=url)
        opened = []

        def opens(patience: float = 5.0, timeout: float = 30.0) -> Exchange:
            manager = open_exchange(settings, patience, timeout)
            opened.append(manager)
            return manager.__enter__()

        try:
            yield opens
        finally:
            for manager in opened:
                manager.__exit__(None, None, None)


def logged(caplog: Any, words: str, level: int = logging.INFO) -> list[str]:
    """The messages of at least a level that contain these words."""
    records = [record for record in caplog.records if record.levelno >= level]
    return [message for record in records if words in (message := record.getMessage())]
