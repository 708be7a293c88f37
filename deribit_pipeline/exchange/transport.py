"""One HTTP request and its whole response: within a time and a size limit, or a typed error.

Independent of JSON. A server may send a byte per second forever, or a few kilobytes that decompress
to gigabytes.
"""

import asyncio
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from deribit_pipeline.errors import DeribitBadPayload, DeribitUnavailable, DeribitUnreachable
from deribit_pipeline.exchange.proxies import Proxy
from deribit_pipeline.masking import masked
from deribit_pipeline.outside_text import MOST_READ, MOST_SHOWN, shown

MEBIBYTE = 1 << 20

# JSON of numbers compresses to a fifth or less.
_PACKED_PART = 4

_GZIP = 16 + zlib.MAX_WBITS

# A ProxyError is a proxy's refusal to connect.
_NO_CONNECTION = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError)


Decode = Callable[[bytes], dict[str, Any] | None]
"""Decodes a body; None if it has another shape, or is not JSON."""


@dataclass(frozen=True, slots=True)
class Call:
    """A method of the exchange and its parameters, as errors quote them: never with a secret.
    `secrets` are sent as well and are masked in every error. `decode` decodes a body of the usual
    shape, faster than a JSON parser; it returns None for others."""

    method: str
    params: Mapping[str, object]
    secrets: tuple[str, ...] = field(default=(), repr=False)
    decode: Decode | None = field(default=None, repr=False)

    def quoted(self, text: object, most: int = MOST_SHOWN) -> str:
        """Text from outside, shortened and masked so that an error may quote it."""
        return shown(masked(str(text)[:MOST_READ], self.secrets), most)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of a response: seconds from the request to its last byte, and bytes when decompressed;
    compressed, a quarter of these."""

    seconds: float = 30.0
    most_bytes: int = 32 * MEBIBYTE


@dataclass(frozen=True, slots=True)
class Root:
    """An API root, whether it is the archive host or a WebSocket, and the proxy used to reach
    it."""

    url: str
    is_archive: bool = False
    proxy: Proxy | None = None
    is_websocket: bool = False

    @property
    def variable(self) -> str:
        """The setting that names it."""
        if self.is_websocket:
            return "DERIBIT_WEBSOCKET_URL"
        return "DERIBIT_HISTORY_URL" if self.is_archive else "DERIBIT_BASE_URL"

    def __str__(self) -> str:
        name = f"the archive host {self.url} ({self.variable})" if self.is_archive else self.url
        return f"{name} through {self.proxy}" if self.proxy else name


@dataclass(frozen=True, slots=True)
class Received:
    """A whole response, decompressed. The request was sent at `sent_at` and the last byte received
    at `came_at`, in seconds of the monotonic clock."""

    status: int
    content: bytes
    sent_at: float
    came_at: float


class _TooMuch(Exception):
    """The body exceeds a size limit; the message names it."""


class _Damaged(Exception):
    """The body cannot be decompressed; the message gives the reason."""


async def received(
    http: httpx.AsyncClient, request: httpx.Request, call: Call, root: Root, bounds: Bounds
) -> Received:
    """Send the request and read its whole response.

    Raises DeribitUnreachable if there is no connection, DeribitUnavailable if no response comes in
    time, and DeribitBadPayload if it exceeds `bounds`.
    """
    sent_at = time.monotonic()
    try:
        async with asyncio.timeout(bounds.seconds):
            response = await http.send(request, stream=True)
            try:
                content = await _body(response, bounds.most_bytes)
            finally:
                await response.aclose()
    except _TooMuch as error:
        raise DeribitBadPayload(str(error), method=call.method, params=call.params) from error
    except (httpx.RequestError, TimeoutError, _Damaged) as error:
        reason = f"{root} cannot be reached: {_reason(error, call, bounds)}"
        if isinstance(error, _Damaged):
            reason = str(error)
        kind = DeribitUnreachable if isinstance(error, _NO_CONNECTION) else DeribitUnavailable
        raise kind(reason, method=call.method, params=call.params) from error
    return Received(response.status_code, content, sent_at, time.monotonic())


async def _body(response: httpx.Response, most: int) -> bytes:
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        raise _Damaged(f"the body is encoded as {shown(encoding, 40)}, which was not requested")
    is_packed = "gzip" in encoding
    allowed = most // _PACKED_PART if is_packed else most
    parts, size = [], 0
    async for part in response.aiter_raw():
        size += len(part)
        if size > allowed:
            raise _TooMuch(f"the body is larger than {allowed:,} bytes: reading stopped")
        parts.append(part)
    content = b"".join(parts)
    return _unpacked(content, most) if is_packed and content else content


def _unpacked(content: bytes, most: int) -> bytes:
    unpacking = zlib.decompressobj(_GZIP)
    try:
        unpacked = unpacking.decompress(content, most + 1)
    except zlib.error as error:
        raise _Damaged(f"the body is not valid gzip as its header claims ({error})") from error
    if len(unpacked) > most:
        raise _TooMuch(
            f"{len(content):,} bytes decompress to more than {most:,}: decompression stopped"
        )
    if not unpacking.eof:
        raise _Damaged("the compressed body was cut short")
    return unpacked


def _reason(error: Exception, call: Call, bounds: Bounds) -> str:
    if isinstance(error, httpx.TimeoutException):
        return f"no response in time ({type(error).__name__})"
    if isinstance(error, TimeoutError):
        return f"no whole response within {bounds.seconds:g} s"
    return call.quoted(str(error) or type(error).__name__)
