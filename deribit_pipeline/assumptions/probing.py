"""Makes named requests through the client, once each, and keeps their outcomes."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime

from deribit_pipeline.assumptions.assumption import Response, Responses
from deribit_pipeline.errors import (
    DeribitBadPayload,
    DeribitError,
    DeribitRejected,
    DeribitUnavailable,
)
from deribit_pipeline.exchange.client import TIMEOUT, DeribitClient
from deribit_pipeline.exchange.posting import posted
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.exchange.transport import Call
from deribit_pipeline.exchange.websocket import SUBSCRIBE
from deribit_pipeline.exchange.websocket_probe import used_websocket

MAIN, ARCHIVE = "main host", "archive host"

POSTED_ID = 7_301
"""The id of a request over POST; the value is arbitrary."""

# A host is given up after this many consecutive requests without a response.
_FAILURES = 2


class Prober:
    """Makes requests to both hosts. `now` is the exchange's time before the first of them."""

    def __init__(self, exchange: Exchange, now: datetime) -> None:
        self.now = now
        self.responses = Responses({})
        self._clients = {MAIN: exchange.client, ARCHIVE: exchange.history}
        self._websocket = exchange.websocket
        self._failures = dict.fromkeys(self._clients, 0)

    async def request(self, name: str, method: str, *, host: str = MAIN, **params: object) -> None:
        """Call a method, with retries."""
        requested = Response(host, method, params)

        async def call(client: DeribitClient) -> Response:
            answer = await client.rpc.call(method, **params)
            return replace(requested, as_of=answer.as_of, result=answer.result)

        await self._keep(name, requested, call)

    async def post(self, name: str, method: str, *, host: str = MAIN, **params: object) -> None:
        """POST a JSON-RPC request; the result is the HTTP status and the whole body."""
        requested = Response(host, f"POST {method}", params)

        async def call(client: DeribitClient) -> Response:
            came = await posted(client, method, params, POSTED_ID)
            result = {"http_status": came.http_status, "body": came.body}
            return replace(requested, as_of=self.now, result=result)

        await self._keep(name, requested, call)

    async def subscribe(self, name: str, channels: Sequence[str]) -> None:
        """Request channels on a WebSocket; the result is the acknowledgement."""
        requested = Response(MAIN, SUBSCRIBE, {"channels": list(channels)})
        access = self._websocket
        if access is None:
            self.leave_out(name, "this environment has no WebSocket")
            return

        async def call() -> Response:
            subscribe = Call(SUBSCRIBE, requested.params)
            answer = await used_websocket(access, TIMEOUT, lambda socket: socket.call(subscribe))
            return replace(requested, as_of=answer.as_of, result=answer.result)

        self.responses.by_name[name] = await _outcome(requested, call())

    def leave_out(self, name: str, why: str) -> None:
        """Record why a request is not made."""
        self.responses.absent[name] = why

    async def _keep(
        self, name: str, requested: Response, call: Callable[[DeribitClient], Awaitable[Response]]
    ) -> None:
        client = self._clients[requested.host]
        if client is None:
            self.leave_out(name, f"this environment has no {requested.host}")
        elif self._failures[requested.host] >= _FAILURES:
            self.leave_out(name, f"the {requested.host} does not respond")
        else:
            response = await _outcome(requested, call(client))
            is_failure = response.is_unreachable
            self._failures[requested.host] = self._failures[requested.host] + 1 if is_failure else 0
            self.responses.by_name[name] = response


async def _outcome(requested: Response, called: Awaitable[Response]) -> Response:
    try:
        return await called
    except DeribitUnavailable as error:
        return replace(requested, failure=error.summary, is_unreachable=True)
    except DeribitRejected as error:
        return replace(requested, code=error.code, message=error.reason)
    except DeribitBadPayload as error:
        return replace(requested, malformed=error.summary)
    except DeribitError as error:
        return replace(requested, failure=error.summary)
