"""How a method is requested, and how a response is matched to its request.

A request is a POST with an `id` that must come back (assumption:post-id): caches do not answer a
POST, and a response to another request is recognized. A host that does not accept POST or does not
return the `id` is requested over GET (assumption:post-id-archive), with a URL that no cache holds.
Such a response does not state what was requested, but a copy of an earlier one is recognized by its
times (see `envelope.Stamp`) and requested again.
"""

import asyncio
import itertools
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass

import httpx
import orjson

from deribit_pipeline.errors import DeribitError, DeribitRejected, DeribitUnavailable
from deribit_pipeline.exchange import envelope
from deribit_pipeline.exchange.auth import Token
from deribit_pipeline.exchange.envelope import Body, Stamps
from deribit_pipeline.exchange.transport import Call, Received, Root

logger = logging.getLogger(__name__)

# How many POSTs a host may refuse before only GET is used: a single refusal may be transient. For
# the archive host it is expected.
_REFUSALS, _REFUSALS_OF_ARCHIVE = 2, 1

Send = Callable[[httpx.Request, Call], Awaitable[Received]]
"""Sends a request once the rate limit allows it and waits for the whole response. Raises a
DeribitError."""


class UnusablePost(Exception):
    """The host does not accept POST, or its response does not state which request it answers.
    `error` is the resulting error; `answered` the response if it is a JSON-RPC response
    nevertheless."""

    def __init__(self, error: DeribitError, answered: tuple[Received, Body] | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.answered = answered


@dataclass(slots=True)
class Attempts:
    """State shared by the attempts at one call."""

    call: Call
    # A copy of another response was received: the next request must have another URL.
    had_copy: bool = False
    # A response's time did not fit the estimate of the exchange's clock.
    had_doubtful_time: bool = False


class Requests:
    """Requests to one host. `ids` yields the request ids, which no other client should use: by
    default they start at a random number."""

    def __init__(
        self, http: httpx.AsyncClient, root: Root, send: Send, ids: Iterator[int] | None = None
    ) -> None:
        self._http, self._root, self._send = http, root, send
        self._ids = ids or itertools.count(secrets.randbits(48))
        self._stamps = Stamps()
        self._more_posts = _REFUSALS_OF_ARCHIVE if root.is_archive else _REFUSALS
        self._first_is_over: asyncio.Event | None = None
        self._is_correlated = self._has_answered = self._has_logged = False

    async def exchanged(self, attempts: Attempts, token: Token | None) -> tuple[Received, Body]:
        """A response to this call and no other, as far as the host makes that verifiable."""
        if self._first_is_over is not None:
            # The first call detects whether the host accepts POST, so that the others need not.
            await self._first_is_over.wait()
            return await self._by_either(attempts, token)
        self._first_is_over = asyncio.Event()
        try:
            return await self._by_either(attempts, token)
        finally:
            self._first_is_over.set()

    async def _by_either(self, attempts: Attempts, token: Token | None) -> tuple[Received, Body]:
        if not self._is_correlated and self._more_posts <= 0:
            return await self._by_get(attempts, token)
        try:
            return await self.by_post(attempts.call, token)
        except UnusablePost as error:
            if self._is_correlated:
                raise error.error from error
            refused = error
        # A response without an id is as trustworthy as a response to a GET.
        if refused.answered is None:
            answered = await self._by_get(attempts, token)
        else:
            answered = self._no_copy(*refused.answered, attempts)
        self._more_posts -= 1
        self._say(refused.error.reason)
        return answered

    async def by_post(
        self, call: Call, token: Token | None, beside: Mapping[str, str] | None = None
    ) -> tuple[Received, Body]:
        """The response with the request's own `id`; `beside` are parameters that never appear in
        errors. Raises UnusablePost, or a DeribitError."""
        number = next(self._ids)
        params = {**call.params, **(beside or {})}
        content = {"jsonrpc": "2.0", "id": number, "method": call.method, "params": params}
        request = self._http.build_request(
            "POST",
            self._root.url,
            content=orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY),
            headers={"Content-Type": "application/json", **_authorization(token)},
        )
        response = await self._send(request, call)
        try:
            body = self._opened(response, call)
        except DeribitError as error:
            if envelope.refuses_post(response):
                raise UnusablePost(error) from error
            raise
        uncorrelated = envelope.correlated(body, number, response.status, call, self._root)
        if uncorrelated is not None:
            raise UnusablePost(uncorrelated, (response, body))
        self._is_correlated = True
        return response, body

    async def _by_get(self, attempts: Attempts, token: Token | None) -> tuple[Received, Body]:
        call = attempts.call
        query = {name: _query_value(value) for name, value in call.params.items()}
        # The exchange ignores unknown parameters. For the archive host that is not documented, so
        # it receives one only after a copy was received.
        if attempts.had_copy or not self._root.is_archive:
            query["nocache"] = str(next(self._ids))
        headers = {"Cache-Control": "no-cache", **_authorization(token)}
        request = self._http.build_request("GET", call.method, params=query, headers=headers)
        response = await self._send(request, call)
        return self._no_copy(response, self._opened(response, call), attempts)

    def _no_copy(self, response: Received, body: Body, attempts: Attempts) -> tuple[Received, Body]:
        """The response; raises DeribitUnavailable if it is a copy of an earlier one."""
        call, stamp = attempts.call, envelope.stamp_of(body)
        if stamp is not None and not self._stamps.is_new(stamp):
            attempts.had_copy = True
            raise DeribitUnavailable(
                f"the response is a copy of an earlier one (`usIn` {stamp[0]}, `usOut` "
                f"{stamp[1]}), which a cache between here and {self._root} keeps",
                method=call.method,
                params=call.params,
            )
        return response, body

    def _opened(self, response: Received, call: Call) -> Body:
        """The envelope. A non-JSON page from a host that has answered before is treated as
        transient."""
        try:
            body = envelope.opened(response, call, self._root)
        except DeribitRejected as error:
            if not self._has_answered:
                raise
            raise DeribitUnavailable(
                error.reason, method=call.method, params=call.params
            ) from error
        self._has_answered = True
        return body

    def _say(self, reason: str) -> None:
        """Log once that the host is requested over GET; for the archive host that is expected."""
        level = logging.INFO if self._root.is_archive else logging.WARNING
        if not self._has_logged:
            logger.log(
                level,
                "%s is requested over GET, because it does not answer JSON-RPC over POST with the "
                "id of the request (%s): copies of other responses are then recognized by their "
                "times",
                self._root,
                reason,
            )
        self._has_logged = True


def _authorization(token: Token | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token.access_token}"} if token else {}


def _query_value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
