"""One JSON-RPC call over HTTP: rate limit, authentication, retries, the exchange's time, typed
errors.

Independent of what the methods mean. How a response is matched to its request: see `http_requests`.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import httpx

from deribit_pipeline.errors import (
    DeribitBadPayload,
    DeribitError,
    DeribitRateLimited,
    DeribitRejected,
    DeribitUnavailable,
    RateLimiterUnavailable,
)
from deribit_pipeline.exchange import codes, envelope, responses
from deribit_pipeline.exchange.auth import SCOPE, Credentials, Token, TokenKeeper, warn_of_writes
from deribit_pipeline.exchange.envelope import Body, Stamp
from deribit_pipeline.exchange.exchange_clock import ExchangeClock, Fit, Reading, Witness
from deribit_pipeline.exchange.first_contact import FirstContact
from deribit_pipeline.exchange.http_requests import Attempts, Requests, UnusablePost
from deribit_pipeline.exchange.rate_limiter import RateLimiter, RateLimitUnreachable
from deribit_pipeline.exchange.retries import PATIENCE, Retries
from deribit_pipeline.exchange.transport import Bounds, Call, Received, Root, received

logger = logging.getLogger(__name__)

# Seconds that every process pauses after a rate-limit refusal: Deribit states no wait. In one
# second the pool refills by 20 requests.
_RATE_LIMIT_PAUSE = 1.0

AUTH, TIME = "public/auth", "public/get_time"


@dataclass(frozen=True, slots=True)
class Answer:
    """A `result`, the exchange's time when the request arrived (`usIn`), and the seconds it took.

    The response was built between `usIn` and `usOut`: only rows that were over at `usIn` are
    certainly complete in it. `as_of` is `usIn` to the microsecond, or earlier if that is in doubt
    (see `exchange_clock`). `stamp` is `usIn` and `usOut` as received, in microseconds: two
    responses of a host with equal stamps are the same response. `body` is the response as received.
    """

    result: Any
    as_of: datetime
    latency: float
    http_status: int
    stamp: Stamp
    body: bytes = field(repr=False)


class Rpc:
    """Calls methods of one exchange, with at most `concurrency` requests in flight.

    `pools` holds the rate limiters by method, and `bounds` the maximum duration and size of a
    response; the entry "" serves every method without its own. `is_testnet` is the `testnet` flag
    that each response must have. `ids` yields request ids, which no other client should use.
    `requests` counts requests sent. `as_of` is the exchange's time in the newest response; None
    before the first.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        *,
        is_testnet: bool,
        concurrency: int,
        pools: Mapping[str, RateLimiter],
        credentials: Credentials | None = None,
        patience: float = PATIENCE,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        root: Root | None = None,
        bounds: Mapping[str, Bounds] | None = None,
        ids: Iterator[int] | None = None,
        clock: ExchangeClock | None = None,
    ) -> None:
        self._http = http
        self._root = root or Root(str(http.base_url).rstrip("/"))
        self._is_testnet = is_testnet
        self.concurrency = concurrency
        self._slots = asyncio.Semaphore(concurrency)
        self._pools = dict(pools)
        self._bounds = {"": Bounds(), **(bounds or {})}
        self._credentials = credentials
        self._tokens = TokenKeeper(self.authenticate) if credentials else None
        self._sleep = sleep
        self._first_contact = FirstContact(self._root)
        self._retries = Retries(patience, self._first_contact)
        self._requests = Requests(http, self._root, self._sent, ids)
        self._clock = clock or ExchangeClock()
        self.requests: Counter[str] = Counter()
        self.as_of: datetime | None = None
        self._warned_of_clock = False

    async def call(self, method: str, **params: object) -> Answer:
        """Call `method`, with retries of transient failures. Raises a DeribitError, the last one
        met."""
        return await self.answer(Call(method, params))

    async def answer(self, call: Call) -> Answer:
        """The answer to a call, with retries as in `call`."""
        attempts = Attempts(call)
        return await self._retries.run(lambda: self._authorized(attempts), self._sleep)

    def limit(self, method: str, made: Callable[[], tuple[RateLimiter, Bounds]]) -> None:
        """Set the pool and the bounds of a method to those of `made`, if it has none yet."""
        if method not in self._pools:
            self._pools[method], self._bounds[method] = made()

    async def authenticate(self) -> Token:
        """Request an access token. The credentials travel in a body, because URLs are logged."""
        key = self._credentials
        if key is None:
            raise DeribitRejected(codes.REMEDIES[10000], method=AUTH, params={})
        params = {"grant_type": "client_credentials", "scope": SCOPE}
        call = Call(AUTH, params, (key.client_secret,))
        secret = {"client_id": key.client_id, "client_secret": key.client_secret}
        async with self._slowing(call):
            try:
                response, body = await self._requests.by_post(call, None, secret)
            except UnusablePost as refused:
                raise refused.error from refused
            granted, _ = self._result(response, body, call)
        try:
            token = responses.grant(granted)
        except ValueError as error:
            raise DeribitBadPayload(str(error), method=AUTH, params=params) from error
        warn_of_writes(token)
        return token

    async def _authorized(self, attempts: Attempts) -> Answer:
        if self._tokens is None:
            return await self._got(attempts, None)
        token = await self._tokens.token()
        try:
            return await self._got(attempts, token)
        except DeribitRejected as error:
            if error.code != codes.UNAUTHORIZED:
                raise
            self._tokens.discard(token)
            return await self._got(attempts, await self._tokens.token())

    async def _got(self, attempts: Attempts, token: Token | None) -> Answer:
        if token is not None and self._credentials is not None:
            hidden = (token.access_token, self._credentials.client_secret)
            attempts.call = replace(attempts.call, secrets=hidden)
        async with self._slowing(attempts.call):
            response, body = await self._requests.exchanged(attempts, token)
            result, stamp = self._result(response, body, attempts.call)
        envelope.arrived_at(stamp[0], attempts.call)
        us_in = await self._trusted_time(stamp[0], response, attempts)
        as_of = envelope.arrived_at(us_in, attempts.call)
        self._first_contact.has_answered, self.as_of = True, as_of
        latency = response.came_at - response.sent_at
        return Answer(result, as_of, latency, response.status, stamp, response.content)

    async def _sent(self, request: httpx.Request, call: Call) -> Received:
        """Send a request once the rate limit allows it, and wait for its whole response."""
        pool = self._pools.get(call.method, self._pools[""])
        bounds = self._bounds.get(call.method, self._bounds[""])
        try:
            async with self._slots:
                wait = await pool.acquire()
                if wait > 0:
                    await self._sleep(wait)
                self.requests[call.method] += 1
                with self._first_contact.waiting():
                    return await received(self._http, request, call, self._root, bounds)
        except RateLimitUnreachable as error:
            raise RateLimiterUnavailable(
                f"nothing was sent: {error}", method=call.method, params=call.params
            ) from error

    def _result(self, response: Received, body: Body, call: Call) -> tuple[Any, Stamp]:
        return envelope.result_of(
            body, response.status, call, self._root, is_testnet=self._is_testnet
        )

    async def _trusted_time(self, us_in: int, response: Received, attempts: Attempts) -> int:
        """`usIn` in microseconds, or an earlier time if it is in doubt: see `exchange_clock`.
        Raises DeribitUnavailable if the request must be repeated."""
        reading = Reading(us_in, response.sent_at, response.came_at)
        fit = await self._clock.settled(reading, self._witness)
        if fit is Fit.WELL:
            return us_in
        call, latest = attempts.call, self._clock.latest(response.came_at)
        apart = abs(us_in - latest) / 1e6
        if fit is Fit.BEHIND or not (attempts.had_doubtful_time or self._warned_of_clock):
            attempts.had_doubtful_time = True
            attempts.had_copy |= fit is Fit.BEHIND
            raise DeribitUnavailable(
                f"the response's time (`usIn` {us_in}) is {apart:,.0f} s {fit} the exchange's, as "
                f"earlier responses or this machine's clock show it, and {TIME} does not "
                "confirm it",
                method=call.method,
                params=call.params,
            )
        if not self._warned_of_clock:
            self._warned_of_clock = True
            logger.warning(
                "Responses of %s have a time that is %s s ahead of what can be confirmed: rows "
                "that are over only by that time stay open",
                self._root,
                f"{apart:,.0f}",
            )
        return min(us_in, latest)

    async def _witness(self) -> Witness | None:
        """The exchange's time by a second response; None if there is none."""
        attempts = Attempts(Call(TIME, {}), had_copy=True)
        try:
            response, body = await self._requests.exchanged(attempts, None)
        except DeribitError as error:
            logger.info("The exchange's time could not be confirmed: %s", error)
            return None
        stamp, result = envelope.stamp_of(body), body.get("result")
        if stamp is None or (body.get("error") is None and type(result) is not int):
            return None
        reading = Reading(stamp[0], response.sent_at, response.came_at)
        return Witness(reading, result if type(result) is int else None)

    @asynccontextmanager
    async def _slowing(self, call: Call) -> AsyncIterator[None]:
        """Pause all processes that share the rate limit if a response in the block reports that it
        is exceeded."""
        try:
            yield
        except DeribitRateLimited:
            # If the limiter's state is unreachable, no retry is sent either: longer than a pause.
            with suppress(RateLimitUnreachable):
                await self._pools.get(call.method, self._pools[""]).drain(_RATE_LIMIT_PAUSE)
            raise
