"""The exchange's methods as Python methods. Those of a dataset are in its folder."""

import functools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

import httpx

from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.instrument import Instrument
from deribit_pipeline.domain.windows import from_ms
from deribit_pipeline.errors import DeribitBadPayload
from deribit_pipeline.exchange import responses, shapes
from deribit_pipeline.exchange.auth import Credentials, Token
from deribit_pipeline.exchange.methods import (
    DecodedMethod,
    LimitedMethod,
    Parsed,
    ParsedResponse,
    parsed,
)
from deribit_pipeline.exchange.proxies import http_client, proxy_of
from deribit_pipeline.exchange.rate_limiter import RateLimiter, TokenBuckets, file_bucket
from deribit_pipeline.exchange.retries import PATIENCE
from deribit_pipeline.exchange.rpc import Answer, Rpc
from deribit_pipeline.exchange.transport import Bounds, Call, Root

Limits = Callable[[LimitedMethod], tuple[RateLimiter, Bounds]]
"""Creates the rate limiter and the response bounds of a method with limits of its own."""

TIMEOUT = 30.0
"""Seconds to wait for a whole response, as Deribit recommends."""

# If opening a connection takes 10 s, the connection is too slow to be useful.
_CONNECTING = 10.0


class DeribitClient:
    """Calls any method, and defines those that belong to no dataset. Each raises a DeribitError.

    `limits` creates the rate limiter and the response bounds of a method with limits of its own;
    without it, all methods share the common ones.
    """

    def __init__(self, rpc: Rpc, limits: Limits | None = None) -> None:
        self.rpc = rpc
        self._limits = limits

    async def call(
        self,
        parser: Callable[[object], Parsed],
        method: str | LimitedMethod | DecodedMethod,
        /,
        **params: object,
    ) -> ParsedResponse[Parsed]:
        """Call a method and parse its result; parameters that are None are omitted, as the exchange
        requires."""
        answer = await self.answer(method, **params)
        name = method if isinstance(method, str) else method.name
        given = {key: value for key, value in params.items() if value is not None}
        return ParsedResponse(
            parsed(answer.result, parser, name, **given), answer.as_of, answer.stamp
        )

    async def answer(
        self, method: str | LimitedMethod | DecodedMethod, /, **params: object
    ) -> Answer:
        """As `call`, with the response as it was received."""
        if isinstance(method, LimitedMethod) and self._limits is not None:
            self.rpc.limit(method.name, functools.partial(self._limits, method))
        given = {name: value for name, value in params.items() if value is not None}
        if isinstance(method, str):
            return await self.rpc.call(method, **given)
        decode = method.decode if isinstance(method, DecodedMethod) else None
        return await self.rpc.answer(Call(method.name, given, decode=decode))

    async def test(self) -> Answer:
        """`public/test`: `{version}`. Does not count against the rate limit; its latency is that of
        the network."""
        return await self.rpc.call("public/test")

    async def get_time(self) -> datetime:
        """`public/get_time`: the exchange's clock, to the millisecond."""
        method = "public/get_time"
        answer = await self.rpc.call(method)
        return parsed(answer.result, lambda ms: from_ms(shapes.milliseconds("time", ms)), method)

    async def status(self) -> str | None:
        """`public/status`: what is locked, `partial` or `true`; None if nothing is."""
        method = "public/status"
        answer = await self.rpc.call(method)
        return parsed(answer.result, responses.locked, method)

    async def get_instrument(self, instrument_name: str) -> Instrument:
        """`public/get_instrument`. Raises UnknownInstrument if it is not listed."""
        method = "public/get_instrument"
        answer = await self.rpc.call(method, instrument_name=instrument_name)
        instrument = parsed(
            answer.result, responses.instrument, method, instrument_name=instrument_name
        )
        if instrument.instrument_name != instrument_name:
            raise DeribitBadPayload(
                f"the response is for {instrument.instrument_name}",
                method=method,
                params={"instrument_name": instrument_name},
            )
        return instrument

    async def auth(self) -> Token:
        """`public/auth` with the client credentials. Other calls renew their token
        automatically."""
        return await self.rpc.authenticate()

    async def get_account_summary(self, currency: str) -> Answer:
        """`private/get_account_summary`: requires credentials with the scope `account:read`."""
        return await self.rpc.call("private/get_account_summary", currency=currency)


@asynccontextmanager
async def deribit_client(
    base_url: str,
    environment: Environment,
    *,
    requests_per_second: float,
    burst: int,
    concurrency: int,
    credentials: Credentials | None = None,
    timeout: float = TIMEOUT,
    patience: float = PATIENCE,
    host: str = "",
    buckets: TokenBuckets = file_bucket,
) -> AsyncIterator[DeribitClient]:
    """A client of the exchange at `base_url`, with as many kept connections as calls in flight.

    `host` distinguishes the hosts of the sandbox, which have separate rate limits; `history` is the
    archive host. A response must be complete within `timeout` seconds, unless the method has limits
    of its own. `buckets` store the state of the rate limit. Raises SettingsError if a configured
    proxy or certificates cannot be used.
    """
    # All users of the same state share one rate limit, although the exchange has one for each
    # address or account: neither the address that the exchange sees nor the account of a key is
    # known here. A local sandbox has another port each time, and yet shares its limit.
    source = f"{environment} {host}" if environment is Environment.SANDBOX else base_url
    pool = RateLimiter(buckets(source, "calls"), per_second=requests_per_second, burst=burst)

    def limits(method: LimitedMethod) -> tuple[RateLimiter, Bounds]:
        bucket = buckets(source, method.pool)
        own = RateLimiter(bucket, per_second=method.per_second, burst=method.burst)
        return own, Bounds(method.times_timeout * timeout, method.most_bytes)

    root = Root(base_url, is_archive=host == "history", proxy=proxy_of(base_url))
    connections = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    waits = httpx.Timeout(timeout, connect=min(timeout, _CONNECTING))
    async with http_client(base_url, root.proxy, timeout=waits, limits=connections) as http:
        yield DeribitClient(
            Rpc(
                http,
                is_testnet=environment is Environment.TESTNET,
                concurrency=concurrency,
                pools={"": pool},
                credentials=credentials,
                patience=patience,
                root=root,
                bounds={"": Bounds(timeout)},
            ),
            limits,
        )
