"""Proxies and certificates: never for this machine, named in errors, and one sentence if
malformed."""

import asyncio
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from deribit_pipeline.connectivity import probes
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.errors import (
    DeribitError,
    DeribitRejected,
    DeribitUnavailable,
    SettingsError,
)
from deribit_pipeline.exchange.client import deribit_client
from deribit_pipeline.exchange.proxies import proxy_of
from deribit_pipeline.exchange.websocket_probe import probe_websocket
from deribit_pipeline.opening import open_exchange
from deribit_pipeline.sandbox.faults import Faults
from deribit_pipeline.settings import Settings

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")
PUBLIC = "http://exchange.example/api/v2"
PASSWORD = "pr0xy-password"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, *map(str.lower, VARIABLES), *CERTIFICATES):
        monkeypatch.delenv(name, raising=False)


@contextmanager
def proxy(status: int) -> Iterator[tuple[str, list[str]]]:
    """A proxy that responds to every request with a page, and records the requests."""
    requested: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            requested.append(self.path)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_CONNECT = do_POST  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Do not log deliberate errors."""

    with HTTPServer(("127.0.0.1", 0), Handler) as listening:
        Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield f"127.0.0.1:{listening.server_port}", requested
        finally:
            listening.shutdown()


def call(url: str) -> Any:
    """The result of `public/test`, or the error; nothing is waited for."""

    async def run() -> Any:
        async with deribit_client(
            url, Environment.SANDBOX, requests_per_second=1e6, burst=100, concurrency=4,
            timeout=5.0, patience=0.0,
        ) as client:  # fmt: skip
            try:
                return (await client.test()).result
            except DeribitError as error:
                return error

    return asyncio.run(run())


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("value", ["http://127.0.0.1:9", "socks5://127.0.0.1:9", "http://proxy:x"])
def test_this_machine_is_never_reached_through_a_proxy(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    port = str(settings.base_url).split(":")[2].partition("/")[0]
    for host in ("127.0.0.1", "localhost", "127.1"):
        assert call(f"http://{host}:{port}/api/v2") == {"version": "1.2.26"}
    built_in = replace(settings, base_url=None)
    with open_exchange(built_in, 1.0) as exchange:
        assert exchange.run(exchange.client.test()).result
        assert exchange.history is not None
        assert exchange.run(exchange.history.get_instrument("BTC-PERPETUAL"))


def test_another_host_is_reached_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy(502) as (address, requested):
        monkeypatch.setenv("HTTP_PROXY", f"http://user:{PASSWORD}@{address}")
        error = call(PUBLIC)
    assert requested == [PUBLIC]
    assert isinstance(error, DeribitUnavailable)
    assert f"through the proxy http://{address} (HTTP_PROXY)" in str(error)
    assert PASSWORD not in str(error)


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_failure_through_a_proxy_names_it_without_its_password(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, f"http://user:{PASSWORD}@127.0.0.1:9")
    error = call("https://exchange.example/api/v2")
    assert isinstance(error, DeribitUnavailable)
    assert (
        "https://exchange.example/api/v2 through the proxy http://127.0.0.1:9 "
        f"({name}) cannot be reached" in str(error)
    )
    assert PASSWORD not in repr(error) + str(error)


def test_a_proxy_that_wants_a_password_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy(407) as (address, _):
        monkeypatch.setenv("http_proxy", address)  # without a scheme, as curl takes it
        error = call(PUBLIC)
    assert isinstance(error, DeribitRejected)
    assert "the proxy needs a user and a password" in str(error)


@pytest.mark.parametrize("value", ["*", "exchange.example", ".example", "a.b, exchange.example"])
def test_a_host_that_no_proxy_names_is_reached_directly(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert proxy_of(PUBLIC) is not None
    monkeypatch.setenv("NO_PROXY", value)
    assert proxy_of(PUBLIC) is None


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("http://proxy:port", "HTTPS_PROXY must be the URL of a proxy .* was 'http://proxy:port'"),
        ("http://", "HTTPS_PROXY must be the URL of a proxy"),
        ("http://proxy:99999", "HTTPS_PROXY must be the URL of a proxy"),
        ("ftp://proxy:21", "HTTPS_PROXY must be the URL of a proxy"),
        ("://", "HTTPS_PROXY must be the URL of a proxy"),
        ("http://[::1", "HTTPS_PROXY must be the URL of a proxy"),
        (f"http://user:{PASSWORD}@proxy:port", "was 'http://…@proxy:port'"),
        (f"ftp://user:{PASSWORD}@proxy/", "was 'ftp://…@proxy/'"),
        ("socks5://proxy:1080", r"the proxy socks5://proxy:1080 \(HTTPS_PROXY\) uses SOCKS"),
        (f"socks5h://user:{PASSWORD}@proxy:1080", r"install httpx\[socks\], or name an HTTP proxy"),
        ("socks4://proxy:1080", "HTTPS_PROXY must be the URL of a proxy"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, value: str, sentence: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)
    remote = replace(settings, base_url="https://exchange.example/api/v2")
    with pytest.raises(SettingsError, match=sentence) as caught, open_exchange(remote):
        pytest.fail("it cannot be opened")
    assert PASSWORD not in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(SettingsError, match=sentence):
        probes(remote)


def test_a_websocket_goes_through_the_proxy_and_is_refused_like_http(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, tmp_path: Path
) -> None:
    with proxy(403) as (address, requested):
        monkeypatch.setenv("HTTP_PROXY", f"http://user:{PASSWORD}@{address}")
        remote = replace(settings, base_url=PUBLIC)
        with open_exchange(remote) as exchange:
            assert exchange.websocket is not None
            with pytest.raises(DeribitRejected) as caught:
                exchange.run(probe_websocket(exchange.websocket, 5.0))
    assert requested == ["exchange.example:80"]
    assert f"no WebSocket was opened (through the proxy http://{address}" in str(caught.value)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("SSL_CERT_FILE", lambda folder: folder / "absent.pem"),
        ("SSL_CERT_FILE", lambda folder: folder),
        ("SSL_CERT_FILE", lambda folder: written(folder / "broken.pem", "no certificate")),
        ("SSL_CERT_DIR", lambda folder: folder / "absent"),
        ("SSLKEYLOGFILE", lambda folder: folder / "absent" / "keys"),
    ],
)
def test_certificates_that_cannot_be_loaded_are_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
    tmp_path: Path,
    name: str,
    make: Callable[[Path], Path],
) -> None:
    monkeypatch.setenv(name, str(make(tmp_path)))
    remote = replace(settings, base_url="https://exchange.example/api/v2")
    sentence = f"certificates to trust cannot be loaded .*: correct or leave out {name}="
    with pytest.raises(SettingsError, match=sentence), open_exchange(remote):
        pytest.fail("it cannot be opened")
    with open_exchange(settings) as exchange:  # which is reached without a proxy
        assert exchange.run(exchange.client.test()).result


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_certificates_of_ones_own_are_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A bundle that trusts none is taken instead of certifi's."""
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    contexts: list[ssl.SSLContext] = []
    monkeypatch.setattr(
        "deribit_pipeline.exchange.proxies.httpx.AsyncClient",
        lambda **options: contexts.append(options["verify"]),
    )
    with pytest.raises(TypeError):
        call("https://exchange.example/api/v2")
    assert contexts[0].get_ca_certs() == []


