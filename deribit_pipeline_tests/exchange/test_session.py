"""What an exchange is opened with."""

from dataclasses import replace

import pytest

from deribit_pipeline.exchange.session import websocket_of
from deribit_pipeline.opening import open_exchange
from deribit_pipeline.settings import EXCHANGE_URLS, Settings


@pytest.mark.parametrize(
    ("root", "websocket"),
    [
        (EXCHANGE_URLS[Settings().environment], "wss://www.deribit.com/ws/api/v2"),
        ("http://127.0.0.1:8787/api/v2", "ws://127.0.0.1:8787/ws/api/v2"),
        ("https://[::1]:1/elsewhere", "wss://[::1]:1/ws/api/v2"),
    ],
)
def test_the_websocket_of_an_api_root_is_at_the_same_host(root: str, websocket: str) -> None:
    assert websocket_of(root) == websocket


def test_another_websocket_replaces_that_of_the_api_root(settings: Settings) -> None:
    other = "ws://127.0.0.1:1/ws/api/v2"
    with open_exchange(replace(settings, websocket_url=other)) as exchange:
        assert exchange.websocket is not None
        assert exchange.websocket.root.url == other
