"""What an exchange is opened with."""

from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from deribit_pipeline.errors import SettingsError
from deribit_pipeline.exchange.proxies import Proxy, websocket_options
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


def test_a_websocket_through_socks_names_the_package_that_it_needs() -> None:
    socks = Proxy(httpx.URL("socks5://proxy:1080"), "ALL_PROXY")
    with pytest.raises(SettingsError, match=r"ALL_PROXY.*install python-socks\[asyncio\]"):
        websocket_options("wss://exchange.example/ws/api/v2", socks)


def test_a_websocket_trusts_the_same_certificates(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    address = "wss://exchange.example/ws/api/v2"
    assert websocket_options(address, None)["ssl"].get_ca_certs()
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert websocket_options(address, None)["ssl"].get_ca_certs() == []
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "absent.pem"))
    with pytest.raises(SettingsError, match="certificates to trust cannot be loaded"):
        websocket_options(address, None)
    assert websocket_options("ws://127.0.0.1:1/ws/api/v2", None) == {"proxy": None}