@pytest.mark.parametrize("fault", ["403_html", "451_html"])
def test_a_page_that_forbids_is_a_firewall_and_not_a_wrong_root(
    settings: Settings, faults: Faults, fault: str
) -> None:
    faults.corrupt_where(fault, lambda method, reply: True)
    with (
        open_exchange(settings, 1.0) as exchange,
        pytest.raises(DeribitRejected, match="firewall or proxy refuses this network") as caught,
    ):
        exchange.run(exchange.client.test())
    assert f"HTTP {fault[:3]}" in str(caught.value)
    assert "DERIBIT_BASE_URL" not in str(caught.value)


def test_one_page_that_forbids_in_the_middle_is_tried_again(
    settings: Settings, faults: Faults
) -> None:
    with open_exchange(settings, 5.0) as exchange:
        exchange.run(exchange.client.test())
        faults.corrupt_next(["403_html", "451_html"])
        assert exchange.run(exchange.client.test()).result


@pytest.mark.parametrize("kind", ["unreachable", "not_found", "another_environment"])
def test_a_broken_history_url_is_named_as_such(
    settings: Settings, faults: Faults, kind: str
) -> None:
    root = str(settings.base_url)
    if kind == "unreachable":
        root = f"http://127.0.0.1:{free_port()}/api/v2"
    elif kind == "not_found":
        root = root.replace("/api/v2", "/api/v3")
    with open_exchange(replace(settings, history_url=root), 0.05) as exchange:
        assert exchange.history is not None
        if kind == "another_environment":
            faults.corrupt_where("testnet", lambda method, reply: True)
        with pytest.raises(DeribitError, match="DERIBIT_HISTORY_URL") as caught:
            exchange.run(exchange.history.test())
    assert "DERIBIT_BASE_URL" not in str(caught.value)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def test_no_variable_of_this_machine_is_in_the_way_of_these_tests() -> None:
    assert not {name for name in os.environ if name.upper() in VARIABLES}
