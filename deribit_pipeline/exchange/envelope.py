"""A response's JSON-RPC envelope: which request it answers, the result, or a typed error.

As in https://docs.deribit.com/articles/json-rpc-overview; what differs in practice is said beside
it. Pure: nothing is sent here.
"""

from collections import deque
from typing import Any

import orjson

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
"""An envelope: `result` or `error`, `testnet`, `usIn`, `usOut`, `usDiff`, and maybe an `id`."""

Stamp = tuple[int, int]
"""`usIn` and `usOut` of a response, in microseconds: no two responses of a host have both in
common, so one that does is a copy."""

_REFUSING = frozenset({403, 451})
"""HTTP statuses with which something on the way refuses to let a request pass."""

_MOST_QUOTED = 200


def opened(received: Received, call: Call, root: Root) -> Body:
    """The envelope, whose body counts whatever its HTTP status is. Raises a DeribitError."""
    try:
        body = orjson.loads(received.content)
    except orjson.JSONDecodeError as error:
        raise _no_envelope(received, "the body was not JSON", call, root) from error
    if not isinstance(body, dict) or ("result" not in body and body.get("error") is None):
        what = "the body had neither `result` nor `error`"
        raise _no_envelope(received, what, call, root)
    return body


def refuses_post(received: Received) -> bool:
    """Whether a response outside the protocol may be there because the request was a POST."""
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
    """Check that an envelope answers the POST with this `id`; an error where its `id` is null.

    Raises DeribitUnavailable where it answers another, and where it is a refusal that passes and
    needs none, such as too_many_requests from something before the exchange.
    """
    came = body.get("id")
    if type(came) is int and came == number:
        return None
    if came is not None:
        raise DeribitUnavailable(
            f"the response belongs to another request: its `id` is {call.said(came, 40)}, "
            f"not {number}",
            method=call.method,
            params=call.params,
        )
    reason = "the response does not say which request it belongs to: its `id` is null"
    if body.get("error") is not None:
        error = refusal(body, status, call, root)
        if isinstance(error, DeribitUnavailable):
            raise error
        reason = f"{reason}; {error.reason}"
    return DeribitUnavailable(reason, method=call.method, params=call.params)


def stamp_of(body: Body) -> Stamp | None:
    """`usIn` and `usOut`; None where they are not microseconds in this order."""
    came_in, left = body.get("usIn"), body.get("usOut")
    # A JSON true is an int to Python.
    if not type(came_in) is type(left) is int or not 0 < came_in <= left:
        return None
    return came_in, left


def result_of(
    body: Body, status: int, call: Call, root: Root, *, is_testnet: bool
) -> tuple[Any, Stamp]:
    """The result and when it was made. Raises a DeribitError: the exchange's own, or for another
    environment or times that are none."""
    if body.get("error") is not None:
        raise refusal(body, status, call, root)
    if body.get("testnet") is not is_testnet:
        raise WrongEnvironment(
            f"the answer says testnet={_shown(body.get('testnet'))} where {is_testnet} was "
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
    """The typed error of an envelope's `error`, which may repeat what was sent."""
    error, method, params = body["error"], call.method, call.params
    if not isinstance(error, dict) or type(error.get("code")) is not int:
        return _no_envelope(Received(status, b"", 0, 0), "`error` had no `code`", call, root)
    code = error["code"]
    data = error.get("data")
    data = data if isinstance(data, dict) else {}
    named = [data[name] for name in ("param", "reason") if name in data]
    detail = " ".join(call.said(text, _MOST_QUOTED) for text in named)
    said = call.said(error.get("message"), _MOST_QUOTED)
    reason = f"{said} ({code})" + (f": {detail}" if detail else "")
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
    """The newest stamps of a host. An older copy than they reach shows by its time."""

    def __init__(self, most: int = 8_192) -> None:
        self._newest: deque[Stamp] = deque(maxlen=most)
        self._known: set[Stamp] = set()

    def is_new(self, stamp: Stamp) -> bool:
        """Whether no response had this stamp before; it is known from now on."""
        if stamp in self._known:
            return False
        if len(self._newest) == self._newest.maxlen:
            self._known.discard(self._newest[0])
        self._newest.append(stamp)
        self._known.add(stamp)
        return True


def _shown(value: object) -> str:
    """A value of an answer that may hold a token: numbers and the like, of the rest its type."""
    return repr(value) if isinstance(value, int | float | None) else type(value).__name__


def _no_envelope(received: Received, what: str, call: Call, root: Root) -> DeribitError:
    """Which error an answer outside the protocol is: what answered may not be the exchange."""
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
        reason = f"{reason}: the proxy wants a user and a password, as in http://user:password@…"
    else:
        reason = f"{reason}: is {root.variable} the root of Deribit's API?"
    return DeribitRejected(reason, method=method, params=params)
