"""One JSON-RPC call over HTTP: pacing, retries, the envelope, typed errors.

Knows nothing of what the methods mean. The envelope and the errors are as in
https://docs.deribit.com/articles/json-rpc-overview; what differs in practice is said beside it.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx
import orjson
import tenacity

from deribit_pipeline.deribit import codes, parse
from deribit_pipeline.deribit.auth import SCOPE, Credentials, Token, TokenKeeper, warn_of_writes
from deribit_pipeline.deribit.credits import Credits, MeterUnreachable
from deribit_pipeline.domain import from_ms
from deribit_pipeline.errors import (
    CreditsUnavailable,
    DeribitBadPayload,
    DeribitError,
    DeribitRateLimited,
    DeribitRejected,
    DeribitUnavailable,
    UnknownInstrument,
    WrongCredentials,
    WrongEnvironment,
)

logger = logging.getLogger(__name__)

PATIENCE = 60.0
"""Seconds after which a request that keeps failing is given up."""

FIRST_PATIENCE = 15.0
"""The same before the exchange has answered anything at all."""

# How long every process rests after a refusal for want of credits: Deribit states no wait. In a
# second the pool refills by 20 calls.
_RATE_LIMIT_PAUSE = 1.0

AUTH = "public/auth"


@dataclass(frozen=True, slots=True)
class Answer:
    """A `result`, the exchange's clock when the request came in (`usIn`), and the seconds it took.

    The answer was put together between `usIn` and `usOut`: only what was over at `usIn` is over in
    it for sure.
    """

    result: Any
    as_of: datetime
    latency: float
    http_status: int


class Rpc:
    """Calls methods of one exchange. At most `concurrency` requests are in flight.

    `pools` holds the credits by method; the entry "" serves every method without its own.
    `is_testnet` is what each answer must say of itself. `requests` counts what was sent.
    `as_of` is the exchange's clock in the newest answer; None before the first.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        *,
        is_testnet: bool,
        concurrency: int,
        pools: Mapping[str, Credits],
        credentials: Credentials | None = None,
        patience: float = PATIENCE,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._http = http
        self._is_testnet = is_testnet
        self.concurrency = concurrency
        self._slots = asyncio.Semaphore(concurrency)
        self._pools = pools
        self._credentials = credentials
        self._tokens = TokenKeeper(self.authenticate) if credentials else None
        self._patience = patience
        self._sleep = sleep
        self.requests: Counter[str] = Counter()
        self.as_of: datetime | None = None
        self._warned_at = -1.0

    async def call(self, method: str, **params: object) -> Answer:
        """Call `method`, again while that may help. Raises a DeribitError, the last one met."""
        failing_since: float | None = None

        def is_hopeless(state: tenacity.RetryCallState) -> bool:
            # Counted from the first failure: waiting for credits is no sign of an outage.
            nonlocal failing_since
            now = time.monotonic()
            failing_since = failing_since if failing_since is not None else now
            patience = self._patience
            if self.as_of is None:  # nothing has ever answered: the address may be wrong
                patience = min(patience, FIRST_PATIENCE)
            return now + state.upcoming_sleep > failing_since + patience

        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(DeribitUnavailable),
            stop=is_hopeless,
            wait=tenacity.wait_exponential_jitter(multiplier=0.25, max=8.0, jitter=0.5),
            sleep=self._sleep,
            before_sleep=self._log_retry,
            reraise=True,
        )
        try:
            return await retrying(self._authorized, method, params)
        except DeribitUnavailable as error:
            tries = retrying.statistics["attempt_number"]
            raise type(error)(
                f"{error.reason} (given up after {tries} tries)",
                method=method,
                params=params,
            ) from error

    def _log_retry(self, state: tenacity.RetryCallState) -> None:
        """Warn, but once a second: when one request in flight fails, the others do too."""
        error = state.outcome.exception() if state.outcome else None
        wait = state.next_action.sleep if state.next_action else 0.0
        now = time.monotonic()
        level = logging.WARNING if now - self._warned_at >= 1.0 else logging.DEBUG
        if level == logging.WARNING:
            self._warned_at = now
        logger.log(level, "%s; trying again in %.1f s", error, wait)

    async def authenticate(self) -> Token:
        """Ask for an access token. The credentials travel in a body, for a URL is logged."""
        if self._credentials is None:
            raise DeribitRejected(codes.REMEDIES[10000], method=AUTH, params={})
        params = {"grant_type": "client_credentials", "scope": SCOPE}
        secret = {
            "client_id": self._credentials.client_id,
            "client_secret": self._credentials.client_secret,
        }
        request = self._http.build_request(
            "POST",
            AUTH,
            json={"jsonrpc": "2.0", "id": 1, "method": AUTH, "params": params | secret},
        )
        granted = (await self._sent(request, AUTH, params)).result
        try:
            token = parse.grant(granted)
        except ValueError as error:
            raise DeribitBadPayload(str(error), method=AUTH, params=params) from error
        warn_of_writes(token)
        return token

    async def _authorized(self, method: str, params: Mapping[str, object]) -> Answer:
        if self._tokens is None:
            return await self._got(method, params, None)
        token = await self._tokens.token()
        try:
            return await self._got(method, params, token)
        except DeribitRejected as error:
            if error.code != codes.UNAUTHORIZED:
                raise
            self._tokens.forget(token)
            return await self._got(method, params, await self._tokens.token())

    async def _got(self, method: str, params: Mapping[str, object], token: Token | None) -> Answer:
        headers = {"Authorization": f"Bearer {token.access_token}"} if token else {}
        query = {name: _query_value(value) for name, value in params.items()}
        request = self._http.build_request("GET", method, params=query, headers=headers)
        return await self._sent(request, method, params)

    async def _sent(
        self, request: httpx.Request, method: str, params: Mapping[str, object]
    ) -> Answer:
        pool = self._pools.get(method, self._pools[""])
        try:
            async with self._slots:
                wait = await pool.take()
                if wait > 0:
                    await self._sleep(wait)
                self.requests[method] += 1
                sent_at = time.perf_counter()
                response = await self._http.send(request)
                latency = time.perf_counter() - sent_at
            return self._read(response, latency, method, params)
        except httpx.RequestError as error:
            reason = f"{self._http.base_url} cannot be reached: {_network_reason(error)}"
            raise DeribitUnavailable(reason, method=method, params=params) from error
        except MeterUnreachable as error:
            raise CreditsUnavailable(
                f"nothing was sent, for {error}", method=method, params=params
            ) from error
        except DeribitRateLimited:
            # A meter that is out of reach stops whoever tries again, which is more than a pause.
            with suppress(MeterUnreachable):
                await pool.exhaust(_RATE_LIMIT_PAUSE)
            raise

    def _read(
        self, response: httpx.Response, latency: float, method: str, params: Mapping[str, object]
    ) -> Answer:
        """The answer of `response`, whose body counts whatever its HTTP status is."""
        try:
            body = orjson.loads(response.content)
        except orjson.JSONDecodeError as error:
            raise _not_an_envelope(response, "the body was not JSON", method, params) from error
        if not isinstance(body, dict) or ("result" not in body and body.get("error") is None):
            raise _not_an_envelope(
                response, "the body had neither `result` nor `error`", method, params
            )
        if body.get("error") is not None:
            token = response.request.headers.get("Authorization", "").removeprefix("Bearer ")
            secrets = [token, self._credentials.client_secret if self._credentials else ""]
            raise _refusal(_without(secrets, body["error"]), response, method, params)
        if body.get("testnet") is not self._is_testnet:
            raise WrongEnvironment(
                f"the answer says testnet={_shown(body.get('testnet'))} where {self._is_testnet} "
                "was expected: make DERIBIT_ENV and DERIBIT_BASE_URL agree",
                method=method,
                params=params,
            )
        came_in, left = body.get("usIn"), body.get("usOut")
        # A JSON true is an int to Python.
        if not type(came_in) is type(left) is int or not 0 < came_in <= left:
            raise DeribitBadPayload(
                "`usIn` and `usOut` must be microseconds in this order, were "
                f"{_shown(came_in)} and {_shown(left)}",
                method=method,
                params=params,
            )
        try:
            as_of = from_ms(0) + timedelta(microseconds=came_in)
        except OverflowError as error:
            raise DeribitBadPayload(
                f"`usIn` is beyond all calendars: {came_in}", method=method, params=params
            ) from error
        self.as_of = as_of
        return Answer(body.get("result"), as_of, latency, response.status_code)


