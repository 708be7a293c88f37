"""One WebSocket: its JSON-RPC calls, its subscriptions, and its heartbeat."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.sandbox.limits import CreditPool
from deribit_pipeline.sandbox.published_channels import is_raw
from deribit_pipeline.sandbox.refusals import Refusal, invalid, texts_of
from deribit_pipeline.sandbox.socket_faults import SILENCE, SOCKET_FAULTS, Frames, SocketFaults
from deribit_pipeline.sandbox.socket_limits import SocketLimits

if TYPE_CHECKING:
    from deribit_pipeline.sandbox.socket_protocol import SocketProtocol

NO_HEARTBEAT = 4000
"""The code of a socket that is closed because `public/test` was not called in time."""

POLICY = 1008
"""The code of a socket that is closed for another reason; Deribit's own is undocumented."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What all sockets of an exchange have in common.

    `subscribes` are the credits of calls that subscribe. `open_channels` publishes channels
    from now on, and returns the names of those that exist.
    """

    exchange: SandboxExchange
    limits: SocketLimits
    faults: SocketFaults
    subscribes: CreditPool
    open_channels: Callable[[set[str]], set[str]]


class SocketSession:
    """A socket from its connection to its end. All methods run in the server's event loop."""

    def __init__(self, protocol: "SocketProtocol", shared: Shared) -> None:
        self.channels: set[str] = set()
        self._protocol, self._shared = protocol, shared
        self._exchange, self._limits = shared.exchange, shared.limits
        self._token: str | None = None
        self._held: Frames = []
        self._is_silent = False
        self._loop = asyncio.get_running_loop()
        self._heartbeat: asyncio.TimerHandle | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._methods = {
            "public/hello": lambda params: {"version": "1.2.26"},
            "public/subscribe": self._subscribe,
            "private/subscribe": self._subscribe_privately,
            "public/unsubscribe": self._unsubscribe,
            "private/unsubscribe": self._unsubscribe,
            "public/unsubscribe_all": self._unsubscribe_all,
            "private/unsubscribe_all": self._unsubscribe_all,
            "public/set_heartbeat": self._set_heartbeat,
            "public/disable_heartbeat": self._disable_heartbeat,
        }
        self._watch_idleness()

    def received(self, text: str) -> None:
        """Answer a message of the client."""
        if self._is_silent or self._shared.faults.is_silent:
            return
        came_in = self._exchange.clock()
        try:
            call = orjson.loads(text)
            number, method, params = call.get("id"), call["method"], call.get("params") or {}
            if not isinstance(method, str) or not isinstance(params, dict):
                raise TypeError
        except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError):
            self._send(self._exchange.envelope(came_in, error=_INVALID_REQUEST.error))
            return
        try:
            body = self._answer(method, params, came_in)
        except Refusal as refusal:
            body = self._exchange.envelope(came_in, error=refusal.error)
        if body.get("error") is not _INVALID_REQUEST.error:
            body["id"] = number
        self._send(body)
        if body.get("error", {}).get("code") == _TOO_MANY:
            self.close(POLICY, "too_many_requests")

    def notify(self, frame: bytes) -> None:
        """Send a notification, or what a fault makes of it."""
        name = self._shared.faults.chosen()
        self._is_silent = self._is_silent or name == SILENCE
        if name is None:
            frames = [frame, *self._held]
            self._held.clear()
        else:
            frames = SOCKET_FAULTS[name](frame, self._held)
        for each in frames:
            self._send_frame(each)

    def close(self, code: int, reason: str) -> None:
        """Close this socket with a code."""
        self.channels.clear()
        self._protocol.close(code, reason)

    def cut(self) -> None:
        """Close the connection without the closing handshake of WebSockets."""
        self.channels.clear()
        self._protocol.cut()

    def end(self) -> None:
        """Cancel the timers of a socket that is closed."""
        for timer in (self._heartbeat, self._deadline, self._idle):
            if timer is not None:
                timer.cancel()

    def _answer(self, method: str, params: dict[str, Any], came_in: float) -> dict[str, Any]:
        own = self._methods.get(method)
        if own is not None:
            self._exchange.requests[method] += 1
            return self._exchange.envelope(came_in, result=own(params))
        body = self._exchange.answer(method, texts_of(params), self._token).body
        if method == "public/auth" and "result" in body:
            self._token = body["result"]["access_token"]
        if method == "public/test" and self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        return body

    def _subscribe(self, params: Mapping[str, Any]) -> list[str]:
        if not self._shared.subscribes.acquire():
            self._exchange.refused += 1
            raise Refusal(_TOO_MANY, "too_many_requests")
        names = self._channels_in(params)
        if any(map(is_raw, names)) and not self._exchange.is_valid(self._token):
            raise Refusal(13778, "raw_subscriptions_not_available_for_unauthorized")
        # In another order than requested, and without those that do not exist.
        known = sorted(self._shared.open_channels(names), reverse=True)
        self.channels.update(known)
        self._watch_idleness()
        return known

    def _subscribe_privately(self, params: Mapping[str, Any]) -> list[str]:
        if not self._exchange.is_valid(self._token):
            raise Refusal(13009, "unauthorized", reason="invalid_token")
        return self._subscribe(params)

    def _unsubscribe(self, params: Mapping[str, Any]) -> list[str]:
        names = self._channels_in(params) & self.channels
        self.channels -= names
        self._watch_idleness()
        return sorted(names, reverse=True)

    def _unsubscribe_all(self, params: Mapping[str, Any]) -> str:
        self.channels.clear()
        self._watch_idleness()
        return "ok"

    def _channels_in(self, params: Mapping[str, Any]) -> set[str]:
        names = params.get("channels")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise _INVALID_REQUEST
        if len(names) > self._limits.channels_in_a_message:
            raise _INVALID_REQUEST
        return set(names)

    def _watch_idleness(self) -> None:
        """Close a socket that has had no subscription for a while."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if not self.channels:
            self._idle = self._later(self._limits.idle_for, POLICY, "no_subscriptions")

    def _set_heartbeat(self, params: Mapping[str, Any]) -> str:
        interval = params.get("interval")
        if not isinstance(interval, int | float) or interval < self._limits.shortest_heartbeat:
            raise invalid("interval", f"must be at least {self._limits.shortest_heartbeat:g}")
        self._disable_heartbeat(params)
        self._beat_after(interval * self._limits.time_scale)
        return "ok"

    def _disable_heartbeat(self, params: Mapping[str, Any]) -> str:
        for timer in (self._heartbeat, self._deadline):
            if timer is not None:
                timer.cancel()
        self._heartbeat = self._deadline = None
        return "ok"

    def _beat_after(self, seconds: float) -> None:
        self._heartbeat = self._loop.call_later(seconds, self._beat, seconds)

    def _beat(self, seconds: float) -> None:
        for kind in ("heartbeat", "test_request"):
            self._send({"jsonrpc": "2.0", "method": "heartbeat", "params": {"type": kind}})
        if self._deadline is None:
            self._deadline = self._later(
                self._limits.answer_within, NO_HEARTBEAT, "heartbeat_not_answered"
            )
        self._beat_after(seconds)

    def _later(self, seconds: float, code: int, reason: str) -> asyncio.TimerHandle:
        return self._loop.call_later(seconds * self._limits.time_scale, self.close, code, reason)

    def _send(self, body: dict[str, Any]) -> None:
        self._send_frame(orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY))

    def _send_frame(self, frame: bytes) -> None:
        if self._is_silent or self._shared.faults.is_silent:
            return
        self._protocol.send_frame(frame)
        if self._protocol.waiting > self._limits.backlog:
            self.close(POLICY, "connection_too_slow")


_TOO_MANY = 10028
_INVALID_REQUEST = Refusal(-32600, "Invalid Request")
"""The response to it has no id."""
