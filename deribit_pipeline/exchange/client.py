"""The exchange's methods in our words. Those of a dataset stand in its folder."""

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
from deribit_pipeline.exchange.methods import LimitedMethod, Parsed, ParsedResponse, parsed
from deribit_pipeline.exchange.proxies import http_client, proxy_of
from deribit_pipeline.exchange.rate_limiter import RateLimiter, TokenBuckets, file_bucket
from deribit_pipeline.exchange.retries import PATIENCE
from deribit_pipeline.exchange.rpc import Answer, Rpc
from deribit_pipeline.exchange.transport import Bounds, Root

Limits = Callable[[LimitedMethod], tuple[RateLimiter, Bounds]]
"""Makes the pool and the bounds of a method that has its own."""

TIMEOUT = 30.0
"""Seconds to wait for a whole answer, as Deribit recommends."""

# A connection that takes 10 s to open will not carry candles either.
_CONNECTING = 10.0


class DeribitClient:
    """Calls any method, and has those that are of no dataset. Each raises a DeribitError.

    `limits` makes the pool and the bounds of a method that has its own; without it, all methods
    share the common ones.
    """

    def __init__(self, rpc: Rpc, limits: Limits | None = None) -> None:
        self.rpc = rpc
        self._limits = limits

    async def call(
        self,
        parser: Callable[[object], Parsed],
        method: str | LimitedMethod,
        /,
        **params: object,
    ) -> ParsedResponse[Parsed]:
        """Call a method and parse its result; parameters that are None are left out, as the
        exchange wants it."""
        if isinstance(method, LimitedMethod):
            if self._limits is not None:
                self.rpc.limit(method.name, functools.partial(self._limits, method))
            method = method.name
        given = {name: value for name, value in params.items() if value is not None}
        answer = await self.rpc.call(method, **given)
        return ParsedResponse(
            parsed(answer.result, parser, method, **given), answer.as_of, answer.stamp
        )

    async def test(self) -> Answer:
        """`public/test`: `{version}`. Costs the exchange nothing; its latency is the network's."""
        return await self.rpc.call("public/test")

    async def get_time(self) -> datetime:
        """`public/get_time`: the exchange's clock, to the millisecond."""
        method = "public/get_time"
        answer = await self.rpc.call(method)
        return parsed(answer.result, lambda ms: from_ms(shapes.milliseconds("time", ms)), method)

    async def status(self) -> str | None:
        """`public/status`: what is locked, `partial` or `true`; None while all is open."""
        method = "public/status"
        answer = await self.rpc.call(method)
        return parsed(answer.result, responses.locked, method)

    async def get_instrument(self, instrument_name: str) -> Instrument:
        """`public/get_instrument`. Raises UnknownInstrument for what is not listed."""
        method = "public/get_instrument"
        answer = await self.rpc.call(method, instrument_name=instrument_name)
        instrument = parsed(
            answer.result, responses.instrument, method, instrument_name=instrument_name
        )
        if instrument.instrument_name != instrument_name:
            raise DeribitBadPayload(
                f"the answer is for {instrument.instrument_name}",
                method=method,
                params={"instrument_name": instrument_name},
            )
        return instrument

    async def auth(self) -> Token:
        """`public/auth` with the client credentials. Other calls renew their token themselves."""
        return await self.rpc.authenticate()

    async def get_account_summary(self, currency: str) -> Answer:
        """`private/get_account_summary`: needs credentials with the scope `account:read`."""
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

    `host` tells the sandbox's hosts apart, which are metered apart; `history` is the archive. A
    response must be there within `timeout` seconds, unless the method has limits of its own.
    `meters` keep the rate limit. Raises SettingsError where a proxy or certificates are named that
    cannot be used.
    """
    # All who share the meters share one pool, although the exchange has one for each address or
    # account: no caller knows the address that the exchange sees, nor whose account a key opens.
    # A sandbox of one's own has another port each time, and shares its limit all the same.
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
