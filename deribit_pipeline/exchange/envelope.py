"""A response's JSON-RPC envelope: the request it belongs to, its result, or a typed error.

Follows https://docs.deribit.com/articles/json-rpc-overview; deviations seen in practice are noted
where they are handled. Pure: sends no request.
"""

from collections import deque
from datetime import datetime
from typing import Any

import orjson

from deribit_pipeline.domain.windows import from_us
from deribit_pipeline.errors import (
    DeribitBadPayload,
    DeribitError,
    DeribitRateLimited,
    DeribitRejected,
    DeribitUnavailable,
    UnknownInstrument,
    WrongCredentials,
    WrongEnvironment,
)
from deribit_pipeline.exchange import codes
from deribit_pipeline.exchange.transport import Call, Received, Root

Body = dict[str, Any]
"""An envelope: `result` or `error`, `testnet`, `usIn`, `usOut`, `usDiff`, and possibly `id`."""

Stamp = tuple[int, int]
"""`usIn` and `usOut` of a response, in microseconds. No two responses of a host share both, so a
response with the stamp of an earlier one is a copy of it."""

_REFUSING = frozenset({403, 451})
"""HTTP statuses with which a proxy or firewall refuses a request."""

_MOST_QUOTED = 200


def opened(received: Received, call: Call, root: Root) -> Body:
    """The envelope; its body is used whatever the HTTP status is. Raises a DeribitError."""
    if call.decode is not None and (usual := call.decode(received.content)) is not None:
        return usual
    try:
        body = orjson.loads(received.content)
    except orjson.JSONDecodeError as error:
        raise no_envelope(received, "the body was not JSON", call, root) from error
    if not isinstance(body, dict) or ("result" not in body and body.get("error") is None):
        what = "the body had neither `result` nor `error`"
        raise no_envelope(received, what, call, root)
    return body


def refuses_post(received: Received) -> bool:
    """Whether a non-JSON-RPC response may be a refusal of the POST method."""
    if received.status in (408, 429):
        return False
    is_page = received.content.lstrip()[:1] == b"<"
    return (
        300 <= received.status < 500
        or received.status == 501
        or (received.status < 300 and is_page)
    )


def correlated(
    body: Body, number: int, status: int, call: Call, root: Root
) -> DeribitUnavailable | None:
    """Check that an envelope answers the POST with this `id`; raises its error if the `id` is null.

    Raises DeribitUnavailable if it belongs to another request, and for transient refusals without
    an `id`, such as too_many_requests sent by a gateway in front of the exchange.
    """
    came = body.get("id")
    if type(came) is int and came == number:
        return None
    if came is not None:
        raise DeribitUnavailable(
            f"the response belongs to another request: its `id` is {_shown(came)}, not {number}",
            method=call.method,
            params=call.params,
        )
    reason = "the response does not state which request it belongs to: its `id` is null"
    if body.get("error") is not None:
        error = refusal(body, status, call, root)
        if isinstance(error, DeribitUnavailable):
            raise error
        reason = f"{reason}; {error.reason}"
    return DeribitUnavailable(reason, method=call.method, params=call.params)


def stamp_of(body: Body) -> Stamp | None:
    """`usIn` and `usOut`; None unless both are integer microseconds in ascending order."""
    came_in, left = body.get("usIn"), body.get("usOut")
    # bool is a subclass of int: a JSON true must not pass as a number.
    if not type(came_in) is type(left) is int or not 0 < came_in <= left:
        return None
    return came_in, left


def arrived_at(us_in: int, call: Call) -> datetime:
    """When the request arrived, by `usIn`. Raises DeribitBadPayload if that is no date."""
    try:
        return from_us(us_in)
    except OverflowError as error:
        raise DeribitBadPayload(
            f"`usIn` is outside the calendar: {us_in}", method=call.method, params=call.params
        ) from error


def result_of(
    body: Body, status: int, call: Call, root: Root, *, is_testnet: bool
) -> tuple[Any, Stamp]:
    """The result and its `usIn`/`usOut`. Raises a DeribitError: the exchange's own error, a
    response from another environment, or invalid timestamps."""
    if body.get("error") is not None:
        raise refusal(body, status, call, root)
    if body.get("testnet") is not is_testnet:
        raise WrongEnvironment(
            f"the response has testnet={_shown(body.get('testnet'))} where {is_testnet} was "
            f"expected: make DERIBIT_ENV and {root.variable} agree",
            method=call.method,
            params=call.params,
        )
    stamp = stamp_of(body)
    if stamp is None:
        raise DeribitBadPayload(
            "`usIn` and `usOut` must be microseconds in this order, were "
            f"{_shown(body.get('usIn'))} and {_shown(body.get('usOut'))}",
            method=call.method,
            params=call.params,
        )
    return body.get("result"), stamp


def refusal(body: Body, status: int, call: Call, root: Root) -> DeribitError:
    """The typed error for an envelope's `error`; secrets that it may echo are masked."""
    error, method, params = body["error"], call.method, call.params
    if not isinstance(error, dict) or type(error.get("code")) is not int:
        return no_envelope(Received(status, b"", 0, 0), "`error` had no `code`", call, root)
    code = error["code"]
    data = error.get("data")
    data = data if isinstance(data, dict) else {}
    named = [data[name] for name in ("param", "reason") if name in data]
    detail = " ".join(call.quoted(text, _MOST_QUOTED) for text in named)
    message = call.quoted(error.get("message"), _MOST_QUOTED)
    reason = f"{message} ({code})" + (f": {detail}" if detail else "")
    if code in codes.RATE_LIMITED or status == 429:
        return DeribitRateLimited(reason, method=method, params=params)
    if code in codes.PASSING or status >= 500:
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


class Stamps:
    """The most recent stamps of a host. Copies older than these are recognized by their time."""

    def __init__(self, most: int = 8_192) -> None:
        self._newest: deque[Stamp] = deque(maxlen=most)
        self._known: set[Stamp] = set()

    def is_new(self, stamp: Stamp) -> bool:
        """Whether no earlier response had this stamp; remembers it."""
        if stamp in self._known:
            return False
        if len(self._newest) == self._newest.maxlen:
            self._known.discard(self._newest[0])
        self._newest.append(stamp)
        self._known.add(stamp)
        return True


def _shown(value: object) -> str:
    """A value of a response that may contain a token: numbers, booleans and null as they are,
    otherwise only the type."""
    return repr(value) if isinstance(value, int | float | None) else type(value).__name__


def no_envelope(received: Received, what: str, call: Call, root: Root) -> DeribitError:
    """The typed error for a response that is not JSON-RPC, or opens no WebSocket; it may come from
    a proxy or firewall."""
    status, method, params = received.status, call.method, call.params
    reason = f"HTTP {status}, and {what}"
    if root.proxy:
        reason = f"{reason} (through {root.proxy})"
    if status == 429:
        return DeribitRateLimited(reason, method=method, params=params)
    if status >= 500 or status == 408 or 200 <= status < 300:
        return DeribitUnavailable(reason, method=method, params=params)
    if status in _REFUSING:
        reason = (
            f"{reason}: a firewall or proxy refuses this network or country access to {root.url}; "
            "ask who runs it, or use another network"
        )
    elif status == 407:
        reason = f"{reason}: the proxy needs a user and a password, as in http://user:password@…"
    else:
        reason = f"{reason}: is {root.variable} {_meant(root)}?"
    return DeribitRejected(reason, method=method, params=params)


def _meant(root: Root) -> str:
    return (
        "the address of Deribit's WebSocket" if root.is_websocket else "the root of Deribit's API"
    )
