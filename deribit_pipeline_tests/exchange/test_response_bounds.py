"""A response is bounded in time and size, or the request raises a typed error; what an error
quotes of it is short, on one line and without secrets."""

import asyncio
import base64
import gzip
import json
import logging
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any
from urllib.parse import quote

import pytest

from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.errors import DeribitBadPayload, DeribitError, DeribitUnavailable
from deribit_pipeline.exchange.auth import Credentials
from deribit_pipeline.exchange.client import deribit_client
from deribit_pipeline.exchange.transport import Bounds
from deribit_pipeline.instruments.listings import get_specifications
from deribit_pipeline.sandbox.faults import Faults
from deribit_pipeline_tests.helpers.pipeline import Opened

TIMES = {"testnet": False, "usIn": 1_704_067_200_000_007, "usOut": 1_704_067_200_000_912}
SECRET = "s3cret+half/of=the&key"
TOKEN = "t0ken-granted-for-tests"

Respond = Callable[[dict[str, Any]], tuple[int, dict[str, str], bytes]]


@contextmanager
def server(respond: Respond) -> Iterator[str]:
    """An HTTP server that responds to each POST with the test's function."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, headers, body = respond(request)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Do not log deliberate errors."""

    with HTTPServer(("127.0.0.1", 0), Handler) as listening:
        Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listening.server_port}/api/v2"
        finally:
            listening.shutdown()


def call(url: str, method: str = "public/anything", key: Credentials | None = None) -> Any:
    """The result of a method, or the error; waits pass at once."""

    async def run() -> Any:
        async with deribit_client(
            url, Environment.SANDBOX, requests_per_second=1e6, burst=100, concurrency=4,
            credentials=key, timeout=5.0, patience=0.0,
        ) as client:  # fmt: skip
            try:
                return (await client.rpc.call(method)).result
            except DeribitError as error:
                return error

    return asyncio.run(run())


def packed(request: dict[str, Any], result: object) -> bytes:
    return gzip.compress(json.dumps({"id": request["id"], "result": result, **TIMES}).encode())


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip"])
def test_a_compressed_response_is_read(encoding: str) -> None:
    with server(lambda r: (200, {"Content-Encoding": encoding}, packed(r, [1.5] * 9))) as url:
        assert call(url) == [1.5] * 9


@pytest.mark.parametrize(
    ("encoding", "change", "sentence"),
    [
        ("gzip", lambda body: body[:-12], "the compressed body was cut short"),
        ("gzip", lambda body: b"nothing packed", "is not valid gzip as its header claims"),
        ("br", lambda body: body, "encoded as br, which was not requested"),
        ("gzip, gzip", gzip.compress, "encoded as gzip, gzip, which was not requested"),
        ("deflate", zlib.compress, "encoded as deflate, which was not requested"),
    ],
)
def test_what_cannot_be_decompressed_is_an_error(
    encoding: str, change: Callable[[bytes], bytes], sentence: str
) -> None:
    headers = {"Content-Encoding": encoding}
    with server(lambda r: (200, headers, change(packed(r, [1.5] * 900)))) as url:
        error = call(url)
    assert isinstance(error, DeribitUnavailable)
    assert sentence in str(error)


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("gzip_bomb", r"bytes decompress to more than 33,554,432"),
        ("endless", r"the body is larger than 33,554,432 bytes"),
    ],
)
def test_a_response_that_is_too_large_is_a_typed_error(
    opened: Opened, faults: Faults, fault: str, sentence: str
) -> None:
    exchange = opened(0.1)
    faults.corrupt_next([fault])
    with pytest.raises(DeribitBadPayload, match=sentence):
        exchange.run(exchange.client.test())
    assert exchange.run(exchange.client.test()).result


def test_the_list_of_instruments_may_be_larger_and_take_longer(opened: Opened) -> None:
    exchange = opened(0.1, 30.0)
    exchange.run(get_specifications(exchange.client, "BTC"))
    bounds = exchange.client.rpc._bounds
    assert bounds[""] == Bounds(30.0, 32 * 2**20)
    assert bounds["public/get_instruments"] == Bounds(120.0, 256 * 2**20)


def test_a_body_of_one_byte_a_second_ends_with_the_time_out(opened: Opened, faults: Faults) -> None:
    """Each read is in time; the whole response is not."""
    exchange = opened(0.1, 1.5)
    faults.corrupt_next(["one_byte_a_second"] * 9)
    with pytest.raises(DeribitUnavailable, match=r"no whole response within 1\.5 s"):
        exchange.run(exchange.client.test())
    faults.mend()
    assert exchange.run(exchange.client.test()).result


LOUD = "\x1b[31m\x07red\r\nINFO forged line\u202e" + "x" * 50_000


@pytest.mark.parametrize("where", ["message", "reason", "code", "id", "header"])
def test_what_an_error_repeats_is_short_and_on_one_line(
    where: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    def respond(request: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        error = {"code": 11094, "message": "message", "data": {"reason": "reason", "param": "p"}}
        body: dict[str, Any] = {"id": request["id"], "error": error, **TIMES}
        if where == "message":
            error["message"] = LOUD
        elif where == "reason":
            error["data"] = {"reason": LOUD, "param": [LOUD]}
        elif where == "code":
            error["code"] = LOUD
        elif where == "id":
            body["id"] = LOUD
        headers = {"Content-Encoding": f"\x1b[31m{'x' * 5_000}"} if where == "header" else {}
        return 400, headers, json.dumps(body).encode()

    with server(respond) as url:
        error = call(url)
    assert isinstance(error, DeribitError)
    ours = [record for record in caplog.records if record.name.startswith("deribit_pipeline")]
    for output in (str(error), error.reason, *(record.getMessage() for record in ours)):
        assert output.isprintable()
        assert len(output) < 1_000


SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "url": lambda text: quote(text, safe=""),
    "base64": lambda text: base64.b64encode(f"id:{text}".encode()).decode(),
    "json": lambda text: json.dumps(json.dumps({"a": text})),
    "repr": lambda text: repr(text.encode()),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("secret", [SECRET, TOKEN])
def test_what_is_repeated_of_a_secret_is_not_said_in_any_spelling(
    spelling: str, secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    text = SPELLINGS[spelling](secret)

    def respond(request: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        body: dict[str, Any] = {"id": request["id"], **TIMES}
        if request["method"] == "public/auth":
            body["result"] = {"access_token": TOKEN, "expires_in": 900, "scope": "account:read"}
        else:
            body["error"] = {"code": 11094, "message": text, "data": {"reason": f"{text} too"}}
        return 400, {}, json.dumps(body).encode()

    with server(respond) as url:
        error = call(url, key=Credentials("id", SECRET))
    assert isinstance(error, DeribitUnavailable)
    assert text not in caplog.text + str(error)
    assert "too" in str(error)