def _without(secrets: Collection[str], said: Any) -> Any:
    """What the exchange, or something before it, said: it may repeat what it was sent."""
    if isinstance(said, dict):
        return {name: _without(secrets, value) for name, value in said.items()}
    if isinstance(said, list):
        return [_without(secrets, value) for value in said]
    if isinstance(said, str):
        for secret in filter(None, secrets):
            said = said.replace(secret, "…")
    return said


def _shown(value: object) -> str:
    """A value of an answer that may hold a token: numbers and the like, of the rest its type."""
    return repr(value) if isinstance(value, int | float | None) else type(value).__name__


def _query_value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _network_reason(error: httpx.RequestError) -> str:
    if isinstance(error, httpx.TimeoutException):
        return f"no answer in time ({type(error).__name__})"
    return str(error) or type(error).__name__


def _not_an_envelope(
    response: httpx.Response, what: str, method: str, params: Mapping[str, object]
) -> DeribitError:
    """Which error an answer outside the protocol is: what answered may not be the exchange."""
    reason = f"HTTP {response.status_code}, and {what}"
    if response.status_code == 429:
        return DeribitRateLimited(reason, method=method, params=params)
    if response.status_code >= 500 or response.status_code == 408 or response.is_success:
        return DeribitUnavailable(reason, method=method, params=params)
    return DeribitRejected(
        f"{reason}: is DERIBIT_BASE_URL the root of Deribit's API?", method=method, params=params
    )


def _refusal(
    error: object, response: httpx.Response, method: str, params: Mapping[str, object]
) -> DeribitError:
    """The typed error of a JSON-RPC `error` object."""
    if not isinstance(error, dict) or type(error.get("code")) is not int:
        return _not_an_envelope(response, "`error` had no `code`", method, params)
    code = error["code"]
    data = error.get("data")
    data = data if isinstance(data, dict) else {}
    detail = " ".join(str(data[name]) for name in ("param", "reason") if name in data)
    reason = f"{error.get('message')} ({code})" + (f": {detail}" if detail else "")
    if code in codes.RATE_LIMITED or response.status_code == 429:
        return DeribitRateLimited(reason, method=method, params=params)
    if code in codes.PASSING or response.status_code >= 500:
        return DeribitUnavailable(reason, method=method, params=params)
    if code == codes.INVALID_CREDENTIALS:
        return WrongCredentials(
            f"{reason}; {codes.REMEDIES[code]}", method=method, params=params, code=code
        )
    if "instrument_name" in params and (
        code == codes.NOT_FOUND
        or (code == codes.INVALID_PARAMS and data.get("param") == "instrument_name")
    ):
        return UnknownInstrument(reason, method=method, params=params, code=code)
    if code in codes.REMEDIES:
        reason = f"{reason}; {codes.REMEDIES[code]}"
    return DeribitRejected(reason, method=method, params=params, code=code)
